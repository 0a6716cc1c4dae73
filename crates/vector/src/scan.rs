//! Exact search of one query over all rows, or over the rows of a mask.

use crate::{Kernels, Query, RowId, RowMask, Scorer, TopK, VectorRows};

/// Rows measured per call of the kernel; their rank values stay in the first-level cache.
const BLOCK_ROWS: usize = 256;

/// Offers every row (of `mask`) to `top`, with its rank value, and returns how many distances
/// were computed. Rows of the mask beyond `rows.len()` are ignored.
///
/// # Panics
/// When the query is for another element type or dimension than the rows have.
pub fn scan(
    kernels: Kernels,
    query: &Query,
    rows: VectorRows<'_>,
    mask: Option<&RowMask>,
    top: &mut TopK,
) -> u64 {
    scan_while(kernels, query, rows, mask, top, |_| true)
}

/// [`scan`], but only as long as `go_on` says so: asked every 256 rows with the number of distances
/// computed so far. Fewer distances than rows (of `mask`) tell that it said no.
///
/// # Panics
/// As [`scan`].
pub fn scan_while(
    kernels: Kernels,
    query: &Query,
    rows: VectorRows<'_>,
    mask: Option<&RowMask>,
    top: &mut TopK,
    go_on: impl FnMut(u64) -> bool,
) -> u64 {
    scan_with(&Scorer::new(kernels, query, rows), mask, top, go_on)
}

pub(crate) fn scan_with(
    scorer: &Scorer<'_>,
    mask: Option<&RowMask>,
    top: &mut TopK,
    go_on: impl FnMut(u64) -> bool,
) -> u64 {
    match mask {
        Some(mask) if mask.count() < scorer.rows().len() => scan_mask(scorer, mask, top, go_on),
        _ => scan_all(scorer, top, go_on),
    }
}

fn scan_all(scorer: &Scorer<'_>, top: &mut TopK, mut go_on: impl FnMut(u64) -> bool) -> u64 {
    let rows = scorer.rows().len();
    let mut ranks = [0.0; BLOCK_ROWS];
    let mut first = 0;
    while first < rows && go_on(u64::from(first)) {
        let n = BLOCK_ROWS.min((rows - first) as usize);
        scorer.score_range(RowId(first), &mut ranks[..n]);
        top.offer(&ranks[..n], |i| RowId(first + i as u32));
        first += n as u32;
    }
    u64::from(first)
}

fn scan_mask(
    scorer: &Scorer<'_>,
    mask: &RowMask,
    top: &mut TopK,
    mut go_on: impl FnMut(u64) -> bool,
) -> u64 {
    let end = scorer.rows().len();
    let mut ranks = [0.0; BLOCK_ROWS];
    let mut listed = [RowId(0); BLOCK_ROWS];
    let mut members = mask.iter().take_while(|row| row.0 < end);
    let mut total = 0;
    while go_on(total) {
        let mut n = 0;
        for (slot, row) in listed.iter_mut().zip(&mut members) {
            *slot = row;
            n += 1;
        }
        if n == 0 {
            break;
        }
        scorer.score_rows(&listed[..n], &mut ranks[..n]);
        top.offer(&ranks[..n], |i| listed[i]);
        total += n as u64;
    }
    total
}
