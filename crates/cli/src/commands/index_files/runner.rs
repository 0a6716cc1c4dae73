//! Running queries against an index: hits, costs and latencies.

use std::path::Path;
use std::time::{Duration, Instant};

use vecdb_engine::{Metric, SearchParams};
use vecdb_index::{AnnIndex, Budget, Counters, LayerTrace, ListTrace, Scratch};
use vecdb_vector::{Kernels, Neighbor, Query, VectorRows};

use crate::failure::Outcome;
use crate::measure::{Latencies, QUERIES_COMPUTED, Queries, Truth};
use crate::output::Console;

/// Queries searched before anything is timed.
const WARM_UP: usize = 20;

/// A single query is timed as the median of this many searches.
const SINGLE_PASSES: usize = 11;

/// An index with its rows, and how to search it.
pub(in crate::commands) struct Runner<'a> {
    pub(in crate::commands) index: &'a dyn AnnIndex,
    pub(in crate::commands) rows: VectorRows<'a>,
    pub(in crate::commands) metric: Metric,
    pub(in crate::commands) kernels: Kernels,
    pub(in crate::commands) k: usize,
    pub(in crate::commands) threads: usize,
}

/// What a run brought.
#[derive(Default)]
pub(in crate::commands) struct Run {
    pub(in crate::commands) hits: Vec<Vec<Neighbor>>,
    pub(in crate::commands) counters: Counters,
    pub(in crate::commands) latencies: Latencies,
    pub(in crate::commands) wall: Duration,
    /// Rows that were compared with their query: those of the lists and buckets looked into, or all of a scan. Graphs do not tell.
    pub(in crate::commands) rows_compared: u64,
    /// Lists of IVF looked into.
    pub(in crate::commands) lists_searched: u64,
    /// The way of the last query through the layers of a graph, the top one first.
    pub(in crate::commands) layers: Vec<LayerTrace>,
    /// The lists that the last query looked into, nearest first.
    pub(in crate::commands) lists: Vec<ListTrace>,
}

impl Run {
    pub(in crate::commands) fn queries_per_second(&self) -> f64 {
        self.hits.len() as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    /// A counter's mean per query.
    pub(in crate::commands) fn mean(&self, total: u64) -> f64 {
        total as f64 / self.hits.len().max(1) as f64
    }
}

impl Runner<'_> {
    /// Searches all queries, spread over the threads; each thread works through its share one by one.
    pub(in crate::commands) fn run(
        &self,
        queries: &[Query],
        params: &SearchParams,
    ) -> Outcome<Run> {
        let warm_up = queries
            .get(..WARM_UP.min(queries.len()))
            .unwrap_or_default();
        self.share(warm_up, params)?;
        if let [_] = queries {
            return self.single(queries, params);
        }
        let started = Instant::now();
        let mut total = Run::default();
        if self.threads <= 1 {
            total = self.share(queries, params)?;
        } else {
            let block = queries.len().div_ceil(self.threads).max(1);
            let shares = std::thread::scope(|scope| {
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
                total.rows_compared += share.rows_compared;
                total.lists_searched += share.lists_searched;
                total.layers = share.layers;
                total.lists = share.lists;
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
            let stats = self.index.search(
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
            run.lists_searched += scratch.lists().len() as u64;
            run.rows_compared += match stats.exact {
                true => stats.counters.distance_computations,
                false => rows_compared(&scratch),
            };
            run.hits.push(out.clone());
        }
        run.layers = scratch.trace().to_vec();
        run.lists = scratch.lists().to_vec();
        Ok(run)
    }

    /// The truth from a file, or by exact search where the queries are not too many.
    pub(in crate::commands) fn truth(
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

fn rows_compared(scratch: &Scratch) -> u64 {
    let lists = scratch.lists().iter().map(|list| list.compared);
    let buckets = scratch.buckets().iter().map(|bucket| bucket.compared);
    lists.chain(buckets).map(u64::from).sum()
}
