//! The order in which buckets are looked into: those that the query hashes to, then the ones beside them, the likeliest
//! first, of all tables alike (query-directed multi-probing: Lv et al., VLDB 2007, section 4).
//!
//! A *move* takes one function of a table to its other side or to the next slot; its cost is the squared distance of the
//! query's place to there. A bucket is reached by a set of moves and costs their sum. Sets come in ascending order from a
//! heap: of the cheapest one, in the order of moves by cost, follow the one with its last move replaced by the next
//! (*shift*) and the one with the next added (*expand*); every set arises once.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::functions::{Functions, HashScratch};

/// Moves of a table: a set of them is a word.
const MOVES_MAX: usize = 64;

/// A bucket to look into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Probe {
    pub(super) table: u32,
    pub(super) hash: u32,
    /// Sum of the squared distances to the parts that were moved to.
    pub(super) cost: f32,
}

#[derive(Clone, Copy, Debug)]
struct Move {
    cost: f32,
    /// What it adds to the hash.
    delta: u32,
    function: u8,
}

/// A set of moves in a table; `last` is the dearest.
#[derive(Clone, Copy, Debug)]
struct Set {
    cost: f32,
    table: u32,
    hash: u32,
    last: u8,
    moves: u64,
}

impl Ord for Set {
    /// The cheapest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_cost = other.cost.total_cmp(&self.cost);
        by_cost.then_with(|| (other.table, other.moves).cmp(&(self.table, self.moves)))
    }
}

impl PartialOrd for Set {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Set {}

/// The probes of one query, in order; memory that queries use again.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Per table, ascending by cost.
    moves: Vec<Move>,
    moves_each: usize,
    own: Vec<u32>,
    /// Tables whose own bucket was handed out.
    begun: usize,
    sets: BinaryHeap<Set>,
}

impl Probes {
    /// Starts over for a query whose places are in `scratch`.
    pub(super) fn start(&mut self, functions: &Functions, scratch: &HashScratch) {
        self.moves.clear();
        self.own.clear();
        self.sets.clear();
        self.begun = 0;
        let each = functions.shape.hashes as usize;
        for (table, places) in scratch.places.chunks_exact(each).enumerate() {
            let hash = functions.hash(table, &scratch.places);
            self.own.push(hash);
            let start = self.moves.len();
            for (function, &place) in places.iter().enumerate() {
                let function = function as u8;
                if functions.have_slots() {
                    let within = place - place.floor();
                    let factor = functions.slot_factor(table, function as usize);
                    self.moves.push(Move {
                        cost: within * within,
                        delta: factor.wrapping_neg(),
                        function,
                    });
                    self.moves.push(Move {
                        cost: (1.0 - within) * (1.0 - within),
                        delta: factor,
                        function,
                    });
                } else {
                    let bit = 1u32 << function;
                    let delta = match hash & bit {
                        0 => bit,
                        _ => bit.wrapping_neg(),
                    };
                    self.moves.push(Move {
                        cost: place * place,
                        delta,
                        function,
                    });
                }
            }
            self.moves[start..]
                .sort_unstable_by(|a, b| a.cost.total_cmp(&b.cost).then(a.delta.cmp(&b.delta)));
        }
        self.moves_each = (self.moves.len() / self.own.len().max(1)).min(MOVES_MAX);
    }

    fn of_table(&self, table: u32) -> &[Move] {
        let each = self.moves_each;
        &self.moves[table as usize * each..(table as usize + 1) * each]
    }

    /// The next bucket; `None` after the last one.
    pub(super) fn next(&mut self) -> Option<Probe> {
        if let Some(&hash) = self.own.get(self.begun) {
            let table = self.begun as u32;
            self.begun += 1;
            let first = self.of_table(table).first().copied();
            self.sets.extend(first.map(|first| Set {
                cost: first.cost,
                table,
                hash: hash.wrapping_add(first.delta),
                last: 0,
                moves: 1,
            }));
            return Some(Probe {
                table,
                hash,
                cost: 0.0,
            });
        }
        while let Some(set) = self.sets.pop() {
            self.follow(&set);
            if self.is_possible(&set) {
                return Some(Probe {
                    table: set.table,
                    hash: set.hash,
                    cost: set.cost,
                });
            }
        }
        None
    }

    fn follow(&mut self, set: &Set) {
        let moves = self.of_table(set.table);
        let last = set.last as usize;
        let (Some(old), Some(next)) = (moves.get(last), moves.get(last + 1)) else {
            return;
        };
        let bit = 1u64 << (last + 1);
        let expanded = Set {
            cost: set.cost + next.cost,
            hash: set.hash.wrapping_add(next.delta),
            last: set.last + 1,
            moves: set.moves | bit,
            ..*set
        };
        let shifted = Set {
            // Not by adding the difference, which rounding could make fall below what was handed out.
            cost: (expanded.cost - old.cost).max(set.cost),
            hash: expanded.hash.wrapping_sub(old.delta),
            moves: expanded.moves & !(bit >> 1),
            ..expanded
        };
        self.sets.push(shifted);
        self.sets.push(expanded);
    }

    /// No function moves both ways.
    fn is_possible(&self, set: &Set) -> bool {
        let moves = self.of_table(set.table);
        let (mut left, mut functions) = (set.moves, 0u32);
        while left != 0 {
            let Some(one) = moves.get(left.trailing_zeros() as usize) else {
                return false;
            };
            if functions & (1 << one.function) != 0 {
                return false;
            }
            functions |= 1 << one.function;
            left &= left - 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use vecdb_vector::Metric;

    use super::super::functions::{Learned, Shape, Side};
    use super::*;
    use crate::random::Random;

    fn probes(metric: Metric, hashes: u32) -> (Vec<Probe>, u32) {
        let shape = Shape {
            metric,
            dim: 20,
            tables: 3,
            hashes,
            width: 2.0,
            seed: 7,
        };
        let learned = Learned {
            numbers: vec![0.0; 20],
            norm_max: 1.0,
        };
        let functions = Functions::new(shape, learned);
        let mut random = Random::new(3);
        let mut values = (0..20).map(|_| random.unit() as f32 * 4.0 - 2.0).collect();
        let mut scratch = HashScratch::default();
        functions.place(Side::Query, &mut values, &mut scratch);
        let mut probes = Probes::default();
        probes.start(&functions, &scratch);
        (std::iter::from_fn(|| probes.next()).collect(), shape.tables)
    }

    #[test]
    fn every_bucket_comes_once_and_the_nearest_first() {
        let (probes, tables) = probes(Metric::Cosine, 7);
        assert_eq!(probes.len() as u32, tables * (1 << 7));
        assert!(probes.is_sorted_by(|a, b| a.cost <= b.cost));
        let distinct: HashSet<(u32, u32)> = probes.iter().map(|p| (p.table, p.hash)).collect();
        assert_eq!(distinct.len(), probes.len());
        assert!(distinct.iter().all(|(_, hash)| *hash < 1 << 7));
    }

    #[test]
    fn a_slot_has_two_neighbours() {
        let (probes, tables) = probes(Metric::L2, 5);
        assert_eq!(probes.len() as u32, tables * 3u32.pow(5));
        assert!(probes.is_sorted_by(|a, b| a.cost <= b.cost + 1e-6));
        let distinct: HashSet<(u32, u32)> = probes.iter().map(|p| (p.table, p.hash)).collect();
        assert_eq!(distinct.len(), probes.len());
    }
}
