//! One insertion (paper, algorithm 1), safe to run from many threads at once.

use std::ops::Range;

use vecdb_vector::{Neighbor, RowId};

use super::links::{Entry, LinkTable, Links};
use super::prune::{Space, occlusion};
use super::search::Walk;
use crate::{Budget, Counters, HnswParams, IndexError, Scratch};

/// Inserts rows into a graph.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Inserter<'a> {
    pub(crate) links: &'a LinkTable,
    pub(crate) space: Space<'a>,
    pub(crate) ef_construction: usize,
    /// Occlusion under which the links of a new row fill the room that the heuristic leaves. They are spare: links that come
    /// back to the row take their places, and only when none is left are its links chosen anew, without filling then
    /// (there would soon be no room again, and choosing anew would be most of a build).
    pub(crate) filling: f32,
}

impl<'a> Inserter<'a> {
    pub(super) fn new(links: &'a LinkTable, params: &HnswParams, space: Space<'a>) -> Self {
        Self {
            links,
            space,
            ef_construction: params.ef_construction.max(params.m) as usize,
            filling: occlusion(space.metric, params.alpha),
        }
    }
}

/// The links chosen for one layer.
#[derive(Clone, Debug)]
struct LayerPlan {
    layer: u8,
    /// Where they stand among all that were chosen.
    links: Range<usize>,
    /// How many of them, the first, the heuristic asks for; the others fill the room.
    diverse: usize,
}

/// Memory of insertions, one per thread.
#[derive(Debug)]
pub(crate) struct InsertScratch {
    pub(crate) search: Scratch,
    pub(crate) candidates: Vec<Neighbor>,
    pub(crate) kept: Vec<RowId>,
    pub(crate) current: Vec<RowId>,
    pub(crate) distances: Vec<f32>,
    chosen: Vec<Neighbor>,
    /// Per layer, its part of `chosen`.
    plan: Vec<LayerPlan>,
}

impl InsertScratch {
    pub(crate) fn new(kernels: vecdb_vector::Kernels) -> Self {
        Self {
            search: Scratch::with_kernels(kernels),
            candidates: Vec::new(),
            kept: Vec::new(),
            current: Vec::new(),
            distances: Vec::new(),
            chosen: Vec::new(),
            plan: Vec::new(),
        }
    }
}

impl<'a> Inserter<'a> {
    /// Links `row`, whose slots are empty, into the graph.
    ///
    /// All layers are searched first; then the links are written from layer 0 upwards and the entry last, so that a
    /// thread that meets the row on some layer finds it complete on all layers below.
    pub(crate) fn insert(&self, row: RowId, scratch: &mut InsertScratch) -> Result<(), IndexError> {
        let level = self.links.level_of(row);
        let mut raising = None;
        let mut entry = self.links.entry();
        if entry.is_none_or(|entry| entry.level < level) {
            raising = Some(self.links.lock_entry());
            entry = self.links.entry();
        }
        if let Some(entry) = entry {
            self.plan(row, level, entry, scratch)?;
            self.publish(row, scratch);
        }
        if entry.is_none_or(|entry| entry.level < level) {
            self.links.set_entry(Some(Entry { row, level }));
        }
        drop(raising);
        Ok(())
    }

    /// Chooses the links of `row` for each of its layers.
    fn plan(
        &self,
        row: RowId,
        level: u8,
        entry: Entry,
        scratch: &mut InsertScratch,
    ) -> Result<(), IndexError> {
        let walk = Walk {
            links: self.links,
            scorer: self.space.scorer_of(row),
            hidden: None,
        };
        let search = &mut scratch.search;
        search.clear_trace();
        let mut counters = Counters::default();
        let mut nearest = Neighbor {
            distance: walk.scorer.score(entry.row),
            row: entry.row,
        };
        if entry.level > level {
            nearest = walk.descend(nearest, level + 1..=entry.level, search, &mut counters)?;
        }
        scratch.chosen.clear();
        scratch.plan.clear();
        for layer in (0..=level.min(entry.level)).rev() {
            let ef = self.ef_construction;
            walk.beam(
                layer,
                nearest,
                ef,
                &Budget::UNLIMITED,
                search,
                &mut counters,
            )?;
            scratch.candidates.clear();
            let found = search.pool.iter().filter(|found| found.row != row);
            scratch.candidates.extend(found);
            nearest = scratch.candidates.first().copied().unwrap_or(nearest);
            // On layer 0 the paper asks for m; as many as the row can hold find more for their cost.
            let most = self.links.capacity(layer);
            let (candidates, kept) = (&scratch.candidates, &mut scratch.kept);
            let diverse = self
                .space
                .select_and_fill(self.filling, candidates, most, kept);
            let start = scratch.chosen.len();
            for kept in &scratch.kept {
                let mut candidates = scratch.candidates.iter();
                let chosen = candidates.find(|candidate| candidate.row == *kept);
                scratch.chosen.extend(chosen);
            }
            scratch.plan.push(LayerPlan {
                layer,
                links: start..scratch.chosen.len(),
                diverse,
            });
        }
        Ok(())
    }

    /// Writes the chosen links and their reverses.
    fn publish(&self, row: RowId, scratch: &mut InsertScratch) {
        let plan = std::mem::take(&mut scratch.plan);
        let chosen = std::mem::take(&mut scratch.chosen);
        for plan in plan.iter().rev() {
            let layer = plan.layer;
            let links = chosen.get(plan.links.clone()).unwrap_or(&[]);
            let own = links.iter().map(|link| link.row);
            self.links.write_with_spares(layer, row, plan.diverse, own);
            for link in links {
                let back = Neighbor {
                    distance: link.distance,
                    row,
                };
                self.link_back(layer, link.row, back, scratch);
            }
        }
        scratch.plan = plan;
        scratch.chosen = chosen;
    }

    /// Adds the link `base` -> `link`, in the place of a spare one if it has to be; when there is none, the links of `base`
    /// are chosen anew.
    fn link_back(&self, layer: u8, base: RowId, link: Neighbor, scratch: &mut InsertScratch) {
        let _guard = self.links.lock_row(base);
        scratch.current.clear();
        self.links.read(layer, base, &mut scratch.current);
        if scratch.current.contains(&link.row) || base == link.row {
            return;
        }
        let most = self.links.capacity(layer);
        if scratch.current.len() < most {
            self.links.append(layer, base, link.row);
            return;
        }
        if self.links.replace_spare(layer, base, link.row) {
            return;
        }
        scratch.candidates.clear();
        scratch.candidates.push(link);
        self.space.measure(
            base,
            &scratch.current,
            &mut scratch.distances,
            &mut scratch.candidates,
        );
        scratch.candidates.sort_unstable();
        self.space
            .select(&scratch.candidates, most, &mut scratch.kept);
        self.links.write(layer, base, scratch.kept.iter().copied());
    }
}
