//! Ending a call from outside: the calls that a thread makes inside of [`Stop::run`] end when [`Stop::stop`] is called,
//! and those of the main thread that may take long, when it is interrupted.

use std::cell::RefCell;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use vecdb_engine::{Error, ErrorKind, Result, StopSignal};

/// How often a call of the main thread looks for an interrupt.
const INTERRUPT_CHECK: Duration = Duration::from_millis(20);

thread_local! {
    /// What may end the calls of this thread.
    static CURRENT: RefCell<Option<StopSignal>> = RefCell::default();
}

/// Ends the calls that run under it.
#[pyclass(frozen, module = "vecdb._vecdb")]
pub(crate) struct Stop {
    signal: StopSignal,
}

#[pymethods]
impl Stop {
    #[new]
    fn new() -> Self {
        Self {
            signal: StopSignal::new(),
        }
    }

    /// Calls `work`, all of whose database calls in this thread can be ended.
    fn run<'py>(&self, work: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let outer = CURRENT.replace(Some(self.signal.clone()));
        let outcome = work.call0();
        CURRENT.set(outer);
        outcome
    }

    /// Ends them with `CancelledError`, and those that are made from now on.
    fn stop(&self) {
        self.signal.stop();
    }
}

/// The signal of a call that this thread begins now and that may take as long as `limit`.
pub(crate) fn signal(limit: Option<Duration>) -> StopSignal {
    // Where there is none, not the default, which nothing stops.
    let signal = CURRENT.with_borrow(|current| match current {
        Some(signal) => signal.clone(),
        None => StopSignal::new(),
    });
    match limit.and_then(|limit| Instant::now().checked_add(limit)) {
        Some(end) => signal.with_deadline(end),
        None => signal,
    }
}

/// Does `work` without the interpreter lock. Of an interrupt (Ctrl-C) only the main thread hears, and only while it runs
/// Python code: there another thread does the work meanwhile, which an interrupt ends by `stop`. Whatever the handler of
/// the interrupt does, it finds no lock of a database held by its own thread.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    stop: &StopSignal,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<Result<T>> {
    if !is_main_thread(py)? {
        return Ok(py.detach(work));
    }
    py.detach(|| {
        thread::scope(|scope| {
            let (done, ended) = channel::<()>();
            let worker = thread::Builder::new().spawn_scoped(scope, move || {
                // Dropped at the end, however that comes.
                let _done = done;
                work()
            });
            let worker = match worker {
                Ok(worker) => worker,
                Err(error) => {
                    let message = format!("cannot start a thread: {error}");
                    return Ok(Err(Error::new(ErrorKind::ResourceExhausted, message)));
                }
            };
            let mut interrupt = None;
            while ended.recv_timeout(INTERRUPT_CHECK) == Err(RecvTimeoutError::Timeout) {
                if let Err(raised) = Python::attach(|py| py.check_signals()) {
                    stop.stop();
                    interrupt.get_or_insert(raised);
                }
            }
            let outcome = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            interrupt.map_or(Ok(outcome), Err)
        })
    })
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import(intern!(py, "threading"))?;
    let current = threading.call_method0(intern!(py, "current_thread"))?;
    Ok(current.is(&threading.call_method0(intern!(py, "main_thread"))?))
}
