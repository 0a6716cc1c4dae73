//! Queries against an index on the disk: hits, times, and what they read.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use vecdb_engine::SearchParams;
use vecdb_index::{Budget, Scratch};
use vecdb_vector::{Kernels, Neighbor, Query};

use super::opened::Opened;
use crate::failure::Outcome;
use crate::measure::{Latencies, Queries, Truth, mean_recall};
use crate::output::Console;

/// Queries searched before anything is timed.
const WARM_UP: usize = 20;
/// Truth takes a pass over all pages for each query: for no more than these.
const TRUTH_COMPUTED: usize = 100;

/// What a run brought.
#[derive(Default)]
pub(super) struct Run {
    pub(super) hits: Vec<Vec<Neighbor>>,
    pub(super) latencies: Latencies,
    pub(super) wall: Duration,
    pub(super) searches: u64,
    distances: u64,
    hops: u64,
    reads: u64,
    cache_hits: u64,
    bytes: u64,
    read_times: Latencies,
}

/// Means per query of a run, and the times of its reads.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Costs {
    pub(super) hops: f64,
    pub(super) reads: f64,
    pub(super) cache_hits: f64,
    pub(super) bytes_read: f64,
    pub(super) distance_computations: f64,
    pub(super) read_mean_us: f64,
    pub(super) read_p50_us: f64,
    pub(super) read_p99_us: f64,
    pub(super) queries_per_second: f64,
    pub(super) bytes_per_second: f64,
}

impl Run {
    pub(super) fn costs(&self) -> Costs {
        let mean = |total: u64| total as f64 / self.searches.max(1) as f64;
        let wall = self.wall.as_secs_f64().max(1e-9);
        let read = self.read_times.clone().summary();
        Costs {
            hops: mean(self.hops),
            reads: mean(self.reads),
            cache_hits: mean(self.cache_hits),
            bytes_read: mean(self.bytes),
            distance_computations: mean(self.distances),
            read_mean_us: read.mean_us,
            read_p50_us: read.p50_us,
            read_p99_us: read.p99_us,
            queries_per_second: self.searches as f64 / wall,
            bytes_per_second: self.bytes as f64 / wall,
        }
    }

    fn append(&mut self, other: Self) {
        self.hits.extend(other.hits);
        self.latencies.append(other.latencies);
        self.searches += other.searches;
        self.distances += other.distances;
        self.hops += other.hops;
        self.reads += other.reads;
        self.cache_hits += other.cache_hits;
        self.bytes += other.bytes;
        self.read_times.append(other.read_times);
    }
}

/// An index and how to search it.
pub(super) struct Runner<'a> {
    pub(super) opened: &'a Opened,
    pub(super) kernels: Kernels,
    pub(super) k: usize,
    pub(super) threads: usize,
}

impl Runner<'_> {
    /// Searches so many times, over the queries in turn, spread over the threads; hits are kept of the first round.
    pub(super) fn run(
        &self,
        queries: &[Query],
        searches: usize,
        params: &SearchParams,
    ) -> Outcome<Run> {
        self.share(queries, 0..WARM_UP.min(queries.len()), params)?;
        // The same queries come again, and would find their nodes in the cache.
        self.opened.index.forget_searches();
        let started = Instant::now();
        let block = searches.div_ceil(self.threads.max(1)).max(1);
        let shares = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..searches)
                .step_by(block)
                .map(|first| {
                    let share = first..searches.min(first + block);
                    scope.spawn(move || self.share(queries, share, params))
                })
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .collect::<Outcome<Vec<_>>>()
        })?;
        let mut run = Run::default();
        shares.into_iter().for_each(|share| run.append(share));
        run.wall = started.elapsed();
        Ok(run)
    }

    fn share(
        &self,
        queries: &[Query],
        share: std::ops::Range<usize>,
        params: &SearchParams,
    ) -> Outcome<Run> {
        let mut run = Run::default();
        let mut scratch = Scratch::with_kernels(self.kernels);
        let mut out = Vec::new();
        for at in share {
            let Some(query) = queries.get(at % queries.len().max(1)) else {
                break;
            };
            let started = Instant::now();
            let stats = self.opened.index.search_alone(
                query,
                self.k,
                None,
                params,
                &Budget::UNLIMITED,
                &mut scratch,
                &mut out,
            )?;
            run.latencies.push(started.elapsed());
            let trace = scratch.disk();
            run.searches += 1;
            run.distances += stats.counters.distance_computations;
            run.hops += trace.hops;
            run.reads += trace.reads;
            run.cache_hits += trace.cache_hits;
            run.bytes += trace.bytes;
            for &nanos in &trace.read_nanos {
                run.read_times.push(Duration::from_nanos(nanos));
            }
            if at < queries.len() {
                run.hits.push(out.clone());
            }
        }
        Ok(run)
    }

    /// Recall against a truth file (by row), else against a comparison of all vectors of the file.
    pub(super) fn recall(
        &self,
        console: &Console,
        queries: &Queries,
        run: &Run,
        file: Option<&Path>,
    ) -> Outcome<Option<(f64, &'static str)>> {
        let (metric, rows) = (self.opened.metric, self.opened.rows);
        if let Some(path) = file {
            let lists = Truth::read(path, queries, u64::from(rows))?;
            let shares = run.hits.iter().zip(&lists).map(|(hits, list)| {
                let right = list.get(..self.k.min(list.len())).unwrap_or_default();
                let found = hits.iter().filter(|hit| right.contains(&hit.row.0)).count();
                found as f64 / right.len().max(1) as f64
            });
            let recall = shares.sum::<f64>() / run.hits.len().max(1) as f64;
            return Ok(Some(((recall * 1e9).round() / 1e9, "file")));
        }
        if queries.len() > TRUTH_COMPUTED {
            console.note(format_args!(
                "no recall: the truth of more than {TRUTH_COMPUTED} queries is not computed; give --ground-truth or --limit-queries {TRUTH_COMPUTED}"
            ));
            return Ok(None);
        }
        let exact = SearchParams {
            exact: true,
            ..SearchParams::default()
        };
        let truth = self.share(queries.all(), 0..queries.len(), &exact)?;
        let truth = Truth::of_hits(&truth.hits, metric);
        Ok(Some((mean_recall(&run.hits, &truth, metric), "computed")))
    }
}
