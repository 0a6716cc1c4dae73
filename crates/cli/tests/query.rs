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
        json!({"name": "name", "type": "string", "declared": false})
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
