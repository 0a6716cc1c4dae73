//! Many vectors, each to its nearest of some centroids: the inner loop of k-means and of building inverted lists.
//!
//! The nearest centroid of `x` is that of the least `|c|^2 - 2 <x, c>`: a blocked product of all centroids with a panel
//! of vectors, of which only what beats the best so far leaves the registers' neighbourhood.

use crate::Kernels;
use crate::kernels::{Candidate, Keys, Products};

use super::product::interleave;

/// Tiles of centroids multiplied before the results are compared with the best so far. The first groups are small,
/// so that a good threshold is there early.
const TILES_MAX: usize = 8;

/// The nearest centroid of a vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Number of the centroid; of equally near ones the smallest.
    pub centroid: u32,
    /// Squared Euclidean distance, rounded in single precision.
    pub distance: f32,
}

/// Centroids laid out for finding the nearest one of many vectors at a time, by squared Euclidean distance.
#[derive(Clone)]
pub struct Centroids {
    products: Products,
    dim: usize,
    values: Vec<f32>,
    /// In tiles of `[depth][centroids of a tile]`, the last filled up with zeros.
    packed: Vec<f32>,
    /// Squared norms.
    offsets: Vec<f32>,
    factors: Vec<f32>,
}

impl Centroids {
    /// `values`: the centroids, `dim` numbers each.
    ///
    /// # Panics
    /// When `values` is no whole number of centroids, or there is none.
    pub fn new(kernels: Kernels, dim: usize, values: Vec<f32>) -> Self {
        assert!(
            dim > 0 && !values.is_empty() && values.len().is_multiple_of(dim),
            "{} numbers are no centroids of {dim}",
            values.len()
        );
        let products = kernels.products();
        let count = values.len() / dim;
        let tile = products.tile_rows;
        let mut packed = vec![0.0; count.next_multiple_of(tile) * dim];
        let mut offsets = Vec::with_capacity(count);
        for (c, centroid) in values.chunks_exact(dim).enumerate() {
            let into = &mut packed[(c / tile) * tile * dim..][..tile * dim];
            interleave(centroid, c % tile, tile, into);
            offsets.push(square(centroid));
        }
        Self {
            products,
            dim,
            values,
            packed,
            offsets,
            factors: vec![-2.0; count],
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Never: [`Centroids::new`] refuses none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Numbers of each.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The centroids, one after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The centroids, handed back.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The nearest centroid of each of `vectors`.
    ///
    /// The answer for a vector does not depend on the others. Between centroids that single precision cannot tell apart
    /// either may be taken.
    ///
    /// # Panics
    /// When `vectors` does not hold `out.len()` vectors.
    pub fn nearest(&self, vectors: &[f32], out: &mut [Nearest]) {
        assert_eq!(vectors.len(), out.len() * self.dim, "numbers of vectors");
        let width = self.products.panel_queries;
        let mut work = Work {
            panel: vec![0.0; width * self.dim],
            zeros: vec![0.0; width],
            best: vec![f32::INFINITY; width],
            products: vec![0.0; TILES_MAX * self.products.tile_rows * width],
            candidates: Vec::new(),
        };
        let panels = vectors.chunks(width * self.dim);
        for (vectors, out) in panels.zip(out.chunks_mut(width)) {
            self.panel(vectors, out, &mut work);
        }
    }

    fn panel(&self, vectors: &[f32], out: &mut [Nearest], work: &mut Work) {
        let width = self.products.panel_queries;
        for (v, vector) in vectors.chunks_exact(self.dim).enumerate() {
            interleave(vector, v, width, &mut work.panel);
        }
        work.best.fill(f32::INFINITY);
        // The rest of the last panel: nothing is at most minus infinity.
        work.best[out.len()..].fill(f32::NEG_INFINITY);
        out.fill(Nearest {
            centroid: u32::MAX,
            distance: f32::INFINITY,
        });
        let tile = self.products.tile_rows;
        let (mut first, mut tiles) = (0, 1);
        while first < self.len() {
            let end = (first + tiles * tile).min(self.len());
            let padded = (end - first).next_multiple_of(tile);
            let products = &mut work.products[..padded * width];
            let packed = &self.packed[first * self.dim..(first + padded) * self.dim];
            self.products
                .multiply(self.dim, packed, &work.panel, products);
            let keys = Keys {
                row_offsets: &self.offsets[first..end],
                row_factors: &self.factors[first..end],
                query_offsets: &work.zeros,
                thresholds: &work.best,
            };
            work.candidates.clear();
            self.products.select(&keys, products, &mut work.candidates);
            for &Candidate { row, query } in &work.candidates {
                let (row, query) = (row as usize, query as usize);
                let key =
                    (-2.0f32).mul_add(products[row * width + query], self.offsets[first + row]);
                if key < work.best[query] {
                    work.best[query] = key;
                    out[query].centroid = (first + row) as u32;
                }
            }
            first = end;
            tiles = (tiles * 2).min(TILES_MAX);
        }
        for ((out, vector), key) in out
            .iter_mut()
            .zip(vectors.chunks_exact(self.dim))
            .zip(&work.best)
        {
            let distance = (square(vector) + key).max(0.0);
            *out = match out.centroid {
                u32::MAX => self.nearest_in_double(vector),
                _ if !distance.is_finite() => self.nearest_in_double(vector),
                centroid => Nearest { centroid, distance },
            };
        }
    }

    /// For numbers whose products single precision cannot hold.
    #[cold]
    fn nearest_in_double(&self, vector: &[f32]) -> Nearest {
        let mut best = (0, f64::INFINITY);
        for (c, centroid) in self.values.chunks_exact(self.dim).enumerate() {
            let square: f64 = vector
                .iter()
                .zip(centroid)
                .map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2))
                .sum();
            if square < best.1 {
                best = (c as u32, square);
            }
        }
        Nearest {
            centroid: best.0,
            distance: (best.1 as f32).min(f32::MAX),
        }
    }
}

impl std::fmt::Debug for Centroids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Centroids({} x {})", self.len(), self.dim)
    }
}

/// The buffers of one call.
struct Work {
    panel: Vec<f32>,
    zeros: Vec<f32>,
    best: Vec<f32>,
    products: Vec<f32>,
    candidates: Vec<Candidate>,
}

fn square(values: &[f32]) -> f32 {
    super::product::square(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            })
            .collect()
    }

    fn distance(x: &[f32], y: &[f32]) -> f64 {
        let pairs = x.iter().zip(y);
        pairs
            .map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2))
            .sum()
    }

    #[test]
    fn finds_what_double_precision_finds() {
        for kernels in Kernels::available() {
            for (dim, count, vectors) in [
                (1, 1, 3),
                (3, 5, 70),
                (16, 129, 200),
                (300, 40, 61),
                (784, 17, 5),
            ] {
                let centroids = Centroids::new(kernels, dim, numbers(1, dim * count));
                let vectors = numbers(2, dim * vectors);
                let mut out = vec![
                    Nearest {
                        centroid: 0,
                        distance: 0.0
                    };
                    vectors.len() / dim
                ];
                centroids.nearest(&vectors, &mut out);
                for (vector, found) in vectors.chunks_exact(dim).zip(&out) {
                    let all = centroids
                        .values()
                        .chunks_exact(dim)
                        .map(|c| distance(vector, c));
                    let least = all.fold(f64::INFINITY, f64::min);
                    let at = found.centroid as usize * dim;
                    let taken = distance(vector, &centroids.values()[at..at + dim]);
                    let slack = 1e-5 * (1.0 + dim as f64 * 0.1);
                    assert!(
                        taken <= least + slack,
                        "{kernels:?} {dim} x {count}: {taken} > {least}"
                    );
                    assert!(
                        (f64::from(found.distance) - taken).abs() <= slack,
                        "{kernels:?} {dim}"
                    );
                }
            }
        }
    }

    #[test]
    fn of_equals_the_first_is_taken() {
        for kernels in Kernels::available() {
            let centroids = Centroids::new(kernels, 2, [1.0, 1.0].repeat(50));
            let mut out = [Nearest {
                centroid: 9,
                distance: 9.0,
            }; 3];
            centroids.nearest(&[1.0, 1.0, 0.0, 1.0, 5.0, 5.0], &mut out);
            assert!(out.iter().all(|found| found.centroid == 0), "{out:?}");
            assert_eq!(out.map(|found| found.distance), [0.0, 1.0, 32.0]);
        }
    }

    #[test]
    fn numbers_beyond_single_precision_have_a_nearest_too() {
        let huge = 3e30f32;
        for kernels in Kernels::available() {
            let centroids = Centroids::new(kernels, 2, vec![0.0, 0.0, huge, huge, -huge, 0.0]);
            let mut out = [Nearest {
                centroid: 9,
                distance: 9.0,
            }; 2];
            centroids.nearest(&[huge, huge, -huge, -1.0], &mut out);
            assert_eq!(out.map(|found| found.centroid), [1, 2], "{kernels:?}");
        }
    }
}
