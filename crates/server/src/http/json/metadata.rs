//! Metadata of points, from and to JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use utoipa::openapi::schema::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use vecdb_engine::{self as engine, Value, metadata_from_json};

/// Field names with their values.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Metadata(pub(in crate::http) engine::Metadata);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor).map(Self)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = engine::Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata: an object such as {\"category\": \"books\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = entries.next_entry::<String, Json>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field {name:?}")));
            }
            fields.insert(name, value);
        }
        metadata_from_json(&Json::Object(fields)).map_err(A::Error::custom)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.keys().any(|name| name.contains('.')) {
            return engine::metadata_to_json(&self.0).serialize(serializer);
        }
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Written(value))))
    }
}

/// A value on its way out, without a tree of JSON values between.
struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Written)),
            other @ (Value::DateTime(_) | Value::Geo(_)) => other.to_json().serialize(serializer),
        }
    }
}

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(240))
            .pattern(Some("^[^$]"));
        ObjectBuilder::new()
            .property_names(Some(name))
            .additional_properties(Some(Ref::from_schema_name(MetadataValue::name())))
            .description(Some(
                "Fields with their values. Each field has one type in a collection: declared, or that of the first \
                 value seen.",
            ))
            .examples([serde_json::json!({"category": "games", "price": 20, "tags": ["new"]})])
            .into()
    }
}

impl ToSchema for Metadata {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((MetadataValue::name().into(), MetadataValue::schema()));
    }
}

/// One value.
#[derive(Debug)]
pub(in crate::http) struct MetadataValue(pub(in crate::http) Value);

impl Serialize for MetadataValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written(&self.0).serialize(serializer)
    }
}

impl PartialSchema for MetadataValue {
    fn schema() -> RefOr<Schema> {
        let items = ObjectBuilder::new().schema_type(scalar());
        OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(scalar()))
            .item(ArrayBuilder::new().items(RefOr::T(Schema::from(items))))
            .item(ObjectBuilder::new().schema_type(Type::Object))
            .description(Some(
                "A string, a number, true or false, null, an array of these, or an object, whose fields are named by \
                 their path: size.width. {\"lat\": 52.5, \"lon\": 13.4} is a point on the earth. Integers have 64 signed \
                 bits. Date-times are RFC 3339 texts in fields declared as datetime.",
            ))
            .into()
    }
}

impl ToSchema for MetadataValue {}

/// What a field holds, arrays apart.
pub(super) fn scalar() -> SchemaType {
    [Type::String, Type::Number, Type::Boolean, Type::Null]
        .into_iter()
        .collect()
}
