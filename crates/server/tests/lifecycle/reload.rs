//! Settings that change while a server runs.

use std::net::SocketAddr;

use vecdb_backend::Backend;
use vecdb_engine::ErrorKind;
use vecdb_server::config::Config;
use vecdb_server::gateway::Access;

use crate::started::{PATIENCE, Started, ask, connect, get, key, remote, settings, until_closed};

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
    config.storage.merge_bytes_per_second = 1 << 20;
    // As often as it is asked: they still wait.
    for _ in 0..2 {
        let later = started.server.reload(config.clone()).unwrap();
        assert_eq!(later, ["storage", "limits.search_threads"]);
    }
    let address = started.server.http_address();
    let mut only = connect(address);
    assert_eq!(ask(&mut only, "/livez"), 200);
    assert!(until_closed(&mut connect(address)) < PATIENCE);
}

/// A server of other machines, by its address on this one.
fn exposed(change: impl FnOnce(&mut Config)) -> (Started, SocketAddr) {
    let started = Started::new(|config, _| {
        config.listen.grpc = "0.0.0.0:0".parse().unwrap();
        change(config);
    });
    let port = started.server.grpc_address().port();
    (started, SocketAddr::from(([127, 0, 0, 1], port)))
}

#[test]
fn a_lost_file_opens_no_server_to_everybody() {
    for was_insecure in [false, true] {
        let (started, address) = exposed(|config| {
            config.auth.keys = vec![key("a", OLD, Access::Admin)];
            config.listen.allow_insecure = was_insecure;
        });
        // What an empty file says, and one that lost its keys only. The new addresses do not count yet.
        let mut no_keys = settings(&started.folder);
        no_keys.listen.grpc = "0.0.0.0:0".parse().unwrap();
        for lost in [Config::default(), no_keys] {
            let error = started.server.reload(lost).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            assert!(error.to_string().contains("auth.keys"), "{error}");
            let refused = remote(address, None).collections().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
            remote(address, Some(OLD)).collections().unwrap();
        }
    }
}

#[test]
fn client_certificates_stay_needed_where_nothing_else_keeps_strangers_away() {
    let (pair, client) = (crate::tls::Pair::new(), crate::tls::Pair::new());
    let started = Started::new(|config, folder| {
        config.listen.grpc = "0.0.0.0:0".parse().unwrap();
        pair.install(config, folder);
        client.vouch(config, folder);
    });
    let address = SocketAddr::from(([127, 0, 0, 1], started.server.grpc_address().port()));
    let mut config = settings(&started.folder);
    pair.install(&mut config, &started.folder);
    let error = started.server.reload(config.clone()).unwrap_err();
    assert!(error.to_string().contains("tls.client_ca"), "{error}");
    assert_eq!(crate::tls::livez(address, &pair, None), 0);
    assert_eq!(crate::tls::livez(address, &pair, Some(&client)), 200);
    // With keys in their place they may go.
    config.auth.keys = vec![key("a", NEW, Access::Admin)];
    started.server.reload(config).unwrap();
    assert_eq!(crate::tls::livez(address, &pair, None), 200);
}

type Change = fn(&mut Config);

#[test]
fn where_one_setting_is_wrong_none_is_taken_over() {
    let started = Started::new(|config, _| {
        config.auth.keys = vec![key("a", OLD, Access::Admin)];
    });
    let address = started.server.grpc_address();
    let wrong: [(&str, Change); 4] = [
        ("log.level", |config| config.log.level = "loud".to_owned()),
        ("log.level", |config| {
            config.log.level = "info,loud".to_owned();
        }),
        ("log.audit", |config| {
            config.log.audit = Some("/no/such/folder/audit.jsonl".into());
        }),
        ("auth.jwt", |config| {
            config.auth.jwt = Some(vecdb_server::config::Jwt::default());
        }),
    ];
    for (setting, make_wrong) in wrong {
        let mut config = settings(&started.folder);
        config.auth.keys = vec![key("a", NEW, Access::Admin)];
        config.limits.connections_max = 1;
        config.limits.memory_bytes_max = Some(1 << 40);
        make_wrong(&mut config);
        let error = started.server.reload(config).unwrap_err();
        assert!(error.to_string().contains(setting), "{setting}: {error}");
        let (first, second) = (remote(address, Some(OLD)), remote(address, Some(OLD)));
        first.collections().unwrap();
        assert_eq!(second.status().unwrap().memory_bytes_max, None);
        assert!(remote(address, Some(NEW)).collections().is_err());
    }
}

#[test]
fn a_memory_limit_counts_from_the_next_call_on() {
    let started = Started::new(|_, _| {});
    let remote = started.remote();
    assert_eq!(remote.status().unwrap().memory_bytes_max, None);
    let mut config = settings(&started.folder);
    config.limits.memory_bytes_max = Some(1 << 40);
    assert!(started.server.reload(config).unwrap().is_empty());
    assert_eq!(remote.status().unwrap().memory_bytes_max, Some(1 << 40));
    let metrics = started.server.metrics_address().unwrap();
    let (_, page) = get(metrics, "/metrics", "");
    let limit = format!("vecdb_memory_limit_bytes {}", 1_u64 << 40);
    assert!(page.contains(&limit), "{page}");
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
