//! Which candidates become links: the diversity heuristic (paper, algorithm 4).
//!
//! A candidate is kept if it is nearer to the base than to any link kept before it; what it would lead to is otherwise
//! reached through that link. Equal rows are the exception: all at distance 0 from each other, none would dominate
//! another, and their links would all stay inside their own heap. So of the candidates at the least distance that tie
//! with a kept one, at most half as many are kept as there is room for, and not the same ones for every base.

use vecdb_vector::{Kernels, Metric, Neighbor, RowId, Scorer, VectorRows};

use crate::random::mix;

/// Kept rows compared per call; most candidates are dominated by one of the nearest.
const BLOCK: usize = 4;

/// Alpha as it applies to rank values: L2's and cosine's are squares. Under dot distances have no zero and no ratio.
pub(crate) fn occlusion(metric: Metric, alpha: f32) -> f32 {
    match metric {
        Metric::L2 | Metric::Cosine => alpha * alpha,
        Metric::L1 | Metric::Hamming | Metric::Jaccard => alpha,
        Metric::Dot => 1.0,
    }
}

/// Distances between the rows of one build.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Space<'a> {
    pub(crate) rows: VectorRows<'a>,
    pub(crate) metric: Metric,
    pub(crate) kernels: Kernels,
    /// How many times nearer to a kept link than to the base a candidate has to be to be dropped, in rank values: 1 for
    /// the heuristic of HNSW, more for the longer links of Vamana (its alpha).
    pub(crate) occlusion: f32,
}

impl<'a> Space<'a> {
    /// Scores rows against a stored row.
    #[inline]
    pub(crate) fn scorer_of(&self, row: RowId) -> Scorer<'a> {
        Scorer::between_rows(self.kernels, self.metric, self.rows, row)
    }

    /// How `candidate` stands to the links kept so far.
    #[inline]
    fn compare(&self, occlusion: f32, candidate: Neighbor, kept: &[RowId]) -> Standing {
        let scorer = self.scorer_of(candidate.row);
        let mut between = [0.0; BLOCK];
        let mut standing = Standing::Diverse;
        for block in kept.chunks(BLOCK) {
            let Some(between) = between.get_mut(..block.len()) else {
                break;
            };
            scorer.score_rows(block, between);
            for &distance in between.iter() {
                if distance * occlusion < candidate.distance {
                    return Standing::Dominated;
                }
                if distance == candidate.distance {
                    standing = Standing::Tied;
                }
            }
        }
        standing
    }

    /// Leaves in `kept` the links of a base row chosen from `candidates`, which are sorted by distance from it; at most
    /// `most`.
    pub(crate) fn select(&self, candidates: &[Neighbor], most: usize, kept: &mut Vec<RowId>) {
        kept.clear();
        self.add(candidates, most, kept);
    }

    /// The same, and where there is room then, candidates that are not dominated under a wider occlusion. (A wider one from
    /// the start would fill the room with the nearest candidates alone: what leads farther has to be chosen first.)
    /// Returns how many were chosen before that; they stand first.
    pub(crate) fn select_and_fill(
        &self,
        filling: f32,
        candidates: &[Neighbor],
        most: usize,
        kept: &mut Vec<RowId>,
    ) -> usize {
        kept.clear();
        let ties = self.add_under(self.occlusion, candidates, most, kept);
        let diverse = kept.len();
        // Equal rows need the room to be found by each other.
        if filling > self.occlusion && kept.len() < most && ties == 0 {
            self.add_under(filling, candidates, most, kept);
        }
        diverse
    }

    /// Adds to `kept`, up to `most`, those of the sorted `candidates` that are not dominated by it.
    pub(crate) fn add(&self, candidates: &[Neighbor], most: usize, kept: &mut Vec<RowId>) {
        self.add_under(self.occlusion, candidates, most, kept);
    }

    /// One round; returns how many were kept that tie with one at the least distance.
    fn add_under(
        &self,
        occlusion: f32,
        candidates: &[Neighbor],
        most: usize,
        kept: &mut Vec<RowId>,
    ) -> usize {
        let least = candidates.first().map_or(0.0, |first| first.distance);
        let before = kept.len();
        // Of equally near rows, sorted by number, all would keep the same first ones, and no link would lead to the others.
        let equal = candidates.partition_point(|candidate| candidate.distance <= least);
        let sum = candidates.iter().take(equal);
        let sum = sum.fold(0u64, |sum, candidate| sum + u64::from(candidate.row.0));
        let first = (mix(sum) % equal.max(1) as u64) as usize;
        let (equal, farther) = candidates.split_at(equal);
        let (last, first) = equal.split_at(first);
        let mut ties = 0;
        for &candidate in first.iter().chain(last).chain(farther) {
            if kept.len() >= most {
                break;
            }
            // What the first round kept, the second meets again.
            if kept
                .get(..before)
                .is_some_and(|kept| kept.contains(&candidate.row))
            {
                continue;
            }
            match self.compare(occlusion, candidate, kept) {
                Standing::Dominated => continue,
                Standing::Tied if candidate.distance <= least && ties == most / 2 => continue,
                Standing::Tied if candidate.distance <= least => ties += 1,
                Standing::Tied | Standing::Diverse => {}
            }
            kept.push(candidate.row);
        }
        ties
    }

    /// Appends the distances of `links` from `base` to `out`.
    pub(crate) fn measure(
        &self,
        base: RowId,
        links: &[RowId],
        distances: &mut Vec<f32>,
        out: &mut Vec<Neighbor>,
    ) {
        distances.resize(links.len(), 0.0);
        self.scorer_of(base).score_rows(links, distances);
        let measured = links.iter().zip(distances.iter());
        out.extend(measured.map(|(&row, &distance)| Neighbor { distance, row }));
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Standing {
    Diverse,
    Tied,
    Dominated,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_behind_a_kept_one_is_dropped_and_ties_are_limited() {
        // On a line: the base at 0; 1, 2 and 3 to its right, -1.5 to its left, then five rows equal to the base.
        let values = [0.0f32, 1.0, 2.0, 3.0, -1.5, 0.0, 0.0, 0.0, 0.0, 0.0];
        let space = Space {
            rows: VectorRows::from_f32(1, &values).unwrap(),
            metric: Metric::L2,
            kernels: Kernels::detect(),
            occlusion: 1.0,
        };
        let mut candidates = Vec::new();
        let others: Vec<RowId> = (1..5).map(RowId).collect();
        space.measure(RowId(0), &others, &mut Vec::new(), &mut candidates);
        candidates.sort();
        let mut kept = Vec::new();
        space.select(&candidates, 8, &mut kept);
        assert_eq!(kept, [RowId(1), RowId(4)]);
        let equal: Vec<RowId> = (5..10).map(RowId).collect();
        space.measure(RowId(0), &equal, &mut Vec::new(), &mut candidates);
        candidates.sort();
        space.select(&candidates, 6, &mut kept);
        // The first equal row is diverse and three more may tie; there is room for both directions.
        assert_eq!(kept.iter().filter(|row| row.0 >= 5).count(), 4);
        assert!(kept.contains(&RowId(1)) && kept.contains(&RowId(4)));
    }
}
