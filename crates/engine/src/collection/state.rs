//! `State`: everything a reader sees, at one position of the log. Immutable; a change makes the next one.

use std::sync::Arc;

use vecdb_filter::MetadataSchema;
use vecdb_storage::Position;
use vecdb_vector::RowId;

use crate::batch::{Operation, WriteBatch};
use crate::error::Result;
use crate::part::{Block, BlockBuilder, Layout, Part, Sketching, View};
use crate::point::PointId;
use crate::segment::Segment;

/// A memtable that takes no more writes and waits to be flushed.
#[derive(Clone)]
pub(crate) struct Frozen {
    /// Holds the writes up to here (since the frozen one before it).
    pub(crate) position: Position,
    pub(crate) blocks: Vec<View<Block>>,
}

#[derive(Clone)]
pub(crate) struct State {
    /// Grows with every change, background ones included: the newest state is the one with the largest.
    pub(crate) version: u64,
    pub(crate) position: Position,
    pub(crate) fields: Arc<MetadataSchema>,
    /// The memtable, oldest block first.
    pub(crate) active: Vec<View<Block>>,
    /// Oldest first.
    pub(crate) frozen: Vec<Frozen>,
    pub(crate) segments: Vec<View<Segment>>,
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) inserted: u64,
    pub(crate) replaced: u64,
    pub(crate) deleted: u64,
}

/// Where a row lies: which part, in the order of [`State::parts`], and which row of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    pub(crate) part: usize,
    pub(crate) row: RowId,
}

/// A part of a state: its rows and which of them are alive.
#[derive(Clone, Copy)]
pub(crate) enum AnyView<'a> {
    Block(&'a View<Block>),
    Segment(&'a View<Segment>),
}

impl<'a> AnyView<'a> {
    pub(crate) fn part(&self) -> &'a dyn Part {
        match self {
            AnyView::Block(view) => view.part.as_ref(),
            AnyView::Segment(view) => view.part.as_ref(),
        }
    }

    pub(crate) fn is_live(&self, row: RowId) -> bool {
        match self {
            AnyView::Block(view) => view.is_live(row),
            AnyView::Segment(view) => view.is_live(row),
        }
    }

    pub(crate) fn live_rows(&self) -> u32 {
        match self {
            AnyView::Block(view) => view.live_rows(),
            AnyView::Segment(view) => view.live_rows(),
        }
    }

    pub(crate) fn live_iter(&self) -> Box<dyn Iterator<Item = RowId> + 'a> {
        match self {
            AnyView::Block(view) => Box::new(view.live_iter()),
            AnyView::Segment(view) => Box::new(view.live_iter()),
        }
    }

    pub(crate) fn live_and(
        &self,
        allowed: Option<vecdb_vector::RowMask>,
    ) -> Option<vecdb_vector::RowMask> {
        match self {
            AnyView::Block(view) => view.live_and(allowed),
            AnyView::Segment(view) => view.live_and(allowed),
        }
    }
}

impl State {
    /// All parts: segments, then frozen blocks, then active ones. Older before newer within each kind.
    pub(crate) fn parts(&self) -> impl Iterator<Item = AnyView<'_>> {
        let segments = self.segments.iter().map(AnyView::Segment);
        let frozen = self
            .frozen
            .iter()
            .flat_map(|f| &f.blocks)
            .map(AnyView::Block);
        segments
            .chain(frozen)
            .chain(self.active.iter().map(AnyView::Block))
    }

    /// All parts, to be held on to.
    pub(crate) fn shared_parts(&self) -> impl Iterator<Item = Arc<dyn Part>> {
        let segments = self.segments.iter().map(|view| view.part.clone() as _);
        let frozen = self.frozen.iter().flat_map(|f| &f.blocks);
        segments.chain(
            frozen
                .chain(&self.active)
                .map(|view| view.part.clone() as _),
        )
    }

    pub(crate) fn live_rows(&self) -> u64 {
        self.parts().map(|view| u64::from(view.live_rows())).sum()
    }

    pub(crate) fn active_bytes(&self) -> u64 {
        self.active.iter().map(|view| view.part.bytes()).sum()
    }

    pub(crate) fn memtable_bytes(&self) -> u64 {
        let frozen: u64 = self
            .frozen
            .iter()
            .flat_map(|f| &f.blocks)
            .map(|view| view.part.bytes())
            .sum();
        self.active_bytes() + frozen
    }

    /// The live row of `id`.
    pub(crate) fn find(&self, id: &PointId) -> Result<Option<Location>> {
        let hash = id.hash64();
        // Newest parts last: a recently written id is found soonest from the back.
        let parts: Vec<_> = self.parts().collect();
        for (part, view) in parts.iter().enumerate().rev() {
            if let Some(row) = view.part().find(id, hash)?
                && view.is_live(row)
            {
                return Ok(Some(Location { part, row }));
            }
        }
        Ok(None)
    }

    /// Marks the live row of `id` dead; whether there was one.
    fn kill(&mut self, id: &PointId) -> Result<bool> {
        let hash = id.hash64();
        for view in self.active.iter_mut().rev().chain(
            self.frozen
                .iter_mut()
                .rev()
                .flat_map(|f| f.blocks.iter_mut().rev()),
        ) {
            if let Some(row) = view.part.find(id, hash)?
                && view.kill(row)
            {
                return Ok(true);
            }
        }
        for view in self.segments.iter_mut().rev() {
            if let Some(row) = view.part.find(id, hash)?
                && view.kill(row)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The metadata fields after `batch`.
    pub(crate) fn observe(&self, batch: &WriteBatch) -> Result<Arc<MetadataSchema>> {
        let mut fields = self.fields.as_ref().clone();
        for operation in &batch.operations {
            if let Operation::Upsert(row) = operation {
                fields.observe(&row.metadata)?;
            }
        }
        Ok(if fields == *self.fields {
            self.fields.clone()
        } else {
            Arc::new(fields)
        })
    }

    /// The state after `batch`, which stands at `position` of the log and leaves the metadata `fields`.
    pub(crate) fn apply(
        &self,
        layout: Layout,
        position: Position,
        batch: &WriteBatch,
        fields: Arc<MetadataSchema>,
        sketching: &Sketching,
    ) -> Result<(State, Applied)> {
        let mut next = self.clone();
        next.version += 1;
        next.position = position;
        next.fields = fields;
        let mut applied = Applied::default();
        let mut block = BlockBuilder::with_capacity(layout, batch.operations.len());
        for operation in &batch.operations {
            let existed = next.kill(operation.id())?;
            match operation {
                Operation::Delete(_) => applied.deleted += u64::from(existed),
                Operation::Upsert(row) => {
                    if existed {
                        applied.replaced += 1;
                    } else {
                        applied.inserted += 1;
                    }
                    block.push(row);
                }
            }
        }
        next.active.retain(|view| view.live_rows() > 0);
        Block::push(&mut next.active, block.finish(), sketching)?;
        Ok((next, applied))
    }

    /// Lets the segments use the field indexes that the schema wants, so far as they have them, and no others.
    pub(crate) fn fit_field_indexes(&mut self) {
        for view in &mut self.segments {
            if let Some(fitted) = view.part.fitted(&self.fields) {
                view.part = Arc::new(fitted);
            }
        }
    }

    /// Moves the memtable to the frozen ones.
    pub(crate) fn freeze(&mut self) {
        self.version += 1;
        let blocks = std::mem::take(&mut self.active);
        self.frozen.push(Frozen {
            position: self.position,
            blocks,
        });
    }
}
