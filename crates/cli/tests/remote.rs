//! Commands over the network: `--url` in place of a folder, against a real server.

mod harness;

use harness::running::Running;
use harness::{World, check, npy, point_line, stderr};
use serde_json::{Value, json};

/// A folder, and a server with a folder of its own.
struct Both {
    folder: World,
    server: World,
    running: Running,
}

impl Both {
    fn new() -> Self {
        let (folder, server) = (World::new(), World::new());
        let running = Running::start(&server, &[]);
        Self {
            folder,
            server,
            running,
        }
    }

    /// Runs a command on both.
    fn run(&self, args: &[&str], input: &str) -> [String; 2] {
        let url = ["--url", self.running.address()];
        let there = [args, &url].concat();
        [(&self.folder, args), (&self.server, there.as_slice())].map(|(world, args)| {
            let output = world.feed(args, input.as_bytes());
            assert!(
                output.status.success(),
                "vecdb {args:?}: {}",
                stderr(&output)
            );
            String::from_utf8(output.stdout).unwrap()
        })
    }

    /// The object that both print, but for what is chance.
    fn same_with(&self, args: &[&str], input: &str) -> Value {
        let [here, there] = self.run(&[args, &["--json"]].concat(), input).map(|text| {
            let mut object = serde_json::from_str(&text).unwrap();
            forget_chance(&mut object);
            object
        });
        assert_eq!(here, there, "vecdb {args:?}");
        here
    }

    fn same(&self, args: &[&str]) -> Value {
        self.same_with(args, "")
    }

    /// What both print for people.
    fn same_text(&self, args: &[&str]) -> String {
        let [here, there] = self.run(args, "");
        assert_eq!(here, there, "vecdb {args:?}");
        here
    }
}

/// Takes out times, and what depends on which rows lay together when a segment was made: a folder flushes at the end of
/// each command, a server does not.
fn forget_chance(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let is_segment = object.contains_key("live_rows");
            object.retain(|key, value| match key.as_str() {
                "name" => !is_segment,
                "segments" => !value.is_number(),
                "latency_us"
                | "created_at"
                | "distance_computations"
                | "nodes_visited"
                | "maintenance"
                | "uploaded_bytes"
                | "reused_bytes"
                | "bytes"
                | "bytes_before"
                | "bytes_after"
                | "index_bytes"
                | "segments_before" => false,
                key => !key.ends_with("_seconds") && !key.ends_with("_per_second"),
            });
            object.values_mut().for_each(forget_chance);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_chance),
        _ => {}
    }
}

#[test]
fn commands_say_the_same_of_a_server_as_of_a_folder() {
    let both = Both::new();
    let created = both.same(&[
        "collection",
        "create",
        "c",
        "--dimension",
        "3",
        "--metric",
        "l2",
        "--field",
        "at:datetime",
        "--field",
        "body:text(english)",
        "--unindexed",
        "body",
        "--m",
        "8",
    ]);
    assert_eq!(created["config"]["vectors"][""]["index"]["type"], "hnsw");
    assert_eq!(created["config"]["unindexed"], json!(["body"]));
    let info = both.same(&["collection", "info", "c"]);
    assert_eq!(info["fields"]["fields"]["body"]["unindexed"], true);
    assert_eq!(
        both.same(&["collection", "list"])["collections"],
        json!([{"name": "c", "points": 0, "broken": null}])
    );
    let points: String = (0..40).map(point_line).collect();
    let inserted = both.same_with(&["insert", "-c", "c", "-", "--batch", "7"], &points);
    assert_eq!(inserted["inserted"], 40);
    both.same(&[
        "insert",
        "-c",
        "c",
        "--id",
        "täg",
        "--vector",
        "[1,2,3]",
        "--metadata",
        r#"{"at": "2024-05-01T00:00:00Z", "tags": ["a", "b"]}"#,
    ]);

    for world in [&both.folder, &both.server] {
        world.write(
            "file.jsonl",
            (40..2_000).map(point_line).collect::<String>(),
        );
        world.write(
            "query.npy",
            npy(2, 3, [7.0, 1.0, 0.5, 1.0, 1.0, 0.5].into_iter()),
        );
    }
    let import = both.same(&["import", "file.jsonl", "-c", "c", "--batch", "300"]);
    assert_eq!(import["points"], 1_960);
    let import = both.same(&[
        "import",
        "query.npy",
        "-c",
        "plain",
        "--create",
        "--no-wait",
    ]);
    assert_eq!(import["inserted"], 2);
    let import = both.same(&["import", "query.npy", "-c", "plain"]);
    assert_eq!(import["updated"], 2);

    let compacted = both.same(&["collection", "compact", "c"]);
    assert_eq!(compacted["segments_after"], 1);
    let info = both.same(&["collection", "info", "c"]);
    assert_eq!(info["points"], 2_001);
    assert!(info["segments"][0]["index"].is_string(), "{info}");

    let hits = |found: &Value| found["hits"].as_array().unwrap().len();
    let search = ["search", "-c", "c", "[7, 1, 0.5]"];
    assert_eq!(hits(&both.same(&search)), 10);
    let filtered = both.same(
        &[
            &search[..],
            &[
                "--filter",
                r#"{"parity": "odd", "price": {"$lt": 20}}"#,
                "-k",
                "4",
                "--with-vector",
            ],
        ]
        .concat(),
    );
    assert_eq!(filtered["matching"], 10);
    assert_eq!(filtered["hits"][0]["id"], 7);
    let near = both.same(&[&search[..], &["--max-distance", "2.5", "--ef", "50"]].concat());
    assert_eq!(hits(&near), 5);
    both.same(&[&search[..], &["--exact", "--timeout-ms", "5000"]].concat());
    let like = both.same(&["search", "-c", "c", "--like", "7", "-k", "2"]);
    assert_eq!(hits(&like), 2);
    assert_ne!(like["hits"][0]["id"], 7);
    let grouped = ["--group-by", "parity", "--group-size", "2", "--limit", "1"];
    both.same(&[&search[..], &grouped].concat());
    both.same(&[
        "recommend",
        "-c",
        "c",
        "--positive",
        "7",
        "--negative",
        "9",
        "-k",
        "2",
    ]);
    both.same(&["facets", "-c", "c", "parity"]);
    both.same(&["scroll", "-c", "c", "--order-by", "price", "--limit", "3"]);
    let row = both.same(&["search", "-c", "c", "@query.npy", "--row", "1", "-k", "1"]);
    assert_eq!(row["hits"][0]["id"], 1);

    both.same(&["get", "-c", "c", "7", "täg", "nobody", "--with-vector"]);
    assert!(
        both.same_text(&["get", "-c", "c", "täg"])
            .contains("2024-05-01")
    );
    let updated = both.same(&["update", "-c", "c", "7", "8", "--merge", r#"{"price": -1}"#]);
    assert_eq!(updated["updated"], 2);
    both.same(&[
        "update",
        "-c",
        "c",
        "9",
        "--replace",
        r#"{"parity": "none"}"#,
    ]);
    let negative = both.same(&["count", "-c", "c", "--filter", r#"{"price": -1}"#]);
    assert_eq!(negative["count"], 2);
    assert_eq!(
        both.same(&["delete", "-c", "c", "7", "999999"])["deleted"],
        1
    );
    let deleted = both.same(&[
        "delete",
        "-c",
        "c",
        "--filter",
        r#"{"price": {"$gte": 1990}}"#,
    ]);
    assert_eq!(deleted["deleted"], 10);
    assert_eq!(both.same(&["count", "-c", "c"])["count"], 1_990);
    assert_eq!(both.same_text(&["count", "-c", "c"]), "1,990\n");

    let page = both.same(&[
        "scroll",
        "-c",
        "c",
        "--limit",
        "3",
        "--filter",
        r#"{"parity": "even"}"#,
    ]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = both.same(&["scroll", "-c", "c", "--limit", "3", "--cursor", cursor]);
    assert_ne!(page["points"], next["points"]);
    both.same_text(&["scroll", "-c", "c", "--with-vector", "--columns", "price"]);
    assert_eq!(
        both.same_text(&["export", "-c", "c"]).lines().count(),
        1_990
    );
    assert_eq!(
        both.same(&["export", "-c", "c", "--output", "all.jsonl"])["points"],
        1_990
    );

    let dropped = both.same(&["collection", "drop", "plain"]);
    assert_eq!(dropped["points"], 2);
    let repair = ["storage", "verify", "--repair"];
    for args in [&["storage", "verify"][..], &repair, &["status"]] {
        let [here, there] = both.run(&[args, &["--json"]].concat(), "");
        let [here, there] = [here, there].map(|text| serde_json::from_str::<Value>(&text).unwrap());
        assert_eq!(harness::keys(&here), harness::keys(&there));
        for key in ["ok", "problems", "points", "collections", "version"] {
            assert_eq!(here[key], there[key], "vecdb {args:?}");
        }
    }
}

#[test]
fn a_collection_of_lists_is_the_same_on_a_server() {
    let both = Both::new();
    let created = both.same(&[
        "collection",
        "create",
        "c",
        "--dimension",
        "3",
        "--metric",
        "l2",
        "--index",
        "ivf",
        "--nlist",
        "32",
    ]);
    assert_eq!(
        created["config"]["vectors"][""]["index"]["nlist"], 32,
        "{created}"
    );
    for world in [&both.folder, &both.server] {
        world.write("file.jsonl", (0..3_000).map(point_line).collect::<String>());
    }
    both.same(&["import", "file.jsonl", "-c", "c"]);
    both.same(&["collection", "compact", "c"]);
    let info = both.same(&["collection", "info", "c"]);
    assert!(
        info["segments"][0]["index"].to_string().contains("ivf"),
        "{info}"
    );
    let search = ["search", "-c", "c", "[700.2, 1, 0.5]", "-k", "2"];
    let ask = |more: &[&str]| both.same(&[&search[..], more].concat())["hits"].clone();
    let near = ask(&["--nprobe", "2", "--rerank", "20"]);
    assert_eq!((&near[0]["id"], &near[1]["id"]), (&json!(700), &json!(701)));
    assert_eq!(ask(&["--exact"]), near);
    assert_eq!(ask(&["--target-recall", "0.95"]), near);
    let odd = ask(&["--filter", r#"{"parity": "odd"}"#, "--nprobe", "2"]);
    assert_eq!((&odd[0]["id"], &odd[1]["id"]), (&json!(701), &json!(699)));
    let ef = ["search", "-c", "c", "[1, 1, 1]", "--ef", "9"];
    let url = both.running.address().to_owned();
    let there = [&ef[..], &["--url", &url]].concat();
    let expected: &[&str] = &["`ivf`", "`ef`", "nprobe, rerank, target_recall, exact"];
    for (world, args) in [(&both.folder, &ef[..]), (&both.server, &there)] {
        check(world, &[(args, 2, "invalid_argument", expected)]);
    }
}

#[test]
fn snapshots_go_to_a_store_and_come_back() {
    let both = Both::new();
    let create = [
        "collection",
        "create",
        "a",
        "--dimension",
        "3",
        "--metric",
        "l2",
    ];
    both.same(&create);
    both.same(&["collection", "create", "b", "--dimension", "2"]);
    let points: String = (0..30).map(point_line).collect();
    both.same_with(&["insert", "-c", "a", "-"], &points);

    assert_eq!(both.same(&["snapshot", "list"]), json!({"snapshots": []}));
    let made = both.same(&["snapshot", "create", "first"]);
    assert_eq!(made["snapshot"]["name"], "first");
    let collections = |of: &Value| {
        let names = of.as_array().unwrap().iter();
        names
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(collections(&made["snapshot"]["collections"]), ["a", "b"]);
    let made = both.same(&["snapshot", "create", "second", "-c", "a"]);
    assert_eq!(collections(&made["snapshot"]["collections"]), ["a"]);
    let listed = both.same(&["snapshot", "list"]);
    assert_eq!(collections(&listed["snapshots"]), ["first", "second"]);
    assert!(both.server.path("vecdb-data/snapshots").is_dir());

    both.same(&["delete", "-c", "a", "0", "1", "2"]);
    both.same(&["collection", "drop", "b"]);
    let back = both.same(&["snapshot", "restore", "first", "-c", "a", "--as", "a-old"]);
    assert_eq!(
        back["collections"],
        json!([{"name": "a-old", "points": 30, "broken": null}])
    );
    both.same(&["snapshot", "restore", "first", "-c", "b"]);
    assert_eq!(both.same(&["count", "-c", "a"])["count"], 27);
    let search = ["search", "-c", "a-old", "[1, 1, 0.5]", "-k", "1"];
    assert_eq!(both.same(&search)["hits"][0]["id"], 1);

    let url = both.running.address().to_owned();
    for (world, place) in [(&both.folder, &[][..]), (&both.server, &["--url", &url])] {
        let with = |args: &[&'static str]| -> Vec<String> {
            args.iter()
                .chain(place)
                .map(|arg| (*arg).to_owned())
                .collect()
        };
        for (args, code, kind, named) in [
            (
                with(&["snapshot", "create", "first"]),
                4,
                "already_exists",
                "first",
            ),
            (
                with(&["snapshot", "restore", "first"]),
                4,
                "already_exists",
                "a",
            ),
            (
                with(&["snapshot", "restore", "third"]),
                3,
                "not_found",
                "third",
            ),
            (
                with(&["snapshot", "delete", "third"]),
                3,
                "not_found",
                "third",
            ),
            (
                with(&["snapshot", "create", "../x"]),
                2,
                "invalid_argument",
                "../x",
            ),
            (
                with(&["snapshot", "create", "-c", "z"]),
                3,
                "not_found",
                "z",
            ),
        ] {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            check(world, &[(&args, code, kind, &[named])]);
        }
    }
    both.same(&["snapshot", "delete", "second"]);
    assert_eq!(
        collections(&both.same(&["snapshot", "list"])["snapshots"]),
        ["first"]
    );
}

#[test]
fn a_store_may_lie_anywhere_and_fills_another_folder() {
    let world = World::with_points(12);
    let made = world.json(&["snapshot", "create", "--store", "backups"]);
    let name = made["snapshot"]["name"].as_str().unwrap();
    let restore = [
        "snapshot", "restore", name, "--store", "backups", "--path", "other",
    ];
    assert_eq!(world.json(&restore)["collections"][0]["points"], 12);
    assert_eq!(
        world.text(&["export", "-c", "c"]),
        world.text(&["export", "-c", "c", "--path", "other"])
    );
    let text = world.text(&["snapshot", "list", "--store", "backups"]);
    assert!(
        text.contains(name) && text.contains("c (12 points)"),
        "{text}"
    );
    let store = world.path("backups").display().to_string();
    let output = world
        .command(&["snapshot", "list", "--json"])
        .env("VECDB_SNAPSHOTS_LOCATION", format!("file://{store}"))
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["snapshots"][0]["name"], *name, "{}", stderr(&output));

    // A command that fails leaves nothing behind.
    let (code, kind, _) = world.failure(&["snapshot", "list", "--path", "nowhere"]);
    assert_eq!((code, kind.as_str()), (3, "not_found"));
    assert!(!world.path("nowhere").exists());
    let unknown = ["snapshot", "list", "--store", "ftp://x"];
    check(
        &world,
        &[(&unknown, 9, "unsupported", &["ftp://", "s3://"])],
    );
}

#[test]
fn quickstart_loads_into_a_server() {
    let world = World::new();
    let running = Running::start(&world, &["--path", "served"]);
    let url = running.address();
    let first = world.json(&["quickstart", "--url", url]);
    assert_eq!(
        (&first["points"], &first["found_again"]),
        (&json!(5_000), &json!(false))
    );
    assert_eq!((&first["path"], &first["url"]), (&Value::Null, &json!(url)));
    assert!(first["recall_at_10"].as_f64().unwrap() >= 0.95, "{first}");
    assert!(!world.path("vecdb-data").exists());
    let again = world.text(&["quickstart", "--url", url]);
    assert!(again.contains("Found the data again"), "{again}");
    let (_, next) = again.split_once("Try next:\n").unwrap();
    for command in next.lines().map(str::trim) {
        assert!(command.contains(url), "{command}");
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .current_dir(world.path("."))
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
}

#[test]
fn merges_of_a_server_are_paused_and_resumed() {
    let world = World::new();
    let running = Running::start(&world, &["--path", "served"]);
    let url = running.address();
    world.json(&[
        "collection",
        "create",
        "c",
        "--dimension",
        "2",
        "--url",
        url,
    ]);
    for (command, paused, told) in [
        ("pause-merges", true, "paused; none under way"),
        ("resume-merges", false, "none under way"),
    ] {
        let done = world.json(&["storage", command, "--url", url]);
        assert_eq!(done, json!({"merges_paused": paused}));
        let status = world.json(&["status", "--url", url]);
        assert_eq!(status["merges_paused"], paused);
        let info = world.json(&["collection", "info", "c", "--url", url]);
        assert_eq!(info["maintenance"]["merges_paused"], paused);
        let text = world.text(&["collection", "info", "c", "--url", url]);
        assert!(text.contains(told), "{text}");
    }
    // In a folder there is nothing that would go on.
    let output = world.feed(&["storage", "pause-merges", "--path", "here"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--url"), "{}", stderr(&output));
}
