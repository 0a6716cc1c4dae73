//! Bad input: each a defined exit code, kind and message.

mod harness;

use harness::{World, failure_of, npy, npy_header, point_line};
use std::io::{BufRead, BufReader, Write};

/// Each fails with this code and kind, and its message names these things.
fn check(world: &World, cases: &[(&[&str], i32, &str, &[&str])]) {
    for (args, code, kind, named) in cases {
        let (got_code, got_kind, message) = world.failure(args);
        assert_eq!(
            (got_code, got_kind.as_str()),
            (*code, *kind),
            "vecdb {args:?}: {message}"
        );
        for name in *named {
            assert!(
                message.contains(name),
                "vecdb {args:?}: {name:?} is missing in: {message}"
            );
        }
    }
}

#[test]
fn bad_points_and_searches_are_named() {
    let world = World::with_points(10);
    world.text(&[
        "collection",
        "create",
        "cos",
        "--dimension",
        "2",
        "--metric",
        "cosine",
    ]);
    world.text(&[
        "collection",
        "create",
        "plain",
        "--dimension",
        "2",
        "--metric",
        "l2",
        "--index",
        "flat",
    ]);
    let long_id = "x".repeat(100_000);
    check(
        &world,
        &[
            (
                &["search", "-c", "c", "[1, 2]"],
                2,
                "invalid_argument",
                &["2 dimensions", "expected 3"],
            ),
            (
                &["search", "-c", "c", "[1, 2, NaN]"],
                2,
                "invalid_argument",
                &["not valid JSON"],
            ),
            (
                &["search", "-c", "c", "[1, 2, 1e39]"],
                2,
                "invalid_argument",
                &["position 2"],
            ),
            (
                &["search", "-c", "c", "[1, 2, \"x\"]"],
                2,
                "invalid_argument",
                &["position 2"],
            ),
            (
                &["search", "-c", "c", "[1, 2, 3]", "--limit", "0"],
                2,
                "invalid_argument",
                &["limit 0"],
            ),
            (
                &["search", "-c", "cos", "[0, 0]"],
                2,
                "invalid_argument",
                &["zero"],
            ),
            (
                &["search", "-c", "plain", "[0, 0]", "--ef", "9"],
                2,
                "invalid_argument",
                &["flat", "ef"],
            ),
            (
                &[
                    "search",
                    "-c",
                    "c",
                    "[1, 2, 3]",
                    "--filter",
                    "{\"parit\": \"odd\"}",
                ],
                2,
                "invalid_argument",
                &["parit", "did you mean", "parity"],
            ),
            (
                &[
                    "search",
                    "-c",
                    "c",
                    "[1, 2, 3]",
                    "--filter",
                    "{\"price\": {\"$lt\": \"x\"}}",
                ],
                2,
                "invalid_argument",
                &["price", "int"],
            ),
            (
                &[
                    "search",
                    "-c",
                    "c",
                    "[1, 2, 3]",
                    "--filter",
                    "{\"price\": {\"$less\": 3}}",
                ],
                2,
                "invalid_argument",
                &["$less"],
            ),
            (
                &["search", "-c", "c", "[1, 2, 3]", "--filter", "{"],
                2,
                "invalid_argument",
                &["JSON"],
            ),
            (
                &["search", "-c", "c", "--like", "77"],
                3,
                "not_found",
                &["77"],
            ),
            (
                &["search", "-c", "c", "@none.npy"],
                3,
                "not_found",
                &["none.npy"],
            ),
            (
                &["search", "-c", "d", "[1, 2, 3]"],
                3,
                "not_found",
                &["\"d\"", "c, cos, plain"],
            ),
            (&["get", "-c", "c", "77"], 3, "not_found", &["77"]),
            (
                &["insert", "-c", "c", "--id", "1", "--vector", "[1]"],
                2,
                "invalid_argument",
                &["1 dimensions", "expected 3"],
            ),
            (
                &["insert", "-c", "c", "--id", "", "--vector", "[1,2,3]"],
                2,
                "invalid_argument",
                &["empty"],
            ),
            (
                &["insert", "-c", "c", "--id", &long_id, "--vector", "[1,2,3]"],
                2,
                "invalid_argument",
                &["100000 bytes"],
            ),
            (
                &["insert", "-c", "c", "{\"id\": 1}"],
                2,
                "invalid_argument",
                &["`vector`"],
            ),
            (
                &[
                    "insert",
                    "-c",
                    "c",
                    "--id",
                    "1",
                    "--vector",
                    "[1,2,3]",
                    "--metadata",
                    "{\"price\": \"dear\"}",
                ],
                2,
                "invalid_argument",
                &["price", "int", "dear"],
            ),
            (
                &["insert", "-c", "cos", "--id", "1", "--vector", "[0,0]"],
                2,
                "invalid_argument",
                &["zero"],
            ),
            (
                &["update", "-c", "c", "77", "--merge", "{}"],
                3,
                "not_found",
                &["77"],
            ),
            (
                &["scroll", "-c", "c", "--limit", "0"],
                2,
                "invalid_argument",
                &["limit 0"],
            ),
            (
                &["scroll", "-c", "c", "--cursor", "nonsense"],
                2,
                "invalid_argument",
                &["cursor"],
            ),
            (
                &["collection", "create", "c", "--dimension", "3"],
                4,
                "already_exists",
                &["\"c\""],
            ),
            (
                &["collection", "create", "x/y", "--dimension", "3"],
                2,
                "invalid_argument",
                &["x/y"],
            ),
            (
                &["collection", "create", "x", "--dimension", "0"],
                2,
                "invalid_argument",
                &["dimension 0"],
            ),
            (
                &["collection", "create", "x", "--dimension", "8", "--m", "1"],
                2,
                "invalid_argument",
                &["`m`", "2 to 256"],
            ),
            (
                &[
                    "collection",
                    "create",
                    "x",
                    "--dimension",
                    "8",
                    "--metric",
                    "hamming",
                    "--element",
                    "f32",
                ],
                2,
                "invalid_argument",
                &["hamming", "f32"],
            ),
            (
                &[
                    "collection",
                    "create",
                    "x",
                    "--dimension",
                    "8",
                    "--metric",
                    "euclid",
                ],
                2,
                "invalid_argument",
                &["euclid", "l2"],
            ),
            (&["collection", "drop", "d"], 3, "not_found", &["\"d\""]),
            (&["serch"], 2, "invalid_argument", &["serch"]),
        ],
    );
    // More hits than points are all points.
    assert_eq!(
        world.json(&["search", "-c", "c", "[1, 2, 3]", "--k", "500"])["hits"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
}

#[test]
fn a_folder_without_a_database_stays_as_it_is() {
    let world = World::new();
    check(
        &world,
        &[
            (
                &["count", "-c", "c"],
                3,
                "not_found",
                &["vecdb-data", "quickstart"],
            ),
            (
                &["import", "none.jsonl", "-c", "c", "--create"],
                3,
                "not_found",
                &["none.jsonl"],
            ),
        ],
    );
    assert!(!world.path("vecdb-data").exists());
    world.write("notes.txt", "mine");
    let (code, _, message) = world.failure(&[
        "collection",
        "create",
        "c",
        "--dimension",
        "2",
        "--path",
        ".",
    ]);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("notes.txt"), "{message}");
}

#[test]
fn bad_files_are_named_with_the_place() {
    let world = World::new();
    let good = npy(100, 4, harness::noise(1).take(400));
    world.write("good.npy", &good);
    world.write("cut.npy", &good[..good.len() - 3]);
    world.write("three.npy", npy(1, 3, [1.0, 2.0, 3.0].into_iter()));
    world.write(
        "nan.npy",
        npy(
            2,
            4,
            [1.0, 2.0, 3.0, 4.0, 5.0, f32::NAN, 7.0, 8.0].into_iter(),
        ),
    );
    world.write("zero.npy", npy(1, 4, [0.0; 4].into_iter()));
    world.write("words.txt", "hello");
    world.write(
        "bad.jsonl",
        "{\"id\": 1, \"vector\": [1, 2]}\n{\"id\": 2, \"vector\": [1,\n",
    );
    world.write("no-id.jsonl", "{\"vector\": [1, 2]}\n");
    world.write(
        "ragged.jsonl",
        "{\"id\": 1, \"vector\": [1, 2]}\n{\"id\": 2, \"vector\": [1]}\n",
    );
    world.write("short.jsonl", "{\"a\": 1}\n");
    let flat = |dataset: &'static str, query: &'static str| {
        ["flat", "search", "--dataset", dataset, "--query", query]
    };
    check(
        &world,
        &[
            (&flat("none.npy", "good.npy"), 3, "not_found", &["none.npy"]),
            (
                &flat("cut.npy", "good.npy"),
                8,
                "corrupt",
                &["cut.npy", "1597"],
            ),
            (
                &flat("words.txt", "good.npy"),
                2,
                "invalid_argument",
                &["words.txt"],
            ),
            (
                &flat("good.npy", "three.npy"),
                2,
                "invalid_argument",
                &["three.npy", "3 dimensions", "4"],
            ),
            (
                &flat("good.npy", "nan.npy"),
                2,
                "invalid_argument",
                &["nan.npy", "row 1", "position 1"],
            ),
            (
                &[&flat("good.npy", "zero.npy")[..], &["--metric", "cosine"]].concat(),
                2,
                "invalid_argument",
                &["zero"],
            ),
            (
                &[&flat("good.npy", "good.npy")[..], &["--k", "0"]].concat(),
                2,
                "invalid_argument",
                &["limit 0"],
            ),
            (
                &[&flat("good.npy", "good.npy")[..], &["--query-row", "100"]].concat(),
                2,
                "invalid_argument",
                &["100 rows", "row 100"],
            ),
            (
                &[&flat("good.npy", "good.npy")[..], &["--metric", "hamming"]].concat(),
                2,
                "invalid_argument",
                &["hamming", "f32"],
            ),
            (
                &[
                    "hnsw",
                    "build",
                    "--dataset",
                    "good.npy",
                    "--output",
                    "no/where.hnsw",
                ],
                3,
                "not_found",
                &["no"],
            ),
            (
                &[
                    "hnsw",
                    "build",
                    "--dataset",
                    "good.npy",
                    "--output",
                    "x.hnsw",
                    "--M",
                    "1",
                ],
                2,
                "invalid_argument",
                &["`m`"],
            ),
            (
                &[
                    "hnsw", "search", "--index", "good.npy", "--query", "good.npy",
                ],
                8,
                "corrupt",
                &["good.npy"],
            ),
            (
                &["import", "bad.jsonl", "-c", "a", "--create"],
                2,
                "invalid_argument",
                &["bad.jsonl", "line 2"],
            ),
            (
                &["import", "no-id.jsonl", "-c", "b", "--create"],
                2,
                "invalid_argument",
                &["--row-ids"],
            ),
            (
                &[
                    "import",
                    "ragged.jsonl",
                    "-c",
                    "d",
                    "--create",
                    "--metric",
                    "l2",
                ],
                2,
                "invalid_argument",
                &["1 dimensions", "expected 2"],
            ),
            (
                &[
                    "import",
                    "good.npy",
                    "--metadata",
                    "short.jsonl",
                    "-c",
                    "e",
                    "--create",
                ],
                2,
                "invalid_argument",
                &["short.jsonl"],
            ),
            (
                &["import", "good.npy", "-c", "f"],
                3,
                "not_found",
                &["--create"],
            ),
        ],
    );
    // A graph belongs to its vectors.
    world.text(&[
        "hnsw",
        "build",
        "--dataset",
        "good.npy",
        "--output",
        "good.hnsw",
    ]);
    world.write("other.npy", npy(100, 4, harness::noise(2).take(400)));
    world.write("fewer.npy", npy(99, 4, harness::noise(1).take(396)));
    for other in ["other.npy", "fewer.npy"] {
        let (code, _, message) = world.failure(&[
            "hnsw",
            "search",
            "--index",
            "good.hnsw",
            "--dataset",
            other,
            "--query",
            "good.npy",
        ]);
        assert_eq!(code, 2, "{message}");
        assert!(
            message.contains(other) && message.contains("built over"),
            "{message}"
        );
    }
    let mut damaged = std::fs::read(world.path("good.hnsw")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0xAA);
    world.write("damaged.hnsw", &damaged);
    let (code, kind, message) = world.failure(&[
        "hnsw",
        "search",
        "--index",
        "damaged.hnsw",
        "--query",
        "good.npy",
    ]);
    assert_eq!((code, kind.as_str()), (8, "corrupt"), "{message}");
    let header = npy_header("<f4", 1_000_000_000, 60_000);
    world.write("huge.npy", header);
    assert_eq!(world.failure(&flat("huge.npy", "good.npy")).0, 8);
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let world = World::with_points(1);
    let mut child = world.spawn(&["insert", "-c", "c", "-", "--batch", "1", "--acks"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    stdin.write_all(point_line(5).as_bytes()).unwrap();
    assert!(
        lines.next().unwrap().unwrap().contains("acknowledged"),
        "the first process is at work"
    );
    let (code, kind, message) = world.failure(&["count", "-c", "c"]);
    assert_eq!((code, kind.as_str()), (5, "unavailable"), "{message}");
    assert!(
        message.contains("LOCK") && message.contains("another process"),
        "{message}"
    );
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!(world.json(&["count", "-c", "c"])["count"], 2);
}

#[test]
fn bad_lines_on_stdin_are_numbered() {
    let world = World::with_points(0);
    let args = ["insert", "-c", "c", "-", "--batch", "2", "--json"];
    let input = [
        point_line(0),
        point_line(1),
        point_line(2),
        "{\"id\": 3}\n".to_owned(),
    ]
    .concat();
    let (code, _, message) = failure_of(&world.feed(&args, input.as_bytes()), &args);
    assert_eq!(code, 2);
    assert!(
        message.contains("line 4") && message.contains("`vector`"),
        "{message}"
    );
    assert_eq!(
        world.json(&["count", "-c", "c"])["count"],
        2,
        "the batch before was acknowledged"
    );
}

#[test]
fn damage_in_a_segment_is_found() {
    let world = World::with_points(500);
    assert_eq!(world.json(&["storage", "verify"])["ok"], true);
    let folder = std::fs::read_dir(world.path("vecdb-data/collections"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let rows = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "rows")
        })
        .expect("a segment");
    let mut bytes = std::fs::read(&rows).unwrap();
    let at = 4096 + 100;
    bytes[at] ^= 0x40;
    std::fs::write(&rows, bytes).unwrap();
    let output = world.run(&["storage", "verify"]);
    assert_eq!(
        output.status.code(),
        Some(8),
        "{}",
        harness::stderr(&output)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("PROBLEM") && text.contains(".rows"), "{text}");
}
