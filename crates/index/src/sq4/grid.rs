//! The grid, and one vector on it.

use std::ops::Range;

use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_vector::{
    Kernels, Metric, RowId, SQ4_NUMBERS, Sq4Distance, Sq4Head, Sq4Rows, VectorRows, Work,
};

use crate::kmeans::read_row;
use crate::random::mix;
use crate::rotation::Rotation;

/// Rows that the mean and the step are learned from.
const SAMPLE_ROWS: u32 = 4_096;
/// Steps tried, as parts of one deviation of the numbers: the best of a normal distribution is 0.335.
const STEPS: [f32; 9] = [0.22, 0.26, 0.30, 0.335, 0.37, 0.41, 0.46, 0.54, 0.64];
/// The largest number of a code.
const TOP: f32 = 15.0;
/// A code stands for `(code - MIDDLE) * step`.
const MIDDLE: f32 = 7.5;
/// Steps of a query's numbers in one step of the grid.
const FINER: f32 = 8.0;
/// The largest number of a query.
const QUERY_TOP: f32 = 127.0;
/// Deviations by which a row's value may be below what its head lets expect.
const HEAD_DEVIATIONS: f32 = 2.0;
/// More than an estimate loses where its two terms nearly cancel, relative to one of them: each is rounded twice.
const CANCELLATION: f32 = 1e-6;
/// More than single precision loses in a sum over all numbers of a row, relative to its terms.
const ROUNDING: f32 = 1e-4;
/// Adding and subtracting it rounds a small number to the nearest integer, many at a time.
const ROUND: f32 = 12_582_912.0;

/// Where numbers become codes.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    metric: Metric,
    seed: u64,
    rotation: Rotation,
    mean: Vec<f32>,
    step: f32,
    /// Mean square of what a code misses of a number.
    error: f32,
}

/// A query made ready for codes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sq4Query {
    /// As given, of unit length under cosine.
    pub(super) values: Vec<f32>,
    rotated: Vec<f32>,
    pub(super) numbers: Vec<i8>,
    pub(super) scale: f32,
    pub(super) offset: f32,
    /// Where what the first lines of a row give tells something of the others.
    pub(super) head: Option<Sq4Head>,
    /// One deviation of an estimate: of its root for squared distances, of itself for products.
    pub(super) deviation: f32,
    /// What codes add to a squared distance on average.
    pub(super) bias: f32,
    /// Squared distances in a rank value.
    pub(super) squares: f32,
}

impl Grid {
    /// Whether such a metric can be told from codes.
    pub(super) fn serves(metric: Metric) -> bool {
        matches!(metric, Metric::L2 | Metric::Cosine | Metric::Dot)
    }

    /// The grid of some rows; `None` where their numbers have no finite size.
    pub(super) fn learn(metric: Metric, rows: VectorRows<'_>, seed: u64) -> Option<Self> {
        let dim = rows.dim();
        let sample = sample(rows.len(), seed);
        let mut values = vec![0.0; dim];
        let mut sums = vec![0.0f64; dim];
        for &row in &sample {
            read_row(metric, rows, row, &mut values);
            for (sum, &value) in sums.iter_mut().zip(&values) {
                *sum += f64::from(value);
            }
        }
        let count = sample.len().max(1) as f64;
        let mut grid = Self {
            metric,
            seed,
            rotation: Rotation::new(dim, seed),
            mean: sums.iter().map(|sum| (sum / count) as f32).collect(),
            step: 1.0,
            error: 0.0,
        };
        let mut rotated = Vec::new();
        let mut all = Vec::with_capacity(sample.len() * grid.rotation.dim());
        for &row in &sample {
            read_row(metric, rows, row, &mut values);
            grid.rotate(&values, &mut rotated);
            all.extend_from_slice(&rotated);
        }
        let square = mean(all.iter().map(|x| x * x));
        if !square.is_finite() || !grid.mean.iter().all(|x| x.is_finite()) {
            return None;
        }
        let deviation = (square as f32).sqrt();
        // Where all rows are equal any grid will do.
        let tried = STEPS.map(|part| {
            if deviation > 0.0 {
                part * deviation
            } else {
                1.0
            }
        });
        let errors = tried.map(|step| {
            grid.step = step;
            let missed = all.iter().map(|&x| x - grid.value(grid.code(x)));
            (step, mean(missed.map(|x| x * x)) as f32)
        });
        let best = errors.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        (grid.step, grid.error) = *best;
        (grid.step.is_normal() && grid.error.is_finite()).then_some(grid)
    }

    pub(super) fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Numbers of a code.
    pub(super) fn numbers(&self) -> usize {
        self.rotation.dim()
    }

    pub(super) fn bytes(&self) -> usize {
        self.rotation.bytes() + self.mean.len() * 4
    }

    fn code(&self, value: f32) -> f32 {
        rounded((value / self.step + MIDDLE).clamp(0.0, TOP))
    }

    fn value(&self, code: f32) -> f32 {
        (code - MIDDLE) * self.step
    }

    /// Takes the mean away and rotates.
    #[inline(always)]
    fn rotate(&self, values: &[f32], out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.rotation.dim(), 0.0);
        for ((out, x), mean) in out.iter_mut().zip(values).zip(&self.mean) {
            *out = x - mean;
        }
        self.rotation.apply_inlined(out);
    }

    /// Packs a vector, normalised under cosine, into `out`. Returns the length of what its code misses.
    pub(super) fn encode(&self, values: &[f32], rotated: &mut Vec<f32>, out: &mut [u8]) -> f32 {
        Kernels::detect().call(Rotate(self, values, rotated));
        let codes: Vec<u8> = rotated.iter().map(|&x| self.code(x) as u8).collect();
        Sq4Rows::pack(&codes, out);
        let missed = rotated.iter().zip(&codes);
        length(missed.map(|(x, &code)| x - self.value(f32::from(code))))
    }

    /// Makes a query, normalised under cosine, ready.
    pub(super) fn prepare(&self, values: &[f32], query: &mut Sq4Query) {
        Kernels::detect().call(Prepare(self, values, query));
    }

    #[inline(always)]
    fn prepare_inlined(&self, values: &[f32], query: &mut Sq4Query) {
        let numbers = self.rotation.dim();
        query.numbers.clear();
        query.head = None;
        query.bias = numbers as f32 * self.error;
        if self.metric == Metric::Dot {
            // <x, q> = <mean, q> + <x - mean, q>, and the mean stays out of the rotated query.
            let beside: f32 = values.iter().zip(&self.mean).map(|(q, m)| q * m).sum();
            query.rotated.clear();
            query.rotated.extend_from_slice(values);
            query.rotated.resize(numbers, 0.0);
            self.rotation.apply_inlined(&mut query.rotated);
            let largest = query.rotated.iter().fold(0.0f32, |max, x| max.max(x.abs()));
            let finest = if largest > 0.0 {
                QUERY_TOP / largest
            } else {
                1.0
            };
            query.numbers.resize(numbers, 0);
            let mut sum = 0;
            for (number, x) in query.numbers.iter_mut().zip(&query.rotated) {
                *number = nearest((x * finest).clamp(-QUERY_TOP, QUERY_TOP));
                sum += i32::from(*number);
            }
            let sum = sum as f32;
            query.scale = self.step / finest;
            query.offset = MIDDLE * query.scale * sum - beside;
            let square: f32 = values.iter().map(|x| x * x).sum();
            query.deviation = (self.error * square).sqrt();
            query.squares = 1.0;
        } else {
            self.rotate(values, &mut query.rotated);
            query.numbers.resize(numbers, 0);
            let finer = FINER / self.step;
            let lines = head_lines(numbers);
            let (head, tail) = query.numbers.split_at_mut(lines * SQ4_NUMBERS);
            let (first, rest) = query.rotated.split_at(head.len());
            let head_square = fill(finer, first, head);
            let square = head_square + fill(finer, rest, tail);
            // On the sphere 1 - cos is half the squared distance.
            query.squares = if self.metric == Metric::Cosine {
                0.5
            } else {
                1.0
            };
            let cell = self.step * self.step * query.squares;
            query.scale = cell / 4.0;
            query.offset = cell * square / (FINER * FINER);
            if lines > 0 {
                // What the first numbers of a vector of random direction tell of its length.
                let (all, first) = (numbers as f32, (lines * SQ4_NUMBERS) as f32);
                let deviation = (2.0 * (all - first) / (first * (all + 2.0))).sqrt();
                let factor = all / first;
                query.head = Some(Sq4Head {
                    lines,
                    offset: cell * head_square / (FINER * FINER),
                    factor,
                    least: factor * (1.0 - HEAD_DEVIATIONS * deviation),
                });
            }
            query.deviation = 2.0 * self.error.sqrt();
        }
        query
            .numbers
            .resize(numbers.next_multiple_of(SQ4_NUMBERS), 0);
    }

    pub(super) fn distance(&self) -> Sq4Distance {
        match self.metric {
            Metric::Dot => Sq4Distance::NegativeDot,
            _ => Sq4Distance::Squares,
        }
    }

    /// One deviation of the error in an estimate.
    pub(super) fn error_at(&self, query: &Sq4Query, estimate: f32) -> f32 {
        match self.metric {
            Metric::Dot => query.deviation,
            _ => query.deviation * (estimate.max(0.0) * query.squares).sqrt(),
        }
    }

    /// The least that a row is likely to be at, given its estimate; `deviations` of error are allowed for.
    pub(super) fn least(&self, query: &Sq4Query, estimate: f32, deviations: f32) -> f32 {
        let unbiased = match self.metric {
            Metric::Dot => estimate,
            _ => (estimate - query.bias * query.squares).max(0.0),
        };
        unbiased - deviations * self.error_at(query, unbiased)
    }

    /// What it takes to bound distances to `query`.
    pub(super) fn bounds(&self, query: &Sq4Query) -> Bounds {
        let numbers = query.rotated.iter().zip(&query.numbers);
        if self.metric == Metric::Dot {
            let finest = self.step / query.scale;
            let missed = length(numbers.map(|(x, &number)| x - f32::from(number) / finest));
            let longest = TOP * self.step * 0.5 * (self.numbers() as f32).sqrt();
            return Bounds {
                root: false,
                squares: 1.0,
                slope: length(query.rotated.iter().copied()),
                beside: longest * missed + ROUNDING * query.offset.abs(),
            };
        }
        let missed = numbers.map(|(x, &number)| x - self.value(f32::from(number) / FINER));
        Bounds {
            root: true,
            squares: query.squares,
            slope: 1.0,
            beside: length(missed) + (CANCELLATION * query.offset.abs() / query.squares).sqrt(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u32(self.mean.len() as u32)
            .u64(self.seed)
            .f32(self.step)
            .f32(self.error);
        for &value in &self.mean {
            writer.f32(value);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, metric: Metric) -> Result<Self, BytesError> {
        let dim = reader.u32()? as usize;
        let seed = reader.u64()?;
        let (step, error) = (reader.f32()?, reader.f32()?);
        let sound = step.is_normal() && step > 0.0 && error.is_finite() && error >= 0.0;
        if dim == 0 || dim > vecdb_vector::MAX_DIM || !sound {
            return Err(reader.error("a grid that no rows have"));
        }
        let mut mean = Vec::with_capacity(dim);
        for _ in 0..dim {
            let value = reader.f32()?;
            if !value.is_finite() {
                return Err(reader.error("a mean that is no number"));
            }
            mean.push(value);
        }
        Ok(Self {
            metric,
            seed,
            rotation: Rotation::new(dim, seed),
            mean,
            step,
            error,
        })
    }
}

struct Rotate<'a>(&'a Grid, &'a [f32], &'a mut Vec<f32>);

impl Work for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.rotate(self.1, self.2);
    }
}

struct Prepare<'a>(&'a Grid, &'a [f32], &'a mut Sq4Query);

impl Work for Prepare<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.prepare_inlined(self.1, self.2);
    }
}

/// The numbers of a rotated query; the sum of their squares.
#[inline(always)]
fn fill(finer: f32, rotated: &[f32], numbers: &mut [i8]) -> f32 {
    let mut square = 0;
    for (number, x) in numbers.iter_mut().zip(rotated) {
        let value = x * finer + MIDDLE * FINER;
        *number = nearest(value.clamp(-QUERY_TOP, QUERY_TOP));
        square += i32::from(*number) * i32::from(*number);
    }
    square as f32
}

/// Bounds of distances, for sure: what the codes of row and query miss moves a row by no more than its length.
pub(super) struct Bounds {
    /// Distances are squared lengths, `squares` times.
    root: bool,
    squares: f32,
    /// By how much a unit of a row's error may change the value, and what is missed whatever the row.
    slope: f32,
    beside: f32,
}

impl Bounds {
    /// The rank values that a row may have, given the estimate of it and the length of what its code misses.
    #[inline]
    pub(super) fn range(&self, estimate: f32, error: f32) -> Range<f32> {
        let missed = self.slope * error + self.beside;
        if self.root {
            let length = (estimate.max(0.0) / self.squares).sqrt();
            let least = (length * (1.0 - ROUNDING) - missed).max(0.0);
            let most = length * (1.0 + ROUNDING) + missed;
            self.squares * least * least..self.squares * most * most
        } else {
            let missed = missed + ROUNDING * estimate.abs();
            estimate - missed..estimate + missed
        }
    }
}

/// Rounded up.
fn length(values: impl Iterator<Item = f32>) -> f32 {
    values.map(|x| x * x).sum::<f32>().sqrt() * (1.0 + ROUNDING)
}

/// The nearest integer of a number that an `i8` holds; unlike the language's conversion many at a time.
#[inline(always)]
fn nearest(value: f32) -> i8 {
    // The lowest bits of the sum are those of the integer.
    (value + ROUND).to_bits() as i8
}

/// To the nearest integer; of numbers below 2^22.
#[inline(always)]
fn rounded(value: f32) -> f32 {
    (value + ROUND) - ROUND
}

/// Cache lines of a row's head; 0 where rows are too short for one.
fn head_lines(numbers: usize) -> usize {
    let lines = numbers.div_ceil(SQ4_NUMBERS);
    if lines < 5 { 0 } else { lines * 2 / 5 + 1 }
}

/// Rows spread over all.
fn sample(rows: u32, seed: u64) -> Vec<RowId> {
    if rows <= SAMPLE_ROWS {
        return (0..rows).map(RowId).collect();
    }
    let part = |i: u32| u64::from(rows) * u64::from(i) / u64::from(SAMPLE_ROWS);
    (0..SAMPLE_ROWS)
        .map(|i| {
            let (from, to) = (part(i), part(i + 1));
            RowId((from + mix(seed ^ u64::from(i)) % (to - from)) as u32)
        })
        .collect()
}

fn mean(values: impl Iterator<Item = f32>) -> f64 {
    let (mut sum, mut count) = (0.0f64, 0u64);
    for value in values {
        sum += f64::from(value);
        count += 1;
    }
    sum / count.max(1) as f64
}
