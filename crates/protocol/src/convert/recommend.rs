//! Recommendations: what is liked and what is not.

use vecdb_engine::{Error, Example, RecommendRequest, RecommendStrategy, Result, SearchRequest};

use super::{invalid, required};
use crate::v1;
use crate::v1::example::Kind;

impl TryFrom<v1::RecommendRequest> for RecommendRequest {
    type Error = Error;

    fn try_from(message: v1::RecommendRequest) -> Result<Self> {
        let search = message.search.unwrap_or_default();
        if !search.collection.is_empty() {
            return Err(invalid(
                "the search of a recommendation names a collection; the request itself names it",
            ));
        }
        Ok(RecommendRequest {
            positive: examples("positive", message.positive)?,
            negative: examples("negative", message.negative)?,
            strategy: match message.strategy.as_str() {
                "" => RecommendStrategy::default(),
                name => name.parse()?,
            },
            search: SearchRequest::try_from(search)?,
        })
    }
}

fn examples(side: &str, messages: Vec<v1::Example>) -> Result<Vec<Example>> {
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(at, message)| {
            Example::try_from(message)
                .map_err(|error| error.context(format_args!("{side} example {at}")))
        })
        .collect()
}

/// A limit of 0 means the default in a message, but nothing in the engine: check it before.
impl From<RecommendRequest> for v1::RecommendRequest {
    fn from(request: RecommendRequest) -> Self {
        v1::RecommendRequest {
            collection: String::new(),
            positive: request.positive.into_iter().map(Into::into).collect(),
            negative: request.negative.into_iter().map(Into::into).collect(),
            strategy: request.strategy.name().to_owned(),
            search: Some(request.search.into()),
        }
    }
}

impl TryFrom<v1::Example> for Example {
    type Error = Error;

    fn try_from(message: v1::Example) -> Result<Self> {
        Ok(match required(message.kind, "the id or vector")? {
            Kind::Id(id) => Example::Id(id.try_into()?),
            Kind::Vector(vector) => Example::Vector(vector.values),
        })
    }
}

impl From<Example> for v1::Example {
    fn from(example: Example) -> Self {
        let kind = match example {
            Example::Id(id) => Kind::Id(id.into()),
            Example::Vector(values) => Kind::Vector(v1::Vector { values }),
        };
        v1::Example { kind: Some(kind) }
    }
}
