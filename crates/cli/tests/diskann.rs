//! Indexes on the disk: `diskann` on vector files, and collections of that kind.

mod harness;

use harness::small::{ROWS, rows_of, small};
use harness::{World, check};
use serde_json::{Value, json};

const BUILD: [&str; 10] = [
    "diskann",
    "build",
    "--dataset",
    "base.npy",
    "--output",
    "base.diskann",
    "--R",
    "32",
    "--L",
    "64",
];

const READ: [&str; 5] = [
    "--index",
    "base.diskann",
    "--query",
    "queries.npy",
    "--quiet",
];

fn run(world: &World, command: &str, more: &[&str]) -> Value {
    world.json(&[&["diskann", command], &READ[..], more].concat())
}

fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap_or_else(|| panic!("{key} in {of}"))
}

#[test]
fn every_way_to_read_finds_the_neighbours() {
    let (world, truth) = small();
    let built = world.json(&BUILD);
    assert_eq!((&built["r"], &built["l_build"]), (&json!(32), &json!(64)));
    assert_eq!(built["rows"], ROWS);
    assert!(number(&built, "degree_mean") > 4.0 && number(&built, "blocks") > 10.0);
    // The vectors are in the index.
    std::fs::remove_file(world.path("base.npy")).unwrap();
    for io in ["uring", "threads", "mapped"] {
        let found = run(
            &world,
            "search",
            &["--io", io, "--ground-truth", "truth.ivecs", "--ef", "80"],
        );
        assert!(number(&found, "recall_at_10") >= 0.95, "{io}: {found}");
        assert_eq!(found["ground_truth"], "file");
        assert!(number(&found, "hops") > 1.0, "{io}");
        assert!(number(&found, "reads") + number(&found, "cache_hits") > 1.0);
        let first = &found["results"][0];
        let right = rows_of(first)
            .iter()
            .filter(|row| truth[0].contains(row))
            .count();
        assert!(right >= 9, "{io}: {first}");
    }
    let computed = run(&world, "search", &["--limit-queries", "10"]);
    assert!(number(&computed, "recall_at_10") >= 0.9);
    assert_eq!(computed["ground_truth"], "computed");
    let text = world.text(
        &[
            &["diskann", "search"],
            &READ[..],
            &["--query-row", "3", "--beam-width", "50"],
        ]
        .concat(),
    );
    for part in [
        "Hops",
        "Reads",
        "Cache hits",
        "Read latency",
        "Recall",
        "Rank",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn bench_and_sweep_measure() {
    let (world, _) = small();
    world.json(&BUILD);
    let bench = run(&world, "bench", &["--queries", "300", "--threads", "2"]);
    assert_eq!(
        (&bench["searches"], &bench["queries"]),
        (&json!(300), &json!(40))
    );
    for key in [
        "mean_us",
        "p99_us",
        "queries_per_second",
        "bytes_per_second",
        "read_p99_us",
    ] {
        assert!(number(&bench, key) >= 0.0, "{key}");
    }
    let sweep = run(
        &world,
        "sweep",
        &[
            "--ef",
            "10,40,100",
            "--ground-truth",
            "truth.ivecs",
            "--plot",
            "recall.svg",
        ],
    );
    let recalls: Vec<f64> = sweep["sweep"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| number(row, "recall_at_10"))
        .collect();
    assert!(
        recalls.len() == 3 && recalls[2] >= 0.95 && recalls[2] >= recalls[0],
        "{recalls:?}"
    );
    assert!(world.path("recall.svg").exists());
}

#[test]
fn a_build_within_a_memory_limit_leaves_an_index_as_good() {
    let (world, _) = small();
    let limited = [&BUILD[..], &["--memory-limit", "26MB"]].concat();
    let built = world.json(&limited);
    assert!(number(&built, "parts") >= 2.0, "{built}");
    let names: Vec<&str> = built["passes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pass| pass["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..3], ["copy", "partition", "encode"]);
    assert_eq!(names[names.len() - 3..], ["merge", "connect", "write"]);
    assert!(!world.path("base.diskann.build").exists());
    let found = run(
        &world,
        "search",
        &["--ground-truth", "truth.ivecs", "--ef", "80"],
    );
    assert!(number(&found, "recall_at_10") >= 0.95, "{found}");
    let text = world.text(&limited);
    assert!(
        text.contains("Most memory") && text.contains("part 1 of"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let (world, _) = small();
    world.json(&BUILD);
    let with = |more: &[&'static str]| [&BUILD[..], more].concat();
    let search = |more: &[&'static str]| [&["diskann", "search"], &READ[..], more].concat();
    let (small_build, small_search) = (
        with(&["--memory-limit", "1MB"]),
        search(&["--memory-limit", "1MB"]),
    );
    let (alpha, size) = (with(&["--alpha", "3"]), with(&["--memory-limit", "much"]));
    let ivf = [
        "ivf",
        "search",
        "--index",
        "base.diskann",
        "--query",
        "queries.npy",
    ];
    let none = [
        "diskann",
        "bench",
        "--index",
        "base.diskann",
        "--query",
        "queries.npy",
        "--queries",
        "0",
    ];
    check(
        &world,
        &[
            (&small_build, 2, "invalid_argument", &["too small", "needs"]),
            (
                &small_search,
                2,
                "invalid_argument",
                &["too small", "needs"],
            ),
            (
                &alpha,
                2,
                "invalid_argument",
                &["`alpha` is 3", "from 1 to 2"],
            ),
            (&size, 2, "invalid_argument", &["`much` is no size", "16GB"]),
            (&ivf, 2, "invalid_argument", &["vecdb diskann"]),
            (&none, 2, "invalid_argument", &["--queries 0"]),
        ],
    );
    // A page that was damaged on the disk is named with its nodes.
    let path = world.path("base.diskann");
    let mut bytes = std::fs::read(&path).unwrap();
    let start = bytes.len() / 2 / 4096 * 4096;
    for page in bytes[start..].chunks_mut(4096).take(8) {
        if let Some(byte) = page.get_mut(100) {
            *byte ^= 0x40;
        }
    }
    std::fs::write(&path, &bytes).unwrap();
    let exact = [
        "diskann",
        "search",
        "--index",
        "base.diskann",
        "--query",
        "queries.npy",
    ];
    check(
        &world,
        &[(
            &exact,
            8,
            "corrupt",
            &["block", "with the nodes", "checksum"],
        )],
    );
}

#[test]
fn a_collection_of_that_kind_is_searched_and_merged() {
    let world = World::new();
    let points: String = (0..2_000)
        .map(|i| {
            format!(
                "{{\"id\":{i},\"vector\":[{i}.0,1.0,0.5],\"metadata\":{{\"odd\":{}}}}}\n",
                i % 2 == 1
            )
        })
        .collect();
    world.write("points.jsonl", points);
    world.json(&[
        "collection",
        "create",
        "c",
        "--dimension",
        "3",
        "--metric",
        "l2",
        "--index",
        r#"{"type":"diskann","r":16}"#,
    ]);
    world.json(&["import", "points.jsonl", "-c", "c"]);
    world.json(&["collection", "compact", "c"]);
    let ids = |more: &[&str]| -> Vec<u64> {
        let search = ["search", "-c", "c", "[700.2,1.0,0.5]", "-k", "2"];
        let found = world.json(&[&search[..], more].concat());
        let hits = found["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(&[]), [700, 701]);
    assert_eq!(ids(&["--ef", "30", "--beam-width", "2"]), [700, 701]);
    assert_eq!(ids(&["--filter", r#"{"odd":true}"#]), [701, 699]);
    world.json(&["delete", "-c", "c", "700"]);
    world.json(&["collection", "compact", "c"]);
    assert_eq!(ids(&[]), [701, 699]);
    let nprobe = ["search", "-c", "c", "[1,1,1]", "--nprobe", "3"];
    check(
        &world,
        &[(
            &nprobe,
            2,
            "invalid_argument",
            &[
                "`diskann`",
                "`nprobe`",
                "ef, beam_width, target_recall, exact",
            ],
        )],
    );
}
