//! Field indexes created and dropped on a collection that is in use: filters match the same points all the while, segments
//! use what the schema wants, and a crash at any call to the disk loses neither points nor the last answered change.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vecdb_engine::{
    Collection, CollectionConfig, Database, Env, Error, ErrorKind, Filter, Metric, Options, Point,
    SearchRequest, StopSignal,
};
use vecdb_testkit::sim_disk::{CrashMode, Fault, SimDisk};

fn options() -> Options {
    Options {
        threads: 1,
        background: false,
        ..Options::default()
    }
}

fn open(disk: &SimDisk, options: Options) -> Result<Database, Error> {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    Database::open_with(&env, Path::new("/db"), options)
}

fn point(id: u64) -> Point {
    Point::new(id, vec![id as f32, 1.0])
        .with("price", id as i64 % 100)
        .with("name", format!("point {id}"))
}

fn upsert(collection: &Collection, ids: std::ops::Range<u64>) -> Result<(), Error> {
    collection.upsert(ids.map(point).collect()).map(drop)
}

/// The ids that match, and the fields that the search says have no index.
fn cheap(collection: &Collection, most: i64) -> (BTreeSet<u64>, Vec<String>) {
    let mut request = SearchRequest::new(vec![0.0, 1.0]).limit(10_000);
    request.filter = Some(Filter::lt("price", most));
    let found = collection.search(&request).unwrap();
    let ids = found.hits.iter().map(|hit| hit.id.to_string());
    let ids = ids.map(|id| id.parse().unwrap()).collect();
    (ids, found.stats.unindexed)
}

fn cheap_ids(most: u64, points: u64) -> BTreeSet<u64> {
    (0..points).filter(|id| id % 100 < most).collect()
}

fn files(disk: &SimDisk, suffix: &str) -> usize {
    let all = disk.files().into_iter();
    all.filter(|path| path.to_string_lossy().ends_with(suffix))
        .count()
}

#[test]
fn an_index_is_dropped_and_created_in_every_segment() {
    let disk = SimDisk::new();
    let db = open(&disk, options()).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    upsert(&collection, 0..300).unwrap();
    collection.flush().unwrap();
    let check = |points: u64, unindexed: &[&str]| {
        // The second answer comes from masks that are held, and so does the third.
        for _ in 0..3 {
            let (ids, fields) = cheap(&collection, 3);
            assert_eq!(ids, cheap_ids(3, points));
            assert_eq!(fields, unindexed);
        }
        assert!(collection.verify_strictly().unwrap().field_values > 0);
    };
    check(300, &[]);

    assert!(collection.drop_field_index("price").unwrap());
    assert!(!collection.drop_field_index("price").unwrap(), "it is gone");
    check(300, &["price"]);
    // The index is still in the file: wanted again it is used at once, and nothing is built.
    assert!(collection.create_field_index("price").unwrap());
    check(300, &[]);
    assert_eq!(files(&disk, ".fields"), 0);

    collection.drop_field_index("price").unwrap();
    upsert(&collection, 300..500).unwrap();
    collection.flush().unwrap();
    upsert(&collection, 500..510).unwrap();
    check(510, &["price"]);
    assert!(collection.create_field_index("price").unwrap());
    assert!(!collection.create_field_index("price").unwrap());
    check(510, &[]);
    assert_eq!(files(&disk, ".fields"), 1, "of the segment without");
    assert!(collection.info().fields.is_indexed("price"));

    // Both fields in one file, the one before gone.
    collection.drop_field_index("name").unwrap();
    upsert(&collection, 510..700).unwrap();
    collection.flush().unwrap();
    collection.drop_field_index("price").unwrap();
    upsert(&collection, 700..900).unwrap();
    collection.flush().unwrap();
    collection.create_field_index("name").unwrap();
    collection.create_field_index("price").unwrap();
    check(900, &[]);
    assert_eq!(files(&disk, ".fields"), 3);

    let reopened = disk.crash_image(CrashMode::LoseUnsynced);
    let db = open(&reopened, options()).unwrap();
    let again = db.collection("c").unwrap();
    assert_eq!(cheap(&again, 3), (cheap_ids(3, 900), Vec::new()));
    assert!(again.verify_strictly().is_ok());

    collection.compact().unwrap();
    check(900, &[]);
    collection.drop_field_index("price").unwrap();
    let before = collection.info().segments[0].bytes;
    collection.compact().unwrap();
    let info = collection.info();
    assert!(info.segments.len() == 1 && info.segments[0].bytes < before);
    assert!(!info.fields.is_indexed("price") && info.fields.is_indexed("name"));
    check(900, &["price"]);
    assert_eq!(files(&disk, ".fields"), 0, "merged into the rows file");
}

#[test]
fn it_is_told_how_far_an_index_is() {
    let disk = SimDisk::new();
    let db = open(&disk, options()).unwrap();
    let collection = db
        .create_collection("c", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    upsert(&collection, 0..10).unwrap();
    collection.drop_field_index("price").unwrap();
    for begin in [10, 20_000] {
        upsert(&collection, begin..begin + 20_000).unwrap();
        collection.flush().unwrap();
    }
    let total: u64 = collection
        .info()
        .segments
        .iter()
        .map(|s| u64::from(s.rows))
        .sum();
    let mut told = Vec::new();
    std::thread::scope(|scope| {
        let created = scope.spawn(|| collection.create_field_index("price"));
        while !created.is_finished() {
            told.extend(collection.info().maintenance.building_fields);
            std::thread::yield_now();
        }
        assert!(created.join().unwrap().unwrap());
    });
    assert!(told.is_sorted(), "it goes forward");
    let (first, last) = (told.first().unwrap(), told.last().unwrap());
    assert!(
        first.1 == total && last.1 == total && last.0 <= total,
        "{first:?} to {last:?}"
    );
    assert!(first.0 < last.0);
    assert_eq!(collection.info().maintenance.building_fields, None);
}

#[test]
fn a_declared_field_is_without_an_index_from_the_start() {
    let disk = SimDisk::new();
    let db = open(&disk, options()).unwrap();
    let config = CollectionConfig::new(2, Metric::L2)
        .field("price", "int".parse().unwrap())
        .field("day", "datetime".parse().unwrap())
        .unindexed("price");
    let collection = db.create_collection("c", config.clone()).unwrap();
    upsert(&collection, 0..300).unwrap();
    assert_eq!(cheap(&collection, 3).0, cheap_ids(3, 300));
    collection.flush().unwrap();
    upsert(&collection, 300..500).unwrap();
    collection.flush().unwrap();
    collection.compact().unwrap();
    let expected = (cheap_ids(3, 500), vec!["price".to_owned()]);
    assert_eq!(cheap(&collection, 3), expected);

    // It stays so when the database is opened again, until one is created.
    let reopened = disk.crash_image(CrashMode::LoseUnsynced);
    let db = open(&reopened, options()).unwrap();
    let collection = db.collection("c").unwrap();
    assert_eq!(collection.info().config, config);
    assert_eq!(cheap(&collection, 3), expected);
    assert!(collection.info().fields.is_indexed("day"));
    assert!(collection.create_field_index("price").unwrap());
    assert_eq!(cheap(&collection, 3), (cheap_ids(3, 500), Vec::new()));
    let again = open(&reopened.crash_image(CrashMode::LoseUnsynced), options()).unwrap();
    let again = again.collection("c").unwrap();
    assert!(again.info().fields.is_indexed("price"));

    let undeclared = CollectionConfig::new(2, Metric::L2).unindexed("price");
    let error = db.create_collection("d", undeclared).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("\"price\""), "{error}");
}

#[test]
fn what_is_no_field_and_what_is_closed() {
    let disk = SimDisk::new();
    let db = open(&disk, options()).unwrap();
    let config = CollectionConfig::new(2, Metric::L2).field("day", "datetime".parse().unwrap());
    let collection = db.create_collection("c", config).unwrap();
    // A declared field needs no value.
    assert!(collection.drop_field_index("day").unwrap());
    upsert(&collection, 0..10).unwrap();
    for change in [Collection::create_field_index, Collection::drop_field_index] {
        let error = change(&collection, "prise").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let text = error.to_string();
        assert!(text.contains("did you mean price?"), "{text}");
    }
    collection.drop_field_index("price").unwrap();
    collection.flush().unwrap();
    let stop = StopSignal::new();
    stop.stop();
    let error = collection
        .create_field_index_with("price", &stop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!collection.info().fields.is_indexed("price"));

    db.close().unwrap();
    let error = collection.create_field_index("price").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// A copy of a collection keeps what was created and dropped.
#[test]
fn snapshots_hold_added_indexes() {
    let disk = SimDisk::new();
    let db = open(&disk, options()).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    upsert(&collection, 0..10).unwrap();
    collection.drop_field_index("price").unwrap();
    collection.drop_field_index("name").unwrap();
    collection.flush().unwrap();
    upsert(&collection, 10..20).unwrap();
    collection.create_field_index("price").unwrap();
    db.snapshot(&[], "/snapshot").unwrap();
    db.restore("/snapshot", Some("c"), Some("copy"), &StopSignal::default())
        .unwrap();
    let copy = db.collection("copy").unwrap();
    assert_eq!(cheap(&copy, 3), (cheap_ids(3, 20), Vec::new()));
    assert!(!copy.info().fields.is_indexed("name"));
    copy.create_field_index("name").unwrap();
    assert!(copy.verify_strictly().is_ok());
    assert_eq!(cheap(&copy, 3), (cheap_ids(3, 20), Vec::new()));
}

#[test]
fn reads_and_writes_go_on_meanwhile() {
    let disk = SimDisk::new();
    let options = Options {
        memtable_bytes_max: 16 << 10,
        ..Options::default()
    };
    let db = open(&disk, options).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    upsert(&collection, 0..1_000).unwrap();
    // Of the memtable nothing is said.
    collection.flush().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let (ids, _) = cheap(&collection, 3);
                assert!(ids.is_superset(&cheap_ids(3, 1_000)), "{}", ids.len());
            }
        });
        let writer = scope.spawn(|| {
            for from in (1_000..4_000).step_by(100) {
                upsert(&collection, from..from + 100).unwrap();
            }
        });
        let mut dropped = Vec::new();
        for _ in 0..8 {
            collection.drop_field_index("price").unwrap();
            dropped.push(cheap(&collection, 3).1);
            collection.create_field_index("price").unwrap();
        }
        let written = writer.join();
        done.store(true, Ordering::Release);
        reader.join().unwrap();
        written.unwrap();
        assert!(
            dropped.iter().all(|fields| fields == &["price"]),
            "{dropped:?}"
        );
    });
    collection.create_field_index("price").unwrap();
    collection.wait_until_idle().unwrap();
    assert_eq!(cheap(&collection, 3), (cheap_ids(3, 4_000), Vec::new()));
    assert!(collection.verify_strictly().is_ok());
    db.close().unwrap();
}

/// How far a life came.
#[derive(Default)]
struct Outcome {
    points: u64,
    /// Whether `price` is indexed; none while a change was under way.
    indexed: Option<bool>,
    failed: bool,
}

fn live(disk: &SimDisk) -> Outcome {
    let mut outcome = Outcome::default();
    let script = |outcome: &mut Outcome| -> Result<(), Error> {
        let db = open(disk, options())?;
        let config = CollectionConfig::new(2, Metric::L2);
        let collection = db.create_collection("c", config)?;
        let mut steps = || -> Result<(), Error> {
            upsert(&collection, 0..200)?;
            outcome.points = 200;
            outcome.indexed = Some(true);
            for round in 0..2 {
                let from = outcome.points;
                outcome.indexed = None;
                collection.drop_field_index("price")?;
                outcome.indexed = Some(false);
                collection.flush()?;
                upsert(&collection, from..from + 100)?;
                outcome.points += 100;
                outcome.indexed = None;
                collection.create_field_index("price")?;
                outcome.indexed = Some(true);
                if round == 1 {
                    collection.compact()?;
                }
            }
            Ok(())
        };
        let ended = steps();
        if ended.is_err() {
            // What a process does that lost its disk: nothing more.
            std::mem::forget(db);
        }
        ended
    };
    outcome.failed = script(&mut outcome).is_err();
    outcome
}

#[test]
fn every_call_to_the_disk_may_be_the_last() {
    let whole = SimDisk::new();
    assert!(!live(&whole).failed);
    let calls = whole.calls();
    for call in 1..=calls {
        for fault in [Fault::Crash, Fault::Error(std::io::ErrorKind::Other)] {
            let disk = SimDisk::new();
            disk.plan(call, fault);
            let outcome = live(&disk);
            for mode in [CrashMode::LoseUnsynced, CrashMode::KeepRandom(call)] {
                let context = format!("{fault:?} at call {call} of {calls}, {mode:?}");
                check(&disk.crash_image(mode), &outcome, &context);
            }
        }
    }
}

fn check(image: &SimDisk, outcome: &Outcome, context: &str) {
    let db = open(image, options()).unwrap_or_else(|e| panic!("{context}: {e}"));
    let Ok(collection) = db.collection("c") else {
        assert_eq!(outcome.points, 0, "{context}");
        return;
    };
    let points = collection.info().points;
    let expected = [outcome.points, outcome.points + 100, 200];
    assert!(expected.contains(&points), "{context}: {points} points");
    assert!(points >= outcome.points, "{context}: {points} points");
    if points == 0 {
        return;
    }
    let fields = collection.info().fields;
    if let Some(indexed) = outcome.indexed {
        assert_eq!(fields.is_indexed("price"), indexed, "{context}");
    }
    assert_eq!(cheap(&collection, 3).0, cheap_ids(3, points), "{context}");
    // What was cut short is done by what the background does.
    collection.wait_until_idle().unwrap();
    let (ids, unindexed) = cheap(&collection, 3);
    assert_eq!(ids, cheap_ids(3, points), "{context}");
    assert_eq!(
        unindexed.is_empty(),
        fields.is_indexed("price"),
        "{context}"
    );
    let report = collection.verify().unwrap();
    assert!(
        report.problems.is_empty(),
        "{context}: {:?}",
        report.problems
    );
    let disk = image.shared();
    let folder = Path::new("/db/collections/00000001");
    let listed = disk.list(folder).unwrap();
    let added = listed
        .iter()
        .filter(|entry| entry.name.ends_with(".fields"));
    assert!(
        added.count() <= collection.info().segments.len(),
        "{context}"
    );
}

#[test]
fn an_index_that_takes_more_memory_than_it_may_is_refused_and_nothing_changes() {
    let disk = SimDisk::new();
    let allowing = |field_index_bytes_max| Options {
        field_index_bytes_max,
        ..options()
    };
    let db = open(&disk, allowing(100_000)).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    upsert(&collection, 0..5_000).unwrap();
    collection.drop_field_index("name").unwrap();
    collection.flush().unwrap();
    let error = collection.create_field_index("name").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    let message = error.to_string();
    for said in [
        "index of name",
        "100000 may be used",
        "of the 5000 points",
        "field_index_bytes_max",
    ] {
        assert!(message.contains(said), "{message}");
    }
    assert_eq!(db.memory().building_bytes, 0);
    assert_eq!(files(&disk, ".fields"), 0);
    assert!(collection.info().fields.field("name").unwrap().unindexed);
    // Where nobody waits for it neither.
    collection.wait_until_idle().unwrap();
    assert_eq!(cheap(&collection, 3).0, cheap_ids(3, 5_000));
    drop((collection, db));

    let db = open(&disk, allowing(10_000_000)).unwrap();
    let collection = db.collection("c").unwrap();
    assert!(collection.create_field_index("name").unwrap());
    assert_eq!(files(&disk, ".fields"), 1);
}

#[test]
fn words_of_a_field_with_a_stemmer_are_found_in_any_form() {
    let disk = SimDisk::new();
    let db = open(&disk, options()).unwrap();
    let stemmed = "text(english)".parse().unwrap();
    let config = CollectionConfig::new(2, Metric::L2).field("body", stemmed);
    let collection = db.create_collection("c", config).unwrap();
    let texts = ["A running engine", "Engines ran", "An editor"];
    let write = |ids: std::ops::Range<u64>| {
        let point =
            |id: u64| Point::new(id, vec![id as f32, 1.0]).with("body", texts[id as usize % 3]);
        collection.upsert(ids.map(point).collect()).unwrap();
    };
    write(0..30);
    collection.flush().unwrap();
    write(30..60);
    let check = |collection: &Collection| {
        let count = |filter| collection.count(Some(&filter)).unwrap();
        assert_eq!(count(Filter::text("body", "engine").unwrap()), 40);
        assert_eq!(count(Filter::text("body", "runs ENGINES").unwrap()), 20);
        assert_eq!(count(Filter::phrase("body", "engines ran").unwrap()), 20);
        assert_eq!(count(Filter::phrase("body", "engine ran").unwrap()), 0);
        collection.verify_strictly().unwrap();
    };
    check(&collection);
    // Without the index the texts are read, and one made later has the stems too.
    for change in [Collection::drop_field_index, Collection::create_field_index] {
        assert!(change(&collection, "body").unwrap());
        check(&collection);
    }
    collection.compact().unwrap();
    check(&collection);
    drop((collection, db));
    let db = open(&disk, options()).unwrap();
    let collection = db.collection("c").unwrap();
    check(&collection);
    let field = *collection.info().fields.field("body").unwrap();
    assert_eq!(field.to_string(), "text(english)");
}
