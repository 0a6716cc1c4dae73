//! JSON text in which no object has a key twice.
//!
//! JSON readers commonly keep the last of equal keys. `{"price": {"$gt": 5}, "price": {"$lt": 9}}` would
//! silently lose a condition, so a filter written like that is refused.

use super::DEPTH_MAX;
use crate::error::{FilterError, quoted};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};
use std::fmt;

/// JSON of a filter of [`DEPTH_MAX`] levels is no deeper: a list and an object for each, and a condition.
const JSON_DEPTH_MAX: usize = 2 * DEPTH_MAX + 4;

pub(super) fn read(text: &str) -> Result<Json, FilterError> {
    if depth(text) > JSON_DEPTH_MAX {
        return Err(FilterError::TooDeep { limit: DEPTH_MAX });
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    // Its limit is a little lower; the stack holds ours.
    reader.disable_recursion_limit();
    let read = UniqueKeys::deserialize(&mut reader).and_then(|json| reader.end().map(|()| json));
    let UniqueKeys(json) = read.map_err(|error| FilterError::NotJson(error.to_string()))?;
    Ok(json)
}

/// How deep lists and objects are nested.
fn depth(text: &str) -> usize {
    let (mut now, mut most) = (0usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

struct UniqueKeys(Json);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(UniqueKeys)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(UniqueKeys(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key {} stands twice in one object; join the conditions in one object, \
                     such as {{\"$gt\": 5, \"$lt\": 9}}, or by $and",
                    quoted(&key)
                )));
            }
            let UniqueKeys(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_other_readers_read() {
        let text = r#" {"a": [1, -2, 2.5, 18446744073709551615, "x\u00e9", true, null, {}], "b": {"a": 1}} "#;
        assert_eq!(
            read(text).unwrap(),
            serde_json::from_str::<Json>(text).unwrap()
        );
        for bad in ["", "{", "{} {}", "{\"a\": 1e999}", "[1,]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_is_that_of_lists_and_objects_outside_of_texts() {
        for (text, expected) in [
            ("", 0),
            ("[]", 1),
            (r#"{"a": [{}], "b": [[]]}"#, 3),
            (r#"{"[[[": "{{{\"[["}"#, 1),
            ("]]]][", 1),
        ] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    #[test]
    fn a_key_twice_is_an_error() {
        for text in [
            r#"{"price": {"$gt": 5}, "price": {"$lt": 9}}"#,
            r#"{"$or": [{"x": {"price": 1, "\u0070rice": 1}}]}"#,
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains("the key \"price\" stands twice in one object"),
                "{error}"
            );
        }
    }
}
