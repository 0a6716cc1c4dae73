//! [`Reservoir`]: the nearest of many candidates, cheaper than a heap where hundreds are kept.

use vecdb_vector::{Neighbor, RowId};

/// Candidates compared with the limit at a time.
const STRIDE: usize = 16;
/// Room beyond twice what is kept.
const ROOM: usize = 64;

/// Keeps the `k` nearest of all offered, in no order: all that are near enough are held until there are twice as many,
/// then cut to `k`. What is kept does not depend on the order of offers.
#[derive(Debug, Default)]
pub(super) struct Reservoir {
    k: usize,
    /// Nothing farther is among the nearest.
    limit: f32,
    held: Vec<Neighbor>,
}

impl Reservoir {
    /// Empties it for the `k` nearest, keeping its memory.
    pub(super) fn clear(&mut self, k: usize) {
        self.k = k;
        self.limit = f32::INFINITY;
        self.held.clear();
    }

    /// What is farther does not matter any more.
    pub(super) fn limit(&self) -> f32 {
        self.limit
    }

    /// Offers many at once, `row(i)` at `distances[i]`; NaN is never kept.
    pub(super) fn offer(&mut self, distances: &[f32], row: impl Fn(usize) -> RowId) {
        for (s, stride) in distances.chunks(STRIDE).enumerate() {
            let limit = self.limit;
            let near = stride
                .iter()
                .fold(0u32, |n, &distance| n + u32::from(distance <= limit));
            if near == 0 {
                continue;
            }
            for (i, &distance) in stride.iter().enumerate() {
                if distance <= limit {
                    let row = row(s * STRIDE + i);
                    self.held.push(Neighbor { distance, row });
                }
            }
            if self.held.len() >= 2 * self.k + ROOM {
                self.cut();
            }
        }
    }

    /// The nearest, in no order.
    pub(super) fn nearest(&mut self) -> &[Neighbor] {
        self.cut();
        &self.held
    }

    fn cut(&mut self) {
        if self.held.len() > self.k && self.k > 0 {
            let (_, last, _) = self.held.select_nth_unstable(self.k - 1);
            self.limit = last.distance;
        }
        self.held.truncate(self.k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_nearest_are_kept_whatever_the_order() {
        let mut random = Random::new(4);
        for k in [0, 1, 7, 100, 900] {
            // Many ties.
            let distances: Vec<f32> = (0..800).map(|_| random.below(60) as f32).collect();
            let mut all: Vec<Neighbor> = distances
                .iter()
                .enumerate()
                .map(|(row, &distance)| Neighbor {
                    distance,
                    row: RowId(row as u32),
                })
                .collect();
            let mut reservoir = Reservoir::default();
            for backwards in [false, true] {
                reservoir.clear(k);
                for block in 0..8 {
                    let block = if backwards { 7 - block } else { block };
                    let first = block * 100;
                    let distances = &distances[first..first + 100];
                    reservoir.offer(distances, |i| RowId((first + i) as u32));
                }
                reservoir.offer(&[f32::NAN], |_| RowId(9_999));
                let mut kept = reservoir.nearest().to_vec();
                kept.sort();
                all.sort();
                assert_eq!(kept, all[..k.min(800)], "{k}");
                assert!(kept.iter().all(|hit| hit.distance <= reservoir.limit()));
            }
        }
    }
}
