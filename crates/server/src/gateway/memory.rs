//! Memory: what the process may use, and what requests may use of it while they are in flight.
//!
//! What counts is the resident memory that is not backed by files: mapped segments are the kernel's to drop, they do not
//! count. Beyond the limit writes are refused, since they are what makes it grow; reads go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vecdb_backend::resident_bytes;
use vecdb_engine::{Error, ErrorKind, Result};

/// The limits and what is used of them.
pub(super) struct Memory {
    /// `u64::MAX`: none.
    limit: AtomicU64,
    requests_max: AtomicU64,
    requests: AtomicU64,
    measured: Mutex<Option<(Instant, u64)>>,
    relief: Arc<Relief>,
}

#[derive(Default)]
struct Relief {
    under_way: AtomicBool,
    last: Mutex<Option<Instant>>,
}

/// Bytes of a request that are in memory, given back when it is dropped.
pub(super) struct Reservation {
    memory: Arc<Memory>,
    bytes: u64,
}

/// Room that an answer takes until its last byte was sent; clones share it.
#[derive(Clone)]
pub(crate) struct Held {
    _room: Arc<Reservation>,
}

/// The task of making room, which one at a time has.
pub(super) struct ReliefTask(Arc<Relief>);

/// How old a measurement may be. A measurement takes some 30 microseconds.
const MEASURED_EVERY: Duration = Duration::from_millis(50);
/// Requests in flight may use this share of the process' memory ...
const REQUESTS_SHARE: u64 = 4;
/// ... or this many bytes where that is not limited.
const REQUEST_BYTES_MAX: u64 = 256 << 20;
/// Memory is not made free more often: what a flush cannot free, another one right after it cannot either.
const RELIEF_EVERY: Duration = Duration::from_secs(1);

impl Memory {
    pub(super) fn new(limit: Option<u64>) -> Self {
        let memory = Self {
            limit: AtomicU64::default(),
            requests_max: AtomicU64::default(),
            requests: AtomicU64::default(),
            measured: Mutex::default(),
            relief: Arc::default(),
        };
        memory.set_limit(limit);
        memory
    }

    pub(super) fn set_limit(&self, limit: Option<u64>) {
        let requests_max = limit.map_or(REQUEST_BYTES_MAX, |limit| limit / REQUESTS_SHARE);
        self.limit
            .store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.requests_max.store(requests_max, Ordering::Relaxed);
    }

    pub(super) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit != u64::MAX)
    }

    /// What the process uses, at most [`MEASURED_EVERY`] old.
    pub(super) fn used(&self) -> u64 {
        let mut measured = self.measured.lock();
        match *measured {
            Some((at, bytes)) if at.elapsed() < MEASURED_EVERY => bytes,
            _ => {
                let bytes = resident_bytes();
                *measured = Some((Instant::now(), bytes));
                bytes
            }
        }
    }

    /// Bytes of requests in flight.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Room for `bytes` of a request. The only request there is is let in whatever its size.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation> {
        let mut reservation = self.no_bytes();
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// Room for an answer of `bytes`. Where there is none it is refused if `may_refuse`: what was written is told.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize, may_refuse: bool) -> Result<Held> {
        let mut reservation = self.no_bytes();
        let room = reservation.grow(bytes);
        if may_refuse {
            room?;
        }
        Ok(Held {
            _room: Arc::new(reservation),
        })
    }

    /// A reservation that has yet to grow.
    pub(super) fn no_bytes(self: &Arc<Self>) -> Reservation {
        Reservation {
            memory: self.clone(),
            bytes: 0,
        }
    }

    /// Refuses while requests in flight use more than half of what they may: for callers who can wait with their next.
    pub(super) fn has_room(&self) -> Result<()> {
        let (used, max) = (self.requests(), self.requests_max.load(Ordering::Relaxed));
        if used > max / 2 {
            return Err(too_many_requests(used, max));
        }
        Ok(())
    }

    /// Refuses a write while the process uses more than it may.
    pub(super) fn admit_write(&self) -> Result<()> {
        let Some(limit) = self.limit() else {
            return Ok(());
        };
        // Bytes of requests that came after the measurement are not in it; those that are count twice, to be safe.
        let used = self.used().saturating_add(self.requests());
        if used <= limit {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::ResourceExhausted,
            format!(
                "the server uses {} of memory and may use {} (limits.memory_bytes_max): writes are refused until it is less",
                mebibytes(used),
                mebibytes(limit)
            ),
        )
        .with_retry_after(Duration::from_secs(1)))
    }

    /// The task of making room, unless somebody has it or had it a moment ago.
    pub(super) fn relief(&self) -> Option<ReliefTask> {
        let mut last = self.relief.last.lock();
        if last.is_some_and(|last| last.elapsed() < RELIEF_EVERY)
            || self.relief.under_way.swap(true, Ordering::AcqRel)
        {
            return None;
        }
        *last = Some(Instant::now());
        Some(ReliefTask(self.relief.clone()))
    }
}

impl Reservation {
    /// Takes room for `bytes` more; they count from now on even if there is none.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        let others = self.memory.requests.fetch_add(bytes, Ordering::Relaxed) - self.bytes;
        self.bytes += bytes;
        let max = self.memory.requests_max.load(Ordering::Relaxed);
        if others > 0 && others.saturating_add(self.bytes) > max {
            return Err(too_many_requests(others, max));
        }
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let freed = self.bytes.saturating_sub(bytes);
        self.bytes -= freed;
        self.memory.requests.fetch_sub(freed, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

impl Drop for ReliefTask {
    fn drop(&mut self) {
        self.0.under_way.store(false, Ordering::Release);
    }
}

fn too_many_requests(used: u64, max: u64) -> Error {
    Error::new(
        ErrorKind::ResourceExhausted,
        format!(
            "the server is busy: other requests and answers in flight hold {} of the {} that they may use",
            mebibytes(used),
            mebibytes(max)
        ),
    )
    .with_retry_after(Duration::from_millis(100))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_flight_share_a_budget_and_give_back_what_they_took() {
        let memory = Arc::new(Memory::new(Some(400)));
        let first = memory.reserve(1_000).unwrap();
        let refused = memory.reserve(1).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
        assert!(refused.retry_after().is_some());
        assert_eq!(memory.requests(), 1_000);
        assert!(memory.has_room().is_err());
        drop(first);
        let second = memory.reserve(60).unwrap();
        let mut third = memory.reserve(40).unwrap();
        assert!(memory.reserve(1).is_err());
        assert!(third.grow(1).is_err());
        third.shrink(1);
        assert_eq!((third.bytes(), memory.requests()), (1, 61));
        drop((second, third));
        assert_eq!(memory.requests(), 0);
        assert!(memory.has_room().is_ok());
    }

    #[test]
    fn answers_count_until_the_last_part_is_gone() {
        let memory = Arc::new(Memory::new(Some(400)));
        let held = memory.hold(90, true).unwrap();
        let part = held.clone();
        drop(held);
        assert_eq!(memory.requests(), 90);
        assert!(memory.hold(20, true).is_err());
        assert_eq!(memory.requests(), 90);
        // What was written has to be told.
        let told = memory.hold(20, false).unwrap();
        assert_eq!(memory.requests(), 110);
        assert!(memory.reserve(1).is_err());
        drop((part, told));
        assert_eq!(memory.requests(), 0);
    }

    #[test]
    fn writes_are_refused_beyond_the_limit_with_the_numbers() {
        let memory = Memory::new(Some(100));
        // The system may not tell, but requests always count.
        let memory = Arc::new(memory);
        let _request = memory.reserve(1 << 20).unwrap();
        let refused = memory.admit_write().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
        let message = refused.to_string();
        assert!(
            message.contains("may use 0.0 MiB (limits.memory_bytes_max)"),
            "{message}"
        );

        memory.set_limit(Some(1 << 40));
        assert!(memory.admit_write().is_ok());
        memory.set_limit(None);
        assert_eq!(memory.limit(), None);
        assert!(memory.admit_write().is_ok());
    }

    #[test]
    fn one_at_a_time_makes_room_and_not_too_often() {
        let memory = Memory::new(None);
        let task = memory.relief().unwrap();
        assert!(memory.relief().is_none());
        drop(task);
        assert!(memory.relief().is_none());
        *memory.relief.last.lock() = None;
        assert!(memory.relief().is_some());
    }
}
