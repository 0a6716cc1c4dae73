//! A place inside the database's folder for files on their way in or out: gone when it is dropped, or at the next open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vecdb_storage::Disk;

use crate::database::Database;
use crate::error::{Error, Result};

/// A folder of its own below `staging/`.
pub struct Staging {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Made exclusively: whoever made it owns the folder of its number.
    claim: PathBuf,
}

impl Database {
    /// A folder in the file system of the database for files on their way in or out.
    pub fn stage(&self) -> Result<Staging> {
        stage(self.disk(), self.path())
    }
}

/// [`Database::stage`] of the database in `root`.
pub(crate) fn stage(disk: &Arc<dyn Disk>, root: &Path) -> Result<Staging> {
    let parent = staging_folder(root);
    disk.create_dir(&parent)
        .map_err(|e| Error::io("create folder", &parent, e))?;
    let mut number = 1u64;
    loop {
        let claim = parent.join(format!("{number}.claim"));
        match disk.create(&claim) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(Error::io("create", &claim, e)),
            Ok(_) => {
                let folder = parent.join(number.to_string());
                return Ok(Staging {
                    disk: disk.clone(),
                    folder,
                    claim,
                });
            }
        }
    }
}

impl Staging {
    /// The folder; it is for whoever holds this to make.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The disk it is on.
    pub fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next open.
        if self.disk.exists(&self.folder).unwrap_or(false) {
            let _ = self.disk.remove_dir_all(&self.folder);
        }
        let _ = self.disk.remove_file(&self.claim);
    }
}

fn staging_folder(root: &Path) -> PathBuf {
    root.join("staging")
}

/// Removes what an interrupted snapshot or restore left in the database's folder.
pub(crate) fn remove_staging(disk: &dyn Disk, root: &Path) {
    let folder = staging_folder(root);
    if disk.exists(&folder).unwrap_or(false) {
        // It is in nobody's way: tried again at the next open.
        let _ = disk.remove_dir_all(&folder);
    }
}
