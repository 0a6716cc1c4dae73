//! How many of the true nearest neighbours a search found.
//!
//! Recall is counted by distance: a hit is a result no farther than the k-th true neighbour, plus a small
//! tolerance. Integer data has many equal distances, so row numbers alone would call good answers wrong.

use std::collections::HashSet;

use vecdb_dataset::Vectors;
use vecdb_vector::{
    Kernels, Metric, Neighbor, Query, RowId, TopK, VectorRows, inverse_norm, scan, scan_batch,
};

/// Covers the difference between 32-bit kernels and a 64-bit truth.
pub const TOLERANCE: f32 = 1e-4;

/// Share of the `k` true neighbours that a search found, 0 to 1. Distances are as reported to users,
/// ascending. Where fewer than `k` rows exist, all of them are the truth; no truth at all counts as 1.
pub fn recall_at_k(found: &[f32], truth: &[f32], k: usize, tolerance: f32) -> f64 {
    let expected = k.min(truth.len());
    let Some(farthest) = expected.checked_sub(1).map(|last| truth[last]) else {
        return 1.0;
    };
    let hits = found
        .iter()
        .take(expected)
        .filter(|&&distance| distance <= farthest + tolerance)
        .count();
    hits as f64 / expected as f64
}

/// Mean [`recall_at_k`] over queries. A row that comes twice in one answer counts once.
///
/// # Panics
/// If there are more or fewer answers than truths.
pub fn mean_recall(
    found: &[Vec<Neighbor>],
    truth: &[Vec<Neighbor>],
    k: usize,
    tolerance: f32,
) -> f64 {
    assert_eq!(found.len(), truth.len(), "one answer for each query");
    if truth.is_empty() {
        return 1.0;
    }
    let of_query = |(found, truth): (&Vec<Neighbor>, &Vec<Neighbor>)| {
        let mut seen = HashSet::new();
        let distinct: Vec<f32> = found
            .iter()
            .filter(|hit| seen.insert(hit.row))
            .map(|hit| hit.distance)
            .collect();
        let truth: Vec<f32> = truth.iter().map(|hit| hit.distance).collect();
        recall_at_k(&distinct, &truth, k, tolerance)
    };
    found.iter().zip(truth).map(of_query).sum::<f64>() / truth.len() as f64
}

/// The `k` nearest rows of every query by exact search, nearest first, with reported distances.
///
/// # Panics
/// If the metric does not go with the vectors, or a query is of another dimension.
pub fn ground_truth(
    metric: Metric,
    queries: &Vectors,
    base: &Vectors,
    k: usize,
) -> Vec<Vec<Neighbor>> {
    let base_norms = inverse_norms(metric, base);
    let rows = with_norms(base, &base_norms);
    let mut answers = if queries.info.element == base.info.element {
        let query_norms = inverse_norms(metric, queries);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let queries = with_norms(queries, &query_norms);
        scan_batch(Kernels::detect(), metric, queries, rows, None, k, threads)
    } else {
        scan_each(metric, queries, rows, k)
    };
    for hit in answers.iter_mut().flatten() {
        hit.distance = metric.distance(hit.distance);
    }
    answers
}

/// Queries of another element type than the rows, such as f32 queries against f16 rows.
fn scan_each(metric: Metric, queries: &Vectors, rows: VectorRows, k: usize) -> Vec<Vec<Neighbor>> {
    let queries = queries.as_rows();
    let mut values = vec![0.0; queries.dim()];
    (0..queries.len())
        .map(|number| {
            queries.to_f32(RowId(number), &mut values);
            let query = Query::new(metric, rows.element(), rows.dim(), &values)
                .unwrap_or_else(|error| panic!("query {number}: {error}"));
            let mut nearest = TopK::new(k);
            scan(Kernels::detect(), &query, rows, None, &mut nearest);
            nearest.into_sorted_vec()
        })
        .collect()
}

/// One for each row under metrics that need them, else none.
pub fn inverse_norms(metric: Metric, vectors: &Vectors) -> Vec<f32> {
    if !metric.needs_norms() {
        return Vec::new();
    }
    let rows = vectors.as_rows();
    (0..rows.len())
        .map(|row| inverse_norm(rows.element(), rows.dim(), rows.row_bytes(RowId(row))))
        .collect()
}

/// The rows with the norms of [`inverse_norms`].
///
/// # Panics
/// If the norms belong to other vectors.
pub fn with_norms<'a>(vectors: &'a Vectors, norms: &'a [f32]) -> VectorRows<'a> {
    match norms {
        [] => vectors.as_rows(),
        _ => vectors
            .as_rows()
            .with_inverse_norms(norms)
            .unwrap_or_else(|error| panic!("{}: {error}", vectors.info.source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vecdb_dataset::VectorInfo;
    use vecdb_vector::ElementType;

    fn hits(of: &[(f32, u32)]) -> Vec<Neighbor> {
        of.iter()
            .map(|&(distance, row)| Neighbor {
                distance,
                row: RowId(row),
            })
            .collect()
    }

    #[test]
    fn counts_by_distance() {
        let truth = [1.0, 2.0, 2.0, 3.0];
        assert_eq!(recall_at_k(&[1.0, 2.0], &truth, 2, 0.0), 1.0);
        assert_eq!(recall_at_k(&[1.0, 2.5], &truth, 2, 0.0), 0.5);
        assert_eq!(recall_at_k(&[1.0, 2.5], &truth, 2, 0.5), 1.0);
        assert_eq!(recall_at_k(&[1.0], &truth, 4, 0.0), 0.25);
        assert_eq!(recall_at_k(&[], &[], 10, 0.0), 1.0);
        assert_eq!(
            recall_at_k(&[1.0], &[1.0], 10, 0.0),
            1.0,
            "only one row exists"
        );
    }

    #[test]
    fn a_repeated_row_counts_once() {
        let truth = vec![hits(&[(1.0, 0), (1.0, 1)])];
        let found = vec![hits(&[(1.0, 0), (1.0, 0)])];
        assert_eq!(mean_recall(&found, &truth, 2, 0.0), 0.5);
    }

    #[test]
    fn truth_is_in_reported_distances() {
        let vectors = |values: &[f32]| Vectors {
            info: VectorInfo {
                rows: Some(values.len() as u64 / 2),
                dim: 2,
                element: ElementType::F32,
                source: "test".to_owned(),
            },
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        };
        let base = vectors(&[3.0, 4.0, 1.0, 0.0, 0.0, 2.0]);
        let found = ground_truth(Metric::L2, &vectors(&[0.0, 0.0]), &base, 2);
        assert_eq!(
            found,
            vec![hits(&[(1.0, 1), (2.0, 2)])],
            "the root is taken"
        );
        let found = ground_truth(Metric::Cosine, &vectors(&[10.0, 0.0]), &base, 2);
        let rows: Vec<u32> = found[0].iter().map(|hit| hit.row.0).collect();
        assert_eq!(rows, [1, 0]);
        assert!((found[0][1].distance - 0.4).abs() < 1e-6, "{:?}", found[0]);
    }
}
