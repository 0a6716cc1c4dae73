//! JSON web tokens through both protocols: a good one, an expired one, one whose rights do not suffice.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use vecdb_backend::Backend;
use vecdb_engine::{CollectionConfig, ErrorKind, Metric, Point, StopSignal};
use vecdb_server::config::{Jwt, Secret};

use crate::started::{Started, get, post, remote};

const SECRET: &str = "a secret that the issuer and the server share";

fn token(access: &str, collections: &[&str], seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let exp = now.as_secs() as i64 + seconds;
    let claims = json!({"sub": "ada", "access": access, "collections": collections, "exp": exp});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &claims, &key).unwrap()
}

#[test]
fn tokens_are_believed_until_they_end_and_as_far_as_they_go() {
    let started = Started::new(|config, _| {
        config.auth.jwt = Some(Jwt {
            secret: Some(Secret::new(SECRET)),
            ..Jwt::default()
        });
    });
    let (grpc, http) = (started.server.grpc_address(), started.server.http_address());
    let stop = StopSignal::default();
    let header = |token: &str| format!("authorization: Bearer {token}\r\n");
    let points = || vec![Point::new(1, vec![1.0, 2.0])];
    let body = r#"{"points": [{"id": 2, "vector": [1, 2]}]}"#;
    let path = "/v1/collections/team-a/points";

    let admin = token("admin", &["team-*"], 60);
    let by_admin = remote(grpc, Some(&admin));
    by_admin
        .create_collection("team-a", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    by_admin.upsert("team-a", points(), None, &stop).unwrap();
    let (status, answer) = post(http, path, &header(&admin), body);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(by_admin.count("team-a", None, &stop).unwrap(), 2);

    // Beyond the difference of clocks that is allowed.
    let expired = token("admin", &["*"], -120);
    let refused = remote(grpc, Some(&expired)).collections().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
    assert_eq!(get(http, "/v1/collections", &header(&expired)).0, 401);

    let reader = token("read", &["team-a"], 60);
    let by_reader = remote(grpc, Some(&reader));
    assert_eq!(by_reader.count("team-a", None, &stop).unwrap(), 2);
    assert_eq!(get(http, "/v1/collections/team-a", &header(&reader)).0, 200);
    let refused = by_reader.upsert("team-a", points(), None, &stop);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let (status, answer) = post(http, path, &header(&reader), body);
    assert_eq!(status, 403, "{answer}");
    // Rights on other collections than this.
    let other = token("admin", &["other"], 60);
    let refused = remote(grpc, Some(&other)).count("team-a", None, &stop);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(get(http, "/v1/collections/team-a", &header(&other)).0, 403);

    // Another issuer.
    let claims = json!({"sub": "eve", "access": "admin", "exp": 4_102_444_800_u64});
    let key = EncodingKey::from_secret(b"a secret of somebody else, of the same length");
    let forged = encode(&Header::default(), &claims, &key).unwrap();
    let refused = remote(grpc, Some(&forged)).collections().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
    assert_eq!(get(http, "/v1/collections", &header(&forged)).0, 401);
}
