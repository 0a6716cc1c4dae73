//! The archive of the log: every log file, copied to a folder or an object store before the database would remove it. With
//! a snapshot it leads to any later moment.
//!
//! ```text
//! <archive>/ARCHIVE           document: makes the place an archive
//! <archive>/LOCK              held by the database that adds to it; in folders only
//! <archive>/<serial>.wal      a log file, as far as the file after it accepts it; elsewhere its name tells its content too
//! <archive>/<serial>.piece    document: what that is; written last, once the copy was read back
//! ```
//! Invariants:
//! - A log file is removed only once its piece is in the archive.
//! - Each piece follows the one before: the header of its file names it. Files of another history are refused.
//! - Collections made and dropped take a position of the log like writes; which is which lies in the catalog until the piece
//!   with that position holds it.

mod piece;
mod reader;
mod store;
mod verify;
mod writer;

use serde::Serialize;
use vecdb_storage::Position;

pub(crate) use piece::{Change, Event};
pub(crate) use reader::{ArchiveReader, shown};
pub(crate) use store::ArchiveEnv;
pub use store::{ArchiveOpener, ArchiveStore, FolderArchive};
pub(crate) use verify::verify;
pub use verify::{ArchiveRange, ArchiveReport};
pub(crate) use writer::{Archiver, Source, set_up};

/// How the archive of the log is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveStatus {
    /// The folder, or the URL of an object store.
    pub location: String,
    /// Every entry of the log up to this position is in it; 0 when that is not known yet.
    pub position: Position,
    /// Everything acknowledged by then is in it: microseconds since 1970-01-01T00:00:00 UTC.
    pub time: u64,
    /// Bytes of the log that are not in it yet, the file being written included.
    pub waiting_bytes: u64,
    /// Attempts in a row that failed; the next one follows after a pause.
    pub failures: u64,
    /// Why the last attempt failed, if it did. Until one succeeds the log keeps what is not archived.
    pub last_error: Option<String>,
}
