//! One merge while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vecdb_index::Progress;
use vecdb_storage::Disk;

use super::progress::{Course, StepRates};
use super::{MergePace, MergeProgress, MergeStep, PacedDisk};
use crate::error::{Error, ErrorKind, Result};
use crate::stop::StopSignal;

/// How often a merge that waits looks whether it may go on.
const LOOK: Duration = Duration::from_millis(20);

/// What the merges of a collection share with whoever looks at them or waits for them.
#[derive(Debug, Default)]
pub(in crate::collection) struct MergeGate {
    /// The collection was closed or dropped: no merge of it goes on.
    over: AtomicBool,
    /// Calls that wait for the merge under way to end.
    waiting: AtomicU32,
    /// How far the merge under way is.
    course: Mutex<Option<Course>>,
    /// How fast earlier ones were.
    rates: Mutex<StepRates>,
}

/// Says that somebody waits for the merge under way, for as long as it lives.
pub(in crate::collection) struct Waiting<'a>(&'a MergeGate);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl MergeGate {
    pub(in crate::collection) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// A merge in the background that is held up by a pause goes on while this is held.
    pub(in crate::collection) fn wait_for(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// The merge under way; `paused`: it may be standing still.
    pub(in crate::collection) fn progress(&self, paused: bool) -> Option<MergeProgress> {
        let rates = *self.rates.lock();
        let course = self.course.lock();
        course
            .as_ref()
            .map(|course| course.progress(&rates, paused))
    }
}

/// A merge, from where it asks whether it may go on. Clones are the same merge.
#[derive(Clone, Debug)]
pub(in crate::collection) struct MergeRun {
    pace: Arc<MergePace>,
    gate: Arc<MergeGate>,
    stop: StopSignal,
    /// Nobody asked for it by a call: it stands still while merges are paused.
    background: bool,
}

impl MergeRun {
    pub(in crate::collection) fn new(
        pace: Arc<MergePace>,
        gate: Arc<MergeGate>,
        stop: StopSignal,
        background: bool,
    ) -> Self {
        Self {
            pace,
            gate,
            stop,
            background,
        }
    }

    pub(in crate::collection) fn stop(&self) -> &StopSignal {
        &self.stop
    }

    /// A disk on which files are written at the pace of merges.
    pub(in crate::collection) fn disk(&self, disk: &Arc<dyn Disk>) -> Arc<dyn Disk> {
        Arc::new(PacedDisk::new(disk.clone(), self.clone()))
    }

    /// The merge begins: `segments` become one of `rows`, whose file will have about `bytes`. It is over when what this
    /// gives is dropped.
    pub(in crate::collection) fn begin(
        &self,
        segments: usize,
        rows: u64,
        bytes: u64,
        indexed: bool,
    ) -> Underway<'_> {
        *self.gate.course.lock() = Some(Course::new(segments as u64, rows, bytes, indexed));
        Underway(&self.gate)
    }

    /// From here on it is at this step, whose work is about so many bytes; an index build tells rows instead.
    pub(in crate::collection) fn enter(&self, step: MergeStep, bytes: u64) {
        if let Some(course) = self.gate.course.lock().as_mut() {
            course.enter(step, bytes, &mut self.gate.rates.lock());
        }
    }

    /// Waits until `bytes` more may be written or checked.
    ///
    /// # Errors
    /// The merge is to end.
    pub(in crate::collection) fn advance(&self, bytes: u64) -> Result<()> {
        self.check()?;
        let turn = self.pace.announce(bytes);
        while let Some(wait) = turn.and_then(|turn| self.pace.wait(turn)) {
            std::thread::sleep(wait.min(LOOK));
            self.check()?;
        }
        if let Some(course) = self.gate.course.lock().as_mut() {
            course.add_bytes(bytes);
        }
        Ok(())
    }

    /// Waits while merges are paused.
    ///
    /// # Errors
    /// The merge is to end: its caller gave it up, or the collection was closed or dropped.
    pub(in crate::collection) fn check(&self) -> Result<()> {
        let mut stood = None;
        loop {
            self.over()?;
            let held = self.background
                && self.pace.is_paused()
                && self.gate.waiting.load(Ordering::Relaxed) == 0;
            if !held {
                break;
            }
            stood.get_or_insert_with(Instant::now);
            std::thread::sleep(LOOK);
        }
        if let Some(stood) = stood
            && let Some(course) = self.gate.course.lock().as_mut()
        {
            course.add_idle(stood);
        }
        Ok(())
    }

    /// [`Self::check`] without waiting.
    pub(in crate::collection) fn over(&self) -> Result<()> {
        self.stop.check()?;
        match self.gate.over.load(Ordering::Acquire) {
            true => Err(Error::new(
                ErrorKind::Cancelled,
                "the collection was closed or dropped during a merge",
            )),
            false => Ok(()),
        }
    }
}

/// How far an index build is, in rows.
impl Progress for MergeRun {
    fn advance(&self, done: u64, total: u64) {
        if let Some(course) = self.gate.course.lock().as_mut() {
            course.set_share(done, total);
        }
    }
}

/// A merge that has begun and is not over.
pub(in crate::collection) struct Underway<'a>(&'a MergeGate);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if let Some(course) = self.0.course.lock().take() {
            course.end(&mut self.0.rates.lock());
        }
    }
}
