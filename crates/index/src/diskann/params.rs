//! What can be chosen.

use serde::{Deserialize, Serialize};

use crate::IndexError;

/// Build parameters of DiskANN, by the names of the paper (Subramanya and others, NeurIPS 2019, sections 2 and 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskAnnParams {
    /// Links of a row at most (R). Even, 4 to 256, default 64.
    pub r: u32,
    /// Size of the candidate pool while a row is linked (L). 4 to 10,000, default 100; never less than `r` in use.
    pub l_build: u32,
    /// How many times nearer to a kept link than to the row a candidate has to be to be left out: more than 1 keeps longer
    /// links, so that searches take fewer steps. 1 to 2, default 1.2.
    pub alpha: f32,
    /// Bytes of the code that stands for a row in memory. 1 to 4,096 and at most one a dimension. Default: a quarter of
    /// the dimension, but no less than 16 (or the dimension).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_bytes: Option<u32>,
    /// Seed of all draws. The same seed and rows built by one thread give the same index, byte for byte.
    pub seed: u64,
}

/// Only `alpha` could be unequal to itself, and validation refuses what is no number.
impl Eq for DiskAnnParams {}

impl Default for DiskAnnParams {
    fn default() -> Self {
        Self {
            r: 64,
            l_build: 100,
            alpha: 1.2,
            code_bytes: None,
            seed: 42,
        }
    }
}

impl DiskAnnParams {
    /// Checks the ranges documented at the fields.
    pub fn validate(&self) -> Result<(), IndexError> {
        let out_of_range = |name, value: u64, expected| {
            Err(IndexError::OutOfRange {
                name,
                value,
                expected,
            })
        };
        if !(4..=256).contains(&self.r) || !self.r.is_multiple_of(2) {
            return out_of_range("r", u64::from(self.r), "even, from 4 to 256");
        }
        if !(4..=10_000).contains(&self.l_build) {
            return out_of_range("l_build", u64::from(self.l_build), "from 4 to 10,000");
        }
        if !(1.0..=2.0).contains(&self.alpha) {
            return Err(IndexError::BadNumber {
                name: "alpha",
                value: f64::from(self.alpha),
                expected: "from 1 to 2",
            });
        }
        match self.code_bytes {
            Some(bytes) if !(1..=4096).contains(&bytes) => {
                out_of_range("code_bytes", u64::from(bytes), "from 1 to 4,096")
            }
            _ => Ok(()),
        }
    }

    /// Bytes of a code of `dim` numbers.
    pub(super) fn code_bytes_for(&self, dim: usize) -> usize {
        let usual = (dim / 4).max(dim.min(16));
        let wanted = self.code_bytes.map_or(usual, |bytes| bytes as usize);
        wanted.clamp(1, dim.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_and_codes_have_a_usual_length() {
        let ok = DiskAnnParams::default();
        assert!(ok.validate().is_ok());
        for (params, named) in [
            (DiskAnnParams { r: 7, ..ok.clone() }, "`r` is 7"),
            (
                DiskAnnParams {
                    r: 258,
                    ..ok.clone()
                },
                "from 4 to 256",
            ),
            (
                DiskAnnParams {
                    l_build: 0,
                    ..ok.clone()
                },
                "l_build",
            ),
            (
                DiskAnnParams {
                    alpha: f32::NAN,
                    ..ok.clone()
                },
                "alpha",
            ),
            (
                DiskAnnParams {
                    alpha: 0.9,
                    ..ok.clone()
                },
                "from 1 to 2",
            ),
            (
                DiskAnnParams {
                    code_bytes: Some(0),
                    ..ok.clone()
                },
                "code_bytes",
            ),
        ] {
            let error = params.validate().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        for (dim, bytes) in [(1, 1), (8, 8), (24, 16), (128, 32), (784, 196)] {
            assert_eq!(ok.code_bytes_for(dim), bytes);
        }
        let few = DiskAnnParams {
            code_bytes: Some(48),
            ..ok
        };
        assert_eq!((few.code_bytes_for(96), few.code_bytes_for(8)), (48, 8));
    }
}
