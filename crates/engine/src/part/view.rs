//! A part and which of its rows are alive, at one position of the log.

use std::sync::Arc;

use vecdb_vector::{RowId, RowMask};

use super::Part;

/// Cloning shares the rows and, chunk by chunk, the mask: a view of any size is cheap to copy and change.
pub(crate) struct View<P> {
    pub(crate) part: Arc<P>,
    /// `None` while every row is alive.
    live: Option<RowMask>,
}

impl<P> Clone for View<P> {
    fn clone(&self) -> Self {
        Self {
            part: self.part.clone(),
            live: self.live.clone(),
        }
    }
}

impl<P: Part> View<P> {
    pub(crate) fn new(part: Arc<P>) -> Self {
        Self { part, live: None }
    }

    /// `live` must have as many rows as the part.
    pub(crate) fn with_live(part: Arc<P>, live: Option<RowMask>) -> Self {
        let live = live.filter(|mask| mask.count() < part.rows());
        Self { part, live }
    }

    pub(crate) fn live(&self) -> Option<&RowMask> {
        self.live.as_ref()
    }

    pub(crate) fn live_rows(&self) -> u32 {
        self.live
            .as_ref()
            .map_or_else(|| self.part.rows(), RowMask::count)
    }

    pub(crate) fn dead_rows(&self) -> u32 {
        self.part.rows() - self.live_rows()
    }

    pub(crate) fn is_live(&self, row: RowId) -> bool {
        self.live
            .as_ref()
            .map_or(row.0 < self.part.rows(), |mask| mask.contains(row))
    }

    /// Marks a row dead; whether it was alive.
    pub(crate) fn kill(&mut self, row: RowId) -> bool {
        let rows = self.part.rows();
        if row.0 >= rows {
            return false;
        }
        self.live
            .get_or_insert_with(|| RowMask::all(rows))
            .remove(row)
    }

    pub(crate) fn live_iter(&self) -> impl Iterator<Item = RowId> + '_ {
        let all = self
            .live
            .is_none()
            .then(|| (0..self.part.rows()).map(RowId));
        all.into_iter()
            .flatten()
            .chain(self.live.iter().flat_map(RowMask::iter))
    }

    /// The rows of `allowed` (all, if `None`) that are alive; `None` when that is every row.
    pub(crate) fn live_and(&self, allowed: Option<RowMask>) -> Option<RowMask> {
        match (&self.live, allowed) {
            (None, allowed) => allowed,
            (Some(live), None) => Some(live.clone()),
            (Some(live), Some(allowed)) => Some(live.and(&allowed)),
        }
    }
}
