//! Ids of points: whole numbers and strings.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};
use vecdb_engine::{self as engine, ID_BYTES_MAX};

/// The id of a point.
#[derive(Clone, Debug)]
pub(in crate::http) struct PointId(pub(in crate::http) engine::PointId);

impl<'de> Deserialize<'de> for PointId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor).map(Self)
    }
}

pub(super) struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = engine::PointId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id: a whole number from 0 to 2^64-1, or a string")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        engine::PointId::from_text(text).map_err(E::custom)
    }
}

impl Serialize for PointId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            engine::PointId::U64(number) => serializer.serialize_u64(*number),
            engine::PointId::String(text) => serializer.serialize_str(text),
            uuid @ engine::PointId::Uuid(_) => serializer.collect_str(uuid),
        }
    }
}

impl PartialSchema for PointId {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0))
            .maximum(Some(u64::MAX as usize));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(ID_BYTES_MAX));
        OneOfBuilder::new()
            .item(number)
            .item(text)
            .description(Some(
                "A number, a UUID or a string of at most 1,024 bytes. The three never equal each other: 5 is not \
                 \"5\". A string of the hyphenated form is a UUID.",
            ))
            .examples([serde_json::json!(7), serde_json::json!("sku-7")])
            .into()
    }
}

impl ToSchema for PointId {}
