//! Filter expressions: which points of a collection are meant.
//!
//! Semantics, the same in [`Filter::matches`] and in the field indexes:
//! - A comparison holds if any element of the field's value satisfies it; a scalar is its own only
//!   element. Two comparisons of one field may be satisfied by two elements.
//! - Integers and floats compare as numbers, exactly. Other kinds never equal or order one another.
//!   Text orders byte by byte. `-0.0` equals `0.0`. Truth values have no order.
//! - Missing fields satisfy no comparison. `$eq: null` holds for null, for missing, and for an array
//!   with a null in it. `$exists` asks whether the field is there, be it null.
//! - `$startsWith` and `$contains` look at the bytes of texts, `$text` and `$phrase` at their words; `$geoWithin` at points
//!   on the earth. One element must satisfy them by itself.
//! - `$ne`, `$nin` and `$not` are the negation of their positive form: missing fields satisfy them.
//!
//! JSON form and builder make the same [`Filter`]; [`Filter::check`] then holds it against a schema.

mod check;
mod json;
mod json_text;
mod matches;
mod parse;
#[cfg(test)]
mod tests;

use crate::error::FilterError;
use crate::geo::GeoArea;
use crate::text::TextQuery;
use crate::value::Value;

/// Deepest nesting of `$and`, `$or`, `$not`, counting implicit ands.
pub const DEPTH_MAX: usize = 64;

/// Most literals in one `$in` or `$nin`.
pub const IN_VALUES_MAX: usize = 100_000;

/// A filter expression.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Filter {
    /// Every point.
    #[default]
    All,
    /// The field has an element equal to the value; for null: see the module.
    Eq(String, Value),
    /// Not `Eq`.
    Ne(String, Value),
    /// The field has an element greater than the value.
    Gt(String, Value),
    /// The field has an element greater than or equal to the value.
    Gte(String, Value),
    /// The field has an element less than the value.
    Lt(String, Value),
    /// The field has an element less than or equal to the value.
    Lte(String, Value),
    /// `Eq` with any of the values.
    In(String, Vec<Value>),
    /// Not `In`.
    Nin(String, Vec<Value>),
    /// The field has a text that begins with this one.
    StartsWith(String, String),
    /// The field has a text in which this one occurs.
    Contains(String, String),
    /// The field has a text with all these words.
    Text(String, TextQuery),
    /// The field has a text with these words one after the other.
    Phrase(String, TextQuery),
    /// The field has a point in this area.
    GeoWithin(String, GeoArea),
    /// Whether the field is there, be it null.
    Exists(String, bool),
    /// All of these; of none: every point.
    And(Vec<Filter>),
    /// Any of these; of none: no point.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
}

/// The four orders a field can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Bound {
    pub(crate) fn operator(self) -> &'static str {
        match self {
            Bound::Gt => "$gt",
            Bound::Gte => "$gte",
            Bound::Lt => "$lt",
            Bound::Lte => "$lte",
        }
    }
}

impl Filter {
    /// `field = value`.
    pub fn eq(field: impl Into<String>, value: impl Into<Value>) -> Filter {
        Filter::Eq(field.into(), value.into())
    }

    /// Not `field = value`.
    pub fn ne(field: impl Into<String>, value: impl Into<Value>) -> Filter {
        Filter::Ne(field.into(), value.into())
    }

    /// `field > value`.
    pub fn gt(field: impl Into<String>, value: impl Into<Value>) -> Filter {
        Filter::Gt(field.into(), value.into())
    }

    /// `field >= value`.
    pub fn gte(field: impl Into<String>, value: impl Into<Value>) -> Filter {
        Filter::Gte(field.into(), value.into())
    }

    /// `field < value`.
    pub fn lt(field: impl Into<String>, value: impl Into<Value>) -> Filter {
        Filter::Lt(field.into(), value.into())
    }

    /// `field <= value`.
    pub fn lte(field: impl Into<String>, value: impl Into<Value>) -> Filter {
        Filter::Lte(field.into(), value.into())
    }

    /// `field` equals one of `values`.
    pub fn is_in<V: Into<Value>>(
        field: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Filter {
        Filter::In(field.into(), values.into_iter().map(Into::into).collect())
    }

    /// `field` equals none of `values`.
    pub fn not_in<V: Into<Value>>(
        field: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Filter {
        Filter::Nin(field.into(), values.into_iter().map(Into::into).collect())
    }

    /// `field` has all of `values` among its elements.
    pub fn all<V: Into<Value>>(
        field: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Filter {
        let field = field.into();
        let parts = values
            .into_iter()
            .map(|value| Filter::eq(field.clone(), value));
        Filter::And(parts.collect())
    }

    /// `field` begins with `text`.
    pub fn starts_with(field: impl Into<String>, text: impl Into<String>) -> Filter {
        Filter::StartsWith(field.into(), text.into())
    }

    /// `text` occurs in `field`.
    pub fn contains(field: impl Into<String>, text: impl Into<String>) -> Filter {
        Filter::Contains(field.into(), text.into())
    }

    /// `field` has all the words of `text`, in any order; `word*` stands for all words that begin so.
    ///
    /// # Errors
    /// A text without words.
    pub fn text(field: impl Into<String>, text: impl Into<String>) -> Result<Filter, FilterError> {
        let query = TextQuery::new(text).map_err(FilterError::BadFilter)?;
        Ok(Filter::Text(field.into(), query))
    }

    /// `field` has the words of `text` one after the other.
    ///
    /// # Errors
    /// A text without words.
    pub fn phrase(
        field: impl Into<String>,
        text: impl Into<String>,
    ) -> Result<Filter, FilterError> {
        let query = TextQuery::new(text).map_err(FilterError::BadFilter)?;
        Ok(Filter::Phrase(field.into(), query))
    }

    /// `field` has a point in `area`.
    pub fn geo_within(field: impl Into<String>, area: GeoArea) -> Filter {
        Filter::GeoWithin(field.into(), area)
    }

    /// Whether `field` is there.
    pub fn exists(field: impl Into<String>, exists: bool) -> Filter {
        Filter::Exists(field.into(), exists)
    }

    /// Both this and `other`.
    #[must_use]
    pub fn and(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::All, other) => other,
            (this, Filter::All) => this,
            (Filter::And(mut parts), other) => {
                parts.push(other);
                Filter::And(parts)
            }
            (this, other) => Filter::And(vec![this, other]),
        }
    }

    /// This or `other` or both.
    #[must_use]
    pub fn or(self, other: Filter) -> Filter {
        match self {
            Filter::Or(mut parts) => {
                parts.push(other);
                Filter::Or(parts)
            }
            this => Filter::Or(vec![this, other]),
        }
    }
}

impl std::ops::Not for Filter {
    type Output = Filter;

    fn not(self) -> Filter {
        Filter::Not(Box::new(self))
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        Filter::parse_str(text)
    }
}
