//! Where rows live: blocks of the memtable and sealed segments, seen the same way by every reader.

mod block;
mod sketching;
mod view;

pub(crate) use block::{Block, BlockBuilder};
pub(crate) use sketching::Sketching;
pub(crate) use view::View;

use vecdb_filter::{Estimate, Evaluation, FieldIndexes, Filter, Metadata, Value};
use vecdb_index::AnnIndex;
use vecdb_index::Sketches;
use vecdb_vector::{ElementType, Metric, RowId, VectorRows};

use crate::error::{Error, ErrorKind, Result};
use crate::point::PointId;
use crate::schema::VectorField;
use crate::stop::StopSignal;

/// A set of rows that never changes. Which of them are alive is told by the [`View`] that holds it.
pub(crate) trait Part: Send + Sync {
    fn rows(&self) -> u32;
    /// The vectors, with inverse norms where the metric needs them.
    fn vectors(&self) -> Result<VectorRows<'_>>;
    fn id(&self, row: RowId) -> Result<PointId>;
    fn metadata(&self, row: RowId) -> Result<Metadata>;
    /// The rows that `filter` accepts, dead ones included. Where rows have to be read for it, `stop` is looked at.
    fn evaluate(&self, filter: &Filter, stop: &StopSignal) -> Result<Evaluation>;
    /// How many rows `filter` will accept, about.
    fn estimate(&self, filter: &Filter) -> Estimate;
    /// The value of a field of a row; none where it misses the field.
    fn value(&self, row: RowId, field: &str) -> Result<Option<Value>>;
    /// The indexes of the metadata fields, where they know the values of this one; without, rows are looked at one by one.
    fn field_indexes(&self, field: &str) -> Option<&FieldIndexes>;
    /// The index over these rows, if there is one; without, they are scanned.
    fn index(&self) -> Option<&dyn AnnIndex>;
    /// Sketches of the rows, where there are any and no index.
    fn sketches(&self) -> Option<&Sketches>;
    /// The `at`-th row in the order of (id hash, id).
    fn in_id_order(&self, at: u32) -> Result<(u64, RowId)>;
    /// How many rows have an id hash smaller than `hash`.
    fn rank_of_hash(&self, hash: u64) -> Result<u32>;

    fn check_row(&self, row: RowId) -> Result<()> {
        if row.0 < self.rows() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "row {} of a part of {} rows was asked for",
                row.0,
                self.rows()
            ),
        ))
    }

    /// The row of `id`, dead or alive.
    fn find(&self, id: &PointId, hash: u64) -> Result<Option<RowId>> {
        let mut at = self.rank_of_hash(hash)?;
        while at < self.rows() {
            let (found, row) = self.in_id_order(at)?;
            if found != hash {
                break;
            }
            if self.id(row)? == *id {
                return Ok(Some(row));
            }
            at += 1;
        }
        Ok(None)
    }
}

/// How the rows of a vector field lie in memory and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) element: ElementType,
    pub(crate) metric: Metric,
    pub(crate) dimension: usize,
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
}

impl Layout {
    /// Rows start on cache lines where that wastes at most a tenth.
    pub(crate) fn of(field: &VectorField) -> Self {
        let dimension = field.dimension as usize;
        let bytes = field.element.bytes(dimension);
        let padded = bytes.next_multiple_of(64);
        let stride = if (padded - bytes) * 10 <= bytes {
            padded
        } else {
            bytes
        };
        Self {
            element: field.element,
            metric: field.metric,
            dimension,
            stride,
        }
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.element.bytes(self.dimension)
    }
}
