//! Random sequences of operations against a plain map and exact search, with closings and kills in between.

#[allow(dead_code)]
mod model;

use std::path::Path;
use std::sync::Arc;

use model::{Model, Step, point};
use vecdb_engine::{
    CollectionConfig, Database, DiskAnnParams, Env, IndexSpec, IvfParams, LshParams, Metric,
    Options,
};
use vecdb_storage::MemoryDisk;
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

fn options(background: bool) -> Options {
    Options {
        threads: 1,
        background,
        memtable_bytes_max: 8 << 10,
        index_rows_min: 16,
        ..Options::default()
    }
}

/// A collection of the model's points.
fn config(index: IndexSpec) -> CollectionConfig {
    CollectionConfig::new(4, Metric::L2).index(index)
}

/// Few lists for the few points of the model.
fn lists() -> IndexSpec {
    IndexSpec::Ivf(IvfParams {
        nlist: Some(5),
        ..IvfParams::default()
    })
}

#[test]
fn random_operations_agree_with_a_plain_map() {
    agree_with_a_plain_map(&IndexSpec::default());
}

#[test]
fn random_operations_on_lists_agree_with_a_plain_map() {
    agree_with_a_plain_map(&lists());
}

#[test]
fn random_operations_on_an_index_on_the_disk_agree_with_a_plain_map() {
    agree_with_a_plain_map(&IndexSpec::DiskAnn(DiskAnnParams::default()));
}

#[test]
fn random_operations_on_hash_tables_agree_with_a_plain_map() {
    agree_with_a_plain_map(&IndexSpec::Lsh(LshParams {
        tables: Some(3),
        hashes: Some(2),
        ..LshParams::default()
    }));
}

fn agree_with_a_plain_map(index: &IndexSpec) {
    for seed in 1..=12 {
        let mut random = SeededRandom::new(seed);
        let background = seed % 2 == 0;
        let env = Env {
            disk: Arc::new(MemoryDisk::default()),
            ..Env::default()
        };
        let open = || Database::open_with(&env, Path::new("/db"), options(background)).unwrap();
        let mut db = open();
        let mut collection = db.create_collection("c", config(index.clone())).unwrap();
        let mut model = Model::default();
        let first = Step::Upsert(vec![(0, 1)]);
        first.run(&collection).unwrap();
        model.apply(&first);
        for at in 0..150 {
            let step = Step::random(&mut random, 60);
            step.run(&collection)
                .unwrap_or_else(|e| panic!("seed {seed} step {at} {step:?}: {e}"));
            model.apply(&step);
            if random.below(5) == 0 {
                model.check(
                    &collection,
                    &mut random,
                    &format!("seed {seed} after step {at} {step:?}"),
                );
            }
            if random.below(25) == 0 {
                db.close().unwrap();
                db = open();
                assert_eq!(db.recovery().replayed, 0);
                collection = db.collection("c").unwrap();
                model.check(
                    &collection,
                    &mut random,
                    &format!("seed {seed} reopened after step {at}"),
                );
            }
        }
        collection.wait_until_idle().unwrap();
        model.check(&collection, &mut random, &format!("seed {seed} at the end"));
        let report = collection.verify().unwrap();
        assert!(
            report.problems.is_empty(),
            "seed {seed}: {:?}",
            report.problems
        );
    }
}

#[test]
fn kills_at_random_moments_lose_nothing() {
    kills_lose_nothing(&IndexSpec::default());
}

#[test]
fn kills_at_random_moments_lose_nothing_of_lists() {
    kills_lose_nothing(&lists());
}

/// The process is killed at random moments while background threads flush and merge.
fn kills_lose_nothing(index: &IndexSpec) {
    for seed in 1..=10 {
        let mut random = SeededRandom::new(seed);
        let mut disk = SimDisk::new();
        let mut model = Model::default();
        for life in 0..6 {
            let env = Env {
                disk: disk.shared(),
                ..Env::default()
            };
            let db = Database::open_with(&env, Path::new("/db"), options(true)).unwrap();
            let collection = match life {
                0 => db.create_collection("c", config(index.clone())).unwrap(),
                _ => db.collection("c").unwrap(),
            };
            if life == 0 {
                let first = Step::Upsert(vec![(0, 1)]);
                first.run(&collection).unwrap();
                model.apply(&first);
            }
            model.check(
                &collection,
                &mut random,
                &format!("seed {seed} life {life}"),
            );
            let steps = random.below(40);
            for _ in 0..steps {
                let step = Step::random(&mut random, 60);
                step.run(&collection).unwrap();
                model.apply(&step);
            }
            let next = disk.crash_image(CrashMode::KeepRandom(random.bits()));
            drop(db);
            disk = next;
        }
    }
}

/// Readers always see whole batches, in the order they were written, whatever goes on behind them.
#[test]
fn readers_see_whole_batches_while_writers_flush_and_merge() {
    const WRITERS: u64 = 2;
    const ROWS: u64 = 8;
    let env = Env {
        disk: Arc::new(MemoryDisk::default()),
        ..Env::default()
    };
    let db = Database::open_with(&env, Path::new("/db"), options(true)).unwrap();
    let collection = db
        .create_collection("c", config(IndexSpec::default()))
        .unwrap();
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (collection, done) = (&collection, &done);
            scope.spawn(move || {
                for round in 0..120u64 {
                    // One batch replaces all rows of this writer: they must always show the same round.
                    let rows = (0..ROWS)
                        .map(|row| point(writer * 1_000 + row, round).with("round", round as i64));
                    let result = collection.upsert(rows.collect()).unwrap();
                    assert_eq!(result.inserted + result.updated, ROWS);
                    assert_eq!(result.inserted > 0, round == 0);
                }
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
        }
        let mut last = [-1i64; WRITERS as usize];
        while done.load(std::sync::atomic::Ordering::Relaxed) < WRITERS as usize {
            let seen = Model::of(&collection);
            for writer in 0..WRITERS {
                // A scroll of one page is one snapshot.
                let rounds: Vec<_> = seen
                    .as_ref()
                    .unwrap()
                    .points
                    .iter()
                    .filter(|(id, _)| matches!(id, vecdb_engine::PointId::U64(n) if n / 1_000 == writer))
                    .map(|(_, (_, metadata))| match metadata["round"] {
                        vecdb_engine::Value::Int(round) => round,
                        _ => panic!("round is an integer"),
                    })
                    .collect();
                assert!(
                    rounds.is_empty() || rounds.len() as u64 == ROWS,
                    "{} rows of {ROWS}",
                    rounds.len()
                );
                assert!(
                    rounds.windows(2).all(|pair| pair[0] == pair[1]),
                    "a batch was seen in part: {rounds:?}"
                );
                if let Some(&round) = rounds.first() {
                    assert!(round >= last[writer as usize], "time went back");
                    last[writer as usize] = round;
                }
            }
        }
    });
    assert_eq!(collection.count(None).unwrap(), WRITERS * ROWS);
}
