//! The walk over a graph: greedy through the upper layers, then a beam on layer 0 (paper, algorithms 2 and 5).
//!
//! Per step: read the links of the nearest unexpanded candidate, drop those already seen into nothing and the rest into
//! a compact list, score that list in one call, keep what is nearer than the worst of the pool.
//!
//! Where the graph has codes of its rows, the walk measures those, and the vectors only of the most promising rows it found.
//!
//! Under a mask: see [`masked`](super::masked).

use std::sync::OnceLock;

use vecdb_vector::{Neighbor, Query, RowId, RowMask, Scorer, VectorRows};

use super::links::{Entry, Links};
use super::masked::{End, Masked, Outlook, WALK_PATIENCE};
use super::newness::{NEWNESS, newness};
use super::pool::Key;
use super::recall;
use super::subset::{Aim, SubsetGraph};
use crate::calibration::KnobForRecall;
use crate::exact::{check_request, search_exact};
use crate::sq4::{self, Reranker, Sq4Codes};
use crate::{
    Budget, Counters, IndexError, LayerTrace, Plan, PlanCost, Scratch, SearchParams, SearchStats,
    UnitCosts,
};

/// Pool size of a search that names none.
pub const EF_DEFAULT: u32 = 64;

/// Steps between two looks at the budget.
pub(super) const STEPS_PER_CHECK: u64 = 16;

/// Where fewer rows are allowed for each hit, a scan reads their vectors without a look at codes.
const ROWS_PER_HIT: usize = 8;

/// What rows are measured with on a walk: their vectors, or codes of them.
pub(crate) trait Measure {
    /// New rows of a step that are asked for before the first is measured; the loop over rows asks for the others.
    const PREFETCHED_ROWS: usize;

    /// Distances of the rows listed.
    fn score_rows(&self, rows: &[RowId], out: &mut [f32]) -> Result<(), IndexError>;

    /// The same for rows of interest: of a row that is farther than `limit` the distance may be any that is.
    fn score_rows_below(
        &self,
        _limit: f32,
        rows: &[RowId],
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        self.score_rows(rows, out)
    }

    /// Distance of one row.
    fn score(&self, row: RowId) -> Result<f32, IndexError> {
        let mut out = [0.0];
        self.score_rows(&[row], &mut out)?;
        Ok(out[0])
    }

    /// Asks for a row that will be measured soon.
    fn prefetch(&self, row: RowId);

    /// One deviation of the error in a distance.
    fn error_at(&self, _distance: f32) -> f32 {
        0.0
    }
}

impl Measure for Scorer<'_> {
    const PREFETCHED_ROWS: usize = 4;

    #[inline]
    fn score_rows(&self, rows: &[RowId], out: &mut [f32]) -> Result<(), IndexError> {
        Scorer::score_rows(self, rows, out);
        Ok(())
    }

    #[inline]
    fn prefetch(&self, row: RowId) {
        Scorer::prefetch(self, row);
    }
}

/// A graph to walk for one query.
pub(crate) struct Walk<'a, L, M = Scorer<'a>> {
    pub(crate) links: &'a L,
    pub(crate) scorer: M,
    /// A row that the walk goes around as if it were not in the graph.
    pub(crate) hidden: Option<RowId>,
}

impl<L: Links, M: Measure> Walk<'_, L, M> {
    /// From `entry`, the row that greedy steps through the upper layers reach: where a search of layer 0 starts.
    pub(super) fn arrive(
        &self,
        entry: Entry,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) -> Result<Neighbor, IndexError> {
        counters.distance_computations += 1;
        let nearest = Neighbor {
            distance: self.scorer.score(entry.row)?,
            row: entry.row,
        };
        match entry.level {
            0 => Ok(nearest),
            level => self.descend(nearest, 1..=level, scratch, counters),
        }
    }

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
                let fresh = self.expand(layer, nearest.row, nearest.distance, scratch)?;
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
            let limit = scratch.pool.limit();
            let fresh = self.expand(layer, row, limit, scratch)?;
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

    pub(super) fn start_at(&self, row: RowId, scratch: &mut Scratch) {
        scratch.visited.reset(self.links.rows());
        scratch.visited.insert(row);
        if let Some(hidden) = self.hidden {
            scratch.visited.insert(hidden);
        }
    }

    /// Marks the links of `row` not seen before and scores them: `scratch.distances` are those of
    /// `scratch.visited.since(the returned number)`, and any above it where they are above `limit`.
    #[inline]
    pub(super) fn expand(
        &self,
        layer: u8,
        row: RowId,
        limit: f32,
        scratch: &mut Scratch,
    ) -> Result<usize, IndexError> {
        let fresh = scratch.visited.len();
        let visited = &mut scratch.visited;
        self.links.for_each(layer, row, |link| {
            visited.insert(link);
        })?;
        let rows = scratch.visited.since(fresh);
        for &link in rows.iter().take(M::PREFETCHED_ROWS) {
            self.scorer.prefetch(link);
        }
        scratch.distances.resize(rows.len(), 0.0);
        let distances = &mut scratch.distances;
        self.scorer.score_rows_below(limit, rows, distances)?;
        Ok(fresh)
    }

    pub(super) fn finish(
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
    /// What is walked on in place of the vectors.
    pub(super) codes: Option<&'a Sq4Codes>,
    pub(super) ef_for_recall: Option<&'a KnobForRecall>,
    /// See [`newness`]; looked at when it is first asked for.
    pub(super) newness: &'a OnceLock<f64>,
}

/// What is searched for.
pub(super) struct Request<'a> {
    pub(super) rows: VectorRows<'a>,
    pub(super) query: &'a Query,
    pub(super) k: usize,
    pub(super) mask: Option<&'a RowMask>,
    /// A graph of the rows that the mask allows, and perhaps of more.
    pub(super) subset: Option<&'a SubsetGraph>,
    pub(super) params: &'a SearchParams,
    pub(super) budget: &'a Budget<'a>,
}

/// Where a walk begins and what it is to look for.
struct Course<'a> {
    entry: Entry,
    ef: usize,
    /// The rows allowed, unless all are.
    mask: Option<&'a RowMask>,
    subset: Option<&'a SubsetGraph>,
    outlook: Outlook,
    /// None until a look at the rows near the query tells which is the cheapest.
    plan: Option<Plan>,
    /// The plan was asked for: no other is looked for, and it is not given up.
    forced: bool,
    budget: &'a Budget<'a>,
}

impl Course<'_> {
    /// What the plan may cost before it is given up for a scan.
    fn most_ns(&self) -> f64 {
        match self.forced {
            true => f64::INFINITY,
            false => self.outlook.cost(Plan::Scan, self.ef),
        }
    }

    /// Leaves what a walk over the graph of the allowed rows finds in `scratch.pool`.
    fn within_subset<M: Measure>(
        &self,
        scorer: &M,
        scratch: &mut Scratch,
    ) -> Result<(End, SearchStats), IndexError> {
        let mut counters = Counters::default();
        let cost = self.budget.costs.subset;
        let end = match (self.subset, self.mask) {
            (Some(subset), Some(mask)) => {
                let aim = Aim {
                    mask,
                    ef: self.ef,
                    work_max: self.most_ns() / cost,
                    tells: self.outlook.tells,
                    budget: self.budget,
                };
                subset.walk(scorer, &aim, scratch, &mut counters)?
            }
            _ => End::GivenUp,
        };
        let stats = SearchStats {
            counters,
            truncated: end == End::Truncated,
            plan: Some(Plan::Subset),
            modelled_ns: counters.work() * cost,
            ..SearchStats::default()
        };
        Ok((end, stats))
    }
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
            subset,
            params,
            budget,
        } = request;
        out.clear();
        scratch.clear_trace();
        params.check("hnsw", super::KNOBS)?;
        check_request(self.links.rows(), self.metric, &rows, query, mask)?;
        subset.map_or(Ok(()), |subset| subset.check_within(rows.len()))?;
        let live = self.present.map_or(rows.len(), RowMask::count);
        let allowed = mask.map_or(live, |mask| mask.count().min(live));
        let k = k.min(allowed as usize);
        let Some(entry) = self.links.entry().filter(|_| k > 0) else {
            return Ok(SearchStats {
                exact: true,
                ..SearchStats::default()
            });
        };
        let ef = self.pool_size(params, k);
        let mask = mask.filter(|mask| mask.count() < mask.rows());
        let outlook = self
            .outlook(live, allowed, budget.costs)
            .with_subset(subset.map(SubsetGraph::len));
        let forced = params
            .plan
            .filter(|plan| *plan != Plan::Subset || subset.is_some());
        let plan = match (mask, forced) {
            _ if params.is_exact() || ef >= allowed as usize => Some(Plan::Scan),
            (None, _) => Some(Plan::Walk),
            (Some(_), Some(Plan::Check)) => Some(Plan::Walk),
            (Some(_), Some(plan)) => Some(plan),
            (Some(_), None) if outlook.cost(Plan::Scan, ef) <= outlook.cost_min(ef) => {
                Some(Plan::Scan)
            }
            (Some(_), None) => outlook.is_for_subset(ef).then_some(Plan::Subset),
        };
        if plan == Some(Plan::Scan) {
            return Ok(SearchStats {
                plan: mask.and(plan),
                ..self.scan(request, scratch, out)?
            });
        }
        let course = Course {
            entry,
            ef,
            mask,
            subset,
            outlook,
            plan,
            forced: forced.is_some(),
            budget,
        };
        let scorer = Scorer::new(scratch.kernels, query, rows);
        let (end, mut stats) = match self.codes {
            None => {
                let (end, stats) = self.follow(&course, scorer, scratch)?;
                if end != End::GivenUp {
                    out.extend(scratch.pool.iter().take(k));
                }
                (end, stats)
            }
            Some(codes) => {
                let mut prepared = std::mem::take(&mut scratch.sq4);
                let walked = codes.prepare(query, &mut prepared).and_then(|()| {
                    let on_codes = codes.measure(scratch.kernels, &prepared)?;
                    self.follow(&course, on_codes, scratch)
                });
                let walked = walked.map(|(end, mut stats)| {
                    if end != End::GivenUp {
                        let reranker = Reranker {
                            scorer: &scorer,
                            codes,
                            query: &prepared,
                            count: params.rerank.map(|count| count as usize),
                        };
                        let measured = reranker.run(k, scratch);
                        stats.counters.distance_computations += measured;
                        stats.modelled_ns += measured as f64 * budget.costs.walk;
                        scratch.top.drain_sorted_into(out);
                    }
                    (end, stats)
                });
                scratch.sq4 = prepared;
                walked?
            }
        };
        if end == End::GivenUp || out.len() < k && end == End::Finished {
            // Dearer than a scan, or part of the allowed rows lies where the walk cannot get to: compare them all.
            out.clear();
            let walked = stats;
            stats = self.scan(request, scratch, out)?;
            stats.counters += walked.counters;
            stats.modelled_ns += walked.modelled_ns;
            stats.switched = walked.plan != Some(Plan::Scan);
            (stats.plan, stats.share_near) = (walked.plan, walked.share_near);
        }
        Ok(stats)
    }

    /// Leaves what a walk finds in `scratch.pool`. Given up also where a scan turns out the cheapest plan near the query.
    fn follow<M: Measure>(
        &self,
        course: &Course<'_>,
        scorer: M,
        scratch: &mut Scratch,
    ) -> Result<(End, SearchStats), IndexError> {
        if course.plan == Some(Plan::Subset) {
            return course.within_subset(&scorer, scratch);
        }
        let walk = Walk {
            links: self.links,
            scorer,
            hidden: None,
        };
        let mut counters = Counters::default();
        let nearest = walk.arrive(course.entry, scratch, &mut counters)?;
        let costs = &course.budget.costs;
        let mut share_near = None;
        // What a hop in place of a walk that proves dear would cost.
        let mut hop_cost = f64::INFINITY;
        let mut switched = false;
        let mut hop_pool = course.ef;
        let plan = match (course.mask, course.plan) {
            (None, plan) => plan.unwrap_or(Plan::Walk),
            (Some(_), Some(plan @ (Plan::Scan | Plan::Subset))) => plan,
            (Some(mask), forced) => {
                let outlook = &course.outlook;
                let near = outlook.near(self.links, nearest.row, mask, scratch, &mut counters)?;
                hop_pool = near.hop_pool(course.ef);
                match forced {
                    Some(plan) => plan,
                    None => {
                        hop_cost = near.cost(Plan::Hop, course.ef);
                        share_near = Some(near.share as f32);
                        near.cheapest(course.ef)
                    }
                }
            }
        };
        if plan == Plan::Subset {
            let (end, mut stats) = course.within_subset(&walk.scorer, scratch)?;
            stats.counters += counters;
            stats.modelled_ns += counters.work() * costs.walk;
            stats.share_near = share_near;
            return Ok((end, stats));
        }
        // The descent and the walk; a hop may follow.
        let mut walk_work = None;
        let end = match course.mask {
            _ if plan == Plan::Scan => End::GivenUp,
            None => {
                let (ef, budget) = (course.ef, course.budget);
                match walk.beam(0, nearest, ef, budget, scratch, &mut counters)? {
                    true => End::Truncated,
                    false => End::Finished,
                }
            }
            Some(mask) => {
                let scan_cost = course.most_ns();
                let mut under = Masked {
                    walk: &walk,
                    mask,
                    ef: course.ef,
                    work_max: scan_cost.min(hop_cost * WALK_PATIENCE) / costs.walk,
                    tells: course.outlook.tells,
                    budget: course.budget,
                    counters: &mut counters,
                };
                let mut end = End::GivenUp;
                if plan == Plan::Walk {
                    end = under.walk(nearest, scratch)?;
                    switched = end == End::GivenUp && hop_cost < scan_cost;
                }
                walk_work = Some(under.counters.work());
                if plan == Plan::Hop || switched {
                    under.work_max = scan_cost / costs.hop;
                    end = under.hop(nearest, hop_pool, scratch)?;
                }
                end
            }
        };
        let work = counters.work();
        let walk_work = walk_work.unwrap_or(work);
        let stats = SearchStats {
            counters,
            truncated: end == End::Truncated,
            exact: false,
            plan: course.mask.map(|_| plan),
            switched,
            share_near,
            modelled_ns: walk_work * costs.walk + (work - walk_work) * costs.hop,
        };
        Ok((end, stats))
    }

    /// See [`AnnIndex::plans`](crate::AnnIndex::plans).
    pub(super) fn plans(
        &self,
        allowed: u32,
        subset: Option<u32>,
        k: usize,
        params: &SearchParams,
        costs: &UnitCosts,
    ) -> Vec<PlanCost> {
        let live = self.present.map_or(self.links.rows(), RowMask::count);
        self.outlook(live, allowed, *costs)
            .with_subset(subset)
            .plans(self.pool_size(params, k.min(allowed as usize)))
    }

    fn outlook(&self, live: u32, allowed: u32, costs: UnitCosts) -> Outlook {
        // Without a mask there is nothing to choose.
        let newness = match allowed < live {
            true => *self.newness.get_or_init(|| {
                // A search that comes across links that cannot be says so.
                newness(self.links).unwrap_or(NEWNESS)
            }),
            false => NEWNESS,
        };
        Outlook::of(self.metric, live, allowed, newness, costs)
    }

    /// See [`AnnIndex::unit_costs`](crate::AnnIndex::unit_costs).
    pub(super) fn unit_costs(&self, rows: &VectorRows<'_>) -> UnitCosts {
        let of_codes = self.codes.map(Sq4Codes::row_bytes);
        UnitCosts::typical(of_codes.unwrap_or(rows.stride()))
    }

    fn pool_size(&self, params: &SearchParams, k: usize) -> usize {
        let ef = match (params.ef, params.target_recall) {
            (Some(ef), _) => ef as usize,
            (None, Some(recall)) => recall::ef_for(self.ef_for_recall, recall, k),
            (None, None) => EF_DEFAULT as usize,
        };
        ef.max(k)
    }

    fn scan(
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
        let allowed = mask.map_or(rows.len(), RowMask::count) as usize;
        let codes = self.codes.filter(|_| allowed >= ROWS_PER_HIT * k);
        let stats = match codes {
            None => search_exact(rows, query, k, mask, budget, scratch),
            Some(codes) => {
                let mut prepared = std::mem::take(&mut scratch.sq4);
                let scorer = Scorer::new(scratch.kernels, query, rows);
                let scanned = codes
                    .prepare(query, &mut prepared)
                    .and_then(|()| sq4::scan(&scorer, codes, &prepared, mask, k, budget, scratch));
                scratch.sq4 = prepared;
                scanned?
            }
        };
        scratch.top.drain_sorted_into(out);
        Ok(SearchStats {
            modelled_ns: stats.counters.work() * budget.costs.scan,
            ..stats
        })
    }
}
