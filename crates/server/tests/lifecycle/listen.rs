//! Sockets: protocols, limits, clients that misbehave.

use std::io::{Read, Write};
use std::time::Duration;

use vecdb_backend::Backend;
use vecdb_engine::ErrorKind;
use vecdb_server::Server;

use crate::started::{
    PATIENCE, Started, ask, connect, eventually, get, get_text, remote, settings, until_closed,
};

#[test]
fn both_ports_answer_both_protocols() {
    let started = Started::new(|_, _| {});
    let server = &started.server;
    for address in [server.grpc_address(), server.http_address()] {
        let (status, body) = get(address, "/livez", "");
        assert_eq!(status, 200, "{body}");
        let (status, body) = get(address, "/readyz", "");
        assert_eq!(status, 200, "{body}");
        // gRPC, over HTTP/2 without TLS.
        assert_eq!(remote(address, None).status().unwrap().collections, 0);
    }
}

#[test]
fn metrics_have_a_port_of_their_own() {
    let started = Started::new(|_, _| {});
    crate::started::fill(&started.remote(), "shop", 3);
    let address = started.server.metrics_address().unwrap();
    let (status, body) = get(address, "/metrics", "");
    assert_eq!(status, 200);
    assert!(
        body.contains("vecdb_vectors_total{collection=\"shop\"} 3"),
        "{body}"
    );
    assert_eq!(get(address, "/v1/collections", "").0, 404);

    let without = Started::new(|config, _| config.listen.metrics = None);
    assert_eq!(without.server.metrics_address(), None);
}

#[test]
fn clients_that_are_slow_with_a_head_are_cut_off_and_idle_ones_are_not() {
    let started = Started::new(|config, _| config.limits.header_timeout_ms = 300);
    let address = started.server.http_address();
    // Says nothing.
    let mut silent = connect(address);
    // Rests between two requests for longer than a head may take.
    let mut resting = connect(address);
    assert_eq!(ask(&mut resting, "/livez"), 200);
    // A byte now and then.
    let mut slow = connect(address);
    let writer = {
        let mut slow = slow.try_clone().unwrap();
        std::thread::spawn(move || {
            for byte in get_text("/livez", &"x: y\r\n".repeat(50)).bytes() {
                if slow.write_all(&[byte]).is_err() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            false
        })
    };
    assert!(until_closed(&mut silent) < PATIENCE);
    assert!(until_closed(&mut slow) < PATIENCE);
    assert!(writer.join().unwrap(), "the slow head was read to its end");
    assert_eq!(ask(&mut resting, "/livez"), 200);
}

#[test]
fn idle_connections_are_closed_in_the_end() {
    let started = Started::new(|config, _| config.limits.idle_timeout_ms = 200);
    let mut stream = connect(started.server.http_address());
    assert_eq!(ask(&mut stream, "/livez"), 200);
    assert!(until_closed(&mut stream) < PATIENCE);
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let started = Started::new(|config, _| config.limits.connections_max = 2);
    let address = started.server.http_address();
    let mut first = connect(address);
    let mut second = connect(started.server.grpc_address());
    assert_eq!(ask(&mut first, "/livez"), 200);
    assert_eq!(ask(&mut second, "/livez"), 200);
    assert!(until_closed(&mut connect(address)) < PATIENCE);
    // Metrics can be asked nevertheless, and know of it.
    let metrics = started.server.metrics_address().unwrap();
    let (_, page) = get(metrics, "/metrics", "");
    assert!(
        page.contains("vecdb_refused_total{reason=\"connections\"} 1"),
        "{page}"
    );
    drop(first);
    eventually("room for another connection", || {
        let mut next = connect(address);
        let sent = next.write_all(get_text("/livez", "connection: close\r\n").as_bytes());
        let mut text = String::new();
        sent.is_ok() && next.read_to_string(&mut text).is_ok() && text.contains("200 OK")
    });
}

#[test]
fn what_is_no_http_is_sent_away() {
    let started = Started::new(|_, _| {});
    let address = started.server.http_address();
    // The beginning of a TLS handshake, and noise.
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\xff\r\n\r\n\r\n",
    ] {
        let mut stream = connect(address);
        stream.write_all(bytes).unwrap();
        assert!(until_closed(&mut stream) < Duration::from_secs(5));
    }
    // A client that closes its half in the middle of a head, or of a body.
    for text in [
        "GET /livez HT",
        "PUT /v1/collections/c HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
    ] {
        let mut stream = connect(address);
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(until_closed(&mut stream) < PATIENCE);
    }
    assert_eq!(get(address, "/livez", "").0, 200);
}

#[test]
fn a_port_in_use_is_told_with_its_setting() {
    let started = Started::new(|_, _| {});
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(&folder);
    config.listen.http = started.server.http_address();
    let error = Server::start(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let message = error.to_string();
    assert!(
        message.contains(&started.server.http_address().to_string()),
        "{message}"
    );
    assert!(message.contains("listen.http"), "{message}");
    // Nothing was made before the addresses were known to be free.
    assert!(!folder.path().join("data").exists());
}

#[test]
fn other_machines_are_not_served_without_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(&folder);
    config.listen.grpc = "0.0.0.0:0".parse().unwrap();
    let error = Server::start(config.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    config.listen.allow_insecure = true;
    let server = Server::start(config).unwrap();
    server.shutdown().unwrap();
}
