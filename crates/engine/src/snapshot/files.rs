//! Files of a snapshot: second names where the file system gives them, else copies, in bounded memory.

use std::io;
use std::path::Path;

use vecdb_storage::Disk;
use vecdb_storage::checksum::crc32c_seeded;

use crate::error::{Error, Result};
use crate::stop::StopSignal;

const CHUNK: usize = 1 << 20;

/// A file that was put into a folder.
pub(crate) struct PlacedFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Of all its bytes, if they were read.
    pub(crate) crc32c: Option<u32>,
}

/// Gives the sealed file `from` the name `to` as well, or copies it where that cannot be: then its checksum comes back,
/// and the copy is synced. The folder of `to` is not synced.
pub(crate) fn place(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    stop: &StopSignal,
) -> Result<Option<u32>> {
    match disk.link(from, to) {
        Ok(()) => Ok(None),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            ) =>
        {
            Err(Error::io("link", to, e))
        }
        // Another file system, one without links, somebody else's file: whatever it is, a copy does as well.
        Err(_) => copy(disk, from, to, stop).map(Some),
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
            assert_eq!(place(&disk, from, linked, &never).unwrap(), None);
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
