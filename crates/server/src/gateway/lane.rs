//! A lane: threads of its own and the bounded queue before them. Work for the database blocks, so it does not run on the
//! threads that serve connections, but for searches that are short (see `shortcut`), which count as the lane's.
//!
//! Under overload a queue that is served in order makes every caller wait as long as a caller may. So a lane with a
//! limit on waiting serves the newest job once the oldest has waited for half of the limit, and refuses the oldest at the
//! limit: those that are served are served soon (adaptive LIFO; Maurer, "Fail at scale", ACM Queue 13(8), 2015). All
//! threads may be busy for long at that time, so refusing is the work of one more thread, which sleeps while no job waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use vecdb_engine::{Error, ErrorKind, Result};

/// Threads and their queue. Dropping it ends the threads once the queue is empty.
pub(super) struct Lane {
    shared: Arc<Shared>,
}

/// How much of a lane is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLoad {
    /// `read`, `write` or `admin`.
    pub lane: &'static str,
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// Threads.
    pub threads: usize,
}

/// What a job is told when it leaves the queue. It must not panic.
pub(super) type Job = Box<dyn FnOnce(Turn) + Send>;

/// How a job leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It runs now.
    Run,
    /// It has waited for so long that it is refused.
    TooLate(Duration),
}

struct Shared {
    name: &'static str,
    threads: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// For the thread that refuses.
    wake_refuser: Condvar,
    queue_max: AtomicUsize,
    /// 0: no limit.
    wait_us_max: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Oldest first, with the time it came.
    jobs: VecDeque<(Instant, Job)>,
    /// Jobs that run, on threads of the lane or elsewhere.
    running: usize,
    /// The thread that refuses sleeps until it is woken.
    refuser_sleeps: bool,
    closed: bool,
}

/// A caller that was refused for want of a thread tries again after this.
const RETRY_AFTER: Duration = Duration::from_millis(100);

impl Lane {
    /// `niceness` lets the threads of connections go first: under overload they have to run to refuse.
    pub(super) fn new(
        name: &'static str,
        threads: usize,
        queue_max: usize,
        niceness: i32,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            name,
            threads,
            queue: Mutex::default(),
            wake: Condvar::new(),
            wake_refuser: Condvar::new(),
            queue_max: AtomicUsize::new(queue_max),
            wait_us_max: AtomicU64::new(0),
        });
        // From here on a failure closes the queue, which ends the threads that there are.
        let lane = Self { shared };
        for at in 0..threads {
            let shared = lane.shared.clone();
            spawn(format!("vecdb-{name}-{at}"), move || {
                // On Linux a priority is a thread's; elsewhere it would be the whole process's.
                #[cfg(target_os = "linux")]
                let _ = rustix::process::setpriority_process(None, niceness);
                shared.work();
            })?;
        }
        Ok(lane)
    }

    /// The same lane with a thread that refuses jobs once they have waited for as long as they may.
    pub(super) fn refusing_late(self) -> Result<Self> {
        let shared = self.shared.clone();
        spawn(format!("vecdb-{}-late", shared.name), move || {
            shared.refuse();
        })?;
        Ok(self)
    }

    /// Changes how many jobs may wait, and, where late ones are refused, for how long.
    pub(super) fn set_limits(&self, queue_max: usize, wait_max: Option<Duration>) {
        let micros = wait_max.map_or(0, |wait| {
            u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)
        });
        self.shared.queue_max.store(queue_max, Ordering::Relaxed);
        // Under the lock: the thread that refuses either reads it before it sleeps or is woken.
        let _queue = self.shared.queue.lock();
        self.shared.wait_us_max.store(micros, Ordering::Relaxed);
        self.shared.wake_refuser.notify_one();
    }

    /// Puts a job into the queue that has waited for `late` elsewhere, or gives it back at once with the refusal where the
    /// queue is full or the job has waited for too long.
    pub(super) fn push(&self, job: Job, late: Duration) -> Result<(), (Job, Error)> {
        if self.shared.wait_max().is_some_and(|max| late >= max) {
            return Err((job, too_late(late)));
        }
        let now = Instant::now();
        let arrived = now.checked_sub(late).unwrap_or(now);
        let mut queue = self.shared.queue.lock();
        if queue.jobs.len() >= self.shared.queue_max.load(Ordering::Relaxed) {
            let waiting = queue.jobs.len();
            drop(queue);
            return Err((job, self.full(waiting)));
        }
        queue.jobs.push_back((arrived, job));
        // While there is a thread for every job nobody will be late.
        let idle = self.shared.threads.saturating_sub(queue.running);
        let may_be_late = queue.jobs.len() > idle && queue.refuser_sleeps;
        queue.refuser_sleeps &= !may_be_late;
        drop(queue);
        self.shared.wake.notify_one();
        if may_be_late {
            self.shared.wake_refuser.notify_one();
        }
        Ok(())
    }

    /// Refuses while more than half of the queue is taken: for callers who can wait with their next job.
    pub(super) fn has_room(&self) -> Result<()> {
        let waiting = self.shared.queue.lock().jobs.len();
        if waiting > self.shared.queue_max.load(Ordering::Relaxed) / 2 {
            return Err(self.full(waiting));
        }
        Ok(())
    }

    /// Takes the place of one of the threads, where none waits and not all are taken, until the guard is dropped.
    pub(super) fn take_place(&self) -> Option<Place<'_>> {
        let mut queue = self.shared.queue.lock();
        if queue.closed || !queue.jobs.is_empty() || queue.running >= self.shared.threads {
            return None;
        }
        queue.running += 1;
        Some(Place(&self.shared))
    }

    pub(super) fn load(&self) -> LaneLoad {
        let queue = self.shared.queue.lock();
        LaneLoad {
            lane: self.shared.name,
            queued: queue.jobs.len(),
            running: queue.running,
            threads: self.shared.threads,
        }
    }

    fn full(&self, waiting: usize) -> Error {
        let (name, threads) = (self.shared.name, self.shared.threads);
        Error::new(
            ErrorKind::ResourceExhausted,
            format!(
                "the server is busy: {waiting} calls wait for the {threads} threads of the {name} lane"
            ),
        )
        .with_retry_after(RETRY_AFTER)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_all();
        self.shared.wake_refuser.notify_all();
    }
}

/// The place of a thread of a lane, taken by one that is not the lane's.
pub(super) struct Place<'a>(&'a Shared);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.running -= 1;
        let waits = !queue.jobs.is_empty() || queue.closed;
        drop(queue);
        if waits {
            self.0.wake.notify_all();
        }
    }
}

impl Turn {
    /// Why the job does not run, if so.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Turn::Run => Ok(()),
            Turn::TooLate(waited) => Err(too_late(waited)),
        }
    }
}

fn too_late(waited: Duration) -> Error {
    Error::new(
        ErrorKind::ResourceExhausted,
        format!(
            "the server is busy: the call waited {} ms for a thread, more than limits.queue_wait_ms_max",
            waited.as_millis()
        ),
    )
    .with_retry_after(RETRY_AFTER)
}

impl Shared {
    fn wait_max(&self) -> Option<Duration> {
        match self.wait_us_max.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            let may_run = queue.running < self.threads;
            let next = match may_run {
                true => queue.next(self.wait_max()),
                false => None,
            };
            if let Some((job, turn)) = next {
                queue.running += 1;
                drop(queue);
                job(turn);
                queue = self.queue.lock();
                queue.running -= 1;
            } else if queue.closed && may_run {
                return;
            } else {
                self.wake.wait(&mut queue);
            }
        }
    }

    fn refuse(&self) {
        let mut queue = self.queue.lock();
        while !queue.closed {
            let wait_max = self.wait_max();
            if let Some((job, waited)) = queue.next_late(wait_max) {
                drop(queue);
                job(Turn::TooLate(waited));
                queue = self.queue.lock();
            } else if let Some(due) = queue.due(wait_max) {
                self.wake_refuser.wait_until(&mut queue, due);
            } else {
                queue.refuser_sleeps = true;
                self.wake_refuser.wait(&mut queue);
                queue.refuser_sleeps = false;
            }
        }
    }
}

impl Queue {
    fn next(&mut self, wait_max: Option<Duration>) -> Option<(Job, Turn)> {
        if let Some((job, waited)) = self.next_late(wait_max) {
            return Some((job, Turn::TooLate(waited)));
        }
        let (oldest, _) = self.jobs.front()?;
        let job = match wait_max {
            Some(max) if oldest.elapsed() > max / 2 => self.jobs.pop_back(),
            _ => self.jobs.pop_front(),
        };
        job.map(|(_, job)| (job, Turn::Run))
    }

    /// The oldest job, if it has waited for too long.
    fn next_late(&mut self, wait_max: Option<Duration>) -> Option<(Job, Duration)> {
        let waited = self.jobs.front()?.0.elapsed();
        if waited < wait_max? {
            return None;
        }
        self.jobs.pop_front().map(|(_, job)| (job, waited))
    }

    /// When the oldest job will have waited for too long.
    fn due(&self, wait_max: Option<Duration>) -> Option<Instant> {
        let (oldest, _) = self.jobs.front()?;
        oldest.checked_add(wait_max?)
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(work)
        .map_err(|error| {
            Error::new(
                ErrorKind::ResourceExhausted,
                format!("cannot start the thread {name}: {error}"),
            )
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// Keeps the only thread of `lane` busy until the sender is dropped.
    fn occupy(lane: &Lane) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel();
        let (started, running) = mpsc::channel();
        let job: Job = Box::new(move |_| {
            started.send(()).unwrap();
            let _ = released.recv_timeout(SOON);
        });
        assert!(lane.push(job, Duration::ZERO).is_ok());
        running.recv_timeout(SOON).unwrap();
        release
    }

    fn noted(done: &mpsc::Sender<(u32, Turn)>, number: u32) -> Job {
        let done = done.clone();
        Box::new(move |turn| done.send((number, turn)).unwrap())
    }

    #[test]
    fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
        let lane = Lane::new("read", 1, 2, 0).unwrap();
        let release = occupy(&lane);
        let (done, results) = mpsc::channel();
        assert!(lane.has_room().is_ok());
        assert!(lane.push(noted(&done, 1), Duration::ZERO).is_ok());
        assert!(lane.push(noted(&done, 2), Duration::ZERO).is_ok());
        let (_, refused) = lane.push(noted(&done, 3), Duration::ZERO).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
        assert!(
            refused
                .to_string()
                .contains("2 calls wait for the 1 threads")
        );
        assert_eq!(refused.retry_after(), Some(RETRY_AFTER));
        assert!(lane.has_room().is_err());
        let load = lane.load();
        assert_eq!((load.queued, load.running, load.threads), (2, 1, 1));

        drop(release);
        assert_eq!(results.recv_timeout(SOON).unwrap(), (1, Turn::Run));
        assert_eq!(results.recv_timeout(SOON).unwrap(), (2, Turn::Run));
        drop(done);
        // The refused job was dropped, not kept.
        assert_eq!(
            results.recv_timeout(SOON),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }

    #[test]
    fn who_takes_a_place_counts_as_a_thread() {
        let lane = Lane::new("read", 2, 8, 0).unwrap();
        let places = [lane.take_place(), lane.take_place()];
        assert!(places.iter().all(Option::is_some));
        assert!(lane.take_place().is_none(), "all places are taken");
        let (done, results) = mpsc::channel();
        assert!(lane.push(noted(&done, 1), Duration::ZERO).is_ok());
        assert!(results.recv_timeout(Duration::from_millis(50)).is_err());
        assert_eq!((lane.load().running, lane.load().queued), (2, 1));
        drop(places);
        assert_eq!(results.recv_timeout(SOON).unwrap(), (1, Turn::Run));

        let [one, two] = [occupy(&lane), occupy(&lane)];
        assert!(lane.take_place().is_none(), "all threads are busy");
        assert!(lane.push(noted(&done, 2), Duration::ZERO).is_ok());
        drop(one);
        assert_eq!(results.recv_timeout(SOON).unwrap(), (2, Turn::Run));
        drop(two);
    }

    #[test]
    fn what_is_queued_still_runs_when_the_lane_ends() {
        let lane = Lane::new("write", 1, 8, 0).unwrap();
        let release = occupy(&lane);
        let (done, results) = mpsc::channel();
        assert!(lane.push(noted(&done, 1), Duration::ZERO).is_ok());
        drop(lane);
        drop(release);
        assert_eq!(results.recv_timeout(SOON).unwrap(), (1, Turn::Run));
    }

    #[test]
    fn who_waits_too_long_is_refused_while_all_threads_are_busy() {
        let lane = Lane::new("read", 1, 8, 0).unwrap().refusing_late().unwrap();
        let release = occupy(&lane);
        let (done, results) = mpsc::channel();
        let late = || {
            let (number, turn) = results.recv_timeout(SOON).unwrap();
            let Turn::TooLate(waited) = turn else {
                panic!("{number} ran");
            };
            (number, waited)
        };
        let wait_max = Duration::from_millis(20);
        lane.set_limits(8, Some(wait_max));
        for number in [1, 2] {
            assert!(lane.push(noted(&done, number), Duration::ZERO).is_ok());
            let (refused, waited) = late();
            assert_eq!(refused, number);
            assert!(waited >= wait_max && waited < SOON / 2, "{waited:?}");
        }
        // A limit that becomes shorter counts for those who wait already.
        lane.set_limits(8, Some(Duration::from_secs(3_600)));
        assert!(lane.push(noted(&done, 3), Duration::ZERO).is_ok());
        assert!(results.recv_timeout(2 * wait_max).is_err());
        lane.set_limits(8, Some(wait_max));
        assert_eq!(late().0, 3);

        drop(release);
        assert!(lane.push(noted(&done, 4), Duration::ZERO).is_ok());
        assert_eq!(results.recv_timeout(SOON).unwrap(), (4, Turn::Run));
    }

    #[test]
    fn what_was_spent_elsewhere_counts_as_waiting() {
        let lane = Lane::new("read", 1, 8, 0).unwrap().refusing_late().unwrap();
        let wait_max = Duration::from_secs(3_600);
        lane.set_limits(8, Some(wait_max));
        let (done, results) = mpsc::channel();
        let (_, refused) = lane.push(noted(&done, 1), wait_max).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
        assert_eq!(refused.retry_after(), Some(RETRY_AFTER));
        let release = occupy(&lane);
        let late = wait_max - Duration::from_millis(20);
        assert!(lane.push(noted(&done, 2), late).is_ok());
        let (2, Turn::TooLate(waited)) = results.recv_timeout(SOON).unwrap() else {
            panic!("it ran, or the other one came back");
        };
        assert!(waited >= wait_max);
        drop(release);
    }

    #[test]
    fn under_overload_the_newest_goes_first_and_the_oldest_is_refused() {
        let ago = |millis| {
            Instant::now()
                .checked_sub(Duration::from_millis(millis))
                .unwrap()
        };
        let (done, results) = mpsc::channel();
        let mut queue = Queue::default();
        for (number, age) in [(1, 900), (2, 300), (3, 0)] {
            queue.jobs.push_back((ago(age), noted(&done, number)));
        }
        let max = Some(Duration::from_millis(500));
        let mut served = Vec::new();
        while let Some((job, turn)) = queue.next(max) {
            job(turn);
            served.push(results.try_recv().unwrap());
        }
        let [(1, Turn::TooLate(waited)), (3, Turn::Run), (2, Turn::Run)] = served[..] else {
            panic!("{served:?}");
        };
        assert!(waited >= Duration::from_millis(900));
        let error = Turn::TooLate(waited).check().unwrap_err();
        assert!(
            error.to_string().contains("limits.queue_wait_ms_max"),
            "{error}"
        );

        for (number, age) in [(4, 900), (5, 0)] {
            queue.jobs.push_back((ago(age), noted(&done, number)));
        }
        for number in [4, 5] {
            let (job, turn) = queue.next(None).unwrap();
            job(turn);
            assert_eq!(results.try_recv().unwrap(), (number, Turn::Run));
        }
    }
}
