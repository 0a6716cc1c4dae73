//! A row number and a hit.

use std::cmp::Ordering;
use std::fmt;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// Number of a row in its segment, from 0.
#[repr(transparent)]
#[derive(
    Copy,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Debug,
    Pod,
    Zeroable,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct RowId(pub u32);

impl RowId {
    /// The number as an index into memory.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<u32> for RowId {
    fn from(row: u32) -> Self {
        RowId(row)
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A row and how far it is. Ordered by distance, ties by row.
#[derive(Copy, Clone, Debug)]
pub struct Neighbor {
    /// Rank value (or the reported distance, where the owner says so); smaller is nearer.
    pub distance: f32,
    /// The row.
    pub row: RowId,
}

impl Neighbor {
    /// A hit.
    #[inline]
    pub fn new(distance: f32, row: RowId) -> Self {
        Neighbor { distance, row }
    }
}

impl Ord for Neighbor {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance
            .total_cmp(&other.distance)
            .then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Neighbor {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// By the same total order as `Ord`, so that the two never disagree on NaN or -0.
impl PartialEq for Neighbor {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Neighbor {}
