//! The schema of metadata: which fields exist and what they hold.
//!
//! A field's type is declared, or inferred from the first value that shows it. From then on an integer
//! field may widen to float (unless declared); every other change of type is an error. A field seen
//! only as null, or only as an empty array, is known without a full type. Strings are never taken for
//! date-times or unique identifiers by themselves, nor are their words indexed: that needs a declaration.

mod field_type;
#[cfg(test)]
mod tests;

use crate::error::{FilterError, quoted};
use crate::nearest::nearest;
use crate::stemmer::Stemmer;
use crate::value::{Metadata, Value, compare, datetime, validate_name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use field_type::{FieldKind, FieldType};

/// Most fields one schema can have.
pub const FIELDS_MAX: usize = 1_024;

/// Known fields that an error about an unknown one lists.
const KNOWN_SHOWN_MAX: usize = 20;

/// The declared and inferred fields of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataSchema {
    fields: BTreeMap<String, Field>,
}

/// What is known of one field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The kind of its values; none while only nulls and empty arrays were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldKind>,
    /// Whether it holds arrays; none while only nulls were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<bool>,
    /// Whether a person declared it; declared fields never widen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declared: bool,
    /// Whether no index is kept of it: filters on it read the rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unindexed: bool,
    /// Of a text: by which rules its words are stemmed, if at all. By declaration only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stemmer: Option<Stemmer>,
}

impl MetadataSchema {
    /// A schema without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// All fields known, in order of their names.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &Field)> {
        self.fields
            .iter()
            .map(|(name, field)| (name.as_str(), field))
    }

    /// One field by name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// Whether no field is known at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Declares the type of a field, before or after values of that type were seen.
    ///
    /// # Errors
    /// A bad name, or a type that contradicts what is known (declaring an integer field as float is
    /// widening and allowed, unless it was declared integer).
    pub fn declare(&mut self, name: &str, field_type: FieldType) -> Result<(), FilterError> {
        validate_name(name)?;
        let known = self.fields.get(name).copied().unwrap_or_default();
        let kind_fits = match known.kind {
            None => true,
            Some(kind) if kind == field_type.kind => true,
            Some(FieldKind::Int) => field_type.kind == FieldKind::Float && !known.declared,
            Some(_) => false,
        };
        let stems_fit = known.kind.is_none() || known.stemmer == field_type.stemmer;
        let array_fits = known.array.is_none_or(|array| array == field_type.array);
        if !kind_fits || !stems_fit || !array_fits {
            return Err(FilterError::Redeclared {
                field: name.to_owned(),
                declared: field_type,
                known: known.to_string(),
            });
        }
        let field = Field {
            kind: Some(field_type.kind),
            array: Some(field_type.array),
            declared: true,
            unindexed: known.unindexed,
            stemmer: field_type.stemmer,
        };
        self.put(BTreeMap::from([(name, field)]))
    }

    /// Says whether an index is to be kept of a known field; whether that changed anything.
    ///
    /// # Errors
    /// A field that is not known.
    pub fn set_indexed(&mut self, name: &str, indexed: bool) -> Result<bool, FilterError> {
        let Some(field) = self.fields.get_mut(name) else {
            return Err(self.unknown(name));
        };
        let changed = field.unindexed == indexed;
        field.unindexed = !indexed;
        Ok(changed)
    }

    /// Whether an index is to be kept of a field. Of one that is not known: yes, once it is.
    pub fn is_indexed(&self, name: &str) -> bool {
        self.fields.get(name).is_none_or(|field| !field.unindexed)
    }

    /// Checks the metadata of one point, learns from it, and returns it in the form to be stored:
    /// integers become floats in float fields where the float is exactly equal (others stay integers;
    /// filters compare both exactly), RFC 3339 texts become date-times and unique identifiers take their
    /// usual form where these are declared.
    ///
    /// # Errors
    /// Values that contradict a field's type, that are not finite or out of range, bad names, too many
    /// fields. The schema is then unchanged.
    pub fn observe(&mut self, metadata: &Metadata) -> Result<Metadata, FilterError> {
        let mut learned = BTreeMap::new();
        let mut stored = Metadata::new();
        for (name, value) in metadata {
            let known = self.fields.get(name);
            if known.is_none() {
                validate_name(name)?;
            }
            value.validate(name)?;
            let mut field = known.copied().unwrap_or_default();
            field.admit(name, value)?;
            stored.insert(name.clone(), field.coerce(name, value)?);
            if known != Some(&field) {
                learned.insert(name.as_str(), field);
            }
        }
        self.put(learned)?;
        Ok(stored)
    }

    /// The error for a field that is not known.
    pub(crate) fn unknown(&self, name: &str) -> FilterError {
        let mut known: Vec<String> = self
            .fields()
            .take(KNOWN_SHOWN_MAX)
            .map(|(name, field)| format!("{name} ({field})"))
            .collect();
        if self.fields.len() > KNOWN_SHOWN_MAX {
            known.push(format!("and {} more", self.fields.len() - KNOWN_SHOWN_MAX));
        }
        FilterError::UnknownField {
            field: quoted(name),
            nearest: nearest(name, self.fields().map(|(name, _)| name)).map(str::to_owned),
            known: match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            },
        }
    }

    /// Adds or changes fields, all or none.
    fn put(&mut self, changed: BTreeMap<&str, Field>) -> Result<(), FilterError> {
        let new: Vec<&str> = changed
            .keys()
            .copied()
            .filter(|name| !self.fields.contains_key(*name))
            .collect();
        if let Some(first) = new.first()
            && self.fields.len() + new.len() > FIELDS_MAX
        {
            return Err(FilterError::BadMetadata {
                path: (*first).to_owned(),
                what: format!(
                    "the collection would have more than {FIELDS_MAX} fields; \
                     use values instead of field names for what varies from point to point"
                ),
            });
        }
        for (name, field) in changed {
            self.fields.insert(name.to_owned(), field);
        }
        Ok(())
    }
}

impl Field {
    /// Takes note of the type of a value, or refuses it.
    fn admit(&mut self, name: &str, value: &Value) -> Result<(), FilterError> {
        if *value == Value::Null {
            return Ok(());
        }
        let is_array = matches!(value, Value::Array(_));
        if self.array.is_some_and(|array| array != is_array) {
            return Err(self.conflict(name, value));
        }
        let mut kind = self.kind;
        for item in value.elements() {
            let Some(given) = item.kind() else {
                continue;
            };
            kind = Some(match (kind, given) {
                (None, given) => given,
                (Some(known), given) if known == given => known,
                (Some(FieldKind::Int), FieldKind::Float) if !self.declared => FieldKind::Float,
                (Some(FieldKind::Float), FieldKind::Int) => FieldKind::Float,
                (
                    Some(known @ (FieldKind::DateTime | FieldKind::Text | FieldKind::Uuid)),
                    FieldKind::String,
                ) => known,
                _ => return Err(self.conflict(name, value)),
            });
        }
        self.kind = kind;
        self.array = Some(is_array);
        Ok(())
    }

    /// A value of this field as it would be stored today: one stored before the field was widened may be an integer
    /// where the field is of floats.
    pub fn widened(&self, value: Value) -> Value {
        match (self.kind, &value) {
            (Some(FieldKind::Float), Value::Int(int)) => {
                compare::exact_float(*int).map_or(value, Value::Float)
            }
            _ => value,
        }
    }

    /// The value in the form to be stored; it was admitted before.
    fn coerce(&self, name: &str, value: &Value) -> Result<Value, FilterError> {
        Ok(match (self.kind, value) {
            (_, Value::Array(items)) => Value::Array(
                items
                    .iter()
                    .map(|item| self.coerce(name, item))
                    .collect::<Result<_, _>>()?,
            ),
            (Some(FieldKind::Float), Value::Int(_)) => self.widened(value.clone()),
            (Some(FieldKind::DateTime), Value::String(text)) => Value::DateTime(
                datetime::parse(text).map_err(|what| FilterError::BadMetadata {
                    path: name.to_owned(),
                    what,
                })?,
            ),
            (Some(FieldKind::Uuid), Value::String(text)) => {
                let uuid = parse_uuid(text).map_err(|what| FilterError::BadMetadata {
                    path: name.to_owned(),
                    what,
                })?;
                Value::String(uuid)
            }
            (_, value) => value.clone(),
        })
    }

    fn conflict(&self, name: &str, value: &Value) -> FilterError {
        FilterError::SchemaConflict {
            field: name.to_owned(),
            known: self.to_string(),
            declared: self.declared,
            given: value.type_name(),
            value: value.excerpt(),
        }
    }
}

/// A unique identifier in its usual form: 32 digits in lower case, parted by hyphens.
pub(crate) fn parse_uuid(text: &str) -> Result<String, String> {
    uuid::Uuid::try_parse(text)
        .map(|uuid| uuid.hyphenated().to_string())
        .map_err(|_| {
            format!(
                "{} is not a UUID; write it like \"67e55044-10b1-426f-9247-bb680e5fe0c8\"",
                quoted(text)
            )
        })
}
