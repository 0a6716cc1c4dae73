//! Product codes: segments of a vector, each replaced by a value of a book of its own (Jégou, Douze and Schmid, PAMI
//! 2011). Scalar and binary codes are the same with segments of one dimension and books on a grid.

use vecdb_vector::{Centroids, Nearest};

use super::linear::add_scaled;
use super::packed::{Packing, Shape, read_bits, write_bits};
use super::rotation::LearnedRotation;
use crate::kmeans::{self, KMeansParams};
use crate::{BuildOptions, IndexError};

/// Books of at least so many values find the nearest ones by blocked products.
const BLOCKED_MIN: usize = 64;

/// Books, one a segment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    pub(super) dim: usize,
    pub(super) bits: u32,
    pub(super) rotation: Option<LearnedRotation>,
    /// Where each segment begins, and the dimension.
    starts: Vec<usize>,
    /// `[dimension][value]`: one number of each value of the segment's book.
    books: Vec<f32>,
    /// `[segment][value]`: squared lengths.
    norms: Vec<f32>,
}

/// How often k-means goes over the segments.
pub(super) const ITERATIONS: u32 = 15;

impl Product {
    pub(super) fn new(
        dim: usize,
        segments: usize,
        bits: u32,
        rotation: Option<LearnedRotation>,
        books: Vec<f32>,
    ) -> Self {
        let starts: Vec<usize> = (0..=segments).map(|s| s * dim / segments).collect();
        let entries = 1 << bits;
        let mut norms = vec![0.0; segments * entries];
        for (s, norms) in norms.chunks_exact_mut(entries).enumerate() {
            for book in books[starts[s] * entries..starts[s + 1] * entries].chunks_exact(entries) {
                for (norm, value) in norms.iter_mut().zip(book) {
                    *norm += value * value;
                }
            }
        }
        Self {
            dim,
            bits,
            rotation,
            starts,
            books,
            norms,
        }
    }

    /// Learns books of `segments` segments from `vectors`.
    pub(super) fn train(
        (dim, segments, bits): (usize, usize, u32),
        vectors: &[f32],
        (iterations, seed): (u32, u64),
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let entries = 1usize << bits;
        let mut product = Self::new(dim, segments, bits, None, vec![0.0; dim * entries]);
        let mut parts: Vec<(usize, Vec<f32>)> = (0..segments).map(|s| (s, Vec::new())).collect();
        let inner = BuildOptions {
            // Segments are many: each is learned by one thread.
            threads: if segments >= options.threads {
                1
            } else {
                options.threads
            },
            progress: &crate::Silent,
            ..*options
        };
        let outer = BuildOptions {
            threads: if segments >= options.threads {
                options.threads
            } else {
                1
            },
            ..*options
        };
        let starts = &product.starts;
        outer.for_each_chunk(
            &mut parts,
            1,
            || (),
            |(), _, parts| {
                for (s, values) in parts {
                    let (start, end) = (starts[*s], starts[*s + 1]);
                    let mut own = Vec::with_capacity(vectors.len() / dim * (end - start));
                    for vector in vectors.chunks_exact(dim) {
                        own.extend_from_slice(&vector[start..end]);
                    }
                    *values = learn_book(end - start, own, entries, (iterations, seed), &inner)?;
                }
                Ok(())
            },
        )?;
        for (s, values) in parts {
            product.set_book(s, &values);
        }
        Ok(Self::new(dim, segments, bits, None, product.books))
    }

    /// A grid for each dimension: `ends` are its smallest and largest value.
    pub(super) fn grid(bits: u32, ends: &[(f32, f32)]) -> Self {
        let entries = 1usize << bits;
        let books = ends.iter().flat_map(|&(low, high)| {
            let step = (high - low) / (entries - 1) as f32;
            (0..entries).map(move |i| low + step * i as f32)
        });
        Self::new(ends.len(), ends.len(), bits, None, books.collect())
    }

    pub(super) fn after(self, rotation: LearnedRotation) -> Self {
        Self {
            rotation: Some(rotation),
            ..self
        }
    }

    pub(super) fn segments(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn books(&self) -> &[f32] {
        &self.books
    }

    fn entries(&self) -> usize {
        1 << self.bits
    }

    /// Puts the values of a segment, one after the other, into its book.
    fn set_book(&mut self, segment: usize, values: &[f32]) {
        let (start, entries) = (self.starts[segment], self.entries());
        let wide = self.starts[segment + 1] - start;
        for (v, value) in values.chunks_exact(wide).enumerate() {
            for (d, &number) in value.iter().enumerate() {
                self.books[(start + d) * entries + v] = number;
            }
        }
    }

    /// The values of a segment, one after the other.
    fn book(&self, segment: usize) -> Vec<f32> {
        let (start, end) = (self.starts[segment], self.starts[segment + 1]);
        let entries = self.entries();
        (0..entries)
            .flat_map(|v| (start..end).map(move |d| self.books[d * entries + v]))
            .collect()
    }

    pub(super) fn shape(&self, factors: usize) -> Shape {
        let segments = self.segments();
        let (packing, columns) = match self.bits {
            1 | 4 => (Packing::Nibbles, segments.div_ceil(4 / self.bits as usize)),
            8 => (Packing::Bytes, segments),
            bits => (Packing::Bits(bits), segments),
        };
        Shape {
            packing,
            columns,
            halves: 0,
            factors,
            extra: 0,
        }
    }

    /// What finds the nearest values of many vectors.
    pub(super) fn encoder(&self, options: &BuildOptions<'_>) -> Encoder<'_> {
        let centroids = |s: usize| {
            let wide = self.starts[s + 1] - self.starts[s];
            Centroids::new(options.kernels, wide, self.book(s))
        };
        let blocked = self.entries() >= BLOCKED_MIN && self.segments() < self.dim;
        Encoder {
            product: self,
            blocked: blocked.then(|| (0..self.segments()).map(centroids).collect()),
            scores: vec![0.0; self.entries()],
            part: Vec::new(),
            nearest: Vec::new(),
        }
    }

    /// The vector of a code.
    pub(super) fn decode(&self, code: &[u8], out: &mut [f32]) {
        let entries = self.entries();
        for s in 0..self.segments() {
            let value = read_bits(code, s * self.bits as usize, self.bits);
            let own = self.starts[s]..self.starts[s + 1];
            let books = self.books[own.start * entries..].chunks_exact(entries);
            for (out, book) in out[own].iter_mut().zip(books) {
                *out = book[value];
            }
        }
    }

    /// `scale <values, value>` for every value of every segment, plus its squared length where `norms`.
    pub(super) fn tables(&self, values: &[f32], scale: f32, norms: bool, out: &mut Vec<f32>) {
        let entries = self.entries();
        out.clear();
        match norms {
            true => out.extend_from_slice(&self.norms),
            false => out.resize(self.norms.len(), 0.0),
        }
        for (s, table) in out.chunks_exact_mut(entries).enumerate() {
            let own = self.starts[s]..self.starts[s + 1];
            let books = self.books[own.start * entries..].chunks_exact(entries);
            for (value, book) in values[own].iter().zip(books) {
                add_scaled(table, scale * value, book);
            }
        }
    }
}

/// Learns one book; what it has not vectors for stays a copy of its first value.
fn learn_book(
    wide: usize,
    vectors: Vec<f32>,
    entries: usize,
    (iterations, seed): (u32, u64),
    options: &BuildOptions<'_>,
) -> Result<Vec<f32>, IndexError> {
    let clusters = entries.min(vectors.len() / wide);
    if clusters == 0 {
        return Ok(vec![0.0; entries * wide]);
    }
    let params = KMeansParams {
        iterations,
        seed,
        ..KMeansParams::new(clusters)
    };
    let mut values = kmeans::train(wide, vectors, &params, options)?
        .centroids
        .into_values();
    let first = values[..wide].to_vec();
    while values.len() < entries * wide {
        values.extend_from_slice(&first);
    }
    Ok(values)
}

/// Finds the nearest values of vectors; memory that is used again.
pub(super) struct Encoder<'a> {
    product: &'a Product,
    blocked: Option<Vec<Centroids>>,
    scores: Vec<f32>,
    part: Vec<f32>,
    nearest: Vec<Nearest>,
}

impl Encoder<'_> {
    /// Codes of `vectors` (rotated already), each at the start of a row of `each` bytes of zeros.
    pub(super) fn encode(&mut self, vectors: &[f32], out: &mut [u8], each: usize) {
        let product = self.product;
        let (dim, bits) = (product.dim, product.bits);
        for s in 0..product.segments() {
            let (start, end) = (product.starts[s], product.starts[s + 1]);
            let at = s * bits as usize;
            if let Some(centroids) = self.blocked.as_ref().map(|all| &all[s]) {
                self.part.clear();
                for vector in vectors.chunks_exact(dim) {
                    self.part.extend_from_slice(&vector[start..end]);
                }
                let none = Nearest {
                    centroid: 0,
                    distance: 0.0,
                };
                self.nearest.clear();
                self.nearest.resize(vectors.len() / dim, none);
                centroids.nearest(&self.part, &mut self.nearest);
                for (nearest, row) in self.nearest.iter().zip(out.chunks_exact_mut(each)) {
                    write_bits(row, at, nearest.centroid as usize);
                }
                continue;
            }
            let entries = product.entries();
            let norms = &product.norms[s * entries..][..entries];
            for (vector, row) in vectors.chunks_exact(dim).zip(out.chunks_exact_mut(each)) {
                self.scores.copy_from_slice(norms);
                let books = product.books[start * entries..].chunks_exact(entries);
                for (value, book) in vector[start..end].iter().zip(books) {
                    add_scaled(&mut self.scores, -2.0 * value, book);
                }
                write_bits(row, at, least(&self.scores));
            }
        }
    }
}

/// The place of the least number, the first of equal ones.
fn least(scores: &[f32]) -> usize {
    let mut best = (0, f32::INFINITY);
    for (i, &score) in scores.iter().enumerate() {
        if score < best.1 {
            best = (i, score);
        }
    }
    best.0
}
