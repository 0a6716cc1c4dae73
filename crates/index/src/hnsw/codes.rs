//! Eight-bit copies of the rows for the time of a build.
//!
//! A build is bound by memory: it compares every row with some thousands of others. One byte per number instead of
//! four makes it two to three times faster, and the graph only needs to know which rows are near, not how near. The
//! copy is used only where a sample shows that it ranks neighbours as the rows themselves do (heavy tails would ruin
//! the common scale); else the build reads the rows.

use vecdb_vector::{ElementType, Metric, RowId, Scorer, VectorRows};

use crate::agreement::agreement;
use crate::kmeans::read_row;
use crate::scale::Scale;
use crate::{BuildOptions, IndexError};

/// Below this many insertions a build is quick anyway.
const INSERTS_MIN: usize = 5_000;
/// Below this many numbers per row a row is a line or two in any type.
const DIM_MIN: usize = 32;

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
        let coded = codes.as_rows()?;
        let by_codes = |row, sample: &[RowId], out: &mut [f32]| {
            Scorer::between_rows(options.kernels, codes.metric, coded, row).score_rows(sample, out);
            Ok(())
        };
        let agreement = agreement(options.kernels, metric, rows, 1, by_codes)?;
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
