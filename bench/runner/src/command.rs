//! The commands of the harness.

use std::path::PathBuf;

use serde::Deserialize;
use vecdb_engine::{Durability, ElementType, IndexSpec, LIMIT_MAX, Metric, SearchParams};
use vecdb_index::quantizer::QuantizerSpec;

use crate::Outcome;
use crate::remote::{Face, Mix};
use crate::work::Searching;

/// More threads than any machine of a benchmark has.
const THREADS_MAX: usize = 1024;

/// One line of input, such as `{"command":"index_search","k":10,"params":{"ef":100},"threads":1,"out":"ids.npy"}`. Paths named `out` receive
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
    /// Metadata of the base vectors, a line of JSON each, for the loads after it.
    Metadata { path: PathBuf, limit: Option<u32> },
    /// What exact search needs beside the rows (norms under cosine).
    FlatBuild {},
    /// All queries at once, exactly.
    FlatSearch {
        k: usize,
        threads: usize,
        out: PathBuf,
    },
    /// An index over the base vectors.
    IndexBuild { spec: IndexSpec, threads: usize },
    /// Writes the index to a file, for its size.
    IndexSave { path: PathBuf },
    /// All queries one after the other, or spread over threads.
    IndexSearch {
        k: usize,
        params: SearchParams,
        threads: usize,
        out: PathBuf,
    },
    /// Learns a quantizer from the base vectors.
    QuantizerTrain {
        code: QuantizerSpec,
        threads: usize,
        seed: u64,
    },
    /// Codes of all base vectors.
    QuantizerEncode { threads: usize },
    /// All queries one after the other, each compared with all codes.
    QuantizerSearch { k: usize, out: PathBuf },
    /// Opens an index of `vecdb diskann build`, which holds all vectors of its own. `io` is `uring`, `threads` or `mapped`.
    DiskOpen {
        path: PathBuf,
        metric: Metric,
        rows: u32,
        io: String,
        cache_bytes: u64,
    },
    /// All queries by so many threads, each taking the next.
    DiskSearch {
        k: usize,
        params: SearchParams,
        threads: usize,
        out: PathBuf,
    },
    /// Clusters all base vectors: no sampling, so many iterations, random starts. `out` receives the centroids, float32.
    KMeans {
        clusters: usize,
        iterations: u32,
        threads: usize,
        seed: u64,
        out: PathBuf,
    },
    /// Memory of so many GiB, filled with rows of `dim` floats; what `scan` and `read_sum` read.
    Memory { gib: f64, dim: usize, seed: u64 },
    /// Exact search of one query over that memory.
    Scan { k: usize },
    /// The sum of that memory, which costs nothing but reading it.
    ReadSum {},
    /// A database in a folder, made where there is none; with `memtable_bytes_max`, that much stays in memory and in the log.
    DbOpen {
        path: PathBuf,
        memtable_bytes_max: Option<u64>,
    },
    /// The base vectors into a new collection, in batches, ids 0, 1, 2...; with `probe`, a search runs meanwhile every
    /// few milliseconds.
    DbLoad {
        batch: usize,
        #[serde(default)]
        durability: Durability,
        probe: Option<Probe>,
    },
    /// So many searches as those during a load, with nothing beside them.
    DbProbe { probe: Probe, count: usize },
    /// Waits for flushes, index builds and merges.
    DbWaitIdle {},
    /// Points and segments.
    DbInfo {},
    /// Deletes the points of so many rows, writes them anew and flushes: one more segment, and dead rows in those before.
    DbReplace {
        first: usize,
        count: usize,
        batch: usize,
    },
    /// The background begins no merges until `db_resume_merges` or the next opening.
    DbPauseMerges {},
    /// Waits until the background has merged all segments into one; with `probe`, searches meanwhile.
    DbResumeMerges { probe: Option<Probe> },
    /// Merges all segments into one at once, without dead rows; with `probe`, searches meanwhile.
    DbCompact { probe: Option<Probe> },
    /// All queries one after the other through the collection, as it chooses where no `ef` is given.
    DbSearch {
        k: usize,
        ef: Option<u32>,
        #[serde(default)]
        exact: bool,
        out: PathBuf,
    },
    /// All queries by clients that each have a thread, as `remote_search` does it; queries past the first round are not
    /// written down.
    DbSearchAs { searching: Searching, out: PathBuf },
    /// Closes the database cleanly.
    DbClose {},
    /// Opens it again.
    DbReopen { path: PathBuf },
    /// Speaks to a server from now on. `http` is host and port.
    RemoteOpen { grpc: String, http: String },
    /// Loads over one stream of batches into a new collection.
    RemoteLoad {
        batch: usize,
        #[serde(default)]
        durability: Durability,
    },
    /// Waits for the server's flushes, index builds and merges.
    RemoteWaitIdle {},
    /// All queries by clients that each have a connection.
    RemoteSearch {
        face: Face,
        searching: Searching,
        out: PathBuf,
    },
    /// Searches, upserts and deletes for some time.
    RemoteMixed { mix: Mix },
}

impl Command {
    /// Says what no part of the program could do.
    pub(crate) fn check(&self) -> Outcome<()> {
        let (k, threads, metric) = match self {
            Command::DbSearchAs { searching, .. } | Command::RemoteSearch { searching, .. } => {
                (searching.k, searching.clients, Metric::L2)
            }
            Command::RemoteMixed { mix } => (mix.k, mix.connections, Metric::L2),
            Command::Load { metric, .. } => (0, 0, *metric),
            Command::FlatSearch { k, threads, .. }
            | Command::IndexSearch { k, threads, .. }
            | Command::DiskSearch { k, threads, .. } => (*k, *threads, Metric::L2),
            Command::IndexBuild { threads, .. }
            | Command::KMeans { threads, .. }
            | Command::QuantizerTrain { threads, .. }
            | Command::QuantizerEncode { threads } => (0, *threads, Metric::L2),
            Command::Scan { k }
            | Command::DbSearch { k, .. }
            | Command::QuantizerSearch { k, .. } => (*k, 0, Metric::L2),
            _ => (0, 0, Metric::L2),
        };
        if k > LIMIT_MAX {
            return Err(format!("k is {k}, but at most {LIMIT_MAX} is possible").into());
        }
        if threads > THREADS_MAX {
            return Err(
                format!("threads is {threads}, but at most {THREADS_MAX} is possible").into(),
            );
        }
        if !metric.supports(ElementType::F32) {
            return Err(format!(
                "the metric {metric} is not defined on float32, which all rows are"
            )
            .into());
        }
        Ok(())
    }
}

/// How to search beside other work.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    pub(crate) k: usize,
    pub(crate) ef: u32,
    /// Rest between two searches, so that they do not take a processor from that work.
    pub(crate) pause_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_commands_are_refused_before_they_run() {
        let check = |line: &str| serde_json::from_str::<Command>(line).unwrap().check();
        assert!(check(r#"{"command":"scan","k":10}"#).is_ok());
        assert!(check(r#"{"command":"scan","k":100001}"#).is_err());
        assert!(check(r#"{"command":"load","path":"x","metric":"cosine"}"#).is_ok());
        assert!(check(r#"{"command":"load","path":"x","metric":"hamming"}"#).is_err());
        assert!(
            check(r#"{"command":"index_build","spec":{"type":"hnsw"},"threads":5000}"#).is_err()
        );
        let searching = r#"{"clients":5000,"k":10,"ef":null,"with_metadata":true,"repeat":1}"#;
        let line = r#"{"command":"remote_search","face":"grpc","out":"x","searching":"#.to_owned()
            + searching
            + "}";
        assert!(check(&line).is_err());
        assert!(serde_json::from_str::<Command>(r#"{"command":"db_info","k":1}"#).is_err());
    }
}
