//! What `quickstart` prints.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use vecdb_engine::{CollectionInfo, SearchResponse};

use super::sample::Ask;
use super::{COLLECTION, Loaded, Quality};
use crate::args::Globals;
use crate::failure::Outcome;
use crate::measure::micros;
use crate::output::{
    Align, Console, Grid, HitJson, bytes, count, decimal, duration, float, metadata_cell, percent,
    plural, seconds, shell_word,
};

#[derive(Serialize)]
pub(super) struct Report {
    /// The folder, or none with a server.
    path: Option<PathBuf>,
    /// The server, or none with a folder.
    url: Option<String>,
    collection: &'static str,
    points: u64,
    found_again: bool,
    import_seconds: Option<f64>,
    build_seconds: Option<f64>,
    segments: usize,
    data_bytes: u64,
    index_bytes: u64,
    asks: Vec<Answer>,
    queries: usize,
    recall_at_10: f64,
    p50_us: f64,
    p99_us: f64,
    distance_computations: f64,
    nodes_visited: f64,
    next: Vec<String>,
}

/// A question with its answer.
#[derive(Serialize)]
pub(super) struct Answer {
    text: String,
    filter: Value,
    matching: Option<u64>,
    latency_us: f64,
    distance_computations: u64,
    hits: Vec<HitJson>,
}

impl Answer {
    pub(super) fn new(ask: &Ask, response: &SearchResponse) -> Self {
        Self {
            text: ask.text.clone(),
            filter: ask.filter.clone(),
            matching: response.stats.matching,
            latency_us: micros(response.elapsed),
            distance_computations: response.stats.distance_computations,
            hits: response.hits.iter().map(HitJson::from).collect(),
        }
    }
}

pub(super) fn print_answer(console: &Console, ask: &Ask, response: &SearchResponse) -> Outcome {
    console.line(format_args!("\n“{}”  where {}", ask.text, ask.filter))?;
    let mut grid = Grid::new([
        ("Distance", Align::Right),
        ("Name", Align::Left),
        ("Synopsis", Align::Left),
        ("Section", Align::Left),
        ("Installed kB", Align::Right),
    ]);
    for hit in &response.hits {
        let cell = |name: &str| {
            metadata_cell(
                hit.metadata
                    .as_ref()
                    .and_then(|metadata| metadata.get(name)),
            )
        };
        let size = cell("installed_size_kb");
        grid.row([
            float(hit.distance),
            hit.id.to_string(),
            cell("synopsis"),
            cell("section"),
            size,
        ]);
    }
    console.grid(&grid)?;
    console.line(format_args!(
        "{} packages match the filter; answered in {}",
        count(response.stats.matching.unwrap_or(0)),
        duration(response.elapsed)
    ))
}

impl Report {
    pub(super) fn new(
        globals: &Globals,
        loaded: &Loaded,
        info: &CollectionInfo,
        asks: Vec<Answer>,
        quality: Quality,
    ) -> Self {
        Self {
            path: globals.server.url.is_none().then(|| full_path(globals)),
            url: globals.server.url.clone(),
            collection: COLLECTION,
            points: info.points,
            found_again: loaded.found_again,
            import_seconds: loaded.import_seconds,
            build_seconds: loaded.build_seconds,
            segments: info.segments.len(),
            data_bytes: info.segments.iter().map(|segment| segment.bytes).sum(),
            index_bytes: info
                .segments
                .iter()
                .map(|segment| segment.index_bytes)
                .sum(),
            asks,
            queries: quality.queries,
            recall_at_10: quality.recall,
            p50_us: quality.p50_us,
            p99_us: quality.p99_us,
            distance_computations: quality.distance_computations,
            nodes_visited: quality.nodes_visited,
            next: next_commands(globals),
        }
    }
}

pub(super) fn print_quality(console: &Console, place: &str, report: &Report) -> Outcome {
    console.line(format_args!(
        "\n{} sample queries against exact search:",
        report.queries
    ))?;
    console.grid(&Grid::facts([
        ("Recall@10", percent(report.recall_at_10)),
        (
            "Latency",
            format!(
                "{} median, {} p99",
                seconds(report.p50_us / 1e6),
                seconds(report.p99_us / 1e6)
            ),
        ),
        (
            "Distance computations",
            format!(
                "{} per query, of {} packages",
                decimal(report.distance_computations),
                count(report.points)
            ),
        ),
        (
            "Data",
            format!(
                "{place}: {} in {}, {} of it index",
                bytes(report.data_bytes),
                plural(report.segments as u64, "segment"),
                bytes(report.index_bytes)
            ),
        ),
    ]))?;
    console.line("\nTry next:")?;
    for command in &report.next {
        console.line(format_args!("  {command}"))?;
    }
    Ok(())
}

/// Three commands that work as they stand: with the program and the database that were used now.
fn next_commands(globals: &Globals) -> Vec<String> {
    let program = shell_word(&program());
    let place = place_flags(globals);
    [
        format!("search -c {COLLECTION} --like 3dchess --filter '{{\"section\": \"games\"}}' --columns synopsis,section"),
        format!("count -c {COLLECTION} --filter '{{\"tags\": \"interface::commandline\", \"installed_size_kb\": {{\"$lt\": 500}}}}'"),
        format!("collection info {COLLECTION}"),
    ]
    .map(|rest| format!("{program}{place} {rest}"))
    .to_vec()
}

/// The flags that name the database, unless it is the default one. A key is not shown again.
fn place_flags(globals: &Globals) -> String {
    let server = &globals.server;
    let flag = |name: &str, value: &str| format!(" {name} {}", shell_word(value));
    let Some(url) = &server.url else {
        let is_set = |variable| std::env::var_os(variable).is_some();
        let is_default = globals.path == Path::new("vecdb-data")
            && !is_set("VECDB_PATH")
            && !is_set("VECDB_URL");
        return match is_default {
            true => String::new(),
            false => flag("--path", &globals.path.to_string_lossy()),
        };
    };
    let files = [
        ("--ca-certificate", &server.ca_certificate),
        ("--client-certificate", &server.client_certificate),
        ("--client-key", &server.client_key),
    ];
    let files = files.iter().filter_map(|(name, file)| {
        file.as_ref()
            .map(|file| flag(name, &file.to_string_lossy()))
    });
    flag("--url", url) + &files.collect::<String>()
}

/// How the shell finds this program: by its name where that was typed, else by its place.
fn program() -> String {
    let typed = std::env::args()
        .next()
        .unwrap_or_else(|| "vecdb".to_owned());
    if !typed.contains('/') {
        return typed;
    }
    let Ok(place) = std::env::current_exe() else {
        return typed;
    };
    let here = std::env::current_dir().unwrap_or_default();
    match place.strip_prefix(&here) {
        Ok(below) => format!("./{}", below.display()),
        Err(_) => place.display().to_string(),
    }
}

/// The folder or the address.
pub(super) fn shown_place(globals: &Globals) -> String {
    match &globals.server.url {
        Some(url) => url.clone(),
        None => full_path(globals).display().to_string(),
    }
}

fn full_path(globals: &Globals) -> PathBuf {
    std::path::absolute(&globals.path).unwrap_or_else(|_| globals.path.clone())
}
