//! Bad input: what is refused, by which status, and what the error says.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;

use super::{Answer, Face, request};
use crate::config::Config;

/// Sends to a search of `products` and expects 400.
async fn refuse(face: &Face, path: &str, text: &str) -> Answer {
    let answer = face.send_json("POST", path, text).await;
    assert_eq!(
        answer.status,
        StatusCode::BAD_REQUEST,
        "{text}: {}",
        answer.body
    );
    assert_eq!(answer.kind(), "invalid_argument");
    answer
}

#[tokio::test]
async fn bodies_that_are_wrong_say_where() {
    let face = Face::with_products().await;
    let (search, points) = (
        "/v1/collections/products/search",
        "/v1/collections/products/points",
    );
    for (path, text, said) in [
        (search, "{\"vector\": [1, 2,", "line 1 column 17"),
        (search, "{\"vector\": [1, 2, 3]} x", "line 1 column 23"),
        (
            search,
            "{\"vector\": [1, 2, 3], \"limt\": 5}",
            "did you mean `limit`?",
        ),
        (
            search,
            "{\"vector\": [1, \"x\", 3]}",
            "vector[1]: invalid type: string \"x\"",
        ),
        (
            search,
            "{\"vector\": [1, 1e300, 3]}",
            "vector: value 1 of the vector is beyond",
        ),
        (search, "{\"vector\": [1, NaN, 3]}", "not valid JSON"),
        (
            search,
            "{\"vector\": [1, 2, 3], \"limit\": -1}",
            "limit: invalid value: integer `-1`",
        ),
        (
            search,
            "{\"vector\": [1, 2, 3], \"limit\": 0}",
            "limit 0 is not between 1 and 100000",
        ),
        (
            search,
            "{\"vector\": [1, 2, 3], \"limit\": 1, \"limit\": 2}",
            "duplicate field `limit`",
        ),
        (search, "{\"vector\": [1, 2]}", "2"),
        (
            search,
            "{\"vector\": [1, 2, 3], \"params\": {\"eff\": 3}}",
            "params",
        ),
        (
            search,
            "{\"vector\": [1, 2, 3], \"filter\": {\"price\": {\"$lx\": 3}}}",
            "$lt",
        ),
        (
            search,
            "{\"vector\": [1, 2, 3], \"filter\": {\"prise\": 3}}",
            "price",
        ),
        (
            search,
            "{\"vector\": [1, 2, 3], \"filter\": {\"price\": 1, \"price\": 2}}",
            "twice",
        ),
        (search, "[]", "the body"),
        (search, "", "missing field `vector`"),
        (
            points,
            "{\"points\": [{\"id\": 1, \"vector\": [1,2,3]}, {\"id\": -1, \"vector\": []}]}",
            "points[1].id",
        ),
        (
            points,
            "{\"points\": [{\"id\": \"\", \"vector\": [1,2,3]}]}",
            "must not be empty",
        ),
        (
            points,
            "{\"points\": [{\"id\": 1, \"vector\": [1,2,3], \"metadata\": {\"a\": [{\"b\": 1}]}}]}",
            "an object with the key",
        ),
        (
            points,
            "{\"points\": [{\"id\": 1, \"vector\": [1,2,3], \"metadata\": {\"a\": 1, \"a\": 2}}]}",
            "duplicate field",
        ),
        (
            points,
            "{\"points\": [{\"id\": 1, \"vector\": [0,0,0]}]}",
            "1",
        ),
    ] {
        let answer = refuse(&face, path, text).await;
        assert!(
            answer.message().contains(said),
            "{text}: {}",
            answer.message()
        );
    }
    for levels in [1_000, 100_000] {
        let nested = "{\"$not\":".repeat(levels) + "{}" + &"}".repeat(levels);
        let text = format!("{{\"vector\": [1, 2, 3], \"filter\": {nested}}}");
        let answer = refuse(&face, search, &text).await;
        let message = answer.message();
        assert!(message.contains("more than 64 levels deep"), "{message}");
    }
    let deep = "[".repeat(100_000);
    refuse(&face, search, &format!("{{\"vector\": {deep}")).await;
    refuse(
        &face,
        points,
        "{\"points\": [{\"id\": 1, \"vector\": \"\u{0}\"}]}",
    )
    .await;
    let bytes = request("POST", search).header("content-type", "application/json");
    let bytes = face
        .send(bytes.body(Body::from(vec![0xff, 0xfe, b'{'])).unwrap())
        .await;
    assert_eq!(bytes.status, StatusCode::BAD_REQUEST);
    assert_eq!(face.get("/v1/collections/products").await.body["points"], 3);
}

#[tokio::test]
async fn collections_that_cannot_be_are_refused() {
    let face = Face::new(&Config::default());
    for (name, settings, said) in [
        ("c", json!({"dimension": 0, "metric": "l2"}), "dimension 0"),
        ("c", json!({"dimension": 4, "metric": "l3"}), "metric"),
        ("c", json!({"dimension": 4}), "missing field `metric`"),
        (
            "c",
            json!({"dimension": 4, "metric": "hamming", "element": "f32"}),
            "hamming",
        ),
        (
            "c",
            json!({"dimension": 4, "metric": "l2", "index_config": {"type": "hnsw", "mm": 4}}),
            "did you mean `m`?",
        ),
        (
            "c",
            json!({"dimension": 4, "metric": "l2", "index_config": {"type": "hnsw", "m": 1}}),
            "from 2 to 256",
        ),
        (
            "c",
            json!({"dimension": 4, "metric": "l2", "fields": {"a": "strin"}}),
            "string",
        ),
        (
            "c",
            json!({"dimension": 4, "metric": "l2", "durability": "always"}),
            "every_write",
        ),
        (
            ".hidden",
            json!({"dimension": 4, "metric": "l2"}),
            "not a collection name",
        ),
        (
            "a%2F..%2Fb",
            json!({"dimension": 4, "metric": "l2"}),
            "not a collection name",
        ),
        (
            "%00",
            json!({"dimension": 4, "metric": "l2"}),
            "not a collection name",
        ),
        ("%ff", json!({"dimension": 4, "metric": "l2"}), "UTF-8"),
    ] {
        let answer = face
            .put(&format!("/v1/collections/{name}"), settings.clone())
            .await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{name} {settings}: {}",
            answer.body
        );
        assert!(
            answer.message().contains(said),
            "{name} {settings}: {}",
            answer.message()
        );
    }
    assert_eq!(
        face.get("/v1/collections").await.body,
        json!({"collections": []})
    );
}

#[tokio::test]
async fn types_encodings_and_sizes_are_checked_before_the_content() {
    let mut settings = Config::default();
    settings.limits.request_bytes_max = 1_000;
    let face = Face::new(&settings);
    let path = "/v1/collections/c/search";
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "application/x-ndjson"),
        ("content-encoding", "gzip"),
        ("x-other", "no content-type at all"),
    ] {
        let request = request("POST", path).header(name, value);
        let answer = face.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(
            answer.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{name}: {value}"
        );
        assert_eq!(answer.kind(), "invalid_argument");
    }
    let charset = request("POST", path).header("content-type", "Application/JSON; charset=utf-8");
    let charset = face
        .send(charset.body(Body::from("{\"vector\": [1]}")).unwrap())
        .await;
    assert_eq!(charset.status, StatusCode::NOT_FOUND, "{}", charset.body);

    let large = format!("{{\"vector\": [{}1]}}", "1,".repeat(1_000));
    let announced = face.send_json("POST", path, &large).await;
    assert_eq!(announced.status, StatusCode::PAYLOAD_TOO_LARGE);
    let pieces = large
        .into_bytes()
        .chunks(300)
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>();
    let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
    let request = request("POST", path).header("content-type", "application/json");
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let unannounced = face.send(request.body(body).unwrap()).await;
    assert_eq!(unannounced.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(unannounced.message().contains("limits.request_bytes_max"));
}

#[tokio::test]
async fn paths_methods_queries_and_headers_that_are_not_there_are_named() {
    let face = Face::with_products().await;
    for path in [
        "/v2/collections",
        "/v1/collections/",
        "/v1/collections/products/serch",
    ] {
        let answer = face.get(path).await;
        assert_eq!(
            (answer.status, answer.kind()),
            (StatusCode::NOT_FOUND, "not_found"),
            "{path}"
        );
        assert!(answer.message().contains(path), "{}", answer.message());
    }
    let nameless = face
        .send_json("POST", "/v1/collections//points/count", "{}")
        .await;
    assert_eq!(
        (nameless.status, nameless.kind()),
        (StatusCode::NOT_FOUND, "not_found")
    );

    let wrong = face.delete("/v1/collections/products/search").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.headers["allow"], "POST");
    assert_eq!(wrong.kind(), "invalid_argument");

    let query = face
        .get("/v1/collections/products/points/1?with_vectors=true")
        .await;
    assert_eq!(query.status, StatusCode::BAD_REQUEST);
    assert!(
        query.message().contains("did you mean `with_vector`?"),
        "{}",
        query.message()
    );
    let query = face
        .send_json(
            "POST",
            "/v1/collections/products/search?limit=3",
            "{\"vector\": [1, 2, 3]}",
        )
        .await;
    assert_eq!(query.status, StatusCode::BAD_REQUEST, "{}", query.body);

    let bad = request("GET", "/v1/collections").header("x-timeout-ms", "soon");
    let bad = face.send(bad.body(Body::empty()).unwrap()).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let late = request("GET", "/v1/collections")
        .header("x-timeout-ms", "0")
        .header("x-request-id", "mine");
    let late = face.send(late.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (late.status, late.kind()),
        (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded")
    );
    assert_eq!(late.headers["x-request-id"], "mine");
    assert_eq!(late.body["error"]["request_id"], "mine");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_writes_nothing() {
    let face = Face::with_products().await;
    for kind in ["application/json", "application/x-ndjson"] {
        let pieces = [
            Ok("{\"id\": 9, \"vector\": [1, 2, 3]}"),
            Err(std::io::Error::other("reset")),
        ];
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let request =
            request("POST", "/v1/collections/products/points").header("content-type", kind);
        let answer = face.send(request.body(body).unwrap()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{kind}");
        assert!(
            answer.message().contains("broke off"),
            "{}",
            answer.message()
        );
    }
    assert_eq!(face.get("/v1/collections/products").await.body["points"], 3);
}
