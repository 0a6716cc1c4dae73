//! The life of a database on a simulated disk: what is done in it, what was acknowledged, and what must be left.

use std::path::{Path, PathBuf};

use vecdb_engine::{
    CollectionConfig, Database, DiskAnnParams, Env, Error, ErrorKind, HnswParams, IndexSpec,
    IvfParams, LshParams, Metric, Options, Quantization,
};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::SimDisk;

use crate::model::{DIMENSION, Model, Step};

pub(crate) const FOLDER: &str = "/db";

/// One thing that is done.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// To the collection `c`.
    Step(Step),
    Snapshot,
    /// Another collection is made, written and dropped.
    Create,
    Drop,
    /// Closed and opened again.
    Reopen,
}

pub(crate) fn options() -> Options {
    Options {
        threads: 1,
        background: false,
        memtable_bytes_max: 6 << 10,
        index_rows_min: 12,
        ..Options::default()
    }
}

pub(crate) fn env(disk: &SimDisk) -> Env {
    Env {
        disk: disk.shared(),
        ..Env::default()
    }
}

pub(crate) fn open(disk: &SimDisk) -> Result<Database, Error> {
    Database::open_with(&env(disk), Path::new(FOLDER), options())
}

/// Kinds of index.
pub(crate) const KINDS: u64 = 9;

/// An index of every kind, in turn, small enough for few points.
pub(crate) fn index(number: u64) -> IndexSpec {
    let ivf = |code: Option<&str>| {
        IndexSpec::Ivf(IvfParams {
            nlist: Some(3),
            code: code.and_then(|code| code.parse().ok()),
            ..IvfParams::default()
        })
    };
    match number % KINDS {
        0 => IndexSpec::default(),
        1 => ivf(None),
        2 => IndexSpec::DiskAnn(DiskAnnParams::default()),
        3 => IndexSpec::Lsh(LshParams {
            tables: Some(3),
            hashes: Some(2),
            ..LshParams::default()
        }),
        4 => IndexSpec::Flat,
        5 => ivf(Some("vector")),
        6 => ivf(Some("rabitq4")),
        7 => ivf(Some("sq4")),
        _ => IndexSpec::Hnsw(HnswParams {
            quantization: Quantization::Sq4,
            ..HnswParams::default()
        }),
    }
}

pub(crate) fn config(index: IndexSpec) -> CollectionConfig {
    CollectionConfig::new(DIMENSION as u32, Metric::L2).index(index)
}

pub(crate) fn script(seed: u64, length: u64) -> Vec<Act> {
    let mut random = SeededRandom::new(seed);
    let mut acts = vec![Act::Step(Step::Upsert(
        (0..20).map(|id| (id, id + 1)).collect(),
    ))];
    for _ in 0..length {
        acts.push(match random.below(24) {
            0 => Act::Snapshot,
            1 => Act::Create,
            2 => Act::Drop,
            3 => Act::Reopen,
            _ => Act::Step(Step::random(&mut random, 40)),
        });
    }
    acts.extend([
        Act::Step(Step::Flush),
        Act::Step(Step::Upsert(vec![(1, 99), (50, 100)])),
        Act::Step(Step::Compact),
        Act::Step(Step::Delete(vec![1, 2, 3])),
    ]);
    acts
}

/// How far a life came.
pub(crate) struct Lived {
    pub(crate) acknowledged: Model,
    /// The write during which it ended.
    pub(crate) last: Option<Step>,
    pub(crate) error: Option<Error>,
    /// Whether the collection was made.
    pub(crate) created: bool,
}

/// Runs the script until a write fails or the power goes; whatever else fails does not end it.
pub(crate) fn live(disk: &SimDisk, acts: &[Act], index: &IndexSpec) -> Lived {
    let mut lived = Lived {
        acknowledged: Model::default(),
        last: None,
        error: None,
        created: false,
    };
    let mut db = match open(disk) {
        Ok(db) => db,
        Err(error) => {
            lived.error = Some(error);
            return lived;
        }
    };
    let mut collection = match db.create_collection("c", config(index.clone())) {
        Ok(collection) => collection,
        Err(error) => {
            lived.error = Some(error);
            std::mem::forget(db);
            return lived;
        }
    };
    lived.created = true;
    for act in acts {
        if disk.crashed() {
            break;
        }
        let done = match act {
            Act::Step(step) => match step.run(&collection) {
                Ok(()) => {
                    lived.acknowledged.apply(step);
                    Ok(())
                }
                Err(error) if step.is_write() => {
                    lived.last = Some(step.clone());
                    lived.error = Some(error);
                    break;
                }
                failed => failed,
            },
            Act::Snapshot => snapshot(&db),
            Act::Create => create_other(&db),
            Act::Drop => match db.drop_collection("other") {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                done => done,
            },
            Act::Reopen => {
                drop(collection);
                if let Err(error) = db.close() {
                    lived.error = Some(error);
                    return lived;
                }
                let opened = open(disk).and_then(|db| Ok((db.collection("c")?, db)));
                match opened {
                    Ok((opened, database)) => {
                        (collection, db) = (opened, database);
                        continue;
                    }
                    Err(error) => {
                        lived.error = Some(error);
                        return lived;
                    }
                }
            }
        };
        if let Err(error) = done {
            lived.error = Some(error);
        }
    }
    drop(collection);
    if lived.error.is_some() || disk.crashed() {
        // What a process does that lost its disk: nothing more.
        std::mem::forget(db);
    }
    lived
}

fn snapshot(db: &Database) -> Result<(), Error> {
    let staging = db.stage()?;
    db.snapshot(&["c".to_owned()], staging.path()).map(drop)
}

fn create_other(db: &Database) -> Result<(), Error> {
    match db.create_collection("other", config(IndexSpec::Flat)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(other) => Step::Upsert(vec![(1, 1), (2, 2)]).run(&other),
    }
}

/// Opens what is left and compares it with what was promised; then life goes on.
///
/// # Panics
/// With `context` where they differ.
pub(crate) fn check(image: &SimDisk, lived: &Lived, context: &str) {
    let db = open(image).unwrap_or_else(|e| panic!("{context}: does not open: {e}"));
    let collection = match db.collection("c") {
        Ok(collection) => collection,
        Err(_) if !lived.created => return,
        Err(error) => panic!("{context}: the collection is gone: {error}"),
    };
    let found = Model::of(&collection).unwrap_or_else(|e| panic!("{context}: {e}"));
    let mut with_last = lived.acknowledged.clone();
    if let Some(last) = &lived.last {
        with_last.apply(last);
    }
    assert!(
        found == lived.acknowledged || found == with_last,
        "{context}: after {:?}: found {:?}, acknowledged {:?}, last {:?}",
        lived.error,
        found.points.keys().collect::<Vec<_>>(),
        lived.acknowledged.points.keys().collect::<Vec<_>>(),
        lived.last
    );
    let mut random = SeededRandom::new(7);
    found.check(&collection, &mut random, context);
    let report = db.verify().unwrap_or_else(|e| panic!("{context}: {e}"));
    assert!(
        report.problems.is_empty(),
        "{context}: {:?}",
        report.problems
    );
    let mut next = found;
    for step in [
        Step::Upsert(vec![(1, 5), (1_000, 6)]),
        Step::Flush,
        Step::Delete(vec![1]),
        Step::Compact,
    ] {
        let done = step.run(&collection);
        done.unwrap_or_else(|e| panic!("{context}: {step:?} afterwards: {e}"));
        next.apply(&step);
    }
    next.check(&collection, &mut random, context);
}

/// A file of a simulated disk, as a path from the folder of the database.
pub(crate) fn short(path: &Path) -> PathBuf {
    path.strip_prefix(FOLDER).unwrap_or(path).to_owned()
}
