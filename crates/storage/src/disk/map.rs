//! Memory maps of sealed files: with `pages/uring.rs` the only place of this crate with `unsafe`.
//!
//! A map dies with SIGBUS if its file is cut short behind our back; so only sealed files are mapped,
//! sealed files are never rewritten (only unlinked), the length is compared before mapping, and the
//! database folder is locked.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Advice, Mmap};

use super::Access;

/// A read-only shared map of a whole file.
#[derive(Debug)]
pub(super) struct Map(Mmap);

impl Map {
    /// Maps `len` bytes of `file`; the caller has compared `len` with the file's length.
    pub(super) fn new(file: &File, len: usize) -> io::Result<Self> {
        // SAFETY: the map is read-only and its file sealed: nothing in this crate writes or cuts a
        // file after it was sealed (removal is by unlink, which keeps mapped pages), and the folder
        // lock keeps other processes of ours away. See the head of this file for what remains.
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
        Ok(Self(map))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Tells the kernel how a range will be read. Only a hint.
    pub(super) fn advise(&self, access: Access, range: Range<usize>) -> io::Result<()> {
        let advice = match access {
            Access::Random => Advice::Random,
            Access::Sequential => Advice::Sequential,
            Access::WillNeed => Advice::WillNeed,
        };
        self.0.advise_range(advice, range.start, range.len())
    }
}
