//! `storage insert`: points made of their numbers, or those of a file, and how fast they were written.

use std::time::Instant;

use serde::Serialize;
use vecdb_dataset::PointOptions;
use vecdb_engine::{Point, PointId};

use super::super::import::Source;
use super::super::session::{Collection, Intent, with_collection};
use super::acknowledged::Journal;
use super::points::Generator;
use crate::args::{Globals, StorageInsertArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Bar, Console, Grid, bytes, count, decimal, plural, seconds};

#[derive(Default, Serialize)]
struct Report {
    collection: String,
    points: u64,
    inserted: u64,
    updated: u64,
    /// Batches, each of them one entry of the log and acknowledged by itself.
    log_writes: u64,
    position: u64,
    flushes: u64,
    memtable_points: u64,
    segments: usize,
    insert_seconds: f64,
    points_per_second: f64,
    acknowledged: Option<std::path::PathBuf>,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &StorageInsertArgs) -> Outcome {
    if args.batch == 0 {
        return Err(Failure::usage("--batch 0 writes nothing; use 1 or more"));
    }
    let name = &args.collection;
    let work = |collection: Collection<'_>| insert(console, args, collection);
    with_collection(console, globals, Intent::Write, name, work)
}

fn insert(console: &Console, args: &StorageInsertArgs, collection: Collection<'_>) -> Outcome {
    let info = collection.info()?;
    let mut journal = args
        .acknowledged
        .as_deref()
        .map(Journal::open)
        .transpose()?;
    let mut points = Points::of(args, &info)?;
    let bar = Bar::new(console, "inserting", points.total());
    let mut report = Report {
        collection: info.name.clone(),
        acknowledged: args.acknowledged.clone(),
        ..Report::default()
    };
    let started = Instant::now();
    loop {
        let batch = points.batch(args.batch)?;
        if batch.is_empty() {
            break;
        }
        let number = batch.len() as u64;
        let ids: Vec<PointId> = match journal {
            Some(_) => batch.iter().map(|point| point.id.clone()).collect(),
            None => Vec::new(),
        };
        let written = collection.upsert(batch).map_err(|failure| {
            failure.context(format_args!(
                "after {} acknowledged points",
                count(report.points)
            ))
        })?;
        report.points += number;
        report.log_writes += 1;
        report.inserted += written.inserted;
        report.updated += written.updated;
        report.position = written.position;
        if let Some(journal) = &mut journal {
            journal.note(collection, written.position, &ids)?;
        }
        bar.set(report.points);
    }
    report.insert_seconds = started.elapsed().as_secs_f64();
    drop(bar);
    let after = collection.info()?;
    report.points_per_second = report.points as f64 / report.insert_seconds.max(1e-9);
    report.flushes = after
        .maintenance
        .flushes
        .saturating_sub(info.maintenance.flushes);
    report.memtable_points = after.memtable_points;
    report.segments = after.segments.len();
    console.json(&report)?;
    let size: u64 = after.segments.iter().map(|segment| segment.bytes).sum();
    console.line(format_args!(
        "{} acknowledged in {} ({} new, {} replaced).",
        plural(report.points, "point"),
        report.collection,
        count(report.inserted),
        count(report.updated)
    ))?;
    console.grid(&Grid::facts([
        (
            "Log writes",
            format!(
                "{} of up to {}",
                count(report.log_writes),
                plural(args.batch as u64, "point")
            ),
        ),
        (
            "Flushes",
            format!(
                "{} of the memtable; {} in it",
                count(report.flushes),
                plural(report.memtable_points, "point")
            ),
        ),
        (
            "Segments",
            format!("{} of {}", count(report.segments as u64), bytes(size)),
        ),
        (
            "Time",
            format!(
                "{} ({} points/second)",
                seconds(report.insert_seconds),
                decimal(report.points_per_second)
            ),
        ),
    ]))
}

/// Where the points come from.
enum Points {
    Made {
        generator: Generator,
        next: u64,
        end: u64,
        total: u64,
    },
    Read {
        source: Source,
        total: Option<u64>,
    },
}

impl Points {
    fn of(args: &StorageInsertArgs, info: &vecdb_engine::CollectionInfo) -> Outcome<Self> {
        if let Some(file) = &args.data {
            let mut source = Source::open(file, None, &PointOptions::default(), true)?;
            source.limit = args.count.unwrap_or(u64::MAX);
            return Ok(Points::Read {
                source,
                total: args.count,
            });
        }
        let total = args.count.unwrap_or_default();
        let next = args.first_id.unwrap_or(info.points);
        let end = next.checked_add(total).ok_or_else(|| {
            Failure::usage(format!(
                "--first-id {next} and --count {total} lead beyond the largest number"
            ))
        })?;
        Ok(Points::Made {
            generator: Generator::new(args.seed, info.config.vector()?),
            next,
            end,
            total,
        })
    }

    fn total(&self) -> Option<u64> {
        match self {
            Points::Made { total, .. } => Some(*total),
            Points::Read { total, .. } => *total,
        }
    }

    /// The next points, `size` of them if there are so many.
    fn batch(&mut self, size: usize) -> Outcome<Vec<Point>> {
        match self {
            Points::Made {
                generator,
                next,
                end,
                ..
            } => {
                let from = *next;
                *next = (*end).min(from.saturating_add(size as u64));
                Ok((from..*next)
                    .map(|number| generator.point(number))
                    .collect())
            }
            Points::Read { source, .. } => source.batch(None, size),
        }
    }
}
