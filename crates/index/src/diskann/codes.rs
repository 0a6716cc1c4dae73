//! What stands for a row in memory: product quantization (Jégou, Douze and Schmid, PAMI 2011).
//!
//! A vector is cut into as many pieces as a code has bytes; each byte names the nearest of up to 256 centroids of its
//! piece. A query makes one table of its distances to all centroids, and the distance of a row is a sum of look-ups.

use vecdb_vector::{Centroids, Metric, Nearest, RowId, VectorRows};

use super::section::CODES;
use crate::column::Column;
use crate::kmeans::{self, KMeansParams, normalise, read_row, sample};
use crate::{BuildOptions, IndexError};

/// Centroids of a piece: what a byte can name.
pub(super) const CENTROIDS: usize = 256;
/// Rows that the centroids are learned from, at most.
pub(super) const TRAINING_ROWS: usize = 16_384;
const ITERATIONS: u32 = 10;
/// Rows coded per step of a thread.
const BLOCK: usize = 256;

/// How codes see a metric: cosine and Jaccard as directions, Hamming as the squared distance that it is over bits.
pub(super) fn code_metric(metric: Metric) -> Metric {
    match metric {
        Metric::Cosine | Metric::Jaccard => Metric::Cosine,
        Metric::L2 | Metric::Hamming => Metric::L2,
        other => other,
    }
}

/// How many times a rank value the distance by codes is, where the one follows the other.
pub(super) fn scale(metric: Metric) -> Option<f32> {
    match metric {
        Metric::Cosine => Some(2.0),
        Metric::Jaccard => None,
        Metric::L2 | Metric::Dot | Metric::L1 | Metric::Hamming => Some(1.0),
    }
}

/// Where each piece of a vector begins; one more at the end.
fn piece_bounds(dim: usize, pieces: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..pieces).map(move |piece| piece * dim / pieces..(piece + 1) * dim / pieces)
}

/// Centroids of all pieces: of each number of a vector, in turn, the values that its piece's 256 centroids have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Codebook {
    metric: Metric,
    dim: usize,
    pieces: usize,
    values: Vec<f32>,
}

impl Codebook {
    pub(super) fn train(
        metric: Metric,
        rows: VectorRows<'_>,
        pieces: usize,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let metric = code_metric(metric);
        let vectors = sample(metric, rows, TRAINING_ROWS, seed, options)?;
        Self::learn(metric, rows.dim(), &vectors, pieces, seed, options)
    }

    /// From vectors as [`sample`] reads them.
    pub(super) fn learn(
        metric: Metric,
        dim: usize,
        vectors: &[f32],
        pieces: usize,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let count = vectors.len() / dim.max(1);
        let mut values = vec![0.0; dim * CENTROIDS];
        let quiet = BuildOptions {
            progress: &crate::Silent,
            ..*options
        };
        for (piece, bounds) in piece_bounds(dim, pieces).enumerate() {
            if count == 0 {
                break;
            }
            options.check_cancelled()?;
            let width = bounds.len();
            let parts = vectors.chunks_exact(dim);
            let parts: Vec<f32> = parts.flat_map(|v| &v[bounds.clone()]).copied().collect();
            let params = KMeansParams {
                iterations: ITERATIONS,
                seeding: kmeans::Seeding::Random,
                seed: seed ^ (piece as u64) << 32,
                ..KMeansParams::new(CENTROIDS.min(count))
            };
            let learned = kmeans::train(width, parts, &params, &quiet)?.centroids;
            let learned = learned.values();
            for (number, out) in values[bounds.start * CENTROIDS..bounds.end * CENTROIDS]
                .chunks_exact_mut(CENTROIDS)
                .enumerate()
            {
                // With fewer centroids than names, the names left over mean the last one too.
                let last = learned.len() / width - 1;
                for (centroid, out) in out.iter_mut().enumerate() {
                    *out = learned[centroid.min(last) * width + number];
                }
            }
        }
        Ok(Self {
            metric,
            dim,
            pieces,
            values,
        })
    }

    pub(super) fn code_bytes(&self) -> usize {
        self.pieces
    }

    /// The codes of all rows, in the order of `rows_at`.
    pub(super) fn encode(
        &self,
        rows: VectorRows<'_>,
        rows_at: &[u32],
        options: &BuildOptions<'_>,
    ) -> Result<Vec<u8>, IndexError> {
        let mut codes = vec![0u8; rows_at.len() * self.pieces];
        let encoder = Encoder::new(self, options);
        options.for_each_chunk(
            &mut codes,
            BLOCK * self.pieces,
            || (Vec::new(), Vec::new(), Vec::new()),
            |(values, part, nearest): &mut (Vec<f32>, Vec<f32>, Vec<Nearest>), first, out| {
                let rows_at = &rows_at[first / self.pieces..][..out.len() / self.pieces];
                values.resize(rows_at.len() * self.dim, 0.0);
                for (&row, values) in rows_at.iter().zip(values.chunks_exact_mut(self.dim)) {
                    read_row(self.metric, rows, RowId(row), values);
                }
                encoder.encode(values, part, nearest, out);
                Ok(())
            },
        )?;
        Ok(codes)
    }

    /// How codes are compared: cosine means that vectors were brought to unit length.
    pub(super) fn metric(&self) -> Metric {
        self.metric
    }

    /// Appends the numbers that a code stands for.
    pub(super) fn decode(&self, code: &[u8], out: &mut Vec<f32>) {
        let (centroids, _) = self.values.as_chunks::<CENTROIDS>();
        for (bounds, &name) in piece_bounds(self.dim, self.pieces).zip(code) {
            let numbers = centroids.get(bounds).unwrap_or_default();
            out.extend(numbers.iter().map(|of_all| of_all[usize::from(name)]));
        }
    }

    /// The distances of a query to all centroids: 256 for each piece.
    pub(super) fn table(&self, values: &mut [f32], table: &mut Vec<f32>) {
        if self.metric == Metric::Cosine {
            normalise(values);
        }
        table.clear();
        table.resize(self.pieces * CENTROIDS, 0.0);
        let (tables, _) = table.as_chunks_mut::<CENTROIDS>();
        let (centroids, _) = self.values.as_chunks::<CENTROIDS>();
        for (bounds, table) in piece_bounds(self.dim, self.pieces).zip(tables) {
            let numbers = values.get(bounds.clone()).unwrap_or_default();
            let centroids = centroids.get(bounds).unwrap_or_default();
            for (&value, centroids) in numbers.iter().zip(centroids) {
                match self.metric {
                    Metric::Dot => add(table, centroids, |c| -value * c),
                    Metric::L1 => add(table, centroids, |c| (value - c).abs()),
                    _ => add(table, centroids, |c| (value - c) * (value - c)),
                }
            }
        }
    }

    /// Little-endian f32, as [`Self::read`] takes them.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        bytemuck::cast_slice(&self.values).to_vec()
    }

    pub(super) fn read(
        metric: Metric,
        dim: usize,
        pieces: usize,
        column: &Column,
    ) -> Result<Self, IndexError> {
        let values = column.floats(0, dim * CENTROIDS)?.to_vec();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(column.corrupt("a centroid that is not finite".to_owned()));
        }
        Ok(Self {
            metric: code_metric(metric),
            dim,
            pieces,
            values,
        })
    }
}

#[inline]
fn add(table: &mut [f32; CENTROIDS], centroids: &[f32; CENTROIDS], term: impl Fn(f32) -> f32) {
    for (sum, &centroid) in table.iter_mut().zip(centroids) {
        *sum += term(centroid);
    }
}

/// Finds the names of vectors.
struct Encoder {
    dim: usize,
    pieces: Vec<(std::ops::Range<usize>, Centroids)>,
}

impl Encoder {
    fn new(codebook: &Codebook, options: &BuildOptions<'_>) -> Self {
        let pieces = piece_bounds(codebook.dim, codebook.pieces).map(|bounds| {
            let width = bounds.len();
            let mut values = vec![0.0; width * CENTROIDS];
            for (number, of_all) in bounds.clone().enumerate() {
                let of_all = &codebook.values[of_all * CENTROIDS..][..CENTROIDS];
                for (centroid, &value) in of_all.iter().enumerate() {
                    values[centroid * width + number] = value;
                }
            }
            (bounds, Centroids::new(options.kernels, width, values))
        });
        Self {
            dim: codebook.dim,
            pieces: pieces.collect(),
        }
    }

    fn encode(
        &self,
        values: &[f32],
        part: &mut Vec<f32>,
        nearest: &mut Vec<Nearest>,
        out: &mut [u8],
    ) {
        let none = Nearest {
            centroid: 0,
            distance: 0.0,
        };
        let code_bytes = self.pieces.len();
        for (piece, (bounds, centroids)) in self.pieces.iter().enumerate() {
            part.clear();
            part.extend(
                values
                    .chunks_exact(self.dim)
                    .flat_map(|v| &v[bounds.clone()]),
            );
            nearest.clear();
            nearest.resize(values.len() / self.dim, none);
            centroids.nearest(part, nearest);
            for (out, nearest) in out.chunks_exact_mut(code_bytes).zip(nearest.iter()) {
                out[piece] = nearest.centroid as u8;
            }
        }
    }
}

/// The distance of a row by its code: one look-up a byte.
#[inline]
pub(super) fn distance(table: &[f32], code: &[u8]) -> f32 {
    let (tables, _) = table.as_chunks::<CENTROIDS>();
    let (mut even, mut odd) = (0.0, 0.0);
    let (pairs, rest) = code.as_chunks::<2>();
    let (table_pairs, table_rest) = tables.as_chunks::<2>();
    for ([a, b], [of_a, of_b]) in pairs.iter().zip(table_pairs) {
        even += of_a[usize::from(*a)];
        odd += of_b[usize::from(*b)];
    }
    if let ([code], [table]) = (rest, table_rest) {
        even += table[usize::from(*code)];
    }
    even + odd
}

/// The codes of all nodes, by place.
pub(super) fn column(codes: Vec<u8>) -> Column {
    Column::built(CODES, codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn distances_by_codes_are_near_the_true_ones() {
        let mut random = Random::new(4);
        let dim = 7;
        let values: Vec<f32> = (0..600 * dim)
            .map(|_| random.unit() as f32 * 4.0 - 2.0)
            .collect();
        let rows = VectorRows::from_f32(dim, &values).unwrap();
        let options = BuildOptions::default();
        for metric in [Metric::L2, Metric::Cosine, Metric::Dot, Metric::L1] {
            // A code per number: only rounding is lost.
            let book = Codebook::train(metric, rows, dim, 1, &options).unwrap();
            let places: Vec<u32> = (0..600).collect();
            let codes = book.encode(rows, &places, &options).unwrap();
            let mut table = Vec::new();
            let mut query = vec![0.0; dim];
            read_row(metric, rows, RowId(3), &mut query);
            book.table(&mut query.clone(), &mut table);
            for row in 0..600 {
                let mut other = vec![0.0; dim];
                read_row(metric, rows, RowId(row), &mut other);
                let pairs = query.iter().zip(&other);
                let truth: f32 = match metric {
                    Metric::Dot => -pairs.map(|(a, b)| a * b).sum::<f32>(),
                    Metric::L1 => pairs.map(|(a, b)| (a - b).abs()).sum(),
                    _ => pairs.map(|(a, b)| (a - b) * (a - b)).sum(),
                };
                let got = distance(&table, &codes[row as usize * dim..][..dim]);
                assert!(
                    (got - truth).abs() < 0.4,
                    "{metric} {row}: {got} for {truth}"
                );
            }
        }
    }

    #[test]
    fn few_rows_and_no_rows_make_codes() {
        let options = BuildOptions::default();
        for count in [0, 1, 5] {
            let values = vec![0.5; count * 3];
            let rows = VectorRows::from_f32(3, &values).unwrap();
            let book = Codebook::train(Metric::L2, rows, 2, 1, &options).unwrap();
            let places: Vec<u32> = (0..count as u32).collect();
            let codes = book.encode(rows, &places, &options).unwrap();
            assert_eq!(codes.len(), count * 2);
            let mut table = Vec::new();
            book.table(&mut [0.5; 3], &mut table);
            assert!(count == 0 || distance(&table, &codes[..2]) == 0.0);
        }
    }
}
