//! `hnsw sweep`: what each value of ef finds and costs.

use vecdb_engine::{IndexSpec, SearchParams};

use crate::args::{Globals, HnswSweepArgs};
use crate::commands::index_files::{Cost, Knob, Source, sweep};
use crate::failure::Outcome;
use crate::output::Console;

const COSTS: &[Cost] = &[
    Cost {
        key: "nodes_visited",
        title: "Nodes visited",
        of: |run| run.mean(run.counters.nodes_visited),
    },
    Cost {
        key: "distance_computations",
        title: "Distances",
        of: |run| run.mean(run.counters.distance_computations),
    },
];

pub(super) fn run(console: &Console, globals: &Globals, args: &HnswSweepArgs) -> Outcome {
    let knob = Knob {
        name: "ef",
        values: &args.ef,
        params: &|ef| SearchParams {
            ef: Some(ef),
            ..SearchParams::default()
        },
        costs: COSTS,
    };
    let spec = IndexSpec::Hnsw(args.graph.params());
    let metric = args.graph.metric.metric;
    let source = Source::of_sweep(console, globals, &args.files, metric, &spec)?;
    sweep(console, globals, &args.files, &source, "HNSW", &knob)
}
