//! What is damaged is found, mended where it follows from what is sound, and set aside where it does not.

use std::path::{Path, PathBuf};

use vecdb_engine::{
    Collection, CollectionConfig, Database, Env, ErrorKind, Filter, InspectRequest, Metric,
    OnCorruption, Options, Point, SearchRequest, VerifyReport, inspect,
};
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

const POINTS: u64 = 400;
const FOLDER: &str = "/db/collections/00000001";

fn env(disk: &SimDisk) -> Env {
    Env {
        disk: disk.shared(),
        ..Env::default()
    }
}

fn options() -> Options {
    Options {
        threads: 1,
        background: false,
        index_rows_min: 50,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Database {
    Database::open_with(&env(disk), "/db", options()).unwrap()
}

/// `c` with one segment of `POINTS` points less one that was deleted, its graph and its live file; an empty `d`.
fn sealed() -> SimDisk {
    let disk = SimDisk::new();
    let db = open(&disk);
    let config = CollectionConfig::new(16, Metric::Cosine);
    let c = db.create_collection("c", config).unwrap();
    let points = (0..POINTS).map(|id| {
        let vector = (0..16).map(|at| ((id * 7 + at * 13) % 31) as f32 + 1.0);
        Point::new(id, vector.collect())
            .with("price", id as i64)
            .with("text", "x".repeat(300))
    });
    c.upsert(points.collect()).unwrap();
    c.compact().unwrap();
    c.delete(&[3.into()]).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    db.create_collection("d", config).unwrap();
    db.close().unwrap();
    disk
}

fn file(disk: &SimDisk, extension: &str) -> PathBuf {
    let ours = |path: &PathBuf| {
        path.starts_with(FOLDER) && path.extension().is_some_and(|e| e == extension)
    };
    disk.files().into_iter().find(ours).unwrap()
}

/// Where each section of a file lies.
fn sections(disk: &SimDisk, path: &Path) -> Vec<(String, usize, usize)> {
    let found = inspect(&env(disk), Path::new("/db"), &InspectRequest::default()).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let files = found.collections.into_iter().flat_map(|c| c.files);
    let file = files.into_iter().find(|file| file.name == name).unwrap();
    let sections = file.sections.into_iter();
    sections
        .map(|s| (s.name, s.offset as usize, s.bytes as usize))
        .collect()
}

fn flip(disk: &SimDisk, path: &Path, at: usize) {
    disk.damage(path, |bytes| bytes[at] ^= 0x10);
}

fn answers(c: &Collection) -> (u64, u64, Vec<String>) {
    let filter = Filter::gte("price", 390);
    let request = SearchRequest::new(vec![1.0; 16]).limit(5);
    let hits = c.search(&request).unwrap().hits;
    let ids = hits.iter().map(|hit| hit.id.to_string()).collect();
    (c.count(None).unwrap(), c.count(Some(&filter)).unwrap(), ids)
}

fn all_well(report: &VerifyReport) {
    assert!(report.problems.is_empty(), "{report:?}");
}

/// Damage in any section but those of vectors, ids and metadata is mended without a loss.
#[test]
fn what_follows_from_the_rows_is_made_anew() {
    let whole = sealed();
    let right = answers(
        &open(&whole.crash_image(CrashMode::KeepAll))
            .collection("c")
            .unwrap(),
    );
    let source = [
        "vectors:",
        "id.offsets",
        "id.bytes",
        "metadata.offsets",
        "metadata.bytes",
    ];
    let mut mended = 0;
    for path in [file(&whole, "rows"), file(&whole, "index")] {
        for (name, offset, bytes) in sections(&whole, &path) {
            if source.contains(&name.as_str()) || bytes == 0 {
                continue;
            }
            let disk = whole.crash_image(CrashMode::KeepAll);
            flip(&disk, &path, offset + bytes / 2);
            let db = open(&disk);
            assert!(!db.verify().unwrap().problems.is_empty(), "{name}");
            let report = db.repair().unwrap();
            all_well(&report);
            assert!(!report.repaired.is_empty(), "{name}");
            assert_eq!((report.lost, report.quarantined.len()), (0, 0), "{name}");
            assert_eq!(answers(&db.collection("c").unwrap()), right, "{name}");
            db.close().unwrap();
            let db = open(&disk);
            all_well(&db.verify().unwrap());
            assert_eq!(answers(&db.collection("c").unwrap()), right, "{name}");
            mended += 1;
        }
    }
    assert!(mended > 6, "only {mended} sections were damaged");
}

#[test]
fn of_damaged_rows_the_readable_ones_stay() {
    let whole = sealed();
    let path = file(&whole, "rows");
    for (name, offset, bytes) in sections(&whole, &path) {
        if !["vectors:", "id.bytes", "metadata.bytes"].contains(&name.as_str()) {
            continue;
        }
        let disk = whole.crash_image(CrashMode::KeepAll);
        flip(&disk, &path, offset + bytes / 2);
        let db = open(&disk);
        let report = db.repair().unwrap();
        all_well(&report);
        assert!(report.lost > 0, "{name}");
        assert_eq!(report.quarantined.len(), 1, "{name}");
        let c = db.collection("c").unwrap();
        assert_eq!(c.count(None).unwrap(), POINTS - 1 - report.lost, "{name}");
        // Metadata has more than one block of bytes: not all is lost with one.
        assert_eq!(report.lost < POINTS - 1, name == "metadata.bytes", "{name}");
        // Writable, and nothing that was deleted is back.
        c.upsert(vec![Point::new(1_000, vec![1.0; 16])]).unwrap();
        assert!(c.get(&[3.into()], false, false).unwrap()[0].is_none());
        drop((c, db));
        let aside = PathBuf::from(FOLDER)
            .join("quarantine")
            .join(path.file_name().unwrap());
        let kept = disk.contents(&aside).expect("the file is kept");
        assert_eq!(kept.len(), disk.contents(&aside).unwrap().len());
        all_well(&open(&disk).verify().unwrap());
    }
}

/// Collections that do not open at all, with entries in the log and without.
#[test]
fn a_broken_collection_serves_again_while_the_others_go_on() {
    let right = answers(&open(&sealed()).collection("c").unwrap());
    for (extension, in_log) in [("index", false), ("index", true), ("rows", false)] {
        let disk = sealed();
        let disk = match in_log {
            false => disk,
            true => {
                let db = open(&disk);
                let c = db.collection("c").unwrap();
                c.upsert(vec![Point::new(3, vec![9.0; 16])]).unwrap();
                disk.crash_image(CrashMode::LoseUnsynced)
            }
        };
        let path = file(&disk, extension);
        flip(&disk, &path, 9);
        let db = open(&disk);
        assert_eq!(db.collection("c").unwrap_err().kind(), ErrorKind::Corrupt);
        let d = db.collection("d").unwrap();
        d.upsert(vec![Point::new(1, vec![1.0, 2.0])]).unwrap();
        let report = db.repair().unwrap();
        all_well(&report);
        let c = db.collection("c").unwrap();
        match extension {
            "rows" => {
                assert_eq!((report.lost, report.quarantined.len()), (POINTS - 1, 1));
                assert_eq!(c.count(None).unwrap(), 0);
            }
            _ => {
                assert_eq!((report.lost, report.quarantined.len()), (0, 0));
                let (points, ..) = answers(&c);
                assert_eq!(points, right.0 + u64::from(in_log));
                let segments = c.info().segments;
                assert!(segments.iter().all(|s| s.index.is_some()), "{segments:?}");
            }
        }
        c.upsert(vec![Point::new(2_000, vec![1.0; 16])]).unwrap();
        drop((c, d));
        db.close().unwrap();
        let db = open(&disk);
        all_well(&db.verify().unwrap());
        assert_eq!(db.recovery().replayed, 0);
        assert_eq!(db.collection("d").unwrap().count(None).unwrap(), 1);
    }
}

#[test]
fn what_says_which_points_were_deleted_is_not_made_up() {
    for name in ["MANIFEST", "live"] {
        let disk = sealed();
        let path = match name {
            "MANIFEST" => PathBuf::from(FOLDER).join(name),
            extension => file(&disk, extension),
        };
        let before = disk.contents(&path).unwrap().len();
        flip(&disk, &path, 30);
        let db = open(&disk);
        let report = db.repair().unwrap();
        assert_eq!(report.problems.len(), 1, "{report:?}");
        assert!(
            report.problems[0].contains("cannot be mended"),
            "{report:?}"
        );
        assert_eq!((report.lost, report.quarantined.len()), (0, 0));
        assert!(db.collection("c").is_err());
        // It is there for whoever can mend it by hand.
        assert_eq!(disk.contents(&path).unwrap().len(), before);
        flip(&disk, &path, 30);
        drop(db);
        assert_eq!(
            open(&disk).collection("c").unwrap().count(None).unwrap(),
            POINTS - 1
        );
    }
}

/// Damage anywhere in the log, skipped once, is behind the database: afterwards it opens as ever.
#[test]
fn damage_in_the_log_is_skipped_once_and_counted() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let c = db
        .create_collection("c", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    for id in 0..20 {
        c.upsert(vec![Point::new(id, vec![id as f32, 1.0])])
            .unwrap();
    }
    let left = disk.crash_image(CrashMode::LoseUnsynced);
    let log = left
        .files()
        .into_iter()
        .find(|path| path.starts_with("/db/wal"))
        .unwrap();
    let bytes = left.contents(&log).unwrap().len();
    for at in (0..bytes).step_by(7) {
        let disk = left.crash_image(CrashMode::KeepAll);
        flip(&disk, &log, at);
        let damaged = match Database::open_with(&env(&disk), "/db", options()) {
            // In the last entry: of it nothing says that it was synced.
            Ok(db) => {
                assert!(db.recovery().torn_bytes_cut > 0, "byte {at}");
                continue;
            }
            Err(error) => error,
        };
        assert_eq!(damaged.kind(), ErrorKind::Corrupt);
        let text = damaged.to_string();
        assert!(
            text.contains("is damaged at byte") && text.contains("on_corruption: skip"),
            "{text}"
        );
        let skip = Options {
            on_corruption: OnCorruption::Skip,
            ..options()
        };
        let db = Database::open_with(&env(&disk), "/db", skip).unwrap();
        assert!(db.recovery().skipped > 0, "byte {at}");
        let points = db.collection("c").unwrap().count(None).unwrap();
        assert!(points == 19 || at < 80, "byte {at}: {points} points");
        let c = db.collection("c").unwrap();
        c.upsert(vec![Point::new(100, vec![1.0, 1.0])]).unwrap();
        let disk = disk.crash_image(CrashMode::LoseUnsynced);
        let db = open(&disk);
        assert_eq!(db.recovery().skipped, 0);
        all_well(&db.verify().unwrap());
        assert_eq!(db.collection("c").unwrap().count(None).unwrap(), points + 1);
    }
}
