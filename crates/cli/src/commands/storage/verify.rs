//! `storage verify`: every file checked; with `--repair` also mended.

use std::time::Instant;

use serde_json::{Value, json};
use vecdb_engine::{ErrorKind, StopSignal};

use super::super::session::{Intent, Session};
use crate::args::{Globals, StorageVerifyArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Bar, Console, Grid, bytes, count, plural, seconds};

pub(super) fn run(console: &Console, globals: &Globals, args: &StorageVerifyArgs) -> Outcome {
    Session::open(console, globals, Intent::Read)?.run(|session| verify(console, session, args))
}

fn verify(console: &Console, session: &Session, args: &StorageVerifyArgs) -> Outcome {
    let started = Instant::now();
    let recovery = session.backend().status()?.recovery;
    let bar = Bar::new(console, "verifying", None);
    let (only, never) = (args.collection.as_deref(), StopSignal::default());
    let report = match args.repair {
        true => session.backend().repair(only, &never)?,
        false => session.backend().verify(only, &never)?,
    };
    drop(bar);
    let time = started.elapsed().as_secs_f64();
    let mut object = match serde_json::to_value(&report) {
        Ok(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    object.insert("recovery".into(), json!(recovery));
    object.insert("verify_seconds".into(), json!(time));
    object.insert("ok".into(), json!(report.problems.is_empty()));
    console.json(&object)?;
    console.grid(&Grid::facts([
        ("Segments", count(report.segments)),
        (
            "Files",
            format!(
                "{} ({}), every block compared with its checksum",
                count(report.files),
                bytes(report.bytes)
            ),
        ),
        (
            "Rows",
            format!("{} ids looked up in the id maps", count(report.rows)),
        ),
        (
            "Metadata",
            format!(
                "{} values looked up in the field indexes",
                count(report.field_values)
            ),
        ),
        (
            "Graphs",
            format!(
                "{} links followed, {} points unreachable",
                count(report.links),
                count(report.unreachable)
            ),
        ),
        (
            "Log",
            format!(
                "{} entries read, {} of them replayed, {} bytes of a torn end cut",
                count(report.log_entries),
                count(recovery.replayed),
                count(recovery.torn_bytes_cut)
            ),
        ),
        ("Time", seconds(time)),
    ]))?;
    for repaired in &report.repaired {
        console.line(format_args!("Repaired: {repaired}"))?;
    }
    for file in &report.quarantined {
        console.line(format_args!("Set aside: {file}"))?;
    }
    if report.lost > 0 {
        console.line(format_args!(
            "{} could not be read and are gone from their collections.",
            plural(report.lost, "point")
        ))?;
    }
    for problem in &report.problems {
        console.line(format_args!("PROBLEM: {problem}"))?;
    }
    match report.problems.first() {
        None => console.line("All checks passed."),
        Some(first) => {
            let failure = Failure::new(
                ErrorKind::Corrupt,
                format!("{} problems, the first: {first}", report.problems.len()),
            );
            Err(match args.repair {
                true => failure.hint("what is left cannot be mended: restore it from a snapshot"),
                false => failure.hint("--repair mends what can be mended"),
            })
        }
    }
}
