//! `hnsw sweep`: what each value of ef finds and costs.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};
use vecdb_engine::Metric;
use vecdb_index::AnnIndex;
use vecdb_vector::Kernels;

use super::index_file::IndexFile;
use super::runner::Runner;
use super::search::source_of;
use crate::args::{Globals, SweepArgs};
use crate::commands::flat::recall_key;
use crate::failure::{Failure, Outcome};
use crate::measure::{LatencySummary, QUERIES_COMPUTED, Queries, Rows, mean_recall};
use crate::output::plot::{Point, recall_against_speed};
use crate::output::{Align, Bar, Console, Grid, count, decimal, percent, rate, seconds};

/// The measurement of one value of ef.
struct Setting {
    ef: u32,
    recall: f64,
    queries_per_second: f64,
    latency: LatencySummary,
    distance_computations: f64,
    nodes_visited: f64,
}

impl Setting {
    fn json(&self, k: usize) -> Value {
        let mut row = Map::new();
        row.insert("ef".into(), self.ef.into());
        row.insert(recall_key(k), self.recall.into());
        row.insert("queries_per_second".into(), self.queries_per_second.into());
        row.insert("mean_us".into(), self.latency.mean_us.into());
        row.insert("p50_us".into(), self.latency.p50_us.into());
        row.insert("p99_us".into(), self.latency.p99_us.into());
        row.insert(
            "distance_computations".into(),
            self.distance_computations.into(),
        );
        row.insert("nodes_visited".into(), self.nodes_visited.into());
        row.into()
    }
}

pub(super) fn run(console: &Console, globals: &Globals, args: &SweepArgs) -> Outcome {
    if args.ef.is_empty() {
        return Err(Failure::usage("--ef needs at least one value"));
    }
    match (&args.index, &args.dataset) {
        (Some(index), dataset) => {
            let file = IndexFile::open(index)?;
            let dataset = dataset.as_ref().unwrap_or(&file.about.dataset);
            let metric = file.about.metric;
            let rows = Rows::load(console, dataset, metric, globals.threads_or_all())?;
            let graph = file.graph(&rows, dataset)?;
            measure(
                console,
                globals,
                args,
                dataset,
                metric,
                &rows,
                graph.as_ref(),
                None,
            )
        }
        (None, Some(dataset)) => {
            let (metric, params) = (args.graph.metric, args.graph.params());
            let threads = globals.threads_or_all();
            let rows = Rows::load(console, dataset, metric, threads)?;
            let started = Instant::now();
            let graph = super::build::build(console, &rows, metric, &params, threads)?;
            let build_seconds = started.elapsed().as_secs_f64();
            measure(
                console,
                globals,
                args,
                dataset,
                metric,
                &rows,
                graph.as_ref(),
                Some(build_seconds),
            )
        }
        (None, None) => Err(Failure::usage("give --index or --dataset")),
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one measurement, each from another owner"
)]
fn measure(
    console: &Console,
    globals: &Globals,
    args: &SweepArgs,
    dataset: &Path,
    metric: Metric,
    rows: &Rows,
    graph: &dyn AnnIndex,
    build_seconds: Option<f64>,
) -> Outcome {
    let k = args.queries.limit;
    let queries = Queries::load(
        &args.queries,
        metric,
        (rows.element(), rows.dim()),
        QUERIES_COMPUTED,
    )?;
    let runner = Runner {
        graph,
        rows: rows.view()?,
        metric,
        kernels: Kernels::from_env()?,
        k,
        threads: globals.threads_or_one(),
    };
    let truth = runner.truth(
        console,
        &queries,
        args.queries.ground_truth.as_deref(),
        globals.threads_or_all(),
    )?;
    let truth = truth.ok_or_else(|| {
        Failure::usage(format!(
            "a sweep needs the truth of every query: give --ground-truth, or at most {QUERIES_COMPUTED} queries with --limit-queries"
        ))
    })?;
    let mut settings = Vec::with_capacity(args.ef.len());
    let bar = Bar::new(console, "measuring", Some(args.ef.len() as u64));
    for (at, &ef) in args.ef.iter().enumerate() {
        let run = runner.run(queries.all(), ef)?;
        settings.push(Setting {
            ef,
            recall: mean_recall(&run.hits, &truth, metric),
            queries_per_second: run.queries_per_second(),
            latency: run.latencies.clone().summary(),
            distance_computations: run.mean(run.counters.distance_computations),
            nodes_visited: run.mean(run.counters.nodes_visited),
        });
        bar.set(at as u64 + 1);
    }
    drop(bar);
    if let Some(path) = &args.plot {
        let point = |setting: &Setting| Point {
            label: format!("ef {}", setting.ef),
            recall: setting.recall,
            queries_per_second: setting.queries_per_second,
        };
        let points: Vec<_> = settings.iter().map(point).collect();
        let name = dataset.file_name().unwrap_or_default().to_string_lossy();
        let title = format!("HNSW on {name}: {} vectors, {metric}", count(rows.len()));
        recall_against_speed(path, &title, &format!("recall@{k}"), &points)?;
    }
    console.json(&json!({
        "dataset": dataset.display().to_string(),
        "rows": rows.len(),
        "metric": metric,
        "limit": k,
        "queries": queries.len(),
        "threads": runner.threads,
        "ground_truth": source_of(&truth),
        "build_seconds": build_seconds,
        "index_bytes": graph.memory_bytes(),
        "plot": args.plot.as_ref().map(|path| path.display().to_string()),
        "sweep": settings.iter().map(|setting| setting.json(k)).collect::<Vec<_>>(),
    }))?;
    print(console, k, &settings)?;
    if let Some(path) = &args.plot {
        console.line(format_args!("Plot: {}", path.display()))?;
    }
    Ok(())
}

fn print(console: &Console, k: usize, settings: &[Setting]) -> Outcome {
    let recall = format!("Recall@{k}");
    let mut grid = Grid::new([
        ("ef", Align::Right),
        (&*recall, Align::Right),
        ("Query time", Align::Right),
        ("p99", Align::Right),
        ("Nodes visited", Align::Right),
        ("Distances", Align::Right),
        ("Queries/second", Align::Right),
    ]);
    for setting in settings {
        grid.row([
            count(setting.ef),
            percent(setting.recall),
            seconds(setting.latency.mean_us / 1e6),
            seconds(setting.latency.p99_us / 1e6),
            decimal(setting.nodes_visited),
            decimal(setting.distance_computations),
            rate(setting.queries_per_second),
        ]);
    }
    console.grid(&grid)
}
