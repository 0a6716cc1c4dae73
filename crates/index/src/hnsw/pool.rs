//! The candidate pools of a graph walk.
//!
//! A candidate is one `u64`: the distance in order-preserving bits, then the row, then an "expanded" bit. Comparing
//! keys compares (distance, row), so that ties are the same on every machine, and one sorted array with a cursor does
//! the work of the paper's two heaps (candidates and results).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use vecdb_vector::{Neighbor, RowId};

/// Rows a key can number: 31 bits.
pub(crate) const ROWS_MAX: u32 = 1 << 31;

/// A candidate: ordered by (distance, row).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    const EXPANDED: u64 = 1;

    #[inline]
    pub(crate) fn new(distance: f32, row: RowId) -> Self {
        let bits = distance.to_bits();
        // Positive floats get the top bit, negative ones are inverted: then integers order like total_cmp.
        let ordered = bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000);
        Self(u64::from(ordered) << 32 | u64::from(row.0) << 1)
    }

    #[inline]
    pub(crate) fn row(self) -> RowId {
        RowId((self.0 as u32) >> 1)
    }

    #[inline]
    pub(crate) fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        let sign = ((!ordered) as i32 >> 31) as u32;
        f32::from_bits(ordered ^ (sign | 0x8000_0000))
    }

    pub(crate) fn neighbor(self) -> Neighbor {
        Neighbor {
            distance: self.distance(),
            row: self.row(),
        }
    }
}

/// The nearest `capacity` candidates, sorted, of which those before the cursor are expanded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    keys: Vec<u64>,
    capacity: usize,
    cursor: usize,
}

impl Pool {
    /// Empties the pool and sets how many candidates it keeps (at least one).
    pub(crate) fn reset(&mut self, capacity: usize) {
        self.keys.clear();
        self.capacity = capacity.max(1);
        self.keys.reserve(self.capacity);
        self.cursor = 0;
    }

    /// Keeps the candidate if it is among the nearest seen.
    #[inline]
    pub(crate) fn offer(&mut self, key: Key) -> bool {
        if self.keys.len() == self.capacity {
            match self.keys.last() {
                Some(&worst) if key.0 < worst => self.keys.pop(),
                _ => return false,
            };
        }
        let at = self.keys.partition_point(|&other| other < key.0);
        self.keys.insert(at, key.0);
        self.cursor = self.cursor.min(at);
        true
    }

    /// The nearest candidate not yet expanded; it counts as expanded from now on.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<RowId> {
        loop {
            let key = self.keys.get_mut(self.cursor)?;
            self.cursor += 1;
            if *key & Key::EXPANDED == 0 {
                *key |= Key::EXPANDED;
                return Some(Key(*key).row());
            }
        }
    }

    /// What [`pop`](Self::pop) would return, unless something nearer comes.
    #[inline]
    pub(crate) fn peek(&self) -> Option<RowId> {
        let next = self
            .keys
            .get(self.cursor..)?
            .iter()
            .find(|&&key| key & Key::EXPANDED == 0);
        next.map(|&key| Key(key).row())
    }

    /// Whether it holds as many candidates as it keeps.
    pub(crate) fn is_full(&self) -> bool {
        self.keys.len() == self.capacity
    }

    /// Nothing farther is kept: the distance of the farthest candidate once there is no room, infinity before.
    #[inline]
    pub(crate) fn limit(&self) -> f32 {
        match self.worst() {
            Some(worst) if self.is_full() => worst.distance(),
            _ => f32::INFINITY,
        }
    }

    /// The farthest candidate.
    pub(crate) fn worst(&self) -> Option<Key> {
        self.keys.last().map(|&key| Key(key))
    }

    /// Gives the candidates of a walk that is over other row numbers, in the same order.
    pub(crate) fn renumber(&mut self, row_of: impl Fn(RowId) -> RowId) {
        for key in &mut self.keys {
            let old = Key(*key);
            *key = Key::new(old.distance(), row_of(old.row())).0;
        }
    }

    /// Candidates held.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// All candidates, nearest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Neighbor> {
        self.keys.iter().map(|&key| Key(key).neighbor())
    }
}

/// The frontier of a masked walk, which has no size limit: nearest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct WalkHeap {
    keys: BinaryHeap<Reverse<u64>>,
}

impl WalkHeap {
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }

    pub(crate) fn push(&mut self, key: Key) {
        self.keys.push(Reverse(key.0));
    }

    pub(crate) fn pop(&mut self) -> Option<Key> {
        self.keys.pop().map(|Reverse(key)| Key(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_like_distances_then_rows() {
        let distances = [
            f32::NEG_INFINITY,
            -2.5,
            -1e-30,
            0.0,
            1e-40,
            0.5,
            3.0,
            f32::INFINITY,
        ];
        let mut last = None;
        for distance in distances {
            for row in [0, 7, ROWS_MAX - 1] {
                let key = Key::new(distance, RowId(row));
                assert_eq!((key.distance(), key.row().0), (distance, row));
                assert!(last < Some(key), "{distance} {row}");
                last = Some(key);
            }
        }
    }

    #[test]
    fn a_pool_keeps_the_nearest_and_expands_each_once() {
        let mut pool = Pool::default();
        pool.reset(3);
        for (distance, row) in [(5.0, 5), (1.0, 1), (3.0, 3)] {
            assert!(pool.offer(Key::new(distance, RowId(row))));
        }
        assert_eq!(pool.pop(), Some(RowId(1)));
        assert!(!pool.offer(Key::new(6.0, RowId(6))));
        assert!(pool.offer(Key::new(0.5, RowId(9))));
        assert_eq!(pool.pop(), Some(RowId(9)));
        assert_eq!(pool.pop(), Some(RowId(3)));
        assert_eq!(pool.pop(), None);
        let rows: Vec<u32> = pool.iter().map(|hit| hit.row.0).collect();
        assert_eq!(rows, [9, 1, 3]);
    }
}
