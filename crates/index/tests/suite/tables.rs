//! What LSH tells about its tables.

use vecdb_index::lsh::advise;
use vecdb_index::{
    AnnIndex, Budget, BuildOptions, IndexSpec, Lsh, LshParams, Scratch, SearchParams,
    build_extending,
};
use vecdb_vector::{ElementType, Metric, Neighbor, Query, RowId};

use crate::fixture::{Rows, pairs, save, sections};

fn params(tables: u32, hashes: u32) -> LshParams {
    LshParams {
        tables: Some(tables),
        hashes: Some(hashes),
        ..LshParams::default()
    }
}

fn tables_of(index: &dyn AnnIndex) -> &Lsh {
    index.as_any().downcast_ref().unwrap()
}

fn search(
    rows: &Rows,
    index: &dyn AnnIndex,
    query: &Query,
    params: &SearchParams,
) -> (Vec<Neighbor>, Scratch) {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    index
        .search(
            rows.view(),
            query,
            10,
            None,
            params,
            &Budget::UNLIMITED,
            &mut scratch,
            &mut hits,
        )
        .unwrap();
    (hits, scratch)
}

#[test]
fn a_hit_lies_in_a_bucket_that_was_looked_into() {
    for (metric, element) in pairs() {
        let rows = Rows::new(metric, element, 3_000, 64);
        let index = rows.build(&IndexSpec::Lsh(params(6, 7)), 2);
        let asked = SearchParams {
            probes: Some(12),
            ..SearchParams::default()
        };
        for query in &rows.queries {
            let (hits, scratch) = search(&rows, &*index, query, &asked);
            let buckets = scratch.buckets();
            if buckets.is_empty() {
                continue;
            }
            assert!(buckets.len() >= 12 && buckets.is_sorted_by(|a, b| a.cost <= b.cost + 1e-4));
            assert!(buckets[..6].iter().all(|bucket| bucket.cost == 0.0));
            for hit in hits {
                let tables = tables_of(&*index)
                    .tables_of(rows.view(), hit.row, buckets)
                    .unwrap();
                assert!(!tables.is_empty(), "{metric} {element}: row {}", hit.row);
                assert!(tables.iter().all(|&table| table < 6));
            }
        }
    }
}

#[test]
fn a_row_shares_all_buckets_with_itself() {
    for metric in [Metric::L2, Metric::Cosine, Metric::L1] {
        let rows = Rows::new(metric, ElementType::F32, 2_000, 32);
        let index = rows.build(&IndexSpec::Lsh(params(9, 5)), 1);
        let mut values = vec![0.0; 32];
        for row in (0..2_000).step_by(97).map(RowId) {
            rows.view().to_f32(row, &mut values);
            let query = Query::new(metric, ElementType::F32, 32, &values).unwrap();
            let asked = SearchParams {
                probes: Some(9),
                ..SearchParams::default()
            };
            let (hits, scratch) = search(&rows, &*index, &query, &asked);
            assert_eq!(hits[0].row, row);
            if !scratch.buckets().is_empty() {
                let tables = tables_of(&*index).tables_of(rows.view(), row, scratch.buckets());
                assert_eq!(tables.unwrap(), (0..9).collect::<Vec<_>>(), "{metric}");
            }
        }
    }
}

#[test]
fn candidates_bound_what_is_compared() {
    let rows = Rows::new(Metric::L1, ElementType::F32, 5_000, 16);
    let index = rows.build(&IndexSpec::Lsh(params(8, 3)), 2);
    for most in [20, 100, 700] {
        let asked = SearchParams {
            probes: Some(60),
            candidates: Some(most),
            ..SearchParams::default()
        };
        for query in &rows.queries {
            let found = rows.try_search(&*index, query, 10, None, &asked, &Budget::UNLIMITED);
            let (hits, stats) = found.unwrap();
            assert_eq!(hits.len(), 10);
            assert!(stats.counters.distance_computations <= u64::from(most));
        }
    }
}

#[test]
fn an_extended_index_is_the_one_that_the_same_functions_give() {
    for (metric, element) in [
        (Metric::L2, ElementType::F32),
        (Metric::Cosine, ElementType::F16),
        (Metric::Jaccard, ElementType::Bits),
    ] {
        let all = Rows::new(metric, element, 3_000, 128);
        let half = 2_000;
        let old = Rows {
            count: half,
            bytes: all.bytes[..half as usize * element.bytes(128)].to_vec(),
            norms: all.norms.iter().copied().take(half as usize).collect(),
            queries: Vec::new(),
            ..all
        };
        let spec = IndexSpec::Lsh(LshParams::default());
        let seed = old.build(&spec, 1);
        let remap: Vec<_> = (0..half).map(|row| Some(RowId(row))).collect();
        let options = BuildOptions::default();
        let extend = |seed: &dyn AnnIndex, remap: &[Option<RowId>]| {
            build_extending(&spec, metric, all.view(), &options, seed, remap)
        };
        let extended = extend(&*seed, &remap).unwrap();
        extended.verify(3_000).unwrap();
        let (before, after) = (tables_of(&*seed), tables_of(&*extended));
        assert_eq!(
            (before.tables(), before.hashes(), before.width()),
            (after.tables(), after.hashes(), after.width())
        );
        // Nothing known: all rows are hashed by the same functions, and lie where they lie now.
        let unknown = vec![None; half as usize];
        let hashed = extend(&*seed, &unknown).unwrap();
        assert!(
            sections(&save(&*extended)) == sections(&save(&*hashed)),
            "{metric}"
        );
        let mut twice = remap.clone();
        twice[1] = Some(RowId(0));
        assert!(extend(&*seed, &twice).is_err());
        assert!(extend(&*seed, &remap[1..]).is_err());
    }
}

/// The formula against the index: what it expects of the query's own buckets, and what they bring.
#[test]
fn advice_holds() {
    for (metric, element) in pairs() {
        let rows = Rows::new(metric, element, 4_000, 128);
        let options = BuildOptions::default();
        let advice = advise(metric, rows.view(), 0.8, 42, &options).unwrap();
        let best = advice.best.unwrap();
        assert!(
            advice.collision_near > advice.collision_any,
            "{metric} {element}"
        );
        assert!(best.recall >= 0.8 && advice.choices.contains(&best));
        if metric == Metric::Dot {
            // Queries are brought to unit length otherwise than rows.
            continue;
        }
        let spec = IndexSpec::Lsh(LshParams {
            tables: Some(best.tables),
            hashes: Some(best.hashes),
            width: best.width,
            ..LshParams::default()
        });
        let index = rows.build(&spec, 2);
        let asked = SearchParams {
            probes: Some(best.tables),
            ..SearchParams::default()
        };
        let (mut found, mut met) = (0, 0);
        for query in &rows.queries {
            let limit = rows.exact(query, 10, None)[9].distance;
            let (hits, scratch) = search(&rows, &*index, query, &asked);
            found += hits.iter().filter(|hit| hit.distance <= limit).count();
            met += match scratch.buckets() {
                [] => u64::from(rows.count),
                buckets => buckets
                    .iter()
                    .map(|bucket| u64::from(bucket.compared))
                    .sum(),
            };
        }
        let count = rows.queries.len() as f64;
        let (recall, met) = (found as f64 / (10.0 * count), met as f64 / count);
        println!("{metric} {element}: {best:?}, found {recall:.3}, {met:.0} compared");
        assert!(recall >= 0.7, "{metric} {element}: {recall}");
        assert!(
            met < 2.0 * best.candidates + 200.0,
            "{metric} {element}: {met} compared, {} expected",
            best.candidates
        );
    }
    let rows = Rows::new(Metric::L2, ElementType::F32, 1, 8);
    let options = BuildOptions::default();
    assert!(advise(Metric::L2, rows.view(), 0.8, 42, &options).is_err());
    assert!(advise(Metric::L2, rows.view(), f64::NAN, 42, &options).is_err());
}

#[test]
fn the_same_tables_come_of_any_number_of_threads() {
    for metric in [Metric::L2, Metric::Cosine] {
        let rows = Rows::new(metric, ElementType::F32, 4_000, 100);
        let spec = IndexSpec::Lsh(LshParams::default());
        let one = sections(&save(&*rows.build(&spec, 1)));
        assert!(one == sections(&save(&*rows.build(&spec, 3))), "{metric}");
    }
}
