//! `advise` on a vector file.

mod harness;

use harness::keys;
use harness::small::{ROWS, small};
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
