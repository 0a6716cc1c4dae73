//! Values from and to JSON.
//!
//! JSON has no date-times: text becomes a date-time only where the schema declares one
//! ([`MetadataSchema::observe`](crate::MetadataSchema::observe)); written out it is RFC 3339 again. `{"lat": .., "lon":
//! ..}` is a point on the earth.
//!
//! Any other object is a path: `{"size": {"width": 5}}` is the field `size.width`, and the field is written as an object
//! again. An empty object is null.

use super::{Metadata, NO_NESTED_ARRAYS, Value, datetime, validate_name};
use crate::error::{FilterError, quoted};
use crate::geo::GeoPoint;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

impl Value {
    /// The value that a piece of JSON stands for.
    ///
    /// # Errors
    /// Objects that are no point on the earth, arrays inside arrays, and integers that do not fit 64 signed bits.
    pub fn from_json(json: &Json) -> Result<Value, FilterError> {
        from_json_at(json, "value", false)
    }

    /// The value as JSON; a date-time becomes RFC 3339 text in UTC.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            // Not finite is never stored; JSON has no name for it.
            Value::Float(value) => Json::from(*value),
            Value::DateTime(micros) => {
                datetime::format(*micros).map_or_else(|| Json::from(*micros), Json::String)
            }
            Value::String(text) => Json::String(text.clone()),
            Value::Geo(point) => point.to_json(),
            Value::Array(items) => Json::Array(items.iter().map(Value::to_json).collect()),
        }
    }
}

/// Metadata from a JSON object; `null` stands for no metadata.
///
/// # Errors
/// Not an object, bad field names, and values that [`Value::from_json`] refuses; the path is named.
pub fn metadata_from_json(json: &Json) -> Result<Metadata, FilterError> {
    match json {
        Json::Null => Ok(Metadata::new()),
        Json::Object(fields) => {
            let mut metadata = Metadata::new();
            for (name, json) in fields {
                put_path(json, name.clone(), &mut metadata)?;
            }
            Ok(metadata)
        }
        other => Err(FilterError::BadMetadata {
            path: "of a point".to_owned(),
            what: format!(
                "must be a JSON object such as {{\"category\": \"books\"}}, not {}",
                json_type(other)
            ),
        }),
    }
}

/// Adds what stands at a path: a value, or the fields of an object.
fn put_path(json: &Json, path: String, metadata: &mut Metadata) -> Result<(), FilterError> {
    // Bounds the depth as well.
    validate_name(&path)?;
    if let Json::Object(fields) = json
        && GeoPoint::of_json(json).is_none()
        && !fields.is_empty()
    {
        for (name, json) in fields {
            validate_name(name)?;
            put_path(json, format!("{path}.{name}"), metadata)?;
        }
        return Ok(());
    }
    let value = match json {
        Json::Object(fields) if fields.is_empty() => Value::Null,
        json => from_json_at(json, &path, false)?,
    };
    if metadata.contains_key(&path) {
        return Err(FilterError::BadMetadata {
            path,
            what: "the field is given twice, as a dotted name and as an object".to_owned(),
        });
    }
    metadata.insert(path, value);
    Ok(())
}

/// Metadata as a JSON object.
pub fn metadata_to_json(metadata: &Metadata) -> Json {
    object(nest_metadata(metadata))
}

fn object(fields: BTreeMap<&str, MetadataNode<'_>>) -> Json {
    let fields = fields.into_iter().map(|(name, node)| match node {
        MetadataNode::Value(value) => (name.to_owned(), value.to_json()),
        MetadataNode::Object(fields) => (name.to_owned(), object(fields)),
    });
    Json::Object(fields.collect::<Map<_, _>>())
}

/// What stands under a name once dotted names are taken apart.
#[derive(Debug)]
pub enum MetadataNode<'a> {
    /// A value.
    Value(&'a Value),
    /// Further names.
    Object(BTreeMap<&'a str, MetadataNode<'a>>),
}

/// Metadata with dotted names taken apart: `size.width` under `size`. A name stays whole from where its beginning is
/// that of a value, and where a part would be empty.
pub fn nest_metadata(metadata: &Metadata) -> BTreeMap<&str, MetadataNode<'_>> {
    let mut root = BTreeMap::new();
    for (name, value) in metadata {
        if name.split('.').any(str::is_empty) {
            root.insert(name.as_str(), MetadataNode::Value(value));
        } else {
            nest(&mut root, name, value);
        }
    }
    root
}

// A name comes after those it continues, so an object is never in the way of a value.
fn nest<'a>(fields: &mut BTreeMap<&'a str, MetadataNode<'a>>, name: &'a str, value: &'a Value) {
    if let Some((first, rest)) = name.split_once('.')
        && !matches!(fields.get(first), Some(MetadataNode::Value(_)))
    {
        let object = fields
            .entry(first)
            .or_insert_with(|| MetadataNode::Object(BTreeMap::new()));
        if let MetadataNode::Object(inner) = object {
            nest(inner, rest, value);
        }
    } else {
        fields.insert(name, MetadataNode::Value(value));
    }
}

fn from_json_at(json: &Json, path: &str, in_array: bool) -> Result<Value, FilterError> {
    let refuse = |path: String, what: String| Err(FilterError::BadMetadata { path, what });
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(value) => Ok(Value::Bool(*value)),
        Json::String(text) => Ok(Value::String(text.clone())),
        Json::Number(number) => {
            if let Some(int) = number.as_i64() {
                return Ok(Value::Int(int));
            }
            match number.as_f64().filter(|x| x.is_finite()) {
                Some(float) if !number.is_u64() => Ok(Value::Float(float)),
                _ => refuse(
                    path.to_owned(),
                    format!(
                        "the integer {number} is outside -2^63 to 2^63-1; \
                         write it as a float ({number}.0) or as text"
                    ),
                ),
            }
        }
        Json::Array(_) if in_array => refuse(path.to_owned(), NO_NESTED_ARRAYS.to_owned()),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| from_json_at(item, &format!("{path}[{i}]"), true))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Json::Object(fields) => match GeoPoint::of_json(json) {
            Some(point) => point
                .map(Value::Geo)
                .or_else(|what| refuse(path.to_owned(), what)),
            None => {
                let inner = fields.keys().next().map_or("", String::as_str);
                refuse(
                    path.to_owned(),
                    format!(
                        "an object with the key {} is no value here; objects stand in fields, not in arrays, and a \
                         point on the earth is {{\"lat\": 52.5, \"lon\": 13.4}}",
                        quoted(inner)
                    ),
                )
            }
        },
    }
}

/// What a piece of JSON is, with its article, for error messages.
pub(crate) fn json_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_round_trip() {
        let json = json!({"a": 1, "b": 1.5, "c": "x", "d": [true, null], "e": null, "f": -0.0});
        let metadata = metadata_from_json(&json).unwrap();
        assert_eq!(metadata["a"], Value::Int(1));
        assert_eq!(metadata["b"], Value::Float(1.5));
        assert_eq!(
            metadata["d"],
            Value::Array(vec![Value::Bool(true), Value::Null])
        );
        assert_eq!(metadata_to_json(&metadata), json);
        assert_eq!(metadata_from_json(&Json::Null).unwrap(), Metadata::new());
        assert_eq!(Value::DateTime(0).to_json(), json!("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn objects_are_paths() {
        for json in [
            json!({"a": {"b": {"c": 1, "d": [2]}, "e": "x"}, "f": 1}),
            json!({"a": 1, "a.b": 2}),
            json!({"a": {"b": 1, "b.c": 2}}),
            json!({"a..b": 1, ".": 2}),
            json!({"at": {"lat": 52.5, "lon": 13.4}, "all": [{"lat": 1.0, "lon": -2.0}]}),
        ] {
            let metadata = metadata_from_json(&json).unwrap();
            assert_eq!(metadata_to_json(&metadata), json);
        }
        let metadata = metadata_from_json(&json!({"a": {"b": {"c": 1}}, "e": {}})).unwrap();
        assert_eq!(metadata["a.b.c"], Value::Int(1));
        assert_eq!(metadata["e"], Value::Null);
        assert_eq!(
            metadata_to_json(&Metadata::from([("x.y".to_owned(), Value::Int(1))])),
            json!({"x": {"y": 1}})
        );
    }

    #[test]
    fn refusals_name_the_path() {
        let cases = [
            (json!([1]), "must be a JSON object"),
            (json!({"a": [1, [2]]}), "metadata a[1]: an array inside"),
            (
                json!({"a": [1, {"z": 2}]}),
                "metadata a[1]: an object with the key \"z\"",
            ),
            (
                json!({"a": {"lat": 91, "lon": 0}}),
                "metadata a: latitude 91",
            ),
            (json!({"a": {"b": {"$c": 1}}}), "must not begin with $"),
            (
                json!({"a.b": 1, "a": {"b": 1}}),
                "a.b: the field is given twice",
            ),
            (
                json!({"a": 18_446_744_073_709_551_615u64}),
                "18446744073709551615",
            ),
            (json!({"": 1}), "must not be empty"),
            (json!({"$a": 1}), "must not begin with $"),
            (json!({"a".repeat(241): 1}), "at most 240"),
        ];
        for (json, expected) in cases {
            let error = metadata_from_json(&json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
