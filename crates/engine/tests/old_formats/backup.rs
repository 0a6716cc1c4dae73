//! A database that archives its log, its archive and its snapshots, as earlier programs left them: they are opened, gone on
//! with, and restored from.
//!
//! Each `tests/fixtures/backup-N` holds the folders `db`, `archive`, `snapshot`, and `plain`, a snapshot of a database without an
//! archive, and `expected.json`. The rules are those of the other folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value as Json, json};
use vecdb_engine::{
    Archive, CollectionConfig, Database, Env, IndexSpec, Metric, Options, Point, PointId,
    RestorePoint, RestoreRequest, ScrollRequest, StopSignal,
};
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

use crate::{EXPECTED, archive, fixtures};

/// The number of the newest folder.
const BACKUP: u32 = 1;
const FOLDERS: &str = "folders";

/// The ids in each collection.
type World = BTreeMap<String, Vec<u64>>;

fn open(disk: &SimDisk, folder: &str, archive: Archive) -> Database {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    let options = Options {
        threads: 1,
        background: false,
        archive,
        ..Options::default()
    };
    Database::open_with(&env, folder, options).unwrap()
}

fn world(db: &Database) -> World {
    let ids = |name: &str| {
        let all = ScrollRequest {
            limit: 1_000,
            ..ScrollRequest::default()
        };
        let page = db.collection(name).unwrap().scroll(&all).unwrap();
        let ids = page
            .points
            .iter()
            .map(|point| point.id.to_string().parse().unwrap());
        let mut ids: Vec<u64> = ids.collect();
        ids.sort_unstable();
        ids
    };
    let names = db.collections().into_iter().map(|summary| summary.name);
    names.map(|name| (name.clone(), ids(&name))).collect()
}

fn write(db: &Database, collection: &str, ids: std::ops::Range<u64>) -> u64 {
    let points = ids.map(|id| Point::new(id, vec![id as f32, 1.0]).with("n", id as i64));
    let collection = db.collection(collection).unwrap();
    collection.upsert(points.collect()).unwrap().position
}

fn create(db: &Database, name: &str) {
    let config = CollectionConfig::new(2, Metric::L2).index(IndexSpec::Flat);
    db.create_collection(name, config).unwrap();
}

/// A database that was not closed, whose catalog knows of a collection that the archive does not have yet.
fn live() -> (SimDisk, Json) {
    let disk = SimDisk::new();
    let plain = open(&disk, "/other", Archive::Unchanged);
    create(&plain, "p");
    write(&plain, "p", 0..5);
    plain.snapshot(&[], "/plain").unwrap();

    let db = open(&disk, "/db", Archive::Folder("/archive".into()));
    create(&db, "c");
    write(&db, "c", 0..20);
    let collection = db.collection("c").unwrap();
    collection.flush().unwrap();
    collection.delete(&[PointId::from(3)]).unwrap();
    db.archive_log().unwrap();
    let base = world(&db);
    db.snapshot(&[], "/snapshot").unwrap();
    let mut sequences = BTreeMap::new();
    sequences.insert(write(&db, "c", 20..25), world(&db));
    let deleted = collection.delete(&[PointId::from(5), 21.into()]).unwrap();
    sequences.insert(deleted.position, world(&db));
    db.archive_log().unwrap();
    create(&db, "later");
    sequences.insert(write(&db, "later", 0..3), world(&db));
    sequences.insert(write(&db, "c", 4..6), world(&db));
    db.archive_log().unwrap();
    write(&db, "c", 30..31);
    create(&db, "pending");
    let expected = json!({"base": base, "sequences": sequences, "now": world(&db)});
    (disk.crash_image(CrashMode::KeepAll), expected)
}

/// Puts the files of the disk that belong to the fixture below `folder`.
fn to_folder(disk: &SimDisk, folder: &Path) {
    for path in disk.files() {
        if path.starts_with("/other") || path.ends_with("LOCK") {
            continue;
        }
        let to = folder.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, disk.contents(&path).unwrap()).unwrap();
    }
}

fn to_disk(folder: &Path, at: &Path, disk: &SimDisk) {
    let shared = disk.shared();
    shared.create_dir(at).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let to = at.join(path.file_name().unwrap());
        if path.is_dir() {
            to_disk(&path, &to, disk);
            continue;
        }
        let mut file = shared.create(&to).unwrap();
        file.write(&fs::read(&path).unwrap()).unwrap();
        file.sync().unwrap();
    }
    shared.sync_dir(at).unwrap();
}

/// All that are there, the newest last.
static BACKUPS: LazyLock<Vec<(u32, PathBuf)>> = LazyLock::new(|| {
    let newest = crate::folder().join(format!("backup-{BACKUP}"));
    if std::env::var_os("VECDB_REGENERATE").is_some() && !newest.exists() {
        let (disk, expected) = live();
        let made = tempfile::tempdir().unwrap();
        to_folder(&disk, made.path());
        archive::pack(made.path(), &newest.join(FOLDERS));
        archive::write_json(&newest.join(EXPECTED), &expected);
    }
    fixtures("backup-")
});

/// What a snapshot and the archive come to in a new database.
fn restored(disk: &SimDisk, snapshot: &str, until: Option<RestorePoint>) -> World {
    let disk = disk.crash_image(CrashMode::KeepAll);
    let db = open(&disk, "/elsewhere", Archive::Unchanged);
    let request = RestoreRequest {
        archive: until.map(|_| "/archive".to_owned()),
        until,
        ..RestoreRequest::default()
    };
    db.restore_with(snapshot, &request, &StopSignal::default())
        .unwrap();
    assert!(db.verify().unwrap().problems.is_empty());
    world(&db)
}

#[test]
fn every_backup_is_restored_from_and_gone_on_with() {
    let numbers: Vec<u32> = BACKUPS.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=BACKUP).collect::<Vec<_>>());
    for (number, fixture) in BACKUPS.iter() {
        let copy = tempfile::tempdir().unwrap();
        archive::unpack(&fixture.join(FOLDERS), copy.path());
        let disk = SimDisk::new();
        to_disk(copy.path(), Path::new("/"), &disk);
        let expected = archive::read_json(&fixture.join(EXPECTED));
        let read = |json: &Json| serde_json::from_value::<World>(json.clone()).unwrap();

        assert_eq!(
            restored(&disk, "/snapshot", None),
            read(&expected["base"]),
            "{number}"
        );
        let plain = restored(&disk, "/plain", None);
        assert_eq!(plain["p"], [0, 1, 2, 3, 4], "{number}");
        let sequences = expected["sequences"].as_object().unwrap();
        for (position, world) in sequences {
            let point = RestorePoint::Sequence(position.parse().unwrap());
            let found = restored(&disk, "/snapshot", Some(point));
            assert_eq!(found, read(world), "{number}: at {position}");
        }

        let db = open(&disk, "/db", Archive::Unchanged);
        assert_eq!(db.archive().unwrap().location, "/archive");
        assert_eq!(world(&db), read(&expected["now"]), "{number}");
        // What the catalog knew of is archived now.
        write(&db, "pending", 0..2);
        db.archive_log().unwrap();
        let report = db.verify_archive(None, &StopSignal::default()).unwrap();
        assert_eq!(
            (report.problems.len(), report.ranges.len()),
            (0, 1),
            "{report:?}"
        );
        let found = restored(&disk, "/snapshot", Some(RestorePoint::Latest));
        assert_eq!(found, world(&db), "{number}");
        assert_eq!(found["pending"], [0, 1]);
    }
}

/// The names of the keys in a document, with the names of those around them.
fn keys(json: &Json, path: &str, found: &mut BTreeSet<String>) {
    match json {
        Json::Object(object) => {
            for (key, value) in object {
                let path = format!("{path}.{key}");
                keys(value, &path, found);
                found.insert(path);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| keys(item, path, found)),
        _ => {}
    }
}

/// Formats and keys of the documents below a folder.
fn documents(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            documents(&path, found);
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let kind = match path.extension().and_then(|e| e.to_str()) {
            Some("piece") => "piece",
            Some("json") => name,
            None if ["ARCHIVE", "CATALOG", "MANIFEST"].contains(&name) => name,
            _ => continue,
        };
        let bytes = fs::read(&path).unwrap();
        let body = match bytes.strip_prefix(b"VECDBDOC") {
            Some(rest) => {
                let version = u32::from_le_bytes(rest[..4].try_into().unwrap());
                found.insert(format!("{kind}: version {version}"));
                &rest[12..]
            }
            None => &bytes[..],
        };
        let json: Json = serde_json::from_slice(body).unwrap();
        if let Some(format) = json.get("format") {
            found.insert(format!("{kind}: format {format}"));
        }
        keys(&json, kind, found);
    }
}

#[test]
fn what_is_backed_up_today_is_written_as_in_the_newest_folder() {
    let (disk, _) = live();
    let today = tempfile::tempdir().unwrap();
    to_folder(&disk, today.path());
    let frozen = tempfile::tempdir().unwrap();
    let (_, newest) = BACKUPS.last().unwrap();
    archive::unpack(&newest.join(FOLDERS), frozen.path());
    let of = |folder: &Path| {
        let mut found = BTreeSet::new();
        documents(folder, &mut found);
        found
    };
    let (today, frozen) = (of(today.path()), of(frozen.path()));
    for expected in [
        "SNAPSHOT.json: format 2",
        "CATALOG.archive",
        "CATALOG.events.change",
    ] {
        assert!(frozen.contains(expected), "{expected}: {frozen:#?}");
    }
    let both: Vec<_> = today.symmetric_difference(&frozen).collect();
    assert!(both.is_empty(), "not as in {}: {both:#?}", newest.display());
}
