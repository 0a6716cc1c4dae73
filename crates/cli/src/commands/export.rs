//! `export`: all points as JSON lines that `import` reads back.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use vecdb_engine::ScrollRequest;

use super::input;
use super::session::{Collection, Intent, with_collection};
use crate::args::{ExportArgs, Globals};
use crate::failure::{Failure, Outcome};
use crate::output::{Bar, Console, PointJson, count, seconds};

/// Points read at once.
const PAGE: usize = 1_000;

pub(crate) fn run(console: &Console, globals: &Globals, args: &ExportArgs) -> Outcome {
    let filter = input::filter(args.filter.as_deref())?;
    let request = ScrollRequest {
        limit: PAGE,
        filter,
        with_vector: !args.no_vectors,
        with_metadata: true,
        ..ScrollRequest::default()
    };
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| match &args.output {
            Some(path) => to_file(console, collection, request, path),
            None => points(collection, request, None, |line| console.bytes(line)).map(drop),
        },
    )
}

/// Writes beside the file, then moves it there: a file of this name is always whole.
fn to_file(
    console: &Console,
    collection: Collection<'_>,
    request: ScrollRequest,
    path: &Path,
) -> Outcome {
    let started = Instant::now();
    let mut name = path
        .file_name()
        .ok_or_else(|| Failure::usage(format!("{} is no file name", path.display())))?
        .to_owned();
    name.push(".tmp");
    let draft = path.with_file_name(name);
    let failed = |error: std::io::Error| Failure::file(&draft, &error);
    let total = collection.count(request.filter.as_ref())?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&draft).map_err(failed)?);
    let bar = Bar::new(console, "exporting", Some(total));
    let outcome = points(collection, request, Some(&bar), |line| {
        out.write_all(line).map_err(failed)
    })
    .and_then(|written| {
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)?;
        std::fs::rename(&draft, path).map_err(|error| Failure::file(path, &error))?;
        Ok(written)
    });
    drop(bar);
    if outcome.is_err() {
        // Half an export is of no use; that it could not be removed changes nothing.
        let _ = std::fs::remove_file(&draft);
    }
    let written = outcome?;
    let time = started.elapsed().as_secs_f64();
    console.json(&json!({
        "collection": collection.name(),
        "output": path.display().to_string(),
        "points": written,
        "export_seconds": time,
    }))?;
    console.line(format_args!(
        "{} points written to {} in {}.",
        count(written),
        path.display(),
        seconds(time)
    ))
}

fn points(
    collection: Collection<'_>,
    mut request: ScrollRequest,
    bar: Option<&Bar>,
    mut write: impl FnMut(&[u8]) -> Outcome,
) -> Outcome<u64> {
    let mut written = 0;
    let mut line = Vec::new();
    loop {
        let page = collection.scroll(&request)?;
        for point in &page.points {
            line.clear();
            serde_json::to_writer(&mut line, &PointJson::from(point)).map_err(|error| {
                Failure::usage(format!(
                    "point {} cannot be written as JSON: {error}",
                    point.id
                ))
            })?;
            line.push(b'\n');
            write(&line)?;
        }
        written += page.points.len() as u64;
        if let Some(bar) = bar {
            bar.set(written);
        }
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            return Ok(written);
        }
    }
}
