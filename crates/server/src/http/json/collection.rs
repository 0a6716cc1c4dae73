//! Collections: their settings, and what there is to know about them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vecdb_engine as engine;

use super::settings::{Durability, Element, FieldType, IndexConfig, Metric};

/// The settings of a new collection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "dimension": 3,
    "metric": "cosine",
    "index_config": {"type": "hnsw", "m": 16, "ef_construction": 200},
    "fields": {"category": "string", "released": "datetime"}
})))]
pub(in crate::http) struct CreateCollectionRequest {
    /// Number of values of a vector; for element type bits, of bits.
    #[schema(minimum = 1, maximum = 65536)]
    dimension: u32,
    metric: Metric,
    /// f32, or bits for the metrics that need them, where none is given.
    element: Option<Element>,
    /// hnsw with its defaults where none is given.
    index_config: Option<IndexConfig>,
    /// Metadata fields whose type is fixed; others take that of the first value seen.
    #[serde(default)]
    fields: BTreeMap<String, FieldType>,
    /// Those of `fields` that no index is kept of from the start: filters on them read the points.
    #[serde(default)]
    unindexed: BTreeSet<String>,
    /// every_write where none is given.
    durability: Option<Durability>,
}

impl From<CreateCollectionRequest> for engine::CollectionConfig {
    fn from(request: CreateCollectionRequest) -> Self {
        let mut config = engine::CollectionConfig::new(request.dimension, request.metric.0);
        if let Some(Element(element)) = request.element {
            config = config.element(element);
        }
        if let Some(IndexConfig(index)) = request.index_config {
            config = config.index(index);
        }
        if let Some(Durability(durability)) = request.durability {
            config = config.durability(durability);
        }
        for (name, FieldType(kind)) in request.fields {
            config = config.field(name, kind);
        }
        config.unindexed = request.unindexed;
        config
    }
}

/// A collection's settings.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct CollectionConfig {
    /// Number of values of a vector; for element type bits, of bits.
    dimension: u32,
    metric: Metric,
    element: Element,
    index_config: IndexConfig,
    /// Metadata fields whose type is fixed.
    fields: BTreeMap<String, FieldType>,
    /// Those of them that no index was kept of from the start.
    unindexed: BTreeSet<String>,
    durability: Durability,
}

impl TryFrom<engine::CollectionConfig> for CollectionConfig {
    type Error = engine::Error;

    fn try_from(config: engine::CollectionConfig) -> engine::Result<Self> {
        let vector = config.vector()?;
        Ok(Self {
            dimension: vector.dimension,
            metric: Metric(vector.metric),
            element: Element(vector.element),
            index_config: IndexConfig(vector.index.clone()),
            fields: config
                .fields
                .into_iter()
                .map(|(name, kind)| (name, FieldType(kind)))
                .collect(),
            unindexed: config.unindexed,
            durability: Durability(config.durability),
        })
    }
}

/// What there is to know about a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct CollectionInfo {
    name: String,
    config: CollectionConfig,
    /// Live points.
    points: u64,
    segments: Vec<SegmentInfo>,
    /// Points that are in memory and in the log, not yet in a segment.
    memtable_points: u64,
    memtable_bytes: u64,
    /// Graphs of what filters that return match.
    subset_graphs: u64,
    /// Bytes of these in memory.
    subset_graph_bytes: u64,
    /// Metadata fields seen or declared, by name.
    fields: BTreeMap<String, FieldInfo>,
    /// The position in the log of the last acknowledged write.
    position: u64,
    /// Every write up to here is in segments.
    flushed_position: u64,
    maintenance: MaintenanceStatus,
    searches: SearchCounts,
}

/// One metadata field.
#[derive(Debug, Serialize, ToSchema)]
struct FieldInfo {
    /// bool, int, float, datetime, string, text, uuid or geo; null while no value but null was seen.
    kind: Option<&'static str>,
    /// Whether it holds arrays; null while unknown.
    array: Option<bool>,
    /// Fixed when the collection was made.
    declared: bool,
    /// Whether an index is kept of it; without, filters on it read the points.
    indexed: bool,
    /// Of a text the stemmer of its words, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stemmer: Option<&'static str>,
}

/// One sealed segment.
#[derive(Debug, Serialize, ToSchema)]
struct SegmentInfo {
    name: String,
    /// Dead rows included.
    rows: u32,
    live_rows: u32,
    bytes: u64,
    index_bytes: u64,
    /// Null when it is scanned.
    index: Option<String>,
}

/// What the background work of a collection is doing and has done.
#[derive(Debug, Serialize, ToSchema)]
struct MaintenanceStatus {
    flushes: u64,
    merges: u64,
    /// Rows in the index being built; 0 when none is.
    building_rows: u64,
    /// How many there will be.
    building_of: u64,
    /// Rows in the field indexes being built in segments that are there; 0 when none is.
    building_fields_rows: u64,
    /// How many there will be.
    building_fields_of: u64,
    /// The merge under way; null when there is none.
    merge: Option<MergeProgress>,
    /// Merges in the background are paused.
    merges_paused: bool,
    /// What the last flush or merge that failed said; tried again.
    last_error: Option<String>,
    /// Writes that had to wait for a flush, and for how long in all.
    write_stalls: u64,
    write_stall_micros: u64,
}

/// A merge under way.
#[derive(Debug, Serialize, ToSchema)]
struct MergeProgress {
    /// Segments that become one.
    segments: u64,
    /// Live rows of them.
    rows: u64,
    /// It writes the rows of the new segment (rows), builds the index over them (index), or reads back what it wrote
    /// (check).
    #[schema(examples("index"))]
    step: &'static str,
    /// Rows that are through this step, about.
    rows_done: u64,
    /// Bytes written so far, and read back.
    bytes: u64,
    /// When it began: microseconds since 1970-01-01T00:00:00 UTC.
    started_at: i64,
    /// About how many seconds it still takes; null while that cannot be told and while it stands still.
    eta_seconds: Option<f64>,
}

impl From<engine::MergeProgress> for MergeProgress {
    fn from(merge: engine::MergeProgress) -> Self {
        Self {
            segments: merge.segments,
            rows: merge.rows,
            step: merge.step.name(),
            rows_done: merge.rows_done,
            bytes: merge.bytes,
            started_at: merge.started_at,
            eta_seconds: merge.eta_seconds,
        }
    }
}

/// How the searches of a collection were answered since it was opened.
#[derive(Debug, Serialize, ToSchema)]
struct SearchCounts {
    /// Segments of which every matching point was compared.
    scan: u64,
    /// Segments whose graph was walked through all points, under a filter.
    walk: u64,
    /// Segments whose graph was walked through matching points alone.
    hop: u64,
    /// Segments of which a graph of the matching points was walked.
    subset: u64,
    /// Segments of which the nearest points were read to see whether they match.
    check: u64,
    /// Segments searched in the one way their index has, or without a filter.
    index: u64,
    /// Segments scanned by estimates.
    sketches: u64,
    /// A plan was given up for another.
    switched: u64,
    /// What a filter matches in a segment was known from an earlier search.
    mask_hits: u64,
    mask_misses: u64,
    /// Answers that had been kept, for searches that asked for it.
    result_hits: u64,
    result_misses: u64,
}

impl From<engine::SearchCounts> for SearchCounts {
    fn from(counts: engine::SearchCounts) -> Self {
        Self {
            scan: counts.scan,
            walk: counts.walk,
            hop: counts.hop,
            subset: counts.subset,
            check: counts.check,
            index: counts.index,
            sketches: counts.sketches,
            switched: counts.switched,
            mask_hits: counts.mask_hits,
            mask_misses: counts.mask_misses,
            result_hits: counts.result_hits,
            result_misses: counts.result_misses,
        }
    }
}

impl TryFrom<engine::CollectionInfo> for CollectionInfo {
    type Error = engine::Error;

    fn try_from(info: engine::CollectionInfo) -> engine::Result<Self> {
        let (building_rows, building_of) = info.maintenance.building.unwrap_or_default();
        let fields = info.maintenance.building_fields;
        let (building_fields_rows, building_fields_of) = fields.unwrap_or_default();
        let fields = info.fields.fields().map(|(name, field)| {
            let info = FieldInfo {
                kind: field.kind.map(engine::FieldKind::name),
                array: field.array,
                declared: field.declared,
                indexed: !field.unindexed,
                stemmer: field.stemmer.map(engine::Stemmer::name),
            };
            (name.to_owned(), info)
        });
        let fields = fields.collect();
        let segment = |segment: engine::SegmentInfo| SegmentInfo {
            name: segment.name,
            rows: segment.rows,
            live_rows: segment.live_rows,
            bytes: segment.bytes,
            index_bytes: segment.index_bytes,
            index: segment.index,
        };
        Ok(Self {
            name: info.name,
            config: info.config.try_into()?,
            points: info.points,
            segments: info.segments.into_iter().map(segment).collect(),
            memtable_points: info.memtable_points,
            memtable_bytes: info.memtable_bytes,
            subset_graphs: info.subset_graphs,
            subset_graph_bytes: info.subset_graph_bytes,
            fields,
            position: info.position,
            flushed_position: info.flushed_position,
            maintenance: MaintenanceStatus {
                flushes: info.maintenance.flushes,
                merges: info.maintenance.merges,
                building_rows,
                building_of,
                building_fields_rows,
                building_fields_of,
                merge: info.maintenance.merge.map(Into::into),
                merges_paused: info.maintenance.merges_paused,
                last_error: info.maintenance.last_error,
                write_stalls: info.maintenance.write_stalls,
                write_stall_micros: info.maintenance.write_stall_micros,
            },
            searches: info.searches.into(),
        })
    }
}

/// All collections that the caller may look at, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ListCollectionsResponse {
    pub(in crate::http) collections: Vec<CollectionSummary>,
}

/// A line of a list of collections.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct CollectionSummary {
    name: String,
    /// Live points; 0 if it is broken.
    points: u64,
    /// Why it cannot be opened; null when it serves.
    broken: Option<String>,
}

impl From<engine::CollectionSummary> for CollectionSummary {
    fn from(summary: engine::CollectionSummary) -> Self {
        Self {
            name: summary.name,
            points: summary.points,
            broken: summary.broken,
        }
    }
}
