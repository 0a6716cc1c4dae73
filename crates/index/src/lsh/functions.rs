//! The families of hash functions.
//!
//! Every function places a vector on a line, and its hash is the part of the line that the place lies in. How far the
//! place is from the nearest other part is how sure the hash is: near vectors that hash otherwise hash to the part nearest
//! to their neighbour's place, which is what multi-probing uses.
//!
//! | metric | function | source | two vectors share a hash with probability |
//! |---|---|---|---|
//! | cosine | side of a random hyperplane through the centre of the rows | Charikar, STOC 2002 | 1 - angle / π |
//! | dot | the same, after rows are brought to unit length by one more number | Neyshabur and Srebro, ICML 2015 | 1 - angle / π |
//! | l2 | slot of a random projection (2-stable) | Datar et al., SoCG 2004 | falls with distance / width |
//! | l1 | side of a threshold on one number | Gionis, Indyk and Motwani, VLDB 1999, section 3.1 | 1 - distance / span of all numbers |
//! | hamming | one bit | Indyk and Motwani, STOC 1998 | 1 - distance / dimension |
//! | jaccard | one bit of the least element under a random order | Broder 1997; Li and König, WWW 2010 | (1 + similarity) / 2 |

use std::f64::consts::PI;

use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_vector::{Metric, RowId, VectorRows};

use crate::kmeans::{normalise, read_row, sample};
use crate::random::{Random, mix};
use crate::rotation::Rotation;
use crate::{BuildOptions, IndexError};

/// Rows that the centre and the span of the numbers are learned from.
const SAMPLE_ROWS: usize = 4096;

/// Bits that a sketch should have.
const SKETCH_BITS: usize = 256;

/// Which of the two is hashed: under dot they are not treated alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Row,
    Query,
}

/// What the functions take from the rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Learned {
    /// Projections: the centre of the rows. Thresholds: the least number of each dimension, then the largest.
    pub(super) numbers: Vec<f32>,
    /// Under dot: the largest norm of a row.
    pub(super) norm_max: f32,
}

/// Numbers in [`Learned`] for a metric and a dimension.
fn learned_numbers(metric: Metric, dim: usize) -> usize {
    match metric {
        Metric::Cosine | Metric::L2 => dim,
        Metric::Dot => dim + 1,
        Metric::L1 => 2 * dim,
        Metric::Hamming | Metric::Jaccard => 0,
    }
}

impl Learned {
    pub(super) fn of(
        metric: Metric,
        rows: VectorRows<'_>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let dim = rows.dim();
        let mut learned = Self {
            numbers: vec![0.0; learned_numbers(metric, dim)],
            norm_max: 0.0,
        };
        if learned.numbers.is_empty() || rows.is_empty() {
            return Ok(learned);
        }
        if metric == Metric::Dot {
            let mut values = vec![0.0; dim];
            let norms = (0..rows.len()).map(|row| {
                rows.to_f32(RowId(row), &mut values);
                values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
            });
            learned.norm_max = norms.fold(0.0, f64::max).sqrt() as f32;
        }
        let mut vectors = sample(metric, rows, SAMPLE_ROWS, seed, options)?;
        if metric == Metric::L1 {
            let (low, high) = learned.numbers.split_at_mut(dim);
            low.fill(f32::INFINITY);
            high.fill(f32::NEG_INFINITY);
            for vector in vectors.chunks_exact(dim) {
                for ((low, high), &x) in low.iter_mut().zip(high.iter_mut()).zip(vector) {
                    (*low, *high) = (low.min(x), high.max(x));
                }
            }
            return Ok(learned);
        }
        let mut sums = vec![0.0f64; learned.numbers.len()];
        let mut longer = Vec::new();
        for vector in vectors.chunks_exact_mut(dim) {
            longer.clear();
            longer.extend_from_slice(vector);
            if metric == Metric::Dot {
                to_unit_length(&mut longer, learned.norm_max);
            }
            for (sum, &x) in sums.iter_mut().zip(&longer) {
                *sum += f64::from(x);
            }
        }
        let count = (vectors.len() / dim).max(1) as f64;
        for (centre, sum) in learned.numbers.iter_mut().zip(sums) {
            *centre = (sum / count) as f32;
        }
        Ok(learned)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.f32(self.norm_max);
        writer.bytes(bytemuck::cast_slice(&self.numbers));
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        metric: Metric,
        dim: usize,
    ) -> Result<Self, BytesError> {
        let norm_max = reader.f32()?;
        let bytes = reader.bytes(learned_numbers(metric, dim) * 4)?;
        let numbers = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
        Ok(Self {
            norm_max,
            numbers: numbers.collect(),
        })
    }
}

/// One more number makes the length of all rows the same, that of the longest, which is then 1: the order of inner products
/// with a query is that of angles.
fn to_unit_length(values: &mut Vec<f32>, norm_max: f32) {
    let scale = if norm_max > 0.0 { 1.0 / norm_max } else { 0.0 };
    let mut square = 0.0f64;
    for value in values.iter_mut() {
        *value *= scale;
        square += f64::from(*value).powi(2);
    }
    values.push((1.0 - square).max(0.0).sqrt() as f32);
}

/// How many tables of how many functions, and from which numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) metric: Metric,
    pub(super) dim: usize,
    pub(super) tables: u32,
    pub(super) hashes: u32,
    /// Of slots, under l2.
    pub(super) width: f32,
    pub(super) seed: u64,
}

impl Shape {
    fn functions(&self) -> usize {
        (self.tables * self.hashes) as usize
    }
}

/// The hash functions of all tables.
#[derive(Debug)]
pub(super) struct Functions {
    pub(super) shape: Shape,
    pub(super) learned: Learned,
    family: Family,
    /// Under l2: what a step to the next slot adds to the hash of a table.
    slot_factors: Vec<u32>,
}

#[derive(Debug)]
enum Family {
    /// Coordinates after random rotations: [`Rotation::dim`] functions come of one.
    Projections {
        rotations: Vec<Rotation>,
        /// Under l2, in slots: what is added before slots are counted.
        shifts: Vec<f32>,
    },
    /// Dimension and threshold.
    Thresholds(Vec<(u32, f32)>),
    /// Places of bits.
    Bits(Vec<u32>),
    /// Factor and offset of the order of elements.
    MinHash(Vec<(u32, u32)>),
}

/// Memory of hashing.
#[derive(Debug, Default)]
pub(super) struct HashScratch {
    rotated: Vec<f32>,
    /// Coordinates about the centre whose signs are the sketch; none for families without projections.
    pub(super) coordinates: Vec<f32>,
    /// Where each function places the vector: its hash is the sign, or the slot below.
    pub(super) places: Vec<f32>,
    least: Vec<[u32; 2]>,
}

impl Functions {
    pub(super) fn new(shape: Shape, learned: Learned) -> Self {
        let mut random = Random::new(shape.seed);
        let count = shape.functions();
        let family = match shape.metric {
            Metric::Cosine | Metric::Dot | Metric::L2 => {
                let numbers = shape.dim + usize::from(shape.metric == Metric::Dot);
                let first = Rotation::new(numbers, random.bits());
                let more = count.div_ceil(first.dim()).saturating_sub(1);
                let mut rotations = vec![first];
                rotations.extend((0..more).map(|_| Rotation::new(numbers, random.bits())));
                let shifts = match shape.metric {
                    Metric::L2 => (0..count).map(|_| random.unit() as f32).collect(),
                    _ => Vec::new(),
                };
                Family::Projections { rotations, shifts }
            }
            Metric::L1 => Family::Thresholds(thresholds(&learned, shape.dim, count, &mut random)),
            Metric::Hamming => {
                let each = shape.hashes as usize;
                let mut places = Vec::with_capacity(count);
                for _ in 0..shape.tables {
                    // A table of more functions than there are bits takes some again.
                    let drawn = random.distinct(each, shape.dim);
                    places.extend(drawn.iter().cycle().take(each).map(|&bit| bit as u32));
                }
                Family::Bits(places)
            }
            Metric::Jaccard => Family::MinHash(
                (0..count)
                    .map(|_| {
                        let bits = random.bits();
                        ((bits as u32) | 1, (bits >> 32) as u32)
                    })
                    .collect(),
            ),
        };
        let slot_factors = match shape.metric {
            Metric::L2 => (0..count).map(|_| random.bits() as u32 | 1).collect(),
            _ => Vec::new(),
        };
        Self {
            shape,
            learned,
            family,
            slot_factors,
        }
    }

    /// Whether hashes are numbers of slots; else they are bits.
    pub(super) fn have_slots(&self) -> bool {
        self.shape.metric == Metric::L2
    }

    /// Bits of a sketch: all coordinates of the first rotation, of more where these are few. 0 without rotations.
    pub(super) fn sketch_bits(&self) -> usize {
        let Family::Projections { rotations, .. } = &self.family else {
            return 0;
        };
        let each = rotations.first().map_or(0, Rotation::dim);
        each * rotations.len().min(SKETCH_BITS.div_ceil(each.max(1)))
    }

    /// Bits of a hash; `None`: all 32.
    pub(super) fn hash_bits(&self) -> Option<u32> {
        (!self.have_slots()).then_some(self.shape.hashes)
    }

    /// What a step of the function (of a table) to the next slot adds to the hash.
    pub(super) fn slot_factor(&self, table: usize, function: usize) -> u32 {
        self.slot_factors[table * self.shape.hashes as usize + function]
    }

    /// Places `values` (spoiled afterwards) on the line of every function, into `scratch.places`.
    pub(super) fn place(&self, side: Side, values: &mut Vec<f32>, scratch: &mut HashScratch) {
        scratch.places.clear();
        scratch.coordinates.clear();
        let count = self.shape.functions();
        match &self.family {
            Family::Projections { rotations, shifts } => {
                self.centre(side, values);
                let each = rotations.first().map_or(0, Rotation::dim);
                // A coordinate of a unit vector is about 1 / sqrt(dim); a projection on a Gaussian vector about 1.
                let mut scale = (each as f32).sqrt();
                if self.have_slots() {
                    scale /= self.shape.width;
                }
                for rotation in rotations {
                    let rotated = &mut scratch.rotated;
                    rotated.clear();
                    rotated.extend_from_slice(values);
                    rotated.resize(each, 0.0);
                    rotation.apply(rotated);
                    if scratch.coordinates.len() < self.sketch_bits() {
                        scratch.coordinates.extend_from_slice(rotated);
                    }
                    let more = (count - scratch.places.len()).min(each);
                    scratch
                        .places
                        .extend(rotated[..more].iter().map(|x| x * scale));
                }
                for (place, shift) in scratch.places.iter_mut().zip(shifts) {
                    *place += shift;
                }
            }
            Family::Thresholds(thresholds) => {
                let place = |&(dim, at): &(u32, f32)| {
                    let beyond = values[dim as usize] - at;
                    // Costs are squares of places.
                    beyond.abs().sqrt().copysign(beyond)
                };
                scratch.places.extend(thresholds.iter().map(place));
            }
            Family::Bits(bits) => {
                let place = |&bit: &u32| {
                    if values[bit as usize] != 0.0 {
                        1.0
                    } else {
                        -1.0
                    }
                };
                scratch.places.extend(bits.iter().map(place));
            }
            Family::MinHash(orders) => min_hash(orders, values, scratch),
        }
    }

    fn centre(&self, side: Side, values: &mut Vec<f32>) {
        match (self.shape.metric, side) {
            (Metric::L2, _) => {}
            (Metric::Dot, Side::Row) => to_unit_length(values, self.learned.norm_max),
            (Metric::Dot, Side::Query) => {
                normalise(values);
                values.push(0.0);
            }
            _ => normalise(values),
        }
        for (value, centre) in values.iter_mut().zip(&self.learned.numbers) {
            *value -= centre;
        }
    }

    /// The hash of a table from the places of its functions: bits, the first function lowest; or a number that nearly
    /// all lists of slots have for themselves.
    pub(super) fn hash(&self, table: usize, places: &[f32]) -> u32 {
        let each = self.shape.hashes as usize;
        let places = &places[table * each..(table + 1) * each];
        if !self.have_slots() {
            let bit = |(i, &place): (usize, &f32)| u32::from(place >= 0.0) << i;
            return places.iter().enumerate().map(bit).sum();
        }
        let factors = &self.slot_factors[table * each..];
        let add = |hash: u32, (&place, &factor): (&f32, &u32)| {
            let slot = place.floor() as i32;
            hash.wrapping_add(factor.wrapping_mul(slot as u32))
        };
        places.iter().zip(factors).fold(0, add)
    }

    /// The hashes of a row, one a table.
    pub(super) fn hash_row(
        &self,
        rows: VectorRows<'_>,
        row: RowId,
        values: &mut Vec<f32>,
        scratch: &mut HashScratch,
        hashes: &mut [u32],
    ) {
        read_into(self.shape.metric, rows, row, values);
        self.place(Side::Row, values, scratch);
        for (table, hash) in hashes.iter_mut().enumerate() {
            *hash = self.hash(table, &scratch.places);
        }
    }
}

/// The numbers of a row, under cosine at unit length.
pub(super) fn read_into(metric: Metric, rows: VectorRows<'_>, row: RowId, values: &mut Vec<f32>) {
    values.clear();
    values.resize(rows.dim(), 0.0);
    read_row(metric, rows, row, values);
}

/// Thresholds evenly over the spans of all dimensions laid end to end.
fn thresholds(learned: &Learned, dim: usize, count: usize, random: &mut Random) -> Vec<(u32, f32)> {
    let (low, high) = learned.numbers.split_at(dim);
    let mut ends = Vec::with_capacity(dim);
    let mut end = 0.0f64;
    for (low, high) in low.iter().zip(high) {
        end += (f64::from(*high) - f64::from(*low)).max(0.0);
        ends.push(end);
    }
    (0..count)
        .map(|_| {
            let at = random.unit() * end;
            let dim = ends.partition_point(|&end| end <= at).min(dim - 1);
            let below = if dim == 0 { 0.0 } else { ends[dim - 1] };
            (dim as u32, (f64::from(low[dim]) + (at - below)) as f32)
        })
        .collect()
}

/// The least element of each of two classes of elements, for every order: which of the two is less is the hash. The place is
/// how many elements are expected between them, of which each would have to go to change that.
fn min_hash(orders: &[(u32, u32)], values: &[f32], scratch: &mut HashScratch) {
    let least = &mut scratch.least;
    least.clear();
    least.resize(orders.len(), [u32::MAX; 2]);
    let mut elements = 0u32;
    for (bit, _) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| **value != 0.0)
    {
        elements += 1;
        let element = mix(bit as u64) as u32;
        for (least, &(factor, offset)) in least.iter_mut().zip(orders) {
            let order = element.wrapping_mul(factor).wrapping_add(offset);
            // A bit from the middle: the order goes by the upper ones, and the lowest are the same under all orders.
            let odd = (order >> 15) & 1;
            let others = odd.wrapping_neg();
            least[0] = least[0].min(order | others);
            least[1] = least[1].min(order | !others);
        }
    }
    let scale = elements as f32 / u32::MAX as f32;
    scratch.places.extend(least.iter().map(|[even, odd]| {
        let between = (f64::from(*even) - f64::from(*odd)) as f32 * scale;
        between.abs().sqrt().copysign(between)
    }));
}

/// How unlike two vectors are, as the collision formula takes it: an angle over π, a distance, a share.
pub(super) fn unlikeness(functions: &Functions, x: &[f32], y: &[f32]) -> f64 {
    let pairs = || x.iter().zip(y).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    match functions.shape.metric {
        Metric::L2 => pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt(),
        Metric::L1 => {
            let (low, high) = functions.learned.numbers.split_at(x.len());
            let spans = low.iter().zip(high);
            let span: f64 = spans.map(|(l, h)| f64::from(*h) - f64::from(*l)).sum();
            let distance: f64 = pairs().map(|(x, y)| (x - y).abs()).sum();
            (distance / span.max(f64::MIN_POSITIVE)).min(1.0)
        }
        Metric::Hamming => {
            pairs().filter(|(x, y)| (*x != 0.0) != (*y != 0.0)).count() as f64 / x.len() as f64
        }
        Metric::Jaccard => {
            let both = pairs().filter(|(x, y)| *x != 0.0 && *y != 0.0).count();
            let any = pairs().filter(|(x, y)| *x != 0.0 || *y != 0.0).count();
            1.0 - both as f64 / any.max(1) as f64
        }
        Metric::Cosine | Metric::Dot => {
            let (mut x, mut y) = (x.to_vec(), y.to_vec());
            functions.centre(Side::Query, &mut x);
            functions.centre(Side::Row, &mut y);
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum()
            };
            let norms = (dot(&x, &x) * dot(&y, &y)).sqrt();
            (dot(&x, &y) / norms.max(f64::MIN_POSITIVE))
                .clamp(-1.0, 1.0)
                .acos()
                / PI
        }
    }
}

/// The probability that two vectors so unlike share the hash of one function.
pub(super) fn collision(metric: Metric, unlikeness: f64, width: f64) -> f64 {
    match metric {
        Metric::L2 if unlikeness <= 0.0 => 1.0,
        // Datar et al., section 3.2.
        Metric::L2 => {
            let t = width / unlikeness;
            let beyond = 2.0 * upper_tail(t);
            let edges = 2.0 / ((2.0 * PI).sqrt() * t) * (1.0 - (-t * t / 2.0).exp());
            (1.0 - beyond - edges).clamp(0.0, 1.0)
        }
        Metric::Jaccard => 1.0 - unlikeness / 2.0,
        _ => 1.0 - unlikeness,
    }
}

/// The probability that a standard normal number is above `t` >= 0 (Abramowitz and Stegun, 26.2.17: within 7.5e-8).
fn upper_tail(t: f64) -> f64 {
    let x = 1.0 / (1.0 + 0.231_641_9 * t);
    let polynomial = x
        * (0.319_381_530
            + x * (-0.356_563_782
                + x * (1.781_477_937 + x * (-1.821_255_978 + x * 1.330_274_429))));
    (-t * t / 2.0).exp() / (2.0 * PI).sqrt() * polynomial
}
