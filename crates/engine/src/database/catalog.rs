//! The catalog: which collections a database has and where its log begins. One document, replaced atomically.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_storage::{Disk, Position};

use crate::archive::Event;
use crate::document;
use crate::error::Result;

const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CatalogEntry {
    pub(crate) name: String,
    /// Keys the log; never used twice in one database.
    pub(crate) id: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Catalog {
    pub(crate) collections: Vec<CatalogEntry>,
    pub(crate) next_id: u32,
    /// Every write up to here is in segments: the log may begin after it.
    pub(crate) log_from: Position,
    /// The folder or the URL of the log's archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) archive: Option<String>,
    /// With an archive: collections that came and went and are not in it yet, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Event>,
}

impl Catalog {
    fn path(root: &Path) -> PathBuf {
        root.join("CATALOG")
    }

    pub(crate) fn read(disk: &dyn Disk, root: &Path) -> Result<Option<Self>> {
        document::read(disk, &Self::path(root), VERSION)
    }

    pub(crate) fn write(&self, disk: &dyn Disk, root: &Path) -> Result<()> {
        document::write(disk, &Self::path(root), VERSION, self)
    }
}

/// The folder of a collection.
pub(crate) fn collection_folder(root: &Path, id: u32) -> PathBuf {
    root.join("collections").join(format!("{id:08}"))
}
