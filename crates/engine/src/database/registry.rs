//! The collections of an open database, their catalog and the log they share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use vecdb_storage::{Log, Position, Wal};

use super::Recovery;
use super::catalog::{Catalog, CatalogEntry, collection_folder};
use crate::collection::{Collection, Inner, Shared, VerifyReport};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{CollectionConfig, check_collection_name};

/// The log is trimmed in steps of this many bytes: each step replaces the catalog.
const TRIM_BYTES_MIN: u64 = 16 << 20;

pub(super) enum Slot {
    Open(Arc<Inner>),
    Broken { kind: ErrorKind, reason: String },
}

pub(super) struct Named {
    pub(super) id: u32,
    pub(super) slot: Slot,
}

pub(super) struct Registry {
    pub(super) root: PathBuf,
    pub(super) shared: Shared,
    pub(super) log: Arc<Wal>,
    pub(super) recovery: Recovery,
    /// By name. Written while a collection is created or dropped.
    pub(super) collections: RwLock<BTreeMap<String, Named>>,
    pub(super) catalog: Mutex<Catalog>,
}

impl Registry {
    pub(super) fn open_collections(&self) -> Vec<Arc<Inner>> {
        let collections = self.collections.read();
        let open = |named: &Named| match &named.slot {
            Slot::Open(inner) => Some(inner.clone()),
            Slot::Broken { .. } => None,
        };
        collections.values().filter_map(open).collect()
    }

    pub(super) fn create(&self, name: &str, config: CollectionConfig) -> Result<Collection> {
        check_collection_name(name)?;
        config.validate()?;
        let mut catalog = self.catalog.lock();
        if self.collections.read().contains_key(name) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("a collection named {name:?} exists already"),
            ));
        }
        let disk = self.shared.disk.as_ref();
        let id = catalog.next_id;
        let folder = collection_folder(&self.root, id);
        let mut next = catalog.clone();
        next.next_id += 1;
        next.collections.push(CatalogEntry {
            name: name.to_owned(),
            id,
        });
        // The folder first: a catalog must never name what is not there. A rest of a failed attempt is replaced.
        if disk
            .exists(&folder)
            .map_err(|e| Error::io("look for", &folder, e))?
        {
            disk.remove_dir_all(&folder)
                .map_err(|e| Error::io("remove folder", &folder, e))?;
        }
        let inner = Arc::new(Inner::create(
            self.shared.clone(),
            name,
            id,
            &folder,
            config,
        )?);
        inner.attach(self.log.clone());
        next.write(disk, &self.root)?;
        *catalog = next;
        self.collections.write().insert(
            name.to_owned(),
            Named {
                id,
                slot: Slot::Open(inner.clone()),
            },
        );
        Ok(Collection { inner })
    }

    pub(super) fn drop_collection(&self, name: &str) -> Result<()> {
        let mut catalog = self.catalog.lock();
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!("no collection is named {name:?}"),
            )
        };
        let id = self
            .collections
            .read()
            .get(name)
            .map(|named| named.id)
            .ok_or_else(missing)?;
        let mut next = catalog.clone();
        next.collections.retain(|entry| entry.id != id);
        if let Err(error) = next.write(self.shared.disk.as_ref(), &self.root) {
            // Nobody knows whether it is gone: no write to it may be acknowledged any more.
            return Err(match self.collections.read().get(name) {
                Some(Named {
                    slot: Slot::Open(inner),
                    ..
                }) => inner.poison(error),
                _ => error,
            });
        }
        *catalog = next;
        let removed = self.collections.write().remove(name);
        if let Some(Named {
            slot: Slot::Open(inner),
            ..
        }) = &removed
        {
            inner.mark_dropped();
        }
        // Readers that still hold its maps keep reading: an unlinked file lives as long as it is mapped. What cannot
        // be removed now is removed at the next open.
        let _ = self
            .shared
            .disk
            .remove_dir_all(&collection_folder(&self.root, id));
        Ok(())
    }

    /// The log must be kept after this position.
    pub(super) fn log_needed_after(&self) -> Position {
        let collections = self.collections.read();
        let mut needed = self.log.last();
        for named in collections.values() {
            match &named.slot {
                Slot::Open(inner) => {
                    needed = inner.log_needed_after().unwrap_or(needed).min(needed)
                }
                // Its entries are still wanted once it is repaired.
                Slot::Broken { .. } => return 0,
            }
        }
        needed
    }

    /// Lets the log begin after what the segments hold, if that frees at least `bytes_min`.
    pub(super) fn trim_log(&self, bytes_min: u64) {
        let mut catalog = self.catalog.lock();
        let needed = self.log_needed_after();
        let freed = self
            .log
            .bytes_from(catalog.log_from + 1)
            .saturating_sub(self.log.bytes_from(needed + 1));
        if needed <= catalog.log_from || freed < bytes_min {
            return;
        }
        let next = Catalog {
            log_from: needed,
            ..catalog.clone()
        };
        // The catalog first: a log that begins later than it says is taken for damaged. A log that stays longer than
        // needed is no harm, and is tried again.
        if next.write(self.shared.disk.as_ref(), &self.root).is_ok() {
            *catalog = next;
            let _ = self.log.truncate_before(needed + 1);
        }
    }

    /// Reads the whole log. A frame that is being written may look torn: what is wrong twice is wrong.
    pub(super) fn verify_log(&self, report: &mut VerifyReport) {
        let read = || Wal::verify(self.shared.disk.as_ref(), &self.root.join("wal"));
        let outcome = read().or_else(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            read()
        });
        match outcome {
            Ok(log) => {
                report.files += log.found.files as u64;
                report.bytes += log.found.bytes;
                report.log_entries += log.found.frames;
            }
            Err(error) => report.problems.push(error.to_string()),
        }
    }

    /// Drops what the segments hold from the log, and flushes whoever keeps it too long.
    pub(super) fn bound_log(&self) {
        self.trim_log(TRIM_BYTES_MIN);
        let needed = self.log_needed_after();
        if self.log.bytes_from(needed + 1) <= self.shared.options.wal_bytes_max {
            return;
        }
        for collection in self.open_collections() {
            if collection
                .log_needed_after()
                .is_some_and(|after| after <= needed)
            {
                let _ = collection.flush();
            }
        }
        self.trim_log(TRIM_BYTES_MIN);
    }
}
