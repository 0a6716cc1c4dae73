//! How writers wake the background threads.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Debug, Default)]
struct Wanted {
    flush: bool,
    merge: bool,
    stop: bool,
}

/// What the background threads wait for. Setting a wish twice is setting it once.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Signals {
    pub(crate) fn flush_wanted(&self) {
        self.wanted.lock().flush = true;
        self.changed.notify_all();
    }

    pub(crate) fn merge_wanted(&self) {
        self.wanted.lock().merge = true;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.wanted.lock().stop
    }

    /// Waits for a flush wish, at most `patience`; `false` to stop.
    pub(crate) fn wait_for_flush(&self, patience: Duration) -> bool {
        self.wait_for(patience, |wanted| std::mem::take(&mut wanted.flush))
    }

    /// Waits for a merge wish, at most `patience`; `false` to stop.
    pub(crate) fn wait_for_merge(&self, patience: Duration) -> bool {
        self.wait_for(patience, |wanted| std::mem::take(&mut wanted.merge))
    }

    /// Waits for `patience`; `false` to stop.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut wanted = self.wanted.lock();
        while !wanted.stop && !self.changed.wait_until(&mut wanted, until).timed_out() {}
        !wanted.stop
    }

    fn wait_for(&self, patience: Duration, mut take: impl FnMut(&mut Wanted) -> bool) -> bool {
        let mut wanted = self.wanted.lock();
        if !wanted.stop && !take(&mut wanted) {
            self.changed.wait_for(&mut wanted, patience);
            take(&mut wanted);
        }
        !wanted.stop
    }
}
