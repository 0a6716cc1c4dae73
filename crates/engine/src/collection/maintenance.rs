//! Flushing memtables and installing new segments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use vecdb_index::IndexSpec;
use vecdb_storage::{Durability, Log, Position};

use super::pace::{MergeProgress, MergeRun, MergeStep};
use super::policy::{SegmentStats, plan};
use super::state::{Frozen, State};
use super::survivors::Survivors;
use super::{Collection, Inner, Manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::part::{Part, View};
use crate::segment::{Segment, SegmentEntry, SegmentId, SegmentWriter, SourceRow, write_live};
use crate::stop::StopSignal;

/// Without writes for this long a collection is quiet: its segments are merged into one.
pub(crate) const QUIET: Duration = Duration::from_millis(500);

/// What the background work of a collection is doing and has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MaintenanceStatus {
    /// Flushes since the database was opened.
    pub flushes: u64,
    /// Merges since the database was opened.
    pub merges: u64,
    /// Rows in the index being built, and how many there will be.
    pub building: Option<(u64, u64)>,
    /// Rows in the field indexes being built in segments that are there, and how many there will be.
    pub building_fields: Option<(u64, u64)>,
    /// The merge under way.
    pub merge: Option<MergeProgress>,
    /// Merges in the background are paused, as [`crate::Database::pause_merges`] does.
    pub merges_paused: bool,
    /// What the last flush or merge that failed said; tried again.
    pub last_error: Option<String>,
    /// Writes since the database was opened that had to wait because memtables were not flushed fast enough.
    pub write_stalls: u64,
    /// How long they waited in all, in microseconds.
    pub write_stall_micros: u64,
}

/// The longest pause; and that on a full disk, where writers wait to be let in again.
const PAUSE_MAX: Duration = Duration::from_secs(60);
const PAUSE_MAX_FULL: Duration = Duration::from_secs(1);

/// Twice as long after each failure, from a quarter of a second on.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    fn is_on(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn lengthen(&mut self, longest: Duration) {
        let wait = Duration::from_millis(250 << self.failures.min(8)).min(longest);
        self.failures += 1;
        self.until = Some(Instant::now() + wait);
    }
}

/// What making a segment holds for each of its rows, about: where it comes from, its place in the id map and in the
/// field indexes.
pub(super) const SEGMENT_BYTES_PER_ROW: u64 = 64;

/// What a new segment is made of.
pub(super) struct Making<'a> {
    pub(super) parts: &'a [&'a dyn Part],
    /// Its rows, ascending by part and row.
    pub(super) order: &'a [SourceRow],
    /// The merge that it is for, whose pace it keeps to.
    pub(super) run: Option<&'a MergeRun>,
    /// Its files, so far as an interrupted merge has finished them.
    pub(super) begun: Option<SegmentEntry>,
}

/// Counts memory as held by background work for as long as it lives.
pub(super) struct Held<'a> {
    total: &'a AtomicU64,
    bytes: u64,
}

impl<'a> Held<'a> {
    pub(super) fn new(inner: &'a Inner, bytes: u64) -> Self {
        let total = &inner.building_bytes;
        total.fetch_add(bytes, Ordering::Relaxed);
        Self { total, bytes }
    }

    /// Counts so many bytes from now on, if they are more.
    pub(super) fn grow_to(&mut self, bytes: u64) {
        let more = bytes.saturating_sub(self.bytes);
        self.total.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Collection {
    /// Writes everything that is in memory to segments. Readers and writers go on meanwhile.
    pub fn flush(&self) -> Result<()> {
        self.inner.check_open()?;
        self.inner.flush().map_err(|e| self.inner.or_dropped(e))
    }

    /// Flushes, then merges all segments into one (up to the size limit), drops dead rows and builds the index.
    pub fn compact(&self) -> Result<()> {
        self.compact_with(&StopSignal::default())
    }

    /// [`Self::compact`] until `stop` is given. Merges that have ended stay; the one that is given up is begun anew by the
    /// background threads in time, if it is one that they do.
    pub fn compact_with(&self, stop: &StopSignal) -> Result<()> {
        self.wait_until_idle_with(stop)?;
        let rewritten = self.inner.rewrite_imperfect(stop);
        rewritten.map_err(|e| self.inner.or_dropped(e))
    }

    /// Brings the collection to rest: all flushed, merged and indexed as the background threads would do in time, graphs for
    /// filters that return included.
    pub fn wait_until_idle(&self) -> Result<()> {
        self.wait_until_idle_with(&StopSignal::default())
    }

    /// [`Self::wait_until_idle`] until `stop` is given; see [`Self::compact_with`]. A flush that has begun is finished.
    pub fn wait_until_idle_with(&self, stop: &StopSignal) -> Result<()> {
        self.inner.check_open()?;
        let rest = || {
            stop.check()?;
            self.inner.flush()?;
            while self.inner.merge_next(true, stop)? {}
            self.inner.index_missing_fields(stop)?;
            self.inner.build_wanted_subsets(stop)
        };
        rest().map_err(|e| self.inner.or_dropped(e))
    }
}

impl Inner {
    /// Of a collection that was dropped meanwhile the files are gone: that they are missing is no damage.
    pub(super) fn or_dropped(&self, error: Error) -> Error {
        self.check_usable().err().unwrap_or(error)
    }

    /// Freezes the memtable and flushes all that is frozen.
    pub(crate) fn flush(&self) -> Result<()> {
        self.check_writable_for_maintenance()?;
        self.freeze();
        self.flush_frozen()
    }

    pub(crate) fn check_writable_for_maintenance(&self) -> Result<()> {
        match self.poisoned.get() {
            Some(_) => self.check_writable(),
            None => Ok(()),
        }
    }

    pub(crate) fn has_frozen(&self) -> bool {
        !self.working.lock().frozen.is_empty()
    }

    /// Flushes the frozen memtables, oldest first. A failure is remembered and the memtable stays.
    pub(crate) fn flush_frozen(&self) -> Result<()> {
        let _one = self.flushing.lock();
        loop {
            let frozen = match self.working.lock().frozen.first() {
                Some(frozen) if !self.is_dropped() => frozen.clone(),
                _ => return Ok(()),
            };
            let outcome = self.flush_one(&frozen);
            let full = outcome.as_ref().is_err_and(Error::is_disk_full);
            self.disk_full.store(full, Ordering::Relaxed);
            if full {
                // Writers that wait for it are told.
                self.flushed_some.notify_all();
            }
            drop(frozen);
            self.sweep();
            self.note_outcome(&outcome, &self.flush_pause, |status| status.flushes += 1);
            outcome?;
            self.flushed_some.notify_all();
            self.shared.signals.merge_wanted();
        }
    }

    /// Remembers how a flush or merge ended; one that failed is not tried again at once.
    pub(super) fn note_outcome(
        &self,
        outcome: &Result<()>,
        pause: &Mutex<Pause>,
        count: impl FnOnce(&mut MaintenanceStatus),
    ) {
        let mut status = self.status.lock();
        match outcome {
            Ok(()) => {
                count(&mut status);
                status.last_error = None;
                *pause.lock() = Pause::default();
            }
            // Given up by its caller.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Cancelled | ErrorKind::DeadlineExceeded
                ) => {}
            Err(error) => {
                status.last_error = Some(error.to_string());
                let longest = match error.is_disk_full() {
                    true => PAUSE_MAX_FULL,
                    false => PAUSE_MAX,
                };
                pause.lock().lengthen(longest);
            }
        }
    }

    /// A flush failed lately: the background waits before it tries again.
    pub(crate) fn flushes_wait(&self) -> bool {
        self.flush_pause.lock().is_on()
    }

    /// As [`Self::flushes_wait`], for merges.
    pub(crate) fn merges_wait(&self) -> bool {
        self.merge_pause.lock().is_on()
    }

    /// What the background is doing and has done, as of now.
    pub(super) fn maintenance(&self) -> MaintenanceStatus {
        let paused = self.shared.pace.is_paused();
        MaintenanceStatus {
            merge: self.merge_gate.progress(paused),
            merges_paused: paused,
            ..self.status.lock().clone()
        }
    }

    fn flush_one(&self, frozen: &Frozen) -> Result<()> {
        let parts: Vec<&dyn Part> = frozen
            .blocks
            .iter()
            .map(|view| view.part.as_ref() as &dyn Part)
            .collect();
        let order: Vec<SourceRow> = frozen
            .blocks
            .iter()
            .enumerate()
            .flat_map(|(part, view)| {
                view.live_iter().map(move |row| SourceRow {
                    part: part as u32,
                    row,
                })
            })
            .collect();
        let segment = match order.is_empty() {
            true => None,
            false => {
                let making = Making {
                    parts: &parts,
                    order: &order,
                    run: None,
                    begun: None,
                };
                let mut segment = self.make_segment(making, |_| Ok(()))?;
                segment.sketch(&self.sketching)?;
                Some(Arc::new(segment))
            }
        };
        let survivors = Survivors::new(&order);
        self.install_made(Some(frozen.position), segment.as_ref(), |next| {
            // Only flushes remove frozen memtables, one at a time: the first is still this one.
            let now = next.frozen.remove(0);
            if let Some(segment) = &segment {
                let sources: Vec<_> = now.blocks.iter().map(View::live).collect();
                let live = survivors.among(&sources);
                next.segments.push(View::with_live(segment.clone(), live));
            }
        })
    }

    /// Writes rows as a new segment, `finish`es it (with an index, say) and opens it. On failure nothing stays behind but
    /// what an interrupted merge is to go on from.
    pub(super) fn make_segment(
        &self,
        making: Making<'_>,
        finish: impl FnOnce(&mut SegmentEntry) -> Result<()>,
    ) -> Result<Segment> {
        let Making {
            parts,
            order,
            run,
            begun,
        } = making;
        let _held = Held::new(self, order.len() as u64 * SEGMENT_BYTES_PER_ROW);
        let id = match &begun {
            Some(begun) => begun.id,
            None => SegmentId(self.next_segment.fetch_add(1, Ordering::Relaxed)),
        };
        let disk = match run {
            Some(run) => run.disk(&self.shared.disk),
            None => self.shared.disk.clone(),
        };
        let writer = SegmentWriter {
            disk: &disk,
            folder: &self.folder,
            layout: self.layout,
            fields: &self.snapshot().fields,
            parts,
            order,
        };
        let written = begun.map_or_else(|| writer.write(id), Ok);
        let made = written.and_then(|mut entry| {
            finish(&mut entry)?;
            let segment = self.open_segment(entry)?;
            // Here rather than in its first search; and before anything that it replaces is given up.
            let never = StopSignal::default();
            match run {
                Some(run) => {
                    run.enter(MergeStep::Check, segment.searched_bytes());
                    segment.check_searched_bytes_by(&|bytes| run.advance(bytes))?;
                }
                None => segment.check_searched_bytes(&never)?,
            }
            self.with_missing_fields(segment, run.map_or(&never, MergeRun::stop))
        });
        // Of a merge that is to end the failure says why.
        let made = made.map_err(|e| run.and_then(|run| run.over().err()).unwrap_or(e));
        if let Err(error) = &made
            && !self.goes_on(id, error.kind())
        {
            self.forget_job_of(id);
            for name in id.file_names() {
                // What cannot be removed now is removed at the next open.
                let _ = self.shared.disk.remove_file(&self.folder.join(name));
            }
        }
        made
    }

    /// Frees what flushes and merges replaced and no reader holds any more, and graphs for filters that were given up.
    pub(crate) fn sweep(&self) {
        self.retired.sweep();
        self.masks.sweep();
    }

    pub(super) fn open_segment(&self, entry: SegmentEntry) -> Result<Segment> {
        Segment::open(
            &self.shared.disk,
            &self.folder,
            entry,
            self.layout,
            &self.vector_field()?.index,
            &self.snapshot().fields,
        )
    }

    /// [`Self::install`] of a new segment, whose files do not stay if nothing came of it.
    pub(super) fn install_made(
        &self,
        flushed: Option<Position>,
        made: Option<&Arc<Segment>>,
        change: impl Fn(&mut State),
    ) -> Result<()> {
        let outcome = self.install(flushed, change);
        // Of a poisoned collection nobody knows which manifest is on the disk: it may name them.
        if outcome.is_err()
            && self.poisoned.get().is_none()
            && let Some(segment) = made
        {
            segment.mark_obsolete();
        }
        outcome
    }

    /// Writes the manifest of the newest state with `change` made to it, then makes the change. `flushed`: the position
    /// up to which the segments hold everything, if that moves.
    ///
    /// # Errors
    /// Nothing is changed then; and unless it is certain that nothing is changed on the disk either, as it is where
    /// there was no room, the collection is poisoned.
    pub(super) fn install(
        &self,
        flushed: Option<Position>,
        change: impl Fn(&mut State),
    ) -> Result<()> {
        let mut manifest = self.manifest.lock();
        self.check_writable_for_maintenance()?;
        let mut planned = State::clone(&self.working.lock());
        change(&mut planned);
        // The masks reach as far as the state: the log must not be behind them.
        if planned.position > manifest.flushed {
            let log = self.log()?;
            log.commit(planned.position, Durability::EveryWrite)
                .map_err(|error| self.poison(error.into()))?;
        }
        let written = self
            .write_manifest(&manifest, &planned, flushed)
            .map_err(|error| self.manifest_failed(&manifest, error))?;
        // Writers went on meanwhile: rows that died since are marked dead in what was put in.
        let next = {
            let mut working = self.working.lock();
            let mut next = State::clone(&working);
            change(&mut next);
            // A segment may have been made while the schema wanted other field indexes.
            next.fit_field_indexes();
            next.version += 1;
            self.retired.keep(&working, &next);
            let next = Arc::new(next);
            *working = next.clone();
            next
        };
        let named: Vec<&str> = written.file_names().collect();
        for stale in manifest
            .segments
            .iter()
            .filter_map(|segment| segment.live_file.as_ref())
        {
            if !named.contains(&stale.name.as_str()) {
                // Removed at the next open, if not now.
                let _ = self.shared.disk.remove_file(&self.folder.join(&stale.name));
            }
        }
        let segments: Vec<_> = next.segments.iter().map(|view| view.part.id()).collect();
        self.masks.keep_only(&segments);
        self.flushed.store(written.flushed, Ordering::Release);
        *manifest = written;
        drop(manifest);
        // What readers see must not be undone by a crash.
        self.log()?
            .commit(next.position, Durability::EveryWrite)
            .map_err(|error| self.poison(error.into()))?;
        self.publish(next);
        Ok(())
    }

    fn write_manifest(
        &self,
        last: &Manifest,
        state: &State,
        flushed: Option<Position>,
    ) -> Result<Manifest> {
        let disk = self.shared.disk.as_ref();
        let generation = last.generation + 1;
        let mut segments = Vec::with_capacity(state.segments.len());
        for view in &state.segments {
            let mut entry = view.part.entry().clone();
            if let Some(live) = view.live() {
                let before = last
                    .segments
                    .iter()
                    .find(|s| s.id == entry.id)
                    .and_then(|s| s.live_file.clone());
                // Rows only ever die: as many alive as before means the same ones.
                let same = before.filter(|_| last.live_rows(entry.id) == Some(live.count()));
                entry.live_file = Some(match same {
                    Some(file) => file,
                    None => write_live(disk, &self.folder, entry.id, generation, live)?,
                });
                entry.live_rows = live.count();
            }
            segments.push(entry);
        }
        disk.sync_dir(&self.folder)
            .map_err(|e| Error::io("sync folder", &self.folder, e))?;
        let manifest = Manifest {
            generation,
            config: last.config.clone(),
            fields: state.fields.as_ref().clone(),
            flushed: flushed.unwrap_or(last.flushed),
            next_segment: self.next_segment.load(Ordering::Relaxed),
            segments,
        };
        manifest.write(disk, &self.folder)?;
        Ok(manifest)
    }

    /// Poisons the collection, unless the disk was full and the manifest is still the last one.
    fn manifest_failed(&self, last: &Manifest, error: Error) -> Error {
        let on_disk = || Manifest::read(self.shared.disk.as_ref(), &self.folder);
        match error.is_disk_full() && on_disk().is_ok_and(|m| m.generation == last.generation) {
            true => error,
            false => self.poison(error),
        }
    }

    /// What should be merged next.
    pub(crate) fn next_merge(&self, quiet: bool) -> Option<Vec<SegmentId>> {
        let state = self.snapshot();
        let wants_index = !matches!(self.vector_field().ok()?.index, IndexSpec::Flat);
        let stats: Vec<_> = state
            .segments
            .iter()
            .map(|view| SegmentStats {
                id: view.part.id(),
                rows: view.part.rows(),
                live_rows: view.live_rows(),
                bytes: view.part.bytes(),
                indexed: !wants_index || view.part.index().is_some(),
            })
            .collect();
        plan(&stats, &self.shared.options, quiet)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let since: Instant = *self.last_write.lock();
        since.elapsed() >= QUIET
    }
}
