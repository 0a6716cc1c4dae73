//! Snapshots and restores: what is in them, what is refused, and what is left when either is cut short.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use vecdb_engine::{
    Collection, CollectionConfig, Database, EarlierFiles, Env, ErrorKind, Filter, IndexSpec,
    Metric, Options, Point, PointId, SNAPSHOT_FILE, SearchParams, SearchRequest, SnapshotManifest,
    StopSignal,
};
use vecdb_testkit::sim_disk::{CrashMode, Fault, Op, SimDisk};

const DIMENSION: u32 = 4;

fn options() -> Options {
    Options {
        threads: 1,
        memtable_bytes_max: 8 << 10,
        index_rows_min: 32,
        ..Options::default()
    }
}

fn quiet() -> Options {
    Options {
        background: false,
        ..options()
    }
}

fn config() -> CollectionConfig {
    CollectionConfig::new(DIMENSION, Metric::L2)
}

fn vector(id: u64, version: i64) -> Vec<f32> {
    let mut state = id.wrapping_mul(0x9E37_79B9).wrapping_add(version as u64);
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..DIMENSION).map(|_| next()).collect()
}

fn point(id: u64, version: i64) -> Point {
    Point::new(id, vector(id, version)).with("version", version)
}

fn upsert(collection: &Collection, ids: std::ops::Range<u64>, version: i64) {
    let points = ids.map(|id| point(id, version)).collect();
    collection.upsert(points).unwrap();
}

fn never() -> StopSignal {
    StopSignal::default()
}

/// Every point with its version.
fn contents(collection: &Collection) -> Vec<(PointId, i64)> {
    let mut request = vecdb_engine::ScrollRequest {
        limit: 1_000,
        with_metadata: true,
        ..Default::default()
    };
    let mut all = Vec::new();
    loop {
        let page = collection.scroll(&request).unwrap();
        for record in page.points {
            let metadata = record.metadata.unwrap();
            match metadata.get("version") {
                Some(vecdb_engine::Value::Int(version)) => all.push((record.id, *version)),
                other => panic!("{:?} has version {other:?}", record.id),
            }
        }
        match page.next_cursor {
            Some(next) => request.cursor = Some(next),
            None => break,
        }
    }
    all.sort();
    all
}

fn answers(collection: &Collection) -> Vec<Vec<(PointId, f32)>> {
    let filter = Filter::parse_str(r#"{"version": {"$gte": 2}}"#).unwrap();
    let exact = SearchParams {
        exact: true,
        ..SearchParams::default()
    };
    let requests = (0..20).flat_map(|id| {
        let request = SearchRequest::new(vector(id, 77)).limit(7);
        let filtered = request.clone().filter(filter.clone());
        let exactly = filtered.clone().params(exact.clone());
        [request, filtered, exactly]
    });
    requests
        .map(|request| {
            let hits = collection.search(&request).unwrap().hits;
            hits.into_iter().map(|h| (h.id, h.distance)).collect()
        })
        .collect()
}

/// A collection with segments, an index, dead rows, updates and a memtable.
fn eventful(db: &Database, name: &str) -> Collection {
    let collection = db.create_collection(name, config()).unwrap();
    upsert(&collection, 0..200, 1);
    collection.compact().unwrap();
    upsert(&collection, 50..120, 2);
    collection.flush().unwrap();
    collection.delete(&[3.into(), 60.into()]).unwrap();
    upsert(&collection, 190..230, 3);
    collection.delete(&[195.into()]).unwrap();
    collection
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_snapshot_restores_to_the_same_points_and_answers_elsewhere_and_under_another_name() {
    let root = folder();
    let db = Database::open(root.path().join("db"), quiet()).unwrap();
    let collection = eventful(&db, "c");
    let empty = db.create_collection("empty", config()).unwrap();
    let (points, found) = (contents(&collection), answers(&collection));
    let into = root.path().join("snapshot");
    let snapshot = db.snapshot(&[], &into).unwrap();
    assert_eq!(snapshot, Database::read_snapshot(&into).unwrap());
    let counts: Vec<_> = snapshot.contents().iter().map(|c| c.points).collect();
    assert_eq!(counts, [points.len() as u64, 0]);
    // Later writes are not in it, and what they remove is.
    upsert(&collection, 0..100, 9);
    collection.delete(&[120.into()]).unwrap();
    collection.compact().unwrap();

    let restored = db.restore(&into, Some("c"), Some("before"), &never());
    assert_eq!(restored.unwrap()[0].name, "before");
    let other = Database::open(root.path().join("other"), quiet()).unwrap();
    let summaries = other.restore(&into, None, None, &never()).unwrap();
    let held = snapshot.contents().into_iter();
    let held: Vec<_> = held.map(|c| (c.name, c.points, c.sequence)).collect();
    let restored = summaries.into_iter().map(|c| (c.name, c.points, None));
    assert_eq!(restored.collect::<Vec<_>>(), held);
    assert_eq!(
        contents(&other.collection("empty").unwrap()),
        contents(&empty)
    );
    for copy in [
        db.collection("before").unwrap(),
        other.collection("c").unwrap(),
    ] {
        assert_eq!(contents(&copy), points);
        assert_eq!(answers(&copy), found);
        assert_eq!(copy.config(), collection.config());
        copy.verify_strictly().unwrap();
        // It lives on as a collection of its own.
        upsert(&copy, 0..10, 5);
        copy.delete(&[11.into()]).unwrap();
    }
    assert_eq!(
        db.collection("before").unwrap().info().points,
        points.len() as u64
    );
    for (db, name) in [(db, "before"), (other, "c")] {
        let path = db.path().to_owned();
        let expected = contents(&db.collection(name).unwrap());
        drop(db);
        assert!(!path.join("staging/1").exists());
        let again = Database::open(&path, quiet()).unwrap();
        let copy = again.collection(name).unwrap();
        assert_eq!(contents(&copy), expected);
        assert_eq!(contents(&copy).iter().filter(|(_, v)| *v == 5).count(), 10);
        copy.compact().unwrap();
        copy.verify_strictly().unwrap();
    }
    // The snapshot is what it was.
    let third = Database::open(root.path().join("third"), quiet()).unwrap();
    third.restore(&into, Some("c"), None, &never()).unwrap();
    assert_eq!(contents(&third.collection("c").unwrap()), points);
}

#[test]
fn every_write_acknowledged_before_the_call_is_in_it_and_batches_are_whole() {
    let root = folder();
    let db = Database::open(root.path().join("db"), options()).unwrap();
    let collection = db.create_collection("c", config()).unwrap();
    upsert(&collection, 0..40, 1);
    let acknowledged = AtomicI64::new(1);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Every batch replaces all points: a torn snapshot would show two versions or miss a point.
        scope.spawn(|| {
            for version in 2.. {
                if over.load(Ordering::Acquire) {
                    break;
                }
                upsert(&collection, 0..40, version);
                acknowledged.store(version, Ordering::Release);
                if version % 7 == 0 {
                    collection.flush().unwrap();
                }
            }
        });
        for n in 0..12 {
            let before = acknowledged.load(Ordering::Acquire);
            let into = root.path().join(format!("s{n}"));
            db.snapshot(&["c".to_owned()], &into).unwrap();
            let name = format!("c{n}");
            db.restore(&into, None, Some(&name), &never()).unwrap();
            let found = contents(&db.collection(&name).unwrap());
            let version = found[0].1;
            assert!(
                version >= before,
                "{version} after {before} was acknowledged"
            );
            let expected: Vec<_> = (0..40).map(|id| (PointId::from(id), version)).collect();
            assert_eq!(found, expected);
        }
        over.store(true, Ordering::Release);
    });
    assert!(acknowledged.load(Ordering::Acquire) > 10);
    assert!(db.verify().unwrap().problems.is_empty());
}

/// The files of a snapshot of [`eventful`].
fn made(root: &Path) -> (PathBuf, SnapshotManifest) {
    let db = Database::open(root.join("db"), quiet()).unwrap();
    eventful(&db, "c");
    let into = root.join("snapshot");
    let snapshot = db.snapshot(&[], &into).unwrap();
    (into, snapshot)
}

#[test]
fn a_damaged_shortened_or_missing_file_is_refused_and_leaves_nothing() {
    let root = folder();
    let (into, snapshot) = made(root.path());
    let target = Database::open(root.path().join("target"), quiet()).unwrap();
    let refuse = |what: &str| {
        let error = target.restore(&into, None, None, &never()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(target.collections().is_empty(), "{what}");
        let staging = root.path().join("target/staging");
        let left = std::fs::read_dir(staging).map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "{what}");
    };
    let mut kinds = std::collections::BTreeSet::new();
    for file in &snapshot.collections[0].files {
        kinds.insert(file.name.rsplit('.').next().unwrap().to_owned());
        let path = into.join("collections/1").join(&file.name);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, file.bytes);
        // The file is replaced, not written to: it is the database's as well.
        let replace = |bytes: &[u8]| {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
        };
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            replace(&damaged);
            refuse(&format!("{} byte {at}", file.name));
        }
        replace(&bytes[..bytes.len() - 1]);
        refuse(&format!("{} shortened", file.name));
        std::fs::remove_file(&path).unwrap();
        refuse(&format!("{} missing", file.name));
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        refuse(&format!("{} elsewhere", file.name));
        replace(&bytes);
    }
    let expected = ["MANIFEST", "index", "live", "rows"];
    assert!(kinds.iter().eq(expected), "{kinds:?}");
    target.restore(&into, None, None, &never()).unwrap();

    let list = into.join(SNAPSHOT_FILE);
    let text = std::fs::read_to_string(&list).unwrap();
    let fresh = Database::open(root.path().join("fresh"), quiet()).unwrap();
    let kind = |text: &str| {
        std::fs::write(&list, text).unwrap();
        fresh
            .restore(&into, None, None, &never())
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind(&text.replace(".rows", ".rowz")), ErrorKind::Corrupt);
    assert_eq!(kind(&text[..text.len() / 2]), ErrorKind::Corrupt);
    let newer = text.replacen("\"format\": 1", "\"format\": 3", 1);
    assert_eq!(kind(&newer), ErrorKind::Unsupported);
    std::fs::remove_file(&list).unwrap();
    let error = fresh.restore(&into, None, None, &never()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn rot_in_the_database_is_not_passed_on_as_a_backup() {
    let root = folder();
    let db = Database::open(root.path().join("db"), quiet()).unwrap();
    let collection = eventful(&db, "c");
    collection.compact().unwrap();
    let segment = &collection.info().segments[0].name;
    let path = root
        .path()
        .join(format!("db/collections/00000001/{segment}.rows"));
    let bytes = std::fs::read(&path).unwrap();
    let mut damaged = bytes.clone();
    damaged[5_000] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let into = root.path().join("snapshot");
    let error = db.snapshot(&[], &into).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!into.exists());
    std::fs::write(&path, bytes).unwrap();
    db.snapshot(&[], &into).unwrap();
}

#[test]
fn names_that_are_taken_unknown_or_impossible_are_refused() {
    let root = folder();
    let (into, _) = made(root.path());
    let db = Database::open(root.path().join("db"), quiet()).unwrap();
    let kind = |collection: Option<&str>, restore_as: Option<&str>| {
        let error = db
            .restore(&into, collection, restore_as, &never())
            .unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(kind(None, None).0, ErrorKind::AlreadyExists);
    assert_eq!(kind(Some("c"), Some("c")).0, ErrorKind::AlreadyExists);
    let (unknown, message) = kind(Some("d"), None);
    assert_eq!(unknown, ErrorKind::NotFound);
    assert!(message.contains("it has: c"), "{message}");
    assert_eq!(kind(None, Some("../up")).0, ErrorKind::InvalidArgument);

    let occupied = db.snapshot(&[], &into).unwrap_err();
    assert_eq!(occupied.kind(), ErrorKind::AlreadyExists, "{occupied}");
    assert!(Database::read_snapshot(&into).is_ok());
    let elsewhere = root.path().join("elsewhere");
    for (names, expected) in [
        (vec!["nothing".to_owned()], ErrorKind::NotFound),
        (vec!["c".to_owned(); 2], ErrorKind::InvalidArgument),
    ] {
        let error = db.snapshot(&names, &elsewhere).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(!elsewhere.exists());
    }
    db.create_collection("second", config()).unwrap();
    let both = root.path().join("both");
    db.snapshot(&[], &both).unwrap();
    let error = db.restore(&both, None, Some("one"), &never()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    // One name is taken: the other collection is not restored either.
    db.drop_collection("second").unwrap();
    assert!(db.restore(&both, None, None, &never()).is_err());
    assert_eq!(db.collections().len(), 1);
    let stopped = StopSignal::new();
    stopped.stop();
    let error = db
        .restore(&both, Some("c"), Some("x"), &stopped)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(db.collections().len(), 1);
}

fn open(disk: &SimDisk) -> Result<Database, vecdb_engine::Error> {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    Database::open_with(&env, Path::new("/db"), quiet())
}

/// A disk with a database and a snapshot of two collections of it, which are gone from the database.
fn prepared() -> (SimDisk, Vec<(PointId, i64)>) {
    let disk = SimDisk::new();
    let db = open(&disk).unwrap();
    let collection = eventful(&db, "c");
    let points = contents(&collection);
    let second = db.create_collection("d", config()).unwrap();
    upsert(&second, 0..5, 1);
    db.snapshot(&[], "/snapshot").unwrap();
    db.drop_collection("c").unwrap();
    db.drop_collection("d").unwrap();
    let kept = db.create_collection("kept", config()).unwrap();
    upsert(&kept, 0..3, 1);
    drop((collection, second, kept));
    db.close().unwrap();
    (disk.crash_image(CrashMode::LoseUnsynced), points)
}

#[test]
fn a_restore_cut_short_at_any_call_to_the_disk_is_there_whole_or_not_at_all() {
    let (disk, points) = prepared();
    let counted = disk.crash_image(CrashMode::KeepAll);
    let db = open(&counted).unwrap();
    let before = counted.calls();
    db.restore("/snapshot", None, None, &never()).unwrap();
    let calls = counted.calls() - before;
    std::mem::forget(db);
    assert!(calls > 20, "a restore makes only {calls} calls");
    let mut outcomes = [0, 0];
    for call in 1..=calls {
        for fault in [Fault::Crash, Fault::Error(std::io::ErrorKind::Other)] {
            let again = disk.crash_image(CrashMode::KeepAll);
            let db = open(&again).unwrap();
            again.plan(again.calls() + call, fault);
            let done = db.restore("/snapshot", None, None, &never()).is_ok();
            std::mem::forget(db);
            for mode in [
                CrashMode::LoseUnsynced,
                CrashMode::KeepRandom(call),
                CrashMode::KeepAll,
            ] {
                let context = format!("{fault:?} at call {call} of {calls}, {mode:?}");
                let left = again.crash_image(mode);
                let db = open(&left).unwrap_or_else(|e| panic!("{context}: {e}"));
                let found = db.collections();
                assert!(
                    found.iter().all(|c| c.broken.is_none()),
                    "{context}: {found:?}"
                );
                let restored = found.len() == 3;
                assert!(restored || found.len() == 1, "{context}: {found:?}");
                assert!(
                    restored || !done,
                    "{context}: a restore that succeeded is gone"
                );
                outcomes[usize::from(restored)] += 1;
                if !restored {
                    db.restore("/snapshot", None, None, &never())
                        .unwrap_or_else(|e| panic!("{context}: again: {e}"));
                }
                let collection = db.collection("c").unwrap();
                assert_eq!(contents(&collection), points, "{context}");
                upsert(&collection, 0..3, 8);
                assert_eq!(
                    contents(&db.collection("kept").unwrap()).len(),
                    3,
                    "{context}"
                );
                let report = db.verify().unwrap();
                assert!(
                    report.problems.is_empty(),
                    "{context}: {:?}",
                    report.problems
                );
            }
        }
    }
    assert!(outcomes.iter().all(|&n| n > 0), "{outcomes:?}");
}

#[test]
fn a_snapshot_cut_short_at_any_call_to_the_disk_is_whole_or_none() {
    let disk = SimDisk::new();
    let db = open(&disk).unwrap();
    let points = contents(&eventful(&db, "c"));
    std::mem::forget(db);
    let disk = disk.crash_image(CrashMode::KeepAll);
    let counted = disk.crash_image(CrashMode::KeepAll);
    let db = open(&counted).unwrap();
    let before = counted.calls();
    db.snapshot(&[], "/snapshot").unwrap();
    let calls = counted.calls() - before;
    std::mem::forget(db);
    assert!(calls > 20, "a snapshot makes only {calls} calls");
    for call in 1..=calls {
        for fault in [Fault::Crash, Fault::Error(std::io::ErrorKind::Other)] {
            let again = disk.crash_image(CrashMode::KeepAll);
            let db = open(&again).unwrap();
            again.plan(again.calls() + call, fault);
            let done = db.snapshot(&[], "/snapshot").is_ok();
            if !again.crashed() {
                // The database goes on, and a failed snapshot is not in the way of the next.
                let collection = db.collection("c").unwrap();
                assert_eq!(contents(&collection), points);
                if !done {
                    db.snapshot(&[], "/snapshot")
                        .unwrap_or_else(|e| panic!("{fault:?} at call {call}: again: {e}"));
                }
            }
            std::mem::forget(db);
            for mode in [
                CrashMode::LoseUnsynced,
                CrashMode::KeepRandom(call),
                CrashMode::KeepAll,
            ] {
                let context = format!("{fault:?} at call {call} of {calls}, {mode:?}");
                let db = open(&again.crash_image(mode)).unwrap();
                match db.restore("/snapshot", None, Some("copy"), &never()) {
                    Ok(_) => {
                        let copy = db.collection("copy").unwrap();
                        assert_eq!(contents(&copy), points, "{context}");
                    }
                    Err(error) => {
                        assert!(!done, "{context}: {error}");
                        assert_eq!(error.kind(), ErrorKind::NotFound, "{context}: {error}");
                    }
                }
                assert_eq!(contents(&db.collection("c").unwrap()), points, "{context}");
            }
        }
    }
}

#[test]
fn where_files_cannot_be_linked_they_are_copied() {
    let disk = SimDisk::new();
    let db = open(&disk).unwrap();
    let points = contents(&eventful(&db, "c"));
    let before = disk.calls();
    db.snapshot(&[], "/linked").unwrap();
    let links = disk.trace().into_iter().skip(before as usize);
    let links: Vec<_> = links
        .filter(|call| call.op == Op::Link)
        .map(|call| call.number - before)
        .collect();
    assert!(links.len() >= 3, "{links:?}");
    let now = disk.calls();
    // The second name of the first file fails: one call more for it, and the rest as before.
    disk.plan(
        now + links[0],
        Fault::Error(std::io::ErrorKind::CrossesDevices),
    );
    db.snapshot(&[], "/copied").unwrap();
    for folder in ["/linked", "/copied"] {
        let name = &folder[1..];
        db.restore(folder, None, Some(name), &never()).unwrap();
        assert_eq!(contents(&db.collection(name).unwrap()), points);
    }
    let list = |folder: &str| {
        SnapshotManifest::parse(
            &disk
                .contents(&Path::new(folder).join(SNAPSHOT_FILE))
                .unwrap(),
            folder,
        )
    };
    let (linked, copied) = (list("/linked").unwrap(), list("/copied").unwrap());
    let of = |snapshot: &SnapshotManifest| {
        let files = snapshot.collections[0].files.iter();
        files.map(|f| (f.name.clone(), f.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(of(&linked), of(&copied));
}

#[test]
fn where_files_cannot_be_linked_those_of_an_earlier_snapshot_are() {
    let disk = SimDisk::new();
    let db = open(&disk).unwrap();
    let collection = eventful(&db, "c");
    collection.compact().unwrap();
    let points = contents(&collection);
    let (first, made) = db
        .snapshot_beside(&[], "/first", &EarlierFiles::default(), &never())
        .unwrap();
    assert!(made.reused_bytes > made.uploaded_bytes, "{made:?}");
    assert_eq!(made.reused_bytes + made.uploaded_bytes, first.bytes());
    // The link from the database's own folder fails, as across file systems.
    let beside = |into: &str, earlier: &EarlierFiles, refused: &[u64]| {
        let before = disk.calls();
        for call in refused {
            disk.plan(
                before + call,
                Fault::Error(std::io::ErrorKind::CrossesDevices),
            );
        }
        let made = db.snapshot_beside(&[], into, earlier, &never()).unwrap();
        let calls = disk.trace().into_iter().skip(before as usize);
        let links: Vec<_> = calls
            .filter(|call| call.op == Op::Link)
            .map(|call| call.number - before)
            .collect();
        (made, links)
    };
    let mut earlier = EarlierFiles::default();
    let ((_, linked), links) = beside("/second", &earlier, &[]);
    let ((copied, made), _) = beside("/copied", &earlier, &links[..1]);
    let rows = Path::new("/copied/collections/1").join(&copied.collections[0].files[0].name);
    let whole = disk.contents(&rows).unwrap();
    let copy = linked.reused_bytes - whole.len() as u64;
    assert_eq!(made.reused_bytes, copy);
    earlier.add(Path::new("/copied"), &copied);
    let ((third, made), _) = beside("/third", &earlier, &links[..1]);
    assert_eq!(made.reused_bytes + made.uploaded_bytes, third.bytes());
    assert_eq!(made.reused_bytes, linked.reused_bytes);
    // What has rotted there since is not taken, nor is what merely has the same length.
    for damage in [0, whole.len() - 1] {
        disk.flip_bit(&rows, 8 * damage as u64);
        let ((_, made), _) = beside(&format!("/after-{damage}"), &earlier, &links[..1]);
        assert_eq!(made.reused_bytes, copy);
        disk.flip_bit(&rows, 8 * damage as u64);
    }
    db.restore("/third", None, Some("third"), &never()).unwrap();
    assert_eq!(contents(&db.collection("third").unwrap()), points);
}

#[test]
fn flat_collections_and_empty_databases_can_be_copied_too() {
    let root = folder();
    let db = Database::open(root.path().join("db"), Options::default()).unwrap();
    let none = db.snapshot(&[], root.path().join("none")).unwrap();
    assert!(none.collections.is_empty());
    let restored = db.restore(root.path().join("none"), None, None, &never());
    assert!(restored.unwrap().is_empty());
    let mut flat = config();
    flat.vectors
        .values_mut()
        .for_each(|field| field.index = IndexSpec::Flat);
    let collection = db.create_collection("flat", flat).unwrap();
    upsert(&collection, 0..100, 2);
    let found = answers(&collection);
    // Only in memory so far.
    assert_eq!(collection.info().segments.len(), 0);
    db.snapshot(&[], root.path().join("flat")).unwrap();
    db.drop_collection("flat").unwrap();
    db.restore(root.path().join("flat"), None, None, &never())
        .unwrap();
    assert_eq!(answers(&db.collection("flat").unwrap()), found);
}
