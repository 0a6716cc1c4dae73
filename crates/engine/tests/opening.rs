//! Opening a database opens only the collections whose writes the log still holds; the others follow when they are
//! wanted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vecdb_engine::{
    Collection, CollectionConfig, Database, Env, ErrorKind, Metric, Options, Point, SearchRequest,
};
use vecdb_testkit::sim_disk::{CrashMode, Op, SimDisk};

const COLLECTIONS: u64 = 500;

/// What a log file without entries has, see `docs/format.md`.
const LOG_HEADER_BYTES: usize = 80;

fn open(disk: &SimDisk, background: bool) -> Database {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    let options = Options {
        background,
        ..Options::default()
    };
    Database::open_with(&env, Path::new("/db"), options).unwrap()
}

fn name(number: u64) -> String {
    format!("c{number:03}")
}

fn point(id: u64) -> Point {
    Point::new(id, vec![id as f32, 1.0])
}

fn ids_of(collection: &Collection) -> Vec<String> {
    let answer = collection.search(&SearchRequest::new([0.0, 1.0]));
    let hits = answer.unwrap().hits;
    hits.iter().map(|hit| hit.id.to_string()).collect()
}

/// `COLLECTIONS` collections; the n-th holds the point n. Closed, but for those of `unflushed`, which got the point
/// 1,000 more before the power went.
fn database(unflushed: &[u64]) -> SimDisk {
    let disk = SimDisk::new();
    let db = open(&disk, false);
    for number in 0..COLLECTIONS {
        let config = CollectionConfig::new(2, Metric::L2);
        let collection = db.create_collection(&name(number), config).unwrap();
        collection.upsert(vec![point(number)]).unwrap();
    }
    db.close().unwrap();
    let db = open(&disk, false);
    for &number in unflushed {
        let collection = db.collection(&name(number)).unwrap();
        collection.upsert(vec![point(1_000)]).unwrap();
    }
    disk.crash_image(CrashMode::LoseUnsynced)
}

/// The manifests opened since the call of this number.
fn manifests_read(disk: &SimDisk, since: u64) -> BTreeSet<PathBuf> {
    let trace = disk.trace().into_iter();
    let manifests = trace.filter(|call| {
        call.number > since && call.op == Op::Open && call.path.ends_with("MANIFEST")
    });
    manifests.map(|call| call.path).collect()
}

fn manifest_of(number: u64) -> PathBuf {
    format!("/db/collections/{:08}/MANIFEST", number + 1).into()
}

#[test]
fn only_collections_that_the_log_names_are_opened_at_the_start() {
    let disk = database(&[7, 300]);
    let before = disk.calls();
    let db = open(&disk, false);
    assert_eq!(db.recovery().replayed, 2);
    let read = manifests_read(&disk, before);
    assert_eq!(read, BTreeSet::from([manifest_of(7), manifest_of(300)]));

    // Looking at what is open opens nothing.
    let overview = db.overview();
    let opened: Vec<_> = overview.open.iter().map(|info| &info.name).collect();
    assert_eq!(opened, [&name(7), &name(300)]);
    assert_eq!((overview.broken, overview.unopened), (0, COLLECTIONS - 2));
    assert_eq!(manifests_read(&disk, before).len(), 2);

    assert_eq!(ids_of(&db.collection(&name(300)).unwrap()), ["300", "1000"]);
    assert_eq!(manifests_read(&disk, before).len(), 2);
    assert_eq!(ids_of(&db.collection(&name(9)).unwrap()), ["9"]);
    assert_eq!(manifests_read(&disk, before).len(), 3);

    // Closing does not open the others, and the log goes with the last write that needed it.
    db.close().unwrap();
    assert_eq!(manifests_read(&disk, before).len(), 3);
    let before = disk.calls();
    let db = open(&disk, false);
    assert_eq!(manifests_read(&disk, before).len(), 0);
    let points: u64 = db.collections().iter().map(|summary| summary.points).sum();
    assert_eq!(points, COLLECTIONS + 2);
    assert!(db.verify().unwrap().problems.is_empty());
}

#[test]
fn the_background_opens_the_rest_and_finds_what_is_broken() {
    let disk = database(&[3]);
    disk.damage(&manifest_of(5), |bytes| bytes[30] ^= 1);
    let before = disk.calls();
    let db = open(&disk, true);
    // A collection is there at once, wherever the background is.
    assert_eq!(ids_of(&db.collection(&name(499)).unwrap()), ["499"]);
    let give_up = Instant::now() + Duration::from_secs(10);
    while manifests_read(&disk, before).len() < COLLECTIONS as usize {
        assert!(Instant::now() < give_up, "some are never opened");
        std::thread::yield_now();
    }
    let error = db.collection(&name(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let text = error.to_string();
    assert!(text.contains("c005") && text.contains("MANIFEST"), "{text}");
    for summary in db.collections() {
        assert_eq!(summary.broken.is_some(), summary.name == "c005");
        assert!(summary.points > 0 || summary.broken.is_some());
    }
    // It is in nobody's way: others are written, and closing trims the log.
    let other = db.collection(&name(6)).unwrap();
    other.upsert(vec![point(2_000)]).unwrap();
    drop(other);
    db.close().unwrap();
    assert_eq!(open(&disk, false).recovery().replayed, 0);
}

#[test]
fn a_collection_that_nobody_opened_can_be_dropped() {
    let disk = database(&[]);
    let db = open(&disk, false);
    let before = disk.calls();
    db.drop_collection(&name(8)).unwrap();
    assert!(manifests_read(&disk, before).is_empty());
    let error = db.collection(&name(8)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        disk.files()
            .iter()
            .all(|file| !file.starts_with("/db/collections/00000009"))
    );
    // The name is free again.
    let config = CollectionConfig::new(2, Metric::L2);
    db.create_collection(&name(8), config).unwrap();
    assert_eq!(db.collections().len(), COLLECTIONS as usize);
}

#[test]
fn threads_that_ask_at_once_get_one_and_the_same_collection() {
    let disk = database(&[]);
    let db = open(&disk, true);
    std::thread::scope(|scope| {
        for id in 5_000..5_004 {
            let db = &db;
            scope.spawn(move || {
                for number in (0..COLLECTIONS).step_by(25) {
                    let collection = db.collection(&name(number)).unwrap();
                    collection.upsert(vec![point(id)]).unwrap();
                }
            });
        }
    });
    for number in (0..COLLECTIONS).step_by(25) {
        assert_eq!(
            db.collection(&name(number)).unwrap().count(None).unwrap(),
            5
        );
    }
}

#[test]
fn a_collection_that_is_ahead_of_the_log_is_quarantined() {
    let disk = SimDisk::new();
    let db = open(&disk, false);
    for name in ["lost", "other"] {
        let config = CollectionConfig::new(2, Metric::L2);
        db.create_collection(name, config).unwrap();
    }
    let lost = db.collection("lost").unwrap();
    lost.upsert(vec![point(1)]).unwrap();
    lost.flush().unwrap();
    let disk = disk.crash_image(CrashMode::LoseUnsynced);
    let log = |file: &PathBuf| file.starts_with("/db/wal");
    for file in disk.files().into_iter().filter(log) {
        disk.damage(&file, |bytes| bytes.truncate(LOG_HEADER_BYTES));
    }
    let db = open(&disk, true);
    let error = db.collection("lost").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("log ends at 0"), "{error}");
    let other = db.collection("other").unwrap();
    other.upsert(vec![point(2)]).unwrap();
    assert_eq!(ids_of(&other), ["2"]);
}

/// What segments hold is not kept in the newest log file either.
#[test]
fn a_closed_database_leaves_an_empty_log() {
    let disk = SimDisk::new();
    let db = open(&disk, false);
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    collection.upsert((0..5_000).map(point).collect()).unwrap();
    drop(collection);
    db.close().unwrap();
    let files = disk.files();
    let log: Vec<&PathBuf> = files
        .iter()
        .filter(|file| file.starts_with("/db/wal"))
        .collect();
    let bytes: usize = log
        .iter()
        .map(|file| disk.contents(file).unwrap().len())
        .sum();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(bytes < 200, "{bytes} bytes of {log:?}");
    let db = open(&disk, false);
    let collection = db.collection("c").unwrap();
    assert_eq!(collection.count(None).unwrap(), 5_000);
    collection.upsert(vec![point(9_999)]).unwrap();
    let db = open(&disk.crash_image(CrashMode::LoseUnsynced), false);
    assert_eq!(db.collection("c").unwrap().count(None).unwrap(), 5_001);
}
