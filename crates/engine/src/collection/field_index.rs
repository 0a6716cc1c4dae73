//! Field indexes created and dropped while a collection is in use.
//!
//! Whether a field is indexed stands in the schema, and with it in the manifest. A drop changes the schema and is through:
//! from then on no segment uses its index. A create changes the schema, so that every segment made from now on gets the
//! index, and then gives it to each segment that has none. If that is cut short, by a crash or by a stop signal, the
//! background does the rest. Filters match the same points all the while.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::merge::lock_until;
use super::{Collection, Inner};
use crate::collection::maintenance::Held;
use crate::error::{Error, ErrorKind, Result};
use crate::part::Part;
use crate::segment::Segment;
use crate::stop::StopSignal;

impl Collection {
    /// Keeps an index of a metadata field from now on, in every segment; those that are there have theirs when this
    /// returns. Reads and writes go on meanwhile. Gives whether the field was without one; every field has one until it
    /// is dropped.
    ///
    /// # Errors
    /// A field that no point ever had and that was not declared; more memory than [`crate::Options::field_index_bytes_max`].
    pub fn create_field_index(&self, field: &str) -> Result<bool> {
        self.create_field_index_with(field, &StopSignal::default())
    }

    /// [`Self::create_field_index`] until `stop` is given: what is missing then is built in the background.
    pub fn create_field_index_with(&self, field: &str, stop: &StopSignal) -> Result<bool> {
        let inner = &self.inner;
        inner.check_open()?;
        let create = || {
            stop.check()?;
            let changed = inner.set_field_indexed(field, true)?;
            // A flush under way may have begun before.
            drop(lock_until(&inner.flushing, stop)?);
            let made = inner.index_missing_fields(stop);
            if changed && made.as_ref().is_err_and(is_over_memory) {
                // The background would meet the same limit again and again.
                inner.set_field_indexed(field, false)?;
            }
            made?;
            Ok(changed)
        };
        create().map_err(|e| inner.or_dropped(e))
    }

    /// Keeps no index of a metadata field any more: filters on it read the rows. Its space is free once the segments are
    /// rewritten, by a merge or by [`Self::compact`]. Gives whether the field had one.
    ///
    /// # Errors
    /// A field that no point ever had and that was not declared.
    pub fn drop_field_index(&self, field: &str) -> Result<bool> {
        let inner = &self.inner;
        inner.check_open()?;
        let dropped = inner.set_field_indexed(field, false);
        dropped.map_err(|e| inner.or_dropped(e))
    }
}

impl Inner {
    /// Writes into schema and manifest whether a field is to be indexed; whether that changed anything.
    fn set_field_indexed(&self, field: &str, indexed: bool) -> Result<bool> {
        let known = self.working.lock().fields.clone();
        if !known.as_ref().clone().set_indexed(field, indexed)? {
            return Ok(false);
        }
        let changed = RefCell::new(Ok(false));
        self.install(None, |next| {
            let mut fields = next.fields.as_ref().clone();
            *changed.borrow_mut() = fields.set_indexed(field, indexed);
            next.fields = Arc::new(fields);
        })?;
        self.sweep();
        Ok(changed.into_inner()?)
    }

    /// Gives every segment the field indexes that the schema wants and it has not; whether there was any such.
    pub(crate) fn index_missing_fields(&self, stop: &StopSignal) -> Result<bool> {
        if self.closed.load(Ordering::Acquire) || !self.lacks_fields() {
            return Ok(false);
        }
        let _one = lock_until(&self.indexing, stop)?;
        let outcome = self.index_lacking(stop);
        self.status.lock().building_fields = None;
        outcome.map(|()| true)
    }

    /// Segment after segment, until none lacks a field index.
    fn index_lacking(&self, stop: &StopSignal) -> Result<()> {
        let mut done = 0;
        loop {
            let state = self.snapshot();
            let segments = state.segments.iter();
            let lacking = segments.filter(|v| !v.part.missing_fields(&state.fields).is_empty());
            let lacking: Vec<_> = lacking.collect();
            let Some(view) = lacking.first() else {
                return Ok(());
            };
            let rows = lacking.iter().map(|view| u64::from(view.part.rows()));
            let total = done + rows.sum::<u64>();
            let progress = |rows: u32| {
                self.status.lock().building_fields = Some((done + u64::from(rows), total));
            };
            self.check_writable_for_maintenance()?;
            let outcome = self.index_fields_of(&view.part, stop, &progress);
            self.note_outcome(&outcome, &self.merge_pause, |_| ());
            outcome?;
            done += u64::from(view.part.rows());
            drop(state);
            self.sweep();
        }
    }

    /// Whether some segment has not every field index that the schema wants.
    fn lacks_fields(&self) -> bool {
        let state = self.snapshot();
        let mut segments = state.segments.iter();
        segments.any(|view| !view.part.missing_fields(&state.fields).is_empty())
    }

    fn index_fields_of(
        &self,
        segment: &Segment,
        stop: &StopSignal,
        progress: &dyn Fn(u32),
    ) -> Result<()> {
        let fields = self.snapshot().fields.clone();
        let held = RefCell::new(Held::new(self, 0));
        let missing = segment.missing_fields(&fields);
        let names: Vec<String> = missing.iter().cloned().collect();
        let check = |rows: u32, bytes: u64| {
            progress(rows);
            held.borrow_mut().grow_to(bytes);
            self.check_going_on(stop)?;
            self.check_build_memory(&names, segment, rows, bytes)
        };
        let indexed = Arc::new(segment.add_fields(missing, &fields, &check)?);
        let replaced = RefCell::new(indexed.clone());
        let outcome = self.install(None, |next| {
            let mut segments = next.segments.iter_mut();
            // Not there any more: merged meanwhile. Then the new file is what goes.
            if let Some(view) = segments.find(|view| view.part.id() == indexed.id()) {
                *replaced.borrow_mut() = std::mem::replace(&mut view.part, indexed.clone());
            }
        });
        match &outcome {
            Ok(()) => replaced.borrow().mark_fields_obsolete(),
            // Of a poisoned collection nobody knows which manifest is on the disk: it may name the new file.
            Err(_) if self.poisoned.get().is_none() => indexed.mark_fields_obsolete(),
            Err(_) => {}
        }
        outcome
    }

    /// Refuses to go on with field indexes that take more memory than they may.
    fn check_build_memory(
        &self,
        fields: &[String],
        segment: &Segment,
        rows: u32,
        bytes: u64,
    ) -> Result<()> {
        let most = self.shared.options.field_index_bytes_max;
        if bytes <= most {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::ResourceExhausted,
            format!(
                "the index of {} takes {bytes} bytes of memory for {rows} of the {} points of a segment, and {most} may be used \
                 (field_index_bytes_max): it is not made, and filters go on reading the points",
                fields.join(", "),
                segment.rows(),
            ),
        ))
    }

    /// Whether work in the background may go on.
    fn check_going_on(&self, stop: &StopSignal) -> Result<()> {
        stop.check()?;
        self.check_open()
    }

    /// A new segment with the field indexes that have come to be wanted while it was made.
    pub(super) fn with_missing_fields(
        &self,
        segment: Segment,
        stop: &StopSignal,
    ) -> Result<Segment> {
        let fields = self.snapshot().fields.clone();
        let missing = segment.missing_fields(&fields);
        match missing.is_empty() {
            true => Ok(segment),
            false => segment.add_fields(missing, &fields, &|_, _| self.check_going_on(stop)),
        }
    }
}

/// Refused for [`crate::Options::field_index_bytes_max`]: a disk that is full may have room later.
fn is_over_memory(error: &Error) -> bool {
    error.kind() == ErrorKind::ResourceExhausted && !error.is_disk_full()
}
