//! `storage`: a database is made, filled, killed, recovered, compacted, damaged and mended, all through the binary.

mod harness;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::{World, check};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// A database with an empty collection `vectors`.
fn initialised() -> World {
    let world = World::new();
    world.text(&["storage", "init", "--dimension", "8", "--metric", "l2"]);
    world
}

/// A closed database of 3,000 points in one segment with its graph.
fn indexed() -> World {
    let world = initialised();
    world.text(&["storage", "insert", "--count", "3000"]);
    world.text(&["storage", "compact"]);
    world
}

/// Inserts until so many writes were acknowledged, then kills.
fn insert_and_kill(world: &World, writes: usize) {
    let journal = world.path("writes.jsonl");
    let before = lines(&journal);
    let mut child = world.spawn(&[
        "storage",
        "insert",
        "--count",
        "1000000",
        "--batch",
        "50",
        "--acknowledged",
        "writes.jsonl",
    ]);
    let begun = Instant::now();
    while lines(&journal) < before + writes {
        assert!(begun.elapsed() < PATIENCE, "nothing is acknowledged");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

fn lines(path: &Path) -> usize {
    let text = std::fs::read(path).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// The files of the first collection whose names end so.
fn files(world: &World, extension: &str) -> Vec<PathBuf> {
    let folder = world.path("vecdb-data/collections/00000001");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

/// Where a section of a file begins, as `inspect` tells.
fn section(world: &World, file: &Path, name: &str) -> usize {
    let found = world.json(&["storage", "inspect"]);
    let files = found["collections"][0]["files"].as_array().unwrap();
    let file_name = file.file_name().unwrap().to_str().unwrap();
    let file = files.iter().find(|f| f["name"] == file_name).unwrap();
    let sections = file["sections"].as_array().unwrap();
    let section = sections.iter().find(|s| s["name"] == name).unwrap();
    section["offset"].as_u64().unwrap() as usize
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn init_shows_files_and_thresholds() {
    let world = World::new();
    let made = world.json(&["storage", "init", "--dimension", "16"]);
    assert_eq!(made["collection"], "vectors");
    assert_eq!(made["log_file_bytes_max"], 64 << 20);
    let named = |name: &str| {
        let files = made["files"].as_array().unwrap();
        files
            .iter()
            .any(|file| file["path"].as_str().unwrap().ends_with(name))
    };
    assert!(named("CATALOG") && named("00000001/MANIFEST"), "{made}");
    check(
        &world,
        &[
            (&["storage", "init"], 4, "already_exists", &["vectors"]),
            (
                &["storage", "init", "x", "--dimension", "0"],
                2,
                "invalid_argument",
                &["dimension 0"],
            ),
            (
                &["storage", "init", "--url", "localhost:1"],
                2,
                "invalid_argument",
                &["folder of this machine"],
            ),
            (
                &["storage", "insert", "--count", "5", "--batch", "0"],
                2,
                "invalid_argument",
                &["--batch 0"],
            ),
        ],
    );
    let text = World::new().text(&["storage", "init"]);
    for part in ["Data directory", "67.1 MB", "MANIFEST"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9_and_that_is_checked() {
    let world = initialised();
    for round in 0..3 {
        insert_and_kill(&world, 3 + round * 5);
        let recover = ["storage", "recover", "--acknowledged", "writes.jsonl"];
        let recovered = world.json(&recover);
        assert_eq!(recovered["nothing_lost"], true, "{recovered}");
        assert!(number(&recovered["recovery"]["replayed"]) > 0);
        let acknowledged = &recovered["acknowledged"];
        assert_eq!(
            number(&acknowledged["writes"]) as usize,
            lines(&world.path("writes.jsonl"))
        );
        let points = number(&recovered["collections"][0]["points"]);
        assert!(points >= number(&acknowledged["points"]), "{recovered}");
        assert_eq!(recovered["verified"]["problems"], Value::Array(Vec::new()));
        // Checkpointed: the next opening replays nothing.
        assert_eq!(number(&world.json(&recover)["recovery"]["replayed"]), 0);
    }
    let text = world.text(&["storage", "recover", "--acknowledged", "writes.jsonl"]);
    assert!(text.ends_with("No data loss.\n"), "{text}");
    let text = world.text(&["storage", "recover"]);
    assert!(!text.contains("No data loss"), "{text}");

    // What is missing or other than it was is named.
    world.text(&["delete", "-c", "vectors", "7"]);
    world.text(&[
        "insert",
        "-c",
        "vectors",
        r#"{"id": 9, "vector": [1,1,1,1,1,1,1,1]}"#,
    ]);
    let args = ["storage", "recover", "--acknowledged", "writes.jsonl"];
    let (code, kind, message) = world.failure(&args);
    assert_eq!((code, kind.as_str()), (8, "corrupt"), "{message}");
    for part in [
        "1 are missing",
        "1 are not what was acknowledged",
        "point 7",
    ] {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    let output = world.run(&args);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("No data loss"));
    world.write("other.txt", "hello\n");
    let other = ["storage", "recover", "--acknowledged", "other.txt"];
    check(
        &world,
        &[(&other, 2, "invalid_argument", &["line 1", "other.txt"])],
    );
}

#[test]
fn points_of_a_file_are_written_and_looked_for_as_well() {
    let world = World::new();
    world.text(&["storage", "init", "c", "--dimension", "3", "--metric", "l2"]);
    let points: String = (0..120).map(harness::point_line).collect();
    world.write("points.jsonl", points);
    let insert = ["storage", "insert", "-c", "c", "--data", "points.jsonl"];
    let insert = [&insert[..], &["--batch", "25", "--acknowledged", "w.jsonl"]].concat();
    let written = world.json(&insert);
    assert_eq!(number(&written["points"]), 120);
    assert_eq!(number(&written["log_writes"]), 5);
    assert_eq!(lines(&world.path("w.jsonl")), 5);
    // A line that a kill left unfinished is passed over.
    let mut journal = std::fs::read(world.path("w.jsonl")).unwrap();
    journal.extend(br#"{"collection": "c", "pos"#);
    world.write("w.jsonl", journal);
    let recovered = world.json(&["storage", "recover", "--quick", "--acknowledged", "w.jsonl"]);
    assert_eq!(recovered["nothing_lost"], true, "{recovered}");
    assert_eq!(recovered["acknowledged"]["torn"], true);
    assert_eq!(number(&recovered["acknowledged"]["points"]), 120);
    assert_eq!(recovered["verified"], Value::Null);
}

#[test]
fn compaction_gives_back_what_was_deleted() {
    let world = indexed();
    let filter = r#"{"number": {"$lt": 1500}}"#;
    world.text(&["delete", "-c", "vectors", "--filter", filter]);
    let compacted = world.json(&["storage", "compact"]);
    assert_eq!(number(&compacted["before"]["deleted_rows"]), 1_500);
    assert_eq!(number(&compacted["after"]["deleted_rows"]), 0);
    assert_eq!(number(&compacted["after"]["rows"]), 1_500);
    assert!(compacted["reclaimed_bytes"].as_i64().unwrap() > 50_000);
    let text = world.text(&["storage", "compact", "vectors"]);
    assert!(text.contains("Space reclaimed: 0 B"), "{text}");
    assert_eq!(world.json(&["storage", "verify"])["ok"], true);
}

#[test]
fn a_damaged_graph_is_found_and_built_anew() {
    let world = indexed();
    let nearest = |world: &World| {
        let found = world.json(&["search", "-c", "vectors", "[0,0,0,0,0,0,0,0]", "--exact"]);
        let hits = found["hits"].as_array().unwrap().clone();
        hits.into_iter()
            .map(|hit| hit["id"].clone())
            .collect::<Vec<_>>()
    };
    let right = nearest(&world);
    let graph = files(&world, "index").remove(0);
    // In a block of links, and in the header, without which the collection does not open.
    for at in [std::fs::metadata(&graph).unwrap().len() as usize / 2, 20] {
        let graph = files(&world, "index").remove(0);
        let was = graph.clone();
        flip(&graph, at);
        let (code, kind, message) = world.failure(&["storage", "verify"]);
        assert_eq!((code, kind.as_str()), (8, "corrupt"), "{message}");
        let name = graph.file_name().unwrap().to_str().unwrap();
        assert!(message.contains(name), "{message}");
        assert!(message.contains("--repair"), "{message}");
        let repaired = world.json(&["storage", "verify", "--repair"]);
        assert_eq!(repaired["ok"], true, "{repaired}");
        assert!(!repaired["repaired"].as_array().unwrap().is_empty());
        assert_eq!(number(&repaired["lost"]), 0);
        assert!(number(&repaired["links"]) > 10_000, "{repaired}");
        assert!(!was.exists() && files(&world, "index").len() == 1);
        assert_eq!(world.json(&["storage", "verify"])["ok"], true);
        assert_eq!(nearest(&world), right);
    }
}

#[test]
fn rows_that_cannot_be_read_are_set_aside_and_the_others_serve() {
    let world = indexed();
    let rows = files(&world, "rows").remove(0);
    // The first block of the vectors: 64 KiB of rows of 32 or 64 bytes.
    flip(&rows, section(&world, &rows, "vectors:") + 5);
    let repaired = world.json(&["storage", "verify", "--repair"]);
    assert_eq!(repaired["ok"], true, "{repaired}");
    let lost = number(&repaired["lost"]);
    assert!(lost > 0 && lost < 3_000, "{repaired}");
    assert_eq!(repaired["quarantined"].as_array().unwrap().len(), 1);
    let left = number(&world.json(&["count", "-c", "vectors"])["count"]);
    assert_eq!(left, 3_000 - lost);
    assert_eq!(world.json(&["storage", "verify"])["ok"], true);
    let aside = rows.parent().unwrap().join("quarantine");
    assert_eq!(std::fs::read_dir(aside).unwrap().count(), 1);
}

#[test]
fn damage_in_the_middle_of_the_log_stops_or_is_skipped_and_counted() {
    let world = initialised();
    insert_and_kill(&world, 10);
    let log = std::fs::read_dir(world.path("vecdb-data/wal")).unwrap();
    let log = log.map(|entry| entry.unwrap().path()).min().unwrap();
    flip(&log, 3_000);
    let (code, kind, message) = world.failure(&["storage", "recover"]);
    assert_eq!((code, kind.as_str()), (8, "corrupt"), "{message}");
    for part in [".wal is damaged at byte", "on_corruption: skip"] {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
    // Looking works where opening does not.
    let seen = world.json(&["storage", "inspect", "--limit", "3"]);
    assert!(seen["log"]["problem"].as_str().unwrap().contains("damaged"));
    assert_eq!(seen["log"]["shown"].as_array().unwrap().len(), 3);
    let skip = ["storage", "recover", "--on-corruption", "skip"];
    let recovered = world.json(&skip);
    assert_eq!(number(&recovered["recovery"]["skipped"]), 1, "{recovered}");
    assert_eq!(recovered["nothing_lost"], Value::Null);
    // What was lost is lost, what was not is there, and the damage is met only once.
    let (.., message) = world.failure(&["storage", "recover", "--acknowledged", "writes.jsonl"]);
    assert!(message.contains("50 are missing"), "{message}");
    assert_eq!(world.json(&["storage", "verify"])["ok"], true);
    let skip = ["storage", "recover", "--on-corruption", "pass"];
    check(&world, &[(&skip, 2, "invalid_argument", &["\"stop\""])]);
}

#[test]
fn inspect_shows_what_lies_there() {
    let world = initialised();
    insert_and_kill(&world, 4);
    let seen = world.json(&["storage", "inspect", "--from", "2", "--limit", "2"]);
    let shown = seen["log"]["shown"].as_array().unwrap();
    assert_eq!(shown.len(), 2);
    assert_eq!(number(&shown[0]["position"]), 2);
    assert_eq!(number(&shown[0]["upserts"]), 50);
    assert_eq!(shown[0]["ids"], serde_json::json!(["50", "51", "52"]));
    assert_eq!(shown[0]["collection"], "vectors");
    assert_eq!(seen["collections"][0]["manifest"]["generation"], 1);
    world.text(&["storage", "compact"]);
    let text = world.text(&["storage", "inspect", "-c", "vectors"]);
    for part in ["ROWS", "vectors:", "id.map", "generation"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let inspect = ["storage", "inspect", "-c", "nothing"];
    check(&world, &[(&inspect, 3, "not_found", &["nothing"])]);
}

#[test]
fn an_archived_log_leads_from_a_snapshot_to_any_later_write() {
    let world = initialised();
    assert_eq!(world.json(&["storage", "archive"])["archive"], Value::Null);
    let set = world.json(&["storage", "archive", "--to", "log"]);
    let folder = world.path("log");
    assert_eq!(set["archive"]["location"], folder.to_str().unwrap());
    world.text(&["storage", "insert", "--count", "100"]);
    world.text(&["snapshot", "create", "base", "--store", "snapshots"]);
    let listed = world.json(&["snapshot", "list", "--store", "snapshots"]);
    let base = number(&listed["snapshots"][0]["collections"][0]["sequence"]);
    assert!(base >= 1, "{listed}");
    let told = world.text(&["snapshot", "list", "--store", "snapshots"]);
    assert!(told.contains("Sequence number"), "{told}");
    let inserted = world.json(&["storage", "insert", "--count", "100"]);
    assert!(number(&inserted["position"]) > base);
    let position = inserted["position"].to_string();
    world.text(&["collection", "drop", "vectors"]);
    let status = world.json(&["status"]);
    assert_eq!(status["archive"]["last_error"], Value::Null);
    assert_eq!(number(&status["archive"]["waiting_bytes"]), 0, "{status}");

    let restore = ["snapshot", "restore", "base", "--store", "snapshots"];
    let with = |more: &[&str]| {
        let all = [&restore[..], more].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let to = with(&["--to-sequence", &position]);
    let to: Vec<_> = to.iter().map(String::as_str).collect();
    let restored = world.json(&to);
    assert_eq!(number(&restored["collections"][0]["points"]), 200);
    assert_eq!(restored["sequence"].to_string(), position);
    // In another folder, from what was kept alone.
    let elsewhere = with(&[
        "--path",
        "again",
        "--archive",
        "log",
        "--to-sequence",
        &position,
    ]);
    let elsewhere: Vec<_> = elsewhere.iter().map(String::as_str).collect();
    let told = world.text(&elsewhere);
    assert!(
        told.contains(&format!("to sequence number {position} (last write at ")),
        "{told}"
    );
    let verify = ["storage", "archive", "--verify"];
    let report = world.json(&verify);
    assert_eq!(report["ok"], true, "{report}");
    let ranges = report["ranges"].as_array().unwrap();
    assert_eq!(
        (ranges.len(), number(&ranges[0]["first"])),
        (1, 1),
        "{report}"
    );
    assert!(
        number(&ranges[0]["last"]) >= number(&inserted["position"]),
        "{report}"
    );
    let elsewhere = [&verify[..], &["--path", "again", "--archive", "log"]].concat();
    let told = world.text(&elsewhere);
    assert!(told.contains("Leads to sequence numbers 1 to "), "{told}");
    let first = world.path("log/00000000000000000001.wal");
    let sound = std::fs::read(&first).unwrap();
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 1;
    std::fs::write(&first, damaged).unwrap();
    check(
        &world,
        &[(
            &verify,
            8,
            "corrupt",
            &["1 problems", "00000000000000000001.wal"],
        )],
    );
    std::fs::write(&first, sound).unwrap();
    let late = [&restore[..], &["--to-sequence", "1000000"]].concat();
    let bad = [&restore[..], &["--to-time", "noon"]].concat();
    let two = [&restore[..], &["--to-latest", "--to-sequence", "3"]].concat();
    let alone = [&restore[..], &["--archive", "log"]].concat();
    check(
        &world,
        &[
            (&late[..], 3, "not_found", &["covers the sequence numbers"]),
            (&bad[..], 2, "invalid_argument", &["noon"]),
            (&two[..], 2, "invalid_argument", &["--to-sequence"]),
            (&alone[..], 2, "invalid_argument", &["--to-sequence"]),
        ],
    );
    assert_eq!(
        world.json(&["storage", "archive", "--off"])["archive"],
        Value::Null
    );
}
