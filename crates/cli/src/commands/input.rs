//! Reading what people type: ids, vectors, filters, metadata, points.

use std::path::Path;

use serde_json::{Map, Value};
use vecdb_dataset::open_vectors;
use vecdb_engine::{Filter, Metadata, Point, PointId, metadata_from_json};
use vecdb_vector::decode_row;

use crate::failure::{Failure, Outcome};

/// Ids as typed.
pub(crate) fn ids(texts: &[String]) -> Outcome<Vec<PointId>> {
    texts.iter().map(|text| Ok(PointId::parse(text)?)).collect()
}

/// A filter as JSON.
pub(crate) fn filter(text: Option<&str>) -> Outcome<Option<Filter>> {
    text.map(|text| Ok(Filter::parse_str(text)?)).transpose()
}

/// A metadata object as JSON.
pub(crate) fn metadata(text: &str) -> Outcome<Metadata> {
    let json = json("metadata", text)?;
    Ok(metadata_from_json(&json)?)
}

/// A vector as a JSON array.
pub(crate) fn vector(text: &str) -> Outcome<Vec<f32>> {
    vector_of(&json("vector", text)?)
}

/// A vector as a JSON array, or `@FILE` for a row of a file.
pub(crate) fn query(text: &str, row: usize) -> Outcome<Vec<f32>> {
    match text.strip_prefix('@') {
        Some(path) => vector_in_file(Path::new(path), row),
        None => vector(text),
    }
}

fn vector_in_file(path: &Path, row: usize) -> Outcome<Vec<f32>> {
    let mut reader = open_vectors(path)?;
    let info = reader.info().clone();
    let chunk = ((4 << 20) / info.row_bytes().max(1)).max(1);
    let mut before = 0;
    loop {
        let mut bytes = Vec::new();
        let read = reader.read(chunk, &mut bytes)?;
        if read == 0 {
            return Err(Failure::usage(format!(
                "{} has {before} rows; there is no row {row} (they are counted from 0)",
                path.display()
            )));
        }
        if let Some(bytes) = row
            .checked_sub(before)
            .and_then(|at| bytes.chunks_exact(info.row_bytes()).nth(at))
        {
            let mut values = Vec::with_capacity(info.dim);
            decode_row(info.element, info.dim, bytes, &mut values);
            return Ok(values);
        }
        before += read;
    }
}

/// A point as JSON: `id`, `vector`, `metadata`.
pub(crate) fn point(text: &str) -> Outcome<Point> {
    let Value::Object(mut fields) = json("point", text)? else {
        return Err(Failure::usage(
            r#"a point is a JSON object {"id": ..., "vector": [...], "metadata": {...}}"#,
        ));
    };
    let mut take = |name: &str| {
        fields
            .remove(name)
            .ok_or_else(|| Failure::usage(format!("the point has no `{name}`")))
    };
    let id = PointId::from_json(&take("id")?)?;
    let vector = vector_of(&take("vector")?)?;
    let metadata = fields
        .remove("metadata")
        .unwrap_or_else(|| Map::new().into());
    if let Some(unknown) = fields.keys().next() {
        return Err(Failure::usage(format!(
            "the point has an unknown key `{unknown}`; a point has `id`, `vector` and `metadata`"
        )));
    }
    Ok(Point {
        id,
        vector,
        metadata: metadata_from_json(&metadata)?,
    })
}

fn vector_of(json: &Value) -> Outcome<Vec<f32>> {
    let Value::Array(values) = json else {
        return Err(Failure::usage(
            "a vector is a JSON array of numbers, such as [0.1, 0.2]",
        ));
    };
    let number = |(at, value): (usize, &Value)| {
        let number = value.as_f64().map(|number| number as f32);
        number.ok_or_else(|| {
            Failure::usage(format!(
                "value {value} at position {at} of the vector is not a number"
            ))
        })
    };
    values.iter().enumerate().map(number).collect()
}

fn json(what: &str, text: &str) -> Outcome<Value> {
    serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("the {what} is not valid JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T>(outcome: Outcome<T>) -> String {
        match outcome {
            Err(Failure::Error(error)) => error.to_string(),
            _ => String::new(),
        }
    }

    #[test]
    fn points_are_read() {
        let read = point(r#"{"id": "a", "vector": [1, -0.5], "metadata": {"x": 3}}"#).unwrap();
        assert_eq!((read.vector, read.metadata.len()), (vec![1.0, -0.5], 1));
        assert!(
            point(r#"{"id": 1, "vector": []}"#)
                .unwrap()
                .metadata
                .is_empty()
        );
    }

    #[test]
    fn what_is_wrong_with_a_point_is_named() {
        for (text, named) in [
            (r#"{"vector": [1]}"#, "no `id`"),
            (r#"{"id": 1}"#, "no `vector`"),
            (r#"{"id": 1, "vector": [1], "price": 3}"#, "`price`"),
            (r#"{"id": 1, "vector": ["x"]}"#, "position 0"),
            (r#"{"id": 1, "vector": {}}"#, "array"),
            (r#"{"id": -1, "vector": [1]}"#, "-1"),
            ("[1]", "object"),
            ("{", "not valid JSON"),
        ] {
            let message = message(point(text));
            assert!(message.contains(named), "{text}: {message}");
        }
        assert!(message(vector("[NaN]")).contains("not valid JSON"));
    }
}
