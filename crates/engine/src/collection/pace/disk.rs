//! A disk on which a merge writes: each write waits for its turn.

use std::io;
use std::path::Path;
use std::sync::Arc;

use vecdb_storage::{Blob, DirEntry, Disk, DiskFile, DiskRead};

use super::MergeRun;

#[derive(Debug)]
pub(super) struct PacedDisk {
    disk: Arc<dyn Disk>,
    run: MergeRun,
}

impl PacedDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, run: MergeRun) -> Self {
        Self { disk, run }
    }
}

struct PacedFile {
    file: Box<dyn DiskFile>,
    run: MergeRun,
}

impl DiskFile for PacedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Whoever merges asks again why it is to end.
        self.run
            .advance(bytes.len() as u64)
            .map_err(io::Error::other)?;
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn len(&self) -> u64 {
        self.file.len()
    }

    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        self.file.preallocate(bytes)
    }
}

impl Disk for PacedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(PacedFile {
            file: self.disk.create(path)?,
            run: self.run.clone(),
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        self.disk.open(path)
    }

    fn map(&self, path: &Path, expected_len: u64) -> io::Result<Blob> {
        self.disk.map(path, expected_len)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(path, bytes)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn link(&self, existing: &Path, new: &Path) -> io::Result<()> {
        self.disk.link(existing, new)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}
