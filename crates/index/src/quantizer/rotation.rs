//! The rotation of optimized product quantization (Ge, He, Ke and Sun, CVPR 2013).
//!
//! Start: principal directions, dealt to the segments so that the product of variances is about the same in each (section
//! 3.2.2, eigenvalue allocation). Then in turns (section 3.1): books for the rotation, and the rotation that brings the
//! vectors nearest to what the books make of them (the orthogonal Procrustes problem).

use super::linear::{Matrix, orthogonal_factor, principal_directions, rows_by_rows};
use super::product::Product;
use crate::{BuildOptions, IndexError};

/// Turns of books and rotation. More gain little: on the sets tried the error falls by less than 0.5 % after these.
const ROUNDS: usize = 8;
/// Iterations of k-means in a turn.
const ITERATIONS: u32 = 4;
/// Vectors learned from, at most.
pub(super) const VECTORS_MAX: usize = 16_384;

/// An orthogonal matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LearnedRotation(pub(super) Matrix);

impl LearnedRotation {
    /// Learns it from some of `vectors`, for books of `segments` segments.
    pub(super) fn learn(
        (dim, segments, bits): (usize, usize, u32),
        vectors: &[f32],
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let vectors = &vectors[..vectors.len().min(VECTORS_MAX * dim)];
        if vectors.is_empty() {
            return Ok(Self(Matrix::identity(dim)));
        }
        let mut rotation = Self(allocate(dim, segments, vectors, options)?);
        let mut turned = vec![0.0; vectors.len()];
        for _ in 0..ROUNDS {
            options.check_cancelled()?;
            rotation.apply_all(vectors, &mut turned, options)?;
            let sizes = (dim, segments, bits);
            let product = Product::train(sizes, &turned, (ITERATIONS, seed), options)?;
            let each = product.shape(0).code_bytes();
            options.for_each_chunk(
                &mut turned,
                512 * dim,
                || (product.encoder(options), Vec::new()),
                |(encoder, codes): &mut (_, Vec<u8>), _, turned| {
                    codes.clear();
                    codes.resize(turned.len() / dim * each, 0);
                    encoder.encode(turned, codes, each);
                    for (code, vector) in codes.chunks_exact(each).zip(turned.chunks_exact_mut(dim))
                    {
                        product.decode(code, vector);
                    }
                    Ok(())
                },
            )?;
            // R minimises the sum of |R x - y|^2: the orthogonal factor of the sum of y x'.
            let products = Matrix::cross(dim, &turned, vectors, options)?;
            match orthogonal_factor(&products, options)? {
                Some(better) => rotation = Self(better),
                None => break,
            }
        }
        Ok(rotation)
    }

    /// `out` = the rotated vector.
    pub(super) fn apply(&self, vector: &[f32], out: &mut [f32]) {
        self.0.multiply(vector, out);
    }

    /// Turns back.
    pub(super) fn undo(&self, vector: &[f32], out: &mut [f32]) {
        self.0.multiply_transposed(vector, out);
    }

    /// All of `vectors`, rotated.
    pub(super) fn apply_all(
        &self,
        vectors: &[f32],
        out: &mut [f32],
        options: &BuildOptions<'_>,
    ) -> Result<(), IndexError> {
        rows_by_rows(self.0.dim(), vectors, self.0.values(), out, options)
    }
}

/// Principal directions as rows, dealt to segments: the largest variance left goes to the segment with the smallest
/// product so far that has room.
fn allocate(
    dim: usize,
    segments: usize,
    vectors: &[f32],
    options: &BuildOptions<'_>,
) -> Result<Matrix, IndexError> {
    let covariance = Matrix::cross(dim, vectors, vectors, options)?;
    let (variances, directions) = principal_directions(&covariance, options)?;
    let largest = variances
        .first()
        .copied()
        .unwrap_or(0.0)
        .max(f64::MIN_POSITIVE);
    let starts: Vec<usize> = (0..=segments).map(|s| s * dim / segments).collect();
    let mut filled = vec![0usize; segments];
    let mut logs = vec![0.0f64; segments];
    let mut rows = Matrix::identity(dim);
    for (direction, variance) in variances.iter().enumerate() {
        let open = (0..segments).filter(|&s| filled[s] < starts[s + 1] - starts[s]);
        let Some(segment) = open.min_by(|&a, &b| logs[a].total_cmp(&logs[b])) else {
            break;
        };
        rows.set_row(starts[segment] + filled[segment], directions.row(direction));
        filled[segment] += 1;
        // On one scale for all, so that what hardly varies does not count as less than nothing.
        logs[segment] += (variance / largest).max(1e-12).ln() + 30.0;
    }
    Ok(rows)
}
