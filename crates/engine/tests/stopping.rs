//! A search ends when it is told to: with an error when its caller is gone or late, with what it has when only the time
//! limit of the search itself is reached.

use std::path::Path;
use std::time::{Duration, Instant};

use vecdb_engine::{
    Collection, CollectionConfig, Database, Env, ErrorKind, Filter, HnswParams, IndexSpec, Metric,
    Options, Point, ScrollRequest, SearchParams, SearchRequest, SearchResponse, StopSignal,
};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::SimDisk;

const DIMENSION: usize = 64;

/// A collection in one segment, and a search of it that has much to do.
struct Case {
    name: &'static str,
    rows: u64,
    _db: Database,
    collection: Collection,
    request: SearchRequest,
}

impl Case {
    fn new(name: &'static str, rows: u64, index: IndexSpec, params: SearchParams) -> Self {
        let env = Env {
            disk: SimDisk::new().shared(),
            ..Env::default()
        };
        let options = Options {
            background: false,
            memtable_bytes_max: 1 << 30,
            ..Options::default()
        };
        let db = Database::open_with(&env, Path::new("/db"), options).unwrap();
        let config = CollectionConfig::new(DIMENSION as u32, Metric::L2).index(index);
        let collection = db.create_collection("c", config).unwrap();
        let mut random = SeededRandom::new(5);
        let mut vector = || -> Vec<f32> { (0..DIMENSION).map(|_| random.gaussian()).collect() };
        for start in (0..rows).step_by(10_000) {
            let ids = start..rows.min(start + 10_000);
            let points = ids.map(|id| Point::new(id, vector()).with("parity", (id % 2) as i64));
            collection.upsert(points.collect()).unwrap();
        }
        collection.flush().unwrap();
        Self {
            name,
            rows,
            _db: db,
            collection,
            request: SearchRequest::new(vector()).params(params),
        }
    }

    fn all() -> [Self; 3] {
        let few_links = HnswParams {
            m: 8,
            ef_construction: 30,
            ..HnswParams::default()
        };
        let wide = SearchParams {
            ef: Some(4_000),
            ..SearchParams::default()
        };
        let graph = Case::new("graph", 12_000, IndexSpec::Hnsw(few_links), wide);
        graph.collection.compact().unwrap();
        let any = SearchParams::default();
        [
            Case::new("flat", 100_000, IndexSpec::Flat, any.clone()),
            Case::new("sketches", 100_000, IndexSpec::default(), any),
            graph,
        ]
    }

    fn stopped_by(&self, stop: StopSignal) -> vecdb_engine::Result<SearchResponse> {
        let mut request = self.request.clone();
        request.stop = stop;
        self.collection.search(&request)
    }

    /// How long the whole search takes at best.
    fn whole(&self) -> Duration {
        let times = (0..5).map(|_| {
            let answer = self.stopped_by(StopSignal::new()).unwrap();
            assert!(!answer.truncated && answer.hits.len() == 10);
            answer.elapsed
        });
        times.min().unwrap()
    }
}

#[test]
fn a_search_ends_where_it_is_when_its_deadline_passes() {
    for case in Case::all() {
        // Before the first search, which checks what it reads, as well as after it.
        let late = StopSignal::default().with_deadline(Instant::now());
        let error = case.stopped_by(late).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);

        let whole = case.whole();
        let cut = (0..50).map(|_| {
            let started = Instant::now();
            let soon = StopSignal::default().with_deadline(started + whole / 10);
            let error = case.stopped_by(soon).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{}", case.name);
            started.elapsed()
        });
        let cut = cut.min().unwrap();
        assert!(cut < whole / 2, "{}: {cut:?} of {whole:?}", case.name);
    }
}

#[test]
fn a_search_that_is_not_told_to_stop_answers_as_ever() {
    for case in Case::all() {
        let plain = case.collection.search(&case.request).unwrap();
        let far = StopSignal::new().with_deadline(Instant::now() + Duration::from_secs(3600));
        let watched = case.stopped_by(far).unwrap();
        assert_eq!(plain.hits, watched.hits, "{}", case.name);
        assert_eq!(plain.stats, watched.stats, "{}", case.name);
    }
}

#[test]
fn a_time_limit_truncates_and_a_stop_does_not() {
    for case in Case::all() {
        let mut request = case.request.clone();
        request.timeout = Some(Duration::ZERO);
        let answer = case.collection.search(&request).unwrap();
        assert!(answer.truncated, "{}", case.name);
        let computed = answer.stats.distance_computations;
        assert!(computed < case.rows / 4, "{}: {computed}", case.name);

        request.stop = StopSignal::new();
        request.stop.stop();
        let error = case.collection.search(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{}", case.name);
    }
}

#[test]
fn a_stop_from_another_thread_ends_a_batch_and_a_scroll() {
    let flat = IndexSpec::Flat;
    let case = Case::new("flat", 50_000, flat, SearchParams::default());
    let patience = Duration::from_secs(20);
    // Enough that nobody could answer it all in time.
    let searches = patience.as_micros() / case.whole().as_micros().max(1);
    let stop = StopSignal::new();
    let mut request = case.request.clone();
    request.stop = stop.clone();
    let batch = vec![request; searches as usize * 4];
    let started = Instant::now();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            stop.stop();
        });
        case.collection.search_batch(&batch).unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(started.elapsed() < patience / 2, "{:?}", started.elapsed());

    let nobody = Filter::parse_str(r#"{"parity": 2}"#).unwrap();
    let scroll = ScrollRequest {
        filter: Some(nobody),
        stop,
        ..ScrollRequest::default()
    };
    let error = case.collection.scroll(&scroll).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// A collection with two segments that wait to be merged and get a graph.
fn unmerged(disk: &SimDisk) -> (Database, Collection) {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    let options = Options {
        background: false,
        threads: 1,
        ..Options::default()
    };
    let db = Database::open_with(&env, Path::new("/db"), options).unwrap();
    let config = CollectionConfig::new(DIMENSION as u32, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    let mut random = SeededRandom::new(6);
    for start in [0, 6_000] {
        let mut vector = || -> Vec<f32> { (0..DIMENSION).map(|_| random.gaussian()).collect() };
        let points = (start..start + 6_000).map(|id| Point::new(id, vector()).with("n", id as i64));
        collection.upsert(points.collect()).unwrap();
        collection.flush().unwrap();
    }
    (db, collection)
}

#[test]
fn a_compaction_that_is_stopped_leaves_what_there_was_and_can_be_begun_anew() {
    let (_db, collection) = unmerged(&SimDisk::new());
    let stop = StopSignal::new();
    let outcome = std::thread::scope(|scope| {
        let compaction = scope.spawn(|| collection.compact_with(&stop));
        while collection.info().maintenance.building.is_none() {
            assert!(!compaction.is_finished(), "it builds a graph");
            std::thread::yield_now();
        }
        // Who waits for the merge of another is stopped too.
        let soon = Instant::now() + Duration::from_millis(30);
        let waiting = StopSignal::default().with_deadline(soon);
        let waited = collection.wait_until_idle_with(&waiting);
        if let Err(error) = waited {
            assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
        }
        stop.stop();
        let begun = Instant::now();
        let outcome = compaction.join().unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        outcome
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    let info = collection.info();
    assert_eq!(info.segments.len(), 2);
    assert_eq!(
        (info.maintenance.last_error, info.maintenance.building),
        (None, None)
    );

    let late = StopSignal::default().with_deadline(Instant::now() + Duration::from_millis(300));
    let error = collection.compact_with(&late).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
    assert_eq!(collection.info().maintenance.last_error, None);

    collection.compact().unwrap();
    assert_eq!(collection.info().segments.len(), 1);
    assert!(collection.verify().unwrap().problems.is_empty());
}

#[test]
fn long_operations_look_at_their_signal() {
    let disk = SimDisk::new();
    let (db, collection) = unmerged(&disk);
    let stopped = &StopSignal::new();
    stopped.stop();
    let cancelled = |what: &str, outcome: vecdb_engine::Result<()>| {
        let error = outcome.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{what}: {error}");
    };
    let ids: Vec<_> = (0..1_000_u64).map(Into::into).collect();
    let any = Filter::parse_str(r#"{"n": {"$gte": 0}}"#).unwrap();
    cancelled(
        "get",
        collection.get_with(&ids, true, true, stopped).map(drop),
    );
    cancelled(
        "count",
        collection.count_with(Some(&any), stopped).map(drop),
    );
    cancelled("verify", collection.verify_with(stopped).map(drop));
    cancelled("verify all", db.verify_with(stopped).map(drop));
    let snapshot = db.snapshot_with(&[], "/snapshot", stopped);
    cancelled("snapshot", snapshot.map(drop));
    let left = disk.files().into_iter();
    let left: Vec<_> = left.filter(|file| file.starts_with("/snapshot")).collect();
    assert!(left.is_empty(), "{left:?}");
    let never = &StopSignal::default();
    assert_eq!(collection.count_with(Some(&any), never).unwrap(), 12_000);
    db.snapshot_with(&[], "/snapshot", never).unwrap();
}
