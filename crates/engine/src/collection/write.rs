//! The write path: resolve -> log -> next state -> wait for the disk -> publish -> acknowledge.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::MutexGuard;
use vecdb_filter::{Filter, Metadata, MetadataSchema};
use vecdb_storage::Log;
use vecdb_vector::{VectorError, encode_row, inverse_norm};

use super::state::{Applied, State};
use super::{Collection, Inner, MetadataUpdate, WriteResult};
use crate::batch::{Operation, Row, WriteBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;
use crate::point::{Point, PointId};
use crate::stop::StopSignal;

/// The most points one call may write or delete by id.
pub const WRITE_POINTS_MAX: usize = 1_000_000;

impl Collection {
    /// Inserts points, replacing those whose ids exist. All of them or, on an error, none. Of several points with one
    /// id the last wins.
    pub fn upsert(&self, points: Vec<Point>) -> Result<WriteResult> {
        self.upsert_with(points, self.inner.config.durability)
    }

    /// [`Self::upsert`] with the durability of this call.
    pub fn upsert_with(&self, points: Vec<Point>, durability: Durability) -> Result<WriteResult> {
        let inner = &self.inner;
        check_count(points.len())?;
        let mut rows = Vec::with_capacity(points.len());
        for (at, point) in points.into_iter().enumerate() {
            let Point {
                id,
                vector,
                metadata,
            } = point;
            let vector = inner
                .encode_vector(&vector)
                .and_then(|bytes| id.check().map(|()| bytes));
            let vector =
                vector.map_err(|e| e.context(format_args!("point {at} (id {})", shown(&id))))?;
            rows.push(Row {
                id,
                vector,
                metadata: Arc::new(metadata),
            });
        }
        inner.write(durability, |state| {
            let mut fields = state.fields.as_ref().clone();
            for (at, row) in rows.iter_mut().enumerate() {
                let coerced = fields.observe(&row.metadata).map_err(|e| {
                    Error::from(e).context(format_args!("point {at} (id {})", shown(&row.id)))
                })?;
                if coerced != *row.metadata {
                    row.metadata = Arc::new(coerced);
                }
            }
            Ok((
                rows.into_iter().map(Operation::Upsert).collect(),
                Some(fields),
            ))
        })
    }

    /// Changes the metadata of points and leaves their vectors; ids that do not exist are an error.
    pub fn update_metadata(&self, ids: &[PointId], update: &MetadataUpdate) -> Result<WriteResult> {
        check_count(ids.len())?;
        self.inner.write(self.inner.config.durability, |state| {
            let mut fields = state.fields.as_ref().clone();
            let mut operations = Vec::with_capacity(ids.len());
            for id in ids {
                operations.push(Operation::Upsert(updated_row(
                    state,
                    id,
                    update,
                    &mut fields,
                )?));
            }
            Ok((operations, Some(fields)))
        })
    }

    /// Deletes points by id; ids that do not exist are passed over. `deleted` counts the others.
    pub fn delete(&self, ids: &[PointId]) -> Result<WriteResult> {
        self.delete_with(ids, self.inner.config.durability)
    }

    /// [`Self::delete`] with the durability of this call.
    pub fn delete_with(&self, ids: &[PointId], durability: Durability) -> Result<WriteResult> {
        check_count(ids.len())?;
        for id in ids {
            id.check()?;
        }
        self.inner.write(durability, |_| {
            Ok((ids.iter().cloned().map(Operation::Delete).collect(), None))
        })
    }

    /// Deletes the points that match `filter`, in steps of at most [`WRITE_POINTS_MAX`]: each step is atomic.
    pub fn delete_by_filter(&self, filter: &Filter) -> Result<WriteResult> {
        let mut deleted = 0;
        loop {
            let mut step = self.inner.write(self.inner.config.durability, |state| {
                let operations = matching_ids(state, filter, WRITE_POINTS_MAX)?
                    .into_iter()
                    .map(Operation::Delete);
                Ok((operations.collect(), None))
            })?;
            deleted += step.deleted;
            if step.deleted < WRITE_POINTS_MAX as u64 {
                step.deleted = deleted;
                return Ok(step);
            }
        }
    }
}

/// The ids of the first `most` live points that match.
fn matching_ids(state: &State, filter: &Filter, most: usize) -> Result<Vec<PointId>> {
    let filter = filter.check(&state.fields)?;
    let mut ids = Vec::new();
    for view in state.parts() {
        let matching = view.part().evaluate(&filter, &StopSignal::default())?.mask;
        for row in matching
            .iter()
            .filter(|&row| view.is_live(row))
            .take(most - ids.len())
        {
            ids.push(view.part().id(row)?);
        }
    }
    Ok(ids)
}

fn check_count(count: usize) -> Result<()> {
    if count > WRITE_POINTS_MAX {
        return Err(Error::invalid(format!(
            "{count} points in one call; at most {WRITE_POINTS_MAX} are allowed, send several calls"
        )));
    }
    Ok(())
}

/// An id short enough for a message.
fn shown(id: &PointId) -> String {
    let text = id.to_string();
    match text.char_indices().nth(48) {
        Some((cut, _)) => format!("{:?}...", &text[..cut]),
        None => format!("{text:?}"),
    }
}

fn updated_row(
    state: &State,
    id: &PointId,
    update: &MetadataUpdate,
    fields: &mut MetadataSchema,
) -> Result<Row> {
    let missing = || {
        Error::new(
            ErrorKind::NotFound,
            format!("no point has the id {}", shown(id)),
        )
    };
    let location = state.find(id)?.ok_or_else(missing)?;
    let part = state.parts().nth(location.part).ok_or_else(missing)?.part();
    let metadata: Metadata = match update {
        MetadataUpdate::Replace(metadata) => metadata.clone(),
        MetadataUpdate::Merge(changes) => {
            let mut metadata = part.metadata(location.row)?;
            metadata.extend(
                changes
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
            metadata
        }
    };
    let metadata = fields
        .observe(&metadata)
        .map_err(|e| Error::from(e).context(format_args!("id {}", shown(id))))?;
    part.check_row(location.row)?;
    let vector = part.vectors()?.row_bytes(location.row).to_vec();
    Ok(Row {
        id: id.clone(),
        vector,
        metadata: Arc::new(metadata),
    })
}

impl Inner {
    /// Values of the caller to the bytes that are stored.
    fn encode_vector(&self, values: &[f32]) -> Result<Vec<u8>> {
        let field = self.vector_field()?;
        let mut bytes = Vec::with_capacity(self.layout.row_bytes());
        encode_row(field.element, self.layout.dimension, values, &mut bytes)?;
        // Also what only becomes zero by rounding has no direction.
        if field.metric.needs_norms()
            && inverse_norm(field.element, self.layout.dimension, &bytes) == 0.0
        {
            return Err(VectorError::ZeroVector.into());
        }
        Ok(bytes)
    }

    /// Logs and applies the operations that `resolve` makes from the newest state.
    fn write(
        &self,
        durability: Durability,
        resolve: impl FnOnce(&State) -> Result<(Vec<Operation>, Option<MetadataSchema>)>,
    ) -> Result<WriteResult> {
        let log = self.log()?;
        let mut working = self.writable_state()?;
        let (operations, fields) = resolve(&working)?;
        if operations.is_empty() {
            return Ok(WriteResult {
                position: working.position,
                inserted: 0,
                updated: 0,
                deleted: 0,
                durability,
            });
        }
        let batch = WriteBatch::new(self.id, self.shared.clock.now(), operations);
        let fields = match fields {
            Some(fields) if fields != *working.fields => Arc::new(fields),
            _ => working.fields.clone(),
        };
        // Applied before it is logged: a batch that cannot be applied must not reach the log.
        let (mut next, applied) =
            working.apply(self.layout, log.last() + 1, &batch, fields, &self.sketching)?;
        let position = log.append(&batch.encode())?;
        next.position = position;
        let full = next.active_bytes() >= self.shared.options.memtable_bytes_max;
        if full {
            next.freeze();
        }
        let next = Arc::new(next);
        *working = next.clone();
        drop(working);
        *self.last_write.lock() = Instant::now();

        log.commit(position, durability.for_log())?;
        self.publish(next);
        if full {
            self.memtable_is_full();
        }
        let Applied {
            inserted,
            replaced,
            deleted,
        } = applied;
        Ok(WriteResult {
            position,
            inserted,
            updated: replaced,
            deleted,
            durability,
        })
    }

    /// The newest state, locked for a write, once there is room for one.
    fn writable_state(&self) -> Result<MutexGuard<'_, Arc<State>>> {
        let options = &self.shared.options;
        let mut working = self.working.lock();
        if working.frozen.len() <= options.frozen_memtables_max {
            self.check_writable()?;
            return Ok(working);
        }
        let _stall = Stall::begin(self);
        if !options.background {
            // Nobody else flushes.
            drop(working);
            self.flush_frozen()?;
            working = self.working.lock();
        }
        let deadline = Instant::now() + options.write_stall_max;
        while working.frozen.len() > options.frozen_memtables_max {
            self.check_writable()?;
            if self.disk_full.load(Ordering::Relaxed) {
                // Waiting does not make room; the flush is tried again soon.
                return Err(Error::io(
                    "flush to",
                    &self.folder,
                    std::io::ErrorKind::StorageFull.into(),
                ));
            }
            if self
                .flushed_some
                .wait_until(&mut working, deadline)
                .timed_out()
            {
                let cause = self
                    .status
                    .lock()
                    .last_error
                    .clone()
                    .unwrap_or_else(|| "the disk is too slow".into());
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!(
                        "{} memtables wait to be flushed and none was within {:?}: {cause}",
                        working.frozen.len(),
                        options.write_stall_max
                    ),
                ));
            }
        }
        self.check_writable()?;
        Ok(working)
    }

    fn memtable_is_full(&self) {
        if self.shared.options.background {
            self.shared.signals.flush_wanted();
        } else {
            // The write itself is done: a flush that fails is kept in the status and tried again with the next one.
            let _ = self.flush_frozen();
        }
    }

    /// Freezes the memtable if it holds anything the manifest does not.
    pub(super) fn freeze(&self) {
        let flushed = self.flushed();
        let mut working = self.working.lock();
        let frozen_to = working
            .frozen
            .last()
            .map_or(flushed, |frozen| frozen.position.max(flushed));
        if working.position > frozen_to {
            let mut next = State::clone(&working);
            next.freeze();
            *working = Arc::new(next);
        }
    }
}

/// A write that waits for a flush; counted when it begins, timed when it ends.
struct Stall<'a> {
    inner: &'a Inner,
    since: Instant,
}

impl<'a> Stall<'a> {
    fn begin(inner: &'a Inner) -> Self {
        inner.status.lock().write_stalls += 1;
        Self {
            inner,
            since: Instant::now(),
        }
    }
}

impl Drop for Stall<'_> {
    fn drop(&mut self) {
        self.inner.status.lock().write_stall_micros += self.since.elapsed().as_micros() as u64;
    }
}
