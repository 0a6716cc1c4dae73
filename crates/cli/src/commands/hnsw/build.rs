//! `hnsw build`.

use serde::Serialize;
use vecdb_engine::{HnswParams, IndexSpec};
use vecdb_index::Hnsw;

use crate::args::{Globals, HnswBuildArgs};
use crate::commands::index_files::Built;
use crate::failure::{Failure, Outcome};
use crate::output::{Align, Console, Grid, count, decimal};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    built: Built,
    #[serde(flatten)]
    params: HnswParams,
    walked_on: &'static str,
    rows_per_layer: Vec<u32>,
    degree_per_layer: Vec<f64>,
    max_layer: u8,
    entry: Option<u32>,
    hops_max: u32,
    hops_mean: f64,
    unreachable: u32,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &HnswBuildArgs) -> Outcome {
    let params = args.graph.params();
    let choices = format!(
        "M (max connections): {}   efConstruction: {}",
        params.m, params.ef_construction
    );
    let built = Built::new(
        console,
        globals,
        &args.files,
        args.graph.metric.metric,
        &IndexSpec::Hnsw(params.clone()),
        ("Building HNSW index", &choices),
    )?;
    let graph = graph(&built)?;
    let stats = graph.stats()?;
    let walked_on = if graph.has_codes() { "sq4" } else { "vectors" };
    let report = Report {
        built,
        params,
        walked_on,
        rows_per_layer: stats.rows_per_layer,
        degree_per_layer: stats.degree_per_layer,
        max_layer: stats.max_layer,
        entry: stats.entry,
        hops_max: stats.depth_max,
        hops_mean: stats.depth_mean,
        unreachable: stats.unreachable,
    };
    console.json(&report)?;
    print(console, &report)
}

fn graph(built: &Built) -> Outcome<&Hnsw> {
    let graph = built.index.as_any().downcast_ref::<Hnsw>();
    graph.ok_or_else(|| {
        Failure::usage(format!(
            "an index of the kind `{}` has no layers",
            built.index.kind()
        ))
    })
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
    let facts = [
        report.built.time_fact(),
        report.built.size_fact("graph"),
        (
            "Avg connections at layer 0",
            decimal(report.degree_per_layer.first().copied().unwrap_or(0.0)),
        ),
        (
            "Walked on",
            match report.walked_on {
                "sq4" => "codes of four bits a number".to_owned(),
                _ => "the vectors".to_owned(),
            },
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
        report.built.written_fact(),
    ];
    console.grid(&Grid::facts(facts))
}
