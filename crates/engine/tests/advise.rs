//! Advice on a collection: measured on its live points wherever they lie, refused with a reason, ended when asked to.

use std::time::{Duration, Instant};

use vecdb_engine::{
    AdviceParams, Collection, CollectionConfig, Database, ErrorKind, IndexSpec, Metric, Options,
    Point, PointId, StopSignal,
};
use vecdb_testkit::random::SeededRandom;

const DIMENSION: usize = 8;

fn open(folder: &std::path::Path) -> Database {
    let options = Options {
        background: false,
        threads: 2,
        ..Options::default()
    };
    Database::open(folder, options).unwrap()
}

fn points(ids: std::ops::Range<u64>) -> Vec<Point> {
    let mut random = SeededRandom::new(ids.start);
    let vector = |_| {
        (0..DIMENSION)
            .map(|_| random.gaussian())
            .collect::<Vec<f32>>()
    };
    let vectors: Vec<Vec<f32>> = ids.clone().map(vector).collect();
    ids.zip(vectors)
        .map(|(id, vector)| Point::new(id, vector))
        .collect()
}

/// Two segments, dead rows in both, and a memtable.
fn collection(db: &Database, metric: Metric) -> Collection {
    let config = CollectionConfig::new(DIMENSION as u32, metric);
    let collection = db.create_collection(metric.name(), config).unwrap();
    for ids in [0..900, 900..1_200] {
        collection.upsert(points(ids)).unwrap();
        collection.flush().unwrap();
    }
    collection.upsert(points(1_200..1_400)).unwrap();
    let dead: Vec<PointId> = (0..1_400).step_by(7).map(PointId::from).collect();
    assert_eq!(collection.delete(&dead).unwrap().deleted, 200);
    assert_eq!(collection.info().segments.len(), 2);
    collection
}

#[test]
fn advice_is_about_the_live_points_and_leaves_the_collection_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let params = AdviceParams {
        sample_rows: 600,
        queries: 40,
        ..AdviceParams::default()
    };
    for metric in [Metric::L2, Metric::Cosine] {
        let collection = collection(&db, metric);
        let before = collection.info();
        let advice = collection.advise(&params).unwrap();
        let counts = (advice.rows, advice.sample_rows, advice.queries);
        assert_eq!(counts, (1_200, 600, 40));
        for kind in IndexSpec::KINDS {
            let mut kinds = advice.choices.iter().map(|choice| choice.spec.kind());
            assert!(kinds.any(|found| found == kind), "{kind}");
        }
        let best = advice.recommended().unwrap();
        assert!(best.sample_recall >= 0.95 && best.latency_us > 0.0);
        let after = collection.info();
        assert_eq!(before.points, after.points);
        assert_eq!(before.memtable_points, after.memtable_points);
        assert_eq!(before.segments.len(), after.segments.len());
        assert_eq!(db.memory().building_bytes, 0);

        // The collection is to grow, and the memory is short.
        let grown = AdviceParams {
            rows: Some(1_000_000),
            memory_bytes: Some(1_000_000),
            ..params.clone()
        };
        let advice = collection.advise(&grown).unwrap();
        assert_eq!(advice.rows, 1_000_000);
        let flat = advice.choices.iter().find(|c| c.spec == IndexSpec::Flat);
        let flat = flat.unwrap();
        assert!(
            flat.memory_bytes > 30_000_000 && !flat.fits_memory,
            "{flat:?}"
        );
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let config = CollectionConfig::new(DIMENSION as u32, Metric::L2);
    let few = db.create_collection("few", config).unwrap();
    let refused = |params: &AdviceParams| {
        let error = few.advise(params).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        error.to_string()
    };
    let usual = AdviceParams::default();
    for ids in [0..0, 0..12, 12..250] {
        if !ids.is_empty() {
            few.upsert(points(ids)).unwrap();
        }
        let said = refused(&usual);
        let points = few.count(None).unwrap();
        let named = format!("`rows to measure with` is {points}, but must be at least 300");
        assert!(said.contains(&named), "{said}");
    }
    few.upsert(points(250..300)).unwrap();
    assert_eq!(few.advise(&usual).unwrap().rows, 300);

    let hopeful = AdviceParams {
        target_recall: 1.5,
        ..usual.clone()
    };
    let said = refused(&hopeful);
    assert!(said.contains("`target_recall` is 1.5"), "{said}");
    let none = AdviceParams { limit: 0, ..usual };
    let said = refused(&none);
    assert!(said.contains("`limit` is 0"), "{said}");
}

#[test]
fn advice_ends_when_nobody_waits_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let config = CollectionConfig::new(DIMENSION as u32, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    collection.upsert(points(0..20_000)).unwrap();
    let params = AdviceParams {
        sample_rows: 18_000,
        queries: 1_000,
        ..AdviceParams::default()
    };
    let stop = StopSignal::new();
    let (error, waited) = std::thread::scope(|scope| {
        let advising = scope.spawn(|| collection.advise_with(&params, &stop));
        while db.memory().building_bytes == 0 {
            assert!(!advising.is_finished());
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(50));
        assert!(!advising.is_finished(), "it takes longer");
        stop.stop();
        let begun = Instant::now();
        (advising.join().unwrap().unwrap_err(), begun.elapsed())
    });
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(waited < Duration::from_secs(2), "{waited:?}");

    let soon = StopSignal::default().with_deadline(Instant::now() + Duration::from_millis(60));
    let error = collection.advise_with(&params, &soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
    assert_eq!(db.memory().building_bytes, 0);
}
