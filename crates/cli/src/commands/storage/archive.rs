//! `storage archive`: where the log is archived, how far, and whether that is sound.

use std::time::Instant;

use serde_json::{Value, json};
use vecdb_engine::{Archive, ArchiveRange, ArchiveStatus, ErrorKind, StopSignal};

use super::super::session::Session;
use crate::args::{Globals, StorageArchiveArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Bar, Console, Grid, bytes, count, date_time, plural, seconds};

pub(super) fn run(console: &Console, globals: &Globals, args: &StorageArchiveArgs) -> Outcome {
    let archive = match &args.to {
        Some(place) => Archive::parse(place),
        None if args.off => Archive::Off,
        None => Archive::Unchanged,
    };
    Session::archiving(console, globals, archive)?.run(|session| {
        if args.verify {
            return verify(console, session, args.archive.as_deref());
        }
        session.archive_log()?;
        let status = session.backend().status()?.archive;
        console.json(&json!({ "archive": status }))?;
        match status {
            None => console.line("The log is not archived."),
            Some(status) => console.grid(&facts(&status)),
        }
    })
}

fn verify(console: &Console, session: &Session, location: Option<&str>) -> Outcome {
    let started = Instant::now();
    let bar = Bar::new(console, "verifying", None);
    let report = session
        .backend()
        .verify_archive(location, &StopSignal::default())?;
    drop(bar);
    let time = started.elapsed().as_secs_f64();
    let mut object = match serde_json::to_value(&report) {
        Ok(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    object.insert("verify_seconds".into(), json!(time));
    object.insert("ok".into(), json!(report.problems.is_empty()));
    console.json(&object)?;
    console.grid(&Grid::facts([
        ("Archive", report.location.clone()),
        (
            "Log files",
            format!(
                "{} ({}), every entry compared with its checksum",
                count(report.pieces),
                bytes(report.bytes)
            ),
        ),
        ("Entries", count(report.entries)),
        ("Time", seconds(time)),
    ]))?;
    if report.unlisted > 0 {
        console.line(format_args!(
            "{} of interrupted attempts, in nobody's way.",
            plural(report.unlisted, "log file")
        ))?;
    }
    for range in &report.ranges {
        console.line(format_args!("Leads to {}.", reached(range)))?;
    }
    for problem in &report.problems {
        console.line(format_args!("PROBLEM: {problem}"))?;
    }
    match report.problems.first() {
        None => console.line("All checks passed."),
        Some(first) => Err(Failure::new(
            ErrorKind::Corrupt,
            format!("{} problems, the first: {first}", report.problems.len()),
        )
        .hint("take a new snapshot: it leads on from where it stands")),
    }
}

/// The points of a stretch.
fn reached(range: &ArchiveRange) -> String {
    let time = |micros: u64| i64::try_from(micros).map_or_else(|_| String::new(), date_time);
    let through = time(range.through);
    let times = match range.from {
        Some(from) => format!("from {} to {through}", time(from)),
        None => format!("to {through}"),
    };
    format!(
        "sequence numbers {} to {}, {times}",
        count(range.first),
        count(range.last)
    )
}

fn facts(status: &ArchiveStatus) -> Grid {
    Grid::facts([
        ("Archive", status.location.clone()),
        ("Archived", line(status)),
    ])
}

/// How far the archive is.
pub(crate) fn line(status: &ArchiveStatus) -> String {
    let reached = match i64::try_from(status.time) {
        Ok(time) if status.position > 0 => format!(
            "to sequence number {}, {}",
            count(status.position),
            date_time(time)
        ),
        _ => "nothing yet".to_owned(),
    };
    let waiting = match status.waiting_bytes {
        0 => String::new(),
        waiting => format!("; {} of log wait", bytes(waiting)),
    };
    let failed = status.last_error.as_ref();
    let failed = failed.map_or(String::new(), |error| format!("; failed: {error}"));
    format!("{reached}{waiting}{failed}")
}
