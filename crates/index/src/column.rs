//! Bytes of an index: fresh from a build, or a section of a file whose blocks are checked when first used.

use std::ops::Range;
use std::path::Path;

use vecdb_storage::{Blob, Section, SectionFile, SectionWriter};

use crate::IndexError;

/// An array of an index, read in place.
#[derive(Debug)]
pub(crate) struct Column {
    name: &'static str,
    blob: Blob,
    /// `None` for bytes that were never on a disk.
    section: Option<Section>,
}

impl Column {
    /// Of a build.
    pub(crate) fn built(name: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            name,
            blob: Blob::from_vec(bytes),
            section: None,
        }
    }

    /// Of a file; an error unless it has exactly so many bytes.
    pub(crate) fn open(
        file: &SectionFile,
        name: &'static str,
        bytes: u64,
    ) -> Result<Self, IndexError> {
        let section = file.section(name)?;
        if section.len() as u64 != bytes {
            return Err(IndexError::Corrupt {
                section: name,
                what: format!("{} bytes where the index needs {bytes}", section.len()),
            });
        }
        Ok(Self {
            name,
            blob: section.bytes_unverified(),
            section: Some(section),
        })
    }

    pub(crate) fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        Ok(writer.add(self.name, &self.blob)?)
    }

    /// All bytes, unchecked.
    pub(crate) fn blob(&self) -> Blob {
        self.blob.clone()
    }

    /// The file it was opened from, and where it begins there.
    pub(crate) fn place(&self) -> Option<(&Path, u64)> {
        let section = self.section.as_ref()?;
        Some((section.path(), section.file_offset()))
    }

    pub(crate) fn len(&self) -> usize {
        self.blob.len()
    }

    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> Result<&[u8], IndexError> {
        if let Some(section) = &self.section {
            section.verify_range(range.clone())?;
        }
        self.blob
            .get(range.clone())
            .ok_or_else(|| self.corrupt(format!("no bytes {}..{}", range.start, range.end)))
    }

    /// All bytes. Those that a reader uses it checks before, see [`Column::check`].
    pub(crate) fn whole(&self) -> &[u8] {
        &self.blob
    }

    /// Checks some bytes against their checksums.
    #[inline]
    pub(crate) fn check(&self, range: Range<usize>) -> Result<(), IndexError> {
        match &self.section {
            Some(section) => Ok(section.verify_range(range)?),
            None => Ok(()),
        }
    }

    /// Little-endian words.
    #[inline]
    pub(crate) fn words(&self, start: usize, count: usize) -> Result<&[u32], IndexError> {
        self.numbers(start, count)
    }

    pub(crate) fn floats(&self, start: usize, count: usize) -> Result<&[f32], IndexError> {
        self.numbers(start, count)
    }

    pub(crate) fn halves(&self, start: usize, count: usize) -> Result<&[u16], IndexError> {
        self.numbers(start, count)
    }

    #[inline]
    fn numbers<T: bytemuck::Pod>(&self, start: usize, count: usize) -> Result<&[T], IndexError> {
        // Numbers are read in place.
        const { assert!(cfg!(target_endian = "little")) };
        if count == 0 {
            return Ok(&[]);
        }
        let bytes = self.bytes(start * size_of::<T>()..(start + count) * size_of::<T>())?;
        if bytes.is_empty() {
            // Where no bytes lie is aligned to nothing.
            return Ok(&[]);
        }
        bytemuck::try_cast_slice(bytes)
            .map_err(|_| self.corrupt("is not aligned to its numbers".to_owned()))
    }

    pub(crate) fn corrupt(&self, what: String) -> IndexError {
        IndexError::Corrupt {
            section: self.name,
            what,
        }
    }
}
