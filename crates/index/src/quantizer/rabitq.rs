//! RaBitQ codes of one to eight bits a number (Gao and Long, SIGMOD 2024; Gao and others, SIGMOD 2025).
//!
//! A centred, randomly rotated vector `r` becomes the point `x` of the grid `{±1/2, ±3/2, ..}` with (nearly) the largest
//! cosine to it. For any `y`, `<r, y>` is estimated by `|r|^2 / <r, x> <x, y>`: unbiased over rotations, because what of
//! `y` is at right angles to `r` has no preferred direction.
//!
//! The highest bits, the signs, are scanned; the others refine the estimates of the rows that may be near.
//!
//! Where vectors vary in few directions, the same bytes are better spent on more bits of fewer numbers: codes are then of
//! the principal directions alone (see [`super::principal`]; the idea of Yang and others, "Fast high-dimensional approximate
//! nearest neighbor search with efficient index time and space", 2024). What a vector has beside them counts in its length,
//! and its part of inner products in the bound of the error.

use super::linear::{add_scaled, dot, rows_by_rows};
use super::packed::{Packing, Shape};
use super::principal::Head;
use crate::rotation::Rotation;
use crate::{BuildOptions, IndexError};

/// Share of `|r| |y| / sqrt(D)` that is one deviation of an estimate, by bits: that of a normal distribution on a uniform
/// grid.
pub(super) const DEVIATION: [f32; 8] = [0.755, 0.367, 0.197, 0.108, 0.059, 0.032, 0.017, 0.009];
/// Cosine of a vector and its signs: the root of 2 / pi.
const SIGN_COSINE: f32 = 0.797_884_6;
/// Deviations that count as the bound of an error. See `sketch`: a row at the very threshold is lost once in 70 times.
pub(super) const DEVIATIONS: f32 = 2.2;
/// Grids tried for a vector: the largest ends at its largest number, the smallest at a third of it.
const GRIDS: usize = 17;
/// Adding and subtracting it rounds a small number to the nearest integer.
const ROUND: f32 = 12_582_912.0;

/// Codes of one rotation.
#[derive(Clone, Debug)]
pub(super) struct Rabitq {
    pub(super) bits: u32,
    pub(super) seed: u64,
    rotation: Rotation,
    /// What is coded, unless all.
    pub(super) head: Option<Head>,
}

impl Rabitq {
    /// Codes of vectors of `dim` numbers, or of their `head`, with so many bits a number.
    pub(super) fn new(dim: usize, bits: u32, seed: u64, head: Option<Head>) -> Self {
        let coded = head.as_ref().map_or(dim, Head::count);
        Self {
            bits,
            seed,
            rotation: Rotation::new(coded, seed),
            head,
        }
    }

    /// Numbers of a rotated vector.
    pub(super) fn padded(&self) -> usize {
        self.rotation.dim()
    }

    /// Levels on each side of zero.
    fn half(&self) -> usize {
        1 << (self.bits - 1)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            packing: Packing::Nibbles,
            columns: self.padded() / 4,
            halves: 2,
            factors: if self.bits > 1 { 2 } else { 0 },
            extra: (self.bits as usize - 1) * self.padded() / 8,
        }
    }

    pub(super) fn rotate(&self, vector: &[f32], out: &mut Vec<f32>) {
        out.clear();
        match &self.head {
            None => out.extend_from_slice(vector),
            Some(head) => out.extend(head.directions().map(|direction| dot(direction, vector))),
        }
        out.resize(self.padded(), 0.0);
        self.rotation.apply(out);
    }

    /// Rotates many vectors, one after the other into `out`.
    pub(super) fn rotate_all(
        &self,
        dim: usize,
        vectors: &[f32],
        out: &mut Vec<f32>,
        options: &BuildOptions<'_>,
    ) -> Result<(), IndexError> {
        let (padded, coded) = (self.padded(), self.head.as_ref().map_or(dim, Head::count));
        out.clear();
        out.resize(vectors.len() / dim * padded, 0.0);
        match &self.head {
            // Directions are as many as a rotation takes: nothing is padded.
            Some(head) if coded == padded => {
                rows_by_rows(dim, vectors, head.values(), out, options)?;
            }
            _ => {
                let mut one = Vec::new();
                for (vector, out) in vectors.chunks_exact(dim).zip(out.chunks_exact_mut(padded)) {
                    self.rotate(vector, &mut one);
                    out.copy_from_slice(&one);
                }
                return Ok(());
            }
        }
        out.chunks_exact_mut(padded)
            .for_each(|values| self.rotation.apply(values));
        Ok(())
    }

    /// Codes a rotated vector, whose squared length is `whole`, into a row of zeros. `centre`: the rotated place that it was centred on, as seen from where
    /// queries are centred; none: the same place. `product`: for inner products, not for squared distances.
    pub(super) fn encode(
        &self,
        (vector, whole): (&[f32], f32),
        centre: &[f32],
        product: bool,
        row: &mut [u8],
    ) {
        let shape = self.shape();
        let half = self.half() as f32;
        let square = dot(vector, vector);
        // Where nothing is left out they differ by rounding only.
        let whole = if self.head.is_some() { whole } else { square };
        let (step, top) = (self.best_step(vector), half - 1.0);
        let mut signs = Sums::default();
        let mut full = Sums::default();
        let (code, rest) = row.split_at_mut(shape.code_bytes());
        let planes = &mut rest[shape.factor_bytes()..];
        let plane_bytes = self.padded() / 8;
        for (i, &value) in vector.iter().enumerate() {
            let level = rounded_down(value.abs() * step).clamp(0.0, top);
            let (sign, above) = if value >= 0.0 {
                (1.0, true)
            } else {
                (-1.0, false)
            };
            let centre = centre.get(i).copied().unwrap_or(0.0);
            signs.add(0.5 * sign, value, centre);
            full.add(sign * (level + 0.5), value, centre);
            code[i / 8] |= u8::from(above) << (i % 8);
            // Below zero the levels count from the bottom.
            let level = if above { level } else { top - level } as usize;
            for (p, plane) in planes.chunks_exact_mut(plane_bytes).enumerate() {
                plane[i / 8] |= ((level >> p & 1) as u8) << (i % 8);
            }
        }
        let pairs = [
            signs.factors((square, whole), product),
            full.factors((square, whole), product),
        ];
        shape.put_factors(pairs.as_flattened(), row);
    }

    /// What to multiply with, so that the levels make the largest cosine.
    fn best_step(&self, vector: &[f32]) -> f32 {
        let largest = vector.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        let half = self.half() as f32;
        let first = half / largest;
        if self.bits == 1 || !first.is_normal() {
            return 0.0;
        }
        let mut best = (first, f32::NEG_INFINITY);
        for grid in 0..GRIDS {
            let step = first * (1.0 + grid as f32 * 0.125);
            let (mut products, mut squares) = ([0.0f32; 16], [0.0f32; 16]);
            for values in vector.as_chunks::<16>().0 {
                for i in 0..16 {
                    let value = values[i].abs();
                    let level = rounded_down((value * step).min(half - 0.5)) + 0.5;
                    products[i] += level * value;
                    squares[i] += level * level;
                }
            }
            let cosine = products.iter().sum::<f32>() / squares.iter().sum::<f32>().sqrt();
            if cosine > best.1 {
                best = (step, cosine);
            }
        }
        best.0
    }

    /// The vector of a code, still rotated.
    fn decode_rotated(&self, row: &[u8], product: bool, out: &mut Vec<f32>) {
        let shape = self.shape();
        let factors = shape.factors_of(row);
        let (code, rest) = row.split_at(shape.code_bytes());
        let planes = &rest[shape.factor_bytes()..];
        let plane_bytes = self.padded() / 8;
        let rescale = factors[shape.halves + shape.factors - 1];
        let per_code = if product { -rescale } else { -0.5 * rescale };
        // Estimates want the longer, unbiased vector, reconstruction the nearest one.
        let deviation = DEVIATION[self.bits as usize - 1];
        let length = per_code / (1.0 + deviation * deviation);
        let bit = |bytes: &[u8], i: usize| usize::from(bytes[i / 8] >> (i % 8) & 1);
        let half = self.half();
        out.clear();
        out.extend((0..self.padded()).map(|i| {
            let low = planes.chunks_exact(plane_bytes).enumerate();
            let level = low.fold(half * bit(code, i), |sum, (p, plane)| {
                sum + (bit(plane, i) << p)
            });
            length * (level as f32 - (half as f32 - 0.5))
        }));
    }

    pub(super) fn decode(&self, row: &[u8], product: bool, out: &mut [f32]) {
        let mut rotated = Vec::new();
        self.decode_rotated(row, product, &mut rotated);
        self.rotation.undo(&mut rotated);
        match &self.head {
            None => out.copy_from_slice(&rotated[..out.len()]),
            Some(head) => {
                out.fill(0.0);
                for (direction, &value) in head.directions().zip(&rotated) {
                    add_scaled(out, value, direction);
                }
            }
        }
    }

    /// For every four numbers of a rotated query the sums of those that a code of four bits picks.
    pub(super) fn tables(&self, values: &[f32], out: &mut Vec<f32>) {
        out.clear();
        for four in values.as_chunks::<4>().0 {
            let mut table = [0.0f32; 16];
            for (bit, value) in four.iter().enumerate() {
                for i in 0..1 << bit {
                    table[i + (1 << bit)] = table[i] + value;
                }
            }
            out.extend_from_slice(&table);
        }
    }

    /// `<x, y>` of a code, exactly: `signs` gives the four bits of each column, `planes` are the other bits, `tables` those
    /// of `y`, whose numbers sum to `sum`.
    pub(super) fn product(
        &self,
        signs: impl Iterator<Item = u8>,
        planes: &[u8],
        tables: &[f32],
        sum: f32,
    ) -> f32 {
        let tables = tables.as_chunks::<16>().0;
        let picked = tables.iter().zip(signs);
        let signs: f32 = picked
            .map(|(table, four)| table[usize::from(four & 15)])
            .sum();
        let half = self.half() as f32;
        let mut total = half * signs - (half - 0.5) * sum;
        for (p, plane) in planes.chunks_exact(tables.len() / 2).enumerate() {
            let (mut low, mut high) = (0.0, 0.0);
            for (pair, byte) in tables.as_chunks::<2>().0.iter().zip(plane) {
                low += pair[0][usize::from(byte & 15)];
                high += pair[1][usize::from(byte >> 4)];
            }
            total += (1u32 << p) as f32 * (low + high);
        }
        total
    }

    /// The bound of an estimate's error: of the signs alone (`bits` = 1) or of whole codes, for the sign's factor of the
    /// row and the distance of the query to the row's centre.
    pub(super) fn error(&self, bits: u32, rescale: f32, norm: f32) -> f32 {
        let deviation = DEVIATION[bits as usize - 1];
        let deviation = match &self.head {
            None => deviation,
            Some(head) => (deviation * deviation + head.tail).sqrt(),
        };
        0.5 * SIGN_COSINE * deviation * DEVIATIONS * rescale.abs() * norm
    }
}

/// The largest integer not above a small number that is not negative (nearly: of integers perhaps the one before).
#[inline]
fn rounded_down(value: f32) -> f32 {
    ((value - 0.5) + ROUND) - ROUND
}

/// What a grid point has with its vector and with the centre.
#[derive(Default)]
struct Sums {
    with_vector: f32,
    with_centre: f32,
}

impl Sums {
    #[inline]
    fn add(&mut self, x: f32, vector: f32, centre: f32) {
        self.with_vector += x * vector;
        self.with_centre += x * centre;
    }

    /// `add` and `rescale`: the estimate is `add + rescale <x, y>`, beside what the query and the centre have in common.
    /// `square`: of what is coded; `whole`: of all.
    fn factors(&self, (square, whole): (f32, f32), product: bool) -> [f32; 2] {
        let per_code = if self.with_vector > 0.0 {
            square / self.with_vector
        } else {
            0.0
        };
        match product {
            true => [0.0, -per_code],
            false => [whole + 2.0 * per_code * self.with_centre, -2.0 * per_code],
        }
    }
}
