//! The archive of the log in a place that is no folder: one that may be away, that garbles what it is given, that another
//! database writes to at the same time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use vecdb_engine::{
    Archive, ArchiveOpener, ArchiveStore, CollectionConfig, Database, Env, Error, ErrorKind,
    Metric, Options, Point, RestorePoint, RestoreRequest, StopSignal,
};
use vecdb_storage::{Disk, LogPiece, SealedFile};
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

const URL: &str = "test://archive";

/// Objects in memory.
#[derive(Debug, Default)]
struct Store {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    away: AtomicBool,
    garbles: AtomicBool,
    /// Does what is asked and does not say so.
    silent: AtomicBool,
}

impl Store {
    fn check(&self) -> Result<(), Error> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Io, "the store is away")),
            false => Ok(()),
        }
    }

    fn names(&self, suffix: &str) -> Vec<String> {
        let objects = self.objects.lock();
        let names = objects.keys().filter(|name| name.ends_with(suffix));
        names.cloned().collect()
    }
}

impl ArchiveStore for Store {
    fn location(&self) -> String {
        URL.to_owned()
    }

    fn list(&self) -> Result<Vec<String>, Error> {
        self.check()?;
        Ok(self.names(""))
    }

    fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.check()?;
        let objects = self.objects.lock();
        Ok(names
            .iter()
            .map(|name| objects.get(name).cloned())
            .collect())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.check()?;
        self.objects.lock().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.check()?;
        if self.objects.lock().contains_key(name) {
            return Err(Error::new(ErrorKind::AlreadyExists, name));
        }
        self.write(name, bytes)?;
        match self.silent.swap(false, Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Io, "no answer came")),
            false => Ok(()),
        }
    }

    fn store(
        &self,
        disk: &dyn Disk,
        file: &SealedFile,
        piece: &LogPiece,
        name: &str,
    ) -> Result<(), Error> {
        let opened = disk.open(&file.path).unwrap();
        let mut bytes = vec![0; piece.end.bytes as usize];
        opened.read_at(0, &mut bytes).unwrap();
        if self.garbles.load(Ordering::Relaxed) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        self.write(name, &bytes)
    }

    fn at_hand(
        &self,
        name: &str,
        bytes: u64,
        disk: &dyn Disk,
        copy_to: &mut dyn FnMut() -> Result<PathBuf, Error>,
    ) -> Result<PathBuf, Error> {
        self.check()?;
        let object = self.objects.lock().get(name).cloned();
        let object = object.filter(|object| object.len() as u64 == bytes);
        let object =
            object.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{name} is gone")))?;
        let to = copy_to()?;
        disk.create(&to).unwrap().write(&object).unwrap();
        Ok(to)
    }
}

#[derive(Debug)]
struct Opener(Arc<Store>);

impl ArchiveOpener for Opener {
    fn open(&self, url: &str) -> Result<Arc<dyn ArchiveStore>, Error> {
        assert_eq!(url, URL);
        Ok(self.0.clone())
    }
}

fn open(disk: &SimDisk, store: &Arc<Store>, folder: &str, archive: Archive) -> Database {
    let env = Env {
        disk: disk.shared(),
        archives: Some(Arc::new(Opener(store.clone()))),
    };
    let options = Options {
        background: false,
        archive,
        ..Options::default()
    };
    Database::open_with(&env, folder, options).unwrap()
}

fn write(db: &Database, id: u64) -> u64 {
    let collection = db.collection("c").unwrap();
    let points = vec![Point::new(id, vec![id as f32, 1.0])];
    collection.upsert(points).unwrap().position
}

fn begin() -> (SimDisk, Arc<Store>, Database) {
    let (disk, store) = (SimDisk::new(), Arc::new(Store::default()));
    let db = open(&disk, &store, "/db", Archive::parse(URL));
    db.create_collection("c", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    db.snapshot(&[], "/snapshot").unwrap();
    (disk, store, db)
}

/// Points of the collection in a new database that is restored to a point.
fn restored(disk: &SimDisk, store: &Arc<Store>, point: RestorePoint) -> Result<u64, Error> {
    let disk = disk.crash_image(CrashMode::KeepAll);
    let db = open(&disk, store, "/elsewhere", Archive::Unchanged);
    let request = RestoreRequest {
        archive: Some(URL.to_owned()),
        ..RestoreRequest::default()
    };
    let restored = db.restore_with("/snapshot", &request.until(point), &StopSignal::default())?;
    assert_eq!(
        staged(&disk, "/elsewhere"),
        0,
        "nothing is left of what was fetched"
    );
    Ok(restored.collections[0].points)
}

fn staged(disk: &SimDisk, root: &str) -> usize {
    let staging = Path::new(root).join("staging");
    disk.shared()
        .list(&staging)
        .map_or(0, |inside| inside.len())
}

#[test]
fn a_store_that_was_away_has_everything_in_the_end() {
    let (disk, store, db) = begin();
    let mut points = vec![(write(&db, 1), 1)];
    db.archive_log().unwrap();
    let status = db.archive().unwrap();
    assert_eq!((status.location.as_str(), status.last_error), (URL, None));
    assert_eq!(status.position, points[0].0);

    store.away.store(true, Ordering::Relaxed);
    for id in 2..6 {
        points.push((write(&db, id), id));
        assert_eq!(db.archive_log().unwrap_err().kind(), ErrorKind::Io);
        let status = db.archive().unwrap();
        assert_eq!((status.failures, status.position), (id - 1, points[0].0));
        assert!(status.last_error.unwrap().contains("the store is away"));
        assert!(status.waiting_bytes > 0);
    }
    // Neither a flush nor a close takes from the log what is not archived, and opening does not need the store.
    db.flush_all().unwrap();
    db.close().unwrap();
    let db = open(&disk, &store, "/db", Archive::parse(URL));
    points.push((write(&db, 6), 6));
    store.away.store(false, Ordering::Relaxed);
    // It stores the piece and the answer is lost: the next attempt finds it there.
    store.silent.store(true, Ordering::Relaxed);
    assert!(db.archive_log().is_err());
    db.archive_log().unwrap();
    let status = db.archive().unwrap();
    assert_eq!((status.failures, status.last_error), (0, None));
    assert_eq!(status.position, points.last().unwrap().0);
    for (position, count) in points {
        let point = RestorePoint::Sequence(position);
        assert_eq!(restored(&disk, &store, point).unwrap(), count);
    }
    assert_eq!(restored(&disk, &store, RestorePoint::Latest).unwrap(), 6);
    assert_eq!(staged(&disk, "/db"), 0);
    let report = db.verify_archive(None, &StopSignal::default()).unwrap();
    assert_eq!((report.location.as_str(), report.problems.len()), (URL, 0));
    assert_eq!(report.ranges[0].last, status.position);
    store.away.store(true, Ordering::Relaxed);
    let error = db.verify_archive(None, &StopSignal::default()).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Io,
        "a store that is away is no damage"
    );
    store.away.store(false, Ordering::Relaxed);
    // By its own archive, without saying where.
    let own = RestoreRequest::of("c")
        .under("again")
        .until(RestorePoint::Latest);
    let again = db
        .restore_with("/snapshot", &own, &StopSignal::default())
        .unwrap();
    assert_eq!(again.collections[0].points, 6);
}

#[test]
fn what_does_not_read_back_as_it_was_sent_does_not_count() {
    let (disk, store, db) = begin();
    write(&db, 1);
    store.garbles.store(true, Ordering::Relaxed);
    let error = db.archive_log().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("cannot be archived"), "{error}");
    assert!(store.names(".piece").is_empty());
    assert!(db.archive().unwrap().waiting_bytes > 0);
    store.garbles.store(false, Ordering::Relaxed);
    db.archive_log().unwrap();
    assert_eq!(restored(&disk, &store, RestorePoint::Latest).unwrap(), 1);

    // Damaged and lost afterwards: the restore says which.
    let name = store.names(".wal").pop().unwrap();
    let sound = store.objects.lock()[&name].clone();
    for at in 0..sound.len() {
        store.objects.lock().get_mut(&name).unwrap()[at] ^= 4;
        let error = restored(&disk, &store, RestorePoint::Latest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
        assert!(error.to_string().contains(&name), "byte {at}: {error}");
        store.objects.lock().insert(name.clone(), sound.clone());
    }
    store.objects.lock().remove(&name);
    let error = restored(&disk, &store, RestorePoint::Latest).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn of_two_copies_of_a_database_one_goes_on_and_the_other_harms_nothing() {
    let (disk, store, db) = begin();
    write(&db, 1);
    db.archive_log().unwrap();
    let twin = open(
        &disk.crash_image(CrashMode::KeepAll),
        &store,
        "/db",
        Archive::Unchanged,
    );
    write(&db, 2);
    twin.archive_log().unwrap();
    for id in 10..15 {
        write(&twin, id);
    }
    // Each goes on where the archive ends, with another file of the same number.
    db.archive_log().unwrap();
    let error = twin.archive_log().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert!(error.to_string().contains("another database"), "{error}");
    write(&db, 3);
    db.archive_log().unwrap();
    assert_eq!(restored(&disk, &store, RestorePoint::Latest).unwrap(), 3);
}

#[test]
fn a_program_that_does_not_know_the_place_opens_the_database_and_keeps_its_log() {
    let (disk, store, db) = begin();
    db.close().unwrap();
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    let open_plain = |archive| {
        let options = Options {
            background: false,
            archive,
            ..Options::default()
        };
        Database::open_with(&env, "/db", options)
    };
    let db = open_plain(Archive::Unchanged).unwrap();
    write(&db, 1);
    db.flush_all().unwrap();
    let error = db.archive_log().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("vecdb_remote::env()"), "{error}");
    assert!(db.archive().unwrap().waiting_bytes > 0);
    db.close().unwrap();
    let error = open_plain(Archive::parse("test://other")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let db = open(&disk, &store, "/db", Archive::Unchanged);
    db.archive_log().unwrap();
    assert_eq!(restored(&disk, &store, RestorePoint::Latest).unwrap(), 1);
}
