//! `diskann search`: what one query read, or many on average.

use std::collections::BTreeMap;

use serde::Serialize;
use vecdb_engine::Metric;
use vecdb_vector::Kernels;

use super::opened::{Described, Opened, Reading};
use super::runner::{Costs, Run, Runner};
use crate::args::{DiskAnnSearchArgs, Globals};
use crate::commands::flat::{QueryHits, recall_key};
use crate::failure::Outcome;
use crate::measure::{LatencySummary, Queries, peak_rss_bytes};
use crate::output::{Console, Grid, bytes, count, decimal, percent, rate, seconds};

/// What is told of searches, of `search` and of `bench`.
#[derive(Serialize)]
pub(super) struct Report {
    index: String,
    rows: u32,
    metric: Metric,
    limit: usize,
    ef: u32,
    pub(super) queries: usize,
    pub(super) searches: u64,
    threads: usize,
    #[serde(flatten)]
    recall: BTreeMap<String, f64>,
    /// `computed` or `file`, where there is a recall.
    ground_truth: Option<&'static str>,
    #[serde(flatten)]
    latency: LatencySummary,
    #[serde(flatten)]
    costs: Costs,
    #[serde(flatten)]
    reading: Reading,
    peak_rss_bytes: Option<u64>,
}

/// Queries searched as `args` say, `searches` times (default: each once).
pub(super) fn measure(
    console: &Console,
    globals: &Globals,
    args: &DiskAnnSearchArgs,
    searches: Option<usize>,
) -> Outcome<(Report, Opened, Queries, Run)> {
    let threads = globals.threads_or_one();
    let described = Described::open(&args.read)?;
    let queries = Queries::load(&args.queries, described.metric, described.shape, usize::MAX)?;
    let opened = described.index(console, &args.read, threads)?;
    let runner = Runner {
        opened: &opened,
        kernels: Kernels::from_env()?,
        k: args.queries.limit,
        threads,
    };
    let searches = searches.unwrap_or(queries.len());
    let run = runner.run(queries.all(), searches, &opened.reading.params(args.ef))?;
    // Before the truth is computed, which is no part of it.
    let peak = peak_rss_bytes();
    let truth = args.queries.ground_truth.as_deref();
    let recall = runner.recall(console, &queries, &run, truth)?;
    let key = recall_key(runner.k);
    let report = Report {
        index: args.read.index.display().to_string(),
        rows: opened.rows,
        metric: opened.metric,
        limit: runner.k,
        ef: args.ef,
        queries: queries.len(),
        searches: run.searches,
        threads,
        recall: recall
            .iter()
            .map(|(recall, _)| (key.clone(), *recall))
            .collect(),
        ground_truth: recall.map(|(_, truth)| truth),
        latency: run.latencies.clone().summary(),
        costs: run.costs(),
        reading: opened.reading.clone(),
        peak_rss_bytes: peak,
    };
    Ok((report, opened, queries, run))
}

#[derive(Serialize)]
struct WithResults {
    #[serde(flatten)]
    report: Report,
    results: Vec<QueryHits>,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &DiskAnnSearchArgs) -> Outcome {
    let (report, opened, queries, run) = measure(console, globals, args, None)?;
    let hits = run.hits.iter().enumerate();
    let results =
        hits.map(|(at, hits)| QueryHits::new(queries.row_in_file(at), opened.metric, hits));
    let with = WithResults {
        report,
        results: results.collect(),
    };
    console.json(&with)?;
    console.line(format_args!("DiskANN search (ef={}):", args.ef))?;
    if with.report.queries > 1 {
        let queries = count(with.report.queries as u64);
        console.line(format_args!("  {queries} queries, the hits of the first:"))?;
    }
    if let Some(first) = with.results.first() {
        console.grid(&first.grid(opened.metric))?;
    }
    console.line("\nPerformance:")?;
    with.report.print(console)
}

impl Report {
    pub(super) fn print(&self, console: &Console) -> Outcome {
        let (costs, latency) = (&self.costs, &self.latency);
        let micros = |time: f64| seconds(time / 1e6);
        let mut facts = vec![
            ("Hops", format!("{} per query", decimal(costs.hops))),
            (
                "Reads",
                format!(
                    "{} per query ({})",
                    decimal(costs.reads),
                    bytes(costs.bytes_read as u64)
                ),
            ),
            (
                "Cache hits",
                format!("{} per query", decimal(costs.cache_hits)),
            ),
            (
                "Read latency",
                format!(
                    "{} mean, {} p50, {} p99",
                    micros(costs.read_mean_us),
                    micros(costs.read_p50_us),
                    micros(costs.read_p99_us)
                ),
            ),
            (
                "Distance computations",
                format!(
                    "{} per query (vs {} brute force)",
                    decimal(costs.distance_computations),
                    count(self.rows)
                ),
            ),
            (
                "Time",
                format!(
                    "{} mean, {} p50, {} p99",
                    micros(latency.mean_us),
                    micros(latency.p50_us),
                    micros(latency.p99_us)
                ),
            ),
            (
                "Throughput",
                format!(
                    "{} queries/second ({} at once)",
                    rate(costs.queries_per_second),
                    self.threads
                ),
            ),
            (
                "Bandwidth",
                format!("{}/second", bytes(costs.bytes_per_second as u64)),
            ),
            self.reading.fact(),
        ];
        if let Some(recall) = self.recall.values().next() {
            let truth = match self.ground_truth {
                Some("file") => "by row, against the truth file",
                _ => "against exact search",
            };
            let text = format!("{} at k={}, {truth}", percent(*recall), self.limit);
            facts.push(("Recall", text));
        }
        if let Some(peak) = self.peak_rss_bytes {
            facts.push(("Most memory", bytes(peak)));
        }
        console.grid(&Grid::facts(facts))
    }
}
