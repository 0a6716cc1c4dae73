//! Searching a snapshot: each part by its index or by scan, the best of all merged.

use std::time::Instant;

use vecdb_filter::Filter;
use vecdb_index::{Budget, SearchParams};
use vecdb_vector::{Neighbor, Query, RowId, RowMask, Scorer, TopK, VectorRows, scan};

use super::state::{AnyView, State};
use super::{Collection, Hit, Inner, SearchRequest, SearchResponse, SearchStats};
use crate::error::{Error, Result};
use crate::part::Part;
use crate::point::PointId;

/// The most hits one search may ask for.
pub const LIMIT_MAX: usize = 100_000;

impl Collection {
    /// The points nearest to a query.
    pub fn search(&self, request: &SearchRequest) -> Result<SearchResponse> {
        let started = Instant::now();
        let inner = &self.inner;
        inner.check_usable()?;
        let state = inner.snapshot();
        let plan = inner.plan(&state, request, started)?;
        let mut response = inner.run(&state, &plan, request)?;
        response.elapsed = started.elapsed();
        Ok(response)
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
                    let started = Instant::now();
                    let answer = inner
                        .plan(&state, request, started)
                        .and_then(|plan| inner.run(&state, &plan, request));
                    let mut response = answer.map_err(|e| e.context(format_args!("query {at}")))?;
                    response.elapsed = started.elapsed();
                    Ok(response)
                })
                .collect()
        })
    }
}

/// Rows between two looks at the clock.
const SCAN_BLOCK_ROWS: usize = 4096;

/// A checked request.
struct Plan {
    query: Query,
    filter: Option<Filter>,
    budget: Budget,
    /// Hits must not be farther.
    max_distance: f32,
}

/// A candidate with the part it comes from.
struct Found {
    distance: f32,
    part: usize,
    row: RowId,
}

impl Inner {
    fn plan(&self, state: &State, request: &SearchRequest, started: Instant) -> Result<Plan> {
        let field = self.vector_field()?;
        if request.limit == 0 || request.limit > LIMIT_MAX {
            return Err(Error::invalid(format!(
                "limit {} is not between 1 and {LIMIT_MAX}",
                request.limit
            )));
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
            budget: Budget {
                deadline: request.timeout.map(|timeout| started + timeout),
                ..Budget::default()
            },
            max_distance: of_score.map_or(max_distance, |distance| max_distance.min(distance)),
        })
    }

    fn run(&self, state: &State, plan: &Plan, request: &SearchRequest) -> Result<SearchResponse> {
        let mut stats = SearchStats::default();
        let mut truncated = false;
        let mut found: Vec<Found> = Vec::with_capacity(request.limit.min(1024) * 2);
        let mut matching = 0;
        let parts: Vec<AnyView<'_>> = state.parts().collect();
        for (at, view) in parts.iter().enumerate() {
            stats.searched_vectors += u64::from(view.live_rows());
            let allowed = plan
                .filter
                .as_ref()
                .map(|filter| view.part().evaluate(filter))
                .transpose()?;
            let mask = view.live_and(allowed);
            matching += mask.as_ref().map_or(u64::from(view.part().rows()), |mask| {
                u64::from(mask.count())
            });
            if mask.as_ref().is_some_and(RowMask::is_none) {
                continue;
            }
            if let AnyView::Segment(view) = view {
                view.part.check_searched_bytes()?;
                stats.segments += 1;
            }
            let neighbors = self.search_part(
                view.part(),
                plan,
                request,
                mask.as_ref(),
                &mut stats,
                &mut truncated,
            )?;
            found.extend(neighbors.into_iter().map(|n| Found {
                distance: n.distance,
                part: at,
                row: n.row,
            }));
        }
        stats.matching = plan.filter.is_some().then_some(matching);
        let hits = self.best(&parts, found, plan, request)?;
        Ok(SearchResponse {
            hits,
            stats,
            truncated,
            elapsed: Default::default(),
        })
    }

    /// The nearest rows of one part, by rank value.
    fn search_part(
        &self,
        part: &dyn Part,
        plan: &Plan,
        request: &SearchRequest,
        mask: Option<&RowMask>,
        stats: &mut SearchStats,
        truncated: &mut bool,
    ) -> Result<Vec<Neighbor>> {
        let rows = part.vectors()?;
        let Some(index) = part.index() else {
            if plan.budget.is_spent(stats.distance_computations) {
                *truncated = true;
                return Ok(Vec::new());
            }
            let mut top = TopK::new(request.limit);
            stats.distance_computations += match plan.budget.is_unlimited() {
                true => scan(self.shared.kernels, &plan.query, rows, mask, &mut top),
                false => self.scan_in_time(plan, rows, mask, &mut top, truncated),
            };
            return Ok(top.into_sorted_vec());
        };
        let mut scratch = self.scratches.lock().pop().unwrap_or_default();
        let mut neighbors = Vec::new();
        // The request was checked against the collection's spec; a part's index is of the same kind.
        let params: &SearchParams = &request.params;
        let outcome = index.search(
            rows,
            &plan.query,
            request.limit,
            mask,
            params,
            &plan.budget,
            &mut scratch,
            &mut neighbors,
        );
        self.scratches.lock().push(scratch);
        let outcome = outcome?;
        stats.distance_computations += outcome.counters.distance_computations;
        stats.nodes_visited += outcome.counters.nodes_visited;
        *truncated |= outcome.truncated;
        Ok(neighbors)
    }

    /// An exact scan that looks at the clock between blocks of rows.
    fn scan_in_time(
        &self,
        plan: &Plan,
        rows: VectorRows<'_>,
        mask: Option<&RowMask>,
        top: &mut TopK,
        truncated: &mut bool,
    ) -> u64 {
        let scorer = Scorer::new(self.shared.kernels, &plan.query, rows);
        let (mut ids, mut distances) = (Vec::with_capacity(SCAN_BLOCK_ROWS), Vec::new());
        let mut computed = 0;
        for start in (0..rows.len()).step_by(SCAN_BLOCK_ROWS) {
            if plan.budget.is_spent(computed) {
                *truncated = true;
                break;
            }
            let end = rows.len().min(start + SCAN_BLOCK_ROWS as u32);
            ids.clear();
            ids.extend(
                (start..end)
                    .map(RowId)
                    .filter(|&row| mask.is_none_or(|mask| mask.contains(row))),
            );
            distances.resize(ids.len(), 0.0);
            scorer.score_rows(&ids, &mut distances);
            for (&row, &distance) in ids.iter().zip(&distances) {
                top.push(distance, row);
            }
            computed += ids.len() as u64;
        }
        computed
    }

    /// The `limit` nearest of all parts with what the request asks of them.
    fn best(
        &self,
        parts: &[AnyView<'_>],
        mut found: Vec<Found>,
        plan: &Plan,
        request: &SearchRequest,
    ) -> Result<Vec<Hit>> {
        let metric = self.vector_field()?.metric;
        if found.len() > request.limit {
            found.select_nth_unstable_by(request.limit - 1, |a, b| {
                a.distance.total_cmp(&b.distance)
            });
            // Of several at the same distance the ids decide who comes in.
            let last = found[request.limit - 1].distance;
            found.retain(|f| f.distance <= last);
        }
        let mut keyed: Vec<(Found, PointId)> = found
            .into_iter()
            .map(|f| Ok((parts[f.part].part().id(f.row)?, f)).map(|(id, f)| (f, id)))
            .collect::<Result<_>>()?;
        keyed.sort_by(|a, b| {
            a.0.distance
                .total_cmp(&b.0.distance)
                .then_with(|| a.1.cmp(&b.1))
        });
        keyed.truncate(request.limit);
        let mut hits = Vec::with_capacity(keyed.len());
        for (found, id) in keyed {
            let distance = metric.distance(found.distance);
            if distance > plan.max_distance {
                break;
            }
            let part = parts[found.part].part();
            hits.push(Hit {
                id,
                distance,
                score: metric.score(distance),
                vector: request
                    .with_vector
                    .then(|| self.decode_vector(part, found.row))
                    .transpose()?,
                metadata: request
                    .with_metadata
                    .then(|| part.metadata(found.row))
                    .transpose()?,
            });
        }
        Ok(hits)
    }
}
