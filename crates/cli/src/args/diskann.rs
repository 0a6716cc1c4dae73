//! Flags of `diskann`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use vecdb_engine::DiskAnnParams;
use vecdb_storage::disk::PageIo;

use super::datasets::{BuildFiles, FileMetric, QueryArgs};
use super::help;
use super::sizes::parse_size;

#[derive(Debug, Subcommand)]
pub(crate) enum DiskAnnCommand {
    /// Build an index that stays on the disk over a vector file, within a memory limit if there is one.
    #[command(after_long_help = help::DISKANN_BUILD)]
    Build(DiskAnnBuildArgs),
    /// Search it: hops, reads and cache hits of one query, latencies and recall of many.
    #[command(after_long_help = help::DISKANN_SEARCH)]
    Search(DiskAnnSearchArgs),
    /// Search it many times over: latency, throughput and bandwidth.
    #[command(after_long_help = help::DISKANN_BENCH)]
    Bench(DiskAnnBenchArgs),
    /// Measure recall, reads and speed at several values of ef, and plot them.
    #[command(after_long_help = help::DISKANN_SWEEP)]
    Sweep(DiskAnnSweepArgs),
}

/// Parameters of the graph and its codes.
#[derive(Clone, Debug, Args)]
pub(crate) struct VamanaArgs {
    /// Links of a vector at most. Even, 4 to 256.
    #[arg(long, visible_alias = "R", value_name = "R", default_value_t = DiskAnnParams::default().r)]
    pub(crate) r: u32,
    /// Candidates kept while a vector is linked. 4 to 10,000.
    #[arg(long, visible_alias = "L", value_name = "L", default_value_t = DiskAnnParams::default().l_build)]
    pub(crate) l_build: u32,
    /// How much longer links may be than the nearest ones need: more makes searches take fewer steps. 1 to 2.
    #[arg(long, value_name = "A", default_value_t = DiskAnnParams::default().alpha)]
    pub(crate) alpha: f32,
    /// Bytes in memory for each vector. Default: a quarter of the dimension, but no less than 16 (or the dimension).
    #[arg(long, value_name = "N")]
    pub(crate) code_bytes: Option<u32>,
    /// Seed of all draws. With `--threads 1` the same seed gives the same index.
    #[arg(long, value_name = "N", default_value_t = DiskAnnParams::default().seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) metric: FileMetric,
}

impl VamanaArgs {
    pub(crate) fn params(&self) -> DiskAnnParams {
        DiskAnnParams {
            r: self.r,
            l_build: self.l_build,
            alpha: self.alpha,
            code_bytes: self.code_bytes,
            seed: self.seed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DiskAnnBuildArgs {
    #[command(flatten)]
    pub(crate) files: BuildFiles,
    #[command(flatten)]
    pub(crate) graph: VamanaArgs,
    /// Memory that the build may take, such as 16GB: vectors are read from the disk, in parts that are merged. A build that
    /// was interrupted goes on where it was when it is started again. Default: everything in memory at once.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_limit: Option<u64>,
}

/// An index on the disk, and how it is read.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// File written by `build`. The vectors are in it.
    #[arg(long, value_name = "FILE")]
    pub(crate) index: PathBuf,
    /// uring and threads read past the page cache; mapped lets the system keep what it likes.
    #[arg(long, value_name = "WAY", default_value = "uring", value_parser = page_io())]
    pub(crate) io: PageIo,
    /// Memory that the whole process may take: what codes and searches leave is a cache of nodes. Default: 64 MiB of cache.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_limit: Option<u64>,
    /// Reads on their way at once for each search. 1 to 64.
    #[arg(long, value_name = "N", default_value_t = vecdb_index::diskann::BEAM_WIDTH_DEFAULT)]
    pub(crate) beam_width: u32,
}

#[derive(Debug, Args)]
pub(crate) struct DiskAnnSearchArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Candidates kept while searching; more finds more and reads more. Never less than the limit.
    #[arg(long, value_name = "N", default_value_t = vecdb_index::diskann::EF_DEFAULT)]
    pub(crate) ef: u32,
}

#[derive(Debug, Args)]
pub(crate) struct DiskAnnBenchArgs {
    #[command(flatten)]
    pub(crate) search: DiskAnnSearchArgs,
    /// Searches to run, over the query file again and again.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) queries: usize,
}

#[derive(Debug, Args)]
pub(crate) struct DiskAnnSweepArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) queries: QueryArgs,
    /// Values of ef to measure.
    #[arg(
        long,
        visible_alias = "ef-sweep",
        value_name = "N,N,...",
        value_delimiter = ',',
        default_value = "10,20,30,40,64,100,200"
    )]
    pub(crate) ef: Vec<u32>,
    /// Write recall against queries per second to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

fn page_io() -> impl TypedValueParser<Value = PageIo> {
    let names = PossibleValuesParser::new(PageIo::ALL.map(PageIo::name));
    names.try_map(|name| {
        let mut all = PageIo::ALL.into_iter();
        all.find(|io| io.name() == name)
            .ok_or_else(|| format!("no way to read is named `{name}`"))
    })
}
