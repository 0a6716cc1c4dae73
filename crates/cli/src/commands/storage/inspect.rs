//! `storage inspect`: log entries, manifests and file headers as they lie on the disk, without opening the database.

use vecdb_engine::{CollectionInspection, Env, InspectRequest, Inspection, LogInspection, inspect};

use crate::args::{Globals, StorageInspectArgs};
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, bytes, count, shorten};

pub(super) fn run(console: &Console, globals: &Globals, args: &StorageInspectArgs) -> Outcome {
    let request = InspectRequest {
        collection: args.collection.clone(),
        from: args.from,
        limit: args.limit,
    };
    let found = inspect(&Env::default(), &globals.path, &request)?;
    console.json(&found)?;
    print(console, &found)
}

fn print(console: &Console, found: &Inspection) -> Outcome {
    print_log(console, &found.log, found.log_from)?;
    for collection in &found.collections {
        print_collection(console, collection)?;
    }
    Ok(())
}

fn print_log(console: &Console, log: &LogInspection, log_from: u64) -> Outcome {
    console.line(format_args!(
        "Log: {} entries, {}; {} behind the last whole one; segments hold all up to entry {}.",
        count(log.entries),
        bytes(log.bytes),
        bytes(log.torn_bytes),
        count(log_from)
    ))?;
    if let Some(problem) = &log.problem {
        console.line(format_args!("PROBLEM: {problem}"))?;
    }
    if !log.files.is_empty() {
        let mut grid = Grid::new([
            ("Log file", Align::Left),
            ("Entries", Align::Right),
            ("Size", Align::Right),
            ("UUID", Align::Left),
        ]);
        for file in &log.files {
            let entries = match file.last < file.first {
                true => "none".to_owned(),
                false => format!("{} to {}", count(file.first), count(file.last)),
            };
            grid.row([
                file.name.clone(),
                entries,
                bytes(file.bytes),
                file.uuid.clone(),
            ]);
        }
        console.grid(&grid)?;
    }
    if log.shown.is_empty() {
        return Ok(());
    }
    let mut grid = Grid::new([
        ("Entry", Align::Right),
        ("Collection", Align::Left),
        ("Time (µs since 1970)", Align::Right),
        ("Written", Align::Right),
        ("Deleted", Align::Right),
        ("Size", Align::Right),
        ("Ids", Align::Left),
    ]);
    for entry in &log.shown {
        let more = entry.upserts + entry.deletes > entry.ids.len() as u64;
        let ids = match &entry.problem {
            Some(problem) => format!("PROBLEM: {problem}"),
            None => entry.ids.join(", ") + if more { ", …" } else { "" },
        };
        grid.row([
            count(entry.position),
            entry.collection.clone(),
            entry.time_us.to_string(),
            count(entry.upserts),
            count(entry.deletes),
            bytes(entry.bytes),
            shorten(&ids, 60),
        ]);
    }
    console.grid(&grid)
}

fn print_collection(console: &Console, collection: &CollectionInspection) -> Outcome {
    console.line(format_args!(
        "Collection {} in {}",
        collection.name,
        collection.folder.display()
    ))?;
    if let Some(problem) = &collection.problem {
        console.line(format_args!("PROBLEM: {problem}"))?;
    }
    if let Some(manifest) = &collection.manifest {
        let text = |key: &str| {
            manifest
                .get(key)
                .map_or_else(String::new, ToString::to_string)
        };
        console.grid(&Grid::facts([
            ("Manifest", format!("generation {}", text("generation"))),
            ("Flushed", format!("up to entry {}", text("flushed"))),
            ("Next segment", text("next_segment")),
            ("Settings", shorten(&text("config"), 100)),
            ("Fields", shorten(&text("fields"), 100)),
        ]))?;
    }
    for file in &collection.files {
        if let Some(problem) = &file.problem {
            console.line(format_args!("PROBLEM: {problem}"))?;
            continue;
        }
        let mut grid = Grid::new([
            (
                format!("{} ({}, version {})", file.name, file.kind, file.version),
                Align::Left,
            ),
            ("Offset".to_owned(), Align::Right),
            (format!("Size of {}", bytes(file.bytes)), Align::Right),
        ]);
        for section in &file.sections {
            grid.row([
                shorten(&section.name, 60),
                count(section.offset),
                bytes(section.bytes),
            ]);
        }
        console.grid(&grid)?;
    }
    match collection.unnamed.is_empty() {
        true => Ok(()),
        false => console.line(format_args!(
            "Not in the manifest: {}.",
            shorten(&collection.unnamed.join(", "), 200)
        )),
    }
}
