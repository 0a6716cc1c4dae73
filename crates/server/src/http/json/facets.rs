//! Facets: what is counted and the counts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vecdb_engine as engine;

use super::filter::Filter;
use super::metadata::MetadataValue;

/// Which field's values are to be counted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"field": "category", "filter": {"price": {"$lt": 50}}})))]
pub(in crate::http) struct FacetsRequest {
    field: String,
    filter: Option<Filter>,
    /// How many values at most, the most frequent ones; 10 where it is left out.
    #[schema(minimum = 1, maximum = 100000, default = 10)]
    limit: Option<u32>,
}

impl From<FacetsRequest> for engine::FacetRequest {
    fn from(request: FacetsRequest) -> Self {
        let defaults = Self::new(request.field);
        Self {
            filter: request.filter.map(|filter| filter.0),
            limit: request.limit.map_or(defaults.limit, |limit| limit as usize),
            ..defaults
        }
    }
}

/// The values of a field.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct FacetsResponse {
    /// By count descending, then by value ascending.
    values: Vec<Facet>,
    /// How many different values there are.
    distinct: u64,
    /// Points that match the filter, or that there are.
    points: u64,
    /// Those of them without a value: they miss the field, or it is null or an array without elements.
    missing: u64,
}

/// A value and how many points have it.
#[derive(Debug, Serialize, ToSchema)]
struct Facet {
    value: MetadataValue,
    /// Of points with an array, all that have the value as an element.
    count: u64,
}

impl From<engine::Facets> for FacetsResponse {
    fn from(facets: engine::Facets) -> Self {
        let values = facets.values.into_iter().map(|facet| Facet {
            value: MetadataValue(facet.value),
            count: facet.count,
        });
        Self {
            values: values.collect(),
            distinct: facets.distinct,
            points: facets.points,
            missing: facets.missing,
        }
    }
}
