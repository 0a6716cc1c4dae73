//! k-means over the base vectors.

use std::path::Path;

use serde_json::json;
use vecdb_index::BuildOptions;
use vecdb_index::kmeans::{KMeansParams, Seeding, train};

use crate::Outcome;
use crate::rows::Rows;

/// Learns from all vectors, from random starts, in exactly so many iterations. `out` receives the centroids: float32,
/// one after the other.
pub(crate) fn cluster(
    base: &Rows,
    (clusters, iterations): (usize, u32),
    (threads, seed): (usize, u64),
    out: &Path,
) -> Outcome {
    let options = BuildOptions {
        threads,
        ..BuildOptions::default()
    };
    let params = KMeansParams {
        iterations,
        tolerance: 0.0,
        seeding: Seeding::Random,
        seed,
        ..KMeansParams::new(clusters)
    };
    let learned = train(base.dim, base.values.to_vec(), &params, &options)?;
    std::fs::write(out, bytemuck::cast_slice(learned.centroids.values()))?;
    Ok(
        json!({ "iterations": learned.report.objectives.len(), "repaired": learned.report.repaired }),
    )
}
