//! Help, version, completions and the form of errors.

mod harness;

use harness::{World, keys, noise, npy, stderr};

#[test]
fn completions_know_the_commands() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.text(&["completions", shell]);
        assert!(
            script.contains("quickstart") && script.contains("ef-construction"),
            "{shell}"
        );
    }
}

#[test]
fn help_is_a_manual() {
    let world = World::new();
    let help = world.text(&["--help"]);
    for part in [
        "Exit codes:",
        "VECDB_PATH",
        "VECDB_URL",
        "VECDB_SIMD",
        "quickstart",
        "--threads",
    ] {
        assert!(help.contains(part), "{part:?} is missing in:\n{help}");
    }
    for kind in ["hnsw", "ivf", "lsh", "diskann"] {
        let help = world.text(&[kind, "sweep", "--help"]);
        assert!(
            help.contains("Examples:") && help.contains("--plot"),
            "{help}"
        );
    }
    assert!(world.text(&["--version"]).starts_with("vecdb "));
}

#[test]
fn errors_are_a_line_for_people_and_an_object_for_programs() {
    let world = World::new();
    let output = world.run(&["count", "-c", "c"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).starts_with("error: there is no database"),
        "{}",
        stderr(&output)
    );
    assert!(output.stdout.is_empty());
    let (code, kind, message) = world.failure(&["count"]);
    assert_eq!((code, kind.as_str()), (2, "invalid_argument"));
    assert!(message.contains("--collection"), "{message}");
    let output = world.run(&["count"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Usage:"), "{}", stderr(&output));
}

/// Every key that a command prints stands in `docs/cli.md`.
#[test]
fn every_key_is_documented() {
    let manual = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let world = World::with_points(5);
    world.write("base.npy", npy(50, 4, noise(3).take(200)));
    let graph = [
        "hnsw",
        "build",
        "--dataset",
        "base.npy",
        "--output",
        "g.hnsw",
    ];
    let flat = [
        "flat",
        "search",
        "--dataset",
        "base.npy",
        "--query",
        "base.npy",
        "--limit-queries",
        "2",
    ];
    let search = ["hnsw", "search", "--index", "g.hnsw", "--query", "base.npy"];
    let sweep = [
        "hnsw", "sweep", "--index", "g.hnsw", "--query", "base.npy", "--ef", "10",
    ];
    let lists = ["ivf", "build", "--dataset", "base.npy", "--output", "l.ivf"];
    let probe = ["ivf", "search", "--index", "l.ivf", "--query", "base.npy"];
    let probes = [
        "ivf", "sweep", "--index", "l.ivf", "--query", "base.npy", "--nprobe", "2",
    ];
    let tables = ["lsh", "build", "--dataset", "base.npy", "--output", "t.lsh"];
    let hashed = ["lsh", "search", "--index", "t.lsh", "--query", "base.npy"];
    let table_sweep = [
        "lsh",
        "sweep",
        "--dataset",
        "base.npy",
        "--query",
        "base.npy",
        "--tables",
        "2",
        "--hashes",
        "3",
    ];
    let commands: &[&[&str]] = &[
        &["quickstart"],
        &flat,
        &graph,
        &search,
        &sweep,
        &lists,
        &probe,
        &probes,
        &tables,
        &hashed,
        &table_sweep,
        &["lsh", "advise", "--dataset", "base.npy"],
        &["collection", "create", "d", "--dimension", "3"],
        &["collection", "list"],
        &["collection", "info", "c"],
        &["collection", "compact", "c"],
        &["collection", "drop-index", "c", "parity"],
        &["collection", "create-index", "c", "parity"],
        &["import", "base.npy", "-c", "e", "--create"],
        &["insert", "-c", "c", "--id", "9", "--vector", "[1,2,3]"],
        &["get", "-c", "c", "9", "10", "--with-vector"],
        &["search", "-c", "c", "[1,2,3]", "--with-vector"],
        &["search", "-c", "c", "[1,2,3]", "--group-by", "parity"],
        &["recommend", "-c", "c", "--positive", "9"],
        &["facets", "-c", "c", "parity"],
        &["update", "-c", "c", "9", "--merge", "{}"],
        &["delete", "-c", "c", "9"],
        &["count", "-c", "c"],
        &["scroll", "-c", "c"],
        &["export", "-c", "c", "--output", "c.jsonl"],
        &["storage", "verify"],
        &["storage", "init", "v", "--dimension", "4"],
        &[
            "storage",
            "insert",
            "-c",
            "v",
            "--count",
            "3",
            "--acknowledged",
            "w.jsonl",
        ],
        &["storage", "recover", "--acknowledged", "w.jsonl"],
        &["storage", "compact"],
        &["storage", "inspect"],
        &["status"],
        &["snapshot", "create", "s"],
        &["snapshot", "list"],
        &["collection", "drop", "d"],
        &["snapshot", "restore", "s", "-c", "d"],
        &["snapshot", "delete", "s"],
    ];
    for command in commands {
        let report = world.json(command);
        for key in keys(&report) {
            assert!(
                manual.contains(&format!("`{key}`")),
                "the key {key} of vecdb {command:?} is not in docs/cli.md"
            );
        }
    }
    for sweep in [&sweep, &probes] {
        let sweep = world.json(sweep);
        for key in keys(&sweep["sweep"][0]) {
            assert!(
                manual.contains(&format!("\"{key}\"")),
                "the key {key} of a sweep's row is not in docs/cli.md"
            );
        }
    }
}

#[test]
fn every_exit_code_is_documented() {
    let manual = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let help = World::new().text(&["--help"]);
    let (_, help) = help.split_once("Exit codes:").unwrap();
    for kind in vecdb_engine::ErrorKind::all() {
        let (code, name) = (kind.exit_code(), kind.name());
        let row = format!("| {code} | `{name}` |");
        assert!(manual.contains(&row), "{row} is not in docs/cli.md");
        assert!(help.contains(&format!("{code:>2}  ")), "{code}: {help}");
    }
}
