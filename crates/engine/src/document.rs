//! Small JSON documents that are replaced atomically: the catalog and the manifests.
//!
//! ```text
//! "VECDBDOC" | version u32 | length u32 | crc32c u32 over version, length and body | body (JSON)
//! ```

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vecdb_storage::Disk;
use vecdb_storage::checksum::{crc32c, crc32c_seeded};

use crate::error::{Error, ErrorKind, Result};

const MAGIC: &[u8; 8] = b"VECDBDOC";
const HEADER: usize = 20;
/// A document is small by design; anything larger is not one.
const BYTES_MAX: u64 = 256 << 20;

pub(crate) fn write<T: Serialize>(
    disk: &dyn Disk,
    path: &Path,
    version: u32,
    value: &T,
) -> Result<()> {
    disk.replace(path, &encode(path, version, value)?)
        .map_err(|e| Error::io("replace", path, e))
}

/// The bytes of a document that is going to be at `path`.
pub(crate) fn encode<T: Serialize>(path: &Path, version: u32, value: &T) -> Result<Vec<u8>> {
    let body = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&checksum(&bytes[8..16], &body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// `None` when there is no such file.
pub(crate) fn read<T: DeserializeOwned>(
    disk: &dyn Disk,
    path: &Path,
    version_max: u32,
) -> Result<Option<T>> {
    let bytes = read_bytes(disk, path)?;
    bytes
        .map(|bytes| decode(path, &bytes, version_max))
        .transpose()
}

/// The bytes of a document; `None` when there is no such file.
pub(crate) fn read_bytes(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    if !disk
        .exists(path)
        .map_err(|e| Error::io("look for", path, e))?
    {
        return Ok(None);
    }
    let file = disk.open(path).map_err(|e| Error::io("open", path, e))?;
    let len = file.len();
    if len < HEADER as u64 || len > BYTES_MAX {
        return Err(Error::corrupt(
            path,
            format_args!("{len} bytes cannot be a document"),
        ));
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(0, &mut bytes)
        .map_err(|e| Error::io("read", path, e))?;
    Ok(Some(bytes))
}

/// What the bytes of the document at `path` say.
pub(crate) fn decode<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    version_max: u32,
) -> Result<T> {
    let Some((header, body)) = bytes.split_at_checked(HEADER) else {
        let what = format_args!("{} bytes cannot be a document", bytes.len());
        return Err(Error::corrupt(path, what));
    };
    let number = |at: usize| {
        header
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_le_bytes)
    };
    if &header[..8] != MAGIC {
        return Err(Error::corrupt(
            path,
            "it does not start as a VecDB document",
        ));
    }
    if number(12) as usize != body.len() || number(16) != checksum(&header[8..16], body) {
        return Err(Error::corrupt(
            path,
            "its checksum does not match its bytes (offset 0)",
        ));
    }
    if number(8) > version_max {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} has format version {}; this program reads up to {version_max}: use a newer VecDB",
                path.display(),
                number(8)
            ),
        ));
    }
    serde_json::from_slice(body).map_err(|e| Error::corrupt(path, e))
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    crc32c_seeded(crc32c(head), body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vecdb_storage::MemoryDisk;

    #[test]
    fn every_flipped_or_missing_byte_is_noticed() {
        let disk = MemoryDisk::default();
        let path = Path::new("/db/DOC");
        disk.create_dir(Path::new("/db")).unwrap();
        write(&disk, path, 1, &vec![1, 2, 3]).unwrap();
        assert_eq!(
            read::<Vec<u8>>(&disk, path, 1).unwrap(),
            Some(vec![1, 2, 3])
        );
        let file = disk.open(path).unwrap();
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            disk.replace(path, &damaged).unwrap();
            assert!(read::<Vec<u8>>(&disk, path, u32::MAX).is_err(), "byte {at}");
            disk.replace(path, &bytes[..at]).unwrap();
            assert!(
                read::<Vec<u8>>(&disk, path, u32::MAX).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_number() {
        let disk = MemoryDisk::default();
        let path = Path::new("/DOC");
        write(&disk, path, 7, &1).unwrap();
        let error = read::<u8>(&disk, path, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains('7'), "{error}");
    }
}
