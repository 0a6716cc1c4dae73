//! Where archived log files are kept: objects by name, each written whole. A folder is such a place; others come from
//! outside, by their URL ([`ArchiveOpener`]).

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use vecdb_storage::disk::take_lock;
use vecdb_storage::{Disk, LogPiece, SealedFile};

use crate::document;
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::{Staging, stage};

/// A place that archives of logs are kept in. Calls block.
pub trait ArchiveStore: Debug + Send + Sync {
    /// What the database remembers, and what messages say: a path, or a URL without secrets.
    fn location(&self) -> String;
    /// Makes the place, if it has to be made.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }
    /// Keeps others from adding to it as long as what this gives lives; `None` where the place cannot do that.
    ///
    /// # Errors
    /// Another process adds to it.
    fn lock(&self) -> Result<Option<Box<dyn Send + Sync>>> {
        Ok(None)
    }
    /// The names of all objects, in any order.
    fn list(&self) -> Result<Vec<String>>;
    /// Small objects, whole; `None` for those that are not there.
    fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>>;
    /// Stores a small object, durably; one that is there is replaced.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()>;
    /// [`Self::write`] of one that is not there.
    ///
    /// # Errors
    /// `AlreadyExists` if it is, as far as the place can tell.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<()>;
    /// Stores the part of a log file that counts, durably; what is there is replaced.
    fn store(&self, disk: &dyn Disk, file: &SealedFile, piece: &LogPiece, name: &str)
    -> Result<()>;
    /// The file of `disk` in which an object of `bytes` can be read at any place: where it lies, or a copy of it in a new
    /// file whose path `copy_to` gives.
    ///
    /// # Errors
    /// `Corrupt` if it is missing or of another length.
    fn at_hand(
        &self,
        name: &str,
        bytes: u64,
        disk: &dyn Disk,
        copy_to: &mut dyn FnMut() -> Result<PathBuf>,
    ) -> Result<PathBuf>;
}

/// Opens archives at URLs.
pub trait ArchiveOpener: Debug + Send + Sync {
    /// The archive there. Nothing is read or made yet.
    ///
    /// # Errors
    /// `InvalidArgument` or `Unsupported`, naming the location without secrets.
    fn open(&self, url: &str) -> Result<Arc<dyn ArchiveStore>>;
}

/// What an archive is read and written with.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveEnv {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) opener: Option<Arc<dyn ArchiveOpener>>,
    /// The folder of the database.
    pub(crate) root: PathBuf,
}

impl ArchiveEnv {
    /// The archive at a folder or a URL.
    pub(crate) fn open(&self, location: &str) -> Result<Arc<dyn ArchiveStore>> {
        if !location.contains("://") {
            return Ok(Arc::new(FolderArchive::new(
                self.disk.clone(),
                PathBuf::from(location),
            )));
        }
        match &self.opener {
            Some(opener) => opener.open(location),
            None => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "this program keeps archives in folders only, not at {location}; open the database with `vecdb_remote::env()`"
                ),
            )),
        }
    }

    /// The bytes of a log file of the archive where they can be read at any place.
    pub(crate) fn at_hand(
        &self,
        store: &dyn ArchiveStore,
        name: &str,
        bytes: u64,
    ) -> Result<AtHand> {
        let mut staging = None;
        let path = store.at_hand(name, bytes, self.disk.as_ref(), &mut || {
            let made = stage(&self.disk, &self.root)?;
            let folder = made.path();
            let created = self.disk.create_dir(folder);
            created.map_err(|e| Error::io("create folder", folder, e))?;
            let path = folder.join("log");
            staging = Some(made);
            Ok(path)
        })?;
        Ok(AtHand { path, staging })
    }
}

/// A file that stays as long as this lives.
pub(crate) struct AtHand {
    pub(crate) path: PathBuf,
    staging: Option<Staging>,
}

impl AtHand {
    /// It is not what lies in the archive.
    pub(crate) fn is_copy(&self) -> bool {
        self.staging.is_some()
    }
}

/// An archive in a folder.
#[derive(Debug)]
pub struct FolderArchive {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl FolderArchive {
    /// That in `folder`. Nothing is read or made yet.
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf) -> Self {
        Self { disk, folder }
    }
}

impl ArchiveStore for FolderArchive {
    fn location(&self) -> String {
        self.folder.display().to_string()
    }

    fn prepare(&self) -> Result<()> {
        let made = self.disk.create_dir(&self.folder);
        made.map_err(|e| Error::io("create folder", &self.folder, e))
    }

    fn lock(&self) -> Result<Option<Box<dyn Send + Sync>>> {
        Ok(Some(take_lock(
            self.disk.as_ref(),
            &self.folder.join("LOCK"),
        )?))
    }

    fn list(&self) -> Result<Vec<String>> {
        let there = self.disk.exists(&self.folder);
        if !there.map_err(|e| Error::io("look for", &self.folder, e))? {
            return Ok(Vec::new());
        }
        let inside = self.disk.list(&self.folder);
        let inside = inside.map_err(|e| Error::io("list", &self.folder, e))?;
        Ok(inside.into_iter().map(|entry| entry.name).collect())
    }

    fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let read =
            |name: &String| document::read_bytes(self.disk.as_ref(), &self.folder.join(name));
        names.iter().map(read).collect()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let written = self.disk.replace(&path, bytes);
        written.map_err(|e| Error::io("replace", &path, e))
    }

    /// The lock keeps others out.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write(name, bytes)
    }

    fn store(
        &self,
        disk: &dyn Disk,
        file: &SealedFile,
        piece: &LogPiece,
        name: &str,
    ) -> Result<()> {
        Ok(file.copy(disk, piece, &self.folder.join(name))?)
    }

    /// Where it lies, on the disk of the database.
    fn at_hand(
        &self,
        name: &str,
        _: u64,
        disk: &dyn Disk,
        _: &mut dyn FnMut() -> Result<PathBuf>,
    ) -> Result<PathBuf> {
        let path = self.folder.join(name);
        match disk.exists(&path) {
            Ok(true) => Ok(path),
            Ok(false) => Err(Error::corrupt(&path, "the file is missing")),
            Err(error) => Err(Error::io("look for", &path, error)),
        }
    }
}
