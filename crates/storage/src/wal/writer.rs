//! Puts encoded frames into files. Used by one thread at a time: the leader of a group, or recovery.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Position;
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

/// Encoded frames; with a header they begin a new file.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) header: Option<FileHeader>,
    pub(super) frames: Vec<u8>,
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

    /// Hands the frames to the operating system. Returns the position up to which beginning new
    /// files made the log durable, 0 for none.
    pub(super) fn write(&mut self, chunks: &[Chunk]) -> Result<Position, StorageError> {
        let mut durable = 0;
        for chunk in chunks {
            if let Some(header) = &chunk.header {
                self.sync()?;
                self.begin(header)?.publish()?;
                durable = header.first - 1;
            }
            if let Some(current) = &mut self.current {
                current.write(&chunk.frames)?;
            }
        }
        Ok(durable)
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

    /// Makes the file durable and then its name; from here on it is the one written to.
    pub(super) fn publish(self) -> Result<(), StorageError> {
        let Self {
            writer,
            mut current,
            temporary,
        } = self;
        current.sync()?;
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

    fn sync(&mut self) -> Result<(), StorageError> {
        self.file
            .sync()
            .map_err(|e| StorageError::io("sync", &self.path, e))?;
        self.unsynced = false;
        Ok(())
    }
}
