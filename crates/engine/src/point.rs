//! Points and their ids.

use std::fmt;

use uuid::Uuid;
use vecdb_filter::Metadata;
use vecdb_storage::bytes::Writer;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// The longest string id, in bytes.
pub const ID_BYTES_MAX: usize = 1024;

const TAG_U64: u8 = 1;
const TAG_UUID: u8 = 2;
const TAG_STRING: u8 = 3;

/// The id of a point: a number, a UUID or a string. The three never equal each other: `5` is not `"5"`.
///
/// Ids have one total order (numbers, then UUIDs, then strings), the order of their canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PointId {
    /// An unsigned number.
    U64(u64),
    /// A UUID; in JSON a string of the hyphenated form.
    Uuid(Uuid),
    /// Any other string of 1 to [`ID_BYTES_MAX`] bytes.
    String(String),
}

impl PointId {
    /// Reads an id as people type it: digits are a number, the hyphenated form is a UUID, the rest is a string. In
    /// double quotes it is always a string, as in JSON: `"5"`.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() >= 2 && text.starts_with('"') && text.ends_with('"') {
            let quoted = serde_json::from_str::<String>(text);
            let quoted = quoted
                .map_err(|e| Error::invalid(format!("{text} is not a string in quotes: {e}")))?;
            return Self::from_text(&quoted);
        }
        if !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && let Ok(number) = text.parse()
        {
            return Ok(PointId::U64(number));
        }
        Self::from_text(text)
    }

    /// An id from a string value: a UUID where it has the hyphenated form, else a string.
    pub fn from_text(text: &str) -> Result<Self> {
        let id = PointId::from(text);
        id.check()?;
        Ok(id)
    }

    /// An id from JSON: a non-negative integer or a string.
    pub fn from_json(value: &serde_json::Value) -> Result<Self> {
        match value {
            serde_json::Value::String(text) => Self::from_text(text),
            serde_json::Value::Number(number) => {
                number.as_u64().map(PointId::U64).ok_or_else(|| {
                    Error::invalid(format!(
                        "id {number} is not a whole number from 0 to {}",
                        u64::MAX
                    ))
                })
            }
            other => Err(Error::invalid(format!(
                "an id is a whole number or a string, not {other}"
            ))),
        }
    }

    /// The id as JSON: a number or a string.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            PointId::U64(number) => (*number).into(),
            other => other.to_string().into(),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self {
            PointId::String(text) if text.is_empty() => {
                Err(Error::invalid("an id must not be empty"))
            }
            PointId::String(text) if text.len() > ID_BYTES_MAX => Err(Error::invalid(format!(
                "the id starting with {:?} has {} bytes; at most {ID_BYTES_MAX} are allowed",
                text.chars().take(24).collect::<String>(),
                text.len()
            ))),
            _ => Ok(()),
        }
    }

    /// Canonical bytes: a tag, then big-endian so that byte order is id order.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            PointId::U64(number) => {
                out.push(TAG_U64);
                out.extend_from_slice(&number.to_be_bytes());
            }
            PointId::Uuid(uuid) => {
                out.push(TAG_UUID);
                out.extend_from_slice(uuid.as_bytes());
            }
            PointId::String(text) => {
                out.push(TAG_STRING);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        self.encode(&mut bytes);
        bytes
    }

    /// `None` when the bytes are not a canonical id.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        match tag {
            TAG_U64 => Some(PointId::U64(u64::from_be_bytes(rest.try_into().ok()?))),
            TAG_UUID => Some(PointId::Uuid(Uuid::from_bytes(rest.try_into().ok()?))),
            TAG_STRING => {
                let text = std::str::from_utf8(rest).ok()?;
                (!text.is_empty() && text.len() <= ID_BYTES_MAX)
                    .then(|| PointId::String(text.to_owned()))
            }
            _ => None,
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.sized_bytes(&self.to_bytes());
    }

    /// The hash that orders scrolls and keys the id maps. Part of the file format.
    pub(crate) fn hash64(&self) -> u64 {
        hash_id_bytes(&self.to_bytes())
    }
}

/// [`PointId::hash64`] of canonical bytes.
pub(crate) fn hash_id_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointId::U64(number) => number.fmt(f),
            PointId::Uuid(uuid) => uuid.fmt(f),
            PointId::String(text) => f.write_str(text),
        }
    }
}

impl From<u64> for PointId {
    fn from(number: u64) -> Self {
        PointId::U64(number)
    }
}

impl From<Uuid> for PointId {
    fn from(uuid: Uuid) -> Self {
        PointId::Uuid(uuid)
    }
}

impl From<&str> for PointId {
    fn from(text: &str) -> Self {
        PointId::from(text.to_owned())
    }
}

impl From<String> for PointId {
    /// A UUID where the text has its hyphenated form, as in JSON. Whether the length is right is told by the write.
    fn from(text: String) -> Self {
        match (text.len() == 36).then(|| Uuid::try_parse(&text)) {
            Some(Ok(uuid)) => PointId::Uuid(uuid),
            _ => PointId::String(text),
        }
    }
}

/// What is put into a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its id; a point with an id that exists replaces the older one.
    pub id: PointId,
    /// As many values as the collection has dimensions; for the element type `bits`, zeros and ones.
    pub vector: Vec<f32>,
    /// What filters can ask for and what comes back with a hit.
    pub metadata: Metadata,
}

impl Point {
    /// A point without metadata.
    pub fn new(id: impl Into<PointId>, vector: Vec<f32>) -> Self {
        Self {
            id: id.into(),
            vector,
            metadata: Metadata::new(),
        }
    }

    /// The same point with one more metadata field.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: impl Into<vecdb_filter::Value>) -> Self {
        self.metadata.insert(field.into(), value.into());
        self
    }
}

/// What `get` and `scroll` give back.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The point's id.
    pub id: PointId,
    /// The stored vector, where it was asked for.
    pub vector: Option<Vec<f32>>,
    /// The metadata, where it was asked for.
    pub metadata: Option<Metadata>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_is_not_the_string_five() {
        let (number, text) = (PointId::from(5), PointId::from("5"));
        assert_ne!(number, text);
        assert_ne!(number.hash64(), text.hash64());
        assert_eq!(PointId::parse("5").unwrap(), number);
        assert_eq!(PointId::parse("\"5\"").unwrap(), text);
        assert!(PointId::parse("\"a\"b\"").is_err());
        assert_eq!(PointId::from_json(&"5".into()).unwrap(), text);
        let uuid = Uuid::from_u128(9);
        assert_eq!(PointId::from(uuid.to_string()), PointId::Uuid(uuid));
    }

    #[test]
    fn canonical_bytes_round_trip_and_keep_the_order() {
        let mut ids = vec![
            PointId::from(0),
            PointId::from(u64::MAX),
            PointId::from(256),
            PointId::Uuid(Uuid::from_u128(7)),
            PointId::Uuid(Uuid::from_u128(u128::MAX)),
            PointId::from("a"),
            PointId::from("a\0"),
            PointId::from("é"),
        ];
        for id in &ids {
            assert_eq!(PointId::decode(&id.to_bytes()).as_ref(), Some(id));
        }
        ids.sort();
        let mut by_bytes = ids.clone();
        by_bytes.sort_by_key(PointId::to_bytes);
        assert_eq!(ids, by_bytes);
    }

    #[test]
    fn ids_that_are_too_short_or_too_long_are_refused_by_name() {
        assert!(
            PointId::from_text("")
                .unwrap_err()
                .to_string()
                .contains("must not be empty")
        );
        let long = "x".repeat(100_000);
        let error = PointId::from_text(&long).unwrap_err().to_string();
        assert!(
            error.contains("100000 bytes") && error.contains("1024"),
            "{error}"
        );
        assert!(PointId::from_json(&(-3).into()).is_err());
        assert_eq!(PointId::decode(&[9, 1]), None);
        assert_eq!(PointId::decode(&[1, 1]), None);
        assert_eq!(PointId::decode(&[]), None);
    }
}
