//! The time that log entries carry: the system's, but never earlier than one given before, so that the order of times is
//! the order of positions as far as a process can tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, Default)]
pub(crate) struct LogClock(AtomicU64);

impl LogClock {
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    pub(crate) fn now(&self) -> u64 {
        let system = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as u64);
        self.0.fetch_max(system, Ordering::AcqRel).max(system)
    }

    /// Goes on from a time found in the log.
    pub(crate) fn note(&self, time_us: u64) {
        self.0.fetch_max(time_us, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_behind_the_log() {
        let clock = LogClock::default();
        let first = clock.now();
        clock.note(first + 3_600_000_000);
        assert_eq!(clock.now(), first + 3_600_000_000);
        assert!(clock.now() >= first + 3_600_000_000);
    }
}
