//! Filters: JSON in which no object has a key twice, as everywhere else filters are read.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use vecdb_engine as engine;

use super::metadata::scalar;

/// Which points are meant.
#[derive(Clone, Debug)]
pub(in crate::http) struct Filter(pub(in crate::http) engine::Filter);

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        engine::Filter::parse_str(text.get())
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl PartialSchema for Filter {
    fn schema() -> RefOr<Schema> {
        let filters = || {
            ArrayBuilder::new()
                .items(Ref::from_schema_name(Filter::name()))
                .min_items(Some(1))
        };
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^([^$]|\$(and|or|not)$|$)"));
        ObjectBuilder::new()
            .property("$and", filters())
            .property("$or", filters())
            .property("$not", Ref::from_schema_name(Filter::name()))
            .property_names(Some(name))
            .additional_properties(Some(Ref::from_schema_name(Condition::name())))
            .description(Some(
                "Which points are meant. The entries of an object are joined by and; {} is every point. The fields \
                 must be fields of the collection and the values of their type.",
            ))
            .examples([serde_json::json!({"category": "games", "price": {"$lt": 50}})])
            .into()
    }
}

impl ToSchema for Filter {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Condition::name().into(), Condition::schema()));
        schemas.push((FilterOperators::name().into(), FilterOperators::schema()));
    }
}

/// The document's name for what a field is held against.
struct Condition;

impl PartialSchema for Condition {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(scalar()))
            .item(Ref::from_schema_name(FilterOperators::name()))
            .description(Some(
                "A value the field equals, or operators that all hold. An array field matches if any element does.",
            ))
            .into()
    }
}

impl ToSchema for Condition {
    fn name() -> std::borrow::Cow<'static, str> {
        "FilterCondition".into()
    }
}

/// The document's name for the operators of a field.
struct FilterOperators;

impl PartialSchema for FilterOperators {
    fn schema() -> RefOr<Schema> {
        let value = || ObjectBuilder::new().schema_type(scalar());
        let ordered = || {
            ObjectBuilder::new().schema_type(
                [Type::String, Type::Number, Type::Boolean]
                    .into_iter()
                    .collect::<utoipa::openapi::schema::SchemaType>(),
            )
        };
        let list = || ArrayBuilder::new().items(RefOr::T(Schema::from(value())));
        ObjectBuilder::new()
            .property("$eq", value())
            .property("$ne", value())
            .property("$gt", ordered())
            .property("$gte", ordered())
            .property("$lt", ordered())
            .property("$lte", ordered())
            .property("$in", list())
            .property("$nin", list())
            .property("$exists", ObjectBuilder::new().schema_type(Type::Boolean))
            .property("$not", Ref::from_schema_name(FilterOperators::name()))
            .additional_properties(Some(
                utoipa::openapi::schema::AdditionalProperties::<Schema>::FreeForm(false),
            ))
            .min_properties(Some(1))
            .into()
    }
}

impl ToSchema for FilterOperators {}
