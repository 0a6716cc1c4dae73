//! An index on the disk, ready to be searched within a memory limit.

use serde::Serialize;
use vecdb_engine::{ElementType, Metric, SearchParams};
use vecdb_index::DiskAnn;

use crate::args::ReadArgs;
use crate::commands::index_files::IndexFile;
use crate::failure::{Failure, Outcome};
use crate::measure::rss_bytes;
use crate::output::{Console, bytes, count};

/// The cache where no limit is given.
const CACHE_BYTES: u64 = 64 << 20;
/// What a search process takes beside what is counted, and what it grows by: stacks, buffers, hits.
const GROWTH_BYTES: u64 = 8 << 20;

/// How an index is read.
#[derive(Clone, Serialize)]
pub(super) struct Reading {
    io: &'static str,
    direct: bool,
    beam_width: u32,
    memory_limit_bytes: Option<u64>,
    resident_bytes: u64,
    cache_bytes: u64,
    cache_nodes: usize,
}

pub(super) struct Opened {
    pub(super) index: DiskAnn,
    pub(super) metric: Metric,
    pub(super) rows: u32,
    pub(super) reading: Reading,
}

/// The file's description, opened, before memory is counted.
pub(super) struct Described {
    file: IndexFile,
    pub(super) metric: Metric,
    pub(super) shape: (ElementType, usize),
}

impl Described {
    pub(super) fn open(args: &ReadArgs) -> Outcome<Self> {
        let file = IndexFile::open(&args.index, "diskann")?;
        let (metric, shape) = (file.about().metric(), file.about().shape());
        Ok(Self {
            file,
            metric,
            shape,
        })
    }

    /// Opens the index for searches by `threads` at once. What is in memory already, such as queries, counts.
    pub(super) fn index(
        self,
        console: &Console,
        args: &ReadArgs,
        threads: usize,
    ) -> Outcome<Opened> {
        let rows = self.file.about().rows();
        let mut index = DiskAnn::open(self.file.sections(), self.metric, rows)?;
        let resident = index.resident_bytes();
        let cache = match args.memory_limit {
            None => CACHE_BYTES,
            Some(limit) => {
                let searches = threads as u64 * index.search_bytes();
                let others = rss_bytes().unwrap_or(0) + GROWTH_BYTES;
                let needed = resident + searches + others;
                limit.checked_sub(needed).ok_or_else(|| {
                    Failure::usage(format!(
                        "a memory limit of {} is too small for this index, which needs {}: {} of codes and rows, {} for searches, {} for the process",
                        bytes(limit),
                        bytes(needed),
                        bytes(resident),
                        bytes(searches),
                        bytes(others)
                    ))
                })?
            }
        };
        let notices = index.read_through(args.io, cache)?;
        for notice in notices {
            console.note(notice);
        }
        let (io, direct) = index.io();
        let reading = Reading {
            io: io.name(),
            direct,
            beam_width: args.beam_width,
            memory_limit_bytes: args.memory_limit,
            resident_bytes: resident,
            cache_bytes: cache,
            cache_nodes: index.cache_nodes(),
        };
        Ok(Opened {
            index,
            metric: self.metric,
            rows,
            reading,
        })
    }
}

impl Reading {
    pub(super) fn params(&self, ef: u32) -> SearchParams {
        SearchParams {
            ef: Some(ef),
            beam_width: Some(self.beam_width),
            ..SearchParams::default()
        }
    }

    pub(super) fn fact(&self) -> (&'static str, String) {
        let cache = match self.direct {
            true => "past the page cache",
            false => "through the page cache",
        };
        let text = format!(
            "{} {cache}, {} reads at once; {} in memory, {} nodes cached ({})",
            self.io,
            self.beam_width,
            bytes(self.resident_bytes),
            count(self.cache_nodes as u64),
            bytes(self.cache_bytes)
        );
        ("Reading", text)
    }
}
