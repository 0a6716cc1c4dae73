//! One search of one state: walks the graphs first, so that what must be scanned can be passed over sooner.

use std::collections::BTreeSet;
use std::time::Instant;

use vecdb_filter::Filter;
use vecdb_index::{
    self as index, AnnIndex, Budget, Counters, PlanCosts, Scratch, SketchQuery, SketchScratch,
    UnitCosts, scan_exact, scan_sketched,
};
use vecdb_vector::{Neighbor, RowId, RowMask, TopK, VectorRows};

use super::costs::{Calibration, Costs};
use super::counts::Counted;
use super::explain::{Explainer, PartExplanation, PlanExplanation, micros_since};
use super::masks::{HeldSubset, Known, MaskKey};
use super::{Hit, Inner, Plan, SearchRequest, SearchResponse, SearchStats};
use crate::collection::state::{AnyView, State};
use crate::error::{ErrorKind, Result};
use crate::part::Part;
use crate::point::PointId;
use crate::segment::{Segment, SegmentId};

/// Hits read between two looks at the stop signal.
const HITS_PER_CHECK: usize = 64;

/// What a search by a graph of the matching points takes for what is expected of it: the way to layer 0 and measuring again come to
/// it.
const AROUND_SUBSET: f64 = 1.15;

/// A candidate with the part it comes from. The distance is the metric's rank value.
struct Found {
    distance: f32,
    part: usize,
    row: RowId,
}

/// A filter that was here before, in a segment.
struct Returning {
    segment: SegmentId,
    subset: Option<HeldSubset>,
}

/// Memory that searches use again.
#[derive(Default)]
pub(crate) struct SearchScratch {
    pub(super) walk: Scratch,
    sketch: SketchScratch,
    sketch_query: SketchQuery,
}

pub(super) struct Run<'a> {
    pub(super) inner: &'a Inner,
    pub(super) plan: &'a Plan<'a>,
    pub(super) request: &'a SearchRequest,
    found: Vec<Found>,
    /// The rank values of the nearest found so far: nothing farther than its worst can be an answer.
    pub(super) nearest: TopK,
    /// The scratch's sketch query is this search's. Made when the first sketches are met.
    sketch_query_made: bool,
    pub(super) scratch: SearchScratch,
    stats: SearchStats,
    unindexed: BTreeSet<String>,
    /// The filter as the cache of masks knows it, made when the first segment is met.
    mask_key: Option<MaskKey>,
    truncated: bool,
    explainer: Option<Explainer>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.inner
            .scratches
            .lock()
            .push(std::mem::take(&mut self.scratch));
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(inner: &'a Inner, plan: &'a Plan<'a>, request: &'a SearchRequest) -> Self {
        Self {
            inner,
            plan,
            request,
            found: Vec::new(),
            nearest: TopK::new(request.limit),
            sketch_query_made: false,
            scratch: inner.scratches.lock().pop().unwrap_or_default(),
            stats: SearchStats::default(),
            unindexed: BTreeSet::new(),
            mask_key: None,
            truncated: false,
            explainer: None,
        }
    }

    pub(super) fn over(mut self, state: &State) -> Result<SearchResponse> {
        if self.request.explain {
            self.explainer = Some(Explainer::new(
                state,
                self.plan.filter.as_ref(),
                &self.request.stop,
            )?);
        }
        let parts: Vec<AnyView<'_>> = state.parts().collect();
        // Unknown where not every point was looked at.
        let mut matching = Some(0);
        for walked in [true, false] {
            for (at, view) in parts.iter().enumerate() {
                if view.part().index().is_some() == walked {
                    let more = self.search_part(at, view)?;
                    matching = matching.zip(more).map(|(sum, more)| sum + more);
                }
            }
        }
        self.stats.matching = matching.filter(|_| self.plan.filter.is_some());
        self.stats.unindexed = std::mem::take(&mut self.unindexed).into_iter().collect();
        let reading = Instant::now();
        let hits = self.hits(&parts)?;
        let explainer = self.explainer.take();
        Ok(SearchResponse {
            hits,
            explanation: explainer.map(|explainer| Box::new(explainer.finish(reading.elapsed()))),
            stats: std::mem::take(&mut self.stats),
            truncated: self.truncated,
            ..SearchResponse::default()
        })
    }

    /// Searches the live rows that match; how many these are, where all were looked at.
    fn search_part(&mut self, at: usize, view: &AnyView<'_>) -> Result<Option<u64>> {
        self.request.stop.check()?;
        let part = view.part();
        self.stats.searched_vectors += u64::from(view.live_rows());
        let filter = self.plan.filter.as_ref();
        let explaining = self.explainer.is_some();
        let mut explained = explaining.then(|| PartExplanation::of(view, filter));
        let started = explaining.then(Instant::now);
        if let AnyView::Segment(segment) = view
            && let (Some(filter), Some(_)) = (filter, part.index())
        {
            let checked = self.check(segment)?;
            if let Some(explained) = &mut explained {
                explained.checked(&checked);
                explained.search_us = micros_since(started);
                explained.plans = self.plans_of(&segment.part, explained)?;
            }
            if checked.is_given_up() {
                self.inner.searches.add(Counted::Switched);
            }
            if let Some(neighbors) = checked.found {
                self.unindexed
                    .append(&mut segment.part.unindexed_of(filter));
                self.stats.segments += 1;
                self.inner.searches.add(Counted::Check);
                self.note_truncated(checked.truncated)?;
                self.explain(explained);
                self.take(at, neighbors);
                return Ok(None);
            }
        }
        let started = explaining.then(Instant::now);
        let mut known = match self.evaluate(view) {
            // The time limit came while rows were read: nothing is known of this part.
            Err(error) if error.kind() == ErrorKind::DeadlineExceeded => {
                self.note_truncated(true)?;
                self.explain(explained);
                return Ok(Some(0));
            }
            evaluated => evaluated?,
        };
        let returning = self.returning(view, known.as_ref());
        if let Some(known) = &mut known {
            self.unindexed.append(&mut known.evaluation.unindexed);
        }
        let rows_read = known.as_ref().map_or(0, |known| known.evaluation.rows_read);
        let mask = view.live_and(known.map(|known| known.evaluation.mask));
        let matching = mask.as_ref().map_or(part.rows(), RowMask::count);
        if let Some(explained) = &mut explained {
            explained.filter_us = micros_since(started);
            explained.matching = u64::from(matching);
            explained.rows_read += rows_read;
            explained.cached = returning.is_some();
            if explained.cached {
                // Nothing is to be read for any plan.
                explained.plans.clear();
            }
        }
        if matching == 0 {
            self.explain(explained);
            return Ok(Some(0));
        }
        let started = explaining.then(Instant::now);
        if let AnyView::Segment(view) = view {
            view.part.check_searched_bytes(&self.request.stop)?;
            self.stats.segments += 1;
        }
        let (neighbors, plan) = match part.index().is_some() {
            true => self.walk(part, mask.as_ref(), returning.as_ref(), explained.as_mut())?,
            false => self.scan(part, mask.as_ref(), explained.as_mut())?,
        };
        if let AnyView::Segment(_) = view {
            self.inner.searches.add(Counted::plan(plan));
        }
        if let Some(explained) = &mut explained {
            explained.search_us += micros_since(started);
        }
        self.explain(explained);
        self.take(at, neighbors);
        Ok(Some(u64::from(matching)))
    }

    /// Takes over what was found in a part.
    fn take(&mut self, at: usize, neighbors: Vec<Neighbor>) {
        for Neighbor { distance, row } in neighbors {
            if distance <= self.nearest.threshold() {
                self.nearest.push(distance, RowId(self.found.len() as u32));
                self.found.push(Found {
                    distance,
                    part: at,
                    row,
                });
            }
        }
    }

    /// What the filter matches in a part.
    fn evaluate(&mut self, view: &AnyView<'_>) -> Result<Option<Known>> {
        let Some(filter) = &self.plan.filter else {
            return Ok(None);
        };
        let AnyView::Segment(segment) = view else {
            let evaluation = view.part().evaluate(filter, &self.plan.filter_stop)?;
            return Ok(Some(Known::new(evaluation)));
        };
        let key = self.mask_key(filter);
        let segment = &segment.part;
        let masks = &self.inner.masks;
        let started = (self.plan_costs() == PlanCosts::Measured).then(Instant::now);
        let mut known = masks.get_or(segment.id(), &key, || {
            segment.evaluate(filter, &self.plan.filter_stop)
        })?;
        if let Some(started) = started {
            let rows_read = known.evaluation.rows_read;
            self.inner.costs.learn_read(rows_read, started.elapsed());
        }
        self.inner.searches.add(match known.held {
            true => Counted::MaskHit,
            false => Counted::MaskMiss,
        });
        if known.held {
            // Indexes come and go; what matches stays.
            known.evaluation.unindexed = segment.unindexed_of(filter);
        }
        Ok(Some(known))
    }

    /// None where the filter was not known already.
    fn returning(&self, view: &AnyView<'_>, known: Option<&Known>) -> Option<Returning> {
        let AnyView::Segment(segment) = view else {
            return None;
        };
        let known = known.filter(|known| known.held)?;
        let (subset, params) = (known.subset.as_ref(), &self.request.params);
        let subset = subset.filter(|subset| subset.serves(segment.live_rows(), params));
        Some(Returning {
            segment: segment.part.id(),
            subset: subset.cloned(),
        })
    }

    /// The filter as the cache of masks knows it.
    pub(super) fn mask_key(&mut self, filter: &Filter) -> MaskKey {
        self.mask_key
            .get_or_insert_with(|| MaskKey::of(filter))
            .clone()
    }

    fn plan_costs(&self) -> PlanCosts {
        self.request.params.plan_costs.unwrap_or_default()
    }

    /// What plans are compared by in a segment whose index knows several.
    pub(super) fn costs_of(&self, part: &dyn Part) -> Result<Option<Costs>> {
        let rows = part.vectors()?;
        let typical = part.index().and_then(|index| index.unit_costs(&rows));
        Ok(typical.map(|typical| {
            let calibration = Calibration {
                kernels: self.inner.shared.kernels,
                query: &self.plan.query,
                rows,
                typical_ns: UnitCosts::typical(rows.stride()).scan,
            };
            let costs = &self.inner.costs;
            costs.of(self.plan_costs(), typical, &calibration)
        }))
    }

    pub(super) fn budget_with(&self, costs: UnitCosts) -> Budget<'a> {
        Budget {
            costs,
            ..self.plan.budget
        }
    }

    pub(super) fn note_walked(&mut self, counters: &Counters) {
        self.stats.distance_computations += counters.distance_computations;
        self.stats.nodes_visited += counters.nodes_visited;
    }

    fn explain(&mut self, part: Option<PartExplanation>) {
        if let (Some(explainer), Some(part)) = (&mut self.explainer, part) {
            explainer.add(part);
        }
    }

    /// The plans for a filter that the indexes of a segment do not answer alone; none for others.
    fn plans_of(
        &self,
        segment: &Segment,
        explained: &PartExplanation,
    ) -> Result<Vec<PlanExplanation>> {
        let costs = self.costs_of(segment)?;
        let plans = costs.and_then(|costs| {
            explained.plans_with_check(segment, self.plan.filter.as_ref()?, self.request, &costs)
        });
        Ok(plans.unwrap_or_default())
    }

    fn walk(
        &mut self,
        part: &dyn Part,
        mask: Option<&RowMask>,
        returning: Option<&Returning>,
        explained: Option<&mut PartExplanation>,
    ) -> Result<(Vec<Neighbor>, &'static str)> {
        let Some(index) = part.index() else {
            return Ok((Vec::new(), "none"));
        };
        let subset = returning.and_then(|returning| returning.subset.as_ref());
        let rows = part.vectors()?;
        let mut neighbors = Vec::new();
        // Without a filter there is nothing to choose.
        let costs = match self.plan.filter {
            Some(_) => self.costs_of(part)?,
            None => None,
        };
        let budget = self.budget_with(costs.map_or_else(UnitCosts::default, |costs| costs.units));
        let learning = match costs.is_some() && self.plan_costs() == PlanCosts::Measured {
            true => index.unit_costs(&rows),
            false => None,
        };
        let started = learning.map(|typical| (typical, Instant::now()));
        let (query, request) = (&self.plan.query, self.request);
        let (limit, params) = (request.limit, &request.params);
        let (scratch, out) = (&mut self.scratch.walk, &mut neighbors);
        let outcome = match (subset, mask) {
            (Some(HeldSubset { graph, .. }), Some(mask)) => index.search_subset(
                graph, rows, query, limit, mask, params, &budget, scratch, out,
            )?,
            _ => index.search(rows, query, limit, mask, params, &budget, scratch, out)?,
        };
        if let (Some((typical, started)), Some(plan)) = (started, outcome.plan)
            && !outcome.switched
            && !outcome.truncated
        {
            let (work, time) = (outcome.counters.work(), started.elapsed());
            self.inner.costs.learn(plan, typical, work, time);
        }
        self.note_walked(&outcome.counters);
        if let (Some(returning), Some(mask), Some(costs)) = (returning, mask, costs) {
            self.note_returning(returning, index, &rows, mask.count(), &outcome, &costs);
        }
        let plan = match outcome.plan {
            Some(plan) => plan.name(),
            None if outcome.exact => "scan",
            None => "index",
        };
        if outcome.switched {
            self.inner.searches.add(Counted::Switched);
        }
        if let Some(explained) = explained {
            let modelled_ns = match costs {
                Some(_) => outcome.modelled_ns,
                None => one_way_ns(&rows, outcome.counters.work()),
            };
            explained.searched(plan, &outcome, modelled_ns);
            if let (Some(mask), true) = (mask, explained.plans.is_empty()) {
                let at_hand = subset.map(|subset| subset.graph.len());
                let plans = index.plans(mask.count(), at_hand, limit, params, &budget.costs);
                explained.plans = plans.into_iter().map(Into::into).collect();
            }
        }
        self.note_truncated(outcome.truncated)?;
        Ok((neighbors, plan))
    }

    /// Counts what the search would have saved with a graph of the `matching` points; a graph that hardly fits them any more is
    /// given up.
    fn note_returning(
        &self,
        returning: &Returning,
        index: &dyn AnnIndex,
        rows: &VectorRows<'_>,
        matching: u32,
        outcome: &index::SearchStats,
        costs: &Costs,
    ) {
        let (segment, masks) = (returning.segment, &self.inner.masks);
        let Some(key) = &self.mask_key else { return };
        if let Some(subset) = &returning.subset {
            if subset.is_mostly_dead(matching) {
                masks.forget_subset(segment, key);
            }
            return;
        }
        let (limit, params) = (self.request.limit, &self.request.params);
        let chose = !params.exact && params.plan.is_none();
        if outcome.truncated || !chose || self.plan_costs() == PlanCosts::Counted {
            return;
        }
        let Some(needs) = self.inner.affordable_subset(index, rows, matching) else {
            return;
        };
        let plans = index.plans(matching, Some(matching), limit, params, &costs.units);
        if let Some(subset) = plans.iter().find(|plan| plan.plan == index::Plan::Subset) {
            let missed = outcome.modelled_ns - subset.time_ns * AROUND_SUBSET;
            let build = needs.build_work * costs.units.subset;
            masks.note_missed(segment, key, missed, build);
        }
    }

    fn scan(
        &mut self,
        part: &dyn Part,
        mask: Option<&RowMask>,
        explained: Option<&mut PartExplanation>,
    ) -> Result<(Vec<Neighbor>, &'static str)> {
        let rows = part.vectors()?;
        let mut top = TopK::below(self.request.limit, self.nearest.threshold());
        let kernels = self.inner.shared.kernels;
        let sketches = part.sketches().filter(|_| !self.request.params.is_exact());
        let budget = &self.plan.budget;
        let mut estimated = 0;
        let outcome = match (sketches, self.inner.sketching.space()) {
            (Some(sketches), Some(space)) => {
                if !self.sketch_query_made {
                    self.scratch.sketch_query.set(space, &self.plan.query)?;
                    self.sketch_query_made = true;
                }
                estimated = u64::from(mask.map_or(rows.len(), RowMask::count));
                scan_sketched(
                    kernels,
                    space,
                    sketches,
                    &self.scratch.sketch_query,
                    &self.plan.query,
                    rows,
                    mask,
                    budget,
                    &mut top,
                    &mut self.scratch.sketch,
                )
            }
            _ => scan_exact(kernels, &self.plan.query, rows, mask, budget, &mut top),
        };
        self.stats.distance_computations += outcome.counters.distance_computations;
        self.stats.estimated_distances += estimated;
        let plan = if estimated > 0 { "sketches" } else { "scan" };
        if let Some(explained) = explained {
            let modelled_ns = one_way_ns(&rows, outcome.counters.work());
            explained.searched(plan, &outcome, modelled_ns);
            explained.estimated_distances = estimated;
        }
        self.note_truncated(outcome.truncated)?;
        Ok((top.into_sorted_vec(), plan))
    }

    /// A spent budget is a truncated answer, or the end of the search if that was told to stop.
    fn note_truncated(&mut self, truncated: bool) -> Result<()> {
        self.truncated |= truncated;
        match truncated {
            true => self.request.stop.check(),
            false => Ok(()),
        }
    }

    /// The `limit` nearest of all parts with what the request asks of them.
    fn hits(&mut self, parts: &[AnyView<'_>]) -> Result<Vec<Hit>> {
        let metric = self.plan.query.metric();
        // Of several at the same distance the ids decide who comes in.
        let farthest = self.nearest.threshold();
        let mut keyed: Vec<(Found, PointId)> =
            Vec::with_capacity(self.request.limit.min(self.found.len()));
        for found in self
            .found
            .drain(..)
            .filter(|found| found.distance <= farthest)
        {
            if keyed.len().is_multiple_of(HITS_PER_CHECK) {
                self.request.stop.check()?;
            }
            let id = parts[found.part].part().id(found.row)?;
            keyed.push((found, id));
        }
        keyed.sort_by(|a, b| {
            a.0.distance
                .total_cmp(&b.0.distance)
                .then_with(|| a.1.cmp(&b.1))
        });
        keyed.truncate(self.request.limit);
        let mut hits = Vec::with_capacity(keyed.len());
        for (found, id) in keyed {
            let distance = metric.distance(found.distance);
            if distance > self.plan.max_distance {
                break;
            }
            if hits.len().is_multiple_of(HITS_PER_CHECK) {
                self.request.stop.check()?;
            }
            let (part, row) = (parts[found.part].part(), found.row);
            let vector = self
                .request
                .with_vector
                .then(|| self.inner.decode_vector(part, row));
            let metadata = self.request.with_metadata.then(|| part.metadata(row));
            hits.push(Hit {
                id,
                distance,
                score: metric.score(distance),
                vector: vector.transpose()?,
                metadata: metadata.transpose()?,
            });
        }
        Ok(hits)
    }
}

/// The time that so much work takes where there is one way only, in nanoseconds.
fn one_way_ns(rows: &VectorRows<'_>, work: f64) -> f64 {
    work * UnitCosts::typical(rows.stride()).scan
}
