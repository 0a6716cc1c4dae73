//! Random operations against a plain map, with closings and power losses in between.

use std::path::Path;

use vecdb_engine::{Collection, Database, Error, IndexSpec, Options};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

use crate::life::{FOLDER, config, env, index, options};
use crate::model::{Model, Step};
use crate::report::{Report, caught};

/// Operations of one database.
const RUN: u64 = 1_000;
/// How often, in operations, everything is compared, and the database opened anew.
const CHECK_EVERY: u64 = 12;
const REOPEN_EVERY: u64 = 60;

/// Does at least so many operations.
pub fn run(operations: u64, seed: u64) -> Report {
    let mut report = Report::begin("random", seed);
    let mut number = 0;
    while report.counts.get("operations").copied().unwrap_or(0) < operations {
        let seed = seed.wrapping_add(number);
        let (index, left) = (index(number), operations.min(RUN));
        let outcome = caught(|| one_run(seed, &index, number % 2 == 1, left, &mut report));
        if let Err(panic) = outcome {
            report.fail(format!("seed {seed}, {index}: {panic}"));
        }
        number += 1;
    }
    report.end()
}

fn one_run(seed: u64, index: &IndexSpec, background: bool, operations: u64, report: &mut Report) {
    let mut random = SeededRandom::new(seed);
    let options = Options {
        background,
        memtable_bytes_max: 8 << 10,
        ..options()
    };
    let open = |disk: &SimDisk| Database::open_with(&env(disk), Path::new(FOLDER), options.clone());
    let mut disk = SimDisk::new();
    let mut db = open(&disk).unwrap_or_else(|e| panic!("{e}"));
    let made = db.create_collection("c", config(index.clone()));
    let mut collection = made.unwrap_or_else(|e| panic!("{e}"));
    let mut model = Model::default();
    report.count("runs", 1);
    for at in 0..operations {
        report.count("operations", 1);
        let step = match at {
            0 => Step::Upsert(vec![(0, 1)]),
            _ => Step::random(&mut random, 60),
        };
        let done = step.run(&collection);
        done.unwrap_or_else(|e| panic!("step {at} {step:?}: {e}"));
        model.apply(&step);
        if random.below(CHECK_EVERY) == 0 {
            let context = format!("after step {at} {step:?}");
            model.check(&collection, &mut random, &context);
            report.count("comparisons", 1);
        }
        if random.below(REOPEN_EVERY) == 0 {
            let context = format!("opened after step {at}");
            let again = match random.below(2) {
                0 => {
                    report.count("closings", 1);
                    drop(collection);
                    db.close().unwrap_or_else(|e| panic!("{context}: {e}"));
                    disk.clone()
                }
                _ => {
                    report.count("power_losses", 1);
                    let mode = CrashMode::KeepRandom(random.bits());
                    let left = disk.crash_image(mode);
                    drop((collection, db));
                    left
                }
            };
            disk = again;
            let opened = reopen(open(&disk));
            (db, collection) = opened.unwrap_or_else(|e| panic!("{context}: {e}"));
            model.check(&collection, &mut random, &context);
        }
    }
    let rest = collection.wait_until_idle();
    rest.unwrap_or_else(|e| panic!("at the end: {e}"));
    model.check(&collection, &mut random, "at the end");
    let found = db.verify().unwrap_or_else(|e| panic!("at the end: {e}"));
    assert!(
        found.problems.is_empty(),
        "at the end: {:?}",
        found.problems
    );
}

fn reopen(opened: Result<Database, Error>) -> Result<(Database, Collection), Error> {
    let db = opened?;
    let collection = db.collection("c")?;
    Ok((db, collection))
}
