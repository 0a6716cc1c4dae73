//! Filters that no index answers: what the nearest points hold is read, the nearest first, and more of them until enough
//! match.
//!
//! Every round walks to twice as many points. It ends for a look at every point once it has cost as much as that, or is seen to
//! be about to: then nothing is lost but the same time once more. What searches under one filter spend adds up, so that a
//! filter which returns is looked at as a whole in the end, and kept.

use std::collections::HashMap;

use vecdb_filter::Filter;
use vecdb_index::{AnnIndex, Counters, Plan, PlanCost, SearchParams};
use vecdb_vector::{Neighbor, RowId, RowMask};

use super::costs::{Costs, READ_WORK};
use super::run::Run;
use crate::error::{ErrorKind, Result};
use crate::part::{Part, View};
use crate::segment::Segment;

/// Points walked to in the first round at least.
const POINTS_MIN: usize = 32;
/// The pool of a walk is so many times the points that are read of it: the farthest of a pool are not the nearest there are.
const POOL_POINTS: usize = 2;
/// Points read between two looks at the stop signal.
const READS_PER_CHECK: usize = 64;

/// What came of it.
#[derive(Default)]
pub(super) struct Checked {
    /// The nearest matching points; none if another plan is to be taken.
    pub(super) found: Option<Vec<Neighbor>>,
    /// Points that were read.
    pub(super) rows_read: u64,
    /// What the walks to them cost.
    pub(super) counters: Counters,
    /// What all of it was expected to take, in nanoseconds.
    pub(super) modelled_ns: f64,
    /// The time limit came first.
    pub(super) truncated: bool,
}

impl Checked {
    /// Whether points were read in vain.
    pub(super) fn is_given_up(&self) -> bool {
        self.found.is_none() && self.rows_read > 0
    }
}

/// What a check looks for and where.
struct Course<'c> {
    segment: &'c Segment,
    filter: &'c Filter,
    index: &'c dyn AnnIndex,
    /// The points that may match; all, if none.
    allowed: Option<RowMask>,
    count: usize,
    costs: Costs,
    /// What may be spent.
    most_ns: f64,
}

impl Run<'_> {
    /// The nearest matching points of a segment, where checking points is expected to be cheaper than reading all that may
    /// match.
    pub(super) fn check(&mut self, view: &View<Segment>) -> Result<Checked> {
        let plan = self.plan;
        let segment = view.part.as_ref();
        let (Some(filter), Some(index)) = (&plan.filter, segment.index()) else {
            return Ok(Checked::default());
        };
        let forced = match self.request.params.plan {
            Some(forced) if forced != Plan::Check => return Ok(Checked::default()),
            forced => forced.is_some(),
        };
        let known = segment.known_of(filter);
        if self.request.params.exact || known.is_none() && !forced {
            return Ok(Checked::default());
        }
        let Some(costs) = self.costs_of(segment)? else {
            return Ok(Checked::default());
        };
        let key = self.mask_key(filter);
        let masks = &self.inner.masks;
        if !forced && masks.holds(segment.id(), &key) {
            return Ok(Checked::default());
        }
        let known = match known.unwrap_or_default() {
            Filter::All => None,
            known => Some(segment.evaluate(&known, &plan.filter_stop)?.mask),
        };
        let allowed = view.live_and(known);
        let count = allowed.as_ref().map_or(segment.rows(), RowMask::count);
        let spent_before = masks.spent(segment.id(), &key);
        let course = Course {
            segment,
            filter,
            index,
            allowed,
            count: count as usize,
            costs,
            most_ns: match forced {
                true => f64::INFINITY,
                false => f64::from(count) * costs.read_ns - spent_before,
            },
        };
        let checked = self.check_along(&course)?;
        if checked.rows_read > 0 {
            masks.note_spent(segment.id(), &key, checked.modelled_ns);
        }
        Ok(checked)
    }

    fn check_along(&mut self, course: &Course<'_>) -> Result<Checked> {
        let mut checked = Checked::default();
        let limit = self.request.limit;
        let rows = course.segment.vectors()?;
        let budget = self.budget_with(course.costs.units);
        let mut verdicts: HashMap<RowId, bool> = HashMap::new();
        let mut candidates = Vec::new();
        let mut points = first_points(limit).min(course.count);
        loop {
            let params = to_find(&self.request.params, points);
            let round = course.round_ns(&params, points, verdicts.len());
            if checked.modelled_ns + round > course.most_ns {
                return Ok(checked);
            }
            course.segment.check_searched_bytes(&self.request.stop)?;
            let outcome = course.index.search(
                rows,
                &self.plan.query,
                points,
                course.allowed.as_ref(),
                &params,
                &budget,
                &mut self.scratch.walk,
                &mut candidates,
            )?;
            self.note_walked(&outcome.counters);
            checked.counters += outcome.counters;
            let (neighbors, end) = self.matching_of(course, &candidates, &mut verdicts)?;
            let read = verdicts.len() as u64 - checked.rows_read;
            checked.rows_read += read;
            checked.modelled_ns += outcome.modelled_ns + read as f64 * course.costs.read_ns;
            checked.truncated = outcome.truncated || end == End::TimeIsUp;
            if checked.truncated || end == End::Found || points >= course.count {
                checked.found = Some(neighbors);
                return Ok(checked);
            }
            // As if half a point more had matched: none of a few says little.
            let share = (neighbors.len() as f64 + 0.5) / (candidates.len() as f64 + 1.0);
            let to_come = limit as f64 / share * course.costs.read_ns;
            if to_come > course.most_ns {
                return Ok(checked);
            }
            points = (points * 2).min(course.count);
        }
    }

    /// Those of the candidates that match, the nearest first, as many as are asked for.
    fn matching_of(
        &self,
        course: &Course<'_>,
        candidates: &[Neighbor],
        verdicts: &mut HashMap<RowId, bool>,
    ) -> Result<(Vec<Neighbor>, End)> {
        let mut matching = Vec::new();
        for (at, candidate) in candidates.iter().enumerate() {
            let too_far = candidate.distance > self.nearest.threshold()
                || self.plan.query.metric().distance(candidate.distance) > self.plan.max_distance;
            if too_far || matching.len() == self.request.limit {
                return Ok((matching, End::Found));
            }
            if at.is_multiple_of(READS_PER_CHECK) {
                match self.plan.filter_stop.check() {
                    Err(error) if error.kind() == ErrorKind::DeadlineExceeded => {
                        return Ok((matching, End::TimeIsUp));
                    }
                    going_on => going_on?,
                }
            }
            let matches = match verdicts.get(&candidate.row) {
                Some(matches) => *matches,
                None => {
                    let metadata = course.segment.metadata(candidate.row)?;
                    let matches = course.filter.matches(&metadata);
                    verdicts.insert(candidate.row, matches);
                    matches
                }
            };
            if matches {
                matching.push(*candidate);
            }
        }
        let end = match matching.len() == self.request.limit {
            true => End::Found,
            false => End::TooFew,
        };
        Ok((matching, end))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// As many as are asked for, or all that are near enough.
    Found,
    TooFew,
    TimeIsUp,
}

impl Course<'_> {
    /// What a round is expected to cost after `read` points were read before it.
    fn round_ns(&self, params: &SearchParams, points: usize, read: usize) -> f64 {
        let walk = walk_cost(self.index, self.count, points, params, &self.costs);
        walk.time_ns + points.saturating_sub(read) as f64 * self.costs.read_ns
    }
}

/// Points walked to in the first round.
fn first_points(limit: usize) -> usize {
    (limit * 2).max(POINTS_MIN)
}

/// The knobs of a walk to so many points.
fn to_find(params: &SearchParams, points: usize) -> SearchParams {
    let pool = u32::try_from(points * POOL_POINTS).unwrap_or(u32::MAX);
    let ef = params.ef.unwrap_or(0).max(pool);
    SearchParams {
        // A recall says by itself what so many points take.
        ef: match params.target_recall {
            Some(_) => None,
            None => Some(ef.min(SearchParams::KNOB_MAX)),
        },
        plan: None,
        ..params.clone()
    }
}

/// The cheapest way to so many of `count` points.
fn walk_cost(
    index: &dyn AnnIndex,
    count: usize,
    points: usize,
    params: &SearchParams,
    costs: &Costs,
) -> PlanCost {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let plans = index.plans(count, None, points, params, &costs.units);
    let scan = PlanCost {
        plan: Plan::Scan,
        work: f64::from(count),
        time_ns: f64::from(count) * costs.units.scan,
    };
    plans.first().copied().unwrap_or(scan)
}

/// The plans for a filter that no index answers, the cheapest first: a check where `share` of the `count` points that may
/// match do, and reading them all before one of the others.
pub(super) fn plans_with_check(
    index: &dyn AnnIndex,
    params: &SearchParams,
    limit: usize,
    count: u32,
    share: f64,
    costs: &Costs,
) -> Vec<PlanCost> {
    let matching = f64::from(count) * share;
    let mut plans = index.plans(matching as u32, None, limit, params, &costs.units);
    for plan in &mut plans {
        plan.work += f64::from(count) * READ_WORK;
        plan.time_ns += f64::from(count) * costs.read_ns;
    }
    let mut check = PlanCost {
        plan: Plan::Check,
        work: 0.0,
        time_ns: 0.0,
    };
    let count = count as usize;
    let mut points = first_points(limit).min(count);
    loop {
        let walk = walk_cost(index, count, points, &to_find(params, points), costs);
        check.work += walk.work;
        check.time_ns += walk.time_ns;
        if points as f64 * share >= limit as f64 || points >= count {
            break;
        }
        points = (points * 2).min(count);
    }
    check.work += points as f64 * READ_WORK;
    check.time_ns += points as f64 * costs.read_ns;
    plans.push(check);
    plans.sort_by(|a, b| a.time_ns.total_cmp(&b.time_ns));
    plans
}
