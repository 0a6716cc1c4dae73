//! [`Plan`]: the ways to answer a search under a mask, and what each is expected to cost.

use serde::{Deserialize, Serialize};

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
}

impl Plan {
    /// All of them.
    pub const ALL: [Plan; 3] = [Plan::Scan, Plan::Walk, Plan::Hop];

    /// The name in text: `scan`, `walk`, `hop`.
    pub fn name(self) -> &'static str {
        match self {
            Plan::Scan => "scan",
            Plan::Walk => "walk",
            Plan::Hop => "hop",
        }
    }
}

impl std::str::FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Plan::ALL
            .into_iter()
            .find(|plan| plan.name() == text)
            .ok_or_else(|| format!("{text:?} is no plan of a search; there are scan, walk and hop"))
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A plan and its expected work, see [`Counters::work`](crate::Counters::work).
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct PlanCost {
    /// The plan.
    pub plan: Plan,
    /// In distance computations.
    pub work: f64,
}
