//! A database: a folder with a catalog, one log for all collections, and the collections themselves.
//!
//! ```text
//! <folder>/LOCK                 held while the database is open
//! <folder>/CATALOG              which collections there are
//! <folder>/wal/                 the log
//! <folder>/collections/<id>/    MANIFEST and segment files of one collection
//! ```

mod background;
mod catalog;
mod signals;

pub(crate) use signals::Signals;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use vecdb_storage::{Log, Position, StorageError, Wal, WalOptions};
use vecdb_vector::Kernels;

use crate::batch::WriteBatch;
use crate::collection::{Collection, Inner, Shared, VerifyReport};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Env, OnCorruption, Options};
use crate::schema::{CollectionConfig, check_collection_name};
use catalog::{Catalog, CatalogEntry, collection_folder};

/// An open database. Closing it (or dropping the last handle) flushes everything.
pub struct Database {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Released last.
    _lock: Box<dyn Send + Sync>,
}

/// What recovery did when the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Log entries applied.
    pub replayed: u64,
    /// Bytes cut from the torn end of the log: writes that were never acknowledged.
    pub torn_bytes_cut: u64,
    /// Damaged stretches of the log left out (only with `OnCorruption::Skip`).
    pub skipped: u64,
}

/// A line of `collection list`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CollectionSummary {
    /// The collection's name.
    pub name: String,
    /// Its live points; 0 if it is broken.
    pub points: u64,
    /// Why it cannot be opened, if so; the other collections serve.
    pub broken: Option<String>,
}

/// The log is trimmed in steps of this many bytes: each step replaces the catalog.
const TRIM_BYTES_MIN: u64 = 16 << 20;

enum Slot {
    Open(Arc<Inner>),
    Broken { kind: ErrorKind, reason: String },
}

struct Named {
    id: u32,
    slot: Slot,
}

struct Core {
    root: PathBuf,
    shared: Shared,
    log: Arc<Wal>,
    recovery: Recovery,
    /// By name. Written while a collection is created or dropped.
    collections: RwLock<BTreeMap<String, Named>>,
    catalog: Mutex<Catalog>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.core.root)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the database in `folder` with the default components, making it where there is none.
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_with(&Env::default(), folder, options)
    }

    /// [`Self::open`] on other components.
    pub fn open_with(env: &Env, folder: impl AsRef<Path>, options: Options) -> Result<Self> {
        let root = folder.as_ref().to_owned();
        let disk = env.disk.clone();
        let exists = disk
            .exists(&root.join("CATALOG"))
            .map_err(|e| Error::io("look into", &root, e))?;
        if !options.create_if_missing && !exists {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no database in {}", root.display()),
            ));
        }
        disk.create_dir(&root)
            .map_err(|e| Error::io("create folder", &root, e))?;
        let lock_path = root.join("LOCK");
        let lock = disk.lock(&lock_path).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => StorageError::Locked {
                path: lock_path.clone(),
            }
            .into(),
            _ => Error::io("lock", &lock_path, e),
        })?;
        let catalog = match Catalog::read(disk.as_ref(), &root)? {
            Some(catalog) => catalog,
            None => {
                refuse_foreign_folder(disk.as_ref(), &root)?;
                let catalog = Catalog {
                    collections: Vec::new(),
                    next_id: 1,
                    log_from: 0,
                };
                catalog.write(disk.as_ref(), &root)?;
                catalog
            }
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.thread_count())
            .thread_name(|at| format!("vecdb-{at}"))
            .build()
            .map_err(|e| {
                Error::new(
                    ErrorKind::ResourceExhausted,
                    format!("cannot start threads: {e}"),
                )
            })?;
        let shared = Shared {
            disk,
            options: Arc::new(options),
            pool: Arc::new(pool),
            kernels: Kernels::from_env()?,
            signals: Arc::new(Signals::default()),
        };
        let core = Arc::new(Core::recover(root, shared, catalog)?);
        let background = core.shared.options.background;
        let threads = if background {
            background::start(&core)?
        } else {
            Vec::new()
        };
        core.shared.signals.flush_wanted();
        Ok(Self {
            core,
            threads: Mutex::new(threads),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.core.root
    }

    /// What recovery did.
    pub fn recovery(&self) -> Recovery {
        self.core.recovery
    }

    /// Makes a collection. Its name must be free.
    pub fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<Collection> {
        self.core.create(name, config)
    }

    /// The collection of this name.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        let collections = self.core.collections.read();
        match collections.get(name) {
            Some(Named {
                slot: Slot::Open(inner),
                ..
            }) => Ok(Collection {
                inner: inner.clone(),
            }),
            Some(Named {
                slot: Slot::Broken { kind, reason },
                ..
            }) => Err(Error::new(
                *kind,
                format!("collection {name:?} cannot be opened: {reason}"),
            )),
            None => {
                let known: Vec<_> = collections.keys().take(10).map(String::as_str).collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!("no collection is named {name:?} (there are: {known})"),
                ))
            }
        }
    }

    /// All collections by name.
    pub fn collections(&self) -> Vec<CollectionSummary> {
        let collections = self.core.collections.read();
        collections
            .iter()
            .map(|(name, named)| match &named.slot {
                Slot::Open(inner) => CollectionSummary {
                    name: name.clone(),
                    points: inner.snapshot().live_rows(),
                    broken: None,
                },
                Slot::Broken { reason, .. } => CollectionSummary {
                    name: name.clone(),
                    points: 0,
                    broken: Some(reason.clone()),
                },
            })
            .collect()
    }

    /// Removes a collection with all its points.
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        self.core.drop_collection(name)
    }

    /// Checks every file of the database, the log included, while it goes on serving.
    pub fn verify(&self) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        for summary in self.collections() {
            match self.collection(&summary.name) {
                Ok(collection) => report.merge(collection.verify()?),
                Err(error) => report.problems.push(error.to_string()),
            }
        }
        Ok(report)
    }

    /// Flushes every collection and closes the log: the next open replays nothing.
    pub fn close(self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&self) -> Result<()> {
        self.core.shared.signals.stop();
        let collections = self.core.open_collections();
        // Writers are refused and builds cancelled first; flushing still works.
        collections.iter().for_each(|collection| collection.close());
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                return Err(Error::new(ErrorKind::Io, "a background thread panicked"));
            }
        }
        let mut outcome = Ok(());
        for collection in collections
            .iter()
            .filter(|collection| collection.log_needed_after().is_some())
        {
            outcome = outcome.and(
                collection
                    .flush()
                    .map_err(|e| e.context(format_args!("flush of {:?}", collection.name()))),
            );
        }
        self.core.trim_log(0);
        let log = &self.core.log;
        // Collections opened elsewhere may still hold the log: it is made durable here and closed with the last of them.
        outcome.and(
            log.commit(log.last(), vecdb_storage::Durability::EveryWrite)
                .map_err(Error::from),
        )
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What could not be flushed is still in the log.
        let _ = self.shut_down();
    }
}

/// A folder with other people's files is not made into a database.
fn refuse_foreign_folder(disk: &dyn vecdb_storage::Disk, root: &Path) -> Result<()> {
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

impl Core {
    /// Opens the collections and replays the log into them.
    fn recover(root: PathBuf, shared: Shared, catalog: Catalog) -> Result<Self> {
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
            outcome.map_err(|error| StorageError::corrupt(&dir, position, error.to_string()))
        };
        let (log, recovery) = Wal::open(
            shared.disk.clone(),
            &dir,
            options,
            catalog.log_from,
            &mut replay,
        )?;
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

    fn open_collections(&self) -> Vec<Arc<Inner>> {
        let collections = self.collections.read();
        let open = |named: &Named| match &named.slot {
            Slot::Open(inner) => Some(inner.clone()),
            Slot::Broken { .. } => None,
        };
        collections.values().filter_map(open).collect()
    }

    fn create(&self, name: &str, config: CollectionConfig) -> Result<Collection> {
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

    fn drop_collection(&self, name: &str) -> Result<()> {
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
        next.write(self.shared.disk.as_ref(), &self.root)?;
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
    fn log_needed_after(&self) -> Position {
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
    fn trim_log(&self, bytes_min: u64) {
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

    /// Drops what the segments hold from the log, and flushes whoever keeps it too long.
    fn bound_log(&self) {
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
