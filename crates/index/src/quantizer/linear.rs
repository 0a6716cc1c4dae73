//! The little linear algebra that learned rotations need.

use vecdb_vector::{ElementType, Metric, Query, RowId, Scorer, VectorRows};

use crate::{BuildOptions, IndexError};

/// Rows multiplied per step of a thread.
const ROWS_PER_STEP: usize = 16;
/// Pairs of vectors multiplied at a time: their columns stay in the cache.
const PAIRS: usize = 512;
/// Steps of an iteration at most: of Newton and Schulz, and of QL for one eigenvalue (which takes about two).
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

/// Eigenvalues of a symmetric matrix, descending, and its eigenvectors as rows: Householder's reduction to three diagonals,
/// then QL steps with implicit shifts (Golub and Van Loan, "Matrix Computations", 2013, section 8.3). What is not finite has
/// the axes for eigenvectors.
pub(super) fn principal_directions(
    matrix: &Matrix,
    options: &BuildOptions<'_>,
) -> Result<(Vec<f64>, Matrix), IndexError> {
    let dim = matrix.dim;
    if !matrix.values.iter().all(|value| value.is_finite()) {
        return Ok((vec![0.0; dim], Matrix::identity(dim)));
    }
    let mut work: Vec<f64> = matrix
        .values
        .iter()
        .map(|&value| f64::from(value))
        .collect();
    let mut diagonal = vec![0.0; dim];
    // The one at `i` is between `i` and `i + 1`.
    let mut beside = vec![0.0; dim];
    let mut mirrors = Vec::new();
    for k in 0..dim {
        options.check_cancelled()?;
        diagonal[k] = work[k * dim + k];
        let (row, below) = work[k * dim..].split_at_mut(dim);
        let mut mirror = row[k + 1..].to_vec();
        let Some(&first) = mirror.first() else { break };
        let length = mirror.iter().map(|v| v * v).sum::<f64>().sqrt();
        if mirror.len() == 1 || length <= f64::MIN_POSITIVE {
            beside[k] = first;
            mirrors.push((mirror, 0.0));
            continue;
        }
        let end = -length.copysign(first);
        mirror[0] -= end;
        beside[k] = end;
        let twice = 2.0 / mirror.iter().map(|v| v * v).sum::<f64>();
        reflect(dim, k + 1, below, &mirror, twice);
        mirrors.push((mirror, twice));
    }
    let mut rows = vec![0.0f64; dim * dim];
    (0..dim).for_each(|i| rows[i * dim + i] = 1.0);
    for (k, (mirror, twice)) in mirrors.iter().enumerate().rev() {
        for row in rows[(k + 1) * dim..].chunks_exact_mut(dim) {
            let row = &mut row[k + 1..];
            let along: f64 = row.iter().zip(mirror).map(|(a, b)| a * b).sum();
            row.iter_mut()
                .zip(mirror)
                .for_each(|(value, mirror)| *value -= twice * along * mirror);
        }
    }
    let mut rows: Vec<f32> = rows.iter().map(|&value| value as f32).collect();
    for first in 0..dim {
        options.check_cancelled()?;
        for _ in 0..STEPS_MAX {
            let last = (first..dim - 1).find(|&i| {
                beside[i].abs() <= f64::EPSILON * (diagonal[i].abs() + diagonal[i + 1].abs())
            });
            let last = last.unwrap_or(dim - 1);
            if last == first {
                break;
            }
            ql_step(first, last, &mut diagonal, &mut beside, dim, &mut rows);
        }
    }
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| diagonal[b].total_cmp(&diagonal[a]).then(a.cmp(&b)));
    let mut directions = Matrix::identity(dim);
    for (at, &i) in order.iter().enumerate() {
        directions.set_row(at, &rows[i * dim..(i + 1) * dim]);
    }
    let values = order.iter().map(|&i| diagonal[i].max(0.0)).collect();
    Ok((values, directions))
}

/// `H A H` of the square block from `start` on, for `H = 1 - twice v v'`. `below`: the rows from `start` on.
fn reflect(dim: usize, start: usize, below: &mut [f64], v: &[f64], twice: f64) {
    let image: Vec<f64> = below
        .chunks_exact(dim)
        .map(|row| twice * row[start..].iter().zip(v).map(|(a, b)| a * b).sum::<f64>())
        .collect();
    let half = 0.5 * twice * image.iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
    let w: Vec<f64> = image.iter().zip(v).map(|(p, v)| p - half * v).collect();
    for ((row, &vi), &wi) in below.chunks_exact_mut(dim).zip(v).zip(&w) {
        for ((value, v), w) in row[start..].iter_mut().zip(v).zip(&w) {
            *value -= vi * w + wi * v;
        }
    }
}

/// One implicit QL step on the block from `first` to `last`; its rotations turn the rows.
fn ql_step(
    first: usize,
    last: usize,
    diagonal: &mut [f64],
    beside: &mut [f64],
    dim: usize,
    rows: &mut [f32],
) {
    let shift = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let root = shift.hypot(1.0).copysign(shift);
    let mut g = diagonal[last] - diagonal[first] + beside[first] / (shift + root);
    let (mut sine, mut cosine, mut p) = (1.0f64, 1.0f64, 0.0f64);
    for i in (first..last).rev() {
        let (f, b) = (sine * beside[i], cosine * beside[i]);
        let r = f.hypot(g);
        beside[i + 1] = r;
        if r == 0.0 {
            // The block falls apart here.
            diagonal[i + 1] -= p;
            beside[last] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = diagonal[i + 1] - p;
        let r = (diagonal[i] - g) * sine + 2.0 * cosine * b;
        p = sine * r;
        diagonal[i + 1] = g + p;
        g = cosine * r - b;
        let (low, high) = rows.split_at_mut((i + 1) * dim);
        let (sine, cosine) = (sine as f32, cosine as f32);
        for (low, high) in low[i * dim..].iter_mut().zip(&mut high[..dim]) {
            (*high, *low) = (sine * *low + cosine * *high, cosine * *low - sine * *high);
        }
    }
    diagonal[first] -= p;
    beside[first] = g;
    beside[last] = 0.0;
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
