//! The search by sketches against the exact scan: synthetic and real rows, and the edges of number ranges.

use std::sync::atomic::AtomicBool;

use vecdb_testkit::data::test_data;
use vecdb_testkit::synthetic::ClusteredGaussian;
use vecdb_vector::{
    ElementType, Kernels, Metric, Neighbor, Query, RowId, RowMask, Scorer, TopK, VectorRows,
    encode_row, scan,
};

use super::*;
use crate::{Budget, SearchStats};

const K: usize = 10;
const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::Dot];

/// Nearest first, with the number of exact distances.
fn sketched(
    rows: VectorRows<'_>,
    (space, sketches): (&SketchSpace, &Sketches),
    query: &Query,
    mask: Option<&RowMask>,
    k: usize,
) -> (Vec<Neighbor>, u64) {
    let prepared = SketchQuery::new(space, query).unwrap();
    let (mut top, mut scratch) = (TopK::new(k), SketchScratch::default());
    let stats = scan_sketched(
        Kernels::detect(),
        space,
        sketches,
        &prepared,
        query,
        rows,
        mask,
        &Budget::UNLIMITED,
        &mut top,
        &mut scratch,
    );
    (top.into_sorted_vec(), stats.counters.distance_computations)
}

fn exact(rows: VectorRows<'_>, query: &Query, mask: Option<&RowMask>, k: usize) -> Vec<Neighbor> {
    let mut top = TopK::new(k);
    scan(Kernels::detect(), query, rows, mask, &mut top);
    top.into_sorted_vec()
}

fn made(metric: Metric, rows: VectorRows<'_>) -> (SketchSpace, Sketches) {
    let space = SketchSpace::new(metric, rows, 3).unwrap();
    let sketches = Sketches::encode(&space, rows);
    (space, sketches)
}

fn query_of(metric: Metric, rows: VectorRows<'_>, values: &[f32]) -> Query {
    Query::new(metric, rows.element(), rows.dim(), values).unwrap()
}

/// Recall by distance and the share of rows measured.
fn quality(metric: Metric, rows: VectorRows<'_>, queries: &[f32]) -> (f64, f64) {
    let (space, sketches) = made(metric, rows);
    let (mut hits, mut wanted, mut computed) = (0, 0, 0);
    for values in queries.chunks_exact(rows.dim()) {
        let query = query_of(metric, rows, values);
        let truth = exact(rows, &query, None, K);
        let (found, cost) = sketched(rows, (&space, &sketches), &query, None, K);
        assert_eq!(found.len(), truth.len());
        let farthest = truth[truth.len() - 1].distance;
        hits += found.iter().filter(|hit| hit.distance <= farthest).count();
        wanted += truth.len();
        computed += cost;
    }
    let searches = queries.len() / rows.dim();
    let share = computed as f64 / searches as f64 / f64::from(rows.len());
    (hits as f64 / wanted as f64, share)
}

fn assert_good(name: &str, metric: Metric, rows: VectorRows<'_>, queries: &[f32]) {
    let (recall, share) = quality(metric, rows, queries);
    println!(
        "{name}, {metric}: recall {recall:.4}, {:.2} % measured",
        share * 100.0
    );
    assert!(recall >= 0.99, "{name}, {metric}: recall {recall}");
    assert!(share < 0.05, "{name}, {metric}: {share} of rows measured");
}

#[test]
fn clustered_rows_are_found_under_every_metric() {
    let clustered = ClusteredGaussian {
        rows: 10_000,
        dim: 200,
        clusters: 40,
        spread: 0.5,
        seed: 1,
    };
    let (base, queries) = clustered.with_queries(50);
    let rows = VectorRows::from_f32(200, &base).unwrap();
    for metric in METRICS {
        assert_good("clusters", metric, rows, &queries);
    }
}

#[test]
fn real_rows_are_found_under_every_metric() {
    let data = test_data();
    for data in [data.fashion_mnist(10_000), data.debian(10_000)] {
        let queries = data.queries.to_f32();
        let queries = &queries[..data.queries.info.dim * 50.min(data.queries.rows() as usize)];
        for metric in METRICS {
            assert_good(&data.name, metric, data.base.as_rows(), queries);
        }
    }
}

#[test]
fn every_element_type_is_served() {
    let clustered = ClusteredGaussian {
        rows: 2_000,
        dim: 96,
        clusters: 10,
        spread: 0.6,
        seed: 2,
    };
    let (base, queries) = clustered.with_queries(20);
    let types = [
        (ElementType::F32, 1.0, 0.0),
        (ElementType::F16, 1.0, 0.0),
        (ElementType::I8, 25.0, 0.0),
        (ElementType::U8, 25.0, 128.0),
    ];
    for (element, scale, shift) in types {
        let whole = matches!(element, ElementType::I8 | ElementType::U8);
        let fit = |value: &f32| match whole {
            true => (value * scale + shift)
                .round()
                .clamp(shift - 120.0, shift + 120.0),
            false => *value,
        };
        let values: Vec<f32> = base.iter().map(fit).collect();
        let queries: Vec<f32> = queries.iter().map(fit).collect();
        let mut bytes = Vec::new();
        for row in values.chunks_exact(96) {
            encode_row(element, 96, row, &mut bytes).unwrap();
        }
        let rows = VectorRows::new(element, 96, element.bytes(96), 2_000, &bytes).unwrap();
        for metric in METRICS {
            let (recall, share) = quality(metric, rows, &queries);
            assert!(recall >= 0.98, "{element}, {metric}: recall {recall}");
            assert!(share < 0.3, "{element}, {metric}: {share} measured");
        }
    }
}

#[test]
fn the_bound_holds_for_nearly_all_pairs() {
    for (dim, spread) in [(64, 1.0), (100, 0.3), (784, 1.0)] {
        let clustered = ClusteredGaussian {
            rows: 600,
            dim,
            clusters: 5,
            spread,
            seed: dim as u64,
        };
        let (base, queries) = clustered.with_queries(20);
        let rows = VectorRows::from_f32(dim, &base).unwrap();
        for metric in METRICS {
            let (space, sketches) = made(metric, rows);
            let (mut within, mut below, mut pairs) = (0, 0, 0);
            let mut bias = 0.0;
            for values in queries.chunks_exact(dim) {
                let query = query_of(metric, rows, values);
                let prepared = SketchQuery::new(&space, &query).unwrap();
                let mut ranks = vec![0.0; 600];
                Scorer::new(Kernels::detect(), &query, rows).score_range(RowId(0), &mut ranks);
                for (row, rank) in ranks.into_iter().enumerate() {
                    let (estimate, bound) = sketches.estimate(row, &prepared);
                    within += usize::from((estimate - rank).abs() <= bound);
                    below += usize::from(estimate - bound <= rank);
                    bias += f64::from((estimate - rank) / bound);
                    pairs += 1;
                }
            }
            let share = |n: usize| n as f64 / pairs as f64;
            assert!(share(within) >= 0.95, "{metric}, {dim}: {}", share(within));
            assert!(share(below) >= 0.975, "{metric}, {dim}: {}", share(below));
            let bias = bias / pairs as f64;
            assert!(bias.abs() < 0.1, "{metric}, {dim}: bias {bias} of a bound");
        }
    }
}

#[test]
fn only_rows_of_the_mask_are_returned() {
    let clustered = ClusteredGaussian {
        rows: 3_001,
        dim: 70,
        clusters: 10,
        spread: 0.5,
        seed: 4,
    };
    let (base, queries) = clustered.with_queries(10);
    let rows = VectorRows::from_f32(70, &base).unwrap();
    let (space, sketches) = made(Metric::L2, rows);
    let masks = [
        RowMask::none(3_001),
        RowMask::all(3_001),
        RowMask::from_rows(3_001, (0..3_001).step_by(3).map(RowId)),
        RowMask::from_rows(3_001, (1_500..2_500).map(RowId)),
        RowMask::from_rows(3_001, [RowId(3_000)]),
        RowMask::from_rows(5_000, (2_000..5_000).map(RowId)),
    ];
    for (number, mask) in masks.iter().enumerate() {
        let mut hits = 0;
        for values in queries.chunks_exact(70) {
            let query = query_of(Metric::L2, rows, values);
            let truth = exact(rows, &query, Some(mask), K);
            let (found, _) = sketched(rows, (&space, &sketches), &query, Some(mask), K);
            assert_eq!(found.len(), truth.len(), "mask {number}");
            assert!(found.iter().all(|hit| mask.contains(hit.row)));
            hits += found.iter().filter(|hit| truth.contains(hit)).count();
        }
        let wanted = K.min(mask.iter().filter(|row| row.0 < 3_001).count()) * 10;
        assert!(
            hits * 100 >= wanted * 98,
            "mask {number}: {hits} of {wanted}"
        );
    }
}

#[test]
fn the_threshold_of_other_parts_saves_distances() {
    let (base, queries) = ClusteredGaussian {
        rows: 2_000,
        dim: 128,
        clusters: 8,
        spread: 0.4,
        seed: 9,
    }
    .with_queries(1);
    let rows = VectorRows::from_f32(128, &base).unwrap();
    let (space, sketches) = made(Metric::L2, rows);
    let query = query_of(Metric::L2, rows, &queries);
    let prepared = SketchQuery::new(&space, &query).unwrap();
    let computed = |held: Option<f32>| {
        let mut top = TopK::new(1);
        if let Some(rank) = held {
            top.push(rank, RowId(7_777));
        }
        let stats = scan_sketched(
            Kernels::detect(),
            &space,
            &sketches,
            &prepared,
            &query,
            rows,
            None,
            &Budget::UNLIMITED,
            &mut top,
            &mut SketchScratch::default(),
        );
        (
            stats.counters.distance_computations,
            top.into_sorted_vec()[0],
        )
    };
    let (alone, nearest) = computed(None);
    let (helped, held) = computed(Some(0.0));
    assert!(alone >= 34 && helped < alone / 2, "{alone}, then {helped}");
    assert_eq!(held.row, RowId(7_777));
    let (_, found) = computed(Some(nearest.distance * 1.01));
    assert_eq!(found, nearest);
}

#[test]
fn a_spent_budget_ends_the_scan_and_what_it_leaves_misleads_no_later_one() {
    let (base, queries) = ClusteredGaussian {
        rows: 10_000,
        dim: 64,
        clusters: 8,
        spread: 1.0,
        seed: 12,
    }
    .with_queries(1);
    let rows = VectorRows::from_f32(64, &base).unwrap();
    let (space, sketches) = made(Metric::L2, rows);
    let query = query_of(Metric::L2, rows, &queries);
    let prepared = SketchQuery::new(&space, &query).unwrap();
    let mut scratch = SketchScratch::default();
    let mut search = |budget: &Budget<'_>| -> (SearchStats, Vec<Neighbor>) {
        let mut top = TopK::new(K);
        let stats = scan_sketched(
            Kernels::detect(),
            &space,
            &sketches,
            &prepared,
            &query,
            rows,
            None,
            budget,
            &mut top,
            &mut scratch,
        );
        (stats, top.into_sorted_vec())
    };
    let set = AtomicBool::new(true);
    let stopped = Budget {
        stop: Some(&set),
        ..Budget::UNLIMITED
    };
    let few = Budget {
        max_distances: Some(50),
        ..Budget::UNLIMITED
    };
    let (whole, answer) = search(&Budget::UNLIMITED);
    assert!(!whole.truncated && whole.counters.distance_computations > 200);
    for budget in [stopped, few] {
        let (cut, hits) = search(&budget);
        assert!(cut.truncated);
        assert!(cut.counters.distance_computations < 200, "{cut:?}");
        assert!(hits.len() <= K);
        assert_eq!(search(&Budget::UNLIMITED), (whole, answer.clone()));
    }
}

#[test]
fn the_seed_decides_the_codes() {
    let base = ClusteredGaussian {
        rows: 50,
        dim: 64,
        clusters: 3,
        spread: 1.0,
        seed: 6,
    }
    .generate();
    let rows = VectorRows::from_f32(64, &base).unwrap();
    let codes = |seed| {
        let space = SketchSpace::new(Metric::L2, rows, seed).unwrap();
        Sketches::encode(&space, rows).to_bits()
    };
    assert_eq!(codes(1), codes(1));
    assert_ne!(codes(1), codes(2));
}

#[test]
fn metrics_without_sketches_and_foreign_queries_are_refused() {
    let rows = VectorRows::from_f32(2, &[1.0, 2.0]).unwrap();
    assert!(SketchSpace::new(Metric::L1, rows, 1).is_none());
    let bits = VectorRows::new(ElementType::Bits, 8, 1, 1, &[1]).unwrap();
    assert!(SketchSpace::new(Metric::Hamming, bits, 1).is_none());
    assert!(SketchSpace::new(Metric::Jaccard, bits, 1).is_none());
    let space = SketchSpace::new(Metric::L2, rows, 1).unwrap();
    let query = Query::new(Metric::Cosine, ElementType::F32, 2, &[1.0, 0.0]).unwrap();
    let error = SketchQuery::new(&space, &query).unwrap_err().to_string();
    assert!(error.contains("cosine") && error.contains("l2"), "{error}");
}

#[test]
fn any_dimension_works() {
    for dim in [1, 2, 3, 31, 63, 64, 65, 127, 500, 1000, 1537, 2000] {
        let (base, queries) = ClusteredGaussian {
            rows: 700,
            dim,
            clusters: 7,
            spread: 0.5,
            seed: dim as u64,
        }
        .with_queries(5);
        let rows = VectorRows::from_f32(dim, &base).unwrap();
        for metric in METRICS {
            let (recall, _) = quality(metric, rows, &queries);
            assert!(recall >= 0.95, "dimension {dim}, {metric}: recall {recall}");
        }
    }
}

/// Compares with the exact scan, hit by hit.
fn assert_exact(name: &str, rows: VectorRows<'_>, sample: VectorRows<'_>, queries: &[Vec<f32>]) {
    for metric in METRICS {
        let space = SketchSpace::new(metric, sample, 3).unwrap();
        let sketches = Sketches::encode(&space, rows);
        for values in queries {
            if metric == Metric::Cosine && values.iter().all(|&v| v == 0.0) {
                continue;
            }
            let query = query_of(metric, rows, values);
            for k in [0, 1, 5, 1_000, 100_000] {
                let truth = exact(rows, &query, None, k);
                let (found, _) = sketched(rows, (&space, &sketches), &query, None, k);
                let ranks = |hits: &[Neighbor]| hits.iter().map(|h| h.distance).collect::<Vec<_>>();
                assert_eq!(ranks(&found), ranks(&truth), "{name}, {metric}, k {k}");
            }
        }
    }
}

#[test]
fn extreme_numbers_never_lose_a_row() {
    const DIM: usize = 72;
    let plain = ClusteredGaussian {
        rows: 1_200,
        dim: DIM,
        clusters: 5,
        spread: 0.5,
        seed: 7,
    }
    .generate();
    let scaled = |by: f32| -> Vec<f32> { plain.iter().map(|v| v * by).collect() };
    let mut mixed = plain.clone();
    for (row, values) in mixed.chunks_exact_mut(DIM).enumerate() {
        let by = [1.0, 0.0, 1e18, 1e-30, 1e37, 1e-42][row % 6];
        values.iter_mut().for_each(|v| *v *= by);
    }
    let duplicates: Vec<f32> = (0..1_200).flat_map(|_| plain[..DIM].to_vec()).collect();
    let cases = [
        ("huge", scaled(1e18)),
        ("largest", scaled(1e37)),
        ("tiny", scaled(1e-30)),
        ("denormal", scaled(1e-41)),
        ("zeros", scaled(0.0)),
        ("mixed", mixed),
        ("duplicates", duplicates),
    ];
    for (name, base) in &cases {
        let rows = VectorRows::from_f32(DIM, base).unwrap();
        let none = rows.slice(RowId(0), 0).unwrap();
        let near = base[..DIM].to_vec();
        let queries = [near, vec![0.0; DIM], vec![1.0; DIM], vec![3e37; DIM]];
        // A row on the centre, and no centre at all.
        for sample in [rows.slice(RowId(0), 1).unwrap(), none] {
            assert_exact(name, rows, sample, &queries);
        }
    }
    let one = VectorRows::from_f32(DIM, &plain[..DIM]).unwrap();
    assert_exact("one row", one, one, &[vec![1.0; DIM]]);
    let none = one.slice(RowId(0), 0).unwrap();
    assert_exact("no rows", none, none, &[vec![1.0; DIM]]);
}

#[test]
fn all_instruction_sets_find_the_same() {
    let (base, queries) = ClusteredGaussian {
        rows: 2_000,
        dim: 90,
        clusters: 9,
        spread: 0.5,
        seed: 12,
    }
    .with_queries(1);
    let rows = VectorRows::from_f32(90, &base).unwrap();
    let (space, sketches) = made(Metric::L2, rows);
    let query = query_of(Metric::L2, rows, &queries);
    let prepared = SketchQuery::new(&space, &query).unwrap();
    let mut answers = Vec::new();
    for kernels in Kernels::available() {
        let (mut top, mut scratch) = (TopK::new(K), SketchScratch::default());
        scan_sketched(
            kernels,
            &space,
            &sketches,
            &prepared,
            &query,
            rows,
            None,
            &Budget::UNLIMITED,
            &mut top,
            &mut scratch,
        );
        let hits = top.into_sorted_vec();
        answers.push(hits.iter().map(|hit| hit.row).collect::<Vec<_>>());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}
