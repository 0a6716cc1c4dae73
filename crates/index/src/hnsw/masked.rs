//! Searches under a mask: which way is the cheapest, and the two ways through the graph. (A third, through a graph of the
//! allowed rows alone, is in [`subset`](super::subset).)
//!
//! - *Walk*: the frontier takes every row and only the results are filtered, so that the walk crosses regions the mask
//!   excludes; it goes on until `ef` allowed rows are found and nothing nearer is left.
//! - *Hop*: only allowed rows are measured and followed. The allowed neighbours of the excluded ones between are taken as a
//!   row's own (ACORN-1: Patel et al., SIGMOD 2024, section 5.2). It starts from some allowed rows
//!   besides, because what is allowed may lie far from where the descent ends.
//!
//! What counts is not how many rows are allowed but how many of those near the query (Weaviate and NaviX look at the same):
//! before the choice the mask is looked at around the place where the descent ends. And how many links of a graph lead to
//! the same rows ([`newness`](super::newness)): the fewer do, the more rows does a step of a walk measure, and the faster do
//! walks grow under narrower masks. (What [`Outlook::work`] says of walks and hops was held against 60,000 x 784 images,
//! 60,000 x 384 sentences and 1,000,000 x 128 clusters, of newness 0.59, 0.79 and 0.87.) A walk that has cost as much as
//! a hop or a scan, or is seen to be about to, is given up for it; a hop for a scan, also where it ended among rows which are all
//! as far away.

use vecdb_vector::{Metric, Neighbor, RowId, RowMask};

use super::links::Links;
use super::newness::NEWNESS;
use super::pool::Key;
use super::search::{Measure, STEPS_PER_CHECK, Walk};
use crate::{Budget, Counters, IndexError, Plan, PlanCost, Scratch, UnitCosts};

/// A step, beside the rows it scores, in distance computations.
const STEP_WORK: f64 = 1.0;
/// What a step of a hop costs more than one of a walk, in new links, where it looks beyond its neighbours.
const BEYOND_COST: f64 = 1.15;
/// It does in full wherever so large a share of them are excluded.
const BEYOND_EXCLUDED: f64 = 0.25;
/// A walk that costs so many times what a hop is expected to is given up for it.
pub(super) const WALK_PATIENCE: f64 = 1.25;
/// The work of inserting a row, beside the candidates it is searched for: which of them become links, and what those link back.
const LINKING: f64 = 1.5;
/// Links of a row, about.
const DEGREE: f64 = 28.0;
/// No more rows are taken from beyond at one step.
const HOP_ROWS_MAX: usize = 40;
/// Where links lead to few rows twice, a hop sees too few rows a step and makes up for it by a pool larger by this part.
const HOP_POOL_PART: f64 = 1.0 / 3.0;
/// A newness from which on the pool begins to be larger, and one where it is.
const HOP_POOL_NEWNESS: (f64, f64) = (0.75, 0.85);
/// So much larger is the pool of a hop into another region than that of one nearby.
const HOP_POOL_ELSEWHERE: f64 = 1.25;
/// A hop wants so many allowed rows within two links of a row.
const HOP_ALLOWED_MIN: f64 = 12.0;
/// Below so many its pool grows, up to so much.
const HOP_ALLOWED_FEW: f64 = 40.0;
const HOP_POOL_FEW: f64 = 2.5;
/// The mask's share counts as much as so many rows near the query.
const PRIOR_ROWS: f64 = 8.0;
/// Below this part of the mask's share the rows looked for lie elsewhere.
const ELSEWHERE_SHARE: f64 = 0.7;
/// Rows allowed in another region have at least so many times as many of each other around as in the whole.
const ELSEWHERE_TOGETHER: f64 = 2.0;
/// Allowed rows that a hop starts from, beside where the descent ends.
const SEEDS: u32 = 8;
/// Where the farthest row of the pool is farther than the nearest by less than this part (of squared distances), what a hop
/// found are but some of very many rows as far away, in all directions: it has hardly found the nearest of them. (Matches that
/// lie in a shell around the query gave 0.001 to 0.022, all others more than 0.029.)
const SPREAD_MIN: f32 = 0.022;
/// Errors alone spread the pool of rows that are as far away by so many deviations.
const ERROR_DEVIATIONS: f32 = 4.0;
/// Steps after which a walk knows enough of the mask to tell what is to come.
const STEPS_TO_TELL: u64 = 32;

/// How a walk ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    /// The budget is spent.
    Truncated,
    /// A scan is cheaper.
    GivenUp,
}

/// What is known of a mask and a graph.
#[derive(Copy, Clone, Debug)]
pub(super) struct Outlook {
    /// Rows allowed.
    pub(super) allowed: u32,
    /// The share of rows allowed: near the query where that is known.
    pub(super) share: f64,
    /// The same of all rows.
    pub(super) share_of_all: f64,
    /// Links of a row.
    pub(super) degree: f64,
    /// See [`newness`](super::newness).
    pub(super) newness: f64,
    /// Far fewer rows are allowed near the query than elsewhere: what is looked for lies in another region.
    pub(super) elsewhere: bool,
    /// Distances tell whether a hop into another region came to the right place.
    pub(super) tells: bool,
    /// Rows of the graph that is at hand over those allowed.
    pub(super) subset: Option<u32>,
    /// What a unit of work takes.
    pub(super) costs: UnitCosts,
}

impl Outlook {
    /// What is known without a query.
    pub(super) fn of(
        metric: Metric,
        rows: u32,
        allowed: u32,
        newness: f64,
        costs: UnitCosts,
    ) -> Self {
        Self {
            allowed,
            share: f64::from(allowed) / f64::from(rows.max(1)),
            share_of_all: f64::from(allowed) / f64::from(rows.max(1)),
            degree: DEGREE,
            newness,
            elsewhere: false,
            tells: matches!(metric, Metric::L2 | Metric::Cosine),
            subset: None,
            costs,
        }
    }

    /// The same with a graph of so many rows at hand over those allowed.
    pub(super) fn with_subset(self, subset: Option<u32>) -> Self {
        Self { subset, ..self }
    }

    /// Looks at the rows within two links of `start`.
    pub(super) fn near<L: Links>(
        &self,
        links: &L,
        start: RowId,
        mask: &RowMask,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) -> Result<Self, IndexError> {
        scratch.visited.reset(links.rows());
        scratch.visited.pass(start);
        let (mut checked, mut allowed, mut rows) = (0u64, 0u64, 0u64);
        let mut at = 0;
        let mut last = 1;
        // First the row's own links, then those of its neighbours.
        while let Some(&row) = scratch.visited.passed_since(at).first() {
            let visited = &mut scratch.visited;
            let first = at == 0;
            links.for_each(0, row, |link| {
                checked += 1;
                allowed += u64::from(mask.contains(link));
                if first && visited.pass(link) {
                    links.prefetch(link);
                }
            })?;
            rows += 1;
            at += 1;
            if first {
                last = visited.passed();
            }
            if at >= last {
                break;
            }
        }
        counters.rows_checked += checked;
        // As if the mask's share had been seen at some rows already: few rows tell little.
        let seen = self.share.mul_add(PRIOR_ROWS, allowed as f64);
        let share = seen / (PRIOR_ROWS + checked as f64);
        Ok(Self {
            share,
            elsewhere: share < self.share * ELSEWHERE_SHARE,
            degree: (checked as f64 / rows as f64).max(1.0),
            ..*self
        })
    }

    /// Less than any walk costs with a pool of `ef`.
    pub(super) fn cost_min(&self, ef: usize) -> f64 {
        ef as f64 * 11.0 * self.costs.walk.min(self.costs.hop)
    }

    /// The expected work of a plan.
    pub(super) fn work(&self, plan: Plan, ef: usize) -> f64 {
        let share = self.share.clamp(1e-9, 1.0);
        match plan {
            Plan::Scan => f64::from(self.allowed),
            Plan::Walk | Plan::Check => {
                // Away from the query more and more of what is walked through is excluded.
                let growth = if self.elsewhere { 2.0 } else { 1.0 } * self.newness;
                ef as f64 * (self.new_links() + STEP_WORK) * share.powf(-growth)
            }
            Plan::Hop => {
                // Below some share what is allowed hangs together by few rows.
                // Those of another region are together there, more than their share of all rows says.
                let elsewhere = if self.elsewhere {
                    ELSEWHERE_TOGETHER
                } else {
                    1.0
                };
                let leads = self.allowed_around() * elsewhere >= HOP_ALLOWED_MIN;
                if !leads || self.elsewhere && !self.tells {
                    return f64::INFINITY;
                }
                let share = self.share_of_hop();
                let excluded = ((1.0 - share) / BEYOND_EXCLUDED).min(1.0);
                let step = self.new_links() * BEYOND_COST.mul_add(excluded, 1.0);
                // Neighbours that are looked beyond, until enough rows are found.
                let between = self.degree * (1.0 - share);
                let between = between.min(HOP_ROWS_MAX as f64 / (self.new_links() * share));
                let looked_up = self.degree * (1.0 + between) * Counters::CHECK_WORK;
                // However many are measured, each of the rows allowed is once.
                let steps = self.hop_pool(ef) as f64;
                let measured = steps * (step - looked_up).max(1.0);
                let rows = f64::from(self.allowed).max(1.0);
                let measured = rows * (1.0 - (-measured / rows).exp());
                measured + steps * (looked_up + STEP_WORK)
            }
            Plan::Subset => {
                let Some(rows) = self.subset else {
                    return f64::INFINITY;
                };
                if self.elsewhere && !self.tells {
                    return f64::INFINITY;
                }
                // Rows that died since it was built are walked through.
                let share = f64::from(self.allowed) / f64::from(rows.max(1));
                let growth = share.clamp(1e-9, 1.0).powf(-self.newness);
                ef as f64 * (new_links(DEGREE, self.newness) + STEP_WORK) * growth
            }
        }
    }

    /// Rows that a step of a walk has not seen before.
    fn new_links(&self) -> f64 {
        new_links(self.degree, self.newness)
    }

    /// The share of rows allowed where a hop goes: in another region they are as many as anywhere.
    fn share_of_hop(&self) -> f64 {
        match self.elsewhere {
            true => self.share_of_all,
            false => self.share,
        }
    }

    /// Allowed rows within two links of a row.
    fn allowed_around(&self) -> f64 {
        let share = self.share_of_hop();
        self.degree * (1.0 + self.degree * (1.0 - share)) * share
    }

    /// The pool with which a hop finds as much as a walk with a pool of `ef`.
    pub(super) fn hop_pool(&self, ef: usize) -> usize {
        let (from, to) = HOP_POOL_NEWNESS;
        let new = ((self.newness - from) / (to - from)).clamp(0.0, 1.0);
        let few = (HOP_ALLOWED_FEW / self.allowed_around()).clamp(1.0, HOP_POOL_FEW);
        let elsewhere = if self.elsewhere {
            HOP_POOL_ELSEWHERE
        } else {
            1.0
        };
        (ef as f64 * HOP_POOL_PART.mul_add(new, 1.0) * few * elsewhere) as usize
    }

    /// The time that the work of a plan is expected to take, in nanoseconds.
    pub(super) fn cost(&self, plan: Plan, ef: usize) -> f64 {
        self.work(plan, ef) * self.costs.of(plan)
    }

    /// The plans that will do for a pool of `ef` and their expected cost, the cheapest first.
    pub(super) fn plans(&self, ef: usize) -> Vec<PlanCost> {
        let plans = Plan::MASKED.into_iter().map(|plan| PlanCost {
            plan,
            work: self.work(plan, ef),
            time_ns: self.cost(plan, ef),
        });
        // Infinite work has no form in JSON either.
        let mut plans: Vec<PlanCost> = plans.filter(|plan| plan.work.is_finite()).collect();
        plans.sort_by(|a, b| a.time_ns.total_cmp(&b.time_ns));
        plans
    }

    /// Whether a look at the rows near the query would change nothing: a graph of the allowed rows alone costs the same wherever
    /// they lie.
    pub(super) fn is_for_subset(&self, ef: usize) -> bool {
        self.tells && self.cheapest(ef) == Plan::Subset
    }

    /// The first of [`Self::plans`].
    pub(super) fn cheapest(&self, ef: usize) -> Plan {
        let cheapest = Plan::MASKED.into_iter();
        let cheapest = cheapest.min_by(|a, b| self.cost(*a, ef).total_cmp(&self.cost(*b, ef)));
        cheapest.unwrap_or(Plan::Scan)
    }
}

/// Rows that a step of a walk over a graph of such links has not seen before.
fn new_links(degree: f64, newness: f64) -> f64 {
    degree * newness.powf(1.5)
}

/// The work of building a graph over so many rows, in distance computations.
pub(super) fn build_work(ef_construction: u32, rows: u32) -> f64 {
    let step = new_links(DEGREE, NEWNESS) + STEP_WORK;
    f64::from(rows) * f64::from(ef_construction) * step * LINKING
}

/// Which rows of a graph a search may return.
pub(super) trait Allowed {
    fn contains(&self, row: RowId) -> bool;
}

impl Allowed for RowMask {
    #[inline]
    fn contains(&self, row: RowId) -> bool {
        RowMask::contains(self, row)
    }
}

/// A walk under a mask.
pub(super) struct Masked<'a, 'w, L, M, A = RowMask> {
    pub(super) walk: &'a Walk<'w, L, M>,
    pub(super) mask: &'a A,
    pub(super) ef: usize,
    /// A walk that takes more work is given up; without end for a plan that was asked for.
    pub(super) work_max: f64,
    /// See [`Outlook::tells`].
    pub(super) tells: bool,
    pub(super) budget: &'a Budget<'a>,
    pub(super) counters: &'a mut Counters,
}

impl<L: Links, M: Measure, A: Allowed> Masked<'_, '_, L, M, A> {
    /// Leaves the nearest `ef` allowed rows that a walk over all rows reaches in `scratch.pool`.
    pub(super) fn walk(
        &mut self,
        start: Neighbor,
        scratch: &mut Scratch,
    ) -> Result<End, IndexError> {
        let before = self.counters.distance_computations;
        self.walk.start_at(start.row, scratch);
        scratch.pool.reset(self.ef);
        scratch.heap.clear();
        let first = Key::new(start.distance, start.row);
        scratch.heap.push(first);
        let mut allowed = 0u64;
        if self.mask.contains(start.row) {
            scratch.pool.offer(first);
            allowed += 1;
        }
        let mut hops = 0;
        let mut end = End::Finished;
        while let Some(key) = scratch.heap.pop() {
            if scratch.pool.is_full() && scratch.pool.worst() < Some(key) {
                break;
            }
            hops += 1;
            let fresh = self.walk.expand(0, key.row(), f32::INFINITY, scratch)?;
            let rows = scratch.visited.since(fresh);
            for (&row, &distance) in rows.iter().zip(&scratch.distances) {
                let contained = self.mask.contains(row);
                allowed += u64::from(contained);
                let key = Key::new(distance, row);
                if scratch.pool.is_full() && scratch.pool.worst() < Some(key) {
                    continue;
                }
                scratch.heap.push(key);
                if contained {
                    scratch.pool.offer(key);
                }
            }
            if hops % STEPS_PER_CHECK == 0 {
                let computed = scratch.visited.len() as u64;
                if self.budget.is_spent(before + computed) {
                    end = End::Truncated;
                    break;
                }
                let missing = (self.ef - scratch.pool.len()) as f64;
                if hops >= STEPS_TO_TELL && self.is_dearer(computed, allowed, missing) {
                    end = End::GivenUp;
                    break;
                }
            }
        }
        self.counters.rows_checked += scratch.visited.len() as u64;
        let nearest = scratch.pool.iter().next().unwrap_or(start);
        self.walk.finish(0, hops, nearest, scratch, self.counters);
        Ok(end)
    }

    /// The same where all rows are allowed.
    pub(super) fn beam(
        &mut self,
        start: Neighbor,
        scratch: &mut Scratch,
    ) -> Result<End, IndexError> {
        let (ef, budget) = (self.ef, self.budget);
        let truncated = self
            .walk
            .beam(0, start, ef, budget, scratch, self.counters)?;
        Ok(match truncated {
            true => End::Truncated,
            false => End::Finished,
        })
    }

    /// Whether a walk that computed so many distances for so many allowed rows, and still misses some, costs more than a
    /// scan from here on.
    fn is_dearer(&self, computed: u64, allowed: u64, missing: f64) -> bool {
        if self.work_max == f64::INFINITY {
            return false;
        }
        let share = (allowed as f64 + 0.5) / (computed as f64 + 1.0);
        let to_come = missing / share;
        computed as f64 > self.work_max || to_come > self.work_max
    }

    /// Whether what a walk through allowed rows alone found are but some of very many rows as far away, see [`SPREAD_MIN`].
    pub(super) fn is_shell(&self, nearest: Neighbor, scratch: &Scratch) -> bool {
        if !self.tells || self.work_max == f64::INFINITY || !scratch.pool.is_full() {
            return false;
        }
        let farthest = scratch.pool.worst().map_or(0.0, Key::distance);
        // What codes get wrong spreads equal distances.
        let error = ERROR_DEVIATIONS * self.walk.scorer.error_at(nearest.distance);
        farthest - nearest.distance < (SPREAD_MIN * nearest.distance).hypot(error)
    }
}

impl<L: Links, M: Measure> Masked<'_, '_, L, M> {
    /// Leaves the nearest allowed rows that a walk over allowed rows alone reaches in `scratch.pool`, as many as
    /// [`Outlook::hop_pool`] says.
    pub(super) fn hop(
        &mut self,
        start: Neighbor,
        pool: usize,
        scratch: &mut Scratch,
    ) -> Result<End, IndexError> {
        let before = self.counters.distance_computations;
        self.walk.start_at(start.row, scratch);
        scratch.pool.reset(pool);
        self.measure_seeds(scratch)?;
        if self.mask.contains(start.row) {
            let key = Key::new(start.distance, start.row);
            scratch.pool.offer(key);
        } else {
            self.hop_from(start.row, scratch)?;
        }
        let mut hops = 0;
        let mut end = End::Finished;
        while let Some(row) = scratch.pool.pop() {
            hops += 1;
            if let Some(next) = scratch.pool.peek() {
                self.walk.links.prefetch(next);
            }
            self.hop_from(row, scratch)?;
            if hops % STEPS_PER_CHECK == 0 {
                let computed = scratch.visited.len() as u64;
                if self.budget.is_spent(before + computed) {
                    end = End::Truncated;
                    break;
                }
                if computed as f64 > self.work_max {
                    end = End::GivenUp;
                    break;
                }
            }
        }
        let nearest = scratch.pool.iter().next().unwrap_or(start);
        self.walk.finish(0, hops, nearest, scratch, self.counters);
        if end == End::Finished && self.is_shell(nearest, scratch) {
            end = End::GivenUp;
        }
        Ok(end)
    }

    /// Allowed rows from all over the segment.
    fn measure_seeds(&self, scratch: &mut Scratch) -> Result<(), IndexError> {
        let fresh = scratch.visited.len();
        let words = self.mask.rows().div_ceil(64);
        for seed in 0..SEEDS {
            // From the seed's part of the rows the first that is allowed.
            let from = (u64::from(words) * u64::from(seed) / u64::from(SEEDS)) as u32;
            let to = (u64::from(words) * u64::from(seed + 1) / u64::from(SEEDS)) as u32;
            let found = (from..to).find(|&at| self.mask.word(at) != 0);
            if let Some(at) = found {
                let row = at * 64 + self.mask.word(at).trailing_zeros();
                scratch.visited.insert(RowId(row));
            }
        }
        self.offer_since(fresh, scratch)
    }

    /// Scores the allowed rows around `row` that were not seen before, and those beyond excluded neighbours.
    fn hop_from(&mut self, row: RowId, scratch: &mut Scratch) -> Result<(), IndexError> {
        let (links, mask) = (self.walk.links, self.mask);
        let fresh = scratch.visited.len();
        let passed = scratch.visited.passed();
        let mut checked = 0;
        let visited = &mut scratch.visited;
        links.for_each(0, row, |link| {
            checked += 1;
            if mask.contains(link) {
                if visited.insert(link) {
                    self.walk.scorer.prefetch(link);
                }
            } else if visited.pass(link) {
                links.prefetch(link);
            }
        })?;
        for at in passed..visited.passed() {
            if visited.len() - fresh >= HOP_ROWS_MAX {
                break;
            }
            let Some(&between) = visited.passed_since(at).first() else {
                break;
            };
            links.for_each(0, between, |link| {
                checked += 1;
                if mask.contains(link) && visited.insert(link) {
                    self.walk.scorer.prefetch(link);
                }
            })?;
        }
        self.counters.rows_checked += checked;
        self.offer_since(fresh, scratch)
    }

    fn offer_since(&self, fresh: usize, scratch: &mut Scratch) -> Result<(), IndexError> {
        let rows = scratch.visited.since(fresh);
        scratch.distances.resize(rows.len(), 0.0);
        let distances = &mut scratch.distances;
        self.walk.scorer.score_rows(rows, distances)?;
        for (&row, &distance) in rows.iter().zip(distances.iter()) {
            scratch.pool.offer(Key::new(distance, row));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(rows: u32, allowed: u32, costs: UnitCosts) -> Outlook {
        Outlook::of(Metric::L2, rows, allowed, NEWNESS, costs)
    }

    #[test]
    fn the_narrower_the_mask_the_fewer_rows_a_plan_touches() {
        let counted = UnitCosts::default();
        let cheapest = |rows, allowed| outlook(rows, allowed, counted).cheapest(64);
        assert_eq!(cheapest(60_000, 60), Plan::Scan);
        assert_eq!(cheapest(60_000, 700), Plan::Scan);
        assert_eq!(cheapest(60_000, 9_000), Plan::Hop);
        assert_eq!(cheapest(60_000, 55_000), Plan::Walk);
        assert_eq!(cheapest(10_000_000, 1_000_000), Plan::Hop);
        assert_eq!(cheapest(0, 0), Plan::Scan);
        let plans = outlook(60_000, 9_000, counted).plans(64);
        assert!(plans.is_sorted_by(|a, b| a.work <= b.work));
    }

    #[test]
    fn what_a_unit_of_work_takes_moves_the_choice() {
        let dear = |walk: f64, hop: f64| UnitCosts {
            scan: 10.0,
            walk,
            hop,
            subset: walk,
        };
        let cheapest = |allowed, costs| outlook(60_000, allowed, costs).cheapest(64);
        assert_eq!(cheapest(4_000, dear(10.0, 10.0)), Plan::Hop);
        assert_eq!(cheapest(4_000, dear(40.0, 40.0)), Plan::Scan);
        assert_eq!(cheapest(30_000, dear(20.0, 10.0)), Plan::Hop);
        assert_eq!(cheapest(30_000, dear(10.0, 20.0)), Plan::Walk);
        let plans = outlook(60_000, 4_000, dear(40.0, 40.0)).plans(64);
        assert_eq!(plans[0].plan, Plan::Scan);
        assert_eq!((plans[0].work, plans[0].time_ns), (4_000.0, 40_000.0));
        assert!(plans.is_sorted_by(|a, b| a.time_ns <= b.time_ns));
        assert!(!plans.is_sorted_by(|a, b| a.work <= b.work));
    }

    #[test]
    fn a_graph_of_the_allowed_rows_is_walked_where_many_are_allowed() {
        let at_hand =
            |allowed, rows| outlook(60_000, allowed, UnitCosts::default()).with_subset(Some(rows));
        assert_eq!(at_hand(9_000, 9_000).cheapest(64), Plan::Subset);
        assert_eq!(at_hand(700, 700).cheapest(64), Plan::Scan);
        // Most of its rows died.
        assert_eq!(at_hand(9_000, 60_000).cheapest(64), Plan::Hop);
        assert!(at_hand(9_000, 9_000).is_for_subset(64));
        // Under dot nothing tells whether a walk came to the right place.
        let dot = Outlook::of(Metric::Dot, 60_000, 9_000, NEWNESS, UnitCosts::default());
        let dot = dot.with_subset(Some(9_000));
        assert!(!dot.is_for_subset(64) && dot.cheapest(64) == Plan::Subset);
        let away = Outlook {
            elsewhere: true,
            ..dot
        };
        assert_ne!(away.cheapest(64), Plan::Subset);
    }
}
