//! Points and hits as JSON. Their numbers are f32: written as such, 0.1 stays 0.1 and reads back to the same bits.

use serde::Serialize;
use serde_json::Value;
use vecdb_engine::{Hit, Record, metadata_to_json};

/// A point as `import` reads it.
#[derive(Serialize)]
pub(crate) struct PointJson<'a> {
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
}

impl<'a> From<&'a Record> for PointJson<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            id: record.id.to_json(),
            vector: record.vector.as_deref(),
            metadata: record.metadata.as_ref().map(metadata_to_json),
        }
    }
}

/// A hit: the point with its distance and score.
#[derive(Serialize)]
pub(crate) struct HitJson {
    id: Value,
    distance: f32,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
}

impl From<&Hit> for HitJson {
    fn from(hit: &Hit) -> Self {
        Self {
            id: hit.id.to_json(),
            distance: hit.distance,
            score: hit.score,
            vector: hit.vector.clone(),
            metadata: hit.metadata.as_ref().map(metadata_to_json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_may_be_and_read_back_the_same() {
        let vector = vec![
            0.1,
            -7.0,
            1e-30,
            f32::MIN_POSITIVE,
            16_777_217.0,
            0.333_333_34,
        ];
        let record = Record {
            id: "a".into(),
            vector: Some(vector.clone()),
            metadata: None,
        };
        let text = serde_json::to_string(&PointJson::from(&record)).unwrap();
        assert!(
            text.starts_with(r#"{"id":"a","vector":[0.1,-7.0,1e-30,"#),
            "{text}"
        );
        let back: Value = serde_json::from_str(&text).unwrap();
        let back: Vec<f32> = back["vector"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap() as f32)
            .collect();
        assert_eq!(back, vector);
    }
}
