//! Streams of upserts over a real connection: many batches under way, callers that go away, servers that end.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tempfile::TempDir;
use vecdb_client::Client;
use vecdb_protocol::v1;
use vecdb_protocol::v1::durability::Level;
use vecdb_server::Server;
use vecdb_server::config::Config;

const SOON: Duration = Duration::from_secs(8);
const POINTS: u64 = 20;

/// A server with an empty collection `c`.
async fn serve() -> (Server, Client, TempDir) {
    serve_with(|_| {}).await
}

async fn serve_with(change: impl FnOnce(&mut Config)) -> (Server, Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    let any = "127.0.0.1:0".parse().unwrap();
    config.listen.grpc = any;
    config.listen.http = any;
    config.listen.metrics = None;
    config.storage.path = folder.path().join("data");
    change(&mut config);
    let server = Server::start(config).unwrap();
    assert!(server.wait_ready(SOON), "{:?}", server.state());
    let client = Client::connect(server.grpc_address().to_string()).unwrap();
    let create = v1::CreateCollectionRequest {
        name: "c".to_owned(),
        config: Some(v1::CollectionConfig {
            dimension: 4,
            metric: "l2".to_owned(),
            ..Default::default()
        }),
    };
    client.create_collection(create).await.unwrap();
    (server, client, folder)
}

/// Points whose ids no other batch has.
fn batch(number: u64) -> v1::UpsertRequest {
    let points = (0..POINTS).map(|at| v1::Point {
        id: Some(v1::PointId {
            kind: Some(v1::point_id::Kind::Number(number * POINTS + at)),
        }),
        vector: vec![number as f32, at as f32, 0.0, 0.0],
        metadata: Default::default(),
    });
    v1::UpsertRequest {
        collection: "c".to_owned(),
        points: points.collect(),
        durability: None,
    }
}

async fn count(client: &Client) -> u64 {
    let request = v1::CountRequest {
        collection: "c".to_owned(),
        filter: None,
    };
    client.count(request).await.unwrap().count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_batch_of_a_stream_is_answered_after_its_sender_has_finished() {
    let (server, client, _folder) = serve().await;
    let batches = tokio_stream::iter((0..200).map(batch));
    let mut answers = client.upsert_stream(batches).await.unwrap();
    let mut inserted = 0;
    while let Some(answer) = tokio::time::timeout(SOON, answers.next())
        .await
        .unwrap()
        .unwrap()
    {
        inserted += answer.result.unwrap().inserted;
    }
    assert_eq!(inserted, 200 * POINTS);
    assert_eq!(count(&client).await, inserted);
    drop(client);
    tokio::task::spawn_blocking(|| server.shutdown())
        .await
        .unwrap()
        .unwrap();
}

/// Batches of one point, each in a frame of its own.
fn smallest(count: u64, level: Level) -> impl Stream<Item = v1::UpsertRequest> {
    futures_util::stream::iter(0..count).then(move |number| async move {
        tokio::task::yield_now().await;
        let mut one = batch(number);
        one.points.truncate(1);
        one.durability = Some(v1::Durability {
            level: level.into(),
            interval_ms: 0,
        });
        one
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_batches_may_wait_for_the_server() {
    let (_server, client, _folder) = serve().await;
    let mut answers = client
        .upsert_stream(smallest(100_000, Level::EveryWrite))
        .await
        .unwrap();
    // Long enough to fill what the server lets a client send ahead.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(answers.next().await.unwrap().is_some());
    assert!(count(&client).await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_of_a_long_stream_may_be_read_late() {
    let (_server, client, _folder) = serve().await;
    let mut answers = client
        .upsert_stream(smallest(20_000, Level::None))
        .await
        .unwrap();
    let written = async {
        while count(&client).await < 20_000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(4 * SOON, written).await.unwrap();
    let mut inserted = 0;
    while let Some(answer) = answers.next().await.unwrap() {
        inserted += answer.result.unwrap().inserted;
    }
    assert_eq!(inserted, 20_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_at_a_small_queue_are_held_back_and_none_is_refused() {
    const STREAMS: u64 = 8;
    const BATCHES: u64 = 25;
    let (server, client, _folder) = serve_with(|config| {
        config.limits.write_threads = 1;
        config.limits.write_queue_max = 2;
    })
    .await;
    let streams = (0..STREAMS).map(|stream| {
        // Nothing is tried again behind the test's back: each stream is one request.
        let client = client.clone();
        async move {
            let batches = (stream * BATCHES..(stream + 1) * BATCHES).map(batch);
            let mut answers = client
                .upsert_stream(tokio_stream::iter(batches))
                .await
                .unwrap();
            let mut answered = 0;
            while let Some(answer) = answers.next().await.unwrap() {
                answered += answer.result.unwrap().inserted;
            }
            answered
        }
    });
    let all = futures_util::future::join_all(streams);
    let answered = tokio::time::timeout(4 * SOON, all).await.unwrap();
    assert_eq!(answered, [BATCHES * POINTS; STREAMS as usize]);
    assert_eq!(count(&client).await, STREAMS * BATCHES * POINTS);
    drop(client);
    tokio::task::spawn_blocking(|| server.shutdown())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_stays_when_the_caller_goes_away() {
    let (server, client, _folder) = serve().await;
    let address = server.grpc_address().to_string();
    let caller = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let endless = tokio_stream::iter((0..).map(batch));
            let client = Client::connect(address).unwrap();
            let mut answers = client.upsert_stream(endless).await.unwrap();
            for _ in 0..5 {
                let answer = tokio::time::timeout(SOON, answers.next()).await.unwrap();
                assert!(answer.unwrap().is_some());
            }
        });
        // Its connection breaks off in the middle of a batch.
        runtime.shutdown_background();
    });
    caller.await.unwrap();
    let written = count(&client).await;
    assert!(
        written >= 5 * POINTS && written.is_multiple_of(POINTS),
        "{written}"
    );
    drop(client);
    tokio::task::spawn_blocking(|| server.shutdown())
        .await
        .unwrap()
        .unwrap();
}
