//! Numbers for Prometheus. `docs/operations.md` says what each means.
//!
//! Series by collection live exactly as long as they are of use: those of calls begin with the first call that succeeds
//! and end with the collection, those of its contents are those of the last look at the database. So neither a name that
//! does not exist nor a collection that is gone has any.

mod calls;
mod contents;
#[cfg(test)]
mod queries;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use vecdb_engine::{ErrorKind, Overview};

use self::calls::Calls;
use self::contents::Contents;
use crate::gateway::{Face, LaneLoad, Operation};

/// The `content-type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Seconds. Searches take tenths of milliseconds, a search under load tens of milliseconds, compactions minutes.
const BUCKETS: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 120.0,
];

/// All metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    started: Instant,
    calls: Arc<Calls>,
    contents: Arc<Contents>,
    collections: Gauge,
    broken: Gauge,
    archive_waiting: Gauge,
    archive_failures: Gauge,
    search_latency: Histogram,
    insert_latency: Histogram,
    refused: Family<RefusedLabels, Counter>,
    queued: Family<LaneLabels, Gauge>,
    running: Family<LaneLabels, Gauge>,
    memory: Gauge,
    memory_max: Gauge,
    connections: Gauge,
    uptime: Gauge<f64, AtomicU64>,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Memory is used up.
    Memory,
    /// The queue of a lane is full, or the call waited in it for too long.
    Queue,
    /// The caller is not known or lacks a right.
    Rights,
    /// The server is starting or ending.
    NotServing,
    /// There are as many connections as there may be.
    Connections,
    /// The disk is full.
    Disk,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: Refusal,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("vecdb"),
            started: Instant::now(),
            calls: Arc::default(),
            contents: Arc::default(),
            collections: Gauge::default(),
            broken: Gauge::default(),
            archive_waiting: Gauge::default(),
            archive_failures: Gauge::default(),
            search_latency: latency(),
            insert_latency: latency(),
            refused: Family::default(),
            queued: Family::default(),
            running: Family::default(),
            memory: Gauge::default(),
            memory_max: Gauge::default(),
            connections: Gauge::default(),
            uptime: Gauge::default(),
        };
        metrics.register();
        for reason in Refusal::ALL {
            // A counter that begins at zero shows its first increase.
            let _ = metrics.refused.get_or_create(&RefusedLabels { reason });
        }
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The software", Info::new(version));
        registry.register(
            "uptime_seconds",
            "Time since the start",
            self.uptime.clone(),
        );
        registry.register(
            "search_latency_seconds",
            "Time of searches that succeeded, from the arrival of the request",
            self.search_latency.clone(),
        );
        registry.register(
            "insert_latency_seconds",
            "Time of upserts that succeeded, from the arrival of the request",
            self.insert_latency.clone(),
        );
        registry.register_collector(Box::new(self.calls.clone()));
        registry.register_collector(Box::new(self.contents.clone()));
        registry.register(
            "collections",
            "Collections that serve",
            self.collections.clone(),
        );
        registry.register(
            "collections_broken",
            "Collections that could not be opened",
            self.broken.clone(),
        );
        registry.register(
            "archive_waiting_bytes",
            "Bytes of the log that are not archived yet; 0 without an archive",
            self.archive_waiting.clone(),
        );
        registry.register(
            "archive_failures",
            "Attempts in a row to archive the log that failed",
            self.archive_failures.clone(),
        );
        registry.register(
            "refused",
            "Calls and connections that were refused before they reached the database",
            self.refused.clone(),
        );
        registry.register(
            "queue_depth",
            "Calls that wait for a thread",
            self.queued.clone(),
        );
        registry.register(
            "running_calls",
            "Calls that a thread works on",
            self.running.clone(),
        );
        registry.register(
            "memory_bytes",
            "Resident memory of the process that no file backs",
            self.memory.clone(),
        );
        registry.register(
            "memory_limit_bytes",
            "Memory the process may use; 0 if it is not limited",
            self.memory_max.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
    }

    /// Counts a call that has ended and, if it succeeded, its time. `outcome` is the kind of its error.
    pub fn record(
        &self,
        operation: Operation,
        collection: &str,
        face: Face,
        outcome: Option<ErrorKind>,
        elapsed: Duration,
    ) {
        if outcome.is_none() {
            match operation {
                Operation::Search | Operation::SearchBatch => {
                    self.search_latency.observe(elapsed.as_secs_f64());
                }
                Operation::Upsert => self.insert_latency.observe(elapsed.as_secs_f64()),
                _ => {}
            }
        }
        self.calls
            .record(operation, collection, face, outcome, elapsed);
        if operation == Operation::DropCollection && outcome.is_none() {
            self.contents.forget(collection);
        }
    }

    /// Counts something that was refused.
    pub fn refuse(&self, reason: Refusal) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// A connection was opened; it counts until the guard is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// Takes over what the database looks like now: its collections as far as they are open, and its archive.
    pub fn observe_database(&self, overview: &Overview) {
        let collections = &overview.open;
        self.collections.set(as_gauge(collections.len() as u64));
        self.broken.set(as_gauge(overview.broken));
        let archive = overview.archive.as_ref();
        self.archive_waiting
            .set(as_gauge(archive.map_or(0, |archive| archive.waiting_bytes)));
        self.archive_failures
            .set(as_gauge(archive.map_or(0, |archive| archive.failures)));
        self.contents.replace(collections);
        self.calls
            .retain(|name| collections.iter().any(|collection| collection.name == name));
    }

    /// Takes over how busy the threads are.
    pub fn observe_load(&self, lanes: &[LaneLoad]) {
        for load in lanes {
            let labels = LaneLabels { lane: load.lane };
            self.queued
                .get_or_create(&labels)
                .set(as_gauge(load.queued as u64));
            self.running
                .get_or_create(&labels)
                .set(as_gauge(load.running as u64));
        }
    }

    /// Takes over how much memory is used.
    pub fn observe_memory(&self, bytes: u64, bytes_max: Option<u64>) {
        self.memory.set(as_gauge(bytes));
        self.memory_max.set(as_gauge(bytes_max.unwrap_or(0)));
    }

    /// Everything in the text format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        self.uptime.set(self.started.elapsed().as_secs_f64());
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

/// An open connection, for as long as it lives.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Refusal {
    const ALL: [Refusal; 6] = [
        Refusal::Memory,
        Refusal::Queue,
        Refusal::Rights,
        Refusal::NotServing,
        Refusal::Connections,
        Refusal::Disk,
    ];

    fn name(self) -> &'static str {
        match self {
            Refusal::Memory => "memory",
            Refusal::Queue => "queue",
            Refusal::Rights => "rights",
            Refusal::NotServing => "not_serving",
            Refusal::Connections => "connections",
            Refusal::Disk => "disk",
        }
    }
}

impl EncodeLabelValue for Refusal {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}

fn latency() -> Histogram {
    Histogram::new(BUCKETS)
}

fn as_gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
