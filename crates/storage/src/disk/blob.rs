//! Shared read-only bytes, whether mapped or in memory.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::map::Map;
use crate::StorageError;

/// Start of every whole blob is a multiple of this, so that vector rows can be read aligned.
const ALIGNMENT: usize = 64;

/// Shared read-only bytes: a map of a sealed file or owned memory. Cloning and slicing share.
///
/// A whole blob starts at a 64-byte boundary; a slice starts where it was cut.
#[derive(Clone)]
pub struct Blob {
    memory: Arc<Memory>,
    start: usize,
    len: usize,
}

enum Memory {
    /// Bytes that begin at `start` in the vector, which is never touched again.
    Owned {
        bytes: Vec<u8>,
        start: usize,
    },
    Mapped(Map),
}

/// How mapped bytes will be read: a hint for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Here and there: no read-ahead.
    Random,
    /// From front to back.
    Sequential,
    /// Soon: read it now.
    WillNeed,
}

impl Blob {
    /// Owned bytes; copied once if the vector is not aligned.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        let memory = if len == 0 || bytes.as_ptr().align_offset(ALIGNMENT) == 0 {
            Memory::Owned { bytes, start: 0 }
        } else {
            let mut aligned: Vec<u8> = Vec::with_capacity(len + ALIGNMENT);
            let start = aligned.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
            aligned.resize(start, 0);
            aligned.extend_from_slice(&bytes);
            Memory::Owned {
                bytes: aligned,
                start,
            }
        };
        Self {
            memory: Arc::new(memory),
            start: 0,
            len,
        }
    }

    /// Maps a whole file whose length was just checked to be `len`.
    pub(super) fn map(file: &File, len: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::from_vec(Vec::new()));
        }
        Ok(Self {
            memory: Arc::new(Memory::Mapped(Map::new(file, len)?)),
            start: 0,
            len,
        })
    }

    /// A part of these bytes, sharing the memory; an error if it does not lie inside.
    pub fn slice(&self, range: Range<usize>) -> Result<Self, StorageError> {
        if range.start > range.end || range.end > self.len {
            return Err(StorageError::Usage(format!(
                "bytes {}..{} of a blob of {} bytes",
                range.start, range.end, self.len
            )));
        }
        Ok(Self {
            memory: Arc::clone(&self.memory),
            start: self.start + range.start,
            len: range.end - range.start,
        })
    }

    /// Says how these bytes will be read. Only a hint: failures and owned memory are ignored.
    pub fn advise(&self, access: Access) {
        if let Memory::Mapped(map) = &*self.memory
            && self.len > 0
        {
            // A kernel that refuses the hint still serves the bytes.
            let _ = map.advise(access, self.start..self.start + self.len);
        }
    }

    /// True if the bytes are a map of a file, so that they may not be in memory.
    pub fn is_mapped(&self) -> bool {
        matches!(*self.memory, Memory::Mapped(_))
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &*self.memory {
            Memory::Owned { bytes, start } => &bytes[*start..],
            Memory::Mapped(map) => map.bytes(),
        };
        &all[self.start..self.start + self.len]
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::from_vec(Vec::new())
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob")
            .field("len", &self.len)
            .field("mapped", &self.is_mapped())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_blobs_are_aligned_and_slices_share() {
        for len in [0usize, 1, 63, 64, 65, 4097] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let blob = Blob::from_vec(bytes.clone());
            assert_eq!(&*blob, &bytes[..]);
            assert!(len == 0 || blob.as_ptr().align_offset(ALIGNMENT) == 0);
            let half = blob.slice(len / 2..len).unwrap();
            assert_eq!(&*half, &bytes[len / 2..]);
            assert_eq!(&*half.slice(0..0).unwrap(), &[] as &[u8]);
            assert!(blob.slice(0..len + 1).is_err());
            assert!(half.slice(0..len - len / 2 + 1).is_err());
        }
    }
}
