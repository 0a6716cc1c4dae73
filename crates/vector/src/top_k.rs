//! The bounded pool that keeps the k nearest of everything pushed.

use std::collections::BinaryHeap;

use crate::{Neighbor, RowId};

/// The k nearest neighbours seen so far: a binary heap with the worst on top.
///
/// Order is (distance, row), so the answer does not depend on the order of pushes.
/// NaN is never kept.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    threshold: f32,
    heap: BinaryHeap<Neighbor>,
}

impl TopK {
    /// An empty pool for `k` neighbours; `k = 0` keeps nothing.
    pub fn new(k: usize) -> Self {
        TopK {
            k,
            threshold: Self::open_threshold(k),
            // A caller may ask for more than there are rows: grow on demand beyond a page.
            heap: BinaryHeap::with_capacity(k.min(512)),
        }
    }

    /// A pool that keeps nothing farther than `ceiling`, which a search of other rows has reached
    /// already.
    pub fn below(k: usize, ceiling: f32) -> Self {
        let mut top = Self::new(k);
        top.threshold = top.threshold.min(ceiling);
        top
    }

    /// Empties the pool and sets its bound, keeping its memory.
    pub fn clear(&mut self, k: usize) {
        self.heap.clear();
        self.k = k;
        self.threshold = Self::open_threshold(k);
    }

    /// Offers a row; true when it entered the pool.
    #[inline]
    pub fn push(&mut self, distance: f32, row: RowId) -> bool {
        // False for NaN as well. A tie may still enter, by its smaller row.
        if distance <= self.threshold {
            self.insert(Neighbor { distance, row })
        } else {
            false
        }
    }

    /// Offers many rows at once, `row(i)` at `distances[i]`. Once the pool is full, most blocks hold nothing near enough:
    /// one vectorised comparison per sixteen rows finds that out.
    #[inline]
    pub fn offer(&mut self, distances: &[f32], row: impl Fn(usize) -> RowId) {
        for (c, chunk) in distances.chunks(16).enumerate() {
            let threshold = self.threshold;
            let near = chunk
                .iter()
                .fold(0u32, |n, &distance| n + u32::from(distance <= threshold));
            if near > 0 {
                for (i, &distance) in chunk.iter().enumerate() {
                    self.push(distance, row(c * 16 + i));
                }
            }
        }
    }

    fn insert(&mut self, neighbor: Neighbor) -> bool {
        if self.heap.len() < self.k {
            self.heap.push(neighbor);
        } else {
            let Some(mut worst) = self.heap.peek_mut() else {
                return false;
            };
            if neighbor >= *worst {
                return false;
            }
            *worst = neighbor;
        }
        if self.heap.len() == self.k
            && let Some(worst) = self.heap.peek()
        {
            self.threshold = worst.distance;
        }
        true
    }

    /// Distance of the worst neighbour once the pool is full, infinity before: nothing farther
    /// can enter. (Negative infinity when `k = 0`.)
    #[inline]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Number of neighbours held.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Whether the pool holds its k neighbours.
    pub fn is_full(&self) -> bool {
        self.heap.len() >= self.k
    }

    /// The bound given to [`TopK::new`] or [`TopK::clear`].
    pub fn k(&self) -> usize {
        self.k
    }

    /// The neighbours in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Neighbor> + '_ {
        self.heap.iter().copied()
    }

    /// The neighbours, nearest first.
    pub fn into_sorted_vec(self) -> Vec<Neighbor> {
        self.heap.into_sorted_vec()
    }

    /// Appends the neighbours to `out`, nearest first, and leaves the pool empty with its memory.
    pub fn drain_sorted_into(&mut self, out: &mut Vec<Neighbor>) {
        let start = out.len();
        out.extend(self.heap.drain());
        out[start..].sort_unstable();
        self.threshold = Self::open_threshold(self.k);
    }

    fn open_threshold(k: usize) -> f32 {
        if k == 0 {
            f32::NEG_INFINITY
        } else {
            f32::INFINITY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(k: usize, all: &[Neighbor]) {
        let mut pool = TopK::new(k);
        for n in all {
            let open = pool.threshold();
            let entered = pool.push(n.distance, n.row);
            assert!(!entered || n.distance <= open);
        }
        let mut sorted = all.to_vec();
        sorted.sort();
        sorted.truncate(k);
        assert_eq!(pool.is_full(), all.len() >= k);
        assert_eq!(pool.len(), sorted.len());
        let mut drained = Vec::new();
        pool.clone().drain_sorted_into(&mut drained);
        assert_eq!(drained, sorted);
        assert_eq!(pool.into_sorted_vec(), sorted, "k = {k}");
    }

    #[test]
    fn nothing_beyond_the_ceiling_comes_in() {
        let mut top = TopK::below(2, 5.0);
        assert!(!top.push(5.1, RowId(1)) && top.push(5.0, RowId(2)) && top.push(4.0, RowId(3)));
        assert_eq!(top.threshold(), 5.0);
        assert!(top.push(3.0, RowId(4)));
        assert_eq!(top.threshold(), 4.0);
        assert!(!TopK::below(0, 5.0).push(1.0, RowId(0)));
    }

    #[test]
    fn equals_a_sort_with_ties() {
        let mut state = 7u64;
        for n in [0usize, 1, 2, 10, 300] {
            let all: Vec<Neighbor> = (0..n)
                .map(|i| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                    // Few distinct distances: most comparisons end in the row.
                    Neighbor::new((state >> 61) as f32 - 3.0, RowId((i as u32 * 7919) % 1009))
                })
                .collect();
            for k in [0usize, 1, 2, 9, 10, 11, 299, 1000] {
                check(k, &all);
            }
        }
    }

    #[test]
    fn nan_and_zero_k_keep_nothing_and_infinity_is_kept() {
        let mut pool = TopK::new(2);
        assert!(!pool.push(f32::NAN, RowId(0)));
        assert!(pool.push(f32::INFINITY, RowId(9)));
        assert!(pool.push(f32::INFINITY, RowId(3)));
        assert!(pool.push(f32::INFINITY, RowId(1)));
        assert_eq!(pool.clone().into_sorted_vec()[0].row, RowId(1));
        pool.clear(0);
        assert!(!pool.push(-1.0, RowId(0)) && pool.is_empty());
    }
}
