//! Eight bits a number on one scale for all numbers of all rows: a quarter of the bytes, the order of distances kept
//! nearly.
//!
//! L2 and L1 take unsigned codes on the range of all values (the offset cancels in differences), cosine takes L2 over
//! the normalised rows (the same order), dot takes signed codes around zero.

use parking_lot::Mutex;
use vecdb_vector::{ElementType, Metric, RowId, VectorRows};

use crate::kmeans::read_row;
use crate::{BuildOptions, IndexError};

/// `code = (value - low) * step`, 0 to 255 (or -127 to 127 with `low` = 0).
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) low: f32,
    pub(crate) step: f32,
    pub(crate) signed: bool,
}

impl Scale {
    /// The scale that spans all values; `None` where they have no span or no end.
    pub(crate) fn of(
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Option<Self>, IndexError> {
        let range = Mutex::new((f32::INFINITY, f32::NEG_INFINITY));
        options.for_each_block(
            rows.len(),
            1024,
            || vec![0.0; rows.dim()],
            |values, block| {
                let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
                for row in block {
                    read_row(metric, rows, RowId(row), values);
                    for &value in values.iter() {
                        low = low.min(value);
                        high = high.max(value);
                    }
                }
                let mut range = range.lock();
                *range = (range.0.min(low), range.1.max(high));
                Ok(())
            },
        )?;
        let (low, high) = range.into_inner();
        let signed = metric == Metric::Dot;
        let scale = match signed {
            true => Self {
                low: 0.0,
                step: 127.0 / high.max(-low),
                signed,
            },
            false => Self {
                low,
                step: 255.0 / (high - low),
                signed,
            },
        };
        Ok(scale.is_valid().then_some(scale))
    }

    /// A scale for values that have none of their own: it makes codes, and tells little apart.
    pub(crate) fn of_any(metric: Metric) -> Self {
        Self {
            low: 0.0,
            step: 1.0,
            signed: metric == Metric::Dot,
        }
    }

    /// Whether codes come of it.
    pub(crate) fn is_valid(&self) -> bool {
        self.step.is_finite() && self.step > 0.0 && self.low.is_finite()
    }

    /// What to compare codes with.
    pub(crate) fn metric(&self, metric: Metric) -> Metric {
        match metric {
            Metric::Cosine => Metric::L2,
            other => other,
        }
    }

    /// How codes are stored.
    pub(crate) fn element(&self) -> ElementType {
        match self.signed {
            true => ElementType::I8,
            false => ElementType::U8,
        }
    }

    /// The code of a value; values beyond the scale get its ends.
    pub(crate) fn code(&self, value: f32) -> f32 {
        let code = ((value - self.low) * self.step).round();
        match self.signed {
            true => code.clamp(-127.0, 127.0),
            false => code.clamp(0.0, 255.0),
        }
    }

    /// The codes of the values of a row, as bytes.
    pub(crate) fn encode(&self, values: &[f32], out: &mut [u8]) {
        for (&value, out) in values.iter().zip(out) {
            let code = self.code(value);
            *out = match self.signed {
                true => (code as i8) as u8,
                false => code as u8,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(metric: Metric, values: &[f32]) -> Option<Scale> {
        let rows = VectorRows::from_f32(2, values).unwrap();
        Scale::of(metric, rows, &BuildOptions::default()).unwrap()
    }

    #[test]
    fn the_ends_of_the_values_are_the_ends_of_the_codes() {
        // Values that are bytes already have a scale as well.
        for (metric, values, codes) in [
            (Metric::L2, [0.0, 255.0, 12.0, 7.0], [0u8, 255, 12, 7]),
            (Metric::L1, [-1.0, 1.0, 0.0, 9.0], [0, 51, 26, 255]),
            (Metric::Dot, [-2.0, 1.0, 0.0, 2.0], [0x81, 64, 0, 127]),
        ] {
            let scale = scale(metric, &values).unwrap();
            let mut out = [0; 4];
            scale.encode(&values, &mut out);
            assert_eq!(out, codes, "{metric}");
            assert_eq!(scale.code(1e9), scale.code(f32::MAX), "beyond the end");
        }
        assert_eq!(scale(Metric::L2, &[3.0; 4]), None);
        assert_eq!(scale(Metric::L2, &[]), None);
        assert_eq!(scale(Metric::L2, &[f32::MIN, f32::MAX]), None);
    }
}
