//! Opening a file to be read by blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::aligned::Aligned;
use super::threads::ThreadPages;
use super::{PAGE_BYTES, PageIo, PageSource, usage};

/// Where the blocks of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLayout {
    /// Where the first begins: a multiple of [`PAGE_BYTES`].
    pub offset: u64,
    /// How many there are.
    pub blocks: u64,
    /// Bytes of each: a multiple of [`PAGE_BYTES`].
    pub block_bytes: usize,
}

impl BlockLayout {
    /// Where a block begins in the file.
    pub(super) fn place(&self, block: u64) -> io::Result<u64> {
        if block >= self.blocks {
            return Err(usage(format!("block {block} of {}", self.blocks)));
        }
        Ok(self.offset + block * self.block_bytes as u64)
    }

    fn check(&self, file: &File) -> io::Result<()> {
        let whole = PAGE_BYTES as u64;
        let fits = (self.block_bytes as u64)
            .checked_mul(self.blocks)
            .and_then(|bytes| bytes.checked_add(self.offset))
            .is_some_and(|end| file.metadata().is_ok_and(|about| end <= about.len()));
        let aligned = self.block_bytes > 0
            && self.block_bytes.is_multiple_of(PAGE_BYTES)
            && self.offset.is_multiple_of(whole)
            && u32::try_from(self.block_bytes).is_ok();
        if fits && aligned {
            return Ok(());
        }
        Err(usage(format!(
            "{} blocks of {} bytes from byte {} on do not lie in the file, or not at multiples of {PAGE_BYTES}",
            self.blocks, self.block_bytes, self.offset
        )))
    }
}

/// A source of blocks, and what was not as asked for.
#[derive(Debug)]
pub struct OpenedPages {
    /// The blocks.
    pub source: Arc<dyn PageSource>,
    /// Sentences for people: what is used instead of what was asked for, and why.
    pub notices: Vec<String>,
}

/// Opens the blocks of a file for [`PageIo::Uring`] or [`PageIo::Threads`], past the page cache. Where the kernel has no
/// io_uring for us, threads read; where the file system has no direct I/O, reads go through the page cache: both with a
/// notice.
///
/// # Errors
/// A file that cannot be opened or is shorter than the blocks; [`PageIo::Mapped`], which is [`MappedPages`](super::MappedPages).
pub fn open_pages(path: &Path, layout: BlockLayout, io: PageIo) -> io::Result<OpenedPages> {
    let mut notices = Vec::new();
    let (file, direct) = open(path, layout, &mut notices)?;
    layout.check(&file)?;
    let file = Arc::new(file);
    let source: Arc<dyn PageSource> = match io {
        PageIo::Mapped => {
            return Err(usage("mapped blocks are not read from a file".to_owned()));
        }
        PageIo::Threads => Arc::new(ThreadPages::new(file, layout, direct)?),
        PageIo::Uring => match ring(&file, layout, direct) {
            Ok(source) => source,
            Err(error) => {
                notices.push(format!(
                    "no io_uring here ({error}): a pool of threads reads instead"
                ));
                Arc::new(ThreadPages::new(file, layout, direct)?)
            }
        },
    };
    Ok(OpenedPages { source, notices })
}

#[cfg(target_os = "linux")]
fn ring(file: &Arc<File>, layout: BlockLayout, direct: bool) -> io::Result<Arc<dyn PageSource>> {
    let pages = super::uring::UringPages::new(Arc::clone(file), layout, direct);
    // Containers and system settings take the calls away: found out by making a ring and reading through it.
    let mut probe = pages.reader(1)?;
    if layout.blocks > 0 {
        probe.submit(0, 0)?;
        if let Some(completion) = probe.wait()? {
            completion.result?;
        }
    }
    drop(probe);
    Ok(Arc::new(pages))
}

#[cfg(not(target_os = "linux"))]
fn ring(_file: &Arc<File>, _layout: BlockLayout, _direct: bool) -> io::Result<Arc<dyn PageSource>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has none",
    ))
}

/// The file past the page cache, and whether it is.
fn open(path: &Path, layout: BlockLayout, notices: &mut Vec<String>) -> io::Result<(File, bool)> {
    let refused = match open_direct(path) {
        Ok(file) => {
            // Some file systems open and then refuse to read.
            let mut buffer = Aligned::new(PAGE_BYTES);
            match file.read_at(buffer.bytes_mut(), layout.offset) {
                Ok(_) => return Ok((file, true)),
                Err(error) => error,
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        Err(error) => error,
    };
    let file = File::open(path)?;
    notices.push(format!(
        "no direct I/O on {} ({refused}): reads go through the page cache",
        path.display()
    ));
    Ok((file, false))
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::DIRECT.bits() as i32)
        .open(path)
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path) -> io::Result<File> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has none",
    ))
}
