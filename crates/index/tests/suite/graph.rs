//! What only the graph can do: change row by row, extend an older graph, report itself; and its work in numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vecdb_index::Plan;
use vecdb_index::{
    AnnIndex, Budget, BuildOptions, Counters, Hnsw, HnswParams, IndexError, IndexSpec, Progress,
    Scratch, SearchParams, SearchStats, SubsetGraph, UnitCosts,
};
use vecdb_testkit::random::SeededRandom;
use vecdb_vector::{ElementType, Metric, Neighbor, Query, RowId, RowMask};

use crate::fixture::{Rows, open_file, random_mask, save};
use crate::kinds::even_rows;

fn options(threads: usize) -> BuildOptions<'static> {
    BuildOptions {
        threads,
        ..BuildOptions::default()
    }
}

fn build(rows: &Rows, threads: usize) -> Hnsw {
    let params = HnswParams::default();
    Hnsw::build(&params, rows.metric, rows.view(), &options(threads)).unwrap()
}

/// Recall among the rows in the graph, asked for without a mask.
fn recall_of_present(rows: &Rows, index: &Hnsw) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for query in &rows.queries {
        let truth = rows.exact(query, 10, Some(index.present()));
        let (hits, _) = rows.search(index, query, 10, None);
        assert!(hits.iter().all(|hit| index.present().contains(hit.row)));
        let limit = truth.last().map_or(f32::NEG_INFINITY, |hit| hit.distance);
        found += hits.iter().filter(|hit| hit.distance <= limit).count();
        wanted += truth.len();
    }
    found as f64 / f64::from(wanted.max(1) as u32)
}

#[test]
fn rows_inserted_one_by_one_are_found() {
    let rows = Rows::new(Metric::Cosine, ElementType::F32, 2000, 16);
    let mut index = Hnsw::new(&HnswParams::default(), rows.metric).unwrap();
    for row in 0..rows.count {
        index.insert(rows.view(), RowId(row)).unwrap();
    }
    assert!(index.insert(rows.view(), RowId(5)).is_err(), "it is there");
    assert!(
        index.insert(rows.view(), RowId(2000)).is_err(),
        "no such row"
    );
    let mut built = crate::fixture::sections(&save(&build(&rows, 1)));
    // Only a build measures what a recall takes.
    built.retain(|(name, _)| name != "hnsw:recall");
    assert!(
        crate::fixture::sections(&save(&index)) == built,
        "the same graph as from a build"
    );
    assert!(rows.recall(&index, 10, None) >= 0.95);
}

#[test]
fn recall_survives_deleting_half_and_updating_half() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 8000, 24);
    let mut index = build(&rows, 2);
    for row in even_rows(rows.count) {
        assert!(index.delete(rows.view(), row).unwrap());
        assert!(!index.delete(rows.view(), row).unwrap(), "only once");
    }
    let report = index.verify(rows.count).unwrap();
    assert_eq!(report.rows, 4000);
    assert!(report.unreachable <= 8, "{report:?}");
    let recall = recall_of_present(&rows, &index);
    assert!(recall >= 0.95, "after deletes: {recall}");

    // Every second of the remaining rows moves elsewhere; the deleted ones come back.
    let mut moved = Rows::new(Metric::L2, ElementType::F32, 8000, 24);
    let size = moved.bytes.len() / 8000;
    let mut random = SeededRandom::new(5);
    for row in (1..8000).step_by(4) {
        let from = random.below(8000) as usize * size;
        let vector = moved.bytes[from..from + size].to_vec();
        moved.bytes[row * size..(row + 1) * size].copy_from_slice(&vector);
        let value = f32::from_le_bytes([vector[0], vector[1], vector[2], vector[3]]) + 0.1;
        moved.bytes[row * size..row * size + 4].copy_from_slice(&value.to_le_bytes());
    }
    for row in (1..8000).step_by(4) {
        index.update(moved.view(), RowId(row)).unwrap();
    }
    for row in even_rows(rows.count) {
        index.insert(moved.view(), row).unwrap();
    }
    index.reconnect(moved.view()).unwrap();
    let report = index.verify(rows.count).unwrap();
    assert_eq!((report.rows, report.unreachable), (8000, 0));
    let recall = recall_of_present(&moved, &index);
    assert!(recall >= 0.95, "after updates: {recall}");
}

#[test]
fn a_graph_can_be_emptied_and_filled_again() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 300, 8);
    let mut index = build(&rows, 1);
    for row in 0..300 {
        // The entry, whichever row it is, goes at some point.
        index.delete(rows.view(), RowId(row)).unwrap();
        assert_eq!(index.verify(300).unwrap().rows, 299 - row);
    }
    let (hits, _) = rows.search(&index, &rows.queries[0], 10, None);
    assert!(hits.is_empty());
    let disk = save(&index);
    let spec = IndexSpec::default();
    let opened = vecdb_index::open(&spec, Metric::L2, &open_file(&disk).unwrap(), 300).unwrap();
    assert!(
        rows.search(&*opened, &rows.queries[0], 10, None)
            .0
            .is_empty()
    );
    for row in [7, 3, 250] {
        index.insert(rows.view(), RowId(row)).unwrap();
    }
    let disk = save(&index);
    let opened = vecdb_index::open(&spec, Metric::L2, &open_file(&disk).unwrap(), 300).unwrap();
    for index in [&index as &dyn AnnIndex, &*opened] {
        let (hits, _) = rows.search(index, &rows.queries[0], 10, None);
        let mut found: Vec<u32> = hits.iter().map(|hit| hit.row.0).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 7, 250]);
    }
}

#[test]
fn an_older_graph_is_extended() {
    let old = Rows::new(Metric::L2, ElementType::F32, 6000, 16);
    let seed = build(&old, 2);
    let disk = save(&seed);
    let spec = IndexSpec::default();
    let sealed = vecdb_index::open(&spec, Metric::L2, &open_file(&disk).unwrap(), 6000).unwrap();
    // Every seventh row is gone, the others move up by 500: the new rows come first.
    let fresh = Rows::new(Metric::L2, ElementType::F32, 500, 16);
    let size = 16 * 4;
    let mut bytes = fresh.bytes[..500 * size].to_vec();
    for byte in bytes.chunks_exact_mut(4) {
        let value = f32::from_le_bytes([byte[0], byte[1], byte[2], byte[3]]) + 0.01;
        byte.copy_from_slice(&value.to_le_bytes());
    }
    let mut remap = Vec::new();
    let mut count = 500;
    for row in 0..6000usize {
        if row % 7 == 0 {
            remap.push(None);
        } else {
            remap.push(Some(RowId(count)));
            bytes.extend_from_slice(&old.bytes[row * size..(row + 1) * size]);
            count += 1;
        }
    }
    let rows = Rows {
        bytes,
        count,
        ..old
    };
    let done = Counting::default();
    let options = BuildOptions {
        threads: 2,
        progress: &done,
        ..BuildOptions::default()
    };
    for seed in [&seed as &dyn AnnIndex, &*sealed] {
        let extend = vecdb_index::build_extending;
        let index = extend(&spec, rows.metric, rows.view(), &options, seed, &remap).unwrap();
        let report = index.verify(rows.count).unwrap();
        assert_eq!((report.rows, report.unreachable), (rows.count, 0));
        let recall = rows.recall(&*index, 10, None);
        assert!(recall >= 0.95, "recall {recall}");
        assert_eq!(
            done.total.load(Ordering::Relaxed),
            500,
            "only the new ones are inserted"
        );
        // Of another kind, or mostly dead, a seed is of no use: everything is built.
        let flat = IndexSpec::Flat;
        let index = extend(&flat, rows.metric, rows.view(), &options, seed, &remap).unwrap();
        assert_eq!(index.kind(), "flat");
        let dead = vec![None; 6000];
        let index = extend(&spec, rows.metric, rows.view(), &options, seed, &dead).unwrap();
        assert_eq!(index.verify(rows.count).unwrap().rows, rows.count);
        assert_eq!(done.total.load(Ordering::Relaxed), u64::from(rows.count));
        // A map that does not fit is refused.
        assert!(extend(&spec, rows.metric, rows.view(), &options, seed, &remap[1..]).is_err());
        let twice = vec![Some(RowId(1)); 6000];
        let result = extend(&spec, rows.metric, rows.view(), &options, seed, &twice);
        assert!(matches!(result, Err(IndexError::Mismatch { .. })));
    }
}

#[derive(Default)]
struct Counting {
    calls: AtomicU64,
    total: AtomicU64,
    stop: AtomicBool,
}

impl Progress for Counting {
    fn advance(&self, done: u64, total: u64) {
        assert!(done <= total);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_build_reports_progress_and_can_be_cancelled() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 5000, 8);
    let progress = Counting::default();
    let mut options = BuildOptions {
        threads: 2,
        progress: &progress,
        ..BuildOptions::default()
    };
    Hnsw::build(&HnswParams::default(), rows.metric, rows.view(), &options).unwrap();
    assert!(progress.calls.load(Ordering::Relaxed) >= 4);
    assert_eq!(progress.total.load(Ordering::Relaxed), 5000);
    // From the first progress call on, the flag is up.
    progress.stop.store(false, Ordering::Relaxed);
    let cancelled = || progress.stop.load(Ordering::Relaxed);
    options.cancelled = Some(&cancelled);
    let result = Hnsw::build(&HnswParams::default(), rows.metric, rows.view(), &options);
    assert!(matches!(result, Err(IndexError::Cancelled)));
}

#[test]
fn a_rayon_pool_builds_as_well() {
    let rows = Rows::new(Metric::Dot, ElementType::F32, 3000, 16);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let options = BuildOptions {
        threads: 3,
        pool: Some(&pool),
        ..BuildOptions::default()
    };
    let index = Hnsw::build(&HnswParams::default(), rows.metric, rows.view(), &options).unwrap();
    assert_eq!(index.verify(rows.count).unwrap().unreachable, 0);
    assert!(rows.recall(&index, 10, None) >= 0.95);
}

#[test]
fn statistics_and_traces_describe_the_walk() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 10_000, 16);
    let index = build(&rows, 1);
    let stats = index.stats().unwrap();
    assert_eq!(stats.rows_per_layer.len(), usize::from(stats.max_layer) + 1);
    assert_eq!(stats.rows_per_layer.first(), Some(&10_000));
    assert!(stats.rows_per_layer.is_sorted_by(|a, b| a > b), "{stats:?}");
    let degree = stats.degree_per_layer[0];
    assert!((4.0..=32.0).contains(&degree), "{degree}");
    assert_eq!(stats.degree_histogram.iter().sum::<u32>(), 10_000);
    assert_eq!(stats.graph_bytes, index.memory_bytes());
    assert!(stats.depth_max >= 2 && stats.unreachable == 0);

    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    let (params, budget) = (SearchParams::default(), Budget::UNLIMITED);
    let query = &rows.queries[0];
    let found = index
        .search(
            rows.view(),
            query,
            10,
            None,
            &params,
            &budget,
            &mut scratch,
            &mut out,
        )
        .unwrap();
    let trace = scratch.trace();
    let layers: Vec<u8> = trace.iter().map(|layer| layer.layer).collect();
    let expected: Vec<u8> = (0..=stats.max_layer).rev().collect();
    assert_eq!(layers, expected);
    let hops: u32 = trace.iter().map(|layer| layer.hops).sum();
    assert_eq!(u64::from(hops), found.counters.hops);
    assert_eq!(
        trace.last().map(|layer| layer.nearest),
        out.first().copied()
    );
    let nearer = trace.is_sorted_by(|a, b| a.nearest.distance >= b.nearest.distance);
    assert!(nearer, "every layer comes nearer: {trace:?}");
}

#[test]
fn a_wide_mask_is_walked_and_a_narrow_one_scanned() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 30_000, 8);
    let index = build(&rows, 2);
    for (share, plan) in [(0.9, Plan::Walk), (0.15, Plan::Hop), (0.01, Plan::Scan)] {
        let mask = random_mask(rows.count, share, 2);
        let plans = index.plans(
            mask.count(),
            None,
            10,
            &SearchParams::default(),
            &UnitCosts::default(),
        );
        assert_eq!(plans.first().map(|plan| plan.plan), Some(plan), "{plans:?}");
        let (_, stats) = rows.search(&index, &rows.queries[0], 10, Some(&mask));
        assert_eq!(stats.plan, Some(plan));
        assert_eq!(stats.exact, plan == Plan::Scan);
        // Every unit of work counts the same.
        assert!(
            (stats.modelled_ns - stats.counters.work()).abs() < 1e-3,
            "{stats:?}"
        );
        let distances = stats.counters.distance_computations;
        assert!(
            distances <= u64::from(mask.count()),
            "{distances} for {share}"
        );
    }
}

/// By a graph of rows that a mask allowed.
fn search_subset(
    rows: &Rows,
    index: &Hnsw,
    subset: &SubsetGraph,
    query: &Query,
    mask: &RowMask,
    plan: Option<Plan>,
) -> (Vec<Neighbor>, SearchStats) {
    let params = SearchParams {
        plan,
        ..SearchParams::default()
    };
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let stats = index.search_subset(
        subset,
        rows.view(),
        query,
        10,
        mask,
        &params,
        &Budget::UNLIMITED,
        &mut scratch,
        &mut hits,
    );
    (hits, stats.unwrap())
}

#[test]
fn a_graph_of_the_allowed_rows_finds_them_in_fewer_steps() {
    for (metric, element, dim) in [
        (Metric::L2, ElementType::F32, 16),
        (Metric::Dot, ElementType::F16, 16),
        (Metric::Hamming, ElementType::Bits, 128),
        // Walked on codes.
        (Metric::Cosine, ElementType::F32, 128),
    ] {
        let rows = Rows::new(metric, element, 12_000, dim);
        let index = build(&rows, 2);
        let built_for = random_mask(rows.count, 0.2, 3);
        let subset = index.build_subset(rows.view(), &built_for, &options(1));
        let subset = subset.unwrap().unwrap();
        assert_eq!(subset.len(), built_for.count());
        // Rows go that were there.
        for mask in [
            built_for.clone(),
            built_for.and(&random_mask(rows.count, 0.8, 4)),
        ] {
            let (mut found, mut wanted, mut chosen) = (0, 0, 0);
            let (mut work, mut of_hops) = (Counters::default(), Counters::default());
            for query in &rows.queries {
                let truth = rows.exact(query, 10, Some(&mask));
                let (hits, stats) = search_subset(&rows, &index, &subset, query, &mask, None);
                assert_eq!(hits.len(), 10);
                assert!(hits.iter().all(|hit| mask.contains(hit.row)));
                assert!(hits.is_sorted_by(|a, b| a.distance <= b.distance));
                let limit = truth[9].distance;
                found += hits.iter().filter(|hit| hit.distance <= limit).count();
                wanted += truth.len();
                let is_subset = stats.plan == Some(Plan::Subset) && !stats.switched;
                chosen += usize::from(is_subset);
                let by = |plan| search_subset(&rows, &index, &subset, query, &mask, Some(plan));
                let (_, stats) = by(Plan::Subset);
                assert!(stats.plan == Some(Plan::Subset) && !stats.switched && !stats.exact);
                work += stats.counters;
                of_hops += by(Plan::Hop).1.counters;
            }
            let recall = f64::from(found as u32) / f64::from(wanted as u32);
            let what = format!("{metric} {element}, {} rows", mask.count());
            assert!(recall >= 0.95, "{what}: {recall}");
            // Under dot it is not where fewer are allowed near the query.
            let least = if metric == Metric::Dot { 15 } else { 36 };
            assert!(chosen >= least, "{what}: {chosen} of 40");
            assert!(
                work.work() < of_hops.work(),
                "{what}: {work:?}, {of_hops:?}"
            );
        }
    }
}

#[test]
fn a_graph_of_some_rows_is_made_for_its_index() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 3_000, 16);
    let mut index = build(&rows, 2);
    let mask = random_mask(rows.count, 0.5, 3);
    let make = || index.build_subset(rows.view(), &mask, &options(1));
    let (subset, again) = (make().unwrap().unwrap(), make().unwrap().unwrap());
    let needs = index.subset_needs(&rows.view(), mask.count()).unwrap();
    let off = subset.memory_bytes() as f64 / needs.bytes as f64;
    assert!((0.9..1.1).contains(&off), "{subset:?} {needs:?}");
    assert!(needs.build_bytes > needs.bytes && needs.build_work > 1e6);
    for query in &rows.queries {
        let forced = Some(Plan::Subset);
        let by = |subset| search_subset(&rows, &index, subset, query, &mask, forced);
        assert_eq!(by(&subset), by(&again), "built twice");
    }
    let other = index.build_subset(rows.view(), &RowMask::all(5), &options(1));
    assert!(other.is_err(), "a mask of other rows");
    let stop = || true;
    let cancelled = BuildOptions {
        cancelled: Some(&stop),
        ..options(1)
    };
    let cancelled = index.build_subset(rows.view(), &mask, &cancelled);
    assert!(matches!(cancelled, Err(IndexError::Cancelled)));

    // Of an index of fewer rows it cannot be.
    let few = Rows::new(Metric::L2, ElementType::F32, 1_000, 16);
    let refused = build(&few, 1).search_subset(
        &subset,
        few.view(),
        &few.queries[0],
        10,
        &RowMask::all(1_000),
        &SearchParams::default(),
        &Budget::UNLIMITED,
        &mut Scratch::new(),
        &mut Vec::new(),
    );
    assert!(matches!(refused, Err(IndexError::Mismatch { .. })));

    // Nothing allowed, and a graph that is open to change.
    let none = RowMask::none(rows.count);
    let empty = index.build_subset(rows.view(), &none, &options(1));
    let empty = empty.unwrap().unwrap();
    assert!(empty.is_empty());
    let forced = Some(Plan::Subset);
    let (hits, _) = search_subset(&rows, &index, &empty, &rows.queries[0], &none, forced);
    assert!(hits.is_empty());
    index.delete(rows.view(), RowId(7)).unwrap();
    assert_eq!(index.subset_needs(&rows.view(), 5), None);
    let subset = index.build_subset(rows.view(), &mask, &options(1));
    assert!(subset.unwrap().is_none());
}

#[test]
fn hits_come_back_even_where_the_walk_cannot_get_to() {
    // Rows of the mask form a far island; the rest of the graph leads there only through repaired links.
    let mut rows = Rows::new(Metric::L2, ElementType::F32, 4000, 8);
    let size = 8 * 4;
    for row in 3000..4000 {
        for number in rows.bytes[row * size..(row + 1) * size].chunks_exact_mut(4) {
            let value = f32::from_le_bytes([number[0], number[1], number[2], number[3]]);
            number.copy_from_slice(&(value + 1000.0).to_le_bytes());
        }
    }
    let index = build(&rows, 1);
    let island = RowMask::from_rows(4000, (3000..4000).map(RowId));
    for query in &rows.queries {
        let (hits, _) = rows.search(&index, query, 100, Some(&island));
        assert_eq!(hits.len(), 100);
    }
}

/// Work of 40 searches at the defaults on fixed rows, built by one thread: a change here is a change of the algorithm.
/// Record it anew (the message has the numbers) when it is meant.
#[test]
fn the_work_of_a_search_is_as_recorded() {
    let recorded: serde_json::Value = serde_json::from_str(include_str!("baseline.json")).unwrap();
    let mut measured = serde_json::Map::new();
    for (metric, element, count, dim) in [
        (Metric::L2, ElementType::F32, 10_000, 32),
        (Metric::Cosine, ElementType::F16, 6_000, 64),
        (Metric::Hamming, ElementType::Bits, 6_000, 128),
        // Walked on codes.
        (Metric::L2, ElementType::F32, 6_000, 128),
    ] {
        let rows = Rows::new(metric, element, count, dim);
        let index = build(&rows, 1);
        let mut total = Counters::default();
        for query in &rows.queries {
            total += rows.search(&index, query, 10, None).1.counters;
        }
        let work = serde_json::json!({
            "distance_computations": total.distance_computations,
            "hops": total.hops,
            "links": index.verify(count).unwrap().links,
        });
        measured.insert(format!("hnsw {metric} {element} {count} x {dim}"), work);
    }
    for (name, work) in &measured {
        for (what, got) in work.as_object().unwrap() {
            let expected = recorded[name][what].as_f64().unwrap_or(0.0);
            let got = got.as_f64().unwrap();
            // Kernels of other machines round differently: 2 %.
            assert!(
                (got - expected).abs() <= 0.02 * expected,
                "{name}: {what} is {got}, recorded is {expected}; measured now: {}",
                serde_json::to_string_pretty(&measured).unwrap()
            );
        }
    }
}
