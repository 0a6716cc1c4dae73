//! Merging segments: one new segment of their live rows, its index extended from the largest one's.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use vecdb_index::{BuildOptions, IndexSpec, Progress, build, build_extending};
use vecdb_storage::Access;
use vecdb_vector::RowId;

use super::Inner;
use super::maintenance::{Held, still_live};
use crate::error::{Error, ErrorKind, Result};
use crate::part::{Part, View};
use crate::segment::{Segment, SegmentEntry, SegmentId, SourceRow, write_index};
use crate::stop::StopSignal;

/// A graph is extended while at least this share of its rows lives on; else a fresh one is better and as cheap.
const EXTEND_LIVE_SHARE_MIN: f64 = 0.6;
/// How often a caller who waits for somebody else's work looks at its stop signal.
const STOP_CHECK: Duration = Duration::from_millis(20);

impl Inner {
    /// Merges what the policy asks for; whether there was anything.
    pub(crate) fn merge_next(&self, quiet: bool, stop: &StopSignal) -> Result<bool> {
        let _one = lock_until(&self.merging, stop)?;
        let Some(ids) = self.next_merge(quiet) else {
            return Ok(false);
        };
        self.merge_remembering(&ids, stop)?;
        Ok(true)
    }

    /// Merges what the policy asks for while the result is too small for an index: short sessions, each of which
    /// flushes when it ends, must not leave a segment each.
    pub(crate) fn merge_tiny(&self) -> Result<()> {
        let _one = self.merging.lock();
        while let Some(ids) = self.next_merge(false) {
            let state = self.snapshot();
            let rows = state
                .segments
                .iter()
                .filter(|view| ids.contains(&view.part.id()));
            let rows: u64 = rows.map(|view| u64::from(view.live_rows())).sum();
            if rows >= u64::from(self.shared.options.index_rows_min) {
                break;
            }
            self.merge_remembering(&ids, &StopSignal::default())?;
        }
        Ok(())
    }

    /// Rewrites, one by one, the segments that have dead rows, lack their index or hold dropped field indexes.
    pub(crate) fn rewrite_imperfect(&self, stop: &StopSignal) -> Result<()> {
        let _one = lock_until(&self.merging, stop)?;
        let wants_index = self.vector_field()?.index != IndexSpec::Flat;
        for view in &self.snapshot().segments {
            let unindexed = wants_index
                && view.part.index().is_none()
                && view.live_rows() >= self.shared.options.index_rows_min;
            if view.dead_rows() > 0 || unindexed || view.part.holds_dropped_fields() {
                self.merge_remembering(&[view.part.id()], stop)?;
            }
        }
        Ok(())
    }

    fn merge_remembering(&self, ids: &[SegmentId], stop: &StopSignal) -> Result<()> {
        let outcome = self.merge(ids, stop);
        self.sweep();
        // A build that was given up says nothing about the disk; what gave it up says why.
        if outcome
            .as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::Cancelled)
        {
            self.status.lock().building = None;
            stop.check()?;
        }
        self.status.lock().building = None;
        self.note_outcome(&outcome, &self.merge_pause, |status| status.merges += 1);
        outcome
    }

    /// Makes one segment of those of `ids`. Only merges, one at a time, take segments away.
    fn merge(&self, ids: &[SegmentId], stop: &StopSignal) -> Result<()> {
        stop.check()?;
        self.check_writable_for_maintenance()?;
        let start = self.snapshot();
        let mut inputs: Vec<&View<Segment>> = start
            .segments
            .iter()
            .filter(|v| ids.contains(&v.part.id()))
            .collect();
        // The largest first: its rows keep their order, so its graph can be extended.
        inputs
            .sort_by_key(|view| std::cmp::Reverse((view.part.index().is_some(), view.live_rows())));
        for view in &inputs {
            view.part.check_searched_bytes(stop)?;
        }
        let order: Vec<SourceRow> = inputs
            .iter()
            .enumerate()
            .flat_map(|(part, view)| {
                view.live_iter().map(move |row| SourceRow {
                    part: part as u32,
                    row,
                })
            })
            .collect();
        self.replace_segments(&inputs, &order, inputs.first().copied(), stop)
    }

    /// Writes rows of segments as one new segment, which takes their place. `seed`, one of them, is whose index may be
    /// extended.
    pub(super) fn replace_segments(
        &self,
        inputs: &[&View<Segment>],
        order: &[SourceRow],
        seed: Option<&View<Segment>>,
        stop: &StopSignal,
    ) -> Result<()> {
        let parts: Vec<&dyn Part> = inputs
            .iter()
            .map(|view| view.part.as_ref() as &dyn Part)
            .collect();
        let made = match order.is_empty() {
            true => None,
            false => {
                let add_index = |entry: &mut SegmentEntry| {
                    stop.check()?;
                    self.add_index(entry, seed, order, stop)
                };
                Some(Arc::new(self.make_segment(&parts, order, stop, add_index)?))
            }
        };
        let replaced = |view: &View<Segment>| {
            let id = view.part.id();
            inputs.iter().any(|input| input.part.id() == id)
        };
        // As they are when it happens: they may have been given field indexes meanwhile.
        let gone = RefCell::new(Vec::new());
        self.install_made(None, made.as_ref(), |next| {
            let now: Vec<View<Segment>> = inputs
                .iter()
                .filter_map(|input| {
                    next.segments
                        .iter()
                        .find(|view| view.part.id() == input.part.id())
                        .cloned()
                })
                .collect();
            let at = next.segments.iter().position(replaced).unwrap_or(0);
            next.segments.retain(|view| !replaced(view));
            *gone.borrow_mut() = now.iter().map(|view| view.part.clone()).collect();
            if let Some(made) = &made {
                let live = still_live(order, |s| {
                    now.get(s.part as usize)
                        .is_some_and(|view| view.is_live(s.row))
                });
                next.segments.insert(
                    at.min(next.segments.len()),
                    View::with_live(made.clone(), live),
                );
            }
        })?;
        for segment in gone.into_inner() {
            segment.mark_obsolete();
        }
        // The merge may have begun when other fields were to be indexed.
        self.index_missing_fields(stop).map(drop)
    }

    /// Builds and writes the index of a new segment, where the collection wants one and the segment is large enough.
    fn add_index(
        &self,
        entry: &mut SegmentEntry,
        seed: Option<&View<Segment>>,
        order: &[SourceRow],
        stop: &StopSignal,
    ) -> Result<()> {
        let field = self.vector_field()?;
        if field.index == IndexSpec::Flat || entry.rows < self.shared.options.index_rows_min {
            return Ok(());
        }
        let _held = Held::new(self, field.index.build_bytes(entry.rows));
        let bare = self.open_segment(entry.clone())?;
        bare.advise(Access::Random);
        let rows = bare.vectors()?;
        let progress = BuildProgress { inner: self };
        let cancelled = || self.closed.load(Ordering::Relaxed) || stop.is_stopped();
        let options = BuildOptions {
            threads: self.shared.options.thread_count(),
            // Threads of its own: searches must not queue behind a build in the shared pool.
            pool: None,
            progress: &progress,
            cancelled: Some(&cancelled),
            kernels: self.shared.kernels,
        };
        let seed = seed.and_then(|view| view.part.index().map(|index| (view, index)));
        let built = match seed {
            Some((view, seed))
                if f64::from(view.live_rows())
                    >= EXTEND_LIVE_SHARE_MIN * f64::from(view.part.rows()) =>
            {
                let mut remap: Vec<Option<RowId>> = vec![None; view.part.rows() as usize];
                for (row, source) in order
                    .iter()
                    .enumerate()
                    .take_while(|(_, source)| source.part == 0)
                {
                    if let Some(slot) = remap.get_mut(source.row.0 as usize) {
                        *slot = Some(RowId(row as u32));
                    }
                }
                build_extending(&field.index, field.metric, rows, &options, seed, &remap)?
            }
            _ => build(&field.index, field.metric, rows, &options)?,
        };
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "the database was closed during a merge",
            ));
        }
        entry.index_file = Some(write_index(
            self.shared.disk.as_ref(),
            &self.folder,
            entry,
            built.as_ref(),
        )?);
        Ok(())
    }
}

/// Waits for the work under way, which whoever waits cannot stop.
pub(super) fn lock_until<'a>(lock: &'a Mutex<()>, stop: &StopSignal) -> Result<MutexGuard<'a, ()>> {
    loop {
        stop.check()?;
        if let Some(one) = lock.try_lock_for(STOP_CHECK) {
            return Ok(one);
        }
    }
}

/// Shows how far a build is in [`super::MaintenanceStatus`].
struct BuildProgress<'a> {
    inner: &'a Inner,
}

impl Progress for BuildProgress<'_> {
    fn advance(&self, done: u64, total: u64) {
        self.inner.status.lock().building = Some((done, total));
    }
}
