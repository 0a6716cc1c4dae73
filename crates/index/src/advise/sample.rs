//! What is measured: a candidate over the first rows of a sample, searched with rows that are not in it.

use std::time::{Duration, Instant};

use vecdb_vector::{
    ElementType, Metric, Neighbor, Query, RowId, VectorRows, inverse_norm, scan_batch,
};

use super::params::{AdviceParams, SAMPLE_MIN, SAMPLE_RATIO};
use crate::random::Random;
use crate::{
    AnnIndex, Budget, BuildOptions, DiskAnn, IndexError, IndexSpec, Scratch, SearchParams, Silent,
};

/// Searches of every query: the first finds the caches cold.
const PASSES: usize = 3;
/// Queries searched exactly between two looks at whether to stop.
const QUERIES_AT_ONCE: usize = 64;

/// Rows to measure with, and queries that are not among them.
pub(super) struct Sample {
    metric: Metric,
    element: ElementType,
    dim: usize,
    bytes: Vec<u8>,
    norms: Vec<f32>,
    rows: u32,
    queries: Vec<Query>,
    /// The queries as rows.
    asked: Vec<u8>,
}

/// The first rows of a sample, with what is true of them.
pub(super) struct Part<'a> {
    sample: &'a Sample,
    rows: VectorRows<'a>,
    /// Hits of a search.
    k: usize,
    /// The distance of the farthest true neighbour of each query.
    limits: Vec<f32>,
}

/// How a candidate did on a part of the sample.
pub(super) struct Measured {
    pub(super) knob: u32,
    pub(super) recall: f64,
    pub(super) memory_bytes: u64,
    pub(super) build_seconds: f64,
    pub(super) latency_us: f64,
}

impl Measured {
    pub(super) fn reaches(&self, params: &AdviceParams) -> bool {
        self.recall >= wanted_of(params)
    }
}

impl Sample {
    pub(super) fn draw(
        metric: Metric,
        rows: VectorRows<'_>,
        params: &AdviceParams,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        options.check_cancelled()?;
        let mut drawn = params.draw(rows.len() as usize);
        let queries = params.queries_of(drawn.len());
        let least = (SAMPLE_MIN * SAMPLE_RATIO) as usize;
        if drawn.len() - queries < least || queries == 0 {
            return Err(IndexError::OutOfRange {
                name: "rows to measure with",
                value: u64::from(rows.len()),
                expected: "at least 300",
            });
        }
        // They come in the order of the rows; queries and both parts are to be from everywhere.
        let mut random = Random::new(params.seed ^ 0xad_715e);
        for last in (1..drawn.len()).rev() {
            drawn.swap(last, random.below(last as u64 + 1) as usize);
        }
        let (asked, kept) = drawn.split_at(queries);
        let (element, dim) = (rows.element(), rows.dim());
        let gather = |which: &[usize]| -> Vec<u8> {
            let row = |&row: &usize| rows.row_bytes(RowId(row as u32));
            which.iter().flat_map(row).copied().collect()
        };
        let norms = match metric.needs_norms() {
            true => kept
                .iter()
                .map(|&row| inverse_norm(element, dim, rows.row_bytes(RowId(row as u32))))
                .collect(),
            false => Vec::new(),
        };
        // What cannot be asked for (zeros under cosine) is left out.
        let asked: Vec<usize> = asked
            .iter()
            .copied()
            .filter(|&row| query_of(metric, rows, row).is_ok())
            .collect();
        let queries = asked
            .iter()
            .map(|&row| query_of(metric, rows, row))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            metric,
            element,
            dim,
            bytes: gather(kept),
            norms,
            rows: kept.len() as u32,
            queries,
            asked: gather(&asked),
        })
    }

    /// How many queries there are.
    pub(super) fn queries(&self) -> u32 {
        self.queries.len() as u32
    }

    /// A quarter of the rows, and all.
    pub(super) fn parts(
        &self,
        k: usize,
        options: &BuildOptions<'_>,
    ) -> Result<[Part<'_>; 2], IndexError> {
        Ok([
            self.part(self.rows / SAMPLE_RATIO, k, options)?,
            self.part(self.rows, k, options)?,
        ])
    }

    fn part(
        &self,
        count: u32,
        k: usize,
        options: &BuildOptions<'_>,
    ) -> Result<Part<'_>, IndexError> {
        let each = self.element.bytes(self.dim);
        let bytes = &self.bytes[..count as usize * each];
        let mut rows = VectorRows::new(self.element, self.dim, each, count, bytes)?;
        if !self.norms.is_empty() {
            rows = rows.with_inverse_norms(&self.norms[..count as usize])?;
        }
        let k = k.min(count as usize);
        let mut limits = Vec::with_capacity(self.queries.len());
        for asked in self.asked.chunks(QUERIES_AT_ONCE * each) {
            options.check_cancelled()?;
            let count = (asked.len() / each) as u32;
            let queries = VectorRows::new(self.element, self.dim, each, count, asked)?;
            let (kernels, threads) = (options.kernels, options.threads);
            let truth = scan_batch(kernels, self.metric, queries, rows, None, k, threads);
            let farthest =
                |found: &Vec<Neighbor>| found.last().map_or(f32::INFINITY, |n| n.distance);
            limits.extend(truth.iter().map(farthest));
        }
        Ok(Part {
            sample: self,
            rows,
            k,
            limits,
        })
    }
}

impl Part<'_> {
    /// How many rows it has.
    pub(super) fn len(&self) -> u32 {
        self.rows.len()
    }

    /// Builds the candidate and looks for the smallest knob that finds what is wanted.
    pub(super) fn measure(
        &self,
        spec: &IndexSpec,
        params: &AdviceParams,
        options: &BuildOptions<'_>,
    ) -> Result<Measured, IndexError> {
        let quiet = BuildOptions {
            progress: &Silent,
            ..*options
        };
        let begun = Instant::now();
        let index = crate::build(spec, self.sample.metric, self.rows, &quiet)?;
        let build_seconds = begun.elapsed().as_secs_f64();
        let mut scratch = Scratch::with_kernels(options.kernels);
        let mut run = |knob: u32| {
            let search = with_knob(knob_of(spec).map(|name| (name, knob)));
            self.search(&*index, &search, &mut scratch, options)
        };
        let wanted = wanted_of(params);
        // Twice the knob until it is enough, then the smallest between the last two.
        let most = knob_of(spec).map_or(1, |_| self.len().min(SearchParams::KNOB_MAX));
        let mut high = (self.k as u32).min(most).max(1);
        let mut recall = run(high)?.0;
        let mut low = 0;
        while recall < wanted && high < most {
            low = high;
            high = high.saturating_mul(2).min(most);
            recall = run(high)?.0;
        }
        while recall >= wanted && high - low > 1 + high / 16 {
            let middle = low + (high - low) / 2;
            match run(middle)?.0 {
                enough if enough >= wanted => (high, recall) = (middle, enough),
                _ => low = middle,
            }
        }
        let mut times = Vec::new();
        for pass in 0..PASSES {
            let (_, more) = run(high)?;
            if pass > 0 {
                times.extend(more);
            }
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        Ok(Measured {
            knob: high,
            recall,
            memory_bytes: resident_bytes(spec, &*index, self.rows),
            build_seconds,
            latency_us: median.as_secs_f64() * 1e6,
        })
    }

    /// Recall and times of all queries.
    fn search(
        &self,
        index: &dyn AnnIndex,
        params: &SearchParams,
        scratch: &mut Scratch,
        options: &BuildOptions<'_>,
    ) -> Result<(f64, Vec<Duration>), IndexError> {
        let (queries, budget) = (&self.sample.queries, Budget::UNLIMITED);
        let mut times = Vec::with_capacity(queries.len());
        let (mut found, mut out) = (0usize, Vec::new());
        for (query, &limit) in queries.iter().zip(&self.limits) {
            options.check_cancelled()?;
            let begun = Instant::now();
            index.search(
                self.rows, query, self.k, None, params, &budget, scratch, &mut out,
            )?;
            times.push(begun.elapsed());
            found += out.iter().filter(|hit| within(hit.distance, limit)).count();
        }
        let wanted = (self.limits.len() * self.k).max(1);
        Ok((found as f64 / wanted as f64, times))
    }
}

/// Knobs with one of them set.
pub(super) fn with_knob(knob: Option<(&'static str, u32)>) -> SearchParams {
    let mut params = SearchParams::default();
    match knob {
        Some(("ef", value)) => params.ef = Some(value),
        Some(("nprobe", value)) => params.nprobe = Some(value),
        Some(("probes", value)) => params.probes = Some(value),
        _ => {}
    }
    params
}

/// The knob that trades recall for time.
pub(super) fn knob_of(spec: &IndexSpec) -> Option<&'static str> {
    match spec {
        IndexSpec::Flat => None,
        IndexSpec::Hnsw(_) | IndexSpec::DiskAnn(_) => Some("ef"),
        IndexSpec::Ivf(_) => Some("nprobe"),
        IndexSpec::Lsh(_) => Some("probes"),
    }
}

/// A recall as single precision writes it is a little more than it says.
fn wanted_of(params: &AdviceParams) -> f64 {
    f64::from(params.target_recall) - 1e-6
}

fn query_of(metric: Metric, rows: VectorRows<'_>, row: usize) -> Result<Query, IndexError> {
    let bytes = rows.row_bytes(RowId(row as u32));
    Ok(Query::from_row_bytes(
        metric,
        rows.element(),
        rows.dim(),
        bytes,
    )?)
}

/// Kernels of one query and of many round differently.
fn within(distance: f32, limit: f32) -> bool {
    distance <= limit + 1e-5 * limit.abs().max(1e-6)
}

/// Bytes that searches have to have in memory: graphs and hashes lead to vectors anywhere, lists hold what is compared,
/// and of a graph on the disk there are codes and cache.
fn resident_bytes(spec: &IndexSpec, index: &dyn AnnIndex, rows: VectorRows<'_>) -> u64 {
    let vectors = rows.element().bytes(rows.dim()) as u64 * u64::from(rows.len());
    match (spec, index.as_any().downcast_ref::<DiskAnn>()) {
        (_, Some(on_disk)) => on_disk.resident_bytes(),
        (IndexSpec::Ivf(_), _) => index.memory_bytes(),
        _ => index.memory_bytes() + vectors,
    }
}
