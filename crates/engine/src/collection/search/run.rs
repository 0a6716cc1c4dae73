//! One search of one state: walks the graphs first, so that what must be scanned can be passed over sooner.

use std::collections::BTreeSet;
use std::time::Instant;

use vecdb_filter::Evaluation;
use vecdb_index::{Scratch, SketchQuery, SketchScratch, scan_exact, scan_sketched};
use vecdb_vector::{Neighbor, RowId, RowMask, TopK};

use super::counts::Counted;
use super::explain::{Explainer, PartExplanation, micros_since};
use super::masks::MaskKey;
use super::{Hit, Inner, Plan, SearchRequest, SearchResponse, SearchStats};
use crate::collection::state::{AnyView, State};
use crate::error::{ErrorKind, Result};
use crate::part::Part;
use crate::point::PointId;

/// Hits read between two looks at the stop signal.
const HITS_PER_CHECK: usize = 64;

/// A candidate with the part it comes from. The distance is the metric's rank value.
struct Found {
    distance: f32,
    part: usize,
    row: RowId,
}

/// Memory that searches use again.
#[derive(Default)]
pub(crate) struct SearchScratch {
    walk: Scratch,
    sketch: SketchScratch,
    sketch_query: SketchQuery,
}

pub(super) struct Run<'a> {
    inner: &'a Inner,
    plan: &'a Plan<'a>,
    request: &'a SearchRequest,
    found: Vec<Found>,
    /// The rank values of the nearest found so far: nothing farther than its worst can be an answer.
    nearest: TopK,
    /// The scratch's sketch query is this search's. Made when the first sketches are met.
    sketch_query_made: bool,
    scratch: SearchScratch,
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
        let mut matching = 0;
        for walked in [true, false] {
            for (at, view) in parts.iter().enumerate() {
                if view.part().index().is_some() == walked {
                    matching += self.search_part(at, view)?;
                }
            }
        }
        self.stats.matching = self.plan.filter.is_some().then_some(matching);
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

    /// Searches the live rows that match; how many these are.
    fn search_part(&mut self, at: usize, view: &AnyView<'_>) -> Result<u64> {
        self.request.stop.check()?;
        let part = view.part();
        self.stats.searched_vectors += u64::from(view.live_rows());
        let filter = self.plan.filter.as_ref();
        let explaining = self.explainer.is_some();
        let mut explained = explaining.then(|| PartExplanation::of(view, filter));
        let started = explaining.then(Instant::now);
        let (mut evaluation, cached) = match self.evaluate(view) {
            // The time limit came while rows were read: nothing is known of this part.
            Err(error) if error.kind() == ErrorKind::DeadlineExceeded => {
                self.note_truncated(true)?;
                self.explain(explained);
                return Ok(0);
            }
            evaluated => evaluated?,
        };
        if let Some(evaluation) = &mut evaluation {
            self.unindexed.append(&mut evaluation.unindexed);
        }
        let rows_read = evaluation
            .as_ref()
            .map_or(0, |evaluation| evaluation.rows_read);
        let mask = view.live_and(evaluation.map(|evaluation| evaluation.mask));
        let matching = mask.as_ref().map_or(part.rows(), RowMask::count);
        if let Some(explained) = &mut explained {
            explained.filter_us = micros_since(started);
            explained.matching = u64::from(matching);
            explained.rows_read = rows_read;
            explained.cached = cached;
        }
        if matching == 0 {
            self.explain(explained);
            return Ok(0);
        }
        let started = explaining.then(Instant::now);
        if let AnyView::Segment(view) = view {
            view.part.check_searched_bytes(&self.request.stop)?;
            self.stats.segments += 1;
        }
        let (neighbors, plan) = match part.index().is_some() {
            true => self.walk(part, mask.as_ref(), explained.as_mut())?,
            false => self.scan(part, mask.as_ref(), explained.as_mut())?,
        };
        if let AnyView::Segment(_) = view {
            self.inner.searches.add(Counted::plan(plan));
        }
        if let Some(explained) = &mut explained {
            explained.search_us = micros_since(started);
        }
        self.explain(explained);
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
        Ok(u64::from(matching))
    }

    /// What the filter matches in a part, and whether that was known already.
    fn evaluate(&mut self, view: &AnyView<'_>) -> Result<(Option<Evaluation>, bool)> {
        let Some(filter) = &self.plan.filter else {
            return Ok((None, false));
        };
        let AnyView::Segment(segment) = view else {
            let evaluation = view.part().evaluate(filter, &self.plan.filter_stop)?;
            return Ok((Some(evaluation), false));
        };
        let key = self.mask_key.get_or_insert_with(|| MaskKey::of(filter));
        let segment = &segment.part;
        let masks = &self.inner.masks;
        let (mut evaluation, held) = masks.get_or(segment.id(), key, || {
            segment.evaluate(filter, &self.plan.filter_stop)
        })?;
        self.inner.searches.add(match held {
            true => Counted::MaskHit,
            false => Counted::MaskMiss,
        });
        if held {
            // Indexes come and go; what matches stays.
            evaluation.unindexed = segment.unindexed_of(filter);
        }
        Ok((Some(evaluation), held))
    }

    fn explain(&mut self, part: Option<PartExplanation>) {
        if let (Some(explainer), Some(part)) = (&mut self.explainer, part) {
            explainer.add(part);
        }
    }

    fn walk(
        &mut self,
        part: &dyn Part,
        mask: Option<&RowMask>,
        explained: Option<&mut PartExplanation>,
    ) -> Result<(Vec<Neighbor>, &'static str)> {
        let Some(index) = part.index() else {
            return Ok((Vec::new(), "none"));
        };
        let rows = part.vectors()?;
        let mut neighbors = Vec::new();
        let outcome = index.search(
            rows,
            &self.plan.query,
            self.request.limit,
            mask,
            &self.request.params,
            &self.plan.budget,
            &mut self.scratch.walk,
            &mut neighbors,
        )?;
        self.stats.distance_computations += outcome.counters.distance_computations;
        self.stats.nodes_visited += outcome.counters.nodes_visited;
        let plan = match outcome.plan {
            Some(plan) => plan.name(),
            None if outcome.exact => "scan",
            None => "index",
        };
        if outcome.switched {
            self.inner.searches.add(Counted::Switched);
        }
        if let Some(explained) = explained {
            explained.searched(plan, &outcome);
            if let Some(mask) = mask {
                let plans = index.plans(mask.count(), self.request.limit, &self.request.params);
                explained.plans = plans.into_iter().map(Into::into).collect();
            }
        }
        self.note_truncated(outcome.truncated)?;
        Ok((neighbors, plan))
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
            explained.searched(plan, &outcome);
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
