//! One filter, searched by every plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;
use vecdb_engine::{Explanation, GroupBy, Plan, SearchParams, SearchRequest};
use vecdb_index::Counters;

use super::filters::Candidate;
use crate::commands::session::Collection;
use crate::failure::Outcome;
use crate::measure::micros;

/// Searches of each query that are timed, after one that is not.
const TIMED: usize = 3;
/// A plan that finds less is no way to answer.
pub(super) const RECALL_MIN: f64 = 0.95;

/// The searches to be measured.
pub(super) struct Search<'a> {
    pub(super) collection: Collection<'a>,
    pub(super) vectors: &'a [Vec<f32>],
    pub(super) limit: usize,
    /// Groups are searched for, and the limit counts them.
    pub(super) groups: Option<&'a GroupBy>,
    /// The plans that the index knows.
    pub(super) plans: &'a BTreeSet<Plan>,
}

/// What the searches of a filter by one plan gave.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    /// Of the distances, against a scan.
    pub(super) recall: f64,
    /// The median.
    pub(super) time_us: f64,
    /// The mean, in distance computations: looking up a point in the set of matching ones is a part of one.
    pub(super) work: f64,
    /// The mean of the time that the work was expected to take: what plans are compared by.
    pub(super) cost_us: f64,
}

/// A plan that was forced.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PlanReport {
    pub(super) plan: Plan,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// What a search does that may choose.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ChosenReport {
    /// How many searches took which plan, in the part with the most matching points.
    pub(super) plans: BTreeMap<String, u64>,
    /// Searches that gave a plan up for another.
    pub(super) switched: u64,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// A filter with what was measured under it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FilterReport {
    pub(super) filter: Json,
    pub(super) matching: u64,
    /// Of the points of the collection.
    pub(super) selectivity: f64,
    pub(super) chosen: ChosenReport,
    pub(super) plans: Vec<PlanReport>,
    /// The forced plan with the least cost of those that reach the recall.
    pub(super) best: Plan,
    /// Cost of the choice against that of the best plan.
    pub(super) cost_ratio: f64,
}

impl FilterReport {
    pub(super) fn plan(&self, plan: Plan) -> Option<&Measured> {
        let mut plans = self.plans.iter();
        plans
            .find(|report| report.plan == plan)
            .map(|report| &report.measured)
    }
}

/// The searches of all queries by one plan.
#[derive(Default)]
struct Runs {
    distances: Vec<Vec<f32>>,
    times: Vec<Duration>,
    work: f64,
    cost_us: f64,
    plans: BTreeMap<String, u64>,
    switched: u64,
}

impl Search<'_> {
    pub(super) fn measure(&self, candidate: Candidate, points: u64) -> Outcome<FilterReport> {
        let Candidate { filter, matching } = candidate;
        // A scan misses nothing: what it finds is the truth.
        let scan = self.runs(&filter, Some(Plan::Scan))?;
        let truth = scan.distances.clone();
        let mut plans = vec![PlanReport {
            plan: Plan::Scan,
            measured: scan.measured(&truth),
        }];
        for &plan in self.plans.iter().filter(|plan| **plan != Plan::Scan) {
            let runs = self.runs(&filter, Some(plan))?;
            // A graph of the matching points is there only where the filter has returned often.
            if plan == Plan::Subset && !runs.plans.contains_key(plan.name()) {
                continue;
            }
            plans.push(PlanReport {
                plan,
                measured: runs.measured(&truth),
            });
        }
        let chosen = self.runs(&filter, None)?;
        let chosen = ChosenReport {
            measured: chosen.measured(&truth),
            plans: chosen.plans,
            switched: chosen.switched,
        };
        let (best, least) = plans
            .iter()
            .filter(|report| report.measured.recall >= RECALL_MIN)
            .map(|report| (report.plan, report.measured.cost_us))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((Plan::Scan, chosen.measured.cost_us));
        Ok(FilterReport {
            filter: filter.to_json(),
            matching,
            selectivity: matching as f64 / points.max(1) as f64,
            // Nothing matching costs nothing by any plan.
            cost_ratio: match least > 0.0 {
                true => chosen.measured.cost_us / least,
                false => 1.0,
            },
            chosen,
            plans,
            best,
        })
    }

    fn runs(&self, filter: &vecdb_engine::Filter, plan: Option<Plan>) -> Outcome<Runs> {
        let mut runs = Runs::default();
        for vector in self.vectors {
            let mut request = SearchRequest::new(vector.clone())
                .limit(self.limit)
                .filter(filter.clone())
                .with_metadata(false)
                .params(SearchParams {
                    plan,
                    ..SearchParams::default()
                });
            request.group_by = self.groups.cloned();
            let explained = self.collection.search(&request.clone().explain(true))?;
            let in_groups = explained.groups.iter().flat_map(|group| &group.hits);
            let hits = explained.hits.iter().chain(in_groups);
            let mut distances: Vec<f32> = hits.map(|hit| hit.distance).collect();
            distances.sort_by(f32::total_cmp);
            runs.distances.push(distances);
            if let Some(explanation) = &explained.explanation {
                runs.add(explanation);
            }
            let mut times = Vec::with_capacity(TIMED);
            for _ in 0..TIMED {
                times.push(self.collection.search(&request)?.elapsed);
            }
            times.sort_unstable();
            runs.times.push(times[TIMED / 2]);
        }
        Ok(runs)
    }
}

impl Runs {
    fn add(&mut self, explanation: &Explanation) {
        for part in &explanation.parts {
            let looked_up = part.rows_checked as f64 * Counters::CHECK_WORK;
            self.work += part.distance_computations as f64 + looked_up;
            self.cost_us += part.cost_us;
        }
        let largest = explanation.parts.iter().max_by_key(|part| part.matching);
        if let Some(part) = largest {
            *self.plans.entry(part.plan.clone()).or_default() += 1;
            self.switched += u64::from(part.switched);
        }
    }

    fn measured(&self, truth: &[Vec<f32>]) -> Measured {
        let mut times = self.times.clone();
        times.sort_unstable();
        let queries = truth.len().max(1) as f64;
        let shares = self.distances.iter().zip(truth);
        Measured {
            recall: shares
                .map(|(found, truth)| recall(found, truth))
                .sum::<f64>()
                / queries,
            time_us: times.get(times.len() / 2).copied().map_or(0.0, micros),
            work: self.work / queries,
            cost_us: self.cost_us / queries,
        }
    }
}

/// The share of the true hits that are there, or others as near.
fn recall(found: &[f32], truth: &[f32]) -> f64 {
    let Some(farthest) = truth.last() else {
        return 1.0;
    };
    let near = found.iter().filter(|distance| **distance <= *farthest);
    near.count().min(truth.len()) as f64 / truth.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_goes_by_distances() {
        assert_eq!(recall(&[1.0, 2.0], &[1.0, 2.0]), 1.0);
        assert_eq!(recall(&[1.0, 3.0], &[1.0, 2.0]), 0.5);
        assert_eq!(recall(&[], &[1.0]), 0.0);
        assert_eq!(recall(&[], &[]), 1.0);
    }
}
