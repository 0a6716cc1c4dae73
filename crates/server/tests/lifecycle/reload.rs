//! Settings that change while a server runs.

use vecdb_backend::Backend;
use vecdb_engine::ErrorKind;
use vecdb_server::gateway::Access;

use crate::started::{Started, ask, connect, get, key, remote, settings, until_closed};

const OLD: &str = "old-0123456789abcdef";
const NEW: &str = "new-0123456789abcdef";

#[test]
fn keys_change_for_the_next_call() {
    let started = Started::new(|config, _| {
        config.auth.keys = vec![key("a", OLD, Access::Admin)];
    });
    let address = started.server.grpc_address();
    let with_old = remote(address, Some(OLD));
    with_old.collections().unwrap();
    let refused = remote(address, None).collections().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
    let header = |key: &str| format!("authorization: Bearer {key}\r\n");
    assert_eq!(get(address, "/v1/collections", &header(OLD)).0, 200);

    let mut config = settings(&started.folder);
    config.auth.keys = vec![key("a", NEW, Access::Admin)];
    started.server.reload(config).unwrap();
    // On a connection that was there before.
    let refused = with_old.collections().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
    assert_eq!(get(address, "/v1/collections", &header(OLD)).0, 401);
    assert_eq!(get(address, "/v1/collections", &header(NEW)).0, 200);
}

#[test]
fn limits_change_and_what_cannot_change_is_told() {
    let started = Started::new(|_, _| {});
    let mut config = settings(&started.folder);
    config.limits.connections_max = 1;
    config.limits.search_threads = 3;
    config.storage.wal_bytes_max = 64 << 20;
    let later = started.server.reload(config).unwrap();
    assert_eq!(later, ["storage", "limits.search_threads"]);
    let address = started.server.http_address();
    let mut only = connect(address);
    assert_eq!(ask(&mut only, "/livez"), 200);
    assert!(until_closed(&mut connect(address)) < crate::started::PATIENCE);
}

#[test]
fn wrong_settings_change_nothing() {
    let started = Started::new(|config, _| {
        config.auth.keys = vec![key("a", OLD, Access::Admin)];
    });
    let address = started.server.grpc_address();
    // A key that is too short to be one.
    let mut config = settings(&started.folder);
    config.auth.keys = vec![key("a", "short", Access::Admin)];
    let error = started.server.reload(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    // Encryption cannot begin while the server runs.
    let mut config = settings(&started.folder);
    crate::tls::Pair::new().install(&mut config, &started.folder);
    let error = started.server.reload(config).unwrap_err();
    assert!(error.to_string().contains("tls.certificate"), "{error}");
    remote(address, Some(OLD)).collections().unwrap();
    assert!(remote(address, None).collections().is_err());
}
