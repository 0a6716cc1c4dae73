//! A DiskANN index in a file, as `vecdb diskann build` writes it: opened, and searched past the page cache.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use vecdb_engine::{ElementType, Metric, SearchParams};
use vecdb_index::{Budget, DiskAnn, Scratch};
use vecdb_storage::disk::PageIo;
use vecdb_storage::{FileDisk, SectionFile};
use vecdb_vector::Query;

use crate::Outcome;
use crate::ids::Ids;
use crate::rows::Rows;

const KIND: [u8; 4] = *b"GRPH";
const VERSION: u32 = 2;

/// An opened index, of so many rows.
pub(crate) struct DiskIndex {
    index: DiskAnn,
    metric: Metric,
}

impl DiskIndex {
    pub(crate) fn open(
        path: &Path,
        (metric, rows): (Metric, u32),
        (io, cache_bytes): (&str, u64),
    ) -> Outcome<(Self, Vec<String>)> {
        let io = PageIo::ALL
            .into_iter()
            .find(|known| known.name() == io)
            .ok_or_else(|| format!("no way to read is called {io:?}"))?;
        let file = SectionFile::open(&FileDisk, path, KIND, VERSION, None)?;
        let mut index = DiskAnn::open(&file, metric, rows)?;
        let notices = index.read_through(io, cache_bytes)?;
        Ok((Self { index, metric }, notices))
    }

    pub(crate) fn about(&self) -> serde_json::Value {
        let (io, direct) = self.index.io();
        json!({
            "io": io.name(),
            "direct": direct,
            "resident_bytes": self.index.resident_bytes(),
            "cache_nodes": self.index.cache_nodes(),
            "code_bytes": self.index.code_bytes(),
        })
    }

    /// All queries, taken one after the other by so many threads. The cache starts as it was after opening.
    pub(crate) fn search(
        &self,
        queries: &Rows,
        (k, params, threads): (usize, &SearchParams, usize),
        out: &Path,
    ) -> Outcome {
        self.index.forget_searches();
        let next = AtomicU64::new(0);
        let shares: Vec<Share> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1))
                .map(|_| scope.spawn(|| self.share(queries, &next, k, params)))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().map_err(|_| "a search thread panicked")?)
                .collect::<Outcome<_>>()
        })?;
        let mut found = vec![Vec::new(); queries.len()];
        let mut all = Share::default();
        for share in shares {
            for (query, rows) in share.found {
                found[query] = rows;
            }
            all.reads += share.reads;
            all.bytes += share.bytes;
            all.hops += share.hops;
            all.cache_hits += share.cache_hits;
            all.read_nanos.extend(share.read_nanos);
        }
        let mut ids = Ids::new(k, queries.len());
        found
            .into_iter()
            .for_each(|rows| ids.push(rows.into_iter()));
        ids.write(out)?;
        all.read_nanos.sort_unstable();
        let at = |share: f64| {
            let last = all.read_nanos.len().saturating_sub(1);
            let nanos = all.read_nanos.get((last as f64 * share) as usize);
            nanos.map_or(0.0, |&nanos| nanos as f64 / 1e3)
        };
        let mean = |total: u64| total as f64 / queries.len().max(1) as f64;
        Ok(json!({
            "queries": queries.len(),
            "reads_per_query": mean(all.reads),
            "bytes_per_query": mean(all.bytes),
            "hops_per_query": mean(all.hops),
            "cache_hits_per_query": mean(all.cache_hits),
            "read_us": { "p50": at(0.5), "p99": at(0.99) },
        }))
    }

    fn share(
        &self,
        queries: &Rows,
        next: &AtomicU64,
        k: usize,
        params: &SearchParams,
    ) -> Outcome<Share> {
        let mut share = Share::default();
        let mut scratch = Scratch::new();
        let mut hits = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) as usize;
            if at >= queries.len() {
                return Ok(share);
            }
            let query = Query::new(self.metric, ElementType::F32, queries.dim, queries.row(at))?;
            let budget = Budget::UNLIMITED;
            self.index
                .search_alone(&query, k, None, params, &budget, &mut scratch, &mut hits)?;
            let rows = hits.iter().map(|hit| hit.row.0).collect();
            share.found.push((at, rows));
            let trace = scratch.disk();
            share.reads += trace.reads;
            share.bytes += trace.bytes;
            share.hops += trace.hops;
            share.cache_hits += trace.cache_hits;
            share.read_nanos.extend(&trace.read_nanos);
        }
    }
}

/// What one thread brings back.
#[derive(Default)]
struct Share {
    found: Vec<(usize, Vec<u32>)>,
    reads: u64,
    bytes: u64,
    hops: u64,
    cache_hits: u64,
    read_nanos: Vec<u64>,
}
