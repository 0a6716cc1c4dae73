//! Snapshots in a folder: written where they stay, with second names for the database's files where that can be.

use std::path::{Path, PathBuf};

use vecdb_engine::{
    Database, EarlierFiles, Error, ErrorKind, Result, SNAPSHOT_FILE, SnapshotManifest, StopSignal,
    Transfer,
};
use vecdb_storage::disk::temporary_name;
use vecdb_storage::{Disk, FileDisk, StorageError};

use crate::store::{fits, missing, taken};

pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn create(
        &self,
        db: &Database,
        name: &str,
        collections: &[String],
        stop: &StopSignal,
    ) -> Result<(SnapshotManifest, Transfer)> {
        let path = self.path(name);
        let mut earlier = EarlierFiles::default();
        for (other, snapshot) in self.list()? {
            if let Ok(snapshot) = snapshot {
                earlier.add(&self.path(&other), &snapshot);
            }
        }
        let made = db.snapshot_beside(collections, &path, &earlier, stop);
        made.map_err(|error| match error.kind() == ErrorKind::AlreadyExists {
            true => taken(
                name,
                exists(&path.join(SNAPSHOT_FILE)),
                &self.root.display(),
            ),
            false => error.context(format_args!("snapshot {name:?}")),
        })
    }

    pub(crate) fn list(&self) -> Result<Vec<(String, Result<SnapshotManifest>)>> {
        if !exists(&self.root) {
            return Ok(Vec::new());
        }
        let inside = FileDisk
            .list(&self.root)
            .map_err(|e| StorageError::io("list", &self.root, e))?;
        let found = inside
            .into_iter()
            .filter(|entry| entry.is_dir && fits(&entry.name))
            .filter(|entry| exists(&self.path(&entry.name).join(SNAPSHOT_FILE)))
            .map(|entry| {
                let snapshot = Database::read_snapshot(self.path(&entry.name));
                (entry.name, snapshot)
            });
        Ok(found.collect())
    }

    /// Removes what belongs to a snapshot, and the folder if nothing else is in it.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let list = path.join(SNAPSHOT_FILE);
        let claim = temporary_name(&list);
        if !exists(&list) && !exists(&claim) {
            return Err(missing(name, &self.root.display()));
        }
        let io = |op, path: &Path, e| Error::from(StorageError::io(op, path, e));
        if exists(&list) {
            FileDisk
                .remove_file(&list)
                .map_err(|e| io("remove", &list, e))?;
            FileDisk
                .sync_dir(&path)
                .map_err(|e| io("sync folder", &path, e))?;
        }
        let collections = path.join("collections");
        if exists(&collections) {
            FileDisk
                .remove_dir_all(&collections)
                .map_err(|e| io("remove folder", &collections, e))?;
        }
        if exists(&claim) {
            FileDisk
                .remove_file(&claim)
                .map_err(|e| io("remove", &claim, e))?;
        }
        let rest = FileDisk.list(&path).map_err(|e| io("list", &path, e))?;
        if rest.is_empty() {
            FileDisk
                .remove_dir_all(&path)
                .map_err(|e| io("remove folder", &path, e))?;
        }
        Ok(())
    }
}

fn exists(path: &Path) -> bool {
    FileDisk.exists(path).unwrap_or(false)
}
