//! SQL over HTTP: results, rights, refusals.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Face, request, with_keys};

async fn query(face: &Face, sql: &str, params: Value) -> Answer {
    face.post("/v1/query", json!({"sql": sql, "params": params}))
        .await
}

#[tokio::test]
async fn every_kind_of_statement() {
    let face = Face::with_products().await;
    let search = query(
        &face,
        "SELECT id, category, distance FROM products WHERE vector NEAR $q AND price < 100 LIMIT 1",
        json!({"q": [0.9, 0.1, 0]}),
    )
    .await;
    assert_eq!(search.status, StatusCode::OK, "{}", search.body);
    assert_eq!(search.body["rows"][0]["id"], 1);
    assert_eq!(search.body["searched_vectors"], 3);
    assert_eq!(
        search.body["columns"][2],
        json!({"name": "distance", "type": "float"})
    );
    let listed = query(
        &face,
        "SELECT id FROM products WHERE price IN (?)",
        json!([[20, 60.5]]),
    )
    .await;
    assert_eq!(
        listed.body["rows"].as_array().map(Vec::len),
        Some(2),
        "{}",
        listed.body
    );
    for (sql, part, expected) in [
        (
            "SELECT COUNT(*) FROM products",
            "rows",
            json!([{"count": 3}]),
        ),
        (
            "INSERT INTO products (id, vector) VALUES (9, [0, 0, 1])",
            "affected",
            json!(1),
        ),
        (
            "UPDATE products SET category = 'x' WHERE id = 9",
            "affected",
            json!(1),
        ),
        (
            "SELECT category, COUNT(*) FROM products GROUP BY category LIMIT 1",
            "rows",
            json!([{"category": "games", "count": 2}]),
        ),
        (
            "SELECT category, id FROM products WHERE vector NEAR [1, 0, 0] GROUP BY category LIMIT 2 PER GROUP LIMIT 1",
            "rows",
            json!([{"category": "games", "id": 1}, {"category": "games", "id": 2}]),
        ),
        (
            "DELETE FROM products WHERE category = 'x'",
            "affected",
            json!(1),
        ),
        ("CREATE COLLECTION d (dimension 2)", "rows", json!([])),
        ("DROP COLLECTION d", "columns", json!([])),
    ] {
        let answer = query(&face, sql, Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{sql}: {}", answer.body);
        assert_eq!(answer.body[part], expected, "{sql}");
    }
    let shown = query(&face, "SHOW COLLECTIONS", json!([])).await;
    assert_eq!(shown.body["rows"][0]["name"], "products");
    // Beyond what is read in place.
    let long = format!(
        "SELECT COUNT(*) FROM products WHERE price IN ({})",
        vec!["20"; 20_000].join(", ")
    );
    let answer = query(&face, &long, Value::Null).await;
    assert_eq!(answer.body["rows"], json!([{"count": 1}]));
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_place() {
    let face = Face::with_products().await;
    for (body, status, said) in [
        (
            json!({"sql": "SELECT id FROM products WHERE prise = 1"}),
            StatusCode::BAD_REQUEST,
            "1:31: unknown field",
        ),
        (
            json!({"sql": "SELECT id FROM product"}),
            StatusCode::NOT_FOUND,
            "1:16: ",
        ),
        (
            json!({"sql": "SELEC"}),
            StatusCode::BAD_REQUEST,
            "did you mean SELECT?",
        ),
        (
            json!({"sql": "SELECT * FROM c WHERE a = $1", "params": [1, 2]}),
            StatusCode::BAD_REQUEST,
            "$2",
        ),
        (
            json!({"sql": "SELECT * FROM c", "params": [{"a": 1}]}),
            StatusCode::BAD_REQUEST,
            "parameter $1",
        ),
        (json!({"query": "SELECT"}), StatusCode::BAD_REQUEST, "query"),
        (json!({}), StatusCode::BAD_REQUEST, "sql"),
        (
            json!({"sql": " ".repeat(1 << 21)}),
            StatusCode::BAD_REQUEST,
            "at most 1048576",
        ),
    ] {
        let answer = face.post("/v1/query", body.clone()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.message().contains(said), "{}", answer.message());
    }
    let empty = face.send_json("POST", "/v1/query", "").await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_statement_needs_the_right_it_uses() {
    let face = Face::new(&with_keys());
    let send = |name: &'static str, sql: &'static str| {
        let body = json!({"sql": sql}).to_string();
        let request = request("POST", "/v1/query")
            .header("content-type", "application/json")
            .header(
                "x-api-key",
                format!("{name}-0123456789abcdef0123456789abcdef"),
            );
        face.send(request.body(Body::from(body)).unwrap())
    };
    for name in ["products", "secret"] {
        let sql = match name {
            "products" => "CREATE COLLECTION products (dimension 1)",
            _ => "CREATE COLLECTION secret (dimension 1)",
        };
        assert_eq!(send("admin", sql).await.status, StatusCode::OK);
        let refused = send("reader", sql).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    }
    for sql in [
        "SELECT * FROM products",
        "DESCRIBE products",
        "SELECT COUNT(*) FROM products",
    ] {
        assert_eq!(send("reader", sql).await.status, StatusCode::OK, "{sql}");
    }
    for sql in [
        "SELECT * FROM secret",
        "DESCRIBE secret",
        "SELECT * FROM products WHERE vector NEAR (SELECT vector FROM secret WHERE id = 1)",
        "EXPLAIN SELECT * FROM secret WHERE vector NEAR [1]",
        "INSERT INTO products (id, vector) VALUES (1, [1])",
        "UPDATE products SET a = 1 WHERE TRUE",
        "DELETE FROM products WHERE TRUE",
        "DROP COLLECTION products",
        "DROP COLLECTION IF EXISTS secret",
    ] {
        let refused = send("reader", sql).await;
        assert_eq!(
            refused.status,
            StatusCode::FORBIDDEN,
            "{sql}: {}",
            refused.body
        );
    }
    // Who may see some collections is told of these alone.
    let shown = send("reader", "SHOW COLLECTIONS").await.body;
    assert_eq!(shown["rows"].as_array().map(Vec::len), Some(1), "{shown}");
    let unknown = send(
        "reader",
        "SELECT * FROM products WHERE vector NEAR (SELECT vector FROM products WHERE id = 1)",
    )
    .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(
        !unknown.message().contains("secret"),
        "{}",
        unknown.message()
    );
    let stranger = send("nobody", "this is not even SQL").await;
    assert_eq!(
        stranger.status,
        StatusCode::UNAUTHORIZED,
        "{}",
        stranger.body
    );
    assert!(
        !stranger.message().contains("SELECT"),
        "{}",
        stranger.message()
    );
}
