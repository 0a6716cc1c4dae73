//! One query against many rows.
#![allow(unsafe_code)]

use crate::kernels::{Job, RowLoops, prefetch};
use crate::{ElementType, Kernels, Metric, Query, RowId, VectorRows, reference};

/// Inverse norms within which single precision neither overflows nor underflows in a dot product
/// of two rows. Beyond, cosine is computed by the f64 reference.
const SAFE_INVERSE_NORMS: std::ops::RangeInclusive<f32> = 1e-15..=1e15;

/// Measures one query, or one stored row, against the rows of a field.
///
/// Making one is cheap (no allocation, no copy): a table look-up. Every call is one indirect jump
/// into a loop over all the rows of the call, made for the instruction set, metric and element
/// type. Results are rank values (see [`Metric`]): smaller is nearer. They are never NaN.
///
/// The same pair measured by any of the methods gives the same result on the same kernels.
pub struct Scorer<'a> {
    metric: Metric,
    loops: RowLoops,
    rows: VectorRows<'a>,
    query: &'a [u8],
    query_encoding: ElementType,
    query_inverse_norm: f32,
}

impl<'a> Scorer<'a> {
    /// A scorer of `query` against `rows`.
    ///
    /// # Panics
    /// When element type or dimension of the two differ.
    pub fn new(kernels: Kernels, query: &'a Query, rows: VectorRows<'a>) -> Self {
        assert!(
            query.element() == rows.element() && query.dim() == rows.dim(),
            "a query of {} x {} against rows of {} x {}",
            query.dim(),
            query.element(),
            rows.dim(),
            rows.element()
        );
        Scorer {
            metric: query.metric(),
            loops: kernels.row_loops(query.metric(), query.encoding(), rows.element()),
            rows,
            query: query.bytes(),
            query_encoding: query.encoding(),
            query_inverse_norm: query.inverse_norm(),
        }
    }

    /// A scorer of a stored row against the rows it lies among. No allocation and no copy.
    ///
    /// # Panics
    /// When the row is out of range or the metric does not support the element type.
    pub fn between_rows(
        kernels: Kernels,
        metric: Metric,
        rows: VectorRows<'a>,
        row: RowId,
    ) -> Self {
        assert!(
            metric.supports(rows.element()),
            "metric {metric} over {} rows",
            rows.element()
        );
        let mut scorer = Scorer {
            metric,
            loops: kernels.row_loops(metric, rows.element(), rows.element()),
            rows,
            query: rows.row_bytes(row),
            query_encoding: rows.element(),
            query_inverse_norm: 0.0,
        };
        if metric.needs_norms() {
            scorer.query_inverse_norm = scorer.inverse_norm(row);
        }
        scorer
    }

    /// The rank value of one row.
    ///
    /// # Panics
    /// When the row is out of range.
    #[inline]
    pub fn score(&self, row: RowId) -> f32 {
        let mut out = [0.0];
        self.score_range(row, &mut out);
        out[0]
    }

    /// The rank values of the rows listed, in the order of the list, into `out`.
    ///
    /// # Panics
    /// When a row is out of range or `out` has another length than `rows`.
    #[inline]
    pub fn score_rows(&self, rows: &[RowId], out: &mut [f32]) {
        assert_eq!(rows.len(), out.len(), "lengths of rows and output");
        let largest = rows.iter().fold(0, |max, row| row.0.max(max));
        assert!(
            largest < self.rows.len() || rows.is_empty(),
            "row {largest} of {} rows",
            self.rows.len()
        );
        if let (Metric::Cosine, Some(norms)) = (self.metric, self.rows.inverse_norms()) {
            for row in rows {
                prefetch(norms.as_ptr().wrapping_add(row.index()).cast());
            }
        }
        // SAFETY: all rows are in range and the lengths agree, as asserted above.
        unsafe { (self.loops.gather)(&self.job(), rows, out) };
        self.complete(out, |i| rows[i]);
    }

    /// The rank values of `out.len()` rows from `first` on.
    ///
    /// # Panics
    /// When they do not all exist.
    #[inline]
    pub fn score_range(&self, first: RowId, out: &mut [f32]) {
        assert!(
            first.index() + out.len() <= self.rows.len() as usize,
            "rows {first}..{} of {} rows",
            first.index() + out.len(),
            self.rows.len()
        );
        // SAFETY: all rows are in range, as asserted above.
        unsafe { (self.loops.range)(&self.job(), first, out) };
        self.complete(out, |i| RowId(first.0 + i as u32));
    }

    /// Asks for the first cache lines of a row; does nothing out of range.
    #[inline]
    pub fn prefetch(&self, row: RowId) {
        if row.0 < self.rows.len() {
            let bytes = self.rows.row_bytes(row);
            for line in bytes.chunks(64).take(16) {
                prefetch(line.as_ptr());
            }
        }
    }

    /// The rows it measures against.
    pub fn rows(&self) -> VectorRows<'a> {
        self.rows
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    fn job(&self) -> Job {
        Job {
            query: self.query.as_ptr(),
            rows: self.rows.bytes().as_ptr(),
            stride: self.rows.stride(),
            dim: match self.rows.element() {
                ElementType::Bits => self.query.len(),
                _ => self.rows.dim(),
            },
        }
    }

    /// Turns what the loops leave (`-dot` for cosine) into rank values.
    #[inline]
    fn complete(&self, out: &mut [f32], row: impl Fn(usize) -> RowId) {
        match self.metric {
            Metric::Cosine => {
                for (i, value) in out.iter_mut().enumerate() {
                    *value = self.cosine(*value, row(i));
                }
            }
            // An overflow on the way may leave NaN, or an infinity of the wrong sign.
            Metric::Dot if out.iter().any(|value| !value.is_finite()) => {
                for (i, value) in out.iter_mut().enumerate() {
                    if !value.is_finite() {
                        *value = self.exact(row(i)) as f32;
                    }
                }
            }
            _ => {}
        }
    }

    #[inline]
    fn cosine(&self, negative_dot: f32, row: RowId) -> f32 {
        let inverse_norm = self.inverse_norm(row);
        let safe = |norm: f32| SAFE_INVERSE_NORMS.contains(&norm);
        if safe(inverse_norm) && safe(self.query_inverse_norm) {
            // NaN cannot arise: both norms are moderate, so is the product.
            let cosine = -negative_dot * self.query_inverse_norm * inverse_norm;
            (1.0 - cosine).clamp(0.0, 2.0)
        } else if inverse_norm == 0.0 || self.query_inverse_norm == 0.0 {
            1.0
        } else {
            self.exact(row) as f32
        }
    }

    #[inline]
    fn inverse_norm(&self, row: RowId) -> f32 {
        match self.rows.inverse_norms() {
            Some(norms) => norms[row.index()],
            None => crate::inverse_norm(
                self.rows.element(),
                self.rows.dim(),
                self.rows.row_bytes(row),
            ),
        }
    }

    /// The f64 reference, for the few pairs that single precision cannot hold.
    #[cold]
    fn exact(&self, row: RowId) -> f64 {
        let stored = self.rows.row_bytes(row);
        reference::distance_of(
            self.metric,
            self.rows.dim(),
            (self.query_encoding, self.query),
            (self.rows.element(), stored),
        )
    }
}

/// Asks for the first cache lines of `bytes`, at most two: what a walk reads of a graph node.
#[inline]
pub fn prefetch_node(bytes: &[u8]) {
    for line in bytes.chunks(64).take(2) {
        prefetch(line.as_ptr());
    }
}
