//! Types of metadata fields and their written form: `int`, `datetime`, `string[]`.

use super::Field;
use crate::error::{FilterError, quoted};
use crate::nearest::did_you_mean;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The kind of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// True or false.
    Bool,
    /// Signed 64-bit integers.
    Int,
    /// Finite 64-bit floats.
    Float,
    /// Moments in microseconds.
    DateTime,
    /// UTF-8 text, compared byte by byte.
    String,
    /// UTF-8 text of which the words are indexed. By declaration only.
    Text,
    /// Universally unique identifiers: text in their usual form, in lower case. By declaration only.
    Uuid,
    /// Points on the earth.
    Geo,
}

impl FieldKind {
    /// All kinds.
    pub const ALL: [FieldKind; 8] = [
        FieldKind::Bool,
        FieldKind::Int,
        FieldKind::Float,
        FieldKind::DateTime,
        FieldKind::String,
        FieldKind::Text,
        FieldKind::Uuid,
        FieldKind::Geo,
    ];

    /// Whether the values are texts.
    pub fn is_text(self) -> bool {
        matches!(self, FieldKind::String | FieldKind::Text | FieldKind::Uuid)
    }

    /// The name used in text: `bool`, `int`, `float`, `datetime`, `string`, `text`, `uuid`, `geo`.
    pub fn name(self) -> &'static str {
        match self {
            FieldKind::Bool => "bool",
            FieldKind::Int => "int",
            FieldKind::Float => "float",
            FieldKind::DateTime => "datetime",
            FieldKind::String => "string",
            FieldKind::Text => "text",
            FieldKind::Uuid => "uuid",
            FieldKind::Geo => "geo",
        }
    }
}

/// The type of a field: scalars of one kind, or arrays of them. Null is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldType {
    /// The kind of the scalars.
    pub kind: FieldKind,
    /// Whether the field holds arrays.
    #[serde(default)]
    pub array: bool,
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let array = if self.array { "[]" } else { "" };
        write!(f, "{}{array}", self.kind)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or("null", FieldKind::name);
        match (self.kind, self.array) {
            (None, Some(true)) => f.write_str("array"),
            (_, Some(true)) => write!(f, "array of {kind}"),
            _ => f.write_str(kind),
        }
    }
}

impl FromStr for FieldType {
    type Err = FilterError;

    /// Reads `int`, `datetime`, `string[]` and the like.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (name, array) = match text.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let names = FieldKind::ALL.map(FieldKind::name);
        match FieldKind::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(FieldType { kind, array }),
            None => Err(FilterError::BadMetadata {
                path: "type".to_owned(),
                what: format!(
                    "unknown type {}{}; known: {}, each also with [] for arrays",
                    quoted(text),
                    did_you_mean(name, names),
                    names.join(", ")
                ),
            }),
        }
    }
}
