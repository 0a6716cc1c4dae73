//! `flat` and `hnsw` on vector files.

mod harness;

use std::io::{Seek, SeekFrom, Write};

use harness::small::{ROWS, rows_of, small};
use harness::{World, keys, npy, npy_header};
use serde_json::json;

#[test]
fn flat_search_is_exact_for_one_query_and_for_many() {
    let (world, truth) = small();
    let one = world.json(&[
        "flat",
        "search",
        "--dataset",
        "base.npy",
        "--query",
        "queries.npy",
        "--query-row",
        "7",
    ]);
    assert_eq!(rows_of(&one["results"][0]), truth[7]);
    assert_eq!(one["results"][0]["query"], 7);
    assert_eq!(one["distance_computations"], ROWS);
    let many = world.json(&[
        "flat",
        "search",
        "--dataset",
        "base.npy",
        "--query",
        "queries.npy",
        "--ground-truth",
        "truth.ivecs",
    ]);
    assert_eq!(many["recall_at_10"], 1.0);
    assert_eq!(many["queries"], 40);
    for (at, expected) in truth.iter().enumerate() {
        assert_eq!(&rows_of(&many["results"][at]), expected, "query {at}");
    }
    let expected = [
        "dataset",
        "dimension",
        "distance_computations",
        "element",
        "limit",
        "metric",
        "naive_rows",
        "naive_seconds",
        "peak_rss_bytes",
        "queries",
        "queries_per_second",
        "recall_at_10",
        "results",
        "rows",
        "search_seconds",
        "simd",
        "speedup",
        "threads",
        "total_seconds",
    ];
    assert_eq!(keys(&many), expected);
    let text = world.text(&[
        "flat",
        "search",
        "--dataset",
        "base.npy",
        "--query",
        "queries.npy",
        "--query-row",
        "7",
        "--k",
        "3",
    ]);
    for part in [
        "3,000 vectors × 24 dimensions",
        "Distance (l2)",
        "Naive loop",
        "queries/second",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_graph_is_built_searched_and_swept() {
    let (world, _) = small();
    let built = world.json(&[
        "hnsw",
        "build",
        "--dataset",
        "base.npy",
        "--output",
        "g.hnsw",
        "--M",
        "12",
        "--efConstruction",
        "80",
    ]);
    assert_eq!(
        (&built["m"], &built["ef_construction"]),
        (&json!(12), &json!(80))
    );
    let layers = built["rows_per_layer"].as_array().unwrap();
    assert_eq!(layers[0], ROWS);
    assert!(
        layers.len() > 1 && built["build_seconds"].as_f64().unwrap() > 0.0,
        "{built}"
    );
    assert_eq!(built["unreachable"], 0);

    let many = world.json(&[
        "hnsw",
        "search",
        "--index",
        "g.hnsw",
        "--query",
        "queries.npy",
        "--ef",
        "100",
    ]);
    assert_eq!(many["ground_truth"], "computed");
    assert!(
        many["recall_at_10"].as_f64().unwrap() > 0.95,
        "{}",
        many["recall_at_10"]
    );
    assert!(many["distance_computations"].as_f64().unwrap() < ROWS as f64 / 2.0);
    let from_file = world.json(&[
        "hnsw",
        "search",
        "--index",
        "g.hnsw",
        "--dataset",
        "base.npy",
        "--query",
        "queries.npy",
        "--ef",
        "100",
        "--ground-truth",
        "truth.ivecs",
        "--threads",
        "2",
    ]);
    assert_eq!(
        from_file["recall_at_10"], many["recall_at_10"],
        "truth from a file is the computed one"
    );
    assert_eq!(keys(&from_file), keys(&many));

    let one = world.text(&[
        "hnsw",
        "search",
        "--index",
        "g.hnsw",
        "--query",
        "queries.npy",
        "--query-row",
        "0",
    ]);
    for part in [
        "entry point at layer",
        "Nodes visited",
        "vs 3,000 brute force",
        "Recall",
    ] {
        assert!(one.contains(part), "{part:?} is missing in:\n{one}");
    }

    let sweep = world.json(&[
        "hnsw",
        "sweep",
        "--index",
        "g.hnsw",
        "--query",
        "queries.npy",
        "--ef",
        "10,40,160",
        "--plot",
        "p.svg",
    ]);
    let rows = sweep["sweep"].as_array().unwrap();
    let recalls: Vec<_> = rows
        .iter()
        .map(|row| row["recall_at_10"].as_f64().unwrap())
        .collect();
    assert!(recalls.is_sorted() && recalls[2] > 0.98, "{recalls:?}");
    let visited: Vec<_> = rows
        .iter()
        .map(|row| row["nodes_visited"].as_f64().unwrap())
        .collect();
    assert!(visited.is_sorted(), "{visited:?}");
    let expected = [
        "distance_computations",
        "ef",
        "mean_us",
        "nodes_visited",
        "p50_us",
        "p99_us",
        "queries_per_second",
        "recall_at_10",
    ];
    assert_eq!(keys(&rows[0]), expected);
    let svg = std::fs::read_to_string(world.path("p.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("ef 40") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
}

#[test]
fn one_thread_and_one_seed_make_one_graph() {
    let (world, _) = small();
    for name in ["a.hnsw", "b.hnsw"] {
        world.text(&[
            "hnsw",
            "build",
            "--dataset",
            "base.npy",
            "--output",
            name,
            "--threads",
            "1",
            "--seed",
            "5",
        ]);
    }
    let hits = |name: &str| {
        let found = world.json(&[
            "hnsw",
            "search",
            "--index",
            name,
            "--query",
            "queries.npy",
            "--ef",
            "20",
        ]);
        (
            found["results"].clone(),
            found["distance_computations"].clone(),
        )
    };
    assert_eq!(hits("a.hnsw"), hits("b.hnsw"));
}

#[test]
fn a_sweep_needs_no_saved_graph_and_other_metrics_work() {
    let (world, _) = small();
    let sweep = [
        "hnsw",
        "sweep",
        "--dataset",
        "base.npy",
        "--query",
        "queries.npy",
        "--limit-queries",
        "10",
        "--ef",
        "64",
    ];
    for metric in ["cosine", "dot", "l1"] {
        let report = world.json(&[&sweep[..], &["--metric", metric]].concat());
        assert!(report["build_seconds"].as_f64().unwrap() > 0.0);
        let recall = report["sweep"][0]["recall_at_10"].as_f64().unwrap();
        assert!(recall > 0.7, "{metric}: recall {recall}");
    }
}

#[test]
fn bytes_are_packed_bits_under_hamming() {
    let world = World::new();
    let mut bytes = npy_header("|u1", 3, 2);
    bytes.extend([0b1111_1111, 0, 0b0000_0001, 0, 0b0000_0111, 0b1000_0000]);
    world.write("bits.npy", &bytes);
    let mut query = npy_header("|u1", 1, 2);
    query.extend([0b0000_0011, 0]);
    world.write("q.npy", &query);
    let found = world.json(&[
        "flat",
        "search",
        "--dataset",
        "bits.npy",
        "--query",
        "q.npy",
        "--metric",
        "hamming",
        "--k",
        "5",
    ]);
    assert_eq!(
        (&found["dimension"], &found["element"]),
        (&json!(16), &json!("bits"))
    );
    let hits: Vec<_> = found["results"][0]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| (hit["row"].as_u64(), hit["distance"].as_f64()))
        .collect();
    assert_eq!(
        hits,
        [
            (Some(1), Some(1.0)),
            (Some(2), Some(2.0)),
            (Some(0), Some(6.0))
        ]
    );
}

#[test]
fn real_data_reaches_its_recall() {
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/debian-packages"
    );
    let (folder, base, queries, truth, metric) =
        match vecdb_testkit::data::test_data().folder_of("siftsmall") {
            Some(folder) => (
                folder,
                "siftsmall_base.fvecs",
                "siftsmall_query.fvecs",
                "groundtruth_l2_top100.ivecs",
                "l2",
            ),
            None => (
                sample.into(),
                "base.f16.npy",
                "queries.f16.npy",
                "groundtruth_cosine_top100.ivecs",
                "cosine",
            ),
        };
    println!("data: {}", folder.join(base).display());
    let world = World::new();
    let [base, query, truth] =
        [base, queries, truth].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let flat = [
        "flat",
        "search",
        "--dataset",
        &base,
        "--query",
        &query,
        "--ground-truth",
        &truth,
        "--metric",
        metric,
    ];
    assert_eq!(world.json(&flat)["recall_at_10"], 1.0);
    world.text(&[
        "hnsw",
        "build",
        "--dataset",
        &base,
        "--output",
        "g.hnsw",
        "--metric",
        metric,
    ]);
    let sweep = [
        "hnsw",
        "sweep",
        "--index",
        "g.hnsw",
        "--query",
        &query,
        "--ground-truth",
        &truth,
        "--ef",
        "50,200",
    ];
    let sweep = world.json(&sweep);
    assert!(
        sweep["sweep"][0]["recall_at_10"].as_f64().unwrap() > 0.95,
        "{sweep}"
    );
    assert!(
        sweep["sweep"][1]["recall_at_10"].as_f64().unwrap() > 0.99,
        "{sweep}"
    );
}

/// Memory does not grow with the dataset. The file is sparse: it takes no room on the disk.
#[cfg(target_os = "linux")]
#[test]
fn flat_search_over_a_large_file_stays_small() {
    const LARGE_ROWS: u64 = 1_200_000;
    const LARGE_DIM: usize = 128;
    let world = World::new();
    let path = world.write(
        "large.npy",
        npy_header("<f4", LARGE_ROWS as usize, LARGE_DIM),
    );
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let start = file.seek(SeekFrom::End(0)).unwrap();
    let row_bytes = LARGE_DIM as u64 * 4;
    file.set_len(start + LARGE_ROWS * row_bytes).unwrap();
    for row in [7, 600_000, LARGE_ROWS - 1] {
        file.seek(SeekFrom::Start(start + row * row_bytes)).unwrap();
        let values = std::iter::repeat_n(1.0f32 + row as f32 / 1e7, LARGE_DIM);
        file.write_all(&values.flat_map(f32::to_le_bytes).collect::<Vec<_>>())
            .unwrap();
    }
    drop(file);
    world.write(
        "q.npy",
        npy(1, LARGE_DIM, std::iter::repeat_n(1.0, LARGE_DIM)),
    );
    let found = world.json(&[
        "flat",
        "search",
        "--dataset",
        "large.npy",
        "--query",
        "q.npy",
        "--k",
        "3",
    ]);
    assert_eq!(
        rows_of(&found["results"][0]),
        [7, 600_000, LARGE_ROWS as usize - 1]
    );
    assert_eq!(found["distance_computations"], LARGE_ROWS);
    assert!(
        found["naive_rows"].as_u64().unwrap() < LARGE_ROWS,
        "the naive loop is measured on a sample"
    );
    let peak = found["peak_rss_bytes"]
        .as_u64()
        .expect("Linux tells the peak");
    assert!(
        peak < 512 << 20,
        "{} MiB resident for a file of {} MiB",
        peak >> 20,
        (LARGE_ROWS * row_bytes) >> 20
    );
}
