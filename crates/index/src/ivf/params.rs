//! What can be chosen.

use serde::{Deserialize, Serialize};
use vecdb_vector::{ElementType, Metric};

use crate::IndexError;

/// What the lists hold of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IvfCode {
    /// The vector itself: distances are exact, and the vectors lie on the disk twice.
    Vector,
    /// One byte a number: a quarter of the bytes to read (of f32); the best candidates are measured by their vectors.
    /// For f32 and f16 under l2, cosine, dot and l1.
    Sq8,
}

impl IvfCode {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Vector, Self::Sq8];

    /// The name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Sq8 => "sq8",
        }
    }

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
        }
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
        Ok(())
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
                code: code.name(),
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
