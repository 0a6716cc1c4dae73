//! Short codes over vector files: `pq train|compress|search`.

mod harness;

use harness::small::{ROWS, small};
use harness::{World, check, keys, npy};
use serde_json::{Value, json};

fn train(world: &World, more: &[&str]) -> Value {
    let train = [
        "pq",
        "train",
        "--dataset",
        "base.npy",
        "--output",
        "books.pq",
    ];
    world.json(&[&train[..], more].concat())
}

const COMPRESS: [&str; 8] = [
    "pq",
    "compress",
    "--dataset",
    "base.npy",
    "--codebook",
    "books.pq",
    "--output",
    "base.codes",
];

const SEARCH: [&str; 6] = [
    "pq",
    "search",
    "--codes",
    "base.codes",
    "--query",
    "queries.npy",
];

fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap_or_else(|| panic!("{key} in {of}"))
}

#[test]
fn training_and_compressing_tell_what_is_saved_and_lost() {
    let (world, _) = small();
    let trained = train(&world, &["--segments", "6", "--bits", "8"]);
    let expected = [
        "code",
        "code_bytes",
        "codebook_bytes",
        "compressed_bytes",
        "compression_ratio",
        "dataset",
        "dimension",
        "file_bytes",
        "metric",
        "original_bytes",
        "output",
        "quality",
        "rows",
        "seed",
        "segments",
        "threads",
        "train_seconds",
        "trained_error",
        "vector_bytes",
    ];
    assert_eq!(keys(&trained), expected);
    assert_eq!(
        (
            &trained["code"],
            &trained["code_bytes"],
            &trained["segments"]
        ),
        (&json!("pq6x8"), &json!(6), &json!(6))
    );
    assert_eq!(trained["original_bytes"], ROWS * 24 * 4);
    assert_eq!(trained["compressed_bytes"], ROWS * 6);
    assert_eq!(trained["compression_ratio"], 16.0);
    // 256 centroids for each dimension, and the mean.
    assert_eq!(trained["codebook_bytes"], (256 + 1) * 24 * 4);
    let quality = &trained["quality"];
    assert!(number(quality, "relative_error") < 0.5 && number(quality, "recall_at_10") > 0.2);

    let compressed = world.json(&COMPRESS);
    assert_eq!(compressed["compressed_bytes"], ROWS * 6);
    let drift = number(&compressed["drift"], "ratio");
    assert!((0.9..1.1).contains(&drift), "{compressed}");
    assert!(number(&compressed, "file_bytes") > (ROWS * 6) as f64);

    for (command, parts) in [
        (
            &[
                "pq",
                "train",
                "--dataset",
                "base.npy",
                "--output",
                "x.pq",
                "--segments",
                "7",
            ][..],
            &[
                "3,000 vectors × 24 dimensions of f32 = 288.0 kB",
                "7 (3 or 4 dimensions each)",
                "256 (8 bits)",
                "3,000 vectors × 7 bytes = 21.0 kB",
                "13.7x (92.7 % less)",
                "Codebook size",
                "Reconstruction error",
                "Recall@10",
            ][..],
        ),
        (
            &COMPRESS[..],
            &["16.0x (93.8 % less)", "times that of the training"][..],
        ),
    ] {
        let text = world.text(command);
        for part in parts {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }
}

#[test]
fn vectors_that_have_changed_show_when_compressed() {
    let (world, _) = small();
    train(&world, &["--segments", "6"]);
    let moved = harness::noise(5).take(500 * 24).map(|v| 3.0 * v + 1.0);
    world.write("moved.npy", npy(500, 24, moved));
    let compress = [
        "pq",
        "compress",
        "--dataset",
        "moved.npy",
        "--codebook",
        "books.pq",
        "--output",
        "moved.codes",
    ];
    assert!(number(&world.json(&compress)["drift"], "ratio") > 2.0);
    assert!(world.text(&compress).contains("train anew"));
}

#[test]
fn a_search_tells_approximate_and_true_distances() {
    let (world, _) = small();
    train(&world, &["--segments", "12", "--bits", "8"]);
    world.json(&COMPRESS);
    let found = world.json(&SEARCH);
    let expected = [
        "brute_force_us",
        "code",
        "code_bytes",
        "codebook_bytes",
        "codes",
        "compressed_bytes",
        "compression_ratio",
        "dataset",
        "dimension",
        "limit",
        "mean_distance_error",
        "mean_us",
        "metric",
        "original_bytes",
        "queries",
        "queries_per_second",
        "recall_at_10",
        "rerank",
        "rerank_us",
        "results",
        "rows",
        "scan_us",
        "speedup",
        "table_us",
        "vector_bytes",
    ];
    assert_eq!(keys(&found), expected);
    assert_eq!(
        (&found["queries"], &found["limit"]),
        (&json!(40), &json!(10))
    );
    assert!(
        number(&found, "recall_at_10") > 0.4,
        "{}",
        found["recall_at_10"]
    );
    assert!(number(&found, "mean_distance_error") < 0.1);
    assert!(number(&found, "table_us") > 0.0 && number(&found, "scan_us") > 0.0);
    for results in found["results"].as_array().unwrap() {
        let hits = results["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 10);
        let near: Vec<f64> = hits.iter().map(|hit| number(hit, "distance")).collect();
        assert!(near.is_sorted(), "by the approximate distance: {near:?}");
        for hit in hits {
            let (near, truly) = (number(hit, "distance"), number(hit, "true_distance"));
            assert!((near - truly).abs() < 0.5 * truly, "{hit}");
        }
    }
    // Measured by their vectors, candidates come in their true order, and more of them are right.
    let again = world.json(&[&SEARCH[..], &["--rerank", "200"]].concat());
    assert!(
        number(&again, "recall_at_10") > 0.99,
        "{}",
        again["recall_at_10"]
    );
    for results in again["results"].as_array().unwrap() {
        let hits = results["hits"].as_array().unwrap().iter();
        assert!(hits.map(|hit| number(hit, "true_distance")).is_sorted());
    }
    let text = world.text(&[&SEARCH[..], &["--query-row", "3"]].concat());
    for part in [
        "Building tables",
        "Scanning codes",
        "Approximate distance",
        "True distance",
        "Mean distance error",
        "brute force on the vectors",
        "36.0 kB of codes (vs 288.0 kB of vectors)",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn every_code_and_metric_can_be_trained_and_searched() {
    let (world, _) = small();
    for (metric, code, least) in [
        ("l2", &["--opq", "--segments", "12"][..], 0.4),
        ("l2", &["--code", "pq12x4"], 0.2),
        ("l2", &["--code", "pq6x10"], 0.2),
        ("cosine", &["--code", "rabitq4"], 0.7),
        ("dot", &["--code", "rabitq2"], 0.4),
        ("l2", &["--code", "sq8"], 0.9),
        ("cosine", &["--code", "sq4"], 0.6),
        ("l2", &["--code", "binary"], 0.05),
    ] {
        let trained = train(&world, &[&["--metric", metric], code].concat());
        world.json(&COMPRESS);
        let found = world.json(&SEARCH);
        assert_eq!(found["code"], trained["code"]);
        let recall = number(&found, "recall_at_10");
        assert!(recall > least, "{metric} {code:?}: {recall}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let (world, _) = small();
    train(&world, &[]);
    world.write("narrow.npy", npy(10, 3, (0..30).map(|i| i as f32)));
    let make = ["pq", "train", "--dataset", "base.npy", "--output", "x.pq"];
    let segments = [&make[..], &["--segments", "25"]].concat();
    let bits = [&make[..], &["--bits", "13"]].concat();
    let none = [&make[..], &["--segments", "0"]].concat();
    let code = [&make[..], &["--code", "turbo"]].concat();
    let metric = [&make[..], &["--metric", "l1"]].concat();
    let folder = ["pq", "train", "--dataset", "base.npy", "--output", "."];
    let narrow = [
        "pq",
        "compress",
        "--dataset",
        "narrow.npy",
        "--codebook",
        "books.pq",
        "--output",
        "x",
    ];
    let uncoded = [
        "pq",
        "search",
        "--codes",
        "books.pq",
        "--query",
        "queries.npy",
    ];
    check(
        &world,
        &[
            (
                &segments,
                2,
                "invalid_argument",
                &["`m`", "25", "dimensions"],
            ),
            (
                &bits,
                2,
                "invalid_argument",
                &["`bits`", "13", "from 4 to 12"],
            ),
            (&none, 2, "invalid_argument", &["`m`", "from 1"]),
            (&code, 2, "invalid_argument", &["turbo", "rabitq4"]),
            (&metric, 2, "invalid_argument", &["pq8x8", "l1"]),
            (&folder, 2, "invalid_argument", &["folder"]),
            (&narrow, 2, "invalid_argument", &["3 dimensions", "24"]),
            (
                &uncoded,
                2,
                "invalid_argument",
                &["no codes", "pq compress"],
            ),
        ],
    );
    world.json(&COMPRESS);
    let other = [&SEARCH[..], &["--dataset", "queries.npy"]].concat();
    let nothing = [&SEARCH[..], &["--rerank", "0"]].concat();
    let lists = [
        "ivf",
        "search",
        "--index",
        "base.codes",
        "--query",
        "queries.npy",
    ];
    // Codes are no index.
    assert_ne!(world.failure(&lists).0, 0);
    check(
        &world,
        &[
            (
                &other,
                2,
                "invalid_argument",
                &["queries.npy", "were compressed"],
            ),
            (&nothing, 2, "invalid_argument", &["--rerank 0"]),
        ],
    );
}
