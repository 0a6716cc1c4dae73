//! The loops over rows and numbers, written once for every kernel.
//!
//! Four rows are walked at a time, so that a piece of the query is loaded once for four rows and
//! the sums of four rows hide each other's latency. Before four listed rows are measured, the
//! beginnings of the next four are asked for; the CPU's own prefetcher finds the rest.

use super::step::Step;
use crate::RowId;

/// One query and the rows it is measured against, as raw parts.
///
/// Invariant (held by `Scorer`, which builds it): `query` is readable for `dim` numbers, and
/// `rows + id * stride` for `dim` numbers of every row id that a loop is called with.
pub(crate) struct Job {
    pub(crate) query: *const u8,
    pub(crate) rows: *const u8,
    pub(crate) stride: usize,
    /// Numbers in a vector; bytes for bits.
    pub(crate) dim: usize,
}

/// Rank values of listed rows; both slices have the same length.
pub(crate) type GatherLoop = unsafe fn(&Job, &[RowId], &mut [f32]);
/// Rank values of consecutive rows from the one given.
pub(crate) type RangeLoop = unsafe fn(&Job, RowId, &mut [f32]);

/// The entry points of one kernel.
#[derive(Clone, Copy)]
pub(crate) struct RowLoops {
    pub(crate) gather: GatherLoop,
    pub(crate) range: RangeLoop,
}

/// Consecutive rows of at least so many bytes are read one after the other: the prefetcher of the
/// CPU follows one stream better than four (28 against 15 GB/s over 784-d f32 on Zen 4).
const SINGLE_BYTES: usize = 256;
/// Cache lines asked for of a row to come. More of them only queue up (Zen 4, 784-d f32 picked at
/// random: 223 ns per row with 16, 278 with all 49, 334 with none).
const AHEAD_LINES: usize = 16;
/// Rows walked at a time.
const GROUP: usize = 4;

/// Rank values of the rows listed, with `U` running sums per row. A pair's sums are added in the
/// same order wherever the row stands, so its result does not depend on the call.
#[inline(always)]
pub(super) unsafe fn gather<S: Step, const U: usize>(job: &Job, rows: &[RowId], out: &mut [f32]) {
    let row = |i: usize| job.rows.wrapping_add(rows[i].index() * job.stride);
    let n = rows.len().min(out.len());
    let ahead_lines = (job.dim * S::ROW_BYTES).div_ceil(64).min(AHEAD_LINES);
    let mut i = 0;
    // SAFETY: every row of `rows` is readable (Job's invariant); prefetches cannot fault.
    unsafe {
        while i + GROUP <= n {
            for ahead in i + GROUP..n.min(i + 2 * GROUP) {
                for line in 0..ahead_lines {
                    prefetch_to_l2(row(ahead).wrapping_add(line * 64));
                }
            }
            let group: [*const u8; GROUP] = std::array::from_fn(|g| row(i + g));
            let distances = measure::<S, GROUP, U>(job, group);
            out[i..i + GROUP].copy_from_slice(&distances);
            i += GROUP;
        }
        if i + 1 == n {
            out[i] = measure::<S, 1, U>(job, [row(i)])[0];
        } else if i < n {
            // Two or three rows cost no more as four, one of them measured twice.
            let group: [*const u8; GROUP] = std::array::from_fn(|g| row((i + g).min(n - 1)));
            let distances = measure::<S, GROUP, U>(job, group);
            out[i..n].copy_from_slice(&distances[..n - i]);
        }
    }
}

/// As [`gather`], for consecutive rows: the CPU prefetches these by itself.
#[inline(always)]
pub(super) unsafe fn range<S: Step, const U: usize>(job: &Job, first: RowId, out: &mut [f32]) {
    let row = |i: usize| job.rows.wrapping_add((first.index() + i) * job.stride);
    let n = out.len();
    let row_bytes = job.dim * S::ROW_BYTES;
    let mut i = 0;
    // SAFETY: as in `gather`.
    unsafe {
        while row_bytes < SINGLE_BYTES && i + GROUP <= n {
            let group: [*const u8; GROUP] = std::array::from_fn(|g| row(i + g));
            let distances = measure::<S, GROUP, U>(job, group);
            out[i..i + GROUP].copy_from_slice(&distances);
            i += GROUP;
        }
        while i < n {
            out[i] = measure::<S, 1, U>(job, [row(i)])[0];
            i += 1;
        }
    }
}

/// `R` rows against the query, with `U` running sums per row.
#[inline(always)]
unsafe fn measure<S: Step, const R: usize, const U: usize>(
    job: &Job,
    rows: [*const u8; R],
) -> [f32; R] {
    let block = U * S::LANES;
    let mut i = 0;
    // SAFETY: i + what is loaded stays within dim numbers, which Job vouches for.
    unsafe {
        // One array of rows for each of the running sums.
        let mut sums = [[S::zero(); R]; U];
        let mut query_sum = S::zero();
        while i + block <= job.dim {
            for (u, sums) in sums.iter_mut().enumerate() {
                let at = i + u * S::LANES;
                let q = S::query(job.query.wrapping_add(at * S::QUERY_BYTES));
                query_sum = S::add_query(query_sum, q);
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = S::add(*sum, q, S::row(row.wrapping_add(at * S::ROW_BYTES)));
                }
            }
            i += block;
        }
        while i + S::LANES <= job.dim {
            let q = S::query(job.query.wrapping_add(i * S::QUERY_BYTES));
            query_sum = S::add_query(query_sum, q);
            for (sum, row) in sums[0].iter_mut().zip(rows) {
                *sum = S::add(*sum, q, S::row(row.wrapping_add(i * S::ROW_BYTES)));
            }
            i += S::LANES;
        }
        if i < job.dim {
            let n = job.dim - i;
            let q = S::query_tail(job.query.wrapping_add(i * S::QUERY_BYTES), n);
            query_sum = S::add_query(query_sum, q);
            for (sum, row) in sums[0].iter_mut().zip(rows) {
                *sum = S::add(*sum, q, S::row_tail(row.wrapping_add(i * S::ROW_BYTES), n));
            }
        }
        // No closures here: one that the compiler does not inline loses the instruction set.
        let mut distances = [0.0; R];
        for (r, distance) in distances.iter_mut().enumerate() {
            let mut sum = sums[0][r];
            for other in &sums[1..] {
                sum = S::merge(sum, other[r]);
            }
            *distance = S::finish(sum, query_sum);
        }
        distances
    }
}

/// Asks for the cache line at an address, which need not be readable.
#[inline(always)]
pub(crate) fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: a prefetch never faults and changes no register.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, readonly, preserves_flags));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// As [`prefetch`], into the second-level cache, which can wait for more lines at a time.
#[inline(always)]
pub(crate) fn prefetch_to_l2(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: as in `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    prefetch(at);
}
