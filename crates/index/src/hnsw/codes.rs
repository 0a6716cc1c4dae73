//! Eight-bit copies of the rows for the time of a build.
//!
//! A build is bound by memory: it compares every row with some thousands of others. One byte per number instead of
//! four makes it two to three times faster, and the graph only needs to know which rows are near, not how near. The
//! copy is used only where a sample shows that it ranks neighbours as the rows themselves do (heavy tails would ruin
//! the common scale); else the build reads the rows.

use vecdb_vector::{ElementType, Kernels, Metric, RowId, Scorer, TopK, VectorRows};

use crate::kmeans::read_row;
use crate::random::mix;
use crate::scale::Scale;
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
pub(crate) struct Codes {
    metric: Metric,
    element: ElementType,
    dim: usize,
    rows: u32,
    bytes: Vec<u8>,
}

impl Codes {
    /// Codes of `rows`, or `None` where they would not pay (`inserts` rows are about to be compared with many others)
    /// or not be true enough.
    pub(crate) fn encode(
        metric: Metric,
        rows: VectorRows<'_>,
        inserts: usize,
        options: &BuildOptions<'_>,
    ) -> Result<Option<Self>, IndexError> {
        let wide = matches!(rows.element(), ElementType::F32 | ElementType::F16);
        if matches!(metric, Metric::Hamming | Metric::Jaccard) {
            return Ok(None);
        }
        let few = inserts < INSERTS_MIN.max(rows.len() as usize / 50);
        if !wide || few || rows.dim() < DIM_MIN {
            return Ok(None);
        }
        let Some(scale) = Scale::of(metric, rows, options)? else {
            return Ok(None);
        };
        let codes = Self {
            metric: scale.metric(metric),
            element: scale.element(),
            dim: rows.dim(),
            rows: rows.len(),
            bytes: encode_all(scale, metric, rows, options)?,
        };
        let agreement = codes.agreement(metric, rows, options.kernels);
        Ok((agreement >= AGREEMENT_MIN).then_some(codes))
    }

    /// The codes as rows.
    pub(crate) fn as_rows(&self) -> Result<VectorRows<'_>, IndexError> {
        let rows = VectorRows::new(self.element, self.dim, self.dim, self.rows, &self.bytes)?;
        Ok(rows)
    }

    pub(crate) fn metric(&self) -> Metric {
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

fn encode_all(
    scale: Scale,
    metric: Metric,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<Vec<u8>, IndexError> {
    const BLOCK: usize = 256;
    let dim = rows.dim();
    let mut bytes = vec![0u8; rows.len() as usize * dim];
    options.for_each_chunk(
        &mut bytes,
        BLOCK * dim,
        || vec![0.0; dim],
        |values, first, out| {
            for (i, out) in out.chunks_exact_mut(dim).enumerate() {
                read_row(metric, rows, RowId((first / dim + i) as u32), values);
                scale.encode(values, out);
            }
            Ok(())
        },
    )?;
    Ok(bytes)
}
