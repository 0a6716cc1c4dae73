//! The archive of the log, from the side of the database: what goes into it and when, and what it lets go.

use vecdb_storage::{Durability, Log, Position};

use super::Database;
use super::catalog::Catalog;
use super::registry::Registry;
use crate::archive::{
    ArchiveEnv, ArchiveReport, ArchiveStatus, Change, Event, Source, set_up, verify,
};
use crate::clock::LogClock;
use crate::error::{Error, Result};
use crate::hex::to_hex;
use crate::options::Archive;
use crate::snapshot::SnapshotLog;
use crate::stop::StopSignal;

impl Database {
    /// How the archive of the log is doing; `None` if there is none.
    pub fn archive(&self) -> Option<ArchiveStatus> {
        self.registry.archive_status()
    }

    /// Ends the log file that is being written and archives everything acknowledged so far. Does nothing where there
    /// is no archive.
    pub fn archive_log(&self) -> Result<()> {
        self.registry.archive_log(true)
    }

    /// Reads every byte of an archive, the one at `location` or the database's own, compares it with its checksums and
    /// says which points of the log it leads to. Of its own what is archived by now is checked; more is not archived for it.
    ///
    /// # Errors
    /// `NotFound` where there is no archive, `InvalidArgument` where the database has none and none is named, and those of
    /// reaching it. What is wrong in it is in the report.
    pub fn verify_archive(
        &self,
        location: Option<&str>,
        stop: &StopSignal,
    ) -> Result<ArchiveReport> {
        let location = self.archive_to_read(location)?;
        verify(&self.registry.shared.archives, &location, stop)
    }

    /// The place of an archive that is to be read: the one named, or the database's own.
    pub(crate) fn archive_to_read(&self, named: Option<&str>) -> Result<String> {
        match (named, self.archive()) {
            (Some(location), _) => Ok(location.to_owned()),
            (None, Some(own)) => Ok(own.location),
            (None, None) => Err(Error::invalid(
                "this database does not archive its log; name the archive to read",
            )),
        }
    }

    /// All collections; and where the database stands in its log, if that is archived.
    pub(crate) fn names_and_log(&self) -> (Vec<String>, Option<SnapshotLog>) {
        let registry = &self.registry;
        // Held, so that no collection comes or goes in between.
        let _catalog = registry.catalog.lock();
        let newest = registry.archiver.as_ref().and(registry.log.newest_file());
        let log = newest.map(|(_, uuid)| SnapshotLog {
            file: to_hex(&uuid),
            position: registry.log.last(),
            whole: true,
        });
        (self.names(), log)
    }

    /// Makes the log durable up to `position`; whether it is.
    pub(crate) fn sync_log(&self, position: Position) -> bool {
        let log = &self.registry.log;
        log.commit(position, Durability::EveryWrite).is_ok()
    }
}

/// The catalog with the archive that was asked for.
pub(super) fn with_archive(
    catalog: Catalog,
    wanted: &Archive,
    env: &ArchiveEnv,
) -> Result<Catalog> {
    let archive = match wanted {
        Archive::Unchanged => return Ok(catalog),
        Archive::Off => None,
        // As it is remembered: without what does not belong there.
        Archive::Url(url) => Some(env.open(url)?.location()),
        Archive::Folder(folder) => {
            let absolute = std::path::absolute(folder)
                .map_err(|e| Error::invalid(format!("the archive {folder:?} is no folder: {e}")))?;
            let text = absolute.to_str().map(str::to_owned);
            Some(text.ok_or_else(|| {
                Error::invalid(format!(
                    "the path of the archive {folder:?} is not UTF-8; choose another folder"
                ))
            })?)
        }
    };
    if archive == catalog.archive {
        return Ok(catalog);
    }
    if let Some(location) = &archive {
        set_up(env.open(location)?.as_ref(), LogClock::default().now())?;
    }
    let mut next = Catalog { archive, ..catalog };
    if next.archive.is_none() {
        next.events.clear();
    }
    next.write(env.disk.as_ref(), &env.root)?;
    Ok(next)
}

impl Registry {
    pub(super) fn archive_status(&self) -> Option<ArchiveStatus> {
        let mut status = self.archiver.as_ref()?.status();
        status.waiting_bytes = self.log.bytes_from(status.position + 1);
        Some(status)
    }

    /// Archives the log files that others follow; with `seal` first sees to it that the newest is one of them.
    pub(super) fn archive_log(&self, seal: bool) -> Result<()> {
        let Some(archiver) = &self.archiver else {
            return Ok(());
        };
        let source = || {
            let mut sealed_at = None;
            if seal {
                let now = self.shared.clock.now();
                self.log.begin_next_file()?;
                archiver.note_sealed();
                sealed_at = Some(now);
            }
            // Whoever makes or drops a collection holds the catalog from before its position is given until it says what
            // that stands for.
            let catalog = self.catalog.lock();
            Ok(Source {
                files: self.log.sealed_files(),
                newest: self.log.newest_file().map(|(serial, _)| serial),
                events: catalog.events.clone(),
                sealed_at,
            })
        };
        let outcome = archiver.run(source, |serial| self.log.hold_from(serial));
        let catalog = self.catalog.lock();
        // What is archived now and was kept for that.
        let _ = self.log.truncate_before(catalog.log_from + 1);
        outcome
    }

    /// What the background does: files that are full at once, the newest one from time to time.
    pub(super) fn archive_when_due(&self) {
        let Some(archiver) = &self.archiver else {
            return;
        };
        if !archiver.is_paused() {
            // The status keeps the error; the next round tries again.
            let seal = archiver.seal_is_due(self.shared.options.archive_interval);
            let _ = self.archive_log(seal);
        }
    }

    /// With an archive: gives what happens to a collection a position of the log, and says so in the catalog that is
    /// going to be written.
    pub(super) fn note_event(&self, next: &mut Catalog, id: u32, change: Change) -> Result<()> {
        if self.archiver.is_none() {
            return Ok(());
        }
        self.forget_events(next);
        let time = self.shared.clock.now();
        // Without content: for nothing but its number. If the catalog is not written, it stands for nothing.
        let position = self.log.append(&[])?;
        self.log.commit(position, Durability::EveryWrite)?;
        next.events.push(Event {
            position,
            time,
            id,
            change,
        });
        Ok(())
    }

    /// Drops the events that the archive has.
    pub(super) fn forget_events(&self, next: &mut Catalog) {
        let archived = self.archiver.as_ref().map_or(0, |a| a.position());
        next.events.retain(|event| event.position > archived);
    }

    /// Replaces the catalog on disk.
    pub(super) fn write_catalog(&self, next: &Catalog) -> Result<()> {
        let written = next.write(self.shared.disk.as_ref(), &self.root);
        if let (Err(error), Some(archiver)) = (&written, &self.archiver)
            && !error.is_disk_full()
        {
            archiver.halt(error);
        }
        written
    }
}
