//! The links of a graph, in memory: [`LinkTable`], and [`Links`], what a walk needs of them.
//!
//! Layer 0 is one flat array of rows of `2m` slots, padded to whole cache lines (m = 16: exactly two lines), the links
//! first and [`EMPTY`] after them; no count is stored. The upper layers share one compact array of rows of `m` slots,
//! found through an offset per row, whose difference to the next is also the row's level.
//!
//! Slots are atomics, so that threads insert at once without `unsafe`: whoever changes a row's links holds the lock of
//! that row's stripe, readers take no lock and may see a mixture of the old and the new links. That is harmless: every
//! slot is always a row number that was fully inserted on that layer and below, or `EMPTY`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use parking_lot::{Mutex, MutexGuard};
use vecdb_vector::RowId;

use crate::{HnswParams, IndexError};

/// A slot without a link; the links of a row end at the first one.
pub(crate) const EMPTY: u32 = u32::MAX;

/// Set in the slot of a link that the next link to the row may take the place of; never in a saved graph.
const SPARE: u32 = 1 << 31;

/// The row in a slot that is not empty.
#[inline]
fn target(slot: u32) -> RowId {
    RowId(slot & !SPARE)
}

fn saved(slot: &AtomicU32) -> u32 {
    match slot.load(Ordering::Relaxed) {
        EMPTY => EMPTY,
        slot => target(slot).0,
    }
}

/// `u32` slots per cache line.
pub(crate) const LINE: usize = 16;

const STRIPES: usize = 4096;

/// Where searches start: a row of the top layer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) row: RowId,
    pub(crate) level: u8,
}

/// Read access to the links of a graph, in memory or mapped.
pub(crate) trait Links {
    /// Row numbers are below this.
    fn rows(&self) -> u32;

    /// Where to start; `None` for an empty graph.
    fn entry(&self) -> Option<Entry>;

    /// The top layer of a row.
    fn level(&self, row: RowId) -> Result<u8, IndexError>;

    /// Calls `each` with every link of `row` on `layer`; all are below [`rows`](Self::rows).
    fn for_each(&self, layer: u8, row: RowId, each: impl FnMut(RowId)) -> Result<(), IndexError>;

    /// Asks for the links of `row` on layer 0, which a walk will want soon.
    fn prefetch(&self, _row: RowId) {}
}

#[derive(Debug)]
#[repr(align(64))]
struct Line([AtomicU32; LINE]);

impl Line {
    fn empty() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(EMPTY)))
    }
}

/// The links of a graph that is being built or changed.
#[derive(Debug)]
pub(crate) struct LinkTable {
    m: usize,
    lines_per_row: usize,
    layer0: Vec<Line>,
    /// Per row the first of its upper rows in `upper`, in units of `m` slots; one more at the end.
    offsets: Vec<u32>,
    upper: Vec<AtomicU32>,
    /// Level in the high half, row in the low half; all ones when there is none.
    entry: AtomicU64,
    entry_lock: Mutex<()>,
    stripes: Vec<Mutex<()>>,
    /// Who links to each row on layer 0; kept only from the first delete on.
    incoming: Option<Mutex<Vec<Vec<u32>>>>,
}

/// About what [`LinkTable::memory_bytes`] will be. Upper layers have `m` slots for every `m - 1` rows: at most two a row.
pub(crate) fn build_bytes(params: &HnswParams, rows: u32) -> u64 {
    let layer0 = (2 * params.m as usize).div_ceil(LINE) * size_of::<Line>();
    let offset_and_upper = 3 * size_of::<u32>();
    u64::from(rows) * (layer0 + offset_and_upper) as u64
}

impl LinkTable {
    /// A table of rows without links, with the given level for each.
    pub(crate) fn new(m: u32, levels: impl IntoIterator<Item = u8>) -> Self {
        let m = m as usize;
        let mut table = Self {
            m,
            lines_per_row: (2 * m).div_ceil(LINE),
            layer0: Vec::new(),
            offsets: vec![0],
            upper: Vec::new(),
            entry: AtomicU64::new(u64::MAX),
            entry_lock: Mutex::new(()),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            incoming: None,
        };
        let levels = levels.into_iter();
        table.offsets.reserve(levels.size_hint().0);
        for level in levels {
            let last = table.offsets.last().copied().unwrap_or(0);
            table.offsets.push(last + u32::from(level));
        }
        table.resize_slots();
        table
    }

    /// Adds one row, of the given level, without links.
    pub(crate) fn push_row(&mut self, level: u8) {
        let last = self.offsets.last().copied().unwrap_or(0);
        self.offsets.push(last + u32::from(level));
        self.resize_slots();
    }

    fn resize_slots(&mut self) {
        let rows = self.offsets.len() - 1;
        let upper = self.offsets.last().copied().unwrap_or(0) as usize * self.m;
        self.layer0
            .resize_with(rows * self.lines_per_row, Line::empty);
        self.upper.resize_with(upper, || AtomicU32::new(EMPTY));
        if let Some(incoming) = &mut self.incoming {
            incoming.get_mut().resize_with(rows, Vec::new);
        }
    }

    /// Most links a row may have on a layer.
    pub(crate) fn capacity(&self, layer: u8) -> usize {
        if layer == 0 { 2 * self.m } else { self.m }
    }

    pub(crate) fn level_of(&self, row: RowId) -> u8 {
        let first = row.0 as usize;
        match self.offsets.get(first..first + 2) {
            Some(&[start, end]) => (end - start) as u8,
            _ => 0,
        }
    }

    pub(crate) fn set_entry(&self, entry: Option<Entry>) {
        let packed = entry.map_or(u64::MAX, |entry| {
            u64::from(entry.level) << 32 | u64::from(entry.row.0)
        });
        self.entry.store(packed, Ordering::Release);
    }

    /// Held by whoever may put the entry on a higher layer.
    pub(crate) fn lock_entry(&self) -> MutexGuard<'_, ()> {
        self.entry_lock.lock()
    }

    /// Held by whoever changes the links of `row`.
    pub(crate) fn lock_row(&self, row: RowId) -> Option<MutexGuard<'_, ()>> {
        let stripe = row.0 as usize % STRIPES;
        self.stripes.get(stripe).map(Mutex::lock)
    }

    fn slots(&self, layer: u8, row: RowId) -> impl Iterator<Item = &AtomicU32> {
        let (lines, upper) = if layer == 0 {
            let start = row.0 as usize * self.lines_per_row;
            let lines = self.layer0.get(start..start + self.lines_per_row);
            (lines, None)
        } else {
            (None, self.upper_row(layer, row))
        };
        let lines = lines.unwrap_or(&[]).iter().flat_map(|line| &line.0);
        lines.chain(upper.unwrap_or(&[]))
    }

    fn upper_row(&self, layer: u8, row: RowId) -> Option<&[AtomicU32]> {
        let first = row.0 as usize;
        let &[start, end] = self.offsets.get(first..first + 2)? else {
            return None;
        };
        let index = start + u32::from(layer) - 1;
        if index >= end {
            return None;
        }
        let start = index as usize * self.m;
        self.upper.get(start..start + self.m)
    }

    /// Appends the links of `row` on `layer` to `out`.
    pub(crate) fn read(&self, layer: u8, row: RowId, out: &mut Vec<RowId>) {
        out.extend(
            self.slots(layer, row)
                .map(|slot| slot.load(Ordering::Relaxed))
                .take_while(|&link| link != EMPTY)
                .map(target),
        );
        fence(Ordering::Acquire);
    }

    /// Replaces the links of `row` on `layer` by the first [`capacity`](Self::capacity) of `links`.
    pub(crate) fn write(&self, layer: u8, row: RowId, links: impl Iterator<Item = RowId>) {
        self.write_slots(layer, row, links.map(|link| link.0));
    }

    /// The same; all but the first `lasting` may be replaced by [`replace_spare`](Self::replace_spare), the last first.
    pub(crate) fn write_with_spares(
        &self,
        layer: u8,
        row: RowId,
        lasting: usize,
        links: impl Iterator<Item = RowId>,
    ) {
        let slots = links.enumerate().map(|(i, link)| {
            let slot = link.0 | SPARE;
            if i < lasting || slot == EMPTY {
                link.0
            } else {
                slot
            }
        });
        self.write_slots(layer, row, slots);
    }

    fn write_slots(&self, layer: u8, row: RowId, slots: impl Iterator<Item = u32>) {
        let mut slots = slots.take(self.capacity(layer));
        // Whoever sees a new link must see what was written to its target before.
        fence(Ordering::Release);
        for slot in self.slots(layer, row) {
            let new = slots.next().unwrap_or(EMPTY);
            let old = slot.load(Ordering::Relaxed);
            if old != new {
                slot.store(new, Ordering::Relaxed);
                self.move_incoming(layer, row, old, new);
            }
        }
    }

    /// Puts a link in the place of the last spare one, if there is one; whether there was.
    pub(crate) fn replace_spare(&self, layer: u8, row: RowId, link: RowId) -> bool {
        fence(Ordering::Release);
        let mut spare = None;
        for slot in self.slots(layer, row) {
            let old = slot.load(Ordering::Relaxed);
            if old == EMPTY {
                break;
            }
            if old & SPARE != 0 {
                spare = Some((slot, old));
            }
        }
        let Some((slot, old)) = spare else {
            return false;
        };
        slot.store(link.0, Ordering::Relaxed);
        self.move_incoming(layer, row, old, link.0);
        true
    }

    /// Adds one link, if there is an empty slot; whether there was.
    pub(crate) fn append(&self, layer: u8, row: RowId, link: RowId) -> bool {
        fence(Ordering::Release);
        let capacity = self.capacity(layer);
        for slot in self.slots(layer, row).take(capacity) {
            if slot.load(Ordering::Relaxed) == EMPTY {
                slot.store(link.0, Ordering::Relaxed);
                self.move_incoming(layer, row, EMPTY, link.0);
                return true;
            }
        }
        false
    }

    fn move_incoming(&self, layer: u8, row: RowId, old: u32, new: u32) {
        let Some(incoming) = self.incoming.as_ref().filter(|_| layer == 0) else {
            return;
        };
        let index = |slot| (slot != EMPTY).then(|| target(slot).index());
        let mut incoming = incoming.lock();
        if let Some(sources) = index(old).and_then(|old| incoming.get_mut(old))
            && let Some(at) = sources.iter().position(|&source| source == row.0)
        {
            sources.swap_remove(at);
        }
        if let Some(sources) = index(new).and_then(|new| incoming.get_mut(new)) {
            sources.push(row.0);
        }
    }

    /// Starts to keep track of who links to whom on layer 0.
    pub(crate) fn track_incoming(&mut self) {
        if self.incoming.is_some() {
            return;
        }
        let rows = self.offsets.len() - 1;
        let mut incoming = vec![Vec::new(); rows];
        let mut links = Vec::new();
        for row in 0..rows as u32 {
            links.clear();
            self.read(0, RowId(row), &mut links);
            for link in &links {
                if let Some(sources) = incoming.get_mut(link.0 as usize) {
                    sources.push(row);
                }
            }
        }
        self.incoming = Some(Mutex::new(incoming));
    }

    /// Appends the rows that link to `row` on `layer`, ascending.
    pub(crate) fn read_incoming(&self, layer: u8, row: RowId, out: &mut Vec<RowId>) {
        let start = out.len();
        if let (0, Some(incoming)) = (layer, &self.incoming) {
            if let Some(sources) = incoming.lock().get(row.0 as usize) {
                out.extend(sources.iter().copied().map(RowId));
            }
        } else {
            let mut links = Vec::new();
            let rows = (self.offsets.len() - 1) as u32;
            for source in (0..rows).map(RowId).filter(|&r| self.level_of(r) >= layer) {
                links.clear();
                self.read(layer, source, &mut links);
                if links.contains(&row) {
                    out.push(source);
                }
            }
        }
        if let Some(found) = out.get_mut(start..) {
            found.sort_unstable();
        }
    }

    /// Bytes of all arrays that a saved graph has too.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let layer0 = self.layer0.len() * size_of::<Line>();
        let upper = self.upper.len() * size_of::<AtomicU32>();
        (layer0 + upper + self.offsets.len() * size_of::<u32>()) as u64
    }

    /// The offsets of the upper rows.
    pub(crate) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// All slots of layer 0 (with the padding of the rows) in order, as they are saved.
    pub(crate) fn layer0_slots(&self) -> impl Iterator<Item = u32> {
        self.layer0.iter().flat_map(|line| &line.0).map(saved)
    }

    /// All slots of the upper layers in order, as they are saved.
    pub(crate) fn upper_slots(&self) -> impl Iterator<Item = u32> {
        self.upper.iter().map(saved)
    }
}

impl Links for LinkTable {
    fn rows(&self) -> u32 {
        (self.offsets.len() - 1) as u32
    }

    fn entry(&self) -> Option<Entry> {
        let packed = self.entry.load(Ordering::Acquire);
        (packed != u64::MAX).then_some(Entry {
            row: RowId(packed as u32),
            level: (packed >> 32) as u8,
        })
    }

    fn level(&self, row: RowId) -> Result<u8, IndexError> {
        Ok(self.level_of(row))
    }

    #[inline]
    fn for_each(
        &self,
        layer: u8,
        row: RowId,
        mut each: impl FnMut(RowId),
    ) -> Result<(), IndexError> {
        if layer == 0 {
            let start = row.0 as usize * self.lines_per_row;
            let lines = self.layer0.get(start..start + self.lines_per_row);
            'row: for line in lines.unwrap_or(&[]) {
                for slot in &line.0 {
                    let link = slot.load(Ordering::Relaxed);
                    if link == EMPTY {
                        break 'row;
                    }
                    each(target(link));
                }
            }
        } else {
            for slot in self.upper_row(layer, row).unwrap_or(&[]) {
                let link = slot.load(Ordering::Relaxed);
                if link == EMPTY {
                    break;
                }
                each(target(link));
            }
        }
        fence(Ordering::Acquire);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(table: &LinkTable, layer: u8, row: u32) -> Vec<u32> {
        let mut out = Vec::new();
        table
            .for_each(layer, RowId(row), |link| out.push(link.0))
            .unwrap();
        out
    }

    #[test]
    fn rows_keep_their_links_apart_on_every_layer() {
        let mut table = LinkTable::new(3, [0, 2, 1]);
        table.push_row(1);
        assert_eq!((table.rows(), table.level_of(RowId(1))), (4, 2));
        table.write(0, RowId(1), [2, 3, 0].into_iter().map(RowId));
        table.write(2, RowId(1), [3].into_iter().map(RowId));
        assert!(table.append(1, RowId(1), RowId(2)));
        assert!(table.append(0, RowId(1), RowId(1)));
        assert_eq!(links(&table, 0, 1), [2, 3, 0, 1]);
        assert_eq!(links(&table, 1, 1), [2]);
        assert_eq!(links(&table, 2, 1), [3]);
        assert!(links(&table, 0, 2).is_empty() && links(&table, 3, 1).is_empty());
        for _ in 0..2 {
            assert!(table.append(0, RowId(1), RowId(2)));
        }
        assert!(
            !table.append(0, RowId(1), RowId(2)),
            "2m = 6 links are the most"
        );
    }

    #[test]
    fn spare_links_are_replaced_from_the_last_and_saved_as_others() {
        let mut table = LinkTable::new(2, [0; 6]);
        table.track_incoming();
        let row = |row| RowId(row);
        table.write_with_spares(0, row(0), 1, [1, 2, 3].into_iter().map(row));
        assert!(table.append(0, row(0), row(4)));
        assert_eq!(links(&table, 0, 0), [1, 2, 3, 4]);
        assert!(table.replace_spare(0, row(0), row(5)));
        assert_eq!(links(&table, 0, 0), [1, 2, 5, 4]);
        let mut incoming = Vec::new();
        table.read_incoming(0, row(3), &mut incoming);
        assert_eq!(incoming, []);
        let saved: Vec<u32> = table.layer0_slots().take(5).collect();
        assert_eq!(saved, [1, 2, 5, 4, EMPTY]);
        assert!(table.replace_spare(0, row(0), row(3)));
        assert_eq!(links(&table, 0, 0), [1, 3, 5, 4]);
        assert!(
            !table.replace_spare(0, row(0), row(2)),
            "no spare link is left"
        );
    }

    #[test]
    fn incoming_links_follow_every_change() {
        let mut table = LinkTable::new(4, [0, 0, 1, 1]);
        table.write(0, RowId(0), [1, 2].into_iter().map(RowId));
        table.write(1, RowId(2), [3].into_iter().map(RowId));
        table.track_incoming();
        table.write(0, RowId(3), [2, 1].into_iter().map(RowId));
        table.write(0, RowId(0), [2].into_iter().map(RowId));
        let incoming = |layer, row| {
            let mut out = Vec::new();
            table.read_incoming(layer, RowId(row), &mut out);
            out.iter().map(|row| row.0).collect::<Vec<_>>()
        };
        assert_eq!(incoming(0, 2), [0, 3]);
        assert_eq!(incoming(0, 1), [3]);
        assert_eq!(incoming(1, 3), [2]);
    }
}
