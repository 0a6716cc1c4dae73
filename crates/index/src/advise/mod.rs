//! Which index for these rows? Measured, not guessed: every candidate is built over two samples of the rows, a small one
//! and one of four times the size, and searched with rows that are in neither. What grows with the rows (knob, memory,
//! build time, latency) is carried on to all rows as the power law through the two measurements.
//!
//! The prediction is as good as that law: far beyond the sample, memory holds well (it is proportional), times within
//! about a factor of two (caches end, disks begin).
//!
//! `params` (what is asked, which rows are drawn) - `sample` (what is measured) - here: what is said.

mod params;
mod sample;
#[cfg(test)]
mod tests;

pub use params::AdviceParams;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use vecdb_vector::{Metric, VectorRows};

use crate::{
    BuildOptions, DiskAnnParams, HnswParams, IndexError, IndexSpec, IvfParams, LshParams,
    SearchParams,
};
use sample::{Measured, Part, Sample, knob_of, with_knob};

/// A power law that grows faster is a disturbed measurement.
const EXPONENT_MAX: f64 = 1.5;

/// What was found out. As JSON it has a `recommended` as well, see [`Self::recommended`].
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Rows that the predictions are for.
    pub rows: u64,
    /// Rows of the larger sample.
    pub sample_rows: u32,
    /// Held-out rows searched with.
    pub queries: u32,
    /// All candidates: those that will do first, the fastest of them at the top.
    pub choices: Vec<Choice>,
}

impl Advice {
    /// The best candidate, if any will do.
    pub fn recommended(&self) -> Option<&Choice> {
        self.choices.first().filter(|choice| choice.will_do())
    }
}

impl Serialize for Advice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Advice", 5)?;
        object.serialize_field("rows", &self.rows)?;
        object.serialize_field("sample_rows", &self.sample_rows)?;
        object.serialize_field("queries", &self.queries)?;
        object.serialize_field("recommended", &self.recommended())?;
        object.serialize_field("choices", &self.choices)?;
        object.end()
    }
}

/// One candidate, as it is predicted to be over all rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// What to build; `index` in JSON.
    #[serde(rename = "index")]
    pub spec: IndexSpec,
    /// Knobs for a search.
    pub params: SearchParams,
    /// Recall with the best knob on the larger sample.
    pub sample_recall: f64,
    /// Whether that is what was wanted.
    pub reaches_recall: bool,
    /// Whether the memory is enough.
    pub fits_memory: bool,
    /// Bytes of index and vectors that searches have to have in memory.
    pub memory_bytes: u64,
    /// Seconds to build with the threads of the options.
    pub build_seconds: f64,
    /// Median microseconds of a search, by one thread.
    pub latency_us: f64,
}

impl Choice {
    /// Recall and memory are as wanted.
    pub fn will_do(&self) -> bool {
        self.reaches_recall && self.fits_memory
    }
}

/// Measures all kinds of indexes that can serve the rows.
///
/// # Errors
/// Parameters out of range, too few rows to measure with, cancellation, rows that no metric serves.
pub fn advise(
    metric: Metric,
    rows: VectorRows<'_>,
    params: &AdviceParams,
    options: &BuildOptions<'_>,
) -> Result<Advice, IndexError> {
    params.validate()?;
    let candidates: Vec<IndexSpec> = candidates()
        .into_iter()
        .filter(|spec| spec.check_field(metric, rows.element()).is_ok())
        .filter(|spec| spec.check_dim(rows.dim()).is_ok())
        .collect();
    if candidates.is_empty() {
        return Err(IndexError::UnsupportedMetric {
            metric,
            element: rows.element(),
        });
    }
    let sample = Sample::draw(metric, rows, params, options)?;
    let parts = sample.parts(params.limit, options)?;
    let all_rows = params.rows.unwrap_or_else(|| u64::from(rows.len()));
    let total = candidates.len() as u64 * 2;
    let mut choices = Vec::new();
    for (number, spec) in candidates.into_iter().enumerate() {
        let small = parts[0].measure(&spec, params, options)?;
        options.progress.advance(number as u64 * 2 + 1, total);
        let large = parts[1].measure(&spec, params, options)?;
        options.progress.advance(number as u64 * 2 + 2, total);
        choices.push(predict(spec, &parts, [&small, &large], all_rows, params));
    }
    choices.sort_by(|a, b| {
        let rank = |choice: &Choice| !choice.will_do();
        rank(a)
            .cmp(&rank(b))
            .then(a.latency_us.total_cmp(&b.latency_us))
    });
    Ok(Advice {
        rows: all_rows,
        sample_rows: parts[1].len(),
        queries: sample.queries(),
        choices,
    })
}

/// What is tried.
fn candidates() -> Vec<IndexSpec> {
    let graph = |m| {
        IndexSpec::Hnsw(HnswParams {
            m,
            ..HnswParams::default()
        })
    };
    let lists = |code: Option<&str>| {
        let code = code.map(|code| code.parse().ok());
        IndexSpec::Ivf(IvfParams {
            code: code.flatten(),
            ..IvfParams::default()
        })
    };
    vec![
        IndexSpec::Flat,
        graph(16),
        graph(32),
        lists(None),
        lists(Some("rabitq4")),
        lists(Some("pq")),
        IndexSpec::DiskAnn(DiskAnnParams::default()),
        IndexSpec::Lsh(LshParams::default()),
    ]
}

/// Carries on to all rows what was measured on both parts.
fn predict(
    spec: IndexSpec,
    parts: &[Part<'_>; 2],
    [small, large]: [&Measured; 2],
    all_rows: u64,
    params: &AdviceParams,
) -> Choice {
    let sizes = (f64::from(parts[0].len()), f64::from(parts[1].len()));
    let carry = |of: fn(&Measured) -> f64| carried(sizes, (of(small), of(large)), all_rows as f64);
    let knob = knob_of(&spec).map(|knob| {
        let value = carry(|measured| f64::from(measured.knob)).ceil();
        (knob, value.min(f64::from(SearchParams::KNOB_MAX)) as u32)
    });
    let memory_bytes = carry(|measured| measured.memory_bytes as f64).ceil() as u64;
    Choice {
        params: with_knob(knob),
        sample_recall: large.recall,
        reaches_recall: large.reaches(params),
        fits_memory: params.memory_bytes.is_none_or(|most| memory_bytes <= most),
        memory_bytes,
        build_seconds: carry(|measured| measured.build_seconds),
        latency_us: carry(|measured| measured.latency_us),
        spec,
    }
}

/// The value at `to`, by the power law through two values; a law that falls is taken as level.
fn carried((small, large): (f64, f64), (at_small, at_large): (f64, f64), to: f64) -> f64 {
    if to <= large || at_small <= 0.0 || at_large <= 0.0 {
        return at_large * (to / large).min(1.0);
    }
    let exponent = (at_large / at_small).ln() / (large / small).ln();
    at_large * (to / large).powf(exponent.clamp(0.0, EXPONENT_MAX))
}
