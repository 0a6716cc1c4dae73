//! Recommendations: a search by examples of what is liked and what is not.

mod best_score;

use std::collections::HashSet;
use std::time::Instant;

use vecdb_vector::{ElementType, Metric, Query};

use super::search::ResultKey;
use super::state::State;
use super::{Collection, Inner, SearchRequest, SearchResponse};
use crate::error::{Error, ErrorKind, Result};
use crate::point::PointId;

/// The most examples of one recommendation, positive and negative together.
pub const EXAMPLES_MAX: usize = 1_000;

/// What is liked, or not: a point of the collection, or a vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Example {
    /// The vector of this point, which is no hit itself.
    Id(PointId),
    /// A vector of the collection's dimension.
    Vector(Vec<f32>),
}

/// How the examples are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecommendStrategy {
    /// One search for the mean of the positive examples, moved away from the negative ones by as much as the two means
    /// lie apart: `mean(positive) + (mean(positive) - mean(negative))`. Under cosine every example counts with length 1;
    /// whole numbers are rounded. Not for several vectors of bits.
    #[default]
    AverageVector,
    /// Every candidate is compared with every example. Its score is the best among the positive examples, unless a
    /// negative one is as near or nearer: then it is minus the square of the best score among the negative ones. The
    /// hits are in the order of this score, and their distance is that to the nearest positive example. Candidates are
    /// the nearest points of each positive example, several times as many as hits are asked for.
    BestScore,
}

impl RecommendStrategy {
    /// All strategies.
    pub const ALL: [Self; 2] = [Self::AverageVector, Self::BestScore];

    /// The name in every face.
    pub fn name(self) -> &'static str {
        match self {
            Self::AverageVector => "average_vector",
            Self::BestScore => "best_score",
        }
    }
}

impl std::str::FromStr for RecommendStrategy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter();
        known.clone().find(|one| one.name() == name).ok_or_else(|| {
            let known: Vec<_> = known.map(Self::name).collect();
            Error::invalid(format!(
                "unknown strategy {name:?}; known: {}",
                known.join(", ")
            ))
        })
    }
}

/// A search by examples.
#[derive(Clone, Debug)]
pub struct RecommendRequest {
    /// What hits are to be near to; one at least.
    pub positive: Vec<Example>,
    /// What hits are to be far from.
    pub negative: Vec<Example>,
    /// How the examples are put together. Default: `AverageVector`.
    pub strategy: RecommendStrategy,
    /// How to search. Its vector stays empty: the examples stand in its place.
    pub search: SearchRequest,
}

impl RecommendRequest {
    /// The ten points that are most like the points of these ids.
    pub fn new(positive: impl IntoIterator<Item = impl Into<PointId>>) -> Self {
        let positive = positive.into_iter();
        Self {
            positive: positive.map(|id| Example::Id(id.into())).collect(),
            negative: Vec::new(),
            strategy: RecommendStrategy::default(),
            search: SearchRequest::new([]),
        }
    }

    /// And least like the points of these ids.
    #[must_use]
    pub fn negative(mut self, ids: impl IntoIterator<Item = impl Into<PointId>>) -> Self {
        let ids = ids.into_iter().map(|id| Example::Id(id.into()));
        self.negative.extend(ids);
        self
    }

    /// Puts the examples together in this way.
    #[must_use]
    pub fn strategy(mut self, strategy: RecommendStrategy) -> Self {
        self.strategy = strategy;
        self
    }
}

impl Collection {
    /// The points that are most like the positive examples and least like the negative ones. Examples that are points of
    /// the collection are no hits.
    pub fn recommend(&self, request: &RecommendRequest) -> Result<SearchResponse> {
        let started = Instant::now();
        let inner = &self.inner;
        inner.check_usable()?;
        check(request)?;
        let state = inner.snapshot();
        let more = format!(
            "{:?}",
            (request.strategy, &request.positive, &request.negative)
        );
        let key = ResultKey::of(&request.search, &more);
        inner.held_or(&state, key, started, || {
            inner.recommended(&state, request, started)
        })
    }
}

impl Inner {
    fn recommended(
        &self,
        state: &State,
        request: &RecommendRequest,
        started: Instant,
    ) -> Result<SearchResponse> {
        let examples = Examples {
            positive: self.vectors_of(state, "positive", &request.positive)?,
            negative: self.vectors_of(state, "negative", &request.negative)?,
            ids: ids_of(request),
        };
        match request.strategy {
            RecommendStrategy::AverageVector => {
                let search = SearchRequest {
                    vector: self.average(&examples)?,
                    ..request.search.clone()
                };
                self.answer(state, &search, &examples.ids, started)
            }
            RecommendStrategy::BestScore => {
                self.best_score(state, &request.search, &examples, started)
            }
        }
    }
}

/// The vectors of the examples, each fit to be a query, and the ids of those that are points.
struct Examples {
    positive: Vec<Vec<f32>>,
    negative: Vec<Vec<f32>>,
    ids: HashSet<PointId>,
}

fn check(request: &RecommendRequest) -> Result<()> {
    let examples = request.positive.len() + request.negative.len();
    if request.positive.is_empty() {
        return Err(Error::invalid(
            "positive names no example; one at least is needed, an id or a vector",
        ));
    }
    if examples > EXAMPLES_MAX {
        return Err(Error::invalid(format!(
            "{examples} examples; at most {EXAMPLES_MAX} are allowed, positive and negative together"
        )));
    }
    if !request.search.vector.is_empty() {
        return Err(Error::invalid(
            "a recommendation has no vector of its own; give it among the positive examples",
        ));
    }
    Ok(())
}

fn ids_of(request: &RecommendRequest) -> HashSet<PointId> {
    let all = request.positive.iter().chain(&request.negative);
    all.filter_map(|example| match example {
        Example::Id(id) => Some(id.clone()),
        Example::Vector(_) => None,
    })
    .collect()
}

impl Inner {
    fn vectors_of(&self, state: &State, side: &str, examples: &[Example]) -> Result<Vec<Vec<f32>>> {
        let parts: Vec<_> = state.parts().collect();
        let one = |(at, example): (usize, &Example)| match example {
            Example::Id(id) => match state.find(id)? {
                Some(found) => self.decode_vector(parts[found.part].part(), found.row),
                None => Err(Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "no point of collection {:?} has the id {id}, which is a {side} example",
                        self.name
                    ),
                )),
            },
            Example::Vector(vector) => match self.query_of(vector) {
                Ok(_) => Ok(vector.clone()),
                Err(error) => Err(error.context(format_args!("{side} example {at}"))),
            },
        };
        examples.iter().enumerate().map(one).collect()
    }

    fn query_of(&self, vector: &[f32]) -> Result<Query> {
        let field = self.vector_field()?;
        let dimension = self.layout.dimension;
        Ok(Query::new(field.metric, field.element, dimension, vector)?)
    }

    fn average(&self, examples: &Examples) -> Result<Vec<f32>> {
        if let ([alone], []) = (examples.positive.as_slice(), examples.negative.as_slice()) {
            return Ok(alone.clone());
        }
        let field = self.vector_field()?;
        if field.element == ElementType::Bits {
            return Err(Error::invalid(
                "bits have no average vector; use the strategy best_score",
            ));
        }
        let unit = field.metric == Metric::Cosine;
        let positive = mean(&examples.positive, unit, self.layout.dimension);
        let mut average = positive.clone();
        if !examples.negative.is_empty() {
            let negative = mean(&examples.negative, unit, self.layout.dimension);
            for ((value, positive), negative) in average.iter_mut().zip(&positive).zip(&negative) {
                *value += positive - negative;
            }
        }
        let stored = |value: f64| match field.element {
            ElementType::I8 => value.round().clamp(-128.0, 127.0) as f32,
            ElementType::U8 => value.round().clamp(0.0, 255.0) as f32,
            _ => value as f32,
        };
        let average: Vec<f32> = average.into_iter().map(stored).collect();
        match self.query_of(&average) {
            Ok(_) => Ok(average),
            Err(error) => Err(error.context("the average of the examples")),
        }
    }
}

/// The mean of vectors of the same dimension, as they are or brought to length 1.
fn mean(vectors: &[Vec<f32>], unit: bool, dimension: usize) -> Vec<f64> {
    let mut mean = vec![0.0; dimension];
    for vector in vectors {
        let squares = vector.iter().map(|value| f64::from(*value).powi(2));
        let length = if unit {
            squares.sum::<f64>().sqrt()
        } else {
            1.0
        };
        let weight = 1.0 / (length.max(f64::MIN_POSITIVE) * vectors.len() as f64);
        for (sum, value) in mean.iter_mut().zip(vector) {
            *sum += f64::from(*value) * weight;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_weigh_every_vector_the_same() {
        let vectors = [vec![4.0, 0.0], vec![0.0, 2.0]];
        assert_eq!(mean(&vectors, false, 2), [2.0, 1.0]);
        assert_eq!(mean(&vectors, true, 2), [0.5, 0.5]);
    }

    #[test]
    fn strategies_are_known_by_their_names() {
        for strategy in RecommendStrategy::ALL {
            assert_eq!(
                strategy.name().parse::<RecommendStrategy>().unwrap(),
                strategy
            );
        }
        let error = "best".parse::<RecommendStrategy>().unwrap_err().to_string();
        assert!(error.contains("average_vector, best_score"), "{error}");
    }
}
