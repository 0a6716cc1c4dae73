//! Callers that are refused, and requests that cannot be read: both leave their marks, and nothing is read in vain.

use serde_json::Value;
use vecdb_engine::ErrorKind;
use vecdb_server::gateway::Access;

use crate::http2::{HEADERS, Http2};
use crate::started::{Started, eventually, get, key, post, remote};
use vecdb_backend::Backend;

const READER: &str = "reader-0123456789abcdef";
const ADMIN: &str = "admin-0123456789abcdef";

/// A server that knows two keys and has a file for the audit.
fn serve() -> Started {
    Started::new(|config, folder| {
        config.auth.keys = vec![
            key("reader", READER, Access::Read),
            key("admin", ADMIN, Access::Admin),
        ];
        config.log.audit = Some(folder.path().join("audit.jsonl"));
        config.limits.request_bytes_max = 1 << 20;
    })
}

fn audit(started: &Started) -> Vec<Value> {
    let text = std::fs::read_to_string(started.folder.path().join("audit.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How many calls of `operation` have ended so by `face`.
fn counted(started: &Started, operation: &str, face: &str, outcome: &str) -> u64 {
    let (_, page) = get(started.server.metrics_address().unwrap(), "/metrics", "");
    let has = |line: &str, label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
    page.lines()
        .filter(|line| line.starts_with("vecdb_operations_total"))
        .filter(|line| has(line, "operation", operation) && has(line, "face", face))
        .filter(|line| has(line, "outcome", outcome))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

fn refused_for_rights(started: &Started) -> u64 {
    let (_, page) = get(started.server.metrics_address().unwrap(), "/metrics", "");
    let line = page
        .lines()
        .find(|line| line.starts_with("vecdb_refused_total{reason=\"rights\"}"));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_caller_without_the_right_is_refused_before_the_message_comes() {
    let started = serve();
    let address = started.server.grpc_address();
    // One has no key, the other one that may not write, whatever collection the message would name.
    let bearer = format!("Bearer {READER}");
    let callers = [
        (vec![], "unauthenticated"),
        (
            vec![("authorization", bearer.as_str())],
            "permission_denied",
        ),
    ];
    for (at, (headers, outcome)) in callers.into_iter().enumerate() {
        let mut http2 = Http2::new(address, 65_535);
        let stream = http2.call("/vecdb.v1.VecDB/Upsert", &headers);
        // Of a megabyte, this is all that comes.
        http2.data(stream, &[0, 0, 16, 0, 0], false);
        let (kind, _, head) = http2.read().expect("it is answered");
        assert_eq!(kind, HEADERS);
        assert!(!head.is_empty());
        assert_eq!(counted(&started, "upsert", "grpc", outcome), 1);
        assert_eq!(refused_for_rights(&started), at as u64 + 1);
        let lines = audit(&started);
        assert_eq!(lines.len(), at + 1, "{lines:?}");
        let line = lines.last().unwrap();
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(
            (&line["what"], &line["face"]),
            (&"upsert".into(), &"grpc".into())
        );
        assert_eq!(line["from"], "127.0.0.1");
        assert!(
            line["request_id"].is_string() && line["reason"].is_string(),
            "{line}"
        );
    }
    // In words, for a client.
    let refused = remote(address, Some(READER))
        .drop_collection("c")
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(
        refused.to_string().contains("\"reader\" has read"),
        "{refused}"
    );
    let text = std::fs::read_to_string(started.folder.path().join("audit.jsonl")).unwrap();
    assert!(!text.contains(READER), "{text}");
}

#[test]
fn refusals_over_http_leave_the_same_marks() {
    let started = serve();
    let address = started.server.http_address();
    let body = r#"{"points": []}"#;
    assert_eq!(post(address, "/v1/collections/c/points", "", body).0, 401);
    let reader = format!("x-api-key: {READER}\r\n");
    let drop = format!("authorization: Bearer {READER}\r\nx-request-id: mine\r\n");
    assert_eq!(
        post(address, "/v1/collections/c/points", &reader, body).0,
        403
    );
    assert_eq!(post(address, "/v1/collections/c/compact", &drop, "").0, 403);
    let lines = audit(&started);
    let outcomes: Vec<_> = lines
        .iter()
        .map(|line| line["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(
        outcomes,
        ["unauthenticated", "permission_denied", "permission_denied"]
    );
    assert_eq!(lines[2]["request_id"], "mine");
    assert_eq!(lines[2]["collection"], "c");
    assert_eq!(counted(&started, "upsert", "http", "unauthenticated"), 1);
    assert_eq!(refused_for_rights(&started), 3);
}

#[test]
fn what_cannot_be_read_is_counted() {
    let started = serve();
    let bearer = format!("Bearer {ADMIN}");
    let admin = [("authorization", bearer.as_str())];
    let grpc = |message: &[u8], path: &str| {
        let mut http2 = Http2::new(started.server.grpc_address(), 65_535);
        let stream = http2.call(path, &admin);
        http2.data(stream, message, true);
        assert!(http2.read().is_some());
    };
    let invalid = |operation, face| counted(&started, operation, face, "invalid_argument");
    // No protobuf; a length beyond the limit.
    grpc(&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff], "/vecdb.v1.VecDB/Search");
    assert_eq!(invalid("search", "grpc"), 1);
    grpc(&[0, 0xff, 0, 0, 0, 1], "/vecdb.v1.VecDB/Upsert");
    assert_eq!(invalid("upsert", "grpc"), 1);
    grpc(
        &[0, 0, 0, 0, 3, 0xff, 0xff, 0xff],
        "/vecdb.v1.VecDB/UpsertStream",
    );
    eventually("the stream is counted", || invalid("upsert", "grpc") == 2);
    // An administrative act tells who tried it.
    grpc(
        &[0, 0, 0, 0, 3, 0xff, 0xff, 0xff],
        "/vecdb.v1.VecDB/DropCollection",
    );
    let last = audit(&started).pop().unwrap();
    assert_eq!(
        (&last["who"], &last["outcome"]),
        (&"admin".into(), &"invalid_argument".into())
    );

    let address = started.server.http_address();
    let header = format!("authorization: {bearer}\r\n");
    let search = "/v1/collections/c/search";
    let xml = format!("{header}content-type: text/xml\r\n");
    assert_eq!(
        crate::started::post_as(address, search, &xml, "<a/>").0,
        415
    );
    assert_eq!(invalid("search", "http"), 1);
    let large = format!("{{\"vector\": [{}1]}}", "1,".repeat(1 << 20));
    assert_eq!(post(address, search, &header, &large).0, 413);
    assert_eq!(invalid("search", "http"), 2);
    assert_eq!(post(address, search, &header, "{").0, 400);
    assert_eq!(invalid("search", "http"), 3);
    let lines = format!("{header}content-type: application/x-ndjson\r\n");
    let points = "/v1/collections/c/points";
    let endless = "1".repeat(5 << 20);
    assert_eq!(
        crate::started::post_as(address, points, &lines, &endless).0,
        400
    );
    assert_eq!(invalid("upsert", "http"), 1);
}

#[test]
fn whoever_goes_away_before_the_message_has_come_is_counted() {
    let started = serve();
    let bearer = format!("Bearer {ADMIN}");
    eventually("a call is counted", || {
        let mut http2 = Http2::new(started.server.grpc_address(), 65_535);
        let stream = http2.call("/vecdb.v1.VecDB/Upsert", &[("authorization", &bearer)]);
        http2.data(stream, &[0, 0, 0, 1, 0, 7], false);
        // Who leaves before the server has taken the call has not called.
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(http2);
        counted(&started, "upsert", "grpc", "cancelled") > 0
    });
}

#[tokio::test]
async fn reflection_lists_the_services() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let started = tokio::task::spawn_blocking(serve).await.unwrap();
    let address = format!("http://{}", started.server.grpc_address());
    let channel = tonic::transport::Endpoint::new(address)
        .unwrap()
        .connect_lazy();
    let mut client = ServerReflectionClient::new(channel);
    let mut ask = async |request: MessageRequest| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let answers = client.server_reflection_info(tokio_stream::iter([request]));
        let mut answers = answers.await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        assert!(answers.message().await.unwrap().is_none());
        answer.message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) =
        ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("it answers something else");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in ["vecdb.v1.VecDB", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let symbol = MessageRequest::FileContainingSymbol("vecdb.v1.VecDB.Search".to_owned());
    let MessageResponse::FileDescriptorResponse(file) = ask(symbol).await else {
        panic!("it answers something else");
    };
    assert!(!file.file_descriptor_proto.is_empty());
    tokio::task::spawn_blocking(move || drop(started))
        .await
        .unwrap();
}
