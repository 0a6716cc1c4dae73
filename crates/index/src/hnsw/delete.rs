//! Changing a graph row by row: insert, delete with repair, update.
//!
//! A deleted row leaves no trace: every row that linked to it is offered the deleted row's own links instead, under the
//! same heuristic (the consolidation of FreshDiskANN, Singh et al. 2021, section 4.2, done at once and for one row). So
//! a graph does not fill up with rows that are walked and never returned.

use vecdb_vector::{Neighbor, RowId, VectorRows};

use super::Hnsw;
use super::build::check;
use super::connect::connect_orphans;
use super::insert::{InsertScratch, Inserter};
use super::level;
use super::links::{Entry, Links};
use super::prune::Space;
use crate::IndexError;

/// Deletes, at least, between two looks for rows that cannot be reached; on average they cost next to nothing then.
const RECONNECT_MIN: u32 = 256;

impl Hnsw {
    /// Inserts row `row` of `rows`. Rows before it that were never inserted stay absent.
    ///
    /// # Errors
    /// A row that `rows` does not have, or that is in the graph already.
    pub fn insert(&mut self, rows: VectorRows<'_>, row: RowId) -> Result<(), IndexError> {
        self.check_row(rows, row)?;
        if self.present.contains(row) {
            return Err(IndexError::Mismatch {
                what: "row to insert",
                expected: "a row that is not in the graph".to_owned(),
                got: format!("row {}, which is", row.0),
            });
        }
        while self.links.rows() <= row.0 {
            let new = RowId(self.links.rows());
            let level = level::draw(self.params.seed, new, self.params.m);
            self.links.push_row(level);
        }
        self.present.extend_to(self.links.rows(), false);
        let mut scratch = self.take_scratch();
        let result = self.inserter(rows).insert(row, &mut scratch);
        self.scratch = Some(scratch);
        result?;
        self.present.insert(row);
        if let Some(codes) = &mut self.codes {
            codes.set(self.metric, rows, row);
        }
        Ok(())
    }

    /// Takes `row` out of the graph and repairs its neighbourhood. False when it was not there.
    ///
    /// The vectors of the other rows are read; that of `row` itself is not.
    ///
    /// # Errors
    /// `rows` that do not belong to this graph.
    pub fn delete(&mut self, rows: VectorRows<'_>, row: RowId) -> Result<bool, IndexError> {
        if !self.present.contains(row) {
            return Ok(false);
        }
        self.check_row(rows, RowId(self.links.rows() - 1))?;
        self.links.track_incoming();
        let mut scratch = self.take_scratch();
        self.present.remove(row);
        for layer in 0..=self.links.level_of(row) {
            self.detach(rows, layer, row, &mut scratch);
        }
        self.move_entry(row);
        self.scratch = Some(scratch);
        self.deletes += 1;
        // Repair is local: now and then a group of rows that only led to each other drifts off.
        if self.deletes >= RECONNECT_MIN.max(self.present.count() / 16) {
            self.reconnect(rows)?;
        }
        Ok(true)
    }

    /// The vector of `row` has changed in `rows`: gives it new links. Inserts it when it was not there.
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert).
    pub fn update(&mut self, rows: VectorRows<'_>, row: RowId) -> Result<(), IndexError> {
        self.check_row(rows, row)?;
        self.delete(rows, row)?;
        self.insert(rows, row)
    }

    /// Links every row that a search cannot reach any more from the nearest that it can. Reads the whole of layer 0.
    /// Builds end with it and deletes do it now and then; call it after the last of many deletes to be sure.
    ///
    /// # Errors
    /// `rows` that do not belong to this graph.
    pub fn reconnect(&mut self, rows: VectorRows<'_>) -> Result<(), IndexError> {
        let Some(last) = self.links.rows().checked_sub(1) else {
            return Ok(());
        };
        self.check_row(rows, RowId(last))?;
        let mut scratch = self.take_scratch();
        let result = connect_orphans(&self.inserter(rows), Some(&self.present), &mut scratch);
        self.scratch = Some(scratch);
        self.deletes = 0;
        result
    }

    fn check_row(&self, rows: VectorRows<'_>, row: RowId) -> Result<(), IndexError> {
        check(&self.params, self.metric, rows)?;
        if row.0 < rows.len() {
            return Ok(());
        }
        Err(IndexError::Mismatch {
            what: "rows",
            expected: format!("at least {}", u64::from(row.0) + 1),
            got: rows.len().to_string(),
        })
    }

    /// What a change begins with.
    fn take_scratch(&mut self) -> InsertScratch {
        self.newness.take();
        let scratch = self.scratch.take();
        scratch.unwrap_or_else(|| InsertScratch::new(vecdb_vector::Kernels::detect()))
    }

    fn inserter<'a>(&'a self, rows: VectorRows<'a>) -> Inserter<'a> {
        let space = Space {
            rows,
            metric: self.metric,
            kernels: vecdb_vector::Kernels::detect(),
            occlusion: 1.0,
        };
        Inserter::new(&self.links, &self.params, space)
    }

    /// Removes `row` from `layer`: its own links, and those to it, each of which is replaced.
    fn detach(&self, rows: VectorRows<'_>, layer: u8, row: RowId, scratch: &mut InsertScratch) {
        let inserter = self.inserter(rows);
        let mut own = Vec::new();
        self.links.read(layer, row, &mut own);
        let mut sources = Vec::new();
        self.links.read_incoming(layer, row, &mut sources);
        self.links.write(layer, row, std::iter::empty());
        for &source in sources.iter().filter(|&&source| source != row) {
            let mut kept = Vec::new();
            self.links.read(layer, source, &mut kept);
            kept.retain(|&link| link != row);
            refill(&inserter, layer, source, &mut kept, &own, scratch);
            self.links.write(layer, source, kept.iter().copied());
        }
        if layer == 0 {
            for &link in &own {
                self.ensure_incoming(&inserter, link, scratch);
            }
        }
    }

    /// If nothing links to `row` any more, one of the rows it links to does.
    fn ensure_incoming(&self, inserter: &Inserter<'_>, row: RowId, scratch: &mut InsertScratch) {
        let mut sources = Vec::new();
        self.links.read_incoming(0, row, &mut sources);
        if !sources.is_empty() {
            return;
        }
        let mut targets = Vec::new();
        self.links.read(0, row, &mut targets);
        if targets.iter().any(|&host| self.links.append(0, host, row)) {
            return;
        }
        // All are full: the nearest gives up a link to a row that others lead to as well.
        for &host in &targets {
            let mut links = Vec::new();
            self.links.read(0, host, &mut links);
            let mut measured: Vec<Neighbor> = Vec::new();
            let distances = &mut scratch.distances;
            inserter
                .space
                .measure(host, &links, distances, &mut measured);
            measured.sort_unstable();
            let spare = measured.iter().rev().find(|link| {
                sources.clear();
                self.links.read_incoming(0, link.row, &mut sources);
                sources.len() > 1
            });
            if let Some(spare) = spare {
                let others = links.iter().filter(|&&link| link != spare.row);
                self.links.write(0, host, others.copied().chain([row]));
                return;
            }
        }
    }

    /// When the entry is deleted, another row of the highest layer left takes its place.
    fn move_entry(&self, deleted: RowId) {
        if self.links.entry().is_none_or(|entry| entry.row != deleted) {
            return;
        }
        let mut best: Option<Entry> = None;
        for row in self.present.iter() {
            let level = self.links.level_of(row);
            if best.is_none_or(|best| best.level < level) {
                best = Some(Entry { row, level });
            }
        }
        self.links.set_entry(best);
    }
}

/// Adds those of `offers` to the links `kept` of `base` that the heuristic admits beside them, nearest first.
pub(crate) fn refill(
    inserter: &Inserter<'_>,
    layer: u8,
    base: RowId,
    kept: &mut Vec<RowId>,
    offers: &[RowId],
    scratch: &mut InsertScratch,
) {
    let most = inserter.links.capacity(layer);
    scratch.current.clear();
    let new = offers
        .iter()
        .filter(|&&row| row != base && !kept.contains(&row));
    scratch.current.extend(new.copied());
    scratch.candidates.clear();
    let distances = &mut scratch.distances;
    let candidates = &mut scratch.candidates;
    inserter
        .space
        .measure(base, &scratch.current, distances, candidates);
    candidates.sort_unstable();
    inserter.space.add(candidates, most, kept);
}
