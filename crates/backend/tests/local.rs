//! The operations on a database in this process, where they are more than the engine's.

use std::sync::Arc;
use std::time::Instant;

use vecdb_backend::{Backend, Local, Selection};
use vecdb_engine::{
    CollectionConfig, Database, ErrorKind, Metric, Options, Point, SearchRequest, StopSignal,
};

#[test]
fn a_stopped_call_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = Arc::new(Database::open(folder.path(), Options::default()).unwrap());
    let local = Local::new(db, None);
    let config = CollectionConfig::new(2, Metric::L2);
    local.create_collection("c", config).unwrap();
    let never = StopSignal::default();
    let points = || vec![Point::new(1, vec![1.0, 0.0])];
    local.upsert("c", points(), None, &never).unwrap();

    let late = StopSignal::default().with_deadline(Instant::now());
    let gone = StopSignal::new();
    gone.stop();
    for (stop, kind) in [
        (late, ErrorKind::DeadlineExceeded),
        (gone, ErrorKind::Cancelled),
    ] {
        let one = Selection::Ids(vec![1.into()]);
        assert_eq!(local.delete("c", &one, &stop).unwrap_err().kind(), kind);
        let search = SearchRequest::new([1.0, 0.0]);
        assert_eq!(local.search("c", &search, &stop).unwrap_err().kind(), kind);
        let upsert = local.upsert("c", points(), None, &stop);
        assert_eq!(upsert.unwrap_err().kind(), kind);
    }
    assert_eq!(local.count("c", None, &never).unwrap(), 1);
}

#[test]
fn status_counts_and_snapshots_need_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let db = Arc::new(Database::open(folder.path(), Options::default()).unwrap());
    let local = Local::new(db, None).memory_bytes_max(Some(1 << 30));
    let config = CollectionConfig::new(1, Metric::L2);
    local.create_collection("c", config).unwrap();
    let points = vec![Point::new(1, vec![1.0]), Point::new(2, vec![2.0])];
    let never = StopSignal::default();
    local.upsert("c", points, None, &never).unwrap();
    let status = local.status().unwrap();
    assert_eq!((status.collections, status.points), (1, 2));
    assert_eq!(status.memory_bytes_max, Some(1 << 30));
    if cfg!(target_os = "linux") {
        assert!(status.memory_bytes > 100_000, "{}", status.memory_bytes);
    }
    let error = local.list_snapshots().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("snapshots.location"), "{error}");
}
