//! The search: a walk over nodes that are read from the disk (Subramanya and others, NeurIPS 2019, section 3).
//!
//! Codes say which nodes are worth reading; a block that arrives is measured whole, by the vectors in it, so that the
//! answer needs no second look. Up to `beam_width` reads are on their way at once, and each is worked on when it comes. Of
//! a block also the nodes beside the one asked for are expanded, where they are among the candidates: they are there
//! already (the block search of Starling, SIGMOD 2024, section 5).
//!
//! Under a mask that leaves few rows the codes of all of these are compared and the best are read; under a wide one the
//! walk takes every node and only the hits are filtered.

use vecdb_storage::disk::PageReader;
use vecdb_vector::{Kernels, Neighbor, Query, RowId, RowMask, Scorer, TopK, VectorRows};

use super::codes;
use super::frontier::Frontier;
use super::layout::Block;
use super::{DiskAnn, KNOBS};
use crate::exact::{check_request, search_exact};
use crate::hnsw::Visited;
use crate::hnsw::recall::ef_for;
use crate::{Budget, Counters, DiskTrace, IndexError, Scratch, SearchParams, SearchStats};

/// Candidates of a search that does not say how many.
pub const EF_DEFAULT: u32 = 64;
/// Reads on their way at once in a search that does not say how many.
pub const BEAM_WIDTH_DEFAULT: u32 = 4;
/// Reads on their way at once at most.
pub(super) const DEPTH: usize = 64;
/// Nodes of the sample that a walk starts from.
const STARTS: usize = 8;
/// A search for so many of the rows, or more, compares them all.
const SHARE_SCANNED: u64 = 4;
/// Codes compared in the time of a read.
const CODES_PER_READ: u64 = 1000;
/// Under a mask a walk looks at so many times the candidates at most.
const WIDENING_MAX: u32 = 16;
/// After a scan of codes at most so many times the candidates are read, and nodes for each hit asked for.
const READ_MAX: usize = 16;
const READ_PER_HIT: usize = 4;
/// Where distances by codes and by vectors cannot be compared, so many times the candidates are read.
const READ_BLINDLY: usize = 4;
/// Reading goes on while the next node's code leaves it a chance to be nearer than the hits: its distance by code less the
/// mean error of the nodes read and so many standard deviations.
const ERROR_DEVIATIONS: f64 = 2.5;
/// Codes compared between two looks at the budget.
const CODES_PER_CHECK: usize = 256;

/// What a search is asked.
pub(super) struct Request<'a> {
    /// `None`: vectors are in the pages only.
    pub(super) rows: Option<VectorRows<'a>>,
    pub(super) query: &'a Query,
    pub(super) k: usize,
    pub(super) mask: Option<&'a RowMask>,
    pub(super) params: &'a SearchParams,
    pub(super) budget: &'a Budget<'a>,
    /// The place of a node that the search goes around as if it were not there.
    pub(super) hidden: Option<u32>,
}

/// Memory that searches use again.
#[derive(Debug)]
pub(crate) struct DiskScratch {
    values: Vec<f32>,
    table: Vec<f32>,
    frontier: Frontier,
    /// Nodes whose codes were compared.
    met: Visited,
    /// Nodes that were measured by their vectors.
    measured: Visited,
    candidates: TopK,
    chosen: Vec<Neighbor>,
    distances: Vec<f32>,
    /// Nodes that wait for their block.
    awaited: Vec<u32>,
    /// The block on its way to each slot.
    flying: Vec<Option<u32>>,
    expanding: Vec<usize>,
    blocks: Vec<u32>,
    record: Vec<u8>,
    pub(crate) trace: DiskTrace,
}

impl Default for DiskScratch {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            table: Vec::new(),
            frontier: Frontier::default(),
            met: Visited::default(),
            measured: Visited::default(),
            candidates: TopK::new(0),
            chosen: Vec::new(),
            distances: Vec::new(),
            awaited: Vec::new(),
            flying: Vec::new(),
            expanding: Vec::new(),
            blocks: Vec::new(),
            record: Vec::new(),
            trace: DiskTrace::default(),
        }
    }
}

impl DiskAnn {
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
        params.check("diskann", KNOBS)?;
        match &rows {
            Some(rows) => {
                check_request(self.meta.rows, self.meta.metric, rows, query, mask)?;
                self.check_fits(rows)?;
            }
            None => self.check_alone(query, mask)?,
        }
        scratch.clear_trace();
        let mask = mask.filter(|mask| !mask.is_all());
        let allowed = mask.map_or(self.meta.rows, RowMask::count);
        let k = request.k.min(allowed as usize);
        let ef = match (params.ef, params.target_recall) {
            (Some(ef), _) => ef as usize,
            (None, Some(recall)) => ef_for(self.meta.ef_for_recall.as_ref(), recall, k),
            (None, None) => EF_DEFAULT as usize,
        };
        let ef = ef.max(k);
        let all = params.is_exact() || k == 0 || ef as u64 * SHARE_SCANNED >= u64::from(allowed);
        if all && let Some(rows) = rows {
            let stats = search_exact(rows, query, k, mask, budget, scratch);
            scratch.top.drain_sorted_into(out);
            return Ok(stats);
        }
        let mut reader = self.readers.take(&*self.source)?;
        let mut walk = Walk {
            index: self,
            kernels: scratch.kernels,
            query,
            mask,
            hidden: request.hidden,
            budget,
            limited: !budget.is_unlimited(),
            scratch: &mut scratch.disk,
            top: &mut scratch.top,
            compared: 0,
            expanded: 0,
            truncated: false,
            errors: Errors::default(),
        };
        let width = params.beam_width.unwrap_or(BEAM_WIDTH_DEFAULT) as usize;
        let width = width.min(reader.depth());
        let outcome = match all {
            true => walk.compare_all(&mut *reader, k),
            false => walk.answer(&mut *reader, k, ef, width),
        };
        let (compared, expanded, truncated) = (walk.compared, walk.expanded, walk.truncated);
        self.readers.give_back(reader);
        outcome?;
        scratch.top.drain_sorted_into(out);
        Ok(SearchStats {
            counters: Counters {
                distance_computations: compared,
                nodes_visited: expanded,
                hops: scratch.disk.trace.hops,
                ..Counters::default()
            },
            truncated,
            exact: all && !truncated,
            ..SearchStats::default()
        })
    }
}

/// One search under way.
struct Walk<'a, 's> {
    index: &'a DiskAnn,
    kernels: Kernels,
    query: &'a Query,
    mask: Option<&'a RowMask>,
    hidden: Option<u32>,
    budget: &'a Budget<'a>,
    limited: bool,
    scratch: &'s mut DiskScratch,
    top: &'s mut TopK,
    /// Distances computed, by codes or by vectors.
    compared: u64,
    expanded: u64,
    truncated: bool,
    errors: Errors,
}

impl Walk<'_, '_> {
    fn answer(
        &mut self,
        reader: &mut dyn PageReader,
        k: usize,
        ef: usize,
        width: usize,
    ) -> Result<(), IndexError> {
        let scratch = &mut *self.scratch;
        scratch.values.clear();
        self.query.to_f32(&mut scratch.values);
        let codebook = self.index.codebook()?;
        codebook.table(&mut scratch.values, &mut scratch.table);
        scratch.flying.clear();
        scratch.flying.resize(reader.depth(), None);
        self.begin(k);
        let rows = u64::from(self.index.meta.rows);
        let allowed = self.mask.map_or(rows, |mask| u64::from(mask.count()));
        // What the walk would read against what comparing all codes costs.
        let scan = self.mask.is_some() && allowed * allowed / rows <= ef as u64 * CODES_PER_READ;
        if !scan {
            let widened = (ef as u64).saturating_mul(rows) / allowed.max(1);
            let most = ef.saturating_mul(WIDENING_MAX as usize);
            self.walk(reader, (widened as usize).min(most), width)?;
            if self.truncated || self.top.len() >= k {
                return Ok(());
            }
            self.begin(k);
        }
        let step = ef.max(READ_PER_HIT * k);
        let most = match codes::scale(self.index.meta.metric) {
            Some(_) => step.saturating_mul(READ_MAX),
            None => step.saturating_mul(READ_BLINDLY),
        };
        self.scan_codes(most.min(allowed as usize))?;
        self.read_chosen(reader, step)
    }

    /// Measures every node.
    fn compare_all(&mut self, reader: &mut dyn PageReader, k: usize) -> Result<(), IndexError> {
        self.scratch.flying.clear();
        self.scratch.flying.resize(reader.depth(), None);
        self.begin(k);
        let blocks = if k == 0 {
            0
        } else {
            self.index.layout.blocks(self.index.meta.rows)
        };
        self.read_all(reader, 0..blocks)
    }

    fn begin(&mut self, k: usize) {
        self.top.clear(k);
        self.scratch.met.reset(self.index.meta.rows);
        self.scratch.measured.reset(self.index.meta.rows);
        self.scratch.awaited.clear();
        if let Some(hidden) = self.hidden {
            self.scratch.met.insert(RowId(hidden));
            self.scratch.measured.insert(RowId(hidden));
        }
    }

    fn walk(
        &mut self,
        reader: &mut dyn PageReader,
        ef: usize,
        width: usize,
    ) -> Result<(), IndexError> {
        self.scratch.frontier.reset(ef);
        self.start()?;
        let mut flying = 0;
        loop {
            while flying < width.max(1) && !self.is_spent() {
                let Some(place) = self.scratch.frontier.pop() else {
                    break;
                };
                self.scratch.trace.hops += 1;
                if self.expand_cached(place)? {
                    continue;
                }
                let block = self.index.layout.block_of(place);
                self.scratch.awaited.push(place);
                if !self.scratch.flying.contains(&Some(block)) {
                    self.submit(reader, block)?;
                    flying += 1;
                }
            }
            let Some((block, slot)) = self.arrival(reader)? else {
                return Ok(());
            };
            flying -= 1;
            self.block(block, reader.bytes(slot), true)?;
            if self.is_spent() {
                return Ok(());
            }
        }
    }

    fn is_spent(&mut self) -> bool {
        self.truncated |= self.limited && self.budget.is_spent(self.compared);
        self.truncated
    }

    /// The nodes of the sample that are nearest by their codes.
    fn start(&mut self) -> Result<(), IndexError> {
        let index = self.index;
        let count = index.meta.nav_count as usize;
        let bytes = index.meta.code_bytes;
        let places = index.columns.nav.words(0, count)?;
        let codes = index.columns.nav_codes.bytes(0..count * bytes)?;
        let scratch = &mut *self.scratch;
        scratch.candidates.clear(STARTS.min(count));
        for (code, &place) in codes.chunks_exact(bytes).zip(places) {
            let distance = codes::distance(&scratch.table, code);
            scratch.candidates.push(distance, RowId(place));
        }
        self.compared += count as u64;
        scratch.chosen.clear();
        scratch.candidates.drain_sorted_into(&mut scratch.chosen);
        for start in &scratch.chosen {
            let place = start.row.0;
            if place >= index.meta.rows {
                return Err(index
                    .columns
                    .nav
                    .corrupt(format!("node {place} of {}", index.meta.rows)));
            }
            if scratch.met.insert(start.row) {
                scratch.frontier.offer(start.distance, place, false);
            }
        }
        Ok(())
    }

    /// Expands a node that is kept in memory; whether it is.
    fn expand_cached(&mut self, place: u32) -> Result<bool, IndexError> {
        let index = self.index;
        let Some(cache) = &index.cache else {
            return Ok(false);
        };
        let mut record = std::mem::take(&mut self.scratch.record);
        record.resize(index.layout.record_bytes(), 0);
        let found = cache.get(place, &mut record);
        if found {
            self.scratch.trace.cache_hits += 1;
            if let Some(node) = index.layout.decode_record(place, &record) {
                self.measure(&node)?;
                self.expand(node.links(0, index.meta.rows)?)?;
            }
        }
        self.scratch.record = record;
        Ok(found)
    }

    fn submit(&mut self, reader: &mut dyn PageReader, block: u32) -> Result<(), IndexError> {
        let flying = &mut self.scratch.flying;
        let free = flying.iter().position(Option::is_none).unwrap_or(0);
        let submitted = reader.submit(free, u64::from(block));
        submitted.map_err(|error| self.index.unread(block, error))?;
        if let Some(slot) = flying.get_mut(free) {
            *slot = Some(block);
        }
        self.scratch.trace.reads += 1;
        self.scratch.trace.bytes += self.index.layout.block_bytes as u64;
        Ok(())
    }

    /// Waits for a block; its number and slot.
    fn arrival(&mut self, reader: &mut dyn PageReader) -> Result<Option<(u32, usize)>, IndexError> {
        let waited = reader.wait();
        let Some(completion) = waited.map_err(|error| self.index.unread(0, error))? else {
            return Ok(None);
        };
        let slot = completion.slot;
        let block = self.scratch.flying.get_mut(slot).and_then(Option::take);
        let block = block.unwrap_or_default();
        completion
            .result
            .map_err(|error| self.index.unread(block, error))?;
        self.scratch.trace.read_nanos.push(completion.nanos);
        Ok(Some((block, slot)))
    }

    /// Measures the nodes of a block, and expands those that are wanted.
    fn block(&mut self, block: u32, bytes: &[u8], expand: bool) -> Result<(), IndexError> {
        let index = self.index;
        let nodes = index.layout.decode(block, index.meta.rows, bytes)?;
        self.measure(&nodes)?;
        let codes = index.codes_at(nodes.places())?;
        if !expand {
            let scale = codes::scale(index.meta.metric).unwrap_or(1.0);
            let codes = codes.chunks_exact(index.meta.code_bytes);
            for (code, &exact) in codes.zip(&self.scratch.distances) {
                let coded = codes::distance(&self.scratch.table, code) / scale;
                self.errors.add(coded, exact);
            }
            return Ok(());
        }
        let mut expanding = std::mem::take(&mut self.scratch.expanding);
        expanding.clear();
        for ((slot, place), code) in nodes
            .places()
            .enumerate()
            .zip(codes.chunks_exact(index.meta.code_bytes))
        {
            let scratch = &mut *self.scratch;
            let waiting = scratch.awaited.iter().position(|&other| other == place);
            let wanted = match waiting {
                Some(at) => {
                    scratch.awaited.swap_remove(at);
                    true
                }
                None => {
                    let distance = codes::distance(&scratch.table, code);
                    self.compared += 1;
                    if scratch.met.insert(RowId(place)) {
                        scratch.frontier.offer(distance, place, true)
                    } else {
                        scratch.frontier.take(distance, place)
                    }
                }
            };
            if wanted {
                expanding.push(slot);
            }
        }
        for &slot in &expanding {
            self.expand(nodes.links(slot, index.meta.rows)?)?;
            if let Some(cache) = &index.cache {
                let place = nodes.places().start + slot as u32;
                cache.put(place, false, |out| nodes.record(slot, out));
            }
        }
        self.scratch.expanding = expanding;
        Ok(())
    }

    /// Distances by vectors of nodes that have none yet.
    fn measure(&mut self, nodes: &Block<'_>) -> Result<(), IndexError> {
        let distances = &mut self.scratch.distances;
        distances.resize(nodes.places().len(), 0.0);
        let scorer = Scorer::new(self.kernels, self.query, nodes.rows()?);
        scorer.score_range(RowId(0), distances);
        self.compared += distances.len() as u64;
        for (place, &distance) in nodes.places().zip(distances.iter()) {
            if !self.scratch.measured.insert(RowId(place)) || distance > self.top.threshold() {
                continue;
            }
            let row = self.index.row_at(place)?;
            if self.mask.is_none_or(|mask| mask.contains(row)) {
                self.top.push(distance, row);
            }
        }
        Ok(())
    }

    /// Offers the nodes that a node links to.
    fn expand(&mut self, links: &[u32]) -> Result<(), IndexError> {
        self.expanded += 1;
        let scratch = &mut *self.scratch;
        for &place in links {
            if !scratch.met.insert(RowId(place)) {
                continue;
            }
            let code = self.index.codes_at(place..place + 1)?;
            let distance = codes::distance(&scratch.table, code);
            self.compared += 1;
            scratch.frontier.offer(distance, place, false);
        }
        Ok(())
    }

    /// Leaves the `count` allowed nodes that are nearest by their codes in `scratch.chosen`.
    fn scan_codes(&mut self, count: usize) -> Result<(), IndexError> {
        let index = self.index;
        self.scratch.candidates.clear(count);
        self.scratch.chosen.clear();
        let mut first = 0;
        while first < index.meta.rows && !self.is_spent() {
            let block = first
                ..first
                    .saturating_add(CODES_PER_CHECK as u32)
                    .min(index.meta.rows);
            first = block.end;
            let rows = index
                .columns
                .place_rows
                .words(block.start as usize, block.len())?;
            let codes = index.codes_at(block.clone())?;
            let scratch = &mut *self.scratch;
            for ((place, &row), code) in block
                .zip(rows)
                .zip(codes.chunks_exact(index.meta.code_bytes))
            {
                if self.mask.is_none_or(|mask| mask.contains(RowId(row))) {
                    let distance = codes::distance(&scratch.table, code);
                    self.compared += 1;
                    scratch.candidates.push(distance, RowId(place));
                }
            }
        }
        let scratch = &mut *self.scratch;
        scratch.candidates.drain_sorted_into(&mut scratch.chosen);
        Ok(())
    }

    /// Measures the nodes of `scratch.chosen`, `step` by `step`, until those that follow are too far.
    fn read_chosen(&mut self, reader: &mut dyn PageReader, step: usize) -> Result<(), IndexError> {
        let chosen = std::mem::take(&mut self.scratch.chosen);
        let outcome = self.read_nodes(reader, &chosen, step);
        self.scratch.chosen = chosen;
        outcome
    }

    fn read_nodes(
        &mut self,
        reader: &mut dyn PageReader,
        chosen: &[Neighbor],
        step: usize,
    ) -> Result<(), IndexError> {
        let layout = self.index.layout;
        self.errors = Errors::default();
        for nodes in chosen.chunks(step.max(1)) {
            if let (Some(next), Some(scale)) = (nodes.first(), codes::scale(self.index.meta.metric))
                && self.top.is_full()
                && self.errors.least(next.distance / scale) > self.top.threshold()
            {
                break;
            }
            // In the order of the disk, each block once.
            let mut blocks = std::mem::take(&mut self.scratch.blocks);
            blocks.clear();
            let measured = &self.scratch.measured;
            let unread = nodes.iter().filter(|node| !measured.contains(node.row));
            blocks.extend(unread.map(|node| layout.block_of(node.row.0)));
            blocks.sort_unstable();
            blocks.dedup();
            let outcome = self.read_all(reader, blocks.iter().copied());
            self.scratch.blocks = blocks;
            outcome?;
            if self.truncated {
                break;
            }
        }
        Ok(())
    }

    /// Measures the nodes of some blocks, as many on their way as can be.
    fn read_all(
        &mut self,
        reader: &mut dyn PageReader,
        mut blocks: impl Iterator<Item = u32>,
    ) -> Result<(), IndexError> {
        let mut flying = 0;
        loop {
            while flying < reader.depth() && !self.is_spent() {
                let Some(block) = blocks.next() else {
                    break;
                };
                self.submit(reader, block)?;
                flying += 1;
            }
            let Some((block, slot)) = self.arrival(reader)? else {
                return Ok(());
            };
            flying -= 1;
            self.block(block, reader.bytes(slot), false)?;
        }
    }
}

/// By how much distances by codes are more than those by vectors.
#[derive(Copy, Clone, Debug, Default)]
struct Errors {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Errors {
    fn add(&mut self, coded: f32, exact: f32) {
        let error = f64::from(coded) - f64::from(exact);
        self.count += 1.0;
        self.sum += error;
        self.squares += error * error;
    }

    /// What a node at this distance by its code may be nearer than by its vector.
    fn least(&self, coded: f32) -> f32 {
        let count = self.count.max(1.0);
        let mean = self.sum / count;
        let deviation = (self.squares / count - mean * mean).max(0.0).sqrt();
        (f64::from(coded) - mean - ERROR_DEVIATIONS * deviation) as f32
    }
}
