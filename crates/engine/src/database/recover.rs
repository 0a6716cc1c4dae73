//! Opening: the log, replayed into the sealed data of the collections it names.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use vecdb_index::Progress;
use vecdb_storage::{Disk, Log, Position, StorageError, Wal, WalOptions};

use super::Recovery;
use super::catalog::{Catalog, CatalogEntry, collection_folder};
use super::registry::{Named, Registry, Slot};
use super::replay::replay;
use crate::archive::Archiver;
use crate::batch::WriteBatch;
use crate::collection::{Inner, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::remove_staging;

impl Registry {
    /// Replays the log into the collections that it names. They are opened for it; the others wait for their first use.
    pub(super) fn recover(
        root: PathBuf,
        shared: Shared,
        catalog: Catalog,
        progress: &dyn Progress,
    ) -> Result<Self> {
        remove_dropped(&shared, &root, &catalog);
        remove_staging(shared.disk.as_ref(), &root);
        let known: BTreeMap<u32, &CatalogEntry> = catalog
            .collections
            .iter()
            .map(|entry| (entry.id, entry))
            .collect();
        let open = |CatalogEntry { name, id }: &CatalogEntry| {
            let folder = collection_folder(&root, *id);
            Inner::open(shared.clone(), name, *id, &folder)
        };
        let dir = root.join("wal");
        let options = WalOptions {
            on_corruption: shared.options.on_corruption.for_log(),
            keep_all: catalog.archive.is_some(),
            ..WalOptions::default()
        };
        let total = bytes_in(shared.disk.as_ref(), &dir);
        let (mut read, mut told) = (0, 0);
        let mut unreadable = None;
        let (opened, mut replayed) = replay(&shared.pool, open, |take| {
            let mut deliver = |position: Position, bytes: &[u8]| {
                read += bytes.len() as u64;
                if read - told >= PROGRESS_BYTES {
                    told = read;
                    progress.advance(read.min(total), total);
                }
                if bytes.is_empty() {
                    // It stands for an entry that was lost to damage and left out.
                    return Ok(());
                }
                let id = WriteBatch::collection_of(bytes).map_err(|error| {
                    let message = format!("log entry {position}: {error}");
                    unreadable = Some(Error::new(error.kind(), message.clone()));
                    StorageError::Usage(message)
                })?;
                // Entries of collections that were dropped since are nobody's.
                if let Some(collection) = known.get(&id) {
                    take(collection, position, bytes);
                }
                Ok(())
            };
            let disk = shared.disk.clone();
            Wal::open(disk, &dir, options, catalog.log_from, &mut deliver)
        });
        let (log, recovery) = opened.map_err(|error| match (unreadable.take(), &error) {
            (Some(error), _) => error,
            (None, StorageError::Corrupt { .. }) => {
                let choice = "a copy of the folder should be kept; opened with `on_corruption: skip` the damaged stretch \
                              is left out and counted, and what it held is lost";
                Error::new(ErrorKind::Corrupt, format!("{error}: {choice}"))
            }
            (None, _) => error.into(),
        })?;
        progress.advance(total, total);
        let archiver = catalog.archive.as_ref().map(|location| {
            // Until the archive was looked at nobody knows what it lacks.
            let newest = log.newest_file().map(|(serial, _)| serial);
            let resume_at = newest.filter(|_| recovery.skipped > 0);
            log.hold_from(resume_at.unwrap_or(0));
            Archiver::new(shared.archives.clone(), location.clone(), resume_at)
        });
        let log_end = log.last();
        for inner in replayed.collections.values().flatten() {
            inner.check_reach(log_end)?;
        }
        let log = Arc::new(log);
        let mut collections = BTreeMap::new();
        for CatalogEntry { name, id } in &catalog.collections {
            let slot = replayed.collections.remove(id).map(|outcome| {
                let inner = outcome.inspect(|inner| inner.attach(log.clone()));
                // Of a broken one the entries are still wanted once it is repaired.
                Slot::new(inner, true)
            });
            collections.insert(name.clone(), Named::new(*id, slot));
        }
        Ok(Self {
            root,
            shared,
            log,
            log_end,
            recovery: Recovery {
                replayed: replayed.entries,
                torn_bytes_cut: recovery.torn_bytes_cut,
                skipped: recovery.skipped,
            },
            archiver,
            collections: RwLock::new(collections),
            catalog: Mutex::new(catalog),
        })
    }
}

impl Registry {
    /// After damage in the log was left out: writes down what was read, so that the files with the damage can go and the
    /// next opening does not meet it again. What fails here is tried when the database is closed.
    pub(super) fn leave_damage_behind(&self) {
        let _ = self.flush_all(Inner::flush);
        self.trim_log(0);
    }
}

/// How much of the log is read between two reports.
const PROGRESS_BYTES: u64 = 1 << 20;

fn bytes_in(disk: &dyn Disk, dir: &Path) -> u64 {
    let entries = disk.list(dir).unwrap_or_default();
    entries.iter().map(|entry| entry.len).sum()
}

/// A folder with other people's files is not made into a database.
pub(super) fn refuse_foreign_folder(disk: &dyn Disk, root: &Path) -> Result<()> {
    let entries = disk.list(root).map_err(|e| Error::io("list", root, e))?;
    let ours = |name: &str| {
        matches!(
            name,
            "LOCK" | "CATALOG.tmp" | "wal" | "collections" | "lost+found"
        )
    };
    if let Some(foreign) = entries.iter().find(|entry| !ours(&entry.name)) {
        return Err(Error::invalid(format!(
            "{} has no database and is not empty (it holds {:?}); choose an empty or new folder",
            root.display(),
            foreign.name
        )));
    }
    if entries
        .iter()
        .any(|entry| entry.name == "collections" || entry.name == "wal")
    {
        // The catalog is the first file ever made: without it the rest must not be taken for nothing.
        return Err(Error::corrupt(
            &root.join("CATALOG"),
            "the file is missing although the folder holds data",
        ));
    }
    Ok(())
}

/// Folders of collections that are no longer in the catalog.
fn remove_dropped(shared: &Shared, root: &Path, catalog: &Catalog) {
    let parent = root.join("collections");
    let known: HashSet<u32> = catalog.collections.iter().map(|c| c.id).collect();
    for entry in shared.disk.list(&parent).unwrap_or_default() {
        let dropped = |id: u32| !known.contains(&id);
        if entry.is_dir && entry.name.parse().is_ok_and(dropped) {
            let _ = shared.disk.remove_dir_all(&parent.join(&entry.name));
        }
    }
}
