//! Searches and what they find.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vecdb_engine::{self as engine, LIMIT_MAX};

use super::filter::Filter;
use super::id::PointId;
use super::metadata::{Metadata, MetadataValue};
use super::vector::{Vector, finite_option};
use super::{finite, milliseconds, yes};

/// A search for the points nearest to a vector.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "vector": [1.0, 0.2, 0.0],
    "limit": 5,
    "filter": {"category": "games", "price": {"$lt": 50}},
    "params": {"ef": 128}
})))]
pub(in crate::http) struct SearchRequest {
    pub(super) vector: Vector,
    /// How many hits at most.
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 100000, default = 10)]
    pub(super) limit: u32,
    /// Pass over that many of the nearest hits; together with limit at most 100000.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 99999, default = 0)]
    pub(super) offset: u32,
    /// Give groups in place of hits; limit and offset then count groups.
    pub(super) group_by: Option<GroupBy>,
    pub(super) filter: Option<Filter>,
    #[serde(default)]
    pub(super) params: SearchParams,
    /// Only hits at most this far.
    #[serde(default, deserialize_with = "finite_option")]
    #[schema(minimum = -3.4028234663852886e38, maximum = 3.4028234663852886e38)]
    pub(super) max_distance: Option<f32>,
    /// Only hits of at least this score.
    #[serde(default, deserialize_with = "finite_option")]
    #[schema(minimum = -3.4028234663852886e38, maximum = 3.4028234663852886e38)]
    pub(super) min_score: Option<f32>,
    #[serde(default)]
    pub(super) with_vector: bool,
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(super) with_metadata: bool,
    /// Say how the search was answered.
    #[serde(default)]
    pub(super) explain: bool,
    /// Say how the search would be answered, from estimates, and do not run it: no results.
    #[serde(default)]
    pub(super) explain_only: bool,
    /// Keep the answer, and give one that was kept to the same search if nothing was written since.
    #[serde(default)]
    pub(super) cache: bool,
    /// Stop after this time and give what was found, marked truncated.
    #[schema(minimum = 0, maximum = 4294967295_u32)]
    pub(super) timeout_ms: Option<u32>,
}

/// How hits are grouped. A point whose value is an array is in the group of each of its elements; one without a value is
/// in no group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"field": "category", "group_size": 3})))]
pub(super) struct GroupBy {
    field: String,
    /// Hits of a group at most.
    #[schema(minimum = 1, maximum = 100000)]
    group_size: u32,
}

pub(super) fn ten() -> u32 {
    10
}

/// Knobs of the index; one that the collection's kind does not know is an error.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    /// Pool size of a graph search: larger finds more and costs more.
    #[schema(minimum = 1, maximum = 1000000)]
    ef: Option<u32>,
    /// Lists that ivf searches: more find more and cost more.
    #[schema(minimum = 1, maximum = 1000000)]
    nprobe: Option<u32>,
    /// Candidates by compact codes that are measured exactly.
    #[schema(minimum = 1, maximum = 1000000)]
    rerank: Option<u32>,
    /// Reads of diskann on their way at once, 64 at most.
    #[schema(minimum = 1, maximum = 1000000)]
    beam_width: Option<u32>,
    /// Buckets that lsh looks into: more find more and cost more.
    #[schema(minimum = 1, maximum = 1000000)]
    probes: Option<u32>,
    /// Rows that lsh compares at most.
    #[schema(minimum = 1, maximum = 1000000)]
    candidates: Option<u32>,
    /// Recall at 10 to look for, in place of ef, nprobe or probes.
    #[schema(minimum = 0.5, maximum = 0.999)]
    target_recall: Option<f32>,
    /// How a search under a filter is to be answered, for experiments; default: the cheapest by estimate.
    plan: Option<Plan>,
    /// What plans are compared by where none is asked for; default: measured.
    plan_costs: Option<PlanCosts>,
    /// Compare every (allowed) row instead of using the structure.
    #[serde(default)]
    exact: bool,
}

/// A way to answer a search under a filter.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Plan {
    /// Compare every point that matches.
    Scan,
    /// Walk the graph through all points and keep those that match.
    Walk,
    /// Walk the graph through matching points alone.
    Hop,
    /// Walk a graph of the matching points alone, where there is one: for filters that return often. Else as if none were asked for.
    Subset,
    /// Read the nearest points to see whether they match.
    Check,
}

/// What plans are compared by.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PlanCosts {
    /// The time that they are expected to take, by what searches before took.
    Measured,
    /// Their work in distance computations: the same search is answered in the same way always.
    Counted,
}

impl From<PlanCosts> for engine::PlanCosts {
    fn from(costs: PlanCosts) -> Self {
        match costs {
            PlanCosts::Measured => Self::Measured,
            PlanCosts::Counted => Self::Counted,
        }
    }
}

impl From<Plan> for engine::Plan {
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::Scan => Self::Scan,
            Plan::Walk => Self::Walk,
            Plan::Hop => Self::Hop,
            Plan::Subset => Self::Subset,
            Plan::Check => Self::Check,
        }
    }
}

impl From<SearchRequest> for engine::SearchRequest {
    fn from(request: SearchRequest) -> Self {
        Self {
            limit: request.limit as usize,
            offset: request.offset as usize,
            group_by: request.group_by.map(|group_by| engine::GroupBy {
                field: group_by.field,
                group_size: group_by.group_size as usize,
            }),
            filter: request.filter.map(|filter| filter.0),
            params: engine::SearchParams {
                ef: request.params.ef,
                nprobe: request.params.nprobe,
                rerank: request.params.rerank,
                beam_width: request.params.beam_width,
                probes: request.params.probes,
                candidates: request.params.candidates,
                target_recall: request.params.target_recall,
                plan: request.params.plan.map(Into::into),
                plan_costs: request.params.plan_costs.map(Into::into),
                exact: request.params.exact,
            },
            max_distance: request.max_distance,
            min_score: request.min_score,
            with_vector: request.with_vector,
            with_metadata: request.with_metadata,
            explain: request.explain,
            explain_only: request.explain_only,
            cache: request.cache,
            timeout: request
                .timeout_ms
                .map(|ms| Duration::from_millis(ms.into())),
            ..Self::new(request.vector.0)
        }
    }
}

/// Several searches of one state of the collection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SearchBatchRequest {
    pub(in crate::http) searches: Vec<SearchRequest>,
}

/// The answer to a search.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct SearchResponse {
    /// Nearest first. Empty where groups were asked for.
    results: Vec<SearchResult>,
    /// Where they were asked for: the one with the nearest hit first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    groups: Vec<HitGroup>,
    /// Live points the search was over.
    searched_vectors: u64,
    /// Time inside the engine.
    latency_ms: f32,
    /// The time limit came first: better hits may exist.
    truncated: bool,
    /// It was kept from an earlier search; stats are that search's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    cached: bool,
    stats: SearchStats,
    /// How the search was answered, where that was asked for: plans of each part, conditions, times.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    explanation: Option<Box<engine::Explanation>>,
}

/// The nearest points that have one value of a field.
#[derive(Debug, Serialize, ToSchema)]
struct HitGroup {
    value: MetadataValue,
    /// Nearest first.
    results: Vec<SearchResult>,
}

/// A point that was found.
#[derive(Debug, Serialize, ToSchema)]
struct SearchResult {
    id: PointId,
    /// Larger is better.
    score: f32,
    /// Smaller is nearer.
    distance: f32,
    /// Unless it was not wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    metadata: Option<Metadata>,
    /// Where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    vector: Option<Vector>,
}

/// What a search did.
#[derive(Debug, Serialize, ToSchema)]
struct SearchStats {
    distance_computations: u64,
    /// Distances estimated from sketches of rows that wait for their graph.
    estimated_distances: u64,
    nodes_visited: u64,
    /// Sealed segments searched.
    segments: u32,
    /// Points that match the filter; null without one, and where not every point was looked at.
    matching: Option<u64>,
    /// Fields of the filter that are not indexed, so that points had to be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unindexed: Vec<String>,
}

impl From<engine::SearchResponse> for SearchResponse {
    fn from(response: engine::SearchResponse) -> Self {
        let stats = response.stats;
        let groups = response.groups.into_iter().map(|group| HitGroup {
            value: MetadataValue(group.value),
            results: group.hits.into_iter().map(SearchResult::from).collect(),
        });
        Self {
            groups: groups.collect(),
            results: response.hits.into_iter().map(SearchResult::from).collect(),
            searched_vectors: stats.searched_vectors,
            latency_ms: milliseconds(response.elapsed),
            truncated: response.truncated,
            stats: SearchStats {
                distance_computations: stats.distance_computations,
                estimated_distances: stats.estimated_distances,
                nodes_visited: stats.nodes_visited,
                segments: stats.segments,
                matching: stats.matching,
                unindexed: stats.unindexed,
            },
            cached: response.cached,
            explanation: response.explanation,
        }
    }
}

impl From<engine::Hit> for SearchResult {
    fn from(hit: engine::Hit) -> Self {
        Self {
            id: PointId(hit.id),
            score: finite(hit.score),
            distance: finite(hit.distance),
            metadata: hit.metadata.map(Metadata),
            vector: hit.vector.map(Vector),
        }
    }
}

/// The answers in the order of the searches.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct SearchBatchResponse {
    pub(in crate::http) responses: Vec<SearchResponse>,
}

// The document says these limits in attributes, which take literals only.
const _: () = assert!(LIMIT_MAX == 100_000 && engine::SearchParams::KNOB_MAX == 1_000_000);
