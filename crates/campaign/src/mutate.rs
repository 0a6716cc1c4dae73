//! Bytes change in every kind of file: an opening gives an error or the right answers.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vecdb_engine::{
    Collection, Database, Error, Filter, Hit, PointId, Record, ScrollRequest, SearchRequest,
};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

use crate::life::{KINDS, config, index, open, short};
use crate::model::{DIMENSION, Step, point};
use crate::report::{Report, caught};

/// Longer is taken for a hang: a sound database does it in milliseconds.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Tries so many mutations, spread over databases with every kind of index.
pub fn run(mutations: u64, seed: u64) -> Report {
    let mut report = Report::begin("mutate", seed);
    for kind in 0..KINDS {
        let whole = Whole::new(kind);
        let mut random = SeededRandom::new(seed.wrapping_add(kind));
        let share = mutations / KINDS + u64::from(kind < mutations % KINDS);
        for number in 0..share {
            one(&whole, number, &mut random, &mut report);
        }
    }
    let peak = peak_bytes();
    report
        .measures
        .insert("peak_resident_bytes".to_owned(), peak as f64);
    report.end()
}

fn one(whole: &Whole, number: u64, random: &mut SeededRandom, report: &mut Report) {
    let at = random.below(whole.files.len() as u64) as usize;
    let path = &whole.files[at];
    let disk = whole.disk.crash_image(CrashMode::KeepAll);
    let change = Mutation::random(random, disk.contents(path).map_or(0, |bytes| bytes.len()));
    disk.damage(path, |bytes| change.apply(bytes));
    let context = || {
        format!(
            "{}, {} number {number}, {change:?}",
            whole.name,
            short(path).display()
        )
    };
    report.count("mutations", 1);
    let begun = Instant::now();
    let outcome = caught(|| {
        let db = open(&disk)?;
        let answers = Answers::of(&db)?;
        Ok::<_, Error>((answers, db.verify()?.problems.is_empty()))
    });
    if begun.elapsed() > TIME_MAX {
        report.fail(format!("{}: took {:?}", context(), begun.elapsed()));
    }
    match outcome {
        Err(panic) => report.fail(format!("{}: {panic}", context())),
        Ok(Err(_)) => report.count("errors", 1),
        Ok(Ok((answers, _))) if !whole.allows(path, &answers) => {
            let answers = format!("{answers:?}");
            report.fail(format!("{}: wrong answers: {answers:.300}", context()));
        }
        Ok(Ok((_, true))) => report.count("unnoticed_and_right", 1),
        Ok(Ok((_, false))) => report.count("found_by_the_check", 1),
    }
}

/// A database with several segments, dead rows and entries in the log, closed by a power loss.
struct Whole {
    name: String,
    disk: SimDisk,
    files: Vec<PathBuf>,
    right: Answers,
    /// After each shorter part of what the log holds: an end that is gone cannot be told from one that was torn.
    before: Vec<Answers>,
}

impl Whole {
    fn new(kind: u64) -> Self {
        let (disk, index) = (SimDisk::new(), index(kind));
        let name = index.to_string();
        let build = || {
            let db = open(&disk)?;
            let c = db.create_collection("c", config(index))?;
            for segment in 0..3u64 {
                let ids = segment * 60..segment * 60 + 60;
                Step::Upsert(ids.map(|id| (id, id + 1)).collect()).run(&c)?;
                c.compact()?;
            }
            Step::Upsert((150..200).map(|id| (id, id + 500)).collect()).run(&c)?;
            c.flush()?;
            let mut before = vec![Answers::of(&db)?];
            Step::Delete(vec![3, 70, 160]).run(&c)?;
            before.push(Answers::of(&db)?);
            Step::Relabel(vec![5, 80], 77).run(&c)?;
            // An entry behind those that are asked about says that they were synced.
            let last = db.create_collection("last", config(vecdb_engine::IndexSpec::Flat))?;
            Step::Upsert(vec![(1, 1)]).run(&last)?;
            Ok::<_, Error>((disk.crash_image(CrashMode::LoseUnsynced), before))
        };
        let (disk, before) = build().unwrap_or_else(|e| panic!("{name}: {e}"));
        let copy = disk.crash_image(CrashMode::KeepAll);
        let right = open(&copy).and_then(|db| Answers::of(&db));
        Self {
            files: disk.files(),
            right: right.unwrap_or_else(|e| panic!("{name}: {e}")),
            before,
            name,
            disk,
        }
    }

    /// Whether a database whose file `path` was changed may answer so.
    fn allows(&self, path: &Path, answers: &Answers) -> bool {
        *answers == self.right || short(path).starts_with("wal") && self.before.contains(answers)
    }
}

/// What is asked of every mutated database.
#[derive(Debug, PartialEq)]
struct Answers {
    near: Vec<Vec<Hit>>,
    counts: Vec<u64>,
    records: Vec<Option<Record>>,
    scrolled: Vec<Record>,
}

impl Answers {
    fn of(db: &Database) -> Result<Self, Error> {
        let c: Collection = db.collection("c")?;
        let query = vec![500.0; DIMENSION];
        let below = Filter::lt("n", 500);
        let search = |request: SearchRequest| Ok::<_, Error>(c.search(&request)?.hits);
        // Records first: nothing has checked the blocks that they are in yet.
        let ids = [77u64, 5, 3, 199].map(PointId::from);
        let records = c.get(&ids, true, true)?;
        let scroll = ScrollRequest {
            limit: 300,
            with_vector: true,
            with_metadata: true,
            ..ScrollRequest::default()
        };
        Ok(Self {
            records,
            scrolled: c.scroll(&scroll)?.points,
            near: vec![
                search(SearchRequest::new(query.clone()).limit(7))?,
                search(SearchRequest::new(query).limit(7).filter(below.clone()))?,
                search(SearchRequest::new(point(9, 10).vector).limit(3))?,
            ],
            counts: vec![
                c.count(None)?,
                c.count(Some(&below))?,
                c.count(Some(&Filter::eq("tag", "red")))?,
            ],
        })
    }
}

/// A change to the bytes of a file.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Flip {
        at: usize,
        bit: u8,
    },
    Set {
        at: usize,
        value: u8,
    },
    Number {
        at: usize,
        value: u64,
    },
    Zero {
        at: usize,
        bytes: usize,
    },
    Cut {
        at: usize,
    },
    Append {
        bytes: usize,
    },
    Remove {
        at: usize,
        bytes: usize,
    },
    Copy {
        from: usize,
        to: usize,
        bytes: usize,
    },
}

impl Mutation {
    fn random(random: &mut SeededRandom, len: usize) -> Self {
        let at = random.below(len as u64) as usize;
        let bytes = 1 + random.below(300) as usize;
        match random.below(10) {
            0..=2 => Self::Flip {
                at,
                bit: random.below(8) as u8,
            },
            3 => Self::Set {
                at,
                value: random.below(256) as u8,
            },
            4 => Self::Number {
                at,
                // Large numbers, small ones, and those at the ends.
                value: match random.below(3) {
                    0 => u64::MAX >> random.below(64),
                    1 => random.below(1_000),
                    _ => random.bits(),
                },
            },
            5 => Self::Zero { at, bytes },
            6 => Self::Cut { at },
            7 => Self::Append { bytes },
            8 => Self::Remove { at, bytes },
            _ => Self::Copy {
                from: at,
                to: random.below(len as u64) as usize,
                bytes,
            },
        }
    }

    fn apply(self, file: &mut Vec<u8>) {
        let end = |at: usize, bytes: usize, len: usize| (at + bytes).min(len);
        let len = file.len();
        match self {
            Self::Flip { at, bit } => {
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Set { at, value } => {
                if let Some(byte) = file.get_mut(at) {
                    *byte = value;
                }
            }
            Self::Number { at, value } => {
                let value = value.to_le_bytes();
                for (byte, value) in file.iter_mut().skip(at).zip(value) {
                    *byte = value;
                }
            }
            Self::Zero { at, bytes } => file.iter_mut().skip(at).take(bytes).for_each(|b| *b = 0),
            Self::Cut { at } => file.truncate(at),
            Self::Append { bytes } => file.extend(std::iter::repeat_n(0x5a, bytes)),
            Self::Remove { at, bytes } => drop(file.drain(at.min(len)..end(at, bytes, len))),
            Self::Copy { from, to, bytes } => {
                let copied = file[from.min(len)..end(from, bytes, len)].to_vec();
                for (byte, value) in file.iter_mut().skip(to).zip(copied) {
                    *byte = value;
                }
            }
        }
    }
}

/// The most memory that this process had resident; 0 where the system does not tell.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
