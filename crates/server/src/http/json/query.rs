//! SQL statements and their results.

use serde::ser::{Serialize, Serializer};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type,
};
use utoipa::openapi::{KnownFormat, Ref, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};
use vecdb_sql as sql;

use super::metadata::scalar;

/// One SQL statement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "sql": "SELECT id, name, distance FROM products WHERE vector NEAR $q AND price < 50 LIMIT 5",
    "params": {"q": [1.0, 0.2, 0.0]}
})))]
pub(in crate::http) struct QueryRequest {
    /// docs/sql.md describes the language.
    sql: String,
    #[serde(default)]
    params: QueryParams,
}

impl QueryRequest {
    pub(in crate::http) fn split(self) -> (String, sql::Params) {
        (self.sql, self.params.0)
    }
}

/// What placeholders stand for.
#[derive(Debug, Default)]
struct QueryParams(sql::Params);

impl<'de> Deserialize<'de> for QueryParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        sql::Params::from_json(&json)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// A value of a parameter or of a cell: a scalar, or an array of scalars.
fn value() -> Schema {
    let items = ObjectBuilder::new().schema_type(scalar());
    OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(scalar()))
        .item(ArrayBuilder::new().items(RefOr::T(Schema::from(items))))
        .into()
}

impl PartialSchema for QueryParams {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(ArrayBuilder::new().items(RefOr::T(value())))
            .item(
                ObjectBuilder::new()
                    .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(value())))),
            )
            .description(Some(
                "What placeholders stand for: an array for ? or $1, $2, an object for $name. An array of numbers can be \
                 a vector, any array the list of IN. Nothing in them is read as SQL.",
            ))
            .examples([serde_json::json!({"q": [1.0, 0.2, 0.0]}), serde_json::json!(["games", 50])])
            .into()
    }
}

impl ToSchema for QueryParams {}

/// The answer to a statement.
pub(in crate::http) struct QueryResponse(pub(in crate::http) sql::QueryResult);

impl Serialize for QueryResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl PartialSchema for QueryResponse {
    fn schema() -> RefOr<Schema> {
        let number = |what: &str| {
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(0))
                .description(Some(what))
        };
        let row = ObjectBuilder::new()
            .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(value()))));
        ObjectBuilder::new()
            .property(
                "columns",
                ArrayBuilder::new()
                    .items(Ref::from_schema_name(QueryColumn::name()))
                    .description(Some("None for a statement that gives no rows.")),
            )
            .property(
                "rows",
                ArrayBuilder::new()
                    .items(RefOr::T(Schema::from(row)))
                    .description(Some("Each with the columns as its keys, in their order.")),
            )
            .property("affected", number("Points that an INSERT, UPDATE or DELETE changed."))
            .property("searched_vectors", number("Live points that a search was over."))
            .property(
                "unindexed",
                ArrayBuilder::new()
                    .items(ObjectBuilder::new().schema_type(Type::String))
                    .description(Some(
                        "Fields of the condition that are not indexed, so that points had to be read.",
                    )),
            )
            .property(
                "truncated",
                ObjectBuilder::new().schema_type(Type::Boolean).description(Some(
                    "The time limit of a search came first: better hits may exist.",
                )),
            )
            .property(
                "latency_ms",
                ObjectBuilder::new()
                    .schema_type(Type::Number)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Float)))
                    .description(Some("Time in the database.")),
            )
            .required("columns")
            .required("rows")
            .required("truncated")
            .required("latency_ms")
            .description(Some("The answer to a statement."))
            .into()
    }
}

impl ToSchema for QueryResponse {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((QueryColumn::name().into(), QueryColumn::schema()));
    }
}

/// A column of the answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is here for the document")]
struct QueryColumn {
    name: String,
    /// id, vector, float, int, string, bool, datetime, one of these with [] for arrays, or null where no value was seen.
    r#type: String,
}
