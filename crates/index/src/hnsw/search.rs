//! The walk over a graph: greedy through the upper layers, then a beam on layer 0 (paper, algorithms 2 and 5).
//!
//! Per step: read the links of the nearest unexpanded candidate, drop those already seen into nothing and the rest into
//! a compact list, score that list in one call, keep what is nearer than the worst of the pool.
//!
//! Under a mask the frontier takes every row and only the results are filtered, so that the walk crosses regions the
//! mask excludes; it goes on until `ef` allowed rows are found and nothing nearer is left.

use vecdb_vector::{Neighbor, Query, RowId, RowMask, Scorer, VectorRows};

use super::links::Links;
use super::pool::Key;
use super::recall;
use crate::calibration::KnobForRecall;
use crate::exact::{check_request, search_exact};
use crate::{Budget, Counters, IndexError, LayerTrace, Scratch, SearchParams, SearchStats};

/// Pool size of a search that names none.
pub const EF_DEFAULT: u32 = 64;

/// New rows met per expanded row, about; the price of a step in distance computations.
const DISTANCES_PER_STEP: u64 = 12;

/// New rows of a step that are asked for while its links are still being read; the scorer asks for the others.
const PREFETCHED_ROWS: usize = 4;

/// Steps between two looks at the budget.
const STEPS_PER_CHECK: u64 = 16;

/// How a graph answers a search under a mask.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MaskedStrategy {
    /// Compare every allowed row.
    Scan,
    /// Walk the graph, keep what is allowed.
    Walk,
}

/// The cheaper way to the nearest of `allowed` rows among `rows` with a pool of `ef`.
///
/// A scan costs `allowed` distances. A walk has to expand about `rows / allowed` rows for each of the `ef` results it
/// wants, and meets about a dozen new rows at each.
pub fn masked_strategy(rows: u32, allowed: u32, ef: usize) -> MaskedStrategy {
    let allowed = u64::from(allowed);
    let expanded = (ef as u64).saturating_mul(u64::from(rows)) / allowed.max(1);
    let walk = expanded.saturating_mul(DISTANCES_PER_STEP);
    if allowed <= walk.min(u64::from(rows)) {
        MaskedStrategy::Scan
    } else {
        MaskedStrategy::Walk
    }
}

/// A graph to walk for one query.
pub(crate) struct Walk<'a, L> {
    pub(crate) links: &'a L,
    pub(crate) scorer: Scorer<'a>,
    /// A row that the walk goes around as if it were not in the graph.
    pub(crate) hidden: Option<RowId>,
}

impl<L: Links> Walk<'_, L> {
    /// From `start`, the nearest row that greedy steps reach on each of the layers `from` down to `to`.
    pub(super) fn descend(
        &self,
        mut nearest: Neighbor,
        layers: std::ops::RangeInclusive<u8>,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) -> Result<Neighbor, IndexError> {
        for layer in layers.rev() {
            let mut hops = 0;
            self.start_at(nearest.row, scratch);
            loop {
                let fresh = self.expand(layer, nearest.row, scratch)?;
                let best = scratch.visited.since(fresh).iter().zip(&scratch.distances);
                let best = best
                    .map(|(&row, &distance)| Neighbor { distance, row })
                    .min_by(|a, b| a.distance.total_cmp(&b.distance));
                match best {
                    Some(best) if best.distance < nearest.distance => nearest = best,
                    _ => break,
                }
                hops += 1;
            }
            let distances = scratch.visited.len() as u64 - 1;
            counters.hops += hops;
            counters.nodes_visited += hops + 1;
            counters.distance_computations += distances;
            scratch.push_trace(LayerTrace {
                layer,
                hops: hops as u32,
                distances: distances as u32,
                nearest,
            });
        }
        Ok(nearest)
    }

    /// Leaves the nearest `ef` rows that a beam from `start` reaches on `layer` in `scratch.pool`. Returns whether the
    /// budget ended it.
    pub(crate) fn beam(
        &self,
        layer: u8,
        start: Neighbor,
        ef: usize,
        budget: &Budget<'_>,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) -> Result<bool, IndexError> {
        let limited = !budget.is_unlimited();
        let before = counters.distance_computations;
        self.start_at(start.row, scratch);
        scratch.pool.reset(ef);
        scratch.pool.offer(Key::new(start.distance, start.row));
        let mut hops = 0;
        let mut truncated = false;
        while let Some(row) = scratch.pool.pop() {
            hops += 1;
            if let Some(next) = scratch.pool.peek() {
                self.links.prefetch(next);
            }
            let fresh = self.expand(layer, row, scratch)?;
            let rows = scratch.visited.since(fresh);
            for (&row, &distance) in rows.iter().zip(&scratch.distances) {
                if scratch.pool.offer(Key::new(distance, row)) {
                    self.links.prefetch(row);
                }
            }
            let computed = before + scratch.visited.len() as u64;
            if limited && hops % STEPS_PER_CHECK == 0 && budget.is_spent(computed) {
                truncated = true;
                break;
            }
        }
        let nearest = scratch.pool.iter().next().unwrap_or(start);
        self.finish(layer, hops, nearest, scratch, counters);
        Ok(truncated)
    }

    /// As [`beam`](Self::beam) on layer 0, but only rows of the mask come into the pool.
    fn beam_masked(
        &self,
        start: Neighbor,
        ef: usize,
        mask: &RowMask,
        budget: &Budget<'_>,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) -> Result<bool, IndexError> {
        let limited = !budget.is_unlimited();
        let before = counters.distance_computations;
        self.start_at(start.row, scratch);
        scratch.pool.reset(ef);
        scratch.heap.clear();
        let first = Key::new(start.distance, start.row);
        scratch.heap.push(first);
        if mask.contains(start.row) {
            scratch.pool.offer(first);
        }
        let mut hops = 0;
        let mut truncated = false;
        while let Some(key) = scratch.heap.pop() {
            if scratch.pool.is_full() && scratch.pool.worst() < Some(key) {
                break;
            }
            hops += 1;
            let fresh = self.expand(0, key.row(), scratch)?;
            let rows = scratch.visited.since(fresh);
            for (&row, &distance) in rows.iter().zip(&scratch.distances) {
                let key = Key::new(distance, row);
                if scratch.pool.is_full() && scratch.pool.worst() < Some(key) {
                    continue;
                }
                scratch.heap.push(key);
                if mask.contains(row) {
                    scratch.pool.offer(key);
                }
            }
            let computed = before + scratch.visited.len() as u64;
            if limited && hops % STEPS_PER_CHECK == 0 && budget.is_spent(computed) {
                truncated = true;
                break;
            }
        }
        let nearest = scratch.pool.iter().next().unwrap_or(start);
        self.finish(0, hops, nearest, scratch, counters);
        Ok(truncated)
    }

    fn start_at(&self, row: RowId, scratch: &mut Scratch) {
        scratch.visited.reset(self.links.rows());
        scratch.visited.insert(row);
        if let Some(hidden) = self.hidden {
            scratch.visited.insert(hidden);
        }
    }

    /// Marks the links of `row` not seen before and scores them: `scratch.distances` are those of
    /// `scratch.visited.since(the returned number)`.
    #[inline]
    fn expand(&self, layer: u8, row: RowId, scratch: &mut Scratch) -> Result<usize, IndexError> {
        let fresh = scratch.visited.len();
        let visited = &mut scratch.visited;
        self.links.for_each(layer, row, |link| {
            if visited.insert(link) && visited.len() - fresh <= PREFETCHED_ROWS {
                self.scorer.prefetch(link);
            }
        })?;
        let rows = scratch.visited.since(fresh);
        scratch.distances.resize(rows.len(), 0.0);
        self.scorer.score_rows(rows, &mut scratch.distances);
        Ok(fresh)
    }

    fn finish(
        &self,
        layer: u8,
        hops: u64,
        nearest: Neighbor,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) {
        let distances = scratch.visited.len() as u64 - 1;
        counters.hops += hops;
        counters.nodes_visited += hops;
        counters.distance_computations += distances;
        scratch.push_trace(LayerTrace {
            layer,
            hops: hops as u32,
            distances: distances as u32,
            nearest,
        });
    }
}

/// A graph and what is known of its rows: the part of a search that both the mutable and the mapped graph share.
pub(super) struct Graph<'a, L> {
    pub(super) links: &'a L,
    pub(super) metric: vecdb_vector::Metric,
    /// The rows in the graph; `None` when all are.
    pub(super) present: Option<&'a RowMask>,
    pub(super) ef_for_recall: Option<&'a KnobForRecall>,
}

/// What is searched for.
pub(super) struct Request<'a> {
    pub(super) rows: VectorRows<'a>,
    pub(super) query: &'a Query,
    pub(super) k: usize,
    pub(super) mask: Option<&'a RowMask>,
    pub(super) params: &'a SearchParams,
    pub(super) budget: &'a Budget<'a>,
}

impl<L: Links> Graph<'_, L> {
    /// Answers a request, see [`AnnIndex::search`](crate::AnnIndex::search).
    pub(super) fn search(
        &self,
        request: &Request<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> Result<SearchStats, IndexError> {
        let &Request {
            rows,
            query,
            k,
            mask,
            params,
            budget,
        } = request;
        out.clear();
        scratch.clear_trace();
        params.check("hnsw", super::KNOBS)?;
        check_request(self.links.rows(), self.metric, &rows, query, mask)?;
        let live = self.present.map_or(rows.len(), RowMask::count);
        let allowed = mask.map_or(live, |mask| mask.count().min(live));
        let k = k.min(allowed as usize);
        let Some(entry) = self.links.entry().filter(|_| k > 0) else {
            return Ok(SearchStats {
                exact: true,
                ..SearchStats::default()
            });
        };
        let ef = match (params.ef, params.target_recall) {
            (Some(ef), _) => ef as usize,
            (None, Some(recall)) => recall::ef_for(self.ef_for_recall, recall, k),
            (None, None) => EF_DEFAULT as usize,
        };
        let ef = ef.max(k);
        let scan = params.exact
            || ef >= allowed as usize
            || mask.is_some() && masked_strategy(live, allowed, ef) == MaskedStrategy::Scan;
        if scan {
            return Ok(self.scan(request, scratch, out));
        }
        let walk = Walk {
            links: self.links,
            scorer: Scorer::new(scratch.kernels, query, rows),
            hidden: None,
        };
        let mut counters = Counters {
            distance_computations: 1,
            ..Counters::default()
        };
        let mut nearest = Neighbor {
            distance: walk.scorer.score(entry.row),
            row: entry.row,
        };
        if entry.level > 0 {
            nearest = walk.descend(nearest, 1..=entry.level, scratch, &mut counters)?;
        }
        let truncated = match mask.filter(|mask| mask.count() < mask.rows()) {
            None => walk.beam(0, nearest, ef, budget, scratch, &mut counters)?,
            Some(mask) => walk.beam_masked(nearest, ef, mask, budget, scratch, &mut counters)?,
        };
        if scratch.pool.len() < k && !truncated {
            // Part of the allowed rows lies where the walk cannot get to: compare them all.
            let mut stats = self.scan(request, scratch, out);
            stats.counters += counters;
            return Ok(stats);
        }
        out.extend(scratch.pool.iter().take(k));
        Ok(SearchStats {
            counters,
            truncated,
            exact: false,
        })
    }

    fn scan(
        &self,
        request: &Request<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> SearchStats {
        let &Request {
            rows,
            query,
            k,
            mask,
            budget,
            ..
        } = request;
        let both;
        let mask = match (mask, self.present) {
            (Some(mask), Some(present)) => {
                both = mask.and(present);
                Some(&both)
            }
            (mask, present) => mask.or(present),
        };
        let stats = search_exact(rows, query, k, mask, budget, scratch);
        scratch.top.drain_sorted_into(out);
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_subsets_are_scanned_and_large_ones_walked() {
        assert_eq!(masked_strategy(60_000, 60, 64), MaskedStrategy::Scan);
        assert_eq!(masked_strategy(60_000, 3_000, 64), MaskedStrategy::Scan);
        assert_eq!(masked_strategy(60_000, 30_000, 64), MaskedStrategy::Walk);
        assert_eq!(
            masked_strategy(10_000_000, 500_000, 64),
            MaskedStrategy::Walk
        );
        assert_eq!(masked_strategy(0, 0, 64), MaskedStrategy::Scan);
    }
}
