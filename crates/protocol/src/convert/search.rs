//! Searches and scrolls.

use std::time::Duration;

use vecdb_engine::{
    Error, Explanation, Hit, HitGroup, OrderBy, Record, Result, ScrollPage, ScrollRequest,
    SearchParams, SearchRequest, SearchResponse, SearchStats, StopSignal,
};

use super::{filter, invalid, metadata_message, optional_text, required};
use crate::v1;

impl TryFrom<v1::SearchParams> for SearchParams {
    type Error = Error;

    fn try_from(message: v1::SearchParams) -> Result<Self> {
        let plan = match message.plan.as_str() {
            "" => None,
            plan => Some(plan.parse().map_err(invalid)?),
        };
        let plan_costs = match message.plan_costs.as_str() {
            "" => None,
            costs => Some(costs.parse().map_err(invalid)?),
        };
        Ok(SearchParams {
            ef: message.ef,
            nprobe: message.nprobe,
            rerank: message.rerank,
            beam_width: message.beam_width,
            probes: message.probes,
            candidates: message.candidates,
            target_recall: message.target_recall,
            plan,
            plan_costs,
            exact: message.exact,
        })
    }
}

impl From<SearchParams> for v1::SearchParams {
    fn from(params: SearchParams) -> Self {
        v1::SearchParams {
            ef: params.ef,
            exact: params.exact,
            nprobe: params.nprobe,
            rerank: params.rerank,
            beam_width: params.beam_width,
            probes: params.probes,
            candidates: params.candidates,
            target_recall: params.target_recall,
            plan: params
                .plan
                .map_or_else(String::new, |plan| plan.to_string()),
            plan_costs: params
                .plan_costs
                .map_or_else(String::new, |costs| costs.to_string()),
        }
    }
}

impl TryFrom<v1::SearchRequest> for SearchRequest {
    type Error = Error;

    fn try_from(message: v1::SearchRequest) -> Result<Self> {
        let defaults = SearchRequest::new(message.vector);
        Ok(SearchRequest {
            limit: limit(message.limit, defaults.limit),
            offset: message.offset as usize,
            group_by: message.group_by.map(Into::into),
            filter: filter(message.filter)?,
            params: message.params.unwrap_or_default().try_into()?,
            max_distance: message.max_distance,
            min_score: message.min_score,
            with_vector: message.with_vector,
            with_metadata: message.with_metadata.unwrap_or(defaults.with_metadata),
            explain: message.explain,
            explain_only: message.explain_only,
            cache: message.cache,
            timeout: message
                .timeout_ms
                .map(|ms| Duration::from_millis(u64::from(ms))),
            ..defaults
        })
    }
}

/// A limit of 0 means the default in a message, but nothing in the engine: check it before.
impl From<SearchRequest> for v1::SearchRequest {
    fn from(request: SearchRequest) -> Self {
        v1::SearchRequest {
            collection: String::new(),
            vector: request.vector,
            limit: saturated(request.limit),
            filter: request.filter.as_ref().map(Into::into),
            params: Some(request.params.into()),
            max_distance: request.max_distance,
            min_score: request.min_score,
            with_vector: request.with_vector,
            with_metadata: Some(request.with_metadata),
            timeout_ms: request.timeout.map(ceil_ms),
            explain: request.explain,
            explain_only: request.explain_only,
            cache: request.cache,
            offset: saturated(request.offset),
            group_by: request.group_by.map(Into::into),
        }
    }
}

/// The searches of a batch; an error says which of them is at fault.
pub fn searches(message: v1::SearchBatchRequest) -> Result<Vec<SearchRequest>> {
    let collection = message.collection;
    let searches = message.searches.into_iter().enumerate();
    searches
        .map(|(at, search)| {
            if !search.collection.is_empty() && search.collection != collection {
                return Err(invalid(format!(
                    "query {at} names the collection {:?}, but the batch is for {collection:?}",
                    search.collection
                )));
            }
            SearchRequest::try_from(search)
                .map_err(|error| error.context(format_args!("query {at}")))
        })
        .collect()
}

/// A message does not tell metadata without fields from none: `None` here. No vector is empty.
impl TryFrom<v1::SearchResult> for Hit {
    type Error = Error;

    fn try_from(message: v1::SearchResult) -> Result<Self> {
        let v1::SearchResult {
            id,
            score,
            distance,
            metadata,
            vector,
        } = message;
        let Record {
            id,
            vector,
            metadata,
        } = v1::Record {
            id,
            vector,
            metadata,
        }
        .try_into()?;
        Ok(Hit {
            id,
            distance,
            score,
            vector,
            metadata,
        })
    }
}

impl From<Hit> for v1::SearchResult {
    fn from(hit: Hit) -> Self {
        v1::SearchResult {
            id: Some(hit.id.into()),
            score: hit.score,
            distance: hit.distance,
            metadata: metadata_message(hit.metadata.unwrap_or_default()),
            vector: hit.vector.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::SearchResponse> for SearchResponse {
    type Error = Error;

    fn try_from(message: v1::SearchResponse) -> Result<Self> {
        let stats = required(message.stats, "the stats")?;
        let results = message.results.into_iter();
        let groups = message.groups.into_iter();
        Ok(SearchResponse {
            hits: results.map(Hit::try_from).collect::<Result<_>>()?,
            groups: groups.map(HitGroup::try_from).collect::<Result<_>>()?,
            stats: SearchStats {
                distance_computations: stats.distance_computations,
                estimated_distances: stats.estimated_distances,
                nodes_visited: stats.nodes_visited,
                searched_vectors: message.searched_vectors,
                segments: stats.segments,
                matching: stats.matching,
                unindexed: stats.unindexed,
            },
            explanation: explanation(&message.explanation_json)?,
            cached: message.cached,
            truncated: message.truncated,
            elapsed: Duration::try_from_secs_f64(f64::from(message.latency_ms) / 1e3)
                .map_err(|error| invalid(format!("latency_ms {}: {error}", message.latency_ms)))?,
        })
    }
}

impl From<SearchResponse> for v1::SearchResponse {
    fn from(response: SearchResponse) -> Self {
        let stats = response.stats;
        v1::SearchResponse {
            results: response.hits.into_iter().map(Into::into).collect(),
            searched_vectors: stats.searched_vectors,
            latency_ms: (response.elapsed.as_secs_f64() * 1e3) as f32,
            stats: Some(v1::SearchStats {
                distance_computations: stats.distance_computations,
                estimated_distances: stats.estimated_distances,
                nodes_visited: stats.nodes_visited,
                segments: stats.segments,
                matching: stats.matching,
                unindexed: stats.unindexed,
            }),
            explanation_json: explanation_json(response.explanation.as_deref()),
            truncated: response.truncated,
            cached: response.cached,
            groups: response.groups.into_iter().map(Into::into).collect(),
        }
    }
}

fn explanation(json: &str) -> Result<Option<Box<Explanation>>> {
    if json.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(json)
        .map(|explanation| Some(Box::new(explanation)))
        .map_err(|error| invalid(format!("explanation_json: {error}")))
}

fn explanation_json(explanation: Option<&Explanation>) -> String {
    // Finite numbers and texts always have a JSON form.
    explanation
        .map(|explanation| serde_json::to_string(explanation).unwrap_or_default())
        .unwrap_or_default()
}

impl TryFrom<v1::ScrollRequest> for ScrollRequest {
    type Error = Error;

    fn try_from(message: v1::ScrollRequest) -> Result<Self> {
        let defaults = ScrollRequest::default();
        Ok(ScrollRequest {
            cursor: optional_text(message.cursor),
            limit: limit(message.limit, defaults.limit),
            filter: filter(message.filter)?,
            with_vector: message.with_vector,
            with_metadata: message.with_metadata.unwrap_or(defaults.with_metadata),
            order_by: message.order_by.map(Into::into),
            stop: StopSignal::default(),
        })
    }
}

/// A limit of 0 means the default in a message, but nothing in the engine: check it before.
impl From<ScrollRequest> for v1::ScrollRequest {
    fn from(request: ScrollRequest) -> Self {
        v1::ScrollRequest {
            collection: String::new(),
            cursor: request.cursor.unwrap_or_default(),
            limit: saturated(request.limit),
            filter: request.filter.as_ref().map(Into::into),
            with_vector: request.with_vector,
            with_metadata: Some(request.with_metadata),
            order_by: request.order_by.map(Into::into),
        }
    }
}

impl From<v1::OrderBy> for OrderBy {
    fn from(message: v1::OrderBy) -> Self {
        OrderBy {
            field: message.field,
            descending: message.descending,
        }
    }
}

impl From<OrderBy> for v1::OrderBy {
    fn from(order: OrderBy) -> Self {
        v1::OrderBy {
            field: order.field,
            descending: order.descending,
        }
    }
}

impl TryFrom<v1::ScrollResponse> for ScrollPage {
    type Error = Error;

    fn try_from(message: v1::ScrollResponse) -> Result<Self> {
        let points = message.points.into_iter();
        Ok(ScrollPage {
            points: points.map(Record::try_from).collect::<Result<_>>()?,
            next_cursor: optional_text(message.next_cursor),
        })
    }
}

impl From<ScrollPage> for v1::ScrollResponse {
    fn from(page: ScrollPage) -> Self {
        v1::ScrollResponse {
            points: page.points.into_iter().map(Into::into).collect(),
            next_cursor: page.next_cursor.unwrap_or_default(),
        }
    }
}

pub(super) fn limit(given: u32, default: usize) -> usize {
    match given {
        0 => default,
        given => given as usize,
    }
}

/// What is beyond 32 bits is beyond every limit of the engine as well.
pub(super) fn saturated(limit: usize) -> u32 {
    limit.try_into().unwrap_or(u32::MAX)
}

fn ceil_ms(time: Duration) -> u32 {
    let ms = time.as_nanos().div_ceil(1_000_000);
    ms.try_into().unwrap_or(u32::MAX)
}
