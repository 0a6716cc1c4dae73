//! Optional knobs of a search, and its budget.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::IndexError;

/// Optional knobs of one search. A knob that is set but unknown to the index kind is an error, not silence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Compare every (allowed) row instead of using the structure. Known to every kind.
    pub exact: bool,
}

impl SearchParams {
    /// The largest value of any knob.
    pub const KNOB_MAX: u32 = 1_000_000;

    /// The numeric knobs by name.
    fn knobs(&self) -> [(&'static str, Option<u32>); 4] {
        [
            ("ef", self.ef),
            ("nprobe", self.nprobe),
            ("rerank", self.rerank),
            ("beam_width", self.beam_width),
        ]
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
        Ok(())
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
}
