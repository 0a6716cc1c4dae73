//! `advise` on a vector file and on a collection.

mod harness;

use harness::running::Running;
use harness::small::{DIM, ROWS, small};
use harness::{World, keys, npy, stderr};
use serde_json::json;

#[test]
fn advice_is_measured_and_can_be_followed() {
    let (world, _) = small();
    let line = [
        "advise",
        "--dataset",
        "base.npy",
        "--target-recall",
        "0.9",
        "--queries",
        "40",
    ];
    let advice = world.json(&line);
    assert_eq!(
        keys(&advice),
        [
            "choices",
            "dataset",
            "dimension",
            "limit",
            "memory_bytes_max",
            "metric",
            "queries",
            "recommended",
            "rows",
            "sample_rows",
            "target_recall",
            "threads"
        ]
    );
    assert_eq!(advice["rows"], json!(ROWS));
    let best = &advice["recommended"];
    assert_eq!(best, &advice["choices"][0]);
    assert!(best["sample_recall"].as_f64().unwrap() >= 0.9, "{best}");
    for key in ["memory_bytes", "build_seconds", "latency_us"] {
        assert!(best[key].as_f64().unwrap() > 0.0, "{key} of {best}");
    }
    // The collection that it names can be made.
    let dimension = advice["dimension"].to_string();
    let index = best["index"].to_string();
    world.json(&[
        "collection",
        "create",
        "c",
        "--dimension",
        &dimension,
        "--metric",
        "l2",
        "--index",
        &index,
    ]);
}

#[test]
fn memory_that_is_too_small_is_said_with_what_it_takes() {
    let (world, _) = small();
    let line = [
        "advise",
        "--dataset",
        "base.npy",
        "--memory",
        "1KB",
        "--queries",
        "20",
    ];
    let advice = world.json(&line);
    assert!(advice["recommended"].is_null());
    assert_eq!(advice["memory_bytes_max"], 1_000);
    let said = world.run(&line);
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(
        text.contains("the smallest index that does needs"),
        "{text}"
    );
    for (flag, value, named) in [
        ("--target-recall", "2", "from 0.5 to 1"),
        ("--memory", "much", "like 16GB"),
        ("--sample", "3", "from 256"),
    ] {
        let failed = world.run(&["advise", "--dataset", "base.npy", flag, value]);
        assert!(!failed.status.success());
        let error = String::from_utf8_lossy(&failed.stderr);
        assert!(error.contains(named), "{error}");
    }
}

/// Advice on a collection of 600 points, in a folder or on a server.
fn of_collection(world: &World, place: &[&str]) {
    let values = harness::noise(5).take(600 * DIM);
    world.write("points.npy", npy(600, DIM, values));
    let with = |args: &[&str]| -> Vec<String> {
        let all = args.iter().chain(place);
        all.map(|&arg| arg.to_owned()).collect()
    };
    let json = |args: &[&str]| {
        let args = with(args);
        world.json(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    json(&[
        "import",
        "points.npy",
        "-c",
        "c",
        "--create",
        "--metric",
        "l2",
        "--element",
        "f16",
    ]);
    let advice = json(&["advise", "--collection", "c", "--queries", "30"]);
    let asked = [&advice["collection"], &advice["metric"], &advice["element"]];
    assert_eq!(asked, ["c", "l2", "f16"]);
    assert_eq!(advice["dimension"], json!(DIM));
    let counts = [&advice["rows"], &advice["sample_rows"], &advice["queries"]];
    assert_eq!(counts, [&json!(600), &json!(570), &json!(30)]);
    assert!(advice.get("dataset").is_none());
    assert_eq!(advice["recommended"], advice["choices"][0]);
    for choice in advice["choices"].as_array().unwrap() {
        assert!(choice["latency_us"].as_f64().unwrap() > 0.0, "{choice}");
        assert!(choice["index"]["type"].is_string(), "{choice}");
    }

    let refused = |args: &[&str], code: i32, named: &str| {
        let args = with(args);
        let output = world.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(named), "{args:?}: {said}");
    };
    let recall = ["advise", "-c", "c", "--target-recall", "1.5"];
    refused(&recall, 2, "`target_recall` is 1.5");
    refused(&["advise", "-c", "none"], 3, "none");
    json(&["collection", "create", "few", "--dimension", "4"]);
    refused(&["advise", "-c", "few"], 2, "at least 300");
}

#[test]
fn a_collection_of_a_folder_is_measured() {
    let world = World::new();
    of_collection(&world, &["--path", "data"]);
    let text = world.text(&["advise", "-c", "c", "--path", "data", "--queries", "20"]);
    assert!(text.contains("--element f16 --index"), "{text}");
    let cases: [(&[&str], &str); 4] = [
        (&["advise"], "--dataset"),
        (
            &["advise", "-c", "c", "--dataset", "points.npy"],
            "--dataset",
        ),
        (&["advise", "-c", "c", "--metric", "l2"], "--metric"),
        (
            &["advise", "--dataset", "points.npy", "--url", "localhost:1"],
            "--collection",
        ),
    ];
    for (args, named) in cases {
        let output = world.run(args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn a_collection_of_a_server_is_measured() {
    let (world, served) = (World::new(), World::new());
    let running = Running::start(&served, &[]);
    of_collection(&world, &["--url", running.address()]);
}
