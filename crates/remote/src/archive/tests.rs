use object_store::ObjectStore;
use object_store::memory::InMemory;
use vecdb_engine::{
    Archive, CollectionConfig, Database, Metric, Options, Point, RestorePoint, RestoreRequest,
    StopSignal,
};

use super::*;

/// Opens archives in memory that is shared by all.
#[derive(Debug)]
struct Memory(Arc<InMemory>);

impl ArchiveOpener for Memory {
    fn open(&self, url: &str) -> Result<Arc<dyn ArchiveStore>> {
        Ok(Arc::new(archive(&self.0, url)))
    }
}

fn archive(objects: &Arc<InMemory>, url: &str) -> BucketArchive {
    let shared: Arc<dyn ObjectStore> = objects.clone();
    let bucket = Bucket::new(shared, Path::from("some/prefix"), url.to_owned());
    BucketArchive {
        bucket: bucket.unwrap(),
    }
}

#[test]
fn objects_are_stored_made_once_listed_and_read_in_their_order() {
    let store = archive(&Arc::default(), "test://store");
    assert_eq!(store.location(), "test://store");
    assert!(store.list().unwrap().is_empty());
    store.write("b", b"2").unwrap();
    store.write("b", b"3").unwrap();
    store.create("a", b"1").unwrap();
    let error = store.create("a", b"2").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("some/prefix/a"), "{error}");
    let mut names = store.list().unwrap();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    let wanted = ["b", "none", "a"].map(str::to_owned);
    let read = store.read(&wanted).unwrap();
    assert_eq!(read, [Some(b"3".to_vec()), None, Some(b"1".to_vec())]);
    assert!(store.lock().unwrap().is_none());
}

#[test]
fn a_log_goes_to_the_store_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Arc::new(InMemory::new());
    let env = Env {
        archives: Some(Arc::new(Memory(objects.clone()))),
        ..Env::default()
    };
    let open = |name: &str, archive: Archive| {
        let options = Options {
            archive,
            ..Options::default()
        };
        Database::open_with(&env, folder.path().join(name), options).unwrap()
    };
    let db = open("db", Archive::parse("test://store"));
    let config = CollectionConfig::new(256, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    db.snapshot(&[], folder.path().join("snapshot")).unwrap();
    // More than is sent in one piece.
    for first in (0..12_000).step_by(1_000) {
        let points = (first..first + 1_000).map(|id| Point::new(id, vec![id as f32; 256]));
        collection.upsert(points.collect()).unwrap();
    }
    db.archive_log().unwrap();
    let last = collection.upsert(vec![Point::new(99_999, vec![1.0; 256])]);
    let last = last.unwrap().position;
    db.archive_log().unwrap();
    let status = db.archive().unwrap();
    assert_eq!((status.position, status.waiting_bytes), (last, 0));
    drop(collection);
    db.close().unwrap();

    let store = archive(&objects, "test://store");
    let names = store.list().unwrap();
    assert!(names.iter().any(|name| name.ends_with(".wal")), "{names:?}");
    let db = open("other", Archive::Unchanged);
    for (point, points) in [
        (RestorePoint::Sequence(last - 1), 12_000),
        (RestorePoint::Latest, 12_001),
    ] {
        let request = RestoreRequest {
            archive: Some("test://store".to_owned()),
            ..RestoreRequest::of("c")
        };
        let request = request.under(format!("c{points}")).until(point);
        let restored = db.restore_with(
            folder.path().join("snapshot"),
            &request,
            &StopSignal::default(),
        );
        assert_eq!(restored.unwrap().collections[0].points, points);
    }
}

#[test]
fn urls_lead_to_folders_and_stores_and_memory_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archives = Archives;
    let url = format!("file://{}/a%20b", folder.path().display());
    let store = archives.open(&url).unwrap();
    let place = folder.path().join("a b");
    assert_eq!(store.location(), place.display().to_string());
    let kind = |url: &str| archives.open(url).map(drop).unwrap_err().kind();
    assert_eq!(kind("memory://archive"), ErrorKind::InvalidArgument);
    assert_eq!(kind("gopher://archive"), ErrorKind::Unsupported);
    assert_eq!(kind("s3://key:secret@bucket/x"), ErrorKind::InvalidArgument);
}
