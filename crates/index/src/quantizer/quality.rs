//! How much codes lose, and whether new data lose more.

use serde::Serialize;
use vecdb_vector::{RowId, TopK, VectorRows, scan_batch};

use super::{QuantizedQuery, Quantizer, ScanBuffer};
use crate::kmeans::sample;
use crate::random::Random;
use crate::{BuildOptions, IndexError};

/// Rows that an error is measured on.
const ROWS: usize = 4_096;
/// Queries that a recall is measured with.
const QUERIES: usize = 100;
const K: usize = 10;

/// What codes lose on some rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QualityReport {
    /// Rows that the errors were measured on.
    pub rows: usize,
    /// Bytes of a vector as it is stored.
    pub vector_bytes: usize,
    /// Bytes of its code.
    pub code_bytes: usize,
    /// The former divided by the latter.
    pub compression: f64,
    /// Mean squared distance between a vector and what its code stands for (under cosine of vectors of unit length).
    pub error: f64,
    /// The same as a share of the mean squared distance of vectors to their mean (for inner products: to zero).
    pub relative_error: f64,
    /// Of the true 10 nearest of up to 100 rows, how many codes alone find, the row itself not counted. `None`: too few rows.
    pub recall_at_10: Option<f64>,
}

/// How well codes fit rows that they were not trained on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftReport {
    /// Rows looked at.
    pub rows: usize,
    /// Mean squared error of these.
    pub error: f64,
    /// That of the vectors it was trained on.
    pub trained_error: f64,
    /// The former divided by the latter: 1 where nothing has changed. Far above, training anew pays.
    pub ratio: f64,
}

impl Quantizer {
    /// Mean squared error of the vectors that it was trained on.
    pub fn trained_error(&self) -> f64 {
        self.trained_error
    }

    /// Mean squared error of centred vectors, of the first [`ROWS`] of them.
    pub(super) fn error_of(&self, vectors: &[f32]) -> Result<f64, IndexError> {
        let mut encoder = self.encoder(&BuildOptions::default());
        let mut code = vec![0; self.code_bytes()];
        let mut decoded = vec![0.0; self.dim];
        let mut sum = 0.0;
        let vectors = vectors.chunks_exact(self.dim).take(ROWS);
        let count = vectors.len().max(1);
        for vector in vectors {
            code.fill(0);
            encoder.encode(vector, &[], &mut code)?;
            self.decode_centred(&code, &mut decoded);
            sum += square_between(vector, &decoded);
        }
        Ok(sum / count as f64)
    }

    /// Mean squared error on up to 4,096 rows, drawn by `seed`, and how far it is from that of the training.
    ///
    /// # Errors
    /// Rows of another dimension, cancellation.
    pub fn drift(
        &self,
        rows: VectorRows<'_>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<DriftReport, IndexError> {
        let vectors = self.centred_sample(rows, seed, options)?;
        let error = self.error_of(&vectors)?;
        Ok(DriftReport {
            rows: vectors.len() / self.dim,
            error,
            trained_error: self.trained_error,
            ratio: ratio(error, self.trained_error),
        })
    }

    /// What the codes lose on `rows`, measured on samples drawn by `seed`.
    ///
    /// # Errors
    /// Rows of another dimension, cancellation.
    pub fn quality(
        &self,
        rows: VectorRows<'_>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<QualityReport, IndexError> {
        let vectors = self.centred_sample(rows, seed, options)?;
        let count = vectors.len() / self.dim;
        let error = self.error_of(&vectors)?;
        let zeros = vec![0.0; self.dim];
        let squares: f64 = vectors
            .chunks_exact(self.dim)
            .map(|vector| square_between(vector, &zeros))
            .sum();
        let vector_bytes = rows.element().bytes(self.dim);
        Ok(QualityReport {
            rows: count,
            vector_bytes,
            code_bytes: self.code_bytes(),
            compression: vector_bytes as f64 / self.code_bytes() as f64,
            error,
            relative_error: ratio(error, squares / count.max(1) as f64),
            recall_at_10: self.recall(rows, seed, options)?,
        })
    }

    fn centred_sample(
        &self,
        rows: VectorRows<'_>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Vec<f32>, IndexError> {
        self.check(rows.dim(), self.code_bytes())?;
        let mut vectors = sample(self.metric, rows, ROWS, seed, options)?;
        for vector in vectors.chunks_exact_mut(self.dim) {
            super::subtract(vector, &self.mean);
        }
        Ok(vectors)
    }

    fn recall(
        &self,
        rows: VectorRows<'_>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Option<f64>, IndexError> {
        if rows.len() as usize <= K || !self.metric.supports(rows.element()) {
            return Ok(None);
        }
        let codes = self.encode_rows(rows, options)?;
        let drawn = Random::new(seed ^ 0x9a1e).distinct(QUERIES, rows.len() as usize);
        let row_bytes = |row: &usize| rows.row_bytes(RowId(*row as u32));
        let bytes: Vec<u8> = drawn.iter().flat_map(row_bytes).copied().collect();
        let stride = rows.element().bytes(self.dim);
        let count = drawn.len() as u32;
        let queries = VectorRows::new(rows.element(), self.dim, stride, count, &bytes)?;
        let (metric, threads) = (self.metric, options.threads);
        let truth = scan_batch(options.kernels, metric, queries, rows, None, K + 1, threads);
        let mut query = QuantizedQuery::default();
        let mut buffer = ScanBuffer::with_kernels(options.kernels);
        let (mut vector, mut ranks) = (vec![0.0; self.dim], vec![0.0; codes.len()]);
        let (mut found, mut wanted) = (0, 0);
        for (&own, truth) in drawn.iter().zip(&truth) {
            options.check_cancelled()?;
            rows.to_f32(RowId(own as u32), &mut vector);
            self.set(&mut query, &vector)?;
            let all = 0..codes.len();
            self.scan(&query, &codes, all, f32::INFINITY, &mut buffer, &mut ranks)?;
            ranks[own] = f32::NAN;
            let mut top = TopK::new(K);
            top.offer(&ranks, |i| RowId(i as u32));
            let others = truth.iter().filter(|hit| hit.row.index() != own).take(K);
            for hit in others {
                wanted += 1;
                found += usize::from(top.iter().any(|near| near.row == hit.row));
            }
        }
        Ok((wanted > 0).then(|| f64::from(found as u32) / f64::from(wanted)))
    }
}

fn square_between(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum()
}

/// `of / whole`; nothing of nothing is 1 where both are nothing.
fn ratio(of: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        of / whole
    } else if of > 0.0 {
        f64::INFINITY
    } else {
        1.0
    }
}
