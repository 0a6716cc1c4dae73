//! The rows of the first sixteenth of a sorted run, of the first two sixteenths, and so on to all of it, as bits.
//!
//! The rows of any range of entries are the difference of two such sets, the nearest to its ends, but for the entries
//! between these and the ends: a sixteenth of the run at most, instead of all that the range covers. Rows are toggled,
//! never added, so no row may have two entries.

use super::collector::{RowCollector, append_rows};
use super::field_bytes::FieldBytes;
use crate::error::FilterError;

/// Sets of a run: two bytes for each row.
const SETS: u64 = 16;

/// Ranges of fewer entries are as fast without.
const ENTRIES_MIN: u64 = 1_024;

/// The sets take room for every row, so a run that few rows have goes without.
const ROWS_PER_ENTRY_MAX: u64 = 8;

const WORD_BYTES: u64 = 8;

/// Where the sets of a run lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefixes {
    /// Offset of the first set; the others follow, each in as many 64-bit words as the rows take.
    pub(super) at: u64,
}

/// Whether a run of a field without arrays is worth the room of its sets.
pub(super) fn pay(entries: u64, rows: u32) -> bool {
    entries >= ENTRIES_MIN && u64::from(rows) <= entries * ROWS_PER_ENTRY_MAX
}

/// The sets one by one as bytes, of the rows of a run in its order; each row is there once.
pub(super) fn sets(ordered: &[u32], rows: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut words = vec![0u64; rows.div_ceil(64) as usize];
    let mut done = 0;
    (1..=SETS).map(move |set| {
        let end = boundary(set, ordered.len() as u64);
        for row in ordered.get(done as usize..end as usize).unwrap_or_default() {
            if let Some(word) = words.get_mut(*row as usize / 64) {
                *word |= 1 << (row % 64);
            }
        }
        done = end;
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    })
}

/// The entries that a set covers, of a run of so many; no run has more entries than there are rows.
fn boundary(set: u64, entries: u64) -> u64 {
    entries * set / SETS
}

/// The set, or none of them, that covers about so many entries.
fn nearest(place: u64, entries: u64) -> u64 {
    ((place * SETS + entries / 2) / entries.max(1)).min(SETS)
}

impl Prefixes {
    /// Entries that [`Prefixes::collect`] reads one by one for a range, and what the sets cost, in entries.
    pub(super) fn cost(entries: u64, rows: u32, first: u64, last: u64) -> u64 {
        let ends = [first, last].map(|end| end.abs_diff(boundary(nearest(end, entries), entries)));
        ends[0] + ends[1] + u64::from(rows) / 64
    }

    /// Adds the rows of the entries `first..last`, of which `rows_at` is the offset of the rows.
    pub(super) fn collect(
        self,
        bytes: &FieldBytes,
        entries: u64,
        rows_at: u64,
        (first, last): (u64, u64),
        collector: &mut RowCollector,
    ) -> Result<(), FilterError> {
        let set_bytes = u64::from(collector.rows()).div_ceil(64) * WORD_BYTES;
        for end in [first, last] {
            let set = nearest(end, entries);
            if set > 0 {
                let at = bytes.offset(self.at, set - 1, set_bytes)?;
                collector.toggle_words(bytes, at, set_bytes)?;
            }
            let covered = boundary(set, entries);
            let from = bytes.offset(rows_at, end.min(covered), 4)?;
            collector.toggle_bytes(bytes, from, end.abs_diff(covered))?;
        }
        Ok(())
    }
}

impl Prefixes {
    /// Compares the sets with the rows of the run, of which `rows_at` is the offset.
    pub(super) fn verify(
        self,
        bytes: &FieldBytes,
        entries: u64,
        rows_at: u64,
        rows: u32,
    ) -> Result<(), FilterError> {
        let mut ordered = Vec::new();
        append_rows(bytes, rows_at, entries, rows, &mut ordered)?;
        let ordered: Vec<u32> = ordered.into_iter().map(|row| row.0).collect();
        let mut at = self.at;
        for (set, expected) in (1..).zip(sets(&ordered, rows)) {
            if bytes.slice(at, expected.len() as u64)? != expected {
                let what = format!(
                    "the rows up to {set}/{SETS} of the values are not those of the values"
                );
                return Err(bytes.corrupt(at, what));
            }
            at = bytes.offset(at, expected.len() as u64, 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_cover_all_entries() {
        for entries in [1, 15, 16, 1_000, 1_024, 65_537] {
            assert_eq!(boundary(0, entries), 0);
            assert_eq!(boundary(SETS, entries), entries);
            for place in 0..=entries {
                let covered = boundary(nearest(place, entries), entries);
                assert!(
                    covered.abs_diff(place) <= entries / (2 * SETS) + 1,
                    "{place} of {entries}"
                );
            }
        }
    }

    #[test]
    fn small_and_sparse_runs_go_without() {
        assert!(pay(1_024, 1_024) && pay(1_024, 8_192));
        assert!(!pay(1_023, 1_023) && !pay(1_024, 8_193));
    }
}
