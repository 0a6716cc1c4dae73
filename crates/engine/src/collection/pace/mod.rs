//! How fast a merge may read and write, whether it may go on, and how far it is.
//!
//! Every byte that a merge writes, and every byte that it reads back to compare it with its checksum, is announced to its
//! [`MergeRun`] first. There the merge waits: while merges are paused, and until the bytes are due. So it stops between
//! two writes, and in the middle of an index build, and goes on from there. Whoever asks for a merge by a call of its own
//! is not held up by a pause, and neither is what such a call waits for.

mod disk;
mod progress;
mod run;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use disk::PacedDisk;
pub use progress::{MergeProgress, MergeStep};
pub(super) use run::{MergeGate, MergeRun};

/// What was not used for so long is lost: after a quiet hour a merge must not write an hour's bytes at once.
const BURST: Duration = Duration::from_millis(100);

/// Longer than anybody waits.
const SECONDS_MAX: f64 = 1e9;

/// What all merges of a database share.
#[derive(Debug, Default)]
pub(crate) struct MergePace {
    /// 0: as many as it can.
    bytes_per_second: AtomicU64,
    paused: AtomicBool,
    due: Mutex<Due>,
}

/// When the bytes that were announced so far are through.
#[derive(Debug, Default)]
struct Due {
    at: Option<Instant>,
    /// How often the pace was changed: what was worked out before counts no more.
    changes: u64,
}

/// When some bytes are due.
#[derive(Clone, Copy, Debug)]
struct Turn {
    at: Instant,
    changes: u64,
}

impl MergePace {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let pace = Self::default();
        pace.set(bytes_per_second);
        pace
    }

    /// From now on so many bytes a second, 0 for as many as can be. Those who wait go on.
    pub(crate) fn set(&self, bytes_per_second: u64) {
        let mut due = self.due.lock();
        self.bytes_per_second
            .store(bytes_per_second, Ordering::Relaxed);
        due.at = None;
        due.changes += 1;
    }

    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Release);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Announces bytes; when they may be written, unless that is at once.
    fn announce(&self, bytes: u64) -> Option<Turn> {
        let mut due = self.due.lock();
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        if rate == 0 {
            return None;
        }
        let now = Instant::now();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = due.at.map_or(now, |at| at.max(earliest));
        let takes = Duration::from_secs_f64((bytes as f64 / rate as f64).min(SECONDS_MAX));
        let at = from.checked_add(takes).unwrap_or(from);
        due.at = Some(at);
        let changes = due.changes;
        (at > now).then_some(Turn { at, changes })
    }

    /// How long these bytes still have to wait.
    fn wait(&self, turn: Turn) -> Option<Duration> {
        if self.due.lock().changes != turn.changes {
            return None;
        }
        let left = turn.at.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_due_one_after_another_and_idle_time_is_not_saved_up() {
        let pace = MergePace::new(1_000);
        let first = pace.announce(2_000).unwrap();
        let second = pace.announce(1_000).unwrap();
        assert_eq!(second.at - first.at, Duration::from_secs(1));
        assert!(pace.wait(second).is_some());
        // Long idle: as if the last bytes had been due a moment ago, not an hour.
        pace.due.lock().at = Instant::now().checked_sub(Duration::from_millis(500));
        let third = pace.announce(1_000).unwrap();
        assert!(third.at >= Instant::now() + Duration::from_millis(800));
        // Another pace sets free who waits for the old one.
        pace.set(0);
        assert!(pace.wait(second).is_none() && pace.wait(third).is_none());
        assert!(pace.announce(u64::MAX).is_none());
        pace.set(1);
        assert!(pace.announce(u64::MAX).is_some());
    }
}
