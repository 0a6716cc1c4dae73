//! Which searches run where they arrive. Handing a search to a thread of the lane and its answer back costs two wakes of a
//! thread, as much as a short search itself; so a search runs on the thread of its connection while those threads keep up
//! and searches are short.
//!
//! Searches that run there wait before that in no queue of ours, so nobody would be refused for having waited too long.
//! What tells is how late those threads come to a task that is due: the [`Shortcut`] looks at that for as long as it is
//! used, and closes when they are late. It closes as well after a search that took long, for so long that such searches
//! take up no more than a thousandth of the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

/// How often lateness is looked at.
const EVERY: Duration = Duration::from_millis(5);
/// So late are threads that have more to do than they can.
const LATE: Duration = Duration::from_millis(10);
/// How long the way is closed after that.
const CLOSED_LATE: Duration = Duration::from_secs(1);
/// What takes longer is a long search.
const LONG: Duration = Duration::from_millis(2);
/// How long the way is closed after a long search, in times its length.
const CLOSED_PER_LONG: u32 = 1000;
/// Nobody looks any more once nobody has taken the way for so long.
const UNUSED: Duration = Duration::from_millis(100);

/// Whether the way is open.
#[derive(Debug)]
pub(super) struct Shortcut {
    begun: Instant,
    /// Microseconds after `begun`.
    closed_until: AtomicU64,
    used: AtomicU64,
    is_watched: AtomicBool,
}

impl Shortcut {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            closed_until: AtomicU64::new(0),
            used: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
        })
    }

    /// Whether a search may run on this thread now. Never where no other thread could serve the other connections.
    pub(super) fn is_open(self: &Arc<Self>) -> bool {
        let now = self.micros(Instant::now());
        if now < self.closed_until.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return false;
        }
        self.used.store(now, Ordering::Relaxed);
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            runtime.spawn(self.clone().watch());
        }
        true
    }

    /// A search took so long.
    pub(super) fn took(&self, time: Duration) {
        if time > LONG {
            self.close(time.saturating_mul(CLOSED_PER_LONG));
        }
    }

    async fn watch(self: Arc<Self>) {
        loop {
            let due = Instant::now() + EVERY;
            tokio::time::sleep_until(due.into()).await;
            // Behind everything that is ready now.
            tokio::task::yield_now().await;
            let now = Instant::now();
            if now.saturating_duration_since(due) > LATE {
                self.close(CLOSED_LATE);
            }
            let used = self.used.load(Ordering::Relaxed);
            if self.micros(now).saturating_sub(used) > UNUSED.as_micros() as u64 {
                self.is_watched.store(false, Ordering::Relaxed);
                return;
            }
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_closes_after_a_long_search() {
        let shortcut = Shortcut::new();
        assert!(shortcut.is_open());
        shortcut.took(LONG);
        assert!(shortcut.is_open());
        shortcut.took(2 * LONG);
        assert!(!shortcut.is_open());
    }

    #[tokio::test]
    async fn a_thread_that_serves_alone_has_no_shortcut() {
        assert!(!Shortcut::new().is_open());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn it_closes_while_the_threads_of_connections_are_late() {
        let shortcut = Shortcut::new();
        let held = shortcut.clone();
        // The only thread that serves has more to do than it can.
        let busy = async move {
            assert!(held.is_open());
            while held.is_open() {
                std::thread::sleep(2 * LATE);
                tokio::task::yield_now().await;
            }
        };
        let closed = tokio::time::timeout(Duration::from_secs(5), tokio::spawn(busy)).await;
        closed.expect("it closes").unwrap();
        let left = shortcut.closed_until.load(Ordering::Relaxed);
        assert!(left <= shortcut.micros(Instant::now() + CLOSED_LATE));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_watches_a_way_that_nobody_takes() {
        let shortcut = Shortcut::new();
        assert!(shortcut.is_open());
        for _ in 0..500 {
            if !shortcut.is_watched.load(Ordering::Relaxed) {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
        panic!("still watched");
    }
}
