//! The only door to files: small enough to fake, so that tests can fail, tear or lose any write.
//!
//! Rules that every implementation keeps: [`DiskFile`] only appends; sealed files are never written
//! again through any name; a name made, renamed or removed is durable only after
//! [`Disk::sync_dir`] of its folder; bytes are durable only after [`DiskFile::sync`].

mod blob;
mod file;
mod map;
mod memory;
mod pages;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

pub use blob::{Access, Blob};
pub use file::FileDisk;
pub use memory::MemoryDisk;
pub use pages::{
    BlockLayout, Completion, MappedPages, OpenedPages, PAGE_BYTES, PageIo, PageReader, PageSource,
    open_pages,
};

use crate::StorageError;

/// A place for files. Paths are absolute or relative, as given.
pub trait Disk: Send + Sync + Debug {
    /// Makes a new file for appending; `AlreadyExists` if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskRead>>;
    /// Maps a sealed file of which the length is known; another length is `InvalidData`.
    fn map(&self, path: &Path, expected_len: u64) -> io::Result<Blob>;
    /// Replaces a small file atomically and durably: `<path>.tmp` is written, synced and renamed,
    /// then the folder is synced.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a folder and its missing parents, each durably. Fine if it exists: then its name is
    /// made durable, since whoever made it may have been killed before.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a file's name; open maps and handles stay readable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all below it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or folder; an existing file is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    fn link(&self, existing: &Path, new: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// What is in a folder, ordered by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// True if a file or folder of this name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Takes an exclusive advisory lock, held until the guard drops; `WouldBlock` while any other
    /// guard of the same path lives, in this process or another.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// A file being written, at its end only.
pub trait DiskFile: Send {
    /// Appends all the bytes. After an error the file's end is unknown.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all bytes written so far durable (fdatasync). After an error nothing is known of the
    /// bytes since the last successful sync, and another sync proves nothing.
    fn sync(&mut self) -> io::Result<()>;
    /// Bytes written.
    fn len(&self) -> u64;
    /// True if nothing was written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A hint that the file will grow to so many bytes; may do nothing.
    fn preallocate(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
}

/// A file open for reading.
pub trait DiskRead: Send + Sync {
    /// Length when opened, in bytes.
    fn len(&self) -> u64;
    /// True if there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `out` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name without the folder.
    pub name: String,
    /// True for a folder.
    pub is_dir: bool,
    /// Length in bytes; 0 for a folder.
    pub len: u64,
}

/// `<path>.tmp`, the name under which a file is written before it is renamed.
pub fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".tmp");
    PathBuf::from(name)
}

/// The folder that holds `path`; "." for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Takes the lock that keeps a second database off the same folder.
pub fn take_lock(disk: &dyn Disk, path: &Path) -> Result<Box<dyn Send + Sync>, StorageError> {
    disk.lock(path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked {
            path: path.to_path_buf(),
        },
        _ => StorageError::io("lock", path, error),
    })
}

pub(crate) fn wrong_length(path: &Path, found: u64, expected: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "{} has {found} bytes where {expected} were written",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests;
