//! Mending what a check finds, while everything else goes on serving.

use std::sync::Arc;

use vecdb_storage::{StorageError, Wal};

use super::Database;
use super::catalog::collection_folder;
use super::registry::{Named, Registry, Slot};
use crate::batch::WriteBatch;
use crate::collection::{Collection, Inner, VerifyReport};
use crate::error::Result;
use crate::stop::StopSignal;

impl Database {
    /// Checks every collection, mends what can be mended, and checks again; what is still wrong, there and in the log,
    /// is in `problems`.
    pub fn repair(&self) -> Result<VerifyReport> {
        self.repair_with(&StopSignal::default())
    }

    /// [`Self::repair`] until `stop` is given. What was mended stays mended.
    pub fn repair_with(&self, stop: &StopSignal) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        for name in self.names() {
            let mended = self.repair_collection(&name, stop);
            stop.check()?;
            match mended {
                Ok(mended) => report.merge(mended),
                Err(error) => report.problems.push(error.to_string()),
            }
        }
        self.registry.verify_log(&mut report);
        Ok(report)
    }

    /// [`Collection::repair`] of a collection that may be broken: it serves again if it can be mended.
    pub fn repair_collection(&self, name: &str, stop: &StopSignal) -> Result<VerifyReport> {
        match self.registry.mend_broken(name, stop)? {
            Mended::Now(report) => Ok(report),
            Mended::Open(collection) => collection.repair_with(stop),
        }
    }
}

/// What became of a collection that may be broken.
enum Mended {
    /// It was not.
    Open(Collection),
    /// It was.
    Now(VerifyReport),
}

impl Registry {
    /// Opens a broken collection with what is left of it and mends it; then everybody may have it.
    fn mend_broken(&self, name: &str, stop: &StopSignal) -> Result<Mended> {
        // Held, so that nobody drops it meanwhile.
        let catalog = self.catalog.lock();
        let named = self.collections.read().get(name).cloned();
        let named = named.ok_or_else(|| self.not_found(name))?;
        let needs_log = match self.slot(name, &named) {
            Slot::Open(inner) => {
                return Ok(Mended::Open(Collection {
                    inner: inner.clone(),
                }));
            }
            Slot::Broken { needs_log, .. } => *needs_log,
        };
        let folder = collection_folder(&self.root, named.id);
        let mut done = VerifyReport::default();
        let inner = Inner::open_mending(self.shared.clone(), name, named.id, &folder, &mut done)
            .map_err(|e| e.context(format_args!("collection {name:?} cannot be mended")))?;
        if needs_log {
            self.replay_into(&inner, named.id)?;
        }
        inner.check_reach(self.log_end)?;
        inner.attach(self.log.clone());
        let inner = Arc::new(inner);
        let collection = Collection {
            inner: inner.clone(),
        };
        let report = collection.repair_rest(done, stop)?;
        let named = Named::new(named.id, Some(Slot::Open(inner)));
        self.collections.write().insert(name.to_owned(), named);
        drop(catalog);
        Ok(Mended::Now(report))
    }

    /// Gives a collection its entries of the log, which was kept for it; nothing was written to it since.
    fn replay_into(&self, inner: &Inner, id: u32) -> Result<()> {
        let mut failed = None;
        let mut deliver = |position, bytes: &[u8]| {
            let ours = WriteBatch::collection_of(bytes).is_ok_and(|collection| collection == id);
            let replayed = match ours {
                true => inner.replay(position, bytes),
                false => Ok(()),
            };
            replayed.map_err(|error| {
                let message = error.to_string();
                failed = Some(error.context(format_args!("log entry {position}")));
                StorageError::Usage(message)
            })
        };
        let dir = self.root.join("wal");
        let on_corruption = self.shared.options.on_corruption.for_log();
        let read = Wal::read(self.shared.disk.as_ref(), &dir, on_corruption, &mut deliver);
        match read {
            Ok(_) => Ok(()),
            Err(error) => Err(failed.unwrap_or(error.into())),
        }
    }
}
