//! `storage recover`: opens a folder, shows what recovery does, and holds the outcome against what was acknowledged.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use vecdb_engine::{
    Env, ErrorKind, IndexSpec, InspectRequest, LogInspection, Recovery, StopSignal, VerifyReport,
    inspect,
};

use super::super::session::Session;
use super::acknowledged::Comparison;
use crate::args::{Globals, StorageRecoverArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Align, Bar, Console, Grid, bytes, count, plural, seconds, shorten};

/// How a collection came through.
#[derive(Serialize)]
struct Recovered {
    name: String,
    points: u64,
    segments: usize,
    /// Rows whose index was there.
    indexed_rows: u64,
    /// Points that are searched without one until it is built.
    unindexed_points: u64,
    broken: Option<String>,
    #[serde(skip)]
    index: String,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &StorageRecoverArgs) -> Outcome {
    let looked = inspect(
        &Env::default(),
        &globals.path,
        &InspectRequest {
            limit: 0,
            ..InspectRequest::default()
        },
    )?;
    console.line(format_args!("Recovering {}.", globals.path.display()))?;
    console.line(format_args!(
        "Log: {} with {} ({}), {} of them in segments already.",
        plural(looked.log.files.len() as u64, "file"),
        plural(looked.log.entries, "write"),
        bytes(looked.log.bytes),
        count(in_segments(&looked.log, looked.log_from)),
    ))?;
    let started = Instant::now();
    let bar = Bar::new(console, "replaying", Some(looked.log.bytes));
    let session = Session::recover(globals, args.on_corruption, &bar)?;
    drop(bar);
    let time = started.elapsed().as_secs_f64();
    session.run(|session| {
        let status = session.backend().status()?;
        let recovered = collections(session)?;
        print_recovery(console, &looked.log, &status.recovery, &recovered, time)?;
        let verified = match args.quick {
            true => None,
            false => Some(session.backend().verify(None, &StopSignal::default())?),
        };
        let file = args.acknowledged.as_deref();
        let compared = file.map(|file| Comparison::of(session, file)).transpose()?;
        let nothing_lost = compared.as_ref().map(Comparison::nothing_lost);
        console.json(&json!({
            "path": globals.path,
            "log_files": looked.log.files.len(),
            "log_entries": looked.log.entries,
            "log_bytes": looked.log.bytes,
            "checkpoint": looked.log_from,
            "recovery": status.recovery,
            "recovery_seconds": time,
            "collections": recovered,
            "verified": verified,
            "acknowledged": compared,
            "nothing_lost": nothing_lost,
        }))?;
        conclude(console, &recovered, verified.as_ref(), compared.as_ref())
    })
}

/// Entries up to the checkpoint.
fn in_segments(log: &LogInspection, log_from: u64) -> u64 {
    let files = log.files.iter();
    files
        .map(|file| (file.last + 1).min(log_from + 1).saturating_sub(file.first))
        .sum()
}

fn collections(session: &Session) -> Outcome<Vec<Recovered>> {
    let mut recovered = Vec::new();
    for summary in session.backend().collections()? {
        let mut line = Recovered {
            name: summary.name.clone(),
            points: summary.points,
            segments: 0,
            indexed_rows: 0,
            unindexed_points: 0,
            broken: summary.broken,
            index: String::new(),
        };
        if line.broken.is_none() {
            let info = session.backend().collection(&summary.name)?;
            line.segments = info.segments.len();
            let indexed = info.segments.iter().filter(|s| s.index.is_some());
            line.indexed_rows = indexed.clone().map(|s| u64::from(s.live_rows)).sum();
            line.unindexed_points = info.points - line.indexed_rows;
            line.index = match (&info.config.vector()?.index, line.unindexed_points) {
                (IndexSpec::Flat, _) => "none wanted".to_owned(),
                (_, 0) => "reused".to_owned(),
                (_, left) => format!(
                    "reused over {}, to be built over {}",
                    count(line.indexed_rows),
                    count(left)
                ),
            };
        }
        recovered.push(line);
    }
    Ok(recovered)
}

fn print_recovery(
    console: &Console,
    log: &LogInspection,
    recovery: &Recovery,
    collections: &[Recovered],
    time: f64,
) -> Outcome {
    console.line(format_args!(
        "Replayed {} of {} in {}; {} of a torn end cut, {} left out.",
        count(recovery.replayed),
        count(log.entries),
        seconds(time),
        bytes(recovery.torn_bytes_cut),
        plural(recovery.skipped, "damaged place")
    ))?;
    let mut grid = Grid::new([
        ("Collection", Align::Left),
        ("Points", Align::Right),
        ("Segments", Align::Right),
        ("Index", Align::Left),
    ]);
    for line in collections {
        let index = match &line.broken {
            None => line.index.clone(),
            Some(why) => shorten(&format!("broken: {why}"), 100),
        };
        grid.row([
            line.name.clone(),
            count(line.points),
            count(line.segments as u64),
            index,
        ]);
    }
    console.grid(&grid)
}

/// Says what was found, and fails if anything is lost.
fn conclude(
    console: &Console,
    collections: &[Recovered],
    verified: Option<&VerifyReport>,
    compared: Option<&Comparison>,
) -> Outcome {
    if let Some(report) = verified {
        match report.problems.as_slice() {
            [] => console.line(format_args!(
                "Verified: {} and {} of {}, every checksum, id, field index and link.",
                plural(report.files, "file"),
                plural(report.rows, "row"),
                plural(report.segments, "segment")
            ))?,
            problems => {
                for problem in problems {
                    console.line(format_args!("PROBLEM: {problem}"))?;
                }
            }
        }
    }
    let Some(compared) = compared else {
        console.line(
            "Nothing to compare with: give the file of `storage insert --acknowledged` to know whether anything is lost.",
        )?;
        return sound(collections, verified);
    };
    if compared.torn {
        console.line(format_args!(
            "The last line of {} was not finished and is passed over.",
            compared.file.display()
        ))?;
    }
    let asked = format!(
        "{} of {} acknowledged in {}",
        plural(compared.points, "point"),
        plural(compared.writes, "write"),
        compared.file.display()
    );
    if compared.nothing_lost() {
        console.line(format_args!(
            "{asked}: every one is there as it was written."
        ))?;
        sound(collections, verified)?;
        return console.line("No data loss.");
    }
    for what in &compared.first {
        console.line(format_args!("LOST: {what}"))?;
    }
    Err(Failure::new(
        ErrorKind::Corrupt,
        format!(
            "{asked}: {} are missing and {} are not what was acknowledged, the first: {}",
            count(compared.missing),
            count(compared.changed),
            compared.first.first().map_or("", String::as_str)
        ),
    ))
}

fn sound(collections: &[Recovered], verified: Option<&VerifyReport>) -> Outcome {
    let broken = collections.iter().find_map(|line| line.broken.as_ref());
    let problem = verified.and_then(|report| report.problems.first());
    match broken.or(problem) {
        None => Ok(()),
        Some(why) => Err(Failure::new(ErrorKind::Corrupt, why.clone())
            .hint("`storage verify --repair` mends what can be mended")),
    }
}
