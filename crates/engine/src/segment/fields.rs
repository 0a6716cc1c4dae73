//! Field indexes of a segment: those written with its rows, those added later, and which of them are in use.
//!
//! What the schema wants is used, no more: an index that was dropped stays in its file until the segment is rewritten, and
//! comes back at once if it is wanted again. One that is wanted and in no file is built over the rows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vecdb_filter::{
    FieldIndexBuilder, FieldIndexes, Filter, Metadata, MetadataSchema, Value, decode_field,
};
use vecdb_index::Sketches;
use vecdb_storage::{Disk, SectionFile};
use vecdb_vector::RowId;

use super::write::create;
use super::{FIELDS_KIND, FILE_VERSION, FileEntry, ROWS_PER_CHECK, Sealed, Segment, SegmentEntry};
use crate::error::Result;
use crate::part::Part;
use crate::stop::StopSignal;

/// How many of the rows that a value finds are looked at when the field indexes are checked.
const OTHERS_CHECKED: usize = 4;

/// A file of field indexes that were wanted after the rows file had been written.
pub(super) struct AddedFields {
    indexes: FieldIndexes,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    obsolete: AtomicBool,
}

impl AddedFields {
    /// `None` where the segment has no such file.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        entry: &SegmentEntry,
    ) -> Result<Option<Self>> {
        let Some(file) = &entry.fields_file else {
            return Ok(None);
        };
        let path = folder.join(&file.name);
        let sections = SectionFile::open(
            disk.as_ref(),
            &path,
            FIELDS_KIND,
            FILE_VERSION,
            Some(file.bytes),
        )?;
        Ok(Some(Self {
            indexes: FieldIndexes::open(&sections, entry.rows)?,
            disk: disk.clone(),
            path,
            obsolete: AtomicBool::new(false),
        }))
    }
}

impl Drop for AddedFields {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            // What cannot be removed now is removed at the next open: the manifest no longer names it.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

impl Segment {
    pub(super) fn with_fields(
        entry: SegmentEntry,
        sealed: Arc<Sealed>,
        added: Option<Arc<AddedFields>>,
        sketches: Option<Arc<Sketches>>,
        schema: &MetadataSchema,
    ) -> Self {
        let more = added.as_ref().map(|added| &added.indexes);
        let dropped = |field: &str| !schema.is_indexed(field);
        Self {
            fields: sealed.written.combine(more, dropped),
            entry,
            sealed,
            added,
            sketches,
        }
    }

    /// The segment with the field indexes that `schema` wants, so far as it has them; `None` if these are in use.
    pub(crate) fn fitted(&self, schema: &MetadataSchema) -> Option<Self> {
        let fitted = Self::with_fields(
            self.entry.clone(),
            self.sealed.clone(),
            self.added.clone(),
            self.sketches.clone(),
            schema,
        );
        let changed = fitted.fields.unindexed().ne(self.fields.unindexed());
        changed.then_some(fitted)
    }

    /// The fields that rows have and `schema` wants an index of, and of which there is none.
    pub(crate) fn missing_fields(&self, schema: &MetadataSchema) -> BTreeSet<String> {
        let wanted = self.written.unindexed();
        wanted
            .filter(|field| schema.is_indexed(field) && !self.is_added(field))
            .map(str::to_owned)
            .collect()
    }

    fn is_added(&self, field: &str) -> bool {
        let added = self.added.as_ref();
        added.is_some_and(|added| added.indexes.has(field))
    }

    /// Whether its files hold an index that is not in use.
    pub(crate) fn holds_dropped_fields(&self) -> bool {
        self.fields
            .unindexed()
            .any(|field| self.written.has(field) || self.is_added(field))
    }

    /// Those fields of a filter that have no index in use.
    pub(crate) fn unindexed_of(&self, filter: &Filter) -> BTreeSet<String> {
        self.fields.unindexed_of(filter)
    }

    /// What the indexes in use tell of a filter without reading rows; see [`FieldIndexes::known_of`].
    pub(crate) fn known_of(&self, filter: &Filter) -> Option<Filter> {
        self.fields.known_of(filter)
    }

    /// Builds the indexes of `missing` fields over the rows and writes them, with those added before, as a file beside the
    /// segment. It is synced; its folder is not yet. Gives the segment as it is with them.
    ///
    /// # Errors
    /// Those of reading and writing, and that of `check`, which is told now and then the rows that are done and the bytes of
    /// memory that are held; no file is left then.
    pub(crate) fn add_fields(
        &self,
        missing: BTreeSet<String>,
        schema: &MetadataSchema,
        check: &dyn Fn(u32, u64) -> Result<()>,
    ) -> Result<Self> {
        let mut entry = self.entry.clone();
        entry.fields_version += 1;
        let name = format!("{:016x}.{}.fields", entry.id.0, entry.fields_version);
        let made = self.write_fields(&name, missing, schema, check);
        let made = made.and_then(|bytes| {
            entry.fields_file = Some(FileEntry {
                name: name.clone(),
                bytes,
            });
            let added = AddedFields::open(&self.disk, &self.folder, &entry)?.map(Arc::new);
            let (sealed, sketches) = (self.sealed.clone(), self.sketches.clone());
            Ok(Self::with_fields(entry, sealed, added, sketches, schema))
        });
        if made.is_err() {
            // What cannot be removed now is removed at the next open.
            let _ = self.disk.remove_file(&self.folder.join(&name));
        }
        made
    }

    /// The length of the file.
    fn write_fields(
        &self,
        name: &str,
        mut fields: BTreeSet<String>,
        schema: &MetadataSchema,
        check: &dyn Fn(u32, u64) -> Result<()>,
    ) -> Result<u64> {
        let before = self.added.iter().flat_map(|added| added.indexes.fields());
        fields.extend(
            before
                .map(|field| field.name)
                .filter(|field| schema.is_indexed(field)),
        );
        let rows = self.entry.rows;
        let mut builder = FieldIndexBuilder::of_fields(rows, schema, fields.clone());
        let mut metadata = Metadata::new();
        for row in 0..rows {
            if row.is_multiple_of(ROWS_PER_CHECK) {
                check(row, builder.memory_bytes())?;
            }
            let bytes = self.metadata_bytes(RowId(row))?;
            metadata.clear();
            for field in &fields {
                if let Some(value) = decode_field(bytes, field)? {
                    metadata.insert(field.clone(), value);
                }
            }
            builder.add(RowId(row), &metadata)?;
        }
        check(rows, builder.memory_bytes())?;
        let mut out = create(self.disk.as_ref(), &self.folder, name, FIELDS_KIND)?;
        builder.finish(&mut out)?;
        Ok(out.finish()?.len)
    }

    /// The file of added field indexes is removed once the last snapshot that reads it is gone.
    pub(crate) fn mark_fields_obsolete(&self) {
        if let Some(added) = &self.added {
            added.obsolete.store(true, Ordering::Release);
        }
    }

    /// Compares the field indexes with the rows: every `step`-th row must be found by each of its own values, and what
    /// else is found by these must have them.
    pub(crate) fn verify_fields(&self, step: usize) -> Result<u64> {
        let mut checks = 0;
        self.fields.verify()?;
        for row in (0..self.entry.rows).step_by(step.max(1)).map(RowId) {
            for (name, value) in self.metadata(row)? {
                let Some(by_value) = self.fields.is_by_value(&name) else {
                    continue;
                };
                let filter = match &value {
                    Value::Array(_) => Filter::Exists(name.clone(), true),
                    value if by_value => Filter::Eq(name.clone(), value.clone()),
                    _ => Filter::Exists(name.clone(), true),
                };
                checks += 1;
                let found = self.evaluate(&filter, &StopSignal::default())?.mask;
                if !found.contains(row) {
                    return Err(self.damaged(format_args!(
                        "row {} is missing from the index of field {name:?}",
                        row.0
                    )));
                }
                for other in found.iter().take(OTHERS_CHECKED) {
                    if !filter.matches(&self.metadata(other)?) {
                        return Err(self.damaged(format_args!(
                            "the index of field {name:?} has row {} under a value of row {}",
                            other.0, row.0
                        )));
                    }
                }
            }
        }
        Ok(checks)
    }
}
