//! Exact search of many queries at once.
//!
//! Two ways, chosen by what is asked:
//! - `product`: many float queries under L2, cosine or dot, as blocked matrix products whose best
//!   rows are measured again exactly;
//! - `direct`: everything else, each block of rows measured against all queries while it is in
//!   the cache.
//!
//! Both give what [`scan`](crate::scan) gives query by query. Threads take blocks of rows from a
//! shared counter, keep pools of their own and merge them in the end; as ties go by row, the
//! answer does not depend on who took what.

mod centroids;
mod direct;
mod product;
mod workers;

use crate::{ElementType, Kernels, Metric, Neighbor, Query, RowMask, TopK, VectorRows, decode_row};
use workers::Rows;

pub use centroids::{Centroids, Nearest};

/// The `k` nearest rows (of `mask`) of every query, nearest first, as rank values; one list per
/// query, shorter where fewer rows are there. `threads` may be 1 (or 0, the same): then the
/// calling thread does it all.
///
/// Queries are of the element type of the rows, or f32. A query that [`Query`] refuses (not
/// finite, zeros under cosine, no integer where the rows hold integers) gets an empty list: check
/// queries before, where that matters.
///
/// # Panics
/// When dimensions differ, the metric does not support the element type of the rows, or queries
/// are of a third element type.
pub fn scan_batch(
    kernels: Kernels,
    metric: Metric,
    queries: VectorRows<'_>,
    rows: VectorRows<'_>,
    mask: Option<&RowMask>,
    k: usize,
    threads: usize,
) -> Vec<Vec<Neighbor>> {
    assert!(
        metric.supports(rows.element()),
        "metric {metric} over {} rows",
        rows.element()
    );
    assert!(
        queries.dim() == rows.dim()
            && (queries.element() == rows.element() || queries.element() == ElementType::F32),
        "queries of {} x {} against rows of {} x {}",
        queries.dim(),
        queries.element(),
        rows.dim(),
        rows.element()
    );
    let (places, prepared): (Vec<usize>, Vec<Query>) = (0..queries.len())
        .filter_map(|q| Some((q as usize, prepare(metric, queries, q, rows)?)))
        .unzip();
    let batch = Batch {
        kernels,
        metric,
        queries: &prepared,
        rows: Rows { rows, mask },
        k,
        threads: threads.max(1),
    };
    let found = if k == 0 || batch.rows.count() == 0 {
        Vec::new()
    } else if product::pays(&batch) {
        product::search(&batch)
    } else {
        direct::search(&batch)
    };
    let mut results = vec![Vec::new(); queries.len() as usize];
    for (place, neighbors) in places.into_iter().zip(found) {
        results[place] = neighbors;
    }
    results
}

/// What both ways are asked.
struct Batch<'a> {
    kernels: Kernels,
    metric: Metric,
    queries: &'a [Query],
    rows: Rows<'a>,
    k: usize,
    threads: usize,
}

fn prepare(
    metric: Metric,
    queries: VectorRows<'_>,
    query: u32,
    rows: VectorRows<'_>,
) -> Option<Query> {
    let (element, dim) = (rows.element(), rows.dim());
    let bytes = queries.row_bytes(query.into());
    if queries.element() == element {
        return Query::from_row_bytes(metric, element, dim, bytes).ok();
    }
    let mut values = Vec::new();
    decode_row(queries.element(), dim, bytes, &mut values);
    Query::new(metric, element, dim, &values).ok()
}

/// Moves everything from the pools of the other workers into those of the first.
fn merge(pools: Vec<Vec<TopK>>) -> Vec<TopK> {
    let mut pools = pools.into_iter();
    let mut merged = pools.next().unwrap_or_default();
    for others in pools {
        for (pool, other) in merged.iter_mut().zip(others) {
            for neighbor in other.iter() {
                pool.push(neighbor.distance, neighbor.row);
            }
        }
    }
    merged
}
