//! What can be chosen.

use serde::{Deserialize, Serialize};
use vecdb_vector::Metric;

use crate::IndexError;

/// Build parameters of LSH. What is left out is chosen by the collision formula from a sample of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LshParams {
    /// Hash tables; each finds what the others miss. 1 to 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<u32>,
    /// Hash functions per table, all of which two rows must share to lie in one bucket. 1 to 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashes: Option<u32>,
    /// Width of the slots of a projection, in units of distance; above 0. Under l2 only: the other families of hash
    /// functions give one bit each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<f32>,
    /// Seed of the hash functions. The same seed and rows give the same index, byte for byte.
    pub seed: u64,
}

/// A width that is no number is refused by [`LshParams::validate`] and cannot be written in JSON.
impl Eq for LshParams {}

impl Default for LshParams {
    fn default() -> Self {
        Self {
            tables: None,
            hashes: None,
            width: None,
            seed: 42,
        }
    }
}

impl LshParams {
    /// The most tables.
    pub const TABLES_MAX: u32 = 512;
    /// The most hash functions of a table.
    pub const HASHES_MAX: u32 = 32;

    /// Checks the ranges documented at the fields.
    pub fn validate(&self) -> Result<(), IndexError> {
        let ranges = [
            ("tables", self.tables, Self::TABLES_MAX, "from 1 to 512"),
            ("hashes", self.hashes, Self::HASHES_MAX, "from 1 to 32"),
        ];
        for (name, value, most, expected) in ranges {
            let value = value.unwrap_or(1);
            if !(1..=most).contains(&value) {
                return Err(IndexError::OutOfRange {
                    name,
                    value: u64::from(value),
                    expected,
                });
            }
        }
        match self.width {
            Some(width) if !(width.is_finite() && width > 0.0) => Err(IndexError::BadNumber {
                name: "width",
                value: f64::from(width),
                expected: "above 0 and finite",
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the metric has what is chosen.
    pub(crate) fn check_metric(&self, metric: Metric) -> Result<(), IndexError> {
        match self.width {
            Some(width) if metric != Metric::L2 => Err(IndexError::BadSpec {
                text: format!("width {width} under {metric}"),
                reason: "only the hash functions of l2 have slots with a width; leave it out"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }
}
