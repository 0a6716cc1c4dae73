//! Settings and state of collections.

use std::collections::BTreeMap;

use vecdb_engine::{
    CollectionConfig, CollectionInfo, CollectionSummary, ElementType, Error, IndexSpec,
    MaintenanceStatus, MergeProgress, MergeStep, MetadataSchema, Metric, Result, SearchCounts,
    SegmentInfo,
};

use super::{collection_name, durability, invalid, optional_text, required};
use crate::v1;

impl TryFrom<v1::CollectionConfig> for CollectionConfig {
    type Error = Error;

    fn try_from(message: v1::CollectionConfig) -> Result<Self> {
        if message.metric.is_empty() {
            let known = Metric::ALL.map(Metric::name).join(", ");
            return Err(invalid(format!(
                "the metric is missing: use one of {known}"
            )));
        }
        let mut config = CollectionConfig::new(message.dimension, message.metric.parse()?);
        if !message.element.is_empty() {
            config = config.element(message.element.parse::<ElementType>()?);
        }
        if !message.index.is_empty() {
            config = config.index(message.index.parse::<IndexSpec>()?);
        }
        for (name, kind) in message.fields {
            let kind = kind
                .parse()
                .map_err(|error| Error::from(error).context(format_args!("field {name:?}")))?;
            config = config.field(name, kind);
        }
        config.unindexed = message.unindexed.into_iter().collect();
        config.durability = durability(message.durability)?.unwrap_or_default();
        Ok(config)
    }
}

/// Settings as a message, which has one vector field.
impl TryFrom<&CollectionConfig> for v1::CollectionConfig {
    type Error = Error;

    fn try_from(config: &CollectionConfig) -> Result<Self> {
        config.validate()?;
        let vector = config.vector()?;
        let fields = config.fields.iter();
        Ok(v1::CollectionConfig {
            dimension: vector.dimension,
            metric: vector.metric.name().to_owned(),
            element: vector.element.name().to_owned(),
            index: index_text(&vector.index)?,
            fields: fields
                .map(|(name, kind)| (name.clone(), kind.to_string()))
                .collect(),
            durability: Some(config.durability.into()),
            unindexed: config.unindexed.iter().cloned().collect(),
        })
    }
}

/// An index as a message has it.
pub(super) fn index_text(index: &IndexSpec) -> Result<String> {
    serde_json::to_string(index)
        .map_err(|error| invalid(format!("the index cannot be written as JSON: {error}")))
}

impl TryFrom<v1::CreateCollectionRequest> for (String, CollectionConfig) {
    type Error = Error;

    fn try_from(message: v1::CreateCollectionRequest) -> Result<Self> {
        let name = collection_name(message.name)?;
        Ok((name, required(message.config, "the config")?.try_into()?))
    }
}

impl TryFrom<v1::CollectionInfo> for CollectionInfo {
    type Error = Error;

    fn try_from(message: v1::CollectionInfo) -> Result<Self> {
        Ok(CollectionInfo {
            name: collection_name(message.name)?,
            config: required(message.config, "the config")?.try_into()?,
            points: message.points,
            segments: message.segments.into_iter().map(Into::into).collect(),
            memtable_points: message.memtable_points,
            memtable_bytes: message.memtable_bytes,
            subset_graphs: message.subset_graphs,
            subset_graph_bytes: message.subset_graph_bytes,
            fields: schema(message.fields)?,
            position: message.position,
            flushed_position: message.flushed_position,
            maintenance: message.maintenance.unwrap_or_default().into(),
            searches: message.searches.unwrap_or_default().into(),
        })
    }
}

impl TryFrom<CollectionInfo> for v1::CollectionInfo {
    type Error = Error;

    fn try_from(info: CollectionInfo) -> Result<Self> {
        Ok(v1::CollectionInfo {
            config: Some((&info.config).try_into()?),
            name: info.name,
            points: info.points,
            segments: info.segments.into_iter().map(Into::into).collect(),
            memtable_points: info.memtable_points,
            memtable_bytes: info.memtable_bytes,
            subset_graphs: info.subset_graphs,
            subset_graph_bytes: info.subset_graph_bytes,
            fields: schema_message(&info.fields),
            position: info.position,
            flushed_position: info.flushed_position,
            maintenance: Some(info.maintenance.into()),
            searches: Some(info.searches.into()),
        })
    }
}

/// Read through the stored form of a schema: it cannot be made of fields whose type is not known yet.
fn schema(fields: BTreeMap<String, v1::FieldInfo>) -> Result<MetadataSchema> {
    let fields: serde_json::Map<_, _> = fields
        .into_iter()
        .map(|(name, field)| {
            let field = serde_json::json!({
                "kind": optional_text(field.kind),
                "array": field.array,
                "declared": field.declared,
                "unindexed": field.unindexed,
                "stemmer": optional_text(field.stemmer),
            });
            (name, field)
        })
        .collect();
    serde_json::from_value(serde_json::json!({ "fields": fields }))
        .map_err(|error| invalid(format!("the metadata fields cannot be read: {error}")))
}

fn schema_message(schema: &MetadataSchema) -> BTreeMap<String, v1::FieldInfo> {
    let fields = schema.fields().map(|(name, field)| {
        let info = v1::FieldInfo {
            kind: field.kind.map_or("", |kind| kind.name()).to_owned(),
            array: field.array,
            declared: field.declared,
            unindexed: field.unindexed,
            stemmer: field
                .stemmer
                .map_or_else(String::new, |stemmer| stemmer.to_string()),
        };
        (name.to_owned(), info)
    });
    fields.collect()
}

impl From<v1::SegmentInfo> for SegmentInfo {
    fn from(message: v1::SegmentInfo) -> Self {
        SegmentInfo {
            name: message.name,
            rows: message.rows,
            live_rows: message.live_rows,
            bytes: message.bytes,
            index_bytes: message.index_bytes,
            index: optional_text(message.index),
        }
    }
}

impl From<SegmentInfo> for v1::SegmentInfo {
    fn from(segment: SegmentInfo) -> Self {
        v1::SegmentInfo {
            name: segment.name,
            rows: segment.rows,
            live_rows: segment.live_rows,
            bytes: segment.bytes,
            index_bytes: segment.index_bytes,
            index: segment.index.unwrap_or_default(),
        }
    }
}

impl From<v1::SearchCounts> for SearchCounts {
    fn from(message: v1::SearchCounts) -> Self {
        SearchCounts {
            scan: message.scan,
            walk: message.walk,
            hop: message.hop,
            subset: message.subset,
            check: message.check,
            index: message.index,
            sketches: message.sketches,
            switched: message.switched,
            mask_hits: message.mask_hits,
            mask_misses: message.mask_misses,
            result_hits: message.result_hits,
            result_misses: message.result_misses,
        }
    }
}

impl From<SearchCounts> for v1::SearchCounts {
    fn from(counts: SearchCounts) -> Self {
        v1::SearchCounts {
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

impl From<v1::MaintenanceStatus> for MaintenanceStatus {
    fn from(message: v1::MaintenanceStatus) -> Self {
        MaintenanceStatus {
            flushes: message.flushes,
            merges: message.merges,
            building: (message.building_of > 0)
                .then_some((message.building_rows, message.building_of)),
            building_fields: (message.building_fields_of > 0)
                .then_some((message.building_fields_rows, message.building_fields_of)),
            merge: message.merge.map(Into::into),
            merges_paused: message.merges_paused,
            last_error: optional_text(message.last_error),
            write_stalls: message.write_stalls,
            write_stall_micros: message.write_stall_micros,
        }
    }
}

impl From<MaintenanceStatus> for v1::MaintenanceStatus {
    fn from(status: MaintenanceStatus) -> Self {
        let (building_rows, building_of) = status.building.unwrap_or_default();
        let (building_fields_rows, building_fields_of) = status.building_fields.unwrap_or_default();
        v1::MaintenanceStatus {
            flushes: status.flushes,
            merges: status.merges,
            building_rows,
            building_of,
            building_fields_rows,
            building_fields_of,
            merge: status.merge.map(Into::into),
            merges_paused: status.merges_paused,
            last_error: status.last_error.unwrap_or_default(),
            write_stalls: status.write_stalls,
            write_stall_micros: status.write_stall_micros,
        }
    }
}

impl From<v1::MergeProgress> for MergeProgress {
    fn from(message: v1::MergeProgress) -> Self {
        use v1::merge_progress::Step;
        MergeProgress {
            segments: message.segments,
            rows: message.rows,
            step: match message.step() {
                // A step that a newer server has before the check: something is written.
                Step::Unspecified | Step::Rows => MergeStep::Rows,
                Step::Index => MergeStep::Index,
                Step::Check => MergeStep::Check,
            },
            rows_done: message.rows_done,
            bytes: message.bytes,
            started_at: message.started_at,
            eta_seconds: message.eta_seconds,
        }
    }
}

impl From<MergeProgress> for v1::MergeProgress {
    fn from(merge: MergeProgress) -> Self {
        use v1::merge_progress::Step;
        let step = match merge.step {
            MergeStep::Rows => Step::Rows,
            MergeStep::Index => Step::Index,
            MergeStep::Check => Step::Check,
        };
        v1::MergeProgress {
            segments: merge.segments,
            rows: merge.rows,
            step: step.into(),
            rows_done: merge.rows_done,
            bytes: merge.bytes,
            started_at: merge.started_at,
            eta_seconds: merge.eta_seconds,
        }
    }
}

impl From<v1::CollectionSummary> for CollectionSummary {
    fn from(message: v1::CollectionSummary) -> Self {
        CollectionSummary {
            name: message.name,
            points: message.points,
            broken: optional_text(message.broken),
        }
    }
}

impl From<CollectionSummary> for v1::CollectionSummary {
    fn from(summary: CollectionSummary) -> Self {
        v1::CollectionSummary {
            name: summary.name,
            points: summary.points,
            broken: summary.broken.unwrap_or_default(),
        }
    }
}
