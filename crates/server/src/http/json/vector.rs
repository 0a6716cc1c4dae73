//! Vectors: arrays of finite numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};
use vecdb_engine::DIMENSION_MAX;

/// The values of a vector.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(transparent)]
pub(in crate::http) struct Vector(pub(in crate::http) Vec<f32>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(VectorVisitor).map(Self)
    }
}

pub(super) struct VectorVisitor;

impl<'de> Visitor<'de> for VectorVisitor {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector: an array of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Vec<f32>, A::Error> {
        let mut vector = Vec::new();
        while let Some(value) = values.next_element::<f32>()? {
            if !value.is_finite() {
                return Err(A::Error::custom(format_args!(
                    "value {} of the vector is beyond what 32-bit floats hold",
                    vector.len()
                )));
            }
            if vector.len() == DIMENSION_MAX as usize {
                return Err(A::Error::custom(format_args!(
                    "the vector has more than {DIMENSION_MAX} values"
                )));
            }
            vector.push(value);
        }
        Ok(vector)
    }
}

/// A number that must fit 32-bit floats, for serde's `deserialize_with`.
pub(super) fn finite_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f32>, D::Error> {
    match Option::<f32>::deserialize(deserializer)? {
        Some(value) if !value.is_finite() => Err(D::Error::custom(
            "the number is beyond what 32-bit floats hold",
        )),
        value => Ok(value),
    }
}

impl PartialSchema for Vector {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Number)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Float)))
            .minimum(Some(f64::from(f32::MIN)))
            .maximum(Some(f64::from(f32::MAX)));
        ArrayBuilder::new()
            .items(RefOr::T(Schema::from(number)))
            .min_items(Some(1))
            .max_items(Some(DIMENSION_MAX as usize))
            .description(Some(
                "As many values as the collection has dimensions; under the element type bits, zeros and ones.",
            ))
            .examples([serde_json::json!([0.9, 0.1, 0.0])])
            .into()
    }
}

impl ToSchema for Vector {}
