//! From the estimates of a walk to hits: candidates are measured exactly, the most promising first, until what comes is
//! unlikely to be among the nearest.

use vecdb_vector::{Neighbor, Scorer, TopK};

use super::{Sq4Codes, Sq4Query};
use crate::Scratch;

/// Deviations of error that are allowed for.
const DEVIATIONS: f32 = 2.0;
/// Measured at first, beside as many as are wanted.
const FIRST_BESIDE: usize = 4;
/// Measured at a time from then on.
const NEXT: usize = 4;

/// What it takes to measure candidates.
pub(crate) struct Reranker<'a> {
    pub(crate) scorer: &'a Scorer<'a>,
    pub(crate) codes: &'a Sq4Codes,
    pub(crate) query: &'a Sq4Query,
    /// So many are measured, in place of as many as it takes.
    pub(crate) count: Option<usize>,
}

impl Reranker<'_> {
    /// Leaves the nearest `k` of the candidates in `scratch.pool` in `scratch.top`; how many were measured.
    pub(crate) fn run(&self, k: usize, scratch: &mut Scratch) -> u64 {
        let Scratch {
            top,
            pool,
            distances,
            rows,
            ..
        } = scratch;
        top.clear(k);
        let mut candidates = pool.iter().peekable();
        let mut measured = 0;
        // All that are sure to be measured at once, so that one is on its way while another is measured.
        let mut next = self.count.map_or(k + FIRST_BESIDE, |count| count.max(k));
        while next > 0 {
            rows.clear();
            rows.extend(candidates.by_ref().take(next).map(|near| near.row));
            distances.resize(rows.len(), 0.0);
            self.scorer.score_rows(rows, distances);
            top.offer(distances, |i| rows[i]);
            measured += rows.len();
            next = match (self.count, candidates.peek()) {
                (None, Some(near)) if !self.is_far(near, top) => NEXT,
                _ => 0,
            };
        }
        measured as u64
    }

    fn is_far(&self, near: &Neighbor, top: &TopK) -> bool {
        self.codes.least(self.query, near.distance, DEVIATIONS) > top.threshold()
    }
}
