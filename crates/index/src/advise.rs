//! Which index for these rows? Measured, not guessed: every candidate is built over two samples of the rows, a small one
//! and one of four times the size, and searched with rows that are in neither. What grows with the rows (knob, memory,
//! build time, latency) is carried on to all rows as the power law through the two measurements.
//!
//! The prediction is as good as that law: far beyond the sample, memory holds well (it is proportional), times within
//! about a factor of two (caches end, disks begin).

use std::time::{Duration, Instant};

use vecdb_vector::{Metric, Neighbor, Query, RowId, VectorRows, inverse_norm, scan_batch};

use crate::random::Random;
use crate::{
    AnnIndex, Budget, BuildOptions, DiskAnn, DiskAnnParams, HnswParams, IndexError, IndexSpec,
    IvfParams, LshParams, Scratch, SearchParams, Silent,
};

/// The larger sample has so many times the rows of the smaller.
const SAMPLE_RATIO: u32 = 4;
/// Fewer rows tell nothing of how something grows.
const SAMPLE_MIN: u32 = 64;
/// A power law that grows faster is a disturbed measurement.
const EXPONENT_MAX: f64 = 1.5;
/// Searches of every query: the first finds the caches cold.
const PASSES: usize = 3;

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct AdviceParams {
    /// Share of the true neighbours to be found. 0.5 to 1, default 0.95.
    pub target_recall: f32,
    /// Hits of a search. 1 to 1,000, default 10.
    pub k: usize,
    /// Memory for index and vectors, as far as searches have to have them there; no limit by default.
    pub memory_bytes: Option<u64>,
    /// How many rows there will be. Default: those that are given.
    pub rows: Option<u64>,
    /// Rows to measure with, at most. 256 to 1,000,000, default 20,000.
    pub sample_rows: u32,
    /// Held-out rows to search with. 10 to 10,000, default 200.
    pub queries: u32,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for AdviceParams {
    fn default() -> Self {
        Self {
            target_recall: 0.95,
            k: 10,
            memory_bytes: None,
            rows: None,
            sample_rows: 20_000,
            queries: 200,
            seed: 42,
        }
    }
}

/// What was found out.
#[derive(Clone, Debug)]
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

/// One candidate, as it is predicted to be over all rows.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What to build.
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
        .collect();
    if candidates.is_empty() {
        return Err(IndexError::UnsupportedMetric {
            metric,
            element: rows.element(),
        });
    }
    let sample = Sample::draw(metric, rows, params, options)?;
    let all_rows = params.rows.unwrap_or_else(|| u64::from(rows.len()));
    let total = candidates.len() as u64 * 2;
    let mut choices = Vec::new();
    for (number, spec) in candidates.into_iter().enumerate() {
        let small = sample.measure(&spec, sample.small, params, options)?;
        options.progress.advance(number as u64 * 2 + 1, total);
        let large = sample.measure(&spec, sample.large, params, options)?;
        options.progress.advance(number as u64 * 2 + 2, total);
        let carry = |of: fn(&Measured) -> f64| {
            let sizes = (f64::from(sample.small), f64::from(sample.large));
            carried(sizes, (of(&small), of(&large)), all_rows as f64)
        };
        let knob = knob_of(&spec).map(|knob| {
            let value = carry(|measured| f64::from(measured.knob)).ceil();
            (knob, value.min(f64::from(SearchParams::KNOB_MAX)) as u32)
        });
        let memory_bytes = carry(|measured| measured.memory_bytes as f64).ceil() as u64;
        choices.push(Choice {
            params: with_knob(knob),
            sample_recall: large.recall,
            reaches_recall: large.reaches(params),
            fits_memory: params.memory_bytes.is_none_or(|most| memory_bytes <= most),
            memory_bytes,
            build_seconds: carry(|measured| measured.build_seconds),
            latency_us: carry(|measured| measured.latency_us),
            spec,
        });
    }
    choices.sort_by(|a, b| {
        let rank = |choice: &Choice| !choice.will_do();
        rank(a)
            .cmp(&rank(b))
            .then(a.latency_us.total_cmp(&b.latency_us))
    });
    Ok(Advice {
        rows: all_rows,
        sample_rows: sample.large,
        queries: sample.queries.len() as u32,
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

impl AdviceParams {
    /// Checks the ranges documented at the fields.
    pub fn validate(&self) -> Result<(), IndexError> {
        if !(0.5..=1.0).contains(&self.target_recall) {
            return Err(IndexError::BadNumber {
                name: "target_recall",
                value: f64::from(self.target_recall),
                expected: "from 0.5 to 1",
            });
        }
        let ranges = [
            ("k", self.k as u64, 1..=1_000, "from 1 to 1,000"),
            (
                "sample_rows",
                u64::from(self.sample_rows),
                u64::from(SAMPLE_MIN * SAMPLE_RATIO)..=1_000_000,
                "from 256 to 1,000,000",
            ),
            (
                "queries",
                u64::from(self.queries),
                10..=10_000,
                "from 10 to 10,000",
            ),
        ];
        for (name, value, range, expected) in ranges {
            if !range.contains(&value) {
                return Err(IndexError::OutOfRange {
                    name,
                    value,
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// Rows to measure with, and queries that are not among them.
struct Sample {
    metric: Metric,
    element: vecdb_vector::ElementType,
    dim: usize,
    bytes: Vec<u8>,
    norms: Vec<f32>,
    small: u32,
    large: u32,
    queries: Vec<Query>,
    /// The queries as rows.
    asked: Vec<u8>,
}

/// How a candidate did on a sample.
struct Measured {
    knob: u32,
    recall: f64,
    memory_bytes: u64,
    build_seconds: f64,
    latency_us: f64,
}

impl Measured {
    fn reaches(&self, params: &AdviceParams) -> bool {
        // A recall as single precision writes it is a little more than it says.
        self.recall >= f64::from(params.target_recall) - 1e-6
    }
}

impl Sample {
    fn draw(
        metric: Metric,
        rows: VectorRows<'_>,
        params: &AdviceParams,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        options.check_cancelled()?;
        let wanted = params.sample_rows as usize + params.queries as usize;
        let mut drawn = Random::new(params.seed).distinct(wanted, rows.len() as usize);
        // At most a tenth of few rows are queries.
        let queries = (params.queries as usize).min(drawn.len() / 10);
        let least = (SAMPLE_MIN * SAMPLE_RATIO) as usize;
        if drawn.len() - queries < least || queries == 0 {
            return Err(IndexError::OutOfRange {
                name: "rows to measure with",
                value: u64::from(rows.len()),
                expected: "at least 300",
            });
        }
        // They come in the order of the rows; queries and both samples are to be from everywhere.
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
        let large = kept.len() as u32;
        Ok(Self {
            metric,
            element,
            dim,
            bytes: gather(kept),
            norms,
            small: large / SAMPLE_RATIO,
            large,
            queries,
            asked: gather(&asked),
        })
    }

    fn rows(&self, count: u32) -> Result<VectorRows<'_>, IndexError> {
        let each = self.element.bytes(self.dim);
        let bytes = &self.bytes[..count as usize * each];
        let rows = VectorRows::new(self.element, self.dim, each, count, bytes)?;
        Ok(match self.norms.get(..count as usize) {
            Some(norms) if !self.norms.is_empty() => rows.with_inverse_norms(norms)?,
            _ => rows,
        })
    }

    /// The distance of the farthest true neighbour of each query.
    fn limits(
        &self,
        count: u32,
        k: usize,
        options: &BuildOptions<'_>,
    ) -> Result<Vec<f32>, IndexError> {
        let each = self.element.bytes(self.dim);
        let asked = self.queries.len() as u32;
        let queries = VectorRows::new(self.element, self.dim, each, asked, &self.asked)?;
        let rows = self.rows(count)?;
        let truth = scan_batch(
            options.kernels,
            self.metric,
            queries,
            rows,
            None,
            k,
            options.threads,
        );
        let farthest = |found: &Vec<Neighbor>| found.last().map_or(f32::INFINITY, |n| n.distance);
        Ok(truth.iter().map(farthest).collect())
    }

    fn measure(
        &self,
        spec: &IndexSpec,
        count: u32,
        params: &AdviceParams,
        options: &BuildOptions<'_>,
    ) -> Result<Measured, IndexError> {
        let rows = self.rows(count)?;
        let k = params.k.min(count as usize);
        let limits = self.limits(count, k, options)?;
        let quiet = BuildOptions {
            progress: &Silent,
            ..*options
        };
        let begun = Instant::now();
        let index = crate::build(spec, self.metric, rows, &quiet)?;
        let build_seconds = begun.elapsed().as_secs_f64();
        let mut scratch = Scratch::with_kernels(options.kernels);
        let mut run = |knob: u32| -> Result<(f64, Vec<Duration>), IndexError> {
            options.check_cancelled()?;
            let search = with_knob(knob_of(spec).map(|name| (name, knob)));
            let mut times = Vec::with_capacity(self.queries.len());
            let (mut found, mut out) = (0usize, Vec::new());
            for (query, &limit) in self.queries.iter().zip(&limits) {
                let begun = Instant::now();
                let budget = Budget::UNLIMITED;
                index.search(
                    rows,
                    query,
                    k,
                    None,
                    &search,
                    &budget,
                    &mut scratch,
                    &mut out,
                )?;
                times.push(begun.elapsed());
                found += out.iter().filter(|hit| within(hit.distance, limit)).count();
            }
            let wanted = (limits.len() * k).max(1);
            Ok((found as f64 / wanted as f64, times))
        };
        let wanted = f64::from(params.target_recall) - 1e-6;
        // Twice the knob until it is enough, then the smallest between the last two.
        let most = knob_of(spec).map_or(1, |_| count.min(SearchParams::KNOB_MAX));
        let mut high = (k as u32).min(most).max(1);
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
            memory_bytes: resident_bytes(spec, &*index, rows),
            build_seconds,
            latency_us: median.as_secs_f64() * 1e6,
        })
    }
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

/// The knob that trades recall for time.
fn knob_of(spec: &IndexSpec) -> Option<&'static str> {
    match spec {
        IndexSpec::Flat => None,
        IndexSpec::Hnsw(_) | IndexSpec::DiskAnn(_) => Some("ef"),
        IndexSpec::Ivf(_) => Some("nprobe"),
        IndexSpec::Lsh(_) => Some("probes"),
    }
}

fn with_knob(knob: Option<(&'static str, u32)>) -> SearchParams {
    let mut params = SearchParams::default();
    match knob {
        Some(("ef", value)) => params.ef = Some(value),
        Some(("nprobe", value)) => params.nprobe = Some(value),
        Some(("probes", value)) => params.probes = Some(value),
        _ => {}
    }
    params
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

/// The value at `to`, by the power law through two values; a law that falls is taken as level.
fn carried((small, large): (f64, f64), (at_small, at_large): (f64, f64), to: f64) -> f64 {
    if to <= large || at_small <= 0.0 || at_large <= 0.0 {
        return at_large * (to / large).min(1.0);
    }
    let exponent = (at_large / at_small).ln() / (large / small).ln();
    at_large * (to / large).powf(exponent.clamp(0.0, EXPONENT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, dim: usize) -> Vec<f32> {
        let mut random = Random::new(9);
        let centres: Vec<f32> = (0..20 * dim).map(|_| random.unit() as f32 * 4.0).collect();
        (0..count)
            .flat_map(|row| {
                let centre = &centres[row % 20 * dim..(row % 20 + 1) * dim];
                let near = |&value: &f32| value + random.unit() as f32;
                centre.iter().map(near).collect::<Vec<_>>()
            })
            .collect()
    }

    fn ask(params: &AdviceParams) -> Result<Advice, IndexError> {
        let values = rows(2_400, 16);
        let rows = VectorRows::from_f32(16, &values).unwrap();
        advise(Metric::L2, rows, params, &BuildOptions::default())
    }

    #[test]
    fn every_kind_is_measured_and_what_will_do_comes_first() {
        let params = AdviceParams {
            queries: 50,
            ..AdviceParams::default()
        };
        let advice = ask(&params).unwrap();
        let kinds: Vec<_> = advice.choices.iter().map(|c| c.spec.kind()).collect();
        for kind in IndexSpec::KINDS {
            assert!(kinds.contains(&kind), "{kind} of {kinds:?}");
        }
        assert!(advice.choices.is_sorted_by_key(|choice| !choice.will_do()));
        let best = advice.recommended().unwrap();
        assert!(best.sample_recall >= 0.95 && best.latency_us > 0.0);
        // What is predicted as reaching the recall does, on the rows it was not measured with.
        let values = rows(2_400, 16);
        let rows = VectorRows::from_f32(16, &values).unwrap();
        let index = crate::build(&best.spec, Metric::L2, rows, &BuildOptions::default()).unwrap();
        let (mut found, mut out) = (0, Vec::new());
        let mut scratch = Scratch::new();
        for query in values.chunks_exact(16).take(40) {
            let near: Vec<f32> = query.iter().map(|value| value + 0.05).collect();
            let query = Query::new(Metric::L2, rows.element(), 16, &near).unwrap();
            let (none, budget) = (SearchParams::default(), Budget::UNLIMITED);
            let exact = SearchParams {
                exact: true,
                ..none
            };
            let mut search = |params: &SearchParams| {
                index
                    .search(
                        rows,
                        &query,
                        10,
                        None,
                        params,
                        &budget,
                        &mut scratch,
                        &mut out,
                    )
                    .unwrap();
                out.clone()
            };
            let truth = search(&exact);
            let hits = search(&best.params);
            found += hits.iter().filter(|hit| truth.contains(hit)).count();
        }
        assert!(found >= 360, "{found} of 400 with {:?}", best.params);
    }

    #[test]
    fn memory_decides_which_will_do() {
        let with = |memory_bytes| {
            let params = AdviceParams {
                queries: 20,
                memory_bytes: Some(memory_bytes),
                rows: Some(1_000_000),
                ..AdviceParams::default()
            };
            ask(&params).unwrap()
        };
        assert!(with(1 << 40).recommended().is_some());
        let none = with(1_000);
        assert!(none.recommended().is_none());
        assert!(none.choices.iter().all(|choice| !choice.fits_memory));
        // A million vectors take 64 MB: what keeps them in memory does not fit into less.
        let tight = with(60_000_000);
        let flat = tight.choices.iter().find(|c| c.spec == IndexSpec::Flat);
        let flat = flat.unwrap();
        assert!(!flat.fits_memory);
        assert!((63_000_000..65_000_000).contains(&flat.memory_bytes));
        assert!(tight.choices.iter().any(|choice| choice.fits_memory));
    }

    #[test]
    fn what_cannot_be_measured_is_refused_with_a_reason() {
        let with = |change: fn(&mut AdviceParams)| {
            let mut params = AdviceParams::default();
            change(&mut params);
            ask(&params).unwrap_err().to_string()
        };
        for (error, named) in [
            (with(|p| p.target_recall = 0.2), "from 0.5 to 1"),
            (with(|p| p.target_recall = f32::NAN), "target_recall"),
            (with(|p| p.k = 0), "from 1 to 1,000"),
            (with(|p| p.sample_rows = 10), "from 256"),
            (with(|p| p.queries = 0), "from 10"),
        ] {
            assert!(error.contains(named), "{error}");
        }
        let values = rows(200, 16);
        let few = VectorRows::from_f32(16, &values).unwrap();
        let params = AdviceParams::default();
        let error = advise(Metric::L2, few, &params, &BuildOptions::default()).unwrap_err();
        assert!(error.to_string().contains("at least 300"), "{error}");
        let stop = BuildOptions {
            cancelled: Some(&|| true),
            ..BuildOptions::default()
        };
        let many = VectorRows::from_f32(16, &values).unwrap();
        let error = advise(Metric::L2, many, &params, &stop).unwrap_err();
        assert!(matches!(error, IndexError::Cancelled), "{error}");
    }

    #[test]
    fn growth_is_carried_on() {
        let sizes = (1_000.0, 4_000.0);
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-6 * expected;
        assert!(close(carried(sizes, (10.0, 40.0), 40_000.0), 400.0));
        assert!(close(carried(sizes, (10.0, 20.0), 16_000.0), 40.0));
        // What falls, or grows out of all proportion, is a disturbed measurement.
        assert!(close(carried(sizes, (20.0, 10.0), 40_000.0), 10.0));
        assert!(close(carried(sizes, (1.0, 400.0), 16_000.0), 3_200.0));
        assert!(close(carried(sizes, (10.0, 40.0), 4_000.0), 40.0));
    }
}
