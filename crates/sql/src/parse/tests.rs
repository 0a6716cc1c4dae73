//! What each kind of statement becomes, and what is refused how.

use serde_json::json;
use vecdb_engine::{Filter, GeoArea, GeoPoint, IndexSpec, Metric, OrderBy, PointId, Value};

use crate::{Action, Column, GroupColumn, GroupOrder, Params, Right, Select, Statement, Target};

fn parse(sql: &str) -> Action {
    with(sql, json!(null))
}

fn with(sql: &str, params: serde_json::Value) -> Action {
    let params = Params::from_json(&params).unwrap();
    let statement = Statement::parse(sql, &params);
    statement.unwrap_or_else(|error| panic!("{error}")).action
}

fn select(sql: &str) -> Select {
    match parse(sql) {
        Action::Select(select) => select,
        other => panic!("{other:?}"),
    }
}

/// The filter of a condition.
fn filter(condition: &str) -> Filter {
    let select = select(&format!("SELECT * FROM c WHERE {condition}"));
    select.rows.filter.unwrap_or_default()
}

fn refused(sql: &str) -> String {
    refused_with(sql, json!(null))
}

fn refused_with(sql: &str, params: serde_json::Value) -> String {
    let params = Params::from_json(&params).unwrap();
    match Statement::parse(sql, &params) {
        Err(error) => error.to_string(),
        Ok(statement) => panic!("{sql} is taken for {statement:?}"),
    }
}

#[test]
fn a_search_of_the_documentation() {
    let sql = "SELECT id, name, distance FROM products WHERE vector NEAR $q AND category = 'electronics' \
               AND price < 100 AND rating >= 4.0 ORDER BY distance LIMIT 10";
    let Action::Select(select) = with(sql, json!({"q": [0.5, 1]})) else {
        panic!("no select");
    };
    let near = select.near.unwrap();
    assert_eq!(near.target, Target::Vector(vec![0.5, 1.0]));
    assert_eq!(select.collection, "products");
    assert_eq!((select.limit, select.offset), (Some(10), 0));
    let columns: Vec<_> = select.columns.iter().map(|o| o.column.clone()).collect();
    let name = Column::Field("name".to_owned());
    assert_eq!(columns, [Column::Id, name, Column::Distance]);
    let expected = Filter::eq("category", "electronics")
        .and(Filter::lt("price", 100))
        .and(Filter::gte("rating", 4.0));
    assert_eq!(select.rows.filter, Some(expected));
    assert!(select.rows.ids.is_none());
}

#[test]
fn what_belongs_to_a_search() {
    let near = |rest: &str| {
        let sql = format!("SELECT * FROM c WHERE vector NEAR [1, -2.5] {rest}");
        select(&sql).near.unwrap()
    };
    let plain = near("");
    assert_eq!(plain.target, Target::Vector(vec![1.0, -2.5]));
    assert_eq!(near("AND distance <= 0.4").max_distance, Some(0.4));
    assert_eq!(near("AND 0.4 >= distance").max_distance, Some(0.4));
    assert!(near("AND distance < 0.4").max_distance < Some(0.4));
    assert_eq!(near("AND score >= 0.7").min_score, Some(0.7));
    assert!(near("AND score > 0.7").min_score > Some(0.7));
    let both = near("AND distance <= 3 AND distance <= 2 AND score >= 1 AND score >= 2");
    assert_eq!((both.max_distance, both.min_score), (Some(2.0), Some(2.0)));

    let knobs = near("WITH (ef = 200, exact = TRUE, timeout_ms = 50)");
    assert_eq!((knobs.params.ef, knobs.params.exact), (Some(200), true));
    assert_eq!(knobs.timeout.unwrap().as_millis(), 50);
    assert!(!knobs.cache && near("WITH (cache = TRUE)").cache);
    let recall = near("LIMIT 5 WITH (target_recall = 0.95)")
        .params
        .target_recall;
    assert_eq!(recall, Some(0.95));

    let like = select(
        "SELECT id FROM c WHERE vector NEAR (SELECT vector FROM d WHERE id = 'x') AND id <> 'x'",
    );
    let point = Target::Point {
        collection: "d".to_owned(),
        id: "x".into(),
    };
    assert_eq!(like.near.unwrap().target, point);
    assert_eq!(like.rows.without, ["x".into()]);
    assert_eq!(plain.groups, None);
    for (rest, field, size) in [
        ("GROUP BY brand", "brand", 1),
        ("GROUP BY c.size.kb LIMIT 3 PER GROUP", "size.kb", 3),
        (
            "GROUP BY a ORDER BY distance LIMIT 5 OFFSET 2 limit 3 per group WITH (ef = 9)",
            "a",
            3,
        ),
    ] {
        let groups = near(rest).groups.unwrap();
        assert_eq!(
            (groups.field.as_str(), groups.size),
            (field, size),
            "{rest}"
        );
    }
    let grouped =
        "SELECT id FROM c WHERE vector NEAR [1] GROUP BY a LIMIT 3 PER GROUP LIMIT 5 OFFSET 2";
    let grouped = select(grouped);
    assert_eq!((grouped.limit, grouped.offset), (Some(5), 2));
    for order in ["distance", "distance ASC", "score DESC", "distance, id"] {
        near(&format!("ORDER BY {order} LIMIT 3 OFFSET 2"));
    }
}

#[test]
fn names_of_columns() {
    let sql = "SELECT p.id AS \"the id\", metadata.id, \"two words\", size.kb, products.price cost, vector FROM products AS p";
    let columns: Vec<_> = select(sql).columns;
    let field = |name: &str| Column::Field(name.to_owned());
    let expected = [
        (Column::Id, "the id"),
        (field("id"), "id"),
        (field("two words"), "two words"),
        (field("size.kb"), "size.kb"),
        (field("price"), "cost"),
        (Column::Vector, "vector"),
    ];
    for (output, (column, name)) in columns.iter().zip(expected) {
        assert_eq!((&output.column, output.name.as_str()), (&column, name));
    }
    assert_eq!(columns.len(), 6);
    assert_eq!(filter("\"from\" = 1"), Filter::eq("from", 1));
    assert_eq!(filter("Price = 1"), Filter::eq("Price", 1));
}

#[test]
fn comparisons_become_filters() {
    let (a1, b1) = (|| Filter::eq("a", 1), || Filter::eq("b", 1));
    let not_null = |field: &str| Filter::ne(field, Value::Null);
    let point = |latitude, longitude| GeoPoint::new(latitude, longitude).unwrap();
    let circle = GeoArea::circle(point(52.5, 13.0), 1_000.0).unwrap();
    let bounds = GeoArea::bounds(point(-10.0, -20.5), point(10.0, 20.0)).unwrap();
    for (sql, expected) in [
        ("a = 1", a1()),
        ("1 = a", a1()),
        ("5 > a", Filter::lt("a", 5)),
        ("a > -5", Filter::gt("a", -5)),
        ("a = (5)", Filter::eq("a", 5)),
        ("a = '5''6'", Filter::eq("a", "5'6")),
        ("a = TRUE", Filter::eq("a", true)),
        ("a", Filter::eq("a", true)),
        ("a AND b = 1", Filter::eq("a", true).and(b1())),
        ("at >= DATE '2026-01-31'", Filter::gte("at", "2026-01-31")),
        ("a IN (1, 2)", Filter::is_in("a", [1, 2])),
        (
            "a BETWEEN 1 AND 2",
            Filter::gte("a", 1).and(Filter::lte("a", 2)),
        ),
        ("a IS NULL", Filter::eq("a", Value::Null)),
        ("a IS NOT NULL", not_null("a")),
        ("a LIKE 'x%'", Filter::starts_with("a", "x")),
        ("a LIKE '%x%'", Filter::contains("a", "x")),
        ("a LIKE 'x'", Filter::eq("a", "x")),
        (
            "a NOT LIKE 'x%'",
            (!Filter::starts_with("a", "x")).and(not_null("a")),
        ),
        ("starts_with(a, 'x')", Filter::starts_with("a", "x")),
        ("contains(a.b, 'x')", Filter::contains("a.b", "x")),
        (
            "MATCH(a, 'two words')",
            Filter::text("a", "two words").unwrap(),
        ),
        (
            "phrase(a, 'two words')",
            Filter::phrase("a", "two words").unwrap(),
        ),
        (
            "geo_within(a, 52.5, 13, 1000)",
            Filter::geo_within("a", circle),
        ),
        (
            "geo_within(a, -10, -20.5, 10, 20)",
            Filter::geo_within("a", bounds),
        ),
        ("EXISTS (a)", Filter::exists("a", true)),
        ("NOT EXISTS (a)", Filter::exists("a", false)),
        (
            "a = 1 OR b = 1 AND a = 1",
            a1().or(Filter::And(vec![b1(), a1()])),
        ),
        (
            "(a = 1 OR b = 1) AND (a = 1)",
            Filter::And(vec![a1().or(b1()), a1()]),
        ),
        ("TRUE", Filter::All),
        ("FALSE", Filter::Or(vec![])),
        ("TRUE AND a = 1", a1()),
        // NULL is neither equal nor unequal to anything.
        ("a <> 1", Filter::ne("a", 1).and(not_null("a"))),
        ("a != 1", Filter::ne("a", 1).and(not_null("a"))),
        ("NOT a = 1", Filter::ne("a", 1).and(not_null("a"))),
        ("NOT NOT a = 1", a1()),
        ("a NOT IN (1)", Filter::not_in("a", [1]).and(not_null("a"))),
        ("NOT a < 1", (!Filter::lt("a", 1)).and(not_null("a"))),
        ("NOT (a IS NULL)", not_null("a")),
        (
            "NOT (a = 1 AND b = 1)",
            Filter::Or(vec![
                Filter::ne("a", 1).and(not_null("a")),
                Filter::ne("b", 1).and(not_null("b")),
            ]),
        ),
        (
            "NOT (a = 1 OR b = 1)",
            Filter::ne("a", 1)
                .and(not_null("a"))
                .and(Filter::ne("b", 1))
                .and(not_null("b")),
        ),
    ] {
        assert_eq!(filter(sql), expected, "{sql}");
    }
}

#[test]
fn ids_are_told_from_metadata() {
    let rows = |condition: &str| select(&format!("SELECT * FROM c WHERE {condition}")).rows;
    let ids = |ids: &[PointId]| Some(ids.to_vec());
    assert_eq!(rows("id = 5").ids, ids(&[5.into()]));
    assert_eq!(rows("id = '5'").ids, ids(&["5".into()]));
    let large = rows("id = 18446744073709551615").ids;
    assert_eq!(large, ids(&[u64::MAX.into()]));
    let several = rows("id IN ('b', 'a', 'b') AND a = 1");
    assert_eq!(several.ids, ids(&["b".into(), "a".into()]));
    assert_eq!(several.filter, Some(Filter::eq("a", 1)));
    assert_eq!(rows("id IN (1, 2) AND id IN (2, 3)").ids, ids(&[2.into()]));
    assert_eq!(rows("id IN (1, 2) AND NOT id = 2").ids, ids(&[1.into()]));
    assert_eq!(rows("id NOT IN (2, 1)").without, [1.into(), 2.into()]);
    let uuid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    let found = rows(&format!("id = UUID '{uuid}'")).ids.unwrap();
    assert!(matches!(found.as_slice(), [PointId::Uuid(_)]));
}

#[test]
fn parameters_are_values_and_never_text() {
    let evil = "x' OR TRUE; DROP COLLECTION c; --";
    let Action::Select(select) = with("SELECT * FROM c WHERE a = $1", json!([evil])) else {
        panic!("no select");
    };
    assert_eq!(select.rows.filter, Some(Filter::eq("a", evil)));
    let Action::Delete(delete) = with(
        "DELETE FROM c WHERE id = ? AND a IN (?, 'z')",
        json!([evil, ["p", evil]]),
    ) else {
        panic!("no delete");
    };
    assert_eq!(delete.rows.ids, Some(vec![evil.into()]));
    let listed = Filter::is_in("a", ["p", evil, "z"]);
    assert_eq!(delete.rows.filter, Some(listed));
    // A name cannot be a parameter.
    for sql in [
        "SELECT * FROM $1",
        "SELECT $1 FROM c",
        "UPDATE c SET $1 = 1 WHERE TRUE",
    ] {
        let error = refused_with(sql, json!([evil]));
        assert!(error.contains("expected"), "{error}");
    }
    let empty = with("SELECT * FROM c WHERE a IN ($1)", json!([[]]));
    let Action::Select(select) = empty else {
        panic!()
    };
    assert_eq!(select.rows.filter, Some(Filter::In("a".to_owned(), vec![])));
    let error = refused_with("SELECT * FROM c WHERE a = $1", json!([1, 2]));
    assert!(error.contains("$2"), "{error}");
    let error = refused_with("SELECT * FROM c WHERE a = $nme", json!({"name": 1}));
    assert!(
        error.contains("1:27: ") && error.contains("did you mean name?"),
        "{error}"
    );
}

#[test]
fn writes() {
    let Action::Insert(insert) = with(
        "INSERT INTO c (id, vector, name, tags) VALUES ('a', [1, 2], 'x', ['p', 'q']), (7, $1, NULL, $2);",
        json!([[0.5, 1.5], []]),
    ) else {
        panic!("no insert");
    };
    assert_eq!(insert.points[0].vector, [1.0, 2.0]);
    assert_eq!(insert.points[0].metadata["tags"], vec!["p", "q"].into());
    assert_eq!(insert.points[1].id, 7.into());
    assert_eq!(insert.points[1].vector, [0.5, 1.5]);
    assert_eq!(insert.points[1].metadata["name"], Value::Null);

    let Action::Update(update) =
        parse("UPDATE c SET price = 5, old = NULL, metadata.id = 'm' WHERE id IN (1, 2)")
    else {
        panic!("no update");
    };
    assert_eq!(update.changes["price"], Value::Int(5));
    assert_eq!(update.changes["old"], Value::Null);
    assert_eq!(update.changes["id"], "m".into());
    assert_eq!(update.rows.ids.unwrap().len(), 2);

    let Action::Delete(delete) = parse("DELETE FROM c WHERE TRUE") else {
        panic!("no delete");
    };
    assert!(delete.rows.is_all());
    let Action::Count(count) = parse("SELECT COUNT(*) AS n FROM c WHERE a = 1") else {
        panic!("no count");
    };
    assert_eq!(
        (count.name.as_str(), count.rows.filter),
        ("n", Some(Filter::eq("a", 1)))
    );
}

#[test]
fn collections() {
    let Action::CreateCollection(create) = parse(
        "CREATE COLLECTION IF NOT EXISTS c (dimension 3, metric l2, index hnsw (m = 8, ef_construction = 50), \
         element f16, durability interval_ms (20), price float, tags VARCHAR[] unindexed, words text UNINDEXED, \"index\" integer, \
         at TIMESTAMP)",
    ) else {
        panic!("no create");
    };
    assert!(create.if_not_exists);
    let field = create.config.vector().unwrap();
    assert_eq!((field.dimension, field.metric), (3, Metric::L2));
    assert_eq!(field.element.to_string(), "f16");
    let IndexSpec::Hnsw(params) = &field.index else {
        panic!("{:?}", field.index);
    };
    assert_eq!((params.m, params.ef_construction), (8, 50));
    let kinds: Vec<_> = create
        .config
        .fields
        .iter()
        .map(|(f, k)| format!("{f} {k}"))
        .collect();
    assert_eq!(
        kinds,
        [
            "at datetime",
            "index int",
            "price float",
            "tags string[]",
            "words text"
        ]
    );
    let unindexed: Vec<_> = create.config.unindexed.iter().collect();
    assert_eq!(unindexed, ["tags", "words"]);
    let Action::CreateCollection(create) =
        parse("CREATE TABLE c (vector VECTOR(4), name VARCHAR(20))")
    else {
        panic!("no create");
    };
    assert_eq!(create.config.vector().unwrap().dimension, 4);

    let Action::DropCollection(drop) = parse("DROP COLLECTION IF EXISTS \"a b\"") else {
        panic!("no drop");
    };
    assert_eq!((drop.name.as_str(), drop.if_exists), ("a b", true));
    for (sql, wanted) in [
        ("CREATE INDEX ON c (size.kb)", "size.kb"),
        ("create index if not exists on c (c.\"a b\");", "a b"),
        ("CREATE INDEX ON c (metadata.id)", "id"),
    ] {
        let Action::CreateIndex(index) = parse(sql) else {
            panic!("{sql}");
        };
        assert_eq!(
            (index.collection.as_str(), index.field.as_str()),
            ("c", wanted)
        );
    }
    let Action::DropIndex(index) = parse("DROP INDEX IF EXISTS ON c (price)") else {
        panic!("no drop");
    };
    assert_eq!(
        (index.collection.as_str(), index.field.as_str()),
        ("c", "price")
    );
    assert_eq!(parse("SHOW COLLECTIONS"), Action::ShowCollections);
    for sql in [
        "SHOW FIELDS FROM c",
        "DESCRIBE c",
        "DESCRIBE COLLECTION c;",
        "SHOW COLUMNS IN c",
    ] {
        let collection = "c".to_owned();
        assert_eq!(parse(sql), Action::ShowFields { collection }, "{sql}");
    }
}

#[test]
fn orders_and_groups() {
    let by = |sql: &str| select(sql).order_by.unwrap();
    assert_eq!(
        by("SELECT * FROM c ORDER BY price DESC LIMIT 3"),
        OrderBy::descending("price")
    );
    assert_eq!(
        by("SELECT price AS p FROM c ORDER BY p NULLS LAST, id"),
        OrderBy::ascending("price")
    );
    let group = |sql: &str| match parse(sql) {
        Action::Group(group) => group,
        other => panic!("{other:?}"),
    };
    let most = group(
        "SELECT category, COUNT(*) AS n FROM c WHERE price < 5 GROUP BY category ORDER BY n DESC LIMIT 3 OFFSET 1",
    );
    assert_eq!(most.field, "category");
    let columns = [
        (GroupColumn::Value, "category".to_owned()),
        (GroupColumn::Count, "n".to_owned()),
    ];
    assert_eq!(most.columns, columns);
    assert_eq!((most.limit, most.offset), (Some(3), 1));
    assert_eq!(most.rows.filter, Some(Filter::lt("price", 5)));
    let (count, value) = (GroupColumn::Count, GroupColumn::Value);
    for (order, by, descending) in [
        ("", count, true),
        ("ORDER BY COUNT(*)", count, false),
        ("ORDER BY COUNT(*) DESC, a", count, true),
        ("ORDER BY a", value, false),
        ("ORDER BY a DESC", value, true),
    ] {
        let order = group(&format!("SELECT COUNT(*), a FROM c GROUP BY a {order}")).order;
        assert_eq!(order, GroupOrder { by, descending });
    }
}

#[test]
fn rights_and_collections() {
    for (sql, right, collection) in [
        ("SELECT * FROM c", Right::Read, Some("c")),
        ("SELECT COUNT(*) FROM c", Right::Read, Some("c")),
        ("SHOW COLLECTIONS", Right::Read, None),
        ("DESCRIBE c", Right::Read, Some("c")),
        (
            "INSERT INTO c (id, vector) VALUES (1, [1])",
            Right::Write,
            Some("c"),
        ),
        ("UPDATE c SET a = 1 WHERE TRUE", Right::Write, Some("c")),
        ("DELETE FROM c WHERE id = 1", Right::Write, Some("c")),
        ("CREATE COLLECTION c (dimension 1)", Right::Admin, Some("c")),
        ("DROP COLLECTION c", Right::Admin, Some("c")),
        ("CREATE INDEX ON c (a)", Right::Admin, Some("c")),
        ("DROP INDEX ON c (a)", Right::Admin, Some("c")),
    ] {
        let statement = Statement::parse(sql, &Params::default()).unwrap();
        assert_eq!(statement.right(), right, "{sql}");
        assert_eq!(statement.collection(), collection, "{sql}");
        assert_eq!(statement.also_reads(), None, "{sql}");
    }
    let explain = "EXPLAIN ANALYZE SELECT * FROM c WHERE vector NEAR [1]";
    let statement = Statement::parse(explain, &Params::default()).unwrap();
    assert_eq!(
        (statement.right(), statement.collection()),
        (Right::Read, Some("c"))
    );
    let sql = "SELECT * FROM c WHERE vector NEAR (SELECT vector FROM d WHERE id = 1)";
    let statement = Statement::parse(sql, &Params::default()).unwrap();
    assert_eq!(statement.also_reads(), Some("d"));
}

#[test]
fn errors_point_at_what_is_wrong_and_say_what_would_be_right() {
    for (sql, said) in [
        ("", "1:1: there is no statement"),
        (
            "SELECT id FROM c WHERE vector NEAR [1] WITH (cache = 5)",
            "1:54: cache is TRUE or FALSE",
        ),
        ("CREATE VIEW c", "1:8: expected COLLECTION or INDEX"),
        (
            "CREATE INDEX by_a ON c (a)",
            "1:14: expected ON, the collection",
        ),
        (
            "CREATE INDEX ON c (a, b)",
            "1:21: expected `)`; an index is of one field",
        ),
        (
            "DROP INDEX ON c (vector)",
            "1:18: an index is of a metadata field",
        ),
        ("DROP INDEX ON c", "1:16: expected `(`"),
        (
            "  SELCT * FROM c",
            "1:3: SELCT begins no statement (did you mean SELECT?)",
        ),
        (
            "SELECT * FROM c; SELECT * FROM d",
            "1:18: there is a second statement",
        ),
        (
            "SELECT * FROM",
            "1:14: expected the name of a collection, found the end",
        ),
        (
            "SELECT * FROM a, b",
            "1:16: a statement is about one collection",
        ),
        (
            "SELECT * FROM a JOIN b",
            "1:17: expected the end of the statement, found JOIN; a statement is about one",
        ),
        (
            "SELECT * FROM a UNION SELECT * FROM b",
            "one statement after the other",
        ),
        (
            "SELECT DISTINCT a FROM c",
            "1:8: there is no SELECT DISTINCT",
        ),
        ("SELECT sum(a) FROM c", "1:8: there is no function sum"),
        (
            "SELECT from FROM c",
            "1:8: expected a column, `*` or COUNT(*), found from; a name that is a keyword",
        ),
        ("SELECT a, FROM c", "1:11: expected a column"),
        (
            "SELECT distance FROM c",
            "1:8: only a search has a distance",
        ),
        ("SELECT * FROM c WHERE score > 1", "1:23: only a search has"),
        (
            "SELECT a FROM c WHERE a = NULL",
            "1:27: nothing compares with NULL; write IS NULL",
        ),
        (
            "SELECT a FROM c WHERE a IN (1, NULL)",
            "1:32: nothing compares with NULL",
        ),
        (
            "SELECT a FROM c WHERE a = b",
            "1:27: expected a value, found b: columns are compared with values",
        ),
        (
            "SELECT a FROM c WHERE a = \"b\"",
            "1:27: \"b\" is the name of a column; a text stands in single quotes: 'b'",
        ),
        ("SELECT a FROM c WHERE a = now()", "1:27: now is no value"),
        (
            "SELECT a FROM c WHERE a + 1 = 2",
            "1:25: expected a comparison",
        ),
        (
            "SELECT a FROM c WHERE a =",
            "1:26: expected a value, found the end",
        ),
        ("SELECT a FROM c WHERE a IN ()", "1:28: an empty list"),
        (
            "SELECT a FROM c WHERE a IN 5",
            "1:28: expected a list in parentheses",
        ),
        (
            "SELECT a FROM c WHERE (a = 1",
            "1:29: expected AND, OR or `)`, found the end",
        ),
        (
            "SELECT a FROM c WHERE a = 1)",
            "1:28: expected the end of the statement, found `)`",
        ),
        ("SELECT a FROM c WHERE f(a)", "1:23: there is no function f"),
        (
            "SELECT a FROM c WHERE contain(a, 'x')",
            "1:23: there is no function contain (did you mean contains?)",
        ),
        (
            "SELECT a FROM c WHERE contains(a)",
            "1:23: contains takes a field and a text",
        ),
        (
            "SELECT a FROM c WHERE contains(id, 'x')",
            "1:32: contains is about metadata fields",
        ),
        (
            "SELECT a FROM c WHERE contains(a, 5)",
            "1:35: expected a text",
        ),
        ("SELECT a FROM c WHERE match(a, '...')", "1:23: "),
        (
            "SELECT a FROM c WHERE geo_within(a, 1, 2)",
            "radius in metres",
        ),
        (
            "SELECT a FROM c WHERE geo_within(a, 91, 2, 5)",
            "latitude 91",
        ),
        (
            "SELECT a FROM c WHERE a LIKE '%x'",
            "1:30: LIKE takes 'abc%'",
        ),
        ("SELECT a FROM c WHERE a LIKE 5", "1:30: expected a text"),
        ("SELECT a FROM c WHERE a LIKE 'x' ESCAPE '!'", "no ESCAPE"),
        ("EXPLAIN SELECT a FROM c", "1:9: EXPLAIN is about searches"),
        (
            "EXPLAIN DELETE FROM c WHERE TRUE",
            "1:9: EXPLAIN is about searches",
        ),
        (
            "SELECT a FROM c WHERE a = [1]",
            "1:27: expected a single value, not an array",
        ),
        (
            "SELECT a FROM c WHERE a = 99999999999999999999",
            "1:27: the number 99999999999999999999 is out of range",
        ),
        ("SELECT a FROM c WHERE a = 1e999", "is out of range"),
        ("SELECT a FROM c WHERE id > 5", "1:23: ids have no order"),
        (
            "SELECT a FROM c WHERE id = 1.5",
            "1:28: an id is a text or a whole number",
        ),
        (
            "SELECT a FROM c WHERE id = -1",
            "1:28: an id is a text or a whole number",
        ),
        (
            "SELECT a FROM c WHERE id = 1 OR a = 1",
            "1:23: a condition on id can only be joined",
        ),
        (
            "SELECT a FROM c WHERE NOT (id = 1 AND a = 1)",
            "can only be joined",
        ),
        (
            "SELECT a FROM c WHERE id IS NULL",
            "1:23: only metadata fields can be NULL",
        ),
        (
            "SELECT a FROM c WHERE vector = [1]",
            "1:23: vectors are not compared: write vector NEAR",
        ),
        (
            "SELECT a FROM c WHERE a NEAR [1]",
            "1:23: NEAR is about the vector",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR 'x'",
            "1:35: expected a vector such as [0.1, 0.2], not \"x\"",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR []",
            "1:35: the vector has no values",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1, 'x']",
            "value 1 of the vector is \"x\"",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1e300]",
            "beyond what 32-bit floats hold",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] OR a = 1",
            "1:23: NEAR can only be joined",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] AND vector NEAR [1]",
            "1:43: a statement has at most one NEAR",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] AND distance > 1",
            "from above only",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] AND id = 1",
            "1:43: a search is over all points",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] ORDER BY a",
            "1:48: a search is ordered by distance",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] ORDER BY distance DESC",
            "the nearest first",
        ),
        (
            "SELECT a FROM c ORDER BY a, b",
            "1:29: what is equal comes in the order of the ids",
        ),
        (
            "SELECT a FROM c ORDER BY id",
            "1:26: points are ordered by a metadata field",
        ),
        (
            "SELECT a FROM c ORDER BY distance",
            "1:26: only a search has a distance",
        ),
        (
            "SELECT a FROM c ORDER BY a NULLS FIRST",
            "1:28: points without a value come last",
        ),
        (
            "SELECT a FROM c WHERE id IN (1, 2) ORDER BY a",
            "1:45: points that are named by id",
        ),
        (
            "SELECT a FROM c GROUP BY b",
            "1:8: a group has its value, b, and COUNT(*)",
        ),
        (
            "SELECT * FROM c GROUP BY b",
            "1:8: a group has its value and COUNT(*)",
        ),
        (
            "SELECT b, COUNT(*) FROM c GROUP BY b, a",
            "1:37: GROUP BY takes one field",
        ),
        (
            "SELECT id, COUNT(*) FROM c GROUP BY id",
            "1:37: GROUP BY takes a metadata field",
        ),
        (
            "SELECT b, COUNT(*) FROM c GROUP BY b ORDER BY a",
            "1:47: groups are ordered by COUNT(*) or by b",
        ),
        (
            "SELECT b, COUNT(*) FROM c WHERE id = 1 GROUP BY b",
            "1:33: GROUP BY counts all points",
        ),
        (
            "SELECT b, b FROM c GROUP BY b",
            "1:11: two columns are called \"b\"",
        ),
        (
            "SELECT b, COUNT(*) FROM c GROUP BY b HAVING b > 1",
            "there is no HAVING",
        ),
        (
            "SELECT COUNT(*) FROM c ORDER BY COUNT(*)",
            "nothing to order",
        ),
        (
            "SELECT a, COUNT(*) FROM c WHERE vector NEAR [1] GROUP BY a",
            "1:11: a search has as many hits as LIMIT says: COUNT(*) has no NEAR",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] GROUP BY id",
            "1:48: GROUP BY takes a metadata field",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] GROUP BY a, b",
            "1:49: GROUP BY takes one field",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] GROUP BY a ORDER BY a",
            "1:59: a search is ordered by distance",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] GROUP BY a LIMIT 0 PER GROUP",
            "1:50: a group has one point at least",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] GROUP BY a LIMIT 3 PER a",
            "1:62: expected GROUP, found a",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] GROUP BY a LIMIT 3 BY a",
            "1:58: write GROUP BY and the field, and behind it LIMIT n PER GROUP",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] LIMIT 5 LIMIT 3 PER GROUP",
            "1:47: LIMIT n PER GROUP needs groups",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] GROUP BY a LIMIT 1 PER GROUP LIMIT 2 PER GROUP",
            "1:68: the LIMIT is there twice",
        ),
        (
            "SELECT a FROM c LIMIT 5 LIMIT 6",
            "1:25: the LIMIT is there twice",
        ),
        (
            "SELECT a, COUNT(*) FROM c GROUP BY a LIMIT 3 PER GROUP",
            "1:38: LIMIT n PER GROUP is for the groups of a search",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] WITH (eff = 3)",
            "1:45: unknown knob eff (did you mean ef?)",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR [1] WITH (ef = 'x')",
            "1:50: ef: ",
        ),
        (
            "SELECT a FROM c WITH (ef = 3)",
            "1:17: WITH sets the knobs of a search",
        ),
        (
            "SELECT a FROM c WHERE vector NEAR (SELECT name FROM d WHERE id = 1)",
            "(SELECT vector FROM c WHERE id = 'x')",
        ),
        ("SELECT a FROM c LIMIT -1", "1:23: LIMIT -1 is below 0"),
        ("SELECT a FROM c LIMIT 1, 2", "write LIMIT n OFFSET m"),
        ("SELECT COUNT(*), a FROM c", "1:8: COUNT(*) stands alone"),
        ("SELECT COUNT(a) FROM c", "1:14: expected `*`"),
        (
            "SELECT COUNT(*) FROM c WHERE vector NEAR [1]",
            "COUNT(*) has no NEAR",
        ),
        (
            "DELETE FROM c",
            "1:14: DELETE without WHERE would change every point; write WHERE TRUE",
        ),
        ("UPDATE c SET a = 1", "UPDATE without WHERE"),
        (
            "UPDATE c SET a = a + 1 WHERE TRUE",
            "1:18: expected a value, found a",
        ),
        (
            "UPDATE c SET a = 1 + 1 WHERE TRUE",
            "1:20: nothing is computed here",
        ),
        (
            "UPDATE c SET vector = [1] WHERE id = 1",
            "1:14: UPDATE changes metadata",
        ),
        (
            "UPDATE c SET a = 1, a = 2 WHERE TRUE",
            "1:21: the field is set twice",
        ),
        ("DELETE FROM c WHERE vector NEAR [1]", "DELETE has no NEAR"),
        ("INSERT INTO c VALUES (1)", "1:15: expected the columns"),
        (
            "INSERT INTO c (id, a) VALUES (1, 2)",
            "1:15: every point needs an id and a vector: vector is missing",
        ),
        (
            "INSERT INTO c (id, vector, id) VALUES (1, [1], 2)",
            "1:28: the column is there twice",
        ),
        (
            "INSERT INTO c (id, vector) VALUES (1, [1]), (2)",
            "1:45: 1 values for 2 columns",
        ),
        (
            "INSERT INTO c (id, vector) SELECT id, vector FROM d",
            "there is no INSERT ... SELECT",
        ),
        (
            "CREATE COLLECTION c",
            "1:20: expected the settings in parentheses: dimension 384",
        ),
        ("CREATE COLLECTION c (metric l2)", "how many values"),
        ("CREATE COLLECTION c (dimension 3, metric cosin)", "1:42: "),
        (
            "CREATE COLLECTION c (dimension 3, index hnsw (m = 1))",
            "1:41: ",
        ),
        (
            "CREATE COLLECTION c (dimension 3, index hnsw (M = 8))",
            "`M`",
        ),
        (
            "CREATE COLLECTION c (dimension 3, price flot)",
            "did you mean float?",
        ),
        (
            "CREATE COLLECTION c (dimension 3 UNINDEXED)",
            "1:34: expected `,` or `)`, found UNINDEXED",
        ),
        (
            "CREATE COLLECTION c (dimension 3, dimension 4)",
            "1:35: dimension is said twice",
        ),
        (
            "CREATE COLLECTION c (dimension 0)",
            "1:19: dimension 0 is not between",
        ),
        ("SHOW ME", "1:6: expected COLLECTIONS or FIELDS FROM"),
        ("SELECT a FROM c WHERE a = 'x", "1:"),
        ("SELECT a FROM c\nWHERE a =\n  b", "3:3: expected a value"),
        (
            "SELECT a FROM c WHERE a = $1",
            "1:27: there is no parameter 1: none is given",
        ),
        ("SELECT a FROM c WHERE a :: int = 1", "found `::`"),
    ] {
        let error = refused(sql);
        assert!(error.contains(said), "{sql}\ngave {error}");
        assert!(error.contains('^'), "{error}");
    }
}

#[test]
fn nesting_has_a_limit_and_width_has_none() {
    let deep = |levels: usize| {
        format!(
            "SELECT * FROM c WHERE {}a = 1{}",
            "(".repeat(levels),
            ")".repeat(levels)
        )
    };
    assert!(Statement::parse(&deep(60), &Params::default()).is_ok());
    for sql in [
        deep(1_000),
        deep(200_000),
        format!("SELECT * FROM c WHERE {} a = 1", "NOT ".repeat(100_000)),
        format!(
            "SELECT * FROM c WHERE a = {}1{}",
            "(".repeat(100_000),
            ")".repeat(100_000)
        ),
        format!("SELECT * FROM c WHERE a = {}1", "[".repeat(100_000)),
    ] {
        let error = refused(&sql);
        assert!(error.contains("more than 64 levels deep"), "{error}");
    }
    let numbers: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let list = format!("a IN ({})", numbers.join(", "));
    assert_eq!(filter(&list), Filter::is_in("a", 0..100_000));
    let wide: Vec<String> = (0..20_000).map(|n| format!("a = {n}")).collect();
    let Filter::Or(parts) = filter(&wide.join(" OR ")) else {
        panic!("no or");
    };
    assert_eq!(parts.len(), 20_000);
    let Filter::And(parts) = filter(&wide.join(" AND ")) else {
        panic!("no and");
    };
    assert_eq!(parts.len(), 20_000);
}
