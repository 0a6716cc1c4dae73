//! Borrowed rows of one vector field: the layout that every search reads.

use crate::element::check_dim;
use crate::{ElementType, RowId, VectorError, decode_row, reference};

/// `rows` vectors of one element type and dimension, `stride` bytes from one to the next, in
/// little-endian bytes of any alignment.
///
/// Invariant: every row lies inside `bytes`, and there are as many inverse norms as rows (or
/// none); the constructors check it once, and the kernels rely on it.
#[derive(Debug, Clone, Copy)]
pub struct VectorRows<'a> {
    element: ElementType,
    dim: usize,
    stride: usize,
    rows: u32,
    bytes: &'a [u8],
    inverse_norms: Option<&'a [f32]>,
}

impl<'a> VectorRows<'a> {
    /// Rows over `bytes`, which may be longer than they need. The last row needs only its own
    /// bytes, not a whole stride.
    ///
    /// # Errors
    /// `BadLayout` when the dimension is 0 or above [`MAX_DIM`](crate::MAX_DIM), the stride is
    /// smaller than a row, or `bytes` is too short.
    pub fn new(
        element: ElementType,
        dim: usize,
        stride: usize,
        rows: u32,
        bytes: &'a [u8],
    ) -> Result<Self, VectorError> {
        check_dim(dim)?;
        let row_bytes = element.bytes(dim);
        if stride < row_bytes {
            return Err(VectorError::BadLayout(format!(
                "stride {stride} is smaller than a row of {dim} x {element} ({row_bytes} bytes)"
            )));
        }
        let needed = match rows {
            0 => Some(0),
            n => stride
                .checked_mul(n as usize - 1)
                .and_then(|start| start.checked_add(row_bytes)),
        };
        if needed.is_none_or(|needed| needed > bytes.len()) {
            return Err(VectorError::BadLayout(format!(
                "{rows} rows of {dim} x {element} with stride {stride} do not fit {} bytes",
                bytes.len()
            )));
        }
        Ok(VectorRows {
            element,
            dim,
            stride,
            rows,
            bytes,
            inverse_norms: None,
        })
    }

    /// Rows of f32 without gaps. (Memory is read as little-endian: on a big-endian machine the
    /// numbers would be misread, so it does not compile there.)
    ///
    /// # Errors
    /// `BadLayout` when the length is no multiple of `dim` or there are more than 2^32 - 1 rows.
    pub fn from_f32(dim: usize, values: &'a [f32]) -> Result<Self, VectorError> {
        const { assert!(cfg!(target_endian = "little")) };
        check_dim(dim)?;
        if !values.len().is_multiple_of(dim) {
            return Err(VectorError::BadLayout(format!(
                "{} values are no whole number of rows of {dim}",
                values.len()
            )));
        }
        let rows = u32::try_from(values.len() / dim)
            .map_err(|_| VectorError::BadLayout("more than 2^32 - 1 rows".to_owned()))?;
        VectorRows::new(
            ElementType::F32,
            dim,
            dim * 4,
            rows,
            bytemuck::cast_slice(values),
        )
    }

    /// The same rows with one inverse norm each ([`inverse_norm`]), which cosine reads. Without
    /// them cosine is right as well, but computes the norm of a row each time it meets it.
    ///
    /// # Errors
    /// `BadLayout` when there are fewer norms than rows.
    pub fn with_inverse_norms(mut self, norms: &'a [f32]) -> Result<Self, VectorError> {
        let Some(norms) = norms.get(..self.rows as usize) else {
            return Err(VectorError::BadLayout(format!(
                "{} inverse norms for {} rows",
                norms.len(),
                self.rows
            )));
        };
        self.inverse_norms = Some(norms);
        Ok(self)
    }

    /// Element type of every row.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes from the start of one row to the start of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Number of rows.
    #[inline]
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The inverse norms given, one per row.
    pub fn inverse_norms(&self) -> Option<&'a [f32]> {
        self.inverse_norms
    }

    /// The stored bytes of one row.
    ///
    /// # Panics
    /// When the row is out of range.
    #[inline]
    pub fn row_bytes(&self, row: RowId) -> &'a [u8] {
        assert!(row.0 < self.rows, "row {row} of {} rows", self.rows);
        let start = row.index() * self.stride;
        &self.bytes[start..start + self.element.bytes(self.dim)]
    }

    /// Decodes one row into `out`, whose length must be [`VectorRows::dim`].
    ///
    /// # Panics
    /// When the row is out of range or `out` has another length.
    pub fn to_f32(&self, row: RowId, out: &mut [f32]) {
        assert_eq!(out.len(), self.dim, "length of the output");
        let bytes = self.row_bytes(row);
        if self.element == ElementType::F32 {
            for (value, b) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*b);
            }
        } else {
            let mut values = Vec::with_capacity(self.dim);
            decode_row(self.element, self.dim, bytes, &mut values);
            out.copy_from_slice(&values);
        }
    }

    /// Rows `first..first + rows`, with their norms.
    ///
    /// # Errors
    /// `BadLayout` when they do not all exist.
    pub fn slice(&self, first: RowId, rows: u32) -> Result<Self, VectorError> {
        if u64::from(first.0) + u64::from(rows) > u64::from(self.rows) {
            return Err(VectorError::BadLayout(format!(
                "rows {first}..{} of {}",
                u64::from(first.0) + u64::from(rows),
                self.rows
            )));
        }
        let start = if rows == 0 {
            0
        } else {
            first.index() * self.stride
        };
        Ok(VectorRows {
            rows,
            bytes: &self.bytes[start..],
            inverse_norms: self
                .inverse_norms
                .map(|norms| &norms[first.index()..first.index() + rows as usize]),
            ..*self
        })
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// `1 / |x|` of one stored vector, 0 for a vector of zeros (bits count as 0 and 1). Capped at the
/// largest finite number where the norm is denormal.
pub fn inverse_norm(element: ElementType, dim: usize, row_bytes: &[u8]) -> f32 {
    let square = match element {
        ElementType::F32 => square_of_f32(&row_bytes[..element.bytes(dim)]),
        _ => reference::dot(element, dim, row_bytes, row_bytes),
    };
    if square == 0.0 {
        0.0
    } else {
        ((1.0 / square.sqrt()) as f32).min(f32::MAX)
    }
}

/// The sum of the squares of floats; eight sums side by side do not wait for each other.
fn square_of_f32(bytes: &[u8]) -> f64 {
    const SIDE_BY_SIDE: usize = 8;
    let mut sums = [0.0f64; SIDE_BY_SIDE];
    for values in bytes.as_chunks::<4>().0.chunks(SIDE_BY_SIDE) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            let value = f64::from(f32::from_le_bytes(value));
            *sum += value * value;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_checked() {
        let bytes = [0u8; 40];
        let rows = |dim, stride, rows| VectorRows::new(ElementType::F32, dim, stride, rows, &bytes);
        assert_eq!(rows(3, 16, 2).unwrap().len(), 2);
        assert_eq!(rows(2, 16, 3).unwrap().len(), 3); // the last row needs no padding
        assert!(rows(3, 16, 3).is_err());
        assert!(rows(3, 8, 1).is_err());
        assert!(rows(0, 8, 1).is_err());
        assert!(rows(3, usize::MAX, u32::MAX).is_err());
        assert!(rows(3, 12, 0).unwrap().is_empty());
        assert!(VectorRows::from_f32(3, &[0.0; 4]).is_err());
        let two = rows(3, 16, 2).unwrap();
        assert!(two.with_inverse_norms(&[1.0]).is_err());
        assert!(two.slice(RowId(1), 2).is_err());
        assert_eq!(two.slice(RowId(2), 0).unwrap().len(), 0);
    }

    #[test]
    fn slices_keep_rows_and_norms() {
        let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let norms = [0.1f32, 0.2, 0.3];
        let rows = VectorRows::from_f32(2, &values).unwrap();
        let tail = rows.with_inverse_norms(&norms).unwrap();
        let tail = tail.slice(RowId(1), 2).unwrap();
        let mut out = [0.0; 2];
        tail.to_f32(RowId(1), &mut out);
        assert_eq!(out, [5.0, 6.0]);
        assert_eq!(tail.inverse_norms(), Some(&norms[1..]));
    }

    #[test]
    fn norms_of_floats_are_those_of_the_reference() {
        for dim in [1, 7, 8, 9, 100] {
            let values: Vec<u8> = (0..dim + 3)
                .flat_map(|i| (1.0 / (i as f32 + 0.5) - 0.3).to_le_bytes())
                .collect();
            let square = reference::dot(ElementType::F32, dim, &values, &values);
            let norm = inverse_norm(ElementType::F32, dim, &values);
            assert_eq!(norm, (1.0 / square.sqrt()) as f32, "{dim}");
        }
    }

    #[test]
    fn inverse_norms_of_extremes_are_finite() {
        let norm = |v: f32| inverse_norm(ElementType::F32, 1, &v.to_le_bytes());
        assert_eq!(norm(0.0), 0.0);
        assert_eq!(norm(-4.0), 0.25);
        assert_eq!(norm(1e-45), f32::MAX);
        assert!(norm(f32::MAX) > 0.0);
        assert_eq!(inverse_norm(ElementType::U8, 2, &[3, 4]), 0.2);
    }
}
