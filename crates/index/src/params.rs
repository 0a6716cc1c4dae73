//! Optional knobs of a search, and its budget.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{IndexError, Plan, PlanCosts, UnitCosts};

const PLAN: &str = "plan";
const TARGET_RECALL: &str = "target_recall";
/// Knobs that say how far to look, which is what a recall says.
const REPLACED: [&str; 3] = ["ef", "nprobe", "probes"];

/// Optional knobs of one search. A knob that is set but unknown to the index kind is an error, not silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchParams {
    /// Pool size of a graph search: larger finds more and costs more. Known to `hnsw` and `diskann`; 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef: Option<u32>,
    /// Lists searched, the nearest first: more find more and cost more. Known to `ivf`; 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nprobe: Option<u32>,
    /// Candidates by compact codes that are measured exactly. Known to kinds with codes; 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<u32>,
    /// Reads on their way at once: more shorten a search that has the disk for itself. Known to `diskann`, which takes no
    /// more than 64; 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam_width: Option<u32>,
    /// Buckets looked into, the likeliest first: more find more and cost more. Known to `lsh`; 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<u32>,
    /// Rows compared at most, unless more are asked for: an early stop. Known to `lsh`; 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<u32>,
    /// Recall at 10 to look for, in place of `ef`, `nprobe` or `probes`, which follow from what the build measured on rows
    /// of its own. Queries that are unlike all rows find less. Known to `flat` (which is exact), `hnsw`, `ivf` and `lsh`; 0.5 to
    /// 0.999.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_recall: Option<f32>,
    /// How a search under a mask is to be answered, in place of the cheapest way by estimate: for experiments. `hop`,
    /// `walk`, `subset` and `check` are known to `hnsw`, `scan` to every kind. Never given up for another while it goes on;
    /// `subset` is as none where there is no graph of the allowed rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What plans are compared by where none is asked for. Means nothing to kinds that know one way only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_costs: Option<PlanCosts>,
    /// Compare every (allowed) row instead of using the structure. Known to every kind.
    pub exact: bool,
}

/// A recall that is no number is refused by [`SearchParams::check`].
impl Eq for SearchParams {}

impl SearchParams {
    /// The largest value of any knob.
    pub const KNOB_MAX: u32 = 1_000_000;
    /// The least recall to look for.
    pub const TARGET_RECALL_MIN: f32 = 0.5;
    /// The largest.
    pub const TARGET_RECALL_MAX: f32 = 0.999;

    /// The numeric knobs by name.
    fn knobs(&self) -> [(&'static str, Option<u32>); 6] {
        [
            ("ef", self.ef),
            ("nprobe", self.nprobe),
            ("rerank", self.rerank),
            ("beam_width", self.beam_width),
            ("probes", self.probes),
            ("candidates", self.candidates),
        ]
    }

    /// Whether every allowed row is to be compared.
    pub fn is_exact(&self) -> bool {
        self.exact || self.plan == Some(Plan::Scan)
    }

    /// Refuses knobs that are set but not in `known`, and values out of range.
    pub fn check(
        &self,
        kind: &'static str,
        known: &'static [&'static str],
    ) -> Result<(), IndexError> {
        for (knob, value) in self.knobs() {
            let Some(value) = value else { continue };
            if !known.contains(&knob) {
                return Err(IndexError::UnknownKnob {
                    kind,
                    knob,
                    known: known.join(", "),
                });
            }
            if !(1..=Self::KNOB_MAX).contains(&value) {
                return Err(IndexError::OutOfRange {
                    name: knob,
                    value: u64::from(value),
                    expected: "from 1 to 1,000,000",
                });
            }
        }
        let unknown_plan = match self.plan {
            Some(Plan::Walk) => Some("plan: walk"),
            Some(Plan::Hop) => Some("plan: hop"),
            Some(Plan::Subset) => Some("plan: subset"),
            Some(Plan::Check) => Some("plan: check"),
            Some(Plan::Scan) | None => None,
        };
        if let Some(knob) = unknown_plan
            && !known.contains(&PLAN)
        {
            return Err(IndexError::UnknownKnob {
                kind,
                knob,
                known: known.join(", "),
            });
        }
        let Some(recall) = self.target_recall else {
            return Ok(());
        };
        if !known.contains(&TARGET_RECALL) {
            return Err(IndexError::UnknownKnob {
                kind,
                knob: TARGET_RECALL,
                known: known.join(", "),
            });
        }
        if !(Self::TARGET_RECALL_MIN..=Self::TARGET_RECALL_MAX).contains(&recall) {
            return Err(IndexError::BadNumber {
                name: TARGET_RECALL,
                // As it was written: 0.3, not 0.30000001192092896.
                value: recall.to_string().parse().unwrap_or(f64::from(recall)),
                expected: "from 0.5 to 0.999",
            });
        }
        let replaced = self.knobs().into_iter();
        let mut replaced = replaced.filter(|(knob, _)| REPLACED.contains(knob));
        match replaced.find(|(_, value)| value.is_some()) {
            Some((knob, _)) => Err(IndexError::TwoTargets { knob }),
            None => Ok(()),
        }
    }
}

/// What a search may take, and what its work takes: when it must stop early and return what it has, marked as truncated.
/// The default never stops.
///
/// It is looked at every few hundred rows or every few steps, so that a search ends well within a millisecond.
#[derive(Copy, Clone, Debug, Default)]
pub struct Budget<'a> {
    /// Stop at this time.
    pub deadline: Option<Instant>,
    /// Stop after about this many distance computations (checked between batches of rows).
    pub max_distances: Option<u64>,
    /// Stop once somebody sets this.
    pub stop: Option<&'a AtomicBool>,
    /// What the work of plans takes, for the choice between them.
    pub costs: UnitCosts,
}

impl Budget<'_> {
    /// Never stops a search.
    pub const UNLIMITED: Self = Self {
        deadline: None,
        max_distances: None,
        stop: None,
        costs: UnitCosts {
            scan: 1.0,
            walk: 1.0,
            hop: 1.0,
            subset: 1.0,
        },
    };

    /// Whether this budget never stops a search.
    pub fn is_unlimited(&self) -> bool {
        self.deadline.is_none() && self.max_distances.is_none() && self.stop.is_none()
    }

    /// Whether a search that has computed `distances` so far must stop now.
    pub fn is_spent(&self, distances: u64) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
            || self.max_distances.is_some_and(|most| distances >= most)
            || self.deadline.is_some_and(|time| Instant::now() >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knob_the_kind_lacks_is_named_with_the_known_ones() {
        let params = SearchParams {
            ef: Some(10),
            ..SearchParams::default()
        };
        let error = params.check("flat", &["exact"]).unwrap_err().to_string();
        assert!(
            error.contains("flat") && error.contains("`ef`") && error.contains("exact"),
            "{error}"
        );
        assert!(params.check("hnsw", &["ef", "exact"]).is_ok());
        let zero = SearchParams {
            ef: Some(0),
            ..SearchParams::default()
        };
        assert!(zero.check("hnsw", &["ef", "exact"]).is_err());
        assert!(serde_json::from_str::<SearchParams>(r#"{"n_probe":3}"#).is_err());
    }

    #[test]
    fn a_recall_takes_the_place_of_the_knob_that_reaches_it() {
        let recall = |target_recall: f32, ef: Option<u32>, rerank: Option<u32>| SearchParams {
            target_recall: Some(target_recall),
            ef,
            rerank,
            ..SearchParams::default()
        };
        let known = &["ef", "rerank", "target_recall", "exact"];
        let check = |params: SearchParams| params.check("hnsw", known).map_err(|e| e.to_string());
        assert_eq!(check(recall(0.5, None, None)), Ok(()));
        assert_eq!(check(recall(0.999, None, Some(5))), Ok(()));
        for (params, named) in [
            (
                recall(0.3, None, None),
                "`target_recall` is 0.3, but must be from 0.5 to 0.999",
            ),
            (recall(1.0, None, None), "from 0.5 to 0.999"),
            (recall(f32::NAN, None, None), "from 0.5 to 0.999"),
            (recall(0.9, Some(50), None), "takes the place of `ef`"),
        ] {
            let error = check(params).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        let unknown = recall(0.9, None, None).check("tree", &["exact"]);
        assert!(unknown.is_err_and(|error| error.to_string().contains("`target_recall`")));
    }
}
