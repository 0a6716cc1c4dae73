//! Servers that cannot be used as it was typed: wrong addresses and flags, missing rights, certificates that do not fit.

mod harness;

use std::net::TcpListener;
use std::path::Path;

use harness::running::Running;
use harness::{World, check, failure_of, point_line, stderr};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

#[test]
fn what_goes_wrong_has_the_kind_and_the_words_of_the_server() {
    let world = World::new();
    let running = Running::start(&world, &[]);
    let url = running.address().to_owned();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    world.json(&[
        "collection",
        "create",
        "c",
        "--dimension",
        "3",
        "--url",
        &url,
    ]);
    world.write("point.jsonl", point_line(1));
    let cases: &[(&[&str], i32, &str, &[&str])] = &[
        (
            &["count", "-c", "d", "--url", &url],
            3,
            "not_found",
            &["\"d\"", "there are: c"],
        ),
        (
            &["search", "-c", "c", "[1]", "--url", &url],
            2,
            "invalid_argument",
            &["3"],
        ),
        (
            &["search", "-c", "c", "[1,2,3]", "-k", "0", "--url", &url],
            2,
            "invalid_argument",
            &["limit 0"],
        ),
        (
            &[
                "collection",
                "create",
                "c",
                "--dimension",
                "3",
                "--url",
                &url,
            ],
            4,
            "already_exists",
            &["c"],
        ),
        (
            &["get", "-c", "c", "7", "--url", &url],
            3,
            "not_found",
            &["7"],
        ),
        (
            &["import", "point.jsonl", "-c", "d", "--url", &url],
            3,
            "not_found",
            &["--create"],
        ),
        (
            &["status", "--url", &nobody],
            5,
            "unavailable",
            &[&nobody, "refused"],
        ),
        (
            &["status", "--url", "ftp://x"],
            2,
            "invalid_argument",
            &["ftp", "http://"],
        ),
        (
            &["status", "--url", &format!("https://{url}")],
            5,
            "unavailable",
            &[&url],
        ),
        (
            &["status", "--url", &url, "--path", "x"],
            2,
            "invalid_argument",
            &["--path", "--url", "one of them"],
        ),
        (
            &["--path", "x", "status", "--url", &url],
            2,
            "invalid_argument",
            &["--path", "--url"],
        ),
        (
            &["status", "--api-key", "k"],
            2,
            "invalid_argument",
            &["--api-key", "--url"],
        ),
        (
            &["status", "--url", &url, "--client-key", "k.pem"],
            2,
            "invalid_argument",
            &["--client-certificate"],
        ),
        (
            &["status", "--url", &url, "--ca-certificate", "none.pem"],
            3,
            "not_found",
            &["none.pem"],
        ),
        (
            &["snapshot", "list", "--url", &url, "--store", "x"],
            2,
            "invalid_argument",
            &["--store", "snapshots.location"],
        ),
        (
            &["serve", "--url", &url],
            2,
            "invalid_argument",
            &["--url", "--path"],
        ),
        (
            &[
                "hnsw",
                "build",
                "--dataset",
                "a",
                "--output",
                "b",
                "--url",
                &url,
            ],
            2,
            "invalid_argument",
            &["--url", "without a database"],
        ),
        (
            &[
                "flat",
                "search",
                "--dataset",
                "a",
                "--query",
                "b",
                "--url",
                &url,
            ],
            2,
            "invalid_argument",
            &["--url", "without a database"],
        ),
    ];
    check(&world, cases);
    assert!(!world.path("x").exists());

    // An import that breaks off says how far it came, and that is there.
    let bad = (0..25).map(point_line).collect::<String>() + "{\"id\": 25, \"vector\": [1, 2]}\n";
    world.write("bad.jsonl", bad);
    let import = [
        "import",
        "bad.jsonl",
        "-c",
        "c",
        "--batch",
        "10",
        "--url",
        &url,
    ];
    let (code, kind, message) = world.failure(&import);
    assert_eq!((code, kind.as_str()), (2, "invalid_argument"), "{message}");
    assert!(message.starts_with("after 20 points"), "{message}");
    assert_eq!(
        world.json(&["count", "-c", "c", "--url", &url])["count"],
        20
    );
    world.write("bad.jsonl", "{}\n");
    let (_, _, message) = world.failure(&import);
    assert!(message.contains("no id"), "{message}");
}

#[test]
fn the_environment_names_the_server_and_what_is_typed_counts_more() {
    let world = World::with_points(3);
    let other = World::new();
    let running = Running::start(&other, &[]);
    let url = running.address();
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = world.command(args);
        command.envs(variables.iter().copied());
        command.output().unwrap()
    };
    let list = ["collection", "list", "--json"];
    let listed = |output: std::process::Output| {
        let object: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
        object["collections"].as_array().unwrap().len()
    };
    assert_eq!(listed(run(&list, &[("VECDB_URL", url)])), 0);
    let typed = [&list[..], &["--path", "vecdb-data"]].concat();
    assert_eq!(listed(run(&typed, &[("VECDB_URL", url)])), 1);
    let typed = [&list[..], &["--url", url]].concat();
    assert_eq!(listed(run(&typed, &[("VECDB_PATH", "vecdb-data")])), 0);
    let both = run(&list, &[("VECDB_URL", url), ("VECDB_PATH", "vecdb-data")]);
    let (code, _, message) = failure_of(&both, &list);
    assert_eq!(code, 2);
    assert!(
        message.contains("VECDB_PATH") && message.contains("VECDB_URL"),
        "{message}"
    );
    // What works on files does not care.
    let completions = run(&["completions", "bash"], &[("VECDB_URL", url)]);
    assert!(completions.status.success(), "{}", stderr(&completions));
}

const ADMIN: &str = "admin-0123456789abcdef";
const READER: &str = "reader-0123456789abcdef";
const WRITER: &str = "writer-0123456789abcdef";

#[test]
fn a_key_that_may_only_write_imports() {
    let world = World::new();
    world.write(
        "keys.yaml",
        format!(
            "auth: {{keys: [{{name: a, key: {ADMIN}, access: admin}}, {{name: w, key: {WRITER}, access: write}}]}}"
        ),
    );
    let running = Running::start(&world, &["--config", "keys.yaml"]);
    let with = |key: &'static str| ["--url", running.address(), "--api-key", key];
    let create = ["collection", "create", "c", "--dimension", "3"];
    world.json(&[&create[..], &with(ADMIN)].concat());
    let lines: String = (0..100).map(point_line).collect();
    world.write("points.jsonl", lines);
    let import = ["import", "points.jsonl", "-c", "c"];
    let report = world.json(&[&import[..], &with(WRITER)].concat());
    assert_eq!(report["points"], 100, "{report}");
    assert!(report["build_seconds"].is_null(), "{report}");
    let again = world.run(&[&import[..], &with(WRITER)].concat());
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stderr(&again).contains("not waited for the index"));
    let waited = world.json(&[&import[..], &with(ADMIN)].concat());
    assert!(waited["build_seconds"].is_number(), "{waited}");
}

#[test]
fn keys_are_shown_and_rights_are_kept() {
    let world = World::new();
    world.write(
        "keys.yaml",
        format!(
            "auth: {{keys: [{{name: a, key: {ADMIN}, access: admin}}, {{name: r, key: {READER}, access: read}}]}}"
        ),
    );
    let running = Running::start(&world, &["--config", "keys.yaml"]);
    let with = |key: &'static str| ["--url", running.address(), "--api-key", key];
    let create = [
        "collection",
        "create",
        "c",
        "--dimension",
        "3",
        "--metric",
        "l2",
    ];
    world.json(&[&create[..], &with(ADMIN)].concat());
    let insert = ["insert", "-c", "c", "--id", "1", "--vector", "[1,2,3]"];
    world.json(&[&insert[..], &with(ADMIN)].concat());
    let search = ["search", "-c", "c", "[1,2,3]"];
    assert_eq!(
        world.json(&[&search[..], &with(READER)].concat())["hits"][0]["id"],
        1
    );
    let by_variable = world
        .command(&["count", "-c", "c", "--url", running.address()])
        .env("VECDB_API_KEY", READER)
        .output()
        .unwrap();
    assert_eq!(by_variable.stdout, b"1\n", "{}", stderr(&by_variable));

    let no_key = [&search[..], &["--url", running.address()]].concat();
    check(
        &world,
        &[
            (
                &[&insert[..], &with(READER)].concat(),
                7,
                "permission_denied",
                &["read"],
            ),
            (
                &[
                    "collection",
                    "drop",
                    "c",
                    "--url",
                    running.address(),
                    "--api-key",
                    READER,
                ],
                7,
                "permission_denied",
                &[],
            ),
            (&no_key, 13, "unauthenticated", &["key"]),
            (
                &[&search[..], &with("guess-0123456789abcdef")].concat(),
                13,
                "unauthenticated",
                &[],
            ),
            (
                &[&search[..], &with("two words")].concat(),
                2,
                "invalid_argument",
                &["API key"],
            ),
        ],
    );
}

/// An authority that signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Writes `NAME.crt` and `NAME.key`.
    fn sign(&self, folder: &Path, name: &str) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn tls_trusts_the_authority_that_is_given_and_no_other() {
    let world = World::new();
    let (ours, theirs) = (Authority::new(), Authority::new());
    world.write("ours.pem", &ours.certificate);
    world.write("theirs.pem", &theirs.certificate);
    world.write("text.pem", "no certificate");
    ours.sign(&world.path("."), "server");
    ours.sign(&world.path("."), "client");
    theirs.sign(&world.path("."), "stranger");
    let tls = [
        "--set",
        "tls.certificate=server.crt",
        "--set",
        "tls.key=server.key",
    ];
    let running = Running::start(&world, &[&tls[..], &["--path", "tls"]].concat());
    let url = format!("https://{}", running.address());
    let status = |flags: &[&'static str]| [&["status", "--url", &url][..], flags].concat();
    assert_eq!(
        world.json(&status(&["--ca-certificate", "ours.pem"]))["collections"],
        0
    );
    let plain = ["status", "--url", running.address()];
    check(
        &world,
        &[
            (
                &status(&["--ca-certificate", "theirs.pem"]),
                5,
                "unavailable",
                &["certificate"],
            ),
            (&status(&[]), 5, "unavailable", &["certificate"]),
            (
                &status(&["--ca-certificate", "text.pem"]),
                2,
                "invalid_argument",
                &["PEM"],
            ),
            (
                &[&plain[..], &["--ca-certificate", "ours.pem"]].concat(),
                2,
                "invalid_argument",
                &["https://"],
            ),
            (&plain, 5, "unavailable", &[]),
        ],
    );

    let mutual = [
        &tls[..],
        &["--set", "tls.client_ca=ours.pem", "--path", "mutual"],
    ]
    .concat();
    let running = Running::start(&world, &mutual);
    let url = format!(
        "https://localhost:{}",
        running.address().rsplit(':').next().unwrap()
    );
    let base = ["status", "--url", &url, "--ca-certificate", "ours.pem"];
    let shown = |name: [&'static str; 2]| {
        [
            &base[..],
            &["--client-certificate", name[0], "--client-key", name[1]],
        ]
        .concat()
    };
    assert_eq!(
        world.json(&shown(["client.crt", "client.key"]))["collections"],
        0
    );
    check(
        &world,
        &[
            (&base, 5, "unavailable", &["localhost"]),
            (
                &shown(["stranger.crt", "stranger.key"]),
                5,
                "unavailable",
                &["localhost"],
            ),
            (
                &shown(["client.crt", "server.key"]),
                2,
                "invalid_argument",
                &[],
            ),
        ],
    );
}
