//! `import`: a file of points into a collection, batch by batch.

use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use vecdb_dataset::{PointOptions, PointReader, RawPoint, open_points, zip_metadata};
use vecdb_engine::{ErrorKind, Point, PointId, metadata_from_json};

use super::collection::{config, with_build_bar};
use super::session::{Collection, Intent, Session};
use crate::args::{Globals, ImportArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Bar, Console, count, decimal, seconds};

/// What an import did.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ImportReport {
    pub(crate) collection: String,
    pub(crate) points: u64,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) import_seconds: f64,
    pub(crate) points_per_second: f64,
    /// Bytes of vectors, as given, per second.
    pub(crate) vector_bytes_per_second: f64,
    /// Seconds spent waiting for the index after the last point; `None` if nobody waited.
    pub(crate) build_seconds: Option<f64>,
}

pub(crate) fn run(console: &Console, globals: &Globals, args: &ImportArgs) -> Outcome {
    if args.batch == 0 {
        return Err(Failure::usage("--batch 0 writes nothing; use 1 or more"));
    }
    let options = PointOptions {
        vector_field: args.vector_field.clone(),
        id_field: args.id_field.clone(),
        skip: Vec::new(),
    };
    let mut source = Source::open(&args.file, args.metadata.as_deref(), &options, args.row_ids)?;
    if args.limit == Some(0) {
        return Err(Failure::usage("--limit 0 imports nothing; use 1 or more"));
    }
    source.limit = args.limit.unwrap_or(u64::MAX);
    let intent = if args.create {
        Intent::Create
    } else {
        Intent::Write
    };
    // The first point is read before anything is made: its dimension is the collection's, and a file that cannot be
    // read leaves nothing behind.
    let first = source.next_point()?;
    let report = Session::open(console, globals, intent)?.run(|session| {
        let collection = target(session, args, first.as_ref())?;
        let mut report = load(console, collection, &mut source, first, args.batch)?;
        if !args.no_wait {
            report.build_seconds = wait_if_allowed(console, collection)?;
        }
        Ok(report)
    })?;
    console.json(&report)?;
    console.line(summary(&report))
}

/// What [`wait`] does, where the caller may ask the server for that: a key that writes is enough to import.
fn wait_if_allowed(console: &Console, collection: Collection<'_>) -> Outcome<Option<f64>> {
    match wait(console, collection) {
        Err(Failure::Error(error)) if error.kind() == ErrorKind::PermissionDenied => {
            console.note(
                "not waited for the index, which takes a key with the right to administer: the server builds it in time",
            );
            Ok(None)
        }
        waited => waited.map(Some),
    }
}

/// Waits for flushes, merges and the index; returns the seconds it took.
pub(crate) fn wait(console: &Console, collection: Collection<'_>) -> Outcome<f64> {
    let started = Instant::now();
    with_build_bar(console, collection, || collection.wait_until_idle())?;
    Ok(started.elapsed().as_secs_f64())
}

/// What an import did, for people.
pub(crate) fn summary(report: &ImportReport) -> String {
    let waited = report.build_seconds.map_or(String::new(), |time| {
        format!(", then {} for the index", seconds(time))
    });
    format!(
        "{} points in {} ({} new, {} replaced): {} ({} points/second){waited}.",
        count(report.points),
        report.collection,
        count(report.inserted),
        count(report.updated),
        seconds(report.import_seconds),
        decimal(report.points_per_second)
    )
}

fn target<'a>(
    session: &'a Session,
    args: &'a ImportArgs,
    first: Option<&Point>,
) -> Outcome<Collection<'a>> {
    let name = &args.name.collection;
    match session.backend().collection(name) {
        Err(error) if error.kind() == ErrorKind::NotFound && args.create => {
            let first = first.ok_or_else(|| {
                Failure::usage(format!(
                    "{} has no points: there is no dimension to create a collection with",
                    args.file.display()
                ))
            })?;
            let dimension = u32::try_from(first.vector.len()).unwrap_or(u32::MAX);
            let config = config(dimension, &args.vectors)?;
            session.backend().create_collection(name, config)?;
            Ok(session.collection(name))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Failure::Error(error).hint("--create makes the collection"))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(session.collection(name)),
    }
}

/// Writes all points of `source`, after `first`, in batches.
pub(crate) fn load(
    console: &Console,
    collection: Collection<'_>,
    source: &mut Source,
    first: Option<Point>,
    batch: usize,
) -> Outcome<ImportReport> {
    let started = Instant::now();
    let bar = Bar::new(console, "importing", source.rows());
    let mut report = ImportReport {
        collection: collection.name().to_owned(),
        ..ImportReport::default()
    };
    // Those read; every batch but the last is full.
    let read = Cell::new(0);
    let mut vector_bytes = 0;
    let mut failure = None;
    let mut first = first;
    let batches = std::iter::from_fn(|| match source.batch(first.take(), batch) {
        Ok(points) if points.is_empty() => None,
        Ok(points) => {
            read.set(read.get() + points.len() as u64);
            vector_bytes += points
                .iter()
                .map(|point| point.vector.len() * 4)
                .sum::<usize>();
            Some(points)
        }
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    let written = collection.upsert_all(batches, &mut |write| {
        report.points = read.get().min(report.points + batch as u64);
        report.inserted += write.inserted;
        report.updated += write.updated;
        bar.set(report.points);
    });
    if let Err(failure) = written.and(failure.map_or(Ok(()), Err)) {
        return Err(written_so_far(failure, &report));
    }
    report.import_seconds = started.elapsed().as_secs_f64();
    report.points_per_second = report.points as f64 / report.import_seconds.max(1e-9);
    report.vector_bytes_per_second = vector_bytes as f64 / report.import_seconds.max(1e-9);
    Ok(report)
}

fn written_so_far(failure: Failure, report: &ImportReport) -> Failure {
    match report.points {
        0 => failure,
        points => failure.context(format_args!(
            "after {} points, which are in the collection",
            count(points)
        )),
    }
}

/// The points of a file, ready to be written.
pub(crate) struct Source {
    points: Box<dyn PointReader>,
    name: String,
    row_ids: bool,
    read: u64,
    pub(crate) limit: u64,
}

impl Source {
    pub(crate) fn open(
        file: &Path,
        metadata: Option<&Path>,
        options: &PointOptions,
        row_ids: bool,
    ) -> Outcome<Self> {
        let mut points = open_points(file, options)?;
        if let Some(metadata) = metadata {
            points = zip_metadata(points, metadata, options)?;
        }
        Ok(Self {
            points,
            name: file.display().to_string(),
            row_ids,
            read: 0,
            limit: u64::MAX,
        })
    }

    fn rows(&self) -> Option<u64> {
        self.points.rows().map(|rows| rows.min(self.limit))
    }

    /// The next `size` points, `first` being the first of them; fewer at the end, and none after it.
    pub(crate) fn batch(&mut self, first: Option<Point>, size: usize) -> Outcome<Vec<Point>> {
        let mut points: Vec<_> = first.into_iter().collect();
        while points.len() < size
            && let Some(point) = self.next_point()?
        {
            points.push(point);
        }
        Ok(points)
    }

    pub(crate) fn next_point(&mut self) -> Outcome<Option<Point>> {
        if self.read == self.limit {
            return Ok(None);
        }
        let Some(raw) = self.points.next().transpose()? else {
            return Ok(None);
        };
        let at = self.read;
        self.read += 1;
        self.point(raw, at)
            .map(Some)
            .map_err(|failure| failure.context(format_args!("{}, point {at}", self.name)))
    }

    fn point(&self, raw: RawPoint, at: u64) -> Outcome<Point> {
        let id = match raw.id {
            Some(id) => PointId::from_json(&id)?,
            None if self.row_ids => PointId::U64(at),
            None => {
                return Err(Failure::usage(
                    "it has no id; name the field that holds it with --id-field, or use row numbers with --row-ids",
                ));
            }
        };
        let vector = raw.vector.ok_or_else(|| {
            Failure::usage("it has no vector; name the field that holds it with --vector-field")
        })?;
        let metadata = metadata_from_json(&raw.metadata.into()).map_err(Failure::from)?;
        Ok(Point {
            id,
            vector,
            metadata,
        })
    }
}
