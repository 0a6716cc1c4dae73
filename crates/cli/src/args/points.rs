//! Flags of the commands that read and write points.

use std::path::PathBuf;

use clap::Args;
use vecdb_engine::{Plan, PlanCosts, SearchParams};

use super::{HitArgs, VectorArgs};

/// The collection a command works on.
#[derive(Debug, Args)]
pub(crate) struct CollectionName {
    /// The collection.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) collection: String,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// File of points: .jsonl with `id`, `vector` and `metadata`; .parquet (a list column, the rest as metadata); or
    /// plain vectors (.npy, .fvecs, .bvecs, idx), whose ids are their row numbers.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// JSON lines file (gzip is recognised) whose line i describes row i of FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata: Option<PathBuf>,
    /// Key or column of the vector. Default: `vector`, or the only list column that fits.
    #[arg(long, value_name = "NAME")]
    pub(crate) vector_field: Option<String>,
    /// Key or column of the id. Default: `id`.
    #[arg(long, value_name = "NAME")]
    pub(crate) id_field: Option<String>,
    /// Use row numbers from 0 as ids of points that have none.
    #[arg(long)]
    pub(crate) row_ids: bool,
    /// Points written, and acknowledged, at once.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Import at most N points.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Make the collection (and the database) where there is none; the dimension is that of the first vector.
    #[arg(long)]
    pub(crate) create: bool,
    /// Return when everything is written, without waiting for the index.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(
        flatten,
        next_help_heading = "Settings of a new collection (with --create)"
    )]
    pub(crate) vectors: VectorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InsertArgs {
    /// A point as JSON, {"id": ..., "vector": [...], "metadata": {...}}; `-` reads JSON lines from stdin.
    #[arg(
        value_name = "POINT",
        required_unless_present = "id",
        conflicts_with = "id"
    )]
    pub(crate) point: Option<String>,
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Id of the point: digits are a number, the hyphenated form is a UUID, the rest is a string.
    #[arg(long, requires = "vector")]
    pub(crate) id: Option<String>,
    /// Vector of the point as a JSON array.
    #[arg(long, requires = "id", allow_hyphen_values = true)]
    pub(crate) vector: Option<String>,
    /// Metadata of the point as a JSON object.
    #[arg(long, requires = "id")]
    pub(crate) metadata: Option<String>,
    /// Points from stdin written, and acknowledged, at once.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Print a JSON line as soon as a batch is acknowledged: {"acknowledged": points so far, "position": log position}.
    #[arg(long)]
    pub(crate) acks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Ids: digits are a number, the hyphenated form is a UUID, the rest is a string.
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Show the vectors.
    #[arg(long)]
    pub(crate) with_vector: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The query: a JSON array, or @FILE for a row of a vector file (see --row).
    #[arg(
        value_name = "VECTOR",
        required_unless_present = "like",
        conflicts_with = "like"
    )]
    pub(crate) vector: Option<String>,
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Row of @FILE, counted from 0.
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    pub(crate) row: usize,
    /// Search with the vector of this point, which is left out of the hits.
    #[arg(long, value_name = "ID")]
    pub(crate) like: Option<String>,
    #[command(flatten)]
    pub(crate) hits: HitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Ids to delete; those that do not exist are passed over.
    #[arg(
        value_name = "ID",
        required_unless_present = "filter",
        conflicts_with = "filter"
    )]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Delete the points that match.
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Ids of the points; all must exist.
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Set these metadata fields and leave the others.
    #[arg(
        long,
        value_name = "JSON",
        required_unless_present = "replace",
        conflicts_with = "replace"
    )]
    pub(crate) merge: Option<String>,
    /// Put this in the place of all metadata.
    #[arg(long, value_name = "JSON")]
    pub(crate) replace: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Only points that match.
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ScrollArgs {
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Points per page.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Where the last page ended.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// Only points that match.
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
    /// By the values of this field, smallest first; points without a value come last. Give it with every page.
    #[arg(long, value_name = "FIELD")]
    pub(crate) order_by: Option<String>,
    /// Largest value first.
    #[arg(long, requires = "order_by")]
    pub(crate) descending: bool,
    /// Give the vectors.
    #[arg(long)]
    pub(crate) with_vector: bool,
    /// Metadata fields to show as columns. Default: the first five.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// File to write; an older one is replaced. Default: stdout.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Only points that match.
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
    /// Leave the vectors out.
    #[arg(long)]
    pub(crate) no_vectors: bool,
}

/// Knobs of the index.
#[derive(Debug, Args)]
pub(crate) struct KnobArgs {
    /// hnsw and diskann: candidates kept while searching the graph; more finds more and costs more.
    #[arg(long, value_name = "N")]
    ef: Option<u32>,
    /// ivf: lists searched; more finds more and costs more.
    #[arg(long, value_name = "N")]
    nprobe: Option<u32>,
    /// Kinds with compact codes: candidates that are measured exactly.
    #[arg(long, value_name = "N")]
    rerank: Option<u32>,
    /// diskann: reads on their way at once, 64 at most.
    #[arg(long, value_name = "N")]
    beam_width: Option<u32>,
    /// lsh: buckets looked into; more finds more and costs more.
    #[arg(long, value_name = "N")]
    probes: Option<u32>,
    /// lsh: points compared at most.
    #[arg(long, value_name = "N")]
    candidates: Option<u32>,
    /// Recall to look for, in place of --ef, --nprobe or --probes: 0.5 to 0.999.
    #[arg(long, value_name = "R")]
    target_recall: Option<f32>,
    /// hnsw: how a search under a filter is to be answered, for experiments: scan, walk, hop, subset or check. Default:
    /// the cheapest by estimate.
    #[arg(long, value_name = "PLAN")]
    plan: Option<Plan>,
    /// hnsw: what plans are compared by: measured (the time that they are expected to take) or counted (distances).
    /// Default: measured.
    #[arg(long, value_name = "COSTS")]
    plan_costs: Option<PlanCosts>,
    /// Compare every (matching) point instead of using the index.
    #[arg(long)]
    exact: bool,
}

impl KnobArgs {
    pub(crate) fn params(&self) -> SearchParams {
        SearchParams {
            ef: self.ef,
            nprobe: self.nprobe,
            rerank: self.rerank,
            beam_width: self.beam_width,
            probes: self.probes,
            candidates: self.candidates,
            target_recall: self.target_recall,
            plan: self.plan,
            plan_costs: self.plan_costs,
            exact: self.exact,
        }
    }
}
