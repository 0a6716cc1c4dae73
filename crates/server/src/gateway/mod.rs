//! Every call on its way to the database: rights, state, memory, queue, time limit, and the record of it.
//!
//! ```text
//! about      what a call is about, for logs
//! call       what a face knows about a request
//! operation  which operations there are and what they need
//! query      which of them an SQL statement is
//! state      opening, ready, draining, failed
//! admission  is there room for the call, and who waits for it?
//! memory     what the process and its requests may use
//! intake     a request body that counts while it arrives
//! lane       threads and the queue before them
//! lateness   how late the threads of connections are
//! shortcut   which searches run where they arrive
//! relief     flushing everything when memory is used up
//! calls      which calls are under way, and when the last has ended
//! record     what is written down about each call
//! ```
//!
//! Invariants: no work for the database runs on the threads that serve connections, but for short searches while those
//! threads keep up; a call that nobody waits for any more is told to stop, and is not begun if it has not been; what a call
//! holds (memory, the database) is given back when its work ends, not when its caller goes away.

mod about;
mod admission;
mod call;
mod calls;
mod intake;
mod lane;
mod lateness;
mod memory;
mod operation;
mod query;
mod record;
mod relief;
mod shortcut;
mod state;
#[cfg(test)]
mod tests;

pub use about::{About, Details};
pub use call::{Call, Face, REQUEST_ID};
pub(crate) use intake::{Intake, Meter};
pub use lane::LaneLoad;
pub(crate) use memory::Held;
pub use operation::{Access, Operation};
pub use state::GatewayState;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, oneshot, watch};
use vecdb_backend::Backend;
use vecdb_engine::{Error, ErrorKind, Result, StopSignal};

use crate::auth::{Authority, Caller};
use crate::config::{Config, Limits};
use crate::observe::{Metrics, Recorder, Refusal};
use calls::Calls;
use lane::{Lane, Turn};
use lateness::Lateness;
use memory::Memory;
use operation::Lane as LaneOf;
use record::Record;
use shortcut::Shortcut;
use state::Phase;

/// The way to the database. Both faces share one.
pub struct Gateway {
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    phase: ArcSwap<Phase>,
    changes: watch::Sender<GatewayState>,
    calls: Arc<Calls>,
    memory: Arc<Memory>,
    read: Lane,
    lateness: Arc<Lateness>,
    shortcut: Shortcut,
    write: Lane,
    admin: Lane,
    compact: Lane,
    relief: Lane,
    long_statements: Arc<Semaphore>,
    timeout_ms: AtomicU64,
    request_bytes_max: usize,
}

/// Long operations that may wait for one of the [`ADMIN_THREADS`].
const ADMIN_QUEUE_MAX: usize = 64;
const ADMIN_THREADS: usize = 4;
/// Merging everything takes as long as it takes. Whoever waits for that keeps nobody from flushing or from a snapshot.
const COMPACT_THREADS: usize = 2;
/// Searches fill every processor; what arrives must be read, and refused, without waiting for them (the overload of the case
/// `server` in `bench/` shows what it gains). They yield to other processes that want the same processors as well.
const READ_NICENESS: i32 = 15;
const ADMIN_NICENESS: i32 = 17;

impl Gateway {
    /// Starts the threads and opens the records. Calls are refused until [`Self::attach`].
    pub fn new(
        settings: &Config,
        authority: Arc<Authority>,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>> {
        let limits = &settings.limits;
        let search_threads = match limits.search_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let gateway = Self {
            authority,
            recorder: Recorder::new(settings, metrics.clone())?,
            metrics,
            phase: ArcSwap::from_pointee(Phase::Opening),
            changes: watch::Sender::new(GatewayState::Opening),
            calls: Arc::default(),
            memory: Arc::new(Memory::new(limits.memory_bytes_max)),
            read: Lane::new(
                "read",
                search_threads,
                limits.search_queue_max,
                READ_NICENESS,
            )?
            .refusing_late()?,
            lateness: Lateness::new(),
            shortcut: Shortcut::new(),
            write: Lane::new(
                "write",
                limits.write_threads.max(1),
                limits.write_queue_max,
                0,
            )?,
            admin: Lane::new("admin", ADMIN_THREADS, ADMIN_QUEUE_MAX, ADMIN_NICENESS)?,
            compact: Lane::new("compact", COMPACT_THREADS, ADMIN_QUEUE_MAX, ADMIN_NICENESS)?,
            relief: Lane::new("relief", 1, 1, 0)?,
            long_statements: Arc::new(Semaphore::new(query::LONG_AT_A_TIME)),
            timeout_ms: AtomicU64::new(limits.timeout_ms),
            request_bytes_max: usize::try_from(limits.request_bytes_max).unwrap_or(usize::MAX),
        };
        gateway.set_limits(limits);
        Ok(Arc::new(gateway))
    }

    /// Serves `backend` from now on.
    pub fn attach(&self, backend: Arc<dyn Backend>) {
        self.enter(Phase::Ready(backend));
    }

    /// Refuses calls from now on, because the database cannot be opened.
    pub fn fail(&self, reason: impl Into<String>) {
        self.enter(Phase::Failed(reason.into()));
    }

    /// Refuses new calls, lets go of the database, and comes back when the last running call has ended.
    pub async fn drain(&self) {
        self.enter(Phase::Draining);
        self.calls.all_ended().await;
    }

    /// Takes over the limits that can change while the server runs: on memory, queues and time.
    pub fn reload(&self, limits: &Limits) {
        self.set_limits(limits);
    }

    /// Where calls are written down.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What the server is doing.
    pub fn state(&self) -> GatewayState {
        self.phase.load().state()
    }

    /// The state, and its changes from now on.
    pub fn watch(&self) -> watch::Receiver<GatewayState> {
        self.changes.subscribe()
    }

    /// The database, where it serves: for metrics, which are no calls.
    pub fn backend(&self) -> Option<Arc<dyn Backend>> {
        self.phase.load().backend().ok().cloned()
    }

    /// How busy the threads are.
    pub fn load(&self) -> [LaneLoad; 4] {
        [
            self.read.load(),
            self.write.load(),
            self.admin.load(),
            self.compact.load(),
        ]
    }

    /// Resident memory of the process that is not backed by files, in bytes, at most 50 ms old.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.used()
    }

    /// What the process may use, if that is limited.
    pub fn memory_bytes_max(&self) -> Option<u64> {
        self.memory.limit()
    }

    /// Bytes of requests whose work has not ended.
    pub fn request_bytes(&self) -> u64 {
        self.memory.requests()
    }

    /// Largest request that a face reads.
    pub fn request_bytes_max(&self) -> usize {
        self.request_bytes_max
    }

    /// Runs `work` if `call` may do `operation` on `collection` (empty: the database as a whole) and there is room.
    ///
    /// # Errors
    /// Those of `work`. `Unauthenticated` and `PermissionDenied` by the caller's rights. `Unavailable` while the server
    /// does not serve. `ResourceExhausted`, with the time to wait, where memory or threads are used up.
    /// `DeadlineExceeded` when the time of the call is over, whether its work has ended or not. `Io` if `work` panics.
    pub async fn run<T: Send + 'static>(
        &self,
        call: &Call,
        operation: Operation,
        collection: &str,
        request_bytes: usize,
        work: impl FnOnce(&dyn Backend, &StopSignal) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let work = move |backend: &dyn Backend, stop: &StopSignal, _: &Caller| work(backend, stop);
        self.run_as(call, operation, collection, request_bytes, work)
            .await
    }

    /// [`Self::run`], with the caller for work that depends on the caller's rights.
    pub async fn run_as<T: Send + 'static>(
        &self,
        call: &Call,
        operation: Operation,
        collection: &str,
        request_bytes: usize,
        work: impl FnOnce(&dyn Backend, &StopSignal, &Caller) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut record = Record::new(&self.recorder, call, operation, collection);
        let result = async {
            let certificate = call.certificate.as_ref();
            let access = operation.access();
            let caller =
                self.authority
                    .check(&call.credentials, certificate, access, collection)?;
            record.allowed(caller.clone());
            let named = collection.to_owned();
            let work = move |backend: &dyn Backend, stop: &StopSignal| {
                work(backend, stop, &caller)
                    .map_err(|error| without_names(error, backend, &caller, &named))
            };
            self.run_allowed(call, operation, request_bytes, &mut record, work)
                .await
        }
        .await;
        record.finish(&result);
        result
    }

    /// Whether [`Self::run`] would let the call in: a face asks before it reads a body, so that strangers fill no memory.
    /// The refusal is for [`Self::run`] to give, which writes it down.
    pub(crate) fn check_in(
        &self,
        call: &Call,
        operation: Operation,
        collection: &str,
    ) -> Result<()> {
        let (shown, certificate) = (&call.credentials, call.certificate.as_ref());
        self.authority
            .check(shown, certificate, operation.access(), collection)
            .map(|_| ())
    }

    /// Refuses a call that its caller may do on no collection at all, whichever the request will name.
    pub(crate) fn check_anywhere(&self, call: &Call, operation: Operation) -> Result<()> {
        let (shown, certificate) = (&call.credentials, call.certificate.as_ref());
        self.authority
            .check_anywhere(shown, certificate, operation.access())
    }

    /// Writes down a call that ends before [`Self::run`]: its caller may not do that, or what was sent cannot be read.
    pub(crate) fn record_refusal(
        &self,
        call: &Call,
        operation: Operation,
        collection: &str,
        error: &Error,
    ) {
        let mut record = Record::new(&self.recorder, call, operation, collection);
        let (shown, certificate) = (&call.credentials, call.certificate.as_ref());
        let rights = matches!(
            error.kind(),
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied
        );
        if !rights && let Ok(caller) = self.authority.check(shown, certificate, Access::Read, "") {
            record.allowed(caller);
        }
        if error.kind() == ErrorKind::ResourceExhausted {
            self.metrics.refuse(Refusal::Memory);
        }
        record.refused(error);
    }

    /// Counts the bytes of an answer until they were sent. Answers of writes are counted whether there is room or not:
    /// the next request is refused in their place.
    ///
    /// # Errors
    /// `ResourceExhausted`, with the time to wait.
    pub(crate) fn hold(&self, operation: Operation, bytes: usize) -> Result<Held> {
        let may_refuse = operation.access() == Access::Read;
        self.memory
            .hold(bytes, may_refuse)
            .inspect_err(|_| self.metrics.refuse(Refusal::Memory))
    }

    /// Counts the bytes of a request's body from their arrival on.
    pub(crate) fn intake<B>(&self, body: B) -> Intake<B> {
        Intake::new(body, &self.memory)
    }

    async fn run_allowed<T: Send + 'static>(
        &self,
        call: &Call,
        operation: Operation,
        request_bytes: usize,
        record: &mut Record<'_>,
        work: impl FnOnce(&dyn Backend, &StopSignal) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Before the state is read: `drain` changes the state and then counts.
        let under_way = self.calls.begin();
        let deadline = self.deadline(call, operation);
        let admitted = self.admit(call, operation, request_bytes, deadline);
        let (backend, reservation) = admitted.await?;
        let stop = match deadline {
            Some(deadline) => StopSignal::new().with_deadline(deadline),
            None => StopSignal::new(),
        };
        let _stop_if_dropped = StopOnDrop(stop.clone());
        let (answer, answered) = oneshot::channel();
        let request_id = call.request_id.clone();
        let pushed = Instant::now();
        let job = move |turn: Turn| {
            let queued = pushed.elapsed();
            let work = || {
                turn.check()?;
                stop.check()?;
                work(backend.as_ref(), &stop)
            };
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                tracing::error!(
                    request_id,
                    operation = operation.name(),
                    "the operation panicked"
                );
                Err(Error::new(
                    ErrorKind::Io,
                    "an internal error ended the operation; the server's log says more",
                ))
            });
            // Whoever has the answer can rely on that.
            drop((backend, reservation, under_way));
            // Nobody listens if the caller is gone.
            let _ = answer.send((result, turn, queued));
        };
        let late = self.lateness.now();
        let place = match operation {
            Operation::Search if self.shortcut.is_open(late) => self.read.take_place(),
            _ => None,
        };
        match place {
            Some(_place) => {
                let begun = Instant::now();
                job(Turn::Run);
                self.shortcut.took(begun.elapsed());
            }
            None => {
                let late = late.unwrap_or_default();
                self.push(call, operation, Box::new(job), late, deadline)
                    .await?;
            }
        }
        let answer = match deadline {
            None => answered.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), answered)
                .await
                .map_err(|_| {
                    Error::new(
                        ErrorKind::DeadlineExceeded,
                        "the time limit of the call has passed",
                    )
                })?,
        };
        let (result, turn, queued) = answer
            .map_err(|_| Error::new(ErrorKind::Unavailable, "the server ended before the call"))?;
        record.queued(queued);
        if turn != Turn::Run {
            self.metrics.refuse(Refusal::Queue);
        }
        result
    }

    fn lane(&self, operation: Operation) -> &Lane {
        match operation.lane() {
            LaneOf::Read => &self.read,
            LaneOf::Write => &self.write,
            LaneOf::Admin => &self.admin,
            LaneOf::Compact => &self.compact,
        }
    }

    /// The caller's, but not beyond the server's; long operations have the caller's alone.
    pub(crate) fn deadline(&self, call: &Call, operation: Operation) -> Option<Instant> {
        if operation.is_long() {
            return call.deadline;
        }
        let timeout = Duration::from_millis(self.timeout_ms.load(Ordering::Relaxed));
        let latest = call.received.checked_add(timeout);
        match (call.deadline, latest) {
            (Some(own), Some(latest)) => Some(own.min(latest)),
            (own, latest) => own.or(latest),
        }
    }

    fn enter(&self, phase: Phase) {
        let state = phase.state();
        self.phase.store(Arc::new(phase));
        self.changes.send_replace(state);
    }

    fn set_limits(&self, limits: &Limits) {
        let wait_max = Duration::from_millis(limits.queue_wait_ms_max);
        self.read
            .set_limits(limits.search_queue_max, Some(wait_max));
        self.write.set_limits(limits.write_queue_max, None);
        self.memory.set_limit(limits.memory_bytes_max);
        self.timeout_ms.store(limits.timeout_ms, Ordering::Relaxed);
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// "There is no such collection" without the names of those there are, for a caller who may not see all of them.
fn without_names(error: Error, backend: &dyn Backend, caller: &Caller, collection: &str) -> Error {
    let tells_names = error.kind() == ErrorKind::NotFound
        && !collection.is_empty()
        && !caller.may_everywhere(Access::Read)
        && backend
            .collection(collection)
            .is_err_and(|error| error.kind() == ErrorKind::NotFound);
    match tells_names {
        true => Error::new(
            ErrorKind::NotFound,
            format!("no collection is named {collection:?}"),
        ),
        false => error,
    }
}

/// Stops the work of a call whose future is dropped.
struct StopOnDrop(StopSignal);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
