//! Do codes rank rows as the rows themselves do? Measured on a sample before a build relies on them.

use vecdb_vector::{Kernels, Metric, RowId, Scorer, TopK, VectorRows};

use crate::IndexError;
use crate::random::mix;

/// Sample: so many rows look for their nearest among so many others.
const SAMPLE_QUERIES: u32 = 48;
const SAMPLE_ROWS: u32 = 4_096;
const SAMPLE_K: usize = 10;

/// The share of the nearest ten rows of a sample that are among the nearest `10 * factor` by codes. `by_codes` measures a
/// row against the rows listed.
pub(crate) fn agreement(
    kernels: Kernels,
    metric: Metric,
    rows: VectorRows<'_>,
    factor: usize,
    mut by_codes: impl FnMut(RowId, &[RowId], &mut [f32]) -> Result<(), IndexError>,
) -> Result<f64, IndexError> {
    let pick =
        |salt: u64, i: u32| RowId((mix(salt ^ u64::from(i)) % u64::from(rows.len().max(1))) as u32);
    let mut sample: Vec<RowId> = (0..SAMPLE_ROWS).map(|i| pick(1 << 40, i)).collect();
    sample.sort_unstable();
    sample.dedup();
    let mut distances = vec![0.0; sample.len()];
    let (mut found, mut wanted) = (0usize, 0usize);
    for i in 0..SAMPLE_QUERIES {
        let held = pick(2 << 40, i);
        let nearest = |k: usize, distances: &[f32]| {
            let mut top = TopK::new(k);
            for (&row, &distance) in sample.iter().zip(distances) {
                if row != held {
                    top.push(distance, row);
                }
            }
            top.into_sorted_vec()
        };
        let exact = Scorer::between_rows(kernels, metric, rows, held);
        exact.score_rows(&sample, &mut distances);
        let truth = nearest(SAMPLE_K, &distances);
        by_codes(held, &sample, &mut distances)?;
        let got = nearest(SAMPLE_K * factor, &distances);
        wanted += truth.len();
        // A row as near as the last true one is as good: data full of ties has many right answers.
        let limit = truth.last().map_or(f32::NEG_INFINITY, |hit| hit.distance);
        let good = got.iter().filter(|hit| exact.score(hit.row) <= limit);
        found += good.count().min(truth.len());
    }
    if wanted == 0 {
        return Ok(0.0);
    }
    Ok(found as f64 / wanted as f64)
}
