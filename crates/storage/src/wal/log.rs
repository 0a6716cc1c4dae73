//! The log in use: appending, group commit, poison.
//!
//! No thread of its own writes. Appending copies the frame into a shared buffer; of those who wait
//! in commit one becomes the leader, takes the whole buffer, writes and syncs it and wakes the rest.
//! Meanwhile the next group fills the buffer: the slower the disk, the larger the groups.
//!
//! Before a frame gets a position there is room for it on the disk: a full disk is met where nothing
//! has happened yet, and refuses the frame; the next one is tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::archive::SealedFile;
use super::layout::{End, FILE_HEADER_BYTES, FRAME_HEAD_BYTES, FileHeader, encode_frame};
use super::recover::recover;
use super::scan::ScannedFile;
use super::writer::Writer;
use super::{Durability, Log, Position, Replay, WalOptions, WalRecovery};
use crate::StorageError;
use crate::disk::Disk;
use crate::unique::fresh_file_uuid;

/// Appending over this much unwritten data writes it first.
const BUFFER_BYTES_MAX: usize = 64 << 20;
/// Room on the disk is taken in steps of this size.
const ROOM_BYTES: u64 = 1 << 20;
/// A buffer up to this size is kept for the next group.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// The write-ahead log in files of a folder.
///
/// Dropping it is like [`Wal::close`] with errors unseen.
pub struct Wal {
    shared: Arc<Shared>,
    interval_thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: WalOptions,
    state: Mutex<State>,
    /// Wakes those who wait for a leader.
    finished: Condvar,
    /// Wakes the thread that syncs for [`Durability::Interval`].
    due: Condvar,
}

struct State {
    /// Appended, not yet written.
    buffer: Vec<u8>,
    spare: Vec<u8>,
    /// Where the next frame goes; None if it begins a new file.
    tail: Option<End>,
    /// Up to this length there is room for the tail's file.
    room: u64,
    /// Somebody makes room; nobody appends meanwhile.
    making_room: bool,
    previous: End,
    serial: u64,
    /// Oldest first; the last one is the tail's if there is a tail.
    files: Vec<FileInfo>,
    /// Files of this serial number and later ones stay, whatever is truncated.
    held_from: u64,
    last: Position,
    written: Position,
    durable: Position,
    /// Taken by the leader while it works.
    writer: Option<Writer>,
    poisoned: Option<Arc<StorageError>>,
    sync_at: Option<Instant>,
    closed: bool,
}

/// A log file and the positions in it; `last` is `first - 1` if it has none.
#[derive(Debug, Clone)]
pub(super) struct FileInfo {
    pub(super) path: PathBuf,
    pub(super) serial: u64,
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) bytes: u64,
}

impl Wal {
    /// Opens the log in `dir`, made if missing, and delivers every frame after `replay_from` in
    /// order. Positions up to `replay_from` are durable elsewhere; new ones continue after them and
    /// after the last frame found. An error of `replay` ends the opening.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: WalOptions,
        replay_from: Position,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, WalRecovery), StorageError> {
        let recovered = recover(Arc::clone(&disk), dir, &options, replay_from, replay)?;
        let last = recovered.last;
        let state = State {
            buffer: Vec::new(),
            spare: Vec::new(),
            tail: recovered.tail,
            room: 0,
            making_room: false,
            previous: recovered.previous,
            serial: recovered.serial,
            files: recovered.files,
            held_from: u64::MAX,
            last,
            written: last,
            durable: last,
            writer: Some(recovered.writer),
            poisoned: None,
            sync_at: None,
            closed: false,
        };
        let wal = Self {
            shared: Arc::new(Shared {
                disk,
                dir: dir.to_path_buf(),
                options,
                state: Mutex::new(state),
                finished: Condvar::new(),
                due: Condvar::new(),
            }),
            interval_thread: Mutex::new(None),
        };
        Ok((wal, recovered.found))
    }

    /// Makes everything durable, marks the end and gives the files back. Later calls are refused.
    pub fn close(self) -> Result<(), StorageError> {
        self.shut_down()
    }

    /// Keeps the files of this serial number and of later ones, whatever is truncated.
    pub fn hold_from(&self, serial: u64) {
        self.shared.state.lock().held_from = serial;
    }

    /// The newest file: its serial number and uuid. `None` in a fresh log.
    pub fn newest_file(&self) -> Option<(u64, [u8; 16])> {
        let state = self.shared.state.lock();
        let end = state.tail.unwrap_or(state.previous);
        let file = state.files.last()?;
        Some((file.serial, end.uuid))
    }

    /// The files that others follow, oldest first: nothing is added to them any more, and all of them is durable.
    pub fn sealed_files(&self) -> Vec<SealedFile> {
        let state = self.shared.state.lock();
        let pairs = state.files.iter().zip(state.files.iter().skip(1));
        let sealed = pairs.map(|(file, next)| SealedFile {
            serial: file.serial,
            path: file.path.clone(),
            next_serial: next.serial,
            next: next.path.clone(),
        });
        sealed.collect()
    }

    /// Begins a new file, so that everything appended so far is in files that others follow; nothing to do if the
    /// newest file holds no frame.
    ///
    /// # Errors
    /// [`StorageError::Full`], after which everything is as before; or the log is poisoned or closed.
    pub fn begin_next_file(&self) -> Result<(), StorageError> {
        let shared = &*self.shared;
        let mut state = shared.state.lock();
        loop {
            state.usable()?;
            if state.closed {
                return Err(StorageError::Usage("the log is closed".into()));
            }
            if state.files.last().is_none_or(|file| file.last < file.first) {
                return Ok(());
            }
            let Some(writer) = state.writer.take() else {
                shared.finished.wait(&mut state);
                continue;
            };
            state.making_room = true;
            let room = ROOM_BYTES.min(shared.options.file_bytes_max);
            let begun;
            (state, begun) = shared.begin_file(state, writer, room.max(FILE_HEADER_BYTES));
            state.making_room = false;
            shared.finished.notify_all();
            return begun;
        }
    }

    fn shut_down(&self) -> Result<(), StorageError> {
        let last = {
            let mut state = self.shared.state.lock();
            if state.closed {
                return Ok(());
            }
            state.closed = true;
            state.last
        };
        self.shared.due.notify_all();
        if let Some(thread) = self.interval_thread.lock().take() {
            // It only panics if the disk does; then the commit below says so.
            let _ = thread.join();
        }
        self.shared.commit_to(last, true)?;
        self.shared.write_seal();
        Ok(())
    }

    /// Sees to it that a sync starts no later than `delay` from now.
    fn sync_within(&self, delay: Duration) -> Result<(), StorageError> {
        let mut thread = self.interval_thread.lock();
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            *thread = std::thread::Builder::new()
                .name("vecdb-wal-sync".into())
                .spawn(move || shared.sync_when_due())
                .ok();
        }
        if thread.is_none() {
            // No thread to be had: better now than never.
            drop(thread);
            let last = self.shared.state.lock().written;
            return self.shared.commit_to(last, true);
        }
        let mut state = self.shared.state.lock();
        let at = Instant::now() + delay;
        if state.sync_at.is_none_or(|earlier| at < earlier) {
            state.sync_at = Some(at);
            self.shared.due.notify_all();
        }
        Ok(())
    }
}

impl Log for Wal {
    fn append(&self, payload: &[u8]) -> Result<Position, StorageError> {
        let max = self.shared.options.frame_bytes_max.min(u32::MAX - 1);
        if payload.len() as u64 > u64::from(max) {
            return Err(StorageError::TooLarge {
                what: "a log frame".into(),
                bytes: payload.len() as u64,
                max: u64::from(max),
            });
        }
        let mut state = self.shared.state.lock();
        while state.buffer.len() > BUFFER_BYTES_MAX {
            let last = state.last;
            drop(state);
            self.shared.commit_to(last, false)?;
            state = self.shared.state.lock();
        }
        if state.closed {
            return Err(StorageError::Usage("the log is closed".into()));
        }
        let mut state = self.shared.with_room(state, payload.len() as u64)?;
        Ok(state.append(payload))
    }

    fn commit(&self, position: Position, durability: Durability) -> Result<(), StorageError> {
        match durability {
            Durability::EveryWrite => self.shared.commit_to(position, true),
            Durability::None => self.shared.commit_to(position, false),
            Durability::Interval(delay) => {
                self.shared.commit_to(position, false)?;
                self.sync_within(delay)
            }
        }
    }

    fn last(&self) -> Position {
        self.shared.state.lock().last
    }

    fn durable(&self) -> Position {
        self.shared.state.lock().durable
    }

    fn truncate_before(&self, position: Position) -> Result<(), StorageError> {
        loop {
            // The newest file stays: it anchors the positions.
            let path = {
                let mut state = self.shared.state.lock();
                state.usable()?;
                let written = state.written;
                match state.files.first() {
                    Some(file)
                        if state.files.len() > 1
                            && file.last < position
                            && file.last <= written
                            && file.serial < state.held_from =>
                    {
                        state.files.remove(0).path
                    }
                    _ => return Ok(()),
                }
            };
            match self.shared.disk.remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StorageError::io("remove", path, e));
                }
                _ => {}
            }
            // One by one: a crash must not leave an older file without the one that follows it.
            let dir = &self.shared.dir;
            self.shared
                .disk
                .sync_dir(dir)
                .map_err(|e| StorageError::io("sync", dir, e))?;
        }
    }

    fn bytes_from(&self, position: Position) -> u64 {
        let state = self.shared.state.lock();
        state
            .files
            .iter()
            .map(|file| file.bytes_from(position))
            .sum()
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // Nobody is left to be told; what was acknowledged is as safe as it was said to be.
        let _ = self.shut_down();
    }
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Wal")
            .field("dir", &self.shared.dir)
            .field("last", &state.last)
            .field("durable", &state.durable)
            .field("poisoned", &state.poisoned)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Waits until `position` is written, or synced; leads a group if nobody else does.
    fn commit_to(&self, position: Position, sync: bool) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        let position = position.min(state.last);
        loop {
            let reached = if sync { state.durable } else { state.written };
            if reached >= position {
                return Ok(());
            }
            state.usable()?;
            match state.writer.take() {
                None => self.finished.wait(&mut state),
                Some(writer) => state = self.lead(state, writer, sync),
            }
        }
    }

    /// Writes, and if wanted syncs, all that was appended so far. The state is unlocked meanwhile.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        mut writer: Writer,
        sync: bool,
    ) -> MutexGuard<'a, State> {
        let (frames, target) = state.take_buffer();
        drop(state);

        let mut result = writer.write(&frames).map(|()| 0);
        if sync && result.is_ok() {
            self.state.lock().note_written(target, 0);
            self.finished.notify_all();
            result = writer.sync().map(|()| target);
        }
        let mut state = self.state.lock();
        match result {
            Ok(durable) => {
                state.note_written(target, durable);
                state.writer = Some(writer);
                state.keep_spare(frames);
            }
            Err(cause) => state.poison(cause),
        }
        self.finished.notify_all();
        state
    }

    /// Waits until there is room on the disk for a frame of this payload, in the tail's file or a new one.
    ///
    /// # Errors
    /// [`StorageError::Full`], after which everything is as before; or the log is poisoned.
    fn with_room<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        payload_bytes: u64,
    ) -> Result<MutexGuard<'a, State>, StorageError> {
        let bytes = FRAME_HEAD_BYTES + payload_bytes;
        let file_bytes_max = self.options.file_bytes_max;
        loop {
            state.usable()?;
            let tail = state.tail.filter(|tail| {
                let begun = tail.len > FILE_HEADER_BYTES;
                !begun || tail.len.saturating_add(bytes) <= file_bytes_max
            });
            let end = tail.map_or(FILE_HEADER_BYTES, |tail| tail.len) + bytes;
            if tail.is_some() && end <= state.room && !state.making_room {
                return Ok(state);
            }
            let Some(writer) = state.writer.take() else {
                self.finished.wait(&mut state);
                continue;
            };
            state.making_room = true;
            let room = end
                .next_multiple_of(ROOM_BYTES)
                .min(file_bytes_max.max(end));
            let made;
            (state, made) = match tail {
                Some(_) => self.extend(state, writer, room),
                None => self.begin_file(state, writer, room),
            };
            state.making_room = false;
            self.finished.notify_all();
            made?;
        }
    }

    /// Takes room for the tail's file up to this length. The state is unlocked meanwhile.
    fn extend<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        mut writer: Writer,
        room: u64,
    ) -> (MutexGuard<'a, State>, Result<(), StorageError>) {
        drop(state);
        let made = writer.extend(room);
        let mut state = self.state.lock();
        let made = match made {
            Ok(()) => {
                state.room = room;
                state.writer = Some(writer);
                Ok(())
            }
            Err(full @ StorageError::Full { .. }) => {
                state.writer = Some(writer);
                Err(full)
            }
            Err(cause) => {
                state.poison(cause);
                state.usable()
            }
        };
        (state, made)
    }

    /// Writes and syncs what was appended, then begins a file. The state is unlocked meanwhile.
    fn begin_file<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        mut writer: Writer,
        room: u64,
    ) -> (MutexGuard<'a, State>, Result<(), StorageError>) {
        let (frames, target) = state.take_buffer();
        let header = FileHeader {
            uuid: fresh_file_uuid(),
            serial: state.serial + 1,
            first: target + 1,
            previous: state.tail.unwrap_or(state.previous),
        };
        drop(state);
        let written = writer.write(&frames).and_then(|()| writer.sync());
        let begun = match &written {
            Ok(()) => writer.begin(&header).and_then(|file| file.prepare(room)),
            Err(_) => Ok(None),
        };
        // Once the file may have its name only another opening knows what there is.
        let (begun, published) = match begun {
            Ok(Some(file)) => (Ok(()), file.publish()),
            Ok(None) => (Ok(()), Ok(())),
            Err(error) => (Err(error), Ok(())),
        };
        let mut state = self.state.lock();
        let outcome = match (written.and(published), begun) {
            (Err(cause), _) => Err(cause),
            (Ok(()), Err(full @ StorageError::Full { .. })) => {
                state.note_written(target, target);
                state.writer = Some(writer);
                state.keep_spare(frames);
                return (state, Err(full));
            }
            (Ok(()), begun) => begun,
        };
        match outcome {
            Ok(()) => {
                state.note_written(target, target);
                state.writer = Some(writer);
                state.keep_spare(frames);
                state.begun(&header, room, &self.dir);
                (state, Ok(()))
            }
            Err(cause) => {
                state.poison(cause);
                let refused = state.usable();
                (state, refused)
            }
        }
    }

    /// The thread of [`Durability::Interval`].
    fn sync_when_due(&self) {
        let mut state = self.state.lock();
        while !state.closed && state.poisoned.is_none() {
            match state.sync_at {
                None => self.due.wait(&mut state),
                Some(at) if Instant::now() < at => {
                    self.due.wait_until(&mut state, at);
                }
                Some(_) => {
                    state.sync_at = None;
                    let target = state.written;
                    drop(state);
                    // A failure poisons the log; the next writer is told.
                    let _ = self.commit_to(target, true);
                    state = self.state.lock();
                }
            }
        }
    }

    /// Marks a clean end, so that the next opening knows that every frame was synced. Without it
    /// the frames are only copied once more, so a failure does not matter.
    fn write_seal(&self) {
        let mut state = self.state.lock();
        let (last, durable) = (state.last, state.durable);
        if durable == last
            && let Some(mut end) = state.tail.take()
            && let Some(writer) = &mut state.writer
        {
            let mut seal = Vec::new();
            encode_frame(&mut end, last + 1, last, None, &mut seal);
            let _ = writer.write(&seal);
        }
        state.writer = None;
    }
}

impl State {
    fn usable(&self) -> Result<(), StorageError> {
        match &self.poisoned {
            Some(cause) => Err(StorageError::Poisoned {
                cause: Arc::clone(cause),
            }),
            None => Ok(()),
        }
    }

    fn note_written(&mut self, written: Position, durable: Position) {
        self.written = self.written.max(written);
        self.durable = self.durable.max(durable);
    }

    fn poison(&mut self, cause: StorageError) {
        self.poisoned = Some(Arc::new(cause));
        self.buffer.clear();
    }

    /// What was appended, and up to which position that is.
    fn take_buffer(&mut self) -> (Vec<u8>, Position) {
        let spare = std::mem::take(&mut self.spare);
        (std::mem::replace(&mut self.buffer, spare), self.last)
    }

    fn keep_spare(&mut self, mut frames: Vec<u8>) {
        if frames.capacity() <= SPARE_BYTES_MAX {
            frames.clear();
            self.spare = frames;
        }
    }

    /// There is room for it: [`Shared::with_room`].
    fn append(&mut self, payload: &[u8]) -> Position {
        let position = self.last + 1;
        if let Some(end) = &mut self.tail {
            let durable = self.durable;
            encode_frame(end, position, durable, Some(payload), &mut self.buffer);
            if let Some(file) = self.files.last_mut() {
                file.last = position;
                file.bytes = end.len;
            }
        }
        self.last = position;
        position
    }

    fn begun(&mut self, header: &FileHeader, room: u64, dir: &Path) {
        let end = header.end();
        self.serial = header.serial;
        self.files.push(FileInfo {
            path: header.path(dir),
            serial: header.serial,
            first: header.first,
            last: header.first - 1,
            bytes: end.len,
        });
        self.tail = Some(end);
        self.room = room;
    }
}

impl FileInfo {
    pub(super) fn of(file: &ScannedFile) -> Self {
        Self {
            path: file.path.clone(),
            serial: file.header.serial,
            first: file.header.first,
            last: file.last,
            bytes: file.bytes,
        }
    }

    /// As if all frames were of one size.
    fn bytes_from(&self, position: Position) -> u64 {
        // A file whose every frame was copied into the next one holds none.
        if position > self.last || self.last < self.first {
            return 0;
        }
        let frames = u128::from(self.last - self.first + 1);
        let wanted = u128::from(self.last - position.max(self.first) + 1);
        (u128::from(self.bytes) * wanted / frames) as u64
    }
}
