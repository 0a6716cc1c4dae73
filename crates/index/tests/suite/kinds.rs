//! The checks that every kind must pass.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use vecdb_index::{Budget, BuildOptions, IndexError, IndexSpec, Scratch, SearchParams};
use vecdb_testkit::random::SeededRandom;
use vecdb_vector::{ElementType, Metric, Query, RowId, RowMask};

use crate::fixture::{Rows, file_of, open_file, pairs, random_mask, raw, raw_file, save, sections};

pub(crate) fn finds_the_nearest_under_every_metric(spec: &IndexSpec) {
    for (metric, element) in pairs() {
        if spec.check_field(metric, element).is_err() {
            continue;
        }
        let dim = if element == ElementType::Bits {
            128
        } else {
            24
        };
        let rows = Rows::new(metric, element, 3000, dim);
        let index = rows.build(spec, 2);
        let recall = rows.recall(&*index, 10, None);
        assert!(recall >= 0.95, "{spec} {metric} {element}: recall {recall}");
        let report = index.verify(rows.count).unwrap();
        assert_eq!(
            (report.rows, report.unreachable),
            (3000, 0),
            "{metric} {element}"
        );
        let (hits, _) = rows.search(&*index, &rows.queries[0], 10, None);
        assert!(hits.is_sorted(), "{metric} {element}: nearest first");
    }
}

pub(crate) fn respects_the_mask(spec: &IndexSpec) {
    let rows = Rows::new(Metric::L2, ElementType::F32, 20_000, 16);
    let index = rows.build(spec, 2);
    for (share, seed) in [(0.5, 1), (0.2, 2), (0.05, 3), (0.001, 4)] {
        let mask = random_mask(rows.count, share, seed);
        for query in &rows.queries {
            let (hits, _) = rows.search(&*index, query, 10, Some(&mask));
            let distinct: HashSet<u32> = hits.iter().map(|hit| hit.row.0).collect();
            assert_eq!(
                distinct.len(),
                10.min(mask.count() as usize),
                "share {share}"
            );
            assert!(
                hits.iter().all(|hit| mask.contains(hit.row)),
                "share {share}"
            );
        }
        let recall = rows.recall(&*index, 10, Some(&mask));
        assert!(recall >= 0.95, "share {share}: recall {recall}");
    }
    // A mask that excludes everything near the query: the walk has to go through what it may not return.
    let query = &rows.queries[0];
    let near = rows.exact(query, 12_000, None);
    let mut mask = RowMask::all(rows.count);
    for hit in &near {
        mask.remove(hit.row);
    }
    let truth = rows.exact(query, 10, Some(&mask));
    let (hits, _) = rows.search(&*index, query, 10, Some(&mask));
    let limit = truth.last().unwrap().distance;
    let found = hits.iter().filter(|hit| hit.distance <= limit).count();
    assert!(
        hits.len() == 10 && found >= 9,
        "{found} of 10 beyond the excluded"
    );
}

pub(crate) fn answers_at_the_edges(spec: &IndexSpec) {
    for count in [0, 1, 2, 40] {
        let rows = Rows::new(Metric::L2, ElementType::F32, count, 8);
        let index = rows.build(spec, 2);
        assert_eq!((index.rows(), index.kind()), (count, spec.kind()));
        assert_eq!(index.verify(count).unwrap().unreachable, 0);
        let query = &rows.queries[0];
        for k in [0, 1, count as usize, count as usize + 5, 10_000] {
            let (hits, stats) = rows.search(&*index, query, k, None);
            assert_eq!(hits, rows.exact(query, k, None), "k {k} of {count}");
            assert!(!stats.truncated);
        }
        let nothing = RowMask::none(count);
        let (hits, _) = rows.search(&*index, query, 10, Some(&nothing));
        assert!(hits.is_empty(), "all masked");
        let everything = RowMask::all(count);
        let (hits, _) = rows.search(&*index, query, 10, Some(&everything));
        assert_eq!(hits, rows.exact(query, 10, None));
        assert!(index.describe()["kind"] == spec.kind());
    }
}

pub(crate) fn lives_with_equal_rows(spec: &IndexSpec) {
    let dim = 8;
    let other = Rows::new(Metric::L2, ElementType::F32, 1500, dim);
    let mut values: Vec<f32> = bytemuck_f32(&other.bytes);
    let equal = [0.25f32; 8];
    // Every row from 200 to 1,199 is the same point.
    for row in values.chunks_exact_mut(dim).skip(200).take(1000) {
        row.copy_from_slice(&equal);
    }
    let queries: Vec<f32> = values.iter().copied().take(200 * dim).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let rows = Rows::of(metric, ElementType::F32, dim, &values, &queries);
        let index = rows.build(spec, 1);
        assert_eq!(index.verify(rows.count).unwrap().unreachable, 0, "{metric}");
        let recall = rows.recall(&*index, 10, None);
        assert!(
            recall >= 0.95,
            "{metric}: recall {recall} beside equal rows"
        );
        if metric == Metric::Dot {
            continue;
        }
        let query = Query::new(metric, ElementType::F32, dim, &equal).unwrap();
        for k in [10, 300, 1000] {
            let (hits, _) = rows.search(&*index, &query, k, None);
            let distinct: HashSet<u32> = hits.iter().map(|hit| hit.row.0).collect();
            assert_eq!(distinct.len(), k, "{metric}");
            let zeros = hits.iter().filter(|hit| hit.distance < 1e-6).count();
            assert_eq!(zeros, k, "{metric}: the equal rows are the nearest");
        }
    }
}

fn bytemuck_f32(bytes: &[u8]) -> Vec<f32> {
    let (numbers, []) = bytes.as_chunks::<4>() else {
        panic!("whole numbers");
    };
    numbers
        .iter()
        .map(|number| f32::from_le_bytes(*number))
        .collect()
}

pub(crate) fn refuses_what_does_not_fit(spec: &IndexSpec) {
    let rows = Rows::new(Metric::L2, ElementType::F32, 300, 8);
    let other = Rows::new(Metric::L2, ElementType::F32, 299, 8);
    let wide = Rows::new(Metric::L2, ElementType::F32, 300, 9);
    let cosine = Rows::new(Metric::Cosine, ElementType::F32, 300, 8);
    let index = rows.build(spec, 1);
    let none = SearchParams::default();
    let search = |rows: &Rows, query: &Query, mask: Option<&RowMask>| {
        let found = rows.try_search(&*index, query, 3, mask, &none, &Budget::UNLIMITED);
        found.map(|_| ()).unwrap_err().to_string()
    };
    let query = &rows.queries[0];
    let mask = RowMask::all(299);
    for (error, named) in [
        (search(&other, query, None), "300"),
        (search(&rows, &wide.queries[0], None), "dimension"),
        (search(&rows, &cosine.queries[0], None), "cosine"),
        (search(&rows, query, Some(&mask)), "mask"),
    ] {
        assert!(error.contains(named), "{error}");
    }
    assert!(index.verify(299).is_err());
    let bits = Rows::new(Metric::Hamming, ElementType::Bits, 20, 8);
    let options = BuildOptions::default();
    let error = vecdb_index::build(spec, Metric::L2, bits.view(), &options).unwrap_err();
    assert!(
        matches!(error, IndexError::UnsupportedMetric { .. }),
        "{error}"
    );
    // `exact` is known to all kinds; `ef` to those that walk.
    for (params, fits) in [
        (exact_params(), true),
        (
            SearchParams {
                ef: Some(50),
                ..SearchParams::default()
            },
            matches!(spec.kind(), "hnsw" | "diskann"),
        ),
        (
            SearchParams {
                ef: Some(0),
                ..SearchParams::default()
            },
            false,
        ),
    ] {
        let found = rows.try_search(&*index, query, 3, None, &params, &Budget::UNLIMITED);
        assert_eq!(found.is_ok(), fits, "{params:?}: {found:?}");
    }
}

fn exact_params() -> SearchParams {
    SearchParams {
        exact: true,
        ..SearchParams::default()
    }
}

pub(crate) fn stops_when_the_budget_is_spent(spec: &IndexSpec) {
    let rows = Rows::new(Metric::L2, ElementType::F32, 20_000, 8);
    let index = rows.build(spec, 2);
    let query = &rows.queries[0];
    let few = Budget {
        max_distances: Some(100),
        ..Budget::UNLIMITED
    };
    let late = Budget {
        deadline: Some(Instant::now()),
        ..Budget::UNLIMITED
    };
    let (set, unset) = (AtomicBool::new(true), AtomicBool::new(false));
    let stopped = Budget {
        stop: Some(&set),
        ..Budget::UNLIMITED
    };
    let ample = Budget {
        max_distances: Some(1 << 40),
        deadline: Some(Instant::now() + Duration::from_secs(3600)),
        stop: Some(&unset),
        ..Budget::UNLIMITED
    };
    let half = random_mask(rows.count, 0.5, 9);
    for mask in [None, Some(&half)] {
        for params in [SearchParams::default(), exact_params()] {
            for budget in [few, late, stopped] {
                let result = rows.try_search(&*index, query, 5, mask, &params, &budget);
                let (_, stats) = result.unwrap();
                assert!(stats.truncated && !stats.exact, "{budget:?}");
                assert!(stats.counters.distance_computations < 3000, "{stats:?}");
            }
            let free = rows.try_search(&*index, query, 5, mask, &params, &Budget::UNLIMITED);
            let paid = rows.try_search(&*index, query, 5, mask, &params, &ample);
            assert_eq!(free.unwrap(), paid.unwrap());
        }
    }
}

/// A scratch that has served other queries, masks and indexes gives the hits and costs of a fresh one.
pub(crate) fn forgets_the_searches_before(spec: &IndexSpec) {
    let sizes = [6000, 2000].map(|count| Rows::new(Metric::L2, ElementType::F32, count, 12));
    let built = sizes.each_ref().map(|rows| (rows, rows.build(spec, 2)));
    let mut used = Scratch::new();
    for (at, query) in sizes[0].queries.iter().enumerate() {
        for (rows, index) in &built {
            let mask = random_mask(rows.count, 0.4, at as u64);
            for mask in [None, Some(&mask)] {
                let (hits, stats) = rows.search(&**index, query, 10, mask);
                let mut again = Vec::new();
                let params = SearchParams::default();
                let stats_again = index
                    .search(
                        rows.view(),
                        query,
                        10,
                        mask,
                        &params,
                        &Budget::UNLIMITED,
                        &mut used,
                        &mut again,
                    )
                    .unwrap();
                assert_eq!((hits, stats), (again, stats_again), "query {at}");
            }
        }
    }
}

pub(crate) fn reopens_with_the_same_answers(spec: &IndexSpec) {
    for metric in [Metric::L2, Metric::Cosine] {
        let rows = Rows::new(metric, ElementType::F32, 5000, 16);
        let built = rows.build(spec, 1);
        let disk = save(&*built);
        let file = open_file(&disk).unwrap();
        let opened = vecdb_index::open(spec, metric, &file, rows.count).unwrap();
        assert_eq!(built.verify(5000).unwrap(), opened.verify(5000).unwrap());
        assert_eq!(built.describe(), opened.describe());
        assert_eq!(built.memory_bytes(), opened.memory_bytes());
        let mask = random_mask(rows.count, 0.5, 3);
        for query in &rows.queries {
            for mask in [None, Some(&mask)] {
                let before = rows.search(&*built, query, 10, mask);
                let after = rows.search(&*opened, query, 10, mask);
                assert_eq!(before, after);
            }
        }
        if spec.kind() != "flat" {
            assert!(vecdb_index::open(spec, metric, &file, rows.count - 1).is_err());
            assert!(vecdb_index::open(spec, Metric::L1, &file, rows.count).is_err());
        }
    }
}

/// Opens and uses a file that may hold anything: an error or hits that exist, never a panic.
fn use_corrupt(spec: &IndexSpec, rows: &Rows, disk: &vecdb_storage::MemoryDisk) -> bool {
    let open = || vecdb_index::open(spec, rows.metric, &open_file(disk)?, rows.count);
    let Ok(index) = open() else {
        return false;
    };
    // Zeros between sections are under no block's checksum: only a check of the whole file sees them change.
    let file = open_file(disk).and_then(|file| Ok(file.verify()?));
    let mut sound = file.is_ok() && index.verify(rows.count).is_ok();
    index.describe();
    let mask = random_mask(rows.count, 0.6, 5);
    for query in rows.queries.iter().take(5) {
        for mask in [None, Some(&mask)] {
            let params = SearchParams {
                ef: matches!(spec.kind(), "hnsw" | "diskann").then_some(20),
                nprobe: (spec.kind() == "ivf").then_some(5),
                probes: (spec.kind() == "lsh").then_some(50),
                ..SearchParams::default()
            };
            match rows.try_search(&*index, query, 10, mask, &params, &Budget::UNLIMITED) {
                Ok((hits, _)) => {
                    assert!(hits.len() <= 10 && hits.iter().all(|hit| hit.row.0 < rows.count));
                }
                Err(_) => sound = false,
            }
        }
    }
    sound
}

pub(crate) fn survives_corrupt_bytes(spec: &IndexSpec) {
    let rows = Rows::new(Metric::L2, ElementType::F32, 800, 6);
    let built = rows.build(spec, 1);
    let disk = save(&*built);
    assert!(use_corrupt(spec, &rows, &disk), "the file itself is sound");
    let seed = 77;
    let mut random = SeededRandom::new(seed);
    // Damage that the checksums see.
    let bytes = raw(&disk);
    for round in 0..150 {
        let mut damaged = bytes.clone();
        let at = random.below(damaged.len() as u64) as usize;
        if random.below(4) == 0 {
            damaged.truncate(at);
        } else {
            damaged[at] ^= 1 << random.below(8);
        }
        let sound = use_corrupt(spec, &rows, &raw_file(&damaged));
        // Flat keeps nothing in the file.
        let blind = spec.kind() == "flat";
        assert!(
            !sound || blind,
            "seed {seed} round {round}: damage at {at} unseen"
        );
    }
    // Damage under right checksums, as a hostile or broken writer would make it.
    let sections = sections(&disk);
    for _ in 0..600 {
        let mut damaged = sections.clone();
        if damaged.is_empty() {
            break;
        }
        let which = random.below(damaged.len() as u64) as usize;
        let bytes = &mut damaged[which].1;
        for _ in 0..=random.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(5) {
                0 => bytes.truncate(at),
                1 => bytes[at] = 0xff,
                2 => bytes[at] = 0,
                _ => bytes[at] = random.bits() as u8,
            }
        }
        use_corrupt(spec, &rows, &file_of(&damaged));
    }
    for missing in 0..sections.len() {
        let mut fewer = sections.clone();
        let (name, _) = fewer.remove(missing);
        // Graphs of before it was measured lack this one.
        let optional = name == "hnsw:recall";
        assert_eq!(
            use_corrupt(spec, &rows, &file_of(&fewer)),
            optional,
            "{name}"
        );
    }
}

pub(crate) fn builds_the_same_from_the_same_seed(spec: &IndexSpec) {
    // Wide and many enough for the build to go through eight-bit codes too.
    for (count, dim) in [(3000, 8), (6000, 40)] {
        let rows = Rows::new(Metric::L2, ElementType::F32, count, dim);
        let first = sections(&save(&*rows.build(spec, 1)));
        let second = sections(&save(&*rows.build(spec, 1)));
        assert!(first == second, "{count} x {dim}");
    }
}

pub(crate) fn compares_few_rows(spec: &IndexSpec) {
    if spec.kind() == "flat" {
        return;
    }
    let rows = Rows::new(Metric::L2, ElementType::F32, 50_000, 32);
    let index = rows.build(spec, 2);
    let recall = rows.recall(&*index, 10, None);
    assert!(recall >= 0.95, "recall {recall}");
    for query in &rows.queries {
        let (_, stats) = rows.search(&*index, query, 10, None);
        let distances = stats.counters.distance_computations;
        assert!(distances < 25_000, "{distances} of 50,000 rows compared");
    }
}

/// The rows that a mask of every second row allows; used by the graph's own tests too.
pub(crate) fn even_rows(rows: u32) -> impl Iterator<Item = RowId> {
    (0..rows).step_by(2).map(RowId)
}
