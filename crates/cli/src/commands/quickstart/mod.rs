//! `quickstart`: from nothing to answers in one command.

mod report;
mod sample;

use std::time::Instant;

use vecdb_dataset::{PointOptions, Vectors, read_vectors};
use vecdb_engine::{CollectionConfig, ElementType, ErrorKind, Metric, SearchParams, SearchRequest};

use super::import::{Source, load, summary, wait};
use super::session::{Collection, Intent, Session};
use crate::args::Globals;
use crate::failure::{Failure, Outcome};
use crate::measure::{Latencies, recall};
use crate::output::{Console, count};
use report::{Answer, Report, print_answer, print_quality, shown_place};
use sample::{DIMENSION, PACKAGES, QUERIES, Unpacked, VECTORS, asks};

const COLLECTION: &str = "packages";
const RECALL_AT: usize = 10;

pub(crate) fn run(console: &Console, globals: &Globals) -> Outcome {
    let files = Unpacked::new()?;
    Session::open(console, globals, Intent::Create)?
        .run(|session| tour(console, globals, session, &files))
}

fn tour(console: &Console, globals: &Globals, session: &Session, files: &Unpacked) -> Outcome {
    let place = shown_place(globals);
    console.line(format_args!("Database: {place}"))?;
    let loaded = collection(console, session, files)?;
    let collection = loaded.collection;
    let asks = asks(files)?;
    let mut answers = Vec::new();
    for ask in &asks {
        let response = collection.search(&ask.request()?)?;
        print_answer(console, ask, &response)?;
        answers.push(Answer::new(ask, &response));
    }
    let quality = quality(collection, &files.vectors(QUERIES)?)?;
    let info = collection.info()?;
    let report = Report::new(globals, &loaded, &info, answers, quality);
    console.json(&report)?;
    print_quality(console, &place, &report)
}

/// The sample's collection, and what it took to have it.
struct Loaded<'a> {
    collection: Collection<'a>,
    found_again: bool,
    import_seconds: Option<f64>,
    build_seconds: Option<f64>,
}

fn collection<'a>(
    console: &Console,
    session: &'a Session,
    files: &Unpacked,
) -> Outcome<Loaded<'a>> {
    let sample = read_vectors(&files.path(VECTORS))?;
    let rows = u64::from(sample.rows());
    let info = match session.backend().collection(COLLECTION) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let config = CollectionConfig::new(DIMENSION, Metric::Cosine).element(ElementType::F16);
            session.backend().create_collection(COLLECTION, config)?
        }
        other => other?,
    };
    let collection = session.collection(COLLECTION);
    let dimension = info.config.vector()?.dimension;
    if dimension != DIMENSION {
        return Err(Failure::new(
            ErrorKind::AlreadyExists,
            format!(
                "there is another collection named {COLLECTION:?} of {dimension} dimensions; give another folder with --path, or another server with --url"
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
        loaded.build_seconds = Some(wait(console, loaded.collection)?);
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
    let mut import = load(console, loaded.collection, &mut source, None, 1_000)?;
    import.build_seconds = Some(wait(console, loaded.collection)?);
    console.line(summary(&import))?;
    loaded.import_seconds = Some(import.import_seconds);
    loaded.build_seconds = import.build_seconds;
    Ok(loaded)
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

fn quality(collection: Collection<'_>, queries: &Vectors) -> Outcome<Quality> {
    let values = queries.to_f32();
    let request = |vector: &[f32], exact: bool| {
        SearchRequest::new(vector)
            .limit(RECALL_AT)
            .params(SearchParams {
                exact,
                ..SearchParams::default()
            })
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
