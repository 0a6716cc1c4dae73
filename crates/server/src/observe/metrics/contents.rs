//! What the collections hold, and how their searches were answered: numbers that are replaced as a whole at each look at the
//! database.

use std::fmt;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use vecdb_engine::{CollectionInfo, SearchCounts};

/// The numbers of all collections, by name.
#[derive(Debug, Default)]
pub(super) struct Contents(Mutex<Vec<OfOne>>);

/// The numbers of one collection.
#[derive(Debug)]
struct OfOne {
    name: String,
    gauges: [f64; GAUGES.len()],
    searches: SearchCounts,
}

/// A counter of searches, with the label that parts it, where one does.
struct OfSearches {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: fn(&SearchCounts) -> Vec<(&'static str, u64)>,
}

const COUNTERS: [OfSearches; 4] = [
    OfSearches {
        name: "searched_segments",
        help: "Segments searched, by plan",
        label: "plan",
        values: |counts| {
            vec![
                ("scan", counts.scan),
                ("walk", counts.walk),
                ("hop", counts.hop),
                ("subset", counts.subset),
                ("check", counts.check),
                ("index", counts.index),
                ("sketches", counts.sketches),
            ]
        },
    },
    OfSearches {
        name: "plan_switches",
        help: "Plans of searches that were given up for another, their cost having been estimated too low",
        label: "",
        values: |counts| vec![("", counts.switched)],
    },
    OfSearches {
        name: "mask_cache",
        help: "What a filter matches in a segment was known from an earlier search, or not",
        label: "result",
        values: |counts| vec![("hit", counts.mask_hits), ("miss", counts.mask_misses)],
    },
    OfSearches {
        name: "result_cache",
        help: "Searches with `cache`: one of before had left the answer, or they had to be run",
        label: "result",
        values: |counts| vec![("hit", counts.result_hits), ("miss", counts.result_misses)],
    },
];

/// A gauge that every collection has.
struct OfCollection {
    name: &'static str,
    help: &'static str,
    value: fn(&CollectionInfo) -> f64,
}

const GAUGES: [OfCollection; 15] = [
    OfCollection {
        name: "vectors_total",
        help: "Live points",
        value: |info| info.points as f64,
    },
    OfCollection {
        name: "index_size_bytes",
        help: "Bytes of the indexes in segments",
        value: |info| {
            info.segments
                .iter()
                .map(|segment| segment.index_bytes)
                .sum::<u64>() as f64
        },
    },
    OfCollection {
        name: "segment_bytes",
        help: "Bytes of all files of the segments, indexes included",
        value: |info| {
            info.segments
                .iter()
                .map(|segment| segment.bytes)
                .sum::<u64>() as f64
        },
    },
    OfCollection {
        name: "segments",
        help: "Sealed segments",
        value: |info| info.segments.len() as f64,
    },
    OfCollection {
        name: "dead_rows",
        help: "Rows in segments that were deleted or replaced and are not merged away yet",
        value: |info| {
            let dead = |segment: &vecdb_engine::SegmentInfo| {
                segment.rows.saturating_sub(segment.live_rows)
            };
            info.segments
                .iter()
                .map(|segment| u64::from(dead(segment)))
                .sum::<u64>() as f64
        },
    },
    OfCollection {
        name: "memtable_bytes",
        help: "Bytes of points that are in memory and in the log, not yet in a segment",
        value: |info| info.memtable_bytes as f64,
    },
    OfCollection {
        name: "subset_graph_bytes",
        help: "Bytes of graphs in memory of what filters that return match",
        value: |info| info.subset_graph_bytes as f64,
    },
    OfCollection {
        name: "write_stalls",
        help: "Writes since the start that had to wait because memtables were not flushed fast enough",
        value: |info| info.maintenance.write_stalls as f64,
    },
    OfCollection {
        name: "write_stall_seconds",
        help: "How long they waited in all",
        value: |info| info.maintenance.write_stall_micros as f64 / 1e6,
    },
    OfCollection {
        name: "wal_lag",
        help: "Positions of the log that a restart would read again for this collection",
        value: |info| info.position.saturating_sub(info.flushed_position) as f64,
    },
    OfCollection {
        name: "index_build_progress",
        help: "Share of the rows that are in the index being built; 1 when none is built",
        value: |info| share(info.maintenance.building),
    },
    OfCollection {
        name: "field_index_build_progress",
        help: "Share of the rows that are in the field indexes being built; 1 when none is built",
        value: |info| share(info.maintenance.building_fields),
    },
    OfCollection {
        name: "merge_progress",
        help: "Share of the rows that are through the step of the merge under way; 1 when there is none",
        value: |info| {
            let merge = info.maintenance.merge.as_ref();
            share(merge.map(|merge| (merge.rows_done, merge.rows)))
        },
    },
    OfCollection {
        name: "merge_eta_seconds",
        help: "About how long the merge under way still takes; 0 when there is none and while that is not known",
        value: |info| {
            let merge = info.maintenance.merge.as_ref();
            merge.and_then(|merge| merge.eta_seconds).unwrap_or(0.0)
        },
    },
    OfCollection {
        name: "merges_paused",
        help: "1 while merges in the background are paused",
        value: |info| f64::from(info.maintenance.merges_paused),
    },
];

/// Of what is built, how much is there.
fn share(built: Option<(u64, u64)>) -> f64 {
    match built {
        Some((done, all)) if all > 0 => done as f64 / all as f64,
        _ => 1.0,
    }
}

impl Contents {
    /// Takes over the state of all collections that there are.
    pub(super) fn replace(&self, collections: &[CollectionInfo]) {
        let mut contents: Vec<_> = collections
            .iter()
            .map(|info| OfOne {
                name: info.name.clone(),
                gauges: GAUGES.map(|gauge| (gauge.value)(info)),
                searches: info.searches,
            })
            .collect();
        contents.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        *self.0.lock() = contents;
    }

    /// Ends the series of a collection.
    pub(super) fn forget(&self, collection: &str) {
        self.0.lock().retain(|one| one.name != collection);
    }
}

impl Collector for Contents {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let contents = self.0.lock();
        for (at, gauge) in GAUGES.iter().enumerate() {
            let mut family =
                encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
            for one in contents.iter() {
                if let Some(value) = one.gauges.get(at) {
                    let labels = [("collection", one.name.as_str())];
                    ConstGauge::new(*value).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        for counter in &COUNTERS {
            let mut family =
                encoder.encode_descriptor(counter.name, counter.help, None, MetricType::Counter)?;
            for one in contents.iter() {
                for (value, count) in (counter.values)(&one.searches) {
                    let labels = [("collection", one.name.as_str()), (counter.label, value)];
                    let labels = match counter.label.is_empty() {
                        true => &labels[..1],
                        false => &labels,
                    };
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
