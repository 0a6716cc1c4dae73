//! `hnsw search`: the way of one query through the layers, or the latencies of many.

use serde::Serialize;
use vecdb_engine::{Metric, SearchParams};
use vecdb_index::LayerTrace;

use crate::args::{Globals, HnswSearchArgs};
use crate::commands::index_files::{Search, SearchReport, Source, per_query};
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, count, float};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    common: SearchReport,
    ef: u32,
    nodes_visited: f64,
    hops: f64,
    layers: Vec<Layer>,
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
    let files = &args.files;
    let source = Source::open(
        console,
        globals,
        "hnsw",
        &files.index,
        files.dataset.as_deref(),
    )?;
    let params = SearchParams {
        ef: Some(args.ef),
        ..SearchParams::default()
    };
    let search = Search::new(console, globals, &source, &args.queries, &params)?;
    let run = &search.run;
    let layers = run.layers.iter();
    let report = Report {
        common: search.report(&files.index),
        ef: args.ef,
        nodes_visited: run.mean(run.counters.nodes_visited),
        hops: run.mean(run.counters.hops),
        layers: layers
            .map(|layer| Layer::new(layer, source.metric))
            .collect(),
    };
    console.json(&report)?;
    let visited = per_query(report.common.queries, report.nodes_visited);
    report.common.print(
        console,
        &format!("HNSW search (ef={})", report.ef),
        || print_way(console, &report.layers),
        vec![("Nodes visited", visited)],
        Vec::new(),
    )
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

fn print_way(console: &Console, layers: &[Layer]) -> Outcome {
    if let Some(top) = layers.first() {
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
    for layer in layers {
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
    console.grid(&grid)
}
