//! Recommendations: what is liked and what is not.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use vecdb_engine as engine;

use super::filter::Filter;
use super::id::{IdVisitor, PointId};
use super::search::{GroupBy, SearchParams, SearchRequest, ten};
use super::vector::{Vector, VectorVisitor, finite_option};
use super::yes;

/// A search by examples.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"positive": [1, 2], "negative": ["sku-3"], "limit": 5})))]
pub(in crate::http) struct RecommendRequest {
    /// What hits are to be near to. Points that are examples are no hits.
    #[schema(min_items = 1, max_items = 1000)]
    positive: Vec<Example>,
    /// What hits are to be far from.
    #[serde(default)]
    #[schema(max_items = 1000)]
    negative: Vec<Example>,
    /// average_vector where it is left out.
    #[schema(pattern = "^(average_vector|best_score)$")]
    strategy: Option<String>,
    /// How many hits at most.
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 100000, default = 10)]
    limit: u32,
    /// Pass over that many of the nearest hits; together with limit and examples at most 100000.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 99999, default = 0)]
    offset: u32,
    /// Give groups in place of hits; limit and offset then count groups.
    group_by: Option<GroupBy>,
    filter: Option<Filter>,
    #[serde(default)]
    params: SearchParams,
    /// Only hits at most this far; under best_score from the nearest positive example.
    #[serde(default, deserialize_with = "finite_option")]
    #[schema(minimum = -3.4028234663852886e38, maximum = 3.4028234663852886e38)]
    max_distance: Option<f32>,
    /// Only hits of at least this score.
    #[serde(default, deserialize_with = "finite_option")]
    #[schema(minimum = -3.4028234663852886e38, maximum = 3.4028234663852886e38)]
    min_score: Option<f32>,
    #[serde(default)]
    with_vector: bool,
    #[serde(default = "yes")]
    #[schema(default = true)]
    with_metadata: bool,
    /// Say how the search was answered.
    #[serde(default)]
    explain: bool,
    /// Say how the search would be answered, from estimates, and do not run it: no results. For average_vector only.
    #[serde(default)]
    explain_only: bool,
    /// Keep the answer, and give one that was kept to the same search if nothing was written since.
    #[serde(default)]
    cache: bool,
    /// Stop after this time and give what was found, marked truncated.
    #[schema(minimum = 0, maximum = 4294967295_u32)]
    timeout_ms: Option<u32>,
}

impl TryFrom<RecommendRequest> for engine::RecommendRequest {
    type Error = engine::Error;

    fn try_from(request: RecommendRequest) -> engine::Result<Self> {
        let search = SearchRequest {
            vector: Vector(Vec::new()),
            limit: request.limit,
            offset: request.offset,
            group_by: request.group_by,
            filter: request.filter,
            params: request.params,
            max_distance: request.max_distance,
            min_score: request.min_score,
            with_vector: request.with_vector,
            with_metadata: request.with_metadata,
            explain: request.explain,
            explain_only: request.explain_only,
            cache: request.cache,
            timeout_ms: request.timeout_ms,
        };
        let examples = |given: Vec<Example>| given.into_iter().map(|Example(one)| one).collect();
        Ok(Self {
            positive: examples(request.positive),
            negative: examples(request.negative),
            strategy: match request.strategy {
                None => engine::RecommendStrategy::default(),
                Some(name) => name.parse()?,
            },
            search: search.into(),
        })
    }
}

/// The id of a point, or a vector.
#[derive(Debug)]
struct Example(engine::Example);

impl<'de> Deserialize<'de> for Example {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExampleVisitor).map(Self)
    }
}

struct ExampleVisitor;

impl<'de> Visitor<'de> for ExampleVisitor {
    type Value = engine::Example;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an example: the id of a point (a whole number or a string) or a vector (an array of numbers)")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        IdVisitor.visit_u64(number).map(engine::Example::Id)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        IdVisitor.visit_str(text).map(engine::Example::Id)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Self::Value, A::Error> {
        VectorVisitor.visit_seq(values).map(engine::Example::Vector)
    }
}

impl PartialSchema for Example {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(Ref::from_schema_name(PointId::name()))
            .item(Ref::from_schema_name(Vector::name()))
            .description(Some("The id of a point of the collection, or a vector."))
            .into()
    }
}

impl ToSchema for Example {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PointId::name().into(), PointId::schema()));
        schemas.push((Vector::name().into(), Vector::schema()));
    }
}

// The document says this limit in attributes, which take literals only.
const _: () = assert!(engine::EXAMPLES_MAX == 1_000);
