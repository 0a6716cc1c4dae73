//! Eight-bit copies of the rows for the time of a build.
//!
//! A build is bound by memory: it compares every row with some thousands of others. One byte per number instead of
//! four makes it two to three times faster, and the graph only needs to know which rows are near, not how near. The
//! copy is used only where a sample shows that it ranks neighbours as the rows themselves do (heavy tails would ruin
//! the common scale); else the build reads the rows.
//!
//! L2 and L1 take unsigned codes on the range of all values (the offset cancels in differences), cosine takes L2 over
//! the normalised rows (the same order), dot takes signed codes around zero.

use parking_lot::Mutex;
use vecdb_vector::{ElementType, Kernels, Metric, RowId, Scorer, TopK, VectorRows};

use super::level::mix;
use crate::{BuildOptions, IndexError};

/// Below this many insertions a build is quick anyway.
const INSERTS_MIN: usize = 5_000;
/// Below this many numbers per row a row is a line or two in any type.
const DIM_MIN: usize = 32;

/// Sample for the check: this many rows look for their nearest among so many others.
const SAMPLE_QUERIES: u32 = 48;
const SAMPLE_ROWS: u32 = 4_096;
const SAMPLE_K: usize = 10;
/// Share of the true nearest that the codes must find.
const AGREEMENT_MIN: f64 = 0.97;

/// The rows in eight bits, and the metric to compare them with.
#[derive(Debug)]
pub(super) struct Codes {
    metric: Metric,
    element: ElementType,
    dim: usize,
    rows: u32,
    bytes: Vec<u8>,
}

impl Codes {
    /// Codes of `rows`, or `None` where they would not pay (`inserts` rows are about to be compared with many others)
    /// or not be true enough.
    pub(super) fn encode(
        metric: Metric,
        rows: VectorRows<'_>,
        inserts: usize,
        options: &BuildOptions<'_>,
    ) -> Result<Option<Self>, IndexError> {
        let wide = matches!(rows.element(), ElementType::F32 | ElementType::F16);
        let (code_metric, element) = match metric {
            Metric::L2 | Metric::Cosine => (Metric::L2, ElementType::U8),
            Metric::L1 => (Metric::L1, ElementType::U8),
            Metric::Dot => (Metric::Dot, ElementType::I8),
            Metric::Hamming | Metric::Jaccard => return Ok(None),
        };
        let few = inserts < INSERTS_MIN.max(rows.len() as usize / 50);
        if !wide || few || rows.dim() < DIM_MIN {
            return Ok(None);
        }
        let Some(scale) = Scale::of(metric, rows, options)? else {
            return Ok(None);
        };
        let codes = Self {
            metric: code_metric,
            element,
            dim: rows.dim(),
            rows: rows.len(),
            bytes: scale.encode_all(metric, rows, options)?,
        };
        let agreement = codes.agreement(metric, rows, options.kernels);
        Ok((agreement >= AGREEMENT_MIN).then_some(codes))
    }

    /// The codes as rows.
    pub(super) fn as_rows(&self) -> Result<VectorRows<'_>, IndexError> {
        let rows = VectorRows::new(self.element, self.dim, self.dim, self.rows, &self.bytes)?;
        Ok(rows)
    }

    pub(super) fn metric(&self) -> Metric {
        self.metric
    }

    /// Share of the nearest rows of a sample that the codes find too.
    fn agreement(&self, metric: Metric, rows: VectorRows<'_>, kernels: Kernels) -> f64 {
        let Ok(codes) = self.as_rows() else {
            return 0.0;
        };
        let pick = |salt: u64, i: u32| {
            RowId((mix(salt ^ u64::from(i)) % u64::from(self.rows.max(1))) as u32)
        };
        let mut sample: Vec<RowId> = (0..SAMPLE_ROWS).map(|i| pick(1 << 40, i)).collect();
        sample.sort_unstable();
        sample.dedup();
        let mut distances = vec![0.0; sample.len()];
        let mut nearest = |scorer: Scorer<'_>, query: RowId| {
            scorer.score_rows(&sample, &mut distances);
            let mut top = TopK::new(SAMPLE_K);
            for (&row, &distance) in sample.iter().zip(&distances) {
                if row != query {
                    top.push(distance, row);
                }
            }
            top.into_sorted_vec()
        };
        let (mut found, mut wanted) = (0usize, 0usize);
        for i in 0..SAMPLE_QUERIES {
            let query = pick(2 << 40, i);
            let exact = Scorer::between_rows(kernels, metric, rows, query);
            let truth = nearest(exact, query);
            let coded = Scorer::between_rows(kernels, self.metric, codes, query);
            let got = nearest(coded, query);
            wanted += truth.len();
            // A row as near as the last true one is as good: data full of ties has many right answers.
            let exact = Scorer::between_rows(kernels, metric, rows, query);
            let limit = truth.last().map_or(f32::NEG_INFINITY, |hit| hit.distance);
            found += got
                .iter()
                .filter(|hit| exact.score(hit.row) <= limit)
                .count();
        }
        if wanted == 0 {
            return 0.0;
        }
        found as f64 / wanted as f64
    }
}

/// `code = (value - low) * step`, 0 to 255 (or -127 to 127 with `low` = 0).
#[derive(Copy, Clone, Debug)]
struct Scale {
    low: f32,
    step: f32,
    signed: bool,
}

impl Scale {
    /// The scale that spans all values; `None` when they have no span or no end.
    fn of(
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Option<Self>, IndexError> {
        let range = Mutex::new((f32::INFINITY, f32::NEG_INFINITY));
        options.for_each_block(
            rows.len(),
            1024,
            || vec![0.0; rows.dim()],
            |values, block| {
                let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
                for row in block {
                    read(metric, rows, RowId(row), values);
                    for &value in values.iter() {
                        low = low.min(value);
                        high = high.max(value);
                    }
                }
                let mut range = range.lock();
                *range = (range.0.min(low), range.1.max(high));
                Ok(())
            },
        )?;
        let (low, high) = range.into_inner();
        let signed = metric == Metric::Dot;
        let scale = if signed {
            let largest = high.max(-low);
            Self {
                low: 0.0,
                step: 127.0 / largest,
                signed,
            }
        } else {
            Self {
                low,
                step: 255.0 / (high - low),
                signed,
            }
        };
        Ok((scale.step.is_finite() && scale.step > 0.0).then_some(scale))
    }

    fn encode_all(
        self,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Vec<u8>, IndexError> {
        let dim = rows.dim();
        let mut bytes = vec![0u8; rows.len() as usize * dim];
        const BLOCK: usize = 256;
        let parts: Vec<Mutex<&mut [u8]>> = bytes.chunks_mut(BLOCK * dim).map(Mutex::new).collect();
        options.for_each_block(
            parts.len() as u32,
            1,
            || vec![0.0; dim],
            |values, block| {
                for part in block {
                    let Some(out) = parts.get(part as usize) else {
                        continue;
                    };
                    for (i, out) in out.lock().chunks_exact_mut(dim).enumerate() {
                        let row = RowId(part * BLOCK as u32 + i as u32);
                        read(metric, rows, row, values);
                        self.encode(values, out);
                    }
                }
                Ok(())
            },
        )?;
        drop(parts);
        Ok(bytes)
    }

    fn encode(self, values: &[f32], out: &mut [u8]) {
        for (&value, out) in values.iter().zip(out) {
            let code = ((value - self.low) * self.step).round();
            *out = if self.signed {
                (code as i8) as u8
            } else {
                code as u8
            };
        }
    }
}

/// The values of a row as the codes see them.
fn read(metric: Metric, rows: VectorRows<'_>, row: RowId, values: &mut [f32]) {
    rows.to_f32(row, values);
    if metric == Metric::Cosine {
        let norm = values
            .iter()
            .map(|x| f64::from(*x) * f64::from(*x))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            let inverse = (1.0 / norm) as f32;
            values.iter_mut().for_each(|x| *x *= inverse);
        }
    }
}
