//! `collection create|list|info|compact|create-index|drop-index|drop`.

use serde_json::json;
use vecdb_engine::{
    CollectionConfig, CollectionInfo, MaintenanceStatus, MergeProgress, MergeStep, SearchCounts,
};

use super::session::{Collection, Intent, Session, with_collection};
use crate::args::{CollectionCommand, CreateArgs, FieldArgs, Globals, VectorArgs};
use crate::failure::Outcome;
use crate::output::{Align, Bar, Console, Grid, bytes, count, date_time, plural, seconds, shorten};

pub(crate) fn run(console: &Console, globals: &Globals, command: &CollectionCommand) -> Outcome {
    match command {
        CollectionCommand::Create(args) => create(console, globals, args),
        CollectionCommand::List => list(console, globals),
        CollectionCommand::Info { name } => {
            with_collection(console, globals, Intent::Read, name, |collection| {
                let info = collection.info()?;
                console.json(&info)?;
                print_info(console, &info)
            })
        }
        CollectionCommand::Compact { name } => compact(console, globals, name),
        CollectionCommand::CreateIndex(args) => field_index(console, globals, args, true),
        CollectionCommand::DropIndex(args) => field_index(console, globals, args, false),
        CollectionCommand::Drop { name } => drop_one(console, globals, name),
    }
}

/// The settings that the flags describe.
pub(crate) fn config(dimension: u32, args: &VectorArgs) -> Outcome<CollectionConfig> {
    let mut config = CollectionConfig::new(dimension, args.metric)
        .index(args.index.spec()?)
        .durability(args.durability);
    if let Some(element) = args.element {
        config = config.element(element);
    }
    for (name, kind) in &args.fields {
        config = config.field(name, *kind);
    }
    for name in &args.unindexed {
        config = config.unindexed(name);
    }
    Ok(config)
}

fn create(console: &Console, globals: &Globals, args: &CreateArgs) -> Outcome {
    let config = config(args.dimension, &args.vectors)?;
    // Wrong settings must not leave an empty database behind.
    config.validate()?;
    Session::open(console, globals, Intent::Create)?.run(|session| {
        let info = session.backend().create_collection(&args.name, config)?;
        console.json(&json!({"created": args.name, "config": info.config}))?;
        console.line(format_args!(
            "Collection {} created in {}.",
            args.name,
            session.place()
        ))
    })
}

fn list(console: &Console, globals: &Globals) -> Outcome {
    Session::open(console, globals, Intent::Read)?.run(|session| list_of(console, session))
}

fn list_of(console: &Console, session: &Session) -> Outcome {
    let summaries = session.backend().collections()?;
    console.json(&json!({"collections": summaries}))?;
    let mut grid = Grid::new([
        ("Collection", Align::Left),
        ("Points", Align::Right),
        ("Dimension", Align::Right),
        ("Metric", Align::Left),
        ("Element", Align::Left),
        ("Index", Align::Left),
    ]);
    for summary in &summaries {
        let info = session.backend().collection(&summary.name);
        match info
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|info| info.config.vector().map_err(|e| e.to_string()))
        {
            Ok(field) => grid.row([
                summary.name.clone(),
                count(summary.points),
                count(field.dimension),
                field.metric.to_string(),
                field.element.to_string(),
                field.index.to_string(),
            ]),
            Err(problem) => grid.row([
                summary.name.clone(),
                "broken".to_owned(),
                String::new(),
                shorten(&problem, 60),
            ]),
        }
    }
    match summaries.is_empty() {
        true => console.line(format_args!(
            "There are no collections in {}.",
            session.place()
        )),
        false => console.grid(&grid),
    }
}

fn compact(console: &Console, globals: &Globals, name: &str) -> Outcome {
    with_collection(console, globals, Intent::Write, name, |collection| {
        let before = collection.info()?;
        with_build_bar(console, collection, || collection.compact())?;
        let after = collection.info()?;
        let size = |info: &CollectionInfo| {
            info.segments
                .iter()
                .map(|segment| segment.bytes)
                .sum::<u64>()
        };
        console.json(&json!({
            "collection": name,
            "segments_before": before.segments.len(),
            "segments_after": after.segments.len(),
            "bytes_before": size(&before),
            "bytes_after": size(&after),
            "points": after.points,
        }))?;
        console.line(format_args!(
            "{} ({}) became {} ({}); {}.",
            plural(before.segments.len() as u64, "segment"),
            bytes(size(&before)),
            after.segments.len(),
            bytes(size(&after)),
            plural(after.points, "point")
        ))
    })
}

fn field_index(console: &Console, globals: &Globals, args: &FieldArgs, indexed: bool) -> Outcome {
    let FieldArgs { name, field } = args;
    with_collection(console, globals, Intent::Write, name, |collection| {
        let change = || collection.set_field_index(field, indexed);
        let changed = match indexed {
            true => with_build_bar(console, collection, change)?,
            false => change()?,
        };
        console.json(&json!({
            "collection": name,
            "field": field,
            "indexed": indexed,
            "changed": changed,
        }))?;
        console.line(format_args!(
            "Field {field} of {name} {}.",
            match (indexed, changed) {
                (true, true) => "is indexed",
                (true, false) => "was indexed already",
                (false, true) => "is not indexed any more",
                (false, false) => "had no index",
            }
        ))
    })
}

fn drop_one(console: &Console, globals: &Globals, name: &str) -> Outcome {
    Session::open(console, globals, Intent::Write)?.run(|session| {
        // A broken one can be dropped as well.
        let points = session
            .backend()
            .collection(name)
            .map_or(0, |info| info.points);
        session.backend().drop_collection(name)?;
        console.json(&json!({"dropped": name, "points": points}))?;
        console.line(format_args!(
            "Collection {name} with {} dropped.",
            plural(points, "point")
        ))
    })
}

/// By plan, since the collection was opened.
fn searched(counts: &SearchCounts) -> String {
    let plans = [
        ("scan", counts.scan),
        ("walk", counts.walk),
        ("hop", counts.hop),
        ("subset", counts.subset),
        ("check", counts.check),
        ("index", counts.index),
        ("sketches", counts.sketches),
        ("given up for another", counts.switched),
    ];
    let plans = plans.into_iter().filter(|(_, number)| *number > 0);
    let plans: Vec<String> = plans
        .map(|(plan, number)| format!("{} {plan}", count(number)))
        .collect();
    match plans.is_empty() {
        true => "none since it was opened".to_owned(),
        false => plans.join(", "),
    }
}

/// How merges are doing.
fn merges(status: &MaintenanceStatus) -> String {
    let paused = if status.merges_paused { "paused; " } else { "" };
    match &status.merge {
        None => format!(
            "{paused}none under way, {} since it was opened",
            count(status.merges)
        ),
        Some(merge) => format!("{paused}{}", merging(merge)),
    }
}

/// How far a merge is.
fn merging(merge: &MergeProgress) -> String {
    let doing = match merge.step {
        MergeStep::Rows => "written",
        MergeStep::Index => "in the index",
        MergeStep::Check => "read back",
    };
    let left = merge.eta_seconds.map_or(String::new(), |left| {
        format!(", about {} left", seconds(left))
    });
    format!(
        "{} of {} from {} {doing}, begun {}{left}",
        count(merge.rows_done),
        plural(merge.rows, "row"),
        plural(merge.segments, "segment"),
        date_time(merge.started_at)
    )
}

/// Runs maintenance `work` and shows on a bar how far the index is.
pub(crate) fn with_build_bar<T: Send>(
    console: &Console,
    collection: Collection<'_>,
    work: impl FnOnce() -> vecdb_engine::Result<T> + Send,
) -> Outcome<T> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        let mut bar = None;
        while !worker.is_finished() {
            let status = collection.info().map(|info| info.maintenance);
            let built = status.map(|status| status.building.or(status.building_fields));
            if let Ok(Some((done, total))) = built {
                let bar = bar.get_or_insert_with(|| Bar::new(console, "indexing", Some(total)));
                bar.set_total(total);
                bar.set(done);
            }
            std::thread::sleep(collection.poll_interval());
        }
        match worker.join() {
            Ok(outcome) => Ok(outcome?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn print_info(console: &Console, info: &CollectionInfo) -> Outcome {
    let field = info.config.vector()?;
    let size: u64 = info.segments.iter().map(|segment| segment.bytes).sum();
    let index: u64 = info
        .segments
        .iter()
        .map(|segment| segment.index_bytes)
        .sum();
    console.line(format_args!("Collection {}", info.name))?;
    console.grid(&Grid::facts([
        ("Points", count(info.points)),
        (
            "Vectors",
            format!(
                "{} dimensions of {}, metric {}",
                count(field.dimension),
                field.element,
                field.metric
            ),
        ),
        ("Index", field.index.to_string()),
        (
            "On disk",
            format!(
                "{} in {}, {} of it index",
                bytes(size),
                plural(info.segments.len() as u64, "segment"),
                bytes(index)
            ),
        ),
        (
            "In memory",
            format!(
                "{}, {}",
                plural(info.memtable_points, "point"),
                bytes(info.memtable_bytes)
            ),
        ),
        (
            "Graphs for filters",
            match info.subset_graphs {
                0 => "none".to_owned(),
                graphs => format!("{}, {}", count(graphs), bytes(info.subset_graph_bytes)),
            },
        ),
        (
            "Log position",
            format!(
                "{} (in segments up to {})",
                count(info.position),
                count(info.flushed_position)
            ),
        ),
        ("Merges", merges(&info.maintenance)),
        ("Segments searched", searched(&info.searches)),
    ]))?;
    if !info.segments.is_empty() {
        let mut grid = Grid::new([
            ("Segment", Align::Left),
            ("Rows", Align::Right),
            ("Live", Align::Right),
            ("Size", Align::Right),
            ("Index", Align::Left),
            ("Index size", Align::Right),
        ]);
        for segment in &info.segments {
            grid.row([
                segment.name.clone(),
                count(segment.rows),
                count(segment.live_rows),
                bytes(segment.bytes),
                segment
                    .index
                    .clone()
                    .unwrap_or_else(|| "none (scanned)".to_owned()),
                bytes(segment.index_bytes),
            ]);
        }
        console.grid(&grid)?;
    }
    let mut grid = Grid::new([
        ("Metadata field", Align::Left),
        ("Type", Align::Left),
        ("Declared", Align::Left),
        ("Indexed", Align::Left),
    ]);
    for (name, known) in info.fields.fields() {
        let yes = |is: bool| if is { "yes" } else { "" }.to_owned();
        grid.row([
            shorten(name, 44),
            known.to_string(),
            yes(known.declared),
            yes(!known.unindexed),
        ]);
    }
    match info.fields.is_empty() {
        true => Ok(()),
        false => console.grid(&grid),
    }
}
