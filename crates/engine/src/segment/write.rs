//! Writing the files of a segment: streamed, synced, then named by the manifest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vecdb_filter::{FieldIndexBuilder, MetadataSchema, encode_metadata};
use vecdb_index::BuiltIndex;
use vecdb_storage::{Disk, SectionWriter};
use vecdb_vector::{RowId, RowMask, inverse_norm};

use super::{
    FILE_VERSION, FileEntry, ID_BYTES, ID_MAP, ID_MAP_ENTRY, ID_OFFSETS, INDEX_KIND, LIVE_KIND,
    META, METADATA_BYTES, METADATA_OFFSETS, NORMS, ROWS_KIND, SegmentEntry, SegmentId, VECTORS,
};
use crate::error::{Error, ErrorKind, Result};
use crate::part::{Layout, Part};
use crate::point::hash_id_bytes;

/// A row of a new segment: where it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceRow {
    /// Which of the parts.
    pub(crate) part: u32,
    pub(crate) row: RowId,
}

/// Writes the rows of `parts` that `order` names, in that order, as the rows file of a new segment.
pub(crate) struct SegmentWriter<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) folder: &'a Path,
    pub(crate) layout: Layout,
    pub(crate) fields: &'a MetadataSchema,
    pub(crate) parts: &'a [&'a dyn Part],
    pub(crate) order: &'a [SourceRow],
}

impl SegmentWriter<'_> {
    /// The file is synced; its folder is not yet.
    pub(crate) fn write(&self, id: SegmentId) -> Result<SegmentEntry> {
        let rows = u32::try_from(self.order.len()).map_err(|_| {
            Error::new(
                ErrorKind::ResourceExhausted,
                format!("a segment cannot hold {} rows", self.order.len()),
            )
        })?;
        let name = id.rows_name();
        let mut out = create(self.disk.as_ref(), self.folder, &name, ROWS_KIND)?;
        let meta: BTreeMap<&str, serde_json::Value> = BTreeMap::from([
            ("rows", rows.into()),
            ("dimension", self.layout.dimension.into()),
            ("stride", self.layout.stride.into()),
            ("element", self.layout.element.to_string().into()),
            ("metric", self.layout.metric.to_string().into()),
        ]);
        out.add(
            META,
            serde_json::to_string(&meta).unwrap_or_default().as_bytes(),
        )?;
        self.write_vectors(&mut out)?;
        self.write_ids(&mut out)?;
        self.write_metadata(&mut out)?;
        let summary = out.finish()?;
        Ok(SegmentEntry {
            id,
            rows,
            live_rows: rows,
            rows_file: FileEntry {
                name,
                bytes: summary.len,
            },
            index_file: None,
            fields_file: None,
            fields_version: 0,
            live_file: None,
        })
    }

    fn part(&self, source: SourceRow) -> Result<&dyn Part> {
        let part = self.parts.get(source.part as usize).copied();
        part.ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                format!("no part {} to copy rows from", source.part),
            )
        })
    }

    fn write_vectors(&self, out: &mut SectionWriter) -> Result<()> {
        let Layout {
            element,
            dimension,
            stride,
            metric,
        } = self.layout;
        let padding = vec![0u8; stride - self.layout.row_bytes()];
        let vectors = self
            .parts
            .iter()
            .map(|part| part.vectors())
            .collect::<Result<Vec<_>>>()?;
        let source = |s: &SourceRow| {
            vectors
                .get(s.part as usize)
                .map(|v| v.row_bytes(s.row))
                .unwrap_or_default()
        };
        out.begin(VECTORS)?;
        for row in self.order {
            out.write(source(row))?;
            out.write(&padding)?;
        }
        out.end()?;
        if metric.needs_norms() {
            out.begin(NORMS)?;
            for row in self.order {
                out.write(&inverse_norm(element, dimension, source(row)).to_le_bytes())?;
            }
            out.end()?;
        }
        Ok(())
    }

    fn write_ids(&self, out: &mut SectionWriter) -> Result<()> {
        let mut offsets = Vec::with_capacity((self.order.len() + 1) * 8);
        let mut map: Vec<(u64, u32)> = Vec::with_capacity(self.order.len());
        let mut end = 0u64;
        out.begin(ID_BYTES)?;
        for (row, &source) in self.order.iter().enumerate() {
            let id = self.part(source)?.id(source.row)?.to_bytes();
            offsets.extend_from_slice(&end.to_le_bytes());
            end += id.len() as u64;
            map.push((hash_id_bytes(&id), row as u32));
            out.write(&id)?;
        }
        out.end()?;
        offsets.extend_from_slice(&end.to_le_bytes());
        out.add(ID_OFFSETS, &offsets)?;
        map.sort_unstable();
        self.order_equal_hashes(&mut map)?;
        out.begin(ID_MAP)?;
        for (hash, row) in map {
            let mut entry = [0; ID_MAP_ENTRY];
            entry[..8].copy_from_slice(&hash.to_le_bytes());
            entry[8..].copy_from_slice(&row.to_le_bytes());
            out.write(&entry)?;
        }
        Ok(out.end()?)
    }

    /// Two ids of one hash are rare; scrolls still need them in the order of the ids.
    fn order_equal_hashes(&self, map: &mut [(u64, u32)]) -> Result<()> {
        for group in map
            .chunk_by_mut(|a, b| a.0 == b.0)
            .filter(|group| group.len() > 1)
        {
            let mut keyed = Vec::with_capacity(group.len());
            for &(hash, row) in group.iter() {
                let source = self.order[row as usize];
                keyed.push((self.part(source)?.id(source.row)?, (hash, row)));
            }
            keyed.sort();
            for (slot, (_, entry)) in group.iter_mut().zip(keyed) {
                *slot = entry;
            }
        }
        Ok(())
    }

    fn write_metadata(&self, out: &mut SectionWriter) -> Result<()> {
        let mut offsets = Vec::with_capacity((self.order.len() + 1) * 8);
        let mut fields = FieldIndexBuilder::new(self.order.len() as u32, self.fields);
        let (mut end, mut bytes) = (0u64, Vec::new());
        out.begin(METADATA_BYTES)?;
        for (row, &source) in self.order.iter().enumerate() {
            let metadata = self.part(source)?.metadata(source.row)?;
            fields.add(RowId(row as u32), &metadata)?;
            bytes.clear();
            encode_metadata(&metadata, &mut bytes);
            offsets.extend_from_slice(&end.to_le_bytes());
            end += bytes.len() as u64;
            out.write(&bytes)?;
        }
        out.end()?;
        offsets.extend_from_slice(&end.to_le_bytes());
        out.add(METADATA_OFFSETS, &offsets)?;
        Ok(fields.finish(out)?)
    }
}

/// Saves `index` beside the rows of `entry`. The file is synced; its folder is not yet.
pub(crate) fn write_index(
    disk: &dyn Disk,
    folder: &Path,
    entry: &SegmentEntry,
    index: &dyn BuiltIndex,
) -> Result<FileEntry> {
    let name = entry.id.index_name();
    let mut out = create(disk, folder, &name, INDEX_KIND)?;
    index.save(&mut out)?;
    Ok(FileEntry {
        name,
        bytes: out.finish()?.len,
    })
}

/// Saves which rows are alive. The file is synced; its folder is not yet.
pub(crate) fn write_live(
    disk: &dyn Disk,
    folder: &Path,
    id: SegmentId,
    generation: u64,
    live: &RowMask,
) -> Result<FileEntry> {
    let name = format!("{:016x}.{generation}.live", id.0);
    let mut out = create(disk, folder, &name, LIVE_KIND)?;
    out.add("live", &live.to_bytes())?;
    Ok(FileEntry {
        name,
        bytes: out.finish()?.len,
    })
}

pub(super) fn create(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    kind: [u8; 4],
) -> Result<SectionWriter> {
    let path = folder.join(name);
    // A file of this name can only be the rest of an attempt that never reached the manifest.
    if disk
        .exists(&path)
        .map_err(|e| Error::io("look for", &path, e))?
    {
        disk.remove_file(&path)
            .map_err(|e| Error::io("remove", &path, e))?;
    }
    Ok(SectionWriter::create(disk, &path, kind, FILE_VERSION)?)
}
