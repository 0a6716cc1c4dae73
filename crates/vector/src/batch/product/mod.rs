//! Many float queries as blocked matrix products.
//!
//! The products give, for every pair, a *lower bound* of the rank value (`bounds`). Each query
//! keeps the best of these in a pool somewhat larger than k, and in the end measures the rows of
//! its pool with the scorer. If the k-th of these is nearer than the worst bound of the pool, no
//! row outside the pool can belong to the answer; else (many rows at nearly the same distance)
//! the query is scanned directly. So the answer is that of `scan`, always.

mod bounds;
mod pack;

use std::sync::atomic::AtomicU32;

use super::{Batch, merge, workers};
use crate::kernels::{Candidate, Keys, Products};
use crate::scan::scan_with;
use crate::{ElementType, Metric, Neighbor, RowId, Scorer, TopK};
use bounds::Bounds;
use pack::{PackedQueries, PackedRows};

pub(super) use bounds::square;
pub(super) use pack::interleave;

/// Bytes of a packed block of rows, which stays in the second-level cache with a block of
/// queries beside it.
const ROW_BLOCK_BYTES: usize = 384 * 1024;

/// Fewer queries do not fill a panel well enough to win over reading the rows once for each.
const MIN_QUERIES: usize = 8;

/// Whether the batch is one for products.
pub(super) fn pays(batch: &Batch<'_>) -> bool {
    matches!(
        batch.rows.rows.element(),
        ElementType::F32 | ElementType::F16
    ) && matches!(batch.metric, Metric::L2 | Metric::Cosine | Metric::Dot)
        && batch.queries.len() >= MIN_QUERIES
        && batch.rows.count() / 4 >= pool_size(batch.k)
}

/// How many rows per query are measured again.
fn pool_size(k: usize) -> usize {
    k.saturating_add((k / 4).max(16))
}

pub(super) fn search(batch: &Batch<'_>) -> Vec<Vec<Neighbor>> {
    let products = batch.kernels.products();
    let bounds = Bounds::new(batch.metric, batch.rows.rows.dim());
    let queries = PackedQueries::new(batch.queries, &bounds, products.panel_queries);
    let next_morsel = AtomicU32::new(0);
    let workers = workers::run(batch.threads, || {
        let mut worker = Worker::new(batch, products, bounds, &queries);
        let block_rows = (ROW_BLOCK_BYTES / (4 * bounds.dim()) / products.tile_rows).clamp(1, 64)
            * products.tile_rows;
        let rows = batch.rows;
        rows.for_each_block(&next_morsel, block_rows, |block| worker.block(block));
        (worker.pools, worker.rows.outliers)
    });
    let (pools, outliers): (Vec<_>, Vec<_>) = workers.into_iter().unzip();
    let pools = merge(pools);
    let outliers = outliers.concat();
    workers::map(batch.threads, batch.queries.len(), |q| {
        finish(batch, &queries, q, &pools[q], &outliers)
    })
}

/// The pools of one thread and its buffers.
struct Worker<'a> {
    products: Products,
    queries: &'a PackedQueries,
    batch: &'a Batch<'a>,
    rows: PackedRows,
    pools: Vec<TopK>,
    /// Of every query of every panel; nothing is at most minus infinity, the rest of a panel.
    thresholds: Vec<f32>,
    out: Vec<f32>,
    candidates: Vec<Candidate>,
}

impl<'a> Worker<'a> {
    fn new(
        batch: &'a Batch<'a>,
        products: Products,
        bounds: Bounds,
        queries: &'a PackedQueries,
    ) -> Self {
        let thresholds = queries.outliers.iter().map(|&outlier| {
            if outlier {
                f32::NEG_INFINITY
            } else {
                f32::INFINITY
            }
        });
        Worker {
            products,
            queries,
            batch,
            rows: PackedRows::new(bounds, products.tile_rows),
            pools: vec![TopK::new(pool_size(batch.k)); batch.queries.len()],
            thresholds: thresholds.collect(),
            out: Vec::new(),
            candidates: Vec::new(),
        }
    }

    fn block(&mut self, block: &[RowId]) {
        self.rows.pack(self.batch.rows.rows, block);
        let width = self.products.panel_queries;
        let products = self.rows.padded_len() * width;
        if self.out.len() < products {
            self.out.resize(products, 0.0);
        }
        let out = &mut self.out[..products];
        for (panel, packed) in self.queries.panels().enumerate() {
            let first = panel * width;
            self.products
                .multiply(self.queries.dim, &self.rows.values, packed, out);
            let keys = Keys {
                row_offsets: &self.rows.offsets,
                row_factors: &self.rows.factors,
                query_offsets: &self.queries.offsets[first..first + width],
                thresholds: &self.thresholds[first..first + width],
            };
            self.candidates.clear();
            self.products.select(&keys, out, &mut self.candidates);
            for &Candidate { row, query } in &self.candidates {
                let (row, lane) = (row as usize, query as usize);
                let query = first + lane;
                let key = self.rows.factors[row].mul_add(
                    out[row * width + lane],
                    self.rows.offsets[row] + self.queries.offsets[query],
                );
                if self.pools[query].push(key, self.rows.ids[row]) {
                    self.thresholds[query] = self.pools[query].threshold();
                }
            }
        }
    }
}

/// The answer for one query: its pool and the outliers measured exactly, or a scan.
fn finish(
    batch: &Batch<'_>,
    queries: &PackedQueries,
    query: usize,
    pool: &TopK,
    outliers: &[RowId],
) -> Vec<Neighbor> {
    let scorer = Scorer::new(batch.kernels, &batch.queries[query], batch.rows.rows);
    let mut top = TopK::new(batch.k);
    let mut measured: Vec<RowId> = pool.iter().map(|neighbor| neighbor.row).collect();
    measured.extend_from_slice(outliers);
    measured.sort_unstable();
    let mut ranks = vec![0.0; measured.len()];
    scorer.score_rows(&measured, &mut ranks);
    for (&row, &rank) in measured.iter().zip(&ranks) {
        top.push(rank, row);
    }
    let complete = !pool.is_full() || top.threshold() * queries.scales[query] < pool.threshold();
    if queries.outliers[query] || !complete {
        top.clear(batch.k);
        scan_with(&scorer, batch.rows.mask, &mut top, |_| true);
    }
    top.into_sorted_vec()
}
