//! What a campaign tried and what went wrong.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde::Serialize;

/// Failures that are kept in words; beyond that they are only counted.
const KEPT: usize = 20;

/// The outcome of a campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which one.
    pub campaign: &'static str,
    /// What its random numbers follow from.
    pub seed: u64,
    /// What was counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// What was measured.
    pub measures: BTreeMap<String, f64>,
    /// How much went wrong.
    pub failures: u64,
    /// The first failures.
    pub first: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    #[serde(skip)]
    begun: Instant,
}

impl Report {
    pub(crate) fn begin(campaign: &'static str, seed: u64) -> Self {
        Self {
            campaign,
            seed,
            counts: BTreeMap::new(),
            measures: BTreeMap::new(),
            failures: 0,
            first: Vec::new(),
            seconds: 0.0,
            begun: Instant::now(),
        }
    }

    pub(crate) fn count(&mut self, what: &'static str, number: u64) {
        *self.counts.entry(what).or_default() += number;
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failures += 1;
        if self.first.len() < KEPT {
            self.first.push(what.into());
        }
    }

    pub(crate) fn end(mut self) -> Self {
        self.seconds = self.begun.elapsed().as_secs_f64();
        self
    }
}

/// What `work` gives, or what it panicked with.
///
/// # Errors
/// The message of the panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        text.unwrap_or_else(|| "a panic without a message".to_owned())
    })
}
