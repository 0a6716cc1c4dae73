//! Sketches of rows that wait for their graph: one bit per dimension, in memory only.
//!
//! Without them a search would read every such row in full. They are made of blocks of the memtable and of freshly
//! flushed segments, and go with these.

use std::sync::{Arc, OnceLock};

use vecdb_index::IndexSpec;
use vecdb_index::{SketchSpace, Sketches};
use vecdb_vector::VectorRows;

use crate::schema::VectorField;

/// Fewer rows are read in full as fast. Also how many are wanted to know the centre of the data.
const SKETCH_ROWS_MIN: u32 = 256;

/// With fewer bits a row the estimates exclude too little.
const SKETCH_DIMENSION_MIN: u32 = 64;

/// Seeds the random rotation. Any value does; sketches are never stored.
const SEED: u64 = 0x7665_6364;

/// Makes the sketches of a collection, all in one space, which the first rows to be sketched decide.
pub(crate) struct Sketching {
    wanted: bool,
    field: VectorField,
    space: OnceLock<Option<Arc<SketchSpace>>>,
}

impl Sketching {
    /// A collection that asks for a flat index asks for exact search: no sketches.
    pub(crate) fn new(field: &VectorField) -> Self {
        let wanted = field.index != IndexSpec::Flat && field.dimension >= SKETCH_DIMENSION_MIN;
        Self {
            wanted,
            field: field.clone(),
            space: OnceLock::new(),
        }
    }

    /// `None` for few rows and for metrics that sketches cannot serve.
    pub(crate) fn sketch(&self, rows: VectorRows<'_>) -> Option<Sketches> {
        if !self.wanted || rows.len() < SKETCH_ROWS_MIN {
            return None;
        }
        let space = self
            .space
            .get_or_init(|| SketchSpace::new(self.field.metric, rows, SEED).map(Arc::new));
        space.as_ref().map(|space| Sketches::encode(space, rows))
    }

    pub(crate) fn space(&self) -> Option<&SketchSpace> {
        self.space.get()?.as_deref()
    }
}
