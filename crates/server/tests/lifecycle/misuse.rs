//! Clients that hold what others need: slow ones, and ones that do not read.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use vecdb_backend::Backend;
use vecdb_engine::{CollectionConfig, Metric, Point, StopSignal};

use crate::http2::{self, HEADERS, Http2};
use crate::started::{PATIENCE, Started, connect, eventually, read_answer, until_closed};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[test]
fn services_for_everybody_do_not_wait_for_bodies() {
    let started = Started::new(|config, _| {
        config.limits.timeout_ms = 300;
        config.limits.idle_timeout_ms = 300;
    });
    for path in [CHECK, REFLECTION] {
        // The message never comes, or a byte now and then.
        let mut silent = Http2::new(started.server.grpc_address(), 65_535);
        silent.call(path, &[]);
        let mut slow = Http2::new(started.server.grpc_address(), 65_535);
        let stream = slow.call(path, &[]);
        let mut writer = slow.stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            let mut begin = vec![0, 0, 0, 1, 0];
            begin.resize(200, 7);
            begin.iter().any(|byte| {
                std::thread::sleep(Duration::from_millis(50));
                let frame = http2::frame(http2::DATA, 0, stream, &[*byte]);
                writer.write_all(&frame).is_err()
            })
        });
        assert!(until_closed(&mut silent.stream) < PATIENCE, "{path}");
        assert!(until_closed(&mut slow.stream) < PATIENCE, "{path}");
        drop(slow);
        assert!(writing.join().unwrap(), "{path}: it went on reading");
    }
}

#[test]
fn a_slow_head_of_http2_is_cut_off_and_a_resting_client_is_not() {
    let started = Started::new(|config, _| config.limits.header_timeout_ms = 300);
    let address = started.server.grpc_address();
    let mut resting = Http2::new(address, 65_535);
    let first = resting.get("/livez");
    let mut slow = Http2::new(address, 65_535);
    let begun = http2::frame(HEADERS, 4, 1, &[0; 100]);
    let mut writer = slow.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        begun.iter().any(|byte| {
            std::thread::sleep(Duration::from_millis(40));
            writer.write_all(&[*byte]).is_err()
        })
    });
    assert!(until_closed(&mut slow.stream) < PATIENCE);
    drop(slow);
    assert!(writing.join().unwrap(), "the slow head was read to its end");
    // More than the time for heads has passed on this one, between two requests.
    let second = resting.get("/livez");
    let mut answered = Vec::new();
    while answered.len() < 2 {
        let (kind, stream, _) = resting.read().expect("it is answered");
        if kind == HEADERS {
            answered.push(stream);
        }
    }
    assert_eq!(answered, [first, second]);
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_loses_its_connection() {
    let started = Started::new(|config, _| config.limits.idle_timeout_ms = 600);
    let address = started.server.http_address();
    let mut deaf = Http2::new(address, 0);
    deaf.get("/openapi.json");
    let mut slow = Http2::new(address, 0);
    let stream = slow.get("/openapi.json");
    let mut writer = slow.stream.try_clone().unwrap();
    let begun = Instant::now();
    let mut is_closed = false;
    // It does all else that a living client does.
    while begun.elapsed() < PATIENCE && !is_closed {
        std::thread::sleep(Duration::from_millis(50));
        is_closed = deaf.ping().is_err();
        let window = http2::frame(8, 0, stream, &10_u32.to_be_bytes());
        writer.write_all(&window).unwrap();
    }
    assert!(is_closed, "it goes on for {:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_millis(500));
    // Who takes little is still served.
    while begun.elapsed() < Duration::from_millis(1_500) {
        std::thread::sleep(Duration::from_millis(50));
        slow.more(stream, 10).unwrap();
    }
    let mut taken = 0;
    while taken < 100 {
        let (kind, _, payload) = slow.read().expect("it is still answered");
        if kind == http2::DATA {
            taken += payload.len();
        }
    }
}

#[test]
fn answers_that_nobody_takes_are_few() {
    let started = Started::new(|config, _| {
        config.limits.memory_bytes_max = Some(4 << 30);
    });
    let remote = started.remote();
    remote
        .create_collection("c", CollectionConfig::new(1_000, Metric::L2))
        .unwrap();
    let stop = StopSignal::default();
    let points = (0..1_000_u64).map(|id| Point::new(id, vec![0.123_456_78 + id as f32; 1_000]));
    remote.upsert("c", points.collect(), None, &stop).unwrap();
    // From now on requests and answers may take 16 MiB together, and each of these answers takes some 10.
    let mut config = crate::started::settings(&started.folder);
    config.limits.memory_bytes_max = Some(64 << 20);
    started.server.reload(config).unwrap();
    let ask = |limit: u32| {
        let body = format!("{{\"limit\": {limit}, \"with_vector\": true}}");
        let mut stream = connect(started.server.http_address());
        let request = format!(
            "POST /v1/collections/c/points/scroll HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    // Nobody reads this one.
    let mut unread = ask(1_000);
    let mut first = [0; 1];
    unread.read_exact(&mut first).unwrap();
    let (refused, body) = read_answer(&mut ask(1_000));
    assert_eq!(refused, 429, "{body}");
    assert!(body.contains("resource_exhausted"), "{body}");
    // Small ones have room, and the large one once the first is gone.
    assert_eq!(read_answer(&mut ask(10)).0, 200);
    drop(unread);
    eventually("room", || read_answer(&mut ask(1_000)).0 == 200);
}

#[test]
fn a_slow_body_of_http_is_not_waited_for() {
    let started = Started::new(|config, _| config.limits.timeout_ms = 300);
    for path in ["/v1/collections/c", "/v1/snapshots"] {
        let method = if path.ends_with('c') { "PUT" } else { "POST" };
        let mut stream = connect(started.server.http_address());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            // Fewer than were announced, all in all.
            for _ in 0..200 {
                std::thread::sleep(Duration::from_millis(40));
                if writer.write_all(b" ").is_err() {
                    return;
                }
            }
        });
        let begun = Instant::now();
        let (status, body) = read_answer(&mut stream);
        assert_eq!(status, 504, "{body}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{path}");
        drop(stream);
        writing.join().unwrap();
    }
}

#[test]
fn a_stalled_handshake_is_not_waited_for() {
    let pair = crate::tls::Pair::new();
    let started = Started::new(|config, folder| {
        config.limits.header_timeout_ms = 300;
        pair.install(config, folder);
    });
    let address = started.server.grpc_address();
    // Nothing at all, and the beginning of a handshake.
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = connect(address);
        stream.write_all(begun).unwrap();
        let closed = until_closed(&mut stream);
        assert!(
            closed >= Duration::from_millis(250) && closed < PATIENCE,
            "{closed:?}"
        );
    }
    assert_eq!(crate::tls::livez(address, &pair, None), 200);
}
