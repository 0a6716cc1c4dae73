//! Recall on real data at the default settings.

use vecdb_index::{Budget, BuildOptions, Hnsw, HnswParams, Scratch, SearchParams};
use vecdb_testkit::data::{Dataset, test_data};
use vecdb_testkit::recall::{TOLERANCE, inverse_norms, mean_recall, with_norms};
use vecdb_vector::{Neighbor, Query, RowId};

/// Recall@10 of a graph over all rows of the set.
fn recall(data: &Dataset) -> f64 {
    let norms = inverse_norms(data.metric, &data.base);
    let rows = with_norms(&data.base, &norms);
    let (params, options) = (HnswParams::default(), BuildOptions::default());
    let index = Hnsw::build(&params, data.metric, rows, &options).unwrap();
    let (search, budget) = (SearchParams::default(), Budget::UNLIMITED);
    let mut scratch = Scratch::new();
    let queries = data.queries.as_rows();
    let mut values = vec![0.0; queries.dim()];
    let mut found: Vec<Vec<Neighbor>> = Vec::new();
    for number in 0..queries.len().min(data.truth.len() as u32) {
        queries.to_f32(RowId(number), &mut values);
        let query = Query::new(data.metric, rows.element(), rows.dim(), &values).unwrap();
        let mut hits = Vec::new();
        use vecdb_index::AnnIndex as _;
        index
            .search(
                rows,
                &query,
                10,
                None,
                &search,
                &budget,
                &mut scratch,
                &mut hits,
            )
            .unwrap();
        for hit in &mut hits {
            hit.distance = data.metric.distance(hit.distance);
        }
        found.push(hits);
    }
    mean_recall(&found, &data.truth[..found.len()], 10, TOLERANCE)
}

#[test]
fn fashion_mnist_at_the_defaults() {
    let data = test_data().fashion_mnist(20_000);
    let recall = recall(&data);
    println!("{}: recall@10 {recall}", data.name);
    assert!(recall >= 0.97, "{}: recall@10 {recall}", data.name);
}

#[test]
fn debian_packages_at_the_defaults() {
    let data = test_data().debian(20_000);
    let recall = recall(&data);
    println!("{}: recall@10 {recall}", data.name);
    assert!(recall >= 0.95, "{}: recall@10 {recall}", data.name);
}
