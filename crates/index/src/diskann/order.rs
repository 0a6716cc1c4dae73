//! In which order do nodes lie on the disk?
//!
//! A block brings all its nodes for the price of one, so rows that are looked at together should share one. Blocks are
//! filled greedily: a seed, its nearest links that have no place yet, then theirs. The next seed is a row that earlier
//! blocks lead to (block shuffling as in Starling, Wang and others, SIGMOD 2024, section 4, in one pass).

use std::collections::VecDeque;

use vecdb_vector::RowId;

use super::vamana::Graph;

/// Rows met that may still seed a block, at most.
const SEEDS_MAX: usize = 4096;
/// Rows that a node of a full block offers as seeds.
const SEEDS_PER_NODE: usize = 4;

/// All rows in the order of their places, blocks of `slots`.
pub(super) fn arrange(graph: &Graph, rows: u32, slots: usize) -> Vec<u32> {
    let mut packing = Packing {
        order: Vec::with_capacity(rows as usize),
        placed: vec![false; rows as usize],
        seeds: graph.entry().into_iter().collect(),
        next: 0,
    };
    let mut links = Vec::new();
    while let Some(seed) = packing.seed() {
        let start = packing.order.len();
        packing.place(seed);
        // Rows of the block whose links were looked at.
        let mut at = start;
        while packing.order.len() - start < slots {
            if at == packing.order.len() {
                // Nothing near is left, and places have no gaps.
                let Some(seed) = packing.seed() else { break };
                packing.place(seed);
                continue;
            }
            graph.links_of(packing.order[at], &mut links);
            at += 1;
            for &RowId(link) in &links {
                if packing.order.len() - start < slots {
                    packing.place(link);
                }
            }
        }
        for at in start..packing.order.len() {
            graph.links_of(packing.order[at], &mut links);
            let placed = &packing.placed;
            let near = links.iter().map(|link| link.0);
            let near = near.filter(|&row| !placed[row as usize]);
            packing.seeds.extend(near.take(SEEDS_PER_NODE));
        }
        packing.seeds.truncate(SEEDS_MAX);
    }
    packing.order
}

struct Packing {
    order: Vec<u32>,
    placed: Vec<bool>,
    seeds: VecDeque<u32>,
    /// All rows before it are placed.
    next: u32,
}

impl Packing {
    fn place(&mut self, row: u32) {
        if !std::mem::replace(&mut self.placed[row as usize], true) {
            self.order.push(row);
        }
    }

    /// A row without a place, where there is one.
    fn seed(&mut self) -> Option<u32> {
        while let Some(seed) = self.seeds.pop_front() {
            if !self.placed[seed as usize] {
                return Some(seed);
            }
        }
        while *self.placed.get(self.next as usize)? {
            self.next += 1;
        }
        Some(self.next)
    }
}
