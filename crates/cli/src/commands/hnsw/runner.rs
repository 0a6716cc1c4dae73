//! Running queries against a graph: hits, costs and latencies.

use std::path::Path;
use std::time::{Duration, Instant};

use vecdb_engine::{Metric, SearchParams};
use vecdb_index::{AnnIndex, Budget, Counters, LayerTrace, Scratch};
use vecdb_vector::{Kernels, Neighbor, Query, VectorRows};

use crate::failure::Outcome;
use crate::measure::{Latencies, QUERIES_COMPUTED, Queries, Truth};
use crate::output::Console;

/// Queries searched before anything is timed.
const WARM_UP: usize = 20;

/// A single query is timed as the median of this many searches.
const SINGLE_PASSES: usize = 11;

/// A graph with its rows, and how to search it.
pub(super) struct Runner<'a> {
    pub(super) graph: &'a dyn AnnIndex,
    pub(super) rows: VectorRows<'a>,
    pub(super) metric: Metric,
    pub(super) kernels: Kernels,
    pub(super) k: usize,
    pub(super) threads: usize,
}

/// What a run brought.
#[derive(Default)]
pub(super) struct Run {
    pub(super) hits: Vec<Vec<Neighbor>>,
    pub(super) counters: Counters,
    pub(super) latencies: Latencies,
    pub(super) wall: Duration,
    /// The way of the last query through the layers, the top one first.
    pub(super) trace: Vec<LayerTrace>,
}

impl Run {
    pub(super) fn queries_per_second(&self) -> f64 {
        self.hits.len() as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    /// A counter's mean per query.
    pub(super) fn mean(&self, total: u64) -> f64 {
        total as f64 / self.hits.len().max(1) as f64
    }
}

impl Runner<'_> {
    /// Searches all queries, spread over the threads; each thread works through its share one by one.
    pub(super) fn run(&self, queries: &[Query], ef: u32) -> Outcome<Run> {
        let params = SearchParams {
            ef: Some(ef),
            ..SearchParams::default()
        };
        let warm_up = queries
            .get(..WARM_UP.min(queries.len()))
            .unwrap_or_default();
        self.share(warm_up, &params)?;
        if let [_] = queries {
            return self.single(queries, &params);
        }
        let started = Instant::now();
        let mut total = Run::default();
        if self.threads <= 1 {
            total = self.share(queries, &params)?;
        } else {
            let block = queries.len().div_ceil(self.threads).max(1);
            let shares = std::thread::scope(|scope| {
                let params = &params;
                let threads: Vec<_> = queries
                    .chunks(block)
                    .map(|share| scope.spawn(move || self.share(share, params)))
                    .collect();
                threads
                    .into_iter()
                    .filter_map(|thread| thread.join().ok())
                    .collect::<Outcome<Vec<_>>>()
            })?;
            for share in shares {
                total.hits.extend(share.hits);
                total.counters += share.counters;
                total.latencies.append(share.latencies);
                total.trace = share.trace;
            }
        }
        total.wall = started.elapsed();
        Ok(total)
    }

    fn single(&self, query: &[Query], params: &SearchParams) -> Outcome<Run> {
        let mut runs = (0..SINGLE_PASSES)
            .map(|_| {
                let mut run = self.share(query, params)?;
                run.wall = run.latencies.total();
                Ok(run)
            })
            .collect::<Outcome<Vec<_>>>()?;
        runs.sort_by_key(|run| run.wall);
        Ok(runs.swap_remove(SINGLE_PASSES / 2))
    }

    fn share(&self, queries: &[Query], params: &SearchParams) -> Outcome<Run> {
        let mut run = Run::default();
        let mut scratch = Scratch::with_kernels(self.kernels);
        let mut out = Vec::new();
        for query in queries {
            let started = Instant::now();
            let stats = self.graph.search(
                self.rows,
                query,
                self.k,
                None,
                params,
                &Budget::UNLIMITED,
                &mut scratch,
                &mut out,
            )?;
            run.latencies.push(started.elapsed());
            run.counters += stats.counters;
            run.hits.push(out.clone());
        }
        run.trace = scratch.trace().to_vec();
        Ok(run)
    }

    /// The truth from a file, or by exact search where the queries are not too many.
    pub(super) fn truth(
        &self,
        console: &Console,
        queries: &Queries,
        file: Option<&Path>,
        threads: usize,
    ) -> Outcome<Option<Truth>> {
        if let Some(path) = file {
            return Truth::from_file(path, self.kernels, queries, self.rows, self.metric, self.k)
                .map(Some);
        }
        if queries.len() > QUERIES_COMPUTED {
            console.note(format_args!(
                "no recall: the truth of more than {QUERIES_COMPUTED} queries is not computed; give --ground-truth or --limit-queries {QUERIES_COMPUTED}"
            ));
            return Ok(None);
        }
        Ok(Some(Truth::compute(
            self.kernels,
            queries,
            self.rows,
            self.metric,
            self.k,
            threads,
        )))
    }
}
