//! A scripted life is cut short at every single call to the disk, in several ways, and opened again: every
//! acknowledged write is there, an unacknowledged one is there whole or not at all, nothing is invented, nothing panics.

#[allow(dead_code)]
mod model;

use std::io;
use std::path::Path;

use model::{Model, Step};
use vecdb_engine::{
    Collection, CollectionConfig, Database, Env, Error, ErrorKind, Metric, Options,
};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::{CrashMode, Fault, SimDisk};

fn options() -> Options {
    Options {
        threads: 1,
        background: false,
        memtable_bytes_max: 6 << 10,
        index_rows_min: 12,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<Database, Error> {
    Database::open_with(
        &Env {
            disk: disk.shared(),
            ..Env::default()
        },
        Path::new("/db"),
        options(),
    )
}

fn script() -> Vec<Step> {
    let mut random = SeededRandom::new(2026);
    let mut steps = vec![Step::Upsert((0..20).map(|id| (id, id + 1)).collect())];
    steps.extend((0..64).map(|_| Step::random(&mut random, 40)));
    steps.extend([
        Step::Flush,
        Step::Upsert(vec![(1, 99), (50, 100)]),
        Step::Compact,
        Step::Delete(vec![1, 2, 3]),
    ]);
    steps
}

/// How far a life came: what was acknowledged, and the write during which it ended.
struct Outcome {
    acknowledged: Model,
    last: Option<Step>,
    /// The call that ended it.
    error: Option<Error>,
}

/// Runs the script until a write fails; failed flushes and merges do not end it.
fn live(disk: &SimDisk, steps: &[Step]) -> Outcome {
    let mut outcome = Outcome {
        acknowledged: Model::default(),
        last: None,
        error: None,
    };
    let opened = open(disk).and_then(|db| {
        let collection = db.create_collection("c", CollectionConfig::new(4, Metric::L2))?;
        Ok((db, collection))
    });
    let (db, collection) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            outcome.error = Some(error);
            return outcome;
        }
    };
    for step in steps {
        match step.run(&collection) {
            Ok(()) => outcome.acknowledged.apply(step),
            Err(error) if step.is_write() => {
                outcome.last = Some(step.clone());
                outcome.error = Some(error);
                if !disk.crashed() {
                    reads_go_on(&collection, &outcome.acknowledged);
                }
                break;
            }
            Err(error) => outcome.error = Some(error),
        }
    }
    drop(collection);
    if outcome.error.is_some() {
        // What a process does that lost its disk: nothing more.
        std::mem::forget(db);
    }
    outcome
}

fn reads_go_on(collection: &Collection, acknowledged: &Model) {
    let seen = Model::of(collection).unwrap();
    assert_eq!(
        seen, *acknowledged,
        "a failed write was seen, or reads stopped"
    );
}

/// Opens what is left and compares it with what was promised.
fn check(image: &SimDisk, outcome: &Outcome, context: &str) {
    let db = open(image).unwrap_or_else(|e| panic!("{context}: does not open: {e}"));
    let Ok(collection) = db.collection("c") else {
        let never_created = outcome.acknowledged.points.is_empty();
        assert!(
            never_created,
            "{context}: the collection is gone: {:?}",
            db.collection("c").err()
        );
        return;
    };
    let found = Model::of(&collection).unwrap();
    let mut with_last = outcome.acknowledged.clone();
    if let Some(last) = &outcome.last {
        with_last.apply(last);
    }
    assert!(
        found == outcome.acknowledged || found == with_last,
        "{context}: after {:?}\nfound {:?}\nacknowledged {:?}\nlast {:?}",
        outcome.error,
        found.points.keys().collect::<Vec<_>>(),
        outcome.acknowledged.points.keys().collect::<Vec<_>>(),
        outcome.last
    );
    let mut random = SeededRandom::new(7);
    found.check(&collection, &mut random, context);
    let report = collection.verify().unwrap();
    assert!(
        report.problems.is_empty(),
        "{context}: {:?}",
        report.problems
    );
    // Life goes on.
    let mut next = found;
    for step in [
        Step::Upsert(vec![(1, 5), (1_000, 6)]),
        Step::Flush,
        Step::Delete(vec![1]),
        Step::Compact,
    ] {
        step.run(&collection)
            .unwrap_or_else(|e| panic!("{context}: {step:?} afterwards: {e}"));
        next.apply(&step);
    }
    next.check(&collection, &mut random, context);
}

#[test]
fn every_call_to_the_disk_may_be_the_last() {
    let steps = script();
    let whole = SimDisk::new();
    let calm = live(&whole, &steps);
    assert!(calm.error.is_none(), "{:?}", calm.error);
    let calls = whole.calls();
    assert!(calls > 300, "the script makes only {calls} calls");
    check(
        &whole.crash_image(CrashMode::LoseUnsynced),
        &calm,
        "after a calm life",
    );
    for call in 1..=calls {
        let disk = SimDisk::new();
        disk.plan(call, Fault::Crash);
        let outcome = live(&disk, &steps);
        for mode in [
            CrashMode::LoseUnsynced,
            CrashMode::KeepRandom(call),
            CrashMode::KeepAll,
        ] {
            check(
                &disk.crash_image(mode),
                &outcome,
                &format!("crash at call {call} of {calls}, {mode:?}"),
            );
        }
    }
}

#[test]
fn every_call_to_the_disk_may_fail() {
    let steps = script();
    let whole = SimDisk::new();
    live(&whole, &steps);
    let calls = whole.calls();
    let faults = [
        Fault::Error(io::ErrorKind::Other),
        Fault::Error(io::ErrorKind::StorageFull),
        Fault::Torn { bytes: 100 },
    ];
    for call in 1..=calls {
        let fault = faults[(call % 3) as usize];
        let disk = SimDisk::new();
        disk.plan(call, fault);
        let outcome = live(&disk, &steps);
        for mode in [CrashMode::LoseUnsynced, CrashMode::KeepAll] {
            check(
                &disk.crash_image(mode),
                &outcome,
                &format!("{fault:?} at call {call} of {calls}, then {mode:?}"),
            );
        }
    }
}

#[test]
fn recovery_itself_may_be_cut_short_at_every_call() {
    let steps = script();
    let disk = SimDisk::new();
    let whole = SimDisk::new();
    live(&whole, &steps);
    disk.plan(whole.calls() - 12, Fault::Crash);
    let outcome = live(&disk, &steps);
    let left = disk.crash_image(CrashMode::KeepRandom(3));
    let counted = left.crash_image(CrashMode::KeepAll);
    let before = counted.calls();
    drop(open(&counted).unwrap());
    for call in 1..=counted.calls() - before {
        let again = left.crash_image(CrashMode::KeepAll);
        again.plan(again.calls() + call, Fault::Crash);
        if let Ok(db) = open(&again) {
            std::mem::forget(db);
        }
        for mode in [CrashMode::LoseUnsynced, CrashMode::KeepRandom(call)] {
            check(
                &again.crash_image(mode),
                &outcome,
                &format!("second crash at call {call}, {mode:?}"),
            );
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_and_keeps_what_it_has() {
    let disk = SimDisk::new();
    let db = open(&disk).unwrap();
    let collection = db
        .create_collection("c", CollectionConfig::new(4, Metric::L2))
        .unwrap();
    let mut model = Model::default();
    let first = Step::Upsert((0..20).map(|id| (id, id)).collect());
    first.run(&collection).unwrap();
    model.apply(&first);
    disk.set_space(Some(1_000));
    let mut refused = None;
    for id in 100..200 {
        let step = Step::Upsert(vec![(id, id)]);
        match step.run(&collection) {
            Ok(()) => model.apply(&step),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let refused = refused.expect("a full disk cannot take every write");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
    assert!(refused.to_string().contains("full"), "{refused}");
    reads_go_on(&collection, &model);
    // Refused as often as it is tried, and nothing else changes.
    let flushed = collection.flush().unwrap_err();
    assert_eq!(flushed.kind(), ErrorKind::ResourceExhausted, "{flushed}");
    for id in 300..310 {
        let step = Step::Upsert(vec![(id, id)]);
        assert!(step.run(&collection).unwrap_err().is_disk_full());
    }
    reads_go_on(&collection, &model);
    // There is room again: everything goes on, without another opening.
    disk.set_space(Some(64 << 20));
    for step in [
        Step::Upsert(vec![(400, 1), (5, 9)]),
        Step::Flush,
        Step::Delete(vec![7]),
        Step::Compact,
    ] {
        step.run(&collection).unwrap();
        model.apply(&step);
    }
    reads_go_on(&collection, &model);
    let left = disk.crash_image(CrashMode::LoseUnsynced);
    drop((collection, db));
    for disk in [left, disk] {
        let db = open(&disk).unwrap();
        assert_eq!(Model::of(&db.collection("c").unwrap()).unwrap(), model);
        assert!(db.verify().unwrap().problems.is_empty());
    }
}

/// The disk fills up at any moment of a life, in steps of so many bytes, and is emptied again: the same database goes on, and
/// what was refused did not happen.
#[test]
fn a_disk_that_fills_up_anywhere_loses_nothing() {
    let steps = script();
    let room: u64 = {
        let whole = SimDisk::new();
        live(&whole, &steps);
        let files = whole.files().into_iter();
        files
            .map(|path| whole.contents(&path).unwrap().len() as u64)
            .sum()
    };
    let mut refused = 0;
    // The log takes a mebibyte at a time: without it every write is refused, with it flushes and merges meet the end.
    let steps_of = |from: u64| (from..from + room).step_by(room as usize / 8);
    for space in steps_of(0).chain(steps_of(1 << 20)) {
        let disk = SimDisk::new();
        let db = open(&disk).unwrap();
        let config = CollectionConfig::new(4, Metric::L2);
        let collection = db.create_collection("c", config).unwrap();
        disk.set_space(Some(space));
        let mut model = Model::default();
        for step in &steps {
            let again = match step.run(&collection) {
                Ok(()) => {
                    model.apply(step);
                    continue;
                }
                Err(error) => error,
            };
            refused += 1;
            assert!(again.is_disk_full(), "{space} bytes, {step:?}: {again}");
            reads_go_on(&collection, &model);
            disk.set_space(Some(64 << 20));
            step.run(&collection)
                .unwrap_or_else(|e| panic!("{space} bytes, {step:?}: {e}"));
            model.apply(step);
            disk.set_space(Some(space));
        }
        disk.set_space(None);
        reads_go_on(&collection, &model);
        let left = disk.crash_image(CrashMode::LoseUnsynced);
        let db = open(&left).unwrap();
        assert_eq!(Model::of(&db.collection("c").unwrap()).unwrap(), model);
    }
    assert!(refused > 20, "only {refused} calls met a full disk");
}
