//! The JSON bodies of requests and answers, by the names of the gRPC messages, and their way to and from the engine's
//! types.
//!
//! Each type describes itself for the OpenAPI document: what serde derives and what the document says stand side by
//! side. Bodies refuse unknown keys. Vectors are read straight into f32, never through a tree of JSON values.

mod admin;
mod advise;
mod collection;
mod facets;
mod filter;
mod id;
mod metadata;
mod point;
mod query;
mod recommend;
mod search;
mod settings;
mod vector;

pub(super) use admin::{
    CompactRequest, CreateSnapshotRequest, Empty, FieldIndexResponse, ListSnapshotsResponse,
    RestoreSnapshotRequest, RestoreSnapshotResponse, SnapshotInfo, StatusResponse,
    VerifyArchiveResponse, VerifyRequest, VerifyResponse,
};
pub(super) use advise::{AdviseRequest, AdviseResponse};
pub(super) use collection::{CollectionInfo, CreateCollectionRequest, ListCollectionsResponse};
pub(super) use facets::{FacetsRequest, FacetsResponse};
pub(super) use point::{
    CountRequest, CountResponse, DeleteRequest, GetOptions, GetRequest, GetResponse, Point, Record,
    ScrollRequest, ScrollResponse, UpdateMetadataRequest, UpsertOptions, UpsertRequest,
    WriteResponse,
};
pub(super) use query::{QueryRequest, QueryResponse};
pub(super) use recommend::RecommendRequest;
pub(super) use search::{SearchBatchRequest, SearchBatchResponse, SearchRequest, SearchResponse};

use std::time::Duration;

/// JSON has no name for NaN and the infinities: overflown distances become the largest number there is.
fn finite(value: f32) -> f32 {
    if value.is_nan() {
        return f32::MAX;
    }
    value.clamp(f32::MIN, f32::MAX)
}

fn milliseconds(time: Duration) -> f32 {
    time.as_secs_f32() * 1000.0
}

fn yes() -> bool {
    true
}
