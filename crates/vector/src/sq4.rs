//! Rows of four bits a number against a query of eight: what a graph walks on before it measures the vectors themselves.
//!
//! A row is packed in groups of 32 numbers: byte `j` of the 16 of a group holds number `j` in its low half and number
//! `16 + j` in its high half. Rows fill whole cache lines, unused numbers are zero.
#![allow(unsafe_code)]

use std::ops::Range;

use crate::element::check_dim;
use crate::kernels::{Job, RowLoops, prefetch_to_l2};
use crate::{Kernels, RowId, VectorError};

/// Numbers in a cache line of a row; rows and queries are padded to a multiple of it.
pub const SQ4_NUMBERS: usize = 128;
/// Bytes in a cache line.
const LINE: usize = 64;
/// Numbers packed together.
const GROUP: usize = 32;
/// Rows whose tails are asked for together.
const TAILS: usize = 32;
/// Cache lines of a row that are asked for at once.
const PREFETCHED_LINES: usize = 16;

/// What is computed of the numbers `c` of a row (0 to 15) and the numbers `v` of a query (-127 to 127).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sq4Distance {
    /// `sum c (4 c - v)`: with `v = 8 u` four times `sum (c - u)^2`, less what the query alone adds.
    Squares,
    /// `-sum c v`.
    NegativeDot,
}

/// Packed rows.
#[derive(Copy, Clone, Debug)]
pub struct Sq4Rows<'a> {
    row_bytes: usize,
    rows: u32,
    bytes: &'a [u8],
}

impl<'a> Sq4Rows<'a> {
    /// `rows` rows of `dim` numbers.
    ///
    /// # Errors
    /// `BadLayout` when `bytes` has another length than they take, or `dim` is out of range.
    pub fn new(dim: usize, rows: u32, bytes: &'a [u8]) -> Result<Self, VectorError> {
        check_dim(dim)?;
        let row_bytes = Self::row_bytes(dim);
        if row_bytes.checked_mul(rows as usize) != Some(bytes.len()) {
            return Err(VectorError::BadLayout(format!(
                "{} bytes are not {rows} rows of {row_bytes}",
                bytes.len()
            )));
        }
        Ok(Self {
            row_bytes,
            rows,
            bytes,
        })
    }

    /// Bytes of a row of `dim` numbers.
    pub fn row_bytes(dim: usize) -> usize {
        dim.next_multiple_of(SQ4_NUMBERS) / 2
    }

    /// Packs the numbers of a row, of which the low halves count.
    ///
    /// # Panics
    /// When `out` is not as long as [`Sq4Rows::row_bytes`] says.
    pub fn pack(numbers: &[u8], out: &mut [u8]) {
        assert_eq!(
            out.len(),
            Self::row_bytes(numbers.len()),
            "bytes of a packed row"
        );
        out.fill(0);
        for (group, numbers) in numbers.chunks(GROUP).enumerate() {
            for (i, &number) in numbers.iter().enumerate() {
                let half = i / (GROUP / 2) * 4;
                out[group * (GROUP / 2) + i % (GROUP / 2)] |= (number & 0x0f) << half;
            }
        }
    }

    /// One number of a row.
    ///
    /// # Panics
    /// When row or number is out of range.
    pub fn number(&self, row: RowId, number: usize) -> u8 {
        assert!(row.0 < self.rows, "row {row} of {} rows", self.rows);
        let (group, i) = (number / GROUP, number % GROUP);
        let byte = group * (GROUP / 2) + i % (GROUP / 2);
        assert!(
            byte < self.row_bytes,
            "number {number} of {}",
            self.row_bytes * 2
        );
        self.bytes[row.index() * self.row_bytes + byte] >> (i / (GROUP / 2) * 4) & 0x0f
    }

    /// Number of rows.
    #[inline]
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// The first lines of every row, measured before the others are read.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Sq4Head {
    /// How many.
    pub lines: usize,
    /// As the offset of the scorer, of what these lines alone give.
    pub offset: f32,
    /// The value of a row is expected to be so many times that of its head ...
    pub factor: f32,
    /// ... and taken to be more than so many times.
    pub least: f32,
}

/// Measures one query against packed rows.
#[derive(Copy, Clone)]
pub struct Sq4Scorer<'a> {
    loops: RowLoops,
    rows: Sq4Rows<'a>,
    query: &'a [i8],
    scale: f32,
    offset: f32,
}

impl<'a> Sq4Scorer<'a> {
    /// A scorer whose values are `offset + scale * distance`. `query`: the numbers of the query, from -127 to 127, padded
    /// with zeros to a multiple of [`SQ4_NUMBERS`].
    ///
    /// # Panics
    /// When the query is not as long as the rows.
    pub fn new(
        kernels: Kernels,
        distance: Sq4Distance,
        query: &'a [i8],
        rows: Sq4Rows<'a>,
        scale: f32,
        offset: f32,
    ) -> Self {
        assert_eq!(query.len(), rows.row_bytes * 2, "numbers of the query");
        Self {
            loops: kernels.sq4_loops(distance),
            rows,
            query,
            scale,
            offset,
        }
    }

    /// The values of the rows listed, in the order of the list, into `out`.
    ///
    /// # Panics
    /// When a row is out of range or `out` has another length than `rows`.
    #[inline]
    pub fn score_rows(&self, rows: &[RowId], out: &mut [f32]) {
        self.sum_rows(0..self.rows.row_bytes, rows, out);
        for value in out {
            *value = self.value(*value);
        }
    }

    /// The same for rows of interest: where the head alone tells that a value is above `limit`, it is what the head lets
    /// expect, and the rest of the row is not read.
    ///
    /// # Panics
    /// As [`Sq4Scorer::score_rows`], and when the head is longer than a row.
    #[inline]
    pub fn score_rows_below(&self, limit: f32, head: &Sq4Head, rows: &[RowId], out: &mut [f32]) {
        assert_eq!(rows.len(), out.len(), "lengths of rows and output");
        let head_bytes = head.lines * LINE;
        let parts = rows.chunks(TAILS).zip(out.chunks_mut(TAILS));
        for (rows, out) in parts {
            self.sum_rows(0..head_bytes, rows, out);
            let (mut near, mut places) = ([RowId(0); TAILS], [0; TAILS]);
            let mut count = 0;
            for (place, (&row, out)) in rows.iter().zip(&mut *out).enumerate() {
                let value = self.scale * *out + head.offset;
                if value * head.least <= limit {
                    (near[count], places[count]) = (row, place);
                    count += 1;
                    self.prefetch_lines(row, head.lines..self.rows.row_bytes / LINE);
                } else {
                    *out = value * head.factor;
                }
            }
            let mut tails = [0.0; TAILS];
            let tails = &mut tails[..count];
            self.sum_rows(head_bytes..self.rows.row_bytes, &near[..count], tails);
            for (&tail, &place) in tails.iter().zip(&places) {
                out[place] = self.value(out[place] + tail);
            }
        }
    }

    #[inline]
    fn value(&self, sum: f32) -> f32 {
        // Not fused: that is a call where the CPU is not known to do it.
        self.scale * sum + self.offset
    }

    /// Sums over some of the bytes of each row.
    #[inline]
    fn sum_rows(&self, part: Range<usize>, rows: &[RowId], out: &mut [f32]) {
        assert_eq!(rows.len(), out.len(), "lengths of rows and output");
        assert!(
            part.start <= part.end && part.end <= self.rows.row_bytes,
            "bytes {part:?} of a row of {}",
            self.rows.row_bytes
        );
        let largest = rows.iter().fold(0, |max, row| row.0.max(max));
        assert!(
            largest < self.rows.rows || rows.is_empty(),
            "row {largest} of {} rows",
            self.rows.rows
        );
        let job = Job {
            query: self.query[part.start * 2..].as_ptr().cast(),
            rows: self.rows.bytes[part.start..].as_ptr(),
            stride: self.rows.row_bytes,
            dim: part.len(),
        };
        // SAFETY: all rows are in range, the part is within them and the lengths agree, as asserted above; the query has
        // two numbers for every byte of a row, as `new` asserts.
        unsafe { (self.loops.gather)(&job, rows, out) };
    }

    /// The value of one row.
    ///
    /// # Panics
    /// When the row is out of range.
    #[inline]
    pub fn score(&self, row: RowId) -> f32 {
        let mut out = [0.0];
        self.score_rows(&[row], &mut out);
        out[0]
    }

    /// Asks for the cache lines of a row; does nothing out of range.
    #[inline]
    pub fn prefetch(&self, row: RowId) {
        self.prefetch_lines(row, 0..self.rows.row_bytes / LINE);
    }

    /// Asks for the lines of a row's head.
    #[inline]
    pub fn prefetch_head(&self, row: RowId, head: &Sq4Head) {
        self.prefetch_lines(row, 0..head.lines);
    }

    #[inline]
    fn prefetch_lines(&self, row: RowId, lines: Range<usize>) {
        if row.0 < self.rows.rows {
            let start = row.index() * self.rows.row_bytes;
            let first = self.rows.bytes.as_ptr().wrapping_add(start);
            for line in lines.take(PREFETCHED_LINES) {
                prefetch_to_l2(first.wrapping_add(line * LINE));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern.
    fn numbers(count: usize, seed: u64) -> Vec<u64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_kernel_agrees_with_the_sum_over_single_numbers() {
        for dim in [1usize, 16, 31, 128, 129, 384, 896, 2048, 4096] {
            let padded = dim.next_multiple_of(SQ4_NUMBERS);
            let count = 23;
            let mut bytes = vec![0; count * Sq4Rows::row_bytes(dim)];
            for (row, out) in bytes.chunks_exact_mut(padded / 2).enumerate() {
                let row: Vec<u8> = match row {
                    0 => vec![15; dim],
                    1 => vec![0; dim],
                    _ => numbers(dim, row as u64)
                        .iter()
                        .map(|n| (n % 16) as u8)
                        .collect(),
                };
                Sq4Rows::pack(&row, out);
            }
            let rows = Sq4Rows::new(dim, count as u32, &bytes).unwrap();
            for extreme in [None, Some(-127i8), Some(127)] {
                let mut query: Vec<i8> = numbers(dim, 99)
                    .iter()
                    .map(|n| extreme.unwrap_or((n % 255) as i8))
                    .collect();
                query.iter_mut().for_each(|v| *v = (*v).max(-127));
                query.resize(padded, 0);
                let list: Vec<RowId> = (0..count as u32).rev().map(RowId).collect();
                for distance in [Sq4Distance::Squares, Sq4Distance::NegativeDot] {
                    let expected: Vec<f32> = list
                        .iter()
                        .map(|&row| {
                            let sum: i64 = (0..padded)
                                .map(|i| {
                                    let c = i64::from(rows.number(row, i));
                                    let v = i64::from(query[i]);
                                    match distance {
                                        Sq4Distance::Squares => c * (4 * c - v),
                                        Sq4Distance::NegativeDot => -c * v,
                                    }
                                })
                                .sum();
                            0.5 * sum as f32 + 3.0
                        })
                        .collect();
                    for kernels in Kernels::available() {
                        let scorer = Sq4Scorer::new(kernels, distance, &query, rows, 0.5, 3.0);
                        for length in [1, 2, 3, 4, 7, count] {
                            let mut out = vec![0.0; length];
                            scorer.score_rows(&list[..length], &mut out);
                            assert_eq!(
                                out,
                                expected[..length],
                                "{} {distance:?} dim {dim} of {length}",
                                kernels.name()
                            );
                        }
                        assert_eq!(scorer.score(list[5]), expected[5]);
                    }
                }
            }
        }
    }

    #[test]
    fn rows_that_their_head_shows_to_be_far_are_not_read_on_and_the_others_get_their_value() {
        let (dim, count) = (700, 70);
        let (row_bytes, lines) = (Sq4Rows::row_bytes(dim), 2);
        let mut bytes = vec![0; count * row_bytes];
        for (row, out) in bytes.chunks_exact_mut(row_bytes).enumerate() {
            let row = numbers(dim, row as u64);
            let row: Vec<u8> = row.iter().map(|n| (n % 16) as u8).collect();
            Sq4Rows::pack(&row, out);
        }
        let rows = Sq4Rows::new(dim, count as u32, &bytes).unwrap();
        let mut query: Vec<i8> = numbers(dim, 99).iter().map(|n| (n % 120) as i8).collect();
        query.resize(row_bytes * 2, 0);
        let list: Vec<RowId> = (0..count as u32).rev().map(RowId).collect();
        for kernels in Kernels::available() {
            let scorer = Sq4Scorer::new(kernels, Sq4Distance::Squares, &query, rows, 0.5, 3.0);
            let head = |least| Sq4Head {
                lines,
                offset: 1.0,
                factor: 2.0,
                least,
            };
            let (mut all, mut some) = (vec![0.0; count], vec![0.0; count]);
            scorer.score_rows(&list, &mut all);
            scorer.score_rows_below(f32::INFINITY, &head(2.0), &list, &mut some);
            assert_eq!(some, all, "{}", kernels.name());
            // What the head alone gives, by the sum over single numbers.
            let heads: Vec<f32> = list
                .iter()
                .map(|&row| {
                    let term = |i: usize| {
                        let (c, v) = (i64::from(rows.number(row, i)), i64::from(query[i]));
                        c * (4 * c - v)
                    };
                    0.5 * (0..lines * SQ4_NUMBERS).map(term).sum::<i64>() as f32 + 1.0
                })
                .collect();
            let mut sorted = heads.clone();
            sorted.sort_by(f32::total_cmp);
            let limit = sorted[count / 2];
            scorer.score_rows_below(limit, &head(1.0), &list, &mut some);
            for ((&some, &all), &head) in some.iter().zip(&all).zip(&heads) {
                assert_eq!(some, if head <= limit { all } else { head * 2.0 });
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert_eq!(Sq4Rows::row_bytes(1), 64);
        assert_eq!(Sq4Rows::row_bytes(128), 64);
        assert_eq!(Sq4Rows::row_bytes(129), 128);
        assert!(Sq4Rows::new(100, 2, &[0; 128]).is_ok());
        for (dim, rows, bytes) in [
            (100, 3, 128),
            (0, 1, 64),
            (129, 1, 64),
            (100, u32::MAX, 128),
        ] {
            assert!(Sq4Rows::new(dim, rows, &vec![0; bytes]).is_err());
        }
    }
}
