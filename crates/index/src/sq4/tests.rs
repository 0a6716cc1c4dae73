use vecdb_testkit::synthetic::ClusteredGaussian;
use vecdb_vector::{ElementType, Kernels, Metric, Query, RowId, RowMask, Scorer, VectorRows};

use super::{Sq4Codes, Sq4Query, scan};
use crate::exact::search_exact;
use crate::{Budget, BuildOptions, Scratch};

const DIM: usize = 200;

fn rows_and_queries() -> (Vec<f32>, Vec<f32>) {
    let source = ClusteredGaussian {
        rows: 1_500,
        dim: DIM,
        clusters: 12,
        spread: 0.7,
        seed: 5,
    };
    let (mut base, mut queries) = source.with_queries(20);
    // Off the origin, as most real vectors are.
    for values in [&mut base, &mut queries] {
        values.iter_mut().for_each(|x| *x += 3.0);
    }
    (base, queries)
}

fn codes(metric: Metric, base: &[f32]) -> Sq4Codes {
    let rows = VectorRows::from_f32(DIM, base).unwrap();
    Sq4Codes::encode(metric, rows, 7, &BuildOptions::default())
        .unwrap()
        .unwrap()
}

#[test]
fn estimates_are_near_the_distances_and_bounded_as_promised() {
    let (base, queries) = rows_and_queries();
    let rows = VectorRows::from_f32(DIM, &base).unwrap();
    let list: Vec<RowId> = (0..rows.len()).map(RowId).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let codes = codes(metric, &base);
        let (mut outside, mut all, mut error, mut spread) = (0usize, 0usize, 0.0f64, 0.0f64);
        for values in queries.chunks_exact(DIM) {
            let query = Query::new(metric, ElementType::F32, DIM, values).unwrap();
            let mut exact = vec![0.0; list.len()];
            Scorer::new(Kernels::detect(), &query, rows).score_rows(&list, &mut exact);
            let mut prepared = Sq4Query::default();
            codes.prepare(&query, &mut prepared).unwrap();
            let mut estimates = vec![0.0; list.len()];
            codes
                .scorer(Kernels::detect(), &prepared)
                .unwrap()
                .score_rows(&list, &mut estimates);
            let mean = exact.iter().map(|&d| f64::from(d)).sum::<f64>() / exact.len() as f64;
            for (&exact, &estimate) in exact.iter().zip(&estimates) {
                error += (f64::from(exact) - f64::from(estimate)).powi(2);
                spread += (f64::from(exact) - mean).powi(2);
                outside += usize::from(codes.least(&prepared, estimate, 2.0) > exact);
                all += 1;
            }
        }
        // Two deviations on one side: 2.3 % of a normal distribution.
        let share = outside as f64 / all as f64;
        assert!(share < 0.05, "{metric}: {share} are nearer than the bound");
        assert!(
            share > 0.0,
            "{metric}: a bound that holds always says little"
        );
        assert!(error < 0.01 * spread, "{metric}: {error} of {spread}");
    }
}

#[test]
fn every_kernel_gives_the_same_estimates() {
    let (base, queries) = rows_and_queries();
    let list: Vec<RowId> = (0..99).map(RowId).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let codes = codes(metric, &base);
        let query = Query::new(metric, ElementType::F32, DIM, &queries[..DIM]).unwrap();
        let mut prepared = Sq4Query::default();
        codes.prepare(&query, &mut prepared).unwrap();
        let all = Kernels::available().into_iter().map(|kernels| {
            let mut out = vec![0.0; list.len()];
            codes
                .scorer(kernels, &prepared)
                .unwrap()
                .score_rows(&list, &mut out);
            out
        });
        let all: Vec<Vec<f32>> = all.collect();
        assert!(all.iter().all(|out| *out == all[0]), "{metric}");
    }
}

#[test]
fn rows_without_a_grid_have_no_codes_and_equal_rows_have() {
    let of = |metric, values: &[f32]| {
        let rows = VectorRows::from_f32(4, values).unwrap();
        Sq4Codes::encode(metric, rows, 7, &BuildOptions::default()).unwrap()
    };
    assert!(
        of(
            Metric::L2,
            &[f32::MAX, f32::MIN, 0.0, 1.0, f32::MIN, f32::MAX, 0.0, 0.0]
        )
        .is_none()
    );
    assert!(of(Metric::L1, &[1.0; 8]).is_none());
    let equal = of(Metric::L2, &[2.5; 40]).unwrap();
    let mut prepared = Sq4Query::default();
    equal.prepare_values(&[2.5; 4], &mut prepared).unwrap();
    let estimate = equal
        .scorer(Kernels::detect(), &prepared)
        .unwrap()
        .score(RowId(9));
    assert!(estimate.is_finite() && estimate >= 0.0, "{estimate}");
    assert!(equal.prepare_values(&[2.5; 5], &mut prepared).is_err());
}

#[test]
fn a_row_that_is_set_gets_its_own_code() {
    let (base, _) = rows_and_queries();
    let metric = Metric::L2;
    let all = VectorRows::from_f32(DIM, &base).unwrap();
    let whole = codes(metric, &base);
    let mut grown = codes(metric, &base);
    // Row 3 is given row 8's vector and its own again; then one more row.
    let moved: Vec<f32> = [&base[..3 * DIM], &base[8 * DIM..9 * DIM]].concat();
    let estimate = |codes: &Sq4Codes, row: u32| {
        let mut prepared = Sq4Query::default();
        codes.prepare_values(&base[..DIM], &mut prepared).unwrap();
        let scorer = codes.scorer(Kernels::detect(), &prepared).unwrap();
        scorer.score(RowId(row))
    };
    grown.set(metric, VectorRows::from_f32(DIM, &moved).unwrap(), RowId(3));
    assert_eq!(estimate(&grown, 3), estimate(&whole, 8));
    grown.set(metric, all, RowId(3));
    assert_eq!(estimate(&grown, 3), estimate(&whole, 3));
    let longer = [&base[..], &base[..DIM]].concat();
    let longer = VectorRows::from_f32(DIM, &longer).unwrap();
    grown.set(metric, longer, RowId(all.len()));
    assert_eq!(estimate(&grown, all.len()), estimate(&whole, 0));
}

/// Rows of all sizes, so that the grid is too small for some and coarse for others, with equal ones among them.
fn uneven_rows() -> (Vec<f32>, Vec<f32>) {
    let (mut base, mut queries) = rows_and_queries();
    for (row, values) in base.chunks_exact_mut(DIM).enumerate() {
        let size = [1.0, 0.01, 1.3, 40.0][row % 4];
        values.iter_mut().for_each(|x| *x *= size);
    }
    for (row, values) in queries.chunks_exact_mut(DIM).enumerate() {
        let size = [1.0, 30.0, 0.02][row % 3];
        values.iter_mut().for_each(|x| *x *= size);
    }
    base.copy_within(..100 * DIM, 700 * DIM);
    (base, queries)
}

#[test]
fn every_row_is_within_its_bounds() {
    for (base, queries) in [rows_and_queries(), uneven_rows()] {
        let rows = VectorRows::from_f32(DIM, &base).unwrap();
        let list: Vec<RowId> = (0..rows.len()).map(RowId).collect();
        for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
            let codes = codes(metric, &base);
            let (mut exact, mut estimates) = (vec![0.0; list.len()], vec![0.0; list.len()]);
            for values in queries.chunks_exact(DIM) {
                let query = Query::new(metric, ElementType::F32, DIM, values).unwrap();
                Scorer::new(Kernels::detect(), &query, rows).score_rows(&list, &mut exact);
                let mut prepared = Sq4Query::default();
                codes.prepare(&query, &mut prepared).unwrap();
                let scorer = codes.scorer(Kernels::detect(), &prepared).unwrap();
                scorer.score_rows(&list, &mut estimates);
                let bounds = codes.grid().bounds(&prepared);
                for ((&row, &exact), &estimate) in list.iter().zip(&exact).zip(&estimates) {
                    let range = bounds.range(estimate, codes.error(row).unwrap());
                    assert!(
                        range.start <= exact && exact <= range.end,
                        "{metric} row {row}: {exact} is not within {range:?}"
                    );
                }
            }
        }
    }
}

/// Where every row is about as far from the query, codes are soon left alone.
#[test]
fn a_scan_of_rows_that_are_all_as_far_reads_them_once() {
    let (base, _) = rows_and_queries();
    let rows = VectorRows::from_f32(DIM, &base).unwrap();
    let codes = codes(Metric::L2, &base);
    let values: Vec<f32> = (0..DIM)
        .map(|i| if i % 2 == 0 { 900.0 } else { -900.0 })
        .collect();
    let query = Query::new(Metric::L2, ElementType::F32, DIM, &values).unwrap();
    let mut scratch = Scratch::new();
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let budget = Budget::UNLIMITED;
    search_exact(rows, &query, 10, None, &budget, &mut scratch);
    scratch.top.drain_sorted_into(&mut expected);
    let mut prepared = Sq4Query::default();
    codes.prepare(&query, &mut prepared).unwrap();
    let scorer = Scorer::new(Kernels::detect(), &query, rows);
    let stats = scan(&scorer, &codes, &prepared, None, 10, &budget, &mut scratch).unwrap();
    scratch.top.drain_sorted_into(&mut found);
    assert_eq!(found, expected);
    assert!(stats.exact && !stats.truncated);
    let (read, all) = (stats.counters.distance_computations, u64::from(rows.len()));
    assert!((all..=all + 512).contains(&read), "{read}");
    // A limit ends it there as well.
    let limited = Budget {
        max_distances: Some(1_000),
        ..Budget::UNLIMITED
    };
    let stats = scan(&scorer, &codes, &prepared, None, 10, &limited, &mut scratch).unwrap();
    assert!(stats.truncated && !stats.exact);
    assert!(
        stats.counters.distance_computations < 1_300,
        "{:?}",
        stats.counters
    );
}

#[test]
fn a_scan_of_codes_finds_what_a_scan_of_vectors_finds_and_reads_few_of_them() {
    for (base, queries) in [rows_and_queries(), uneven_rows()] {
        let rows = VectorRows::from_f32(DIM, &base).unwrap();
        let some = (0..rows.len()).filter(|row| row % 3 != 1).map(RowId);
        let some = RowMask::from_rows(rows.len(), some);
        for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
            let codes = codes(metric, &base);
            let mut scratch = Scratch::new();
            let budget = Budget::UNLIMITED;
            let mut most = 0;
            for (values, mask) in queries
                .chunks_exact(DIM)
                .zip([None, Some(&some)].repeat(10))
            {
                let query = Query::new(metric, ElementType::F32, DIM, values).unwrap();
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                let all = search_exact(rows, &query, 10, mask, &budget, &mut scratch);
                scratch.top.drain_sorted_into(&mut expected);
                let mut prepared = Sq4Query::default();
                codes.prepare(&query, &mut prepared).unwrap();
                let scorer = Scorer::new(Kernels::detect(), &query, rows);
                let stats =
                    scan(&scorer, &codes, &prepared, mask, 10, &budget, &mut scratch).unwrap();
                scratch.top.drain_sorted_into(&mut found);
                assert_eq!(found, expected, "{metric}");
                assert!(stats.exact && !stats.truncated);
                let allowed = all.counters.distance_computations;
                most = most.max(stats.counters.distance_computations - allowed);
            }
            assert!(
                most < u64::from(rows.len()),
                "{metric}: {most} vectors read"
            );
        }
    }
}
