//! Flags of the commands that work on vector files: `flat` and `hnsw`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vecdb_engine::{HnswParams, Metric};

use super::help;

#[derive(Debug, Subcommand)]
pub(crate) enum FlatCommand {
    /// Compare queries with every vector of a file. Reads the file in pieces, however large it is.
    #[command(after_long_help = help::FLAT_SEARCH)]
    Search(FlatSearchArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum HnswCommand {
    /// Build a graph over a vector file and save it.
    #[command(after_long_help = help::HNSW_BUILD)]
    Build(BuildArgs),
    /// Search a saved graph: hops per layer for one query, latencies and recall for many.
    #[command(after_long_help = help::HNSW_SEARCH)]
    Search(HnswSearchArgs),
    /// Measure recall and speed at several values of ef, and plot them.
    #[command(after_long_help = help::HNSW_SWEEP)]
    Sweep(SweepArgs),
}

/// The queries of a measurement, and what is known about their answers.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// File of query vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE")]
    pub(crate) query: PathBuf,
    /// Hits per query.
    #[arg(
        long = "limit",
        short = 'k',
        visible_alias = "k",
        value_name = "K",
        default_value_t = 10
    )]
    pub(crate) limit: usize,
    /// Use only the first N queries.
    #[arg(long, value_name = "N", conflicts_with = "query_row")]
    pub(crate) limit_queries: Option<usize>,
    /// Use only this row of the query file, counted from 0.
    #[arg(long, value_name = "ROW")]
    pub(crate) query_row: Option<usize>,
    /// True neighbours of each query: .ivecs, or .npy of int32 or int64, nearest first.
    #[arg(long, value_name = "FILE")]
    pub(crate) ground_truth: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FlatSearchArgs {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// l2, cosine, dot, l1; hamming and jaccard take each byte of a u8 file as eight bits.
    #[arg(long, default_value = "l2")]
    pub(crate) metric: Metric,
}

/// Parameters of a graph.
#[derive(Clone, Debug, Args)]
pub(crate) struct GraphArgs {
    /// Links kept per vector on the upper layers; layer 0 keeps twice as many. 2 to 256.
    #[arg(long, visible_alias = "M", value_name = "M", default_value_t = HnswParams::default().m)]
    pub(crate) m: u32,
    /// Candidates kept while inserting; more is slower to build and better connected. 1 to 10,000.
    #[arg(long, visible_alias = "efConstruction", value_name = "N", default_value_t = HnswParams::default().ef_construction)]
    pub(crate) ef_construction: u32,
    /// Seed of the level draw. With `--threads 1` the same seed gives the same graph.
    #[arg(long, value_name = "N", default_value_t = HnswParams::default().seed)]
    pub(crate) seed: u64,
    /// l2, cosine, dot, l1; hamming and jaccard take each byte of a u8 file as eight bits.
    #[arg(long, default_value = "l2")]
    pub(crate) metric: Metric,
}

impl GraphArgs {
    pub(crate) fn params(&self) -> HnswParams {
        HnswParams {
            m: self.m,
            ef_construction: self.ef_construction,
            seed: self.seed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    /// File to write the graph to; an older one is replaced. It holds links only: the vectors stay in the dataset.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HnswSearchArgs {
    /// File written by `hnsw build`.
    #[arg(long, value_name = "FILE")]
    pub(crate) index: PathBuf,
    /// File of the vectors that the graph was built over. Default: where it lay then.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Candidates kept while searching; more finds more and costs more. Never less than the limit.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) ef: u32,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// File written by `hnsw build`. Without it, a graph is built over the dataset and not saved.
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// File of the vectors. Default with `--index`: where it lay when the graph was built.
    #[arg(long, value_name = "FILE", required_unless_present = "index")]
    pub(crate) dataset: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Values of ef to measure.
    #[arg(
        long,
        visible_alias = "ef-sweep",
        value_name = "N,N,...",
        value_delimiter = ',',
        default_value = "10,20,50,100,200"
    )]
    pub(crate) ef: Vec<u32>,
    /// Write recall against queries per second to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
}
