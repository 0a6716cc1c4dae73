//! The manifest: the one truth about a collection's sealed data. Replaced atomically, never changed in place.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_filter::MetadataSchema;
use vecdb_storage::{Disk, Position};

use crate::document;
use crate::error::{Error, Result};
use crate::schema::CollectionConfig;
use crate::segment::{FileEntry, SegmentEntry, SegmentId};

const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Counts the replacements of this document.
    pub(crate) generation: u64,
    pub(crate) config: CollectionConfig,
    /// Metadata fields, declared and inferred.
    pub(crate) fields: MetadataSchema,
    /// The segments hold every write up to this position; the log is replayed from the next one.
    pub(crate) flushed: Position,
    pub(crate) next_segment: u64,
    pub(crate) segments: Vec<SegmentEntry>,
}

impl Manifest {
    pub(crate) const FILE: &str = "MANIFEST";

    fn path(folder: &Path) -> PathBuf {
        folder.join(Self::FILE)
    }

    pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Self> {
        document::read(disk, &Self::path(folder), VERSION)?
            .ok_or_else(|| Error::corrupt(&Self::path(folder), "the file is missing"))
    }

    pub(crate) fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        document::write(disk, &Self::path(folder), VERSION, self)
    }

    /// How many rows of a segment were alive when this was written.
    pub(crate) fn live_rows(&self, id: SegmentId) -> Option<u32> {
        self.segments
            .iter()
            .find(|segment| segment.id == id)
            .map(|segment| segment.live_rows)
    }

    /// The files that belong to this manifest.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.segments
            .iter()
            .flat_map(|segment| segment.files().chain(&segment.live_file))
    }

    /// Their names.
    pub(crate) fn file_names(&self) -> impl Iterator<Item = &str> {
        self.files().map(|file| file.name.as_str())
    }
}
