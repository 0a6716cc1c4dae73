//! [`SketchSpace`]: what rows and queries must share to be compared by sketches.

use vecdb_vector::{ElementType, Metric, RowId, VectorRows, decode_row};

use crate::rotation::Rotation;

/// Rows of the sample that the centre is the mean of; more do not move it.
const SAMPLE_ROWS: u32 = 4_096;
/// Squared lengths that single precision holds with room for a square more.
pub(super) const SAFE_SQUARES: std::ops::RangeInclusive<f32> = 1e-30..=1e30;

/// A metric, a centre and a random rotation. Immutable; share it by `Arc` among all sketches that are searched
/// together, since a query is prepared for one space.
#[derive(Debug)]
pub struct SketchSpace {
    metric: Metric,
    element: ElementType,
    dim: usize,
    /// The mean of the sample (under cosine: of its directions), not rotated: it is subtracted before, where numbers
    /// near each other cancel exactly.
    centre: Vec<f32>,
    centre_norm: f32,
    rotation: Rotation,
}

impl SketchSpace {
    /// A space around the mean of `sample` (at most 4,096 of its rows are read, evenly spaced; none is fine), or `None`
    /// for a metric that sketches cannot serve: L1, Hamming, Jaccard. Same sample and seed, same space.
    pub fn new(metric: Metric, sample: VectorRows<'_>, seed: u64) -> Option<Self> {
        let served = matches!(metric, Metric::L2 | Metric::Cosine | Metric::Dot);
        if !served || !metric.supports(sample.element()) {
            return None;
        }
        let (element, dim) = (sample.element(), sample.dim());
        let mut sums = vec![0.0f64; dim];
        let mut values = Vec::with_capacity(dim);
        let step = sample.len().div_ceil(SAMPLE_ROWS).max(1);
        let mut rows = 0u32;
        for row in (0..sample.len()).step_by(step as usize) {
            values.clear();
            decode_row(element, dim, sample.row_bytes(RowId(row)), &mut values);
            if metric == Metric::Cosine && !normalise(&mut values) {
                continue;
            }
            for (sum, &value) in sums.iter_mut().zip(&values) {
                *sum += f64::from(value);
            }
            rows += 1;
        }
        let centre: Vec<f32> = sums
            .iter()
            .map(|sum| (sum / f64::from(rows.max(1))) as f32)
            .collect();
        let centre_norm = centre.iter().map(|&c| f64::from(c).powi(2)).sum::<f64>();
        Some(Self {
            metric,
            element,
            dim,
            centre,
            centre_norm: centre_norm.sqrt() as f32,
            rotation: Rotation::new(dim, seed),
        })
    }

    /// 64-bit words of a code: the dimension divided by 64, rounded up.
    pub fn words(&self) -> usize {
        self.rotation.dim() / 64
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Element type of the rows.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        (self.centre.len() * 4 + self.rotation.bytes()) as u64
    }

    pub(super) fn padded_dim(&self) -> usize {
        self.rotation.dim()
    }

    pub(super) fn centre_norm(&self) -> f32 {
        self.centre_norm
    }

    /// Turns `dim` numbers into the padded, centred and rotated ones, in place.
    ///
    /// Gives the squared distance to the centre and the inner product of `values - centre` with the centre; `None`
    /// where single precision does not hold what follows from them.
    pub(super) fn place(&self, values: &mut Vec<f32>) -> Option<Placed> {
        if self.metric == Metric::Cosine && !normalise(values) {
            return None;
        }
        let mut square = [0.0f32; 8];
        let mut with_centre = [0.0f32; 8];
        for (values, centre) in values.chunks_mut(8).zip(self.centre.chunks(8)) {
            for (i, (value, &centre)) in values.iter_mut().zip(centre).enumerate() {
                *value -= centre;
                square[i] += *value * *value;
                with_centre[i] += *value * centre;
            }
        }
        let square: f32 = square.iter().sum();
        let is_zero = square == 0.0 && values.iter().all(|&v| v == 0.0);
        if !is_zero && !SAFE_SQUARES.contains(&square) {
            return None;
        }
        values.resize(self.padded_dim(), 0.0);
        self.rotation.apply(values);
        Some(Placed {
            square,
            with_centre: with_centre.iter().sum(),
        })
    }
}

/// Where a vector lies with respect to the centre.
pub(super) struct Placed {
    /// Squared distance to the centre.
    pub(super) square: f32,
    /// Inner product of the centred vector and the centre.
    pub(super) with_centre: f32,
}

/// Scales to length 1; zeros stay zeros. False where single precision cannot do it.
fn normalise(values: &mut [f32]) -> bool {
    let mut square = [0.0f32; 8];
    for values in values.chunks(8) {
        for (sum, value) in square.iter_mut().zip(values) {
            *sum += value * value;
        }
    }
    let square: f32 = square.iter().sum();
    if SAFE_SQUARES.contains(&square) {
        let inverse = 1.0 / square.sqrt();
        for value in values.iter_mut() {
            *value *= inverse;
        }
        return true;
    }
    square == 0.0 && values.iter().all(|&v| v == 0.0)
}
