//! Hash tables: `lsh` on vector files, and collections of that kind.

mod harness;

use harness::small::{ROWS, rows_of, small};
use harness::{World, check, keys};
use serde_json::{Value, json};

const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../examples/debian-packages"
);

fn numbers(of: &Value, key: &str) -> Vec<f64> {
    let rows = of.as_array().unwrap().iter();
    rows.map(|row| row[key].as_f64().unwrap()).collect()
}

fn build(world: &World, more: &[&str]) -> Value {
    let build = [
        "lsh",
        "build",
        "--dataset",
        "base.npy",
        "--output",
        "tables.lsh",
    ];
    world.json(&[&build[..], more].concat())
}

const SEARCH: [&str; 6] = [
    "lsh",
    "search",
    "--index",
    "tables.lsh",
    "--query",
    "queries.npy",
];

#[test]
fn a_build_tells_its_size_and_how_full_the_buckets_are() {
    let (world, _) = small();
    let built = build(&world, &["--tables", "20", "--hashes", "4", "--seed", "7"]);
    let expected = [
        "bucket_rows_max",
        "bucket_rows_mean",
        "bucket_rows_seen",
        "buckets",
        "build_seconds",
        "dataset",
        "dimension",
        "element",
        "file_bytes",
        "hash_functions",
        "hashes",
        "index_bytes",
        "metric",
        "output",
        "probes_default",
        "probes_for_recall",
        "rows",
        "seed",
        "tables",
        "threads",
        "vector_bytes",
        "vectors_per_second",
        "width",
    ];
    assert_eq!(keys(&built), expected);
    assert_eq!(
        (&built["tables"], &built["hash_functions"], &built["seed"]),
        (&json!(20), &json!(80), &json!(7))
    );
    let size = |key: &str| built[key].as_f64().unwrap();
    assert!(size("bucket_rows_mean") <= size("bucket_rows_seen"));
    assert!(size("bucket_rows_seen") <= size("bucket_rows_max"));
    assert_eq!(
        (size("bucket_rows_mean") * size("buckets")).round(),
        20.0 * ROWS as f64
    );
    assert!(size("index_bytes") >= 20.0 * 4.0 * ROWS as f64 && size("width") > 0.0);
    assert!(numbers(&built["probes_for_recall"], "probes").is_sorted());

    let chosen = build(&world, &["--metric", "cosine"]);
    assert_eq!(chosen["width"], Value::Null);
    assert!(
        (8..=32).contains(&chosen["tables"].as_u64().unwrap()),
        "{chosen}"
    );

    let text = world.text(&[
        "lsh",
        "build",
        "--dataset",
        "base.npy",
        "--output",
        "tables.lsh",
        "--tables",
        "12",
        "--hashes",
        "3",
    ]);
    for part in [
        "3,000 vectors × 24 dimensions",
        "Hash tables",
        "Total hash functions",
        "36",
        "raw data)",
        "Bucket of a vector",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_search_tells_which_tables_found_each_hit() {
    let (world, truth) = small();
    build(&world, &["--tables", "12", "--hashes", "3"]);
    let one = world.json(
        &[
            &SEARCH[..],
            &["--query-row", "7", "--probes", "24", "--k", "4"],
        ]
        .concat(),
    );
    let expected = [
        "brute_force_us",
        "buckets_searched",
        "candidates",
        "candidates_examined",
        "dataset",
        "distance_computations",
        "ground_truth",
        "hashes",
        "index",
        "limit",
        "mean_us",
        "metric",
        "p50_us",
        "p99_us",
        "probes",
        "queries",
        "queries_per_second",
        "recall_at_4",
        "results",
        "rows",
        "speedup",
        "tables",
        "threads",
    ];
    assert_eq!(keys(&one), expected);
    assert_eq!(
        (&one["buckets_searched"], &one["probes"]),
        (&json!(24.0), &json!(24))
    );
    for hit in one["results"][0]["hits"].as_array().unwrap() {
        let tables: Vec<u64> = hit["tables"]
            .as_array()
            .unwrap()
            .iter()
            .map(|table| table.as_u64().unwrap())
            .collect();
        assert!(
            !tables.is_empty() && tables.is_sorted_by(|a, b| a < b),
            "{tables:?}"
        );
        assert!(tables.iter().all(|&table| table < 12));
    }
    let many = |more: &[&str]| world.json(&[&SEARCH[..], more].concat());
    let (few, more) = (many(&["--probes", "4"]), many(&["--probes", "40"]));
    let recall = |of: &Value| of["recall_at_10"].as_f64().unwrap();
    assert!(recall(&few) < recall(&more));
    let examined = |of: &Value| of["candidates_examined"].as_f64().unwrap();
    assert!(examined(&few) < examined(&more) && examined(&more) < ROWS as f64);
    let stopped = many(&["--probes", "40", "--candidates", "100"]);
    assert!(examined(&stopped) <= 100.0, "{}", examined(&stopped));
    assert_eq!(rows_of(&stopped["results"][3]).len(), 10);
    let calibrated = many(&[]);
    assert!(recall(&calibrated) > 0.9, "{}", recall(&calibrated));
    let all = many(&["--probes", "1000000"]);
    assert_eq!(rows_of(&all["results"][3]), truth[3]);

    let text = world.text(&[&SEARCH[..], &["--query-row", "7", "--probes", "24"]].concat());
    for part in [
        "LSH search (probes=24)",
        "Found in tables",
        "Candidates examined",
        "24 of 12 tables",
        "Brute force",
        "Speed-up",
        "Recall",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_sweep_measures_tables_and_hashes_and_plots_them() {
    let (world, _) = small();
    let sweep = [
        "lsh",
        "sweep",
        "--dataset",
        "base.npy",
        "--query",
        "queries.npy",
        "--tables",
        "2,8",
        "--hashes",
        "1,3",
        "--width",
        "1.5",
    ];
    let report = world.json(&[&sweep[..], &["--plot", "p.svg"]].concat());
    let expected = [
        "build_seconds",
        "candidates_examined",
        "hashes",
        "index_bytes",
        "mean_us",
        "p50_us",
        "p99_us",
        "probes",
        "queries_per_second",
        "recall_at_10",
        "tables",
    ];
    let rows = &report["sweep"];
    assert_eq!(keys(&rows[0]), expected);
    assert_eq!(numbers(rows, "tables"), [2.0, 2.0, 8.0, 8.0]);
    assert_eq!(numbers(rows, "hashes"), [1.0, 3.0, 1.0, 3.0]);
    assert_eq!(numbers(rows, "probes"), numbers(rows, "tables"));
    // More tables find more, more hashes per table fewer: OR and AND.
    let recalls = numbers(rows, "recall_at_10");
    assert!(
        recalls[0] < recalls[2] && recalls[1] < recalls[3],
        "{recalls:?}"
    );
    assert!(
        recalls[1] < recalls[0] && recalls[3] < recalls[2],
        "{recalls:?}"
    );
    let svg = std::fs::read_to_string(world.path("p.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("8 x 3") && svg.contains("LSH"));
    let text = world.text(&sweep);
    for part in ["Tables", "Hashes", "Recall@10", "Query time", "Index size"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn advice_is_what_the_collision_formula_says() {
    let (world, _) = small();
    let advise = [
        "lsh",
        "advise",
        "--dataset",
        "base.npy",
        "--target-recall",
        "0.8",
        "--metric",
        "cosine",
    ];
    let advice = world.json(&advise);
    let choices = &advice["choices"];
    assert!(choices.as_array().unwrap().contains(&advice["best"]));
    assert!(
        numbers(choices, "recall")
            .iter()
            .all(|&recall| recall >= 0.8)
    );
    // More hashes per table take more tables for the same recall.
    assert!(numbers(choices, "tables").is_sorted());
    let costs = numbers(choices, "cost");
    let best = advice["best"]["cost"].as_f64().unwrap();
    assert!(costs.iter().all(|&cost| cost >= best));
    assert!(advice["collision_near"].as_f64() > advice["collision_any"].as_f64());
    let text = world.text(&advise);
    for part in ["cheapest", "Candidates", "Proposed", "--tables"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn wrong_files_and_values_are_refused_by_name() {
    let (world, _) = small();
    build(&world, &[]);
    let make = ["lsh", "build", "--dataset", "base.npy", "--output", "x.lsh"];
    let with = |more: &[&'static str]| [&SEARCH[..], more].concat();
    let made = |more: &[&'static str]| [&make[..], more].concat();
    let foreign = [
        "ivf",
        "search",
        "--index",
        "tables.lsh",
        "--query",
        "queries.npy",
    ];
    let recall = [
        "lsh",
        "advise",
        "--dataset",
        "base.npy",
        "--target-recall",
        "1.5",
    ];
    check(
        &world,
        &[
            (
                &with(&["--probes", "0"]),
                2,
                "invalid_argument",
                &["`probes`", "from 1"],
            ),
            (
                &with(&["--candidates", "2000000"]),
                2,
                "invalid_argument",
                &["`candidates`", "1,000,000"],
            ),
            (
                &foreign,
                2,
                "invalid_argument",
                &["tables.lsh", "`vecdb lsh`"],
            ),
            (
                &made(&["--tables", "0"]),
                2,
                "invalid_argument",
                &["`tables`", "512"],
            ),
            (
                &made(&["--hashes", "33"]),
                2,
                "invalid_argument",
                &["`hashes`", "32"],
            ),
            (
                &made(&["--width", "0"]),
                2,
                "invalid_argument",
                &["`width`", "above 0"],
            ),
            (
                &made(&["--width", "2", "--metric", "l1"]),
                2,
                "invalid_argument",
                &["width 2 under l1", "leave it out"],
            ),
            (
                &recall,
                2,
                "invalid_argument",
                &["`target_recall` is 1.5", "0.999"],
            ),
        ],
    );
}

/// The shipped sample in a collection of hash tables, from the first command to the last.
#[test]
fn a_collection_of_tables_lives_its_life() {
    let world = World::new();
    let [base, metadata, queries] = ["base.f16.npy", "packages.jsonl.gz", "queries.f16.npy"]
        .map(|name| format!("{SAMPLE}/{name}"));
    let created = world.json(&[
        "collection",
        "create",
        "packages",
        "--dimension",
        "384",
        "--element",
        "f16",
        "--index",
        "lsh",
        "--tables",
        "10",
    ]);
    let index = &created["config"]["vectors"][""]["index"];
    assert_eq!(
        (&index["type"], &index["tables"]),
        (&json!("lsh"), &json!(10))
    );
    let import = world.json(&["import", &base, "--metadata", &metadata, "-c", "packages"]);
    assert_eq!(import["points"], 5_000);
    world.json(&["collection", "compact", "packages"]);
    let info = world.json(&["collection", "info", "packages"]);
    assert!(info["segments"][0]["index_bytes"].as_u64().unwrap() > 5_000 * 40);

    let ids = |found: &Value| -> Vec<String> {
        let hits = found["hits"].as_array().unwrap().iter();
        hits.map(|hit| hit["id"].to_string()).collect()
    };
    let query = format!("@{queries}");
    let filter = r#"{"section": "games"}"#;
    let (mut found, mut filtered) = (0, 0);
    const ROWS_ASKED: usize = 10;
    for row in 0..ROWS_ASKED {
        let row = row.to_string();
        let search = ["search", "-c", "packages", &query, "--row", &row];
        let ask = |more: &[&str]| world.json(&[&search[..], more].concat());
        let exact = ids(&ask(&["--exact"]));
        let near = ask(&["--target-recall", "0.99"]);
        found += ids(&near).iter().filter(|id| exact.contains(id)).count();
        let few = ask(&["--probes", "10", "--candidates", "300"]);
        assert!(
            few["distance_computations"].as_u64().unwrap() < 500,
            "{few}"
        );
        let games = ask(&["--filter", filter]);
        assert_eq!(ids(&games).len(), 10);
        let exact = ids(&ask(&["--filter", filter, "--exact"]));
        filtered += ids(&games).iter().filter(|id| exact.contains(id)).count();
    }
    let recall = |found: usize| found as f64 / (10 * ROWS_ASKED) as f64;
    assert!(recall(found) >= 0.95, "recall {}", recall(found));
    assert!(
        recall(filtered) >= 0.95,
        "recall {} in games",
        recall(filtered)
    );

    let first = ["search", "-c", "packages", &query, "-k", "3"];
    let before = ids(&world.json(&first));
    let gone = before[0].trim_matches('"');
    assert_eq!(
        world.json(&["delete", "-c", "packages", gone])["deleted"],
        1
    );
    assert_eq!(ids(&world.json(&first))[..2], before[1..]);
    let verified = world.json(&["storage", "verify"]);
    assert_eq!(
        (&verified["ok"], &verified["problems"]),
        (&json!(true), &json!([]))
    );

    let both = [
        "search",
        "-c",
        "packages",
        &query,
        "--probes",
        "9",
        "--target-recall",
        "0.9",
    ];
    let low = ["search", "-c", "packages", &query, "--target-recall", "0.1"];
    let nprobe = ["search", "-c", "packages", &query, "--nprobe", "5"];
    let create = ["collection", "create", "x", "--dimension", "3"];
    let m = [&create[..], &["--index", "lsh", "--m", "8"]].concat();
    check(
        &world,
        &[
            (
                &both,
                2,
                "invalid_argument",
                &["`target_recall` takes the place of `probes`"],
            ),
            (
                &low,
                2,
                "invalid_argument",
                &["`target_recall` is 0.1", "from 0.5"],
            ),
            (
                &nprobe,
                2,
                "invalid_argument",
                &[
                    "`lsh`",
                    "`nprobe`",
                    "probes, candidates, rerank, target_recall",
                ],
            ),
            (
                &m,
                2,
                "invalid_argument",
                &["--m is a parameter of hnsw", "--tables and --hashes"],
            ),
        ],
    );
}
