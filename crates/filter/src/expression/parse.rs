//! The JSON form of a filter, read.
//!
//! `{"category": "games", "price": {"$lt": 100}, "$or": [{...}, {...}]}`: the entries of an object are
//! joined by and. A field holds a literal (implicit `$eq`) or an object of operators; `$not` may stand
//! before an expression or before the operators of a field. Depth is limited before recursing.

use super::{DEPTH_MAX, Filter, IN_VALUES_MAX, json_text};
use crate::error::{FilterError, excerpt, quoted};
use crate::geo::{GeoArea, GeoPoint};
use crate::nearest::nearest;
use crate::text::TextQuery;
use crate::value::Value;
use crate::value::json_type;
use serde_json::{Map, Value as Json};

const LOGICAL: [&str; 3] = ["$and", "$or", "$not"];
const FIELD_OPERATORS: [&str; 16] = [
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$all",
    "$exists",
    "$startsWith",
    "$contains",
    "$text",
    "$phrase",
    "$geoWithin",
    "$not",
];

impl Filter {
    /// Reads the JSON form. `{}` is every point.
    ///
    /// # Errors
    /// Unknown operators (naming the nearest), operands of a wrong form, too deep nesting, too many
    /// literals. Types are not looked at: that is [`Filter::check`].
    pub fn parse(json: &Json) -> Result<Filter, FilterError> {
        expression(json, 1)
    }

    /// Reads the JSON form from text.
    ///
    /// # Errors
    /// As [`Filter::parse`], text that is not JSON, and objects with a key twice.
    pub fn parse_str(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(&json_text::read(text)?)
    }
}

/// Reads an object whose expression stands at `depth` in the tree.
fn expression(json: &Json, depth: usize) -> Result<Filter, FilterError> {
    check_depth(depth)?;
    let Json::Object(entries) = json else {
        return Err(FilterError::BadFilter(format!(
            "a filter is a JSON object such as {{\"price\": {{\"$lt\": 100}}}}, not {}: {}",
            json_type(json),
            excerpt(&json.to_string())
        )));
    };
    if entries.is_empty() {
        return Ok(Filter::All);
    }
    conjunction(entries, depth, entry)
}

/// The and of the entries of an object; of a single one that itself.
fn conjunction(
    entries: &Map<String, Json>,
    depth: usize,
    read: impl Fn(&str, &Json, usize) -> Result<Filter, FilterError>,
) -> Result<Filter, FilterError> {
    if entries.len() > 1 {
        entries
            .iter()
            .map(|(key, value)| read(key, value, depth + 1))
            .collect::<Result<_, _>>()
            .map(Filter::And)
    } else {
        let mut parts = entries.iter().map(|(key, value)| read(key, value, depth));
        parts.next().unwrap_or(Ok(Filter::All))
    }
}

/// Reads one entry of an expression: a logical operator or a field.
fn entry(key: &str, value: &Json, depth: usize) -> Result<Filter, FilterError> {
    check_depth(depth)?;
    match key {
        "$and" => list(key, value, depth).map(Filter::And),
        "$or" => list(key, value, depth).map(Filter::Or),
        "$not" => expression(value, depth + 1).map(|part| Filter::Not(Box::new(part))),
        key if FIELD_OPERATORS.contains(&key) => Err(FilterError::BadFilter(format!(
            "{key} belongs inside a field: {{\"price\": {{{key:?}: ...}}}}"
        ))),
        key if key.starts_with('$') => Err(unknown_operator(key, &LOGICAL)),
        field => conditions(field, value, depth),
    }
}

fn list(operator: &str, json: &Json, depth: usize) -> Result<Vec<Filter>, FilterError> {
    match json {
        Json::Array(parts) if !parts.is_empty() => parts
            .iter()
            .map(|part| expression(part, depth + 1))
            .collect(),
        other => Err(FilterError::BadFilter(format!(
            "{operator} takes a list of at least one filter, such as [{{\"a\": 1}}, {{\"b\": 2}}], not {}",
            excerpt(&other.to_string())
        ))),
    }
}

/// Reads what a field is held against: a literal or an object of operators.
fn conditions(field: &str, json: &Json, depth: usize) -> Result<Filter, FilterError> {
    check_depth(depth)?;
    match json {
        point if GeoPoint::of_json(point).is_some() => {
            Ok(Filter::Eq(field.to_owned(), literal(field, "$eq", point)?))
        }
        Json::Object(operators) if operators.is_empty() => Err(FilterError::BadFilter(format!(
            "field {} is compared with {{}}; give a value or operators such as {{\"$lt\": 100}}",
            quoted(field)
        ))),
        Json::Object(operators) => conjunction(operators, depth, |operator, operand, depth| {
            condition(field, operator, operand, depth)
        }),
        json => Ok(Filter::Eq(field.to_owned(), literal(field, "$eq", json)?)),
    }
}

fn condition(
    field: &str,
    operator: &str,
    operand: &Json,
    depth: usize,
) -> Result<Filter, FilterError> {
    check_depth(depth)?;
    let one = |make: fn(String, Value) -> Filter, operator| {
        Ok(make(field.to_owned(), literal(field, operator, operand)?))
    };
    let ordered = |make, operator| match operand {
        Json::Null => Err(bad_operand(
            field,
            operator,
            "a value that has an order",
            operand,
        )),
        _ => one(make, operator),
    };
    match operator {
        "$eq" => one(Filter::Eq, "$eq"),
        "$ne" => one(Filter::Ne, "$ne"),
        "$gt" => ordered(Filter::Gt, "$gt"),
        "$gte" => ordered(Filter::Gte, "$gte"),
        "$lt" => ordered(Filter::Lt, "$lt"),
        "$lte" => ordered(Filter::Lte, "$lte"),
        "$in" => literals(field, "$in", operand).map(|all| Filter::In(field.to_owned(), all)),
        "$nin" => literals(field, "$nin", operand).map(|all| Filter::Nin(field.to_owned(), all)),
        "$all" => {
            check_depth(depth + 1)?;
            match literals(field, "$all", operand)? {
                all if all.is_empty() => Err(bad_operand(
                    field,
                    "$all",
                    "a list of at least one value",
                    operand,
                )),
                all => Ok(Filter::all(field, all)),
            }
        }
        "$startsWith" => Ok(Filter::starts_with(field, text(field, operator, operand)?)),
        "$contains" => Ok(Filter::contains(field, text(field, operator, operand)?)),
        "$text" => query(field, operator, operand).map(|q| Filter::Text(field.to_owned(), q)),
        "$phrase" => query(field, operator, operand).map(|q| Filter::Phrase(field.to_owned(), q)),
        "$geoWithin" => GeoArea::of_json(operand)
            .map(|area| Filter::geo_within(field, area))
            .map_err(|what| {
                FilterError::BadFilter(format!("$geoWithin of field {}: {what}", quoted(field)))
            }),
        "$exists" => match operand {
            Json::Bool(exists) => Ok(Filter::Exists(field.to_owned(), *exists)),
            other => Err(bad_operand(field, "$exists", "true or false", other)),
        },
        "$not" => match operand {
            Json::Object(_) => {
                conditions(field, operand, depth + 1).map(|part| Filter::Not(Box::new(part)))
            }
            other => Err(bad_operand(
                field,
                "$not",
                "operators, such as {\"$lt\": 100} (for a single value use $ne)",
                other,
            )),
        },
        operator if operator.starts_with('$') => Err(unknown_operator(operator, &FIELD_OPERATORS)),
        key => Err(FilterError::BadFilter(format!(
            "field {} is compared with an object that has the key {}; \
             operators begin with $; for a field inside an object write its path, {}",
            quoted(field),
            quoted(key),
            quoted(&format!("{field}.{key}"))
        ))),
    }
}

fn literal(field: &str, operator: &'static str, json: &Json) -> Result<Value, FilterError> {
    match json {
        Json::Array(_) => Err(bad_operand(
            field,
            operator,
            "a single value (an array field matches if any element does; for several use $in)",
            json,
        )),
        Json::Object(_) if GeoPoint::of_json(json).is_none() => {
            Err(bad_operand(field, operator, "a single value", json))
        }
        scalar => Value::from_json(scalar).map_err(|error| match error {
            FilterError::BadMetadata { what, .. } => {
                FilterError::BadFilter(format!("{operator} of field {}: {what}", quoted(field)))
            }
            other => other,
        }),
    }
}

/// The text that a text operator takes.
fn text<'a>(field: &str, operator: &str, json: &'a Json) -> Result<&'a str, FilterError> {
    json.as_str()
        .ok_or_else(|| bad_operand(field, operator, "text", json))
}

fn query(field: &str, operator: &str, json: &Json) -> Result<TextQuery, FilterError> {
    TextQuery::new(text(field, operator, json)?).map_err(|what| {
        FilterError::BadFilter(format!("{operator} of field {}: {what}", quoted(field)))
    })
}

fn literals(field: &str, operator: &'static str, json: &Json) -> Result<Vec<Value>, FilterError> {
    let Json::Array(items) = json else {
        return Err(bad_operand(field, operator, "a list of values", json));
    };
    check_count(field, operator, items.len())?;
    items
        .iter()
        .map(|item| literal(field, operator, item))
        .collect()
}

pub(super) fn check_depth(depth: usize) -> Result<(), FilterError> {
    if depth > DEPTH_MAX {
        return Err(FilterError::TooDeep { limit: DEPTH_MAX });
    }
    Ok(())
}

pub(super) fn check_count(
    field: &str,
    operator: &'static str,
    got: usize,
) -> Result<(), FilterError> {
    if got > IN_VALUES_MAX {
        return Err(FilterError::TooManyValues {
            operator,
            field: quoted(field),
            got,
            limit: IN_VALUES_MAX,
        });
    }
    Ok(())
}

fn bad_operand(field: &str, operator: &str, expected: &str, got: &Json) -> FilterError {
    FilterError::BadFilter(format!(
        "{operator} of field {} takes {expected}, not {}",
        quoted(field),
        excerpt(&got.to_string())
    ))
}

fn unknown_operator(operator: &str, known: &[&str]) -> FilterError {
    FilterError::UnknownOperator {
        operator: quoted(operator),
        nearest: nearest(operator, known.iter().copied()).map(str::to_owned),
        known: known.join(", "),
    }
}
