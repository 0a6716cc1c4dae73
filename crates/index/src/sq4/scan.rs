//! Exact search that reads codes of all allowed rows, and the vectors of those that may be among the nearest. Where codes tell
//! nothing, the vectors of all.

use vecdb_vector::{Neighbor, RowId, RowMask, Scorer, TopK};

use super::{Sq4Codes, Sq4Query};
use crate::hnsw::pool::Key;
use crate::{Budget, Counters, IndexError, Scratch, SearchStats};

/// Rows measured between two looks at the budget.
const BLOCK_ROWS: usize = 256;
/// The nearest by their codes are measured first, as many as are wanted and so many beside: what is left out is decided by
/// how far these are.
const FIRST_BESIDE: usize = 4;
/// Once so many rows were estimated it is seen whether estimates tell the near from the far at all: where all rows are far away and
/// nearly as far as each other, they do not.
const ROWS_TO_TELL: u64 = 512;
/// They do not where more of a hundred rows may be among the nearest.
const UNDECIDED_PERCENT_MAX: u64 = 90;

/// Leaves the nearest `k` of the rows in `scratch.top`: those of `mask`, or all. `query`: what `scorer` measures, made ready.
pub(crate) fn scan(
    scorer: &Scorer<'_>,
    codes: &Sq4Codes,
    query: &Sq4Query,
    mask: Option<&RowMask>,
    k: usize,
    budget: &Budget<'_>,
    scratch: &mut Scratch,
) -> Result<SearchStats, IndexError> {
    let Scratch {
        kernels,
        top,
        pool,
        estimates,
        distances,
        rows,
        ..
    } = scratch;
    let on_codes = codes.scorer(*kernels, query)?;
    let count = scorer.rows().len();
    let listed = mask.into_iter().flat_map(RowMask::iter);
    let all = (0..if mask.is_none() { count } else { 0 }).map(RowId);
    let mut allowed = listed.take_while(|row| row.0 < count).chain(all);
    let bounds = codes.grid().bounds(query);
    estimates.clear();
    pool.reset(k + FIRST_BESIDE);
    // At first of what rows are at most: what is farther than `k` of these for sure need not be remembered.
    top.clear(k);
    let mut estimated = 0;
    let mut truncated = loop {
        if !budget.is_unlimited() && budget.is_spent(estimated) {
            break true;
        }
        rows.clear();
        rows.extend(allowed.by_ref().take(BLOCK_ROWS));
        if rows.is_empty() {
            break false;
        }
        for &row in &*rows {
            codes.check(row)?;
        }
        distances.resize(rows.len(), 0.0);
        on_codes.score_rows(rows, distances);
        for (&row, &distance) in rows.iter().zip(&*distances) {
            let range = bounds.range(distance, codes.error(row)?);
            if range.start > top.threshold() {
                continue;
            }
            top.push(range.end, row);
            pool.offer(Key::new(distance, row));
            estimates.push(Neighbor { distance, row });
        }
        estimated += rows.len() as u64;
        let undecided = estimates.len() as u64 * 100;
        if estimated == ROWS_TO_TELL && undecided > estimated * UNDECIDED_PERCENT_MAX {
            break false;
        }
    };
    // How far the nearest by codes are tells which others have to be measured: all that may be nearer.
    top.clear(k);
    rows.clear();
    rows.extend(pool.iter().map(|near| near.row));
    measure(scorer, rows, distances, top);
    let threshold = top.threshold();
    let farthest = pool.worst();
    rows.clear();
    for near in &*estimates {
        let was_measured = farthest.is_some_and(|worst| Key::new(near.distance, near.row) <= worst);
        let is_far = bounds.range(near.distance, codes.error(near.row)?).start > threshold;
        if !was_measured && !is_far {
            rows.push(near.row);
        }
    }
    measure(scorer, rows, distances, top);
    let mut vectors = (pool.len() + rows.len()) as u64;
    while !truncated {
        rows.clear();
        // Where codes tell, no row is left.
        rows.extend(allowed.by_ref().take(BLOCK_ROWS));
        if rows.is_empty() {
            break;
        }
        if !budget.is_unlimited() && budget.is_spent(estimated + vectors) {
            truncated = true;
            break;
        }
        measure(scorer, rows, distances, top);
        vectors += rows.len() as u64;
    }
    Ok(SearchStats {
        counters: Counters {
            distance_computations: estimated + vectors,
            nodes_visited: estimated,
            ..Counters::default()
        },
        truncated,
        exact: !truncated,
        ..SearchStats::default()
    })
}

fn measure(scorer: &Scorer<'_>, rows: &[RowId], distances: &mut Vec<f32>, top: &mut TopK) {
    distances.resize(rows.len(), 0.0);
    scorer.score_rows(rows, distances);
    top.offer(distances, |i| rows[i]);
}
