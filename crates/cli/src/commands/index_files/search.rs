//! What a search of any kind reports.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use vecdb_engine::{Metric, SearchParams};
use vecdb_index::{Budget, Scratch};
use vecdb_vector::{Kernels, Query};

use super::build::threads_text;
use super::runner::{Run, Runner};
use super::source::Source;
use crate::args::{Globals, QueryArgs};
use crate::commands::flat::{QueryHits, recall_key};
use crate::failure::Outcome;
use crate::measure::{LatencySummary, Queries, Truth, mean_recall};
use crate::output::{Console, Grid, count, decimal, percent, rate, seconds};

/// A line of what a search cost.
pub(in crate::commands) type Fact = (&'static str, String);

/// Queries against an index, answered, timed and held against the truth.
pub(in crate::commands) struct Search<'a> {
    source: &'a Source,
    runner: Runner<'a>,
    queries: Queries,
    truth: Option<Truth>,
    pub(in crate::commands) run: Run,
}

/// The keys that the searches of all kinds have.
#[derive(Serialize)]
pub(in crate::commands) struct SearchReport {
    index: String,
    dataset: String,
    rows: u32,
    metric: Metric,
    limit: usize,
    pub(in crate::commands) queries: usize,
    threads: usize,
    #[serde(flatten)]
    recall: BTreeMap<String, f64>,
    /// `computed` or `file`, where there is a recall.
    ground_truth: Option<&'static str>,
    queries_per_second: f64,
    #[serde(flatten)]
    pub(in crate::commands) latency: LatencySummary,
    distance_computations: f64,
    pub(in crate::commands) results: Vec<QueryHits>,
}

impl<'a> Search<'a> {
    pub(in crate::commands) fn new(
        console: &Console,
        globals: &Globals,
        source: &'a Source,
        args: &QueryArgs,
        params: &SearchParams,
    ) -> Outcome<Self> {
        let shape = (source.rows.element(), source.rows.dim());
        let queries = Queries::load(args, source.metric, shape, usize::MAX)?;
        let runner = Runner {
            index: source.index.as_ref(),
            rows: source.rows.view()?,
            metric: source.metric,
            kernels: Kernels::from_env()?,
            k: args.limit,
            threads: globals.threads_or_one(),
        };
        let run = runner.run(queries.all(), params)?;
        let truth = runner.truth(
            console,
            &queries,
            args.ground_truth.as_deref(),
            globals.threads_or_all(),
        )?;
        Ok(Self {
            source,
            runner,
            queries,
            truth,
            run,
        })
    }

    /// How long exact search by the same kernels takes over the first query, in microseconds.
    pub(in crate::commands) fn brute_force_us(&self) -> Outcome<f64> {
        let exact = SearchParams {
            exact: true,
            ..SearchParams::default()
        };
        let first: &[Query] = self.queries.all().get(..1).unwrap_or_default();
        let run = self.runner.run(first, &exact)?;
        Ok(run.latencies.summary().mean_us)
    }

    /// Searches every query once more, untimed, and hands out what the search left in its memory.
    pub(in crate::commands) fn retrace(
        &self,
        params: &SearchParams,
        mut each: impl FnMut(usize, &Scratch) -> Outcome,
    ) -> Outcome {
        let runner = &self.runner;
        let (mut scratch, mut out) = (Scratch::with_kernels(runner.kernels), Vec::new());
        for (at, query) in self.queries.all().iter().enumerate() {
            let (rows, budget) = (runner.rows, Budget::UNLIMITED);
            let index = runner.index;
            index.search(
                rows,
                query,
                runner.k,
                None,
                params,
                &budget,
                &mut scratch,
                &mut out,
            )?;
            each(at, &scratch)?;
        }
        Ok(())
    }

    pub(in crate::commands) fn report(&self, index: &Path) -> SearchReport {
        let (run, metric) = (&self.run, self.source.metric);
        let recall = self
            .truth
            .as_ref()
            .map(|truth| mean_recall(&run.hits, truth, metric));
        let limit = self.runner.k;
        let results = run
            .hits
            .iter()
            .enumerate()
            .map(|(at, hits)| QueryHits::new(self.queries.row_in_file(at), metric, hits));
        SearchReport {
            index: index.display().to_string(),
            dataset: self.source.dataset.display().to_string(),
            rows: self.source.rows.len(),
            metric,
            limit,
            queries: self.queries.len(),
            threads: self.runner.threads,
            recall: recall
                .map(|recall| (recall_key(limit), recall))
                .into_iter()
                .collect(),
            ground_truth: self.truth.as_ref().map(source_of),
            queries_per_second: run.queries_per_second(),
            latency: run.latencies.clone().summary(),
            distance_computations: run.mean(run.counters.distance_computations),
            results: results.collect(),
        }
    }
}

/// `computed` or `file`.
pub(in crate::commands) fn source_of(truth: &Truth) -> &'static str {
    if truth.computed_seconds.is_some() {
        "computed"
    } else {
        "file"
    }
}

/// What one query cost, or each of many on average.
pub(in crate::commands) fn per_query(queries: usize, mean: f64) -> String {
    match queries {
        1 => count(mean as u64),
        _ => format!("{} per query", decimal(mean)),
    }
}

impl SearchReport {
    /// Prints all of it: the `way` of a single query, the hits of the first, the facts. `costs` are the kind's own, and
    /// `beside` what is to be read beside the time.
    pub(in crate::commands) fn print(
        &self,
        console: &Console,
        heading: &str,
        way: impl FnOnce() -> Outcome,
        mut costs: Vec<Fact>,
        beside: Vec<Fact>,
    ) -> Outcome {
        let one = self.queries == 1;
        console.line(format_args!("{heading}:"))?;
        if one {
            way()?;
            console.line("\nResults:")?;
        } else {
            console.line(format_args!(
                "  {} queries, the hits of the first:",
                count(self.queries as u64)
            ))?;
        }
        if let Some(first) = self.results.first() {
            console.grid(&first.grid(self.metric))?;
        }
        costs.push((
            "Distance computations",
            format!(
                "{} (vs {} brute force)",
                per_query(self.queries, self.distance_computations),
                count(self.rows)
            ),
        ));
        costs.push(("Time", self.time()));
        costs.extend(beside);
        if !one {
            costs.push((
                "Throughput",
                format!(
                    "{} queries/second ({})",
                    rate(self.queries_per_second),
                    threads_text(self.threads)
                ),
            ));
        }
        costs.extend(self.recall_fact());
        console.line("\nPerformance:")?;
        console.grid(&Grid::facts(costs))
    }

    fn time(&self) -> String {
        let latency = self.latency;
        let micros = |time: f64| seconds(time / 1e6);
        match self.queries {
            1 => micros(latency.mean_us),
            _ => format!(
                "{} mean, {} p50, {} p99",
                micros(latency.mean_us),
                micros(latency.p50_us),
                micros(latency.p99_us)
            ),
        }
    }

    fn recall_fact(&self) -> Option<Fact> {
        let recall = *self.recall.values().next()?;
        let truth = match self.ground_truth {
            Some("file") => "against the truth file",
            _ => "against exact search",
        };
        let text = format!("{} at k={}, {truth}", percent(recall), self.limit);
        Some(("Recall", text))
    }
}
