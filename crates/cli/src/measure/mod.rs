//! Measuring search over vector files: rows in memory, queries, exact truth, recall, latencies, the naive loop.

mod latency;
mod naive;
mod process;
mod queries;
mod rows;
mod truth;

pub(crate) use latency::{Latencies, LatencySummary, micros};
pub(crate) use naive::NaiveLoop;
pub(crate) use process::{peak_rss_bytes, rss_bytes};
pub(crate) use queries::Queries;
pub(crate) use rows::{Rows, inverse_norms, search_shape, too_many};
pub(crate) use truth::{QUERIES_COMPUTED, Truth, exact, mean_recall, recall};
