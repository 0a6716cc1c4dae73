//! What can be wrong with a data file.

use std::io;
use std::path::{Path, PathBuf};

/// An error that names the file, the place in it, what was found and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The file cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not what the format asks for.
    #[error("{path}, byte {offset}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, in the file or (gzip) in its unpacked content.
        offset: u64,
        /// What was found and what would be right.
        what: String,
    },
    /// A line of a JSON lines file is wrong.
    #[error("{path}, line {line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What was found and what would be right.
        what: String,
    },
    /// A row of a vector or Parquet file is wrong.
    #[error("{path}, row {row}: {what}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Row number, from 0.
        row: u64,
        /// What was found and what would be right.
        what: String,
    },
    /// The file is sound but is not of a kind that can be read here.
    #[error("{path}: {what}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is and what would be right.
        what: String,
    },
}

impl DatasetError {
    /// The file that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Malformed { path, .. }
            | Self::Line { path, .. }
            | Self::Row { path, .. }
            | Self::Unsupported { path, .. } => path,
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn malformed(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_path_buf(),
            offset,
            what: what.into(),
        }
    }

    pub(crate) fn line(path: &Path, line: u64, what: impl Into<String>) -> Self {
        Self::Line {
            path: path.to_path_buf(),
            line,
            what: what.into(),
        }
    }

    pub(crate) fn row(path: &Path, row: u64, what: impl Into<String>) -> Self {
        Self::Row {
            path: path.to_path_buf(),
            row,
            what: what.into(),
        }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }
}
