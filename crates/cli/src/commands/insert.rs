//! `insert`: one point from the command line, or a stream of JSON lines from stdin.

use std::io::BufRead;

use serde_json::json;
use vecdb_engine::{ErrorKind, Metadata, Point, PointId};

use super::input;
use super::session::{Collection, Intent, with_collection};
use crate::args::{Globals, InsertArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Console, count, plural};

/// Longer lines than this are no points.
const LINE_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
struct Written {
    points: u64,
    inserted: u64,
    updated: u64,
    position: u64,
}

pub(crate) fn run(console: &Console, globals: &Globals, args: &InsertArgs) -> Outcome {
    if args.batch == 0 {
        return Err(Failure::usage("--batch 0 writes nothing; use 1 or more"));
    }
    let single = single_point(args)?;
    with_collection(
        console,
        globals,
        Intent::Write,
        &args.name.collection,
        |collection| {
            let mut written = Written::default();
            match single {
                Some(point) => write(console, args, collection, vec![point], &mut written)?,
                None => stream(console, args, collection, &mut written)?,
            }
            console.json(&json!({
                "collection": collection.name(),
                "points": written.points,
                "inserted": written.inserted,
                "updated": written.updated,
                "position": written.position,
            }))?;
            console.line(format_args!(
                "{} acknowledged ({} new, {} replaced).",
                plural(written.points, "point"),
                count(written.inserted),
                count(written.updated)
            ))
        },
    )
}

/// The point of the command line; `None` when they come from stdin.
fn single_point(args: &InsertArgs) -> Outcome<Option<Point>> {
    match (&args.point, &args.id, &args.vector) {
        (Some(text), ..) if text == "-" => Ok(None),
        (Some(text), ..) => input::point(text).map(Some),
        (None, Some(id), Some(vector)) => {
            let metadata = args
                .metadata
                .as_deref()
                .map_or(Ok(Metadata::new()), input::metadata)?;
            Ok(Some(Point {
                id: PointId::parse(id)?,
                vector: input::vector(vector)?,
                metadata,
            }))
        }
        _ => Err(Failure::usage(
            "give a point as JSON, `-` for stdin, or --id and --vector",
        )),
    }
}

fn write(
    console: &Console,
    args: &InsertArgs,
    collection: Collection<'_>,
    points: Vec<Point>,
    written: &mut Written,
) -> Outcome {
    let number = points.len() as u64;
    let result = collection.upsert(points)?;
    written.points += number;
    written.inserted += result.inserted;
    written.updated += result.updated;
    written.position = result.position;
    if args.acks {
        console
            .json_line(&json!({"acknowledged": written.points, "position": written.position}))?;
        // Whoever waits for it must not wait for a full buffer.
        console.flush()?;
    }
    Ok(())
}

fn stream(
    console: &Console,
    args: &InsertArgs,
    collection: Collection<'_>,
    written: &mut Written,
) -> Outcome {
    let mut stdin = std::io::stdin().lock();
    let mut points = Vec::new();
    let mut line = Vec::new();
    let mut number = 0u64;
    let mut first = 1;
    let mut flush = |points: &mut Vec<Point>, lines: std::ops::RangeInclusive<u64>| {
        write(console, args, collection, std::mem::take(points), written).map_err(|failure| {
            failure.context(format_args!(
                "stdin, lines {} to {}",
                lines.start(),
                lines.end()
            ))
        })
    };
    loop {
        line.clear();
        number += 1;
        if !read_line(&mut stdin, &mut line)? {
            break;
        }
        let failed = |failure: Failure| failure.context(format_args!("stdin, line {number}"));
        let text = std::str::from_utf8(&line)
            .map_err(|error| failed(Failure::usage(format!("not UTF-8: {error}"))))?;
        if text.trim().is_empty() {
            continue;
        }
        points.push(input::point(text).map_err(failed)?);
        if points.len() >= args.batch {
            flush(&mut points, first..=number)?;
            first = number + 1;
        }
    }
    if !points.is_empty() {
        flush(&mut points, first..=number.saturating_sub(1))?;
    }
    Ok(())
}

/// One line; false at the end.
fn read_line(stdin: &mut impl BufRead, line: &mut Vec<u8>) -> Outcome<bool> {
    use std::io::Read;
    let read = stdin
        .by_ref()
        .take(LINE_BYTES_MAX as u64 + 1)
        .read_until(b'\n', line);
    let read =
        read.map_err(|error| Failure::new(ErrorKind::Io, format!("cannot read stdin: {error}")))?;
    if read > LINE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "a line of stdin is longer than {LINE_BYTES_MAX} bytes, the most a point may take"
        )));
    }
    Ok(read > 0)
}
