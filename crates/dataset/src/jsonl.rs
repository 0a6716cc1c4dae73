//! JSON lines: one object a line, `{"id": .., "vector": [..], "metadata": {..}}`.
//!
//! Where a line has no key `metadata`, all its other keys are the metadata: the flat form, as in files
//! that only describe rows. Blank lines are skipped. Vectors are parsed straight into f32.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use vecdb_vector::{ElementType, MAX_DIM};

use crate::points::append_f32;
use crate::source::ByteSource;
use crate::vectors::check_dim;
use crate::{DatasetError, PointOptions, PointReader, RawPoint, VectorInfo, VectorReader};

/// Twice a vector of [`MAX_DIM`] numbers written at full length.
const LINE_BYTES_MAX: usize = 4 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(crate) struct JsonlPoints {
    source: ByteSource,
    keys: Keys,
    line: Vec<u8>,
    line_number: u64,
    ended: bool,
}

/// What the keys of a line mean.
struct Keys {
    id: String,
    vector: String,
    skip: Vec<String>,
    /// Readers of vectors alone pass over the rest of the line.
    vector_only: bool,
}

impl JsonlPoints {
    pub(crate) fn open(source: ByteSource, options: &PointOptions) -> Self {
        let name =
            |given: &Option<String>, usual: &str| given.as_deref().unwrap_or(usual).to_owned();
        Self {
            source,
            keys: Keys {
                id: name(&options.id_field, "id"),
                vector: name(&options.vector_field, "vector"),
                skip: options.skip.clone(),
                vector_only: false,
            },
            line: Vec::new(),
            line_number: 0,
            ended: false,
        }
    }

    /// The line that was read last, from 1.
    pub(crate) fn line_number(&self) -> u64 {
        self.line_number
    }

    fn error(&self, what: impl Into<String>) -> DatasetError {
        DatasetError::line(self.source.path(), self.line_number, what)
    }

    fn point(&mut self) -> Result<Option<RawPoint>, DatasetError> {
        loop {
            self.line_number += 1;
            if !self
                .source
                .line(self.line_number, LINE_BYTES_MAX, &mut self.line)?
            {
                self.line_number -= 1;
                return Ok(None);
            }
            if self.line_number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.line.trim_ascii().is_empty() {
                return self.parse().map(Some);
            }
        }
    }

    fn parse(&self) -> Result<RawPoint, DatasetError> {
        let mut json = serde_json::Deserializer::from_slice(&self.line);
        let parsed = PointSeed(&self.keys)
            .deserialize(&mut json)
            .and_then(|point| json.end().map(|()| point));
        parsed.map_err(|error| {
            let text = error.to_string();
            // The parser sees one line at a time: its "line 1" would mislead.
            let what = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(what, _)| what);
            self.error(format!("{what} (column {})", error.column()))
        })
    }
}

impl Iterator for JsonlPoints {
    type Item = Result<RawPoint, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.point().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl PointReader for JsonlPoints {
    fn rows(&self) -> Option<u64> {
        None
    }
}

/// The vectors of a JSON lines file; every line must have one, of the dimension of the first.
pub(crate) struct JsonlVectors {
    points: JsonlPoints,
    info: VectorInfo,
    first: Option<Vec<f32>>,
}

impl JsonlVectors {
    pub(crate) fn open(source: ByteSource) -> Result<Self, DatasetError> {
        let path = source.path().to_path_buf();
        let mut points = JsonlPoints::open(source, &PointOptions::default());
        points.keys.vector_only = true;
        let Some(first) = Self::next_vector(&mut points)? else {
            let what = "the file has no lines; the first one tells the dimension, so one at least is needed";
            return Err(DatasetError::malformed(&path, 0, what));
        };
        let info = VectorInfo {
            rows: None,
            dim: check_dim(&path, 0, first.len() as u64)?,
            element: ElementType::F32,
            source: format!("{} (json lines)", path.display()),
        };
        Ok(Self {
            points,
            info,
            first: Some(first),
        })
    }

    fn next_vector(points: &mut JsonlPoints) -> Result<Option<Vec<f32>>, DatasetError> {
        match points.next().transpose()? {
            None => Ok(None),
            Some(RawPoint {
                vector: Some(vector),
                ..
            }) => Ok(Some(vector)),
            Some(_) => Err(points.error("the line has no key 'vector'")),
        }
    }
}

impl VectorReader for JsonlVectors {
    fn info(&self) -> &VectorInfo {
        &self.info
    }

    fn read(&mut self, max_rows: usize, out: &mut Vec<u8>) -> Result<usize, DatasetError> {
        let mut rows = 0;
        while rows < max_rows {
            let vector = match self.first.take() {
                Some(vector) => vector,
                None => match Self::next_vector(&mut self.points)? {
                    Some(vector) => vector,
                    None => break,
                },
            };
            if vector.len() != self.info.dim {
                let what = format!(
                    "{} elements, the lines before it {}",
                    vector.len(),
                    self.info.dim
                );
                return Err(self.points.error(what));
            }
            append_f32(&vector, out);
            rows += 1;
        }
        Ok(rows)
    }
}

/// Reads one line's object without building a tree of its numbers.
struct PointSeed<'a>(&'a Keys);

impl<'de> DeserializeSeed<'de> for PointSeed<'_> {
    type Value = RawPoint;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawPoint, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PointSeed<'_> {
    type Value = RawPoint;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object with id, vector and metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPoint, A::Error> {
        let keys = self.0;
        let mut point = RawPoint::default();
        let mut nested: Option<Map<String, Value>> = None;
        let twice = |key: &str| A::Error::custom(format!("the key '{key}' comes twice"));
        while let Some(key) = map.next_key::<String>()? {
            if key == keys.vector {
                if point.vector.is_some() {
                    return Err(twice(&key));
                }
                point.vector = map.next_value_seed(VectorSeed)?;
            } else if keys.vector_only || keys.skip.contains(&key) {
                map.next_value::<IgnoredAny>()?;
            } else if key == keys.id {
                if point.id.is_some() {
                    return Err(twice(&key));
                }
                point.id = map.next_value()?;
            } else if key == "metadata" {
                if nested.is_some() {
                    return Err(twice(&key));
                }
                // null stands for none.
                nested = Some(
                    map.next_value::<Option<Map<String, Value>>>()?
                        .unwrap_or_default(),
                );
            } else if point
                .metadata
                .insert(key.clone(), map.next_value()?)
                .is_some()
            {
                return Err(twice(&key));
            }
        }
        if let Some(mut nested) = nested {
            if let Some(stray) = point.metadata.keys().next() {
                return Err(A::Error::custom(format!(
                    "unknown key '{stray}' beside 'metadata'; move it into 'metadata'"
                )));
            }
            nested.retain(|key, _| !keys.skip.contains(key));
            point.metadata = nested;
        }
        Ok(point)
    }
}

/// An array of numbers as f32, or null for no vector.
struct VectorSeed;

impl<'de> DeserializeSeed<'de> for VectorSeed {
    type Value = Option<Vec<f32>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for VectorSeed {
    type Value = Option<Vec<f32>>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a vector: an array of numbers")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut vector = Vec::new();
        while let Some(value) = seq.next_element::<f64>()? {
            let narrow = value as f32;
            if !narrow.is_finite() {
                return Err(A::Error::custom(format!(
                    "element {} of the vector is {value}, beyond what 32-bit floats hold",
                    vector.len()
                )));
            }
            if vector.len() == MAX_DIM {
                return Err(A::Error::custom(format!(
                    "a vector of more than {MAX_DIM} elements"
                )));
            }
            vector.push(narrow);
        }
        Ok(Some(vector))
    }
}
