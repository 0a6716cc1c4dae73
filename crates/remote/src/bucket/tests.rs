use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use vecdb_engine::{CollectionConfig, Metric, Options, Point};

use super::*;

struct Setting {
    _folder: tempfile::TempDir,
    db: Database,
    objects: Arc<InMemory>,
    bucket: Bucket,
}

fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path().join("db"), Options::default()).unwrap();
    let collection = db
        .create_collection("c", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    let points = (0..50).map(|id| Point::new(id, vec![id as f32, 1.0]));
    collection.upsert(points.collect()).unwrap();
    let objects = Arc::new(InMemory::new());
    let shared: Arc<dyn ObjectStore> = objects.clone();
    let bucket = Bucket::new(shared, Path::from("some/prefix"), "test://store".to_owned());
    Setting {
        _folder: folder,
        db,
        objects,
        bucket: bucket.unwrap(),
    }
}

impl Setting {
    fn paths(&self) -> Vec<Path> {
        let listed = self.bucket.run(async {
            let all: Vec<_> = self.objects.list(None).try_collect().await.unwrap();
            Ok(all)
        });
        let mut paths: Vec<_> = listed.unwrap().into_iter().map(|o| o.location).collect();
        paths.sort();
        paths
    }

    fn get(&self, path: &Path) -> Vec<u8> {
        let got = self
            .bucket
            .run(async { Ok(self.objects.get(path).await.unwrap().bytes().await.unwrap()) });
        got.unwrap().into()
    }

    fn put(&self, path: &Path, bytes: Vec<u8>) {
        let put = async { Ok(self.objects.put(path, bytes.into()).await.unwrap()) };
        self.bucket.run(put).unwrap();
    }

    fn remove(&self, path: &Path) {
        let removed = self
            .bucket
            .run(async { Ok(self.objects.delete(path).await) });
        removed.unwrap().unwrap();
    }

    fn restore(&self) -> Result<Restored> {
        let never = StopSignal::default();
        let request = RestoreRequest::of("c").under("copy");
        self.bucket.restore(&self.db, "s", &request, &never)
    }

    fn staged(&self) -> usize {
        std::fs::read_dir(self.db.path().join("staging")).map_or(0, |entries| entries.count())
    }
}

#[test]
fn a_damaged_shortened_or_missing_object_is_refused_and_leaves_nothing() {
    let setting = setting();
    setting
        .bucket
        .create(&setting.db, "s", &[], &StopSignal::default())
        .unwrap();
    let paths = setting.paths();
    assert_eq!(paths.len(), 3, "{paths:?}");
    for path in paths {
        let bytes = setting.get(&path);
        let list = path.filename() == Some(SNAPSHOT_FILE);
        let refuse = |what: &str, expected: ErrorKind| {
            let error = setting.restore().unwrap_err();
            assert_eq!(error.kind(), expected, "{path} {what}: {error}");
            assert_eq!(setting.db.collections().len(), 1);
            assert_eq!(setting.staged(), 0);
        };
        let mut damaged = bytes.clone();
        let middle = bytes.len() / 2;
        damaged[middle] ^= 1;
        setting.put(&path, damaged);
        refuse("damaged", ErrorKind::Corrupt);
        setting.put(&path, bytes[..middle].to_vec());
        refuse("shortened", ErrorKind::Corrupt);
        if list {
            let shown = setting.bucket.list().unwrap();
            assert!(shown[0].1.is_err());
        }
        setting.remove(&path);
        let without = match list {
            true => ErrorKind::NotFound,
            false => ErrorKind::Corrupt,
        };
        refuse("missing", without);
        setting.put(&path, bytes);
    }
    setting.restore().unwrap();
    assert_eq!(
        setting.db.collection("copy").unwrap().count(None).unwrap(),
        50
    );
    assert_eq!(setting.staged(), 0);
}

#[test]
fn what_was_interrupted_is_not_listed_not_overwritten_and_can_be_deleted() {
    let setting = setting();
    let root = Path::from("some/prefix/s");
    let foreign = [Path::from("some/prefix/s2/x"), root.clone().join("notes")];
    foreign.iter().for_each(|path| setting.put(path, vec![1]));
    // Objects alone are not a snapshot's rest.
    let error = setting.bucket.delete("s").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    setting.put(&root.clone().join("SNAPSHOT.json.tmp"), Vec::new());
    setting.put(&setting.bucket.file("s", 0, "MANIFEST"), vec![1, 2]);
    assert!(setting.bucket.list().unwrap().is_empty());
    let error = setting
        .bucket
        .create(&setting.db, "s", &[], &StopSignal::default())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert!(error.to_string().contains("interrupted"), "{error}");
    setting.bucket.delete("s").unwrap();
    assert_eq!(setting.paths(), [foreign[1].clone(), foreign[0].clone()]);
    setting
        .bucket
        .create(&setting.db, "s", &[], &StopSignal::default())
        .unwrap();
    let error = setting
        .bucket
        .create(&setting.db, "s", &[], &StopSignal::default())
        .unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    setting.restore().unwrap();
    setting.bucket.delete("s").unwrap();
    assert_eq!(setting.paths(), [foreign[1].clone(), foreign[0].clone()]);
}

#[test]
fn a_snapshot_that_fails_leaves_nothing_in_the_store() {
    let setting = setting();
    let unknown = ["nothing".to_owned()];
    let error = setting
        .bucket
        .create(&setting.db, "s", &unknown, &StopSignal::default());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(setting.paths(), []);
    assert_eq!(setting.staged(), 0);
}

#[test]
fn a_restore_that_nobody_waits_for_ends() {
    let setting = setting();
    setting
        .bucket
        .create(&setting.db, "s", &[], &StopSignal::default())
        .unwrap();
    let stopped = StopSignal::new();
    stopped.stop();
    let request = RestoreRequest::of("c").under("copy");
    let error = setting
        .bucket
        .restore(&setting.db, "s", &request, &stopped)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(setting.db.collections().len(), 1);
}

#[test]
fn what_the_store_has_is_not_sent_again() {
    let setting = setting();
    let collection = setting.db.collection("c").unwrap();
    collection.flush().unwrap();
    let never = StopSignal::default();
    let create = |name: &str| setting.bucket.create(&setting.db, name, &[], &never);
    let manifest_bytes = |snapshot: &SnapshotManifest| {
        let files = snapshot.collections[0].files.iter();
        let own = files.filter(|file| !file.is_sealed());
        own.map(|file| file.bytes).sum::<u64>()
    };
    let (first, sent) = create("first").unwrap();
    assert_eq!((sent.uploaded_bytes, sent.reused_bytes), (first.bytes(), 0));
    let (second, sent) = create("second").unwrap();
    assert_eq!(sent.uploaded_bytes, manifest_bytes(&second));
    assert_eq!(sent.uploaded_bytes + sent.reused_bytes, second.bytes());
    // Only what is new is sent.
    collection
        .upsert(vec![Point::new(1_000, vec![1.0, 2.0])])
        .unwrap();
    let (third, sent) = create("third").unwrap();
    assert!(
        sent.reused_bytes >= first.bytes() - manifest_bytes(&first),
        "{sent:?}"
    );
    assert_eq!(sent.uploaded_bytes + sent.reused_bytes, third.bytes());
    // Each is whole by itself.
    setting.bucket.delete("first").unwrap();
    setting.bucket.delete("third").unwrap();
    let copy = RestoreRequest::of("c").under("copy");
    let restored = setting.bucket.restore(&setting.db, "second", &copy, &never);
    assert_eq!(restored.unwrap().collections[0].points, 50);

    // What became something else is sent anew.
    let rows = setting
        .paths()
        .into_iter()
        .find(|path| path.as_ref().ends_with(".rows"));
    let rows = rows.unwrap();
    let mut bytes = setting.get(&rows);
    bytes[20] ^= 1;
    setting.put(&rows, bytes);
    let (fourth, sent) = create("fourth").unwrap();
    assert_eq!(
        (sent.uploaded_bytes, sent.reused_bytes),
        (fourth.bytes(), 0)
    );
    let copy = RestoreRequest::of("c").under("again");
    let restored = setting.bucket.restore(&setting.db, "fourth", &copy, &never);
    assert_eq!(restored.unwrap().collections[0].points, 51);
}
