use super::*;
use crate::value::metadata_from_json;
use serde_json::json;

fn observe(
    schema: &mut MetadataSchema,
    json: serde_json::Value,
) -> Result<serde_json::Value, String> {
    let metadata = metadata_from_json(&json).map_err(|e| e.to_string())?;
    schema
        .observe(&metadata)
        .map(|stored| crate::value::metadata_to_json(&stored))
        .map_err(|e| e.to_string())
}

fn shown(schema: &MetadataSchema) -> Vec<String> {
    schema
        .fields()
        .map(|(name, field)| format!("{name}: {field}"))
        .collect()
}

#[test]
fn infers_types_and_widens_integers() {
    let mut schema = MetadataSchema::new();
    observe(
        &mut schema,
        json!({"n": 1, "tags": [], "x": null, "s": "a"}),
    )
    .unwrap();
    assert_eq!(
        shown(&schema),
        ["n: int", "s: string", "tags: array", "x: null"]
    );
    observe(&mut schema, json!({"n": 1.5, "tags": ["a"], "x": true})).unwrap();
    assert_eq!(
        shown(&schema),
        ["n: float", "s: string", "tags: array of string", "x: bool"]
    );
    assert_eq!(observe(&mut schema, json!({"n": 7})), Ok(json!({"n": 7.0})));
    // 2^53 + 1 has no float; it is kept as it is.
    let exact = json!({"n": 9_007_199_254_740_993i64});
    assert_eq!(observe(&mut schema, exact.clone()), Ok(exact));
    assert_eq!(
        observe(&mut schema, json!({"mixed": [1, null, 2.5]})),
        Ok(json!({"mixed": [1.0, null, 2.5]}))
    );
}

#[test]
fn contradictions_are_errors_and_teach_nothing() {
    let mut schema = MetadataSchema::new();
    observe(&mut schema, json!({"n": 1, "s": "a", "tags": ["a"]})).unwrap();
    let before = schema.clone();
    let cases = [
        (
            json!({"a": 1, "s": 5}),
            "field s is string, but was given int: 5",
        ),
        (
            json!({"n": "x"}),
            "field n is int, but was given string: \"x\"",
        ),
        (
            json!({"tags": "a"}),
            "field tags is array of string, but was given string: \"a\"",
        ),
        (
            json!({"n": [1]}),
            "field n is int, but was given array of int: [1]",
        ),
        (json!({"new": [1, "x"]}), "field new"),
        (json!({"tags": ["a", false]}), "array of string"),
    ];
    for (json, expected) in cases {
        let error = observe(&mut schema, json.clone()).unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
        assert_eq!(schema, before, "{json}");
    }
}

#[test]
fn values_that_cannot_be_stored() {
    let mut schema = MetadataSchema::new();
    let cases = [
        (Value::Float(f64::NAN), "x: NaN is not a finite number"),
        (Value::from(vec![1.0, f64::INFINITY]), "x[1]: inf"),
        (Value::DateTime(i64::MAX), "outside the years"),
        (
            Value::Array(vec![Value::Array(vec![])]),
            "x[0]: an array inside an array",
        ),
    ];
    for (value, expected) in cases {
        let error = schema
            .observe(&Metadata::from([("x".to_owned(), value)]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(schema.is_empty());
    let wide = (0..=FIELDS_MAX)
        .map(|i| (format!("f{i}"), Value::Null))
        .collect();
    let error = schema.observe(&wide).unwrap_err().to_string();
    assert!(error.contains("more than 1024 fields"), "{error}");
    assert!(schema.is_empty());
}

#[test]
fn declared_types() {
    let mut schema = MetadataSchema::new();
    schema.declare("at", "datetime".parse().unwrap()).unwrap();
    schema.declare("n", "int".parse().unwrap()).unwrap();
    schema.declare("ns", "float[]".parse().unwrap()).unwrap();
    assert_eq!(
        observe(
            &mut schema,
            json!({"at": "2026-01-31T13:30:00+01:00", "ns": [1]})
        ),
        Ok(json!({"at": "2026-01-31T12:30:00Z", "ns": [1.0]}))
    );
    let error = observe(&mut schema, json!({"at": "soon"})).unwrap_err();
    assert!(error.contains("at: \"soon\" is not a date-time"), "{error}");
    let error = observe(&mut schema, json!({"n": 1.5})).unwrap_err();
    assert!(error.contains("int by declaration"), "{error}");
    assert!(schema.declare("n", "float".parse().unwrap()).is_err());
    assert!(schema.declare("ns", "float".parse().unwrap()).is_err());
    observe(&mut schema, json!({"m": 1})).unwrap();
    schema.declare("m", "float".parse().unwrap()).unwrap();
    assert_eq!(observe(&mut schema, json!({"m": 2})), Ok(json!({"m": 2.0})));
}

#[test]
fn serialised_form() {
    let mut schema = MetadataSchema::new();
    observe(&mut schema, json!({"n": 1, "x": null})).unwrap();
    schema.declare("at", "datetime".parse().unwrap()).unwrap();
    let json = serde_json::to_value(&schema).unwrap();
    assert_eq!(
        json,
        json!({"fields": {
            "at": {"kind": "datetime", "array": false, "declared": true},
            "n": {"kind": "int", "array": false},
            "x": {}
        }})
    );
    assert_eq!(
        serde_json::from_value::<MetadataSchema>(json).unwrap(),
        schema
    );
    let error = "strng[]".parse::<FieldType>().unwrap_err().to_string();
    assert!(error.contains("did you mean string?"), "{error}");
}

#[test]
fn texts_can_be_stemmed_by_declaration() {
    let mut schema = MetadataSchema::new();
    for written in ["text(english)", "text(german)[]", "text"] {
        let read: FieldType = written.parse().unwrap();
        assert_eq!(read.to_string(), written);
    }
    schema
        .declare("body", "text(english)".parse().unwrap())
        .unwrap();
    assert_eq!(shown(&schema), ["body: text(english)"]);
    let json = serde_json::to_value(&schema).unwrap();
    assert_eq!(json["fields"]["body"]["stemmer"], "english");
    assert_eq!(
        serde_json::from_value::<MetadataSchema>(json).unwrap(),
        schema
    );
    // Its words are indexed as they were declared: another stemmer is another type.
    for other in ["text", "text(german)", "text(english)[]"] {
        assert!(
            schema.declare("body", other.parse().unwrap()).is_err(),
            "{other}"
        );
    }
    for (wrong, said) in [
        ("text(englisch)", "did you mean english?"),
        ("string(english)", "unknown type"),
        ("text(", "unknown type"),
        ("text()", "no stemmer"),
    ] {
        let error = wrong.parse::<FieldType>().unwrap_err().to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn fields_are_indexed_unless_somebody_says_otherwise() {
    let mut schema = MetadataSchema::new();
    observe(&mut schema, json!({"price": 1, "name": "a"})).unwrap();
    assert!(schema.is_indexed("price") && schema.is_indexed("yet_to_come"));
    assert!(schema.set_indexed("price", false).unwrap());
    assert!(!schema.set_indexed("price", false).unwrap());
    observe(&mut schema, json!({"price": 1.5})).unwrap();
    schema.declare("price", "float".parse().unwrap()).unwrap();
    assert!(!schema.is_indexed("price") && schema.is_indexed("name"));
    assert!(schema.set_indexed("price", true).unwrap() && schema.is_indexed("price"));
    let error = schema.set_indexed("prise", true).unwrap_err().to_string();
    assert!(
        error.contains("did you mean price?") && error.contains("name (string)"),
        "{error}"
    );
    let error = MetadataSchema::new().set_indexed("a", true).unwrap_err();
    assert!(error.to_string().contains("known fields: none"), "{error}");
}
