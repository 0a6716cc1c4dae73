//! Settings from files, the environment and flags: what counts more, and what is refused with which words.

use std::path::{Path, PathBuf};

use vecdb_engine::{Error, ErrorKind};
use vecdb_server::config::{Config, LogFormat};
use vecdb_server::gateway::Access;

/// Loads `text` from a file called `name`.
fn load_with(
    name: &str,
    text: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    Config::load(Some(&path), owned(environment), &owned(flags))
}

fn yaml(text: &str) -> Result<Config, Error> {
    load_with("c.yaml", text, &[], &[])
}

#[test]
fn nothing_said_means_the_defaults() {
    let none = Config::load(None, [], &[]).unwrap();
    assert_eq!(none, Config::default());
    for text in ["", "# nothing\n", "storage:\nlimits:\n"] {
        assert_eq!(yaml(text).unwrap(), none, "{text:?}");
    }
    assert_eq!(none.listen.grpc.to_string(), "127.0.0.1:6333");
    assert_eq!(none.listen.http.to_string(), "127.0.0.1:6334");
    assert_eq!(none.listen.metrics.unwrap().to_string(), "127.0.0.1:9090");
}

#[test]
fn yaml_and_toml_say_the_same() {
    let from_yaml = yaml(
        "storage: {path: /data, memtable_bytes_max: 32MiB}\n\
         listen:\n  grpc: '0.0.0.0:7000'\n  metrics: off\n  allow_insecure: true\n\
         auth:\n  keys:\n    - {name: a, key: k, access: write, collections: [x, y]}\n    - {name: b, key: l}\n  \
         jwt: {secret: s, issuer: i}\n\
         limits: {memory_bytes_max: 1.5GiB, search_threads: 4}\n\
         log: {level: debug, format: json}\n\
         trace: {otlp_endpoint: 'http://c:4318', sample_share: 1}\n",
    )
    .unwrap();
    let toml = r#"
        [storage]
        path = "/data"
        memtable_bytes_max = 33554432
        [listen]
        grpc = "0.0.0.0:7000"
        metrics = "off"
        allow_insecure = true
        [[auth.keys]]
        name = "a"
        key = "k"
        access = "write"
        collections = ["x", "y"]
        [[auth.keys]]
        name = "b"
        key = "l"
        [auth.jwt]
        secret = "s"
        issuer = "i"
        [limits]
        memory_bytes_max = "1.5GiB"
        search_threads = 4
        [log]
        level = "debug"
        format = "json"
        [trace]
        otlp_endpoint = "http://c:4318"
        sample_share = 1.0
    "#;
    assert_eq!(load_with("c.toml", toml, &[], &[]).unwrap(), from_yaml);
    assert_eq!(from_yaml.storage.path, PathBuf::from("/data"));
    assert_eq!(from_yaml.storage.memtable_bytes_max, 32 << 20);
    assert_eq!(from_yaml.listen.metrics, None);
    assert_eq!(from_yaml.limits.memory_bytes_max, Some(3 << 29));
    assert_eq!(from_yaml.log.format, LogFormat::Json);
    let [a, b] = from_yaml.auth.keys.as_slice() else {
        panic!("two keys")
    };
    assert_eq!((a.access, a.collections.len()), (Access::Write, 2));
    assert_eq!((b.access, b.key.expose()), (Access::Read, "l"));
    let jwt = from_yaml.auth.jwt.unwrap();
    assert_eq!(jwt.secret.unwrap().expose(), "s");
    assert_eq!(jwt.audience, None);
}

#[test]
fn flags_count_more_than_the_environment_and_that_more_than_the_file() {
    let file = "limits: {search_threads: 1, write_threads: 1, timeout_ms: 1}";
    let environment = [
        ("VECDB_LIMITS_WRITE_THREADS", "2"),
        ("VECDB_LIMITS_TIMEOUT_MS", "2"),
        ("VECDB_LISTEN_GRPC", "127.0.0.1:7"),
        ("VECDB_AUTH_KEYS", "[{name: n, key: k, access: admin}]"),
        ("VECDB_AUTH_JWT_SECRET", "s"),
        // Not set, for those who cannot leave it out.
        ("VECDB_TLS_CERTIFICATE", ""),
        // Not settings: the command line's, and what a cluster makes for a service of this name.
        ("VECDB_PATH", "/x"),
        ("VECDB_PORT_6333_TCP_PORT", "6333"),
        ("LIMITS_WRITE_THREADS", "9"),
    ];
    let flags = [("limits.timeout_ms", "3"), ("log.audit", "")];
    let config = load_with("c.yml", file, &environment, &flags).unwrap();
    let limits = &config.limits;
    assert_eq!(
        (
            limits.search_threads,
            limits.write_threads,
            limits.timeout_ms
        ),
        (1, 2, 3)
    );
    assert_eq!(config.listen.grpc.port(), 7);
    assert_eq!(config.auth.keys[0].access, Access::Admin);
    assert_eq!(config.auth.jwt.unwrap().secret.unwrap().expose(), "s");
    assert_eq!(config.tls.certificate, None);
}

#[test]
fn what_is_wrong_is_told_with_its_path_and_what_would_be_right() {
    let cases: &[(&str, &[&str])] = &[
        ("limit: {}", &["limit", "did you mean limits?"]),
        (
            "limits: {search_thread: 1}",
            &[
                "limits.search_thread",
                "did you mean limits.search_threads?",
                "c.yaml",
            ],
        ),
        ("storage: {zzz: 1}", &["storage.zzz", "docs/server.md"]),
        (
            "auth: {keys: [{name: a, kee: b, key: c}]}",
            &["auth.keys[0].kee", "did you mean auth.keys[0].key?"],
        ),
        (
            "auth: {jwt: {issuers: x}}",
            &["auth.jwt.issuers", "auth.jwt.issuer?"],
        ),
        (
            "limits: {search_threads: many}",
            &[
                "limits.search_threads",
                "\"many\"",
                "a whole number from 0 to 4096",
            ],
        ),
        (
            "limits: {search_threads: -1}",
            &["limits.search_threads", "-1"],
        ),
        (
            "limits: {write_threads: 0}",
            &["limits.write_threads", "from 1"],
        ),
        ("limits: {timeout_ms: 1.5}", &["limits.timeout_ms", "1.5"]),
        (
            "limits: {request_bytes_max: 64M}",
            &["limits.request_bytes_max", "\"64M\"", "a size like 64MiB"],
        ),
        (
            "limits: {memory_bytes_max: 1MiB}",
            &["limits.memory_bytes_max", "at least 64MiB"],
        ),
        ("limits: 7", &["limits is 7", "section"]),
        ("7", &["sections of settings"]),
        ("listen: {grpc: '6333'}", &["listen.grpc", "127.0.0.1:6333"]),
        (
            "listen: {grpc: 'db.example:6333'}",
            &["listen.grpc", "db.example"],
        ),
        (
            "listen: {allow_insecure: 1}",
            &["listen.allow_insecure", "true or false"],
        ),
        (
            "listen: {grpc: '127.0.0.1:1', http: '127.0.0.1:1'}",
            &["listen.grpc", "listen.http", "127.0.0.1:1"],
        ),
        ("storage: {path: ''}", &["storage.path", "a path"]),
        ("storage: {path: 7}", &["storage.path", "7"]),
        ("storage: {archive: 7}", &["storage.archive", "text"]),
        (
            "storage: {archive_interval_seconds: 0}",
            &["storage.archive_interval_seconds", "from 1"],
        ),
        (
            "storage: {merge_bytes_per_second: 1KiB}",
            &["storage.merge_bytes_per_second", "64KiB", "0 for no limit"],
        ),
        (
            "storage: {on_corruption: pass}",
            &["storage.on_corruption", "pass", "stop or skip"],
        ),
        ("tls: {certificate: a}", &["tls.certificate", "tls.key"]),
        ("tls: {key: a}", &["tls.certificate", "tls.key"]),
        ("tls: {client_ca: a}", &["tls.client_ca", "tls.certificate"]),
        ("auth: {keys: 7}", &["auth.keys", "a list of keys"]),
        ("auth: {keys: [a]}", &["auth.keys[0]", "keys of its own"]),
        (
            "auth: {keys: [{name: a}]}",
            &["auth.keys[0].key is missing"],
        ),
        (
            "auth: {keys: [{key: a}]}",
            &["auth.keys[0].name is missing"],
        ),
        (
            "auth: {keys: [{name: a, key: b, access: root}]}",
            &["auth.keys[0].access", "root", "read, write or admin"],
        ),
        (
            "auth: {keys: [{name: a, key: b, collections: x}]}",
            &["auth.keys[0].collections", "a list of names"],
        ),
        ("log: {format: xml}", &["log.format", "text or json"]),
        ("log: {level: 3}", &["log.level", "quotes"]),
        (
            "trace: {sample_share: 2}",
            &["trace.sample_share", "from 0 to 1"],
        ),
        (
            "trace: {otlp_endpoint: 'c:1'}",
            &["trace.otlp_endpoint", "http://"],
        ),
        ("a: [", &["c.yaml"]),
        ("log: {level: a}\nlog: {level: b}", &["c.yaml"]),
    ];
    for (text, parts) in cases {
        let error = yaml(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}: {error}");
        for part in *parts {
            assert!(
                error.to_string().contains(part),
                "{text}: {part:?} is not in: {error}"
            );
        }
    }
}

#[test]
fn variables_and_flags_are_told_by_their_own_names() {
    let told = |environment: &[(&str, &str)], flags: &[(&str, &str)], parts: &[&str]| {
        let error = load_with("c.yaml", "", environment, flags).unwrap_err();
        for part in parts {
            assert!(
                error.to_string().contains(part),
                "{part:?} is not in: {error}"
            );
        }
    };
    told(
        &[("VECDB_LIMITS_SEARCH_THREAD", "1")],
        &[],
        &[
            "VECDB_LIMITS_SEARCH_THREAD",
            "did you mean VECDB_LIMITS_SEARCH_THREADS?",
        ],
    );
    told(
        &[("VECDB_LIMITS_SEARCH_THREADS", "x")],
        &[],
        &["limits.search_threads", "VECDB_LIMITS_SEARCH_THREADS"],
    );
    told(
        &[],
        &[("listen.grcp", "x")],
        &["listen.grcp", "did you mean listen.grpc?"],
    );
    told(&[], &[("auth.keys[0].key", "x")], &["auth.keys[0].key"]);
    told(
        &[],
        &[("listen.grpc", "x")],
        &["listen.grpc", "command line"],
    );
}

#[test]
fn secrets_stand_in_no_error_and_are_not_printed() {
    let secret = "c0ffee4f6c79a1";
    for text in [
        format!("auth: {{keys: [{{name: a, key: [{secret}]}}]}}"),
        format!("auth: {{keys: {secret}}}"),
        format!("auth: {{jwt: {{secret: [{secret}]}}}}"),
    ] {
        let error = yaml(&text).expect_err(&text);
        assert!(!error.to_string().contains(secret), "{error}");
    }
    let variable = format!("[{{name: a, key: {secret}, acess: read}}]");
    let error = load_with("c.yaml", "", &[("VECDB_AUTH_KEYS", &variable)], &[]).unwrap_err();
    assert!(!error.to_string().contains(secret), "{error}");

    let text = format!("auth: {{keys: [{{name: a, key: {secret}}}], jwt: {{secret: {secret}}}}}");
    let config = yaml(&text).unwrap();
    let printed = config.to_yaml().unwrap();
    assert!(
        !printed.contains(secret) && printed.contains("***"),
        "{printed}"
    );
    assert!(!format!("{config:?}").contains(secret));
}

#[test]
fn what_is_printed_can_be_loaded_again() {
    let config = yaml("limits: {memory_bytes_max: 1GiB}\nlisten: {metrics: off}").unwrap();
    let printed = config.to_yaml().unwrap();
    assert_eq!(yaml(&printed).unwrap(), config, "{printed}");
    assert!(printed.contains("64MiB"), "{printed}");
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let missing = Config::load(Some(Path::new("/no/such/file.yaml")), [], &[]).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(
        missing.to_string().contains("/no/such/file.yaml"),
        "{missing}"
    );
    let other = load_with("c.json", "{}", &[], &[]).unwrap_err();
    assert!(
        other.to_string().contains(".yaml, .yml or .toml"),
        "{other}"
    );
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

#[test]
fn the_example_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repository("deploy/production.yaml")).unwrap();
    let text = text.replace("/etc/vecdb", folder.path().to_str().unwrap());
    let error = yaml(&text).unwrap_err();
    assert!(error.to_string().contains("admin.key"), "{error}");
    std::fs::write(folder.path().join("admin.key"), "0123456789abcdef\n").unwrap();
    let config = yaml(&text).unwrap();
    assert_eq!(config.listen.grpc.to_string(), "0.0.0.0:6333");
    assert!(config.tls.is_enabled());
    assert_eq!(config.auth.keys[0].key.expose(), "0123456789abcdef");
    assert_eq!(config.limits.memory_bytes_max, Some(6 << 30));
}

/// Every key with its default stands in the manual.
#[test]
fn every_setting_is_documented() {
    let manual = std::fs::read_to_string(repository("docs/server.md")).unwrap();
    let settings = serde_json::to_value(Config::default()).unwrap();
    let mut defaults = Vec::new();
    for (section, keys) in settings.as_object().unwrap() {
        for (key, value) in keys.as_object().unwrap() {
            defaults.push((format!("{section}.{key}"), value.clone()));
        }
    }
    let jwt = ["secret", "public_key", "algorithm", "issuer", "audience"];
    let jwt = jwt.map(|key| (format!("auth.jwt.{key}"), serde_json::Value::Null));
    defaults.retain(|(path, _)| path != "auth.jwt");
    for (path, default) in defaults.into_iter().chain(jwt) {
        let row = manual
            .lines()
            .find(|line| line.starts_with(&format!("| `{path}` |")))
            .unwrap_or_else(|| panic!("{path} is not in docs/server.md"));
        let shown = match &default {
            serde_json::Value::Null | serde_json::Value::Array(_) => "none".to_owned(),
            serde_json::Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let cell = row.split('|').nth(2).unwrap().trim();
        assert!(cell.starts_with(&shown), "{path}: {cell} is not {shown}");
    }
}
