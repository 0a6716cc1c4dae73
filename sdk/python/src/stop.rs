//! Ending a call from outside: the calls that a thread makes inside of [`Stop::run`] end when [`Stop::stop`] is called.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use vecdb_engine::StopSignal;

thread_local! {
    /// What may end the calls of this thread.
    static CURRENT: RefCell<StopSignal> = RefCell::default();
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
        let outer = CURRENT.replace(self.signal.clone());
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
    let signal = CURRENT.with_borrow(StopSignal::clone);
    match limit.and_then(|limit| Instant::now().checked_add(limit)) {
        Some(end) => signal.with_deadline(end),
        None => signal,
    }
}
