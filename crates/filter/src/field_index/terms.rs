//! The dictionary index of texts and truth values.
//!
//! Terms in ascending byte order, their bytes end to end; their postings; then a table of 24 bytes per
//! term: end of its bytes (relative to the first term's), offset of its [`Posting`], and the number of
//! (term, row) pairs up to and with this term, so that ranges are counted without reading postings.
//! Truth values are the terms `00` and `01`. Stems are terms that begin with a byte which no word begins with.

use super::collector::RowCollector;
use super::field_bytes::{FieldBytes, partition_point};
use super::posting::Posting;
use crate::error::FilterError;
use crate::schema::FieldKind;
use crate::value::Value;
use vecdb_vector::RowId;

pub(super) const TABLE_ENTRY_BYTES: u64 = 24;

/// Where dictionary and table lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TermRun {
    pub(super) kind: FieldKind,
    /// Offset of the first term's bytes in the section.
    pub(super) terms_at: u64,
    /// Offset of the table.
    pub(super) table_at: u64,
    /// Number of (term, row) pairs.
    pub(super) entries: u64,
    /// Number of terms.
    pub(super) distinct: u64,
}

/// The term of a text or truth value.
pub(super) fn term_of(value: &Value) -> Option<(FieldKind, &[u8])> {
    match value {
        Value::Bool(false) => Some((FieldKind::Bool, b"\0")),
        Value::Bool(true) => Some((FieldKind::Bool, b"\x01")),
        Value::String(text) => Some((FieldKind::String, text.as_bytes())),
        _ => None,
    }
}

/// What the term of a stem begins with.
pub(super) const STEM_MARK: &str = "\u{1}";

/// The term of a stem.
pub(super) fn stem_term(stem: &str) -> String {
    format!("{STEM_MARK}{stem}")
}

/// One line of the table.
struct TableEntry {
    term_end: u64,
    posting_at: u64,
    entries_end: u64,
}

impl TermRun {
    /// The terms equal to a literal of the same kind as `first..last` (one or none): those before are
    /// less, those from `last` on greater. None for literals of another kind.
    pub(super) fn equal_range(
        &self,
        bytes: &FieldBytes,
        literal: &Value,
    ) -> Result<Option<(u64, u64)>, FilterError> {
        let Some((_, wanted)) = term_of(literal).filter(|(kind, _)| *kind == self.kind) else {
            return Ok(None);
        };
        self.term_range(bytes, wanted).map(Some)
    }

    /// The terms that begin with a prefix as `first..last`.
    pub(super) fn prefix_range(
        &self,
        bytes: &FieldBytes,
        prefix: &[u8],
    ) -> Result<(u64, u64), FilterError> {
        let first = partition_point(self.distinct, |i| Ok(self.term(bytes, i)? < prefix))?;
        let count = partition_point(self.distinct - first, |i| {
            Ok(self.term(bytes, first + i)?.starts_with(prefix))
        })?;
        Ok((first, first + count))
    }

    /// The term `wanted` as `first..last` (one or none).
    pub(super) fn term_range(
        &self,
        bytes: &FieldBytes,
        wanted: &[u8],
    ) -> Result<(u64, u64), FilterError> {
        let first = partition_point(self.distinct, |i| Ok(self.term(bytes, i)? < wanted))?;
        let found = first < self.distinct && self.term(bytes, first)? == wanted;
        Ok((first, first + u64::from(found)))
    }

    /// A term as text.
    pub(super) fn text<'a>(
        &self,
        bytes: &'a FieldBytes,
        index: u64,
    ) -> Result<&'a str, FilterError> {
        std::str::from_utf8(self.term(bytes, index)?)
            .map_err(|_| bytes.corrupt(self.terms_at, format!("term {index} is not UTF-8")))
    }

    /// Pairs of the terms `first..last`.
    pub(super) fn count(
        &self,
        bytes: &FieldBytes,
        first: u64,
        last: u64,
    ) -> Result<u64, FilterError> {
        let before = self.entries_before(bytes, first)?;
        self.entries_before(bytes, last)?
            .checked_sub(before)
            .ok_or_else(|| bytes.corrupt(self.table_at, "the counts of the terms decrease"))
    }

    /// Adds the rows of the terms `first..last`.
    pub(super) fn collect(
        &self,
        bytes: &FieldBytes,
        rows: u32,
        first: u64,
        last: u64,
        collector: &mut RowCollector,
    ) -> Result<(), FilterError> {
        (first..last).try_for_each(|i| self.posting(bytes, i)?.collect(bytes, rows, collector))
    }

    /// Appends the rows of a term in a segment of `rows` rows.
    pub(super) fn append_rows(
        &self,
        bytes: &FieldBytes,
        rows: u32,
        index: u64,
        out: &mut Vec<RowId>,
    ) -> Result<(), FilterError> {
        self.posting(bytes, index)?.append_rows(bytes, rows, out)
    }

    /// Calls back with the number of rows and the index of each term, in order.
    pub(super) fn for_each_value(
        &self,
        bytes: &FieldBytes,
        mut found: impl FnMut(u32, u64),
    ) -> Result<(), FilterError> {
        for i in 0..self.distinct {
            found(self.posting(bytes, i)?.count, i);
        }
        Ok(())
    }

    /// The value of a term.
    pub(super) fn value(&self, bytes: &FieldBytes, index: u64) -> Result<Value, FilterError> {
        let term = self.term(bytes, index)?;
        match (self.kind, term) {
            (FieldKind::Bool, [0]) => Ok(Value::Bool(false)),
            (FieldKind::Bool, [1]) => Ok(Value::Bool(true)),
            (FieldKind::String | FieldKind::Text, _) => self.text(bytes, index).map(Value::from),
            _ => Err(bytes.corrupt(self.terms_at, format!("term {index} is no truth value"))),
        }
    }

    fn term<'a>(&self, bytes: &'a FieldBytes, index: u64) -> Result<&'a [u8], FilterError> {
        let start = match index.checked_sub(1) {
            Some(previous) => self.table_entry(bytes, previous)?.term_end,
            None => 0,
        };
        let end = self.table_entry(bytes, index)?.term_end;
        let len = end.checked_sub(start).ok_or_else(|| {
            bytes.corrupt(self.table_at, format!("term {index} ends before it begins"))
        })?;
        bytes.slice(bytes.offset(self.terms_at, start, 1)?, len)
    }

    fn posting(&self, bytes: &FieldBytes, index: u64) -> Result<Posting, FilterError> {
        let count = self.count(bytes, index, index + 1)?;
        Ok(Posting {
            count: u32::try_from(count).map_err(|_| {
                bytes.corrupt(self.table_at, format!("{count} rows have term {index}"))
            })?,
            offset: self.table_entry(bytes, index)?.posting_at,
        })
    }

    fn entries_before(&self, bytes: &FieldBytes, index: u64) -> Result<u64, FilterError> {
        match index.checked_sub(1) {
            Some(previous) => Ok(self.table_entry(bytes, previous)?.entries_end),
            None => Ok(0),
        }
    }

    fn table_entry(&self, bytes: &FieldBytes, index: u64) -> Result<TableEntry, FilterError> {
        let at = bytes.offset(self.table_at, index, TABLE_ENTRY_BYTES)?;
        let raw: [u8; TABLE_ENTRY_BYTES as usize] = bytes.array_at(at)?;
        let [term_end, posting_at, entries_end] = match raw.as_chunks::<8>().0 {
            [a, b, c] => [a, b, c].map(|number| u64::from_le_bytes(*number)),
            _ => return Err(bytes.corrupt(at, "out of range")),
        };
        Ok(TableEntry {
            term_end,
            posting_at,
            entries_end,
        })
    }
}
