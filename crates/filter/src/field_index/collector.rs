//! Gathers rows in any order into a [`RowMask`].

use super::field_bytes::FieldBytes;
use crate::error::FilterError;
use vecdb_vector::{RowId, RowMask};

/// Rows so far: a list while they are few, words of bits when a list would take more memory.
pub(super) struct RowCollector {
    rows: u32,
    few: Vec<u32>,
    words: Option<Vec<u64>>,
}

impl RowCollector {
    /// For a segment of so many rows, of which about `expected` will be added.
    pub(super) fn new(rows: u32, expected: u64) -> Self {
        let mut collector = RowCollector {
            rows,
            few: Vec::new(),
            words: None,
        };
        if expected > collector.few_max() {
            collector.spread();
        }
        collector
    }

    /// Adds a row; false if the segment has no such row.
    #[inline]
    #[must_use]
    pub(super) fn add(&mut self, row: u32) -> bool {
        if row >= self.rows {
            return false;
        }
        if let Some(words) = &mut self.words {
            if let Some(word) = words.get_mut(row as usize / 64) {
                *word |= 1 << (row % 64);
            }
        } else {
            self.few.push(row);
            if self.few.len() as u64 > self.few_max() {
                self.spread();
            }
        }
        true
    }

    /// Adds every row.
    pub(super) fn add_all(&mut self) {
        let rows = self.rows;
        let words = self.spread();
        words.fill(u64::MAX);
        if let Some(last) = words.last_mut()
            && !rows.is_multiple_of(64)
        {
            *last = (1 << (rows % 64)) - 1;
        }
    }

    /// Adds little-endian row numbers that lie at `offset`.
    pub(super) fn add_bytes(
        &mut self,
        bytes: &FieldBytes,
        offset: u64,
        count: u64,
    ) -> Result<(), FilterError> {
        let len = bytes.offset(0, count, 4)?;
        if count > self.few_max() {
            self.spread();
        }
        for (i, row) in bytes.slice(offset, len)?.as_chunks().0.iter().enumerate() {
            let row = u32::from_le_bytes(*row);
            if !self.add(row) {
                let at = offset + i as u64 * 4;
                return Err(bytes.corrupt(at, no_such_row(row, self.rows)));
            }
        }
        Ok(())
    }

    /// Takes the rows of a set of bits that lies at `offset` out where they are collected, and adds them where they are not.
    pub(super) fn toggle_words(
        &mut self,
        bytes: &FieldBytes,
        offset: u64,
        len: u64,
    ) -> Result<(), FilterError> {
        let rows = self.rows;
        let toggled = bytes.slice(offset, len)?.as_chunks().0;
        for (word, toggled) in self.spread().iter_mut().zip(toggled) {
            *word ^= u64::from_le_bytes(*toggled);
        }
        match toggled.last().map(|last| u64::from_le_bytes(*last)) {
            Some(last) if !rows.is_multiple_of(64) && last >> (rows % 64) != 0 => {
                Err(bytes.corrupt(offset, no_such_row(rows, rows)))
            }
            _ => Ok(()),
        }
    }

    /// [`Self::toggle_words`] of little-endian row numbers.
    pub(super) fn toggle_bytes(
        &mut self,
        bytes: &FieldBytes,
        offset: u64,
        count: u64,
    ) -> Result<(), FilterError> {
        let rows = self.rows;
        let toggled = bytes.slice(offset, bytes.offset(0, count, 4)?)?;
        let words = self.spread();
        for row in toggled.as_chunks().0 {
            let row = u32::from_le_bytes(*row);
            match words.get_mut(row as usize / 64).filter(|_| row < rows) {
                Some(word) => *word ^= 1 << (row % 64),
                None => return Err(bytes.corrupt(offset, no_such_row(row, rows))),
            }
        }
        Ok(())
    }

    /// Rows of the segment.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// The rows added.
    pub(super) fn into_mask(self) -> RowMask {
        let RowCollector { rows, few, words } = self;
        match words {
            None => RowMask::from_rows(rows, few.into_iter().map(RowId)),
            Some(words) => {
                RowMask::from_words(rows, words).expect("every row was compared with their number")
            }
        }
    }

    /// A longer list is slower than the bits of all rows.
    fn few_max(&self) -> u64 {
        u64::from(self.rows / 512)
    }

    /// The rows as bits from now on.
    fn spread(&mut self) -> &mut Vec<u64> {
        let RowCollector { rows, few, words } = self;
        words.get_or_insert_with(|| {
            let mut words = vec![0u64; rows.div_ceil(64) as usize];
            for row in std::mem::take(few) {
                if let Some(word) = words.get_mut(row as usize / 64) {
                    *word |= 1 << (row % 64);
                }
            }
            words
        })
    }
}

/// Appends little-endian row numbers that lie at `offset` to a list of rows of a segment of `rows` rows.
pub(super) fn append_rows(
    bytes: &FieldBytes,
    offset: u64,
    count: u64,
    rows: u32,
    out: &mut Vec<RowId>,
) -> Result<(), FilterError> {
    let len = bytes.offset(0, count, 4)?;
    for (i, row) in bytes.slice(offset, len)?.as_chunks().0.iter().enumerate() {
        let row = u32::from_le_bytes(*row);
        if row >= rows {
            let at = offset + i as u64 * 4;
            return Err(bytes.corrupt(at, no_such_row(row, rows)));
        }
        out.push(RowId(row));
    }
    Ok(())
}

pub(super) fn no_such_row(row: u32, rows: u32) -> String {
    format!("row {row} in a segment of {rows} rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_rows() {
        for rows in [1u32, 64, 1_000, 70_000] {
            for step in [1, 3, 64, 999] {
                for expected in [0, u64::from(rows)] {
                    let members: Vec<u32> = (0..rows).rev().step_by(step).collect();
                    let mut collector = RowCollector::new(rows, expected);
                    for &row in members.iter().chain(members.first()) {
                        assert!(collector.add(row));
                    }
                    assert!(!collector.add(rows));
                    let expected = RowMask::from_rows(rows, members.into_iter().map(RowId));
                    assert_eq!(collector.into_mask(), expected);
                }
            }
        }
    }
}
