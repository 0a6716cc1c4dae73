//! Bad input: each a defined exit code, kind and message.

mod harness;

use harness::{World, check, failure_of, point_line};
use std::io::{BufRead, BufReader, Write};

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
    let nested = "{\"$not\":".repeat(10_000) + "{}" + &"}".repeat(10_000);
    check(
        &world,
        &[
            (
                &[
                    "collection",
                    "create",
                    "n",
                    "--dimension",
                    "2",
                    "--field",
                    "body:text",
                    "--unindexed",
                    "bodi",
                ],
                2,
                "invalid_argument",
                &["\"bodi\"", "did you mean body?"],
            ),
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
                &["search", "-c", "c", "[1, 2, 3]", "--filter", &nested],
                2,
                "invalid_argument",
                &["more than 64 levels deep"],
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

#[test]
fn a_database_of_a_newer_version_is_refused() {
    use vecdb_storage::checksum::{crc32c, crc32c_seeded};
    let world = World::with_points(3);
    let catalog = world.path("vecdb-data/CATALOG");
    let mut bytes = std::fs::read(&catalog).unwrap();
    // magic 8 | version 4 | length 4 | checksum 4 | body (see docs/format.md)
    bytes[8..12].copy_from_slice(&99u32.to_le_bytes());
    let sum = crc32c_seeded(crc32c(&bytes[8..16]), &bytes[20..]);
    bytes[16..20].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&catalog, bytes).unwrap();
    let (code, kind, message) = world.failure(&["count", "-c", "c"]);
    assert_eq!((code, kind.as_str()), (9, "unsupported"), "{message}");
    assert!(message.contains("CATALOG"), "{message}");
}
