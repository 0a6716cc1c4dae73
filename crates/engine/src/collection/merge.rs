//! Merging segments: one new segment of their live rows, its index extended from the largest one's.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use vecdb_index::{BuildOptions, IndexSpec, Progress, build, build_extending};
use vecdb_storage::Access;
use vecdb_vector::RowId;

use super::Inner;
use super::maintenance::{Held, Making};
use super::pace::{MergeRun, MergeStep};
use super::survivors::Survivors;
use crate::error::{ErrorKind, Result};
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
        self.merge_planned(quiet, &self.asked_run(stop))
    }

    /// [`Self::merge_next`], asked for by nobody.
    pub(crate) fn merge_in_background(&self) -> Result<bool> {
        self.merge_planned(self.is_quiet(), &self.run(&StopSignal::default(), true))
    }

    /// A merge that a call asks for.
    pub(super) fn asked_run(&self, stop: &StopSignal) -> MergeRun {
        self.run(stop, false)
    }

    fn run(&self, stop: &StopSignal, background: bool) -> MergeRun {
        let (pace, gate) = (self.shared.pace.clone(), self.merge_gate.clone());
        MergeRun::new(pace, gate, stop.clone(), background)
    }

    fn merge_planned(&self, quiet: bool, run: &MergeRun) -> Result<bool> {
        let _one = self.lock_merging(run.stop())?;
        let Some(ids) = self.interrupted_merge().or_else(|| self.next_merge(quiet)) else {
            return Ok(false);
        };
        self.merge_remembering(&ids, run)?;
        Ok(true)
    }

    /// The right to merge, of which there is one. Whoever waits for it is not held up by a pause.
    pub(super) fn lock_merging(&self, stop: &StopSignal) -> Result<MutexGuard<'_, ()>> {
        let _waiting = self.merge_gate.wait_for();
        lock_until(&self.merging, stop)
    }

    /// Merges what the policy asks for while the result is too small for an index: short sessions, each of which
    /// flushes when it ends, must not leave a segment each.
    pub(crate) fn merge_tiny(&self) -> Result<()> {
        let stop = StopSignal::default();
        let _one = self.lock_merging(&stop)?;
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
            self.merge_remembering(&ids, &closing_run())?;
        }
        Ok(())
    }

    /// Rewrites, one by one, the segments that have dead rows, lack their index or hold dropped field indexes.
    pub(crate) fn rewrite_imperfect(&self, stop: &StopSignal) -> Result<()> {
        let run = self.asked_run(stop);
        let _one = self.lock_merging(stop)?;
        let wants_index = self.vector_field()?.index != IndexSpec::Flat;
        for view in &self.snapshot().segments {
            let unindexed = wants_index
                && view.part.index().is_none()
                && view.live_rows() >= self.shared.options.index_rows_min;
            if view.dead_rows() > 0 || unindexed || view.part.holds_dropped_fields() {
                self.merge_remembering(&[view.part.id()], &run)?;
            }
        }
        Ok(())
    }

    fn merge_remembering(&self, ids: &[SegmentId], run: &MergeRun) -> Result<()> {
        let outcome = self.merge(ids, run);
        self.sweep();
        // A build that was given up says nothing about the disk; what gave it up says why.
        if outcome
            .as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::Cancelled)
        {
            self.status.lock().building = None;
            run.stop().check()?;
        }
        self.status.lock().building = None;
        self.note_outcome(&outcome, &self.merge_pause, |status| status.merges += 1);
        outcome
    }

    /// Makes one segment of those of `ids`. Only merges, one at a time, take segments away.
    fn merge(&self, ids: &[SegmentId], run: &MergeRun) -> Result<()> {
        run.check()?;
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
            view.part
                .check_searched_bytes_by(&|bytes| run.advance(bytes))?;
        }
        let finished = self.take_up(&mut inputs, &|bytes| run.advance(bytes))?;
        let (begun, order) = match finished {
            Some((begun, order)) => (Some(begun), order),
            None => {
                let rows = inputs.iter().enumerate().flat_map(|(part, view)| {
                    view.live_iter().map(move |row| SourceRow {
                        part: part as u32,
                        row,
                    })
                });
                (None, rows.collect())
            }
        };
        let replacement = Replacement {
            inputs: &inputs,
            order: &order,
            seed: inputs.first().copied(),
            begun,
        };
        self.replace_segments(replacement, run)
    }

    /// Writes rows of segments as one new segment, which takes their place.
    pub(super) fn replace_segments(
        &self,
        replacement: Replacement<'_>,
        run: &MergeRun,
    ) -> Result<()> {
        let Replacement {
            inputs,
            order,
            seed,
            begun,
        } = replacement;
        let rows_bytes = inputs.iter().map(|view| {
            let share = f64::from(view.live_rows()) / f64::from(view.part.rows().max(1));
            (view.part.entry().rows_file.bytes as f64 * share) as u64
        });
        let indexed = self.wants_index(order.len() as u32)?;
        let _underway = run.begin(inputs.len(), order.len() as u64, rows_bytes.sum(), indexed);
        let parts: Vec<&dyn Part> = inputs
            .iter()
            .map(|view| view.part.as_ref() as &dyn Part)
            .collect();
        let made = match order.is_empty() {
            true => None,
            false => {
                let making = Making {
                    parts: &parts,
                    order,
                    run: Some(run),
                    begun,
                };
                let made = self.make_segment(making, |entry| {
                    run.check()?;
                    if !indexed || entry.index_file.is_some() {
                        return Ok(());
                    }
                    // The next step may take long: what is done is not lost if it is interrupted.
                    self.note_job(inputs, order, entry)?;
                    self.add_index(entry, seed, order, run)?;
                    self.note_job(inputs, order, entry)
                });
                Some(Arc::new(made?))
            }
        };
        let survivors = Survivors::new(order);
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
                let sources: Vec<_> = now.iter().map(View::live).collect();
                let live = survivors.among(&sources);
                next.segments.insert(
                    at.min(next.segments.len()),
                    View::with_live(made.clone(), live),
                );
            }
        })
        .inspect_err(|_| self.forget_job(false))?;
        if let Some(made) = &made {
            self.forget_job_of(made.id());
        }
        for segment in gone.into_inner() {
            segment.mark_obsolete();
        }
        // The merge may have begun when other fields were to be indexed.
        self.index_missing_fields(run.stop()).map(drop)
    }

    /// Whether a segment of so many rows gets an index of its own.
    fn wants_index(&self, rows: u32) -> Result<bool> {
        let index = &self.vector_field()?.index;
        Ok(*index != IndexSpec::Flat && rows >= self.shared.options.index_rows_min)
    }

    /// Builds and writes the index of a new segment.
    fn add_index(
        &self,
        entry: &mut SegmentEntry,
        seed: Option<&View<Segment>>,
        order: &[SourceRow],
        run: &MergeRun,
    ) -> Result<()> {
        let field = self.vector_field()?;
        run.enter(MergeStep::Index, 0);
        let _held = Held::new(self, field.index.build_bytes(entry.rows));
        let bare = self.open_segment(entry.clone())?;
        bare.advise(Access::Random);
        let rows = bare.vectors()?;
        let progress = BuildProgress { inner: self, run };
        // While merges are paused, it is here that the threads of a build stand still.
        let cancelled = || run.check().is_err();
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
        run.check()?;
        entry.index_file = Some(write_index(
            run.disk(&self.shared.disk).as_ref(),
            &self.folder,
            entry,
            built.as_ref(),
        )?);
        Ok(())
    }
}

/// Segments and what takes their place.
pub(super) struct Replacement<'a> {
    pub(super) inputs: &'a [&'a View<Segment>],
    /// The rows of the new segment, ascending by input and row.
    pub(super) order: &'a [SourceRow],
    /// The first of the inputs, where its index may be extended.
    pub(super) seed: Option<&'a View<Segment>>,
    /// What an interrupted merge has finished.
    pub(super) begun: Option<SegmentEntry>,
}

/// A merge while the collection is closed, for which somebody waits: as fast as it can.
fn closing_run() -> MergeRun {
    MergeRun::new(Arc::default(), Arc::default(), StopSignal::default(), false)
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
    run: &'a MergeRun,
}

impl Progress for BuildProgress<'_> {
    fn advance(&self, done: u64, total: u64) {
        self.inner.status.lock().building = Some((done, total));
        Progress::advance(self.run, done, total);
    }
}
