//! Flags of `advise`.

use std::path::PathBuf;

use clap::Args;
use vecdb_index::AdviceParams;

use super::datasets::FileMetric;
use super::sizes::parse_size;

#[derive(Debug, Args)]
pub(crate) struct AdviseArgs {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE", required_unless_present = "collection")]
    pub(crate) dataset: Option<PathBuf>,
    /// A collection, in place of a file.
    #[arg(long, short, value_name = "NAME", conflicts_with_all = ["dataset", "metric"])]
    pub(crate) collection: Option<String>,
    #[command(flatten)]
    pub(crate) metric: FileMetric,
    /// Share of the true neighbours to be found, 0.5 to 1.
    #[arg(long, value_name = "RECALL", default_value_t = 0.95)]
    target_recall: f32,
    /// Memory for index and vectors, such as 2GB. Default: as much as it takes.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// How many vectors there will be. Default: as many as there are.
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Hits per search.
    #[arg(
        long = "limit",
        short = 'k',
        visible_alias = "k",
        value_name = "K",
        default_value_t = 10
    )]
    limit: usize,
    /// Vectors to measure with.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    sample: u32,
    /// Vectors to search with, which are in no index.
    #[arg(long, value_name = "N", default_value_t = 200)]
    queries: u32,
    /// Seed of the draw.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

impl AdviseArgs {
    pub(crate) fn params(&self) -> AdviceParams {
        AdviceParams {
            target_recall: self.target_recall,
            limit: self.limit,
            memory_bytes: self.memory,
            rows: self.rows,
            sample_rows: self.sample,
            queries: self.queries,
            seed: self.seed,
        }
    }
}
