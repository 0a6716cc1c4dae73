//! Everything that can go wrong with metadata, filters and field indexes.
//!
//! Each message says which field, operator or value was wrong and what would be right.
//! Values quoted in messages are shortened by [`excerpt`], so that a hostile input cannot blow up a log.

use crate::nearest::suggestion;
use crate::schema::FieldType;
use vecdb_storage::StorageError;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The filter text is not JSON, or ambiguous JSON.
    #[error("the filter cannot be read as JSON: {0}")]
    NotJson(String),
    /// The JSON does not have the form of a filter.
    #[error("{0}")]
    BadFilter(String),
    /// An operator nobody knows.
    #[error(
        "unknown operator {operator}{}; known here: {known}",
        suggestion(nearest.as_deref())
    )]
    UnknownOperator {
        /// The operator as written.
        operator: String,
        /// The known operator that is spelled most alike.
        nearest: Option<String>,
        /// The operators that may stand in this place.
        known: String,
    },
    /// A field that no point of the collection ever had and that was never declared.
    #[error(
        "unknown field {field}{}; known fields: {known}",
        suggestion(nearest.as_deref())
    )]
    UnknownField {
        /// The field as written in the filter.
        field: String,
        /// The known field that is spelled most alike.
        nearest: Option<String>,
        /// The known fields with their types, shortened when there are many.
        known: String,
    },
    /// A literal whose type the field cannot have, or an operator that its type does not support.
    #[error("field {field} is {known}: {what}")]
    TypeMismatch {
        /// The field.
        field: String,
        /// Its type in the schema.
        known: String,
        /// The operator and value that do not fit, and what would.
        what: String,
    },
    /// The expression is nested too deeply.
    #[error("the filter is nested more than {limit} levels deep; flatten its $and, $or and $not")]
    TooDeep {
        /// Greatest depth allowed.
        limit: usize,
    },
    /// Too many literals in one `$in` or `$nin`.
    #[error("{operator} of field {field} lists {got} values; at most {limit} are allowed")]
    TooManyValues {
        /// `$in` or `$nin`.
        operator: &'static str,
        /// The field.
        field: String,
        /// How many were given.
        got: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A metadata value that cannot be stored.
    #[error("metadata {path}: {what}")]
    BadMetadata {
        /// Where it stands: `field`, `field[3]`, `field.inner`.
        path: String,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A metadata value that contradicts the type its field has had so far.
    #[error("metadata field {field} is {known}{}, but was given {given}: {value}", if *declared { " by declaration" } else { "" })]
    SchemaConflict {
        /// The field.
        field: String,
        /// The type known from the declaration or from earlier points.
        known: String,
        /// Whether the type was declared.
        declared: bool,
        /// The type of the new value.
        given: String,
        /// The new value, shortened.
        value: String,
    },
    /// A declaration that contradicts what is known.
    #[error("field {field} cannot be declared as {declared}: it is {known} already")]
    Redeclared {
        /// The field.
        field: String,
        /// The type asked for.
        declared: FieldType,
        /// The type it has.
        known: String,
    },
    /// Stored metadata bytes that do not decode.
    #[error("stored metadata is corrupt at byte {offset}: {what}")]
    CorruptMetadata {
        /// Offset within the row's metadata bytes.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// A field index whose bytes contradict themselves.
    #[error("the index of field {field} is corrupt at byte {offset} of its section: {what}")]
    Corrupt {
        /// The field, or `(directory)`.
        field: String,
        /// Offset within the section.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// Reading or writing the file failed, or a checksum did not match.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The first characters of a text, for error messages.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// A name in quotes, shortened.
pub(crate) fn quoted(name: &str) -> String {
    format!("{:?}", excerpt(name))
}
