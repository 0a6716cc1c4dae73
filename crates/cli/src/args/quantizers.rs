//! Flags of `pq`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vecdb_index::QuantizerSpec;
use vecdb_index::quantizer::TrainingParams;

use super::datasets::{FileMetric, QueryArgs};
use super::help;

#[derive(Debug, Subcommand)]
pub(crate) enum PqCommand {
    /// Learn codes from a vector file, say how small they are and what they lose, and save what was learned.
    #[command(after_long_help = help::PQ_TRAIN)]
    Train(PqTrainArgs),
    /// Code every vector of a file and save the codes.
    #[command(after_long_help = help::PQ_COMPRESS)]
    Compress(PqCompressArgs),
    /// Search saved codes: the nearest by codes alone, beside their true distances.
    #[command(after_long_help = help::PQ_SEARCH)]
    Search(PqSearchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PqTrainArgs {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    /// File to write the codebooks to; an older one is replaced.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) code: CodeArgs,
    /// Vectors learned from, at most. Default: 128 for each centroid of a segment, at least 8,192.
    #[arg(long, value_name = "N")]
    pub(crate) train_rows: Option<usize>,
    /// Iterations of k-means at most. 1 to 1,000.
    #[arg(long, value_name = "N", default_value_t = TrainingParams::default().iterations, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) iterations: u32,
    /// Seed of the training. The same seed and vectors give the same codes.
    #[arg(long, value_name = "N", default_value_t = TrainingParams::default().seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) metric: FileMetric,
}

/// Which codes.
#[derive(Debug, Args)]
pub(crate) struct CodeArgs {
    /// Segments of a vector, each replaced by a centroid. At most the number of dimensions. Default: 8.
    #[arg(long, visible_alias = "m", value_name = "M")]
    pub(crate) segments: Option<u32>,
    /// Bits of a segment, 4 to 12: 2^bits centroids. Default: 8.
    #[arg(long, value_name = "BITS")]
    pub(crate) bits: Option<u32>,
    /// Learn a rotation before the segments, so that they lose less (OPQ).
    #[arg(long)]
    pub(crate) opq: bool,
    /// Another code by its name: sq4, sq8, rabitq, rabitq4 (1 to 8 bits), binary, or a product code as pq16x4.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["segments", "bits", "opq"])]
    pub(crate) code: Option<QuantizerSpec>,
}

impl CodeArgs {
    pub(crate) fn spec(&self) -> QuantizerSpec {
        self.code.unwrap_or(QuantizerSpec::Pq {
            m: Some(self.segments.unwrap_or(8)),
            bits: self.bits.unwrap_or(8),
            opq: self.opq,
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct PqCompressArgs {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    /// File written by `train`.
    #[arg(long, value_name = "FILE")]
    pub(crate) codebook: PathBuf,
    /// File to write the codes to; an older one is replaced.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PqSearchArgs {
    /// File written by `compress`.
    #[arg(long, value_name = "FILE")]
    pub(crate) codes: PathBuf,
    /// File of the vectors that were compressed. Default: where it lay then.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Candidates by codes that are measured by their vectors. Default: none, hits are ordered by codes alone.
    #[arg(long, value_name = "N")]
    pub(crate) rerank: Option<usize>,
}
