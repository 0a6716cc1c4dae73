//! `vecdb quickstart`, as a newcomer runs it.

mod harness;

use harness::{World, keys};

#[test]
fn loads_answers_and_finds_itself_again() {
    let world = World::new();
    let first = world.json(&["quickstart"]);
    assert_eq!(first["found_again"], false);
    assert_eq!(first["points"], 5_000);
    assert!(first["import_seconds"].as_f64().unwrap() > 0.0, "{first}");
    let recall = first["recall_at_10"].as_f64().unwrap();
    assert!((0.95..=1.0).contains(&recall), "recall {recall}");
    let distances = first["distance_computations"].as_f64().unwrap();
    assert!(
        distances > 10.0 && distances < 2_500.0,
        "{distances} distance computations: the index is not used"
    );

    let asks = first["asks"].as_array().unwrap();
    assert_eq!(asks.len(), 3);
    for ask in asks {
        let hits = ask["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 5, "{}", ask["text"]);
        let distances: Vec<_> = hits
            .iter()
            .map(|hit| hit["distance"].as_f64().unwrap())
            .collect();
        assert!(distances.is_sorted(), "{distances:?}");
        assert!(ask["matching"].as_u64().unwrap() >= 10, "{}", ask["text"]);
    }
    for hit in asks[0]["hits"].as_array().unwrap() {
        assert_eq!(hit["metadata"]["section"], "games");
        assert!(hit["metadata"]["installed_size_kb"].as_u64().unwrap() < 20_000);
    }

    let second = world.json(&["quickstart"]);
    assert_eq!(second["found_again"], true);
    assert!(second["import_seconds"].is_null());
    assert_eq!(second["points"], 5_000);
    assert!(second["recall_at_10"].as_f64().unwrap() >= 0.95);
    assert_eq!(keys(&first), keys(&second));
    assert!(world.path("vecdb-data").is_dir());
}

#[test]
fn prints_tables_and_commands_that_work_when_pasted() {
    let world = World::new();
    let folder = world.path("a folder");
    let text = world.text(&["quickstart", "--path", folder.to_str().unwrap()]);
    for part in [
        "play chess against the computer",
        "Synopsis",
        "Recall@10",
        "Try next:",
        "┌",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let (_, next) = text.split_once("Try next:\n").unwrap();
    let commands: Vec<_> = next.lines().map(str::trim).collect();
    assert_eq!(commands.len(), 3, "{next}");
    for command in commands {
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .current_dir(world.path("."))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            harness::stderr(&output)
        );
        assert!(!output.stdout.is_empty(), "{command} prints nothing");
    }
    let again = world.text(&["quickstart", "--path", folder.to_str().unwrap()]);
    assert!(again.contains("Found the data again"), "{again}");
}
