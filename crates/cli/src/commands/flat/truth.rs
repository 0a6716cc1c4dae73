//! Recall against a truth file while the dataset streams by.

use std::collections::BTreeMap;
use std::path::Path;

use vecdb_engine::Metric;
use vecdb_vector::{Kernels, Neighbor, Query, RowId, Scorer, VectorRows};

use crate::failure::{Failure, Outcome};
use crate::measure::{Truth, mean_recall};

/// True neighbours whose distances are still to be measured when the pass comes to their rows.
pub(super) struct WantedTruth {
    /// Row to the queries that have it among their k.
    rows: BTreeMap<u32, Vec<usize>>,
    kth: Vec<(f32, usize)>,
}

impl WantedTruth {
    pub(super) fn new(lists: Vec<Vec<u32>>, k: usize) -> Self {
        let mut rows: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut kth = Vec::with_capacity(lists.len());
        for (query, list) in lists.iter().enumerate() {
            kth.push((f32::NEG_INFINITY, list.len().min(k)));
            for &row in list.iter().take(k) {
                rows.entry(row).or_default().push(query);
            }
        }
        Self { rows, kth }
    }

    pub(super) fn chunk(
        &mut self,
        kernels: Kernels,
        queries: &[Query],
        metric: Metric,
        first: u32,
        rows: VectorRows<'_>,
    ) {
        let later = self.rows.split_off(&first.saturating_add(rows.len()));
        for (row, of) in std::mem::replace(&mut self.rows, later) {
            for at in of {
                if let (Some(query), Some((farthest, _))) = (queries.get(at), self.kth.get_mut(at))
                {
                    let rank = Scorer::new(kernels, query, rows).score(RowId(row - first));
                    *farthest = farthest.max(metric.distance(rank));
                }
            }
        }
    }

    pub(super) fn recall(
        self,
        path: Option<&Path>,
        rows: u64,
        hits: &[Vec<Neighbor>],
        metric: Metric,
    ) -> Outcome<f64> {
        if let Some((row, _)) = self.rows.first_key_value() {
            let path = path.unwrap_or(Path::new("ground truth")).display();
            return Err(Failure::usage(format!(
                "{path} names row {row} as a neighbour, but the dataset has {rows} rows"
            )));
        }
        Ok(mean_recall(
            hits,
            &Truth {
                kth: self.kth,
                computed_seconds: None,
            },
            metric,
        ))
    }
}
