//! `query`: SQL on a folder and on a server.

mod harness;

use harness::running::Running;
use harness::{World, npy};
use serde_json::{Value, json};

const CREATE: &str = "CREATE COLLECTION products (dimension 2, metric l2, index flat)";
const INSERT: &str = "INSERT INTO products (id, vector, name, price) VALUES \
                      (1, [1, 0], 'chess, wood', 20), (2, [2, 0], 'go', 60), ('c', [3, 0], NULL, 15.5)";
const NEAR: &str =
    "SELECT id, name, distance FROM products WHERE vector NEAR $q ORDER BY distance LIMIT 2";

/// Every kind of statement, in a folder or on a server.
fn statements(world: &World, place: &[&str]) {
    let query = |args: &[&str]| world.json(&[&["query"], args, place].concat());
    query(&[CREATE]);
    assert_eq!(query(&[INSERT])["affected"], 3);
    let hits = query(&[NEAR, "--param", "q=[1, 0]"]);
    let expected = json!([
        {"id": 1, "name": "chess, wood", "distance": 0.0},
        {"id": 2, "name": "go", "distance": 1.0},
    ]);
    assert_eq!(
        (&hits["rows"], &hits["searched_vectors"]),
        (&expected, &json!(3))
    );
    world.write("q.npy", npy(2, 2, [9.0, 9.0, 2.0, 0.0].into_iter()));
    let hits = query(&[NEAR, "--param", "q=@q.npy:1"]);
    assert_eq!(hits["rows"][0]["id"], 2);
    let by_position = query(&[
        "SELECT name FROM products WHERE name = $1 OR price IN ($2)",
        "--param",
        "2=[15.5, 7]",
        "--param",
        "1=go",
    ]);
    assert_eq!(by_position["rows"].as_array().map(Vec::len), Some(2));
    let groups =
        query(&["SELECT price, COUNT(*) FROM products GROUP BY price ORDER BY price LIMIT 1"]);
    assert_eq!(groups["rows"], json!([{"price": 15.5, "count": 1}]));
    let grouped = query(&[
        "SELECT name, id FROM products WHERE vector NEAR [1, 0] GROUP BY name LIMIT 2 PER GROUP LIMIT 2",
    ]);
    let expected = json!([{"name": "chess, wood", "id": 1}, {"name": "go", "id": 2}]);
    assert_eq!(grouped["rows"], expected);
    let explained =
        query(&["EXPLAIN SELECT id FROM products WHERE vector NEAR [1, 0] AND price < 50"]);
    assert_eq!(explained["rows"][0]["plan"], "filter");
    assert_eq!(
        query(&["UPDATE products SET price = 1 WHERE id = 'c'"])["affected"],
        1
    );
    assert_eq!(
        query(&["SELECT COUNT(*) FROM products WHERE price = 1"])["rows"][0]["count"],
        1
    );
    assert_eq!(
        query(&["DELETE FROM products WHERE price = 1"])["affected"],
        1
    );
    assert_eq!(query(&["SHOW COLLECTIONS"])["rows"][0]["points"], 2);
    let fields = query(&["DESCRIBE products"]);
    assert_eq!(
        fields["rows"][2],
        json!({"name": "name", "type": "string", "declared": false, "indexed": true})
    );

    let text = |args: &[&str]| world.text(&[&["query"], args, place].concat());
    let csv = text(&[
        "SELECT id, name, vector FROM products WHERE id IN (2, 1)",
        "--csv",
    ]);
    assert_eq!(
        csv,
        "id,name,vector\r\n2,go,\"[2,0]\"\r\n1,\"chess, wood\",\"[1,0]\"\r\n"
    );
    let table = text(&["SELECT id, name FROM products ORDER BY price"]);
    assert!(
        table.contains("│ 1  ┆ chess, wood │") && table.contains("2 rows, "),
        "{table}"
    );

    for (sql, code, kind, said) in [
        ("SELECT id FROM product", 3, "not_found", "1:16: "),
        (
            "SELECT id FROM products WHERE prise = 1",
            2,
            "invalid_argument",
            "did you mean price?",
        ),
        (
            "SELECT id FRM products",
            2,
            "invalid_argument",
            "1:15: expected `,` or FROM, found products",
        ),
        (CREATE, 4, "already_exists", "1:19: "),
    ] {
        let (got, got_kind, message) = world.failure(&[&["query", sql], place].concat());
        assert_eq!((got, got_kind.as_str()), (code, kind), "{message}");
        assert!(message.contains(said) && message.contains('^'), "{message}");
    }
    query(&["DROP COLLECTION products"]);
    assert_eq!(query(&["SHOW COLLECTIONS"])["rows"], Value::Array(vec![]));
}

#[test]
fn sql_on_a_folder() {
    statements(&World::new(), &[]);
}

#[test]
fn sql_on_a_server() {
    let world = World::new();
    let running = Running::start(&world, &[]);
    statements(&world, &["--url", running.address()]);
}

#[test]
fn a_statement_that_only_reads_makes_no_database() {
    let world = World::new();
    let (code, _, message) = world.failure(&["query", "SHOW COLLECTIONS"]);
    assert_eq!(code, 3);
    assert!(message.contains("--path"), "{message}");
    assert!(!world.path("vecdb-data").exists());
}

#[test]
fn strategies_are_measured_on_the_collection_itself() {
    let world = World::new();
    let random = |n: u64, salt: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt) >> 40;
    let points: Vec<String> = (0..1_500u64)
        .map(|id| {
            let vector: Vec<f64> = (0..8)
                .map(|at| (random(id * 8 + at, 1) % 1_000) as f64)
                .collect();
            let metadata = json!({"n": id, "kind": if id % 10 == 0 { "rare" } else { "usual" }});
            json!({"id": id, "vector": vector, "metadata": metadata}).to_string()
        })
        .collect();
    world.write("points.jsonl", points.join("\n"));
    let import = [
        "import",
        "points.jsonl",
        "-c",
        "c",
        "--create",
        "--metric",
        "l2",
    ];
    world.json(&import);
    let mut analyze = vec!["query", "--analyze-strategies", "-c", "c", "--queries", "3"];
    analyze.extend(["--filter", r#"{"n": {"$lt": 30}}"#]);
    let report = world.json(&analyze);
    assert_eq!(
        (&report["points"], &report["queries"]),
        (&json!(1_500), &json!(3))
    );
    let bands = report["bands"].as_array().unwrap();
    let names: Vec<&str> = bands
        .iter()
        .map(|b| b["selectivity"].as_str().unwrap())
        .collect();
    assert!(
        names.starts_with(&["> 50%", "10% - 50%", "1% - 10%"]),
        "{names:?}"
    );
    let filters = report["filters"].as_array().unwrap();
    let given = filters
        .iter()
        .find(|f| f["filter"] == json!({"n": {"$lt": 30}}))
        .unwrap();
    assert_eq!(
        (&given["matching"], &given["best"]),
        (&json!(30), &json!("scan"))
    );
    assert_eq!(given["plans"].as_array().map(Vec::len), Some(3));
    assert_eq!(given["plans"][0]["work"], 30.0);
    assert!(
        filters
            .iter()
            .any(|f| f["filter"] == json!({"kind": "rare"}))
    );
    for filter in filters {
        assert!(
            filter["chosen"]["recall"].as_f64().unwrap() > 0.9,
            "{filter}"
        );
        assert!(
            filter["chosen"]["time_us"].as_f64().unwrap() > 0.0,
            "{filter}"
        );
    }
    let sql = "SELECT id FROM c WHERE vector NEAR [1, 1, 1, 1, 1, 1, 1, 1] AND n < 45 LIMIT 5";
    let report = world.json(&["query", "--analyze-strategies", sql, "--queries", "2"]);
    assert_eq!(report["limit"], 5);
    let filters = report["filters"].as_array().unwrap();
    assert!(filters.iter().any(|f| f["matching"] == 45));
    let shown = world.text(&["query", "--analyze-strategies", sql, "--queries", "2"]);
    let grouped =
        "SELECT kind, id, distance FROM c WHERE vector NEAR [1, 1, 1, 1, 1, 1, 1, 1] AND n < 700
                   GROUP BY kind LIMIT 4 PER GROUP LIMIT 2";
    let of_groups = ["query", "--analyze-strategies", grouped, "--queries", "2"];
    let report = world.json(&of_groups);
    assert_eq!(
        (&report["limit"], &report["group_size"]),
        (&json!(2), &json!(4))
    );
    let filters = report["filters"].as_array().unwrap();
    let given = filters.iter().find(|f| f["matching"] == 700).unwrap();
    assert!(given["chosen"]["recall"].as_f64().unwrap() > 0.9, "{given}");
    assert!(
        given["plans"][0]["work"].as_f64().unwrap() >= 700.0,
        "{given}"
    );
    let told = world.text(&of_groups);
    assert!(told.contains("for 2 groups of 4 hits under each"), "{told}");
    assert!(
        shown.contains("Best plan") && shown.contains("10% - 50%"),
        "{shown}"
    );

    let vector = "[1, 1, 1, 1, 1, 1, 1, 1]";
    let mut checked = vec![
        "search",
        "-c",
        "c",
        vector,
        "--filter",
        r#"{"n": {"$lt": 700}}"#,
    ];
    checked.extend(["--plan", "check", "--plan-costs", "counted", "--explain"]);
    let answer = world.json(&checked);
    assert_eq!(answer["hits"].as_array().map(Vec::len), Some(10));
    let part = &answer["explanation"]["parts"][0];
    assert_eq!(
        (&part["plan"], &part["matching"]),
        (&json!("check"), &json!(10))
    );
    assert!(
        part["cost_us"].as_f64().unwrap() > 0.0 && answer["matching"].is_null(),
        "{answer}"
    );
    assert!(world.text(&checked).contains("at least"));
    // There is no graph of what matches, so that it is as if none were asked for.
    let plan = checked.iter_mut().find(|arg| **arg == "check");
    *plan.unwrap() = "subset";
    let answer = world.json(&checked);
    assert_eq!(answer["hits"].as_array().map(Vec::len), Some(10));
    assert_ne!(answer["explanation"]["parts"][0]["plan"], "subset");
    let info = world.json(&["collection", "info", "c"]);
    assert_eq!(info["subset_graphs"], 0);

    for (args, said) in [
        (vec!["SELECT COUNT(*) FROM c"], "takes a search"),
        (vec!["-c", "c", "--queries", "0"], "--queries 0"),
        (vec!["-c", "none"], "none"),
        (vec!["-c", "c", "--filter", r#"{"m": 1}"#], "unknown field"),
    ] {
        let args = [vec!["query", "--analyze-strategies"], args].concat();
        let (_, _, message) = world.failure(&args);
        assert!(message.contains(said), "{message}");
    }
}
