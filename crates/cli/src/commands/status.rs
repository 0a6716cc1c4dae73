//! `status`: how the database or the server is doing.

use serde_json::json;

use super::session::{Intent, Session};
use super::storage::archive_line;
use crate::args::Globals;
use crate::failure::Outcome;
use crate::output::{Console, Grid, bytes, count, seconds};

pub(crate) fn run(console: &Console, globals: &Globals) -> Outcome {
    Session::open(console, globals, Intent::Read)?.run(|session| {
        let status = session.backend().status()?;
        console.json(&json!({
            "version": status.version,
            "uptime_seconds": status.uptime.as_secs_f64(),
            "collections": status.collections,
            "points": status.points,
            "memory_bytes": status.memory_bytes,
            "memory_bytes_max": status.memory_bytes_max,
            "recovery": status.recovery,
            "archive": status.archive,
            "merges_paused": status.merges_paused,
        }))?;
        let limit = status
            .memory_bytes_max
            .map_or(String::new(), |most| format!(" of at most {}", bytes(most)));
        let archive = status
            .archive
            .as_ref()
            .map_or("none".to_owned(), archive_line);
        let merges = match status.merges_paused {
            true => "paused: `vecdb storage resume-merges` lets them go on",
            false => "as they are due",
        };
        console.grid(&Grid::facts([
            ("Database", session.place().to_owned()),
            ("Version", status.version.clone()),
            ("Open for", seconds(status.uptime.as_secs_f64())),
            ("Collections", count(status.collections)),
            ("Points", count(status.points)),
            (
                "Memory",
                format!(
                    "{}{limit}, mapped files not counted",
                    bytes(status.memory_bytes)
                ),
            ),
            (
                "Recovery",
                format!(
                    "{} log entries replayed, {} bytes of a torn end cut",
                    count(status.recovery.replayed),
                    count(status.recovery.torn_bytes_cut)
                ),
            ),
            ("Archive of the log", archive),
            ("Merges", merges.to_owned()),
        ]))
    })
}
