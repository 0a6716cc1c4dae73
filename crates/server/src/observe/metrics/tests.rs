//! What a scrape shows, and what it must not.

use std::collections::BTreeMap;
use std::time::Instant;

use vecdb_engine::{
    ArchiveStatus, Collection, CollectionConfig, Database, MergeProgress, MergeStep, Metric,
    Options, Point, PointId, SearchRequest,
};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// The samples of a scrape: name with labels, value.
fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.render();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn record(metrics: &Metrics, operation: Operation, collection: &str, outcome: Option<ErrorKind>) {
    metrics.record(operation, collection, Face::Grpc, outcome, MS);
}

#[test]
fn calls_are_counted_by_outcome_and_timed_when_they_succeed() {
    let metrics = Metrics::new();
    record(&metrics, Operation::Search, "a", None);
    record(&metrics, Operation::Search, "a", None);
    record(
        &metrics,
        Operation::Search,
        "a",
        Some(ErrorKind::InvalidArgument),
    );
    metrics.record(Operation::Upsert, "a", Face::Http, None, 3 * MS);
    let samples = samples(&metrics);
    let labels = r#"operation="search",collection="a",face="grpc""#;
    let calls = |outcome: &str| {
        samples[&format!("vecdb_operations_total{{{labels},outcome=\"{outcome}\"}}")]
    };
    assert_eq!((calls("ok"), calls("invalid_argument")), (2.0, 1.0));
    assert_eq!(
        samples[&format!("vecdb_operation_latency_seconds_count{{{labels}}}")],
        2.0
    );
    assert_eq!(
        samples[&format!("vecdb_operation_latency_seconds_bucket{{{labels},le=\"0.0005\"}}")],
        0.0
    );
    assert_eq!(
        samples[&format!("vecdb_operation_latency_seconds_bucket{{{labels},le=\"0.001\"}}")],
        2.0
    );
    assert_eq!(samples["vecdb_search_latency_seconds_count"], 2.0);
    assert_eq!(samples["vecdb_insert_latency_seconds_count"], 1.0);
    assert!((samples["vecdb_insert_latency_seconds_sum"] - 0.003).abs() < 1e-9);
}

#[test]
fn names_that_do_not_exist_make_no_series() {
    let metrics = Metrics::new();
    for name in 0..1_000 {
        let name = format!("guess-{name}");
        record(
            &metrics,
            Operation::Search,
            &name,
            Some(ErrorKind::NotFound),
        );
        record(
            &metrics,
            Operation::Search,
            &name,
            Some(ErrorKind::PermissionDenied),
        );
    }
    let text = metrics.render();
    assert!(!text.contains("guess"), "{text}");
    let samples = samples(&metrics);
    let all = r#"vecdb_operations_total{operation="search",collection="",face="grpc",outcome="not_found"}"#;
    assert_eq!(samples[all], 1_000.0);
}

#[test]
fn the_number_of_collections_with_series_is_bounded() {
    let metrics = Metrics::new();
    for name in 0..1_500 {
        record(&metrics, Operation::Get, &format!("c{name:04}"), None);
    }
    let samples = samples(&metrics);
    let series = |name: &str| {
        samples.get(&format!(
            "vecdb_operations_total{{operation=\"get\",collection=\"{name}\",face=\"grpc\",outcome=\"ok\"}}"
        ))
    };
    assert_eq!(series("c0999"), Some(&1.0));
    assert_eq!(series("c1000"), None);
    assert_eq!(series(""), Some(&500.0));
}

#[test]
fn the_series_of_a_collection_end_with_it() {
    let metrics = Metrics::new();
    record(&metrics, Operation::Search, "gone", None);
    record(&metrics, Operation::Search, "kept", None);
    record(&metrics, Operation::DropCollection, "gone", None);
    let text = metrics.render();
    assert!(!text.contains("gone") && text.contains("kept"), "{text}");
    // Dropped by other means than a call, as a restore that replaces it.
    metrics.observe_database(&Overview::default());
    assert!(!metrics.render().contains("kept"));
}

fn open(collection: &Collection) -> Overview {
    Overview {
        open: vec![collection.info()],
        ..Overview::default()
    }
}

#[test]
fn the_contents_of_the_database_are_those_of_the_last_look() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = database.create_collection("docs", config).unwrap();
    let points: Vec<Point> = (0..10_u8)
        .map(|id| Point::new(PointId::from(u64::from(id)), vec![f32::from(id), 1.0]))
        .collect();
    collection.upsert(points).unwrap();
    let metrics = Metrics::new();
    metrics.observe_database(&Overview {
        broken: 1,
        archive: Some(ArchiveStatus {
            waiting_bytes: 77,
            failures: 2,
            ..ArchiveStatus::default()
        }),
        ..open(&collection)
    });
    let before = samples(&metrics);
    assert_eq!(before[r#"vecdb_vectors_total{collection="docs"}"#], 10.0);
    assert_eq!(before[r#"vecdb_segments{collection="docs"}"#], 0.0);
    assert!(before[r#"vecdb_memtable_bytes{collection="docs"}"#] > 0.0);
    assert!(before[r#"vecdb_wal_lag{collection="docs"}"#] > 0.0);
    assert_eq!(
        (
            before["vecdb_archive_waiting_bytes"],
            before["vecdb_archive_failures"]
        ),
        (77.0, 2.0)
    );
    assert_eq!(
        (
            before["vecdb_collections"],
            before["vecdb_collections_broken"]
        ),
        (1.0, 1.0)
    );

    collection.flush().unwrap();
    let search = SearchRequest::new(vec![1.0, 1.0]).cache(true);
    for _ in 0..3 {
        collection.search(&search).unwrap();
    }
    metrics.observe_database(&open(&collection));
    let after = samples(&metrics);
    assert_eq!(after[r#"vecdb_segments{collection="docs"}"#], 1.0);
    assert_eq!(after["vecdb_archive_failures"], 0.0);
    assert_eq!(after[r#"vecdb_wal_lag{collection="docs"}"#], 0.0);
    assert_eq!(
        after[r#"vecdb_index_build_progress{collection="docs"}"#],
        1.0
    );
    let mut info = collection.info();
    info.maintenance.building_fields = Some((1, 4));
    info.maintenance.merges_paused = true;
    info.maintenance.merge = Some(MergeProgress {
        segments: 3,
        rows: 10,
        step: MergeStep::Index,
        rows_done: 5,
        bytes: 1,
        started_at: 1,
        eta_seconds: Some(12.5),
    });
    metrics.observe_database(&Overview {
        open: vec![info],
        ..Overview::default()
    });
    let meanwhile = samples(&metrics);
    assert_eq!(
        meanwhile[r#"vecdb_field_index_build_progress{collection="docs"}"#],
        0.25
    );
    for (name, none, under_way) in [
        ("merge_progress", 1.0, 0.5),
        ("merge_eta_seconds", 0.0, 12.5),
        ("merges_paused", 0.0, 1.0),
    ] {
        let series = format!("vecdb_{name}{{collection=\"docs\"}}");
        assert_eq!(
            (after[&series], meanwhile[&series]),
            (none, under_way),
            "{name}"
        );
    }
    assert!(after[r#"vecdb_segment_bytes{collection="docs"}"#] > 0.0);
    for (series, count) in [
        (
            r#"searched_segments_total{collection="docs",plan="scan"}"#,
            1.0,
        ),
        (
            r#"searched_segments_total{collection="docs",plan="hop"}"#,
            0.0,
        ),
        (
            r#"searched_segments_total{collection="docs",plan="subset"}"#,
            0.0,
        ),
        (r#"subset_graph_bytes{collection="docs"}"#, 0.0),
        (r#"plan_switches_total{collection="docs"}"#, 0.0),
        (r#"mask_cache_total{collection="docs",result="hit"}"#, 0.0),
        (r#"result_cache_total{collection="docs",result="hit"}"#, 2.0),
        (
            r#"result_cache_total{collection="docs",result="miss"}"#,
            1.0,
        ),
    ] {
        assert_eq!(after[&format!("vecdb_{series}")], count, "{series}");
    }

    record(&metrics, Operation::DropCollection, "docs", None);
    assert!(!metrics.render().contains("docs"));
}

#[test]
fn the_state_of_the_process_is_shown() {
    let metrics = Metrics::new();
    metrics.refuse(Refusal::Queue);
    metrics.observe_memory(1 << 30, None);
    metrics.observe_load(&[LaneLoad {
        lane: "read",
        queued: 7,
        running: 2,
        threads: 2,
    }]);
    let open = metrics.connection();
    let now = samples(&metrics);
    assert_eq!(now[r#"vecdb_refused_total{reason="queue"}"#], 1.0);
    assert_eq!(now[r#"vecdb_refused_total{reason="memory"}"#], 0.0);
    assert_eq!(now[r#"vecdb_queue_depth{lane="read"}"#], 7.0);
    assert_eq!(now[r#"vecdb_running_calls{lane="read"}"#], 2.0);
    assert_eq!(now["vecdb_memory_bytes"], f64::from(1 << 30));
    assert_eq!(now["vecdb_memory_limit_bytes"], 0.0);
    assert_eq!(now["vecdb_connections"], 1.0);
    assert!(now["vecdb_uptime_seconds"] >= 0.0);
    let build = format!(
        "vecdb_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(now[&build], 1.0);
    drop(open);
    assert_eq!(samples(&metrics)["vecdb_connections"], 0.0);
}

#[test]
fn labels_are_escaped() {
    let metrics = Metrics::new();
    record(&metrics, Operation::Search, "a\"b\\c\nd", None);
    let text = metrics.render();
    assert!(text.contains(r#"collection="a\"b\\c\nd""#), "{text}");
}

#[test]
fn recording_is_cheap() {
    let metrics = Metrics::new();
    record(&metrics, Operation::Search, "a", None);
    let calls = 100_000;
    let best = (0..5)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..calls {
                record(&metrics, Operation::Search, "a", None);
            }
            begun.elapsed() / calls
        })
        .min()
        .unwrap();
    // About 60 ns; the bar leaves room for machines that are busy with other things.
    assert!(best < Duration::from_micros(1), "{best:?} a call");
}
