//! The search: the lists nearest to the query, under a mask as many more as it takes.

use std::ops::Range;

use vecdb_vector::{
    ElementType, Kernels, Metric, Neighbor, Query, RowId, RowMask, Scorer, TopK, VectorRows,
};

use super::build::coarse_metric;
use super::calibrate::{CANDIDATES, probe_metric};
use super::quantized::QuantizedCodes;
use super::reservoir::Reservoir;
use super::{Ivf, KNOBS};
use crate::calibration::aimed_at;
use crate::exact::{check_request, search_exact};
use crate::kmeans::normalise;
use crate::quantizer::{Near, QuantizedQuery, Scan, ScanBuffer};
use crate::{Budget, Counters, IndexError, ListTrace, Scratch, SearchParams, SearchStats};

/// Rows of a list scored per call.
const BLOCK: usize = 256;
/// Blocks between two looks at the budget.
const BLOCKS_PER_CHECK: usize = 4;
/// Candidates by codes that are measured by their vectors, for each hit asked for, and at least.
pub(super) const RERANK_PER_HIT: usize = 6;
pub(super) const RERANK_MIN: usize = 64;
/// Where a recall is asked for: the part of what may be missed that codes may miss, what the usual candidates miss, and how
/// many times as many there are at most where they may miss less.
const MISSED_BY_CODES: f32 = 0.1;
const MISSED_BY_CANDIDATES: f32 = 1.0 - CANDIDATES as f32;
const RERANK_TIMES_MAX: f32 = 4.0;
/// Rows compared for each hit asked for, at least: what was learned about lists was learned with few hits.
const COMPARED_PER_HIT: u64 = 4;

/// What a search is asked.
pub(super) struct Request<'a> {
    pub(super) rows: VectorRows<'a>,
    pub(super) query: &'a Query,
    pub(super) k: usize,
    pub(super) mask: Option<&'a RowMask>,
    pub(super) params: &'a SearchParams,
    pub(super) budget: &'a Budget<'a>,
}

/// Memory that searches use again.
#[derive(Debug)]
pub(crate) struct IvfScratch {
    values: Vec<f32>,
    probe: Option<Query>,
    coded: Option<Query>,
    tables: QuantizedQuery,
    scan: ScanBuffer,
    ranks: Vec<f32>,
    /// Lists, nearest first as far as `sorted`.
    order: Vec<u32>,
    sorted: usize,
    distances: Vec<f32>,
    places: Vec<RowId>,
    /// Hits, where codes are exact.
    pool: TopK,
    /// What is to be measured, where they are not.
    candidates: Reservoir,
    rows: Vec<RowId>,
    pub(crate) trace: Vec<ListTrace>,
}

impl Default for IvfScratch {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            probe: None,
            coded: None,
            tables: QuantizedQuery::default(),
            scan: ScanBuffer::default(),
            ranks: Vec::new(),
            order: Vec::new(),
            sorted: 0,
            distances: Vec::new(),
            places: Vec::new(),
            pool: TopK::new(0),
            candidates: Reservoir::default(),
            rows: Vec::new(),
            trace: Vec::new(),
        }
    }
}

impl IvfScratch {
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// The list at a place of the order, which is made as far as that.
    fn nearest_list(&mut self, at: usize) -> Option<u32> {
        if at >= self.sorted && at < self.order.len() {
            // As many again as are sorted already: few lists are asked for, as a rule.
            let more = (self.sorted.max(16)).min(self.order.len() - self.sorted);
            self.sort(self.sorted + more);
        }
        self.order.get(at).copied()
    }

    fn sort(&mut self, end: usize) {
        let ranks = &self.ranks;
        let key = |&list: &u32| (ranks[list as usize], list);
        let by_rank = |a: &u32, b: &u32| {
            let (a, b) = (key(a), key(b));
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        };
        let rest = &mut self.order[self.sorted..];
        let more = end - self.sorted;
        if more < rest.len() {
            rest.select_nth_unstable_by(more, by_rank);
        }
        rest[..more].sort_unstable_by(by_rank);
        self.sorted = end;
    }
}

impl Ivf {
    pub(super) fn answer(
        &self,
        request: &Request<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> Result<SearchStats, IndexError> {
        let Request {
            rows,
            query,
            mask,
            params,
            budget,
            ..
        } = *request;
        out.clear();
        params.check("ivf", KNOBS)?;
        check_request(self.rows, self.metric, &rows, query, mask)?;
        self.check_fits(&rows)?;
        scratch.clear_trace();
        let mask = mask.filter(|mask| !mask.is_all());
        let allowed = mask.map_or(self.rows, RowMask::count);
        let k = request.k.min(allowed as usize);
        let plan = Plan::new(self, k, params);
        if params.is_exact()
            || k == 0
            || k as u64 == u64::from(allowed)
            || u64::from(allowed) <= plan.compared
        {
            let stats = search_exact(rows, query, k, mask, budget, scratch);
            scratch.top.drain_sorted_into(out);
            return Ok(stats);
        }
        let kernels = scratch.kernels;
        let ivf = &mut scratch.ivf;
        ivf.scan.kernels = kernels;
        ivf.values.clear();
        query.to_f32(&mut ivf.values);
        rank_lists(self, kernels, ivf)?;
        self.codes.prepare(
            self.metric,
            &mut ivf.values,
            &mut ivf.coded,
            &mut ivf.tables,
        )?;
        let mut probing = Probing {
            index: self,
            kernels,
            query,
            mask,
            budget,
            limited: !budget.is_unlimited(),
            scratch: ivf,
            met: 0,
            compared: 0,
            truncated: false,
            must_scan: false,
        };
        probing.scratch.pool.clear(k);
        probing.scratch.candidates.clear(plan.rerank);
        let lists = probing.run(&plan)?;
        let (compared, truncated) = (probing.compared, probing.truncated);
        if probing.must_scan {
            scratch.clear_trace();
            let mut stats = search_exact(rows, query, k, mask, budget, scratch);
            stats.counters.distance_computations += compared + u64::from(self.lists);
            scratch.top.drain_sorted_into(out);
            return Ok(stats);
        }
        let mut counters = Counters {
            distance_computations: compared + u64::from(self.lists),
            nodes_visited: lists,
            ..Counters::default()
        };
        if self.codes.are_exact() {
            ivf.pool.drain_sorted_into(out);
        } else {
            ivf.rows.clear();
            let candidates = ivf.candidates.nearest().iter();
            ivf.rows.extend(candidates.map(|candidate| candidate.row));
            // Read in the order they lie in.
            ivf.rows.sort_unstable();
            ivf.distances.resize(ivf.rows.len(), 0.0);
            Scorer::new(kernels, query, rows).score_rows(&ivf.rows, &mut ivf.distances);
            counters.distance_computations += ivf.rows.len() as u64;
            scratch.top.clear(k);
            scratch.top.offer(&ivf.distances, |i| ivf.rows[i]);
            scratch.top.drain_sorted_into(out);
        }
        Ok(SearchStats {
            counters,
            truncated,
            ..SearchStats::default()
        })
    }
}

/// How far a search goes.
struct Plan {
    /// Lists, at least.
    nprobe: usize,
    /// Rows compared, at least, when a mask leaves out others.
    compared: u64,
    /// Hits found, at least.
    hits: u64,
    /// Candidates measured by their vectors.
    rerank: usize,
}

impl Plan {
    fn new(index: &Ivf, k: usize, params: &SearchParams) -> Self {
        let nprobe = match (params.nprobe, params.target_recall) {
            (Some(nprobe), _) => nprobe,
            (None, Some(recall)) => index.calibration.nprobe(aimed_at(recall)),
            (None, None) => index.default_nprobe(),
        };
        let nprobe = nprobe.min(index.lists);
        let share = u64::from(index.rows) * u64::from(nprobe) / u64::from(index.lists.max(1));
        let wanted = match params.nprobe {
            Some(_) => k as u64,
            None => COMPARED_PER_HIT * k as u64,
        };
        let rerank = match (params.rerank, params.target_recall) {
            (Some(rerank), _) => rerank as usize,
            (None, None) => index.default_rerank(k),
            (None, Some(recall)) => {
                let misses = MISSED_BY_CODES * (1.0 - aimed_at(recall));
                let times = (MISSED_BY_CANDIDATES / misses).clamp(1.0, RERANK_TIMES_MAX);
                (index.default_rerank(k) as f32 * times) as usize
            }
        };
        Self {
            nprobe: nprobe as usize,
            compared: share.max(wanted),
            hits: wanted,
            rerank: rerank.max(k),
        }
    }
}

/// A search on its way through the lists.
struct Probing<'a> {
    index: &'a Ivf,
    kernels: Kernels,
    query: &'a Query,
    mask: Option<&'a RowMask>,
    budget: &'a Budget<'a>,
    limited: bool,
    scratch: &'a mut IvfScratch,
    /// Rows of the lists looked into.
    met: u64,
    /// Those of them that were compared.
    compared: u64,
    truncated: bool,
    /// So many allowed rows have to be compared that a scan of all of them is the better way.
    must_scan: bool,
}

impl Probing<'_> {
    /// Looks into lists until the plan is met; into how many.
    fn run(&mut self, plan: &Plan) -> Result<u64, IndexError> {
        let mut at = 0;
        let mut wanted = plan.hits;
        loop {
            if let (Some(mask), true) = (self.mask, at == plan.nprobe) {
                wanted = self.wanted_under(mask, plan);
                self.must_scan = wanted >= u64::from(mask.count());
            }
            if self.truncated || self.must_scan || (at >= plan.nprobe && self.compared >= wanted) {
                break;
            }
            if self.is_spent() {
                self.truncated = true;
                break;
            }
            let Some(list) = self.scratch.nearest_list(at) else {
                break;
            };
            at += 1;
            let before = self.compared;
            self.list(list)?;
            let rank = self.scratch.ranks[list as usize];
            self.scratch.trace.push(ListTrace {
                list,
                compared: (self.compared - before) as u32,
                distance: probe_metric(self.index.metric).distance(rank),
            });
        }
        Ok(at as u64)
    }

    /// How many rows to compare under a mask, now that the nearest lists are through: as many as without a mask. And where
    /// the mask leaves out more of these lists than of all, what it allows lies farther out, in many more lists: that many
    /// times as many.
    fn wanted_under(&self, mask: &RowMask, plan: &Plan) -> u64 {
        let share = f64::from(mask.count()) / f64::from(self.index.rows.max(1));
        let expected = self.met as f64 * share;
        let farther = (expected / self.compared.max(1) as f64).max(1.0);
        ((plan.compared as f64 * farther) as u64).max(plan.hits)
    }

    fn is_spent(&self) -> bool {
        self.limited && self.budget.is_spent(self.compared)
    }

    /// Compares the rows of a list.
    fn list(&mut self, list: u32) -> Result<(), IndexError> {
        let place = self.index.list(list)?;
        let members = self.index.members.words(place.start, place.len())?;
        self.met += members.len() as u64;
        if let Some(codes) = self.index.codes.quantized() {
            return self.quantized(codes, list, place, members);
        }
        let Some(codes) = self.index.codes.rows(place)? else {
            return Ok(());
        };
        let coded = self.scratch.coded.take();
        let query = match (self.index.codes.are_exact(), &coded) {
            (false, Some(coded)) => coded,
            _ => self.query,
        };
        let scorer = Scorer::new(self.kernels, query, codes);
        let outcome = match self.mask {
            None => self.all(&scorer, members),
            Some(mask) => self.masked(&scorer, members, mask),
        };
        self.scratch.coded = coded;
        outcome
    }

    fn all(&mut self, scorer: &Scorer<'_>, members: &[u32]) -> Result<(), IndexError> {
        let exact = self.index.codes.are_exact();
        self.scratch.distances.resize(BLOCK, 0.0);
        for (block, members) in members.chunks(BLOCK).enumerate() {
            if self.must_stop(block) {
                break;
            }
            let distances = &mut self.scratch.distances[..members.len()];
            scorer.score_range(RowId((block * BLOCK) as u32), distances);
            self.scratch
                .offer(exact, members.len(), |i| RowId(members[i]));
            self.compared += members.len() as u64;
        }
        self.check_rows(members)
    }

    fn masked(
        &mut self,
        scorer: &Scorer<'_>,
        members: &[u32],
        mask: &RowMask,
    ) -> Result<(), IndexError> {
        let places = &mut self.scratch.places;
        places.clear();
        let allowed = |&(_, &row): &(usize, &u32)| mask.contains(RowId(row));
        let listed = members.iter().enumerate().filter(allowed);
        places.extend(listed.map(|(place, _)| RowId(place as u32)));
        self.scratch.distances.resize(BLOCK, 0.0);
        let places = std::mem::take(&mut self.scratch.places);
        let exact = self.index.codes.are_exact();
        for (block, places) in places.chunks(BLOCK).enumerate() {
            if self.must_stop(block) {
                break;
            }
            let distances = &mut self.scratch.distances[..places.len()];
            scorer.score_rows(places, distances);
            let row = |i: usize| RowId(members[places[i].index()]);
            self.scratch.offer(exact, places.len(), row);
            self.compared += places.len() as u64;
        }
        self.scratch.places = places;
        Ok(())
    }

    /// Estimates the rows of a list by their codes.
    fn quantized(
        &mut self,
        codes: &QuantizedCodes,
        list: u32,
        place: Range<usize>,
        members: &[u32],
    ) -> Result<(), IndexError> {
        let mut distances = std::mem::take(&mut self.scratch.distances);
        distances.resize(BLOCK, 0.0);
        let near = self.scratch.near(self.index.metric, list);
        let mut at = place.start;
        let mut block = 0;
        while at < place.end && !self.must_stop(block) {
            // Whole blocks of codes, but at the ends of the list.
            let end = ((at / BLOCK + 1) * BLOCK).min(place.end);
            let members = &members[at - place.start..end - place.start];
            let places = at..end;
            (at, block) = (end, block + 1);
            let allowed = match self.mask {
                None => members.len(),
                Some(mask) => {
                    let allowed = members.iter().filter(|&&row| mask.contains(RowId(row)));
                    allowed.count()
                }
            };
            if allowed == 0 {
                continue;
            }
            let distances = &mut distances[..members.len()];
            let scratch = &mut *self.scratch;
            let scan = Scan {
                quantizer: &codes.quantizer,
                codes: &codes.rows,
                near,
                threshold: scratch.candidates.limit(),
            };
            scratch
                .tables
                .scan(&scan, places, &mut scratch.scan, distances)?;
            if let Some(mask) = self.mask.filter(|_| allowed < members.len()) {
                for (distance, &row) in distances.iter_mut().zip(members) {
                    if !mask.contains(RowId(row)) {
                        // Never kept.
                        *distance = f32::NAN;
                    }
                }
            }
            scratch.candidates.offer(distances, |i| RowId(members[i]));
            self.compared += allowed as u64;
        }
        self.scratch.distances = distances;
        self.check_rows(members)
    }

    fn must_stop(&mut self, block: usize) -> bool {
        let looks = block > 0 && block.is_multiple_of(BLOCKS_PER_CHECK);
        self.truncated |= looks && self.is_spent();
        self.truncated
    }

    /// A mask cannot hold rows that are not there; without one the list itself must not.
    fn check_rows(&self, members: &[u32]) -> Result<(), IndexError> {
        let largest = members.iter().fold(0, |max, &row| row.max(max));
        if largest >= self.index.rows {
            let what = format!("row {largest} of {} in a list", self.index.rows);
            return Err(self.index.members.corrupt(what));
        }
        Ok(())
    }
}

impl IvfScratch {
    /// Offers the first `count` distances: as hits, or as candidates.
    fn offer(&mut self, exact: bool, count: usize, row: impl Fn(usize) -> RowId) {
        let distances = &self.distances[..count];
        match exact {
            true => self.pool.offer(distances, row),
            false => self.candidates.offer(distances, row),
        }
    }

    /// What the query has in common with the rows of a list.
    fn near(&self, metric: Metric, list: u32) -> Near {
        let base = self.ranks[list as usize];
        let norm = match metric {
            Metric::Dot => self.tables.norm(),
            _ => base.max(0.0).sqrt(),
        };
        Near { base, norm }
    }
}

/// Estimates of all rows in the `lists` nearest lists, as `rank_all` left them in `scratch`, each with its row.
pub(super) fn estimate_all(
    index: &Ivf,
    codes: &QuantizedCodes,
    kernels: Kernels,
    lists: usize,
    scratch: &mut IvfScratch,
    out: &mut Vec<(f32, u32)>,
) -> Result<(), IndexError> {
    out.clear();
    scratch.scan.kernels = kernels;
    codes.quantizer.set(&mut scratch.tables, &scratch.values)?;
    for at in 0..lists.min(scratch.order.len()) {
        let list = scratch.order[at];
        let place = index.list(list)?;
        let members = index.members(list)?;
        let near = scratch.near(index.metric, list);
        scratch.distances.resize(members.len(), 0.0);
        let scan = Scan {
            quantizer: &codes.quantizer,
            codes: &codes.rows,
            near,
            threshold: f32::INFINITY,
        };
        let distances = &mut scratch.distances;
        scratch
            .tables
            .scan(&scan, place, &mut scratch.scan, distances)?;
        out.extend(
            scratch
                .distances
                .iter()
                .copied()
                .zip(members.iter().copied()),
        );
    }
    Ok(())
}

/// Measures the query against all centroids. The order of the lists is still to be made.
fn rank_lists(index: &Ivf, kernels: Kernels, scratch: &mut IvfScratch) -> Result<(), IndexError> {
    let metric = probe_metric(index.metric);
    if coarse_metric(index.metric) == Metric::Cosine {
        normalise(&mut scratch.values);
    }
    match &mut scratch.probe {
        Some(probe) if probe.metric() == metric && probe.dim() == index.dim => {
            probe.set(&scratch.values)?;
        }
        probe => {
            *probe = Some(Query::new(
                metric,
                ElementType::F32,
                index.dim,
                &scratch.values,
            )?)
        }
    }
    let lists = index.lists as usize;
    let centroids = VectorRows::from_f32(index.dim, index.centroids.floats(0, lists * index.dim)?)?;
    scratch.ranks.resize(lists, 0.0);
    if let Some(probe) = &scratch.probe {
        let scorer = Scorer::new(kernels, probe, centroids);
        scorer.score_range(RowId(0), &mut scratch.ranks);
    }
    scratch.order.clear();
    scratch.order.extend(0..index.lists);
    scratch.sorted = 0;
    Ok(())
}

/// Leaves all lists in `scratch.order`, nearest to a vector first.
pub(super) fn rank_all(
    index: &Ivf,
    kernels: Kernels,
    values: &[f32],
    scratch: &mut IvfScratch,
) -> Result<(), IndexError> {
    scratch.values.clear();
    scratch.values.extend_from_slice(values);
    rank_lists(index, kernels, scratch)?;
    scratch.sort(scratch.order.len());
    Ok(())
}
