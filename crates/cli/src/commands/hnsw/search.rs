//! `hnsw search`: the way of one query through the layers, or the latencies of many.

use std::collections::BTreeMap;

use serde::Serialize;
use vecdb_engine::Metric;
use vecdb_index::LayerTrace;
use vecdb_vector::Kernels;

use super::index_file::IndexFile;
use super::runner::{Run, Runner};
use crate::args::{Globals, HnswSearchArgs};
use crate::commands::flat::{QueryHits, recall_key};
use crate::failure::Outcome;
use crate::measure::{LatencySummary, Queries, Rows, Truth, mean_recall};
use crate::output::{Align, Console, Grid, count, decimal, float, percent, rate, seconds};

#[derive(Serialize)]
struct Report {
    index: String,
    dataset: String,
    rows: u32,
    metric: Metric,
    limit: usize,
    ef: u32,
    queries: usize,
    threads: usize,
    #[serde(flatten)]
    recall: BTreeMap<String, f64>,
    /// `computed` or `file`, where there is a recall.
    ground_truth: Option<&'static str>,
    queries_per_second: f64,
    #[serde(flatten)]
    latency: LatencySummary,
    distance_computations: f64,
    nodes_visited: f64,
    hops: f64,
    layers: Vec<Layer>,
    results: Vec<QueryHits>,
}

/// One layer of the last query's way.
#[derive(Serialize)]
struct Layer {
    layer: u8,
    hops: u32,
    distance_computations: u32,
    nearest_row: u32,
    nearest_distance: f32,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &HnswSearchArgs) -> Outcome {
    let file = IndexFile::open(&args.index)?;
    let dataset = args.dataset.as_ref().unwrap_or(&file.about.dataset);
    let metric = file.about.metric;
    let rows = Rows::load(console, dataset, metric, globals.threads_or_all())?;
    let graph = file.graph(&rows, dataset)?;
    let queries = Queries::load(
        &args.queries,
        metric,
        (rows.element(), rows.dim()),
        usize::MAX,
    )?;
    let runner = Runner {
        graph: graph.as_ref(),
        rows: rows.view()?,
        metric,
        kernels: Kernels::from_env()?,
        k: args.queries.limit,
        threads: globals.threads_or_one(),
    };
    let run = runner.run(queries.all(), args.ef)?;
    let truth = runner.truth(
        console,
        &queries,
        args.queries.ground_truth.as_deref(),
        globals.threads_or_all(),
    )?;
    let recall = truth
        .as_ref()
        .map(|truth| mean_recall(&run.hits, truth, metric));
    let results = run
        .hits
        .iter()
        .enumerate()
        .map(|(at, hits)| QueryHits::new(queries.row_in_file(at), metric, hits));
    let report = Report {
        index: args.index.display().to_string(),
        dataset: dataset.display().to_string(),
        rows: rows.len(),
        metric,
        limit: args.queries.limit,
        ef: args.ef,
        queries: queries.len(),
        threads: runner.threads,
        recall: recall
            .map(|recall| (recall_key(args.queries.limit), recall))
            .into_iter()
            .collect(),
        ground_truth: truth.as_ref().map(source_of),
        queries_per_second: run.queries_per_second(),
        latency: run.latencies.clone().summary(),
        distance_computations: run.mean(run.counters.distance_computations),
        nodes_visited: run.mean(run.counters.nodes_visited),
        hops: run.mean(run.counters.hops),
        layers: run
            .trace
            .iter()
            .map(|trace| Layer::new(trace, metric))
            .collect(),
        results: results.collect(),
    };
    console.json(&report)?;
    print(console, &report, recall, &run)
}

pub(super) fn source_of(truth: &Truth) -> &'static str {
    if truth.computed_seconds.is_some() {
        "computed"
    } else {
        "file"
    }
}

impl Layer {
    fn new(trace: &LayerTrace, metric: Metric) -> Self {
        Self {
            layer: trace.layer,
            hops: trace.hops,
            distance_computations: trace.distances,
            nearest_row: trace.nearest.row.0,
            nearest_distance: metric.distance(trace.nearest.distance),
        }
    }
}

fn print(console: &Console, report: &Report, recall: Option<f64>, run: &Run) -> Outcome {
    let one = report.queries == 1;
    console.line(format_args!("HNSW search (ef={}):", report.ef))?;
    if one {
        print_way(console, report)?;
    } else {
        console.line(format_args!(
            "  {} queries, the hits of the first:",
            count(report.queries as u64)
        ))?;
    }
    if let Some(first) = report.results.first() {
        console.grid(&first.grid(report.metric))?;
    }
    let latency = report.latency;
    let micros = |time: f64| seconds(time / 1e6);
    let time = match one {
        true => micros(latency.mean_us),
        false => format!(
            "{} mean, {} p50, {} p99",
            micros(latency.mean_us),
            micros(latency.p50_us),
            micros(latency.p99_us)
        ),
    };
    let per_query = if one { "" } else { " per query" };
    let number = |mean: f64| {
        if one {
            count(mean as u64)
        } else {
            decimal(mean)
        }
    };
    let mut facts = vec![
        (
            "Nodes visited",
            format!("{}{per_query}", number(report.nodes_visited)),
        ),
        (
            "Distance computations",
            format!(
                "{}{per_query} (vs {} brute force)",
                number(report.distance_computations),
                count(report.rows)
            ),
        ),
        ("Time", time),
    ];
    if !one {
        let threads = if report.threads == 1 {
            "one thread".to_owned()
        } else {
            format!("{} threads", report.threads)
        };
        facts.push((
            "Throughput",
            format!(
                "{} queries/second ({threads})",
                rate(run.queries_per_second())
            ),
        ));
    }
    if let Some(recall) = recall {
        let truth = if report.ground_truth == Some("file") {
            "against the truth file"
        } else {
            "against exact search"
        };
        facts.push((
            "Recall",
            format!("{} at k={}, {truth}", percent(recall), report.limit),
        ));
    }
    console.line("\nPerformance:")?;
    console.grid(&Grid::facts(facts))
}

fn print_way(console: &Console, report: &Report) -> Outcome {
    if let Some(top) = report.layers.first() {
        console.line(format_args!(
            "  starting from the entry point at layer {}",
            top.layer
        ))?;
    }
    let mut grid = Grid::new([
        ("Layer", Align::Right),
        ("Hops", Align::Right),
        ("Distances", Align::Right),
        ("Found row", Align::Right),
        ("Its distance", Align::Right),
    ]);
    for layer in &report.layers {
        grid.row([
            layer.layer.to_string(),
            match layer.layer {
                0 => format!("{} expanded", count(layer.hops)),
                _ => count(layer.hops),
            },
            count(layer.distance_computations),
            count(layer.nearest_row),
            float(layer.nearest_distance),
        ]);
    }
    console.grid(&grid)?;
    console.line("\nResults:")
}
