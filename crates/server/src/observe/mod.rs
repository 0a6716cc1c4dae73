//! What the server says about itself: metrics, logs, audit, slow queries, traces.
//!
//! ```text
//! metrics/   numbers for Prometheus
//! logs       lines for people or programs, on stderr
//! audit      administrative acts, one JSON object a line
//! recorder   what is written down when a call has ended: all of the above, and its span
//! traces     spans for an OpenTelemetry collector
//! ```
//! Invariants: nothing here holds a vector, metadata or a secret; recording a call costs about a microsecond and
//! never waits for a collector or a scrape; labels are bounded by what exists.

mod audit;
mod logs;
mod metrics;
mod recorder;
#[cfg(test)]
mod tests;
mod traces;

pub use audit::Audit;
pub use logs::{Logs, check_level, init};
pub use metrics::{CONTENT_TYPE, Metrics, OpenConnection, Refusal};
pub use recorder::{Ended, Recorder};
pub use traces::Traces;
