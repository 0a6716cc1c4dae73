//! Flags of the commands that work on vector files: `flat`, `hnsw`, `ivf` and `lsh`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vecdb_engine::{HnswParams, IvfCode, IvfParams, LshParams, Metric, Quantization};

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
    Build(HnswBuildArgs),
    /// Search a saved graph: hops per layer for one query, latencies and recall for many.
    #[command(after_long_help = help::HNSW_SEARCH)]
    Search(HnswSearchArgs),
    /// Measure recall and speed at several values of ef, and plot them.
    #[command(after_long_help = help::HNSW_SWEEP)]
    Sweep(HnswSweepArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum IvfCommand {
    /// Learn centroids from a vector file, put its vectors into lists around them, and save that.
    #[command(after_long_help = help::IVF_BUILD)]
    Build(IvfBuildArgs),
    /// Search saved lists: those searched for one query, latencies and recall for many.
    #[command(after_long_help = help::IVF_SEARCH)]
    Search(IvfSearchArgs),
    /// Measure recall and speed at several values of nprobe, and plot them.
    #[command(after_long_help = help::IVF_SWEEP)]
    Sweep(IvfSweepArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum LshCommand {
    /// Hash the vectors of a file into the buckets of several tables, and save that.
    #[command(after_long_help = help::LSH_BUILD)]
    Build(LshBuildArgs),
    /// Search saved tables: which of them found each hit, candidates, latencies and recall.
    #[command(after_long_help = help::LSH_SEARCH)]
    Search(LshSearchArgs),
    /// Measure recall, speed and size at several numbers of tables and hashes, and plot them.
    #[command(after_long_help = help::LSH_SWEEP)]
    Sweep(LshSweepArgs),
    /// Propose tables and hashes for a recall, by the collision formula and a sample of the vectors.
    #[command(after_long_help = help::LSH_ADVISE)]
    Advise(LshAdviseArgs),
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
    #[command(flatten)]
    pub(crate) metric: FileMetric,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct FileMetric {
    /// l2, cosine, dot, l1; hamming and jaccard take each byte of a u8 file as eight bits.
    #[arg(long, default_value = "l2")]
    pub(crate) metric: Metric,
}

/// What an index is built over, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct BuildFiles {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    /// File to write the index to; an older one is replaced. The vectors stay in the dataset, which searches read.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// A saved index and its vectors.
#[derive(Debug, Args)]
pub(crate) struct IndexFiles {
    /// File written by `build`.
    #[arg(long, value_name = "FILE")]
    pub(crate) index: PathBuf,
    /// File of the vectors that the index was built over. Default: where it lay then.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
}

/// What a sweep measures, and where its plot goes.
#[derive(Debug, Args)]
pub(crate) struct SweepFiles {
    /// File written by `build`. Without it, an index is built over the dataset and not saved.
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// File of the vectors. Default with `--index`: where it lay when the index was built.
    #[arg(long, value_name = "FILE", required_unless_present = "index")]
    pub(crate) dataset: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Write recall against queries per second to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
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
    /// How many times nearer to a kept link a candidate has to be to be left out: 1 as published, more keeps more links.
    /// 1 to 2.
    #[arg(long, value_name = "A", default_value_t = HnswParams::default().alpha)]
    pub(crate) alpha: f32,
    /// What a search walks on: auto (codes of four bits a number where they serve), none (the vectors) or sq4.
    #[arg(long, value_name = "KIND", default_value_t = HnswParams::default().quantization)]
    pub(crate) quantization: Quantization,
    #[command(flatten)]
    pub(crate) metric: FileMetric,
}

impl GraphArgs {
    pub(crate) fn params(&self) -> HnswParams {
        HnswParams {
            m: self.m,
            ef_construction: self.ef_construction,
            seed: self.seed,
            alpha: self.alpha,
            quantization: self.quantization,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct HnswBuildArgs {
    #[command(flatten)]
    pub(crate) files: BuildFiles,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HnswSearchArgs {
    #[command(flatten)]
    pub(crate) files: IndexFiles,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Candidates kept while searching; more finds more and costs more. Never less than the limit.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) ef: u32,
}

#[derive(Debug, Args)]
pub(crate) struct HnswSweepArgs {
    #[command(flatten)]
    pub(crate) files: SweepFiles,
    /// Values of ef to measure.
    #[arg(
        long,
        visible_alias = "ef-sweep",
        value_name = "N,N,...",
        value_delimiter = ',',
        default_value = "10,20,50,100,200"
    )]
    pub(crate) ef: Vec<u32>,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
}

/// Parameters of inverted lists.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListArgs {
    /// Lists, each around a centroid. 1 to 1,000,000. Default: the square root of the number of vectors.
    #[arg(long, visible_alias = "clusters", value_name = "N")]
    pub(crate) nlist: Option<u32>,
    /// What the lists hold of each vector: itself (vector), one byte a number (sq8), or a shorter code: pq, pq16x4 (16
    /// segments of 4 bits), opq16x8, sq4, rabitq, rabitq4, binary. Default: sq8 for f32 and f16 vectors under l2, cosine,
    /// dot and l1, else vector.
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<IvfCode>,
    /// Vectors per list that the centroids are learned from, at most. 1 to 100,000.
    #[arg(long, value_name = "N", default_value_t = IvfParams::default().train_rows_per_list)]
    pub(crate) train_rows_per_list: u32,
    /// Iterations of k-means at most. 1 to 1,000.
    #[arg(long, value_name = "N", default_value_t = IvfParams::default().iterations)]
    pub(crate) iterations: u32,
    /// Seed of the training. The same seed and vectors give the same lists.
    #[arg(long, value_name = "N", default_value_t = IvfParams::default().seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) metric: FileMetric,
}

impl ListArgs {
    pub(crate) fn params(&self) -> IvfParams {
        IvfParams {
            nlist: self.nlist,
            code: self.code,
            train_rows_per_list: self.train_rows_per_list,
            iterations: self.iterations,
            seed: self.seed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct IvfBuildArgs {
    #[command(flatten)]
    pub(crate) files: BuildFiles,
    #[command(flatten)]
    pub(crate) lists: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct IvfSearchArgs {
    #[command(flatten)]
    pub(crate) files: IndexFiles,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Lists searched, the nearest first; more find more and cost more. Default: what the build found to give a recall of
    /// 0.99.
    #[arg(long, value_name = "N")]
    pub(crate) nprobe: Option<u32>,
    #[command(flatten)]
    pub(crate) rerank: RerankArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RerankArgs {
    /// Candidates by codes that are measured by their vectors. Default: what the build found to be enough; for code sq8 6
    /// for each hit, 64 at least.
    #[arg(long, value_name = "N")]
    pub(crate) rerank: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct IvfSweepArgs {
    #[command(flatten)]
    pub(crate) files: SweepFiles,
    /// Values of nprobe to measure.
    #[arg(
        long,
        visible_alias = "nprobe-sweep",
        value_name = "N,N,...",
        value_delimiter = ',',
        default_value = "1,2,4,8,16,32"
    )]
    pub(crate) nprobe: Vec<u32>,
    #[command(flatten)]
    pub(crate) rerank: RerankArgs,
    #[command(flatten)]
    pub(crate) lists: ListArgs,
}

/// Parameters of hash tables that all of them share.
#[derive(Clone, Debug, Args)]
pub(crate) struct HashArgs {
    /// Width of the slots of a projection, in units of distance (l2 only). Default: chosen from the distances.
    #[arg(long, value_name = "W")]
    pub(crate) width: Option<f32>,
    /// Seed of the hash functions. The same seed and vectors give the same tables.
    #[arg(long, value_name = "N", default_value_t = LshParams::default().seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) metric: FileMetric,
}

impl HashArgs {
    pub(crate) fn params(&self, tables: Option<u32>, hashes: Option<u32>) -> LshParams {
        LshParams {
            tables,
            hashes,
            width: self.width,
            seed: self.seed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LshBuildArgs {
    #[command(flatten)]
    pub(crate) files: BuildFiles,
    /// Hash tables; each finds what the others miss. 1 to 512. Default: chosen from the distances.
    #[arg(long, value_name = "L")]
    pub(crate) tables: Option<u32>,
    /// Hash functions per table; more make smaller buckets. 1 to 32. Default: chosen from the distances.
    #[arg(long, value_name = "K")]
    pub(crate) hashes: Option<u32>,
    #[command(flatten)]
    pub(crate) functions: HashArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LshSearchArgs {
    #[command(flatten)]
    pub(crate) files: IndexFiles,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Buckets looked into, the likeliest of all tables first; more find more and cost more. Default: what the build found
    /// to give a recall of 0.99.
    #[arg(long, value_name = "N")]
    pub(crate) probes: Option<u32>,
    /// Vectors compared at most.
    #[arg(long, value_name = "N")]
    pub(crate) candidates: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct LshSweepArgs {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised). Indexes over it are not saved.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Write recall against queries per second to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Numbers of tables to measure.
    #[arg(
        long,
        value_name = "L,L,...",
        value_delimiter = ',',
        default_value = "5,10,20"
    )]
    pub(crate) tables: Vec<u32>,
    /// Numbers of hash functions per table to measure, each with each number of tables.
    #[arg(
        long,
        value_name = "K,K,...",
        value_delimiter = ',',
        default_value = "8,12,16"
    )]
    pub(crate) hashes: Vec<u32>,
    /// Buckets looked into. Default: the query's own one of each table.
    #[arg(long, value_name = "N")]
    pub(crate) probes: Option<u32>,
    #[command(flatten)]
    pub(crate) functions: HashArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LshAdviseArgs {
    /// File of vectors (.npy, .fvecs, .bvecs, idx, .jsonl, .parquet; gzip is recognised).
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    /// Recall at 10 that a search of the query's own buckets is to reach. 0.1 to 0.999.
    #[arg(long, value_name = "R", default_value_t = 0.9)]
    pub(crate) target_recall: f64,
    /// Seed of the sample.
    #[arg(long, value_name = "N", default_value_t = LshParams::default().seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) metric: FileMetric,
}
