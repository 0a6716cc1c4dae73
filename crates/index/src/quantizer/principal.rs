//! Which principal directions of vectors RaBitQ codes, and with how many bits each.
//!
//! `bits` times `dimensions` is given. Fewer directions with more bits lose less where vectors vary in few directions, until
//! what is left out matters more than what is rounded. Both are measured on near pairs of a sample, since it is near rows
//! that have to be told apart: an inner product has the variance `deviation^2 |x|^2 |y|^2 / dimensions` by rounding (Gao and
//! Long, SIGMOD 2024, theorem 3.2), and that of what lies in the directions left out.

use vecdb_vector::{Metric, VectorRows, scan_batch};

use super::linear::{Matrix, dot, principal_directions, rows_by_rows};
use super::rabitq::DEVIATION;
use crate::{BuildOptions, IndexError};

/// Directions are learned from so many vectors at most, and from no fewer than so many times the dimensions.
const VECTORS_MAX: usize = 16_384;
const VECTORS_PER_DIM: usize = 4;
/// A sample in which near pairs are looked for: vectors, those of them whose neighbours are found, neighbours.
const SAMPLE: usize = 8_192;
const QUERIES: usize = 128;
const NEIGHBORS: usize = 32;
/// What is left out is the same sign for all near rows, and not for others: it costs more than its variance among them.
const LEFT_OUT_COUNTS: f64 = 2.0;
/// Directions pay where they leave no more than this part of the variance.
const PAYS: f64 = 0.9;
/// Rotations take whole words.
const WORD: usize = 64;

/// The principal directions that are coded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    dim: usize,
    /// One after the other, `dim` numbers each.
    values: Vec<f32>,
    /// Squared deviation of an inner product by what is left out, in the units of a code's own
    /// (`|x|^2 |y|^2 / dimensions`).
    pub(super) tail: f32,
}

impl Head {
    /// `None` if these are not some directions of `dim` numbers.
    pub(super) fn new(dim: usize, values: Vec<f32>, tail: f32) -> Option<Self> {
        let fits = values.len().is_multiple_of(dim) && (1..=dim).contains(&(values.len() / dim));
        (fits && tail >= 0.0).then_some(Self { dim, values, tail })
    }

    pub(super) fn count(&self) -> usize {
        self.values.len() / self.dim
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(super) fn directions(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim)
    }
}

/// Bits a number and the directions to code, for centred vectors and the bytes of so many bits of each dimension.
pub(super) fn learn(
    (dim, bits): (usize, u32),
    vectors: &[f32],
    options: &BuildOptions<'_>,
) -> Result<(u32, Option<Head>), IndexError> {
    let choices = choices(dim, bits);
    if choices.len() < 2 || vectors.len() < VECTORS_PER_DIM * dim * dim {
        return Ok((bits, None));
    }
    let learned = &vectors[..vectors.len().min(VECTORS_MAX * dim)];
    let covariance = Matrix::cross(dim, learned, learned, options)?;
    let (_, directions) = principal_directions(&covariance, options)?;
    let pairs = Pairs::find(dim, vectors, &directions, options)?;
    let mut best = None::<(f64, u32, usize, f64)>;
    for (bits, count) in choices {
        let (rounded, left_out) = pairs.losses(count);
        let deviation = f64::from(DEVIATION[bits as usize - 1]);
        let cost = deviation * deviation * rounded + LEFT_OUT_COUNTS * left_out;
        // The first leaves nothing out.
        let least = best.map_or(f64::INFINITY, |(least, _, chosen, _)| {
            if chosen >= dim { PAYS * least } else { least }
        });
        if cost < least {
            let tail = if rounded > 0.0 {
                left_out / rounded
            } else {
                0.0
            };
            best = Some((cost, bits, count, tail));
        }
    }
    Ok(match best {
        Some((_, chosen, count, tail)) if count < dim => {
            let values = directions.values()[..count * dim].to_vec();
            (chosen, Head::new(dim, values, tail as f32))
        }
        _ => (bits, None),
    })
}

/// Bits and directions that take no more bytes, all directions first.
fn choices(dim: usize, bits: u32) -> Vec<(u32, usize)> {
    let padded = dim.next_multiple_of(WORD);
    let fewer = (bits + 1..=DEVIATION.len() as u32)
        .map(|more| (more, padded * bits as usize / more as usize / WORD * WORD))
        .filter(|&(_, count)| count > 0 && count < dim);
    std::iter::once((bits, padded)).chain(fewer).collect()
}

/// Vectors along principal directions, and which are near to which.
struct Pairs {
    dim: usize,
    turned: Vec<f32>,
    near: Vec<Vec<usize>>,
}

impl Pairs {
    fn find(
        dim: usize,
        vectors: &[f32],
        directions: &Matrix,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let sample = &vectors[..vectors.len().min(SAMPLE * dim)];
        let rows = VectorRows::from_f32(dim, sample)?;
        let asked = &sample[..sample.len().min(QUERIES * dim)];
        let queries = VectorRows::from_f32(dim, asked)?;
        let found = scan_batch(
            options.kernels,
            Metric::L2,
            queries,
            rows,
            None,
            NEIGHBORS + 1,
            options.threads,
        );
        let mut turned = vec![0.0; sample.len()];
        rows_by_rows(dim, sample, directions.values(), &mut turned, options)?;
        let near = found.iter().enumerate().map(|(query, found)| {
            let others = found.iter().map(|neighbor| neighbor.row.index());
            others.filter(|&row| row != query).collect()
        });
        Ok(Self {
            dim,
            turned,
            near: near.collect(),
        })
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.turned[row * self.dim..(row + 1) * self.dim]
    }

    /// With `count` directions: the mean of `|x|^2 |y|^2 / count` of what they hold, and the variance of inner products of
    /// what they leave out, among the neighbours of one vector.
    fn losses(&self, count: usize) -> (f64, f64) {
        let kept = count.min(self.dim);
        let (mut rounded, mut left_out, mut pairs) = (0.0, 0.0, 0usize);
        for (query, near) in self.near.iter().enumerate() {
            let (y, y_rest) = self.row(query).split_at(kept);
            let square = f64::from(dot(y, y));
            let (mut sum, mut squares) = (0.0, 0.0);
            for &row in near {
                let (x, x_rest) = self.row(row).split_at(kept);
                rounded += square * f64::from(dot(x, x));
                let rest = f64::from(dot(x_rest, y_rest));
                sum += rest;
                squares += rest * rest;
            }
            let number = near.len().max(1) as f64;
            left_out += (squares - sum * sum / number).max(0.0);
            pairs += near.len();
        }
        let pairs = pairs.max(1) as f64;
        (rounded / pairs / count as f64, left_out / pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Vectors whose numbers shrink from one dimension to the next.
    fn vectors(dim: usize, rows: usize, shrink: f64) -> Vec<f32> {
        let mut random = Random::new(9);
        let numbers = (0..rows * dim).map(|i| {
            let spread = shrink.powi((i % dim) as i32);
            // About normal.
            let sum: f64 = (0..4).map(|_| random.unit() - 0.5).sum();
            (sum * spread) as f32
        });
        numbers.collect()
    }

    #[test]
    fn bytes_go_to_the_directions_that_vary() {
        let options = BuildOptions::default();
        let narrow = vectors(256, 2_048, 0.96);
        let (bits, head) = learn((256, 1), &narrow, &options).unwrap();
        let head = head.expect("fewer directions do");
        assert!(bits >= 2 && head.count() * bits as usize <= 256, "{bits}");
        // The directions are the first dimensions, nearly.
        let first = head.directions().next().unwrap();
        assert!(first[0].abs() > 0.9, "{}", first[0]);
        assert!(head.tail < 0.1, "{}", head.tail);

        let round = vectors(256, 2_048, 1.0);
        assert_eq!(learn((256, 1), &round, &options).unwrap(), (1, None));
        let few = vectors(256, 500, 0.96);
        assert_eq!(learn((256, 1), &few, &options).unwrap(), (1, None));
        let alike = vec![0.0; 2_048 * 256];
        assert_eq!(learn((256, 2), &alike, &options).unwrap(), (2, None));
    }

    #[test]
    fn no_choice_takes_more_bytes() {
        for dim in [1usize, 64, 100, 128, 784] {
            for bits in 1..=8 {
                let budget = dim.next_multiple_of(WORD) * bits as usize;
                for (bits, count) in choices(dim, bits) {
                    assert!(bits as usize * count <= budget && bits <= 8);
                }
            }
        }
        assert_eq!(choices(128, 1), [(1, 128), (2, 64)]);
    }
}
