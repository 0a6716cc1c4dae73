//! Exact search of all queries at once.

use std::path::Path;

use serde_json::json;
use vecdb_engine::Metric;
use vecdb_vector::{Kernels, scan_batch};

use crate::Outcome;
use crate::ids::Ids;
use crate::rows::Rows;

/// Finds the `k` nearest rows of every query with `threads` threads.
pub(crate) fn search(
    base: &Rows,
    queries: &Rows,
    metric: Metric,
    k: usize,
    threads: usize,
    out: &Path,
) -> Outcome {
    let found = scan_batch(
        Kernels::detect(),
        metric,
        queries.view()?,
        base.view()?,
        None,
        k,
        threads,
    );
    let mut ids = Ids::new(k, found.len());
    found.iter().for_each(|hits| ids.push_neighbors(hits));
    ids.write(out)?;
    Ok(json!({
        "queries": found.len(),
        "distance_computations": found.len() as u64 * base.len() as u64,
    }))
}
