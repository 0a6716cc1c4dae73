//! What every store has to do.

use vecdb_engine::{
    Collection, CollectionConfig, Database, ErrorKind, IndexSpec, Metric, Options, Point,
    RestoreRequest, SearchRequest, SnapshotInfo, StopSignal,
};
use vecdb_remote::SnapshotStore;

const DIMENSION: u32 = 512;
/// Enough for files of several pieces.
const POINTS: u64 = 10_000;

fn fill(db: &Database) -> Collection {
    let mut config = CollectionConfig::new(DIMENSION, Metric::L2);
    for field in config.vectors.values_mut() {
        field.index = IndexSpec::Flat;
    }
    let collection = db.create_collection("large", config).unwrap();
    for first in (0..POINTS).step_by(1_000) {
        let points = (first..first + 1_000).map(|id| {
            let vector = (0..u64::from(DIMENSION)).map(|d| ((id * 31 + d * 7) % 1_009) as f32);
            Point::new(id, vector.collect::<Vec<_>>()).with("group", (id % 10) as i64)
        });
        collection.upsert(points.collect()).unwrap();
    }
    collection.flush().unwrap();
    collection.delete(&[5.into(), 6.into()]).unwrap();
    let small = CollectionConfig::new(2, Metric::Cosine);
    let small = db.create_collection("small", small).unwrap();
    small.upsert(vec![Point::new(1, vec![1.0, 0.5])]).unwrap();
    collection
}

fn answers(collection: &Collection) -> Vec<(vecdb_engine::PointId, f32)> {
    let query: Vec<f32> = (0..DIMENSION).map(|d| (d % 97) as f32).collect();
    let hits = collection.search(&SearchRequest::new(query).limit(20));
    let hits = hits.unwrap().hits;
    hits.into_iter().map(|h| (h.id, h.distance)).collect()
}

/// A life of snapshots in the store at `location`, which must be empty, and is in the end.
pub(crate) fn exercise(location: &str) {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path().join("db"), Options::default()).unwrap();
    let collection = fill(&db);
    let store = SnapshotStore::open(location).unwrap();
    let never = StopSignal::default();
    let all = RestoreRequest::default();
    assert!(store.list().unwrap().is_empty());
    for name in ["", ".hidden", "a/b", "..", &"n".repeat(65), "a b", "ä"] {
        let error = store
            .create(&db, Some(name), &[], &StopSignal::default())
            .unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::InvalidArgument,
            "{name:?}: {error}"
        );
        assert!(store.delete(name).is_err());
        assert!(store.restore(&db, name, &all, &never).is_err());
    }

    let first = store
        .create(&db, Some("first"), &[], &StopSignal::default())
        .unwrap();
    assert!(first.bytes > POINTS * u64::from(DIMENSION) * 4);
    assert_eq!(first.collections[0].points, POINTS - 2);
    let error = store
        .create(&db, Some("first"), &[], &StopSignal::default())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    let named = store
        .create(&db, None, &["small".to_owned()], &StopSignal::default())
        .unwrap();
    assert!(first.transfer.is_some());
    let [first, named] = [first, named].map(|info| SnapshotInfo {
        transfer: None,
        ..info
    });
    assert_eq!(store.list().unwrap(), [first, named.clone()]);

    let found = answers(&collection);
    db.drop_collection("large").unwrap();
    let restored = store.restore(&db, "first", &RestoreRequest::of("large"), &never);
    assert_eq!(restored.unwrap().collections[0].points, POINTS - 2);
    assert_eq!(answers(&db.collection("large").unwrap()), found);
    let copy = all.clone().under("copy");
    let restored = store.restore(&db, &named.name, &copy, &never);
    assert_eq!(restored.unwrap().collections[0].name, "copy");
    assert!(db.verify().unwrap().problems.is_empty());
    let error = store.restore(&db, "first", &all, &never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    let error = store.restore(&db, "second", &all, &never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let left = std::fs::read_dir(folder.path().join("db/staging"));
    assert_eq!(left.unwrap().count(), 0);

    store.delete("first").unwrap();
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&named));
    let error = store.delete("first").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    store.delete(&named.name).unwrap();
    assert!(store.list().unwrap().is_empty());
    // What was restored does not need the snapshot.
    assert_eq!(answers(&db.collection("large").unwrap()), found);
}
