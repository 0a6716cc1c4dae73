//! Values from and to JSON.
//!
//! JSON has no date-times: text becomes a date-time only where the schema declares one
//! ([`MetadataSchema::observe`](crate::MetadataSchema::observe)); written out it is RFC 3339 again.

use super::{Metadata, NO_NESTED_ARRAYS, Value, datetime, validate_name};
use crate::error::{FilterError, quoted};
use serde_json::{Map, Value as Json};

impl Value {
    /// The value that a piece of JSON stands for.
    ///
    /// # Errors
    /// Objects, arrays inside arrays, and integers that do not fit 64 signed bits.
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
        Json::Object(fields) => fields
            .iter()
            .map(|(name, json)| {
                validate_name(name)?;
                Ok((name.clone(), from_json_at(json, name, false)?))
            })
            .collect(),
        other => Err(FilterError::BadMetadata {
            path: "of a point".to_owned(),
            what: format!(
                "must be a JSON object such as {{\"category\": \"books\"}}, not {}",
                json_type(other)
            ),
        }),
    }
}

/// Metadata as a JSON object.
pub fn metadata_to_json(metadata: &Metadata) -> Json {
    Json::Object(
        metadata
            .iter()
            .map(|(name, value)| (name.clone(), value.to_json()))
            .collect::<Map<_, _>>(),
    )
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
        Json::Object(fields) => {
            let inner = fields.keys().next().map_or("", String::as_str);
            refuse(
                format!("{path}.{inner}"),
                format!(
                    "nested objects are not supported; use a flat field name such as {}",
                    quoted(&format!("{path}_{inner}"))
                ),
            )
        }
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
    fn refusals_name_the_path() {
        let cases = [
            (json!([1]), "must be a JSON object"),
            (json!({"a": {"b": 1}}), "metadata a.b: nested objects"),
            (json!({"a": [1, [2]]}), "metadata a[1]: an array inside"),
            (json!({"a": [1, {"z": 2}]}), "metadata a[1].z: nested"),
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
