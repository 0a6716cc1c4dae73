//! Calls against a server in this process: retries, deadlines, credentials, failures.

mod stub;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use prost::Message;
use tokio_stream::StreamExt as _;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use vecdb_client::{Client, ClientError, v1};
use vecdb_protocol::{ERROR_KIND_METADATA, RETRY_AFTER_METADATA};

fn busy(code: Code, retry_after_ms: Option<u64>) -> Status {
    let mut metadata = MetadataMap::new();
    if let Some(ms) = retry_after_ms {
        metadata.insert(RETRY_AFTER_METADATA, ms.into());
    }
    Status::with_metadata(code, "busy", metadata)
}

/// A server that fails with `failure` so many times before it counts to 7, and how often it was called.
async fn failing(times: u32, failure: Status) -> (Client, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let address = stub::serve(move |_, _, _| {
        if counter.fetch_add(1, Ordering::SeqCst) < times {
            return Err(failure.clone());
        }
        Ok(v1::CountResponse { count: 7 }.encode_to_vec())
    })
    .await;
    (Client::connect(address.to_string()).unwrap(), calls)
}

async fn count(client: &Client) -> Result<u64, ClientError> {
    let request = v1::CountRequest::default();
    Ok(client.count(request).await?.count)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again() {
    let (client, calls) = failing(2, busy(Code::Unavailable, None)).await;
    assert_eq!(count(&client).await.unwrap(), 7);
    assert_eq!(calls.load(Ordering::SeqCst), 3);

    let (client, calls) = failing(1, busy(Code::ResourceExhausted, Some(80))).await;
    let started = Instant::now();
    assert_eq!(count(&client).await.unwrap(), 7);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_not_pass_is_not() {
    for (failure, kind) in [
        (busy(Code::InvalidArgument, None), "invalid_argument"),
        // A full disk, not a full queue.
        (busy(Code::ResourceExhausted, None), "resource_exhausted"),
        (busy(Code::Internal, None), "io"),
    ] {
        let (client, calls) = failing(u32::MAX, failure).await;
        assert_eq!(count(&client).await.unwrap_err().kind(), kind);
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{kind}");
    }
    // Had the first try succeeded, the second would say that the name is taken.
    let (client, calls) = failing(u32::MAX, busy(Code::Unavailable, None)).await;
    let create = client.create_collection(Default::default()).await;
    assert_eq!(create.unwrap_err().kind(), "unavailable");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_end_at_their_number_and_before_the_deadline() {
    let (client, calls) = failing(u32::MAX, busy(Code::Unavailable, None)).await;
    let error = count(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), ("unavailable", "busy"));
    assert_eq!(calls.load(Ordering::SeqCst), 4);

    let (client, calls) = failing(u32::MAX, busy(Code::Unavailable, Some(60_000))).await;
    let client = client.with_deadline(Instant::now() + Duration::from_secs(5));
    let started = Instant::now();
    let error = count(&client).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_sent_and_kept() {
    let (heard, told) = std::sync::mpsc::channel();
    let address = stub::serve(move |_, metadata, _| {
        let timeout = metadata
            .get("grpc-timeout")
            .map(|time| time.to_str().unwrap().to_owned());
        heard.send(timeout).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        Ok(Vec::new())
    })
    .await;
    let client = Client::builder(address.to_string())
        .timeout(Duration::from_millis(50))
        .connect()
        .unwrap();
    let started = Instant::now();
    let error = count(&client).await.unwrap_err();
    assert_eq!(error.kind(), "deadline_exceeded", "{error}");
    assert!(started.elapsed() < Duration::from_millis(350));
    let sent = told.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(sent.is_some(), "no grpc-timeout was sent");

    let passed = client.with_deadline(Instant::now());
    let error = count(&passed).await.unwrap_err();
    assert_eq!(error.kind(), "deadline_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_and_the_servers_word_is_kept() {
    let address = stub::serve(|_, metadata, _| {
        let shown = metadata.get("authorization").map(|key| key.as_bytes());
        if shown == Some(b"Bearer secret") {
            return Ok(v1::CountResponse { count: 1 }.encode_to_vec());
        }
        let mut metadata = MetadataMap::new();
        metadata.insert(ERROR_KIND_METADATA, "unauthenticated".parse().unwrap());
        metadata.insert("x-request-id", "r-1".parse().unwrap());
        let code = Code::Unauthenticated;
        Err(Status::with_metadata(
            code,
            "the key is not known",
            metadata,
        ))
    })
    .await
    .to_string();
    let with = |key: &str| Client::builder(&address).api_key(key).connect().unwrap();
    assert_eq!(count(&with("secret")).await.unwrap(), 1);
    let error = count(&with("guess")).await.unwrap_err();
    assert_eq!(error.kind(), "unauthenticated");
    assert_eq!(error.to_string(), "the key is not known");
    assert_eq!(error.request_id(), Some("r-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_server_is_named_with_the_reason() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let client = Client::builder(&address).retries(1).connect().unwrap();
    let error = count(&client).await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    let message = error.message();
    assert!(
        message.contains(&address) && message.contains("refused"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_batch_by_batch() {
    let address = stub::serve(|name, _, message| {
        assert_eq!(name, "UpsertStream");
        let request = v1::UpsertRequest::decode(message.as_slice()).unwrap();
        if request.points.is_empty() {
            return Err(Status::invalid_argument("no points"));
        }
        let result = v1::WriteResult {
            inserted: request.points.len() as u64,
            ..Default::default()
        };
        Ok(v1::UpsertResponse {
            result: Some(result),
            latency_ms: 0.0,
        }
        .encode_to_vec())
    })
    .await;
    let client = Client::connect(address.to_string()).unwrap();
    let batch = |points| v1::UpsertRequest {
        points: vec![v1::Point::default(); points],
        ..Default::default()
    };
    let batches = tokio_stream::iter([batch(2), batch(3), batch(0), batch(1)]);
    let mut answers = client.upsert_stream(batches).await.unwrap();
    let mut inserted = Vec::new();
    let error = loop {
        match answers.next().await {
            Ok(answer) => inserted.push(answer.unwrap().result.unwrap().inserted),
            Err(error) => break error,
        }
    };
    assert_eq!(inserted, [2, 3]);
    assert_eq!(error.kind(), "invalid_argument");
}

/// Says when it is dropped.
struct Told(std::sync::mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_nobody_waits_for_its_answers() {
    let answer = v1::UpsertResponse::default().encode_to_vec();
    let address = stub::serve(move |_, _, _| Ok(answer.clone())).await;
    let client = Client::connect(address.to_string()).unwrap();
    // The stub ends a connection on which many frames under 256 bytes are unread.
    let request = v1::UpsertRequest {
        collection: "c".repeat(300),
        ..Default::default()
    };
    // One that waits for its next batch for ever, and one that always has another.
    for ready in [1, usize::MAX] {
        // The stub's answer also ends the call; where that was seen first, there is nothing left to drop.
        let mut tries = 0..100;
        while tries.next().is_some() {
            let (told, heard) = std::sync::mpsc::channel();
            let told = Told(told);
            let rest = tokio_stream::pending().map(move |batch: v1::UpsertRequest| {
                let _held = &told;
                batch
            });
            let batches = std::iter::repeat_n(request.clone(), ready);
            let batches = tokio_stream::iter(batches).chain(rest);
            let mut answers = client.upsert_stream(batches).await.unwrap();
            let answered = matches!(answers.next().await, Ok(Some(_)));
            if !answered || heard.try_recv().is_ok() {
                continue;
            }
            drop(answers);
            let ended = heard.recv_timeout(Duration::from_secs(5));
            assert!(ended.is_ok(), "{ready} batches: the stream goes on");
            break;
        }
        assert!(!tries.is_empty(), "{ready} batches: never answered");
    }
}
