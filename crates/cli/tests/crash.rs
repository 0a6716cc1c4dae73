//! `kill -9` while points are written: what was acknowledged is there, and everything is sound.

mod harness;

use std::io::{BufRead, BufReader, Write};

use harness::{World, point_line};

/// Feeds points from number `first` on until `acks` acknowledgements came, then kills. Returns how many were
/// acknowledged and how many were given at most.
fn write_and_kill(world: &World, first: usize, acks: usize) -> (usize, usize) {
    let mut child = world.spawn(&["insert", "-c", "c", "-", "--batch", "50", "--acks"]);
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        let mut at = first;
        // Ends when the killed process no longer reads.
        while stdin.write_all(point_line(at).as_bytes()).is_ok() {
            at += 1;
        }
        at
    });
    let mut acknowledged = 0;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..acks {
        let line = lines.next().expect("an acknowledgement").unwrap();
        let ack: serde_json::Value = serde_json::from_str(&line).unwrap();
        acknowledged = ack["acknowledged"].as_u64().unwrap() as usize;
    }
    child.kill().unwrap();
    // Acknowledgements that were under way count as well.
    for line in lines.map_while(Result::ok) {
        if let Ok(ack) = serde_json::from_str::<serde_json::Value>(&line) {
            acknowledged = ack["acknowledged"].as_u64().unwrap() as usize;
        }
    }
    assert!(!child.wait().unwrap().success());
    let fed = feeder.join().unwrap();
    assert!(
        first + acknowledged <= fed,
        "no more is acknowledged than was given"
    );
    (first + acknowledged, fed)
}

#[test]
fn acknowledged_points_survive_kill_9() {
    let world = World::with_points(0);
    let mut acknowledged: Vec<std::ops::Range<usize>> = Vec::new();
    let mut given: Vec<std::ops::Range<usize>> = Vec::new();
    let mut first = 0;
    for round in 0..6 {
        let (end, fed) = write_and_kill(&world, first, 1 + round * 7);
        acknowledged.push(first..end);
        given.push(first..fed);
        let verified = world.json(&["storage", "verify"]);
        assert_eq!(verified["ok"], true, "round {round}: {verified}");
        let exported = world.text(&["export", "-c", "c"]);
        let mut there = std::collections::HashMap::new();
        for line in exported.lines() {
            let point: serde_json::Value = serde_json::from_str(line).unwrap();
            there.insert(point["id"].as_u64().unwrap() as usize, point);
        }
        for id in acknowledged.iter().cloned().flatten() {
            let expected: serde_json::Value = serde_json::from_str(&point_line(id)).unwrap();
            let point = there
                .get(&id)
                .unwrap_or_else(|| panic!("round {round}: acknowledged point {id} is lost"));
            assert_eq!(
                point["metadata"], expected["metadata"],
                "round {round}, point {id}"
            );
            assert_eq!(
                point["vector"][0].as_f64(),
                expected["vector"][0].as_f64(),
                "round {round}, point {id}"
            );
        }
        // Nothing is invented.
        for id in there.keys() {
            assert!(
                given.iter().any(|given| given.contains(id)),
                "round {round}: point {id} was never given"
            );
        }
        // Beyond everything that may have been given, so that the rounds do not mix.
        first = fed + 1_000;
    }
}

/// Killed while it imports, flushes or builds its index, the tour goes on where it was.
#[test]
fn a_killed_quickstart_is_finished_by_the_next() {
    let world = World::new();
    for ms in [15, 60, 150, 300, 500] {
        let mut child = world.spawn(&["quickstart"]);
        std::thread::sleep(std::time::Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
        // Killed early enough there is no database yet.
        if world.path("vecdb-data/CATALOG").exists() {
            let verified = world.json(&["storage", "verify"]);
            assert_eq!(verified["ok"], true, "after {ms} ms: {verified}");
        }
    }
    let report = world.json(&["quickstart"]);
    assert_eq!(report["points"], 5_000);
    assert!(report["recall_at_10"].as_f64().unwrap() >= 0.95, "{report}");
    assert_eq!(world.json(&["storage", "verify"])["ok"], true);
}
