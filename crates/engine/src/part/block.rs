//! A block: up to [`BLOCK_ROWS_MAX`] rows of the memtable, immutable once made.
//!
//! A write makes one block of its rows. Neighbouring small blocks are merged like the digits of a binary counter, so
//! a memtable of n rows has O(n / BLOCK_ROWS_MAX + log) blocks, a snapshot of it is a short list of references, and
//! readers need no lock.

use std::collections::BTreeSet;
use std::sync::Arc;

use vecdb_filter::{Estimate, Evaluation, FieldIndexes, Filter, Metadata, Value};
use vecdb_index::AnnIndex;
use vecdb_index::Sketches;
use vecdb_vector::{RowId, RowMask, VectorRows, inverse_norm};

use super::{Layout, Part, Sketching, View};
use crate::batch::Row;
use crate::error::{Error, ErrorKind, Result};
use crate::point::PointId;
use crate::stop::StopSignal;

/// Blocks are merged up to this many rows.
pub(crate) const BLOCK_ROWS_MAX: u32 = 1024;

struct BlockRow {
    id: PointId,
    metadata: Arc<Metadata>,
}

pub(crate) struct Block {
    layout: Layout,
    vectors: Vec<u8>,
    inverse_norms: Vec<f32>,
    rows: Vec<BlockRow>,
    /// (id hash, row), in the order of (id hash, id).
    id_order: Vec<(u64, u32)>,
    sketches: Option<Sketches>,
    bytes: u64,
}

impl Block {
    /// Bytes of memory this block takes, near enough for limits.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends `next` to `views`, first merging it with the last views while they are small. Dead rows are left out.
    pub(crate) fn push(
        views: &mut Vec<View<Block>>,
        mut next: Block,
        sketching: &Sketching,
    ) -> Result<()> {
        while let Some(last) = views.last() {
            let (last_rows, next_rows) = (last.live_rows(), next.rows());
            if last_rows + next_rows > BLOCK_ROWS_MAX || last_rows > 2 * next_rows {
                break;
            }
            let mut merged =
                BlockBuilder::with_capacity(last.part.layout, (last_rows + next_rows) as usize);
            for row in last.live_iter() {
                merged.push_from(&last.part, row)?;
            }
            for row in 0..next_rows {
                merged.push_from(&next, RowId(row))?;
            }
            next = merged.finish();
            views.pop();
        }
        if next.rows() > 0 {
            next.sketches = sketching.sketch(next.vectors()?);
            next.bytes += next.sketches.as_ref().map_or(0, Sketches::bytes);
            views.push(View::new(Arc::new(next)));
        }
        Ok(())
    }

    fn row(&self, row: RowId) -> Result<&BlockRow> {
        self.rows
            .get(row.0 as usize)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("memtable has no row {}", row.0)))
    }
}

impl Part for Block {
    fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    fn vectors(&self) -> Result<VectorRows<'_>> {
        let Layout {
            element,
            dimension,
            stride,
            metric,
        } = self.layout;
        let rows = VectorRows::new(element, dimension, stride, self.rows(), &self.vectors)?;
        Ok(if metric.needs_norms() {
            rows.with_inverse_norms(&self.inverse_norms)?
        } else {
            rows
        })
    }

    fn id(&self, row: RowId) -> Result<PointId> {
        Ok(self.row(row)?.id.clone())
    }

    fn metadata(&self, row: RowId) -> Result<Metadata> {
        Ok(self.row(row)?.metadata.as_ref().clone())
    }

    fn evaluate(&self, filter: &Filter, _stop: &StopSignal) -> Result<Evaluation> {
        let mut mask = RowMask::none(self.rows());
        for (at, row) in self.rows.iter().enumerate() {
            if filter.matches(&row.metadata) {
                mask.insert(RowId(at as u32));
            }
        }
        Ok(Evaluation {
            mask,
            rows_read: self.rows.len() as u64,
            unindexed: BTreeSet::new(),
        })
    }

    fn estimate(&self, filter: &Filter) -> Estimate {
        let matching = self.rows.iter().filter(|row| filter.matches(&row.metadata));
        Estimate::exact(matching.count() as u32)
    }

    fn value(&self, row: RowId, field: &str) -> Result<Option<Value>> {
        Ok(self.row(row)?.metadata.get(field).cloned())
    }

    fn field_indexes(&self, _field: &str) -> Option<&FieldIndexes> {
        None
    }

    fn index(&self) -> Option<&dyn AnnIndex> {
        None
    }

    fn sketches(&self) -> Option<&Sketches> {
        self.sketches.as_ref()
    }

    fn in_id_order(&self, at: u32) -> Result<(u64, RowId)> {
        let found = self
            .id_order
            .get(at as usize)
            .map(|&(hash, row)| (hash, RowId(row)));
        found
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("memtable block has no id {at}")))
    }

    fn rank_of_hash(&self, hash: u64) -> Result<u32> {
        Ok(self.id_order.partition_point(|&(other, _)| other < hash) as u32)
    }
}

/// Collects rows into a [`Block`].
pub(crate) struct BlockBuilder {
    block: Block,
}

impl BlockBuilder {
    pub(crate) fn new(layout: Layout) -> Self {
        let block = Block {
            layout,
            vectors: Vec::new(),
            inverse_norms: Vec::new(),
            rows: Vec::new(),
            id_order: Vec::new(),
            sketches: None,
            bytes: 0,
        };
        Self { block }
    }

    pub(crate) fn with_capacity(layout: Layout, rows: usize) -> Self {
        let mut builder = Self::new(layout);
        builder.block.vectors.reserve_exact(rows * layout.stride);
        builder.block.rows.reserve_exact(rows);
        builder.block.id_order.reserve_exact(rows);
        builder
    }

    /// `row.vector` must have the layout's length: the write path and recovery have checked it.
    pub(crate) fn push(&mut self, row: &Row) {
        self.push_parts(row.id.clone(), &row.vector, row.metadata.clone());
    }

    fn push_from(&mut self, block: &Block, row: RowId) -> Result<()> {
        let from = block.row(row)?;
        let vectors = block.vectors()?;
        self.push_parts(
            from.id.clone(),
            vectors.row_bytes(row),
            from.metadata.clone(),
        );
        Ok(())
    }

    fn push_parts(&mut self, id: PointId, vector: &[u8], metadata: Arc<Metadata>) {
        let block = &mut self.block;
        let Layout {
            element,
            dimension,
            stride,
            metric,
        } = block.layout;
        let at = block.rows.len() as u32;
        block.vectors.extend_from_slice(vector);
        block.vectors.resize((at as usize + 1) * stride, 0);
        if metric.needs_norms() {
            block
                .inverse_norms
                .push(inverse_norm(element, dimension, vector));
        }
        let metadata_bytes: usize = metadata.keys().map(|key| key.len() + 64).sum();
        block.bytes += (stride + 96 + metadata_bytes) as u64;
        block.id_order.push((id.hash64(), at));
        block.rows.push(BlockRow { id, metadata });
    }

    pub(crate) fn finish(mut self) -> Block {
        let rows = &self.block.rows;
        self.block.id_order.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| rows[a.1 as usize].id.cmp(&rows[b.1 as usize].id))
        });
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::CollectionConfig;
    use vecdb_vector::Metric;

    fn sketching() -> Sketching {
        Sketching::new(CollectionConfig::new(2, Metric::L2).vector().unwrap())
    }

    fn block(ids: std::ops::Range<u64>) -> Block {
        let layout = Layout::of(CollectionConfig::new(2, Metric::L2).vector().unwrap());
        let mut builder = BlockBuilder::new(layout);
        for id in ids {
            builder.push(&Row {
                id: id.into(),
                vector: vec![id as u8; 8],
                metadata: Arc::default(),
            });
        }
        builder.finish()
    }

    #[test]
    fn single_row_writes_leave_few_blocks_and_every_id_can_be_found() {
        let mut views = Vec::new();
        for id in 0..5_000 {
            Block::push(&mut views, block(id..id + 1), &sketching()).unwrap();
        }
        assert!(views.len() < 5 + 20, "{} blocks", views.len());
        assert_eq!(views.iter().map(View::live_rows).sum::<u32>(), 5_000);
        for id in [0, 1, 2_500, 4_999] {
            let id = PointId::from(id);
            let found: Vec<_> = views
                .iter()
                .filter_map(|v| {
                    v.part
                        .find(&id, id.hash64())
                        .unwrap()
                        .map(|r| v.part.id(r).unwrap())
                })
                .collect();
            assert_eq!(found, [id]);
        }
        let absent = PointId::from(5_000);
        assert!(
            views
                .iter()
                .all(|v| v.part.find(&absent, absent.hash64()).unwrap().is_none())
        );
    }

    #[test]
    fn dead_rows_are_left_out_when_blocks_merge() {
        let mut views = Vec::new();
        Block::push(&mut views, block(0..4), &sketching()).unwrap();
        views[0].kill(RowId(2));
        Block::push(&mut views, block(10..14), &sketching()).unwrap();
        assert_eq!(views.len(), 1);
        assert_eq!(views[0].part.rows(), 7);
    }
}
