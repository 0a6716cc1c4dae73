//! What goes into a collection's operations and what comes out. Every face (CLI, servers, SDKs) speaks these.

use std::time::Duration;

use serde::Serialize;
use vecdb_filter::{Filter, Metadata, Value};
use vecdb_index::SearchParams;
use vecdb_storage::Position;

use super::search::Explanation;
use crate::options::Durability;
use crate::point::PointId;
use crate::stop::StopSignal;

/// A nearest-neighbour search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The query, of the collection's dimension.
    pub vector: Vec<f32>,
    /// How many hits at most. Default: 10.
    pub limit: usize,
    /// Pass over that many of the nearest hits. Default: none. Together with `limit` at most [`crate::LIMIT_MAX`].
    pub offset: usize,
    /// Give groups of hits in place of hits; `limit` and `offset` then count groups.
    pub group_by: Option<GroupBy>,
    /// Only points that match.
    pub filter: Option<Filter>,
    /// Knobs of the index, such as `ef`.
    pub params: SearchParams,
    /// Only hits at most this far.
    pub max_distance: Option<f32>,
    /// Only hits of at least this score.
    pub min_score: Option<f32>,
    /// Give the stored vectors back. Default: no.
    pub with_vector: bool,
    /// Give the metadata back. Default: yes.
    pub with_metadata: bool,
    /// Say how the search was answered. Default: no, as it takes a little time.
    pub explain: bool,
    /// Say how the search would be answered, from estimates, and do not run it: no hits. Default: no.
    pub explain_only: bool,
    /// Keep the answer, and give one that was kept to the same search if nothing was written since. Default: no. Not with
    /// `explain`.
    pub cache: bool,
    /// Stop after this time and return what was found, marked `truncated`.
    pub timeout: Option<Duration>,
    /// Ends the search with an error.
    pub stop: StopSignal,
}

impl SearchRequest {
    /// The ten nearest points to `vector`, with metadata.
    pub fn new(vector: impl Into<Vec<f32>>) -> Self {
        Self {
            vector: vector.into(),
            limit: 10,
            offset: 0,
            group_by: None,
            filter: None,
            params: SearchParams::default(),
            max_distance: None,
            min_score: None,
            with_vector: false,
            with_metadata: true,
            explain: false,
            explain_only: false,
            cache: false,
            timeout: None,
            stop: StopSignal::default(),
        }
    }

    /// At most `limit` hits.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Passes over the `offset` nearest hits.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Gives groups of at most `group_size` hits that have the same value of `field`.
    #[must_use]
    pub fn group_by(mut self, field: impl Into<String>, group_size: usize) -> Self {
        self.group_by = Some(GroupBy {
            field: field.into(),
            group_size,
        });
        self
    }

    /// Only points that match `filter`.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Uses these index knobs.
    #[must_use]
    pub fn params(mut self, params: SearchParams) -> Self {
        self.params = params;
        self
    }

    /// Only hits at most `distance` away.
    #[must_use]
    pub fn max_distance(mut self, distance: f32) -> Self {
        self.max_distance = Some(distance);
        self
    }

    /// Only hits of at least `score`.
    #[must_use]
    pub fn min_score(mut self, score: f32) -> Self {
        self.min_score = Some(score);
        self
    }

    /// Gives the stored vectors back.
    #[must_use]
    pub fn with_vector(mut self, yes: bool) -> Self {
        self.with_vector = yes;
        self
    }

    /// Says how the search was answered.
    #[must_use]
    pub fn explain(mut self, yes: bool) -> Self {
        self.explain = yes;
        self
    }

    /// Says how the search would be answered, and does not run it.
    #[must_use]
    pub fn explain_only(mut self, yes: bool) -> Self {
        self.explain_only = yes;
        self
    }

    /// Keeps the answer for the same search, until something is written.
    #[must_use]
    pub fn cache(mut self, yes: bool) -> Self {
        self.cache = yes;
        self
    }

    /// Gives the metadata back.
    #[must_use]
    pub fn with_metadata(mut self, yes: bool) -> Self {
        self.with_metadata = yes;
        self
    }
}

/// How the hits of a search are grouped: by the values of a metadata field.
///
/// A point whose value is an array is in the group of each of its elements. A point without a value (it misses the
/// field, or it is null or an empty array) is in no group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// The field.
    pub field: String,
    /// Hits of a group at most. Together with the number of groups at most [`crate::LIMIT_MAX`] hits.
    pub group_size: usize,
}

/// The nearest points that have one value of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct HitGroup {
    /// The value: a scalar.
    pub value: Value,
    /// Nearest first; equal distances in the order of their ids.
    pub hits: Vec<Hit>,
}

/// A point found by a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The point's id.
    pub id: PointId,
    /// Smaller is nearer.
    pub distance: f32,
    /// Larger is better; see `Metric::score`.
    pub score: f32,
    /// The stored vector, where it was asked for.
    pub vector: Option<Vec<f32>>,
    /// The metadata, where it was asked for.
    pub metadata: Option<Metadata>,
}

/// What a search did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchStats {
    /// Distances computed.
    pub distance_computations: u64,
    /// Distances estimated from sketches of rows that wait for their graph.
    pub estimated_distances: u64,
    /// Graph nodes expanded.
    pub nodes_visited: u64,
    /// Live points the search was over.
    pub searched_vectors: u64,
    /// Sealed segments searched.
    pub segments: u32,
    /// Points that match the filter, where one was given and every point was looked at.
    pub matching: Option<u64>,
    /// Fields of the filter that are not indexed, so that points had to be read: an index of them would help.
    pub unindexed: Vec<String>,
}

/// The answer to a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResponse {
    /// Nearest first; equal distances in the order of their ids. Empty where groups were asked for.
    pub hits: Vec<Hit>,
    /// The groups, where they were asked for: the one with the nearest hit first.
    pub groups: Vec<HitGroup>,
    /// What the search did.
    pub stats: SearchStats,
    /// The time limit came first: better hits may exist.
    pub truncated: bool,
    /// It was kept from an earlier search; `stats` are that search's.
    pub cached: bool,
    /// How it was answered, where that was asked for.
    pub explanation: Option<Box<Explanation>>,
    /// Time inside the engine.
    pub elapsed: Duration,
}

/// The answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WriteResult {
    /// Where the write stands in the log. Reads from now on see it.
    pub position: Position,
    /// Points that are new.
    pub inserted: u64,
    /// Points that replaced one of the same id, or whose metadata changed.
    pub updated: u64,
    /// Points that are gone.
    pub deleted: u64,
    /// How safe the write was when it was acknowledged.
    pub durability: Durability,
}

/// A change of metadata alone.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataUpdate {
    /// These fields are set, the others stay.
    Merge(Metadata),
    /// These fields are all there is afterwards.
    Replace(Metadata),
}
