//! The points that a load puts into a collection: rows with, where it was given, their metadata.

use std::path::Path;

use serde_json::Value;
use vecdb_dataset::{PointOptions, open_points};
use vecdb_engine::{Metadata, Point, metadata_from_json};

use crate::Outcome;
use crate::rows::Rows;

/// Metadata of the first rows, one line of JSON each.
pub(crate) struct Payloads(Vec<Metadata>);

impl Payloads {
    /// Reads a file, or its first `limit` lines. A line's id, if it has one, is kept as the field `name`: points are numbered
    /// by row.
    pub(crate) fn read(path: &Path, limit: Option<u32>) -> Outcome<Self> {
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let lines = open_points(path, &PointOptions::default())?;
        let payloads = lines
            .take(limit)
            .map(|line| {
                let mut line = line?;
                if let Some(id) = line.id {
                    line.metadata.insert("name".to_owned(), id);
                }
                Ok(metadata_from_json(&Value::Object(line.metadata))?)
            })
            .collect::<Outcome<Vec<Metadata>>>()?;
        Ok(Self(payloads))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The point of a row: its number as id, and its metadata.
pub(crate) fn point(row: usize, values: &[f32], payloads: Option<&Payloads>) -> Point {
    let mut point = Point::new(row as u64, values.to_vec());
    if let Some(metadata) = payloads.and_then(|payloads| payloads.0.get(row)) {
        point.metadata = metadata.clone();
    }
    point
}

/// All points, in batches of at most `size`.
pub(crate) fn batches<'a>(
    base: &'a Rows,
    payloads: Option<&'a Payloads>,
    size: usize,
) -> impl Iterator<Item = Vec<Point>> + 'a {
    let mut rows = base.iter().enumerate();
    std::iter::from_fn(move || {
        let batch = rows.by_ref().take(size.max(1));
        let batch: Vec<Point> = batch
            .map(|(row, values)| point(row, values, payloads))
            .collect();
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_as_a_name_and_no_id_as_nothing() {
        let name = format!("vecdb-bench-payloads-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        let lines = "{\"id\":\"a\",\"rank\":1}\n{\"rank\":2}\n{\"rank\":3}\n";
        std::fs::write(&path, lines).unwrap();
        let payloads = Payloads::read(&path, Some(2)).unwrap();
        std::fs::remove_file(&path).unwrap();
        let fields = |row: usize| payloads.0[row].keys().cloned().collect::<Vec<_>>();
        assert_eq!(payloads.len(), 2);
        assert_eq!(fields(0), ["name", "rank"]);
        assert_eq!(fields(1), ["rank"]);
    }
}
