//! One record per call, however it ends: with an answer, with an error, or because the caller went away.

use std::time::Duration;

use vecdb_engine::{Error, ErrorKind, Result};

use super::{Call, Operation};
use crate::auth::Caller;
use crate::observe::{Ended, Recorder};

/// A call that is to be written down when it ends; dropping it without an end means that the caller went away.
pub(super) struct Record<'a> {
    recorder: &'a Recorder,
    call: &'a Call,
    operation: Operation,
    collection: &'a str,
    caller: Option<Caller>,
    queued: Duration,
    written: bool,
}

impl<'a> Record<'a> {
    pub(super) fn new(
        recorder: &'a Recorder,
        call: &'a Call,
        operation: Operation,
        collection: &'a str,
    ) -> Self {
        Self {
            recorder,
            call,
            operation,
            collection,
            caller: None,
            queued: Duration::ZERO,
            written: false,
        }
    }

    /// The caller is known and may do it.
    pub(super) fn allowed(&mut self, caller: Caller) {
        self.caller = Some(caller);
    }

    /// How long the call waited for a thread.
    pub(super) fn queued(&mut self, queued: Duration) {
        self.queued = queued;
    }

    pub(super) fn finish<T>(mut self, result: &Result<T>) {
        self.write(result.as_ref().err());
    }

    pub(super) fn refused(mut self, error: &Error) {
        self.write(Some(error));
    }

    fn write(&mut self, error: Option<&Error>) {
        self.written = true;
        self.recorder.record(&Ended {
            call: self.call,
            operation: self.operation,
            collection: self.collection,
            caller: self.caller.as_ref(),
            error,
            queued: self.queued,
        });
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if !self.written {
            let error = Error::new(ErrorKind::Cancelled, "the caller went away");
            self.write(Some(&error));
        }
    }
}
