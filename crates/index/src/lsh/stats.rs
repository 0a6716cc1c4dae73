//! How full the buckets are.

use serde::Serialize;

use super::Lsh;
use crate::IndexError;

/// Sizes of the buckets of all tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LshStats {
    /// Buckets that hold a row.
    pub buckets: u64,
    /// Rows of the largest.
    pub bucket_rows_max: u32,
    /// Mean rows of a bucket.
    pub bucket_rows_mean: f64,
    /// Mean rows of the bucket that a row lies in: what a search compares at each.
    pub bucket_rows_seen: f64,
}

impl Lsh {
    /// The sizes of the buckets. Reads the whole structure.
    ///
    /// # Errors
    /// Damaged sections.
    pub fn stats(&self) -> Result<LshStats, IndexError> {
        let (mut buckets, mut most, mut squares) = (0u64, 0u32, 0.0);
        let mut close = |size: u32| {
            if size > 0 {
                buckets += 1;
                most = most.max(size);
                squares += f64::from(size).powi(2);
            }
        };
        for table in 0..self.functions.shape.tables {
            let (mut hash_before, mut size) = (None, 0);
            self.tables.for_each(table, |_, hash| {
                if hash_before != Some(hash) {
                    close(size);
                    size = 0;
                }
                hash_before = Some(hash);
                size += 1;
                Ok(())
            })?;
            close(size);
        }
        let entries = self.tables.layout.entries() as f64;
        Ok(LshStats {
            buckets,
            bucket_rows_max: most,
            bucket_rows_mean: entries / buckets.max(1) as f64,
            bucket_rows_seen: squares / entries.max(1.0),
        })
    }
}
