//! Postings: the rows that have one value.
//!
//! A posting is a count and an offset, and its form follows from the count: no row and all rows need
//! no bytes; of a single row the offset is the row; up to [`LIST_MAX`] rows are a list of u32; more
//! are a u32 length and a Roaring bitmap in its portable format.

use super::collector::{RowCollector, append_rows, no_such_row};
use super::field_bytes::FieldBytes;
use crate::error::FilterError;
use roaring::RoaringBitmap;
use vecdb_vector::{RowId, RowMask};

/// A Roaring bitmap of fewer rows takes more room than their list.
pub(super) const LIST_MAX: u32 = 32;

/// Where the rows of a value lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posting {
    /// Number of rows.
    pub(super) count: u32,
    /// Offset in the field's section; of a single row the row.
    pub(super) offset: u64,
}

impl Posting {
    /// Appends the rows (ascending, each once) of a segment of `rows` rows to `out`, the end of which
    /// lies at `end` in the section.
    pub(super) fn write(members: &[u32], rows: u32, end: u64, out: &mut Vec<u8>) -> Posting {
        let count = members.len() as u32;
        let mut posting = Posting { count, offset: end };
        if count == 0 || count == rows {
            posting.offset = 0;
        } else if let [row] = members {
            posting.offset = u64::from(*row);
        } else if count <= LIST_MAX {
            members
                .iter()
                .for_each(|row| out.extend_from_slice(&row.to_le_bytes()));
        } else {
            let mut bitmap: RoaringBitmap = members.iter().copied().collect();
            bitmap.optimize();
            let length_at = out.len();
            out.extend_from_slice(&[0; 4]);
            bitmap
                .serialize_into(&mut *out)
                .expect("memory takes every byte");
            let length = (out.len() - length_at - 4) as u32;
            if let Some(place) = out.get_mut(length_at..length_at + 4) {
                place.copy_from_slice(&length.to_le_bytes());
            }
        }
        posting
    }

    /// Adds the rows to those collected.
    pub(super) fn collect(
        &self,
        bytes: &FieldBytes,
        rows: u32,
        collector: &mut RowCollector,
    ) -> Result<(), FilterError> {
        let Posting { count, offset } = *self;
        if count > rows {
            return Err(bytes.corrupt(offset, format!("{count} rows of {rows} have a value")));
        }
        let refuse = |row: u32| Err(bytes.corrupt(offset, no_such_row(row, rows)));
        if count == 0 {
            Ok(())
        } else if count == rows {
            collector.add_all();
            Ok(())
        } else if count == 1 {
            let row = u32::try_from(offset).unwrap_or(u32::MAX);
            if collector.add(row) {
                Ok(())
            } else {
                refuse(row)
            }
        } else if count <= LIST_MAX {
            collector.add_bytes(bytes, offset, count.into())
        } else {
            let bitmap = self.bitmap(bytes)?;
            let mut batch = [0; 1_024];
            let mut iter = bitmap.iter();
            loop {
                let found = iter.next_many(&mut batch);
                if found.is_empty() {
                    return Ok(());
                }
                for &mut row in found {
                    if !collector.add(row) {
                        return refuse(row);
                    }
                }
            }
        }
    }

    /// Appends the rows, ascending.
    pub(super) fn append_rows(
        &self,
        bytes: &FieldBytes,
        rows: u32,
        out: &mut Vec<RowId>,
    ) -> Result<(), FilterError> {
        let Posting { count, offset } = *self;
        if count > LIST_MAX || count == rows {
            out.extend(self.mask(bytes, rows)?.iter());
        } else if count == 1 {
            let row = u32::try_from(offset).unwrap_or(u32::MAX);
            if row >= rows {
                return Err(bytes.corrupt(offset, no_such_row(row, rows)));
            }
            out.push(RowId(row));
        } else if count > 1 {
            append_rows(bytes, offset, count.into(), rows, out)?;
        }
        Ok(())
    }

    /// The rows as a mask.
    pub(super) fn mask(&self, bytes: &FieldBytes, rows: u32) -> Result<RowMask, FilterError> {
        if self.count == rows {
            return Ok(RowMask::all(rows));
        }
        let mut collector = RowCollector::new(rows, self.count.into());
        self.collect(bytes, rows, &mut collector)?;
        Ok(collector.into_mask())
    }

    fn bitmap(&self, bytes: &FieldBytes) -> Result<RoaringBitmap, FilterError> {
        let length = bytes.u32_at(self.offset)?;
        let at = bytes.offset(self.offset, 4, 1)?;
        let bitmap = RoaringBitmap::deserialize_from(bytes.slice(at, length.into())?)
            .map_err(|error| bytes.corrupt(at, format!("not a Roaring bitmap: {error}")))?;
        if bitmap.len() != u64::from(self.count) {
            return Err(bytes.corrupt(
                at,
                format!(
                    "a bitmap of {} rows where {} belong",
                    bitmap.len(),
                    self.count
                ),
            ));
        }
        Ok(bitmap)
    }
}
