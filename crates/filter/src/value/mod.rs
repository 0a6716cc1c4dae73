//! Metadata values: what a field of a point can hold.
//!
//! A value is a scalar, null, or a flat array of scalars and nulls. Floats are finite: NaN and the
//! infinities have no place in JSON and no useful order. Integers and floats are one number line and
//! compare exactly, also beyond 2^53 (see [`compare`](compare::compare)).

mod codec;
pub(crate) mod compare;
pub(crate) mod datetime;
mod json;
mod order;

use crate::error::{FilterError, quoted};
use crate::geo::GeoPoint;
use crate::schema::FieldKind;
use std::collections::BTreeMap;

pub use codec::{decode_field, decode_metadata, encode_metadata};
pub use datetime::parse as parse_date_time;
pub(crate) use json::json_type;
pub use json::{MetadataNode, metadata_from_json, metadata_to_json, nest_metadata};
pub use order::SortValue;
pub(crate) use order::class_of;

/// The metadata of one point: field name to value.
pub type Metadata = BTreeMap<String, Value>;

/// Longest field name, in bytes.
pub const FIELD_NAME_BYTES_MAX: usize = 240;

/// One metadata value.
///
/// Equality is that of the representation: `Int(1)` and `Float(1.0)` differ here, but a filter takes
/// them for the same number.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Present but without a value.
    Null,
    /// True or false.
    Bool(bool),
    /// Signed 64-bit integer.
    Int(i64),
    /// Finite 64-bit float.
    Float(f64),
    /// Microseconds since 1970-01-01T00:00:00 UTC, years -9999 to 9999.
    DateTime(i64),
    /// UTF-8 text.
    String(String),
    /// A point on the earth.
    Geo(GeoPoint),
    /// Scalars and nulls, no arrays inside.
    Array(Vec<Value>),
}

impl Value {
    /// The kind of a scalar; none for null and arrays.
    pub fn kind(&self) -> Option<FieldKind> {
        match self {
            Value::Null | Value::Array(_) => None,
            Value::Bool(_) => Some(FieldKind::Bool),
            Value::Int(_) => Some(FieldKind::Int),
            Value::Float(_) => Some(FieldKind::Float),
            Value::DateTime(_) => Some(FieldKind::DateTime),
            Value::String(_) => Some(FieldKind::String),
            Value::Geo(_) => Some(FieldKind::Geo),
        }
    }

    /// The elements a filter looks at: those of an array, or the value itself.
    pub fn elements(&self) -> &[Value] {
        match self {
            Value::Array(items) => items,
            scalar => std::slice::from_ref(scalar),
        }
    }

    /// The type as error messages name it: `int`, `array of string`, `null`.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Array(items) => match items.iter().find_map(Value::kind) {
                Some(kind) => format!("array of {kind}"),
                None => "array".to_owned(),
            },
            scalar => scalar
                .kind()
                .map_or_else(String::new, |kind| kind.to_string()),
        }
    }

    /// The value as JSON text, shortened, for error messages.
    pub(crate) fn excerpt(&self) -> String {
        match self {
            // Not the whole of a long text or array.
            Value::String(text) => quoted(text),
            Value::Float(x) if !x.is_finite() => x.to_string(),
            Value::Array(items) => {
                let mut shown: Vec<String> = items.iter().take(4).map(Value::excerpt).collect();
                if items.len() > 4 {
                    shown.push("...".to_owned());
                }
                format!("[{}]", shown.join(", "))
            }
            scalar => scalar.to_json().to_string(),
        }
    }

    /// Whether the value may be stored: numbers finite, date-times in range, arrays flat.
    pub(crate) fn validate(&self, field: &str) -> Result<(), FilterError> {
        let elements = self.elements().iter().enumerate();
        for (i, element) in elements {
            let what = match element {
                Value::Float(x) if !x.is_finite() => {
                    format!("{x} is not a finite number; use null where there is none")
                }
                Value::DateTime(micros) if !datetime::in_range(*micros) => {
                    format!("{micros} microseconds since 1970 is outside the years -9999 to 9999")
                }
                Value::Array(_) => NO_NESTED_ARRAYS.to_owned(),
                _ => continue,
            };
            let path = match self {
                Value::Array(_) => format!("{field}[{i}]"),
                _ => field.to_owned(),
            };
            return Err(FilterError::BadMetadata { path, what });
        }
        Ok(())
    }
}

pub(crate) const NO_NESTED_ARRAYS: &str =
    "an array inside an array is not supported; flatten it or use two fields";

/// Whether a name can be that of a field.
pub(crate) fn validate_name(name: &str) -> Result<(), FilterError> {
    let what = if name.is_empty() {
        "a field name must not be empty".to_owned()
    } else if name.len() > FIELD_NAME_BYTES_MAX {
        format!(
            "the field name has {} bytes; at most {FIELD_NAME_BYTES_MAX} are allowed",
            name.len()
        )
    } else if name.starts_with('$') {
        "a field name must not begin with $, which marks the operators of filters".to_owned()
    } else {
        return Ok(());
    };
    Err(FilterError::BadMetadata {
        path: quoted(name),
        what,
    })
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Int(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::Int(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::String(value)
    }
}

impl From<GeoPoint> for Value {
    fn from(value: GeoPoint) -> Self {
        Value::Geo(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Value::Array(values.into_iter().map(Into::into).collect())
    }
}
