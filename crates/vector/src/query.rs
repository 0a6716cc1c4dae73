//! A query made ready for one metric and element type.

use bytemuck::{Pod, Zeroable};

use crate::element::check_dim;
use crate::{ElementType, Metric, VectorError, decode_row, encode_row, inverse_norm};

/// One cache line, so that vector loads from the query never straddle two.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
struct Line([u8; 64]);

/// A checked query vector.
///
/// Against f16 rows a query given as f32 stays f32: only the stored side is rounded. The query
/// keeps its length under cosine; its inverse norm stands beside it, as with stored rows.
#[derive(Debug, Clone)]
pub struct Query {
    metric: Metric,
    element: ElementType,
    dim: usize,
    /// Element type of `lines`: that of the rows, or F32 for a query against F16 rows.
    encoding: ElementType,
    lines: Vec<Line>,
    inverse_norm: f32,
    /// A new vector until it is checked.
    draft: Vec<u8>,
}

impl Query {
    /// A query of `values` for rows of `dim` numbers of type `element`. Bits are given as 0 and 1.
    ///
    /// # Errors
    /// `Unsupported` for a metric that is not defined on the element type, `DimensionMismatch`,
    /// `NotFinite`, `OutOfRange` (integer and bit types, naming the position), `ZeroVector` under
    /// cosine, `BadLayout` for a dimension that no field can have.
    pub fn new(
        metric: Metric,
        element: ElementType,
        dim: usize,
        values: &[f32],
    ) -> Result<Query, VectorError> {
        let mut query = Query::empty(metric, element, dim)?;
        query.set(values)?;
        Ok(query)
    }

    /// A query that equals a stored row.
    ///
    /// # Errors
    /// As [`Query::new`]; `DimensionMismatch` (in bytes of whole vectors) when `bytes` has not
    /// exactly the bytes of one row.
    pub fn from_row_bytes(
        metric: Metric,
        element: ElementType,
        dim: usize,
        bytes: &[u8],
    ) -> Result<Query, VectorError> {
        let mut query = Query::empty(metric, element, dim)?;
        if bytes.len() != element.bytes(dim) {
            return Err(VectorError::BadLayout(format!(
                "a row of {dim} x {element} has {} bytes, not {}",
                element.bytes(dim),
                bytes.len()
            )));
        }
        if matches!(element, ElementType::F32 | ElementType::F16) {
            for i in 0..dim {
                let value = crate::reference::value(element, bytes, i) as f32;
                if !value.is_finite() {
                    return Err(VectorError::NotFinite { position: i, value });
                }
            }
        }
        query.store(element, bytes)?;
        Ok(query)
    }

    /// Replaces the vector, keeping metric, types and memory.
    ///
    /// # Errors
    /// As [`Query::new`]; the query keeps its old vector then.
    pub fn set(&mut self, values: &[f32]) -> Result<(), VectorError> {
        let encoding = match self.element {
            ElementType::F16 => ElementType::F32,
            other => other,
        };
        let mut draft = std::mem::take(&mut self.draft);
        draft.clear();
        let encoded = encode_row(encoding, self.dim, values, &mut draft);
        let outcome = encoded.and_then(|()| self.store(encoding, &draft));
        self.draft = draft;
        outcome
    }

    fn empty(metric: Metric, element: ElementType, dim: usize) -> Result<Query, VectorError> {
        check_dim(dim)?;
        metric.check(element)?;
        Ok(Query {
            metric,
            element,
            dim,
            encoding: element,
            lines: Vec::new(),
            inverse_norm: 0.0,
            draft: Vec::new(),
        })
    }

    /// Takes numbers over that are known to be finite.
    fn store(&mut self, encoding: ElementType, bytes: &[u8]) -> Result<(), VectorError> {
        if self.metric.needs_norms() {
            let inverse = inverse_norm(encoding, self.dim, bytes);
            if inverse == 0.0 {
                return Err(VectorError::ZeroVector);
            }
            self.inverse_norm = inverse;
        }
        self.encoding = encoding;
        self.lines.clear();
        self.lines
            .resize(bytes.len().div_ceil(size_of::<Line>()), Line([0; 64]));
        let stored = &mut bytemuck::cast_slice_mut(&mut self.lines)[..bytes.len()];
        stored.copy_from_slice(bytes);
        if encoding == ElementType::Bits && !self.dim.is_multiple_of(8) {
            stored[self.dim / 8] &= (1 << (self.dim % 8)) - 1;
        }
        Ok(())
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Element type of the rows it is for.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Numbers in the vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// `1 / |q|` under cosine, 0 under other metrics.
    pub fn inverse_norm(&self) -> f32 {
        self.inverse_norm
    }

    /// Appends the numbers of the vector, at its own length, to `out`; bits become 0 and 1.
    pub fn to_f32(&self, out: &mut Vec<f32>) {
        decode_row(self.encoding, self.dim, self.bytes(), out);
    }

    /// Element type of [`Query::bytes`].
    pub(crate) fn encoding(&self) -> ElementType {
        self.encoding
    }

    /// The vector as `dim` numbers of [`Query::encoding`].
    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.encoding.bytes(self.dim)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_queries_are_refused_with_the_reason() {
        let new = |metric, element, values: &[f32]| {
            Query::new(metric, element, 2, values).map(|q| q.bytes().to_vec())
        };
        let f32s = ElementType::F32;
        assert!(matches!(
            new(Metric::L2, f32s, &[1.0]),
            Err(VectorError::DimensionMismatch {
                expected: 2,
                got: 1
            })
        ));
        assert!(matches!(
            new(Metric::L2, f32s, &[1.0, f32::INFINITY]),
            Err(VectorError::NotFinite { position: 1, .. })
        ));
        assert_eq!(
            new(Metric::Cosine, f32s, &[0.0, -0.0]),
            Err(VectorError::ZeroVector)
        );
        assert!(new(Metric::Dot, f32s, &[0.0, 0.0]).is_ok());
        assert!(matches!(
            new(Metric::L2, ElementType::I8, &[0.0, 128.0]),
            Err(VectorError::OutOfRange { position: 1, .. })
        ));
        assert!(matches!(
            new(Metric::L2, ElementType::Bits, &[0.0, 1.0]),
            Err(VectorError::Unsupported { .. })
        ));
        assert!(Query::new(Metric::L2, f32s, 0, &[]).is_err());
        assert!(Query::from_row_bytes(Metric::L2, f32s, 2, &[0; 7]).is_err());
        assert!(Query::from_row_bytes(Metric::L2, ElementType::F16, 1, &[0, 0x7c]).is_err());
    }

    #[test]
    fn a_failed_set_keeps_the_old_vector() {
        let mut query = Query::new(Metric::Cosine, ElementType::F32, 2, &[3.0, 4.0]).unwrap();
        assert!(query.set(&[0.0, 0.0]).is_err());
        assert_eq!(query.inverse_norm(), 0.2);
        query.set(&[0.0, 2.0]).unwrap();
        assert_eq!(query.inverse_norm(), 0.5);
    }

    #[test]
    fn padding_bits_are_cleared() {
        let query = Query::from_row_bytes(Metric::Hamming, ElementType::Bits, 3, &[0xff]).unwrap();
        assert_eq!(query.bytes(), [0b111]);
        let mut values = Vec::new();
        query.to_f32(&mut values);
        assert_eq!(values, [1.0; 3]);
    }
}
