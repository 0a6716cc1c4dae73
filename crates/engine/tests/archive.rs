//! The archive of the log and restores to a point of it: every sequence number and time of a scripted life is found again,
//! nothing leaves the log before it is archived, and what is missing is said.

#[allow(dead_code)]
mod model;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Model, Step};
use vecdb_engine::{
    Archive, CollectionConfig, Database, Env, Error, ErrorKind, Metric, Options, RestorePoint,
    RestoreRequest, Restored, StopSignal,
};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::{CrashMode, Fault, SimDisk};

type World = BTreeMap<String, Model>;

fn options(archive: Archive) -> Options {
    Options {
        threads: 1,
        background: false,
        memtable_bytes_max: 6 << 10,
        index_rows_min: 12,
        archive,
        ..Options::default()
    }
}

fn open_at(disk: &SimDisk, folder: &str, archive: Archive) -> Result<Database, Error> {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    Database::open_with(&env, folder, options(archive))
}

fn open(disk: &SimDisk) -> Result<Database, Error> {
    open_at(disk, "/db", Archive::Folder("/archive".into()))
}

fn config() -> CollectionConfig {
    CollectionConfig::new(4, Metric::L2)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_micros() as i64
}

fn never() -> StopSignal {
    StopSignal::default()
}

fn to(point: RestorePoint) -> RestoreRequest {
    RestoreRequest {
        archive: Some("/archive".into()),
        ..RestoreRequest::default()
    }
    .until(point)
}

fn world(db: &Database) -> World {
    let summaries = db.collections().into_iter();
    summaries
        .map(|summary| {
            let collection = db.collection(&summary.name).unwrap();
            (summary.name, Model::of(&collection).unwrap())
        })
        .collect()
}

/// Restores into a new database and says what is in it.
fn restored(
    disk: &SimDisk,
    snapshot: &str,
    request: &RestoreRequest,
) -> Result<(World, Restored), Error> {
    // A disk of its own for each, as if carried elsewhere.
    let disk = disk.crash_image(CrashMode::KeepAll);
    let db = open_at(&disk, "/elsewhere", Archive::Unchanged)?;
    let restored = db.restore_with(snapshot, request, &never())?;
    let found = world(&db);
    for summary in &restored.collections {
        assert_eq!(summary.points, found[&summary.name].points.len() as u64);
    }
    assert!(db.verify().unwrap().problems.is_empty());
    db.close().unwrap();
    let again = open_at(&disk, "/elsewhere", Archive::Unchanged)?;
    assert_eq!(world(&again), found, "after another opening");
    Ok((found, restored))
}

/// A database that lives, and what it was after each sequence number.
struct Life {
    disk: SimDisk,
    db: Option<Database>,
    now: World,
    last: u64,
    history: BTreeMap<u64, World>,
    /// A moment after each sequence number and before the next one.
    times: BTreeMap<u64, i64>,
    /// Where the snapshot stands.
    base: u64,
}

impl Life {
    fn new() -> Self {
        let disk = SimDisk::new();
        let db = Some(open(&disk).unwrap());
        Self {
            disk,
            db,
            now: World::new(),
            last: 0,
            history: BTreeMap::new(),
            times: BTreeMap::new(),
            base: 0,
        }
    }

    fn db(&self) -> &Database {
        self.db.as_ref().unwrap()
    }

    fn note(&mut self, position: u64) {
        self.last = position;
        self.history.insert(position, self.now.clone());
        std::thread::sleep(Duration::from_micros(50));
        self.times.insert(position, now());
        std::thread::sleep(Duration::from_micros(50));
    }

    fn create(&mut self, name: &str) {
        self.db().create_collection(name, config()).unwrap();
        self.now.insert(name.to_owned(), Model::default());
        self.note(self.last + 1);
    }

    fn drop_collection(&mut self, name: &str) {
        self.db().drop_collection(name).unwrap();
        self.now.remove(name);
        self.note(self.last + 1);
    }

    fn step(&mut self, name: &str, step: &Step) {
        let collection = self.db().collection(name).unwrap();
        step.run(&collection).unwrap();
        let position = collection.info().position;
        self.now.get_mut(name).unwrap().apply(step);
        if step.is_write() && position > self.last {
            assert_eq!(position, self.last + 1);
            self.note(position);
        }
    }

    fn snapshot(&mut self) {
        let made = self.db().snapshot(&[], "/snapshot").unwrap();
        self.base = made.log.unwrap().position;
        assert_eq!(self.base, self.last);
    }

    fn reopen(&mut self) {
        self.db.take().unwrap().close().unwrap();
        self.db = Some(open(&self.disk).unwrap());
    }

    /// The power goes.
    fn crash(&mut self) {
        let left = self.disk.crash_image(CrashMode::LoseUnsynced);
        std::mem::forget(self.db.take());
        self.disk = left;
        self.db = Some(open(&self.disk).unwrap());
        assert_eq!(world(self.db()), self.now);
    }
}

fn eventful() -> Life {
    let mut life = Life::new();
    let mut random = SeededRandom::new(611);
    for name in ["a", "b"] {
        life.create(name);
        life.step(
            name,
            &Step::Upsert((0..20).map(|id| (id, id + 1)).collect()),
        );
    }
    for at in 0..90 {
        if at == 8 {
            // The base of all restores, in the middle of a memtable and of a log file.
            life.snapshot();
        }
        match at {
            20 | 62 => life.reopen(),
            30 => life.drop_collection("b"),
            35 => life.create("c"),
            45 => life.create("b"),
            50 | 70 => life.crash(),
            75 => life.drop_collection("c"),
            _ if at % 11 == 3 => life.db().archive_log().unwrap(),
            _ => {}
        }
        let names: Vec<_> = life.now.keys().cloned().collect();
        let name = &names[random.below(names.len() as u64) as usize];
        life.step(name, &Step::random(&mut random, 40));
    }
    life.db().archive_log().unwrap();
    life
}

#[test]
fn every_sequence_number_and_time_of_a_life_is_found_again() {
    let life = eventful();
    let status = life.db().archive().unwrap();
    assert_eq!((status.position, status.waiting_bytes), (life.last, 0));
    assert_eq!(status.last_error, None);
    let base = life.base;
    assert!(life.last > base + 50, "{base} to {}", life.last);
    for (&position, expected) in life.history.range(base..) {
        let (found, told) = restored(
            &life.disk,
            "/snapshot",
            &to(RestorePoint::Sequence(position)),
        )
        .unwrap();
        assert!(found == *expected, "at sequence number {position}");
        assert_eq!(told.sequence, Some(position));
    }
    for (&position, &time) in life.times.range(base + 1..).step_by(3) {
        let (found, told) =
            restored(&life.disk, "/snapshot", &to(RestorePoint::Time(time))).unwrap();
        assert!(
            found == life.history[&position],
            "at the time of {position}"
        );
        assert!(told.time.unwrap() <= time);
    }
    let (found, told) = restored(&life.disk, "/snapshot", &to(RestorePoint::Latest)).unwrap();
    assert!(found == life.now);
    assert_eq!(told.sequence, Some(life.last));
}

#[test]
fn one_collection_goes_to_a_point_under_another_name() {
    let life = eventful();
    let point = |name: &str, position| {
        let mut request = to(RestorePoint::Sequence(position));
        request.collection = Some(name.to_owned());
        request
    };
    let dropped = life
        .history
        .iter()
        .find(|(at, world)| **at > life.base && !world.contains_key("b"));
    let dropped = *dropped.unwrap().0;
    // Also into the very database, which has a collection of that name.
    let before = point("b", dropped - 1).under("b-before");
    let db = life.db();
    let restored_here = db.restore_with("/snapshot", &before, &never()).unwrap();
    assert_eq!(restored_here.collections.len(), 1);
    let found = Model::of(&db.collection("b-before").unwrap()).unwrap();
    assert!(found == life.history[&(dropped - 1)]["b"]);
    let error = restored(&life.disk, "/snapshot", &point("b", dropped)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("(there are: a)"), "{error}");
    // One that was made after the snapshot.
    let (&late, world) = life
        .history
        .iter()
        .rfind(|(_, w)| w.contains_key("c"))
        .unwrap();
    let (found, _) = restored(&life.disk, "/snapshot", &point("c", late)).unwrap();
    assert!(found == World::from([("c".to_owned(), world["c"].clone())]));
    // What was itself restored is not in the log.
    db.archive_log().unwrap();
    let error = restored(&life.disk, "/snapshot", &to(RestorePoint::Latest)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("itself restored"), "{error}");
    let mut rest = to(RestorePoint::Latest);
    rest.collection = Some("a".to_owned());
    let (found, _) = restored(&life.disk, "/snapshot", &rest).unwrap();
    assert!(found["a"] == life.now["a"]);
}

#[test]
fn points_that_are_not_covered_are_refused_with_what_is() {
    let life = eventful();
    let refusal = |point| restored(&life.disk, "/snapshot", &to(point)).unwrap_err();
    for point in [
        RestorePoint::Sequence(life.base - 1),
        RestorePoint::Time(life.times[&(life.base - 1)]),
    ] {
        let error = refusal(point);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let says = format!("stands at sequence number {}", life.base);
        assert!(error.to_string().contains(&says), "{error}");
    }
    for point in [
        RestorePoint::Sequence(life.last + 1),
        RestorePoint::Time(now() + 1_000_000),
    ] {
        let error = refusal(point);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let says = format!(
            "covers the sequence numbers 1 to {} and goes up to ",
            life.last
        );
        assert!(error.to_string().contains(&says), "{error}");
    }
    // Time goes on where nothing is written.
    life.db().archive_log().unwrap();
    let time = RestorePoint::Time(now() - 1);
    std::thread::sleep(Duration::from_millis(2));
    life.db().archive_log().unwrap();
    assert!(restored(&life.disk, "/snapshot", &to(time)).unwrap().0 == life.now);
    // Without an archive, and with a snapshot of a database that has none.
    let plain = open_at(&life.disk, "/plain", Archive::Unchanged).unwrap();
    plain.create_collection("p", config()).unwrap();
    assert_eq!(plain.archive(), None);
    plain.snapshot(&[], "/of-plain").unwrap();
    let own = RestoreRequest::default().until(RestorePoint::Latest);
    for (snapshot, request, says) in [
        ("/snapshot", &own, "does not archive its log"),
        (
            "/of-plain",
            &to(RestorePoint::Latest),
            "did not archive the log",
        ),
    ] {
        let error = plain.restore_with(snapshot, request, &never()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(says), "{error}");
    }
}

fn archived(disk: &SimDisk, extension: &str) -> Vec<PathBuf> {
    let files = disk.files().into_iter();
    files
        .filter(|path| path.starts_with("/archive"))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

#[test]
fn a_missing_or_damaged_piece_is_named() {
    let life = eventful();
    let damaged = |change: &dyn Fn(&SimDisk)| {
        let disk = life.disk.crash_image(CrashMode::KeepAll);
        change(&disk);
        restored(&disk, "/snapshot", &to(RestorePoint::Latest))
    };
    assert!(damaged(&|_| {}).unwrap().0 == life.now);
    let logs = archived(&life.disk, "wal");
    assert!(logs.len() > 10, "{logs:?}");
    // Behind the snapshot: an earlier one is not needed.
    let log = &logs[logs.len() / 2];
    let whole = life.disk.contents(log).unwrap();
    let named = log.file_name().unwrap().to_str().unwrap();
    for len in (0..whole.len()).step_by(7) {
        let error = damaged(&|disk| disk.damage(log, |bytes| bytes.truncate(len))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    for bit in (0..whole.len() as u64 * 8).step_by(37) {
        let error = damaged(&|disk| disk.flip_bit(log, bit)).unwrap_err();
        assert!(error.to_string().contains(named), "bit {bit}: {error}");
    }
    let remove = |path: PathBuf| move |disk: &SimDisk| disk.shared().remove_file(&path).unwrap();
    let error = damaged(&remove(log.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(named), "{error}");
    let error = damaged(&remove(log.with_extension("piece"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(
        error.to_string().contains("are missing in the archive"),
        "{error}"
    );
    let last = archived(&life.disk, "piece").pop().unwrap();
    let piece = life.disk.contents(&last).unwrap();
    for len in (0..piece.len()).step_by(11) {
        let error = damaged(&|disk| disk.damage(&last, |bytes| bytes.truncate(len))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn a_check_finds_what_is_wrong_and_which_points_are_left() {
    let life = eventful();
    let check = |change: &dyn Fn(&SimDisk)| {
        let disk = life.disk.crash_image(CrashMode::KeepAll);
        change(&disk);
        let db = open_at(&disk, "/elsewhere", Archive::Unchanged).unwrap();
        db.verify_archive(Some("/archive"), &never()).unwrap()
    };
    let logs = archived(&life.disk, "wal");
    let sound = check(&|_| {});
    assert_eq!((sound.problems.len(), sound.unlisted), (0, 0), "{sound:?}");
    assert_eq!(sound.pieces, logs.len() as u64);
    let bytes = logs
        .iter()
        .map(|log| life.disk.contents(log).unwrap().len() as u64);
    assert_eq!(sound.bytes, bytes.sum::<u64>());
    let [all] = sound.ranges[..] else {
        panic!("{sound:?}");
    };
    assert_eq!(
        (all.first, all.last, sound.entries),
        (1, life.last, life.last)
    );
    assert!(all.from.unwrap() < all.through);

    let middle = logs.len() / 2;
    let log = &logs[middle];
    let whole = life.disk.contents(log).unwrap();
    let named = log.file_name().unwrap().to_str().unwrap();
    // The point before the damaged file is the end of one stretch, and the one after it the beginning of another.
    let mut around = None;
    for bit in (0..whole.len() as u64 * 8).step_by(131) {
        let found = check(&|disk| disk.flip_bit(log, bit));
        let [problem] = &found.problems[..] else {
            panic!("bit {bit}: {found:?}");
        };
        assert!(problem.contains(named), "{problem}");
        let [before, after] = found.ranges[..] else {
            panic!("bit {bit}: {found:?}");
        };
        assert_eq!((before.first, after.last), (all.first, all.last));
        assert!(before.last + 1 < after.first && before.through <= after.from.unwrap());
        let ends = (before.last, after.first);
        assert_eq!(*around.get_or_insert(ends), ends);
    }
    let (before, after) = around.unwrap();
    // What it says is what a restore does.
    let points = [after, life.last].map(RestorePoint::Sequence);
    let gone = life.disk.crash_image(CrashMode::KeepAll);
    gone.damage(log, |bytes| bytes.truncate(bytes.len() - 1));
    for point in points {
        assert!(restored(&gone, "/snapshot", &to(point)).is_err());
    }
    if before > life.base {
        restored(&gone, "/snapshot", &to(RestorePoint::Sequence(before))).unwrap();
    }

    let remove = |path: PathBuf| move |disk: &SimDisk| disk.shared().remove_file(&path).unwrap();
    // Without its piece a log file is one that nobody names, and there is a gap.
    let found = check(&remove(log.with_extension("piece")));
    assert_eq!(
        (found.unlisted, found.ranges.len(), found.problems.len()),
        (1, 2, 1)
    );
    let missing = format!(
        "the sequence numbers {} to {} are missing",
        before + 1,
        after - 1
    );
    assert!(found.problems[0].contains(&missing), "{found:?}");
    // Old ones may go from the front.
    let first = logs[0].clone();
    let found = check(&|disk| {
        remove(first.clone())(disk);
        remove(first.with_extension("piece"))(disk);
    });
    assert_eq!(
        (found.problems.len(), found.ranges.len()),
        (0, 1),
        "{found:?}"
    );
    assert!(found.ranges[0].first > 1);
    let piece = logs[middle].with_extension("piece");
    let found = check(&|disk| disk.flip_bit(&piece, 400));
    assert_eq!(
        (found.problems.len(), found.ranges.len()),
        (1, 2),
        "{found:?}"
    );

    let db = open_at(&life.disk, "/elsewhere", Archive::Unchanged).unwrap();
    let kind = |location| db.verify_archive(location, &never()).unwrap_err().kind();
    assert_eq!(kind(None), ErrorKind::InvalidArgument);
    assert_eq!(kind(Some("/nowhere")), ErrorKind::NotFound);
    let stop = StopSignal::new();
    stop.stop();
    let stopped = db.verify_archive(Some("/archive"), &stop).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    assert!(
        life.db()
            .verify_archive(None, &never())
            .unwrap()
            .problems
            .is_empty()
    );
}

#[test]
fn the_log_stays_until_it_is_archived() {
    let mut life = Life::new();
    life.create("a");
    life.snapshot();
    let mark = |from: &str, to: &str, disk: &SimDisk| {
        let shared = disk.shared();
        shared.rename(Path::new(from), Path::new(to)).unwrap();
    };
    // As when the disk with the archive is not mounted.
    life.reopen();
    mark("/archive/ARCHIVE", "/away", &life.disk);
    let logs = |disk: &SimDisk| {
        let files = disk.files().into_iter();
        files.filter(|path| path.starts_with("/db/wal")).count()
    };
    for id in 0..5 {
        life.step("a", &Step::Upsert(vec![(id, id)]));
        life.step("a", &Step::Flush);
        life.reopen();
        let error = life.db().archive_log().unwrap_err();
        assert!(error.to_string().contains("is that mounted?"), "{error}");
        let status = life.db().archive().unwrap();
        assert!(status.waiting_bytes > 0 && status.failures == 1);
        assert_eq!(status.last_error, Some(error.to_string()));
    }
    assert!(logs(&life.disk) >= 5, "{:?}", life.disk.files());
    mark("/away", "/archive/ARCHIVE", &life.disk);
    life.db().archive_log().unwrap();
    let status = life.db().archive().unwrap();
    assert_eq!((status.last_error, status.failures), (None, 0));
    life.reopen();
    assert_eq!(logs(&life.disk), 1, "{:?}", life.disk.files());
    assert!(
        restored(&life.disk, "/snapshot", &to(RestorePoint::Latest))
            .unwrap()
            .0
            == life.now
    );

    // Another database must not mix its log in.
    life.db().archive_log().unwrap();
    let other = open_at(&life.disk, "/other", Archive::Folder("/archive".into())).unwrap();
    let error = other.archive_log().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(life.db.take());
    other.create_collection("x", config()).unwrap();
    let error = other.archive_log().unwrap_err();
    assert!(error.to_string().contains("of another database"), "{error}");
    other.close().unwrap();
    life.db = Some(open(&life.disk).unwrap());
    life.step("a", &Step::Delete(vec![1]));
    life.db().archive_log().unwrap();
    assert!(
        restored(&life.disk, "/snapshot", &to(RestorePoint::Latest))
            .unwrap()
            .0
            == life.now
    );

    // Switched off, the log goes; switched on again, what is missing is seen.
    life.db.take().unwrap().close().unwrap();
    let off = open_at(&life.disk, "/db", Archive::Off).unwrap();
    assert_eq!(off.archive(), None);
    let a = off.collection("a").unwrap();
    Step::Upsert(vec![(7, 7)]).run(&a).unwrap();
    drop(a);
    off.close().unwrap();
    life.db = Some(open(&life.disk).unwrap());
    let a = life.db().collection("a").unwrap();
    Step::Upsert(vec![(8, 8)]).run(&a).unwrap();
    let error = life.db().archive_log().unwrap_err();
    assert!(
        error.to_string().contains("without being archived"),
        "{error}"
    );
}

/// A short life with restarts, which trim the log.
fn short_life(disk: &SimDisk) -> Result<(), Error> {
    let mut random = SeededRandom::new(5);
    for round in 0..3 {
        let db = open(disk)?;
        if round == 0 {
            db.create_collection("a", config())?;
            db.snapshot(&[], "/snapshot")?;
        }
        if round == 1 {
            db.create_collection("b", config())?;
        }
        let collection = db.collection("a")?;
        for _ in 0..4 {
            Step::random(&mut random, 20).run(&collection)?;
        }
        db.archive_log()?;
        Step::Upsert(vec![(round, round)]).run(&collection)?;
        if round == 2 {
            db.drop_collection("b")?;
        }
        drop(collection);
        db.close()?;
    }
    Ok(())
}

#[test]
fn the_power_may_go_between_any_two_calls() {
    let whole = SimDisk::new();
    short_life(&whole).unwrap();
    let calls = whole.calls();
    assert!(calls > 300, "{calls}");
    for call in 1..=calls {
        let disk = SimDisk::new();
        disk.plan(call, Fault::Crash);
        let _ = short_life(&disk);
        let mode = [
            CrashMode::LoseUnsynced,
            CrashMode::KeepRandom(call),
            CrashMode::KeepAll,
        ][(call % 3) as usize];
        let left = disk.crash_image(mode);
        let context = format!("crash at call {call} of {calls}, {mode:?}");
        let db = open(&left).unwrap_or_else(|e| panic!("{context}: {e}"));
        if let Ok(a) = db.collection("a") {
            Step::Upsert(vec![(77, 77)]).run(&a).unwrap();
        }
        db.archive_log()
            .unwrap_or_else(|e| panic!("{context}: {e}"));
        let expected = world(&db);
        db.close().unwrap();
        if whole_snapshot(&left) {
            let (found, _) = restored(&left, "/snapshot", &to(RestorePoint::Latest))
                .unwrap_or_else(|e| panic!("{context}: {e}"));
            assert!(found == expected, "{context}");
        }
    }
}

fn whole_snapshot(disk: &SimDisk) -> bool {
    disk.contents(Path::new("/snapshot/SNAPSHOT.json"))
        .is_some()
}

#[test]
fn the_background_archives_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        threads: 1,
        archive: Archive::Folder(folder.path().join("archive")),
        archive_interval: Duration::from_millis(1),
        ..Options::default()
    };
    let db = Database::open(folder.path().join("db"), options).unwrap();
    let collection = db.create_collection("a", config()).unwrap();
    let written = collection
        .upsert(vec![model::point(1, 1)])
        .unwrap()
        .position;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while db.archive().unwrap().position < written {
        assert!(std::time::Instant::now() < deadline, "{:?}", db.archive());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(db.archive().unwrap().waiting_bytes, 0);
    // Whoever opens it later goes on with it.
    drop(collection);
    db.close().unwrap();
    let db = Database::open(folder.path().join("db"), Options::default()).unwrap();
    let status = db.archive().unwrap();
    assert!(status.location.ends_with("archive"), "{status:?}");
}
