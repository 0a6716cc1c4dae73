//! Which searches run where they arrive. Handing a search to a thread of the lane and its answer back costs two wakes of a
//! thread, as much as a short search itself; so a search runs on the thread of its connection while those threads keep up
//! and searches are short.
//!
//! The way closes while those threads are late, and after a search that took long, for so long that such searches take up
//! no more than a thousandth of the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So late are threads that have more to do than they can.
const LATE: Duration = Duration::from_millis(10);
/// How long the way is closed after that.
const CLOSED_LATE: Duration = Duration::from_secs(1);
/// What takes longer is a long search.
const LONG: Duration = Duration::from_millis(2);
/// How long the way is closed after a long search, in times its length.
const CLOSED_PER_LONG: u32 = 1000;

/// Whether the way is open.
#[derive(Debug)]
pub(super) struct Shortcut {
    begun: Instant,
    /// Microseconds after `begun`.
    closed_until: AtomicU64,
}

impl Shortcut {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            closed_until: AtomicU64::new(0),
        }
    }

    /// Whether a search may run on the thread of its connection now, of which [`Lateness`](super::lateness::Lateness) tells
    /// how late they are. Never where no other thread could serve the other connections.
    pub(super) fn is_open(&self, late: Option<Duration>) -> bool {
        match late {
            None => false,
            Some(late) if late > LATE => {
                self.close(CLOSED_LATE);
                false
            }
            Some(_) => self.micros(Instant::now()) >= self.closed_until.load(Ordering::Relaxed),
        }
    }

    /// A search took so long.
    pub(super) fn took(&self, time: Duration) {
        if time > LONG {
            self.close(time.saturating_mul(CLOSED_PER_LONG));
        }
    }

    fn close(&self, time: Duration) {
        let until = self.micros(Instant::now()) + time.as_micros() as u64;
        self.closed_until.fetch_max(until, Ordering::Relaxed);
    }

    fn micros(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.begun).as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_TIME: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn it_closes_after_a_long_search() {
        let shortcut = Shortcut::new();
        assert!(shortcut.is_open(IN_TIME));
        shortcut.took(LONG);
        assert!(shortcut.is_open(IN_TIME));
        shortcut.took(2 * LONG);
        assert!(!shortcut.is_open(IN_TIME));
    }

    #[test]
    fn it_closes_for_a_while_when_the_threads_of_connections_are_late() {
        let shortcut = Shortcut::new();
        assert!(shortcut.is_open(Some(LATE)));
        assert!(!shortcut.is_open(Some(2 * LATE)));
        assert!(!shortcut.is_open(IN_TIME), "it was late a moment ago");
        let left = shortcut.closed_until.load(Ordering::Relaxed);
        assert!(left <= shortcut.micros(Instant::now() + CLOSED_LATE));
    }

    #[test]
    fn a_thread_that_serves_alone_has_no_shortcut() {
        assert!(!Shortcut::new().is_open(None));
    }
}
