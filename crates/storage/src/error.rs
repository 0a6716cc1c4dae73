//! What can go wrong below the engine. Messages name the file, the offset and what was expected.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An error of the storage layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A call to the disk failed.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The verb: "open", "write", "sync"...
        op: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// No space left on the device, or over the quota.
    #[error("the disk is full: cannot {op} {}: {source}; free some space", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// The verb.
        op: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Bytes on disk are not what was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// Written by a newer version of this software.
    #[error("{} has format version {found}, this build reads up to {supported}: use a newer build", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Newest version known here.
        supported: u32,
    },
    /// An earlier write or sync failed, so what is on disk is not known: writes are refused until
    /// the log is opened again.
    #[error(
        "writes are refused since an earlier failure ({cause}); open the database again to recover"
    )]
    Poisoned {
        /// The failure that started it.
        #[source]
        cause: Arc<StorageError>,
    },
    /// A value is over a limit.
    #[error("{what} of {bytes} bytes is over the limit of {max} bytes")]
    TooLarge {
        /// Which value.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Another process, or this one, has the folder open.
    #[error("{} is locked: the database is open in another process, or a second time in this one", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A section that the file should have is not there.
    #[error("{} has no section {name:?} (it has: {known})", path.display())]
    NoSection {
        /// The file.
        path: PathBuf,
        /// The missing name.
        name: String,
        /// The names that are there.
        known: String,
    },
    /// The caller broke the order of calls.
    #[error("{0}")]
    Usage(String),
}

impl StorageError {
    /// Wraps the error of a disk call; a full disk becomes [`StorageError::Full`].
    pub fn io(op: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, op, source }
            }
            _ => Self::Io { path, op, source },
        }
    }

    /// Damage at `offset` of `path`.
    pub fn corrupt(path: impl AsRef<Path>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.as_ref().to_path_buf(),
            offset,
            what: what.into(),
        }
    }

    /// True if a full disk is the cause, also behind [`StorageError::Poisoned`].
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Poisoned { cause } => cause.is_disk_full(),
            _ => false,
        }
    }

    /// The operating system's error kind, if a disk call is the cause.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } | Self::Full { source, .. } => Some(source.kind()),
            Self::Poisoned { cause } => cause.io_kind(),
            _ => None,
        }
    }
}
