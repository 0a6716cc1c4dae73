//! A random rotation in `O(D log D)`: four rounds of random signs, a fast Hadamard transform of the first or the last
//! power of two of coordinates, and a butterfly between the halves (the form of the RaBitQ library). One round alone
//! leaves visible structure on sparse rows.

use vecdb_vector::{Kernels, Work};

use crate::random::Random;

/// Rounds; each has its own signs.
const ROUNDS: usize = 4;
/// The dimension is padded to whole 64-bit words of signs.
const WORD_BITS: usize = 64;
/// Numbers whose stages are done apart from the others, in registers.
const LANES: usize = 16;

/// A rotation of vectors of a multiple of 64 numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    dim: usize,
    /// Numbers that a transform mixes: the largest power of two up to `dim`.
    block: usize,
    /// Per round and coordinate: a random sign, times the scale that keeps lengths.
    factors: Vec<f32>,
}

impl Rotation {
    /// The rotation of a seed, for vectors of at least `dim` numbers, padded with zeros.
    pub(crate) fn new(dim: usize, seed: u64) -> Self {
        let dim = dim.max(1).next_multiple_of(WORD_BITS);
        let block = 1usize << dim.ilog2();
        let in_block = 1.0 / (block as f32).sqrt();
        let butterfly = if block == dim {
            1.0
        } else {
            std::f32::consts::FRAC_1_SQRT_2
        };
        let mut random = Random::new(seed);
        let factors = (0..ROUNDS)
            .flat_map(|round| (0..dim).map(move |i| (round, i)))
            .map(|(round, i)| {
                let mixed = block_range(round, block, dim).contains(&i);
                let scale = if mixed { in_block } else { 1.0 } * butterfly;
                if random.bits() >> 63 == 0 {
                    scale
                } else {
                    -scale
                }
            })
            .collect();
        Self {
            dim,
            block,
            factors,
        }
    }

    /// Numbers of a rotated vector, a multiple of 64.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.factors.len() * 4
    }

    /// Rotates in place; `values` has [`Rotation::dim`] numbers.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        Kernels::detect().call(Apply(self, values));
    }

    /// [`Rotation::apply`], for use inside of other [`Work`].
    #[inline(always)]
    pub(crate) fn apply_inlined(&self, values: &mut [f32]) {
        for (round, factors) in self.factors.chunks_exact(self.dim).enumerate() {
            for (value, factor) in values.iter_mut().zip(factors) {
                *value *= factor;
            }
            hadamard(&mut values[block_range(round, self.block, self.dim)]);
            if self.block < self.dim {
                let (low, high) = values.split_at_mut(self.dim / 2);
                butterfly(low, high);
            }
        }
    }

    /// Undoes [`Rotation::apply`].
    pub(crate) fn undo(&self, values: &mut [f32]) {
        for (round, factors) in self.factors.chunks_exact(self.dim).enumerate().rev() {
            if self.block < self.dim {
                let (low, high) = values.split_at_mut(self.dim / 2);
                butterfly(low, high);
            }
            hadamard(&mut values[block_range(round, self.block, self.dim)]);
            for (value, factor) in values.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }
}

struct Apply<'a>(&'a Rotation, &'a mut [f32]);

impl Work for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.apply_inlined(self.1);
    }
}

/// The coordinates that the transform of a round mixes: the first ones and the last ones in turn.
#[inline(always)]
fn block_range(round: usize, block: usize, dim: usize) -> std::ops::Range<usize> {
    if round.is_multiple_of(2) {
        0..block
    } else {
        dim - block..dim
    }
}

/// The fast Hadamard transform without its scale; the length is a power of two of at least 64.
#[inline(always)]
fn hadamard(values: &mut [f32]) {
    // Two stages at a time: half the loads and stores.
    for v in values.as_chunks_mut::<4>().0 {
        *v = two_stages(*v);
    }
    for lanes in values.as_chunks_mut::<LANES>().0 {
        let mut mixed = [0.0; LANES];
        for i in 0..4 {
            let [a, b, c, d] = two_stages([lanes[i], lanes[4 + i], lanes[8 + i], lanes[12 + i]]);
            (mixed[i], mixed[4 + i], mixed[8 + i], mixed[12 + i]) = (a, b, c, d);
        }
        *lanes = mixed;
    }
    let mut half = LANES;
    while half * 4 <= values.len() {
        for part in values.chunks_exact_mut(half * 4) {
            let (a, rest) = part.split_at_mut(half);
            let (b, rest) = rest.split_at_mut(half);
            let (c, d) = rest.split_at_mut(half);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                [*a, *b, *c, *d] = two_stages([*a, *b, *c, *d]);
            }
        }
        half *= 4;
    }
    if half * 2 <= values.len() {
        let (low, high) = values.split_at_mut(half);
        butterfly(low, high);
    }
}

#[inline(always)]
fn two_stages([a, b, c, d]: [f32; 4]) -> [f32; 4] {
    let (ab, ba, cd, dc) = (a + b, a - b, c + d, c - d);
    [ab + cd, ba + dc, ab - cd, ba - dc]
}

#[inline(always)]
fn butterfly(low: &mut [f32], high: &mut [f32]) {
    for (a, b) in low.iter_mut().zip(high) {
        (*a, *b) = (*a + *b, *a - *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    }

    #[test]
    fn the_transform_is_that_of_the_definition() {
        // Entry (i, j) of the matrix of Hadamard is -1 to the number of ones in i AND j.
        for length in [64usize, 128, 256, 512] {
            let values: Vec<f32> = (0..length).map(|i| ((i * 37) % 11) as f32 - 4.0).collect();
            let mut mixed = values.clone();
            hadamard(&mut mixed);
            for (i, mixed) in mixed.iter().enumerate() {
                let term = |(j, x): (usize, &f32)| {
                    if (i & j).count_ones() % 2 == 0 {
                        *x
                    } else {
                        -x
                    }
                };
                let sum: f32 = values.iter().enumerate().map(term).sum();
                assert_eq!(*mixed, sum, "number {i} of {length}");
            }
        }
    }

    #[test]
    fn lengths_and_angles_are_kept() {
        for dim in [1, 63, 64, 65, 100, 128, 200, 384, 784, 1000, 1536, 2000] {
            let rotation = Rotation::new(dim, 5);
            assert!(rotation.dim() >= dim && rotation.dim() < dim + 64);
            let mut random = Random::new(dim as u64);
            let mut vector = || -> Vec<f32> {
                let unit = |_| (random.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0;
                (0..rotation.dim()).map(unit).collect()
            };
            let (mut a, mut b) = (vector(), vector());
            let before = [dot(&a, &a), dot(&b, &b), dot(&a, &b)];
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            for (before, after) in before
                .into_iter()
                .zip([dot(&a, &a), dot(&b, &b), dot(&a, &b)])
            {
                assert!(
                    (before - after).abs() < 1e-5 * rotation.dim() as f64,
                    "dim {dim}: {before} became {after}"
                );
            }
        }
    }

    #[test]
    fn what_is_undone_was_not_done() {
        for dim in [1, 64, 100, 128, 200, 784, 1000, 1536] {
            let rotation = Rotation::new(dim, 9);
            let mut random = Random::new(dim as u64);
            let values: Vec<f32> = (0..rotation.dim())
                .map(|_| random.unit() as f32 - 0.5)
                .collect();
            let mut turned = values.clone();
            rotation.apply(&mut turned);
            rotation.undo(&mut turned);
            for (before, after) in values.iter().zip(&turned) {
                assert!(
                    (before - after).abs() < 1e-5,
                    "dim {dim}: {before} became {after}"
                );
            }
        }
    }

    #[test]
    fn one_number_spreads_over_all() {
        let rotation = Rotation::new(784, 5);
        for at in [0, 400, 831] {
            let mut values = vec![0.0; rotation.dim()];
            values[at] = 1.0;
            rotation.apply(&mut values);
            let largest = values.iter().fold(0.0f32, |max, v| max.max(v.abs()));
            assert!(
                largest < 0.25,
                "coordinate {at} left {largest} in one place"
            );
        }
    }
}
