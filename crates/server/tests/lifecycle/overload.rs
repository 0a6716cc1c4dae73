//! More calls than the server has threads for, and more writes than it has memory for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vecdb_backend::{Backend, Remote, RemoteOptions};
use vecdb_engine::{
    CollectionConfig, ErrorKind, IndexSpec, Metric, Point, SearchRequest, StopSignal,
};

use crate::started::{Started, answer_to, eventually, metric, settings};

const DIMENSION: u64 = 256;

fn vector(seed: u64) -> Vec<f32> {
    let value = |at: u64| (seed.wrapping_mul(31).wrapping_add(at * 17) % 251) as f32;
    (0..DIMENSION).map(value).collect()
}

/// A client that waits as long as it takes, and tries nothing again.
fn patient(started: &Started) -> Remote {
    let options = RemoteOptions {
        retries: Some(0),
        ..RemoteOptions::default()
    };
    Remote::connect(&started.server.grpc_address().to_string(), options).unwrap()
}

#[test]
fn behind_a_slow_search_others_are_refused_in_time_and_told_when_to_come_again() {
    let started = Started::new(|config, _| {
        config.limits.search_threads = 1;
        config.limits.queue_wait_ms_max = 30;
        config.limits.timeout_ms = 60_000;
    });
    let client = started.remote();
    let config = CollectionConfig::new(DIMENSION as u32, Metric::L1).index(IndexSpec::Flat);
    client.create_collection("c", config).unwrap();
    let never = &StopSignal::default();
    for first in (0..8_000).step_by(1_000) {
        let points = (first..first + 1_000).map(|id| Point::new(id, vector(id)));
        client.upsert("c", points.collect(), None, never).unwrap();
    }

    // Several seconds of work, were it not stopped.
    let stop = StopSignal::new();
    let slow = {
        let (client, stop) = (patient(&started), stop.clone());
        let searches: Vec<_> = (0..16_000)
            .map(|seed| SearchRequest::new(vector(seed)))
            .collect();
        std::thread::spawn(move || client.search_batch("c", &searches, &stop).map(drop))
    };
    let running = r#"vecdb_running_calls{lane="read"}"#;
    eventually("the slow search", || metric(&started.server, running) > 0.0);
    let error = client
        .search("c", &SearchRequest::new(vector(1)), never)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    assert!(
        error.to_string().contains("limits.queue_wait_ms_max"),
        "{error}"
    );
    assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));
    let body = format!("{{\"vector\": {:?}}}", vector(1));
    let address = started.server.http_address();
    let answer = answer_to(address, "/v1/collections/c/search", &body);
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert!(
        answer.head.contains("\r\nretry-after: 1"),
        "{}",
        answer.head
    );
    assert!(
        answer.body.contains("resource_exhausted"),
        "{}",
        answer.body
    );
    assert!(!slow.is_finished(), "they were refused while it ran");
    assert_eq!(
        metric(&started.server, r#"vecdb_refused_total{reason="queue"}"#),
        2.0
    );

    // Its caller goes away, and with it the work.
    stop.stop();
    let stopped = slow.join().unwrap().unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    eventually("its end", || metric(&started.server, running) == 0.0);
    assert_eq!(
        answer_to(address, "/v1/collections/c/search", &body).status,
        200
    );
}

#[test]
fn a_stream_for_which_there_is_no_memory_stops_its_sender_until_there_is() {
    const BATCHES: u64 = 160;
    const POINTS: u64 = 128;
    let started = Started::new(|config, _| config.limits.memory_bytes_max = Some(1));
    let client = patient(&started);
    let config = CollectionConfig::new(DIMENSION as u32, Metric::L2).index(IndexSpec::Flat);
    client.create_collection("c", config).unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let stream = {
        let (client, sent) = (patient(&started), sent.clone());
        std::thread::spawn(move || {
            let batches = (0..BATCHES).map(|batch| {
                sent.fetch_add(1, Ordering::Relaxed);
                let ids = batch * POINTS..(batch + 1) * POINTS;
                ids.map(|id| Point::new(id, vector(id))).collect()
            });
            let mut answered = 0;
            client
                .upsert_stream("c", batches, None, &StopSignal::default(), &mut |_| {
                    answered += 1
                })
                .map(|()| answered)
        })
    };
    eventually("a batch", || sent.load(Ordering::Relaxed) > 0);
    std::thread::sleep(Duration::from_millis(400));
    // Of 20 MiB only what fits into windows and buffers has left the sender.
    let held_back = sent.load(Ordering::Relaxed);
    assert!(held_back < BATCHES / 2, "{held_back} batches were taken");
    assert!(!stream.is_finished());

    started.server.reload(settings(&started.folder)).unwrap();
    assert_eq!(stream.join().unwrap().unwrap(), BATCHES);
    let stop = StopSignal::default();
    let points = client.count("c", None, &stop).unwrap();
    assert_eq!(points, BATCHES * POINTS);
}
