//! Files of a snapshot: second names where the file system gives them, else copies, in bounded memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_storage::Disk;
use vecdb_storage::checksum::crc32c_seeded;

use super::SnapshotManifest;
use crate::error::{Error, Result};
use crate::stop::StopSignal;

const CHUNK: usize = 1 << 20;

/// Section files begin with so many bytes that hold an identity of their own.
pub const FILE_HEAD_BYTES: u64 = 4096;

/// A file that was put into a folder.
pub(crate) struct PlacedFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Of all its bytes, if they were read.
    pub(crate) crc32c: Option<u32>,
    /// It has bytes of its own, which were written for it.
    pub(crate) written: bool,
}

/// How a file got to its place.
pub(crate) struct Placed {
    /// Of all its bytes, if they were read.
    pub(crate) crc32c: Option<u32>,
    pub(crate) written: bool,
}

/// What a snapshot took to the place where snapshots are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Bytes that were written there.
    pub uploaded_bytes: u64,
    /// Bytes of files that were there already, or that are the database's own under a second name.
    pub reused_bytes: u64,
}

/// Files of earlier snapshots in the same place: one of the same content is given a second name instead of another copy.
#[derive(Debug, Default)]
pub struct EarlierFiles(BTreeMap<(u64, u32), Vec<PathBuf>>);

impl EarlierFiles {
    /// Takes up the files of `snapshot`, which lies in `folder`.
    pub fn add(&mut self, folder: &Path, snapshot: &SnapshotManifest) {
        for (at, collection) in snapshot.collections.iter().enumerate() {
            let folder = folder.join(SnapshotManifest::folder(at));
            for file in collection.files.iter().filter(|f| f.is_sealed()) {
                let same = self.0.entry((file.bytes, file.crc32c)).or_default();
                same.push(folder.join(&file.name));
            }
        }
    }

    /// Gives a file of the content of `from` the name `to`; the checksum of that content, and whether there was one.
    fn link(
        &self,
        disk: &dyn Disk,
        from: &Path,
        to: &Path,
        stop: &StopSignal,
    ) -> Result<(u32, bool)> {
        let (bytes, crc) = checksum_of(disk, from, stop)?;
        for earlier in self.0.get(&(bytes, crc)).into_iter().flatten() {
            // What became of it since is not passed on.
            let same = head_of(disk, earlier).ok() == Some(head_of(disk, from)?)
                && checksum_of(disk, earlier, stop).ok() == Some((bytes, crc));
            if same && disk.link(earlier, to).is_ok() {
                return Ok((crc, true));
            }
        }
        Ok((crc, false))
    }
}

fn head_of(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let file = disk.open(path).map_err(|e| Error::io("open", path, e))?;
    let mut head = vec![0; file.len().min(FILE_HEAD_BYTES) as usize];
    file.read_at(0, &mut head)
        .map_err(|e| Error::io("read", path, e))?;
    Ok(head)
}

/// Gives the sealed file `from` the name `to` as well, or copies it where that cannot be and no `earlier` snapshot has
/// one of its content: then its checksum comes back, and the copy is synced. The folder of `to` is not synced.
pub(crate) fn place(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    earlier: &EarlierFiles,
    stop: &StopSignal,
) -> Result<Placed> {
    match disk.link(from, to) {
        Ok(()) => Ok(Placed {
            crc32c: None,
            written: false,
        }),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            ) =>
        {
            Err(Error::io("link", to, e))
        }
        // Another file system, one without links, somebody else's file: whatever it is, a copy does as well.
        Err(_) => {
            if !earlier.0.is_empty()
                && let (crc, true) = earlier.link(disk, from, to, stop)?
            {
                return Ok(Placed {
                    crc32c: Some(crc),
                    written: false,
                });
            }
            Ok(Placed {
                crc32c: Some(copy(disk, from, to, stop)?),
                written: true,
            })
        }
    }
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path, stop: &StopSignal) -> Result<u32> {
    let mut out = disk.create(to).map_err(|e| Error::io("create", to, e))?;
    let (_, crc) = read_all(disk, from, stop, |chunk| {
        out.write(chunk).map_err(|e| Error::io("write", to, e))
    })?;
    out.sync().map_err(|e| Error::io("sync", to, e))?;
    Ok(crc)
}

/// Length and CRC-32C of a file.
pub(crate) fn checksum_of(disk: &dyn Disk, path: &Path, stop: &StopSignal) -> Result<(u64, u32)> {
    read_all(disk, path, stop, |_| Ok(()))
}

fn read_all(
    disk: &dyn Disk,
    path: &Path,
    stop: &StopSignal,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(u64, u32)> {
    let file = disk.open(path).map_err(|e| Error::io("open", path, e))?;
    let mut buffer = vec![0; CHUNK.min(usize::try_from(file.len()).unwrap_or(CHUNK))];
    let (mut at, mut crc) = (0, 0);
    while at < file.len() {
        stop.check()?;
        let len = (file.len() - at).min(CHUNK as u64) as usize;
        let chunk = &mut buffer[..len];
        file.read_at(at, chunk)
            .map_err(|e| Error::io("read", path, e))?;
        crc = crc32c_seeded(crc, chunk);
        each(chunk)?;
        at += len as u64;
    }
    Ok((at, crc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use vecdb_storage::MemoryDisk;
    use vecdb_storage::checksum::crc32c;

    #[test]
    fn copies_and_links_have_the_same_bytes_and_checksums() {
        let disk = MemoryDisk::default();
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let paths = ["from", "copy", "link"].map(|name| format!("/{len}-{name}"));
            let [from, copied, linked] = paths.each_ref().map(Path::new);
            disk.create(from).unwrap().write(&bytes).unwrap();
            let never = StopSignal::default();
            assert_eq!(copy(&disk, from, copied, &never).unwrap(), crc32c(&bytes));
            let placed = place(&disk, from, linked, &EarlierFiles::default(), &never).unwrap();
            assert!(placed.crc32c.is_none() && !placed.written);
            for path in [from, copied, linked] {
                let expected = (len as u64, crc32c(&bytes));
                assert_eq!(checksum_of(&disk, path, &never).unwrap(), expected);
            }
            let stopped = StopSignal::new();
            stopped.stop();
            if len > 0 {
                let error = checksum_of(&disk, from, &stopped).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Cancelled);
            }
        }
    }
}
