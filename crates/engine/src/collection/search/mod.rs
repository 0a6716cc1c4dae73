//! Searching a snapshot: each part by its index or by scan, the best of all merged.

mod check;
mod costs;
mod counts;
mod explain;
pub(super) mod groups;
mod masks;
pub(super) mod pages;
mod results;
mod run;

use std::collections::HashSet;
use std::time::Instant;

use vecdb_filter::Filter;
use vecdb_index::Budget;
use vecdb_vector::Query;

use self::counts::Counted;
use super::state::State;
use super::{Collection, Hit, Inner, SearchRequest, SearchResponse, SearchStats};
use crate::error::{Error, Result};
use crate::stop::StopSignal;
pub(super) use costs::LearnedCosts;
pub(super) use counts::SearchCounters;
pub use counts::SearchCounts;
pub use explain::{
    ConditionExplanation, Explanation, MatchEstimate, PartExplanation, PlanExplanation,
};
pub(super) use masks::{Built, HeldSubset, MaskCache, WantedSubset};
pub(super) use results::{ResultCache, ResultKey};
use run::Run;
pub(super) use run::SearchScratch;

/// The most hits one search may ask for.
pub const LIMIT_MAX: usize = 100_000;

impl Collection {
    /// The points nearest to a query.
    pub fn search(&self, request: &SearchRequest) -> Result<SearchResponse> {
        let started = Instant::now();
        let inner = &self.inner;
        inner.check_usable()?;
        let state = inner.snapshot();
        inner.answer_or_held(&state, request, started)
    }

    /// Several searches of one snapshot, spread over the database's threads. The answers are in the order of the
    /// requests; the first error ends it.
    pub fn search_batch(&self, requests: &[SearchRequest]) -> Result<Vec<SearchResponse>> {
        use rayon::prelude::*;
        let inner = &self.inner;
        inner.check_usable()?;
        let state = inner.snapshot();
        inner.shared.pool.install(|| {
            requests
                .par_iter()
                .enumerate()
                .map(|(at, request)| {
                    inner
                        .answer_or_held(&state, request, Instant::now())
                        .map_err(|e| e.context(format_args!("query {at}")))
                })
                .collect()
        })
    }
}

/// A checked request.
struct Plan<'a> {
    query: Query,
    filter: Option<Filter>,
    /// Spent when the time limit is reached, and when the search is to end with an error.
    budget: Budget<'a>,
    /// The same for the reading of rows that a filter takes: given when the time limit is reached, too.
    filter_stop: StopSignal,
    /// Hits must not be farther.
    max_distance: f32,
}

impl Inner {
    fn answer_or_held(
        &self,
        state: &State,
        request: &SearchRequest,
        started: Instant,
    ) -> Result<SearchResponse> {
        let key = ResultKey::of(request, "");
        self.held_or(state, key, started, || {
            self.answer(state, request, &HashSet::new(), started)
        })
    }

    /// The answer that is held, or else that of `answer`.
    pub(super) fn held_or(
        &self,
        state: &State,
        key: ResultKey,
        started: Instant,
        answer: impl FnOnce() -> Result<SearchResponse>,
    ) -> Result<SearchResponse> {
        let (mut response, held) = self.results.get_or(state.position, key, answer)?;
        match held {
            Some(true) => self.searches.add(Counted::ResultHit),
            Some(false) => self.searches.add(Counted::ResultMiss),
            None => {}
        }
        response.elapsed = started.elapsed();
        Ok(response)
    }

    /// How the nearest points would be found, and no hits.
    fn expected(
        &self,
        state: &State,
        request: &SearchRequest,
        started: Instant,
    ) -> Result<SearchResponse> {
        let plan = self.plan(state, request, started)?;
        let explanation = explain::expect(state, plan.filter.as_ref(), request, self);
        Ok(SearchResponse {
            stats: SearchStats {
                searched_vectors: state.live_rows(),
                ..SearchStats::default()
            },
            explanation: Some(Box::new(explanation)),
            ..SearchResponse::default()
        })
    }

    /// The nearest points, without what stands around a search.
    pub(super) fn nearest(
        &self,
        state: &State,
        request: &SearchRequest,
        started: Instant,
    ) -> Result<SearchResponse> {
        let plan = self.plan(state, request, started)?;
        Run::new(self, &plan, request).over(state)
    }

    fn plan<'a>(
        &self,
        state: &State,
        request: &'a SearchRequest,
        started: Instant,
    ) -> Result<Plan<'a>> {
        let field = self.vector_field()?;
        if request.limit == 0 || request.limit > LIMIT_MAX {
            return Err(limit_out_of_range(request.limit));
        }
        field.index.check_params(&request.params)?;
        let threshold = |name: &str, value: Option<f32>| match value {
            Some(value) if value.is_nan() => Err(Error::invalid(format!("{name} is not a number"))),
            value => Ok(value),
        };
        let max_distance =
            threshold("max_distance", request.max_distance)?.unwrap_or(f32::INFINITY);
        let of_score = threshold("min_score", request.min_score)?
            .map(|score| field.metric.distance_of_score(score));
        let budget = budget(request, started);
        let filter_stop = match budget.deadline {
            Some(deadline) => request.stop.clone().with_deadline(deadline),
            None => request.stop.clone(),
        };
        Ok(Plan {
            query: Query::new(
                field.metric,
                field.element,
                self.layout.dimension,
                &request.vector,
            )?,
            filter: request
                .filter
                .as_ref()
                .map(|filter| filter.check(&state.fields))
                .transpose()?,
            budget,
            filter_stop,
            max_distance: of_score.map_or(max_distance, |distance| max_distance.min(distance)),
        })
    }
}

/// What a search that began at `started` may take.
pub(super) fn budget(request: &SearchRequest, started: Instant) -> Budget<'_> {
    let limits = [
        request
            .timeout
            .and_then(|timeout| started.checked_add(timeout)),
        request.stop.deadline(),
    ];
    Budget {
        deadline: limits.into_iter().flatten().min(),
        stop: request.stop.flag(),
        ..Budget::default()
    }
}

pub(super) fn limit_out_of_range(limit: usize) -> Error {
    Error::invalid(format!("limit {limit} is not between 1 and {LIMIT_MAX}"))
}
