//! `storage archive`: where the log is archived, and how far.

use serde_json::json;
use vecdb_engine::{Archive, ArchiveStatus};

use super::super::session::Session;
use crate::args::{Globals, StorageArchiveArgs};
use crate::failure::Outcome;
use crate::output::{Console, Grid, bytes, count, date_time};

pub(super) fn run(console: &Console, globals: &Globals, args: &StorageArchiveArgs) -> Outcome {
    let archive = match &args.to {
        Some(place) => Archive::parse(place),
        None if args.off => Archive::Off,
        None => Archive::Unchanged,
    };
    Session::archiving(console, globals, archive)?.run(|session| {
        session.archive_log()?;
        let status = session.backend().status()?.archive;
        console.json(&json!({ "archive": status }))?;
        match status {
            None => console.line("The log is not archived."),
            Some(status) => console.grid(&facts(&status)),
        }
    })
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
