//! How a search was answered: the plan of each part with those it was chosen from, and what each condition of the filter
//! was expected to match and did.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vecdb_filter::{Estimate, Filter};
use vecdb_index::{self as index, Counters, Plan, PlanCost};

use super::Inner;
use super::check::{Checked, plans_with_check};
use super::costs::Costs;
use super::masks::MaskKey;
use crate::collection::SearchRequest;
use crate::collection::state::{AnyView, State};
use crate::error::Result;
use crate::part::Part;
use crate::segment::Segment;
use crate::stop::StopSignal;

/// How a search was answered. Given where [`SearchRequest::explain`](crate::SearchRequest::explain) asks for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The parts in the order of their search; the blocks of the memtable are one.
    pub parts: Vec<PartExplanation>,
    /// The conditions of the filter, over all parts. Deleted points are counted.
    pub conditions: Vec<ConditionExplanation>,
    /// Time to evaluate the filter, in microseconds.
    pub filter_us: f64,
    /// Time to search the parts, in microseconds.
    pub search_us: f64,
    /// Time to read the hits, in microseconds.
    pub read_us: f64,
}

/// How a part was searched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartExplanation {
    /// `segment` and its number, or `memtable`.
    pub part: String,
    /// Live points in it.
    pub points: u64,
    /// Those of them that match the filter; of a `check` those that were found.
    pub matching: u64,
    /// What the field indexes expected to match, deleted points among them; none without a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<MatchEstimate>,
    /// How it was searched: `scan` (every matching point compared), `walk` (the index, through all points), `hop` (the
    /// graph, through matching points alone), `subset` (a graph of the matching points, made because the filter returns), `check` (the nearest points read to see whether they match), `sketches` (a scan that measures only what estimates do not exclude),
    /// `index` (an index that has one way only), `none` (nothing matches).
    pub plan: String,
    /// What the plans were expected to cost by the number of matching points, the cheapest by time first. Where the index
    /// looks at the points near the query first, its choice can be another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<PlanExplanation>,
    /// The share of points near the query that match, where the index looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_near: Option<f32>,
    /// The plan was given up for another on the way.
    #[serde(default)]
    pub switched: bool,
    /// Distances computed.
    pub distance_computations: u64,
    /// Distances estimated from sketches.
    pub estimated_distances: u64,
    /// Graph nodes expanded.
    pub nodes_visited: u64,
    /// Points that were looked up in the set of matching ones.
    pub rows_checked: u64,
    /// Points whose metadata was read because no index could tell.
    pub rows_read: u64,
    /// The time that the work was expected to take, in microseconds: what plans are compared by.
    #[serde(default)]
    pub cost_us: f64,
    /// What matches was known from an earlier search.
    #[serde(default)]
    pub cached: bool,
    /// Time to evaluate the filter, in microseconds.
    pub filter_us: f64,
    /// Time to search, in microseconds.
    pub search_us: f64,
}

/// A plan and its expected cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanExplanation {
    /// Its name.
    pub plan: String,
    /// In distance computations.
    pub work: f64,
    /// The time that this is expected to take, in microseconds.
    #[serde(default)]
    pub time_us: f64,
}

/// How many points were expected to match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchEstimate {
    /// No fewer.
    pub min: u64,
    /// No more.
    pub max: u64,
    /// The guess.
    pub likely: u64,
}

/// A condition of the filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionExplanation {
    /// The condition as JSON.
    pub condition: String,
    /// What was expected to match it.
    pub estimate: MatchEstimate,
    /// Points that match it.
    pub matching: u64,
    /// Whether an index of its field answered it in all segments.
    pub indexed: bool,
}

impl MatchEstimate {
    fn add(&mut self, estimate: Estimate) {
        self.min += u64::from(estimate.min);
        self.max += u64::from(estimate.max);
        self.likely += u64::from(estimate.likely);
    }
}

impl From<PlanCost> for PlanExplanation {
    fn from(cost: PlanCost) -> Self {
        Self {
            plan: cost.plan.to_string(),
            work: cost.work,
            time_us: cost.time_ns / 1e3,
        }
    }
}

/// Collects an [`Explanation`] while a search goes on.
pub(super) struct Explainer {
    explanation: Explanation,
}

impl Explainer {
    pub(super) fn new(state: &State, filter: Option<&Filter>, stop: &StopSignal) -> Result<Self> {
        let conditions = filter.map_or_else(Vec::new, Filter::conditions);
        let conditions = conditions
            .into_iter()
            .map(|condition| explain_condition(state, condition, stop));
        Ok(Self {
            explanation: Explanation {
                conditions: conditions.collect::<Result<_>>()?,
                ..Explanation::default()
            },
        })
    }

    /// Adds a part; a further block of the memtable to the last.
    pub(super) fn add(&mut self, part: PartExplanation) {
        self.explanation.filter_us += part.filter_us;
        self.explanation.search_us += part.search_us;
        match self.explanation.parts.last_mut() {
            Some(last) if last.part == MEMTABLE && part.part == MEMTABLE => last.merge(part),
            _ => self.explanation.parts.push(part),
        }
    }

    pub(super) fn finish(mut self, reading: Duration) -> Explanation {
        self.explanation.read_us = micros(reading);
        self.explanation
    }
}

const MEMTABLE: &str = "memtable";

impl PartExplanation {
    pub(super) fn of(view: &AnyView<'_>, filter: Option<&Filter>) -> Self {
        let part = match view {
            AnyView::Segment(view) => format!("segment {}", view.part.id().0),
            AnyView::Block(_) => MEMTABLE.to_owned(),
        };
        let estimate = filter.map(|filter| {
            let mut estimate = MatchEstimate::default();
            estimate.add(view.part().estimate(filter));
            estimate
        });
        Self {
            part,
            points: u64::from(view.live_rows()),
            estimate,
            plan: "none".to_owned(),
            ..Self::default()
        }
    }

    /// The plan that is the cheapest for the number of points expected to match.
    fn expect(
        &mut self,
        view: &AnyView<'_>,
        filter: Option<&Filter>,
        request: &SearchRequest,
        inner: &Inner,
    ) {
        let part = view.part();
        let subset = match (view, filter) {
            (AnyView::Segment(view), Some(filter)) => {
                inner.masks.subset(view.part.id(), &MaskKey::of(filter))
            }
            _ => None,
        };
        let at_hand = subset
            .filter(|subset| subset.serves(view.live_rows(), &request.params))
            .map(|subset| subset.graph.len());
        let likely = self
            .estimate
            .map_or(self.points, |estimate| estimate.likely);
        let likely = u32::try_from(likely).unwrap_or(u32::MAX);
        let exact = request.params.is_exact();
        let plan = match (part.index(), self.estimate) {
            (Some(index), Some(_)) => {
                let by = request.params.plan_costs.unwrap_or_default();
                // Rows that cannot be read are the error of a search that is run.
                let rows = part.vectors().ok();
                let typical = rows.and_then(|rows| index.unit_costs(&rows));
                let costs = typical.map(|typical| inner.costs.known(by, typical));
                let with_check = match (view, filter, &costs) {
                    (AnyView::Segment(view), Some(filter), Some(costs)) => {
                        self.plans_with_check(&view.part, filter, request, costs)
                    }
                    _ => None,
                };
                self.plans = with_check.unwrap_or_else(|| {
                    let units = costs.map(|costs| costs.units).unwrap_or_default();
                    let plans =
                        index.plans(likely, at_hand, request.limit, &request.params, &units);
                    plans.into_iter().map(Into::into).collect()
                });
                let forced = request.params.plan;
                let forced = forced.filter(|plan| *plan != Plan::Subset || at_hand.is_some());
                let forced = forced.map(|plan| plan.name().to_owned());
                let cheapest = self.plans.first().map(|plan| plan.plan.clone());
                match exact {
                    true => Some("scan".to_owned()),
                    false => forced.or(cheapest),
                }
            }
            (Some(_), None) if exact => Some("scan".to_owned()),
            (Some(_), None) => None,
            (None, _) if part.sketches().is_some() && !exact => Some("sketches".to_owned()),
            (None, _) => Some("scan".to_owned()),
        };
        self.plan = match likely {
            0 => "none".to_owned(),
            _ => plan.unwrap_or_else(|| "index".to_owned()),
        };
    }

    /// The plans for a filter that the indexes of a segment do not answer alone, or that is to be checked; none for others.
    pub(super) fn plans_with_check(
        &self,
        segment: &Segment,
        filter: &Filter,
        request: &SearchRequest,
        costs: &Costs,
    ) -> Option<Vec<PlanExplanation>> {
        let index = segment.index()?;
        let params = &request.params;
        let known = match segment.known_of(filter) {
            None if params.plan != Some(Plan::Check) => return None,
            known => known.unwrap_or_default(),
        };
        let count = segment.estimate(&known).likely;
        let likely = self.estimate.map_or(0, |estimate| estimate.likely);
        let share = (likely as f64 / f64::from(count.max(1))).min(1.0);
        let plans = plans_with_check(index, params, request.limit, count, share, costs);
        Some(plans.into_iter().map(Into::into).collect())
    }

    /// Takes over what an index says of its search, and what its work was expected to take.
    pub(super) fn searched(&mut self, plan: &str, stats: &index::SearchStats, modelled_ns: f64) {
        if !self.switched {
            self.plan = plan.to_owned();
        }
        self.share_near = stats.share_near;
        self.switched |= stats.switched;
        self.add_cost(&stats.counters, modelled_ns);
    }

    /// Takes over what came of a check.
    pub(super) fn checked(&mut self, checked: &Checked) {
        if let Some(neighbors) = &checked.found {
            self.matching = neighbors.len() as u64;
        }
        if checked.found.is_some() || checked.is_given_up() {
            self.plan = Plan::Check.to_string();
        }
        self.switched = checked.is_given_up();
        self.rows_read = checked.rows_read;
        self.add_cost(&checked.counters, checked.modelled_ns);
    }

    fn add_cost(&mut self, counters: &Counters, modelled_ns: f64) {
        self.distance_computations += counters.distance_computations;
        self.nodes_visited += counters.nodes_visited;
        self.rows_checked += counters.rows_checked;
        self.cost_us += modelled_ns / 1e3;
    }

    fn merge(&mut self, other: Self) {
        self.points += other.points;
        self.matching += other.matching;
        if let (Some(estimate), Some(more)) = (&mut self.estimate, other.estimate) {
            estimate.min += more.min;
            estimate.max += more.max;
            estimate.likely += more.likely;
        }
        if self.plan == "none" {
            self.plan = other.plan;
        }
        self.distance_computations += other.distance_computations;
        self.estimated_distances += other.estimated_distances;
        self.nodes_visited += other.nodes_visited;
        self.rows_checked += other.rows_checked;
        self.rows_read += other.rows_read;
        self.cost_us += other.cost_us;
        self.filter_us += other.filter_us;
        self.search_us += other.search_us;
    }
}

fn explain_condition(
    state: &State,
    condition: &Filter,
    stop: &StopSignal,
) -> Result<ConditionExplanation> {
    let mut explained = expect_condition(state, condition);
    for view in state.parts() {
        let evaluation = view.part().evaluate(condition, stop)?;
        explained.matching += u64::from(evaluation.mask.count());
    }
    Ok(explained)
}

/// What is known of a condition without a look at what it matches.
fn expect_condition(state: &State, condition: &Filter) -> ConditionExplanation {
    let mut estimate = MatchEstimate::default();
    for view in state.parts() {
        estimate.add(view.part().estimate(condition));
    }
    let mut segments = state.segments.iter();
    ConditionExplanation {
        condition: condition.to_string(),
        estimate,
        matching: 0,
        indexed: segments.all(|view| view.part.unindexed_of(condition).is_empty()),
    }
}

/// How a search of `state` would be answered, from what is known without running it: what the conditions are expected to
/// match, and the plan of each part that is the cheapest for so many points.
pub(super) fn expect(
    state: &State,
    filter: Option<&Filter>,
    request: &SearchRequest,
    inner: &Inner,
) -> Explanation {
    let mut explainer = Explainer {
        explanation: Explanation {
            conditions: filter
                .map_or_else(Vec::new, Filter::conditions)
                .into_iter()
                .map(|condition| expect_condition(state, condition))
                .collect(),
            ..Explanation::default()
        },
    };
    for view in state.parts() {
        let mut part = PartExplanation::of(&view, filter);
        part.expect(&view, filter, request, inner);
        explainer.add(part);
    }
    explainer.finish(Duration::ZERO)
}

pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The time since a moment that was noted, in microseconds.
pub(super) fn micros_since(start: Option<Instant>) -> f64 {
    start.map_or(0.0, |start| micros(start.elapsed()))
}
