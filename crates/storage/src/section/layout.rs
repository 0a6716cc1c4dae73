//! Header, table and footer: their bytes, written and read back.

use std::path::Path;

use super::{BLOCK_BYTES, SECTION_ALIGNMENT};
use crate::StorageError;
use crate::bytes::{Reader, Writer};
use crate::checksum::{crc32c, crc32c_seeded};

pub(super) const HEADER_BYTES: usize = 4096;
pub(super) const FOOTER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"VECDBSEC";
const END_MAGIC: &[u8; 8] = b"VECDBEND";
const FORMAT: u32 = 1;
const NAME_BYTES_MAX: usize = 255;

/// Checksum of bytes that lie at `offset` of the file `uuid`.
pub(super) fn place_seed(uuid: &[u8; 16], offset: u64) -> u32 {
    crc32c_seeded(crc32c(uuid), &offset.to_le_bytes())
}

pub(super) struct Header {
    pub(super) kind: [u8; 4],
    pub(super) version: u32,
    pub(super) uuid: [u8; 16],
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(MAGIC).u32(FORMAT).bytes(&self.kind);
        w.u32(self.version).bytes(&self.uuid);
        let mut bytes = w.into_vec();
        bytes.resize(HEADER_BYTES - 4, 0);
        let crc = crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, StorageError> {
        let damaged = |offset: u64, what: &str| StorageError::corrupt(path, offset, what);
        let mut r = Reader::new(bytes);
        let magic = r.bytes(8).map_err(|e| e.in_file(path, 0))?;
        if magic != MAGIC {
            return Err(damaged(
                0,
                "not a section file: it does not begin with VECDBSEC",
            ));
        }
        let format = r.u32().map_err(|e| e.in_file(path, 0))?;
        let body = bytes.get(..HEADER_BYTES - 4);
        let stored = bytes.get(HEADER_BYTES - 4..HEADER_BYTES);
        let (Some(body), Some(stored)) = (body, stored) else {
            return Err(damaged(bytes.len() as u64, "the header is cut short"));
        };
        let checks = crc32c(body).to_le_bytes() == stored;
        if checks && format > FORMAT {
            // Only a header that checks is believed about its version.
            return Err(StorageError::NewerFormat {
                path: path.to_path_buf(),
                found: format,
                supported: FORMAT,
            });
        }
        if !checks || format != FORMAT {
            return Err(damaged(0, "the header does not match its checksum"));
        }
        let mut parse = || {
            let mut header = Self {
                kind: [0; 4],
                version: 0,
                uuid: [0; 16],
            };
            header.kind.copy_from_slice(r.bytes(4)?);
            header.version = r.u32()?;
            header.uuid.copy_from_slice(r.bytes(16)?);
            Ok(header)
        };
        parse().map_err(|e: crate::bytes::BytesError| e.in_file(path, 0))
    }
}

/// One section as the table lists it.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) len: u64,
    /// One checksum per block; while writing.
    pub(super) crcs: Vec<u32>,
}

pub(super) fn encode_table(entries: &[Entry]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u32(entries.len() as u32);
    for entry in entries {
        w.u16(entry.name.len() as u16).bytes(entry.name.as_bytes());
        w.u64(entry.offset).u64(entry.len);
        for &crc in &entry.crcs {
            w.u32(crc);
        }
    }
    w.into_vec()
}

/// A section read from the table; its checksums stay in the table's bytes, at `crcs_at`.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) crcs_at: std::ops::Range<usize>,
}

/// Reads the table, which ends the data area at `table_offset`; sections lie before it, in order,
/// aligned and apart.
pub(super) fn decode_table(
    path: &Path,
    table_offset: u64,
    bytes: &[u8],
) -> Result<Vec<Listed>, StorageError> {
    let mut r = Reader::new(bytes);
    let mut parse = || {
        let count = r.u32()?;
        let mut listed = Vec::new();
        let mut free_from = HEADER_BYTES as u64;
        for _ in 0..count {
            let name_len = r.u16()?;
            let name = r.bytes(usize::from(name_len))?;
            let Ok(name) = std::str::from_utf8(name) else {
                return Err(r.error("a section name that is not UTF-8"));
            };
            let (offset, len) = (r.u64()?, r.u64()?);
            let fits = offset >= free_from
                && offset.is_multiple_of(SECTION_ALIGNMENT)
                && offset
                    .checked_add(len)
                    .is_some_and(|end| end <= table_offset);
            if !fits {
                return Err(r.error(format!(
                    "section {name:?} at {offset} with {len} bytes does not lie between {free_from} and {table_offset}"
                )));
            }
            free_from = offset + len;
            let blocks = usize::try_from(len.div_ceil(BLOCK_BYTES as u64)).unwrap_or(usize::MAX);
            let start = r.position();
            r.bytes(blocks.saturating_mul(4))?;
            listed.push(Listed {
                name: name.to_owned(),
                offset,
                len,
                crcs_at: start..r.position(),
            });
        }
        r.finish()?;
        Ok(listed)
    };
    parse().map_err(|e: crate::bytes::BytesError| e.in_file(path, table_offset))
}

pub(super) fn check_name(name: &str) -> Result<(), StorageError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(StorageError::Usage(format!(
            "a section name has 1 to {NAME_BYTES_MAX} bytes, {name:?} has {}",
            name.len()
        )));
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
pub(super) struct Footer {
    pub(super) table_offset: u64,
    pub(super) table_len: u64,
    pub(super) table_crc: u32,
    pub(super) uuid: [u8; 16],
    pub(super) file_len: u64,
}

impl Footer {
    /// The footer's bytes and its own checksum, which is the identity of the whole file.
    pub(super) fn encode(&self) -> (Vec<u8>, u32) {
        let mut w = Writer::new();
        w.u64(self.table_offset).u64(self.table_len);
        w.u32(self.table_crc).bytes(&self.uuid).u64(self.file_len);
        w.u64(0).bytes(END_MAGIC);
        let crc = crc32c(w.as_slice());
        w.u32(crc);
        (w.into_vec(), crc)
    }

    /// Reads the last bytes of a file; also checks that they describe a file of `file_len` bytes.
    pub(super) fn decode(
        path: &Path,
        file_len: u64,
        bytes: &[u8],
    ) -> Result<(Self, u32), StorageError> {
        let base = file_len.saturating_sub(FOOTER_BYTES as u64);
        let mut r = Reader::new(bytes);
        let mut parse = || {
            let footer = Self {
                table_offset: r.u64()?,
                table_len: r.u64()?,
                table_crc: r.u32()?,
                uuid: {
                    let mut uuid = [0; 16];
                    uuid.copy_from_slice(r.bytes(16)?);
                    uuid
                },
                file_len: r.u64()?,
            };
            r.u64()?;
            if r.bytes(8)? != END_MAGIC {
                return Err(r.error("no VECDBEND at the end: the file is cut short or damaged"));
            }
            let body = bytes.get(..r.position()).unwrap_or_default();
            let stored = r.u32()?;
            if crc32c(body) != stored {
                return Err(r.error("the footer does not match its checksum"));
            }
            let ends = footer
                .table_offset
                .checked_add(footer.table_len)
                .and_then(|end| end.checked_add(FOOTER_BYTES as u64));
            if footer.file_len != file_len || ends != Some(file_len) {
                return Err(r.error(format!(
                    "the footer describes a file of {} bytes, this one has {file_len}",
                    footer.file_len
                )));
            }
            r.finish()?;
            Ok((footer, stored))
        };
        parse().map_err(|e: crate::bytes::BytesError| e.in_file(path, base))
    }
}
