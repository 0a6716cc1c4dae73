//! Reads a section file: opened by its ends, verified block by block.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{FOOTER_BYTES, Footer, HEADER_BYTES, Header, Listed, decode_table, place_seed};
use super::{BLOCK_BYTES, FileSummary};
use crate::StorageError;
use crate::checksum::crc32c_seeded;
use crate::disk::{Blob, Disk};

/// An open sealed file. Header, footer and table were checked, its blocks not yet.
#[derive(Debug)]
pub struct SectionFile {
    path: Arc<Path>,
    kind: [u8; 4],
    version: u32,
    blob: Blob,
    crc: u32,
    data_end: u64,
    sections: Vec<Section>,
}

/// One section of a file; clones share the memory of what was verified.
#[derive(Debug, Clone)]
pub struct Section {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: Arc<Path>,
    name: String,
    uuid: [u8; 16],
    /// In the file.
    offset: u64,
    blob: Blob,
    /// Little-endian u32 per block.
    crcs: Blob,
    /// One bit per block that was found sound.
    verified: Box<[AtomicU64]>,
}

/// What [`verify_file`] read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The file.
    pub path: PathBuf,
    /// The caller's kind and version from the header.
    pub kind: [u8; 4],
    /// The caller's version from the header.
    pub version: u32,
    /// Number of sections.
    pub sections: usize,
    /// Blocks checked.
    pub blocks: u64,
    /// Length and checksum of the file.
    pub summary: FileSummary,
}

impl SectionFile {
    /// Opens a file of this `kind` and of a version up to `max_version`; `expected_len` is the
    /// length recorded when it was written. Reads header, footer and table, maps the rest.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        kind: [u8; 4],
        max_version: u32,
        expected_len: Option<u64>,
    ) -> Result<Self, StorageError> {
        let file = Self::open_any(disk, path, expected_len)?;
        if file.kind != kind {
            return Err(StorageError::corrupt(
                path,
                12,
                format!(
                    "a file of kind {:?} where {:?} was expected",
                    String::from_utf8_lossy(&file.kind),
                    String::from_utf8_lossy(&kind)
                ),
            ));
        }
        if file.version > max_version {
            return Err(StorageError::NewerFormat {
                path: path.to_path_buf(),
                found: file.version,
                supported: max_version,
            });
        }
        Ok(file)
    }

    /// Opens a file of any kind and version, to look at it.
    pub fn open_any(
        disk: &dyn Disk,
        path: &Path,
        expected_len: Option<u64>,
    ) -> Result<Self, StorageError> {
        let file_len = disk
            .open(path)
            .map_err(|e| StorageError::io("open", path, e))?
            .len();
        if let Some(expected) = expected_len
            && expected != file_len
        {
            return Err(StorageError::corrupt(
                path,
                file_len.min(expected),
                format!("the file has {file_len} bytes where {expected} were written"),
            ));
        }
        if file_len < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(StorageError::corrupt(
                path,
                file_len,
                format!("a section file of only {file_len} bytes is cut short"),
            ));
        }
        let blob = disk
            .map(path, file_len)
            .map_err(|e| StorageError::io("map", path, e))?;
        Self::parse(path, blob)
    }

    fn parse(path: &Path, blob: Blob) -> Result<Self, StorageError> {
        let header = Header::decode(path, &blob[..HEADER_BYTES])?;
        let footer_at = blob.len() - FOOTER_BYTES;
        let (footer, crc) = Footer::decode(path, blob.len() as u64, &blob[footer_at..])?;
        if footer.uuid != header.uuid {
            return Err(StorageError::corrupt(
                path,
                footer_at as u64,
                "the footer belongs to another file than the header",
            ));
        }
        // The footer was checked to end the file: the table lies before it.
        let table_at = usize::try_from(footer.table_offset).unwrap_or(usize::MAX);
        if table_at < HEADER_BYTES || table_at > footer_at {
            return Err(StorageError::corrupt(
                path,
                footer_at as u64,
                format!("a section table at {table_at} does not lie inside the file"),
            ));
        }
        let table = blob.slice(table_at..footer_at)?;
        let seed = place_seed(&header.uuid, footer.table_offset);
        if crc32c_seeded(seed, &table) != footer.table_crc {
            return Err(StorageError::corrupt(
                path,
                footer.table_offset,
                "the section table does not match its checksum",
            ));
        }
        let shared_path: Arc<Path> = Arc::from(path);
        let sections = decode_table(path, footer.table_offset, &table)?
            .into_iter()
            .map(|listed| Section::new(&shared_path, header.uuid, &blob, &table, listed))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            path: shared_path,
            kind: header.kind,
            version: header.version,
            blob,
            crc,
            data_end: footer.table_offset,
            sections,
        })
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Result<Section, StorageError> {
        self.sections
            .iter()
            .find(|section| section.name() == name)
            .cloned()
            .ok_or_else(|| StorageError::NoSection {
                path: self.path.to_path_buf(),
                name: name.to_owned(),
                known: self.names().collect::<Vec<_>>().join(", "),
            })
    }

    /// True if there is a section of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Names of the sections in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(Section::name)
    }

    /// The sections in file order.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }

    /// The caller's kind from the header.
    pub fn kind(&self) -> [u8; 4] {
        self.kind
    }

    /// The caller's version from the header.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length and checksum, to compare with what [`super::SectionWriter::finish`] returned.
    pub fn summary(&self) -> FileSummary {
        FileSummary {
            len: self.blob.len() as u64,
            crc: self.crc,
        }
    }

    /// Checks every block not yet checked and that the gaps are zeros.
    pub fn verify(&self) -> Result<VerifyReport, StorageError> {
        let mut blocks = 0;
        let mut free_from = HEADER_BYTES as u64;
        for section in &self.sections {
            section.verify_range(0..section.len())?;
            blocks += section.blocks() as u64;
            self.check_gap(free_from..section.inner.offset)?;
            free_from = section.inner.offset + section.len() as u64;
        }
        self.check_gap(free_from..self.data_end)?;
        Ok(VerifyReport {
            path: self.path.to_path_buf(),
            kind: self.kind,
            version: self.version,
            sections: self.sections.len(),
            blocks,
            summary: self.summary(),
        })
    }

    fn check_gap(&self, gap: Range<u64>) -> Result<(), StorageError> {
        let bytes = &self.blob[gap.start as usize..gap.end as usize];
        match bytes.iter().position(|&byte| byte != 0) {
            None => Ok(()),
            Some(at) => Err(StorageError::corrupt(
                &self.path,
                gap.start + at as u64,
                "a byte that is not zero between sections",
            )),
        }
    }
}

impl Section {
    fn new(
        path: &Arc<Path>,
        uuid: [u8; 16],
        file: &Blob,
        table: &Blob,
        listed: Listed,
    ) -> Result<Self, StorageError> {
        // decode_table checked that the section lies before the table.
        let (start, end) = (
            listed.offset as usize,
            (listed.offset + listed.len) as usize,
        );
        let blob = file.slice(start..end)?;
        let blocks = blob.len().div_ceil(BLOCK_BYTES);
        Ok(Self {
            inner: Arc::new(Inner {
                path: Arc::clone(path),
                name: listed.name,
                uuid,
                offset: listed.offset,
                blob,
                crcs: table.slice(listed.crcs_at)?,
                verified: (0..blocks.div_ceil(64))
                    .map(|_| AtomicU64::new(0))
                    .collect(),
            }),
        })
    }

    /// The section's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.inner.blob.len()
    }

    /// True for a section without bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the section begins in its file: for error messages.
    pub fn file_offset(&self) -> u64 {
        self.inner.offset
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The bytes, after every block was checked (once; later calls only look it up).
    pub fn bytes_verified(&self) -> Result<Blob, StorageError> {
        self.verify_range(0..self.len())?;
        Ok(self.bytes_unverified())
    }

    /// The bytes as they are on disk, for large sections whose content is bounds-checked in use.
    pub fn bytes_unverified(&self) -> Blob {
        self.inner.blob.clone()
    }

    /// Checks the blocks that `range` touches, each once.
    pub fn verify_range(&self, range: Range<usize>) -> Result<(), StorageError> {
        if range.start > range.end || range.end > self.len() {
            return Err(self.corrupt(
                range.start,
                format!(
                    "bytes {}..{} asked of section {:?}, which has {}",
                    range.start,
                    range.end,
                    self.name(),
                    self.len()
                ),
            ));
        }
        if range.is_empty() {
            return Ok(());
        }
        for block in range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES) {
            self.verify_block(block)?;
        }
        Ok(())
    }

    /// Damage found by a reader of this section at `offset` in it.
    pub fn corrupt(&self, offset: usize, what: impl Into<String>) -> StorageError {
        let at = self.inner.offset.saturating_add(offset as u64);
        StorageError::corrupt(&self.inner.path, at, what)
    }

    fn blocks(&self) -> usize {
        self.len().div_ceil(BLOCK_BYTES)
    }

    fn verify_block(&self, block: usize) -> Result<(), StorageError> {
        let bit = 1u64 << (block % 64);
        let word = &self.inner.verified[block / 64];
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let start = block * BLOCK_BYTES;
        let bytes = &self.inner.blob[start..self.len().min(start + BLOCK_BYTES)];
        let seed = place_seed(&self.inner.uuid, self.inner.offset + start as u64);
        let crc = crc32c_seeded(seed, bytes).to_le_bytes();
        if self.inner.crcs.get(block * 4..block * 4 + 4) != Some(&crc[..]) {
            return Err(self.corrupt(
                start,
                format!(
                    "{} bytes of section {:?} do not match their checksum",
                    bytes.len(),
                    self.name()
                ),
            ));
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }
}

/// Reads a whole section file of any kind and checks every byte.
pub fn verify_file(disk: &dyn Disk, path: &Path) -> Result<VerifyReport, StorageError> {
    SectionFile::open_any(disk, path, None)?.verify()
}
