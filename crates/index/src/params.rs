//! Optional knobs of a search, and its budget.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::IndexError;

/// Optional knobs of one search. A knob that is set but unknown to the index kind is an error, not silence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchParams {
    /// Pool size of a graph search: larger finds more and costs more. Known to `hnsw`; 1 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef: Option<u32>,
    /// Compare every (allowed) row instead of using the structure. Known to every kind.
    pub exact: bool,
}

impl SearchParams {
    /// Largest pool accepted.
    pub const EF_MAX: u32 = 1_000_000;

    /// Refuses knobs that are set but not in `known`, and values out of range.
    pub fn check(
        &self,
        kind: &'static str,
        known: &'static [&'static str],
    ) -> Result<(), IndexError> {
        let set = self.ef.map(|_| "ef");
        if let Some(knob) = set.into_iter().find(|knob| !known.contains(knob)) {
            return Err(IndexError::UnknownKnob {
                kind,
                knob,
                known: known.join(", "),
            });
        }
        match self.ef {
            Some(ef) if !(1..=Self::EF_MAX).contains(&ef) => Err(IndexError::OutOfRange {
                name: "ef",
                value: u64::from(ef),
                expected: "from 1 to 1,000,000",
            }),
            _ => Ok(()),
        }
    }
}

/// When a search must stop early and return what it has, marked as truncated. The default never stops.
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
}

impl Budget<'_> {
    /// Never stops a search.
    pub const UNLIMITED: Self = Self {
        deadline: None,
        max_distances: None,
        stop: None,
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
            exact: false,
        };
        let error = params.check("flat", &["exact"]).unwrap_err().to_string();
        assert!(
            error.contains("flat") && error.contains("`ef`") && error.contains("exact"),
            "{error}"
        );
        assert!(params.check("hnsw", &["ef", "exact"]).is_ok());
        let zero = SearchParams {
            ef: Some(0),
            exact: false,
        };
        assert!(zero.check("hnsw", &["ef", "exact"]).is_err());
        assert!(serde_json::from_str::<SearchParams>(r#"{"nprobe":3}"#).is_err());
    }
}
