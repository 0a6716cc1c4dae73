//! The JSON form of a filter, written out.

use super::Filter;
use crate::value::Value;
use serde_json::{Map, Value as Json};

impl Filter {
    /// The filter as JSON; parsing it gives an equal filter if this one came from JSON.
    /// Date-time literals become RFC 3339 text, which [`Filter::check`] reads back.
    pub fn to_json(&self) -> Json {
        let list = |parts: &[Filter]| Json::Array(parts.iter().map(Filter::to_json).collect());
        let values = |literals: &[Value]| literals.iter().map(Value::to_json).collect();
        match self {
            Filter::All => Json::Object(Map::new()),
            Filter::Eq(field, value) => object(field, value.to_json()),
            Filter::Ne(field, value) => condition(field, "$ne", value.to_json()),
            Filter::Gt(field, value) => condition(field, "$gt", value.to_json()),
            Filter::Gte(field, value) => condition(field, "$gte", value.to_json()),
            Filter::Lt(field, value) => condition(field, "$lt", value.to_json()),
            Filter::Lte(field, value) => condition(field, "$lte", value.to_json()),
            Filter::In(field, literals) => condition(field, "$in", Json::Array(values(literals))),
            Filter::Nin(field, literals) => condition(field, "$nin", Json::Array(values(literals))),
            Filter::StartsWith(field, text) => {
                condition(field, "$startsWith", text.as_str().into())
            }
            Filter::Contains(field, text) => condition(field, "$contains", text.as_str().into()),
            Filter::Text(field, query) => condition(field, "$text", query.text().into()),
            Filter::Phrase(field, query) => condition(field, "$phrase", query.text().into()),
            Filter::GeoWithin(field, area) => condition(field, "$geoWithin", area.to_json()),
            Filter::Exists(field, exists) => condition(field, "$exists", Json::Bool(*exists)),
            Filter::And(parts) => object("$and", list(parts)),
            Filter::Or(parts) => object("$or", list(parts)),
            Filter::Not(part) => object("$not", part.to_json()),
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

fn object(key: &str, value: Json) -> Json {
    Json::Object(Map::from_iter([(key.to_owned(), value)]))
}

fn condition(field: &str, operator: &str, operand: Json) -> Json {
    object(field, object(operator, operand))
}
