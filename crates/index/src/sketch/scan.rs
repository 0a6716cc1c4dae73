//! The search: estimates of all rows, exact distances of the few that may be near enough.

use vecdb_vector::{
    CODE_GROUP, Kernels, Query, RowId, RowMask, Scorer, TopK, VectorRows, plane_dots,
};

use super::{SketchQuery, SketchSpace, Sketches};
use crate::exact::scan_exact;
use crate::{Budget, Counters, SearchStats};

/// Rows estimated at a time: their codes stay in the first-level cache, and four words of a mask cover them.
const BLOCK: usize = 256;
/// Rows compared with the threshold at a time.
const STRIDE: usize = 32;
/// Rows measured per call once the threshold is good; after each call it is read anew.
const BATCH: usize = 32;
/// Up to so many rows, measuring all is as quick as estimating.
const FEW: usize = 256;
/// Rows between two looks at the budget.
const CHECK: usize = 1024;

/// Reusable memory of [`scan_sketched`]; one per thread.
#[derive(Debug, Default)]
pub struct SketchScratch {
    dots: Vec<i32>,
    /// Estimated ranks; NaN for rows that are out of the question or already measured.
    estimates: Vec<f32>,
    best: Vec<(f32, RowId)>,
    batch: Vec<RowId>,
    ranks: Vec<f32>,
}

/// Offers to `top` the rows of `rows` (allowed by `mask`) that can be among its nearest, with exact rank values, like
/// [`scan_exact`]: what `top` already holds helps to exclude rows.
///
/// A near row is missed only where the error of its estimate exceeds the bound, or when the budget is spent first.
///
/// # Panics
/// When space, sketches, queries and rows do not belong together.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one request, each borrowed from another owner"
)]
pub fn scan_sketched(
    kernels: Kernels,
    space: &SketchSpace,
    sketches: &Sketches,
    sketch_query: &SketchQuery,
    query: &Query,
    rows: VectorRows<'_>,
    mask: Option<&RowMask>,
    budget: &Budget<'_>,
    top: &mut TopK,
    scratch: &mut SketchScratch,
) -> SearchStats {
    assert_eq!(sketches.len(), rows.len(), "sketches and rows");
    let allowed = mask.map_or(rows.len(), |mask| mask.count().min(rows.len())) as usize;
    if top.k() == 0 || allowed == 0 {
        return SearchStats::default();
    }
    assert!(
        query.metric() == space.metric()
            && sketches.words() == space.words()
            && sketch_query.planes.len() == space.words() * vecdb_vector::PLANES,
        "query and sketches of another space than {} x {}",
        space.dim(),
        space.metric()
    );
    let first_pick = 2 * top.k().min(allowed) + 32;
    if sketch_query.blind || allowed <= FEW.max(first_pick) {
        return scan_exact(kernels, query, rows, mask, budget, top);
    }
    let mask = mask.filter(|mask| allowed < rows.len() as usize || !mask.is_all());
    // A threshold from other rows is as good as one from the best rows of these.
    let pick = if top.threshold() < f32::INFINITY {
        0
    } else {
        first_pick
    };
    scratch.estimate(kernels, sketches, sketch_query, mask, pick, budget);
    let mut measure = Measure {
        scorer: Scorer::new(kernels, query, rows),
        budget,
        top,
        computed: 0,
    };
    measure.best(scratch, sketches.errors(), sketch_query.error);
    let complete = measure.rest(scratch, sketches.errors(), sketch_query.error);
    let computed = measure.computed;
    SearchStats {
        counters: Counters {
            distance_computations: computed,
            nodes_visited: computed,
            ..Counters::default()
        },
        truncated: !complete || scratch.estimates.len() < sketches.errors().len(),
        ..SearchStats::default()
    }
}

impl SketchScratch {
    /// Estimates all rows and leaves the `pick` rows (or none) of the least estimates in `best`. Once the budget is spent
    /// the rows that follow get no estimate.
    fn estimate(
        &mut self,
        kernels: Kernels,
        sketches: &Sketches,
        query: &SketchQuery,
        mask: Option<&RowMask>,
        pick: usize,
        budget: &Budget<'_>,
    ) {
        let filled = sketches.errors().len();
        self.estimates.resize(filled, f32::NAN);
        self.dots.resize(BLOCK, 0);
        self.best.clear();
        let mut picker = Picker {
            best: &mut self.best,
            pick,
            limit: f32::INFINITY,
        };
        for first in (0..filled).step_by(BLOCK) {
            if first.is_multiple_of(CHECK) && budget.is_spent(0) {
                self.estimates.truncate(first);
                break;
            }
            let rows = BLOCK.min(filled - first);
            let estimates = &mut self.estimates[first..first + rows];
            if mask.is_some_and(|mask| words_at(mask, first).all(|word| word == 0)) {
                estimates.fill(f32::NAN);
                continue;
            }
            let dots = &mut self.dots[..rows];
            let codes = sketches.codes(first, rows);
            plane_dots(kernels, &query.planes, codes, sketches.words(), dots);
            let (add, rescale) = sketches.factors(first, rows);
            for (((estimate, &dot), &add), &rescale) in
                estimates.iter_mut().zip(&*dots).zip(add).zip(rescale)
            {
                *estimate = add + query.add + rescale * (query.scale * dot as f32 + query.offset);
            }
            if let Some(mask) = mask {
                exclude(estimates, words_at(mask, first));
            }
            if pick > 0 {
                picker.offer(estimates, first);
            }
        }
        picker.cut();
    }
}

/// The words of a mask that cover a block.
fn words_at(mask: &RowMask, first: usize) -> impl Iterator<Item = u64> + '_ {
    (0..BLOCK / 64).map(move |word| mask.word((first / 64 + word) as u32))
}

/// Excludes the rows that a mask does not hold.
fn exclude(estimates: &mut [f32], words: impl Iterator<Item = u64>) {
    for (estimates, word) in estimates.chunks_mut(64).zip(words) {
        if word == u64::MAX {
            continue;
        }
        for (i, estimate) in estimates.iter_mut().enumerate() {
            if (word >> i) & 1 == 0 {
                *estimate = f32::NAN;
            }
        }
    }
}

/// Collects the rows of the least estimates.
struct Picker<'a> {
    best: &'a mut Vec<(f32, RowId)>,
    pick: usize,
    /// Estimates that are not below cannot be among the least.
    limit: f32,
}

impl Picker<'_> {
    fn offer(&mut self, estimates: &[f32], first: usize) {
        for (s, stride) in estimates.chunks(STRIDE).enumerate() {
            // NaN is never below.
            if !any(stride, |&estimate| estimate < self.limit) {
                continue;
            }
            for (i, &estimate) in stride.iter().enumerate() {
                if estimate < self.limit {
                    let row = RowId((first + s * STRIDE + i) as u32);
                    self.best.push((estimate, row));
                }
            }
            if self.best.len() >= 2 * self.pick {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        if self.best.len() > self.pick && self.pick > 0 {
            let last = self.pick - 1;
            self.best
                .select_nth_unstable_by(last, |a, b| a.0.total_cmp(&b.0));
            self.limit = self.best[last].0;
            self.best.truncate(self.pick);
        }
    }
}

/// Whether any holds, without a branch per item.
#[inline]
fn any<T>(items: &[T], test: impl Fn(&T) -> bool) -> bool {
    items.iter().fold(0u32, |n, item| n + u32::from(test(item))) > 0
}

/// Exact distances, offered to the pool.
struct Measure<'a, 'r> {
    scorer: Scorer<'r>,
    budget: &'a Budget<'a>,
    top: &'a mut TopK,
    computed: u64,
}

impl Measure<'_, '_> {
    /// Measures the rows picked, unless another part has already found nearer ones.
    fn best(&mut self, scratch: &mut SketchScratch, errors: &[f32], error: f32) {
        let threshold = self.top.threshold();
        for at in 0..scratch.best.len() {
            let (estimate, row) = scratch.best[at];
            if estimate - error * errors[row.index()] <= threshold {
                scratch.batch.push(row);
            }
            scratch.estimates[row.index()] = f32::NAN;
            if scratch.batch.len() == CHECK {
                self.flush(scratch);
                if self.budget.is_spent(self.computed) {
                    break;
                }
            }
        }
        self.flush(scratch);
    }

    /// Measures all further rows whose bound reaches below the threshold; whether it came to the end of them.
    fn rest(&mut self, scratch: &mut SketchScratch, errors: &[f32], error: f32) -> bool {
        let mut first = 0usize;
        let mut complete = true;
        let estimates = std::mem::take(&mut scratch.estimates);
        for (estimates, errors) in estimates.chunks(STRIDE).zip(errors.chunks(STRIDE)) {
            if first.is_multiple_of(CHECK) && self.budget.is_spent(self.computed) {
                complete = false;
                break;
            }
            let threshold = self.top.threshold();
            let near = estimates.iter().zip(errors).fold(0u32, |n, (&e, &f)| {
                n + u32::from(e - error * f <= threshold)
            });
            if near > 0 {
                for (i, (&e, &f)) in estimates.iter().zip(errors).enumerate() {
                    if e - error * f <= threshold {
                        scratch.batch.push(RowId((first + i) as u32));
                    }
                }
                if scratch.batch.len() >= BATCH {
                    self.flush(scratch);
                }
            }
            first += STRIDE;
        }
        scratch.estimates = estimates;
        self.flush(scratch);
        complete
    }

    fn flush(&mut self, scratch: &mut SketchScratch) {
        let n = scratch.batch.len();
        scratch.ranks.resize(n, 0.0);
        self.scorer.score_rows(&scratch.batch, &mut scratch.ranks);
        for (&row, &rank) in scratch.batch.iter().zip(&scratch.ranks) {
            self.top.push(rank, row);
        }
        self.computed += n as u64;
        scratch.batch.clear();
    }
}

// A block is whole groups of codes and whole words of a mask.
const _: () = assert!(BLOCK.is_multiple_of(CODE_GROUP) && BLOCK.is_multiple_of(64));
const _: () = assert!(CHECK.is_multiple_of(BLOCK) && BLOCK.is_multiple_of(STRIDE));
