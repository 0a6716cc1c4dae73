//! A file of the writes that were acknowledged, to hold a database against after a crash.
//!
//! One line of JSON a write: `{"collection": "vectors", "position": 7, "points": [[id, checksum], ...]}`. The checksum is
//! CRC-32C of the vector as the collection gives it, its numbers as little-endian f32, and then of the metadata as JSON.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use vecdb_engine::{ErrorKind, PointId, READ_POINTS_MAX, Record, metadata_to_json};
use vecdb_storage::checksum::{crc32c, crc32c_seeded};

use super::super::session::{Collection, Session};
use crate::failure::{Failure, Outcome};

/// Points asked for at once.
const BATCH: usize = if READ_POINTS_MAX < 1_000 {
    READ_POINTS_MAX
} else {
    1_000
};
/// Points that are named.
const NAMED: usize = 20;

/// The file while writes are acknowledged.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Continues the file, or begins it.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(|error| Failure::file(path, &error))?,
        })
    }

    /// Notes that these points were acknowledged, as the collection gives them.
    pub(super) fn note(
        &mut self,
        collection: Collection<'_>,
        position: u64,
        ids: &[PointId],
    ) -> Outcome {
        let mut points = Vec::with_capacity(ids.len());
        for ids in ids.chunks(BATCH) {
            for (id, record) in ids.iter().zip(collection.get(ids, true)?) {
                let record = record.ok_or_else(|| {
                    Failure::new(
                        ErrorKind::Corrupt,
                        format!("point {id} was acknowledged and is not there"),
                    )
                })?;
                points.push((id.to_json(), checksum(&record)));
            }
        }
        let line = json!({"collection": collection.name(), "position": position, "points": points});
        // One call: whoever is killed leaves at most one line unfinished.
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| Failure::file(&self.path, &error))
    }
}

/// What holding a database against such a file showed.
#[derive(Serialize)]
pub(super) struct Comparison {
    pub(super) file: PathBuf,
    /// Writes that were acknowledged.
    pub(super) writes: u64,
    /// Points of these; of several writes of a point the last counts.
    pub(super) points: u64,
    pub(super) missing: u64,
    pub(super) changed: u64,
    /// The first ones that are missing or changed.
    pub(super) first: Vec<String>,
    /// The last line was not finished.
    pub(super) torn: bool,
}

type Expected = HashMap<String, HashMap<PointId, u32>>;

impl Comparison {
    /// Looks for every point of the file.
    pub(super) fn of(session: &Session, path: &Path) -> Outcome<Self> {
        let mut comparison = Self {
            file: path.to_owned(),
            writes: 0,
            points: 0,
            missing: 0,
            changed: 0,
            first: Vec::new(),
            torn: false,
        };
        let expected = comparison.read(path)?;
        for (name, points) in &expected {
            comparison.look_for(session, name, points)?;
        }
        Ok(comparison)
    }

    /// Whether every point is there as it was acknowledged.
    pub(super) fn nothing_lost(&self) -> bool {
        self.missing + self.changed == 0
    }

    fn read(&mut self, path: &Path) -> Outcome<Expected> {
        let failed = |error: &std::io::Error| Failure::file(path, error);
        let mut file = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
        let mut expected = Expected::new();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = file.read_until(b'\n', &mut line);
            if read.map_err(|error| failed(&error))? == 0 {
                break;
            }
            if line.last() != Some(&b'\n') {
                self.torn = true;
                break;
            }
            let parsed = serde_json::from_slice(&line).ok();
            let entry = parsed.as_ref().and_then(entry);
            let (collection, points) = entry.ok_or_else(|| {
                Failure::usage(format!(
                    "line {number} of {} is no acknowledgement: `storage insert --acknowledged` writes this file",
                    path.display()
                ))
            })?;
            self.writes += 1;
            let collection = expected.entry(collection.to_owned()).or_default();
            collection.extend(points);
        }
        self.points = expected.values().map(|points| points.len() as u64).sum();
        Ok(expected)
    }

    fn look_for(
        &mut self,
        session: &Session,
        name: &str,
        points: &HashMap<PointId, u32>,
    ) -> Outcome {
        let mut ids: Vec<PointId> = points.keys().cloned().collect();
        ids.sort();
        let collection = session.collection(name);
        for ids in ids.chunks(BATCH) {
            let found = match collection.get(ids, true) {
                Ok(found) => found,
                Err(Failure::Error(error)) if error.kind() == ErrorKind::NotFound => {
                    vec![None; ids.len()]
                }
                Err(failure) => return Err(failure),
            };
            for (id, record) in ids.iter().zip(found) {
                let what = match record {
                    None => {
                        self.missing += 1;
                        "is missing"
                    }
                    Some(record) if points.get(id) == Some(&checksum(&record)) => continue,
                    Some(_) => {
                        self.changed += 1;
                        "is not what was acknowledged"
                    }
                };
                if self.first.len() < NAMED {
                    self.first.push(format!("point {id} of {name} {what}"));
                }
            }
        }
        Ok(())
    }
}

/// A line: the collection and its points.
fn entry(line: &Value) -> Option<(&str, Vec<(PointId, u32)>)> {
    let collection = line.get("collection")?.as_str()?;
    let points = line.get("points")?.as_array()?.iter().map(|point| {
        let id = PointId::from_json(point.get(0)?).ok()?;
        let checksum = u32::try_from(point.get(1)?.as_u64()?).ok()?;
        Some((id, checksum))
    });
    Some((collection, points.collect::<Option<_>>()?))
}

fn checksum(record: &Record) -> u32 {
    let vector = record.vector.iter().flatten();
    let vector: Vec<u8> = vector.flat_map(|value| value.to_le_bytes()).collect();
    let metadata = record.metadata.as_ref().map(metadata_to_json);
    let metadata = metadata.unwrap_or_default().to_string();
    crc32c_seeded(crc32c(&vector), metadata.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_others_are_refused() {
        let line = json!({"collection": "c", "position": 3, "points": [[7, 99], ["x", 1]]});
        let (collection, points) = entry(&line).unwrap();
        assert_eq!(collection, "c");
        assert_eq!(points, [(7.into(), 99), ("x".into(), 1)]);
        for bad in [
            json!({"points": []}),
            json!({"collection": "c", "points": [[7]]}),
            json!({"collection": "c", "points": [[7, -1]]}),
            json!([]),
        ] {
            assert!(entry(&bad).is_none(), "{bad}");
        }
    }
}
