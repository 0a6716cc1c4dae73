//! Graphs on real data at the default settings.

use vecdb_index::{AnnIndex, Budget, BuildOptions, Hnsw, HnswParams, Scratch, SearchParams};
use vecdb_testkit::data::{Dataset, test_data};
use vecdb_testkit::recall::{TOLERANCE, inverse_norms, mean_recall, with_norms};
use vecdb_vector::{Neighbor, Query, RowId, VectorRows};

/// What the searches of all queries found, and what they cost.
struct Searched {
    /// Recall@10.
    recall: f64,
    /// Distances computed for each query, ascending.
    distances: Vec<u64>,
}

impl Searched {
    fn total(&self) -> f64 {
        self.distances.iter().sum::<u64>() as f64
    }

    fn quantile(&self, share: f64) -> f64 {
        let last = self.distances.len() - 1;
        self.distances[(last as f64 * share) as usize] as f64
    }
}

fn build(data: &Dataset, rows: VectorRows<'_>) -> Hnsw {
    let (params, options) = (HnswParams::default(), BuildOptions::default());
    Hnsw::build(&params, data.metric, rows, &options).unwrap()
}

fn search(data: &Dataset, rows: VectorRows<'_>, index: &Hnsw, params: &SearchParams) -> Searched {
    let mut scratch = Scratch::new();
    let queries = data.queries.as_rows();
    let mut values = vec![0.0; queries.dim()];
    let (mut found, mut distances): (Vec<Vec<Neighbor>>, _) = (Vec::new(), Vec::new());
    for number in 0..queries.len().min(data.truth.len() as u32) {
        queries.to_f32(RowId(number), &mut values);
        let query = Query::new(data.metric, rows.element(), rows.dim(), &values).unwrap();
        let (mut hits, budget) = (Vec::new(), Budget::UNLIMITED);
        let stats = index
            .search(
                rows,
                &query,
                10,
                None,
                params,
                &budget,
                &mut scratch,
                &mut hits,
            )
            .unwrap();
        distances.push(stats.counters.distance_computations);
        for hit in &mut hits {
            hit.distance = data.metric.distance(hit.distance);
        }
        found.push(hits);
    }
    distances.sort_unstable();
    Searched {
        recall: mean_recall(&found, &data.truth[..found.len()], 10, TOLERANCE),
        distances,
    }
}

/// Recall at the defaults, and that no query costs much more than others.
fn check(data: &Dataset, recall_min: f64) {
    let norms = inverse_norms(data.metric, &data.base);
    let rows = with_norms(&data.base, &norms);
    let index = build(data, rows);
    let found = search(data, rows, &index, &SearchParams::default());
    let (median, slow) = (found.quantile(0.5), found.quantile(0.99));
    let said = format!(
        "{}: recall@10 {}, distances per query: median {median}, p99 {slow}",
        data.name, found.recall
    );
    println!("{said}");
    assert!(found.recall >= recall_min, "{said}");
    assert!(slow <= 3.0 * median, "{said}");
}

#[test]
fn fashion_mnist_at_the_defaults() {
    check(&test_data().fashion_mnist(20_000), 0.97);
}

#[test]
fn debian_packages_at_the_defaults() {
    check(&test_data().debian(20_000), 0.95);
}

/// Half of a graph's rows deleted, then inserted again one by one: as good as built anew, at the same work.
fn check_rows_that_come_back(data: &Dataset) {
    let norms = inverse_norms(data.metric, &data.base);
    let rows = with_norms(&data.base, &norms);
    let mut index = build(data, rows);
    let params = SearchParams {
        ef: Some(12),
        ..SearchParams::default()
    };
    let fresh = search(data, rows, &index, &params);
    for row in (0..rows.len()).step_by(2) {
        assert!(index.delete(rows, RowId(row)).unwrap());
    }
    for row in (0..rows.len()).step_by(2) {
        index.insert(rows, RowId(row)).unwrap();
    }
    index.reconnect(rows).unwrap();
    let back = search(data, rows, &index, &params);
    let work = back.total() / fresh.total();
    let said = format!(
        "{}: recall@10 {} before, {} after, with {work:.3} of the distances",
        data.name, fresh.recall, back.recall
    );
    println!("{said}");
    assert!(back.recall >= fresh.recall - 0.01, "{said}");
    assert!(work <= 1.05, "{said}");
    assert_eq!(index.verify(rows.len()).unwrap().unreachable, 0);
}

#[test]
fn rows_of_fashion_mnist_come_back() {
    check_rows_that_come_back(&test_data().fashion_mnist(8_000));
}

#[test]
fn rows_of_debian_packages_come_back() {
    check_rows_that_come_back(&test_data().debian(8_000));
}
