//! What the right answers are, and how many of them were found.
//!
//! Recall is counted by distance: a hit is right if it is no farther than the k-th true neighbour, so that of equally
//! near rows any will do.

use std::path::Path;
use std::time::Instant;

use vecdb_dataset::read_ids;
use vecdb_engine::Metric;
use vecdb_vector::{Kernels, Neighbor, RowId, Scorer, TopK, VectorRows, scan, scan_batch};

use super::Queries;
use crate::failure::{Failure, Outcome};

/// Truth is computed for at most this many queries.
pub(crate) const QUERIES_COMPUTED: usize = 1_000;

/// For each query the distance of its k-th true neighbour and how many true neighbours there are (k, or all rows).
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) kth: Vec<(f32, usize)>,
    /// Seconds spent on computing it; `None` when it came from a file.
    pub(crate) computed_seconds: Option<f64>,
}

impl Truth {
    /// The ids of a truth file, one list per query, checked against the rows there are.
    pub(crate) fn read(path: &Path, queries: &Queries, rows: u64) -> Outcome<Vec<Vec<u32>>> {
        let shown = path.display();
        let mut lists = read_ids(path)?;
        let needed = queries.row_in_file(queries.len());
        if lists.len() < needed {
            return Err(Failure::usage(format!(
                "{shown} has the neighbours of {} queries, but {needed} are asked for; use --limit-queries {}",
                lists.len(),
                lists.len()
            )));
        }
        lists.truncate(needed);
        lists.drain(..queries.row_in_file(0));
        for (at, list) in lists.iter().enumerate() {
            if let Some(row) = list.iter().find(|&&row| u64::from(row) >= rows) {
                return Err(Failure::usage(format!(
                    "{shown}: query {} has row {row} as a neighbour, but the dataset has {rows} rows",
                    queries.row_in_file(at)
                )));
            }
        }
        Ok(lists)
    }

    /// Truth from a file, over rows in memory.
    pub(crate) fn from_file(
        path: &Path,
        kernels: Kernels,
        queries: &Queries,
        rows: VectorRows<'_>,
        metric: Metric,
        k: usize,
    ) -> Outcome<Self> {
        let lists = Self::read(path, queries, u64::from(rows.len()))?;
        let kth = lists.iter().zip(queries.all()).map(|(list, query)| {
            let right = list.len().min(k);
            let scorer = Scorer::new(kernels, query, rows);
            let distances = list
                .iter()
                .take(right)
                .map(|&row| metric.distance(scorer.score(RowId(row))));
            (distances.fold(f32::NEG_INFINITY, f32::max), right)
        });
        Ok(Self {
            kth: kth.collect(),
            computed_seconds: None,
        })
    }

    /// Truth by exact search.
    pub(crate) fn compute(
        kernels: Kernels,
        queries: &Queries,
        rows: VectorRows<'_>,
        metric: Metric,
        k: usize,
        threads: usize,
    ) -> Self {
        let started = Instant::now();
        let hits = exact(kernels, queries, rows, metric, k, threads);
        Self::of_hits(&hits, metric).with_seconds(started.elapsed().as_secs_f64())
    }

    /// Truth from exact hits with rank values.
    pub(crate) fn of_hits(hits: &[Vec<Neighbor>], metric: Metric) -> Self {
        let of = |hits: &Vec<Neighbor>| {
            (
                hits.last()
                    .map_or(f32::NEG_INFINITY, |hit| metric.distance(hit.distance)),
                hits.len(),
            )
        };
        Self {
            kth: hits.iter().map(of).collect(),
            computed_seconds: None,
        }
    }

    fn with_seconds(self, seconds: f64) -> Self {
        Self {
            computed_seconds: Some(seconds),
            ..self
        }
    }
}

/// The exact `k` nearest rows of every query, with rank values: as a blocked product where queries and rows have the
/// same element type, else query by query.
pub(crate) fn exact(
    kernels: Kernels,
    queries: &Queries,
    rows: VectorRows<'_>,
    metric: Metric,
    k: usize,
    threads: usize,
) -> Vec<Vec<Neighbor>> {
    if let Some(query_rows) = queries.as_rows(rows.element()) {
        return scan_batch(kernels, metric, query_rows, rows, None, k, threads);
    }
    let mut hits: Vec<Vec<Neighbor>> = vec![Vec::new(); queries.len()];
    let block = queries.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        for (queries, hits) in queries.all().chunks(block).zip(hits.chunks_mut(block)) {
            scope.spawn(move || {
                for (query, hits) in queries.iter().zip(hits) {
                    let mut top = TopK::new(k);
                    scan(kernels, query, rows, None, &mut top);
                    *hits = top.into_sorted_vec();
                }
            });
        }
    });
    hits
}

/// The share of the `right` true neighbours among the `distances` found, the farthest true one at `kth`.
pub(crate) fn recall(distances: impl Iterator<Item = f32>, (kth, right): (f32, usize)) -> f64 {
    if right == 0 {
        return 1.0;
    }
    // Kernels add in another order than whoever made the truth.
    let limit = kth + (kth.abs() * 1e-4).max(1e-6);
    let found = distances.filter(|distance| *distance <= limit).count();
    found.min(right) as f64 / right as f64
}

/// Mean recall of hits with rank values.
pub(crate) fn mean_recall(hits: &[Vec<Neighbor>], truth: &Truth, metric: Metric) -> f64 {
    let of = |(hits, kth): (&Vec<Neighbor>, &(f32, usize))| {
        recall(hits.iter().map(|hit| metric.distance(hit.distance)), *kth)
    };
    let sum: f64 = hits.iter().zip(&truth.kth).map(of).sum();
    // A mean of tenths is not to end in 0.9960000000000001.
    (sum / hits.len().max(1) as f64 * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_counts_by_distance() {
        let truth = (2.0, 3);
        assert_eq!(recall([1.0, 1.5, 2.0].into_iter(), truth), 1.0);
        assert_eq!(recall([1.0, 2.0, 2.5].into_iter(), truth), 2.0 / 3.0);
        // Ties: more rows as near as the third do not count more than once each.
        assert_eq!(recall([2.0, 2.0, 2.0, 2.0].into_iter(), truth), 1.0);
        assert_eq!(recall(std::iter::empty(), truth), 0.0);
        assert_eq!(recall(std::iter::empty(), (0.0, 0)), 1.0);
        assert_eq!(recall([-5.0, -4.0].into_iter(), (-4.0, 2)), 1.0);
    }
}
