//! A database: a folder with a catalog, one log for all collections, and the collections themselves.
//!
//! ```text
//! <folder>/LOCK                 held while the database is open
//! <folder>/CATALOG              which collections there are
//! <folder>/wal/                 the log
//! <folder>/collections/<id>/    MANIFEST and segment files of one collection
//! ```

mod adopt;
mod archiving;
mod background;
mod catalog;
mod recover;
mod registry;
mod repair;
mod replay;
mod signals;

pub(crate) use catalog::{Catalog, collection_folder};
pub(crate) use signals::Signals;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vecdb_index::{Progress, Silent};
use vecdb_storage::{Log, StorageError};
use vecdb_vector::Kernels;

use crate::archive::{ArchiveEnv, ArchiveStatus};
use crate::clock::LogClock;
use crate::collection::{Collection, CollectionInfo, Inner, MergePace, Shared, VerifyReport};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Env, Options};
use crate::schema::CollectionConfig;
use crate::stop::StopSignal;
use archiving::with_archive;
use recover::refuse_foreign_folder;
use registry::Registry;

/// An open database. Closing it (or dropping the last handle) flushes everything.
pub struct Database {
    registry: Arc<Registry>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Released last.
    _lock: Box<dyn Send + Sync>,
}

/// What recovery did when the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Log entries applied.
    pub replayed: u64,
    /// Bytes cut from the torn end of the log: writes that were never acknowledged as durable.
    pub torn_bytes_cut: u64,
    /// Damaged stretches of the log left out (only with `OnCorruption::Skip`).
    pub skipped: u64,
}

/// A line of `collection list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionSummary {
    /// The collection's name.
    pub name: String,
    /// Its live points; 0 if it is broken.
    pub points: u64,
    /// Why it cannot be opened, if so; the other collections serve.
    pub broken: Option<String>,
}

/// Memory that a database holds beside what its searches use while they run. Segments are not counted: they are mapped,
/// and the system takes their pages back when it needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryUse {
    /// Points that are not yet in a segment.
    pub memtable_bytes: u64,
    /// About what running flushes, merges, index builds and measurements for advice hold; 0 when nothing runs.
    pub building_bytes: u64,
    /// Graphs of what filters that return match, see [`Options::subset_graph_bytes_max`].
    pub subset_graph_bytes: u64,
}

/// What is known of a database without opening any of its collections.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overview {
    /// The collections that are open by now.
    pub open: Vec<CollectionInfo>,
    /// How many could not be opened.
    pub broken: u64,
    /// How many nobody has asked for yet.
    pub unopened: u64,
    /// The archive of the log, if there is one.
    pub archive: Option<ArchiveStatus>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.registry.root)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the database in `folder` with the default components, making it where there is none.
    ///
    /// Only collections with writes in the log are opened right away; a broken one does not keep the others from serving
    /// and is reported by [`Self::collection`] and [`Self::collections`].
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_with(&Env::default(), folder, options)
    }

    /// [`Self::open`] on other components.
    pub fn open_with(env: &Env, folder: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_observed(env, folder, options, &Silent)
    }

    /// [`Self::open_with`]; `progress` hears how many bytes of the log have been read, of how many there are.
    pub fn open_observed(
        env: &Env,
        folder: impl AsRef<Path>,
        options: Options,
        progress: &dyn Progress,
    ) -> Result<Self> {
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
                    next_id: 1,
                    ..Catalog::default()
                };
                catalog.write(disk.as_ref(), &root)?;
                catalog
            }
        };
        let archives = ArchiveEnv {
            disk: disk.clone(),
            opener: env.archives.clone(),
            root: root.clone(),
        };
        let catalog = with_archive(catalog, &options.archive, &archives)?;
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
        let pace = MergePace::new(options.merge_bytes_per_second);
        let shared = Shared {
            disk,
            options: Arc::new(options),
            pool: Arc::new(pool),
            kernels: Kernels::from_env()?,
            signals: Arc::new(Signals::default()),
            pace: Arc::new(pace),
            archives,
            clock: Arc::new(LogClock::default()),
        };
        let registry = Arc::new(Registry::recover(root, shared, catalog, progress)?);
        if registry.recovery.skipped > 0 {
            registry.leave_damage_behind();
        }
        let background = registry.shared.options.background;
        let threads = if background {
            background::start(&registry)?
        } else {
            Vec::new()
        };
        registry.shared.signals.flush_wanted();
        Ok(Self {
            registry,
            threads: Mutex::new(threads),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.registry.root
    }

    /// What recovery did.
    pub fn recovery(&self) -> Recovery {
        self.registry.recovery
    }

    /// Makes a collection. Its name must be free.
    pub fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<Collection> {
        self.registry.create(name, config)
    }

    /// The collection of this name, which is opened by the first call that asks for it.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        self.registry.get(name)
    }

    /// All collections by name. Opens them all.
    pub fn collections(&self) -> Vec<CollectionSummary> {
        self.registry.summaries()
    }

    /// The collections as far as they are open. Opens none.
    pub fn overview(&self) -> Overview {
        self.registry.overview()
    }

    /// Removes a collection with all its points.
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        self.registry.drop_collection(name)
    }

    /// Memory in use as of now. Cheap, but not for every request: it looks at every open collection.
    pub fn memory(&self) -> MemoryUse {
        let mut memory = MemoryUse::default();
        for collection in self.registry.open_collections() {
            let of_one = collection.memory();
            memory.memtable_bytes += of_one.memtable_bytes;
            memory.building_bytes += of_one.building_bytes;
            memory.subset_graph_bytes += of_one.subset_graph_bytes;
        }
        memory
    }

    /// Begins no merge in the background any more, and lets the one under way stand still where it is, until
    /// [`Self::resume_merges`] or the next opening. Flushes go on, and so does what a call asks for by itself:
    /// [`Collection::compact`], [`Collection::wait_until_idle`] and repairs. Meanwhile segments gather, each of which
    /// costs every search.
    pub fn pause_merges(&self) {
        self.registry.shared.pace.pause();
    }

    /// Lets merges go on from where they are.
    pub fn resume_merges(&self) {
        self.registry.shared.pace.resume();
        self.registry.shared.signals.merge_wanted();
    }

    /// Whether merges in the background are paused.
    pub fn merges_paused(&self) -> bool {
        self.registry.shared.pace.is_paused()
    }

    /// Changes [`Options::merge_bytes_per_second`], for the merge under way too.
    pub fn set_merge_bytes_per_second(&self, bytes: u64) {
        self.registry.shared.pace.set(bytes);
    }

    /// Writes everything that is in memory to segments. Every collection is tried; the first error is given.
    pub fn flush_all(&self) -> Result<()> {
        self.registry.flush_all(|collection| collection.flush())
    }

    /// Checks every file of the database, the log included, while it goes on serving.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.verify_with(&StopSignal::default())
    }

    /// [`Self::verify`] until `stop` is given.
    pub fn verify_with(&self, stop: &StopSignal) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        for summary in self.collections() {
            match self.collection(&summary.name) {
                Ok(collection) => report.merge(collection.verify_with(stop)?),
                Err(error) => report.problems.push(error.to_string()),
            }
        }
        stop.check()?;
        self.registry.verify_log(&mut report);
        Ok(report)
    }

    /// Flushes every collection and closes the log: the next open replays nothing.
    pub fn close(self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&self) -> Result<()> {
        self.registry.shared.signals.stop();
        let collections = self.registry.open_collections();
        // Writers are refused and builds cancelled first; flushing still works.
        collections.iter().for_each(|collection| collection.close());
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                return Err(Error::new(ErrorKind::Io, "a background thread panicked"));
            }
        }
        let flush = |collection: &Inner| collection.flush().and_then(|()| collection.merge_tiny());
        let outcome = self.registry.flush_all(flush);
        // The status is lost with the database, the log is not: what could not be archived stays for the next opening.
        let _ = self.registry.archive_log(true);
        self.registry.trim_log(0);
        let log = &self.registry.log;
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
