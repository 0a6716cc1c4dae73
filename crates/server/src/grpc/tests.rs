//! Every rpc on real data, and what a caller can do wrong. No sockets: the generated client speaks to the router.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::Body;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;
use vecdb_backend::{Backend, Local};
use vecdb_engine::{Database, Options};
use vecdb_protocol::v1;
use vecdb_protocol::v1::point_id::Kind;
use vecdb_protocol::v1::vec_db_client::VecDbClient;
use vecdb_protocol::{kind_name, retry_after};

use super::*;
use crate::auth::Authority;
use crate::config::{ApiKey, Config, Secret};
use crate::gateway::{Access, REQUEST_ID};
use crate::observe::Metrics;

const SOON: Duration = Duration::from_secs(5);

struct Fixture {
    gateway: Arc<Gateway>,
    router: Router,
    client: VecDbClient<Router>,
    _folder: TempDir,
}

fn serve(settings: &Config) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::open(folder.path(), Options::default()).unwrap());
    let authority = Arc::new(Authority::new(&settings.auth).unwrap());
    // A machine that is busy with other tests makes calls wait.
    let mut settings = settings.clone();
    settings.limits.queue_wait_ms_max = 0;
    let gateway = Gateway::new(&settings, authority, Arc::new(Metrics::new())).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Local::new(database, None));
    gateway.attach(backend);
    let router = routes(gateway.clone());
    Fixture {
        gateway,
        client: VecDbClient::new(router.clone()),
        router,
        _folder: folder,
    }
}

fn config(dimension: u32) -> Option<v1::CollectionConfig> {
    Some(v1::CollectionConfig {
        dimension,
        metric: "l2".to_owned(),
        ..Default::default()
    })
}

fn id(number: u64) -> v1::PointId {
    v1::PointId {
        kind: Some(Kind::Number(number)),
    }
}

fn point(number: u64, vector: [f32; 2]) -> v1::Point {
    let even = v1::value::Kind::Bool(number.is_multiple_of(2));
    v1::Point {
        id: Some(id(number)),
        vector: vector.to_vec(),
        metadata: [("even".to_owned(), v1::Value { kind: Some(even) })].into(),
    }
}

fn batch(points: impl IntoIterator<Item = u64>) -> v1::UpsertRequest {
    let points = points.into_iter();
    v1::UpsertRequest {
        collection: "c".to_owned(),
        points: points.map(|n| point(n, [n as f32, 0.0])).collect(),
        durability: None,
    }
}

fn search() -> v1::SearchRequest {
    v1::SearchRequest {
        collection: "c".to_owned(),
        vector: vec![3.2, 0.0],
        limit: 2,
        ..Default::default()
    }
}

fn even() -> Option<v1::Filter> {
    let json = r#"{"even": true}"#.to_owned();
    Some(v1::Filter { json })
}

impl Fixture {
    /// A collection `c` with the points 1 to 5.
    async fn with_points(mut self) -> Self {
        let request = v1::CreateCollectionRequest {
            name: "c".to_owned(),
            config: config(2),
        };
        self.client.create_collection(request).await.unwrap();
        self.client.upsert(batch(1..=5)).await.unwrap();
        self
    }

    /// The headers of the answer to bytes that no client of ours would send.
    async fn send_raw(
        &self,
        path: &str,
        content_type: &str,
        bytes: &[u8],
    ) -> (StatusCode, HeaderMap) {
        let request = Request::post(path)
            .header("content-type", content_type)
            .body(Body::from(bytes.to_vec()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        (response.status(), response.headers().clone())
    }
}

#[test]
fn the_descriptors_can_be_served() {
    assert!(reflection().build_v1().is_ok());
    assert!(reflection().build_v1alpha().is_ok());
}

fn assert_error(status: &Status, code: Code, kind: &str, part: &str) {
    assert_eq!(
        (status.code(), kind_name(status)),
        (code, kind),
        "{status:?}"
    );
    assert!(status.message().contains(part), "{status:?}");
}

#[tokio::test]
async fn field_indexes_are_dropped_and_created() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let info = client.get_collection(v1::GetCollectionRequest {
        name: "c".to_owned(),
    });
    let info = info.await.unwrap().into_inner().collection.unwrap();
    let field = info.fields.keys().next().unwrap().clone();
    let drop = |field: &str| v1::DropFieldIndexRequest {
        collection: "c".to_owned(),
        field: field.to_owned(),
    };
    let create = |collection: &str| v1::CreateFieldIndexRequest {
        collection: collection.to_owned(),
        field: field.clone(),
    };
    for changed in [true, false] {
        let dropped = client.drop_field_index(drop(&field)).await.unwrap();
        assert_eq!(dropped.into_inner().changed, changed);
    }
    for changed in [true, false] {
        let created = client.create_field_index(create("c")).await.unwrap();
        assert_eq!(created.into_inner().changed, changed);
    }
    let create_collection = v1::CreateCollectionRequest {
        name: "notes".to_owned(),
        config: config(2).map(|config| v1::CollectionConfig {
            fields: [("body".to_owned(), "text(english)".to_owned())].into(),
            unindexed: vec!["body".to_owned()],
            ..config
        }),
    };
    let made = client.create_collection(create_collection).await.unwrap();
    let made = made.into_inner().collection.unwrap();
    assert!(made.fields["body"].unindexed);
    assert_eq!(made.fields["body"].stemmer, "english");
    assert_eq!(made.config.unwrap().unindexed, ["body"]);
    let refused = client.drop_field_index(drop("nothing")).await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "unknown field",
    );
    let refused = client.create_field_index(create("none")).await.unwrap_err();
    assert_error(&refused, Code::NotFound, "not_found", "none");
    let refused = client.create_field_index(create("")).await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "no collection",
    );
}

#[tokio::test]
async fn advice_is_measured_or_refused_with_the_value_at_fault() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let request = || v1::AdviseRequest {
        collection: "c".to_owned(),
        queries: 20,
        ..Default::default()
    };
    let refused = client.advise(request()).await.unwrap_err();
    let few = "`rows to measure with` is 5,";
    assert_error(&refused, Code::InvalidArgument, "invalid_argument", few);

    client.upsert(batch(6..=400)).await.unwrap();
    let advice = client.advise(request()).await.unwrap().into_inner();
    let counts = (advice.rows, advice.sample_rows, advice.queries);
    assert_eq!(counts, (400, 380, 20));
    assert_eq!(advice.recommended.as_ref(), advice.choices.first());
    let flat = advice.choices.iter().find(|c| c.index.contains("flat"));
    assert!(flat.unwrap().reaches_recall);

    let hopeful = v1::AdviseRequest {
        target_recall: Some(1.5),
        ..request()
    };
    let refused = client.advise(hopeful).await.unwrap_err();
    let named = "`target_recall` is 1.5,";
    assert_error(&refused, Code::InvalidArgument, "invalid_argument", named);
    let nowhere = v1::AdviseRequest::default();
    let refused = client.advise(nowhere).await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "no collection",
    );
    let missing = v1::AdviseRequest {
        collection: "none".to_owned(),
        ..Default::default()
    };
    let refused = client.advise(missing).await.unwrap_err();
    assert_error(&refused, Code::NotFound, "not_found", "none");
}

#[tokio::test]
async fn statements_are_run_or_refused_at_their_place() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let request = |sql: &str| v1::QueryRequest {
        sql: sql.to_owned(),
        ..Default::default()
    };
    let near = v1::QueryRequest {
        named: [(
            "q".to_owned(),
            v1::Parameter {
                kind: Some(v1::parameter::Kind::Vector(v1::Vector {
                    values: vec![1.0, 0.0],
                })),
            },
        )]
        .into(),
        ..request("SELECT id, distance FROM c WHERE vector NEAR $q LIMIT 2")
    };
    let found = client.query(near).await.unwrap().into_inner();
    assert_eq!((found.columns.len(), found.rows.len()), (2, 2));
    assert_eq!(found.columns[1].r#type, "float");
    let first = found.rows[0].cells[0].kind.clone();
    assert_eq!(first, Some(v1::cell::Kind::Id(id(1))));
    let groups = "SELECT even, id FROM c WHERE vector NEAR [1, 0] GROUP BY even LIMIT 2 PER GROUP";
    let groups = client.query(request(groups)).await.unwrap().into_inner();
    assert_eq!((groups.columns.len(), groups.rows.len()), (2, 4));
    let deleted = client
        .query(request("DELETE FROM c WHERE id = 1"))
        .await
        .unwrap();
    assert_eq!(deleted.into_inner().affected, Some(1));
    let refused = client.query(request("SELECT x FROM c")).await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "1:8: unknown field",
    );
    let refused = client.query(request("SELECT FROM")).await.unwrap_err();
    assert_error(&refused, Code::InvalidArgument, "invalid_argument", "1:8: ");
    let both = v1::QueryRequest {
        positional: vec![v1::Parameter::default()],
        named: [("q".to_owned(), v1::Parameter::default())].into(),
        ..request("SELECT 1")
    };
    let refused = client.query(both).await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "by position and by name",
    );
}

#[tokio::test]
async fn collections_are_made_looked_at_and_removed() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let name = || "c".to_owned();
    let info = client
        .get_collection(v1::GetCollectionRequest { name: name() })
        .await
        .unwrap()
        .into_inner()
        .collection
        .unwrap();
    assert_eq!((info.points, info.config.unwrap().dimension), (5, 2));

    let twice = v1::CreateCollectionRequest {
        name: name(),
        config: config(2),
    };
    let refused = client.create_collection(twice).await.unwrap_err();
    assert_error(&refused, Code::AlreadyExists, "already_exists", "\"c\"");

    let flush = v1::FlushCollectionRequest { name: name() };
    client.flush_collection(flush).await.unwrap();
    for pending_only in [true, false] {
        let compact = v1::CompactCollectionRequest {
            name: name(),
            pending_only,
        };
        let compacted = client
            .compact_collection(compact)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(compacted.collection.unwrap().segments.len(), 1);
    }
    let paused = async |mut client: VecDbClient<Router>| {
        let status = client.get_status(v1::GetStatusRequest {}).await.unwrap();
        let request = v1::GetCollectionRequest { name: name() };
        let info = client.get_collection(request).await.unwrap().into_inner();
        let maintenance = info.collection.unwrap().maintenance.unwrap();
        (status.into_inner().merges_paused, maintenance.merges_paused)
    };
    client
        .pause_merges(v1::PauseMergesRequest {})
        .await
        .unwrap();
    assert_eq!(paused(client.clone()).await, (true, true));
    client
        .resume_merges(v1::ResumeMergesRequest {})
        .await
        .unwrap();
    assert_eq!(paused(client.clone()).await, (false, false));
    let verify = v1::VerifyRequest {
        collection: name(),
        repair: true,
    };
    let report = client.verify(verify).await.unwrap().into_inner();
    assert_eq!((report.segments, report.problems), (1, vec![]));
    let verify = client.verify(v1::VerifyRequest::default()).await.unwrap();
    assert_eq!(verify.into_inner().rows, 5);

    let status = client
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((status.collections, status.points), (1, 5));
    assert!(!status.version.is_empty());

    client
        .drop_collection(v1::DropCollectionRequest { name: name() })
        .await
        .unwrap();
    let list = client
        .list_collections(v1::ListCollectionsRequest {})
        .await
        .unwrap();
    assert_eq!(list.into_inner().collections, []);
    let gone = client.search(search()).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "not_found", "\"c\"");
}

#[tokio::test]
async fn points_are_written_changed_and_deleted() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let again = client.upsert(batch(5..=6)).await.unwrap().into_inner();
    let result = again.result.unwrap();
    assert_eq!((result.inserted, result.updated), (1, 1));
    assert!(again.latency_ms > 0.0);

    let update = v1::UpdateMetadataRequest {
        collection: "c".to_owned(),
        ids: vec![id(1)],
        metadata: point(2, [0.0; 2]).metadata,
        replace: true,
    };
    let updated = client
        .update_metadata(update.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(updated.result.unwrap().updated, 1);
    let mut unknown = update;
    unknown.ids.push(id(99));
    let refused = client.update_metadata(unknown).await.unwrap_err();
    assert_error(&refused, Code::NotFound, "not_found", "\"99\"");
    let count = v1::CountRequest {
        collection: "c".to_owned(),
        filter: even(),
    };
    assert_eq!(
        client
            .count(count.clone())
            .await
            .unwrap()
            .into_inner()
            .count,
        4
    );

    let by_id = v1::DeleteRequest {
        collection: "c".to_owned(),
        ids: vec![id(5)],
        filter: None,
    };
    let deleted = client.delete(by_id).await.unwrap().into_inner();
    assert_eq!(deleted.result.unwrap().deleted, 1);
    let by_filter = v1::DeleteRequest {
        collection: "c".to_owned(),
        ids: vec![],
        filter: even(),
    };
    let deleted = client.delete(by_filter).await.unwrap().into_inner();
    assert_eq!(deleted.result.unwrap().deleted, 4);
    assert_eq!(client.count(count).await.unwrap().into_inner().count, 0);
    let neither = v1::DeleteRequest {
        collection: "c".to_owned(),
        ..Default::default()
    };
    let refused = client.delete(neither).await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "ids or a filter",
    );
}

#[tokio::test]
async fn points_are_read_and_found() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let get = v1::GetRequest {
        collection: "c".to_owned(),
        ids: vec![id(2), id(77)],
        with_vector: true,
        with_metadata: Some(false),
    };
    let got = client.get(get).await.unwrap().into_inner();
    assert_eq!(got.missing, [id(77)]);
    assert_eq!(got.points[0].vector, [2.0, 0.0]);
    assert!(got.points[0].metadata.is_empty());

    let mut scroll = v1::ScrollRequest {
        collection: "c".to_owned(),
        limit: 3,
        ..Default::default()
    };
    let first = client.scroll(scroll.clone()).await.unwrap().into_inner();
    scroll.cursor = first.next_cursor;
    let second = client.scroll(scroll).await.unwrap().into_inner();
    assert_eq!((first.points.len(), second.points.len()), (3, 2));

    let by_even = v1::ScrollRequest {
        collection: "c".to_owned(),
        order_by: Some(v1::OrderBy {
            field: "even".to_owned(),
            descending: true,
        }),
        ..Default::default()
    };
    let ordered = client.scroll(by_even).await.unwrap().into_inner();
    let ids: Vec<_> = ordered.points.into_iter().map(|point| point.id).collect();
    assert_eq!(ids, [2, 4, 1, 3, 5].map(|number| Some(id(number))));
    let facets = v1::FacetsRequest {
        collection: "c".to_owned(),
        field: "even".to_owned(),
        ..Default::default()
    };
    let facets = client.facets(facets).await.unwrap().into_inner();
    let counts: Vec<_> = facets.values.iter().map(|facet| facet.count).collect();
    assert_eq!((counts, facets.points, facets.missing), (vec![3, 2], 5, 0));

    let mut grouped = search();
    grouped.group_by = Some(v1::GroupBy {
        field: "even".to_owned(),
        group_size: 1,
    });
    let grouped = client.search(grouped).await.unwrap().into_inner();
    assert!(grouped.results.is_empty());
    let nearest = grouped
        .groups
        .iter()
        .map(|group| group.results[0].id.clone());
    assert_eq!(nearest.collect::<Vec<_>>(), [Some(id(3)), Some(id(4))]);
    let like = v1::RecommendRequest {
        collection: "c".to_owned(),
        positive: vec![v1::Example {
            kind: Some(v1::example::Kind::Id(id(5))),
        }],
        ..Default::default()
    };
    let like = client.recommend(like).await.unwrap().into_inner().results;
    let ids: Vec<_> = like.into_iter().map(|hit| hit.id).collect();
    assert_eq!(ids, [4, 3, 2, 1].map(|number| Some(id(number))));

    let found = client.search(search()).await.unwrap().into_inner();
    let ids: Vec<_> = found
        .results
        .iter()
        .map(|hit| hit.id.clone().unwrap())
        .collect();
    assert_eq!(ids, [id(3), id(4)]);
    assert_eq!(found.searched_vectors, 5);
    assert!(found.latency_ms > 0.0);

    let mut filtered = search();
    filtered.filter = even();
    filtered.collection = String::new();
    let both = v1::SearchBatchRequest {
        collection: "c".to_owned(),
        searches: vec![search(), filtered],
    };
    let both = client
        .search_batch(both)
        .await
        .unwrap()
        .into_inner()
        .responses;
    assert_eq!(both[0].results, found.results);
    let ids: Vec<_> = both[1]
        .results
        .iter()
        .map(|hit| hit.id.clone().unwrap())
        .collect();
    assert_eq!(ids, [id(4), id(2)]);
}

#[tokio::test]
async fn snapshots_without_a_store_name_the_setting() {
    let fixture = serve(&Config::default());
    let mut client = fixture.client.clone();
    let create = client
        .create_snapshot(v1::CreateSnapshotRequest::default())
        .await;
    let list = client.list_snapshots(v1::ListSnapshotsRequest {}).await;
    let restore = client
        .restore_snapshot(v1::RestoreSnapshotRequest::default())
        .await;
    let delete = client
        .delete_snapshot(v1::DeleteSnapshotRequest::default())
        .await;
    for refused in [create.err(), list.err(), restore.err(), delete.err()] {
        let refused = refused.unwrap();
        assert_error(
            &refused,
            Code::Unimplemented,
            "unsupported",
            "snapshots.location",
        );
    }
}

#[tokio::test]
async fn a_stream_answers_in_order_and_the_later_write_of_a_point_stays() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let batches = (0..50).map(|at: u8| {
        let mut batch = batch(10..20);
        batch.points[0].vector = vec![f32::from(at), 1.0];
        if at > 0 {
            batch.collection.clear();
        }
        batch
    });
    let answers = client
        .upsert_stream(tokio_stream::iter(batches.collect::<Vec<_>>()))
        .await
        .unwrap()
        .into_inner();
    let answers: Vec<_> = tokio::time::timeout(SOON, answers.collect()).await.unwrap();
    let positions: Vec<_> = answers
        .into_iter()
        .map(|answer: Result<v1::UpsertResponse, Status>| answer.unwrap().result.unwrap().position)
        .collect();
    assert_eq!(positions.len(), 50);
    assert!(positions.is_sorted(), "{positions:?}");
    let get = v1::GetRequest {
        collection: "c".to_owned(),
        ids: vec![id(10)],
        with_vector: true,
        with_metadata: None,
    };
    let got = client.get(get).await.unwrap().into_inner();
    assert_eq!(got.points[0].vector, [49.0, 1.0]);
}

#[tokio::test]
async fn an_error_ends_a_stream_after_the_answers_before_it() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let mut wrong = batch([12]);
    wrong.points[0].vector.push(1.0);
    let batches = [batch([10]), batch([11]), wrong, batch([13])];
    let mut answers = client
        .upsert_stream(tokio_stream::iter(batches))
        .await
        .unwrap()
        .into_inner();
    assert!(answers.message().await.unwrap().is_some());
    assert!(answers.message().await.unwrap().is_some());
    let refused = answers.message().await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "dimension",
    );
    assert!(answers.message().await.unwrap().is_none());

    let nameless = v1::UpsertRequest::default();
    let mut answers = client
        .upsert_stream(tokio_stream::iter([nameless]))
        .await
        .unwrap()
        .into_inner();
    let refused = answers.message().await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "names no collection",
    );
}

#[tokio::test]
async fn an_open_stream_writes_as_it_goes_and_ends_with_the_server() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let (batches, received) = tokio::sync::mpsc::channel(1);
    let mut answers = client
        .upsert_stream(ReceiverStream::new(received))
        .await
        .unwrap()
        .into_inner();
    for number in 10..13 {
        batches.send(batch([number])).await.unwrap();
        let answer = tokio::time::timeout(SOON, answers.message()).await.unwrap();
        assert_eq!(answer.unwrap().unwrap().result.unwrap().inserted, 1);
    }
    tokio::time::timeout(SOON, fixture.gateway.drain())
        .await
        .unwrap();
    let end = tokio::time::timeout(SOON, answers.message()).await.unwrap();
    assert_error(
        &end.unwrap_err(),
        Code::Unavailable,
        "unavailable",
        "shutting down",
    );
    let late = client.search(search()).await.unwrap_err();
    assert_error(&late, Code::Unavailable, "unavailable", "shutting down");
    assert!(retry_after(&late).is_some());
}

#[tokio::test]
async fn requests_that_are_wrong_say_what_is_wrong() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let mut wrong = search();
    wrong.vector.push(0.0);
    let refused = client.search(wrong).await.unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "dimension",
    );
    let mut wrong = search();
    wrong.collection = "nope".to_owned();
    let refused = client.search(wrong).await.unwrap_err();
    assert_error(&refused, Code::NotFound, "not_found", "\"nope\"");
    let refused = client
        .search(v1::SearchRequest::default())
        .await
        .unwrap_err();
    assert_error(
        &refused,
        Code::InvalidArgument,
        "invalid_argument",
        "no collection",
    );
    let nested = |levels: usize| "{\"$not\":".repeat(levels) + "{}" + &"}".repeat(levels);
    for (json, said) in [
        ("{".to_owned(), ""),
        (nested(1_000), "more than 64 levels deep"),
        (nested(100_000), "more than 64 levels deep"),
    ] {
        let mut wrong = search();
        wrong.filter = Some(v1::Filter { json });
        let refused = client.search(wrong).await.unwrap_err();
        assert_error(&refused, Code::InvalidArgument, "invalid_argument", said);
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let mut settings = Config::default();
    settings.limits.request_bytes_max = 200;
    let fixture = serve(&settings).with_points().await;
    let path = "/vecdb.v1.VecDB/Search";
    let grpc = "application/grpc";
    for (bytes, part) in [
        // A field of the wrong type, a frame cut short, none at all, an unknown flag.
        (&b"\0\0\0\0\x02\x0a\xff"[..], "cannot%20be%20read"),
        (b"\0\0\0\0\x09abc", "cannot%20be%20read"),
        (b"", "cannot%20be%20read"),
        (b"\x07\0\0\0\0", "cannot%20be%20read"),
        (b"\0\0\0\0\xc9", "limits.request_bytes_max"),
        (b"\0\xff\xff\xff\xff", "limits.request_bytes_max"),
    ] {
        let (http, headers) = fixture.send_raw(path, grpc, bytes).await;
        assert_eq!(http, StatusCode::OK);
        assert_eq!(headers["grpc-status"], "3", "{bytes:?} gave {headers:?}");
        assert_eq!(headers["vecdb-error-kind"], "invalid_argument");
        let message = headers["grpc-message"].to_str().unwrap();
        assert!(message.contains(part), "{bytes:?} gave {message:?}");
    }
    let (_, headers) = fixture.send_raw("/vecdb.v1.VecDB/Nothing", grpc, b"").await;
    assert_eq!(headers["grpc-status"], "12");
    assert_eq!(headers["vecdb-error-kind"], "unsupported");
    let (http, _) = fixture.send_raw(path, "application/json", b"{}").await;
    assert_eq!(http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(fixture.gateway.request_bytes(), 0);
}

#[tokio::test]
async fn a_stream_cut_within_a_message_answers_what_came_whole() {
    let fixture = serve(&Config::default()).with_points().await;
    // Field 1, "c"; then one point: id 10, vector (1, 0).
    let mut message = b"\x0a\x01c\x12\x0e\x0a\x02\x08\x0a\x12\x08".to_vec();
    message.extend(1.0_f32.to_le_bytes());
    message.extend(0.0_f32.to_le_bytes());
    let mut bytes = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    bytes.extend(&message);
    bytes.extend(&bytes.clone()[..9]);
    let request = Request::post("/vecdb.v1.VecDB/UpsertStream")
        .header("content-type", "application/grpc")
        .body(Body::from(bytes))
        .unwrap();
    let response: Result<_, Infallible> = fixture.router.clone().oneshot(request).await;
    let body = response.unwrap().into_body().collect().await.unwrap();
    let status = Status::from_header_map(body.trailers().unwrap()).unwrap();
    assert_error(
        &status,
        Code::InvalidArgument,
        "invalid_argument",
        "cannot be read",
    );
    assert!(!body.to_bytes().is_empty(), "the first batch was answered");
    let mut client = fixture.client.clone();
    let count = v1::CountRequest {
        collection: "c".to_owned(),
        filter: None,
    };
    assert_eq!(client.count(count).await.unwrap().into_inner().count, 6);
}

#[tokio::test]
async fn time_limits_hold_for_messages_that_do_not_arrive() {
    let fixture = serve(&Config::default());
    let endless = Body::from_stream(tokio_stream::pending::<Result<bytes::Bytes, Infallible>>());
    let request = Request::post("/vecdb.v1.VecDB/Search")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "20m")
        .body(endless)
        .unwrap();
    let begun = Instant::now();
    let answer = tokio::time::timeout(SOON, fixture.router.clone().oneshot(request)).await;
    let headers = answer.unwrap().unwrap().headers().clone();
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!(headers["grpc-status"], "4");
    assert_eq!(headers["vecdb-error-kind"], "deadline_exceeded");

    let mut client = fixture.client.clone();
    let mut late = tonic::Request::new(search());
    late.metadata_mut()
        .insert("grpc-timeout", "0n".parse().unwrap());
    let refused = client.search(late).await.unwrap_err();
    assert_error(
        &refused,
        Code::DeadlineExceeded,
        "deadline_exceeded",
        "time limit",
    );
}

#[tokio::test]
async fn answers_carry_the_id_of_their_request() {
    let fixture = serve(&Config::default()).with_points().await;
    let mut client = fixture.client.clone();
    let mut named = tonic::Request::new(search());
    named
        .metadata_mut()
        .insert("x-request-id", "mine-1".parse().unwrap());
    let answer = client.search(named).await.unwrap();
    let id = answer.metadata().get(REQUEST_ID.as_str()).unwrap();
    assert_eq!(id, "mine-1");
    let refused = client
        .search(v1::SearchRequest::default())
        .await
        .unwrap_err();
    let made = refused.metadata().get(REQUEST_ID.as_str()).unwrap();
    assert_eq!(made.len(), 16);
}

#[tokio::test]
async fn callers_see_and_do_what_their_rights_cover() {
    let mut settings = Config::default();
    for (name, access, collections) in [
        ("root", Access::Admin, vec![]),
        ("guest", Access::Read, vec!["c".to_owned()]),
    ] {
        settings.auth.keys.push(ApiKey {
            name: name.to_owned(),
            key: Secret::new(format!("{name}-key-for-this-test")),
            access,
            collections,
        });
    }
    let fixture = serve(&settings);
    let with_key = |name: &str| {
        let key = HeaderValue::from_str(&format!("{name}-key-for-this-test")).unwrap();
        let keyed = fixture
            .router
            .clone()
            .map_request(move |mut request: Request<_>| {
                request.headers_mut().insert("x-api-key", key.clone());
                request
            });
        VecDbClient::new(tower::util::BoxCloneService::new(keyed))
    };
    let mut root = with_key("root");
    for name in ["c", "d"] {
        let request = v1::CreateCollectionRequest {
            name: name.to_owned(),
            config: config(2),
        };
        root.create_collection(request).await.unwrap();
    }
    let mut guest = with_key("guest");
    let list = guest
        .list_collections(v1::ListCollectionsRequest {})
        .await
        .unwrap();
    let names: Vec<_> = list
        .into_inner()
        .collections
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["c"]);
    assert!(guest.search(search()).await.is_ok());
    let refused = guest.upsert(batch([1])).await.unwrap_err();
    assert_error(
        &refused,
        Code::PermissionDenied,
        "permission_denied",
        "\"write\"",
    );
    let refused = guest
        .upsert_stream(tokio_stream::iter([batch([1])]))
        .await
        .unwrap_err();
    assert_error(
        &refused,
        Code::PermissionDenied,
        "permission_denied",
        "\"write\"",
    );
    let mut nobody = fixture.client.clone();
    let refused = nobody.search(search()).await.unwrap_err();
    assert_error(&refused, Code::Unauthenticated, "unauthenticated", "");

    // A large message of a stranger is not read to its end, which here never comes.
    let begun = bytes::Bytes::from_static(b"\0\0\x10\0\0");
    let piece = bytes::Bytes::from(vec![0; 70 << 10]);
    let pieces = tokio_stream::iter([begun, piece].map(Ok::<_, Infallible>));
    let endless = Body::from_stream(pieces.chain(tokio_stream::pending()));
    let request = Request::post("/vecdb.v1.VecDB/Upsert")
        .header("content-type", "application/grpc")
        .body(endless)
        .unwrap();
    let answer = tokio::time::timeout(SOON, fixture.router.clone().oneshot(request)).await;
    assert_eq!(answer.unwrap().unwrap().headers()["grpc-status"], "16");
    assert_eq!(fixture.gateway.request_bytes(), 0);
}

#[tokio::test]
async fn what_callers_of_open_services_hold_is_bounded() {
    let fixture = serve(&Config::default());
    // A message of more than is read of strangers.
    let mut large = vec![0, 0, 1, 0x80, 0];
    large.resize(98_309, 0);
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    ] {
        let (_, headers) = fixture.send_raw(path, "application/grpc", &large).await;
        assert_eq!(headers["grpc-status"], "3", "{headers:?}");
    }
    let mut watches = Vec::new();
    let mut health = HealthClient::new(fixture.router.clone());
    let refused = loop {
        match health.watch(HealthCheckRequest::default()).await {
            Ok(watch) => watches.push(watch),
            Err(refused) => break refused,
        }
        assert!(watches.len() <= 1_000);
    };
    assert_error(&refused, Code::ResourceExhausted, "resource_exhausted", "");
    // Who asks once is answered nevertheless, and a place that is free again is taken.
    health.check(HealthCheckRequest::default()).await.unwrap();
    watches.pop();
    health.watch(HealthCheckRequest::default()).await.unwrap();

    let reflect = || async {
        let request = Request::post("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            .header("content-type", "application/grpc")
            .body(Body::from_stream(tokio_stream::pending::<
                Result<bytes::Bytes, Infallible>,
            >()))
            .unwrap();
        fixture.router.clone().oneshot(request).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..REFLECTIONS_MAX {
        streams.push(reflect().await);
    }
    assert_eq!(reflect().await.headers()["grpc-status"], "8");
    streams.pop();
    assert!(!reflect().await.headers().contains_key("grpc-status"));
}

#[tokio::test]
async fn health_follows_the_gateway() {
    let fixture = serve(&Config::default());
    let mut health = HealthClient::new(fixture.router.clone());
    let ask = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let status = health
        .check(ask("vecdb.v1.VecDB"))
        .await
        .unwrap()
        .into_inner()
        .status();
    assert_eq!(status, ServingStatus::Serving);
    assert_eq!(
        health.check(ask("nope")).await.unwrap_err().code(),
        Code::NotFound
    );

    let mut changes = health.watch(ask("")).await.unwrap().into_inner();
    let now = changes.message().await.unwrap().unwrap();
    assert_eq!(now.status(), ServingStatus::Serving);
    fixture.gateway.drain().await;
    let then = tokio::time::timeout(SOON, changes.message()).await.unwrap();
    assert_eq!(then.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(changes.message().await.unwrap().is_none());
    let status = health.check(ask("")).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
}
