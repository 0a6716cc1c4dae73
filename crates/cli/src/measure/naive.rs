//! The loop that a beginner writes: one number at a time, a root per row, a sort of everything. The yardstick of the
//! vector kernels.

use std::time::{Duration, Instant};

use vecdb_vector::{ElementType, Metric, VectorRows, decode_row};

/// Rows are measured up to this many bytes of f32; the time of the others is extrapolated.
const SAMPLE_BYTES: usize = 32 << 20;

/// The naive loop over the first rows of a dataset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NaiveLoop {
    /// Rows compared.
    pub(crate) rows: u64,
    /// The time it took.
    pub(crate) time: Duration,
}

impl NaiveLoop {
    /// Compares `query` with as many rows as the sample holds; `query` has one number per element (bits: per bit).
    pub(crate) fn run(metric: Metric, query: &[f32], rows: VectorRows<'_>) -> Self {
        let dim = rows.dim();
        let count = (SAMPLE_BYTES / (dim * 4)).clamp(1, rows.len() as usize);
        // Reading other element types is not what is compared: all rows become f32 first.
        let mut values = Vec::with_capacity(count * dim);
        for row in (0..count as u32).map(Into::into) {
            decode_row(rows.element(), dim, rows.row_bytes(row), &mut values);
        }
        let started = Instant::now();
        let mut all: Vec<(f32, usize)> = values
            .chunks_exact(dim)
            .enumerate()
            .map(|(at, row)| (distance(metric, query, row), at))
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        std::hint::black_box(&all);
        Self {
            rows: count as u64,
            time: started.elapsed(),
        }
    }

    /// The time it would take over `rows` rows.
    pub(crate) fn seconds_over(&self, rows: u64) -> f64 {
        self.time.as_secs_f64() * rows as f64 / self.rows.max(1) as f64
    }
}

/// The query as f32 numbers, from its stored bytes.
pub(crate) fn query_values(element: ElementType, dim: usize, bytes: &[u8]) -> Vec<f32> {
    let mut values = Vec::with_capacity(dim);
    decode_row(element, dim, bytes, &mut values);
    values
}

fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = 0.0f32;
    let (mut norm_a, mut norm_b) = (0.0f32, 0.0f32);
    for (x, y) in a.iter().zip(b) {
        match metric {
            Metric::L2 => sum += (x - y) * (x - y),
            Metric::L1 | Metric::Hamming => sum += (x - y).abs(),
            Metric::Dot => sum -= x * y,
            Metric::Cosine | Metric::Jaccard => {
                sum += x * y;
                norm_a += x * x;
                norm_b += y * y;
            }
        }
    }
    match metric {
        Metric::L2 => sum.sqrt(),
        Metric::Cosine => 1.0 - sum / (norm_a.sqrt() * norm_b.sqrt()),
        Metric::Jaccard => 1.0 - sum / (norm_a + norm_b - sum),
        _ => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_definitions() {
        let (a, b) = ([3.0, 4.0], [0.0, 4.0]);
        for (metric, expected) in [
            (Metric::L2, 3.0),
            (Metric::L1, 3.0),
            (Metric::Dot, -16.0),
            (Metric::Cosine, 0.2),
        ] {
            assert!(
                (distance(metric, &a, &b) - expected).abs() < 1e-6,
                "{metric}"
            );
        }
        assert!((distance(Metric::Jaccard, &[1.0, 1.0, 0.0], &[0.0, 1.0, 0.0]) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn time_is_extrapolated_by_rows() {
        let naive = NaiveLoop {
            rows: 10,
            time: Duration::from_millis(2),
        };
        assert!((naive.seconds_over(1_000) - 0.2).abs() < 1e-9);
    }
}
