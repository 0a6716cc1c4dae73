//! The write-ahead log: one ordered sequence of frames, shared by all collections of a database.
//!
//! Files `<serial>.wal`, each begun by a header that names the file before it and where that one
//! ends; frames are chained by their checksums (`layout.rs`). Invariants:
//! - A file gets its name only when its header (and whatever recovery put into it) is durable, and
//!   only after all frames of the file before are durable. A file that was recovered is never
//!   appended to.
//! - Each frame tells up to which position the log was durable when it was made. So damage before a
//!   synced frame is told apart from a torn tail: the tail is cut, damage is an error.
//! - The end accepted by a recovery is recorded in the next file's header, so that a tail once cut
//!   stays cut. Frames of which it is not known that they were synced are copied into the new file
//!   before the log is handed out: what was seen once is not lost later.
//! - A failed write or sync poisons the log: nobody knows what the disk holds until it is read again.

mod archive;
mod layout;
mod log;
mod recover;
mod scan;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::StorageError;
use crate::disk::Disk;

pub use archive::{LogPiece, PieceEnd, SealedFile};
pub use log::Wal;

/// Position in a log: 1, 2, 3...; 0 is before everything.
pub type Position = u64;

/// Receives the frames of a log in order: position and payload. An error ends the reading.
pub type Replay<'a> = dyn FnMut(Position, &[u8]) -> Result<(), StorageError> + 'a;

/// When a write is acknowledged, and what a crash can take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Acknowledged means synced to the device: survives power loss. Writers that wait at the same
    /// time share one sync.
    EveryWrite,
    /// Acknowledged means handed to the operating system: survives a kill of the process. A sync
    /// follows at most this much later: power loss takes at most the writes of that time.
    Interval(Duration),
    /// Acknowledged means handed to the operating system: survives a kill of the process. Power
    /// loss may take everything since the last file was filled, closed or synced by another writer;
    /// what remains is always a prefix.
    None,
}

/// An ordered log.
pub trait Log: Send + Sync {
    /// Gives the payload the next position and buffers it. Nothing is promised before
    /// [`Log::commit`].
    fn append(&self, payload: &[u8]) -> Result<Position, StorageError>;
    /// Returns when everything up to `position` is as safe as the level says.
    fn commit(&self, position: Position, durability: Durability) -> Result<(), StorageError>;
    /// The position given last; 0 in a fresh log.
    fn last(&self) -> Position;
    /// Everything up to here survives power loss.
    fn durable(&self) -> Position;
    /// Frees whole files of frames before `position`: their content is durable elsewhere.
    fn truncate_before(&self, position: Position) -> Result<(), StorageError>;
    /// About how many bytes of log hold frames from `position` on: what a replay would read.
    fn bytes_from(&self, position: Position) -> u64;
}

/// Limits of a log.
#[derive(Debug, Clone)]
pub struct WalOptions {
    /// A file that would grow over this is followed by a new one. Default 64 MiB.
    pub file_bytes_max: u64,
    /// Largest payload. Default 64 MiB.
    pub frame_bytes_max: u32,
    /// What to do about damage that is not a torn tail. Default: stop.
    pub on_corruption: OnCorruption,
    /// Frames that are durable elsewhere are wanted too: opening loses none of them. Default: false.
    pub keep_all: bool,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            file_bytes_max: 64 << 20,
            frame_bytes_max: 64 << 20,
            on_corruption: OnCorruption::Stop,
            keep_all: false,
        }
    }
}

/// What recovery does about damage in the middle of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCorruption {
    /// Refuse to open, naming file and offset.
    #[default]
    Stop,
    /// Salvage: leave out what is damaged, go on with the next sound frame and count.
    Skip,
}

/// What opening a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WalRecovery {
    /// Sound frames read, delivered or not.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Bytes behind the last sound frame, cut off: writes that were never acknowledged as durable.
    pub torn_bytes_cut: u64,
    /// Damaged places left out; 0 unless [`OnCorruption::Skip`].
    pub skipped: u64,
    /// Files read.
    pub files: usize,
}

/// What [`Wal::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WalReport {
    /// Files, frames, bytes and torn tail, as for opening.
    pub found: WalRecovery,
    /// First and last position, if there is any frame.
    pub positions: Option<(Position, Position)>,
    /// Its files, oldest first.
    pub files: Vec<WalFile>,
}

/// One file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalFile {
    /// Where it is.
    pub path: PathBuf,
    /// Drawn when it was made; seeds its checksums.
    pub uuid: [u8; 16],
    /// The position of its first frame.
    pub first: Position,
    /// That of its last one; one less than `first` if it has none.
    pub last: Position,
    /// Its length.
    pub bytes: u64,
}

impl Wal {
    /// Reads a whole log and checks every frame, changing nothing. Damage is an error.
    pub fn verify(disk: &dyn Disk, dir: &Path) -> Result<WalReport, StorageError> {
        Self::read(disk, dir, OnCorruption::Stop, &mut |_, _| Ok(()))
    }

    /// Reads a whole log, changing nothing, and delivers every frame. The end of a log in use may look torn.
    pub fn read(
        disk: &dyn Disk,
        dir: &Path,
        on_corruption: OnCorruption,
        deliver: &mut Replay<'_>,
    ) -> Result<WalReport, StorageError> {
        let mut positions: Option<(Position, Position)> = None;
        let mut note = |position: Position, payload: &[u8]| {
            let first = positions.map_or(position, |(first, _)| first);
            positions = Some((first, position));
            deliver(position, payload)
        };
        let scan = scan::scan(disk, dir, on_corruption, scan::Expect::Anything, &mut note)?;
        let files = scan.files.into_iter().map(|file| WalFile {
            path: file.path,
            uuid: file.header.uuid,
            first: file.header.first,
            last: file.last,
            bytes: file.bytes,
        });
        Ok(WalReport {
            found: scan.found,
            positions,
            files: files.collect(),
        })
    }
}

#[cfg(test)]
mod tests;
