//! `hnsw build`.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use vecdb_engine::{ElementType, ErrorKind, HnswParams, IndexSpec, Metric};
use vecdb_index::hnsw::HnswStats;
use vecdb_index::{AnnIndex, BuildOptions, BuiltIndex, Hnsw};
use vecdb_vector::Kernels;

use super::index_file::{self, About};
use crate::args::{BuildArgs, Globals};
use crate::failure::{Failure, Outcome};
use crate::measure::Rows;
use crate::output::{Align, Bar, Console, Grid, bytes, count, decimal, seconds};

#[derive(Serialize)]
struct Report {
    dataset: String,
    output: String,
    rows: u32,
    dimension: usize,
    element: ElementType,
    metric: Metric,
    #[serde(flatten)]
    params: HnswParams,
    threads: usize,
    build_seconds: f64,
    vectors_per_second: f64,
    rows_per_layer: Vec<u32>,
    degree_per_layer: Vec<f64>,
    max_layer: u8,
    entry: Option<u32>,
    index_bytes: u64,
    vector_bytes: u64,
    file_bytes: u64,
    hops_max: u32,
    hops_mean: f64,
    unreachable: u32,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &BuildArgs) -> Outcome {
    let threads = globals.threads_or_all();
    let params = args.graph.params();
    params.validate()?;
    let metric = args.graph.metric;
    check_output(&args.output)?;
    let rows = Rows::load(console, &args.dataset, metric, threads)?;
    let about = About::new(&args.dataset, metric, &params, &rows);
    console.line("Building HNSW index:")?;
    console.line(format_args!(
        "  Dataset: {} vectors × {} dimensions of {}",
        count(rows.len()),
        rows.dim(),
        rows.element()
    ))?;
    console.line(format_args!(
        "  Metric: {metric}   M (max connections): {}   efConstruction: {}",
        params.m, params.ef_construction
    ))?;
    let started = Instant::now();
    let graph = build(console, &rows, metric, &params, threads)?;
    let build_seconds = started.elapsed().as_secs_f64();
    let file_bytes = index_file::write(&args.output, &about, graph.as_ref())?;
    let stats = stats(graph.as_ref())?;
    let report = Report {
        dataset: args.dataset.display().to_string(),
        output: args.output.display().to_string(),
        rows: rows.len(),
        dimension: rows.dim(),
        element: rows.element(),
        metric,
        params,
        threads,
        build_seconds,
        vectors_per_second: f64::from(rows.len()) / build_seconds.max(1e-9),
        rows_per_layer: stats.rows_per_layer,
        degree_per_layer: stats.degree_per_layer,
        max_layer: stats.max_layer,
        entry: stats.entry,
        index_bytes: graph.memory_bytes(),
        vector_bytes: rows.bytes().len() as u64,
        file_bytes,
        hops_max: stats.depth_max,
        hops_mean: stats.depth_mean,
        unreachable: stats.unreachable,
    };
    console.json(&report)?;
    print(console, &report)
}

/// Finds out before the work that its result has no place to go.
fn check_output(output: &Path) -> Outcome {
    let folder = output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::new(
            ErrorKind::NotFound,
            format!(
                "the folder {} of the output does not exist",
                folder.display()
            ),
        ));
    }
    if output.is_dir() || output.file_name().is_none() {
        return Err(Failure::usage(format!(
            "{} is a folder; name a file for the output",
            output.display()
        )));
    }
    Ok(())
}

/// Builds a graph over `rows`, with a progress bar.
pub(super) fn build(
    console: &Console,
    rows: &Rows,
    metric: Metric,
    params: &HnswParams,
    threads: usize,
) -> Outcome<Box<dyn BuiltIndex>> {
    let bar = Bar::new(console, "building", Some(u64::from(rows.len())));
    let options = BuildOptions {
        threads,
        progress: &bar,
        kernels: Kernels::from_env()?,
        ..BuildOptions::default()
    };
    Ok(vecdb_index::build(
        &IndexSpec::Hnsw(params.clone()),
        metric,
        rows.view()?,
        &options,
    )?)
}

fn stats(graph: &dyn AnnIndex) -> Outcome<HnswStats> {
    match graph.as_any().downcast_ref::<Hnsw>() {
        Some(graph) => Ok(graph.stats()?),
        None => Err(Failure::usage(format!(
            "an index of the kind `{}` has no layers",
            graph.kind()
        ))),
    }
}

fn print(console: &Console, report: &Report) -> Outcome {
    let mut layers = Grid::new([
        ("Layer", Align::Right),
        ("Vectors", Align::Right),
        ("Avg connections", Align::Right),
    ]);
    let per_layer = report.rows_per_layer.iter().zip(&report.degree_per_layer);
    for (layer, (rows, degree)) in per_layer.enumerate().rev() {
        layers.row([layer.to_string(), count(*rows), decimal(*degree)]);
    }
    console.grid(&layers)?;
    let sum = report.index_bytes + report.vector_bytes;
    let threads = if report.threads == 1 {
        "one thread".to_owned()
    } else {
        format!("{} threads", report.threads)
    };
    let facts = [
        (
            "Build time",
            format!(
                "{} ({} vectors/second, {threads})",
                seconds(report.build_seconds),
                decimal(report.vectors_per_second)
            ),
        ),
        (
            "Index size",
            format!(
                "{} (graph) + {} (vectors) = {}",
                bytes(report.index_bytes),
                bytes(report.vector_bytes),
                bytes(sum)
            ),
        ),
        (
            "Avg connections at layer 0",
            decimal(report.degree_per_layer.first().copied().unwrap_or(0.0)),
        ),
        ("Max layer reached", report.max_layer.to_string()),
        (
            "Graph diameter (estimated)",
            format!(
                "{} to {} hops ({} from the entry on average)",
                report.hops_max,
                2 * report.hops_max,
                decimal(report.hops_mean)
            ),
        ),
        ("Unreachable vectors", count(report.unreachable)),
        (
            "Written",
            format!("{} ({})", report.output, bytes(report.file_bytes)),
        ),
    ];
    console.grid(&Grid::facts(facts))
}
