use super::*;
use crate::schema::MetadataSchema;
use crate::value::{Metadata, metadata_from_json};
use serde_json::json;

fn metadata(json: serde_json::Value) -> Metadata {
    metadata_from_json(&json).unwrap()
}

fn parse(json: serde_json::Value) -> Result<Filter, String> {
    Filter::parse(&json).map_err(|e| e.to_string())
}

#[test]
fn json_and_builder_make_the_same_filter() {
    let cases = [
        (json!({}), Filter::All),
        (json!({"a": 1}), Filter::eq("a", 1)),
        (json!({"a": null}), Filter::Eq("a".into(), Value::Null)),
        (
            json!({"a": {"$gt": 1, "$lte": 2.5}}),
            Filter::gt("a", 1).and(Filter::lte("a", 2.5)),
        ),
        (
            json!({"category": "electronics", "price": {"$lt": 100}, "$or": [{"x": true}, {"y": {"$exists": false}}]}),
            Filter::And(vec![
                Filter::eq("x", true).or(Filter::exists("y", false)),
                Filter::eq("category", "electronics"),
                Filter::lt("price", 100),
            ]),
        ),
        (
            json!({"a": {"$not": {"$gte": "m"}}}),
            !Filter::gte("a", "m"),
        ),
        (
            json!({"$not": {"a": {"$in": [1, "x", null]}}}),
            !Filter::In("a".into(), vec![1.into(), "x".into(), Value::Null]),
        ),
        (
            json!({"a": {"$nin": []}}),
            Filter::not_in("a", Vec::<i64>::new()),
        ),
        (
            json!({"$and": [{"a": {"$ne": 1}}]}),
            Filter::And(vec![Filter::ne("a", 1)]),
        ),
    ];
    for (json, expected) in cases {
        let filter = parse(json.clone()).unwrap();
        assert_eq!(filter, expected, "{json}");
        assert_eq!(parse(filter.to_json()).unwrap(), filter, "{json}");
    }
}

#[test]
fn wrong_forms_are_named() {
    let cases = [
        (json!([]), "not an array: []"),
        (json!({"a": {"$lte2": 1}}), "did you mean $lte?"),
        (json!({"a": {"$regex": "x"}}), "unknown operator \"$regex\""),
        (json!({"$nor": [{"a": 1}]}), "did you mean $not?"),
        (json!({"$gt": 1}), "$gt belongs inside a field"),
        (json!({"a": {}}), "field \"a\" is compared with {}"),
        (json!({"a": {"b": 1}}), "operators begin with $"),
        (json!({"a": [1]}), "$eq of field \"a\" takes a single value"),
        (json!({"a": {"$gt": null}}), "a value that has an order"),
        (json!({"a": {"$in": 1}}), "takes a list of values, not 1"),
        (json!({"a": {"$in": [[1]]}}), "takes a single value"),
        (json!({"a": {"$exists": 1}}), "takes true or false, not 1"),
        (json!({"a": {"$not": 1}}), "takes operators"),
        (json!({"$or": []}), "at least one filter"),
        (json!({"$and": {"a": 1}}), "at least one filter"),
        (json!({"$not": [{"a": 1}]}), "not an array"),
        (json!({"a": 18_446_744_073_709_551_615u64}), "outside -2^63"),
        (json!({"a": {"$lt": {"$gt": 1}}}), "takes a single value"),
    ];
    for (json, expected) in cases {
        let error = parse(json.clone()).unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
    let error = Filter::parse_str("{\"a\": ").unwrap_err().to_string();
    assert!(error.contains("cannot be read as JSON"), "{error}");
}

#[test]
fn limits() {
    let nested = |depth| (1..depth).fold(Filter::eq("a", 1), |filter: Filter, _| !filter);
    let schema = MetadataSchema::new();
    assert_eq!(parse(nested(64).to_json()), Ok(nested(64)));
    assert!(nested(64).check(&schema).is_ok());
    assert!(
        parse(nested(65).to_json())
            .unwrap_err()
            .contains("64 levels")
    );
    let error = nested(65).check(&schema).unwrap_err();
    assert!(matches!(error, FilterError::TooDeep { limit: 64 }));
    // As text: what is allowed is read however it is written, what is deeper is refused by its depth, and never by a stack
    // that is used up.
    let text = |levels: usize, open: &str, close: &str| {
        format!(
            "{}{{\"a\": {{\"$lt\": 1}}}}{}",
            open.repeat(levels - 1),
            close.repeat(levels - 1)
        )
    };
    for (open, close) in [
        ("{\"$not\":", "}"),
        ("{\"$and\":[", "]}"),
        ("{\"$or\": [{}, ", "]}"),
    ] {
        assert!(Filter::parse_str(&text(64, open, close)).is_ok(), "{open}");
        for levels in [65, 1_000, 100_000] {
            // Not only where it is JSON to the end.
            for close in [close, if levels > 100 { "" } else { close }] {
                let error = Filter::parse_str(&text(levels, open, close)).unwrap_err();
                assert!(
                    matches!(error, FilterError::TooDeep { limit: 64 }),
                    "{open}: {error}"
                );
            }
        }
    }
    for levels in [1_000, 100_000] {
        let list = format!(
            "{{\"a\": {{\"$in\": {}{}}}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        );
        let error = Filter::parse_str(&list).unwrap_err();
        assert!(matches!(error, FilterError::TooDeep { .. }), "{error}");
    }
    let full = Filter::is_in("a", 0..100_000);
    assert_eq!(parse(full.to_json()), Ok(full.clone()));
    assert!(full.check(&schema).is_ok());
    let over = Filter::not_in("a", 0..100_001);
    let error = parse(over.to_json()).unwrap_err();
    assert!(
        error.contains("$nin") && error.contains("100001"),
        "{error}"
    );
    assert!(over.check(&schema).is_err());
}

#[test]
fn semantics_of_missing_null_and_arrays() {
    let cases = [
        // filter, {}, {"a": null}, {"a": 1}, {"a": [1, 5]}, {"a": [null, 5]}, {"a": []}
        (json!({"a": 1}), [false, false, true, true, false, false]),
        (json!({"a": 1.0}), [false, false, true, true, false, false]),
        (json!({"a": "1"}), [false; 6]),
        (json!({"a": null}), [true, true, false, false, true, false]),
        (
            json!({"a": {"$ne": 1}}),
            [true, true, false, false, true, true],
        ),
        (
            json!({"a": {"$ne": null}}),
            [false, false, true, true, false, true],
        ),
        (
            json!({"a": {"$gt": 1}}),
            [false, false, false, true, true, false],
        ),
        (
            json!({"a": {"$gt": 1, "$lt": 5}}),
            [false, false, false, true, false, false],
        ),
        (
            json!({"a": {"$not": {"$gt": 1}}}),
            [true, true, true, false, false, true],
        ),
        (
            json!({"a": {"$in": [1, null]}}),
            [true, true, true, true, true, false],
        ),
        (
            json!({"a": {"$nin": [1, null]}}),
            [false, false, false, false, false, true],
        ),
        (json!({"a": {"$in": []}}), [false; 6]),
        (
            json!({"a": {"$exists": true}}),
            [false, true, true, true, true, true],
        ),
        (
            json!({"a": {"$exists": false}}),
            [true, false, false, false, false, false],
        ),
        (json!({}), [true; 6]),
    ];
    let points = [
        json!({}),
        json!({"a": null}),
        json!({"a": 1}),
        json!({"a": [1, 5]}),
        json!({"a": [null, 5]}),
        json!({"a": []}),
    ]
    .map(metadata);
    for (json, expected) in cases {
        let filter = parse(json.clone()).unwrap();
        let found = points.each_ref().map(|point| filter.matches(point));
        assert_eq!(found, expected, "{json}");
    }
    assert!(!Filter::Or(vec![]).matches(&points[0]));
    assert!(Filter::And(vec![]).matches(&points[0]));
    assert!(Filter::eq("z", -0.0).matches(&metadata(json!({"z": 0}))));
    assert!(Filter::eq("z", 0.0).matches(&metadata(json!({"z": -0.0}))));
    assert!(!Filter::gte("z", false).matches(&metadata(json!({"z": true}))));
}

fn schema() -> MetadataSchema {
    let mut schema = MetadataSchema::new();
    schema.declare("at", "datetime".parse().unwrap()).unwrap();
    schema
        .observe(&metadata(json!({
            "category": "x", "price": 1.5, "count": 3, "sold": true, "tags": ["a"], "nothing": null
        })))
        .unwrap();
    schema
}

#[test]
fn check_names_fields_types_and_values() {
    let cases = [
        (
            json!({"categry": "x"}),
            "unknown field \"categry\" (did you mean category?)",
        ),
        (
            json!({"zzz": {"$exists": true}}),
            "known fields: at (datetime), category (string), count (int)",
        ),
        (
            json!({"price": "cheap"}),
            "field price is float: $eq cannot compare it with the string \"cheap\"; give a number",
        ),
        (
            json!({"count": {"$in": [1, true]}}),
            "field count is int: $in cannot compare it with the bool true",
        ),
        (
            json!({"sold": {"$gt": false}}),
            "field sold is bool: $gt needs an order",
        ),
        (json!({"sold": 1}), "give true or false"),
        (json!({"nothing": {"$lt": true}}), "needs an order"),
        (
            json!({"category": {"$lt": 5}}),
            "field category is string: $lt cannot compare it with the int 5",
        ),
        (json!({"tags": {"$ne": 5}}), "field tags is array of string"),
        (
            json!({"at": {"$gt": "soon"}}),
            "$gt: \"soon\" is not a date-time",
        ),
        (json!({"at": 5}), "give a date-time"),
        (
            json!({"$or": [{"price": 1}, {"$not": {"prise": 1}}]}),
            "did you mean price?",
        ),
    ];
    for (json, expected) in cases {
        let error = parse(json.clone())
            .unwrap()
            .check(&schema())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
    let array = Filter::Eq("tags".into(), vec!["a"].into());
    assert!(
        array
            .check(&schema())
            .unwrap_err()
            .to_string()
            .contains("single value")
    );
    let nan = Filter::gt("price", f64::NAN).check(&schema());
    assert!(nan.unwrap_err().to_string().contains("NaN"));
}

#[test]
fn check_makes_literals_fit() {
    let fit = |json| parse(json).unwrap().check(&schema()).unwrap();
    assert_eq!(
        fit(json!({"at": {"$gte": "1970-01-02"}})),
        Filter::Gte("at".into(), Value::DateTime(86_400_000_000))
    );
    assert_eq!(
        fit(json!({"$not": {"at": {"$in": ["1970-01-01T00:00:00Z", null]}}})),
        !Filter::In("at".into(), vec![Value::DateTime(0), Value::Null])
    );
    for fine in [
        json!({"count": 2.5, "price": 3, "category": {"$gt": "a"}, "nothing": "x", "tags": "a"}),
        json!({"sold": {"$ne": true}, "at": null}),
    ] {
        let filter = parse(fine).unwrap();
        assert_eq!(filter.check(&schema()).unwrap(), filter);
    }
    // Nothing is known yet: a slip cannot be told from a field to come.
    let filter = Filter::eq("anything", 1);
    assert_eq!(filter.check(&MetadataSchema::new()).unwrap(), filter);
}
