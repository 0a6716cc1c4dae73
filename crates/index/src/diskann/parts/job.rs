//! What of a build is done: a small file in its folder, replaced after each step, so that a build that was interrupted goes
//! on where it was.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_storage::{Disk, StorageError};
use vecdb_vector::Metric;

use super::FileVectors;
use crate::{DiskAnnParams, IndexError};

/// A build, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    /// What is built from what: another build begins anew.
    of: Identity,
    /// Parts; 0 until they are chosen.
    pub(super) parts: u32,
    /// The parts that are built, from the first on.
    pub(super) parts_built: u32,
    pub(super) coded: bool,
    pub(super) merged: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    params: DiskAnnParams,
    metric: Metric,
    rows: u32,
    dim: usize,
    element: String,
    memory_bytes: u64,
}

/// The folder of a build.
pub(super) struct Folder<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) path: &'a Path,
}

impl Folder<'_> {
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes way for a file that an interrupted build may have left half written.
    pub(super) fn clear(&self, name: &str) -> Result<PathBuf, IndexError> {
        let path = self.file(name);
        if self.exists(&path)? {
            let removed = self.disk.remove_file(&path);
            removed.map_err(|error| StorageError::io("remove", &path, error))?;
        }
        Ok(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, IndexError> {
        let exists = self.disk.exists(path);
        Ok(exists.map_err(|error| StorageError::io("look for", path, error))?)
    }
}

const NAME: &str = "job.json";

impl Job {
    /// The job that the folder holds, if it is of the same build, else a new one.
    pub(super) fn open(
        folder: &Folder<'_>,
        params: &DiskAnnParams,
        metric: Metric,
        vectors: &FileVectors,
        memory_bytes: u64,
    ) -> Result<Self, IndexError> {
        let of = Identity {
            params: params.clone(),
            metric,
            rows: vectors.rows(),
            dim: vectors.dim(),
            element: vectors.element().to_string(),
            memory_bytes,
        };
        let path = folder.file(NAME);
        if folder.exists(&path)? {
            let read = || {
                let file = folder.disk.open(&path)?;
                let mut bytes = vec![0; file.len() as usize];
                file.read_at(0, &mut bytes).map(|()| bytes)
            };
            let bytes = read().map_err(|error| StorageError::io("read", &path, error))?;
            // What cannot be read is of no use, and costs only the time to do it again.
            if let Ok(job) = serde_json::from_slice::<Self>(&bytes)
                && job.of == of
            {
                return Ok(job);
            }
        }
        Ok(Self {
            of,
            parts: 0,
            parts_built: 0,
            coded: false,
            merged: false,
        })
    }

    pub(super) fn save(&self, folder: &Folder<'_>) -> Result<(), IndexError> {
        let path = folder.file(NAME);
        let bytes = serde_json::to_vec(self).map_err(|error| IndexError::BadSpec {
            text: format!("{self:?}"),
            reason: error.to_string(),
        })?;
        let replaced = folder.disk.replace(&path, &bytes);
        Ok(replaced.map_err(|error| StorageError::io("write", &path, error))?)
    }
}
