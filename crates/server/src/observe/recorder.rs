//! What is written down when a call has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use vecdb_engine::{Error, ErrorKind, Result};

use super::{Audit, Metrics, Refusal, Traces};
use crate::auth::Caller;
use crate::config::{Config, Log};
use crate::gateway::{Access, Call, Operation};

/// Writes down every call: metrics, the audit of administrative acts and refusals, slow queries, spans.
#[derive(Debug)]
pub struct Recorder {
    metrics: Arc<Metrics>,
    audit: ArcSwap<Audit>,
    slow_query_ms: AtomicU64,
    traces: Traces,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The request.
    pub call: &'a Call,
    /// What it asked for.
    pub operation: Operation,
    /// On which collection; empty for the database as a whole.
    pub collection: &'a str,
    /// Who asked; `None` if that did not become known or the rights did not suffice.
    pub caller: Option<&'a Caller>,
    /// Why it failed, if it did.
    pub error: Option<&'a Error>,
    /// How much of its time it waited for a thread.
    pub queued: Duration,
}

impl Recorder {
    /// Opens the audit file and begins to send spans, where the settings say so.
    pub fn new(settings: &Config, metrics: Arc<Metrics>) -> Result<Self> {
        Ok(Self {
            metrics,
            audit: ArcSwap::from_pointee(Audit::new(&settings.log)?),
            slow_query_ms: AtomicU64::new(settings.log.slow_query_ms),
            traces: Traces::new(&settings.trace)?,
        })
    }

    /// Takes over the audit file (opened anew by the caller, so that it can be rotated) and the limit of slow queries.
    pub(crate) fn take_over(&self, audit: Audit, settings: &Log) {
        self.audit.store(Arc::new(audit));
        self.slow_query_ms
            .store(settings.slow_query_ms, Ordering::Relaxed);
    }

    /// Writes down one call.
    pub fn record(&self, ended: &Ended<'_>) {
        let Ended {
            call,
            operation,
            collection,
            ..
        } = *ended;
        let elapsed = call.received.elapsed();
        let outcome = ended.error.map(Error::kind);
        self.metrics
            .record(operation, collection, call.face, outcome, elapsed);
        let refused_rights = ended.caller.is_none()
            && matches!(
                outcome,
                Some(ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
            );
        if refused_rights {
            self.metrics.refuse(Refusal::Rights);
        }
        if refused_rights || operation.access() == Access::Admin {
            let audit = self.audit.load();
            audit.record(ended.caller, call, operation, collection, ended.error);
        }
        let slow_ms = self.slow_query_ms.load(Ordering::Relaxed);
        if slow_ms > 0
            && elapsed >= Duration::from_millis(slow_ms)
            && operation.access() != Access::Admin
            && !operation.is_long()
        {
            log_slow(ended, elapsed);
        }
        if ended.error.is_some_and(Error::is_disk_full) {
            self.metrics.refuse(Refusal::Disk);
        }
        if let Some(error) = ended.error.filter(|error| is_fault(error)) {
            tracing::error!(
                request_id = call.request_id,
                operation = operation.name(),
                collection,
                kind = error.kind().name(),
                %error,
                "a call failed"
            );
        }
        self.traces.record(ended, elapsed);
    }

    /// Sends the spans that wait, for at most `limit`.
    pub fn shutdown(&self, limit: Duration) {
        self.traces.shutdown(limit);
    }
}

/// Errors that an operator has to look at: the caller did nothing wrong.
fn is_fault(error: &Error) -> bool {
    let of_the_disk = matches!(
        error.kind(),
        ErrorKind::Corrupt | ErrorKind::Poisoned | ErrorKind::Io
    );
    of_the_disk || error.is_disk_full()
}

fn log_slow(ended: &Ended<'_>, elapsed: Duration) {
    let about = ended.call.about.details();
    tracing::warn!(
        target: "vecdb::slow",
        request_id = ended.call.request_id,
        operation = ended.operation.name(),
        collection = ended.collection,
        limit = about.and_then(|about| about.limit),
        ef = about.and_then(|about| about.ef),
        filter = about.and_then(|about| about.filter.as_deref()),
        searches = about.and_then(|about| about.searches),
        elapsed_ms = millis(elapsed),
        queued_ms = millis(ended.queued),
        outcome = ended.error.map_or("ok", |error| error.kind().name()),
        "slow call"
    );
}

/// Milliseconds to a hundredth.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
