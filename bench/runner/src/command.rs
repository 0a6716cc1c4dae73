//! The commands of the harness.

use std::path::PathBuf;

use serde::Deserialize;
use vecdb_engine::{Durability, Metric};

/// One line of input, such as `{"command":"hnsw_search","k":10,"ef":100,"out":"ids.npy"}`. Paths named `out` receive
/// an int32 .npy of (queries, k) row numbers, -1 where fewer were found.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Which build this is: version, instruction set.
    About {},
    /// Base vectors, of any file type the dataset crate reads.
    Load {
        path: PathBuf,
        limit: Option<u32>,
        metric: Metric,
    },
    /// Query vectors.
    Queries { path: PathBuf, limit: Option<u32> },
    /// What exact search needs beside the rows (norms under cosine).
    FlatBuild {},
    /// All queries at once, exactly.
    FlatSearch {
        k: usize,
        threads: usize,
        out: PathBuf,
    },
    /// A graph over the base vectors.
    HnswBuild {
        m: u32,
        ef_construction: u32,
        threads: usize,
        seed: u64,
    },
    /// Writes the graph to a file, for its size.
    HnswSave { path: PathBuf },
    /// All queries one after the other, or spread over threads.
    HnswSearch {
        k: usize,
        ef: u32,
        threads: usize,
        out: PathBuf,
    },
    /// Memory of so many GiB, filled with rows of `dim` floats; what `scan` and `read_sum` read.
    Memory { gib: f64, dim: usize, seed: u64 },
    /// Exact search of one query over that memory.
    Scan { k: usize },
    /// The sum of that memory, which costs nothing but reading it.
    ReadSum {},
    /// A database in a folder, made where there is none.
    DbOpen { path: PathBuf },
    /// The base vectors into a new collection, in batches, ids 0, 1, 2...; with `probe`, a search runs meanwhile every
    /// few milliseconds.
    DbLoad {
        batch: usize,
        #[serde(default)]
        durability: Durability,
        probe: Option<Probe>,
    },
    /// Waits for flushes, index builds and merges.
    DbWaitIdle {},
    /// Points and segments.
    DbInfo {},
    /// All queries one after the other through the collection.
    DbSearch { k: usize, ef: u32, out: PathBuf },
    /// Closes the database cleanly.
    DbClose {},
    /// Opens it again.
    DbReopen { path: PathBuf },
}

/// How to search during a load.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    pub(crate) k: usize,
    pub(crate) ef: u32,
    /// Rest between two searches, so that they do not take a processor from the load.
    pub(crate) pause_ms: u64,
}
