//! Metadata values and filters.

use std::collections::BTreeMap;

use vecdb_engine::{Error, Filter, GeoPoint, Metadata, Result, Value};

use super::invalid;
use crate::v1;
use crate::v1::value::Kind;

/// Metadata from a message; an error names the field.
pub fn metadata(fields: BTreeMap<String, v1::Value>) -> Result<Metadata> {
    fields
        .into_iter()
        .map(|(name, value)| match Value::try_from(value) {
            Ok(value) => Ok((name, value)),
            Err(error) => Err(error.context(format_args!("metadata {name}"))),
        })
        .collect()
}

/// Metadata as a message.
pub fn metadata_message(metadata: Metadata) -> BTreeMap<String, v1::Value> {
    let fields = metadata.into_iter();
    fields.map(|(name, value)| (name, value.into())).collect()
}

/// The filter of a request, where it has one.
pub fn filter(message: Option<v1::Filter>) -> Result<Option<Filter>> {
    message.map(Filter::try_from).transpose()
}

impl TryFrom<v1::Value> for Value {
    type Error = Error;

    fn try_from(message: v1::Value) -> Result<Self> {
        match message.kind {
            Some(Kind::Array(array)) => {
                let items = array.items.into_iter().enumerate();
                let items = items.map(|(at, item)| {
                    scalar(item).map_err(|error| error.context(format_args!("item {at}")))
                });
                items.collect::<Result<_>>().map(Value::Array)
            }
            _ => scalar(message),
        }
    }
}

fn scalar(message: v1::Value) -> Result<Value> {
    Ok(match message.kind {
        Some(Kind::Null(v1::Null {})) => Value::Null,
        Some(Kind::Bool(value)) => Value::Bool(value),
        Some(Kind::Int(value)) => Value::Int(value),
        Some(Kind::Float(value)) if value.is_finite() => Value::Float(value),
        Some(Kind::Float(value)) => {
            return Err(invalid(format!(
                "{value} is not a finite number; use null where there is none"
            )));
        }
        Some(Kind::String(text)) => Value::String(text),
        Some(Kind::Datetime(micros)) => Value::DateTime(micros),
        Some(Kind::Geo(v1::GeoPoint {
            latitude,
            longitude,
        })) => GeoPoint::new(latitude, longitude)
            .map(Value::Geo)
            .map_err(invalid)?,
        Some(Kind::Array(_)) => {
            return Err(invalid(
                "an array inside an array is not supported; flatten it or use two fields",
            ));
        }
        None => {
            return Err(invalid(
                "the value has no kind; use null where there is none",
            ));
        }
    })
}

impl From<Value> for v1::Value {
    fn from(value: Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null(v1::Null {}),
            Value::Bool(value) => Kind::Bool(value),
            Value::Int(value) => Kind::Int(value),
            Value::Float(value) => Kind::Float(value),
            Value::String(text) => Kind::String(text),
            Value::DateTime(micros) => Kind::Datetime(micros),
            Value::Geo(point) => Kind::Geo(v1::GeoPoint {
                latitude: point.latitude(),
                longitude: point.longitude(),
            }),
            Value::Array(items) => Kind::Array(v1::Array {
                items: items.into_iter().map(Into::into).collect(),
            }),
        };
        v1::Value { kind: Some(kind) }
    }
}

impl TryFrom<v1::Filter> for Filter {
    type Error = Error;

    fn try_from(message: v1::Filter) -> Result<Self> {
        if message.json.is_empty() {
            return Err(invalid(
                "the filter is empty; leave it out, or write {} for every point",
            ));
        }
        Ok(Filter::parse_str(&message.json)?)
    }
}

impl From<&Filter> for v1::Filter {
    fn from(filter: &Filter) -> Self {
        v1::Filter {
            json: filter.to_string(),
        }
    }
}
