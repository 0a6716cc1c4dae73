//! How the searches of a collection were answered, counted since it was opened.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// How the searches of a collection were answered since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchCounts {
    /// Segments of which every matching point was compared.
    pub scan: u64,
    /// Segments whose graph was walked through all points, under a filter.
    pub walk: u64,
    /// Segments whose graph was walked through matching points alone.
    pub hop: u64,
    /// Segments of which a graph of the matching points was walked.
    pub subset: u64,
    /// Segments of which the nearest points were read to see whether they match.
    pub check: u64,
    /// Segments searched in the one way their index has, or without a filter.
    pub index: u64,
    /// Segments scanned by estimates, of which only promising points were measured.
    pub sketches: u64,
    /// Times that a plan was given up for another: its cost had been estimated too low.
    pub switched: u64,
    /// Times that what a filter matches in a segment was known from an earlier search.
    pub mask_hits: u64,
    /// Times that it was not.
    pub mask_misses: u64,
    /// Answers that had been kept, for searches that asked for it.
    pub result_hits: u64,
    /// Such searches that had to be run.
    pub result_misses: u64,
}

/// The same, while it is counted.
#[derive(Default)]
pub(crate) struct SearchCounters([AtomicU64; COUNTED]);

/// One thing that is counted.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    Scan,
    Walk,
    Hop,
    Subset,
    Check,
    Index,
    Sketches,
    Switched,
    MaskHit,
    MaskMiss,
    ResultHit,
    ResultMiss,
}

const COUNTED: usize = 12;

impl Counted {
    /// The plan of this name in an explanation.
    pub(super) fn plan(name: &str) -> Self {
        match name {
            "scan" => Counted::Scan,
            "walk" => Counted::Walk,
            "hop" => Counted::Hop,
            "subset" => Counted::Subset,
            "check" => Counted::Check,
            "sketches" => Counted::Sketches,
            _ => Counted::Index,
        }
    }
}

impl SearchCounters {
    pub(super) fn add(&self, counted: Counted) {
        if let Some(count) = self.0.get(counted as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> SearchCounts {
        let [
            scan,
            walk,
            hop,
            subset,
            check,
            index,
            sketches,
            switched,
            mask_hits,
            mask_misses,
            result_hits,
            result_misses,
        ] = self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        SearchCounts {
            scan,
            walk,
            hop,
            subset,
            check,
            index,
            sketches,
            switched,
            mask_hits,
            mask_misses,
            result_hits,
            result_misses,
        }
    }
}
