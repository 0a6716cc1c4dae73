//! A random rotation in `O(D log D)`: four rounds of random signs, a fast Hadamard transform of the first or the last
//! power of two of coordinates, and a butterfly between the halves (the form of the RaBitQ library). One round alone
//! leaves visible structure on sparse rows.

use crate::random::Random;

/// Rounds; each has its own signs.
const ROUNDS: usize = 4;
/// The dimension is padded to whole 64-bit words of signs.
const WORD_BITS: usize = 64;
/// Values that a step of the transform handles at once, in registers.
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
            let mixed = &mut values[block_range(round, self.block, self.dim)];
            hadamard_across(mixed);
            for lanes in mixed.as_chunks_mut::<LANES>().0 {
                *lanes = within_lanes_transposed(*lanes);
            }
            for (value, factor) in values.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }
}

/// The coordinates that the transform of a round mixes: the first ones and the last ones in turn.
fn block_range(round: usize, block: usize, dim: usize) -> std::ops::Range<usize> {
    if round.is_multiple_of(2) {
        0..block
    } else {
        dim - block..dim
    }
}

/// The fast Hadamard transform without its scale; the length is a power of two of at least 64.
fn hadamard(values: &mut [f32]) {
    for lanes in values.as_chunks_mut::<LANES>().0 {
        *lanes = within_lanes(*lanes);
    }
    hadamard_across(values);
}

/// The stages that mix numbers at least [`LANES`] apart. Each is its own transpose.
fn hadamard_across(values: &mut [f32]) {
    let mut half = LANES;
    // Two stages at a time: half the loads and stores.
    while half * 4 <= values.len() {
        for part in values.chunks_exact_mut(half * 4) {
            let (a, rest) = part.split_at_mut(half);
            let (b, rest) = rest.split_at_mut(half);
            let (c, d) = rest.split_at_mut(half);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (ab, ba) = (*a + *b, *a - *b);
                let (cd, dc) = (*c + *d, *c - *d);
                (*a, *b, *c, *d) = (ab + cd, ba + dc, ab - cd, ba - dc);
            }
        }
        half *= 4;
    }
    if half * 2 <= values.len() {
        let (low, high) = values.split_at_mut(half);
        butterfly(low, high);
    }
}

/// The stages that mix neighbours less than [`LANES`] apart.
#[inline]
fn within_lanes(mut v: [f32; LANES]) -> [f32; LANES] {
    let mut half = 1;
    while half < LANES {
        let mut next = [0.0; LANES];
        for i in 0..LANES / 2 {
            // The order of results is a permutation of the usual one: still a Hadamard matrix.
            next[i] = v[2 * i] + v[2 * i + 1];
            next[i + LANES / 2] = v[2 * i] - v[2 * i + 1];
        }
        v = next;
        half *= 2;
    }
    v
}

fn within_lanes_transposed(mut v: [f32; LANES]) -> [f32; LANES] {
    let mut half = 1;
    while half < LANES {
        let mut next = [0.0; LANES];
        for i in 0..LANES / 2 {
            next[2 * i] = v[i] + v[i + LANES / 2];
            next[2 * i + 1] = v[i] - v[i + LANES / 2];
        }
        v = next;
        half *= 2;
    }
    v
}

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
