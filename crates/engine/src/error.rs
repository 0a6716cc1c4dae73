//! The one public error: a coarse [`ErrorKind`] that callers branch on, and a message that names the value at fault.

use std::fmt;
use std::path::Path;
use std::time::Duration;

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
    /// The caller did not say who it is, or is not known.
    Unauthenticated,
    /// The caller's time limit passed first.
    DeadlineExceeded,
}

/// How every face tells a kind.
struct Row {
    kind: ErrorKind,
    name: &'static str,
    exit_code: u8,
    grpc_code: i32,
    http_status: u16,
}

/// One row a kind, in the order of the enum.
const TABLE: [Row; 13] = [
    row(ErrorKind::InvalidArgument, "invalid_argument", 2, 3, 400),
    row(ErrorKind::NotFound, "not_found", 3, 5, 404),
    row(ErrorKind::AlreadyExists, "already_exists", 4, 6, 409),
    row(ErrorKind::Unavailable, "unavailable", 5, 14, 503),
    row(
        ErrorKind::ResourceExhausted,
        "resource_exhausted",
        6,
        8,
        429,
    ),
    row(ErrorKind::PermissionDenied, "permission_denied", 7, 7, 403),
    row(ErrorKind::Corrupt, "corrupt", 8, 15, 500),
    row(ErrorKind::Unsupported, "unsupported", 9, 12, 501),
    row(ErrorKind::Poisoned, "poisoned", 10, 9, 503),
    row(ErrorKind::Cancelled, "cancelled", 11, 1, 499),
    row(ErrorKind::Io, "io", 12, 13, 500),
    row(ErrorKind::Unauthenticated, "unauthenticated", 13, 16, 401),
    row(ErrorKind::DeadlineExceeded, "deadline_exceeded", 14, 4, 504),
];

const fn row(
    kind: ErrorKind,
    name: &'static str,
    exit_code: u8,
    grpc_code: i32,
    http_status: u16,
) -> Row {
    Row {
        kind,
        name,
        exit_code,
        grpc_code,
        http_status,
    }
}

impl ErrorKind {
    /// All kinds.
    pub fn all() -> impl Iterator<Item = ErrorKind> {
        TABLE.iter().map(|row| row.kind)
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<ErrorKind> {
        TABLE
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.kind)
    }

    /// The stable name used by every face (JSON, protocols, exceptions).
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The exit code of the command line.
    pub fn exit_code(self) -> u8 {
        self.row().exit_code
    }

    /// The code of the gRPC status.
    pub fn grpc_code(self) -> i32 {
        self.row().grpc_code
    }

    /// The HTTP status.
    pub fn http_status(self) -> u16 {
        self.row().http_status
    }

    /// Whether the same call can succeed a little later.
    pub fn is_retryable(self) -> bool {
        matches!(self, ErrorKind::Unavailable | ErrorKind::ResourceExhausted)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

/// Why an operation failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    retry_after: Option<Duration>,
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
            retry_after: None,
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether a full disk is the cause, of this error or of the one that writes are refused for since then. Somebody has to
    /// make room; an error that says so needs the database to be opened again as well.
    pub fn is_disk_full(&self) -> bool {
        let source = self.source.as_ref();
        source
            .and_then(|source| source.downcast_ref::<StorageError>())
            .is_some_and(StorageError::is_disk_full)
    }

    /// How long to wait before the same call is worth another try, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The same error with the time to wait before another try.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
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
            retry_after: None,
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
            IndexError::Unread { .. } | IndexError::Reader { .. } | IndexError::Vectors { .. } => {
                Self::wrap(ErrorKind::Io, error)
            }
            IndexError::TooManyRows { .. } => Self::wrap(ErrorKind::ResourceExhausted, error),
            _ => Self::wrap(ErrorKind::InvalidArgument, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_full_disk_can_be_told_from_other_want_of_room() {
        let full = || StorageError::io("write", "wal/1", io::ErrorKind::StorageFull.into());
        let since = StorageError::Poisoned {
            cause: Arc::new(full()),
        };
        for error in [full(), since] {
            let error = Error::from(error).context("upsert");
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
            assert!(error.is_disk_full(), "{error}");
        }
        let busy = Error::new(ErrorKind::ResourceExhausted, "the server is busy");
        let broken = StorageError::io("write", "wal/1", io::ErrorKind::Other.into());
        assert!(!busy.is_disk_full() && !Error::from(broken).is_disk_full());
    }

    #[test]
    fn the_table_is_in_the_order_of_the_kinds_and_its_names_and_exit_codes_differ() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, at, "{}", row.name);
            assert_eq!(ErrorKind::from_name(row.name), Some(row.kind));
            let same = |other: &&Row| other.exit_code == row.exit_code;
            assert_eq!(TABLE.iter().filter(same).count(), 1, "{}", row.name);
        }
    }
}
