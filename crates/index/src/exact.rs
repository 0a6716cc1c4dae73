//! Exact search: every allowed row compared. The flat index, `exact: true` of the others, and small subsets.

use vecdb_vector::{Query, RowId, RowMask, Scorer, VectorRows, scan};

use crate::{Budget, Counters, IndexError, Scratch, SearchStats};

/// Rows scored per call when the scan has to look at its budget or gathers rows through a mask.
const BLOCK: u32 = 1024;

/// Leaves the nearest `k` of the rows (allowed by `mask`) in `scratch.top`.
pub(crate) fn search_exact(
    rows: VectorRows<'_>,
    query: &Query,
    k: usize,
    mask: Option<&RowMask>,
    budget: &Budget,
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
    let (distances, truncated) = if budget.is_unlimited() {
        let distances = scan(scratch.kernels, query, rows, mask, &mut scratch.top);
        (distances, false)
    } else {
        scan_in_blocks(rows, query, mask, budget, scratch)
    };
    SearchStats {
        counters: Counters {
            distance_computations: distances,
            nodes_visited: distances,
            hops: 0,
        },
        truncated,
        exact: !truncated,
    }
}

fn scan_in_blocks(
    rows: VectorRows<'_>,
    query: &Query,
    mask: Option<&RowMask>,
    budget: &Budget,
    scratch: &mut Scratch,
) -> (u64, bool) {
    let scorer = Scorer::new(scratch.kernels, query, rows);
    let mut computed = 0;
    let mut everything;
    let mut masked;
    let mut ids: &mut dyn Iterator<Item = RowId> = match mask {
        Some(mask) => {
            masked = mask.iter();
            &mut masked
        }
        None => {
            everything = (0..rows.len()).map(RowId);
            &mut everything
        }
    };
    loop {
        scratch.block.clear();
        scratch.block.extend((&mut ids).take(BLOCK as usize));
        if scratch.block.is_empty() {
            return (computed, false);
        }
        if budget.is_spent(computed) {
            return (computed, true);
        }
        scratch.distances.resize(scratch.block.len(), 0.0);
        scorer.score_rows(&scratch.block, &mut scratch.distances);
        for (&row, &distance) in scratch.block.iter().zip(&scratch.distances) {
            scratch.top.push(distance, row);
        }
        computed += scratch.block.len() as u64;
    }
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
