//! The log in use: appending, group commit, poison.
//!
//! No thread of its own writes. Appending copies the frame into a shared buffer; of those who wait
//! in commit one becomes the leader, takes the whole buffer, writes and syncs it and wakes the rest.
//! Meanwhile the next group fills the buffer: the slower the disk, the larger the groups.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::layout::{End, FILE_HEADER_BYTES, FRAME_HEAD_BYTES, FileHeader, encode_frame};
use super::recover::recover;
use super::scan::ScannedFile;
use super::writer::{Chunk, Writer};
use super::{Durability, Log, Position, Replay, WalOptions, WalRecovery};
use crate::StorageError;
use crate::disk::Disk;
use crate::unique::fresh_file_uuid;

/// Appending over this much unwritten data writes it first.
const BUFFER_BYTES_MAX: usize = 64 << 20;
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
    chunks: Vec<Chunk>,
    buffered: usize,
    spare: Vec<u8>,
    /// Where the next frame goes; None if it begins a new file.
    tail: Option<End>,
    previous: End,
    serial: u64,
    /// Oldest first; the last one is the tail's if there is a tail.
    files: Vec<FileInfo>,
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
            chunks: Vec::new(),
            buffered: 0,
            spare: Vec::new(),
            tail: recovered.tail,
            previous: recovered.previous,
            serial: recovered.serial,
            files: recovered.files,
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
        while state.buffered > BUFFER_BYTES_MAX {
            let last = state.last;
            drop(state);
            self.shared.commit_to(last, false)?;
            state = self.shared.state.lock();
        }
        state.usable()?;
        if state.closed {
            return Err(StorageError::Usage("the log is closed".into()));
        }
        Ok(state.append(
            payload,
            &self.shared.dir,
            self.shared.options.file_bytes_max,
        ))
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
                            && file.last <= written =>
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
        let mut chunks = std::mem::take(&mut state.chunks);
        let target = state.last;
        state.buffered = 0;
        drop(state);

        let mut result = writer.write(&chunks);
        if sync && let Ok(rotated) = result {
            self.state.lock().note_written(target, rotated);
            self.finished.notify_all();
            result = writer.sync().map(|()| target);
        }
        let mut state = self.state.lock();
        match result {
            Ok(durable) => {
                state.note_written(target, durable);
                state.writer = Some(writer);
                if let Some(mut chunk) = chunks.pop()
                    && chunk.frames.capacity() <= SPARE_BYTES_MAX
                {
                    chunk.frames.clear();
                    state.spare = chunk.frames;
                }
            }
            Err(cause) => {
                state.poisoned = Some(Arc::new(cause));
                state.chunks.clear();
                state.buffered = 0;
            }
        }
        self.finished.notify_all();
        state
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
            let mut chunk = Chunk::default();
            encode_frame(&mut end, last + 1, last, None, &mut chunk.frames);
            let _ = writer.write(&[chunk]);
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

    fn append(&mut self, payload: &[u8], dir: &Path, file_bytes_max: u64) -> Position {
        let position = self.last + 1;
        let bytes = FRAME_HEAD_BYTES + payload.len() as u64;
        let full = |tail: End| {
            tail.len > FILE_HEADER_BYTES && tail.len.saturating_add(bytes) > file_bytes_max
        };
        let mut end = match self.tail {
            Some(tail) if !full(tail) => tail,
            _ => self.begin_file(position, dir),
        };
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            if chunk.frames.capacity() == 0 {
                chunk.frames = std::mem::take(&mut self.spare);
            }
            let durable = self.durable;
            encode_frame(
                &mut end,
                position,
                durable,
                Some(payload),
                &mut chunk.frames,
            );
        }
        if let Some(file) = self.files.last_mut() {
            file.last = position;
            file.bytes = end.len;
        }
        self.tail = Some(end);
        self.last = position;
        self.buffered += bytes as usize;
        position
    }

    /// The file is made by the leader who meets its header in the buffer.
    fn begin_file(&mut self, first: Position, dir: &Path) -> End {
        self.serial += 1;
        let header = FileHeader {
            uuid: fresh_file_uuid(),
            serial: self.serial,
            first,
            previous: self.tail.unwrap_or(self.previous),
        };
        let end = header.end();
        self.files.push(FileInfo {
            path: header.path(dir),
            first,
            last: first - 1,
            bytes: end.len,
        });
        self.chunks.push(Chunk {
            header: Some(header),
            frames: Vec::new(),
        });
        end
    }
}

impl FileInfo {
    pub(super) fn of(file: &ScannedFile) -> Self {
        Self {
            path: file.path.clone(),
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
