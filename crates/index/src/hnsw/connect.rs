//! Reachability: what the heuristic leaves without a way in gets one.
//!
//! Pruning may drop the last link that leads to a row, and a heap of equal rows links mostly to its first few. So after
//! a build every row is visited from the entry over layer 0, and each one not reached is linked from the nearest reached
//! row that has an empty slot.

use std::collections::VecDeque;

use vecdb_vector::{Neighbor, RowId, RowMask};

use super::insert::{InsertScratch, Inserter};
use super::links::Links;
use super::search::Walk;
use crate::{Budget, Counters, IndexError};

/// Rows tied in before that are looked at for one more.
const TIED_COMPARED: usize = 16;

/// Rows reached over layer 0.
#[derive(Debug)]
pub(crate) struct Reached {
    mask: Vec<u64>,
    stack: Vec<RowId>,
    pub(crate) count: u32,
    pub(crate) links: u64,
}

impl Reached {
    /// All rows that layer 0 leads to from the entry.
    pub(crate) fn from_entry(links: &impl Links) -> Result<Self, IndexError> {
        let mut reached = Self {
            mask: vec![0; (links.rows() as usize).div_ceil(64)],
            stack: Vec::new(),
            count: 0,
            links: 0,
        };
        if let Some(entry) = links.entry() {
            reached.flood(links, entry.row)?;
        }
        Ok(reached)
    }

    pub(crate) fn contains(&self, row: RowId) -> bool {
        let word = self.mask.get(row.0 as usize / 64);
        word.is_some_and(|word| word >> (row.0 % 64) & 1 == 1)
    }

    fn mark(&mut self, row: RowId) {
        let bit = 1u64 << (row.0 % 64);
        if let Some(word) = self.mask.get_mut(row.0 as usize / 64)
            && *word & bit == 0
        {
            *word |= bit;
            self.count += 1;
            self.stack.push(row);
        }
    }

    /// Adds `row` and what it leads to.
    pub(crate) fn flood(&mut self, links: &impl Links, row: RowId) -> Result<(), IndexError> {
        self.mark(row);
        let mut next = Vec::new();
        while let Some(row) = self.stack.pop() {
            next.clear();
            links.for_each(0, row, |link| next.push(link))?;
            self.links += next.len() as u64;
            next.iter().for_each(|&row| self.mark(row));
        }
        Ok(())
    }
}

/// Makes every row (of `present`) reachable from the entry over layer 0. Needs the graph for itself.
pub(crate) fn connect_orphans(
    inserter: &Inserter<'_>,
    present: Option<&RowMask>,
    scratch: &mut InsertScratch,
) -> Result<(), IndexError> {
    let links = inserter.links;
    let mut reached = Reached::from_entry(links)?;
    let mut tied = VecDeque::new();
    for row in (0..links.rows()).map(RowId) {
        if reached.contains(row) || present.is_some_and(|present| !present.contains(row)) {
            continue;
        }
        find_near(inserter, row, scratch)?;
        let mut current = std::mem::take(&mut scratch.current);
        let mut has_room = |near: RowId| {
            current.clear();
            links.read(0, near, &mut current);
            current.len() < links.capacity(0)
        };
        let candidates = scratch.candidates.iter().map(|near| near.row);
        let host = candidates
            .filter(|&near| near != row && reached.contains(near))
            .find(|&near| has_room(near))
            .or_else(|| nearest_tied(inserter, row, &mut tied, &mut has_room))
            .or_else(|| {
                let mut all = (0..links.rows()).map(RowId);
                all.find(|&near| reached.contains(near) && has_room(near))
            });
        match host {
            Some(host) => {
                links.append(0, host, row);
            }
            None => make_room(inserter, row, &mut current, scratch),
        }
        scratch.current = current;
        reached.flood(links, row)?;
        tied.push_back(row);
    }
    Ok(())
}

/// The nearest of the rows tied in longest ago, each of which brought empty slots of its own: a heap of equal rows, too
/// many for a search to get past the full ones, grows into a tree of them.
fn nearest_tied(
    inserter: &Inserter<'_>,
    row: RowId,
    tied: &mut VecDeque<RowId>,
    has_room: &mut impl FnMut(RowId) -> bool,
) -> Option<RowId> {
    while tied.front().is_some_and(|&oldest| !has_room(oldest)) {
        tied.pop_front();
    }
    let scorer = inserter.space.scorer_of(row);
    let hosts = tied.iter().copied().take(TIED_COMPARED);
    let hosts = hosts.filter(|&host| has_room(host)).map(|host| Neighbor {
        distance: scorer.score(host),
        row: host,
    });
    hosts.min().map(|host| host.row)
}

/// Leaves the rows near `row` that a search finds in `scratch.candidates`.
fn find_near(
    inserter: &Inserter<'_>,
    row: RowId,
    scratch: &mut InsertScratch,
) -> Result<(), IndexError> {
    scratch.candidates.clear();
    let Some(entry) = inserter.links.entry() else {
        return Ok(());
    };
    let walk = Walk {
        links: inserter.links,
        scorer: inserter.space.scorer_of(row),
        hidden: None,
    };
    let search = &mut scratch.search;
    search.clear_trace();
    let mut counters = Counters::default();
    let nearest = walk.arrive(entry, search, &mut counters)?;
    let (ef, budget) = (inserter.ef_construction, &Budget::UNLIMITED);
    walk.beam(0, nearest, ef, budget, search, &mut counters)?;
    scratch.candidates.extend(search.pool.iter());
    Ok(())
}

/// No reached row has an empty slot: the nearest one passes its farthest link on to `row` and links to `row` instead.
fn make_room(
    inserter: &Inserter<'_>,
    row: RowId,
    current: &mut Vec<RowId>,
    scratch: &mut InsertScratch,
) {
    let links = inserter.links;
    let Some(host) = scratch.candidates.iter().find(|near| near.row != row) else {
        return;
    };
    let host = host.row;
    current.clear();
    links.read(0, host, current);
    let mut measured = Vec::new();
    let distances = &mut scratch.distances;
    inserter
        .space
        .measure(host, current, distances, &mut measured);
    measured.sort_unstable();
    let Some(farthest) = measured.last().copied() else {
        return;
    };
    let kept = current.iter().filter(|&&link| link != farthest.row);
    links.write(0, host, kept.copied().chain([row]));
    if farthest.row != row && !links.append(0, row, farthest.row) {
        // The row's own links are all taken: it gives up its last one, which the build found least useful.
        current.clear();
        links.read(0, row, current);
        current.pop();
        current.push(farthest.row);
        links.write(0, row, current.iter().copied());
    }
}
