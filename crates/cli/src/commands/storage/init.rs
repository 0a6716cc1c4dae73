//! `storage init`: a database with one collection, and the files that this takes.

use std::path::Path;

use serde::Serialize;
use serde_json::json;
use vecdb_engine::{ErrorKind, Options};
use vecdb_storage::{Disk, FileDisk, WalOptions};

use super::super::collection::config;
use super::super::session::{Intent, Session};
use crate::args::{Globals, StorageInitArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Align, Console, Grid, bytes, count, percent};

#[derive(Serialize)]
struct FileJson {
    path: String,
    bytes: u64,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &StorageInitArgs) -> Outcome {
    let config = config(args.dimension, &args.vectors)?;
    // Wrong settings must not leave an empty database behind.
    config.validate()?;
    let name = &args.collection;
    let info = Session::open(console, globals, Intent::Create)?
        .run(|session| Ok(session.backend().create_collection(name, config)?))?;
    let mut files = Vec::new();
    list(&globals.path, &mut files)?;
    let options = Options::default();
    let log_file = WalOptions::default().file_bytes_max;
    console.json(&json!({
        "path": globals.path,
        "collection": name,
        "config": info.config,
        "log_file_bytes_max": log_file,
        "log_bytes_max": options.wal_bytes_max,
        "memtable_bytes_max": options.memtable_bytes_max,
        "segment_bytes_max": options.segment_bytes_max,
        "index_rows_min": options.index_rows_min,
        "dead_share_max": options.dead_share_max,
        "files": files,
    }))?;
    let field = info.config.vector()?;
    console.grid(&Grid::facts([
        ("Data directory", globals.path.display().to_string()),
        (
            "Collection",
            format!(
                "{name}: {} dimensions of {}, metric {}, index {}",
                count(field.dimension),
                field.element,
                field.metric,
                field.index
            ),
        ),
        ("Log file size", bytes(log_file)),
        (
            "Checkpoint threshold",
            format!("{} of log", bytes(options.wal_bytes_max)),
        ),
        (
            "Flush threshold",
            format!("{} of points in memory", bytes(options.memtable_bytes_max)),
        ),
        (
            "Compaction threshold",
            format!(
                "segments of similar size, up to {}; {} of deleted rows",
                bytes(options.segment_bytes_max),
                percent(options.dead_share_max)
            ),
        ),
        (
            "Index",
            format!(
                "for segments from {} rows on",
                count(options.index_rows_min)
            ),
        ),
    ]))?;
    let mut grid = Grid::new([("File", Align::Left), ("Size", Align::Right)]);
    for file in &files {
        grid.row([file.path.clone(), bytes(file.bytes)]);
    }
    console.grid(&grid)
}

/// All files below a folder.
fn list(folder: &Path, files: &mut Vec<FileJson>) -> Outcome {
    let entries = FileDisk.list(folder).map_err(|error| {
        Failure::new(
            ErrorKind::Io,
            format!("cannot list {}: {error}", folder.display()),
        )
    })?;
    for entry in entries {
        let path = folder.join(&entry.name);
        if entry.is_dir {
            list(&path, files)?;
        } else {
            files.push(FileJson {
                path: path.display().to_string(),
                bytes: entry.len,
            });
        }
    }
    Ok(())
}
