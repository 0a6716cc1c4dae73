//! From a rounded inner product to a lower bound of the rank value.
//!
//! With u = 2^-24, a sum of n terms in single precision errs by at most n u times the sum of
//! their magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), and
//! that sum is at most `|x| |q| <= (|x|^2 + |q|^2) / 2`. So shrinking the squared norms of L2 by
//! a factor `1 - slack`, lowering cosine by `slack` and dot by `slack |x| |q|` gives keys that
//! are below what the scorer would measure, whatever the order of additions.

use std::ops::RangeInclusive;

use crate::Metric;
use crate::kernels::DEPTH_BLOCK;

/// Squared norms within which neither products nor keys overflow or lose digits to underflow.
const SAFE_SQUARES: RangeInclusive<f32> = 1e-25..=1e30;

/// How keys are made for a metric and dimension.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    metric: Metric,
    dim: usize,
    slack: f32,
}

/// Part of a row or of a query in `offset[row] + offset[query] + factor[row] * product`.
pub(super) struct Part {
    pub(super) offset: f32,
    /// Of a row: its factor. Of a query: what its numbers are multiplied with.
    pub(super) factor: f32,
}

impl Bounds {
    pub(super) fn new(metric: Metric, dim: usize) -> Self {
        // Terms of the longest chain of additions: in a product, and in the kernels of the
        // scorer and the squared norms (eight lanes or more).
        let product = dim.min(DEPTH_BLOCK) + dim.div_ceil(DEPTH_BLOCK);
        let lanes = dim / 8 + 16;
        let units = (product + 3 * lanes + 16) as f32;
        Bounds {
            metric,
            dim,
            slack: 1.05 * units * f32::EPSILON / 2.0,
        }
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// None for a row that must be measured exactly instead.
    pub(super) fn row(&self, square: f32) -> Option<Part> {
        if !is_safe(square) {
            return None;
        }
        Some(match self.metric {
            Metric::L2 => Part {
                offset: square * (1.0 - self.slack),
                factor: -2.0,
            },
            Metric::Cosine if square == 0.0 => Part {
                offset: 0.0,
                factor: 0.0,
            },
            Metric::Cosine => Part {
                offset: 0.0,
                factor: -1.0 / square.sqrt(),
            },
            _ => Part {
                offset: -self.slack * square.sqrt(),
                factor: -1.0,
            },
        })
    }

    /// None for a query that must be scanned directly instead.
    pub(super) fn query(&self, square: f32) -> Option<Part> {
        if !is_safe(square) || (square == 0.0 && self.metric != Metric::L2) {
            return None;
        }
        Some(match self.metric {
            Metric::L2 => Part {
                offset: square * (1.0 - self.slack),
                factor: 1.0,
            },
            Metric::Cosine => Part {
                offset: 1.0 - self.slack,
                factor: 1.0 / square.sqrt(),
            },
            _ => Part {
                offset: 0.0,
                factor: 1.0 / square.sqrt(),
            },
        })
    }

    /// Multiplies a rank value of the query into the scale of its keys (dot alone: its queries
    /// are packed at unit length).
    pub(super) fn scale(&self, query: &Part) -> f32 {
        match self.metric {
            Metric::Dot => query.factor,
            _ => 1.0,
        }
    }
}

fn is_safe(square: f32) -> bool {
    square == 0.0 || SAFE_SQUARES.contains(&square)
}

/// The squared norm, in sixteen sums. 0 for a vector of zeros only, however small its numbers.
pub(in crate::batch) fn square(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x * x;
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += x * x;
    }
    let square: f32 = sums.iter().sum();
    if square == 0.0 && values.iter().any(|&x| x != 0.0) {
        return f32::MIN_POSITIVE;
    }
    square
}
