//! Advice: what is asked and what is said.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vecdb_engine as engine;

use super::settings::IndexConfig;

/// What is wanted of an index.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"target_recall": 0.95, "memory_bytes": 2_000_000_000_u64})))]
pub(in crate::http) struct AdviseRequest {
    /// Share of the true neighbours to be found; 0.95 where it is left out.
    #[schema(minimum = 0.5, maximum = 1, default = 0.95)]
    target_recall: Option<f32>,
    /// Hits of a search; 10 where it is left out.
    #[schema(minimum = 1, maximum = 1000, default = 10)]
    limit: Option<u32>,
    /// Memory for index and vectors, as far as searches have to have them there; no limit where it is left out.
    memory_bytes: Option<u64>,
    /// How many points there will be; as many as there are where it is left out.
    #[schema(minimum = 1)]
    rows: Option<u64>,
    /// Points to measure with; 20,000 where it is left out.
    #[schema(minimum = 256, maximum = 1000000, default = 20000)]
    sample_rows: Option<u32>,
    /// Points to search with, which are in no index; 200 where it is left out.
    #[schema(minimum = 10, maximum = 10000, default = 200)]
    queries: Option<u32>,
    /// Seed of the draw; 42 where it is left out.
    seed: Option<u64>,
}

impl From<AdviseRequest> for engine::AdviceParams {
    fn from(request: AdviseRequest) -> Self {
        let defaults = Self::default();
        Self {
            target_recall: request.target_recall.unwrap_or(defaults.target_recall),
            limit: request.limit.map_or(defaults.limit, |limit| limit as usize),
            memory_bytes: request.memory_bytes,
            rows: request.rows,
            sample_rows: request.sample_rows.unwrap_or(defaults.sample_rows),
            queries: request.queries.unwrap_or(defaults.queries),
            seed: request.seed.unwrap_or(defaults.seed),
        }
    }
}

/// Which index to take.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct AdviseResponse {
    /// Points that the predictions are for.
    rows: u64,
    /// Points measured with.
    sample_rows: u32,
    /// Points searched for.
    queries: u32,
    /// The first choice; null where none will do.
    recommended: Option<IndexChoice>,
    /// All candidates: those that will do first, the fastest of them at the top.
    choices: Vec<IndexChoice>,
}

impl From<engine::Advice> for AdviseResponse {
    fn from(advice: engine::Advice) -> Self {
        Self {
            rows: advice.rows,
            sample_rows: advice.sample_rows,
            queries: advice.queries,
            recommended: advice.recommended().map(IndexChoice::from),
            choices: advice.choices.iter().map(IndexChoice::from).collect(),
        }
    }
}

/// An index as it is predicted to be over all points.
#[derive(Debug, Serialize, ToSchema)]
struct IndexChoice {
    /// As create_collection takes it for its index_config.
    index: IndexConfig,
    params: ChosenParams,
    /// Recall with these knobs on the sample.
    sample_recall: f64,
    /// Whether that is what was wanted.
    reaches_recall: bool,
    /// Whether the memory is enough.
    fits_memory: bool,
    /// Bytes of index and vectors that searches have to have in memory.
    memory_bytes: u64,
    build_seconds: f64,
    /// Median of a search by one thread.
    latency_us: f64,
}

/// The knob to search with, as the params of a search take it; none for flat.
#[derive(Debug, Serialize, ToSchema)]
struct ChosenParams {
    /// For hnsw and diskann.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ef: Option<u32>,
    /// For ivf.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nprobe: Option<u32>,
    /// For lsh.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    probes: Option<u32>,
}

impl From<&engine::Choice> for IndexChoice {
    fn from(choice: &engine::Choice) -> Self {
        Self {
            index: IndexConfig(choice.spec.clone()),
            params: ChosenParams {
                ef: choice.params.ef,
                nprobe: choice.params.nprobe,
                probes: choice.params.probes,
            },
            sample_recall: choice.sample_recall,
            reaches_recall: choice.reaches_recall,
            fits_memory: choice.fits_memory,
            memory_bytes: choice.memory_bytes,
            build_seconds: choice.build_seconds,
            latency_us: choice.latency_us,
        }
    }
}
