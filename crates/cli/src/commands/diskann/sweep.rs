//! `diskann sweep`: what each value of ef finds and reads.

use serde_json::{Value, json};
use vecdb_vector::Kernels;

use super::opened::Described;
use super::runner::{Costs, Runner};
use crate::args::{DiskAnnSweepArgs, Globals};
use crate::commands::flat::recall_key;
use crate::failure::{Failure, Outcome};
use crate::measure::{LatencySummary, QUERIES_COMPUTED, Queries};
use crate::output::plot::{Point, recall_against_speed};
use crate::output::{Align, Bar, Console, Grid, count, decimal, percent, rate, seconds};

struct Setting {
    ef: u32,
    recall: f64,
    latency: LatencySummary,
    costs: Costs,
}

impl Setting {
    fn json(&self, key: &str) -> Value {
        let mut row = json!(self.costs);
        row["ef"] = self.ef.into();
        row[key] = self.recall.into();
        row["mean_us"] = self.latency.mean_us.into();
        row["p50_us"] = self.latency.p50_us.into();
        row["p99_us"] = self.latency.p99_us.into();
        row
    }
}

pub(super) fn run(console: &Console, globals: &Globals, args: &DiskAnnSweepArgs) -> Outcome {
    let threads = globals.threads_or_one();
    let described = Described::open(&args.read)?;
    let (metric, shape) = (described.metric, described.shape);
    let queries = Queries::load(&args.queries, metric, shape, QUERIES_COMPUTED)?;
    let opened = described.index(console, &args.read, threads)?;
    let runner = Runner {
        opened: &opened,
        kernels: Kernels::from_env()?,
        k: args.queries.limit,
        threads,
    };
    let mut settings = Vec::new();
    let bar = Bar::new(console, "measuring", Some(args.ef.len() as u64));
    for (at, &ef) in args.ef.iter().enumerate() {
        let params = opened.reading.params(ef);
        let run = runner.run(queries.all(), queries.len(), &params)?;
        let truth = args.queries.ground_truth.as_deref();
        let recall = runner.recall(console, &queries, &run, truth)?;
        let (recall, _) = recall.ok_or_else(|| {
            Failure::usage("a sweep needs the truth of every query: give --ground-truth")
        })?;
        settings.push(Setting {
            ef,
            recall,
            latency: run.latencies.clone().summary(),
            costs: run.costs(),
        });
        bar.set(at as u64 + 1);
    }
    drop(bar);
    if let Some(path) = &args.plot {
        let points = settings.iter().map(|setting| Point {
            label: format!("ef {}", setting.ef),
            recall: setting.recall,
            queries_per_second: setting.costs.queries_per_second,
        });
        let points: Vec<_> = points.collect();
        let title = format!("DiskANN: {} vectors, {metric}", count(opened.rows));
        recall_against_speed(path, &title, &format!("recall@{}", runner.k), &points)?;
    }
    let key = recall_key(runner.k);
    let rows: Vec<_> = settings.iter().map(|setting| setting.json(&key)).collect();
    let mut report = json!(opened.reading);
    report["index"] = args.read.index.display().to_string().into();
    report["rows"] = opened.rows.into();
    report["metric"] = json!(metric);
    report["limit"] = runner.k.into();
    report["queries"] = queries.len().into();
    report["threads"] = threads.into();
    report["plot"] = json!(args.plot.as_ref().map(|path| path.display().to_string()));
    report["sweep"] = rows.into();
    console.json(&report)?;
    print(console, runner.k, &settings)?;
    console.grid(&Grid::facts([opened.reading.fact()]))?;
    if let Some(path) = &args.plot {
        console.line(format_args!("Plot: {}", path.display()))?;
    }
    Ok(())
}

fn print(console: &Console, k: usize, settings: &[Setting]) -> Outcome {
    let recall = format!("Recall@{k}");
    let titles = [
        "ef",
        &recall,
        "Query time",
        "p99",
        "Reads",
        "Cache hits",
        "Read time",
        "Queries/second",
    ];
    let mut grid = Grid::new(titles.map(|title| (title, Align::Right)));
    for setting in settings {
        let costs = &setting.costs;
        grid.row([
            count(setting.ef),
            percent(setting.recall),
            seconds(setting.latency.mean_us / 1e6),
            seconds(setting.latency.p99_us / 1e6),
            decimal(costs.reads),
            decimal(costs.cache_hits),
            seconds(costs.read_mean_us / 1e6),
            rate(costs.queries_per_second),
        ]);
    }
    console.grid(&grid)
}
