//! Exact search: every allowed row compared. The flat index, `exact: true` of the others, small subsets and rows that
//! have no index.

use vecdb_vector::{Kernels, Query, RowMask, TopK, VectorRows, scan, scan_while};

use crate::{Budget, Counters, IndexError, Scratch, SearchStats};

/// Offers to `top` every row of `rows` (allowed by `mask`), until the budget is spent.
///
/// # Panics
/// When the query is for another element type or dimension than the rows have.
pub fn scan_exact(
    kernels: Kernels,
    query: &Query,
    rows: VectorRows<'_>,
    mask: Option<&RowMask>,
    budget: &Budget<'_>,
    top: &mut TopK,
) -> SearchStats {
    let (distances, truncated) = if budget.is_unlimited() {
        (scan(kernels, query, rows, mask, top), false)
    } else {
        let mut truncated = false;
        let go_on = |computed| {
            truncated = budget.is_spent(computed);
            !truncated
        };
        let distances = scan_while(kernels, query, rows, mask, top, go_on);
        (distances, truncated)
    };
    SearchStats {
        counters: Counters {
            distance_computations: distances,
            nodes_visited: distances,
            ..Counters::default()
        },
        truncated,
        exact: !truncated,
        ..SearchStats::default()
    }
}

/// Leaves the nearest `k` of the rows (allowed by `mask`) in `scratch.top`.
pub(crate) fn search_exact(
    rows: VectorRows<'_>,
    query: &Query,
    k: usize,
    mask: Option<&RowMask>,
    budget: &Budget<'_>,
    scratch: &mut Scratch,
) -> SearchStats {
    let allowed = mask.map_or(rows.len(), RowMask::count);
    scratch.top.clear(k.min(allowed as usize));
    if k == 0 || allowed == 0 {
        return SearchStats {
            exact: true,
            ..SearchStats::default()
        };
    }
    scan_exact(scratch.kernels, query, rows, mask, budget, &mut scratch.top)
}

/// Refuses rows, queries and masks that do not belong to an index of `count` rows under `metric`.
pub(crate) fn check_request(
    count: u32,
    metric: vecdb_vector::Metric,
    rows: &VectorRows<'_>,
    query: &Query,
    mask: Option<&RowMask>,
) -> Result<(), IndexError> {
    let mismatch = |what, expected: String, got: String| {
        Err(IndexError::Mismatch {
            what,
            expected,
            got,
        })
    };
    if query.metric() != metric {
        return mismatch(
            "metric of the query",
            metric.to_string(),
            query.metric().to_string(),
        );
    }
    if rows.len() != count {
        return mismatch(
            "rows of the segment",
            count.to_string(),
            rows.len().to_string(),
        );
    }
    if query.dim() != rows.dim() {
        return mismatch(
            "dimension of the query",
            rows.dim().to_string(),
            query.dim().to_string(),
        );
    }
    if query.element() != rows.element() {
        return mismatch(
            "element type of the query",
            rows.element().to_string(),
            query.element().to_string(),
        );
    }
    match mask {
        Some(mask) if mask.rows() != count => mismatch(
            "rows of the mask",
            count.to_string(),
            mask.rows().to_string(),
        ),
        _ => Ok(()),
    }
}
