//! Rows of a field as the numbers to learn from.

use vecdb_vector::{Metric, RowId, VectorRows};

use crate::BuildOptions;
use crate::IndexError;
use crate::random::Random;

/// Up to `most` rows of `rows`, drawn without repetition, as single-precision numbers, in the order of the rows; under
/// cosine at unit length (rows of zeros stay zeros).
///
/// # Errors
/// Cancellation.
pub fn sample(
    metric: Metric,
    rows: VectorRows<'_>,
    most: usize,
    seed: u64,
    options: &BuildOptions<'_>,
) -> Result<Vec<f32>, IndexError> {
    let dim = rows.dim();
    let drawn = Random::new(seed).distinct(most, rows.len() as usize);
    let mut vectors = vec![0.0; drawn.len() * dim];
    options.for_each_chunk(
        &mut vectors,
        512 * dim,
        || (),
        |(), first, out| {
            for (i, out) in out.chunks_exact_mut(dim).enumerate() {
                read_row(metric, rows, RowId(drawn[first / dim + i] as u32), out);
            }
            Ok(())
        },
    )?;
    Ok(vectors)
}

/// A row as single-precision numbers, under cosine at unit length.
pub(crate) fn read_row(metric: Metric, rows: VectorRows<'_>, row: RowId, out: &mut [f32]) {
    rows.to_f32(row, out);
    if metric == Metric::Cosine {
        normalise(out);
    }
}

/// Brings a vector to unit length; zeros stay.
pub(crate) fn normalise(values: &mut [f32]) {
    let square: f64 = values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    if square > 0.0 {
        let inverse = 1.0 / square.sqrt();
        values
            .iter_mut()
            .for_each(|x| *x = (f64::from(*x) * inverse) as f32);
    }
}
