//! Reading blocks of whole 4 KiB pages of a sealed file, many at a time, completions one by one.
//!
//! A [`PageSource`] is one file's blocks; each search takes a [`PageReader`] of its own from it, starts up to
//! [`PageReader::depth`] reads and takes what comes back in whatever order it comes. There is no barrier: a block is
//! worked on while others are still on their way.
//!
//! - `mapped`: the file's map, or memory; nothing is copied;
//! - `threads`: a pool of threads that read;
//! - `uring`: one io_uring per reader (Linux);
//! - `file`: opening a file for the last two, with direct I/O where the file system has it, else with a notice;
//! - `aligned`: buffers that direct I/O accepts.

mod aligned;
mod file;
mod mapped;
mod threads;
#[cfg(target_os = "linux")]
mod uring;

use std::fmt::Debug;
use std::io;

pub use file::{BlockLayout, OpenedPages, open_pages};
pub use mapped::MappedPages;

/// Bytes of a page: the unit of direct reads.
pub const PAGE_BYTES: usize = 4096;

/// How blocks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageIo {
    /// Direct reads through io_uring.
    Uring,
    /// Direct reads by a pool of threads.
    Threads,
    /// Through the memory map, so through the page cache.
    Mapped,
}

impl PageIo {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Uring, Self::Threads, Self::Mapped];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Threads => "threads",
            Self::Mapped => "mapped",
        }
    }
}

/// The blocks of one file.
pub trait PageSource: Send + Sync + Debug {
    /// A reader with room for `depth` (at least one) reads at a time.
    ///
    /// # Errors
    /// Those of the operating system: no memory or no descriptor left.
    fn reader(&self, depth: usize) -> io::Result<Box<dyn PageReader>>;

    /// How it reads.
    fn io(&self) -> PageIo;

    /// Whether reads go past the page cache.
    fn is_direct(&self) -> bool;
}

/// Reads of one search at a time. Holds a buffer per slot.
pub trait PageReader: Send {
    /// Reads that may be on their way at once: slots are 0 to `depth` - 1.
    fn depth(&self) -> usize;

    /// Starts to read a block into a slot.
    ///
    /// # Errors
    /// A slot that is out of range or on its way, a block that the file does not have.
    fn submit(&mut self, slot: usize, block: u64) -> io::Result<()>;

    /// Waits for the next block to arrive; `None` when none is on its way.
    ///
    /// # Errors
    /// Those of the waiting itself; what happened to the block is in [`Completion::result`].
    fn wait(&mut self) -> io::Result<Option<Completion>>;

    /// The block that arrived in a slot; empty while none has.
    fn bytes(&self, slot: usize) -> &[u8];
}

/// A read that ended.
#[derive(Debug)]
pub struct Completion {
    /// Its slot.
    pub slot: usize,
    /// How long it took, in nanoseconds; 0 where nothing was read.
    pub nanos: u64,
    /// Whether the whole block is there.
    pub result: io::Result<()>,
}

fn usage(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn busy(slot: usize) -> io::Error {
    usage(format!("slot {slot} is still on its way"))
}

fn no_slot(slot: usize, depth: usize) -> io::Error {
    usage(format!("slot {slot} of a reader with {depth}"))
}

#[cfg(test)]
mod tests;
