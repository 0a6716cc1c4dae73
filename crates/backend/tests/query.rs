//! SQL statements on a database in this process.

use std::sync::Arc;

use serde_json::{Value, json};
use vecdb_backend::{Backend, Local};
use vecdb_engine::{Database, ErrorKind, Options, StopSignal};
use vecdb_sql::{Params, QueryResult};

struct World {
    local: Local,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(folder.path(), Options::default()).unwrap());
        Self {
            local: Local::new(database, None),
            _folder: folder,
        }
    }

    /// Products 1 to 6 on a line, with metadata.
    fn with_products() -> Self {
        let world = Self::new();
        world.run("CREATE COLLECTION products (dimension 2, metric l2, index flat, price float)");
        let inserted = world.run(
            "INSERT INTO products (id, vector, name, category, price, tags) VALUES \
             (1, [1, 0], 'chess', 'games', 20, ['new', 'wood']), \
             (2, [2, 0], 'go', 'games', 60, ['wood']), \
             (3, [3, 0], 'atlas', 'books', 15.5, []), \
             (4, [4, 0], 'novel', 'books', NULL, ['new']), \
             (5, [5, 0], 'lamp', 'home', 80, NULL), \
             ('six', [6, 0], 'sofa', NULL, 700, NULL)",
        );
        assert_eq!(inserted.affected, Some(6));
        world
    }

    fn run(&self, sql: &str) -> QueryResult {
        self.run_with(sql, json!(null))
    }

    fn run_with(&self, sql: &str, params: Value) -> QueryResult {
        let params = Params::from_json(&params).unwrap();
        let result = self.local.query(sql, &params, &StopSignal::default());
        result.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The rows as JSON objects.
    fn rows(&self, sql: &str) -> Vec<Value> {
        objects(&self.run(sql))
    }

    /// The first column, sorted.
    fn sorted(&self, sql: &str) -> Vec<String> {
        let rows = self.run(sql).rows;
        let first = rows
            .iter()
            .map(|row| serde_json::to_string(&row[0]).unwrap());
        let mut first: Vec<String> = first.collect();
        first.sort();
        first
    }

    fn refused(&self, sql: &str) -> (ErrorKind, String) {
        let result = self
            .local
            .query(sql, &Params::default(), &StopSignal::default());
        let error = result.expect_err(sql);
        (error.kind(), error.to_string())
    }
}

fn objects(result: &QueryResult) -> Vec<Value> {
    let json = serde_json::to_value(result).unwrap();
    json["rows"].as_array().unwrap().clone()
}

#[test]
fn a_search_with_a_filter() {
    let world = World::with_products();
    let result = world.run_with(
        "SELECT id, name AS title, distance, score FROM products \
         WHERE vector NEAR $q AND price < 100 ORDER BY distance LIMIT 2",
        json!({"q": [2.25, 0]}),
    );
    let expected = [
        json!({"id": 2, "title": "go", "distance": 0.25, "score": 0.8}),
        json!({"id": 3, "title": "atlas", "distance": 0.75, "score": 1.0_f32 / 1.75}),
    ];
    let rows = objects(&result);
    assert_eq!(rows.len(), 2);
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row["id"], expected["id"]);
        assert_eq!(row["title"], expected["title"]);
        assert_eq!(row["distance"], expected["distance"]);
        let (got, want) = (row["score"].as_f64(), expected["score"].as_f64());
        assert!((got.unwrap() - want.unwrap()).abs() < 1e-6, "{row}");
    }
    assert_eq!(result.searched_vectors, Some(6));
    assert!(!result.truncated);
    let kinds: Vec<_> = result.columns.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(kinds, ["id", "string", "float", "float"]);
}

#[test]
fn bounds_offsets_and_other_points() {
    let world = World::with_products();
    let ids = |rest: &str| {
        let sql = format!("SELECT id FROM products WHERE vector NEAR [1, 0] {rest}");
        let rows = world.rows(&sql).into_iter();
        rows.map(|row| row["id"].to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(ids(""), "1 2 3 4 5 \"six\"");
    assert_eq!(ids("LIMIT 3"), "1 2 3");
    assert_eq!(ids("LIMIT 2 OFFSET 1"), "2 3");
    assert_eq!(ids("LIMIT 2 OFFSET 5"), "\"six\"");
    assert_eq!(ids("LIMIT 0"), "");
    assert_eq!(ids("AND distance <= 2"), "1 2 3");
    assert_eq!(ids("AND distance < 2"), "1 2");
    assert_eq!(ids("AND score >= 0.5"), "1 2");
    assert_eq!(ids("AND score > 0.5"), "1");
    assert_eq!(ids("AND id <> 1 AND id NOT IN (3, 4) LIMIT 2"), "2 5");
    assert_eq!(ids("AND id <> 1 LIMIT 2 OFFSET 1"), "3 4");
    assert_eq!(ids("AND tags = 'wood' WITH (exact = TRUE)"), "1 2");

    let like = "SELECT id, vector FROM products WHERE vector NEAR (SELECT vector FROM products WHERE id = 'six') \
                AND id <> 'six' LIMIT 1";
    assert_eq!(world.rows(like), [json!({"id": 5, "vector": [5.0, 0.0]})]);
    let missing = like.replace("= 'six'", "= 'seven'");
    let (kind, said) = world.refused(&missing);
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(
        said.starts_with("1:51: there is no point seven in collection \"products\""),
        "{said}"
    );
}

#[test]
fn points_without_a_search() {
    let world = World::with_products();
    assert_eq!(world.sorted("SELECT id FROM products").len(), 6);
    assert_eq!(
        world.sorted("SELECT id FROM products WHERE category = 'games'"),
        ["1", "2"]
    );
    assert_eq!(world.sorted("SELECT id FROM products LIMIT 4").len(), 4);
    assert_eq!(
        world
            .sorted("SELECT id FROM products LIMIT 4 OFFSET 4")
            .len(),
        2
    );
    assert_eq!(world.sorted("SELECT id FROM products OFFSET 7").len(), 0);
    assert_eq!(
        world
            .sorted("SELECT id FROM products WHERE id <> 1 OFFSET 2")
            .len(),
        3
    );
    assert_eq!(world.sorted("SELECT id FROM products LIMIT 0").len(), 0);
    // Pages do not repeat and leave nothing out.
    let mut all = world.sorted("SELECT id FROM products LIMIT 2");
    all.extend(world.sorted("SELECT id FROM products LIMIT 2 OFFSET 2"));
    all.extend(world.sorted("SELECT id FROM products LIMIT 2 OFFSET 4"));
    all.sort();
    assert_eq!(all, world.sorted("SELECT id FROM products"));

    let rows = world
        .rows("SELECT id, name, price FROM products WHERE id IN ('six', 9, 3) AND price < 1000");
    let expected = [
        json!({"id": "six", "name": "sofa", "price": 700.0}),
        json!({"id": 3, "name": "atlas", "price": 15.5}),
    ];
    assert_eq!(rows, expected);
    let star = world.rows("SELECT * FROM products WHERE id = 4");
    let expected =
        json!({"id": 4, "category": "books", "name": "novel", "price": null, "tags": ["new"]});
    assert_eq!(star, [expected]);
    let near = world.run("SELECT * FROM products WHERE vector NEAR [0, 0] LIMIT 1");
    let names: Vec<_> = near.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "id", "distance", "score", "category", "name", "price", "tags"
        ]
    );
    let kinds: Vec<_> = near.columns.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(kinds[3..], ["string", "string", "float", "string[]"]);
}

#[test]
fn null_is_neither_equal_nor_unequal() {
    let world = World::with_products();
    let ids = |condition: &str| world.sorted(&format!("SELECT id FROM products WHERE {condition}"));
    assert_eq!(ids("category <> 'games'"), ["3", "4", "5"]);
    assert_eq!(ids("NOT category = 'games'"), ["3", "4", "5"]);
    assert_eq!(ids("category NOT IN ('games', 'home')"), ["3", "4"]);
    assert_eq!(ids("category IS NULL"), ["\"six\""]);
    assert_eq!(ids("price < 50"), ["1", "3"]);
    assert_eq!(ids("NOT price < 50"), ["\"six\"", "2", "5"]);
    assert_eq!(ids("price IS NULL OR price > 100"), ["\"six\"", "4"]);
    assert_eq!(ids("price NOT BETWEEN 20 AND 100"), ["\"six\"", "3"]);
}

#[test]
fn counts() {
    let world = World::with_products();
    let count = |sql: &str| world.rows(sql)[0]["count"].clone();
    assert_eq!(count("SELECT COUNT(*) FROM products"), 6);
    assert_eq!(count("SELECT COUNT(*) FROM products WHERE price < 50"), 2);
    assert_eq!(
        count("SELECT COUNT(*) FROM products WHERE id IN (1, 3, 99)"),
        2
    );
    assert_eq!(
        count("SELECT COUNT(*) FROM products WHERE id IN (1, 3) AND price < 20"),
        1
    );
    assert_eq!(
        count("SELECT COUNT(*) FROM products WHERE id <> 1 AND price < 50"),
        1
    );
    let named = world.rows("SELECT COUNT(*) AS n FROM products WHERE FALSE");
    assert_eq!(named, [json!({"n": 0})]);
}

#[test]
fn orders_and_groups() {
    let world = World::with_products();
    let ids = |rest: &str| {
        let rows = world
            .rows(&format!("SELECT id FROM products {rest}"))
            .into_iter();
        rows.map(|row| row["id"].to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(ids("ORDER BY price"), "3 1 2 5 \"six\" 4");
    assert_eq!(ids("ORDER BY price DESC LIMIT 2"), "\"six\" 5");
    assert_eq!(ids("ORDER BY price DESC LIMIT 2 OFFSET 1"), "5 2");
    assert_eq!(
        ids("WHERE category = 'games' AND id <> 1 ORDER BY price"),
        "2"
    );

    let groups = |rest: &str| {
        let rows = world
            .rows(&format!("SELECT category, COUNT(*) FROM products {rest}"))
            .into_iter();
        let told = rows.map(|row| format!("{} {}", row["category"], row["count"]));
        told.collect::<Vec<_>>().join(", ")
    };
    let by_number = "\"books\" 2, \"games\" 2, \"home\" 1, null 1";
    assert_eq!(groups("GROUP BY category"), by_number);
    assert_eq!(
        groups("GROUP BY category ORDER BY COUNT(*) DESC LIMIT 1"),
        "\"books\" 2"
    );
    assert_eq!(
        groups("GROUP BY category ORDER BY COUNT(*) LIMIT 2"),
        "\"home\" 1, null 1"
    );
    assert_eq!(
        groups("GROUP BY category ORDER BY category DESC LIMIT 2 OFFSET 1"),
        "\"games\" 2, \"books\" 2"
    );
    assert_eq!(
        groups("WHERE price < 50 GROUP BY category"),
        "\"books\" 1, \"games\" 1"
    );
    assert_eq!(groups("WHERE price < 50 GROUP BY category LIMIT 0"), "");
    let tags = world.rows(
        "SELECT COUNT(*) AS n, tags AS tag FROM products WHERE tags IS NOT NULL GROUP BY tags",
    );
    assert_eq!(tags[0], json!({"n": 2, "tag": "new"}));
}

#[test]
fn groups_of_a_search() {
    let world = World::with_products();
    let told = |rest: &str| {
        let sql =
            format!("SELECT category, id, distance FROM products WHERE vector NEAR [1, 0] {rest}");
        let rows = world.rows(&sql).into_iter();
        let told = rows.map(|row| format!("{} {} {}", row["category"], row["id"], row["distance"]));
        told.collect::<Vec<_>>().join(", ")
    };
    // Points without a value are in no group.
    assert_eq!(
        told("GROUP BY category"),
        "\"games\" 1 0.0, \"books\" 3 2.0, \"home\" 5 4.0"
    );
    let two = "\"games\" 1 0.0, \"games\" 2 1.0, \"books\" 3 2.0, \"books\" 4 3.0";
    assert_eq!(
        told("GROUP BY category ORDER BY distance LIMIT 2 LIMIT 2 PER GROUP"),
        two
    );
    assert_eq!(
        told("GROUP BY category LIMIT 2 PER GROUP LIMIT 2 WITH (exact = TRUE)"),
        two
    );
    assert_eq!(
        told("GROUP BY category LIMIT 2 OFFSET 1"),
        "\"books\" 3 2.0, \"home\" 5 4.0"
    );
    assert_eq!(told("GROUP BY category LIMIT 0"), "");
    assert_eq!(
        told("AND price < 100 AND distance <= 2 GROUP BY category LIMIT 5 PER GROUP"),
        "\"games\" 1 0.0, \"games\" 2 1.0, \"books\" 3 2.0"
    );
    // What is left out takes no place in a group, nor that of a group.
    assert_eq!(
        told("AND id NOT IN (1, 3, 4) GROUP BY category LIMIT 2"),
        "\"games\" 2 1.0, \"home\" 5 4.0"
    );

    // A point is in the group of each of its elements, and the group has one value.
    let tags = |rest: &str| {
        let sql = format!(
            "SELECT tags AS tag, id FROM products WHERE vector NEAR [1, 0] {rest} GROUP BY tags LIMIT 2 PER GROUP"
        );
        let result = world.run(&sql);
        assert_eq!(result.columns[0].kind, "string");
        let rows = objects(&result).into_iter();
        let told = rows.map(|row| format!("{} {}", row["tag"], row["id"]));
        told.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(tags(""), "\"new\" 1, \"new\" 4, \"wood\" 1, \"wood\" 2");
    // Without their nearest point groups may change places.
    assert_eq!(tags("AND id <> 1"), "\"wood\" 2, \"new\" 4");
    let all = world.rows("SELECT * FROM products WHERE vector NEAR [1, 0] GROUP BY tags LIMIT 1");
    assert_eq!(
        (&all[0]["tags"], &all[0]["name"]),
        (&json!("new"), &json!("chess"))
    );

    let explained = world.rows(
        "EXPLAIN SELECT id FROM products WHERE vector NEAR [1, 0] AND price < 50 GROUP BY category",
    );
    assert_eq!(explained[1]["step"], "memtable");
    let analyzed = world.run(
        "EXPLAIN ANALYZE SELECT id FROM products WHERE vector NEAR [1, 0] AND price < 50 GROUP BY category",
    );
    assert_eq!(objects(&analyzed)[1]["matching"], 2);
    for (rest, said) in [
        (
            "GROUP BY categry",
            "1:59: unknown field \"categry\" (did you mean category?)",
        ),
        (
            "GROUP BY category LIMIT 60000 LIMIT 2 PER GROUP",
            "1:43: limit 60000",
        ),
    ] {
        let sql = format!("SELECT id FROM products WHERE vector NEAR [1, 0] {rest}");
        for sql in [sql.clone(), format!("EXPLAIN ANALYZE {sql}")] {
            let (kind, error) = world.refused(&sql);
            assert_eq!(kind, ErrorKind::InvalidArgument, "{sql}");
            let told = said.split_once(": ").unwrap().1;
            assert!(error.contains(told), "{sql}\ngave {error}");
            assert!(
                sql.starts_with("EXPLAIN") || error.starts_with(said),
                "{sql}\ngave {error}"
            );
        }
    }
}

#[test]
fn a_search_is_explained() {
    let world = World::with_products();
    let explained =
        world.rows("EXPLAIN SELECT id FROM products WHERE vector NEAR [1, 0] AND price < 50");
    assert!(
        explained[0]["step"].as_str().unwrap().contains("price"),
        "{explained:?}"
    );
    assert!(explained[0]["estimated"].is_number());
    assert_eq!(explained[1]["step"], "memtable");
    assert!(explained[1].get("distance_computations").is_none());
    let analyzed = world
        .run("EXPLAIN ANALYZE SELECT id FROM products WHERE vector NEAR [1, 0] AND price < 50");
    assert_eq!(analyzed.searched_vectors, Some(6));
    let rows = objects(&analyzed);
    assert_eq!(rows[0]["matching"], 2);
    assert_eq!(
        (&rows[1]["points"], &rows[1]["matching"]),
        (&json!(6), &json!(2))
    );
    assert!(rows[1]["time_us"].as_f64().unwrap() > 0.0);
    assert_eq!(rows.last().unwrap()["step"], "read the hits");
}

#[test]
fn texts_words_and_places() {
    let world = World::new();
    world.run("CREATE COLLECTION c (dimension 1, metric l2, words text, at geo)");
    world.run_with(
        "INSERT INTO c (id, vector, name, words, at) VALUES (1, [1], 'chess_set', 'A box of chess', $1), \
         (2, [2], 'chessboard', 'the board, of oak', NULL)",
        json!([{"lat": 52.5, "lon": 13.4}]),
    );
    let ids = |condition: &str| {
        world
            .sorted(&format!("SELECT id FROM c WHERE {condition}"))
            .join(" ")
    };
    assert_eq!(ids("name LIKE 'chess%'"), "1 2");
    assert_eq!(ids("name LIKE 'chess\\_%'"), "1");
    assert_eq!(ids("name LIKE '%board%'"), "2");
    assert_eq!(ids("name NOT LIKE '%board%'"), "1");
    assert_eq!(ids("match(words, 'BOX ches*')"), "1");
    assert_eq!(ids("phrase(words, 'of oak')"), "2");
    assert_eq!(ids("geo_within(at, 52.52, 13.4, 5000)"), "1");
    assert_eq!(ids("NOT geo_within(at, 52.52, 13.4, 500)"), "1");
    assert_eq!(ids("geo_within(at, 50, 10, 55, 15)"), "1");
    world.run("UPDATE c SET at = geo(-10, 20.5) WHERE id = 2");
    assert_eq!(ids("geo_within(at, -10, 20.5, 1)"), "2");
}

#[test]
fn updates_and_deletes() {
    let world = World::with_products();
    let affected = |sql: &str| world.run(sql).affected;
    assert_eq!(
        affected("UPDATE products SET price = 1, sold = TRUE WHERE category = 'games'"),
        Some(2)
    );
    assert_eq!(
        world.sorted("SELECT id FROM products WHERE price = 1 AND sold"),
        ["1", "2"]
    );
    assert_eq!(
        affected("UPDATE products SET sold = FALSE WHERE id IN (2, 99) AND price = 1"),
        Some(1)
    );
    assert_eq!(
        world.sorted("SELECT id FROM products WHERE NOT sold"),
        ["2"]
    );
    assert_eq!(
        affected("UPDATE products SET price = NULL WHERE id = 99"),
        Some(0)
    );
    assert_eq!(affected("UPDATE products SET seen = 1 WHERE TRUE"), Some(6));

    assert_eq!(
        affected("DELETE FROM products WHERE id IN (1, 99)"),
        Some(1)
    );
    assert_eq!(
        affected("DELETE FROM products WHERE id IN (2, 3) AND category = 'books'"),
        Some(1)
    );
    assert_eq!(affected("DELETE FROM products WHERE price > 100"), Some(1));
    assert_eq!(world.sorted("SELECT id FROM products"), ["2", "4", "5"]);
    let (_, said) = world.refused("DELETE FROM products WHERE id <> 2");
    assert!(
        said.starts_with("1:28: only SELECT leaves ids out"),
        "{said}"
    );
    assert_eq!(world.sorted("SELECT id FROM products").len(), 3);
    assert_eq!(affected("DELETE FROM products WHERE TRUE"), Some(3));
    // As an upsert: an insert takes the place of a point.
    assert_eq!(
        affected("INSERT INTO products (id, vector) VALUES (1, [1, 1]), (1, [2, 2])"),
        Some(1)
    );
    let rows = world.rows("SELECT vector FROM products");
    assert_eq!(rows, [json!({"vector": [2.0, 2.0]})]);
}

#[test]
fn collections_and_their_columns() {
    let world = World::with_products();
    world.run("CREATE COLLECTION IF NOT EXISTS products (dimension 9)");
    let (kind, said) = world.refused("CREATE COLLECTION products (dimension 9)");
    assert_eq!(kind, ErrorKind::AlreadyExists);
    assert!(said.starts_with("1:19: "), "{said}");
    let shown = world.rows("SHOW COLLECTIONS");
    let expected = json!({
        "name": "products", "points": 6, "dimension": 2, "metric": "l2", "index": "flat", "broken": null
    });
    assert_eq!(shown, [expected]);
    let fields = world.rows("DESCRIBE products");
    assert_eq!(
        fields[1],
        json!({"name": "vector", "type": "f32(2)", "declared": false, "indexed": null})
    );
    assert_eq!(
        fields[4],
        json!({"name": "price", "type": "float", "declared": true, "indexed": true})
    );
    for (sql, indexed) in [
        ("DROP INDEX ON products (price)", false),
        ("DROP INDEX IF EXISTS ON products (price)", false),
        ("CREATE INDEX ON products (price)", true),
        ("CREATE INDEX IF NOT EXISTS ON products (price)", true),
    ] {
        world.run(sql);
        assert_eq!(
            world.rows("DESCRIBE products")[4]["indexed"],
            indexed,
            "{sql}"
        );
    }
    world.run("CREATE COLLECTION notes (dimension 1, body text(english) UNINDEXED, n int)");
    let fields = world.rows("DESCRIBE notes");
    assert_eq!(
        fields[2],
        json!({"name": "body", "type": "text(english)", "declared": true, "indexed": false})
    );
    assert_eq!(fields[3]["indexed"], true);
    world.run("CREATE INDEX ON notes (body)");
    world.run("INSERT INTO notes (id, vector, body) VALUES (1, [1], 'Two engines')");
    let found = "SELECT id FROM notes WHERE vector NEAR [1]";
    assert_eq!(
        world
            .rows(&format!("{found} AND match(body, 'engine')"))
            .len(),
        1
    );
    assert_eq!(
        world
            .rows(&format!("{found} AND phrase(body, 'engine')"))
            .len(),
        0
    );
    let costs = format!("{found} AND n IS NULL WITH (plan = 'check', plan_costs = 'counted')");
    assert_eq!(world.rows(&costs).len(), 1);
    let subset = format!("{found} AND n IS NULL WITH (plan = 'subset')");
    assert_eq!(world.rows(&subset).len(), 1);
    world.run("DROP COLLECTION notes");
    let (kind, said) = world.refused("CREATE INDEX ON products (prise)");
    assert_eq!(kind, ErrorKind::InvalidArgument);
    assert!(
        said.starts_with("1:27: ") && said.contains("did you mean price?"),
        "{said}"
    );
    let (kind, said) = world.refused("DROP INDEX ON product (price)");
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(said.starts_with("1:15: "), "{said}");
    world.run("DROP COLLECTION products");
    world.run("DROP COLLECTION IF EXISTS products");
    let (kind, said) = world.refused("DROP COLLECTION products");
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(said.starts_with("1:17: "), "{said}");
    assert!(world.rows("SHOW COLLECTIONS").is_empty());
}

#[test]
fn what_the_collection_does_not_have_is_told_at_its_place() {
    let world = World::with_products();
    for (sql, said) in [
        (
            "SELECT nam FROM products",
            "1:8: unknown field \"nam\" (did you mean name?)",
        ),
        (
            "SELECT id FROM products WHERE price < 5 AND prise = 1",
            "1:45: unknown field \"prise\" (did you mean price?)",
        ),
        (
            "SELECT id FROM products WHERE NOT (name = 'a' OR price = 'x')",
            "1:50: field price is float",
        ),
        (
            "DELETE FROM products WHERE price = 'x'",
            "1:28: field price is float",
        ),
        (
            "UPDATE products SET price = 1 WHERE name > 5",
            "1:37: field name is string",
        ),
        (
            "SELECT COUNT(*) FROM products WHERE name IN ('a', 5)",
            "1:37: field name is string",
        ),
        (
            "SELECT id FROM products ORDER BY prise",
            "1:34: unknown field \"prise\"",
        ),
        (
            "SELECT prise, COUNT(*) FROM products GROUP BY prise",
            "1:47: unknown field",
        ),
        (
            "SELECT price, price FROM products",
            "1:15: two columns are called \"price\"",
        ),
        (
            "SELECT *, name FROM products",
            "1:11: two columns are called \"name\"",
        ),
        (
            "SELECT id FROM products WHERE vector NEAR [1, 2, 3]",
            "1:43: ",
        ),
        (
            "SELECT id FROM products WHERE vector NEAR [1, 2] WITH (nprobe = 3)",
            "1:43: ",
        ),
        (
            "SELECT id FROM products WHERE vector NEAR [1, 2] LIMIT 1000000",
            "1:43: limit 1000000",
        ),
        (
            "SELECT id FROM products LIMIT 1000000",
            "100000 rows at most",
        ),
        (
            "INSERT INTO products (id, vector, price) VALUES (1, [1, 2], 'x')",
            "price",
        ),
        ("UPDATE products SET price = 'x' WHERE TRUE", "price"),
    ] {
        let (kind, error) = world.refused(sql);
        assert!(error.contains(said), "{sql}\ngave {error}");
        assert_eq!(kind, ErrorKind::InvalidArgument, "{sql}");
    }
    let (kind, said) = world.refused("SELECT id FROM product");
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(
        said.starts_with("1:16: ") && said.contains("products"),
        "{said}"
    );
    // Nothing was changed by what was refused.
    assert_eq!(
        world.sorted("SELECT id FROM products WHERE price = 20"),
        ["1"]
    );
}

#[test]
fn a_stopped_statement_does_nothing() {
    let world = World::with_products();
    let stop = StopSignal::new();
    stop.stop();
    for sql in [
        "DELETE FROM products WHERE TRUE",
        "SELECT * FROM products",
        "DROP COLLECTION products",
        "CREATE INDEX ON products (price)",
    ] {
        let error = world
            .local
            .query(sql, &Params::default(), &stop)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{sql}");
    }
    assert_eq!(world.sorted("SELECT id FROM products").len(), 6);
}
