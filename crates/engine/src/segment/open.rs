//! Opening a segment: headers and sizes are checked, contents are mapped.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use vecdb_filter::{FieldIndexBuilder, FieldIndexes, MetadataSchema};
use vecdb_index::IndexSpec;
use vecdb_storage::{Disk, MemoryDisk, SectionFile, SectionWriter};
use vecdb_vector::RowMask;

use super::fields::AddedFields;
use super::{
    Column, FILE_VERSION, ID_BYTES, ID_MAP, ID_MAP_ENTRY, ID_OFFSETS, INDEX_KIND, LIVE_KIND,
    METADATA_BYTES, METADATA_OFFSETS, NORMS, ROWS_KIND, Sealed, Segment, SegmentEntry, VECTORS,
};
use crate::error::{Error, Result};
use crate::part::Layout;

impl Segment {
    /// Of the field indexes those are used that `schema` wants.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        entry: SegmentEntry,
        layout: Layout,
        spec: &IndexSpec,
        schema: &MetadataSchema,
    ) -> Result<Self> {
        let sealed = Arc::new(Sealed::open(disk, folder, &entry, layout, spec)?);
        let added = AddedFields::open(disk, folder, &entry)?.map(Arc::new);
        Ok(Self::with_fields(entry, sealed, added, None, schema))
    }

    /// [`Self::open`] as if no row had metadata, for one whose rows are about to be written anew: filters find nothing.
    pub(crate) fn open_without_fields(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        entry: SegmentEntry,
        layout: Layout,
        spec: &IndexSpec,
        schema: &MetadataSchema,
    ) -> Result<Self> {
        let none = |_: &SectionFile, rows| no_fields(rows);
        let sealed = Sealed::open_with(disk, folder, &entry, layout, spec, none)?;
        Ok(Self::with_fields(
            entry,
            Arc::new(sealed),
            None,
            None,
            schema,
        ))
    }
}

impl Sealed {
    fn open(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        entry: &SegmentEntry,
        layout: Layout,
        spec: &IndexSpec,
    ) -> Result<Self> {
        Self::open_with(disk, folder, entry, layout, spec, |file, rows| {
            Ok(FieldIndexes::open(file, rows)?)
        })
    }

    fn open_with(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        entry: &SegmentEntry,
        layout: Layout,
        spec: &IndexSpec,
        fields: impl FnOnce(&SectionFile, u32) -> Result<FieldIndexes>,
    ) -> Result<Self> {
        let path = folder.join(&entry.rows_file.name);
        let file = SectionFile::open(
            disk.as_ref(),
            &path,
            ROWS_KIND,
            FILE_VERSION,
            Some(entry.rows_file.bytes),
        )?;
        let rows = entry.rows as usize;
        let column = |name: &str, bytes: Option<usize>| {
            let section = file.section(name)?;
            match bytes {
                Some(bytes) if section.len() != bytes => Err(Error::corrupt(
                    &path,
                    format_args!(
                        "section {name} has {} bytes instead of {bytes}",
                        section.len()
                    ),
                )),
                _ => Ok(Column::new(section)),
            }
        };
        let norms = layout
            .metric
            .needs_norms()
            .then(|| column(NORMS, Some(rows * 4)))
            .transpose()?;
        let (index, index_columns) = match &entry.index_file {
            None => (None, Vec::new()),
            Some(index_file) => {
                let path = folder.join(&index_file.name);
                let file = SectionFile::open(
                    disk.as_ref(),
                    &path,
                    INDEX_KIND,
                    FILE_VERSION,
                    Some(index_file.bytes),
                )?;
                let columns = file
                    .names()
                    .map(|name| Ok(Column::new(file.section(name)?)))
                    .collect::<Result<Vec<_>>>()?;
                (
                    Some(vecdb_index::open(spec, layout.metric, &file, entry.rows)?),
                    columns,
                )
            }
        };
        Ok(Self {
            vectors: column(VECTORS, Some(rows * layout.stride))?,
            norms,
            id_offsets: column(ID_OFFSETS, Some((rows + 1) * 8))?,
            id_bytes: column(ID_BYTES, None)?,
            id_map: column(ID_MAP, Some(rows * ID_MAP_ENTRY))?,
            metadata_offsets: column(METADATA_OFFSETS, Some((rows + 1) * 8))?,
            metadata_bytes: column(METADATA_BYTES, None)?,
            written: fields(&file, entry.rows)?,
            index,
            index_columns,
            checked: OnceLock::new(),
            checking: Mutex::new(()),
            disk: disk.clone(),
            folder: folder.to_owned(),
            obsolete: AtomicBool::new(false),
            path,
            files: std::iter::once(&entry.rows_file)
                .chain(&entry.index_file)
                .cloned()
                .collect(),
            layout,
        })
    }
}

/// The indexes of rows without metadata.
fn no_fields(rows: u32) -> Result<FieldIndexes> {
    let (disk, path) = (MemoryDisk::default(), Path::new("/fields"));
    let mut out = SectionWriter::create(&disk, path, ROWS_KIND, FILE_VERSION)?;
    FieldIndexBuilder::new(rows, &MetadataSchema::new()).finish(&mut out)?;
    out.finish()?;
    let file = SectionFile::open(&disk, path, ROWS_KIND, FILE_VERSION, None)?;
    Ok(FieldIndexes::open(&file, rows)?)
}

/// The rows that were alive when the manifest was written; `None` when all were.
pub(crate) fn read_live(
    disk: &dyn Disk,
    folder: &Path,
    entry: &SegmentEntry,
) -> Result<Option<RowMask>> {
    let Some(live) = &entry.live_file else {
        return Ok(None);
    };
    let path = folder.join(&live.name);
    let file = SectionFile::open(disk, &path, LIVE_KIND, FILE_VERSION, Some(live.bytes))?;
    let bytes = file.section("live")?.bytes_verified()?;
    let mask = RowMask::from_bytes(entry.rows, &bytes).map_err(|e| Error::corrupt(&path, e))?;
    if mask.count() != entry.live_rows {
        let counts = (mask.count(), entry.live_rows);
        return Err(Error::corrupt(
            &path,
            format_args!(
                "{} live rows where the manifest says {}",
                counts.0, counts.1
            ),
        ));
    }
    Ok(Some(mask))
}
