//! `quickstart`: from nothing to answers in one command.
//!
//! The sample is part of the program, so that it works from any folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vecdb_dataset::{PointOptions, Vectors, read_vectors};
use vecdb_engine::{
    Collection, CollectionConfig, CollectionInfo, Database, ElementType, ErrorKind, Filter, Metric,
    SearchParams, SearchRequest, SearchResponse,
};

use super::import::{Source, load, summary, wait};
use super::session::{Intent, open};
use crate::args::Globals;
use crate::failure::{Failure, Outcome};
use crate::measure::{Latencies, recall};
use crate::output::{
    Align, Console, Grid, HitJson, bytes, count, decimal, duration, float, metadata_cell, percent,
    seconds, shell_word,
};

const COLLECTION: &str = "packages";
const DIMENSION: u32 = 384;
const LIMIT: usize = 5;
const RECALL_AT: usize = 10;

/// The files of the sample, cut by `examples/debian-packages/cut.py`.
macro_rules! sample {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../../examples/debian-packages/", $name)) as &[u8],
        )
    };
}
const VECTORS: (&str, &[u8]) = sample!("base.f16.npy");
const PACKAGES: (&str, &[u8]) = sample!("packages.jsonl.gz");
const ASK_VECTORS: (&str, &[u8]) = sample!("asks.npy");
const ASKS: (&str, &[u8]) = sample!("asks.jsonl");
const QUERIES: (&str, &[u8]) = sample!("queries.f16.npy");

#[derive(Serialize)]
struct Report {
    path: PathBuf,
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
struct Answer {
    text: String,
    filter: Value,
    matching: Option<u64>,
    latency_us: f64,
    distance_computations: u64,
    hits: Vec<HitJson>,
}

pub(crate) fn run(console: &Console, globals: &Globals) -> Outcome {
    let files = Unpacked::new()?;
    let database = open(console, globals, Intent::Create)?;
    let outcome = tour(console, globals, &database, &files);
    let closed = database.close();
    outcome?;
    Ok(closed?)
}

fn tour(console: &Console, globals: &Globals, database: &Database, files: &Unpacked) -> Outcome {
    let place = shown_path(globals);
    console.line(format_args!("Database: {place}"))?;
    let loaded = collection(console, database, files)?;
    let collection = &loaded.collection;
    let asks = asks(files)?;
    let mut answers = Vec::new();
    for ask in &asks {
        let response = collection.search(&ask.request()?)?;
        print_answer(console, ask, &response)?;
        answers.push(Answer::new(ask, &response));
    }
    let quality = quality(collection, &files.vectors(QUERIES)?)?;
    let info = collection.info();
    let report = report(globals, &loaded, &info, answers, quality);
    console.json(&report)?;
    print_quality(console, &place, &report)
}

/// The sample's collection, and what it took to have it.
struct Loaded {
    collection: Collection,
    found_again: bool,
    import_seconds: Option<f64>,
    build_seconds: Option<f64>,
}

fn collection(console: &Console, database: &Database, files: &Unpacked) -> Outcome<Loaded> {
    let sample = read_vectors(&files.path(VECTORS))?;
    let rows = u64::from(sample.rows());
    let collection = match database.collection(COLLECTION) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let config = CollectionConfig::new(DIMENSION, Metric::Cosine).element(ElementType::F16);
            database.create_collection(COLLECTION, config)?
        }
        other => other?,
    };
    let dimension = collection.config().vector()?.dimension;
    if dimension != DIMENSION {
        return Err(Failure::new(
            ErrorKind::AlreadyExists,
            format!(
                "there is another collection named {COLLECTION:?} of {dimension} dimensions; give another folder with --path"
            ),
        ));
    }
    let found_again = collection.count(None)? >= rows;
    let mut loaded = Loaded {
        collection,
        found_again,
        import_seconds: None,
        build_seconds: None,
    };
    if found_again {
        console.line(format_args!(
            "Found the data again: {} packages. Nothing is imported.",
            count(rows)
        ))?;
        loaded.build_seconds = Some(wait(console, &loaded.collection)?);
        return Ok(loaded);
    }
    console.line(format_args!(
        "Loading {} Debian packages: sentence embeddings of {DIMENSION} dimensions with metadata.",
        count(rows)
    ))?;
    let options = PointOptions::default();
    let mut source = Source::open(
        &files.path(VECTORS),
        Some(&files.path(PACKAGES)),
        &options,
        false,
    )?;
    let mut import = load(console, &loaded.collection, &mut source, None, 1_000)?;
    import.build_seconds = Some(wait(console, &loaded.collection)?);
    console.line(summary(&import))?;
    loaded.import_seconds = Some(import.import_seconds);
    loaded.build_seconds = import.build_seconds;
    Ok(loaded)
}

/// A question as a person typed it.
struct Ask {
    text: String,
    filter: Value,
    vector: Vec<f32>,
}

impl Ask {
    fn request(&self) -> Outcome<SearchRequest> {
        Ok(SearchRequest::new(self.vector.clone())
            .limit(LIMIT)
            .filter(Filter::parse(&self.filter)?))
    }
}

/// The questions that come with a filter.
fn asks(files: &Unpacked) -> Outcome<Vec<Ask>> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
        filter: Option<Value>,
    }
    let vectors = files.vectors(ASK_VECTORS)?.to_f32();
    let lines = serde_json::Deserializer::from_slice(ASKS.1).into_iter::<Line>();
    let mut asks = Vec::new();
    for (line, vector) in lines.zip(vectors.chunks_exact(DIMENSION as usize)) {
        let line =
            line.map_err(|error| Failure::usage(format!("the questions of the sample: {error}")))?;
        if let Some(filter) = line.filter {
            asks.push(Ask {
                text: line.text,
                filter,
                vector: vector.to_vec(),
            });
        }
    }
    Ok(asks)
}

impl Answer {
    fn new(ask: &Ask, response: &SearchResponse) -> Self {
        Self {
            text: ask.text.clone(),
            filter: ask.filter.clone(),
            matching: response.stats.matching,
            latency_us: response.elapsed.as_secs_f64() * 1e6,
            distance_computations: response.stats.distance_computations,
            hits: response.hits.iter().map(HitJson::from).collect(),
        }
    }
}

fn print_answer(console: &Console, ask: &Ask, response: &SearchResponse) -> Outcome {
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

/// How the default search does on the sample's queries.
struct Quality {
    queries: usize,
    recall: f64,
    p50_us: f64,
    p99_us: f64,
    distance_computations: f64,
    nodes_visited: f64,
}

fn quality(collection: &Collection, queries: &Vectors) -> Outcome<Quality> {
    let values = queries.to_f32();
    let request = |vector: &[f32], exact: bool| {
        SearchRequest::new(vector)
            .limit(RECALL_AT)
            .params(SearchParams { ef: None, exact })
            .with_metadata(false)
    };
    let mut latencies = Latencies::default();
    let (mut found, mut distances, mut nodes) = (0.0, 0u64, 0u64);
    for vector in values.chunks_exact(DIMENSION as usize) {
        let exact = collection.search(&request(vector, true))?;
        let started = Instant::now();
        let response = collection.search(&request(vector, false))?;
        latencies.push(started.elapsed());
        let kth = exact
            .hits
            .last()
            .map_or(f32::NEG_INFINITY, |hit| hit.distance);
        found += recall(
            response.hits.iter().map(|hit| hit.distance),
            (kth, exact.hits.len()),
        );
        distances += response.stats.distance_computations;
        nodes += response.stats.nodes_visited;
    }
    let queries = queries.rows() as usize;
    let latency = latencies.summary();
    Ok(Quality {
        queries,
        recall: found / queries.max(1) as f64,
        p50_us: latency.p50_us,
        p99_us: latency.p99_us,
        distance_computations: distances as f64 / queries.max(1) as f64,
        nodes_visited: nodes as f64 / queries.max(1) as f64,
    })
}

fn report(
    globals: &Globals,
    loaded: &Loaded,
    info: &CollectionInfo,
    asks: Vec<Answer>,
    quality: Quality,
) -> Report {
    Report {
        path: std::path::absolute(&globals.path).unwrap_or_else(|_| globals.path.clone()),
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

fn print_quality(console: &Console, place: &str, report: &Report) -> Outcome {
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
                "{place}: {} in {} {}, {} of it index",
                bytes(report.data_bytes),
                report.segments,
                if report.segments == 1 {
                    "segment"
                } else {
                    "segments"
                },
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

/// Three commands that work as they stand: with the program and the folder that were used now.
fn next_commands(globals: &Globals) -> Vec<String> {
    let program = shell_word(&program());
    let path =
        match globals.path == Path::new("vecdb-data") && std::env::var_os("VECDB_PATH").is_none() {
            true => String::new(),
            false => format!(" --path {}", shell_word(&globals.path.to_string_lossy())),
        };
    [
        format!("search -c {COLLECTION} --like 3dchess --filter '{{\"section\": \"games\"}}' --columns synopsis,section"),
        format!("count -c {COLLECTION} --filter '{{\"tags\": \"interface::commandline\", \"installed_size_kb\": {{\"$lt\": 500}}}}'"),
        format!("collection info {COLLECTION}"),
    ]
    .map(|rest| format!("{program}{path} {rest}"))
    .to_vec()
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

fn shown_path(globals: &Globals) -> String {
    std::path::absolute(&globals.path)
        .unwrap_or_else(|_| globals.path.clone())
        .display()
        .to_string()
}

/// The sample as files, for the readers. Removed when dropped.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("vecdb-quickstart-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
        let unpacked = Self(folder);
        for (name, bytes) in [VECTORS, PACKAGES, ASK_VECTORS, QUERIES] {
            let path = unpacked.0.join(name);
            std::fs::write(&path, bytes).map_err(|error| Failure::file(&path, &error))?;
        }
        Ok(unpacked)
    }

    fn path(&self, (name, _): (&str, &[u8])) -> PathBuf {
        self.0.join(name)
    }

    fn vectors(&self, file: (&str, &[u8])) -> Outcome<Vectors> {
        Ok(read_vectors(&self.path(file))?)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // A rest in the temporary folder is no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
