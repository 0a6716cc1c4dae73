//! One bit per coordinate of every row: candidates are sorted by them, and only the nearest are measured by their vectors.
//!
//! The bits are the sides of the random hyperplanes that the hash functions are made of anyway; in how many two vectors
//! differ tells the angle between them as seen from the centre of the rows (Charikar, STOC 2002, section 3).

use vecdb_vector::{ElementType, Metric, Query, RowId, VectorRows};

use super::functions::Functions;
use crate::IndexError;
use crate::column::Column;

pub(super) const SKETCHES: &str = "lsh:sketches";

/// A vector has to be so many times as long as its sketch.
const RATIO_MIN: usize = 4;

/// The sketches of all rows, in their order.
#[derive(Debug)]
pub(super) struct Sketches {
    bytes_each: usize,
    bits: Column,
}

impl Sketches {
    /// Bytes of a sketch; 0 where rows have none.
    pub(super) fn bytes_each(functions: &Functions, element: ElementType) -> usize {
        let bytes = functions.sketch_bits() / 8;
        match bytes * RATIO_MIN <= element.bytes(functions.shape.dim) {
            true => bytes,
            false => 0,
        }
    }

    pub(super) fn built(bytes_each: usize, bits: Vec<u8>) -> Option<Self> {
        (bytes_each > 0).then(|| Self {
            bytes_each,
            bits: Column::built(SKETCHES, bits),
        })
    }

    pub(super) fn opened(bytes_each: usize, bits: Column) -> Self {
        Self { bytes_each, bits }
    }

    pub(super) fn column(&self) -> &Column {
        &self.bits
    }

    pub(super) fn of_row(&self, row: usize) -> Result<&[u8], IndexError> {
        self.bits
            .bytes(row * self.bytes_each..(row + 1) * self.bytes_each)
    }

    /// All of them, as rows to measure. Those that are measured have to be checked before.
    pub(super) fn rows(&self) -> Result<VectorRows<'_>, IndexError> {
        let bits = self.bits.whole();
        let count = (bits.len() / self.bytes_each) as u32;
        let (dim, each) = (self.bytes_each * 8, self.bytes_each);
        Ok(VectorRows::new(ElementType::Bits, dim, each, count, bits)?)
    }

    pub(super) fn check(&self, rows: &[RowId]) -> Result<(), IndexError> {
        for row in rows {
            let start = row.index() * self.bytes_each;
            self.bits.check(start..start + self.bytes_each)?;
        }
        Ok(())
    }

    /// The sketch of a query, from its coordinates. Reuses what is in `query`.
    pub(super) fn prepare(
        &self,
        coordinates: &mut [f32],
        query: &mut Option<Query>,
    ) -> Result<(), IndexError> {
        let dim = self.bytes_each * 8;
        coordinates
            .iter_mut()
            .for_each(|value| *value = f32::from(u8::from(*value >= 0.0)));
        match query {
            Some(query) if query.dim() == dim => query.set(coordinates)?,
            query => {
                *query = Some(Query::new(
                    Metric::Hamming,
                    ElementType::Bits,
                    dim,
                    coordinates,
                )?);
            }
        }
        Ok(())
    }
}

/// The bits of coordinates, eight to a byte, the first lowest.
pub(super) fn encode(coordinates: &[f32], out: &mut [u8]) {
    for (byte, values) in out.iter_mut().zip(coordinates.chunks(8)) {
        let bit = |(i, value): (usize, &f32)| u8::from(*value >= 0.0) << i;
        *byte = values.iter().enumerate().map(bit).sum();
    }
}
