//! A set of rows: the word in which filters and indexes talk.
//!
//! Chunks of 65,536 rows (8 KiB) behind `Arc`s, copied on write: a clone costs one pointer per
//! chunk, and untouched all-ones and all-zero chunks are shared by all masks.
//!
//! Invariant: bits at and beyond `rows` are 0, and `count` is the number of bits set.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use crate::{RowId, VectorError};

const CHUNK_WORDS: usize = 1024;
const CHUNK_ROWS: u32 = 65_536;

type Chunk = [u64; CHUNK_WORDS];

static ZEROS: LazyLock<Arc<Chunk>> = LazyLock::new(|| Arc::new([0; CHUNK_WORDS]));
static ONES: LazyLock<Arc<Chunk>> = LazyLock::new(|| Arc::new([u64::MAX; CHUNK_WORDS]));

/// A set of rows out of `0..rows`.
#[derive(Clone)]
pub struct RowMask {
    rows: u32,
    count: u32,
    chunks: Vec<Arc<Chunk>>,
}

impl RowMask {
    /// The empty set out of `rows` rows.
    pub fn none(rows: u32) -> Self {
        RowMask {
            rows,
            count: 0,
            chunks: vec![ZEROS.clone(); rows.div_ceil(CHUNK_ROWS) as usize],
        }
    }

    /// All of `rows` rows.
    pub fn all(rows: u32) -> Self {
        let mut mask = RowMask::none(0);
        mask.extend_to(rows, true);
        mask
    }

    /// The set of the rows given, in any order; rows out of range are left out.
    pub fn from_rows(rows: u32, members: impl IntoIterator<Item = RowId>) -> Self {
        let mut mask = RowMask::none(rows);
        mask.extend(members);
        mask
    }

    /// The set of the rows of an ascending slice; rows out of range are left out.
    pub fn from_sorted(rows: u32, members: &[RowId]) -> Self {
        RowMask::from_rows(rows, members.iter().copied())
    }

    /// Number of rows the set is taken from.
    #[inline]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Number of rows in the set.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether every row is in the set (true for zero rows).
    pub fn is_all(&self) -> bool {
        self.count == self.rows
    }

    /// Whether no row is in the set.
    pub fn is_none(&self) -> bool {
        self.count == 0
    }

    /// Whether the row is in the set; false out of range.
    #[inline]
    pub fn contains(&self, row: RowId) -> bool {
        (self.word(row.0 / 64) >> (row.0 % 64)) & 1 == 1
    }

    /// The 64 rows from `64 * index`, the first in the lowest bit; 0 beyond the end.
    #[inline]
    pub fn word(&self, index: u32) -> u64 {
        let index = index as usize;
        match self.chunks.get(index / CHUNK_WORDS) {
            Some(chunk) => chunk[index % CHUNK_WORDS],
            None => 0,
        }
    }

    /// Adds a row; true when it was not in the set. Rows out of range are not added.
    pub fn insert(&mut self, row: RowId) -> bool {
        if row.0 >= self.rows || self.contains(row) {
            return false;
        }
        *self.word_mut(row) |= 1 << (row.0 % 64);
        self.count += 1;
        true
    }

    /// Removes a row; true when it was in the set.
    pub fn remove(&mut self, row: RowId) -> bool {
        if !self.contains(row) {
            return false;
        }
        *self.word_mut(row) &= !(1 << (row.0 % 64));
        self.count -= 1;
        true
    }

    /// Adds a range of rows, cut at the last row.
    pub fn insert_range(&mut self, range: Range<u32>) {
        let mut at = range.start;
        let end = range.end.min(self.rows);
        while at < end {
            let whole_chunk = at.is_multiple_of(CHUNK_ROWS) && end - at >= CHUNK_ROWS;
            let step = if whole_chunk {
                CHUNK_ROWS
            } else {
                (64 - at % 64).min(end - at)
            };
            if whole_chunk {
                let chunk = &mut self.chunks[(at / CHUNK_ROWS) as usize];
                self.count += CHUNK_ROWS - ones(chunk);
                *chunk = ONES.clone();
            } else {
                let bits = (u64::MAX >> (64 - step)) << (at % 64);
                let word = self.word_mut(RowId(at));
                let added = (bits & !*word).count_ones();
                *word |= bits;
                self.count += added;
            }
            at += step;
        }
    }

    /// Makes the set one out of `rows` rows: new rows are in it when `value` is true. A smaller
    /// number changes nothing.
    pub fn extend_to(&mut self, rows: u32, value: bool) {
        if rows <= self.rows {
            return;
        }
        let old = self.rows;
        self.rows = rows;
        self.chunks
            .resize(rows.div_ceil(CHUNK_ROWS) as usize, ZEROS.clone());
        if value {
            self.insert_range(old..rows);
        }
    }

    fn word_mut(&mut self, row: RowId) -> &mut u64 {
        let chunk = Arc::make_mut(&mut self.chunks[(row.0 / CHUNK_ROWS) as usize]);
        &mut chunk[(row.0 / 64) as usize % CHUNK_WORDS]
    }

    /// Rows in both sets. Sets out of different numbers of rows combine into one out of the larger
    /// number, as if the smaller had none of the rows beyond its end.
    pub fn and(&self, other: &RowMask) -> RowMask {
        self.combine(other, |a, b| a & b)
    }

    /// Rows in either set (see [`RowMask::and`] for different numbers of rows).
    pub fn or(&self, other: &RowMask) -> RowMask {
        self.combine(other, |a, b| a | b)
    }

    /// Rows in this set and not in the other (see [`RowMask::and`] for different numbers of rows).
    pub fn and_not(&self, other: &RowMask) -> RowMask {
        self.combine(other, |a, b| a & !b)
    }

    /// Rows that are not in the set.
    #[allow(clippy::should_implement_trait)] // a method beside and, or, and_not; the operator would take self
    pub fn not(&self) -> RowMask {
        RowMask::all(self.rows).and_not(self)
    }

    fn combine(&self, other: &RowMask, f: impl Fn(u64, u64) -> u64) -> RowMask {
        let rows = self.rows.max(other.rows);
        let mut count = 0;
        let chunks = (0..rows.div_ceil(CHUNK_ROWS) as usize)
            .map(|i| {
                let a = self.chunks.get(i).unwrap_or(&ZEROS);
                let b = other.chunks.get(i).unwrap_or(&ZEROS);
                let mut words = [0; CHUNK_WORDS];
                for (word, (&a, &b)) in words.iter_mut().zip(a.iter().zip(b.iter())) {
                    *word = f(a, b);
                }
                let ones = ones(&words);
                count += ones;
                match ones {
                    0 => ZEROS.clone(),
                    CHUNK_ROWS => ONES.clone(),
                    _ if *a.as_ref() == words => a.clone(),
                    _ => Arc::new(words),
                }
            })
            .collect();
        RowMask {
            rows,
            count,
            chunks,
        }
    }

    /// The rows that `before`, of as many rows, has and this set has not, ascending. Chunks that the two share are passed
    /// over, so that the cost is that of what changed.
    pub fn removed_since<'a>(&'a self, before: &'a RowMask) -> impl Iterator<Item = RowId> + 'a {
        let chunks = before.chunks.iter().zip(&self.chunks).enumerate();
        chunks
            .filter(|(_, (before, now))| !Arc::ptr_eq(before, now))
            .flat_map(|(i, (before, now))| {
                let words = before.iter().zip(now.iter()).enumerate();
                words.flat_map(move |(j, (&before, &now))| {
                    let first = i as u32 * CHUNK_ROWS + j as u32 * 64;
                    BitsOf(before & !now).map(move |bit| RowId(first + bit))
                })
            })
    }

    /// The rows of the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = RowId> + '_ {
        let chunks = self.chunks.iter().enumerate();
        chunks
            .filter(|(_, chunk)| !Arc::ptr_eq(chunk, &ZEROS))
            .flat_map(|(i, chunk)| {
                let first = i as u32 * CHUNK_ROWS;
                chunk
                    .iter()
                    .enumerate()
                    .filter(|(_, word)| **word != 0)
                    .flat_map(move |(j, &word)| {
                        BitsOf(word).map(move |b| first + j as u32 * 64 + b)
                    })
            })
            .map(RowId)
    }

    /// All 64-bit words of the set in order, `rows / 64` rounded up.
    pub fn words(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.rows.div_ceil(64)).map(|i| self.word(i))
    }

    /// The words in little-endian bytes, for [`RowMask::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words().flat_map(u64::to_le_bytes).collect()
    }

    /// Reads what [`RowMask::to_bytes`] wrote for the same number of rows.
    ///
    /// # Errors
    /// `BadLayout` when the length is wrong or a bit beyond the last row is set.
    pub fn from_bytes(rows: u32, bytes: &[u8]) -> Result<RowMask, VectorError> {
        let words = rows.div_ceil(64) as usize;
        if bytes.len() != words * 8 {
            return Err(VectorError::BadLayout(format!(
                "a mask of {rows} rows has {} bytes, not {}",
                words * 8,
                bytes.len()
            )));
        }
        let words = bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b));
        RowMask::from_words(rows, words)
    }

    /// The set of which these are the [`RowMask::words`]; those that are missing at the end are 0.
    ///
    /// # Errors
    /// `BadLayout` when a bit beyond the last row is set.
    pub fn from_words(
        rows: u32,
        words: impl IntoIterator<Item = u64>,
    ) -> Result<RowMask, VectorError> {
        let mut mask = RowMask::none(rows);
        let mut from = words.into_iter();
        for chunk in &mut mask.chunks {
            let mut words = [0; CHUNK_WORDS];
            for (word, from) in words.iter_mut().zip(&mut from) {
                *word = from;
            }
            let ones = ones(&words);
            match ones {
                0 => {}
                CHUNK_ROWS => *chunk = ONES.clone(),
                _ => *chunk = Arc::new(words),
            }
            mask.count += ones;
        }
        if !rows.is_multiple_of(64) && mask.word(rows / 64) >> (rows % 64) != 0 {
            return Err(VectorError::BadLayout(format!(
                "a mask of {rows} rows has rows beyond its end"
            )));
        }
        Ok(mask)
    }
}

fn ones(words: &Chunk) -> u32 {
    words.iter().map(|w| w.count_ones()).sum()
}

/// Positions of the bits set in a word, ascending.
struct BitsOf(u64);

impl Iterator for BitsOf {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

impl Extend<RowId> for RowMask {
    fn extend<I: IntoIterator<Item = RowId>>(&mut self, members: I) {
        for row in members {
            self.insert(row);
        }
    }
}

/// The set out of as many rows as the largest member needs.
impl FromIterator<RowId> for RowMask {
    fn from_iter<I: IntoIterator<Item = RowId>>(members: I) -> Self {
        let mut mask = RowMask::none(0);
        for row in members {
            mask.extend_to(row.0.saturating_add(1), false);
            mask.insert(row);
        }
        mask
    }
}

impl PartialEq for RowMask {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
            && self.count == other.count
            && self
                .chunks
                .iter()
                .zip(&other.chunks)
                .all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
    }
}

impl Eq for RowMask {}

impl fmt::Debug for RowMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowMask({} of {} rows)", self.count, self.rows)
    }
}

#[cfg(test)]
mod tests;
