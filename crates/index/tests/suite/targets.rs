//! A search that names a recall reaches it, at no more than twice the work that it takes.

use vecdb_index::{
    Budget, DiskAnnParams, HnswParams, IndexSpec, IvfParams, LshParams, SearchParams,
};
use vecdb_testkit::data::{Dataset, test_data};
use vecdb_vector::ElementType;

use crate::fixture::Rows;

/// One row of so many is a query and not in the index.
const HELD_OUT: usize = 20;
/// What some hundred queries leave open, on the side of the calibration and on that of the test.
const TOLERANCE: f64 = 0.03;

fn rows_of(data: &Dataset) -> Rows {
    let dim = data.base.info.dim;
    let values = data.base.to_f32();
    let (mut base, mut queries) = (Vec::new(), Vec::new());
    for (at, row) in values.chunks_exact(dim).enumerate() {
        match at % HELD_OUT {
            0 => queries.extend_from_slice(row),
            _ => base.extend_from_slice(row),
        }
    }
    Rows::of(data.metric, ElementType::F32, dim, &base, &queries)
}

/// The distances of the tenth neighbours.
fn limits(rows: &Rows) -> Vec<f32> {
    let tenth = |query| rows.exact(query, 10, None).last().map(|hit| hit.distance);
    rows.queries.iter().filter_map(tenth).collect()
}

/// Recall at 10 and mean distance computations.
fn measure(
    rows: &Rows,
    limits: &[f32],
    index: &dyn vecdb_index::AnnIndex,
    params: &SearchParams,
) -> (f64, f64) {
    let (mut found, mut distances) = (0, 0);
    for (query, &limit) in rows.queries.iter().zip(limits) {
        let (hits, stats) = rows
            .try_search(index, query, 10, None, params, &Budget::UNLIMITED)
            .unwrap();
        found += hits.iter().filter(|hit| hit.distance <= limit).count();
        distances += stats.counters.distance_computations;
    }
    let queries = rows.queries.len() as f64;
    (found as f64 / (10.0 * queries), distances as f64 / queries)
}

fn knob(kind: &str, value: u32) -> SearchParams {
    let mut params = SearchParams::default();
    match kind {
        "hnsw" | "diskann" => params.ef = Some(value),
        "ivf" => params.nprobe = Some(value),
        _ => params.probes = Some(value),
    }
    params
}

fn check(data: &Dataset, spec: &IndexSpec) {
    let rows = rows_of(data);
    let limits = limits(&rows);
    let index = rows.build(spec, 2);
    for target in [0.8, 0.9, 0.97] {
        let params = SearchParams {
            target_recall: Some(target),
            ..SearchParams::default()
        };
        let (recall, distances) = measure(&rows, &limits, &*index, &params);
        // The smallest value of the knob that reaches it.
        let (mut low, mut high) = (0, 4_096);
        while high - low > 1 {
            let middle = u32::midpoint(low, high);
            let (reached, _) = measure(&rows, &limits, &*index, &knob(spec.kind(), middle));
            match reached >= f64::from(target) {
                true => high = middle,
                false => low = middle,
            }
        }
        let (_, needed) = measure(&rows, &limits, &*index, &knob(spec.kind(), high));
        println!(
            "{} {spec}: for {target} found {recall:.4}, {distances:.0} distances of {needed:.0} needed",
            data.name
        );
        assert!(
            recall >= f64::from(target) - TOLERANCE,
            "{} {spec}: {recall} for {target}",
            data.name
        );
        assert!(
            distances <= 2.0 * needed,
            "{} {spec}: {distances} distances for {target}, {needed} would do",
            data.name
        );
    }
}

fn check_all(data: &Dataset) {
    for spec in [
        IndexSpec::Hnsw(HnswParams::default()),
        IndexSpec::Ivf(IvfParams::default()),
        IndexSpec::Lsh(LshParams::default()),
        IndexSpec::DiskAnn(DiskAnnParams::default()),
    ] {
        check(data, &spec);
    }
}

#[test]
fn on_debian_packages() {
    check_all(&test_data().debian(8_000));
}

#[test]
fn on_fashion_mnist() {
    check_all(&test_data().fashion_mnist(5_000));
}

#[test]
fn flat_is_exact_whatever_is_asked() {
    let rows = Rows::new(vecdb_vector::Metric::L2, ElementType::F32, 500, 8);
    let index = rows.build(&IndexSpec::Flat, 1);
    let params = SearchParams {
        target_recall: Some(0.5),
        ..SearchParams::default()
    };
    assert_eq!(measure(&rows, &limits(&rows), &*index, &params).0, 1.0);
}

#[test]
fn more_recall_is_never_less_work() {
    for spec in [
        IndexSpec::Hnsw(HnswParams::default()),
        IndexSpec::Ivf(IvfParams::default()),
        IndexSpec::Lsh(LshParams::default()),
        IndexSpec::DiskAnn(DiskAnnParams::default()),
    ] {
        let rows = Rows::new(vecdb_vector::Metric::Cosine, ElementType::F32, 4_000, 24);
        let index = rows.build(&spec, 2);
        let limits = limits(&rows);
        let work: Vec<f64> = [0.5, 0.7, 0.85, 0.93, 0.97, 0.99]
            .into_iter()
            .map(|target| {
                let params = SearchParams {
                    target_recall: Some(target),
                    ..SearchParams::default()
                };
                measure(&rows, &limits, &*index, &params).1
            })
            .collect();
        assert!(work.is_sorted(), "{spec}: {work:?}");
    }
}
