//! Writes a section file from front to back with bounded memory.

use std::path::{Path, PathBuf};

use super::layout::{Entry, FOOTER_BYTES, Footer, Header, check_name, encode_table, place_seed};
use super::{BLOCK_BYTES, SECTION_ALIGNMENT};
use crate::StorageError;
use crate::checksum::crc32c_seeded;
use crate::disk::{Disk, DiskFile};
use crate::unique::fresh_file_uuid;

/// Bytes gathered before a write to the disk.
const BUFFER_BYTES: usize = 1 << 20;

/// Streams sections into a new file. Memory: 1 MiB and 4 bytes per 64 KiB written.
///
/// The file is complete only after [`SectionWriter::finish`]; dropped before, it is rubbish that
/// [`SectionFile::open`](super::SectionFile::open) refuses.
pub struct SectionWriter {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    uuid: [u8; 16],
    buffer: Vec<u8>,
    /// File offset of the next byte.
    offset: u64,
    entries: Vec<Entry>,
    open: bool,
    /// Checksum so far of the block being filled, and its bytes so far.
    block: (u32, usize),
}

/// What identifies a finished file: record it with the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// Length in bytes.
    pub len: u64,
    /// Checksum over the checksums of everything in the file.
    pub crc: u32,
}

impl SectionWriter {
    /// Begins a new file; `kind` and `version` are the caller's and are compared on opening.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        kind: [u8; 4],
        version: u32,
    ) -> Result<Self, StorageError> {
        let file = disk
            .create(path)
            .map_err(|e| StorageError::io("create", path, e))?;
        let uuid = fresh_file_uuid();
        let header = Header {
            kind,
            version,
            uuid,
        };
        let mut writer = Self {
            file,
            path: path.to_path_buf(),
            uuid,
            buffer: Vec::new(),
            offset: 0,
            entries: Vec::new(),
            open: false,
            block: (0, 0),
        };
        writer.put(&header.encode())?;
        Ok(writer)
    }

    /// Begins a section; its name must be new in this file.
    pub fn begin(&mut self, name: &str) -> Result<(), StorageError> {
        check_name(name)?;
        if self.open {
            return Err(self.misuse(&format!("section {name:?} begun inside another")));
        }
        if self.entries.iter().any(|entry| entry.name == name) {
            return Err(self.misuse(&format!("section {name:?} written twice")));
        }
        self.pad()?;
        self.open = true;
        self.start_block();
        self.entries.push(Entry {
            name: name.to_owned(),
            offset: self.offset,
            len: 0,
            crcs: Vec::new(),
        });
        Ok(())
    }

    /// Appends to the section begun last.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        if !self.open {
            return Err(self.misuse("bytes written outside a section"));
        }
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.1));
            bytes = rest;
            self.put(part)?;
            self.block.0 = crc32c_seeded(self.block.0, part);
            self.block.1 += part.len();
            if let Some(entry) = self.entries.last_mut() {
                entry.len += part.len() as u64;
            }
            if self.block.1 == BLOCK_BYTES {
                self.end_block();
                self.start_block();
            }
        }
        Ok(())
    }

    /// Ends the section begun last.
    pub fn end(&mut self) -> Result<(), StorageError> {
        if !self.open {
            return Err(self.misuse("a section ended that was not begun"));
        }
        if self.block.1 > 0 {
            self.end_block();
        }
        self.open = false;
        Ok(())
    }

    /// A whole section at once.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.begin(name)?;
        self.write(bytes)?;
        self.end()
    }

    /// Writes table and footer and syncs the file. The caller syncs the folder before anything
    /// refers to the file.
    pub fn finish(mut self) -> Result<FileSummary, StorageError> {
        if self.open {
            return Err(self.misuse("the file finished inside a section"));
        }
        let table = encode_table(&self.entries);
        let table_offset = self.offset;
        let footer = Footer {
            table_offset,
            table_len: table.len() as u64,
            table_crc: crc32c_seeded(place_seed(&self.uuid, table_offset), &table),
            uuid: self.uuid,
            file_len: table_offset + (table.len() + FOOTER_BYTES) as u64,
        };
        let (bytes, crc) = footer.encode();
        self.put(&table)?;
        self.put(&bytes)?;
        self.flush()?;
        self.file
            .sync()
            .map_err(|e| StorageError::io("sync", &self.path, e))?;
        Ok(FileSummary {
            len: footer.file_len,
            crc,
        })
    }

    /// Bytes so far, table and footer not counted.
    pub fn len(&self) -> u64 {
        self.offset
    }

    /// True if no section was begun.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The file being written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn start_block(&mut self) {
        self.block = (place_seed(&self.uuid, self.offset), 0);
    }

    fn end_block(&mut self) {
        if let Some(entry) = self.entries.last_mut() {
            entry.crcs.push(self.block.0);
        }
    }

    fn pad(&mut self) -> Result<(), StorageError> {
        let gap = self.offset.next_multiple_of(SECTION_ALIGNMENT) - self.offset;
        self.put(&[0; SECTION_ALIGNMENT as usize][..gap as usize])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.offset += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let written = self.file.write(&self.buffer);
        self.buffer.clear();
        written.map_err(|e| StorageError::io("write", &self.path, e))
    }

    fn misuse(&self, what: &str) -> StorageError {
        StorageError::Usage(format!("{}: {what}", self.path.display()))
    }
}

impl std::fmt::Debug for SectionWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SectionWriter")
            .field("path", &self.path)
            .field("len", &self.offset)
            .finish_non_exhaustive()
    }
}
