//! Facets: what is counted and the counts.

use vecdb_engine::{Error, Facet, FacetRequest, Facets, Result};

use super::search::{limit, saturated};
use super::{filter, required};
use crate::v1;

impl TryFrom<v1::FacetsRequest> for FacetRequest {
    type Error = Error;

    fn try_from(message: v1::FacetsRequest) -> Result<Self> {
        let defaults = FacetRequest::new(message.field);
        Ok(FacetRequest {
            filter: filter(message.filter)?,
            limit: limit(message.limit, defaults.limit),
            ..defaults
        })
    }
}

/// A limit of 0 means the default in a message, but nothing in the engine: check it before.
impl From<&FacetRequest> for v1::FacetsRequest {
    fn from(request: &FacetRequest) -> Self {
        v1::FacetsRequest {
            collection: String::new(),
            field: request.field.clone(),
            filter: request.filter.as_ref().map(Into::into),
            limit: saturated(request.limit),
        }
    }
}

impl TryFrom<v1::FacetsResponse> for Facets {
    type Error = Error;

    fn try_from(message: v1::FacetsResponse) -> Result<Self> {
        let values = message.values.into_iter().map(|facet| {
            Ok(Facet {
                value: required(facet.value, "the value of a facet")?.try_into()?,
                count: facet.count,
            })
        });
        Ok(Facets {
            values: values.collect::<Result<_>>()?,
            distinct: message.distinct,
            points: message.points,
            missing: message.missing,
        })
    }
}

impl From<Facets> for v1::FacetsResponse {
    fn from(facets: Facets) -> Self {
        let values = facets.values.into_iter().map(|facet| v1::Facet {
            value: Some(facet.value.into()),
            count: facet.count,
        });
        v1::FacetsResponse {
            values: values.collect(),
            distinct: facets.distinct,
            points: facets.points,
            missing: facets.missing,
        }
    }
}
