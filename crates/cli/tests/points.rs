//! Collections and points through the binary.

mod harness;

use harness::{World, keys, npy, point_line, stderr};
use serde_json::json;

#[test]
fn a_collection_lives_its_life() {
    let world = World::with_points(20);
    let list = world.json(&["collection", "list"]);
    assert_eq!(list["collections"][0]["name"], "c");
    assert_eq!(list["collections"][0]["points"], 20);
    assert_eq!(world.json(&["count", "-c", "c"])["count"], 20);
    assert_eq!(
        world.json(&["count", "-c", "c", "--filter", r#"{"parity": "odd"}"#])["count"],
        10
    );

    let got = world.json(&["get", "-c", "c", "3", "77", "--with-vector"]);
    assert_eq!(
        got["points"],
        json!([{"id": 3, "vector": [3.0, 1.0, 0.5], "metadata": {"parity": "odd", "price": 3}}])
    );
    assert_eq!(got["missing"], json!([77]));

    let found = world.json(&[
        "search",
        "-c",
        "c",
        "[4.2, 1, 0.5]",
        "--k",
        "3",
        "--filter",
        r#"{"parity": "even"}"#,
    ]);
    let ids: Vec<_> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["id"].clone())
        .collect();
    assert_eq!(ids, [json!(4), json!(6), json!(2)]);
    assert_eq!(found["matching"], 10);
    let near = world.json(&["search", "-c", "c", "[4.2, 1, 0.5]", "--max-distance", "1"]);
    assert_eq!(near["hits"].as_array().unwrap().len(), 2);
    let like = world.json(&["search", "-c", "c", "--like", "0", "--limit", "2"]);
    let ids: Vec<_> = like["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!(2)], "the point itself is left out");

    let updated = world.json(&["update", "-c", "c", "3", "4", "--merge", r#"{"price": 99}"#]);
    assert_eq!(updated["updated"], 2);
    let got = world.json(&["get", "-c", "c", "3"]);
    assert_eq!(
        got["points"][0]["metadata"],
        json!({"parity": "odd", "price": 99})
    );
    world.json(&[
        "update",
        "-c",
        "c",
        "3",
        "--replace",
        r#"{"parity": "odd"}"#,
    ]);
    let got = world.json(&["get", "-c", "c", "3"]);
    assert_eq!(got["points"][0]["metadata"], json!({"parity": "odd"}));

    assert_eq!(world.json(&["delete", "-c", "c", "3", "77"])["deleted"], 1);
    assert_eq!(
        world.json(&["delete", "-c", "c", "--filter", r#"{"parity": "even"}"#])["deleted"],
        10
    );
    assert_eq!(world.json(&["count", "-c", "c"])["count"], 9);
    let compacted = world.json(&["collection", "compact", "c"]);
    assert_eq!(
        (&compacted["segments_after"], &compacted["points"]),
        (&json!(1), &json!(9))
    );
    let verified = world.json(&["storage", "verify"]);
    assert_eq!(
        (&verified["ok"], &verified["problems"]),
        (&json!(true), &json!([]))
    );

    assert_eq!(world.json(&["collection", "drop", "c"])["dropped"], "c");
    assert_eq!(
        world.json(&["collection", "list"])["collections"],
        json!([])
    );
}

#[test]
fn pages_meet_every_point_once() {
    let world = World::with_points(25);
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut args = vec!["scroll", "-c", "c", "--limit", "10"];
        if let Some(cursor) = &cursor {
            args.extend(["--cursor", cursor]);
        }
        let page = world.json(&args);
        let points = page["points"].as_array().unwrap();
        seen.extend(points.iter().map(|point| point["id"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..25).collect::<Vec<_>>());
}

#[test]
fn an_export_imports_to_the_same_points() {
    let world = World::with_points(300);
    world.text(&["insert", "-c", "c", r#"{"id": "täg \"x\"", "vector": [0.1, 1e-30, -7], "metadata": {"tags": ["a", "b"], "none": null}}"#]);
    world.text(&[
        "insert",
        "-c",
        "c",
        "--id",
        "0000abcd-0000-0000-0000-000000000001",
        "--vector",
        "[1,2,3]",
    ]);
    let report = world.json(&["export", "-c", "c", "--output", "all.jsonl"]);
    assert_eq!(report["points"], 302);
    let import = world.json(&[
        "import",
        "all.jsonl",
        "-c",
        "copy",
        "--create",
        "--metric",
        "l2",
        "--batch",
        "64",
    ]);
    assert_eq!(
        (&import["points"], &import["inserted"]),
        (&json!(302), &json!(302))
    );
    let (one, other) = (
        world.text(&["export", "-c", "c"]),
        world.text(&["export", "-c", "copy"]),
    );
    assert_eq!(one.lines().count(), 302);
    assert!(one == other, "the exports differ");
    assert_eq!(
        one,
        std::fs::read_to_string(world.path("all.jsonl")).unwrap()
    );
}

#[test]
fn vectors_and_their_metadata_are_imported_from_two_files() {
    let world = World::new();
    world.write(
        "v.npy",
        npy(4, 2, [0., 0., 1., 0., 2., 0., 3., 0.].into_iter()),
    );
    let lines: String = ["red", "blue", "red", "red"]
        .iter()
        .map(|c| format!("{{\"colour\": \"{c}\"}}\n"))
        .collect();
    world.write("m.jsonl", lines);
    let import = [
        "import",
        "v.npy",
        "--metadata",
        "m.jsonl",
        "-c",
        "v",
        "--create",
        "--metric",
        "l2",
        "--field",
        "colour:string",
    ];
    assert_eq!(world.json(&import)["points"], 4);
    let found = world.json(&[
        "search",
        "-c",
        "v",
        "@v.npy",
        "--row",
        "1",
        "--filter",
        r#"{"colour": "red"}"#,
    ]);
    let ids: Vec<_> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [0, 2, 3]);
    let info = world.json(&["collection", "info", "v"]);
    assert_eq!(info["fields"]["fields"]["colour"]["declared"], true);
    assert_eq!(
        world.json(&import)["updated"],
        4,
        "a second import replaces"
    );
}

#[test]
fn tables_are_for_people() {
    let world = World::with_points(3);
    let text = world.text(&["search", "-c", "c", "[0, 1, 0.5]", "--columns", "price"]);
    assert!(
        text.contains("│ Rank ┆ Id ┆ Distance") && text.contains("price"),
        "{text}"
    );
    assert!(text.contains("3 points;"), "{text}");
    let text = world.text(&["get", "-c", "c", "2", "--with-vector"]);
    assert!(text.contains("2.0000, 1.0000, 0.5000"), "{text}");
    let text = world.text(&["collection", "info", "c"]);
    assert!(text.contains("parity") && text.contains("string"), "{text}");
    let text = world.text(&["scroll", "-c", "c"]);
    assert_eq!(
        text.lines().filter(|line| line.starts_with('│')).count(),
        4,
        "{text}"
    );
}

#[test]
fn acknowledgements_come_batch_by_batch() {
    let world = World::with_points(0);
    let lines: String = (0..25).map(point_line).collect();
    let output = world.feed(
        &[
            "insert", "-c", "c", "-", "--batch", "10", "--acks", "--quiet",
        ],
        lines.as_bytes(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let acks: Vec<serde_json::Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let counts: Vec<_> = acks
        .iter()
        .map(|ack| ack["acknowledged"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [10, 20, 25]);
    assert_eq!(keys(&acks[0]), ["acknowledged", "position"]);
}

#[test]
fn the_environment_names_the_folder() {
    let world = World::with_points(2);
    let elsewhere = tempfile::tempdir().unwrap();
    let output = world
        .command(&["count", "-c", "c"])
        .current_dir(elsewhere.path())
        .env("VECDB_PATH", world.path("vecdb-data"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "2\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_closed_pipe_is_no_error() {
    let world = World::with_points(2_000);
    let mut child = world.spawn(&["export", "-c", "c"]);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}
