//! Latencies of single searches.

use std::time::Duration;

use serde_json::{Value, json};

/// Durations in the order they were measured.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Takes those of another part.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Count, quantiles and the longest, in microseconds.
    pub(crate) fn summary(mut self) -> Value {
        self.0.sort_unstable();
        let at = |share: f64| {
            let last = self.0.len().saturating_sub(1);
            self.0
                .get((last as f64 * share).round() as usize)
                .map(|time| time.as_secs_f64() * 1e6)
        };
        json!({
            "count": self.0.len(),
            "p50_us": at(0.5),
            "p90_us": at(0.9),
            "p99_us": at(0.99),
            "p999_us": at(0.999),
            "max_us": at(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let mut latencies = Latencies::default();
        (1..=101)
            .rev()
            .for_each(|us| latencies.push(Duration::from_micros(us)));
        let summary = latencies.summary();
        assert_eq!(summary["count"], 101);
        assert!((summary["p50_us"].as_f64().unwrap() - 51.0).abs() < 1e-6);
        assert!((summary["max_us"].as_f64().unwrap() - 101.0).abs() < 1e-6);
        assert!(Latencies::default().summary()["p50_us"].is_null());
    }
}
