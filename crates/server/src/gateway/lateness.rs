//! How late the threads of connections are. What they have not come to yet waits in no queue of ours: not the request that
//! lies in a socket, nor the task that is ready to run. So a task with nothing to do comes due every few milliseconds, and
//! how late it is served tells how long requests wait as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

/// How often lateness is looked at.
const EVERY: Duration = Duration::from_millis(5);
/// Nobody looks any more once nobody has asked for so long.
const UNUSED: Duration = Duration::from_millis(100);

/// Looks at the threads of the runtime on which it is asked, for as long as it is asked.
#[derive(Debug)]
pub(super) struct Lateness {
    begun: Instant,
    /// When the task is due next, and when somebody asked last: microseconds after `begun`.
    due: AtomicU64,
    asked: AtomicU64,
    /// Microseconds by which the task was late the last time.
    last: AtomicU64,
    is_watched: AtomicBool,
}

impl Lateness {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            due: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            last: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
        })
    }

    /// How long what is ready waits for one of the threads. `None` where a single thread serves all, or none does.
    pub(super) fn now(self: &Arc<Self>) -> Option<Duration> {
        let runtime = Handle::try_current().ok()?;
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return None;
        }
        let now = self.micros(Instant::now());
        self.asked.store(now, Ordering::Relaxed);
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            self.last.store(0, Ordering::Relaxed);
            self.due
                .store(now + EVERY.as_micros() as u64, Ordering::Relaxed);
            runtime.spawn(self.clone().watch());
        }
        let overdue = now.saturating_sub(self.due.load(Ordering::Relaxed));
        let late = overdue.max(self.last.load(Ordering::Relaxed));
        Some(Duration::from_micros(late))
    }

    async fn watch(self: Arc<Self>) {
        loop {
            let due = Instant::now() + EVERY;
            self.due.store(self.micros(due), Ordering::Relaxed);
            tokio::time::sleep_until(due.into()).await;
            // Behind everything that is ready now.
            tokio::task::yield_now().await;
            let now = Instant::now();
            let late = now.saturating_duration_since(due);
            self.last.store(late.as_micros() as u64, Ordering::Relaxed);
            let asked = self.asked.load(Ordering::Relaxed);
            if self.micros(now).saturating_sub(asked) > UNUSED.as_micros() as u64 {
                self.is_watched.store(false, Ordering::Relaxed);
                return;
            }
        }
    }

    fn micros(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.begun).as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn a_thread_that_serves_alone_is_not_watched() {
        assert_eq!(Lateness::new().now(), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn threads_with_more_to_do_than_they_can_are_late() {
        let lateness = Lateness::new();
        let asked = lateness.clone();
        let busy = async move {
            assert!(asked.now() < Some(LATE));
            std::thread::sleep(LATE + 2 * EVERY);
            // While the task is still due, and by what it said once it came.
            assert!(asked.now() >= Some(LATE));
            tokio::task::yield_now().await;
            while asked.last.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(5), tokio::spawn(busy)).await;
        seen.expect("the task is served").unwrap();
        for _ in 0..1_000 {
            if lateness.now() < Some(LATE) {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
        panic!("late although there is nothing to do");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_watches_where_nobody_asks() {
        let lateness = Lateness::new();
        assert!(lateness.now().is_some());
        for _ in 0..500 {
            if !lateness.is_watched.load(Ordering::Relaxed) {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
        panic!("still watched");
    }
}
