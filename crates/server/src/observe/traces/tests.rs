//! Spans as a collector gets them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use vecdb_engine::{Error, ErrorKind};

use crate::auth::Authority;
use crate::config::{Auth, Config, Trace};
use crate::gateway::{Access, Operation};
use crate::observe::tests::{call, ended};
use crate::observe::{Metrics, Recorder};

const SOON: Duration = Duration::from_secs(5);

/// A collector that takes one request; gives its address, and what was sent.
fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sent, received) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        let mut len = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                len = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; len];
        reader.read_exact(&mut body).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        sent.send((head, body)).unwrap();
    });
    (address, received)
}

fn traced_to(endpoint: &str, sample_share: f64) -> Config {
    Config {
        trace: Trace {
            otlp_endpoint: Some(endpoint.to_owned()),
            sample_share,
        },
        ..Config::default()
    }
}

#[test]
fn spans_reach_the_collector_under_their_parent() {
    let (address, received) = collector();
    let recorder = Recorder::new(&traced_to(&address, 0.0), Arc::new(Metrics::new())).unwrap();
    let mut sampled = call("r-1");
    sampled.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let authority = Authority::new(&Auth::default()).unwrap();
    let caller = authority
        .check(&sampled.credentials, None, Access::Read, "docs")
        .unwrap();
    let error = Error::new(ErrorKind::NotFound, "there is no collection \"docs\"");
    let mut search = ended(&sampled, Operation::Search, Some(&error));
    search.caller = Some(&caller);
    recorder.record(&search);
    // Not sampled: by its caller's decision, by the share, and for want of a sound parent.
    let mut unsampled = call("r-2");
    unsampled.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00".to_owned());
    let mut malformed = call("r-3");
    malformed.traceparent = Some("00-xyz".to_owned());
    for call in [&unsampled, &malformed, &call("r-4")] {
        recorder.record(&ended(call, Operation::Search, None));
    }
    recorder.shutdown(SOON);

    let (head, body) = received.recv_timeout(SOON).unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
    let spans: Vec<_> = request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
        .collect();
    let [span] = spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(span.name, "search");
    assert_eq!(
        span.trace_id,
        0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes()
    );
    assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    assert_eq!(span.status.as_ref().unwrap().message, error.to_string());
    let text = |key: &str| {
        let value = span.attributes.iter().find(|found| found.key == key)?;
        match value.value.clone()?.value? {
            Value::StringValue(text) => Some(text),
            other => Some(format!("{other:?}")),
        }
    };
    assert_eq!(text("db.collection.name").as_deref(), Some("docs"));
    assert_eq!(text("vecdb.request_id").as_deref(), Some("r-1"));
    assert_eq!(text("error.type").as_deref(), Some("not_found"));
    assert_eq!(text("enduser.id").as_deref(), Some("anyone"));
    assert_eq!(text("client.address").as_deref(), Some("192.0.2.7"));
    assert_eq!(text("vecdb.queued_ms").as_deref(), Some("DoubleValue(2.0)"));
    assert!(!String::from_utf8_lossy(&body).contains("a-secret"));
}

#[test]
fn a_collector_that_is_away_holds_nothing_up() {
    // A port that nobody listens on: bound, and given back.
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = traced_to(&format!("http://{nobody}"), 1.0);
    let recorder = Recorder::new(&settings, Arc::new(Metrics::new())).unwrap();
    let begun = Instant::now();
    for _ in 0..10_000 {
        recorder.record(&ended(&call("r"), Operation::Search, None));
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    recorder.shutdown(Duration::from_secs(1));
}

#[test]
fn settings_of_traces_that_cannot_work_are_refused() {
    for (settings, part) in [
        (traced_to("no address", 0.5), "trace.otlp_endpoint"),
        (
            traced_to("http://localhost:4318", 1.5),
            "trace.sample_share",
        ),
        (
            traced_to("http://localhost:4318", f64::NAN),
            "trace.sample_share",
        ),
    ] {
        let error = Recorder::new(&settings, Arc::new(Metrics::new())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(part), "{error}");
    }
}
