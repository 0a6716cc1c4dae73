//! `ivf sweep`: what each number of lists finds and costs.

use vecdb_engine::{IndexSpec, SearchParams};

use crate::args::{Globals, IvfSweepArgs};
use crate::commands::index_files::{Cost, Knob, Source, sweep};
use crate::failure::Outcome;
use crate::output::Console;

const COSTS: &[Cost] = &[
    Cost {
        key: "vectors_compared",
        title: "Vectors compared",
        of: |run| run.mean(run.rows_compared),
    },
    Cost {
        key: "distance_computations",
        title: "Distances",
        of: |run| run.mean(run.counters.distance_computations),
    },
];

pub(super) fn run(console: &Console, globals: &Globals, args: &IvfSweepArgs) -> Outcome {
    let knob = Knob {
        name: "nprobe",
        values: &args.nprobe,
        params: &|nprobe| SearchParams {
            nprobe: Some(nprobe),
            rerank: args.rerank.rerank,
            ..SearchParams::default()
        },
        costs: COSTS,
    };
    let spec = IndexSpec::Ivf(args.lists.params());
    let metric = args.lists.metric.metric;
    let source = Source::of_sweep(console, globals, &args.files, metric, &spec)?;
    sweep(console, globals, &args.files, &source, "IVF", &knob)
}
