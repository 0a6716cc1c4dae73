//! Codes of many rows, laid out to be scanned.
//!
//! Codes of four bits and less lie in blocks of 32 rows, column by column of four bits
//! ([`nibble_row`](vecdb_vector::nibble_row) gives the order), those of eight bits in such blocks of bytes, those of
//! other sizes row by row as a stream of bits. Factors lie apart, an array each: those of estimates that are coarse anyway
//! in 16 bits (bfloat16, the upper half of an f32); what refines a code lies row by row.

use std::ops::Range;

use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{NIBBLE_COLUMNS, SCAN_ROWS, nibble_row};

use crate::column::Column;
use crate::{BuildOptions, IndexError};

/// Factors of a row, at most.
pub(super) const FACTORS_MAX: usize = 4;
/// Blocks laid out per step of a thread.
const BLOCKS_PER_STEP: usize = 64;

/// Names of the sections: codes, factors of 16 and of 32 bits, refinements.
pub(crate) type Names = [&'static str; 4];

/// How the codes of rows are packed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Four bits a column, in blocks.
    Nibbles,
    /// A byte a column, in blocks.
    Bytes,
    /// So many bits a column, row by row.
    Bits(u32),
}

/// The sizes of a code.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) packing: Packing,
    pub(super) columns: usize,
    /// Factors of 16 bits.
    pub(super) halves: usize,
    /// Factors of 32 bits.
    pub(super) factors: usize,
    /// Bytes that refine a code.
    pub(super) extra: usize,
}

impl Shape {
    /// Bytes of the code of one row, without factors and refinement.
    pub(super) fn code_bytes(&self) -> usize {
        match self.packing {
            Packing::Nibbles => self.columns.div_ceil(2),
            Packing::Bytes => self.columns,
            Packing::Bits(bits) => (self.columns * bits as usize).div_ceil(8),
        }
    }

    /// Bytes of a row: code, factors of 16 bits, of 32 bits, refinement, in this order.
    pub(super) fn row_bytes(&self) -> usize {
        self.code_bytes() + self.factor_bytes() + self.extra
    }

    pub(super) fn factor_bytes(&self) -> usize {
        self.halves * 2 + self.factors * 4
    }

    /// Columns as they are scanned.
    pub(super) fn padded_columns(&self) -> usize {
        match self.packing {
            Packing::Nibbles => self.columns.next_multiple_of(NIBBLE_COLUMNS),
            Packing::Bytes | Packing::Bits(_) => self.columns,
        }
    }

    /// Bytes of a block.
    fn block_bytes(&self) -> usize {
        match self.packing {
            Packing::Nibbles => self.padded_columns() * SCAN_ROWS / 2,
            Packing::Bytes => self.columns * SCAN_ROWS,
            Packing::Bits(_) => self.code_bytes() * SCAN_ROWS,
        }
    }

    /// The factors of a row, those of 16 bits first.
    pub(super) fn factors_of(&self, row: &[u8]) -> [f32; FACTORS_MAX] {
        let mut factors = [0.0; FACTORS_MAX];
        let bytes = row.get(self.code_bytes()..).unwrap_or_default();
        let (halves, words) = bytes.split_at((self.halves * 2).min(bytes.len()));
        let (first, then) = factors.split_at_mut(self.halves);
        for (factor, bytes) in first.iter_mut().zip(halves.as_chunks().0) {
            *factor = widened(u16::from_le_bytes(*bytes));
        }
        for (factor, bytes) in then[..self.factors].iter_mut().zip(words.as_chunks().0) {
            *factor = f32::from_le_bytes(*bytes);
        }
        factors
    }

    /// Puts factors into a row, those of 16 bits first.
    pub(super) fn put_factors(&self, factors: &[f32], row: &mut [u8]) {
        let bytes = &mut row[self.code_bytes()..];
        let (halves, words) = bytes.split_at_mut(self.halves * 2);
        let (first, then) = factors.split_at(self.halves);
        for (bytes, factor) in halves.as_chunks_mut().0.iter_mut().zip(first) {
            *bytes = halved(*factor).to_le_bytes();
        }
        for (bytes, factor) in words
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(then)
            .take(self.factors)
        {
            *bytes = factor.to_le_bytes();
        }
    }
}

/// The codes of some rows of one quantizer, in memory or mapped.
#[derive(Debug)]
pub struct CodedRows {
    rows: usize,
    shape: Shape,
    codes: Column,
    halves: Column,
    factors: Column,
    extra: Column,
}

impl CodedRows {
    /// Lays out rows, one after the other as `Shape` says.
    pub(super) fn pack(
        names: Names,
        shape: Shape,
        rows: &[u8],
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let each = shape.row_bytes();
        let count = rows.len().checked_div(each).unwrap_or(0);
        let block_bytes = shape.block_bytes();
        let mut codes = vec![0; count.div_ceil(SCAN_ROWS) * block_bytes];
        options.for_each_chunk(
            &mut codes,
            BLOCKS_PER_STEP * block_bytes,
            || (),
            |(), first, codes| {
                let from = first / block_bytes.max(1) * SCAN_ROWS * each;
                let blocks = rows[from..].chunks(SCAN_ROWS * each);
                for (block, rows) in codes.chunks_exact_mut(block_bytes).zip(blocks) {
                    fill_block(&shape, rows, block);
                }
                Ok(())
            },
        )?;
        let mut halves = vec![0u16; count * shape.halves];
        let mut factors = vec![0.0f32; count * shape.factors];
        let mut extra = Vec::with_capacity(count * shape.extra);
        for (at, row) in rows.chunks_exact(each.max(1)).enumerate() {
            let all = shape.factors_of(row);
            let (first, then) = all.split_at(shape.halves);
            for (f, factor) in first.iter().enumerate() {
                halves[f * count + at] = halved(*factor);
            }
            for (f, factor) in then.iter().take(shape.factors).enumerate() {
                factors[f * count + at] = *factor;
            }
            extra.extend_from_slice(&row[each - shape.extra..]);
        }
        let [code_name, half_name, factor_name, extra_name] = names;
        Ok(Self {
            rows: count,
            shape,
            codes: Column::built(code_name, codes),
            halves: Column::built(half_name, bytemuck::cast_slice(&halves).to_vec()),
            factors: Column::built(factor_name, bytemuck::cast_slice(&factors).to_vec()),
            extra: Column::built(extra_name, extra),
        })
    }

    pub(super) fn open_as(
        names: Names,
        shape: Shape,
        file: &SectionFile,
        rows: u32,
    ) -> Result<Self, IndexError> {
        let count = rows as usize;
        let [code_name, half_name, factor_name, extra_name] = names;
        let codes = count.div_ceil(SCAN_ROWS) as u64 * shape.block_bytes() as u64;
        let halves = count as u64 * shape.halves as u64 * 2;
        let factors = count as u64 * shape.factors as u64 * 4;
        let extra = count as u64 * shape.extra as u64;
        Ok(Self {
            rows: count,
            shape,
            codes: Column::open(file, code_name, codes)?,
            halves: Column::open(file, half_name, halves)?,
            factors: Column::open(file, factor_name, factors)?,
            extra: Column::open(file, extra_name, extra)?,
        })
    }

    /// Writes the codes as sections of a file.
    ///
    /// # Errors
    /// Those of the file.
    pub fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        self.codes.save(writer)?;
        self.halves.save(writer)?;
        self.factors.save(writer)?;
        self.extra.save(writer)
    }

    /// Rows coded.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of codes and factors.
    pub fn bytes(&self) -> u64 {
        (self.codes.len() + self.halves.len() + self.factors.len() + self.extra.len()) as u64
    }

    /// Reads all of it, so that damage shows.
    pub(crate) fn verify(&self) -> Result<(), IndexError> {
        self.codes.bytes(0..self.codes.len())?;
        self.extra.bytes(0..self.extra.len())?;
        self.halves.bytes(0..self.halves.len())?;
        let factors = self.factors.floats(0, self.rows * self.shape.factors)?;
        match factors.iter().position(|factor| factor.is_nan()) {
            Some(at) => Err(self.factors.corrupt(format!("factor {at} is no number"))),
            None => Ok(()),
        }
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The codes of whole blocks, or of rows where they lie row by row.
    pub(super) fn blocks(&self, blocks: Range<usize>) -> Result<&[u8], IndexError> {
        let each = self.shape.block_bytes();
        self.codes.bytes(blocks.start * each..blocks.end * each)
    }

    /// One factor of 16 bits of some rows; see [`widened`].
    pub(super) fn half(&self, which: usize, rows: &Range<usize>) -> Result<&[u16], IndexError> {
        self.halves
            .halves(which * self.rows + rows.start, rows.len())
    }

    /// One factor of 32 bits of some rows.
    pub(super) fn factor(&self, which: usize, rows: &Range<usize>) -> Result<&[f32], IndexError> {
        self.factors
            .floats(which * self.rows + rows.start, rows.len())
    }

    /// What refines the code of a row.
    pub(super) fn extra(&self, row: usize) -> Result<&[u8], IndexError> {
        let each = self.shape.extra;
        self.extra.bytes(row * each..(row + 1) * each)
    }

    /// Whether `rows` are there.
    pub(super) fn check(&self, rows: &Range<usize>, out: usize) -> Result<(), IndexError> {
        if rows.start <= rows.end && rows.end <= self.rows && rows.len() == out {
            return Ok(());
        }
        Err(IndexError::Mismatch {
            what: "coded rows to scan",
            expected: format!("{out} of the {} there are", self.rows),
            got: format!("{} to {}", rows.start, rows.end),
        })
    }
}

/// Up to 32 rows as a block.
fn fill_block(shape: &Shape, rows: &[u8], block: &mut [u8]) {
    let (each, code_bytes) = (shape.row_bytes(), shape.code_bytes());
    for (r, row) in rows.chunks_exact(each).enumerate() {
        let code = &row[..code_bytes];
        match shape.packing {
            Packing::Nibbles => {
                let byte = r % 16;
                let at = (0..16).find(|&at| nibble_row(at) == byte).unwrap_or(0);
                let shift = r / 16 * 4;
                for (pair, &both) in block.chunks_mut(SCAN_ROWS).zip(code) {
                    pair[at] |= (both & 15) << shift;
                    pair[at + 16] |= (both >> 4) << shift;
                }
            }
            Packing::Bytes => {
                for (column, &code) in block.chunks_exact_mut(SCAN_ROWS).zip(code) {
                    column[r] = code;
                }
            }
            Packing::Bits(_) => {
                block[r * code_bytes..(r + 1) * code_bytes].copy_from_slice(code);
            }
        }
    }
}

/// The nearest bfloat16.
fn halved(value: f32) -> u16 {
    let bits = value.to_bits();
    let odd = (bits >> 16) & 1;
    // Infinity stays, the largest finite numbers become it.
    (bits.saturating_add(0x7fff + odd) >> 16) as u16
}

/// What a bfloat16 says.
#[inline]
pub(super) fn widened(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// The number of up to 16 bits from bit `at` of a stream; what lies beyond its end is zero.
#[inline]
pub(super) fn read_bits(bytes: &[u8], at: usize, bits: u32) -> usize {
    let byte = |i: usize| u32::from(bytes.get(at / 8 + i).copied().unwrap_or(0));
    let word = byte(0) | byte(1) << 8 | byte(2) << 16;
    ((word >> (at % 8)) & ((1 << bits) - 1)) as usize
}

/// Puts a number at bit `at` of a stream of zeros.
pub(super) fn write_bits(bytes: &mut [u8], at: usize, value: usize) {
    let word = (value as u32) << (at % 8);
    for (i, byte) in bytes.iter_mut().skip(at / 8).take(3).enumerate() {
        *byte |= (word >> (8 * i)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_read_as_written() {
        for bits in 1..=12u32 {
            let mut bytes = vec![0; (40 * bits as usize).div_ceil(8)];
            let value = |i: usize| (i * 2_654_435_761) >> 7 & ((1 << bits) - 1);
            for i in 0..40 {
                write_bits(&mut bytes, i * bits as usize, value(i));
            }
            for i in 0..40 {
                assert_eq!(read_bits(&bytes, i * bits as usize, bits), value(i));
            }
        }
        assert_eq!(read_bits(&[255], 100, 8), 0);
    }

    #[test]
    fn half_a_number_is_nearly_all_of_it() {
        for value in [0.0, 1.0, -3.25, 1e-20, 6.02e23, f32::MIN_POSITIVE] {
            let error = (widened(halved(value)) - value).abs();
            assert!(error <= value.abs() / 256.0, "{value}");
        }
        assert_eq!(widened(halved(1.0 + 1.0 / 256.0)), 1.0, "ties to even");
        for value in [f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(widened(halved(value)), value);
        }
    }

    #[test]
    fn blocks_hold_every_code_at_its_place() {
        let shape = Shape {
            packing: Packing::Nibbles,
            columns: 5,
            halves: 1,
            factors: 1,
            extra: 2,
        };
        assert_eq!((shape.code_bytes(), shape.row_bytes()), (3, 11));
        let count = 70;
        let mut rows = vec![0u8; count * 11];
        let nibble = |r: usize, c: usize| (r * 7 + c * 3) % 16;
        for (r, row) in rows.chunks_exact_mut(11).enumerate() {
            for c in 0..5 {
                write_bits(row, c * 4, nibble(r, c));
            }
            shape.put_factors(&[-2.0 * r as f32, r as f32], row);
            row[9] = r as u8;
        }
        let names = ["codes", "halves", "factors", "extra"];
        let coded = CodedRows::pack(names, shape, &rows, &BuildOptions::default()).unwrap();
        assert_eq!((coded.len(), coded.bytes()), (70, 3 * 8 * 16 + 70 * 8));
        let blocks = coded.blocks(0..3).unwrap();
        for r in 0..count {
            for c in 0..5 {
                let column = &blocks[(r / 32 * 8 + c) * 16..][..16];
                let at = (0..16).find(|&at| nibble_row(at) == r % 16).unwrap();
                let found = (column[at] >> (r % 32 / 16 * 4)) & 15;
                assert_eq!(usize::from(found), nibble(r, c), "row {r}, column {c}");
            }
            assert_eq!(coded.factor(0, &(r..r + 1)).unwrap(), [r as f32]);
            let half = coded.half(0, &(r..r + 1)).unwrap()[0];
            assert_eq!(widened(half), -2.0 * r as f32);
            assert_eq!(coded.extra(r).unwrap()[0], r as u8);
        }
        assert!(coded.check(&(60..71), 11).is_err() && coded.check(&(60..70), 10).is_ok());
        coded.verify().unwrap();
    }
}
