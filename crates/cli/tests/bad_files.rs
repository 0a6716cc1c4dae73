//! Bad files: each error names the file and the place.

mod harness;

use harness::{World, check, npy, npy_header};

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
fn an_index_file_of_another_version_is_refused() {
    use vecdb_storage::{FileDisk, SectionWriter};
    let world = World::new();
    world.write("q.npy", npy(1, 4, [1.0; 4].into_iter()));
    for (version, named) in [(99, "99"), (1, "build the index again")] {
        let name = format!("v{version}.hnsw");
        let mut writer =
            SectionWriter::create(&FileDisk, &world.path(&name), *b"GRPH", version).unwrap();
        writer.add("dataset", b"{}").unwrap();
        writer.finish().unwrap();
        let (code, kind, message) =
            world.failure(&["hnsw", "search", "--index", &name, "--query", "q.npy"]);
        assert_eq!((code, kind.as_str()), (9, "unsupported"), "{message}");
        assert!(
            message.contains(&name) && message.contains(named),
            "{message}"
        );
    }
}
