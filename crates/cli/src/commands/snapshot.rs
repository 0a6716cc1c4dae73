//! `snapshot create|list|restore|delete`.

use std::time::Instant;

use serde_json::json;
use vecdb_engine::{RestoreRequest, Restored, SnapshotContent, StopSignal};

use super::session::{Intent, Session};
use crate::args::{Globals, SnapshotCommand, StoreArgs};
use crate::failure::Outcome;
use crate::output::{Align, Bar, Console, Grid, bytes, count, date_time, plural, seconds, shorten};

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
            until,
            store,
        } => {
            let request = RestoreRequest {
                collection: collection.clone(),
                restore_as: restore_as.clone(),
                until: until.point(),
                archive: until.archive.clone(),
            };
            let started = Instant::now();
            let intent = Intent::Create;
            Session::with_store(console, globals, intent, store.store.as_deref())?.run(|session| {
                let bar = Bar::new(console, "restoring", None);
                let never = StopSignal::default();
                let restored = session.backend().restore_snapshot(name, &request, &never)?;
                drop(bar);
                let time = started.elapsed().as_secs_f64();
                console.json(&json!({
                    "snapshot": name,
                    "collections": restored.collections,
                    "sequence": restored.sequence,
                    "time": restored.time,
                    "restore_seconds": time,
                }))?;
                console.line(format_args!(
                    "Restored from {name}{} in {}: {}.",
                    reached(&restored),
                    seconds(time),
                    names(
                        restored
                            .collections
                            .iter()
                            .map(|c| (c.name.as_str(), c.points))
                    )
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
        let transfer = snapshot.transfer.unwrap_or_default();
        console.line(format_args!(
            "Snapshot {} of {}: {} ({} written, {} reused) in {}.",
            snapshot.name,
            held(&snapshot.collections),
            bytes(snapshot.bytes),
            bytes(transfer.uploaded_bytes),
            bytes(transfer.reused_bytes),
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
            ("Sequence number", Align::Right),
            ("Collections", Align::Left),
        ]);
        for snapshot in &snapshots {
            grid.row([
                snapshot.name.clone(),
                date_time(snapshot.created_at),
                bytes(snapshot.bytes),
                sequences(&snapshot.collections),
                shorten(&held(&snapshot.collections), 60),
            ]);
        }
        console.grid(&grid)
    })
}

/// How far the log was followed.
fn reached(restored: &Restored) -> String {
    match (restored.sequence, restored.time) {
        (None, _) => String::new(),
        (Some(sequence), None) => format!(" to sequence number {sequence}"),
        (Some(sequence), Some(time)) => {
            let time = date_time(time);
            format!(" to sequence number {sequence} (last write at {time})")
        }
    }
}

/// The collections of a snapshot with their points.
fn held(collections: &[SnapshotContent]) -> String {
    names(collections.iter().map(|c| (c.name.as_str(), c.points)))
}

/// Up to where in the log the collections of a snapshot have everything: a number, or the least and the largest.
fn sequences(collections: &[SnapshotContent]) -> String {
    let known = || collections.iter().filter_map(|content| content.sequence);
    match (known().min(), known().max()) {
        (Some(least), Some(most)) if least == most => count(most),
        (Some(least), Some(most)) => format!("{} to {}", count(least), count(most)),
        _ => "none".to_owned(),
    }
}

fn names<'a>(collections: impl Iterator<Item = (&'a str, u64)>) -> String {
    match collections.collect::<Vec<_>>()[..] {
        [] => "no collections".to_owned(),
        [(name, points)] => format!("{name} ({})", plural(points, "point")),
        ref many => many
            .iter()
            .map(|(name, points)| format!("{name} ({})", count(*points)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
