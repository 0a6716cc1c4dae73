//! Adding to the archive.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vecdb_storage::{Disk, Position, SealedFile};

use super::ArchiveStatus;
use super::piece::{Event, Piece, place};
use super::store::{ArchiveEnv, ArchiveStore};
use crate::batch::WriteBatch;
use crate::document;
use crate::error::{Error, ErrorKind, Result};
use crate::hex::to_hex;

/// Tells an archive from a folder where one should be.
const MARK: &str = "ARCHIVE";
const MARK_VERSION: u32 = 1;

/// What [`MARK`] holds.
#[derive(Serialize, Deserialize)]
struct Mark {
    /// Microseconds since 1970.
    created: u64,
}

/// Makes a place an archive, if it is none.
pub(crate) fn set_up(store: &dyn ArchiveStore, now: u64) -> Result<()> {
    store.prepare()?;
    if is_archive(store)? {
        return Ok(());
    }
    let mark = Mark { created: now };
    store.write(
        MARK,
        &document::encode(&place(store, MARK), MARK_VERSION, &mark)?,
    )
}

fn is_archive(store: &dyn ArchiveStore) -> Result<bool> {
    match store.read(&[MARK.to_owned()])?.pop().flatten() {
        None => Ok(false),
        Some(bytes) => {
            document::decode::<Mark>(&place(store, MARK), &bytes, MARK_VERSION).map(|_| true)
        }
    }
}

/// The longest pause after attempts that failed.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Copies log files to the archive, one after another.
pub(crate) struct Archiver {
    env: ArchiveEnv,
    location: String,
    /// Held while files are copied.
    work: Mutex<Work>,
    /// Apart, so that nobody who asks waits for a copy.
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Work {
    store: Option<Arc<dyn ArchiveStore>>,
    lock: Option<Box<dyn Send + Sync>>,
    /// The archive was compared with the log.
    known: bool,
    last: Option<Piece>,
    /// Damage in the log was left out: the archive goes on with this file.
    resume_at: Option<u64>,
}

struct Progress {
    status: ArchiveStatus,
    /// The catalog may not say any more what happened to collections: only another opening knows.
    halted: Option<String>,
    retry_at: Option<Instant>,
    sealed_at: Option<Instant>,
}

/// What there is to archive.
pub(crate) struct Source {
    /// Oldest first.
    pub(crate) files: Vec<SealedFile>,
    /// Serial number of the file being written.
    pub(crate) newest: Option<u64>,
    /// Collections that came and went, in order.
    pub(crate) events: Vec<Event>,
    /// The file being written was begun just now: everything acknowledged by then is in `files`.
    pub(crate) sealed_at: Option<u64>,
}

impl Archiver {
    /// `resume_at`: damage in the log was left out, and the archive goes on with this file.
    pub(crate) fn new(env: ArchiveEnv, location: String, resume_at: Option<u64>) -> Self {
        let status = ArchiveStatus {
            location: location.clone(),
            ..ArchiveStatus::default()
        };
        Self {
            env,
            location,
            work: Mutex::new(Work {
                resume_at,
                ..Work::default()
            }),
            progress: Mutex::new(Progress {
                status,
                halted: None,
                retry_at: None,
                sealed_at: Some(Instant::now()),
            }),
        }
    }

    pub(crate) fn status(&self) -> ArchiveStatus {
        self.progress.lock().status.clone()
    }

    /// Every entry up to here is in the archive.
    pub(crate) fn position(&self) -> Position {
        self.progress.lock().status.position
    }

    /// Nothing is archived any more until the database is opened again.
    pub(crate) fn halt(&self, why: &Error) {
        self.progress.lock().halted = Some(format!(
            "the catalog could not be written ({why}); open the database again"
        ));
    }

    /// An attempt failed lately: the background waits before it tries again.
    pub(crate) fn is_paused(&self) -> bool {
        let retry_at = self.progress.lock().retry_at;
        retry_at.is_some_and(|at| Instant::now() < at)
    }

    /// Whether the newest file was begun at least so long ago.
    pub(crate) fn seal_is_due(&self, interval: Duration) -> bool {
        let sealed_at = self.progress.lock().sealed_at;
        sealed_at.is_none_or(|at| at.elapsed() >= interval)
    }

    pub(crate) fn note_sealed(&self) {
        self.progress.lock().sealed_at = Some(Instant::now());
    }

    /// Archives what `source` gives and the archive does not have; `keep_from` hears from which file on the log has to
    /// be kept, after each that is safe.
    ///
    /// # Errors
    /// Are kept for the status too. What was archived stays archived.
    pub(crate) fn run(
        &self,
        source: impl FnOnce() -> Result<Source>,
        mut keep_from: impl FnMut(u64),
    ) -> Result<()> {
        let mut work = self.work.lock();
        let outcome = source().and_then(|source| {
            if let Some(why) = self.progress.lock().halted.clone() {
                return Err(Error::new(ErrorKind::Poisoned, why));
            }
            let store = match &work.store {
                Some(store) => store.clone(),
                None => work.store.insert(self.env.open(&self.location)?).clone(),
            };
            let store = store.as_ref();
            if !work.known {
                work.compare(self.env.disk.as_ref(), store, &source)?;
                work.known = true;
            }
            self.note_progress(&work, &mut keep_from);
            for file in &source.files {
                let done = work.last.as_ref().is_some_and(|l| file.serial <= l.serial);
                if done || work.resume_at.is_some_and(|from| file.serial < from) {
                    continue;
                }
                let archived = work.add(&self.env, store, file, &source.events);
                archived.map_err(|e| {
                    e.context(format_args!(
                        "the log file {} cannot be archived",
                        file.path.display()
                    ))
                })?;
                self.note_progress(&work, &mut keep_from);
            }
            if let (Some(last), Some(at)) = (&mut work.last, source.sealed_at)
                && at > last.through
            {
                last.through = at;
                last.write(store)?;
                self.note_progress(&work, &mut keep_from);
            }
            Ok(())
        });
        self.note_outcome(&outcome);
        outcome
    }

    fn note_progress(&self, work: &Work, keep_from: &mut impl FnMut(u64)) {
        let next = work.last.as_ref().map_or(0, |last| last.serial + 1);
        keep_from(next.max(work.resume_at.unwrap_or(0)));
        if let Some(last) = &work.last {
            let status = &mut self.progress.lock().status;
            status.position = last.last;
            status.time = last.through;
        }
    }

    fn note_outcome(&self, outcome: &Result<()>) {
        let mut progress = self.progress.lock();
        match outcome {
            Ok(()) => {
                progress.status.last_error = None;
                progress.status.failures = 0;
                progress.retry_at = None;
            }
            Err(error) => {
                progress.status.last_error = Some(error.to_string());
                let doubled = Duration::from_secs(1 << progress.status.failures.min(6));
                progress.status.failures += 1;
                progress.retry_at = Some(Instant::now() + doubled.min(PAUSE_MAX));
            }
        }
    }
}

impl Work {
    /// Takes the archive and sees to it that it is the one of this log.
    fn compare(
        &mut self,
        disk: &dyn Disk,
        store: &dyn ArchiveStore,
        source: &Source,
    ) -> Result<()> {
        if !is_archive(store)? {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} is not the archive that it was when it was set up ({MARK} is missing); if it lies on another disk, is that mounted?",
                    store.location()
                ),
            ));
        }
        if self.lock.is_none() {
            let lock = store.lock();
            self.lock =
                lock.map_err(|e| e.context("another database adds to the archive of the log"))?;
        }
        let inside = store.list()?;
        let serials = || inside.iter().filter_map(|name| Piece::serial_of(name));
        let first = serials().min().unwrap_or(0);
        self.last = match serials().max() {
            Some(serial) => Piece::read_one(store, serial)?,
            None => None,
        };
        let Some(last) = &self.last else {
            return Ok(());
        };
        // A file that the archive is said to have must be the very one.
        for file in source.files.iter().filter(|f| f.serial <= last.serial) {
            let archived = Piece::read_one(store, file.serial)?;
            let uuid = to_hex(&file.uuid(disk)?);
            // Old ones may be removed from the front.
            if archived.map_or(file.serial >= first, |piece| piece.end.uuid != uuid) {
                return Err(foreign(store, last, &file.path));
            }
        }
        match source.newest {
            Some(newest) if newest > last.serial => Ok(()),
            _ => Err(foreign(store, last, Path::new("the log"))),
        }
    }

    fn add(
        &mut self,
        env: &ArchiveEnv,
        store: &dyn ArchiveStore,
        file: &SealedFile,
        events: &[Event],
    ) -> Result<()> {
        let disk = env.disk.as_ref();
        let log = file.piece(disk)?;
        let previous = log.previous.map(Into::into);
        let last = self.last.as_ref();
        let follows = last.is_none_or(|last| Some(&last.end) == previous.as_ref());
        let after_gap = last.is_some() && self.resume_at == Some(file.serial);
        if let Some(last) = last
            && !follows
            && !after_gap
        {
            return Err(foreign(store, last, &file.path));
        }
        let mut piece = Piece {
            serial: file.serial,
            file: self.lock.is_none().then(|| Piece::name_by_content(&log)),
            first: log.first,
            last: 0,
            end: log.end.into(),
            previous,
            latest: 0,
            through: 0,
            after_gap,
            events: Vec::new(),
        };
        let name = piece.log_name();
        store.store(disk, file, &log, &name)?;
        let stored = env.at_hand(store, &name, log.end.bytes)?;
        // Read back: what it holds is taken from the copy.
        let mut latest = 0;
        let mut unreadable = None;
        let read = log.read(disk, &stored.path, 0, &mut |_, bytes| {
            match WriteBatch::head(bytes) {
                // An entry without content stands for something that is not a write.
                _ if bytes.is_empty() => {}
                Ok((_, time)) => latest = latest.max(time),
                Err(error) => unreadable = Some(error),
            }
            Ok(())
        })?;
        if let Some(error) = unreadable {
            return Err(error);
        }
        (piece.last, piece.latest) = (read, latest);
        let inside = events.iter();
        let inside = inside.filter(|event| (log.first..=read).contains(&event.position));
        piece.events = inside.cloned().collect();
        let before = last.map_or(0, |last| last.through);
        piece.through = piece.latest_change().max(before);
        match piece.create(store) {
            // An attempt before this one may have got so far and not have heard of it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                match Piece::read_one(store, piece.serial)? {
                    Some(there) if there == piece => {}
                    Some(there) => return Err(foreign(store, &there, &file.path)),
                    None => return Err(error),
                }
            }
            created => created?,
        }
        self.last = Some(piece);
        Ok(())
    }
}

fn foreign(store: &dyn ArchiveStore, last: &Piece, log: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "the archive in {} ends with log file {} (position {}), and {} does not go on from there: it is the archive of another database, or a part of the log was removed without being archived; archive to an empty place and take a new snapshot",
            store.location(),
            last.serial,
            last.last,
            log.display()
        ),
    )
}
