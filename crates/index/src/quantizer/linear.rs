//! The little linear algebra that learned rotations need.

use vecdb_vector::{ElementType, Metric, Query, RowId, Scorer, VectorRows};

use crate::{BuildOptions, IndexError};

/// Rows multiplied per step of a thread.
const ROWS_PER_STEP: usize = 16;
/// Pairs of vectors multiplied at a time: their columns stay in the cache.
const PAIRS: usize = 512;
/// Sweeps of Jacobi's method at most; it converges in about eight.
const SWEEPS_MAX: usize = 30;
/// Steps of the Newton-Schulz iteration at most.
const STEPS_MAX: usize = 60;

/// A square matrix, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    dim: usize,
    values: Vec<f32>,
}

impl Matrix {
    pub(super) fn new(dim: usize, values: Vec<f32>) -> Option<Self> {
        (values.len() == dim * dim).then_some(Self { dim, values })
    }

    fn zero(dim: usize) -> Self {
        Self {
            dim,
            values: vec![0.0; dim * dim],
        }
    }

    pub(super) fn identity(dim: usize) -> Self {
        let mut matrix = Self::zero(dim);
        for i in 0..dim {
            matrix.values[i * dim + i] = 1.0;
        }
        matrix
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..(row + 1) * self.dim]
    }

    pub(super) fn set_row(&mut self, row: usize, values: &[f32]) {
        self.values[row * self.dim..(row + 1) * self.dim].copy_from_slice(values);
    }

    /// The mean of `y x'` over pairs of vectors.
    pub(super) fn cross(
        dim: usize,
        y: &[f32],
        x: &[f32],
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let mut out = Self::zero(dim);
        let share = 1.0 / (x.len() / dim).max(1) as f32;
        let mut part = vec![0.0; dim * dim];
        for (y, x) in y.chunks(PAIRS * dim).zip(x.chunks(PAIRS * dim)) {
            let pairs = x.len() / dim;
            let (y, x) = (columns(dim, y), columns(dim, x));
            rows_by_rows(pairs, &y, &x, &mut part, options)?;
            add_scaled(&mut out.values, share, &part);
        }
        Ok(out)
    }

    pub(super) fn multiply(&self, vector: &[f32], out: &mut [f32]) {
        for (out, row) in out.iter_mut().zip(self.values.chunks_exact(self.dim)) {
            *out = dot(row, vector);
        }
    }

    pub(super) fn multiply_transposed(&self, vector: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for (&number, row) in vector.iter().zip(self.values.chunks_exact(self.dim)) {
            add_scaled(out, number, row);
        }
    }

    fn times_transposed(
        &self,
        other: &Self,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let mut out = Self::zero(self.dim);
        rows_by_rows(
            self.dim,
            &self.values,
            &other.values,
            &mut out.values,
            options,
        )?;
        Ok(out)
    }

    fn transposed(&self) -> Self {
        Self {
            dim: self.dim,
            values: columns(self.dim, &self.values),
        }
    }
}

/// Inner products of each of the vectors `a` with each of the vectors `b`, `dim` numbers each, by the kernels of searches.
pub(super) fn rows_by_rows(
    dim: usize,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    options: &BuildOptions<'_>,
) -> Result<(), IndexError> {
    let rows = VectorRows::from_f32(dim, b)?;
    let each = b.len() / dim;
    options.for_each_chunk(
        out,
        ROWS_PER_STEP * each,
        || None,
        |query: &mut Option<Query>, first, out| {
            let vectors = a[first / each * dim..].chunks_exact(dim);
            for (vector, out) in vectors.zip(out.chunks_exact_mut(each)) {
                match query {
                    Some(query) => query.set(vector)?,
                    None => *query = Some(Query::new(Metric::Dot, ElementType::F32, dim, vector)?),
                }
                if let Some(query) = query {
                    Scorer::new(options.kernels, query, rows).score_range(RowId(0), out);
                }
                // Smaller is nearer: the kernels give the negative product.
                out.iter_mut().for_each(|value| *value = -*value);
            }
            Ok(())
        },
    )
}

/// The columns of some rows of `dim` numbers, one after the other.
fn columns(dim: usize, rows: &[f32]) -> Vec<f32> {
    let count = rows.len() / dim;
    let mut out = vec![0.0; rows.len()];
    for (r, row) in rows.chunks_exact(dim).enumerate() {
        for (c, &value) in row.iter().enumerate() {
            out[c * count + r] = value;
        }
    }
    out
}

/// The orthogonal matrix nearest to `matrix`, by the Newton-Schulz iteration (Higham, "Functions of Matrices", 2008,
/// section 8.3). `None` where `matrix` is singular, or nearly: then there is no single nearest one.
pub(super) fn orthogonal_factor(
    matrix: &Matrix,
    options: &BuildOptions<'_>,
) -> Result<Option<Matrix>, IndexError> {
    let dim = matrix.dim;
    let square: f64 = matrix.values.iter().map(|&v| f64::from(v).powi(2)).sum();
    if !(square.is_finite() && square > 0.0) {
        return Ok(None);
    }
    // The iteration converges where all singular values lie below the root of 3; the sum of squares is an upper bound.
    let scale = (1.0 / square.sqrt()) as f32;
    let mut x = matrix.clone();
    x.values.iter_mut().for_each(|value| *value *= scale);
    for _ in 0..STEPS_MAX {
        options.check_cancelled()?;
        let across = x.transposed();
        let gram = across.times_transposed(&across, options)?;
        let away: f64 = gram
            .values
            .iter()
            .enumerate()
            .map(|(at, &value)| {
                let unit = if at / dim == at % dim { 1.0 } else { 0.0 };
                (f64::from(value) - unit).powi(2)
            })
            .sum();
        if away < 1e-9 * dim as f64 {
            return Ok(Some(x));
        }
        // The Gram matrix is its own transpose.
        let mut next = x.times_transposed(&gram, options)?;
        for (next, value) in next.values.iter_mut().zip(&x.values) {
            *next = 1.5 * value - 0.5 * *next;
        }
        x = next;
    }
    Ok(None)
}

/// Eigenvalues of a symmetric matrix, descending, and its eigenvectors as rows: Jacobi's method, one-sided (Hestenes
/// 1958), which turns pairs of rows until all are at right angles.
pub(super) fn principal_directions(
    matrix: &Matrix,
    options: &BuildOptions<'_>,
) -> Result<(Vec<f64>, Matrix), IndexError> {
    let dim = matrix.dim;
    let mut work = matrix.clone();
    for _ in 0..SWEEPS_MAX {
        options.check_cancelled()?;
        let mut turned = false;
        for p in 0..dim {
            for q in p + 1..dim {
                let (low, high) = work.values.split_at_mut(q * dim);
                turned |= turn(&mut low[p * dim..(p + 1) * dim], &mut high[..dim]);
            }
        }
        if !turned {
            break;
        }
    }
    // Rows are now eigenvectors times eigenvalues.
    let lengths: Vec<f64> = (0..dim)
        .map(|i| f64::from(dot(work.row(i), work.row(i))).sqrt())
        .collect();
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| lengths[b].total_cmp(&lengths[a]).then(a.cmp(&b)));
    let mut directions = Matrix::identity(dim);
    let mut kept = 0;
    for &i in &order {
        if lengths[i] > lengths[order[0]] * 1e-5 {
            let inverse = (1.0 / lengths[i]) as f32;
            let row: Vec<f32> = work.row(i).iter().map(|value| value * inverse).collect();
            directions.set_row(kept, &row);
            kept += 1;
        }
    }
    complete(&mut directions, kept);
    Ok((order.iter().map(|&i| lengths[i]).collect(), directions))
}

/// Turns two rows until they are at right angles; whether they were not.
fn turn(p: &mut [f32], q: &mut [f32]) -> bool {
    let (pp, qq, pq) = (dot(p, p), dot(q, q), dot(p, q));
    if pq.abs() <= 1e-6 * (pp * qq).sqrt() || pq == 0.0 || !pq.is_finite() {
        return false;
    }
    let zeta = f64::from(qq - pp) / (2.0 * f64::from(pq));
    let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let (cosine, sine) = (cosine as f32, (cosine * tangent) as f32);
    for (p, q) in p.iter_mut().zip(q) {
        (*p, *q) = (cosine * *p - sine * *q, sine * *p + cosine * *q);
    }
    true
}

/// Fills up rows from `kept` on with unit vectors at right angles to all before (Gram and Schmidt, twice).
fn complete(rows: &mut Matrix, kept: usize) {
    let dim = rows.dim;
    let mut axis = 0;
    for at in 0..dim {
        let mut row = rows.row(at).to_vec();
        loop {
            if at >= kept {
                row.fill(0.0);
                row[axis % dim] = 1.0;
                axis += 1;
            }
            for _ in 0..2 {
                for before in 0..at {
                    let along = dot(rows.row(before), &row);
                    add_scaled(&mut row, -along, rows.row(before));
                }
            }
            let length = dot(&row, &row).sqrt();
            if length > 0.1 || at < kept || axis > 2 * dim {
                let inverse = 1.0 / length.max(f32::MIN_POSITIVE);
                row.iter_mut().for_each(|value| *value *= inverse);
                break;
            }
        }
        rows.set_row(at, &row);
    }
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

pub(super) fn add_scaled(sums: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn random(dim: usize, seed: u64) -> Matrix {
        let mut random = Random::new(seed);
        let values = (0..dim * dim).map(|_| random.unit() as f32 - 0.5);
        Matrix::new(dim, values.collect()).unwrap()
    }

    fn off(matrix: &Matrix) -> f32 {
        let gram = matrix
            .times_transposed(matrix, &BuildOptions::default())
            .unwrap();
        let unit = Matrix::identity(matrix.dim);
        let pairs = gram.values.iter().zip(&unit.values);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_orthogonal_factor_is_orthogonal_and_nearest() {
        let options = BuildOptions::default();
        for dim in [1, 2, 5, 40] {
            let matrix = random(dim, 3);
            let factor = orthogonal_factor(&matrix, &options).unwrap().unwrap();
            assert!(off(&factor) < 1e-3, "{dim}");
            // Nearest: factor' * matrix is symmetric.
            let symmetric = factor
                .transposed()
                .times_transposed(&matrix.transposed(), &options)
                .unwrap();
            let across = symmetric.transposed();
            let away = symmetric.values.iter().zip(&across.values);
            assert!(away.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-3);
        }
        assert!(
            orthogonal_factor(&Matrix::zero(3), &options)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn principal_directions_are_eigenvectors() {
        let options = BuildOptions::default();
        for dim in [1, 3, 24] {
            let half = random(dim, 8);
            let matrix = half.times_transposed(&half, &options).unwrap();
            let (values, directions) = principal_directions(&matrix, &options).unwrap();
            assert!(off(&directions) < 1e-3 && values.is_sorted_by(|a, b| a >= b));
            for (i, &value) in values.iter().enumerate().take(dim / 2 + 1) {
                let mut image = vec![0.0; dim];
                matrix.multiply(directions.row(i), &mut image);
                let stretched = f64::from(dot(&image, directions.row(i)));
                assert!((stretched - value).abs() < 1e-3 * values[0], "{dim}");
            }
        }
        // Where nothing varies, any right angles will do.
        let (values, directions) = principal_directions(&Matrix::zero(4), &options).unwrap();
        assert_eq!(values, [0.0; 4]);
        assert!(off(&directions) < 1e-6);
    }
}
