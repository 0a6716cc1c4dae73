//! Types of metadata fields and their written form: `int`, `datetime`, `string[]`, `text(english)`.

use super::Field;
use crate::error::{FilterError, quoted};
use crate::nearest::did_you_mean;
use crate::stemmer::Stemmer;
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
    /// Of a text: by which rules its words are stemmed, if at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stemmer: Option<Stemmer>,
}

/// A kind as it is written with its stemmer.
struct Written(FieldKind, Option<Stemmer>);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Written(kind, Some(stemmer)) => write!(f, "{kind}({stemmer})"),
            Written(kind, None) => write!(f, "{kind}"),
        }
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let array = if self.array { "[]" } else { "" };
        write!(f, "{}{array}", Written(self.kind, self.stemmer))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.array) {
            (None, Some(true)) => f.write_str("array"),
            (None, _) => f.write_str("null"),
            (Some(kind), Some(true)) => write!(f, "array of {}", Written(kind, self.stemmer)),
            (Some(kind), _) => write!(f, "{}", Written(kind, self.stemmer)),
        }
    }
}

impl FromStr for FieldType {
    type Err = FilterError;

    /// Reads `int`, `datetime`, `string[]`, `text(english)` and the like.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (name, array) = match text.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let stemmed = name.strip_suffix(')').and_then(|name| name.split_once('('));
        let (name, stemmer) = match stemmed {
            Some((name, stemmer)) if name == FieldKind::Text.name() => {
                (name, Some(stemmer.parse()?))
            }
            _ => (name, None),
        };
        let names = FieldKind::ALL.map(FieldKind::name);
        match FieldKind::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(FieldType {
                kind,
                array,
                stemmer,
            }),
            None => Err(FilterError::BadMetadata {
                path: "type".to_owned(),
                what: format!(
                    "unknown type {}{}; known: {}, each also with [] for arrays, and text with a stemmer such as text(english)",
                    quoted(text),
                    did_you_mean(name, names),
                    names.join(", ")
                ),
            }),
        }
    }
}
