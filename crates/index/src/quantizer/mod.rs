//! Quantizers: vectors as short codes, and distances to them by tables.
//!
//! A [`Quantizer`] is trained on a sample, encodes and decodes vectors, and turns a query into tables
//! ([`QuantizedQuery`]) by which many codes ([`CodedRows`]) are compared with it at a time. Distances are *asymmetric*:
//! the query is not coded (ADC); [`Quantizer::set_symmetric`] makes them symmetric (SDC).
//!
//! In reading order:
//! - `spec`: which codes there are;
//! - `product`: books for segments: product, scalar and binary codes; `rotation`: the learned rotation before them (OPQ),
//!   `linear`: what it needs;
//! - `rabitq`: a random rotation and a few bits a number, with a bound of the error; `principal`: of which numbers;
//! - `packed`: how the codes of many rows lie; `query`: how they are scanned;
//! - `quality`: how much is lost, and has that changed with new data?
//! - `section`: the bytes on disk.
//!
//! A quantizer for inverted lists codes what is left of a row beyond the centroid of its list. A factor of each row then
//! holds what this residual has to do with the centroid, so that the tables of a query serve all lists.

mod linear;
mod packed;
mod principal;
mod product;
mod quality;
mod query;
mod rabitq;
mod rotation;
mod section;
mod spec;
#[cfg(test)]
mod tests;

use std::ops::Range;

use vecdb_vector::{Metric, RowId, VectorRows};

use crate::kmeans::{normalise, read_row, sample};
use crate::{BuildOptions, IndexError};
pub use packed::CodedRows;
pub(crate) use packed::Names;
use packed::Shape;
use product::{Encoder, Product};
pub use quality::{DriftReport, QualityReport};
pub(crate) use query::{Near, Scan};
pub use query::{QuantizedQuery, ScanBuffer};
use rabitq::Rabitq;
use rotation::LearnedRotation;
pub use spec::QuantizerSpec;

/// Rows learned from for each value of a book, and at least.
const ROWS_PER_VALUE: usize = 128;
const ROWS_MIN: usize = 8_192;
/// Rows that the ends of scales and the mean are taken of.
const ROWS_OF_SCALES: usize = 65_536;
/// Numbers beyond have squares that single precision does not hold.
const LARGEST: f32 = 1e17;
/// Rows encoded per step of a thread.
const BLOCK: usize = 256;
const NAMES: Names = [
    "quantizer:codes",
    "quantizer:coarse",
    "quantizer:factors",
    "quantizer:extra",
];

/// How a quantizer is trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingParams {
    /// Iterations of k-means at most. Default 15.
    pub iterations: u32,
    /// Rows learned from at most. Default: 128 for each value of a book, 8,192 at least.
    pub rows: Option<usize>,
    /// Same seed and rows, same quantizer.
    pub seed: u64,
}

impl Default for TrainingParams {
    fn default() -> Self {
        Self {
            iterations: product::ITERATIONS,
            rows: None,
            seed: 42,
        }
    }
}

/// A trained quantizer.
#[derive(Clone, Debug)]
pub struct Quantizer {
    spec: QuantizerSpec,
    metric: Metric,
    dim: usize,
    /// Codes are of residuals in inverted lists: rows have a factor instead of the tables a norm.
    listed: bool,
    /// What rows and queries are centred on; zeros for inner products.
    mean: Vec<f32>,
    kind: Kind,
    shape: Shape,
    /// Mean squared error of the vectors that it was trained on.
    trained_error: f64,
}

#[derive(Clone, Debug)]
enum Kind {
    Product(Product),
    Rabitq(Rabitq),
}

impl Quantizer {
    /// Learns from a sample of `rows`.
    ///
    /// # Errors
    /// A spec out of range, more segments than dimensions, rows that cannot be coded so, cancellation.
    pub fn train(
        spec: QuantizerSpec,
        metric: Metric,
        rows: VectorRows<'_>,
        params: &TrainingParams,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        spec.check_dim(rows.dim())?;
        if !spec.serves(metric, rows.element()) {
            return Err(IndexError::UnsupportedCode {
                code: spec.to_string(),
                metric,
                element: rows.element(),
            });
        }
        let most = params
            .rows
            .unwrap_or_else(|| Self::rows_to_learn_from(spec));
        let mut vectors = sample(metric, rows, most, params.seed, options)?;
        let mean = mean_of(metric, rows.dim(), &vectors);
        for vector in vectors.chunks_exact_mut(rows.dim()) {
            subtract(vector, &mean);
        }
        Self::learn(spec, metric, (mean, vectors), false, params, options)
    }

    /// How many rows a training wants.
    pub(crate) fn rows_to_learn_from(spec: QuantizerSpec) -> usize {
        match spec {
            QuantizerSpec::Pq { bits, opq, .. } => {
                let least = if opq { rotation::VECTORS_MAX } else { ROWS_MIN };
                (ROWS_PER_VALUE << bits).max(least)
            }
            _ => ROWS_OF_SCALES,
        }
    }

    /// Learns from `vectors`, centred already: on the mean, or where `listed` each on the centroid of its list.
    pub(crate) fn learn(
        spec: QuantizerSpec,
        metric: Metric,
        (mean, vectors): (Vec<f32>, Vec<f32>),
        listed: bool,
        params: &TrainingParams,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        spec.validate()?;
        let dim = mean.len();
        spec.check_dim(dim)?;
        let kind = match spec {
            QuantizerSpec::Pq { bits, opq, .. } => {
                let sizes = (dim, spec.segments(dim), bits);
                let training = (params.iterations, params.seed);
                Kind::Product(if opq {
                    let rotation = LearnedRotation::learn(sizes, &vectors, params.seed, options)?;
                    let mut turned = vec![0.0; vectors.len()];
                    rotation.apply_all(&vectors, &mut turned, options)?;
                    Product::train(sizes, &turned, training, options)?.after(rotation)
                } else {
                    Product::train(sizes, &vectors, training, options)?
                })
            }
            QuantizerSpec::Sq { bits } => Kind::Product(Product::grid(bits, &ends(dim, &vectors))),
            QuantizerSpec::Binary => {
                let far = mean_absolutes(dim, &vectors);
                let ends: Vec<_> = far.into_iter().map(|far| (-far, far)).collect();
                Kind::Product(Product::grid(1, &ends))
            }
            QuantizerSpec::Rabitq { bits } => {
                let (bits, head) = principal::learn((dim, bits), &vectors, options)?;
                Kind::Rabitq(Rabitq::new(dim, bits, params.seed, head))
            }
        };
        let mut quantizer = Self::of(spec, metric, mean, listed, kind);
        quantizer.trained_error = quantizer.error_of(&vectors)?;
        Ok(quantizer)
    }

    fn of(spec: QuantizerSpec, metric: Metric, mean: Vec<f32>, listed: bool, kind: Kind) -> Self {
        let shape = match &kind {
            Kind::Product(books) => books.shape(usize::from(listed && metric != Metric::Dot)),
            Kind::Rabitq(codes) => codes.shape(),
        };
        Self {
            spec,
            metric,
            dim: mean.len(),
            listed,
            mean,
            kind,
            shape,
            trained_error: 0.0,
        }
    }

    /// Which codes.
    pub fn spec(&self) -> QuantizerSpec {
        self.spec
    }

    /// The metric it was trained for.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of the code of a vector, factors included.
    pub fn code_bytes(&self) -> usize {
        self.shape.row_bytes()
    }

    /// Segments of a code, for codes that have them.
    pub fn segments(&self) -> usize {
        match &self.kind {
            Kind::Product(books) => books.segments(),
            Kind::Rabitq(codes) => codes.padded(),
        }
    }

    /// Bytes of what was learned: mean, books, rotation.
    pub fn trained_bytes(&self) -> u64 {
        let learned = match &self.kind {
            Kind::Product(books) => {
                let rotation = books.rotation.as_ref();
                books.books().len() + rotation.map_or(0, |rotation| rotation.0.values().len())
            }
            Kind::Rabitq(codes) => codes.head.as_ref().map_or(0, |head| head.values().len()),
        };
        (self.mean.len() + learned) as u64 * 4
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The code of a vector of `dim` numbers, into [`Self::code_bytes`] bytes.
    ///
    /// # Errors
    /// A vector or a code of another size.
    pub fn encode(&self, vector: &[f32], code: &mut [u8]) -> Result<(), IndexError> {
        self.check(vector.len(), code.len())?;
        let mut centred = vector.to_vec();
        self.centre(&mut centred);
        code.fill(0);
        self.encoder(&BuildOptions::default())
            .encode(&centred, &[], code)
    }

    /// The vector that a code stands for; under cosine about of unit length.
    ///
    /// # Errors
    /// A code or a vector of another size.
    pub fn decode(&self, code: &[u8], vector: &mut [f32]) -> Result<(), IndexError> {
        self.check(vector.len(), code.len())?;
        self.decode_centred(code, vector);
        for (value, mean) in vector.iter_mut().zip(&self.mean) {
            *value += mean;
        }
        Ok(())
    }

    fn decode_centred(&self, code: &[u8], vector: &mut [f32]) {
        match &self.kind {
            Kind::Product(books) => match &books.rotation {
                None => books.decode(code, vector),
                Some(rotation) => {
                    let mut turned = vec![0.0; self.dim];
                    books.decode(code, &mut turned);
                    rotation.undo(&turned, vector);
                }
            },
            Kind::Rabitq(codes) => codes.decode(code, self.metric == Metric::Dot, vector),
        }
    }

    /// Codes of all rows, laid out to be scanned.
    ///
    /// # Errors
    /// Rows of another dimension, cancellation.
    pub fn encode_rows(
        &self,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<CodedRows, IndexError> {
        self.check(rows.dim(), self.code_bytes())?;
        let each = self.code_bytes();
        let mut bytes = vec![0u8; rows.len() as usize * each];
        options.for_each_chunk(
            &mut bytes,
            BLOCK * each,
            || (self.encoder(options), Vec::new()),
            |(encoder, vectors): &mut (_, Vec<f32>), first, bytes| {
                let first = first / each;
                vectors.clear();
                for row in first..first + bytes.len() / each {
                    let start = vectors.len();
                    vectors.resize(start + self.dim, 0.0);
                    read_row(self.metric, rows, RowId(row as u32), &mut vectors[start..]);
                    subtract(&mut vectors[start..], &self.mean);
                }
                encoder.encode(vectors, &[], bytes)
            },
        )?;
        CodedRows::pack(NAMES, self.shape, &bytes, options)
    }

    /// Lays out codes, [`Self::code_bytes`] bytes each.
    pub(crate) fn pack(
        &self,
        names: Names,
        codes: &[u8],
        options: &BuildOptions<'_>,
    ) -> Result<CodedRows, IndexError> {
        CodedRows::pack(names, self.shape, codes, options)
    }

    /// Makes `query` the tables of a vector.
    ///
    /// # Errors
    /// A vector of another dimension.
    pub fn set(&self, query: &mut QuantizedQuery, vector: &[f32]) -> Result<(), IndexError> {
        self.check(vector.len(), self.code_bytes())?;
        query.set(self, vector);
        Ok(())
    }

    /// Makes `query` the tables of the vector that a code stands for: symmetric distances, as two codes have them.
    ///
    /// # Errors
    /// A code of another size.
    pub fn set_symmetric(&self, query: &mut QuantizedQuery, code: &[u8]) -> Result<(), IndexError> {
        let mut vector = vec![0.0; self.dim];
        self.decode(code, &mut vector)?;
        self.set(query, &vector)
    }

    /// Estimates the distances of a query to the rows `places` of `codes`, as rank values of the metric. Of rows that codes
    /// tell to be farther than `threshold` infinity may be told instead, which is faster; infinity asks for all.
    ///
    /// # Errors
    /// `places` that are not there or are not as many as `out`; damaged bytes.
    pub fn scan(
        &self,
        query: &QuantizedQuery,
        codes: &CodedRows,
        places: Range<usize>,
        threshold: f32,
        buffer: &mut ScanBuffer,
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        // Of vectors of unit length the squared distance is twice that of cosine.
        let twice = match self.metric {
            Metric::Cosine => 2.0,
            _ => 1.0,
        };
        let scan = Scan {
            quantizer: self,
            codes,
            near: query.near(self.metric),
            threshold: twice * threshold,
        };
        query.scan(&scan, places, buffer, out)?;
        out.iter_mut().for_each(|out| *out /= twice);
        Ok(())
    }

    /// Estimates the distance of a query to one code, as a rank value of the metric, with the bound of its error where the
    /// codes have one (RaBitQ): exceeded once in about 35 times.
    ///
    /// # Errors
    /// A code of another size.
    pub fn estimate(
        &self,
        query: &QuantizedQuery,
        code: &[u8],
    ) -> Result<(f32, Option<f32>), IndexError> {
        self.check(self.dim, code.len())?;
        let (estimate, error) = query.estimate(self, code, query.near(self.metric));
        Ok(match self.metric {
            Metric::Cosine => (0.5 * estimate, error.map(|error| 0.5 * error)),
            _ => (estimate, error),
        })
    }

    /// Centres a vector as rows are; under cosine it is brought to unit length before.
    fn centre(&self, vector: &mut [f32]) {
        if self.metric == Metric::Cosine {
            normalise(vector);
        }
        subtract(vector, &self.mean);
    }

    /// Rotates a vector as codes are.
    pub(crate) fn turn(&self, vector: &[f32], out: &mut Vec<f32>) {
        match &self.kind {
            Kind::Product(Product {
                rotation: Some(rotation),
                ..
            }) => {
                out.resize(self.dim, 0.0);
                rotation.apply(vector, out);
            }
            Kind::Product(_) => {
                out.clear();
                out.extend_from_slice(vector);
            }
            Kind::Rabitq(codes) => codes.rotate(vector, out),
        }
    }

    pub(crate) fn encoder(&self, options: &BuildOptions<'_>) -> RowEncoder<'_> {
        RowEncoder {
            quantizer: self,
            books: match &self.kind {
                Kind::Product(books) => Some(books.encoder(options)),
                Kind::Rabitq(_) => None,
            },
            // Threads are the caller's.
            options: BuildOptions {
                threads: 1,
                kernels: options.kernels,
                ..BuildOptions::default()
            },
            turned: Vec::new(),
            part: Vec::new(),
        }
    }

    fn check(&self, dim: usize, code_bytes: usize) -> Result<(), IndexError> {
        if dim == self.dim && code_bytes == self.code_bytes() {
            return Ok(());
        }
        let words = |dim, bytes| format!("{dim} numbers, {bytes} bytes of code");
        Err(IndexError::Mismatch {
            what: "vector of a quantizer",
            expected: words(self.dim, self.code_bytes()),
            got: words(dim, code_bytes),
        })
    }
}

/// Encodes vectors; memory that is used again.
pub(crate) struct RowEncoder<'a> {
    quantizer: &'a Quantizer,
    books: Option<Encoder<'a>>,
    options: BuildOptions<'static>,
    turned: Vec<f32>,
    part: Vec<f32>,
}

impl RowEncoder<'_> {
    /// Codes centred vectors into zeros. `centre`: where they were centred, rotated, as seen from the mean; nothing: there.
    ///
    /// # Errors
    /// Vectors that are not finite.
    pub(crate) fn encode(
        &mut self,
        vectors: &[f32],
        centre: &[f32],
        out: &mut [u8],
    ) -> Result<(), IndexError> {
        let quantizer = self.quantizer;
        let each = quantizer.code_bytes();
        let (dim, rows) = (quantizer.dim, out.chunks_exact_mut(each));
        match &quantizer.kind {
            Kind::Rabitq(codes) => {
                let product = quantizer.metric == Metric::Dot;
                codes.rotate_all(dim, vectors, &mut self.turned, &self.options)?;
                let turned = self.turned.chunks_exact(codes.padded());
                for ((vector, turned), row) in vectors.chunks_exact(dim).zip(turned).zip(rows) {
                    let whole = linear::dot(vector, vector);
                    codes.encode((turned, whole), centre, product, row);
                }
            }
            Kind::Product(books) => {
                let turned = match &books.rotation {
                    None => vectors,
                    Some(rotation) => {
                        self.turned.resize(vectors.len(), 0.0);
                        rotation.apply_all(vectors, &mut self.turned, &self.options)?;
                        &self.turned
                    }
                };
                if let Some(encoder) = &mut self.books {
                    encoder.encode(turned, out, each);
                }
                if quantizer.shape.factors == 0 {
                    return Ok(());
                }
                self.part.resize(dim, 0.0);
                for row in out.chunks_exact_mut(each) {
                    books.decode(row, &mut self.part);
                    let with_centre = linear::dot(&self.part[..centre.len()], centre);
                    let add = linear::dot(&self.part, &self.part) + 2.0 * with_centre;
                    quantizer.shape.put_factors(&[add], row);
                }
            }
        }
        Ok(())
    }
}

/// The mean of some vectors; zeros for inner products, which have no centre.
pub(crate) fn mean_of(metric: Metric, dim: usize, vectors: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0f64; dim];
    let count = (vectors.len() / dim).max(1) as f64;
    if metric != Metric::Dot {
        for vector in vectors.chunks_exact(dim) {
            for (sum, &value) in sums.iter_mut().zip(vector) {
                *sum += f64::from(value);
            }
        }
    }
    sums.iter().map(|sum| (sum / count) as f32).collect()
}

/// What is left of a vector beyond a centre, as far as single precision can go on with it.
pub(crate) fn subtract(vector: &mut [f32], centre: &[f32]) {
    for (value, centre) in vector.iter_mut().zip(centre) {
        *value = (*value - centre).clamp(-LARGEST, LARGEST);
    }
}

/// The smallest and the largest number of each dimension.
fn ends(dim: usize, vectors: &[f32]) -> Vec<(f32, f32)> {
    let mut vectors = vectors.chunks_exact(dim);
    let first = vectors.next().map_or(vec![0.0; dim], <[f32]>::to_vec);
    let mut ends: Vec<(f32, f32)> = first.into_iter().map(|value| (value, value)).collect();
    for vector in vectors {
        for ((low, high), &value) in ends.iter_mut().zip(vector) {
            (*low, *high) = (low.min(value), high.max(value));
        }
    }
    ends
}

fn mean_absolutes(dim: usize, vectors: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0f64; dim];
    for vector in vectors.chunks_exact(dim) {
        for (sum, &value) in sums.iter_mut().zip(vector) {
            *sum += f64::from(value.abs());
        }
    }
    let count = (vectors.len() / dim).max(1) as f64;
    sums.iter().map(|sum| (sum / count) as f32).collect()
}
