//! Sealed segments: immutable rows in one mapped file, their index, their delete mask and the field indexes that were
//! wanted later each in another.
//!
//! ```text
//! <segment>.rows              vectors, ids, id map, metadata, field indexes
//! <segment>.index             the nearest-neighbour index over these rows
//! <segment>.<version>.fields  indexes of metadata fields that the rows file has none of
//! <segment>.<generation>.live which rows were alive when the manifest naming it was written
//! ```
//! A segment takes no memory that grows with its rows: all of it is mapped and read where it is needed, each block
//! checked against its checksum before its first use.

mod fields;
mod open;
mod write;

pub(crate) use open::read_live;

pub(crate) use write::{SegmentWriter, SourceRow, write_index, write_live};

use std::cell::Cell;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use fields::AddedFields;
use parking_lot::Mutex;
use vecdb_filter::{
    Estimate, Evaluation, FieldIndexes, Filter, Metadata, Value, decode_field, decode_metadata,
};
use vecdb_index::AnnIndex;
use vecdb_index::Sketches;
use vecdb_storage::{Access, Blob, Disk, Section};
use vecdb_vector::{RowId, RowMask, VectorRows};

use crate::error::{Error, ErrorKind, Result};
use crate::part::{Layout, Part, Sketching};
use crate::point::{PointId, hash_id_bytes};
use crate::stop::StopSignal;

pub(crate) const ROWS_KIND: [u8; 4] = *b"ROWS";
pub(crate) const INDEX_KIND: [u8; 4] = *b"INDX";
pub(crate) const FIELDS_KIND: [u8; 4] = *b"FLDS";
pub(crate) const LIVE_KIND: [u8; 4] = *b"LIVE";
pub(crate) const FILE_VERSION: u32 = 1;

const VECTORS: &str = "vectors:";
const NORMS: &str = "norms:";
const ID_OFFSETS: &str = "id.offsets";
const ID_BYTES: &str = "id.bytes";
const ID_MAP: &str = "id.map";
const METADATA_OFFSETS: &str = "metadata.offsets";
const METADATA_BYTES: &str = "metadata.bytes";
const META: &str = "meta";

/// One entry of the id map: hash u64 | row u32.
const ID_MAP_ENTRY: usize = 12;

/// Identifies a segment within its collection; never used twice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub(crate) struct SegmentId(pub(crate) u64);

impl SegmentId {
    pub(crate) fn rows_name(self) -> String {
        format!("{:016x}.rows", self.0)
    }

    pub(crate) fn index_name(self) -> String {
        format!("{:016x}.index", self.0)
    }

    /// The files that a new segment can have.
    pub(crate) fn file_names(self) -> [String; 2] {
        [self.rows_name(), self.index_name()]
    }
}

/// A file of a segment as the manifest names it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// What the manifest says of a segment.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct SegmentEntry {
    pub(crate) id: SegmentId,
    pub(crate) rows: u32,
    /// How many were alive when the manifest was written.
    pub(crate) live_rows: u32,
    pub(crate) rows_file: FileEntry,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index_file: Option<FileEntry>,
    /// Field indexes that were wanted after the rows file had been written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fields_file: Option<FileEntry>,
    /// How many such files there were: each has a name of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) fields_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) live_file: Option<FileEntry>,
}

impl SegmentEntry {
    /// The files that hold the rows and what finds them.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        std::iter::once(&self.rows_file)
            .chain(&self.index_file)
            .chain(&self.fields_file)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A sealed segment with the field indexes that are in use. Where others are to be used, another one takes its place that
/// shares all the rest.
pub(crate) struct Segment {
    entry: SegmentEntry,
    sealed: Arc<Sealed>,
    added: Option<Arc<AddedFields>>,
    /// Of the indexes written with the rows and those added those that are wanted.
    fields: FieldIndexes,
    sketches: Option<Arc<Sketches>>,
}

/// What of a segment never changes: its rows and their index.
pub(crate) struct Sealed {
    files: Vec<FileEntry>,
    layout: Layout,
    path: PathBuf,
    vectors: Column,
    norms: Option<Column>,
    id_offsets: Column,
    id_bytes: Column,
    id_map: Column,
    metadata_offsets: Column,
    metadata_bytes: Column,
    /// The field indexes in the rows file.
    written: FieldIndexes,
    index: Option<Box<dyn AnnIndex>>,
    index_columns: Vec<Column>,
    checked: OnceLock<Checked>,
    checking: Mutex<()>,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    obsolete: AtomicBool,
}

/// Whether what searches read is sound, or what is wrong with it.
type Checked = Result<(), (ErrorKind, String)>;

/// Bytes checked between two looks at a stop signal: a fraction of a millisecond's work.
const CHECK_BYTES: usize = 1 << 20;

/// Rows read between two looks at a stop signal.
const ROWS_PER_CHECK: u32 = 1_024;

/// A section and its bytes.
struct Column {
    section: Section,
    bytes: Blob,
}

impl Column {
    fn new(section: Section) -> Self {
        Self {
            bytes: section.bytes_unverified(),
            section,
        }
    }

    /// A range of the bytes, its blocks checked.
    fn read(&self, range: Range<usize>) -> Result<&[u8]> {
        self.section.verify_range(range.clone())?;
        self.bytes.get(range.clone()).ok_or_else(|| {
            self.section
                .corrupt(range.start, "bytes are missing")
                .into()
        })
    }

    fn read_u64(&self, at: usize) -> Result<u64> {
        let bytes = self.read(at * 8..at * 8 + 8)?;
        bytes
            .try_into()
            .map(u64::from_le_bytes)
            .map_err(|_| self.section.corrupt(at * 8, "a number is cut short").into())
    }
}

impl Deref for Segment {
    type Target = Sealed;

    fn deref(&self) -> &Sealed {
        &self.sealed
    }
}

impl Segment {
    pub(crate) fn entry(&self) -> &SegmentEntry {
        &self.entry
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.entry.id
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entry.files().map(|file| file.bytes).sum()
    }

    pub(crate) fn index_bytes(&self) -> u64 {
        self.entry.index_file.as_ref().map_or(0, |file| file.bytes)
    }

    /// Makes searches cheaper until the rows are merged into a segment with an index.
    pub(crate) fn sketch(&mut self, sketching: &Sketching) -> Result<()> {
        if self.index.is_none() {
            self.sketches = sketching.sketch(self.vectors()?).map(Arc::new);
        }
        Ok(())
    }

    /// The files are removed once the last snapshot that reads them is gone.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
        self.mark_fields_obsolete();
    }

    /// Checks the checksums of everything a search reads without checking: vectors, norms, index. Once per open.
    ///
    /// # Errors
    /// Damage; or that of `stop`, and then the next call goes on from there.
    pub(crate) fn check_searched_bytes(&self, stop: &StopSignal) -> Result<()> {
        self.check_searched_bytes_by(&|_| stop.check())
    }

    /// [`Self::check_searched_bytes`]; `before` is told how many bytes come next.
    ///
    /// # Errors
    /// Damage; or that of `before`, and then the next call goes on from there.
    pub(crate) fn check_searched_bytes_by(&self, before: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        let outcome = match self.checked.get() {
            Some(outcome) => outcome,
            None => {
                let outcome = self.check_all_searched(before)?;
                self.checked.get_or_init(|| outcome)
            }
        };
        outcome
            .as_ref()
            .map_err(|(kind, message)| Error::new(*kind, message.clone()))
            .copied()
    }

    #[cfg(test)]
    pub(crate) fn is_checked(&self) -> bool {
        self.checked.get().is_some()
    }

    /// What searches read without checking.
    fn searched(&self) -> impl Iterator<Item = &Column> {
        [Some(&self.vectors), self.norms.as_ref()]
            .into_iter()
            .flatten()
            .chain(&self.index_columns)
    }

    pub(crate) fn searched_bytes(&self) -> u64 {
        self.searched()
            .map(|column| column.bytes.len() as u64)
            .sum()
    }

    fn check_all_searched(&self, before: &dyn Fn(u64) -> Result<()>) -> Result<Checked> {
        for column in self.searched() {
            let bytes = column.bytes.len();
            for start in (0..bytes).step_by(CHECK_BYTES) {
                let range = start..bytes.min(start + CHECK_BYTES);
                before(range.len() as u64)?;
                // One at a time: others find the blocks checked, which the section remembers.
                let _one = self.checking.lock();
                if let Err(error) = column.section.verify_range(range) {
                    let error = Error::from(error);
                    return Ok(Err((error.kind(), error.to_string())));
                }
            }
        }
        Ok(Ok(()))
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(&self.path, what)
    }

    fn checked_row(&self, row: RowId) -> Result<usize> {
        if row.0 < self.entry.rows {
            Ok(row.0 as usize)
        } else {
            Err(self.damaged(format_args!(
                "row {} of {} rows was asked for",
                row.0, self.entry.rows
            )))
        }
    }

    /// The `row`-th item of a column of items of any length.
    fn item<'a>(&self, offsets: &Column, bytes: &'a Column, row: usize) -> Result<&'a [u8]> {
        let (start, end) = (offsets.read_u64(row)?, offsets.read_u64(row + 1)?);
        if start > end || end > bytes.bytes.len() as u64 {
            return Err(self.damaged(format_args!(
                "row {row} lies at {start}..{end} of {} bytes",
                bytes.bytes.len()
            )));
        }
        bytes.read(start as usize..end as usize)
    }

    fn metadata_bytes(&self, row: RowId) -> Result<&[u8]> {
        self.item(
            &self.metadata_offsets,
            &self.metadata_bytes,
            self.checked_row(row)?,
        )
    }

    /// How the vectors and the index are about to be read.
    pub(crate) fn advise(&self, access: Access) {
        std::iter::once(&self.vectors)
            .chain(&self.index_columns)
            .for_each(|column| column.bytes.advise(access));
    }

    fn id_bytes(&self, row: RowId) -> Result<&[u8]> {
        self.item(&self.id_offsets, &self.id_bytes, self.checked_row(row)?)
    }

    /// Compares the id map with the ids: sorted, every row once, every hash right.
    pub(crate) fn verify_ids(&self) -> Result<()> {
        let mut seen = RowMask::none(self.entry.rows);
        let mut last = None;
        for at in 0..self.entry.rows {
            let (hash, row) = self.in_id_order(at)?;
            let id = self.id_bytes(row)?.to_vec();
            if hash_id_bytes(&id) != hash {
                return Err(self.damaged(format_args!(
                    "id map entry {at} does not belong to row {}",
                    row.0
                )));
            }
            if !seen.insert(row) {
                return Err(self.damaged(format_args!("row {} stands in the id map twice", row.0)));
            }
            let key = (hash, id);
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(self.damaged(format_args!("id map entry {at} is out of order")));
            }
            last = Some(key);
        }
        Ok(())
    }

    /// Whether all that makes up a row is there as it was written: vector, id and metadata.
    pub(crate) fn is_readable(&self, row: RowId) -> bool {
        self.check_row(row).is_ok() && Part::id(self, row).is_ok() && self.metadata(row).is_ok()
    }
}

impl Part for Segment {
    fn rows(&self) -> u32 {
        self.entry.rows
    }

    fn vectors(&self) -> Result<VectorRows<'_>> {
        let Layout {
            element,
            dimension,
            stride,
            ..
        } = self.layout;
        let rows = VectorRows::new(
            element,
            dimension,
            stride,
            self.entry.rows,
            &self.vectors.bytes,
        )?;
        match &self.norms {
            None => Ok(rows),
            Some(norms) => {
                let norms = bytemuck::try_cast_slice(&norms.bytes)
                    .map_err(|e| self.damaged(format_args!("norms: {e}")))?;
                Ok(rows.with_inverse_norms(norms)?)
            }
        }
    }

    fn id(&self, row: RowId) -> Result<PointId> {
        let bytes = self.id_bytes(row)?;
        PointId::decode(bytes).ok_or_else(|| {
            self.damaged(format_args!(
                "row {} has an id of bytes {bytes:02x?}",
                row.0
            ))
        })
    }

    fn metadata(&self, row: RowId) -> Result<Metadata> {
        Ok(decode_metadata(self.metadata_bytes(row)?)?)
    }

    fn check_row(&self, row: RowId) -> Result<()> {
        let start = self.checked_row(row)? * self.layout.stride;
        self.vectors.read(start..start + self.layout.stride)?;
        Ok(())
    }

    fn evaluate(&self, filter: &Filter, stop: &StopSignal) -> Result<Evaluation> {
        let read = Cell::new(0u32);
        self.fields.evaluate(filter, &|row| {
            if read.get().is_multiple_of(ROWS_PER_CHECK) {
                stop.check()?;
            }
            read.set(read.get().wrapping_add(1));
            self.metadata_bytes(row)
        })
    }

    fn estimate(&self, filter: &Filter) -> Estimate {
        self.fields.estimate(filter)
    }

    fn value(&self, row: RowId, field: &str) -> Result<Option<Value>> {
        Ok(decode_field(self.metadata_bytes(row)?, field)?)
    }

    fn field_indexes(&self, field: &str) -> Option<&FieldIndexes> {
        (self.fields.is_by_value(field) == Some(true)).then_some(&self.fields)
    }

    fn index(&self) -> Option<&dyn AnnIndex> {
        self.index.as_deref()
    }

    fn sketches(&self) -> Option<&Sketches> {
        self.sketches.as_deref()
    }

    fn in_id_order(&self, at: u32) -> Result<(u64, RowId)> {
        let start = self.checked_row(RowId(at))? * ID_MAP_ENTRY;
        let entry = self.id_map.read(start..start + ID_MAP_ENTRY)?;
        let (hash, row) = entry.split_at(8);
        match (hash.try_into(), row.try_into()) {
            (Ok(hash), Ok(row)) => {
                let row = RowId(u32::from_le_bytes(row));
                self.checked_row(row)?;
                Ok((u64::from_le_bytes(hash), row))
            }
            _ => Err(self.damaged("an id map entry is cut short")),
        }
    }

    /// Hashes are uniform, so interpolation lands close; a bisection step after each keeps the worst case logarithmic.
    fn rank_of_hash(&self, hash: u64) -> Result<u32> {
        let (mut low, mut high) = (0u32, self.entry.rows);
        let (mut low_hash, mut high_hash) = (0u64, u64::MAX);
        let mut interpolate = true;
        while low < high {
            let span = high - low;
            let offset = if interpolate && high_hash > low_hash {
                let share =
                    u128::from(hash.clamp(low_hash, high_hash) - low_hash) * u128::from(span);
                ((share / (u128::from(high_hash - low_hash) + 1)) as u32).min(span - 1)
            } else {
                span / 2
            };
            interpolate = !interpolate;
            let middle = low + offset;
            let (found, _) = self.in_id_order(middle)?;
            if found < hash {
                (low, low_hash) = (middle + 1, found);
            } else {
                (high, high_hash) = (middle, found);
            }
        }
        Ok(low)
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            for file in &self.files {
                // What cannot be removed now is removed at the next open: the manifest no longer names it.
                let _ = self.disk.remove_file(&self.folder.join(&file.name));
            }
        }
    }
}
