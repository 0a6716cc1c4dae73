//! [`SketchQuery`]: a query, made ready for the sketches of one space.

use vecdb_vector::{Metric, PLANES, Query};

use super::SketchSpace;
use super::codes::{MISSED_MIN, ROUNDING, pack_bits};
use crate::IndexError;

/// How many deviations of the estimate's error count as its bound. The error is close to normal, so that a row at the
/// very threshold is lost once in 70 times. On four real sets of 60,000 rows (example `sketch`), recall@10 and rows
/// measured: 1.9 (the RaBitQ library's choice) 0.997 to 1, 78 to 443; 2.2 0.9985 to 1, 96 to 621; 2.5 1, 120 to 856.
const DEVIATIONS: f64 = 2.2;
/// Largest number of a plane, and half a step more, in steps.
const LEVELS: f64 = 7.5;
/// Step, in deviations of the numbers, that loses least of a normal distribution in 16 levels (Max 1960).
const STEP_MAX: f64 = 0.335;
/// Adding and subtracting it rounds a small number to the nearest integer.
const ROUND: f32 = 12_582_912.0;

/// A query rotated into a [`SketchSpace`] and rounded to 4-bit numbers, as bit planes. Made once per search, for any
/// number of [`Sketches`](super::Sketches) of the space. The default one is for no space until it is
/// [`set`](SketchQuery::set).
#[derive(Debug, Clone, Default)]
pub struct SketchQuery {
    pub(super) planes: Vec<u64>,
    /// The estimate of a row: `add + row.add + row.rescale * (scale * dot + offset)`.
    pub(super) add: f32,
    pub(super) scale: f32,
    pub(super) offset: f32,
    /// The bound of its error: `error * row.error`.
    pub(super) error: f32,
    /// Single precision does not hold the query: every row has to be measured.
    pub(super) blind: bool,
    values: Vec<f32>,
}

impl SketchQuery {
    /// The query in the space.
    ///
    /// # Errors
    /// `Mismatch` when metric, element type or dimension differ.
    pub fn new(space: &SketchSpace, query: &Query) -> Result<Self, IndexError> {
        let mut made = Self::default();
        made.set(space, query)?;
        Ok(made)
    }

    /// Makes it that of another query, keeping the memory.
    ///
    /// # Errors
    /// As [`SketchQuery::new`]; it keeps its old query then.
    pub fn set(&mut self, space: &SketchSpace, query: &Query) -> Result<(), IndexError> {
        let of_space = (space.metric(), space.element(), space.dim());
        let of_query = (query.metric(), query.element(), query.dim());
        if of_space != of_query {
            let words = |(metric, element, dim)| format!("{metric} over {dim} x {element}");
            return Err(IndexError::Mismatch {
                what: "query of a sketch space",
                expected: words(of_space),
                got: words(of_query),
            });
        }
        self.values.clear();
        query.to_f32(&mut self.values);
        self.planes.clear();
        self.planes.resize(space.words() * PLANES, 0);
        self.blind = self.prepare(space, query).is_none();
        Ok(())
    }

    fn prepare(&mut self, space: &SketchSpace, query: &Query) -> Option<()> {
        // What the query itself, not its difference to the centre, has with the centre.
        let placed = space.place(&mut self.values)?;
        let square = f64::from(placed.square);
        let centre = f64::from(space.centre_norm());
        let length = square.sqrt();
        let with_centre = f64::from(placed.with_centre) + centre * centre;
        let slack = f64::from(ROUNDING) * (length + centre) * centre;
        let add = match query.metric() {
            Metric::L2 => square * (1.0 - f64::from(ROUNDING)),
            Metric::Cosine => 1.0 - with_centre - slack - f64::from(ROUNDING),
            _ => -with_centre - slack,
        };
        let (step, sum, lost) = self.round(length);
        self.add = add as f32;
        self.scale = step as f32;
        self.offset = (-0.5 * step * f64::from(sum)) as f32;
        self.error = (DEVIATIONS * (square + lost / f64::from(MISSED_MIN)).sqrt()) as f32;
        // Beyond, a factor of a row times one of the query could overflow.
        let safe = |value: f32| value.abs() <= 1e30;
        (safe(self.add) && safe(self.scale) && safe(self.offset) && safe(self.error)).then_some(())
    }

    /// Fills the planes; gives the step, the sum of the rounded numbers and the squared error of rounding.
    fn round(&mut self, length: f64) -> (f64, i32, f64) {
        let largest = self.values.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        let deviation = length / (self.values.len() as f64).sqrt();
        let step = (f64::from(largest) / LEVELS).min(STEP_MAX * deviation);
        let inverse = (1.0 / step) as f32;
        if !inverse.is_normal() {
            return (0.0, 0, length * length);
        }
        let step = 1.0 / f64::from(inverse);
        let mut sum = 0;
        let mut lost = [0.0f32; 16];
        let words = self.values.as_chunks::<64>().0.iter();
        for (values, planes) in words.zip(self.planes.as_chunks_mut::<PLANES>().0) {
            let mut levels = [0u8; 64];
            for (values, levels) in values.chunks(16).zip(levels.chunks_mut(16)) {
                for ((&value, level), lost) in values.iter().zip(levels).zip(&mut lost) {
                    let steps = value * inverse;
                    let rounded = (steps.clamp(-8.0, 7.0) + ROUND) - ROUND;
                    *lost += (steps - rounded) * (steps - rounded);
                    *level = rounded as i32 as u8;
                    sum += rounded as i32;
                }
            }
            for (b, plane) in planes.iter_mut().enumerate() {
                *plane = pack_bits(&levels.map(|level| level >> b));
            }
        }
        let lost: f32 = lost.iter().sum();
        (step, sum, f64::from(lost) * step * step)
    }
}
