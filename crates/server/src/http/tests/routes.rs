//! Every route once, on real data.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Face, request, with_keys};
use crate::config::Config;
use crate::gateway::Access;

#[tokio::test]
async fn collections_are_made_listed_described_and_dropped() {
    let face = Face::with_products().await;
    let list = face.get("/v1/collections").await;
    let line = json!({"name": "products", "points": 3, "broken": null});
    assert_eq!(list.body, json!({"collections": [line]}));

    let info = face.get("/v1/collections/products").await.body;
    assert_eq!(
        (&info["points"], &info["memtable_points"]),
        (&json!(3), &json!(3))
    );
    let config = json!({
        "dimension": 3,
        "metric": "cosine",
        "element": "f32",
        "index_config": {"type": "hnsw", "m": 8, "ef_construction": 200, "seed": 42, "alpha": 1.1, "quantization": "auto"},
        "fields": {"released": "datetime"},
        "unindexed": [],
        "durability": "none",
    });
    assert_eq!(info["config"], config);
    assert_eq!(
        info["fields"]["tags"],
        json!({"kind": "string", "array": true, "declared": false, "indexed": true})
    );

    let again = face
        .put(
            "/v1/collections/products",
            json!({"dimension": 3, "metric": "l2"}),
        )
        .await;
    assert_eq!(
        (again.status, again.kind()),
        (StatusCode::CONFLICT, "already_exists")
    );
    assert_eq!(
        face.delete("/v1/collections/products").await.body,
        json!({})
    );
    let gone = face.get("/v1/collections/products").await;
    assert_eq!(
        (gone.status, gone.kind()),
        (StatusCode::NOT_FOUND, "not_found")
    );
}

#[tokio::test]
async fn points_are_read_by_id_page_and_count() {
    let face = Face::with_products().await;
    let one = face
        .get("/v1/collections/products/points/sku-3?with_vector=true")
        .await
        .body;
    assert_eq!(one["metadata"], json!({"released": "2026-01-31T00:00:00Z"}));
    assert_eq!(one["vector"].as_array().unwrap().len(), 3);
    let bare = face
        .get("/v1/collections/products/points/1?with_metadata=false")
        .await;
    assert_eq!(bare.body, json!({"id": 1}));
    let quoted = face.get("/v1/collections/products/points/%221%22").await;
    assert_eq!(
        quoted.status,
        StatusCode::NOT_FOUND,
        "the string 1 is not the number 1"
    );

    let got = face
        .post(
            "/v1/collections/products/points/get",
            json!({"ids": ["sku-3", 9, 1], "with_metadata": false}),
        )
        .await;
    let expected = json!({"points": [{"id": "sku-3"}, {"id": 1}], "missing": [9]});
    assert_eq!(got.body, expected);

    let path = "/v1/collections/products/points/scroll";
    let first = face.post(path, json!({"limit": 2})).await.body;
    assert_eq!(first["points"].as_array().unwrap().len(), 2);
    let rest = face
        .post(path, json!({"limit": 2, "cursor": first["next_cursor"]}))
        .await
        .body;
    assert_eq!(rest["points"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], Value::Null);

    let path = "/v1/collections/products/points/count";
    let games = face
        .post(
            path,
            json!({"filter": {"category": "games", "price": {"$gt": 30}}}),
        )
        .await;
    assert_eq!(games.body, json!({"count": 1}));
    let all = face
        .send(request("POST", path).body(Body::empty()).unwrap())
        .await;
    assert_eq!(all.body, json!({"count": 3}), "an empty body is {{}}");
}

#[tokio::test]
async fn points_are_ordered_and_counted_by_a_field() {
    let face = Face::with_products().await;
    let ids = |body: &Value, of: &str| -> Vec<Value> {
        let points = body[of].as_array().unwrap().iter();
        points.map(|point| point["id"].clone()).collect()
    };
    let path = "/v1/collections/products/points/scroll";
    let order = json!({"field": "price", "descending": true});
    let first = face
        .post(path, json!({"limit": 2, "order_by": order}))
        .await
        .body;
    assert_eq!(ids(&first, "points"), [json!(2), json!(1)]);
    let next = json!({"limit": 2, "order_by": order, "cursor": first["next_cursor"]});
    let rest = face.post(path, next).await.body;
    assert_eq!(
        ids(&rest, "points"),
        [json!("sku-3")],
        "it misses the field"
    );
    let wrong = face
        .post(path, json!({"order_by": {"field": "prise"}}))
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(
        wrong.message().contains("did you mean price?"),
        "{}",
        wrong.message()
    );

    let path = "/v1/collections/products/facets";
    let facets = face.post(path, json!({"field": "category"})).await.body;
    let expected = json!({
        "values": [{"value": "games", "count": 2}],
        "distinct": 1,
        "points": 3,
        "missing": 1,
    });
    assert_eq!(facets, expected);
    let dates = face
        .post(
            path,
            json!({"field": "released", "limit": 1, "filter": {"released": {"$exists": true}}}),
        )
        .await
        .body;
    assert_eq!(dates["values"][0]["value"], "2026-01-31T00:00:00Z");
    let zero = face.post(path, json!({"field": "price", "limit": 0})).await;
    assert_eq!(zero.status, StatusCode::BAD_REQUEST);

    let path = "/v1/collections/products/search";
    let search = json!({"vector": [1.0, 0.2, 0.0], "limit": 2, "offset": 1});
    let found = face.post(path, search).await.body;
    assert_eq!(ids(&found, "results"), [json!(2), json!("sku-3")]);
    let beyond = json!({"vector": [1.0, 0.2, 0.0], "offset": 100_000});
    let refused = face.post(path, beyond).await;
    assert!(
        refused.message().contains("offset 100000"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn metadata_is_updated_and_points_are_deleted() {
    let face = Face::with_products().await;
    let path = "/v1/collections/products/points/metadata";
    let unknown = face
        .post(path, json!({"ids": [1, 77], "metadata": {"price": 1}}))
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{}", unknown.body);
    let updated = face
        .post(path, json!({"ids": [1], "metadata": {"price": 25}}))
        .await
        .body;
    assert_eq!(updated["result"]["updated"], 1);
    let one = face.get("/v1/collections/products/points/1").await.body;
    assert_eq!(
        (&one["metadata"]["price"], &one["metadata"]["category"]),
        (&json!(25.0), &json!("games"))
    );

    let path = "/v1/collections/products/points/delete";
    let by_id = face.post(path, json!({"ids": ["sku-3", 77]})).await.body;
    assert_eq!(by_id["result"]["deleted"], 1);
    let by_filter = face.post(path, json!({"filter": {}})).await.body;
    assert_eq!(by_filter["result"]["deleted"], 2);
    let both = face.post(path, json!({"ids": [1], "filter": {}})).await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST, "{}", both.body);
}

#[tokio::test]
async fn searches_find_the_nearest() {
    let face = Face::with_products().await;
    let search = json!({"vector": [1.0, 0.2, 0.0], "limit": 2, "filter": {"category": "games"}, "with_vector": true});
    let found = face
        .post("/v1/collections/products/search", search.clone())
        .await
        .body;
    let ids: Vec<_> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| &hit["id"])
        .collect();
    assert_eq!(ids, [&json!(1), &json!(2)]);
    assert_eq!(
        (&found["searched_vectors"], &found["stats"]["matching"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(found["results"][0]["metadata"]["price"], 20.0);
    let other = json!({"vector": [0, 0, 1], "limit": 1, "with_metadata": false});
    let both = face
        .post(
            "/v1/collections/products/search/batch",
            json!({"searches": [search, other]}),
        )
        .await
        .body;
    assert_eq!(both["responses"][0]["results"], found["results"]);
    assert_eq!(both["responses"][1]["results"][0]["id"], "sku-3");
}

#[tokio::test]
async fn hits_are_grouped_and_examples_are_searched_by() {
    let face = Face::with_products().await;
    let path = "/v1/collections/products/search";
    let group_by = json!({"field": "category", "group_size": 1});
    let search = json!({"vector": [1.0, 0.2, 0.0], "group_by": group_by, "max_distance": 1.5});
    let found = face.post(path, search).await.body;
    assert_eq!(found["results"], json!([]));
    assert_eq!(found["groups"].as_array().unwrap().len(), 1);
    assert_eq!(found["groups"][0]["value"], "games");
    assert_eq!(found["groups"][0]["results"][0]["id"], 1);
    for (group_by, named) in [
        (
            json!({"field": "category", "group_size": 0}),
            "group_size 0",
        ),
        (
            json!({"field": "categry", "group_size": 1}),
            "did you mean category?",
        ),
        (json!({"field": "category"}), "missing field `group_size`"),
    ] {
        let search = json!({"vector": [1.0, 0.2, 0.0], "group_by": group_by});
        let refused = face.post(path, search).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.message().contains(named), "{}", refused.message());
    }

    let path = "/v1/collections/products/recommend";
    for strategy in ["average_vector", "best_score"] {
        let liked = json!({
            "positive": [1, [0.9, 0.2, 0.0]],
            "negative": ["sku-3"],
            "strategy": strategy,
            "with_vector": true,
            "min_score": 0.5,
        });
        let found = face.post(path, liked).await.body;
        let results = found["results"].as_array().unwrap();
        assert_eq!(results.len(), 1, "{found}");
        assert_eq!(results[0]["id"], 2);
        assert!(results[0]["vector"].is_array());
    }
    let nobody = face.post(path, json!({"positive": [1, 99]})).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert!(nobody.message().contains("99"), "{}", nobody.message());
    for (body, named) in [
        (json!({"positive": []}), "positive names no example"),
        (json!({"positive": [true]}), "an example: the id of a point"),
        (
            json!({"positive": [1], "strategy": "best"}),
            "average_vector, best_score",
        ),
        (
            json!({"positive": [1], "negative": [[1.0]]}),
            "negative example 0",
        ),
        (json!({"negative": [1]}), "missing field `positive`"),
    ] {
        let refused = face.post(path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.message().contains(named), "{}", refused.message());
    }
}

#[tokio::test]
async fn distances_beyond_f32_are_numbers_all_the_same() {
    let face = Face::new(&Config::default());
    face.put(
        "/v1/collections/far",
        json!({"dimension": 2, "metric": "l2"}),
    )
    .await;
    let points = json!({"points": [{"id": 1, "vector": [3e38, 3e38]}]});
    face.post("/v1/collections/far/points", points).await;
    let found = face
        .post(
            "/v1/collections/far/search",
            json!({"vector": [-3e38, -3e38]}),
        )
        .await;
    let distance = found.body["results"][0]["distance"].as_f64().unwrap();
    assert_eq!(distance as f32, f32::MAX);
}

#[tokio::test]
async fn lines_are_written_in_batches_and_an_error_says_how_many_are() {
    let face = Face::new(&Config::default());
    face.put(
        "/v1/collections/many",
        json!({"dimension": 64, "metric": "l2", "durability": "none"}),
    )
    .await;
    let values = vec!["0.123456789"; 64].join(",");
    let line = |id: usize| format!("{{\"id\":{id},\"vector\":[{values}]}}\n");
    // Several batches, cut by the sender wherever it likes.
    let text: String = (0..5_000).map(line).collect();
    assert!(text.len() > 3_500_000);
    let send = async |text: String| {
        let pieces: Vec<_> = text
            .into_bytes()
            .chunks(100_003)
            .map(<[u8]>::to_vec)
            .collect();
        let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let request = request("POST", "/v1/collections/many/points")
            .header("content-type", "application/x-ndjson");
        face.send(request.body(body).unwrap()).await
    };
    let sent = send(text.clone() + "\n" + line(5_000).trim_end()).await;
    assert_eq!(sent.body["result"]["inserted"], 5_001, "{}", sent.body);

    let safe_as = async |query: &str| {
        let path = format!("/v1/collections/many/points{query}");
        let request = request("POST", &path).header("content-type", "application/x-ndjson");
        let line = Body::from(line(1));
        face.send(request.body(line).unwrap()).await
    };
    for (query, durability) in [
        ("", json!("none")),
        ("?durability=none", json!("none")),
        ("?durability=every_write", json!("every_write")),
        ("?durability=7", json!({"interval_ms": 7})),
    ] {
        let sent = safe_as(query).await;
        assert_eq!(
            sent.body["result"]["durability"], durability,
            "{}",
            sent.body
        );
    }
    for query in ["?durability=soon", "?durability=0", "?durabilty=none"] {
        let sent = safe_as(query).await;
        assert_eq!(sent.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(sent.message().contains("durability"), "{}", sent.message());
    }

    let broken = send(text + "{\"id\": 1, \"vectr\": [1]}\n").await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    assert!(
        broken.message().starts_with("line 5001: "),
        "{}",
        broken.message()
    );
    assert!(
        broken.message().contains("did you mean `vector`?"),
        "{}",
        broken.message()
    );
    let written = broken.body["error"]["written"].as_u64().unwrap();
    assert!((1..5_000).contains(&written), "{written}");
    assert_eq!(send(String::new()).await.body["result"]["inserted"], 0);
}

#[tokio::test]
async fn maintenance_snapshots_and_status() {
    let face = Face::with_products().await;
    assert_eq!(
        face.post("/v1/collections/products/flush", json!({}))
            .await
            .body,
        json!({})
    );
    let compacted = face
        .post(
            "/v1/collections/products/compact",
            json!({"pending_only": true}),
        )
        .await;
    assert_eq!(compacted.status, StatusCode::OK, "{}", compacted.body);
    for (path, paused) in [("pause", true), ("resume", false)] {
        let answer = face.post(&format!("/v1/merges/{path}"), json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let status = face.get("/v1/status").await.body;
        assert_eq!(status["merges_paused"], paused);
        let info = face.get("/v1/collections/products").await.body;
        assert_eq!(info["maintenance"]["merges_paused"], paused);
        assert_eq!(info["maintenance"]["merge"], json!(null));
    }
    let compacted = face
        .post("/v1/collections/products/compact", json!({}))
        .await
        .body;
    assert_eq!(compacted["segments"].as_array().unwrap().len(), 1);
    let checked = face
        .post("/v1/verify", json!({"collection": "products"}))
        .await
        .body;
    assert_eq!(
        (&checked["rows"], &checked["problems"]),
        (&json!(3), &json!([]))
    );

    let mended = face.post("/v1/verify", json!({"repair": true})).await.body;
    assert_eq!(
        (&mended["rows"], &mended["repaired"], &mended["lost"]),
        (&json!(3), &json!([]), &json!(0))
    );

    let made = face.post("/v1/snapshots", json!({"name": "one"})).await;
    assert_eq!(
        (made.status, &made.body["name"]),
        (StatusCode::CREATED, &json!("one"))
    );
    let list = face.get("/v1/snapshots").await.body;
    let held = &list["snapshots"][0]["collections"][0];
    let expected = json!({"name": "products", "points": 3, "sequence": null, "broken": null});
    assert_eq!(*held, expected);
    let refused = face.post("/v1/archive/verify", json!({})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    assert!(refused.message().contains("does not archive its log"));
    let restore = json!({"collection": "products", "restore_as": "copy"});
    let restored = face.post("/v1/snapshots/one/restore", restore).await;
    assert_eq!(restored.status, StatusCode::CREATED, "{}", restored.body);
    assert_eq!(restored.body["collections"][0]["name"], "copy");
    assert_eq!(restored.body["sequence"], json!(null));
    for (point, says) in [
        (
            json!({"to_time": "yesterday"}),
            "to_time: \"yesterday\" is not a date-time",
        ),
        (
            json!({"to_time": "2026-11-30T12:00:00Z", "to_latest": true}),
            "one point",
        ),
        (json!({"to_sequence": 5}), "does not archive its log"),
    ] {
        let refused = face.post("/v1/snapshots/one/restore", point).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
        let message = refused.message();
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(face.delete("/v1/snapshots/one").await.body, json!({}));
    assert_eq!(
        face.get("/v1/snapshots").await.body,
        json!({"snapshots": []})
    );

    let status = face.get("/v1/status").await.body;
    assert_eq!(
        (
            &status["collections"],
            &status["points"],
            &status["archive"]
        ),
        (&json!(2), &json!(6), &json!(null))
    );
}

#[tokio::test]
async fn answers_are_kept_and_searches_explained_without_being_run() {
    let face = Face::with_products().await;
    let path = "/v1/collections/products/search";
    let search = json!({"vector": [1, 0, 0], "cache": true});
    let first = face.post(path, search.clone()).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.body);
    let again = face.post(path, search.clone()).await.body;
    assert_eq!(
        (&first.body["cached"], &again["cached"]),
        (&json!(null), &json!(true))
    );
    assert_eq!(again["results"], first.body["results"]);
    let point = json!({"points": [{"id": 77, "vector": [1, 0, 0]}]});
    face.post("/v1/collections/products/points", point).await;
    let after = face.post(path, search).await.body;
    assert_eq!(after["cached"], json!(null));
    let info = face.get("/v1/collections/products").await.body;
    assert_eq!(
        (
            &info["searches"]["result_hits"],
            &info["searches"]["result_misses"]
        ),
        (&json!(1), &json!(2))
    );

    let expected =
        json!({"vector": [1, 0, 0], "filter": {"price": {"$lt": 50}}, "explain_only": true});
    let expected = face.post(path, expected).await.body;
    assert_eq!(expected["results"], json!([]));
    let explanation = &expected["explanation"];
    assert_eq!(explanation["conditions"][0]["indexed"], true);
    assert_eq!(explanation["parts"][0]["plan"], "scan");
    let wrong = json!({"vector": [1, 0, 0], "filter": {"prise": 1}, "explain_only": true});
    assert_eq!(face.post(path, wrong).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn field_indexes_are_dropped_and_created() {
    let face = Face::with_products().await;
    let path = "/v1/collections/products/indexes/price";
    let indexed = async || {
        let info = face.get("/v1/collections/products").await.body;
        info["fields"]["price"]["indexed"].clone()
    };
    for (changed, now) in [(true, false), (false, false)] {
        assert_eq!(face.delete(path).await.body, json!({"changed": changed}));
        assert_eq!(indexed().await, now);
    }
    for (changed, now) in [(true, true), (false, true)] {
        let created = face.put(path, json!({})).await;
        assert_eq!(created.body, json!({"changed": changed}));
        assert_eq!(indexed().await, now);
    }
    let unknown = face.delete("/v1/collections/products/indexes/prise").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(unknown.message().contains("did you mean price?"));
    let missing = face.put("/v1/collections/none/indexes/a", json!({})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);

    // Without one from the start.
    let settings = |unindexed: &str| {
        json!({
            "dimension": 2,
            "metric": "l2",
            "fields": {"body": "text(english)", "n": "int"},
            "unindexed": [unindexed],
        })
    };
    let path = "/v1/collections/notes";
    let refused = face.put(path, settings("bodi")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.message().contains("did you mean body?"),
        "{}",
        refused.body
    );
    let made = face.put(path, settings("body")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["config"]["unindexed"], json!(["body"]));
    assert_eq!(made.body["config"]["fields"]["body"], "text(english)");
    let fields = &made.body["fields"];
    assert_eq!(fields["body"]["stemmer"], "english");
    assert_eq!(
        (&fields["body"]["indexed"], &fields["n"]["indexed"]),
        (&json!(false), &json!(true))
    );
}

#[tokio::test]
async fn advice_is_measured_or_refused_with_the_value_at_fault() {
    let face = Face::with_products().await;
    let path = "/v1/collections/products/advise";
    for (body, named) in [
        (json!({}), "`rows to measure with` is 3,"),
        (json!({"target_recall": 1.5}), "`target_recall` is 1.5,"),
        (json!({"limit": 0}), "`limit` is 0,"),
        (json!({"sample_rows": 5}), "from 256 to 1,000,000"),
        (json!({"recall": 0.9}), "unknown field `recall`"),
    ] {
        let refused = face.post(path, body).await;
        let (status, kind) = (refused.status, refused.kind());
        assert_eq!(
            (status, kind),
            (StatusCode::BAD_REQUEST, "invalid_argument")
        );
        assert!(refused.message().contains(named), "{}", refused.body);
    }
    let missing = face.post("/v1/collections/none/advise", json!({})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);

    let point = |id: u32| json!({"id": id, "vector": [id, id % 7, 1]});
    let points: Vec<_> = (100..500).map(point).collect();
    let more = json!({"points": points});
    let written = face.post("/v1/collections/products/points", more).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.body);
    let asked =
        json!({"target_recall": 0.9, "limit": 5, "queries": 20, "rows": 10_000, "memory_bytes": 1});
    let advice = face.post(path, asked).await;
    assert_eq!(advice.status, StatusCode::OK, "{}", advice.body);
    let (counts, none) = ([&advice.body["rows"], &advice.body["queries"]], Value::Null);
    assert_eq!(counts, [&json!(10_000), &json!(20)]);
    assert_eq!(advice.body["recommended"], none, "a byte is too little");
    let advice = face.post(path, json!({"queries": 20})).await.body;
    assert_eq!(advice["rows"], 403);
    assert_eq!(advice["recommended"], advice["choices"][0]);
}

#[tokio::test]
async fn the_server_says_whether_it_is_ready() {
    let face = Face::opening(&Config::default());
    assert_eq!(face.get("/").await.body["name"], "VecDB");
    assert_eq!(face.get("/livez").await.status, StatusCode::OK);
    let ready = face.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.body, json!({"state": "opening", "reason": null}));
    let early = face.get("/v1/collections").await;
    assert_eq!(
        (early.status, early.kind()),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    );
    assert_eq!(early.headers["retry-after"], "1");
    face.gateway.fail("the folder is locked");
    assert_eq!(
        face.get("/readyz").await.body["reason"],
        "the folder is locked"
    );
    assert_eq!(face.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn callers_see_and_do_what_they_may() {
    let face = Face::new(&with_keys());
    let send = async |method: &str, path: &str, key: &str, body: Value| {
        let secret = format!("Bearer {key}-0123456789abcdef0123456789abcdef");
        let request = request(method, path)
            .header("authorization", secret)
            .header("content-type", "application/json");
        face.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    };
    let settings = json!({"dimension": 2, "metric": "l2"});
    for name in ["products", "secrets"] {
        let made = send(
            "PUT",
            &format!("/v1/collections/{name}"),
            "admin",
            settings.clone(),
        )
        .await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    let seen = send("GET", "/v1/collections", "reader", Value::Null)
        .await
        .body;
    assert_eq!(seen["collections"].as_array().unwrap().len(), 1, "{seen}");
    let hidden = send("GET", "/v1/collections/secrets", "reader", Value::Null).await;
    assert_eq!(
        (hidden.status, hidden.kind()),
        (StatusCode::FORBIDDEN, "permission_denied")
    );
    let refused = send("POST", "/v1/verify", "reader", json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let unknown = send("GET", "/v1/collections", "nobody", Value::Null).await;
    assert_eq!(
        (unknown.status, unknown.kind()),
        (StatusCode::UNAUTHORIZED, "unauthenticated")
    );
    assert_eq!(unknown.headers["www-authenticate"], "Bearer");

    // A name within the rights that is not there does not tell those beyond the rights.
    let dropped = send("DELETE", "/v1/collections/products", "admin", Value::Null).await;
    assert_eq!(dropped.status, StatusCode::OK, "{}", dropped.body);
    let gone = send("GET", "/v1/collections/products", "reader", Value::Null).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(gone.message(), "no collection is named \"products\"");
    let gone = send("GET", "/v1/collections/products", "admin", Value::Null).await;
    assert!(gone.message().contains("secrets"), "{}", gone.body);
}

#[tokio::test]
async fn whoever_administers_one_collection_verifies_copies_and_restores_that_one() {
    let mut settings = with_keys();
    for key in &mut settings.auth.keys {
        if key.name == "reader" {
            key.access = Access::Admin;
        }
    }
    let face = Face::new(&settings);
    let post = async |path: &str, body: Value| {
        let key = "reader-0123456789abcdef0123456789abcdef";
        let request = request("POST", path)
            .header("x-api-key", key)
            .header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        face.send(request).await.status
    };
    let key = "admin-0123456789abcdef0123456789abcdef";
    for name in ["products", "secrets"] {
        let request = request("PUT", &format!("/v1/collections/{name}"))
            .header("x-api-key", key)
            .header("content-type", "application/json");
        let settings = json!({"dimension": 2, "metric": "l2"}).to_string();
        let made = face.send(request.body(Body::from(settings)).unwrap()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    let (mine, other) = ("products", "secrets");
    let snapshots = "/v1/snapshots";
    let restore = "/v1/snapshots/s/restore";
    for (path, body, expected) in [
        ("/v1/verify", json!({"collection": mine}), StatusCode::OK),
        (
            "/v1/verify",
            json!({"collection": other}),
            StatusCode::FORBIDDEN,
        ),
        ("/v1/verify", json!({}), StatusCode::FORBIDDEN),
        (
            snapshots,
            json!({"name": "s", "collections": [mine]}),
            StatusCode::CREATED,
        ),
        (
            snapshots,
            json!({"collections": [other]}),
            StatusCode::FORBIDDEN,
        ),
        (
            snapshots,
            json!({"collections": [mine, other]}),
            StatusCode::FORBIDDEN,
        ),
        (snapshots, json!({}), StatusCode::FORBIDDEN),
        // Its name is taken, and beyond that the rights end.
        (restore, json!({"collection": mine}), StatusCode::CONFLICT),
        (
            restore,
            json!({"collection": mine, "restore_as": "new"}),
            StatusCode::FORBIDDEN,
        ),
        (restore, json!({"collection": other}), StatusCode::FORBIDDEN),
        (restore, json!({}), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(post(path, body.clone()).await, expected, "{path} {body}");
    }
}

#[tokio::test]
async fn the_body_of_a_stranger_is_not_read() {
    let face = Face::new(&with_keys());
    for content_type in ["application/json", "application/x-ndjson"] {
        let request =
            request("POST", "/v1/collections/products/points").header("content-type", content_type);
        // It never ends, and never begins.
        let body = Body::from_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
        let answer = face.send(request.body(body).unwrap());
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        let answer = answer.expect("the answer waits for the body");
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_search_explains_itself_and_inner_fields_are_paths() {
    let face = Face::with_products().await;
    let points = json!({"points": [{
        "id": 9,
        "vector": [0.5, 0.5, 0.1],
        "metadata": {"size": {"width": 5, "unit": "cm"}, "shop": {"lat": 52.5, "lon": 13.4}},
    }]});
    let written = face.post("/v1/collections/products/points", points).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.body);

    let path = "/v1/collections/products/search";
    let near = json!({"center": {"lat": 52.5, "lon": 13.5}, "radius_m": 20_000});
    let search = json!({
        "vector": [1.0, 0.2, 0.0],
        "filter": {"size.width": {"$gte": 5}, "shop": {"$geoWithin": near}},
        "params": {"plan": "scan"},
        "explain": true,
    });
    let found = face.post(path, search).await.body;
    let hit = &found["results"][0];
    assert_eq!(hit["id"], 9);
    assert_eq!(hit["metadata"]["size"], json!({"width": 5, "unit": "cm"}));
    assert_eq!(hit["metadata"]["shop"], json!({"lat": 52.5, "lon": 13.4}));
    let explanation = &found["explanation"];
    assert_eq!(explanation["parts"][0]["part"], "memtable");
    assert_eq!(explanation["parts"][0]["matching"], 1);
    assert_eq!(explanation["conditions"][0]["indexed"], true);

    for (filter, expected) in [
        (json!({"size": {"wide": 5}}), "size.wide"),
        (json!({"shop": {"$geoWithin": {"center": 5}}}), "radius_m"),
        (json!({"category": {"$text": "..."}}), "no words"),
        (
            json!({"price": {"$startsWith": "5"}}),
            "for fields of texts",
        ),
    ] {
        let search = json!({"vector": [1, 0, 0], "filter": filter});
        let refused = face.post(path, search).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let message = refused.message();
        assert!(message.contains(expected), "{message}");
    }
    let params = json!({"plan": "check", "plan_costs": "counted"});
    let checked = json!({"vector": [1, 0, 0], "filter": {"price": {"$lt": 1e9}}, "params": params, "explain": true});
    let checked = face.post(path, checked).await;
    assert_eq!(checked.status, StatusCode::OK, "{}", checked.body);
    assert!(checked.body["explanation"]["parts"][0]["cost_us"].is_number());
    let params = json!({"plan": "subset"});
    let subset = json!({"vector": [1, 0, 0], "filter": {"price": {"$lt": 1e9}}, "params": params});
    let subset = face.post(path, subset).await;
    assert_eq!(subset.status, StatusCode::OK, "{}", subset.body);
    let costs = json!({"vector": [1, 0, 0], "params": {"plan_costs": "guessed"}});
    let refused = face.post(path, costs).await;
    assert!(
        refused.message().contains("counted"),
        "{}",
        refused.message()
    );
    let plan = json!({"vector": [1, 0, 0], "params": {"plan": "jump"}});
    let refused = face.post(path, plan).await;
    assert!(refused.message().contains("hop"), "{}", refused.message());
}
