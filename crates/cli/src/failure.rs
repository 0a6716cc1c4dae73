//! Why a command failed: an engine error or a closed pipe, and how that is told.

use std::io;

use serde_json::json;
use vecdb_dataset::DatasetError;
use vecdb_engine::{Error, ErrorKind};
use vecdb_filter::FilterError;
use vecdb_index::IndexError;
use vecdb_storage::StorageError;
use vecdb_vector::VectorError;

/// The result of every command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of our output went away. Not an error.
    ClosedPipe,
    /// Everything else.
    Error(Error),
}

impl Failure {
    /// The request cannot be right as it was typed.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Error(Error::new(kind, message))
    }

    /// An error of a file that is not the database's.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(
            kind_of_io(error.kind()),
            format!("{}: {error}", path.display()),
        )
    }

    /// The same failure with what was being done before its message.
    pub(crate) fn context(self, context: impl std::fmt::Display) -> Self {
        match self {
            Self::ClosedPipe => Self::ClosedPipe,
            Self::Error(error) => Self::Error(error.context(context)),
        }
    }

    /// The same failure with what can be done about it after its message.
    pub(crate) fn hint(self, hint: &str) -> Self {
        match self {
            Self::ClosedPipe => Self::ClosedPipe,
            Self::Error(error) => Self::new(error.kind(), format!("{error}; {hint}")),
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Error(error) => error.kind().exit_code(),
        }
    }

    /// Tells it on stderr: a line for people, an object for programs.
    pub(crate) fn print(&self, json: bool) {
        let Self::Error(error) = self else { return };
        let text = match json {
            true => json!({"error": {"kind": error.kind().name(), "message": error.to_string()}})
                .to_string(),
            false => format!("error: {error}"),
        };
        // Not `eprintln!`: it panics when stderr is closed.
        use io::Write as _;
        let _ = writeln!(io::stderr(), "{text}");
    }
}

fn kind_of_io(kind: io::ErrorKind) -> ErrorKind {
    match kind {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory => {
            ErrorKind::ResourceExhausted
        }
        _ => ErrorKind::Io,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Errors of writing to stdout; files are told with their path by [`Failure::file`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            kind => Self::new(
                kind_of_io(kind),
                format!("cannot write the output: {error}"),
            ),
        }
    }
}

impl From<DatasetError> for Failure {
    fn from(error: DatasetError) -> Self {
        let kind = match &error {
            DatasetError::Io { source, .. } => kind_of_io(source.kind()),
            DatasetError::Malformed { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::InvalidArgument,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        // The engine takes a missing file for damage; here it is a name that was typed wrong.
        match error.io_kind() {
            Some(kind @ (io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)) => {
                Self::new(kind_of_io(kind), error.to_string())
            }
            _ => Self::Error(error.into()),
        }
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Storage(error) => error.into(),
            error => Self::Error(error.into()),
        }
    }
}

impl From<VectorError> for Failure {
    fn from(error: VectorError) -> Self {
        Self::Error(error.into())
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        Self::Error(error.into())
    }
}
