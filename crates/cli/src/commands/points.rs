//! `get`, `delete`, `update`, `count` and `scroll`.

use serde::Serialize;
use serde_json::{Value, json};
use vecdb_backend::Selection;
use vecdb_engine::{
    ErrorKind, Metadata, MetadataUpdate, OrderBy, Record, ScrollRequest, WriteResult,
};

use super::input;
use super::session::{Intent, with_collection};
use crate::args::{CountArgs, DeleteArgs, GetArgs, Globals, ScrollArgs, UpdateArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{
    Align, Console, Grid, PointJson, count as number, float, metadata_cell, plural, shorten,
};

/// Metadata columns shown unless more are asked for.
const COLUMNS: usize = 5;
/// Values of a vector shown in a table.
const VALUES: usize = 4;

#[derive(Serialize)]
struct Got<'a> {
    points: Vec<PointJson<'a>>,
    missing: Vec<Value>,
}

#[derive(Serialize)]
struct Page<'a> {
    points: Vec<PointJson<'a>>,
    next_cursor: Option<&'a str>,
}

pub(crate) fn get(console: &Console, globals: &Globals, args: &GetArgs) -> Outcome {
    let ids = input::ids(&args.ids)?;
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| {
            let found = collection.get(&ids, args.with_vector)?;
            let missing: Vec<_> = ids
                .iter()
                .zip(&found)
                .filter(|(_, record)| record.is_none())
                .map(|(id, _)| id)
                .collect();
            if missing.len() == ids.len() {
                let shown: Vec<_> = missing.iter().take(10).map(ToString::to_string).collect();
                return Err(Failure::new(
                    ErrorKind::NotFound,
                    format!(
                        "no point of collection {:?} has the id {}",
                        collection.name(),
                        shown.join(" or ")
                    ),
                ));
            }
            let records: Vec<_> = found.iter().flatten().collect();
            console.json(&Got {
                points: records
                    .iter()
                    .map(|record| PointJson::from(*record))
                    .collect(),
                missing: missing.iter().map(|id| id.to_json()).collect(),
            })?;
            for record in records {
                print_record(console, record)?;
            }
            if !missing.is_empty() {
                let shown: Vec<_> = missing.iter().map(ToString::to_string).collect();
                console.line(format_args!("Not found: {}", shown.join(", ")))?;
            }
            Ok(())
        },
    )
}

fn print_record(console: &Console, record: &Record) -> Outcome {
    let mut grid = Grid::new([("Field", Align::Left), ("Value", Align::Left)]);
    grid.row(["id".to_owned(), shorten(&record.id.to_string(), 80)]);
    if let Some(vector) = &record.vector {
        grid.row(["vector".to_owned(), vector_cell(vector)]);
    }
    for (name, value) in record.metadata.iter().flatten() {
        let text = match value.to_json() {
            Value::String(text) => text,
            other => other.to_string(),
        };
        grid.row([shorten(name, 44), shorten(&text, 80)]);
    }
    console.grid(&grid)
}

fn vector_cell(vector: &[f32]) -> String {
    let mut values: Vec<_> = vector
        .iter()
        .take(VALUES)
        .map(|value| float(*value))
        .collect();
    if vector.len() > VALUES {
        values.push(format!(
            "… ({} values; --json shows all)",
            number(vector.len() as u64)
        ));
    }
    values.join(", ")
}

pub(crate) fn delete(console: &Console, globals: &Globals, args: &DeleteArgs) -> Outcome {
    let ids = input::ids(&args.ids)?;
    let selection = match input::filter(args.filter.as_deref())? {
        Some(filter) => Selection::Filter(filter),
        None => Selection::Ids(ids),
    };
    with_collection(
        console,
        globals,
        Intent::Write,
        &args.name.collection,
        |collection| {
            let result = collection.delete(&selection)?;
            console.json(&write_json(collection.name(), &result))?;
            console.line(format_args!("{} deleted.", plural(result.deleted, "point")))
        },
    )
}

pub(crate) fn update(console: &Console, globals: &Globals, args: &UpdateArgs) -> Outcome {
    let ids = input::ids(&args.ids)?;
    let update = match (&args.merge, &args.replace) {
        (Some(text), _) => MetadataUpdate::Merge(input::metadata(text)?),
        (None, Some(text)) => MetadataUpdate::Replace(input::metadata(text)?),
        (None, None) => return Err(Failure::usage("give --merge or --replace")),
    };
    with_collection(
        console,
        globals,
        Intent::Write,
        &args.name.collection,
        |collection| {
            let result = collection.update_metadata(&ids, &update)?;
            console.json(&write_json(collection.name(), &result))?;
            console.line(format_args!("{} updated.", plural(result.updated, "point")))
        },
    )
}

fn write_json(collection: &str, result: &WriteResult) -> Value {
    json!({
        "collection": collection,
        "inserted": result.inserted,
        "updated": result.updated,
        "deleted": result.deleted,
        "position": result.position,
        "durability": result.durability,
    })
}

pub(crate) fn count(console: &Console, globals: &Globals, args: &CountArgs) -> Outcome {
    let filter = input::filter(args.filter.as_deref())?;
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| {
            let count = collection.count(filter.as_ref())?;
            console.json(&json!({"collection": collection.name(), "count": count}))?;
            console.line(number(count))
        },
    )
}

pub(crate) fn scroll(console: &Console, globals: &Globals, args: &ScrollArgs) -> Outcome {
    let request = ScrollRequest {
        cursor: args.cursor.clone(),
        limit: args.limit,
        filter: input::filter(args.filter.as_deref())?,
        with_vector: args.with_vector,
        with_metadata: true,
        order_by: args.order_by.clone().map(|field| OrderBy {
            field,
            descending: args.descending,
        }),
        ..ScrollRequest::default()
    };
    with_collection(
        console,
        globals,
        Intent::Read,
        &args.name.collection,
        |collection| {
            let page = collection.scroll(&request)?;
            console.json(&Page {
                points: page.points.iter().map(PointJson::from).collect(),
                next_cursor: page.next_cursor.as_deref(),
            })?;
            let columns = columns(
                args.columns.as_deref(),
                page.points.iter().map(|point| point.metadata.as_ref()),
            );
            let mut titles = vec![("Id".to_owned(), Align::Left)];
            if args.with_vector {
                titles.push(("Vector".to_owned(), Align::Left));
            }
            titles.extend(columns.iter().map(|name| (shorten(name, 44), Align::Left)));
            let mut grid = Grid::new(titles);
            for point in &page.points {
                let mut row = vec![shorten(&point.id.to_string(), 44)];
                if args.with_vector {
                    row.push(vector_cell(point.vector.as_deref().unwrap_or_default()));
                }
                row.extend(
                    columns.iter().map(|name| {
                        metadata_cell(point.metadata.as_ref().and_then(|m| m.get(name)))
                    }),
                );
                grid.row(row);
            }
            match page.points.is_empty() {
                true => console.line("No points.")?,
                false => console.grid(&grid)?,
            }
            match &page.next_cursor {
                Some(cursor) => console.line(format_args!("More with --cursor {cursor}")),
                None => Ok(()),
            }
        },
    )
}

/// The metadata fields that a table shows: those asked for, or the first few there are.
pub(crate) fn columns<'a>(
    asked: Option<&[String]>,
    records: impl Iterator<Item = Option<&'a Metadata>>,
) -> Vec<String> {
    if let Some(asked) = asked {
        return asked.to_vec();
    }
    let mut names: Vec<String> = Vec::new();
    for name in records.flatten().flat_map(|metadata| metadata.keys()) {
        if names.len() < COLUMNS && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
