//! The strategy `best_score`: candidates near the positive examples, each compared with all examples.

use std::collections::BTreeMap;
use std::time::Instant;

use vecdb_filter::Filter;
use vecdb_index::scan_exact;
use vecdb_vector::{RowId, RowMask, TopK};

use super::Examples;
use crate::collection::search::budget;
use crate::collection::search::groups::add_cost;
use crate::collection::search::pages::{bare, checked_end, page};
use crate::collection::state::State;
use crate::collection::{GroupBy, Hit, Inner, LIMIT_MAX, SearchRequest, SearchResponse};
use crate::error::{Error, Result};

/// Candidates for each positive example, in hits asked for, and the fewest there are.
const CANDIDATES: usize = 4;
const CANDIDATES_MIN: usize = 100;

/// Where hits are nearer to negative examples than to positive ones, so many times as many candidates are looked at.
const GROWTH: usize = 8;
const ROUNDS: usize = 4;

/// Rank values of the distances to the nearest examples; NaN where none was measured.
#[derive(Clone, Copy)]
struct Nearest {
    positive: f32,
    negative: f32,
}

impl Default for Nearest {
    fn default() -> Self {
        Self {
            positive: f32::NAN,
            negative: f32::NAN,
        }
    }
}

impl Nearest {
    fn note(&mut self, distance: f32, is_positive: bool) {
        let nearest = match is_positive {
            true => &mut self.positive,
            false => &mut self.negative,
        };
        // The smaller of a number and NaN is the number.
        *nearest = nearest.min(distance);
    }

    /// Whether a positive example is nearer than every negative one.
    fn is_liked(&self) -> bool {
        self.negative.is_nan() || self.positive < self.negative
    }
}

/// Candidates by part and row.
type Candidates = BTreeMap<(usize, RowId), Nearest>;

impl Inner {
    pub(super) fn best_score(
        &self,
        state: &State,
        request: &SearchRequest,
        examples: &Examples,
        started: Instant,
    ) -> Result<SearchResponse> {
        if request.explain_only {
            return Err(Error::invalid(
                "explain_only goes with the strategy average_vector, not with best_score, whose searches follow from what it finds",
            ));
        }
        if request.min_score.is_some_and(f32::is_nan) {
            return Err(Error::invalid("min_score is not a number"));
        }
        let group_size = request.group_by.as_ref().map_or(1, |by| by.group_size);
        let end = checked_end(request, group_size, &examples.ids)?;
        let scoring = Scoring {
            inner: self,
            state,
            request,
            examples,
            started,
        };
        if let Some(group_by) = &request.group_by {
            return scoring.grouped(group_by, end);
        }
        let mut response = scoring.until(end, &|_| Ok(true))?;
        page(&mut response.hits, request);
        self.complete(state, request, &mut response.hits)?;
        Ok(response)
    }
}

struct Scoring<'a> {
    inner: &'a Inner,
    state: &'a State,
    request: &'a SearchRequest,
    examples: &'a Examples,
    started: Instant,
}

impl Scoring<'_> {
    /// Groups of the scored candidates: the first `wanted` values in the order of their best ones.
    fn grouped(&self, group_by: &GroupBy, wanted: usize) -> Result<SearchResponse> {
        let (inner, state, request) = (self.inner, self.state, self.request);
        // Knows which fields there are, and which name is near.
        Filter::exists(group_by.field.as_str(), true).check(&state.fields)?;
        let groups_of = |hits: &[&Hit]| {
            let hits = hits.iter().copied();
            inner.groups_of(state, request, group_by, wanted, hits)
        };
        let hits = wanted.saturating_mul(group_by.group_size);
        let response = self.until(hits, &|liked| Ok(groups_of(liked)?.are_full()))?;
        let hits: Vec<&Hit> = response.hits.iter().collect();
        let groups = groups_of(&hits)?;
        inner.with_groups(state, request, group_by, groups, response)
    }

    /// The scored candidates, `end` of them nearer to a positive example than to any negative one if there are as many, and
    /// so many that they are `enough`.
    fn until(
        &self,
        end: usize,
        enough: &dyn Fn(&[&Hit]) -> Result<bool>,
    ) -> Result<SearchResponse> {
        let examples = self.examples.ids.len();
        let mut fetch = end.saturating_mul(CANDIDATES).max(CANDIDATES_MIN) + examples;
        let mut before: Option<SearchResponse> = None;
        let mut rounds = 0;
        loop {
            rounds += 1;
            fetch = fetch.min(LIMIT_MAX);
            let (mut response, mut candidates) = self.candidates(fetch)?;
            if let Some(before) = before.take() {
                add_cost(&mut response, &before);
            }
            self.compare(&mut candidates, &mut response)?;
            let liked = candidates.values().filter(|one| one.is_liked()).count();
            let all = match response.stats.matching {
                Some(matching) => matching,
                None => response.stats.searched_vectors,
            };
            let saw_all = (candidates.len() + examples) as u64 >= all;
            let scored = self.scored(&candidates)?;
            let enough = liked >= end && {
                let liked = scored.iter().filter(|(_, liked)| *liked);
                enough(&liked.map(|(hit, _)| hit).collect::<Vec<_>>())?
            };
            let done = enough || saw_all || response.truncated;
            if done || rounds == ROUNDS || fetch == LIMIT_MAX {
                response.hits = scored.into_iter().map(|(hit, _)| hit).collect();
                return Ok(response);
            }
            before = Some(response);
            fetch = fetch.saturating_mul(GROWTH);
        }
    }

    /// The nearest points of each positive example, and what it took to find them.
    fn candidates(&self, fetch: usize) -> Result<(SearchResponse, Candidates)> {
        let mut candidates = Candidates::new();
        let mut sum: Option<SearchResponse> = None;
        for vector in &self.examples.positive {
            let search = SearchRequest {
                vector: vector.clone(),
                min_score: None,
                ..bare(self.request, fetch)
            };
            let mut found = self.inner.nearest(self.state, &search, self.started)?;
            for hit in found.hits.drain(..) {
                self.request.stop.check()?;
                if self.examples.ids.contains(&hit.id) {
                    continue;
                }
                if let Some(at) = self.state.find(&hit.id)? {
                    candidates.insert((at.part, at.row), Nearest::default());
                }
            }
            match &mut sum {
                Some(sum) => add_cost(sum, &found),
                None => sum = Some(found),
            }
        }
        let sum = sum.ok_or_else(|| Error::invalid("no positive example is given"))?;
        Ok((sum, candidates))
    }

    /// Measures the distance of every candidate to every example.
    fn compare(&self, candidates: &mut Candidates, response: &mut SearchResponse) -> Result<()> {
        let budget = budget(self.request, self.started);
        let kernels = self.inner.shared.kernels;
        for (at, view) in self.state.parts().enumerate() {
            let part = view.part();
            let rows = candidates.range((at, RowId(0))..=(at, RowId(u32::MAX)));
            let mask = RowMask::from_rows(part.rows(), rows.map(|((_, row), _)| *row));
            if mask.is_none() {
                continue;
            }
            let vectors = part.vectors()?;
            let positive = self.examples.positive.iter().map(|vector| (vector, true));
            let negative = self.examples.negative.iter().map(|vector| (vector, false));
            for (vector, is_positive) in positive.chain(negative) {
                let query = self.inner.query_of(vector)?;
                let mut top = TopK::new(mask.count() as usize);
                let outcome = scan_exact(kernels, &query, vectors, Some(&mask), &budget, &mut top);
                response.stats.distance_computations += outcome.counters.distance_computations;
                if outcome.truncated {
                    self.request.stop.check()?;
                    response.truncated = true;
                }
                for found in top.into_sorted_vec() {
                    if let Some(nearest) = candidates.get_mut(&(at, found.row)) {
                        nearest.note(found.distance, is_positive);
                    }
                }
            }
        }
        Ok(())
    }

    /// The candidates in the order of their scores, and whether a positive example is nearer than every negative one.
    fn scored(&self, candidates: &Candidates) -> Result<Vec<(Hit, bool)>> {
        let metric = self.inner.vector_field()?.metric;
        let parts: Vec<_> = self.state.parts().collect();
        let mut hits = Vec::new();
        for ((part, row), nearest) in candidates {
            let distance = metric.distance(nearest.positive);
            let score = match nearest.is_liked() {
                true => metric.score(distance),
                false => -metric.score(metric.distance(nearest.negative)).powi(2),
            };
            let too_far = self.request.max_distance.is_some_and(|max| distance > max);
            let too_low = self.request.min_score.is_some_and(|min| score < min);
            // Where the time was up before, it was not compared.
            if too_far || too_low || nearest.positive.is_nan() {
                continue;
            }
            let hit = Hit {
                id: parts[*part].part().id(*row)?,
                distance,
                score,
                vector: None,
                metadata: None,
            };
            hits.push((hit, nearest.is_liked()));
        }
        hits.sort_by(|(a, _), (b, _)| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then_with(|| a.id.cmp(&b.id))
        });
        Ok(hits)
    }
}
