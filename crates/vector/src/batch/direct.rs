//! Each block of rows measured against every query while it is in the cache.

use std::sync::atomic::AtomicU32;

use super::{Batch, merge, workers};
use crate::{Neighbor, Scorer, TopK};

/// Bytes of a block of rows: half of a usual second-level cache.
const BLOCK_BYTES: usize = 256 * 1024;

pub(super) fn search(batch: &Batch<'_>) -> Vec<Vec<Neighbor>> {
    let block_rows = (BLOCK_BYTES / batch.rows.rows.stride()).clamp(16, 1024);
    let next_morsel = AtomicU32::new(0);
    let pools = workers::run(batch.threads, || {
        let mut pools = vec![TopK::new(batch.k); batch.queries.len()];
        let scorers: Vec<Scorer<'_>> = batch
            .queries
            .iter()
            .map(|query| Scorer::new(batch.kernels, query, batch.rows.rows))
            .collect();
        let mut ranks = vec![0.0; block_rows];
        batch
            .rows
            .for_each_block(&next_morsel, block_rows, |block| {
                let ranks = &mut ranks[..block.len()];
                for (scorer, pool) in scorers.iter().zip(&mut pools) {
                    scorer.score_rows(block, ranks);
                    pool.offer(ranks, |i| block[i]);
                }
            });
        pools
    });
    merge(pools)
        .into_iter()
        .map(TopK::into_sorted_vec)
        .collect()
}
