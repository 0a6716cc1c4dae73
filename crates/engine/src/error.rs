//! The one public error: a coarse [`ErrorKind`] that callers branch on, and a message that names the value at fault.

use std::fmt;
use std::path::Path;

use vecdb_filter::FilterError;
use vecdb_index::IndexError;
use vecdb_storage::StorageError;
use vecdb_storage::bytes::BytesError;
use vecdb_vector::VectorError;

/// What a caller can do about an error. A new kind is added only where a caller would act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong; sending it again cannot succeed.
    InvalidArgument,
    /// The named collection or point does not exist.
    NotFound,
    /// The named thing exists already.
    AlreadyExists,
    /// Another process holds the folder, or writers must wait longer than they may.
    Unavailable,
    /// Disk or memory is used up.
    ResourceExhausted,
    /// The folder or file may not be written or read by this process.
    PermissionDenied,
    /// Bytes on disk are not what was written.
    Corrupt,
    /// The data was written by a newer version.
    Unsupported,
    /// An earlier write failed on disk; reads go on, writes are refused until the database is opened anew.
    Poisoned,
    /// The time limit or a cancellation stopped the work.
    Cancelled,
    /// The operating system refused an operation.
    Io,
}

impl ErrorKind {
    /// The stable name used by every face (JSON, exit codes, protocols).
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "invalid_argument",
            ErrorKind::NotFound => "not_found",
            ErrorKind::AlreadyExists => "already_exists",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::ResourceExhausted => "resource_exhausted",
            ErrorKind::PermissionDenied => "permission_denied",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Poisoned => "poisoned",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Io => "io",
        }
    }

    /// The exit code of the command line for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::InvalidArgument => 2,
            ErrorKind::NotFound => 3,
            ErrorKind::AlreadyExists => 4,
            ErrorKind::Unavailable => 5,
            ErrorKind::ResourceExhausted => 6,
            ErrorKind::PermissionDenied => 7,
            ErrorKind::Corrupt => 8,
            ErrorKind::Unsupported => 9,
            ErrorKind::Poisoned => 10,
            ErrorKind::Cancelled => 11,
            ErrorKind::Io => 12,
        }
    }
}

/// Why an operation failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of every engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same error with `context` (what was being done, to what) before its message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn corrupt(path: &Path, what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Corrupt, format!("{}: {what}", path.display()))
    }

    fn wrap(kind: ErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message already contains the inner one; what lies behind that is still worth following.
        self.source.as_ref().and_then(|source| source.source())
    }
}

impl From<VectorError> for Error {
    fn from(error: VectorError) -> Self {
        Self::wrap(ErrorKind::InvalidArgument, error)
    }
}

impl Error {
    pub(crate) fn io(op: &'static str, path: &Path, source: std::io::Error) -> Self {
        StorageError::io(op, path, source).into()
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        let kind = match &error {
            _ if error.is_disk_full() => ErrorKind::ResourceExhausted,
            StorageError::Corrupt { .. } | StorageError::NoSection { .. } => ErrorKind::Corrupt,
            StorageError::NewerFormat { .. } => ErrorKind::Unsupported,
            StorageError::Poisoned { .. } => ErrorKind::Poisoned,
            StorageError::TooLarge { .. } | StorageError::Usage(_) => ErrorKind::InvalidArgument,
            StorageError::Locked { .. } => ErrorKind::Unavailable,
            _ => match error.io_kind() {
                Some(
                    std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem,
                ) => ErrorKind::PermissionDenied,
                Some(std::io::ErrorKind::NotFound) => ErrorKind::Corrupt,
                _ => ErrorKind::Io,
            },
        };
        Self::wrap(kind, error)
    }
}

impl From<BytesError> for Error {
    fn from(error: BytesError) -> Self {
        Self::wrap(ErrorKind::Corrupt, error)
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::Storage(error) => error.into(),
            FilterError::Corrupt { .. } | FilterError::CorruptMetadata { .. } => {
                Self::wrap(ErrorKind::Corrupt, error)
            }
            _ => Self::wrap(ErrorKind::InvalidArgument, error),
        }
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Storage(error) => error.into(),
            IndexError::Corrupt { .. } => Self::wrap(ErrorKind::Corrupt, error),
            IndexError::Cancelled => Self::wrap(ErrorKind::Cancelled, error),
            IndexError::TooManyRows { .. } => Self::wrap(ErrorKind::ResourceExhausted, error),
            _ => Self::wrap(ErrorKind::InvalidArgument, error),
        }
    }
}
