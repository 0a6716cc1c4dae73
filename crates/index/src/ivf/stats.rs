//! How full the lists are.

use serde::Serialize;

use super::Ivf;
use crate::IndexError;

/// Sizes of the lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IvfStats {
    /// Rows of the smallest list.
    pub list_rows_min: u32,
    /// Rows of the largest list.
    pub list_rows_max: u32,
    /// Rows of the list in the middle.
    pub list_rows_median: u32,
    /// Mean rows of a list.
    pub list_rows_mean: f64,
    /// Standard deviation of these.
    pub list_rows_stddev: f64,
    /// Lists without a row.
    pub lists_empty: u32,
    /// `nlist` times the sum of squared sizes over the squared sum: 1 for equal lists; how much longer the list of a random
    /// row is than the mean one.
    pub imbalance: f64,
}

impl Ivf {
    /// The sizes of the lists.
    ///
    /// # Errors
    /// Damaged sections.
    pub fn stats(&self) -> Result<IvfStats, IndexError> {
        let mut sizes = (0..self.lists)
            .map(|list| Ok(self.list(list)?.len() as u32))
            .collect::<Result<Vec<u32>, IndexError>>()?;
        sizes.sort_unstable();
        let count = sizes.len().max(1) as f64;
        let sum: f64 = sizes.iter().map(|&size| f64::from(size)).sum();
        let squares: f64 = sizes.iter().map(|&size| f64::from(size).powi(2)).sum();
        let mean = sum / count;
        Ok(IvfStats {
            list_rows_min: sizes.first().copied().unwrap_or(0),
            list_rows_max: sizes.last().copied().unwrap_or(0),
            list_rows_median: sizes.get(sizes.len() / 2).copied().unwrap_or(0),
            list_rows_mean: mean,
            list_rows_stddev: (squares / count - mean * mean).max(0.0).sqrt(),
            lists_empty: sizes.iter().filter(|&&size| size == 0).count() as u32,
            imbalance: if sum > 0.0 {
                count * squares / (sum * sum)
            } else {
                1.0
            },
        })
    }
}
