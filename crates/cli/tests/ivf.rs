//! Inverted lists: `ivf` on vector files, and collections of that kind.

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
        "ivf",
        "build",
        "--dataset",
        "base.npy",
        "--output",
        "lists.ivf",
    ];
    world.json(&[&build[..], more].concat())
}

const SEARCH: [&str; 6] = [
    "ivf",
    "search",
    "--index",
    "lists.ivf",
    "--query",
    "queries.npy",
];

#[test]
fn a_build_tells_how_it_learned_and_how_full_the_lists_are() {
    let (world, _) = small();
    let built = build(
        &world,
        &["--clusters", "40", "--iterations", "6", "--seed", "7"],
    );
    let expected = [
        "build_seconds",
        "centroid_bytes",
        "clusters_repaired",
        "code",
        "converged",
        "dataset",
        "dimension",
        "element",
        "file_bytes",
        "imbalance",
        "index_bytes",
        "iterations",
        "iterations_max",
        "list_rows_max",
        "list_rows_mean",
        "list_rows_median",
        "list_rows_min",
        "list_rows_stddev",
        "lists_empty",
        "metric",
        "nlist",
        "nprobe_default",
        "nprobe_for_recall",
        "objectives",
        "output",
        "rerank_default",
        "rows",
        "seed",
        "threads",
        "train_rows_per_list",
        "trained_rows",
        "vector_bytes",
        "vectors_per_second",
    ];
    assert_eq!(keys(&built), expected);
    assert_eq!(
        (&built["nlist"], &built["code"], &built["seed"]),
        (&json!(40), &json!("sq8"), &json!(7))
    );
    assert_eq!(built["trained_rows"], ROWS, "fewer than 128 a list");
    assert_eq!(built["centroid_bytes"], 40 * 24 * 4);
    assert_eq!(built["list_rows_mean"], ROWS as f64 / 40.0);
    assert_eq!(built["rerank_default"], 64);
    let objectives: Vec<_> = built["objectives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o.as_f64().unwrap())
        .collect();
    assert_eq!(
        objectives.len(),
        built["iterations"].as_u64().unwrap() as usize
    );
    assert!(
        objectives.len() <= 6 && objectives.is_sorted_by(|a, b| a > b),
        "{objectives:?}"
    );
    let size = |key: &str| built[key].as_f64().unwrap();
    assert!(size("list_rows_min") <= size("list_rows_median"));
    assert!(size("list_rows_median") <= size("list_rows_max"));
    assert!(size("imbalance") >= 1.0 && size("list_rows_stddev") > 0.0);
    let nprobes = numbers(&built["nprobe_for_recall"], "nprobe");
    assert!(nprobes.is_sorted() && nprobes.contains(&size("nprobe_default")));

    let text = world.text(&[
        "ivf",
        "build",
        "--dataset",
        "base.npy",
        "--output",
        "lists.ivf",
        "--nlist",
        "40",
        "--code",
        "vector",
    ]);
    for part in [
        "3,000 vectors × 24 dimensions",
        "with 3,000 sample vectors",
        "Objective",
        "40 (75.0 vectors on average)",
        "min ",
        "stddev ",
        "Imbalance",
        "vectors in lists",
        "Lists to search for a recall",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_search_tells_its_lists_and_finds_more_in_more_of_them() {
    let (world, truth) = small();
    build(&world, &["--nlist", "40", "--code", "vector"]);
    let one = world.json(
        &[
            &SEARCH[..],
            &["--query-row", "7", "--nprobe", "5", "--k", "4"],
        ]
        .concat(),
    );
    let expected = [
        "brute_force_us",
        "dataset",
        "distance_computations",
        "ground_truth",
        "index",
        "limit",
        "lists",
        "lists_searched",
        "mean_us",
        "metric",
        "nlist",
        "nprobe",
        "p50_us",
        "p99_us",
        "queries",
        "queries_per_second",
        "recall_at_4",
        "rerank",
        "results",
        "rows",
        "speedup",
        "threads",
        "vectors_compared",
    ];
    assert_eq!(keys(&one), expected);
    let distances = numbers(&one["lists"], "centroid_distance");
    assert!(
        distances.len() == 5 && distances.is_sorted(),
        "{distances:?}"
    );
    let compared = numbers(&one["lists"], "rows").iter().sum::<f64>();
    assert_eq!(one["vectors_compared"], compared);
    assert_eq!(one["distance_computations"], compared + 40.0);
    let searched = numbers(&one["lists"], "list");
    let hits = &one["results"][0]["hits"];
    for list in numbers(hits, "list") {
        assert!(searched.contains(&list), "{list} of {searched:?}");
    }

    let many = |nprobe: &str| world.json(&[&SEARCH[..], &["--nprobe", nprobe]].concat());
    let (few, more, all) = (many("2"), many("12"), many("40"));
    let recall = |of: &Value| of["recall_at_10"].as_f64().unwrap();
    assert!(recall(&few) < recall(&more) && recall(&more) < 1.0);
    assert_eq!(recall(&all), 1.0);
    assert_eq!(rows_of(&all["results"][3]), truth[3]);
    // All lists are all vectors: that is a scan.
    assert_eq!(
        (&all["lists"], &all["vectors_compared"]),
        (&json!([]), &json!(ROWS as f64))
    );
    let calibrated = world.json(&SEARCH);
    assert!(recall(&calibrated) > 0.9, "{}", recall(&calibrated));

    let text = world.text(&[&SEARCH[..], &["--query-row", "7", "--nprobe", "5"]].concat());
    for part in [
        "IVF search (nprobe=5)",
        "Distance of its centroid",
        "List",
        "5 of 40 (12.5 %)",
        "Vectors compared",
        "Brute force",
        "Speed-up",
        "Recall",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let text = world.text(&SEARCH);
    assert!(
        text.contains("as calibrated") && text.contains("queries/second"),
        "{text}"
    );
}

#[test]
fn a_sweep_measures_each_nprobe_and_plots_them() {
    let (world, _) = small();
    build(&world, &["--nlist", "40"]);
    let sweep = [
        "ivf",
        "sweep",
        "--query",
        "queries.npy",
        "--nprobe",
        "1,5,20",
    ];
    let saved = world.json(&[&sweep[..], &["--index", "lists.ivf", "--plot", "p.svg"]].concat());
    let expected = [
        "distance_computations",
        "mean_us",
        "nprobe",
        "p50_us",
        "p99_us",
        "queries_per_second",
        "recall_at_10",
        "vectors_compared",
    ];
    assert_eq!(keys(&saved["sweep"][0]), expected);
    assert_eq!(numbers(&saved["sweep"], "nprobe"), [1.0, 5.0, 20.0]);
    let recalls = numbers(&saved["sweep"], "recall_at_10");
    assert!(
        recalls.is_sorted_by(|a, b| a < b) && recalls[2] > 0.95,
        "{recalls:?}"
    );
    let compared = numbers(&saved["sweep"], "vectors_compared");
    assert!(
        compared.is_sorted_by(|a, b| a < b) && compared[2] < ROWS as f64,
        "{compared:?}"
    );
    assert_eq!(saved["build_seconds"], Value::Null);
    let svg = std::fs::read_to_string(world.path("p.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("nprobe 5") && svg.contains("IVF on"));
    // The same numbers without a file: the build is seeded.
    let fresh = world.json(&[&sweep[..], &["--dataset", "base.npy", "--nlist", "40"]].concat());
    assert!(fresh["build_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(numbers(&fresh["sweep"], "recall_at_10"), recalls);
    let text = world.text(&[&sweep[..], &["--index", "lists.ivf"]].concat());
    for part in [
        "nprobe",
        "Recall@10",
        "p99",
        "Vectors compared",
        "Queries/second",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn wrong_files_and_values_are_refused_by_name() {
    let (world, _) = small();
    build(&world, &[]);
    let graph = [
        "hnsw",
        "build",
        "--dataset",
        "base.npy",
        "--output",
        "graph.hnsw",
    ];
    world.text(&graph);
    let with = |more: &[&'static str]| [&SEARCH[..], more].concat();
    let zero = with(&["--nprobe", "0"]);
    let rerank = with(&["--rerank", "2000000"]);
    let foreign = [
        "ivf",
        "search",
        "--index",
        "graph.hnsw",
        "--query",
        "queries.npy",
    ];
    let lists = [
        "hnsw",
        "search",
        "--index",
        "lists.ivf",
        "--query",
        "queries.npy",
    ];
    let make = ["ivf", "build", "--dataset", "base.npy", "--output", "x.ivf"];
    let no_lists = [&make[..], &["--nlist", "0"]].concat();
    let code = [&make[..], &["--code", "qp"]].concat();
    let bits = [&make[..], &["--code", "pq8x99"]].concat();
    let wide = [&make[..], &["--code", "pq25x4"]].concat();
    let hamming = [&make[..], &["--code", "sq8", "--metric", "l1"]].concat();
    check(
        &world,
        &[
            (&zero, 2, "invalid_argument", &["`nprobe`", "from 1"]),
            (&rerank, 2, "invalid_argument", &["`rerank`", "1,000,000"]),
            (
                &foreign,
                2,
                "invalid_argument",
                &["graph.hnsw", "`hnsw`, not `ivf`"],
            ),
            (&lists, 2, "invalid_argument", &["lists.ivf", "`vecdb ivf`"]),
            (&no_lists, 2, "invalid_argument", &["`nlist`"]),
            (
                &code,
                2,
                "invalid_argument",
                &["qp", "vector", "sq8", "pq16x4"],
            ),
            (
                &bits,
                2,
                "invalid_argument",
                &["`bits`", "99", "from 4 to 12"],
            ),
            (&wide, 2, "invalid_argument", &["`m`", "25", "dimensions"]),
        ],
    );
    assert_eq!(world.json(&hamming)["code"], "sq8");
}

#[test]
fn lists_hold_any_code() {
    let (world, _) = small();
    for code in [
        "pq", "pq6x8", "opq12x4", "sq4", "rabitq", "rabitq4", "binary",
    ] {
        let built = build(&world, &["--nlist", "40", "--code", code]);
        assert_eq!(built["code"], code);
        let found = world.json(&SEARCH);
        let recall = found["recall_at_10"].as_f64().unwrap();
        assert!(recall > 0.9, "{code}: {recall}");
    }
    let text = world.text(
        &[
            &["ivf", "build", "--dataset", "base.npy", "--output", "x.ivf"][..],
            &["--code", "pq12x4"],
        ]
        .concat(),
    );
    assert!(text.contains("pq12x4 codes in lists"), "{text}");
}

/// The shipped sample in a collection of lists, from the first command to the last.
#[test]
fn a_collection_of_lists_lives_its_life() {
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
        "ivf",
        "--nlist",
        "64",
        "--code",
        "sq8",
    ]);
    let index = &created["config"]["vectors"][""]["index"];
    assert_eq!(
        (&index["type"], &index["nlist"], &index["code"]),
        (&json!("ivf"), &json!(64), &json!("sq8"))
    );
    let import = world.json(&["import", &base, "--metadata", &metadata, "-c", "packages"]);
    assert_eq!(import["points"], 5_000);
    world.json(&["collection", "compact", "packages"]);
    let info = world.json(&["collection", "info", "packages"]);
    assert_eq!(info["segments"][0]["live_rows"], 5_000);
    assert!(info["segments"][0]["index_bytes"].as_u64().unwrap() > 5_000 * 384);

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
        let near = ask(&["--nprobe", "16"]);
        assert!(
            near["distance_computations"].as_u64().unwrap() < 4_000,
            "{near}"
        );
        found += ids(&near).iter().filter(|id| exact.contains(id)).count();
        let games = ask(&["--filter", filter]);
        assert_eq!(ids(&games).len(), 10);
        for hit in games["hits"].as_array().unwrap() {
            assert_eq!(hit["metadata"]["section"], "games");
        }
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

    // Every command opened the folder anew. Deleted points stay away, new ones are found.
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

    let ef = ["search", "-c", "packages", &query, "--ef", "50"];
    let nprobe = ["search", "-c", "packages", &query, "--nprobe", "0"];
    let create = ["collection", "create", "x", "--dimension", "3"];
    let m = [&create[..], &["--index", "ivf", "--m", "8"]].concat();
    let nlist = [&create[..], &["--nlist", "8"]].concat();
    let bits = [
        &create[..],
        &["--metric", "hamming", "--index", "ivf", "--code", "sq8"],
    ]
    .concat();
    let rabitq = [
        &create[..],
        &["--metric", "l1", "--index", "ivf", "--code", "rabitq4"],
    ]
    .concat();
    check(
        &world,
        &[
            (
                &ef,
                2,
                "invalid_argument",
                &["`ivf`", "`ef`", "nprobe, rerank, target_recall, exact"],
            ),
            (&nprobe, 2, "invalid_argument", &["`nprobe`", "from 1"]),
            (
                &m,
                2,
                "invalid_argument",
                &["--m is a parameter of hnsw", "--nlist and --code"],
            ),
            (
                &nlist,
                2,
                "invalid_argument",
                &["--nlist is a parameter of ivf", "--m and --ef-construction"],
            ),
            (&bits, 2, "invalid_argument", &["`sq8`", "hamming"]),
            (&rabitq, 2, "invalid_argument", &["`rabitq4`", "l1"]),
        ],
    );
}

#[test]
fn a_collection_keeps_short_codes_beside_its_vectors() {
    let world = World::new();
    let [base, queries] =
        ["base.f16.npy", "queries.f16.npy"].map(|name| format!("{SAMPLE}/{name}"));
    let mut bytes = Vec::new();
    for (name, code) in [("pq", "pq96x4"), ("rabitq", "rabitq2")] {
        let create = ["collection", "create", name, "--dimension", "384"];
        let index = ["--element", "f16", "--index", "ivf", "--code", code];
        let created = world.json(&[&create[..], &index].concat());
        assert_eq!(created["config"]["vectors"][""]["index"]["code"], code);
        world.json(&["import", &base, "-c", name]);
        world.json(&["collection", "compact", name]);
        let info = world.json(&["collection", "info", name]);
        bytes.push(info["segments"][0]["index_bytes"].as_u64().unwrap());
        let query = format!("@{queries}");
        let mut found = 0;
        for row in ["0", "3", "7", "20", "50"] {
            let search = ["search", "-c", name, &query, "--row", row];
            let exact = world.json(&[&search[..], &["--exact"]].concat());
            let near = world.json(&search);
            let compared = near["distance_computations"].as_u64().unwrap();
            assert!(compared < 4_500, "{near}");
            let hits = near["hits"].as_array().unwrap();
            let exact = exact["hits"].as_array().unwrap();
            assert_eq!(hits.len(), 10);
            // Measured by their vectors: the distances are the true ones.
            found += hits.iter().filter(|hit| exact.contains(hit)).count();
        }
        assert!(found >= 45, "{code}: {found} of 50");
    }
    // 71 centroids of 384 f32, the directions that RaBitQ codes (fewer than 384), and less than an eighth of the f16 vectors.
    let learned = 384 * 384 * 4;
    assert!(
        bytes.iter().all(|&bytes| bytes < learned + 5_000 * 768 / 6),
        "{bytes:?}"
    );
    assert_eq!(world.json(&["storage", "verify"])["ok"], true);
    let wide = [
        "collection",
        "create",
        "x",
        "--dimension",
        "3",
        "--index",
        "ivf",
        "--code",
        "pq4x4",
    ];
    check(
        &world,
        &[(&wide, 2, "invalid_argument", &["`m` is 4", "dimensions"])],
    );
}
