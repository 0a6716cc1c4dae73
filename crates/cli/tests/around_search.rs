//! Orders, pages, groups, facets and recommendations through the binary.

mod harness;

use harness::World;
use serde_json::{Value, json};

fn ids(report: &Value, of: &str) -> Vec<Value> {
    let points = report[of].as_array().unwrap().iter();
    points.map(|point| point["id"].clone()).collect()
}

#[test]
fn points_are_scrolled_in_the_order_of_a_field() {
    let world = World::with_points(20);
    let scroll = ["scroll", "-c", "c", "--order-by", "price", "--descending"];
    let first = world.json(&[&scroll[..], &["--limit", "3"]].concat());
    assert_eq!(ids(&first, "points"), [19, 18, 17].map(Value::from));
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = world.json(&[&scroll[..], &["--limit", "1", "--cursor", cursor]].concat());
    assert_eq!(ids(&next, "points"), [json!(16)]);
    let (code, kind, message) = world.failure(&["scroll", "-c", "c", "--cursor", cursor]);
    assert_eq!((code, kind.as_str()), (2, "invalid_argument"), "{message}");
    assert!(message.contains("keep order_by"), "{message}");
    let (code, _, message) = world.failure(&["scroll", "-c", "c", "--order-by", "prise"]);
    assert_eq!(code, 2);
    assert!(message.contains("did you mean price?"), "{message}");
}

#[test]
fn values_are_counted() {
    let world = World::with_points(21);
    let facets = world.json(&["facets", "parity", "-c", "c"]);
    let expected = json!({
        "collection": "c",
        "field": "parity",
        "values": [{"value": "even", "count": 11}, {"value": "odd", "count": 10}],
        "distinct": 2,
        "points": 21,
        "missing": 0,
    });
    assert_eq!(facets, expected);
    let odd = r#"{"parity": "odd"}"#;
    let few = world.json(&[
        "facets", "price", "-c", "c", "--limit", "2", "--filter", odd,
    ]);
    assert_eq!(
        few["values"],
        json!([{"value": 1, "count": 1}, {"value": 3, "count": 1}])
    );
    assert_eq!(few["distinct"], 10);
    let text = world.run(&["facets", "parity", "-c", "c"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("even"), "{text}");
    assert!(
        text.contains("2 different values in 21 points; 0 have none"),
        "{text}"
    );
}

#[test]
fn hits_are_paged_and_grouped() {
    let world = World::with_points(20);
    let search = ["search", "-c", "c", "[4.2, 1, 0.5]"];
    let page = world.json(&[&search[..], &["--limit", "2", "--offset", "1"]].concat());
    assert_eq!(ids(&page, "hits"), [5, 3].map(Value::from));
    assert!(page.get("groups").is_none());
    let groups = ["--group-by", "parity", "--group-size", "2"];
    let grouped = world.json(&[&search[..], &groups].concat());
    assert_eq!(grouped["hits"], json!([]));
    let groups: Vec<_> = grouped["groups"].as_array().unwrap().iter().collect();
    assert_eq!(
        (groups[0]["value"].as_str(), groups[1]["value"].as_str()),
        (Some("even"), Some("odd"))
    );
    assert_eq!(ids(groups[0], "hits"), [4, 6].map(Value::from));
    assert_eq!(ids(groups[1], "hits"), [5, 3].map(Value::from));
    let text = world.run(&[&search[..], &["--group-by", "parity"]].concat());
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let even = text.lines().find(|line| line.contains("even")).unwrap();
    assert!(even.split_whitespace().any(|cell| cell == "4"), "{text}");
    let (code, _, message) = world.failure(&[&search[..], &["--offset", "100000"]].concat());
    assert_eq!(code, 2);
    assert!(message.contains("offset 100000"), "{message}");
}

#[test]
fn points_are_recommended_by_examples() {
    let world = World::with_points(20);
    let like = ["recommend", "-c", "c", "--positive", "4", "6"];
    let found = world.json(&[&like[..], &["--limit", "3"]].concat());
    assert_eq!(ids(&found, "hits")[0], json!(5));
    assert!(!ids(&found, "hits").contains(&json!(4)));
    for strategy in ["average_vector", "best_score"] {
        let rest = [
            "--negative",
            "9",
            "[12, 1, 0.5]",
            "--limit",
            "1",
            "--strategy",
            strategy,
        ];
        let found = world.json(&[&like[..], &rest].concat());
        let first = ids(&found, "hits")[0].as_u64().unwrap();
        assert!(first < 9, "{strategy}: {found}");
    }
    let (code, kind, message) = world.failure(&["recommend", "-c", "c", "--positive", "77"]);
    assert_eq!((code, kind.as_str()), (3, "not_found"));
    assert!(message.contains("77"), "{message}");
    let wrong = [
        "recommend",
        "-c",
        "c",
        "--positive",
        "1",
        "--strategy",
        "best",
    ];
    let (code, _, message) = world.failure(&wrong);
    assert_eq!(code, 2);
    assert!(message.contains("average_vector, best_score"), "{message}");
}
