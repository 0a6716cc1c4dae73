//! Puts encoded frames into files. Used by one thread at a time: the leader of a group, or recovery.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::FileHeader;
use crate::StorageError;
use crate::disk::{Disk, DiskFile, temporary_name};

/// The file being written and where the next ones go.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    current: Option<Current>,
}

struct Current {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    unsynced: bool,
}

/// A file under its temporary name, so that a crash leaves either all of it or nothing.
pub(super) struct NewFile<'a> {
    writer: &'a mut Writer,
    current: Current,
    temporary: PathBuf,
}

impl Writer {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self {
            disk,
            dir: dir.to_path_buf(),
            current: None,
        }
    }

    /// Hands frames to the operating system.
    pub(super) fn write(&mut self, frames: &[u8]) -> Result<(), StorageError> {
        match &mut self.current {
            Some(current) => current.write(frames),
            None => Ok(()),
        }
    }

    /// Takes room on the disk for the file to grow to so many bytes.
    pub(super) fn extend(&mut self, bytes: u64) -> Result<(), StorageError> {
        match &mut self.current {
            Some(current) => current.extend(bytes),
            None => Ok(()),
        }
    }

    /// Makes everything written durable.
    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
        match &mut self.current {
            Some(current) if current.unsynced => current.sync(),
            _ => Ok(()),
        }
    }

    /// Begins a file with its header.
    pub(super) fn begin(&mut self, header: &FileHeader) -> Result<NewFile<'_>, StorageError> {
        let path = header.path(&self.dir);
        let temporary = temporary_name(&path);
        // What is left of an attempt on a full disk.
        if self
            .disk
            .exists(&temporary)
            .map_err(|e| StorageError::io("look for", &temporary, e))?
        {
            self.disk
                .remove_file(&temporary)
                .map_err(|e| StorageError::io("remove", &temporary, e))?;
        }
        let file = self
            .disk
            .create(&temporary)
            .map_err(|e| StorageError::io("create", &temporary, e))?;
        let mut current = Current {
            file,
            path,
            unsynced: true,
        };
        current.write(&header.encode())?;
        Ok(NewFile {
            writer: self,
            current,
            temporary,
        })
    }
}

impl NewFile<'_> {
    pub(super) fn write(&mut self, frames: &[u8]) -> Result<(), StorageError> {
        self.current.write(frames)
    }

    /// Takes room for so many bytes and makes the header durable. Nothing has the file's name yet.
    pub(super) fn prepare(mut self, bytes: u64) -> Result<Option<Self>, StorageError> {
        self.current.extend(bytes)?;
        self.current.sync()?;
        Ok(Some(self))
    }

    /// Makes the file durable and then its name; from here on it is the one written to.
    pub(super) fn publish(self) -> Result<(), StorageError> {
        let Self {
            writer,
            mut current,
            temporary,
        } = self;
        if current.unsynced {
            current.sync()?;
        }
        writer
            .disk
            .rename(&temporary, &current.path)
            .map_err(|e| StorageError::io("rename", &temporary, e))?;
        writer
            .disk
            .sync_dir(&writer.dir)
            .map_err(|e| StorageError::io("sync", &writer.dir, e))?;
        writer.current = Some(current);
        Ok(())
    }
}

impl Current {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        self.file
            .write(bytes)
            .map_err(|e| StorageError::io("write", &self.path, e))
    }

    fn extend(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.file
            .preallocate(bytes)
            .map_err(|e| StorageError::io("make room for", &self.path, e))
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.file
            .sync()
            .map_err(|e| StorageError::io("sync", &self.path, e))?;
        self.unsynced = false;
        Ok(())
    }
}
