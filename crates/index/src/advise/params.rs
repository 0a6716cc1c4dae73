//! What is asked, and which rows are measured.

use crate::IndexError;
use crate::random::Random;

/// The larger sample has so many times the rows of the smaller.
pub(super) const SAMPLE_RATIO: u32 = 4;
/// Fewer rows tell nothing of how something grows.
pub(super) const SAMPLE_MIN: u32 = 64;

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct AdviceParams {
    /// Share of the true neighbours to be found. 0.5 to 1, default 0.95.
    pub target_recall: f32,
    /// Hits of a search. 1 to 1,000, default 10.
    pub limit: usize,
    /// Memory for index and vectors, as far as searches have to have them there; no limit by default.
    pub memory_bytes: Option<u64>,
    /// How many rows there will be, 1 or more. Default: those that are given.
    pub rows: Option<u64>,
    /// Rows to measure with, at most. 256 to 1,000,000, default 20,000.
    pub sample_rows: u32,
    /// Held-out rows to search with. 10 to 10,000, default 200.
    pub queries: u32,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for AdviceParams {
    fn default() -> Self {
        Self {
            target_recall: 0.95,
            limit: 10,
            memory_bytes: None,
            rows: None,
            sample_rows: 20_000,
            queries: 200,
            seed: 42,
        }
    }
}

impl AdviceParams {
    /// Checks the ranges documented at the fields.
    pub fn validate(&self) -> Result<(), IndexError> {
        if !(0.5..=1.0).contains(&self.target_recall) {
            return Err(IndexError::BadNumber {
                name: "target_recall",
                // As it was written: 0.3, not 0.30000001192092896.
                value: (self.target_recall.to_string().parse())
                    .unwrap_or(f64::from(self.target_recall)),
                expected: "from 0.5 to 1",
            });
        }
        let ranges = [
            ("limit", self.limit as u64, 1..=1_000, "from 1 to 1,000"),
            ("rows", self.rows.unwrap_or(1), 1..=u64::MAX, "1 or more"),
            (
                "sample_rows",
                u64::from(self.sample_rows),
                u64::from(SAMPLE_MIN * SAMPLE_RATIO)..=1_000_000,
                "from 256 to 1,000,000",
            ),
            (
                "queries",
                u64::from(self.queries),
                10..=10_000,
                "from 10 to 10,000",
            ),
        ];
        for (name, value, range, expected) in ranges {
            if !range.contains(&value) {
                return Err(IndexError::OutOfRange {
                    name,
                    value,
                    expected,
                });
            }
        }
        Ok(())
    }

    /// Which of `count` rows are measured: their numbers, ascending. From the rows of these numbers alone
    /// [`advise`](crate::advise) learns the same as from all.
    pub fn draw(&self, count: usize) -> Vec<usize> {
        let wanted = self.sample_rows as usize + self.queries as usize;
        Random::new(self.seed).distinct(wanted, count)
    }

    /// How many of `drawn` rows are queries: those asked for where enough others are left, else at most a tenth.
    pub(super) fn queries_of(&self, drawn: usize) -> usize {
        let beyond_sample = drawn.saturating_sub(self.sample_rows as usize);
        (self.queries as usize).min(beyond_sample.max(drawn / 10))
    }
}
