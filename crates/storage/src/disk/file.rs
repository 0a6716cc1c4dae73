//! The real disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Blob, DirEntry, Disk, DiskFile, DiskRead, folder_of, temporary_name, wrong_length};

/// Files of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileDisk;

struct Appender {
    file: File,
    len: u64,
}

struct Opened {
    file: File,
    len: u64,
}

/// Unlocked by the system when the descriptor closes.
struct Locked {
    _file: File,
}

impl Disk for FileDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(Appender { file, len: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Box::new(Opened { file, len }))
    }

    fn map(&self, path: &Path, expected_len: u64) -> io::Result<Blob> {
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        if found != expected_len {
            return Err(wrong_length(path, found, expected_len));
        }
        let len = usize::try_from(found).map_err(io::Error::other)?;
        Blob::map(&file, len)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_name(path);
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)?;
        self.sync_dir(folder_of(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let parent = folder_of(path);
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        if path.is_dir() {
            // Its maker may have been killed before the name was durable.
            return match self.sync_dir(parent) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
                _ => Ok(()),
            };
        }
        self.create_dir(parent)?;
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(error) if !path.is_dir() => return Err(error),
            _ => {}
        }
        self.sync_dir(parent)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, existing: &Path, new: &Path) -> io::Result<()> {
        fs::hard_link(existing, new)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed while we were listing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            entries.push(DirEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: metadata.is_dir(),
                len: if metadata.is_dir() { 0 } else { metadata.len() },
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(Locked { _file: file }))
    }
}

impl DiskFile for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> u64 {
        self.len
    }

    #[cfg(target_os = "linux")]
    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            // Not every file system can; then a write meets the full disk.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

impl DiskRead for Opened {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset > self.len {
            // The system would call an offset over i64::MAX invalid.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(out, offset)
    }
}
