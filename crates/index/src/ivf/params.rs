//! What can be chosen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vecdb_vector::{ElementType, Metric};

use crate::{IndexError, QuantizerSpec};

/// What the lists hold of each row. As text, and so in JSON: `vector`, `sq8`, or a [`QuantizerSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum IvfCode {
    /// The vector itself: distances are exact, and the vectors lie on the disk twice.
    Vector,
    /// One byte a number, on one scale for all: a quarter of the bytes to read (of f32); the best candidates are measured
    /// by their vectors. For f32 and f16 under l2, cosine, dot and l1.
    Sq8,
    /// Codes of what is left of the row beyond the centroid of its list (Jégou, Douze and Schmid, PAMI 2011, section 4);
    /// the best candidates are measured by their vectors. For all numbers under l2, cosine and dot.
    Quantized(QuantizerSpec),
}

impl IvfCode {
    /// Whether rows of this kind can be coded so.
    pub(super) fn serves(self, metric: Metric, element: ElementType) -> bool {
        match self {
            Self::Vector => true,
            Self::Sq8 => {
                matches!(element, ElementType::F32 | ElementType::F16)
                    && matches!(
                        metric,
                        Metric::L2 | Metric::Cosine | Metric::Dot | Metric::L1
                    )
            }
            Self::Quantized(spec) => spec.serves(metric, element),
        }
    }
}

impl fmt::Display for IvfCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vector => f.write_str("vector"),
            Self::Sq8 => f.write_str("sq8"),
            Self::Quantized(spec) => spec.fmt(f),
        }
    }
}

impl FromStr for IvfCode {
    type Err = IndexError;

    /// Reads the text form and validates it.
    fn from_str(text: &str) -> Result<Self, IndexError> {
        match text {
            "vector" => Ok(Self::Vector),
            "sq8" => Ok(Self::Sq8),
            quantizer => quantizer
                .parse()
                .map(Self::Quantized)
                .map_err(|error| match error {
                    IndexError::BadCode { text } => IndexError::BadListCode { text },
                    error => error,
                }),
        }
    }
}

impl TryFrom<String> for IvfCode {
    type Error = IndexError;

    fn try_from(text: String) -> Result<Self, IndexError> {
        text.parse()
    }
}

impl From<IvfCode> for String {
    fn from(code: IvfCode) -> Self {
        code.to_string()
    }
}

/// Build parameters of IVF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IvfParams {
    /// Lists. 1 to 1,000,000; default: the square root of the number of rows. Never more than rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nlist: Option<u32>,
    /// What the lists hold. Default: `sq8` where the rows are such that it can be, else `vector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<IvfCode>,
    /// Rows per list that the centroids are learned from, at most. 1 to 100,000, default 128.
    pub train_rows_per_list: u32,
    /// Iterations of k-means at most. 1 to 1,000, default 15.
    pub iterations: u32,
    /// Seed of the training. The same seed and rows give the same index, byte for byte.
    pub seed: u64,
}

impl Default for IvfParams {
    fn default() -> Self {
        Self {
            nlist: None,
            code: None,
            train_rows_per_list: 128,
            iterations: 15,
            seed: 42,
        }
    }
}

impl IvfParams {
    /// Checks the ranges documented at the fields.
    pub fn validate(&self) -> Result<(), IndexError> {
        let ranges = [
            (
                "nlist",
                self.nlist.unwrap_or(1),
                1_000_000,
                "from 1 to 1,000,000",
            ),
            (
                "train_rows_per_list",
                self.train_rows_per_list,
                100_000,
                "from 1 to 100,000",
            ),
            ("iterations", self.iterations, 1_000, "from 1 to 1,000"),
        ];
        for (name, value, most, expected) in ranges {
            if !(1..=most).contains(&value) {
                return Err(IndexError::OutOfRange {
                    name,
                    value: u64::from(value),
                    expected,
                });
            }
        }
        match self.code {
            Some(IvfCode::Quantized(QuantizerSpec::Sq { bits: 8 })) => {
                // The lists' own eight bits a number are scanned many times faster.
                Err(IndexError::BadListCode {
                    text: "sq8 by tables".into(),
                })
            }
            Some(IvfCode::Quantized(spec)) => spec.validate(),
            _ => Ok(()),
        }
    }

    /// Checks that the code has no more segments than there are dimensions.
    pub(crate) fn check_dim(&self, dim: usize) -> Result<(), IndexError> {
        match self.code {
            Some(IvfCode::Quantized(spec)) => spec.check_dim(dim),
            _ => Ok(()),
        }
    }

    /// The code for such rows.
    ///
    /// # Errors
    /// A code that cannot serve them.
    pub(crate) fn code_for(
        &self,
        metric: Metric,
        element: ElementType,
    ) -> Result<IvfCode, IndexError> {
        match self.code {
            Some(code) if code.serves(metric, element) => Ok(code),
            Some(code) => Err(IndexError::UnsupportedCode {
                code: code.to_string(),
                metric,
                element,
            }),
            None if IvfCode::Sq8.serves(metric, element) => Ok(IvfCode::Sq8),
            None => Ok(IvfCode::Vector),
        }
    }

    /// How many lists so many rows get.
    pub(super) fn lists_for(&self, rows: u32) -> u32 {
        let lists = self
            .nlist
            .unwrap_or_else(|| f64::from(rows).sqrt().round() as u32);
        lists.clamp(1, rows.max(1)).min(rows)
    }
}
