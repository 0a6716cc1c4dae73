//! Latencies of many queries.

use std::time::Duration;

use serde::Serialize;

/// One time per query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

/// What is reported of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LatencySummary {
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Microseconds with the three decimals that a clock of nanoseconds gives.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

impl Latencies {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn total(&self) -> Duration {
        self.0.iter().sum()
    }

    pub(crate) fn summary(mut self) -> LatencySummary {
        self.0.sort_unstable();
        let count = self.0.len();
        // Nearest rank: the smallest time that this share of the queries does not exceed.
        let rank = |share: f64| {
            let at = (share * count as f64).ceil().max(1.0) as usize - 1;
            self.0
                .get(at.min(count.saturating_sub(1)))
                .copied()
                .map_or(0.0, micros)
        };
        LatencySummary {
            mean_us: self.0.iter().copied().map(micros).sum::<f64>() / count.max(1) as f64,
            p50_us: rank(0.5),
            p99_us: rank(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut all = Latencies::default();
        assert_eq!(all.clone().summary(), LatencySummary::default());
        (1..=100)
            .rev()
            .for_each(|us| all.push(Duration::from_micros(us)));
        let summary = all.summary();
        assert!((summary.p50_us - 50.0).abs() < 1e-6, "{summary:?}");
        assert!((summary.p99_us - 99.0).abs() < 1e-6, "{summary:?}");
        assert!((summary.mean_us - 50.5).abs() < 1e-6, "{summary:?}");
    }
}
