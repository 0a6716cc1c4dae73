//! [`Plan`]: the ways to answer a search under a mask, and what each is expected to cost.

use serde::{Deserialize, Serialize};

/// What typical costs are made of: of a row, and of each of its bytes.
const SCAN_ROW_NS: f64 = 4.0;
const SCAN_BYTE_NS: f64 = 0.06;
const WALK_ROW_NS: f64 = 25.0;
const HOP_ROW_NS: f64 = 30.0;
const WALK_BYTE_NS: f64 = 0.08;

/// A way to find the nearest rows that a mask allows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Compare every allowed row. Exact; the cheapest where few are allowed.
    Scan,
    /// Walk the structure through all rows and keep those allowed. The cheapest where most are.
    Walk,
    /// Walk a graph through allowed rows alone, stepping over those between two of them (ACORN: Patel et al., SIGMOD 2024,
    /// section 5). For what lies between.
    Hop,
    /// Walk a graph over the allowed rows alone, as without a mask. The cheapest where it is at hand and many are allowed: it
    /// is made for a mask that returns, see [`SubsetGraph`](crate::SubsetGraph). Without one the others are chosen from.
    Subset,
    /// Walk the structure as if without a mask, look at what the nearest rows hold, and go farther until enough of them are
    /// allowed. The cheapest where no mask is at hand and making one means to read every row. It is the caller who looks: to
    /// an index that has a mask it is a walk.
    Check,
}

impl Plan {
    /// All of them.
    pub const ALL: [Plan; 5] = [Plan::Scan, Plan::Walk, Plan::Hop, Plan::Subset, Plan::Check];
    /// Those between which an index chooses that has a mask.
    pub const MASKED: [Plan; 4] = [Plan::Scan, Plan::Walk, Plan::Hop, Plan::Subset];

    /// The name in text: `scan`, `walk`, `hop`, `subset`, `check`.
    pub fn name(self) -> &'static str {
        match self {
            Plan::Scan => "scan",
            Plan::Walk => "walk",
            Plan::Hop => "hop",
            Plan::Subset => "subset",
            Plan::Check => "check",
        }
    }
}

impl std::str::FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Plan::ALL
            .into_iter()
            .find(|plan| plan.name() == text)
            .ok_or_else(|| {
                format!(
                    "{text:?} is no plan of a search; there are scan, walk, hop, subset and check"
                )
            })
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A plan with its expected cost.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct PlanCost {
    /// The plan.
    pub plan: Plan,
    /// In distance computations, see [`Counters::work`](crate::Counters::work).
    pub work: f64,
    /// The time that so much work takes by this plan, in nanoseconds.
    pub time_ns: f64,
}

/// What plans are compared by.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanCosts {
    /// The time that they are expected to take, by what searches before took.
    #[default]
    Measured,
    /// Their work in distance computations, whatever a plan needs for one: the same search is answered in the same way
    /// everywhere and always.
    Counted,
}

impl PlanCosts {
    /// The name in text: `measured`, `counted`.
    pub fn name(self) -> &'static str {
        match self {
            PlanCosts::Measured => "measured",
            PlanCosts::Counted => "counted",
        }
    }
}

impl std::str::FromStr for PlanCosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [PlanCosts::Measured, PlanCosts::Counted]
            .into_iter()
            .find(|costs| costs.name() == text)
            .ok_or_else(|| {
                format!("plans are not compared by {text:?}; there are measured and counted")
            })
    }
}

impl std::fmt::Display for PlanCosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a unit of work (a distance, with all that goes with it) takes by each plan, in nanoseconds. A scan reads rows one
/// after the other, a walk jumps from row to row.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct UnitCosts {
    /// Of a scan.
    pub scan: f64,
    /// Of a walk through all rows.
    pub walk: f64,
    /// Of a walk through allowed rows.
    pub hop: f64,
    /// Of a walk over a graph of the allowed rows alone.
    pub subset: f64,
}

/// All the same: plans are compared by their work.
impl Default for UnitCosts {
    fn default() -> Self {
        Self {
            scan: 1.0,
            walk: 1.0,
            hop: 1.0,
            subset: 1.0,
        }
    }
}

impl UnitCosts {
    /// On a common processor, over rows of so many bytes.
    pub fn typical(row_bytes: usize) -> Self {
        let bytes = row_bytes as f64;
        Self {
            scan: SCAN_ROW_NS + bytes * SCAN_BYTE_NS,
            walk: WALK_ROW_NS + bytes * WALK_BYTE_NS,
            hop: HOP_ROW_NS + bytes * WALK_BYTE_NS,
            subset: WALK_ROW_NS + bytes * WALK_BYTE_NS,
        }
    }

    /// Of a plan; a check is a walk with a look at rows.
    pub fn of(&self, plan: Plan) -> f64 {
        match plan {
            Plan::Scan => self.scan,
            Plan::Walk | Plan::Check => self.walk,
            Plan::Hop => self.hop,
            Plan::Subset => self.subset,
        }
    }
}
