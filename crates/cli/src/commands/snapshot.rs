//! `snapshot create|list|restore|delete`.

use std::time::Instant;

use serde_json::json;
use vecdb_engine::{CollectionSummary, SnapshotInfo, StopSignal, Value as Metadatum};

use super::session::{Intent, Session};
use crate::args::{Globals, SnapshotCommand, StoreArgs};
use crate::failure::Outcome;
use crate::output::{Align, Bar, Console, Grid, bytes, count, plural, seconds, shorten};

pub(crate) fn run(console: &Console, globals: &Globals, command: &SnapshotCommand) -> Outcome {
    match command {
        SnapshotCommand::Create {
            name,
            collections,
            store,
        } => create(console, globals, name.as_deref(), collections, store),
        SnapshotCommand::List { store } => list(console, globals, store),
        SnapshotCommand::Restore {
            name,
            collection,
            restore_as,
            store,
        } => {
            let started = Instant::now();
            let intent = Intent::Create;
            Session::with_store(console, globals, intent, store.store.as_deref())?.run(|session| {
                let bar = Bar::new(console, "restoring", None);
                let restored = session.backend().restore_snapshot(
                    name,
                    collection.as_deref(),
                    restore_as.as_deref(),
                    &StopSignal::default(),
                )?;
                drop(bar);
                let time = started.elapsed().as_secs_f64();
                console.json(&json!({
                    "snapshot": name,
                    "collections": restored,
                    "restore_seconds": time,
                }))?;
                console.line(format_args!(
                    "Restored from {name} in {}: {}.",
                    seconds(time),
                    names(&restored)
                ))
            })
        }
        SnapshotCommand::Delete { name, store } => {
            Session::with_store(console, globals, Intent::Read, store.store.as_deref())?.run(
                |session| {
                    session.backend().delete_snapshot(name)?;
                    console.json(&json!({"deleted": name}))?;
                    console.line(format_args!("Snapshot {name} deleted."))
                },
            )
        }
    }
}

fn create(
    console: &Console,
    globals: &Globals,
    name: Option<&str>,
    collections: &[String],
    store: &StoreArgs,
) -> Outcome {
    let started = Instant::now();
    Session::with_store(console, globals, Intent::Write, store.store.as_deref())?.run(|session| {
        let bar = Bar::new(console, "copying", None);
        let stop = StopSignal::default();
        let snapshot = session
            .backend()
            .create_snapshot(name, collections, &stop)?;
        drop(bar);
        let time = started.elapsed().as_secs_f64();
        console.json(&json!({"snapshot": snapshot, "snapshot_seconds": time}))?;
        console.line(format_args!(
            "Snapshot {} of {}: {} in {}.",
            snapshot.name,
            names(&snapshot.collections),
            bytes(snapshot.bytes),
            seconds(time)
        ))
    })
}

fn list(console: &Console, globals: &Globals, store: &StoreArgs) -> Outcome {
    Session::with_store(console, globals, Intent::Read, store.store.as_deref())?.run(|session| {
        let snapshots = session.backend().list_snapshots()?;
        console.json(&json!({"snapshots": snapshots}))?;
        if snapshots.is_empty() {
            return console.line("There are no snapshots.");
        }
        let mut grid = Grid::new([
            ("Snapshot", Align::Left),
            ("Made", Align::Left),
            ("Size", Align::Right),
            ("Collections", Align::Left),
        ]);
        for snapshot in &snapshots {
            grid.row([
                snapshot.name.clone(),
                made(snapshot),
                bytes(snapshot.bytes),
                shorten(&names(&snapshot.collections), 60),
            ]);
        }
        console.grid(&grid)
    })
}

/// When, as metadata date-times are written.
fn made(snapshot: &SnapshotInfo) -> String {
    match Metadatum::DateTime(snapshot.created_at).to_json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

fn names(collections: &[CollectionSummary]) -> String {
    match collections {
        [] => "no collections".to_owned(),
        [one] => format!("{} ({})", one.name, plural(one.points, "point")),
        many => many
            .iter()
            .map(|one| format!("{} ({})", one.name, count(one.points)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
