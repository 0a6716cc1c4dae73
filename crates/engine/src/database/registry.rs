//! The collections of an open database, their catalog and the log they share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use vecdb_storage::{Log, Position, Wal};

use super::catalog::{Catalog, CatalogEntry, collection_folder};
use super::{CollectionSummary, Overview, Recovery};
use crate::archive::{Archiver, Change};
use crate::collection::{Collection, Inner, Shared, VerifyReport};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{CollectionConfig, check_collection_name};

/// The log is trimmed in steps of this many bytes: each step replaces the catalog.
const TRIM_BYTES_MIN: u64 = 16 << 20;

pub(super) enum Slot {
    Open(Arc<Inner>),
    Broken {
        kind: ErrorKind,
        reason: String,
        /// The log has entries of it.
        needs_log: bool,
    },
}

impl Slot {
    pub(super) fn new(opened: Result<Inner>, needs_log: bool) -> Self {
        match opened {
            Ok(inner) => Slot::Open(Arc::new(inner)),
            Err(error) => Slot::Broken {
                kind: error.kind(),
                reason: error.to_string(),
                needs_log,
            },
        }
    }
}

/// A collection of the catalog. Its slot is empty until it is opened.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) id: u32,
    slot: Arc<OnceLock<Slot>>,
}

impl Named {
    pub(super) fn new(id: u32, slot: Option<Slot>) -> Self {
        let slot = slot.map_or_else(OnceLock::new, OnceLock::from);
        Self {
            id,
            slot: Arc::new(slot),
        }
    }
}

pub(super) struct Registry {
    pub(super) root: PathBuf,
    pub(super) shared: Shared,
    pub(super) log: Arc<Wal>,
    /// Where the log ended when the database was opened.
    pub(super) log_end: Position,
    pub(super) recovery: Recovery,
    /// Where the log is archived, if it is.
    pub(super) archiver: Option<Archiver>,
    /// By name. Written while a collection is created or dropped.
    pub(super) collections: RwLock<BTreeMap<String, Named>>,
    pub(super) catalog: Mutex<Catalog>,
}

impl Registry {
    /// The collections that are open by now.
    pub(super) fn open_collections(&self) -> Vec<Arc<Inner>> {
        let collections = self.collections.read();
        let open = |named: &Named| match named.slot.get() {
            Some(Slot::Open(inner)) => Some(inner.clone()),
            _ => None,
        };
        collections.values().filter_map(open).collect()
    }

    pub(super) fn overview(&self) -> Overview {
        let mut overview = Overview {
            archive: self.archive_status(),
            ..Overview::default()
        };
        let mut open = Vec::new();
        for named in self.collections.read().values() {
            match named.slot.get() {
                Some(Slot::Open(inner)) => open.push(inner.clone()),
                Some(Slot::Broken { .. }) => overview.broken += 1,
                None => overview.unopened += 1,
            }
        }
        let info = |inner| Collection { inner }.info();
        overview.open = open.into_iter().map(info).collect();
        overview
    }

    /// What became of a collection, which is opened if it is not yet. Whoever asks meanwhile waits for it.
    pub(super) fn slot<'a>(&self, name: &str, named: &'a Named) -> &'a Slot {
        named.slot.get_or_init(|| {
            let folder = collection_folder(&self.root, named.id);
            let opened = Inner::open(self.shared.clone(), name, named.id, &folder);
            // Nothing was replayed into it, so the log has nothing of it.
            let opened = opened.and_then(|inner| {
                inner.check_reach(self.log_end)?;
                inner.attach(self.log.clone());
                Ok(inner)
            });
            Slot::new(opened, false)
        })
    }

    /// Opens, over the threads of the pool, the collections that are not open yet.
    pub(super) fn open_all(&self) {
        use rayon::prelude::*;
        let mut unopened = self.named();
        unopened.retain(|(_, named)| named.slot.get().is_none());
        self.shared.pool.install(|| {
            unopened.par_iter().for_each(|(name, named)| {
                if !self.shared.signals.is_stopped() {
                    self.slot(name, named);
                }
            })
        });
    }

    fn named(&self) -> Vec<(String, Named)> {
        let collections = self.collections.read();
        let pair = |(name, named): (&String, &Named)| (name.clone(), named.clone());
        collections.iter().map(pair).collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<Collection> {
        let named = self.collections.read().get(name).cloned();
        let Some(named) = named else {
            return Err(self.not_found(name));
        };
        match self.slot(name, &named) {
            Slot::Open(inner) => Ok(Collection {
                inner: inner.clone(),
            }),
            Slot::Broken { kind, reason, .. } => Err(Error::new(
                *kind,
                format!("collection {name:?} cannot be opened: {reason}"),
            )),
        }
    }

    pub(super) fn not_found(&self, name: &str) -> Error {
        let collections = self.collections.read();
        let known: Vec<_> = collections.keys().take(10).map(String::as_str).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        Error::new(
            ErrorKind::NotFound,
            format!("no collection is named {name:?} (there are: {known})"),
        )
    }

    /// All collections by name; opens them all.
    pub(super) fn summaries(&self) -> Vec<CollectionSummary> {
        self.open_all();
        let summary = |(name, named): (String, Named)| {
            let (points, broken) = match self.slot(&name, &named) {
                Slot::Open(inner) => (inner.snapshot().live_rows(), None),
                Slot::Broken { reason, .. } => (0, Some(reason.clone())),
            };
            CollectionSummary {
                name,
                points,
                broken,
            }
        };
        self.named().into_iter().map(summary).collect()
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
        let inner = Inner::create(self.shared.clone(), name, id, &folder, config.clone())?;
        inner.attach(self.log.clone());
        let change = Change::Created {
            name: name.to_owned(),
            config,
        };
        self.note_event(&mut next, id, change)?;
        self.write_catalog(&next)?;
        *catalog = next;
        let inner = Arc::new(inner);
        let named = Named::new(id, Some(Slot::Open(inner.clone())));
        self.collections.write().insert(name.to_owned(), named);
        Ok(Collection { inner })
    }

    pub(super) fn drop_collection(&self, name: &str) -> Result<()> {
        let mut catalog = self.catalog.lock();
        let named = self.collections.read().get(name).cloned();
        let named = named.ok_or_else(|| self.not_found(name))?;
        let mut next = catalog.clone();
        next.collections.retain(|entry| entry.id != named.id);
        self.note_event(&mut next, named.id, Change::Dropped)?;
        let written = self.write_catalog(&next);
        // One that nobody has opened is not opened any more; one that is being opened is waited for.
        let slot = named.slot.get_or_init(|| {
            let gone = Error::new(ErrorKind::NotFound, "it was being dropped");
            Slot::new(Err(gone), false)
        });
        if let Err(error) = written {
            // Nobody knows whether it is gone: no write to it may be acknowledged any more.
            return Err(match slot {
                Slot::Open(inner) => inner.poison(error),
                Slot::Broken { .. } => error,
            });
        }
        *catalog = next;
        self.collections.write().remove(name);
        if let Slot::Open(inner) = slot {
            inner.mark_dropped();
        }
        // Readers that still hold its maps keep reading: an unlinked file lives as long as it is mapped. What cannot
        // be removed now is removed at the next open.
        let _ = self
            .shared
            .disk
            .remove_dir_all(&collection_folder(&self.root, named.id));
        Ok(())
    }

    /// The log must be kept after this position.
    pub(super) fn log_needed_after(&self) -> Position {
        let collections = self.collections.read();
        let mut needed = self.log.last();
        for named in collections.values() {
            match named.slot.get() {
                Some(Slot::Open(inner)) => {
                    needed = inner.log_needed_after().unwrap_or(needed).min(needed)
                }
                Some(Slot::Broken {
                    needs_log: true, ..
                }) => return 0,
                // The log has nothing of it.
                Some(Slot::Broken { .. }) | None => {}
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
        let mut next = Catalog {
            log_from: needed,
            ..catalog.clone()
        };
        self.forget_events(&mut next);
        // The catalog first: a log that begins later than it says is taken for damaged. A log that stays longer than
        // needed is no harm, and is tried again.
        if next.write(self.shared.disk.as_ref(), &self.root).is_ok() {
            *catalog = next;
            // The newest file is never freed: where nothing in it is needed an empty one takes its place. An archive asks
            // for that when it is due.
            if self.archiver.is_none() && needed == self.log.last() {
                let _ = self.log.begin_next_file();
            }
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

    /// Lets `flush` write down what is in memory. Every collection is tried; the first error is given.
    pub(super) fn flush_all(&self, flush: impl Fn(&Inner) -> Result<()>) -> Result<()> {
        let mut outcome = Ok(());
        for collection in self.open_collections() {
            if collection.log_needed_after().is_some() {
                let flushed = flush(&collection);
                outcome = outcome.and(
                    flushed
                        .map_err(|e| e.context(format_args!("flush of {:?}", collection.name()))),
                );
            }
        }
        outcome
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
