//! Round trips, and what is refused.

use std::time::Duration;

use tonic::{Code, Status};
use vecdb_engine::{
    Advice, AdviceParams, ArchiveRange, ArchiveReport, Choice, CollectionConfig, CollectionInfo,
    Database, Durability, ElementType, Error, ErrorKind, Example, Facet, FacetRequest, Facets,
    Filter, HitGroup, HnswParams, IndexSpec, MergeProgress, MergeStep, Metric, Options, OrderBy,
    Point, PointId, RecommendRequest, RecommendStrategy, Record, Recovery, RestorePoint,
    RestoreRequest, Restored, ScrollPage, ScrollRequest, SearchParams, SearchRequest,
    SearchResponse, SnapshotContent, SnapshotInfo, StopSignal, Transfer, Value, VerifyReport,
    WriteResult,
};

use super::*;
use crate::v1;

fn point() -> Point {
    Point::new("a", vec![1.0, -2.5])
        .with("none", Value::Null)
        .with("bool", true)
        .with("int", i64::MIN)
        .with("float", -0.5)
        .with("when", Value::DateTime(-1))
        .with(
            "where",
            Value::Geo(vecdb_engine::GeoPoint::new(52.5, -13.4).unwrap()),
        )
        .with("text", "naïve")
        .with("list", vec!["x", "y"])
}

#[test]
fn points_and_ids_round_trip() {
    assert_eq!(points(vec![point().into()]).unwrap(), [point()]);
    let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let all = vec![PointId::from(5), PointId::from("5"), PointId::from(uuid)];
    let sent = all.iter().cloned().map(Into::into).collect();
    assert_eq!(ids(sent).unwrap(), all);
}

#[test]
fn bad_points_are_named() {
    let value = |kind| v1::Value { kind: Some(kind) };
    let nested = v1::value::Kind::Array(v1::Array { items: vec![] });
    let array = v1::value::Kind::Array(v1::Array {
        items: vec![value(nested)],
    });
    let with = |value| {
        let mut message = v1::Point::from(point());
        message.metadata.insert("f".to_owned(), value);
        message
    };
    for (bad, says) in [
        (v1::Point::default(), "point 1: the id is missing"),
        (with(value(array)), "metadata f: item 0: an array inside"),
        (
            with(value(v1::value::Kind::Float(f64::NAN))),
            "metadata f: NaN is not a finite",
        ),
        (with(v1::Value { kind: None }), "metadata f: the value has"),
    ] {
        let error = points(vec![point().into(), bad]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(says), "{error}");
    }
    let empty = v1::point_id::Kind::Text(String::new());
    let error = ids(vec![v1::PointId { kind: Some(empty) }]).unwrap_err();
    assert!(error.to_string().contains("must not be empty"), "{error}");
    assert!(collection_name(String::new()).is_err());
}

#[test]
fn a_get_keeps_the_order_of_its_ids() {
    let record = |id: u64| Record {
        id: id.into(),
        vector: Some(vec![id as f32]),
        metadata: Some(point().metadata),
    };
    let asked: Vec<PointId> = [3, 1, 3, 2].map(PointId::from).to_vec();
    let found = vec![Some(record(3)), None, Some(record(3)), Some(record(2))];
    let response = get_response(asked.clone(), found.clone());
    assert_eq!(response.missing, [PointId::from(1).into()]);
    assert_eq!(records(&asked, response.clone()).unwrap(), found);
    assert!(records(&asked[..2], response).is_err());
}

#[test]
fn settings_and_state_of_a_collection_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path(), Options::default()).unwrap();
    let hnsw = IndexSpec::Hnsw(HnswParams {
        m: 32,
        ..HnswParams::default()
    });
    let config = CollectionConfig::new(2, Metric::Dot)
        .element(ElementType::F16)
        .index(hnsw)
        .durability(Durability::IntervalMs(7))
        .field("tags", "string[]".parse().unwrap())
        .unindexed("tags");
    let collection = db.create_collection("c", config).unwrap();
    collection.upsert(vec![point()]).unwrap();
    collection.flush().unwrap();
    let mut info = collection.info();
    info.maintenance.building = Some((0, 9));
    info.maintenance.building_fields = Some((5, 7));
    info.maintenance.merges_paused = true;
    info.maintenance.last_error = Some("disk".to_owned());
    info.maintenance.write_stalls = 3;
    info.maintenance.write_stall_micros = 4;
    for step in MergeStep::ALL {
        info.maintenance.merge = Some(MergeProgress {
            segments: 2,
            rows: 100,
            step,
            rows_done: 40,
            bytes: 12_345,
            started_at: 1_764_503_938_000_000,
            eta_seconds: (step != MergeStep::Rows).then_some(2.5),
        });
        let message = v1::CollectionInfo::try_from(info.clone()).unwrap();
        let back = CollectionInfo::try_from(message).unwrap();
        assert_eq!(format!("{back:?}"), format!("{info:?}"));
    }
}

#[test]
fn bad_settings_list_the_good_ones() {
    let config = |metric: &str| v1::CollectionConfig {
        dimension: 2,
        metric: metric.to_owned(),
        ..Default::default()
    };
    for metric in ["", "euclid"] {
        let error = CollectionConfig::try_from(config(metric)).unwrap_err();
        assert!(error.to_string().contains("cosine"), "{error}");
    }
    let unindexed = v1::CollectionConfig {
        unindexed: vec!["body".to_owned()],
        ..config("l2")
    };
    let error = CollectionConfig::try_from(unindexed).unwrap().validate();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("\"body\", which is not declared"), "{error}");
    let plain = CollectionConfig::try_from(config("l2")).unwrap();
    assert_eq!(plain, CollectionConfig::new(2, Metric::L2));
    let durability = |level, interval_ms| durability(Some(v1::Durability { level, interval_ms }));
    assert_eq!(durability(0, 0).unwrap(), None);
    assert_eq!(durability(2, 5).unwrap(), Some(Durability::IntervalMs(5)));
    for (level, interval_ms) in [(1, 5), (2, 0), (4, 0)] {
        assert!(durability(level, interval_ms).is_err(), "{level}");
    }
}

#[test]
fn searches_and_scrolls_round_trip() {
    let mut request = SearchRequest::new([1.0, 2.0])
        .limit(3)
        .filter(Filter::gt("price", 1.5))
        .params(SearchParams {
            ef: Some(9),
            probes: Some(30),
            candidates: Some(40),
            target_recall: Some(0.9),
            plan: Some(vecdb_engine::Plan::Check),
            plan_costs: Some(vecdb_engine::PlanCosts::Counted),
            exact: true,
            ..SearchParams::default()
        })
        .max_distance(0.5)
        .offset(7)
        .group_by("a", 3)
        .min_score(0.25)
        .with_vector(true)
        .with_metadata(false);
    request.timeout = Some(Duration::from_millis(20));
    let back = SearchRequest::try_from(v1::SearchRequest::from(request.clone())).unwrap();
    assert_eq!(format!("{back:?}"), format!("{request:?}"));
    let plain = SearchRequest::try_from(v1::SearchRequest::default()).unwrap();
    assert_eq!((plain.limit, plain.with_metadata), (10, true));

    let scroll = ScrollRequest {
        cursor: Some("1-2".to_owned()),
        limit: 4,
        filter: Some(Filter::eq("a", "b")),
        with_vector: true,
        with_metadata: false,
        order_by: Some(OrderBy::descending("a")),
        stop: StopSignal::default(),
    };
    let back = ScrollRequest::try_from(v1::ScrollRequest::from(scroll.clone())).unwrap();
    assert_eq!(format!("{back:?}"), format!("{scroll:?}"));
    let page = ScrollPage {
        points: Vec::new(),
        next_cursor: Some("7".to_owned()),
    };
    let back = ScrollPage::try_from(v1::ScrollResponse::from(page.clone()));
    assert_eq!(back.unwrap(), page);

    let empty = v1::Filter::default();
    assert!(filter(Some(empty)).is_err());
    let other = v1::SearchRequest {
        collection: "b".to_owned(),
        ..Default::default()
    };
    let batch = v1::SearchBatchRequest {
        collection: "a".to_owned(),
        searches: vec![v1::SearchRequest::default(), other],
    };
    let error = searches(batch).unwrap_err().to_string();
    assert!(error.contains("query 1") && error.contains("\"b\""));
}

#[test]
fn an_answer_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path(), Options::default()).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    let wrote = collection.upsert(vec![point()]).unwrap();
    let back = WriteResult::try_from(v1::WriteResult::from(wrote));
    assert_eq!(back.unwrap(), wrote);

    let request = SearchRequest::new([1.0, 2.0]).with_vector(true);
    let mut answer = collection.search(&request).unwrap();
    answer.elapsed = Duration::from_micros(1500);
    answer.stats.matching = Some(0);
    answer.groups = vec![HitGroup {
        value: Value::from("x"),
        hits: answer.hits.clone(),
    }];
    let message = v1::SearchResponse::from(answer.clone());
    assert_eq!(message.latency_ms, 1.5);
    let back = SearchResponse::try_from(message.clone()).unwrap();
    assert_eq!(back, answer);
    let broken = v1::SearchResponse {
        latency_ms: -1.0,
        ..message
    };
    assert!(SearchResponse::try_from(broken).is_err());
}

#[test]
fn recommendations_round_trip() {
    let mut request = RecommendRequest::new(["a"])
        .negative([7])
        .strategy(RecommendStrategy::BestScore);
    request.positive.push(Example::Vector(vec![1.0, 2.0]));
    request.search.limit = 3;
    let message = v1::RecommendRequest::from(request.clone());
    let back = RecommendRequest::try_from(message.clone()).unwrap();
    assert_eq!(format!("{back:?}"), format!("{request:?}"));
    let plain = RecommendRequest::try_from(v1::RecommendRequest::default()).unwrap();
    assert_eq!(plain.strategy, RecommendStrategy::AverageVector);
    assert_eq!(plain.search.limit, 10);

    let mut empty = message.clone();
    empty.negative.push(v1::Example::default());
    let mut unknown = message.clone();
    unknown.strategy = "best".to_owned();
    let mut named = message;
    named.search.as_mut().unwrap().collection = "c".to_owned();
    for (message, expected) in [
        (empty, "negative example 1: the id or vector is missing"),
        (unknown, "average_vector, best_score"),
        (named, "names a collection"),
    ] {
        let error = RecommendRequest::try_from(message).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn facets_round_trip() {
    let request = FacetRequest::new("a").limit(7).filter(Filter::eq("a", "b"));
    let back = FacetRequest::try_from(v1::FacetsRequest::from(&request)).unwrap();
    assert_eq!(format!("{back:?}"), format!("{request:?}"));
    let plain = FacetRequest::try_from(v1::FacetsRequest::default()).unwrap();
    assert_eq!(plain.limit, 10);
    let facets = Facets {
        values: vec![Facet {
            value: Value::Float(-0.5),
            count: u64::MAX,
        }],
        distinct: 9,
        points: 8,
        missing: 7,
    };
    let message = v1::FacetsResponse::from(facets.clone());
    assert_eq!(Facets::try_from(message.clone()).unwrap(), facets);
    let broken = v1::FacetsResponse {
        values: vec![v1::Facet::default()],
        ..message
    };
    assert!(Facets::try_from(broken).is_err());
}

#[test]
fn advice_round_trips_and_zeros_are_defaults() {
    let params = AdviceParams {
        target_recall: 0.9,
        limit: 20,
        memory_bytes: Some(0),
        rows: Some(1 << 40),
        sample_rows: 300,
        queries: 11,
        seed: 0,
    };
    assert_eq!(AdviceParams::from(v1::AdviseRequest::from(&params)), params);
    let usual = AdviceParams::from(v1::AdviseRequest::default());
    assert_eq!(usual, AdviceParams::default());

    let choice = |reaches_recall| Choice {
        spec: IndexSpec::Hnsw(HnswParams::default()),
        params: SearchParams {
            ef: Some(40),
            ..SearchParams::default()
        },
        sample_recall: 0.96,
        reaches_recall,
        fits_memory: true,
        memory_bytes: 1 << 33,
        build_seconds: 1.5,
        latency_us: 80.25,
    };
    for first in [true, false] {
        let advice = Advice {
            rows: 1 << 40,
            sample_rows: 300,
            queries: 11,
            choices: vec![choice(first), choice(false)],
        };
        let message = v1::AdviseResponse::try_from(advice.clone()).unwrap();
        let best = first.then(|| message.choices[0].clone());
        assert_eq!(message.recommended, best);
        assert_eq!(Advice::try_from(message.clone()).unwrap(), advice);
        let mut unknown = message;
        unknown.choices[1].index = "tree".to_owned();
        assert!(Advice::try_from(unknown).is_err());
    }
}

#[test]
fn reports_round_trip() {
    let report = VerifyReport {
        segments: 1,
        files: 2,
        bytes: 3,
        rows: 4,
        field_values: 5,
        log_entries: 6,
        links: 7,
        unreachable: 8,
        problems: vec!["bad".to_owned()],
        repaired: vec!["better".to_owned()],
        quarantined: vec!["gone".to_owned()],
        lost: 9,
    };
    let back = VerifyReport::from(v1::VerifyResponse::from(report.clone()));
    assert_eq!(back, report);
    let recovery = Recovery {
        replayed: 1,
        torn_bytes_cut: 2,
        skipped: 3,
    };
    assert_eq!(Recovery::from(v1::Recovery::from(recovery)), recovery);
    for until in [
        None,
        Some(RestorePoint::Sequence(0)),
        Some(RestorePoint::Time(0)),
        Some(RestorePoint::Latest),
    ] {
        let request = RestoreRequest {
            collection: Some("c".to_owned()),
            until,
            ..RestoreRequest::default()
        };
        let message = restore_request("s", &request);
        assert_eq!(message.name, "s");
        assert_eq!(RestoreRequest::try_from(message).unwrap(), request);
    }
    let two = v1::RestoreSnapshotRequest {
        to_sequence: Some(1),
        to_latest: true,
        ..v1::RestoreSnapshotRequest::default()
    };
    assert!(RestoreRequest::try_from(two).is_err());
    let restored = Restored {
        collections: Vec::new(),
        sequence: Some(0),
        time: Some(-1),
    };
    let back = Restored::from(v1::RestoreSnapshotResponse::from(restored.clone()));
    assert_eq!(back, restored);
    let snapshot = SnapshotInfo {
        name: "s".to_owned(),
        created_at: -5,
        bytes: 9,
        collections: [(Some(7), None), (None, Some("torn".to_owned()))]
            .map(|(sequence, broken)| SnapshotContent {
                name: "c".to_owned(),
                points: 2,
                sequence,
                broken,
            })
            .into(),
        transfer: Some(Transfer {
            uploaded_bytes: 7,
            reused_bytes: 2,
        }),
    };
    let back = SnapshotInfo::from(v1::SnapshotInfo::from(snapshot.clone()));
    assert_eq!(back, snapshot);
    let range = |from| ArchiveRange {
        first: 1,
        last: 2,
        from,
        through: 3,
    };
    let report = ArchiveReport {
        location: "s3://bucket/log".to_owned(),
        pieces: 4,
        bytes: 5,
        entries: 6,
        ranges: vec![range(None), range(Some(7))],
        unlisted: 8,
        problems: vec!["torn".to_owned()],
    };
    let back = ArchiveReport::from(v1::VerifyArchiveResponse::from(report.clone()));
    assert_eq!(back, report);
}

#[test]
fn every_kind_of_error_comes_back() {
    for kind in ErrorKind::all() {
        let error = Error::new(kind, "naïve").with_retry_after(Duration::from_millis(1500));
        let status = status_of(&error);
        assert_eq!(status.code() as i32, kind.grpc_code());
        let back = error_of(&status);
        assert_eq!((back.kind(), back.to_string()), (kind, "naïve".to_owned()));
        assert_eq!(back.retry_after(), error.retry_after());
        // Without the metadata, as from a proxy, the code says the same.
        let bare = error_of(&Status::new(status.code(), "x"));
        assert_eq!(bare.kind(), kind);
    }
    assert_eq!(error_of(&Status::unknown("x")).kind(), ErrorKind::Io);
    assert_eq!(
        error_of(&Status::new(Code::Aborted, "")).kind(),
        ErrorKind::Unavailable
    );
    let long = status_of(&Error::new(ErrorKind::Io, "é".repeat(5000)));
    assert!(long.message().len() < 2100 && long.message().ends_with("..."));
}
