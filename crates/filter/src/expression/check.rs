//! A filter held against the schema: unknown fields, wrong types, limits; literals made fit.

use super::parse::{check_count, check_depth};
use super::{Bound, Filter};
use crate::error::FilterError;
use crate::schema::{Field, FieldKind, MetadataSchema, parse_uuid};
use crate::value::{Value, datetime};

impl Filter {
    /// Checks the filter against a schema and returns it ready for evaluation: texts compared with a
    /// date-time field are read as RFC 3339, words of a field with a stemmer are stemmed. Numbers are left as they are, since integers and floats
    /// compare exactly.
    ///
    /// A schema without any field (a collection that never saw metadata) cannot tell a slip from a
    /// field yet to come, so it accepts every field name; nothing exists there.
    ///
    /// # Errors
    /// Unknown fields (naming the nearest known one), literals and operators that do not fit the
    /// field's type, too deep nesting, too many literals.
    pub fn check(&self, schema: &MetadataSchema) -> Result<Filter, FilterError> {
        self.check_at(schema, 1)
    }

    fn check_at(&self, schema: &MetadataSchema, depth: usize) -> Result<Filter, FilterError> {
        check_depth(depth)?;
        let parts = |parts: &[Filter]| {
            parts
                .iter()
                .map(|part| part.check_at(schema, depth + 1))
                .collect::<Result<Vec<_>, _>>()
        };
        let one = |field: &String, operator, value| {
            Ok::<_, FilterError>((field.clone(), lookup(schema, field)?.fit(operator, value)?))
        };
        let ordered = |field: &String, bound: Bound, value| {
            lookup(schema, field)?.fit_order(bound, value)?;
            one(field, bound.operator(), value)
        };
        let several = |field: &String, operator, values: &[Value]| {
            check_count(field, operator, values.len())?;
            let target = lookup(schema, field)?;
            let fitted = values.iter().map(|value| target.fit(operator, value));
            Ok::<_, FilterError>((field.clone(), fitted.collect::<Result<Vec<_>, _>>()?))
        };
        let of_text = |field: &String, operator| {
            lookup(schema, field)?.fit_kind(operator, "texts", FieldKind::is_text)?;
            Ok::<_, FilterError>(self.clone())
        };
        Ok(match self {
            Filter::All => Filter::All,
            Filter::Eq(field, value) => one(field, "$eq", value).map(|(f, v)| Filter::Eq(f, v))?,
            Filter::Ne(field, value) => one(field, "$ne", value).map(|(f, v)| Filter::Ne(f, v))?,
            Filter::Gt(field, value) => {
                ordered(field, Bound::Gt, value).map(|(f, v)| Filter::Gt(f, v))?
            }
            Filter::Gte(field, value) => {
                ordered(field, Bound::Gte, value).map(|(f, v)| Filter::Gte(f, v))?
            }
            Filter::Lt(field, value) => {
                ordered(field, Bound::Lt, value).map(|(f, v)| Filter::Lt(f, v))?
            }
            Filter::Lte(field, value) => {
                ordered(field, Bound::Lte, value).map(|(f, v)| Filter::Lte(f, v))?
            }
            Filter::In(field, values) => {
                several(field, "$in", values).map(|(f, v)| Filter::In(f, v))?
            }
            Filter::Nin(field, values) => {
                several(field, "$nin", values).map(|(f, v)| Filter::Nin(f, v))?
            }
            Filter::StartsWith(field, _) => of_text(field, "$startsWith")?,
            Filter::Contains(field, _) => of_text(field, "$contains")?,
            Filter::Text(field, query) => {
                of_text(field, "$text")?;
                let stemmer = lookup(schema, field)?.field.stemmer;
                Filter::Text(field.clone(), query.clone().stemmed(stemmer))
            }
            Filter::Phrase(field, _) => of_text(field, "$phrase")?,
            Filter::GeoWithin(field, _) => {
                lookup(schema, field)?.fit_kind("$geoWithin", "points on the earth", |kind| {
                    kind == FieldKind::Geo
                })?;
                self.clone()
            }
            Filter::Exists(field, exists) => {
                lookup(schema, field)?;
                Filter::Exists(field.clone(), *exists)
            }
            Filter::And(all) => Filter::And(parts(all)?),
            Filter::Or(any) => Filter::Or(parts(any)?),
            Filter::Not(part) => Filter::Not(Box::new(part.check_at(schema, depth + 1)?)),
        })
    }
}

/// A field of the filter with what the schema knows of it.
struct Target<'a> {
    name: &'a str,
    field: Field,
}

fn lookup<'a>(schema: &MetadataSchema, name: &'a str) -> Result<Target<'a>, FilterError> {
    if let Some(field) = schema.field(name) {
        return Ok(Target {
            name,
            field: *field,
        });
    }
    if schema.is_empty() {
        return Ok(Target {
            name,
            field: Field::default(),
        });
    }
    Err(schema.unknown(name))
}

impl Target<'_> {
    /// The literal as the field's values are, or why it can never equal one.
    fn fit(&self, operator: &str, literal: &Value) -> Result<Value, FilterError> {
        match (self.field.kind, literal) {
            (_, Value::Array(_)) => Err(self.mismatch(format!(
                "{operator} takes a single value, not the array {}; use $in for several",
                literal.excerpt()
            ))),
            (_, Value::Float(x)) if x.is_nan() => {
                Err(self.mismatch(format!("{operator} cannot compare with NaN")))
            }
            (None, literal) | (_, literal @ Value::Null) => Ok(literal.clone()),
            (Some(FieldKind::Int | FieldKind::Float), Value::Int(_) | Value::Float(_)) => {
                Ok(literal.clone())
            }
            (Some(FieldKind::DateTime), Value::String(text)) => datetime::parse(text)
                .map(Value::DateTime)
                .map_err(|what| self.mismatch(format!("{operator}: {what}"))),
            (Some(FieldKind::Uuid), Value::String(text)) => parse_uuid(text)
                .map(Value::String)
                .map_err(|what| self.mismatch(format!("{operator}: {what}"))),
            (Some(FieldKind::Text), Value::String(_)) => Ok(literal.clone()),
            (Some(kind), literal) if literal.kind() == Some(kind) => Ok(literal.clone()),
            (Some(kind), literal) => Err(self.mismatch(format!(
                "{operator} cannot compare it with the {} {}; give {}",
                literal.type_name(),
                literal.excerpt(),
                example(kind)
            ))),
        }
    }

    /// Whether an operator that is for one class of values is given such a field.
    fn fit_kind(
        &self,
        operator: &str,
        class: &str,
        fits: impl Fn(FieldKind) -> bool,
    ) -> Result<(), FilterError> {
        match self.field.kind {
            Some(kind) if !fits(kind) => {
                Err(self.mismatch(format!("{operator} is for fields of {class}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the field and the literal have an order at all.
    fn fit_order(&self, bound: Bound, literal: &Value) -> Result<(), FilterError> {
        let operator = bound.operator();
        if self.field.kind == Some(FieldKind::Bool) || matches!(literal, Value::Bool(_)) {
            return Err(self.mismatch(format!(
                "{operator} needs an order, which true and false ({}) have not; use $eq or $ne",
                literal.excerpt()
            )));
        }
        if self.field.kind == Some(FieldKind::Geo) || matches!(literal, Value::Geo(_)) {
            return Err(self.mismatch(format!(
                "{operator} needs an order, which points on the earth have not; use $geoWithin"
            )));
        }
        if *literal == Value::Null {
            return Err(self.mismatch(format!("{operator} cannot compare with null; use $eq")));
        }
        Ok(())
    }

    fn mismatch(&self, what: String) -> FilterError {
        FilterError::TypeMismatch {
            field: self.name.to_owned(),
            known: self.field.to_string(),
            what,
        }
    }
}

fn example(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "true or false",
        FieldKind::Int | FieldKind::Float => "a number",
        FieldKind::DateTime => "a date-time such as \"2026-01-31T12:30:00Z\"",
        FieldKind::String | FieldKind::Text => "text in quotes",
        FieldKind::Uuid => "a UUID such as \"67e55044-10b1-426f-9247-bb680e5fe0c8\"",
        FieldKind::Geo => "a point on the earth",
    }
}
