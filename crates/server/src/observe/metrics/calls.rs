//! Counts and times of calls by operation, collection and face.
//!
//! A call finds its counters with two loads and one look-up by name; nothing is allocated once they exist.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::histogram::Histogram;
use vecdb_engine::ErrorKind;

use super::latency;
use crate::gateway::{Face, Operation};

/// Further collections share the series without a name: each one costs up to 40 histograms.
const COLLECTIONS_MAX: usize = 1_000;

/// Counters of every collection that has had a call.
pub(super) struct Calls {
    /// Calls on no collection, on one that does not exist, or on one too many.
    unnamed: Series,
    named: ArcSwap<HashMap<String, Arc<Series>>>,
    /// Held while `named` is replaced.
    changing: Mutex<()>,
}

/// The counters of one collection.
struct Series(Box<[OnceLock<Counters>]>);

struct Counters {
    latency: Histogram,
    /// Successes first, then each kind of error.
    outcomes: Box<[AtomicU64]>,
}

const FACES: [(Face, &str); 2] = [(Face::Grpc, "grpc"), (Face::Http, "http")];

impl Default for Calls {
    fn default() -> Self {
        Self {
            unnamed: Series::new(),
            named: ArcSwap::default(),
            changing: Mutex::default(),
        }
    }
}

impl Calls {
    pub(super) fn record(
        &self,
        operation: Operation,
        collection: &str,
        face: Face,
        outcome: Option<ErrorKind>,
        elapsed: Duration,
    ) {
        let dropped = operation == Operation::DropCollection && outcome.is_none();
        if dropped {
            self.retain(|name| name != collection);
        }
        let named = self.named.load();
        let begun;
        let series = match named.get(collection) {
            Some(series) => series,
            // Only a call that succeeds proves that there is a collection of this name.
            None if outcome.is_none() && !dropped && !collection.is_empty() => {
                begun = self.begin(collection);
                begun.as_deref().unwrap_or(&self.unnamed)
            }
            None => &self.unnamed,
        };
        series.record(operation, face, outcome, elapsed);
    }

    /// Ends the series of collections whose name `keep` does not know.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        if self.named.load().keys().all(|name| keep(name)) {
            return;
        }
        let _changing = self.changing.lock();
        let mut named = HashMap::clone(&self.named.load());
        named.retain(|name, _| keep(name));
        self.named.store(Arc::new(named));
    }

    #[cold]
    fn begin(&self, collection: &str) -> Option<Arc<Series>> {
        let _changing = self.changing.lock();
        let now = self.named.load();
        if let Some(series) = now.get(collection) {
            return Some(series.clone());
        }
        if now.len() >= COLLECTIONS_MAX {
            return None;
        }
        let mut named = HashMap::clone(&now);
        let series = Arc::new(Series::new());
        named.insert(collection.to_owned(), series.clone());
        self.named.store(Arc::new(named));
        Some(series)
    }

    /// Calls `visit` with operation, collection, face and counters, in the order of the names.
    fn visit(
        &self,
        mut visit: impl FnMut([(&str, &str); 3], &Counters) -> fmt::Result,
    ) -> fmt::Result {
        let named = self.named.load();
        let mut all: Vec<(&str, &Series)> = named
            .iter()
            .map(|(name, series)| (name.as_str(), &**series))
            .collect();
        all.push(("", &self.unnamed));
        all.sort_unstable_by_key(|(name, _)| *name);
        for (collection, series) in all {
            for operation in Operation::ALL {
                for (face, face_name) in FACES {
                    if let Some(counters) = series.slot(operation, face).and_then(OnceLock::get) {
                        let labels = [
                            ("operation", operation.name()),
                            ("collection", collection),
                            ("face", face_name),
                        ];
                        visit(labels, counters)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Series {
    fn new() -> Self {
        let slots = Operation::ALL.len() * FACES.len();
        Self((0..slots).map(|_| OnceLock::new()).collect())
    }

    fn slot(&self, operation: Operation, face: Face) -> Option<&OnceLock<Counters>> {
        self.0.get(operation as usize * FACES.len() + face as usize)
    }

    fn record(
        &self,
        operation: Operation,
        face: Face,
        outcome: Option<ErrorKind>,
        elapsed: Duration,
    ) {
        let Some(slot) = self.slot(operation, face) else {
            return;
        };
        let counters = slot.get_or_init(Counters::new);
        if outcome.is_none() {
            counters.latency.observe(elapsed.as_secs_f64());
        }
        let at = outcome.map_or(0, |kind| 1 + kind as usize);
        if let Some(count) = counters.outcomes.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counters {
    fn new() -> Self {
        let outcomes = 1 + ErrorKind::all().count();
        Self {
            latency: latency(),
            outcomes: (0..outcomes).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "operations",
            "Calls that have ended, by outcome: ok or the kind of error",
            None,
            MetricType::Counter,
        )?;
        self.visit(|[operation, collection, face], counters| {
            let names = std::iter::once("ok").chain(ErrorKind::all().map(ErrorKind::name));
            for (outcome, count) in names.zip(&counters.outcomes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let labels = [operation, collection, face, ("outcome", outcome)];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
            Ok(())
        })?;
        let mut family = encoder.encode_descriptor(
            "operation_latency_seconds",
            "Time of calls that succeeded, from the arrival of the request",
            None,
            MetricType::Histogram,
        )?;
        self.visit(|labels, counters| counters.latency.encode(family.encode_family(&labels)?))
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}
