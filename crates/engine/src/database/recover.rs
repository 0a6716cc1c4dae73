//! Opening: the sealed data of every collection, then the log replayed into them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use vecdb_storage::{Disk, Log, Position, StorageError, Wal, WalOptions};

use super::Recovery;
use super::catalog::{Catalog, CatalogEntry, collection_folder};
use super::registry::{Named, Registry, Slot};
use crate::batch::WriteBatch;
use crate::collection::{Inner, Shared};
use crate::error::{Error, Result};
use crate::options::OnCorruption;

impl Registry {
    /// Opens the collections and replays the log into them.
    pub(super) fn recover(root: PathBuf, shared: Shared, catalog: Catalog) -> Result<Self> {
        let mut collections = BTreeMap::new();
        let mut by_id = BTreeMap::new();
        for CatalogEntry { name, id } in &catalog.collections {
            let folder = collection_folder(&root, *id);
            let slot = match Inner::open(shared.clone(), name, *id, &folder) {
                Ok(inner) => {
                    let inner = Arc::new(inner);
                    by_id.insert(*id, inner.clone());
                    Slot::Open(inner)
                }
                Err(error) => Slot::Broken {
                    kind: error.kind(),
                    reason: error.to_string(),
                },
            };
            collections.insert(name.clone(), Named { id: *id, slot });
        }
        remove_dropped(&shared, &root, &catalog);

        let dir = root.join("wal");
        let options = WalOptions {
            on_corruption: match shared.options.on_corruption {
                OnCorruption::Stop => vecdb_storage::OnCorruption::Stop,
                OnCorruption::Skip => vecdb_storage::OnCorruption::Skip,
            },
            ..WalOptions::default()
        };
        let mut broken: BTreeMap<u32, Error> = BTreeMap::new();
        let mut replayed = 0;
        let mut unreadable = None;
        let mut replay = |position: Position,
                          bytes: &[u8]|
         -> std::result::Result<(), StorageError> {
            let outcome = WriteBatch::collection_of(bytes).and_then(|id| match by_id.get(&id) {
                Some(inner) if !broken.contains_key(&id) => {
                    let needed = position > inner.snapshot().position;
                    replayed += u64::from(needed);
                    inner
                        .replay(position, bytes)
                        .map_err(|error| (id, error))
                        .or_else(|(id, error)| {
                            broken.insert(id, error.context(format_args!("log entry {position}")));
                            Ok(())
                        })
                }
                _ => Ok(()),
            });
            outcome.map_err(|error| {
                let message = format!("log entry {position}: {error}");
                unreadable = Some(Error::new(error.kind(), message.clone()));
                StorageError::Usage(message)
            })
        };
        let opened = Wal::open(
            shared.disk.clone(),
            &dir,
            options,
            catalog.log_from,
            &mut replay,
        );
        let (log, recovery) = opened.map_err(|error| unreadable.take().unwrap_or(error.into()))?;
        let flushed = by_id
            .values()
            .map(|inner| inner.flushed())
            .max()
            .unwrap_or(0);
        if log.last() < flushed {
            return Err(Error::corrupt(
                &dir,
                format_args!(
                    "the log ends at {} although the collections reach {flushed}",
                    log.last()
                ),
            ));
        }
        let log = Arc::new(log);
        by_id.values().for_each(|inner| inner.attach(log.clone()));
        for named in collections.values_mut() {
            if let Some(error) = broken.remove(&named.id) {
                named.slot = Slot::Broken {
                    kind: error.kind(),
                    reason: error.to_string(),
                };
            }
        }
        let recovery = Recovery {
            replayed,
            torn_bytes_cut: recovery.torn_bytes_cut,
            skipped: recovery.skipped,
        };
        Ok(Self {
            root,
            shared,
            log,
            recovery,
            collections: RwLock::new(collections),
            catalog: Mutex::new(catalog),
        })
    }
}

/// A folder with other people's files is not made into a database.
pub(super) fn refuse_foreign_folder(disk: &dyn Disk, root: &Path) -> Result<()> {
    let entries = disk.list(root).map_err(|e| Error::io("list", root, e))?;
    let ours = |name: &str| matches!(name, "LOCK" | "CATALOG.tmp" | "wal" | "collections");
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
    for entry in shared.disk.list(&parent).unwrap_or_default() {
        let known = entry
            .name
            .parse()
            .is_ok_and(|id: u32| catalog.collections.iter().any(|c| c.id == id));
        if entry.is_dir && entry.name.parse::<u32>().is_ok() && !known {
            let _ = shared.disk.remove_dir_all(&parent.join(&entry.name));
        }
    }
}
