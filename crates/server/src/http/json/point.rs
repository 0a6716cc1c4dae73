//! Points, and the requests that write and read them.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use vecdb_backend::Selection;
use vecdb_engine::{self as engine, MetadataUpdate, READ_POINTS_MAX};

use super::filter::Filter;
use super::id::PointId;
use super::metadata::Metadata;
use super::settings::Durability;
use super::vector::Vector;
use super::{milliseconds, yes};

/// A point to be written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "id": 1,
    "vector": [0.9, 0.1, 0.0],
    "metadata": {"category": "games", "price": 20}
})))]
pub(in crate::http) struct Point {
    id: PointId,
    vector: Vector,
    metadata: Option<Metadata>,
}

impl From<Point> for engine::Point {
    fn from(point: Point) -> Self {
        Self {
            id: point.id.0,
            vector: point.vector.0,
            metadata: point.metadata.unwrap_or_default().0,
        }
    }
}

/// Points to insert, or to put in the place of those of the same ids: all of them or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UpsertRequest {
    #[schema(max_items = 1000000)]
    pub(in crate::http) points: Vec<Point>,
    /// As the collection is set, where none is given.
    durability: Option<Durability>,
}

impl UpsertRequest {
    pub(in crate::http) fn durability(&self) -> Option<engine::Durability> {
        self.durability.map(|Durability(durability)| durability)
    }
}

/// How points are written; in the query of the address, for lines have no place for it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UpsertOptions {
    /// every_write, none, or the milliseconds of an interval. As the collection is set, where none is given; what the
    /// body says counts before it.
    #[schema(pattern = "^(every_write|none|[1-9][0-9]{0,8})$", nullable = false)]
    durability: Option<String>,
}

impl UpsertOptions {
    pub(in crate::http) fn durability(&self) -> engine::Result<Option<engine::Durability>> {
        let Some(text) = self.durability.as_deref() else {
            return Ok(None);
        };
        match text {
            "every_write" => Ok(Some(engine::Durability::EveryWrite)),
            "none" => Ok(Some(engine::Durability::None)),
            _ => match text.parse() {
                Ok(ms) if ms > 0 => Ok(Some(engine::Durability::IntervalMs(ms))),
                _ => Err(engine::Error::new(
                    engine::ErrorKind::InvalidArgument,
                    format!(
                        "the query of the address: durability {text:?} is not every_write, none or a number of milliseconds"
                    ),
                )),
            },
        }
    }
}

/// What a write did, and how long it took.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct WriteResponse {
    result: WriteResult,
    /// Time from the arrival of the request's head until the points were written, waiting included.
    latency_ms: f32,
}

/// What a write did.
#[derive(Debug, Serialize, ToSchema)]
struct WriteResult {
    /// Where the write stands in the log. Reads from now on see it.
    position: u64,
    inserted: u64,
    updated: u64,
    deleted: u64,
    /// How safe the write was when it was acknowledged.
    durability: Durability,
}

impl WriteResponse {
    pub(in crate::http) fn new(result: engine::WriteResult, took: std::time::Duration) -> Self {
        Self {
            result: WriteResult {
                position: result.position,
                inserted: result.inserted,
                updated: result.updated,
                deleted: result.deleted,
                durability: Durability(result.durability),
            },
            latency_ms: milliseconds(took),
        }
    }
}

/// A change of metadata; the vectors stay. The points must exist: all of them are changed or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"ids": [1, "sku-3"], "metadata": {"price": 25}})))]
pub(in crate::http) struct UpdateMetadataRequest {
    #[schema(max_items = 1000000)]
    pub(in crate::http) ids: Vec<PointId>,
    metadata: Metadata,
    /// The given fields are all there is afterwards; else the other fields stay.
    #[serde(default)]
    replace: bool,
}

impl UpdateMetadataRequest {
    pub(in crate::http) fn split(self) -> (Vec<engine::PointId>, MetadataUpdate) {
        let update = if self.replace {
            MetadataUpdate::Replace(self.metadata.0)
        } else {
            MetadataUpdate::Merge(self.metadata.0)
        };
        (plain(self.ids), update)
    }
}

/// Which points to delete: ids, or a filter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1, max_properties = 1, examples(json!({"ids": [1, "sku-3"]})))]
pub(in crate::http) struct DeleteRequest {
    #[serde(default, deserialize_with = "given")]
    #[schema(max_items = 1000000, nullable = false)]
    ids: Option<Vec<PointId>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    filter: Option<Filter>,
}

/// Null is no way to leave out what says which points go.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<DeleteRequest> for Selection {
    type Error = engine::Error;

    fn try_from(request: DeleteRequest) -> engine::Result<Self> {
        match (request.ids, request.filter) {
            (Some(ids), None) => Ok(Selection::Ids(plain(ids))),
            (None, Some(filter)) => Ok(Selection::Filter(filter.0)),
            _ => Err(engine::Error::new(
                engine::ErrorKind::InvalidArgument,
                "which points to delete is said by one of the two: \"ids\", or \"filter\" ({} is every point)",
            )),
        }
    }
}

/// Points to read by id.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"ids": [1, "sku-3"], "with_vector": true})))]
pub(in crate::http) struct GetRequest {
    #[schema(max_items = 100000)]
    pub(in crate::http) ids: Vec<PointId>,
    #[serde(default)]
    pub(in crate::http) with_vector: bool,
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(in crate::http) with_metadata: bool,
}

impl GetRequest {
    pub(in crate::http) fn ids(&self) -> Vec<engine::PointId> {
        self.ids.iter().map(|id| id.0.clone()).collect()
    }
}

/// What to give of a point that is read; in the query of the address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct GetOptions {
    #[serde(default)]
    pub(in crate::http) with_vector: bool,
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(in crate::http) with_metadata: bool,
}

/// A point that was read.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Record {
    id: PointId,
    /// Where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    vector: Option<Vector>,
    /// Unless it was not wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    metadata: Option<Metadata>,
}

impl From<engine::Record> for Record {
    fn from(record: engine::Record) -> Self {
        Self {
            id: PointId(record.id),
            vector: record.vector.map(Vector),
            metadata: record.metadata.map(Metadata),
        }
    }
}

/// The points of the ids asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct GetResponse {
    /// In the order of the ids; those that do not exist are left out.
    points: Vec<Record>,
    missing: Vec<PointId>,
}

impl GetResponse {
    /// `found` has one entry for each of `ids`.
    pub(in crate::http) fn new(
        ids: Vec<engine::PointId>,
        found: Vec<Option<engine::Record>>,
    ) -> Self {
        let mut answer = Self {
            points: Vec::with_capacity(found.len()),
            missing: Vec::new(),
        };
        for (id, record) in ids.into_iter().zip(found) {
            match record {
                Some(record) => answer.points.push(record.into()),
                None => answer.missing.push(PointId(id)),
            }
        }
        answer
    }
}

/// A page of all points, or of those that match.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"limit": 100, "filter": {"category": "games"}})))]
pub(in crate::http) struct ScrollRequest {
    /// The next_cursor of the page before; none to begin.
    cursor: Option<String>,
    #[serde(default = "hundred")]
    #[schema(minimum = 1, maximum = 100000, default = 100)]
    limit: u32,
    filter: Option<Filter>,
    #[serde(default)]
    with_vector: bool,
    #[serde(default = "yes")]
    #[schema(default = true)]
    with_metadata: bool,
    /// By the values of a field, the same from page to page; in an order of the ids where it is left out.
    order_by: Option<OrderBy>,
}

/// An order of points. Points of the same value come in the order of their ids, points without a value last. An array
/// counts as its smallest element, or as its largest where the order descends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"field": "price", "descending": true})))]
struct OrderBy {
    field: String,
    /// The largest value first.
    #[serde(default)]
    descending: bool,
}

fn hundred() -> u32 {
    100
}

impl From<ScrollRequest> for engine::ScrollRequest {
    fn from(request: ScrollRequest) -> Self {
        Self {
            cursor: request.cursor,
            limit: request.limit as usize,
            filter: request.filter.map(|filter| filter.0),
            with_vector: request.with_vector,
            with_metadata: request.with_metadata,
            order_by: request.order_by.map(|order| engine::OrderBy {
                field: order.field,
                descending: order.descending,
            }),
            ..Self::default()
        }
    }
}

/// A page of points.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ScrollResponse {
    points: Vec<Record>,
    /// For the next request; null at the end. Stays valid through writes.
    next_cursor: Option<String>,
}

impl From<engine::ScrollPage> for ScrollResponse {
    fn from(page: engine::ScrollPage) -> Self {
        Self {
            points: page.points.into_iter().map(Record::from).collect(),
            next_cursor: page.next_cursor,
        }
    }
}

/// Which points to count; all without a filter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"filter": {"category": "games"}})))]
pub(in crate::http) struct CountRequest {
    filter: Option<Filter>,
}

impl CountRequest {
    pub(in crate::http) fn filter(&self) -> Option<&engine::Filter> {
        self.filter.as_ref().map(|filter| &filter.0)
    }
}

/// How many points there are, or match.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct CountResponse {
    pub(in crate::http) count: u64,
}

fn plain(ids: Vec<PointId>) -> Vec<engine::PointId> {
    ids.into_iter().map(|PointId(id)| id).collect()
}

// The document says these limits in attributes, which take literals only.
const _: () = assert!(engine::WRITE_POINTS_MAX == 1_000_000 && READ_POINTS_MAX == 100_000);
