//! Merges at a pace, paused, resumed, given up and looked at while they run.

use std::path::Path;
use std::time::{Duration, Instant};

use vecdb_engine::{
    Collection, CollectionConfig, Database, Durability, Env, ErrorKind, IndexSpec,
    MaintenanceStatus, MergeProgress, MergeStep, Metric, Options, Point, SearchRequest, StopSignal,
};
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

/// No merge ends at this pace.
const CRAWL: u64 = 1;
const PATIENCE: Duration = Duration::from_secs(60);

struct Case {
    disk: SimDisk,
    db: Database,
    collection: Collection,
}

impl Case {
    fn new(
        background: bool,
        bytes_per_second: u64,
        index: IndexSpec,
        durability: Durability,
    ) -> Self {
        let disk = SimDisk::new();
        let env = Env {
            disk: disk.shared(),
            ..Env::default()
        };
        let options = Options {
            background,
            index_rows_min: 100,
            merge_bytes_per_second: bytes_per_second,
            ..Options::default()
        };
        let db = Database::open_with(&env, Path::new("/db"), options).unwrap();
        let config = CollectionConfig::new(8, Metric::L2)
            .index(index)
            .durability(durability);
        let collection = db.create_collection("c", config).unwrap();
        Self {
            disk,
            db,
            collection,
        }
    }

    fn write(&self, from: u64) {
        let points = (from..from + 300).map(|id| Point::new(id, vec![id as f32; 8]));
        self.collection.upsert(points.collect()).unwrap();
        self.collection.flush().unwrap();
    }

    fn maintenance(&self) -> MaintenanceStatus {
        self.collection.info().maintenance
    }

    fn segments(&self) -> usize {
        self.collection.info().segments.len()
    }

    /// The merge under way, once there is one.
    fn merge(&self) -> MergeProgress {
        until(|| self.maintenance().merge)
    }

    fn nearest(&self, id: u64) -> Vec<u64> {
        let search = SearchRequest::new([id as f32; 8]).limit(1);
        let hits = self.collection.search(&search).unwrap().hits;
        hits.iter()
            .map(|hit| hit.id.to_string().parse().unwrap())
            .collect()
    }

    /// The files of segments that lie in the collection's folder.
    fn files(&self) -> usize {
        let disk = self.disk.shared();
        let inside = disk.list(Path::new("/db/collections/00000001")).unwrap();
        inside
            .iter()
            .filter(|entry| entry.name != "MANIFEST")
            .count()
    }
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_merge_keeps_to_its_pace_and_hears_of_another() {
    let case = Case::new(false, CRAWL, IndexSpec::default(), Durability::default());
    case.write(0);
    case.write(1_000);
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| case.collection.compact());
        let merge = case.merge();
        assert_eq!(
            (merge.segments, merge.rows, merge.step),
            (2, 600, MergeStep::Rows)
        );
        assert_eq!((merge.rows_done, merge.bytes), (0, 0));
        assert!(merge.started_at > 1_700_000_000_000_000);
        assert_eq!(merge.eta_seconds, None, "nothing is known of the index yet");
        // Readers, writers and flushes do not wait for it.
        case.write(2_000);
        assert_eq!(case.nearest(1_003), [1_003]);
        assert!(!merging.is_finished() && case.segments() == 3);
        case.db.set_merge_bytes_per_second(0);
        merging.join().unwrap().unwrap();
    });
    assert_eq!(case.maintenance().merge, None);
    case.collection.compact().unwrap();
    let info = case.collection.info();
    assert_eq!((info.segments.len(), info.points), (1, 900));
    assert!(info.segments[0].index.is_some());
    assert!(case.collection.verify().unwrap().problems.is_empty());
}

#[test]
fn a_merge_that_waits_for_its_turn_is_given_up_and_leaves_nothing() {
    let case = Case::new(false, CRAWL, IndexSpec::Flat, Durability::default());
    case.write(0);
    case.write(1_000);
    let before = case.files();
    let stop = StopSignal::new();
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| case.collection.compact_with(&stop));
        case.merge();
        stop.stop();
        let error = merging.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    });
    let status = case.maintenance();
    assert_eq!(
        (status.merge, status.last_error, status.merges),
        (None, None, 0)
    );
    assert_eq!((case.files(), case.segments()), (before, 2));
    case.db.set_merge_bytes_per_second(1 << 30);
    case.collection.compact().unwrap();
    assert_eq!(case.segments(), 1);
}

#[test]
fn while_merges_are_paused_segments_gather_and_after_it_they_are_merged() {
    let case = Case::new(true, 0, IndexSpec::default(), Durability::default());
    case.db.pause_merges();
    for from in [0, 1_000, 2_000, 3_000] {
        case.write(from);
    }
    // Longer than a collection takes to go quiet, and the background to see it.
    std::thread::sleep(Duration::from_millis(1_000));
    let status = case.maintenance();
    assert!(status.merges_paused && case.db.merges_paused());
    assert_eq!((status.merges, status.merge, case.segments()), (0, None, 4));
    case.db.resume_merges();
    until(|| (case.segments() == 1).then_some(()));
    assert!(!case.maintenance().merges_paused);
    assert_eq!(case.collection.info().points, 1_200);
}

/// A background merge that stands still in the middle of what it writes.
fn standing_still() -> Case {
    let case = Case::new(true, CRAWL, IndexSpec::default(), Durability::default());
    case.write(0);
    case.write(1_000);
    case.merge();
    case.db.pause_merges();
    case.db.set_merge_bytes_per_second(0);
    case
}

#[test]
fn a_merge_stands_still_where_it_is_and_goes_on_from_there() {
    let case = standing_still();
    // It may have been let through once between the two; then it stands at the next write.
    let stands = until(|| {
        let first = case.merge();
        std::thread::sleep(Duration::from_millis(100));
        (first == case.merge()).then_some(first)
    });
    assert_eq!(stands.eta_seconds, None);
    case.write(2_000);
    case.collection.delete(&[5.into()]).unwrap();
    assert_eq!(case.nearest(1_003), [1_003]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(case.merge(), stands);
    case.db.resume_merges();
    until(|| (case.segments() == 1).then_some(()));
    assert_eq!(case.collection.info().points, 899);
    assert_eq!(
        case.collection.get(&[5.into()], false, false).unwrap(),
        [None]
    );
    assert!(case.collection.verify().unwrap().problems.is_empty());
}

#[test]
fn whoever_asks_for_a_merge_is_not_held_up_by_a_pause() {
    let case = standing_still();
    case.collection.compact().unwrap();
    assert_eq!(case.segments(), 1);
    assert!(case.maintenance().merges_paused);
    case.write(5_000);
    case.collection.wait_until_idle().unwrap();
    assert_eq!(case.segments(), 1);
    assert_eq!(case.collection.info().points, 900);
}

#[test]
fn collections_are_dropped_and_databases_closed_while_a_merge_stands_still() {
    let case = standing_still();
    case.db.drop_collection("c").unwrap();
    // The background is free for others.
    case.db.resume_merges();
    let config = CollectionConfig::new(8, Metric::L2);
    let other = Case {
        collection: case.db.create_collection("d", config).unwrap(),
        ..case
    };
    other.write(0);
    other.write(1_000);
    until(|| (other.segments() == 1).then_some(()));

    let case = standing_still();
    case.db.close().unwrap();
    let env = Env {
        disk: case.disk.shared(),
        ..Env::default()
    };
    let db = Database::open_with(&env, Path::new("/db"), Options::default()).unwrap();
    assert!(!db.merges_paused(), "a pause ends with the database");
    let again = db.collection("c").unwrap();
    until(|| (again.info().segments.len() == 1).then_some(()));
    assert_eq!(again.info().points, 600);
}

/// Lets the one write through that waits for its turn: those after it wait again.
fn let_one_write_through(case: &Case) {
    case.db.set_merge_bytes_per_second(0);
    case.db.set_merge_bytes_per_second(CRAWL);
}

/// The name of the segment that a merge of the first two makes.
const MADE: &str = "0000000000000003";

fn contents(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    disk.contents(&Path::new("/db/collections/00000001").join(name))
}

/// A background merge that has written its rows and waits to write its index.
fn about_to_index(durability: Durability) -> Case {
    let case = Case::new(true, CRAWL, IndexSpec::default(), durability);
    case.db.pause_merges();
    case.write(0);
    case.write(1_000);
    // Of a collection without durability this is what a crash undoes.
    case.collection.delete(&[5.into()]).unwrap();
    case.db.resume_merges();
    case.merge();
    let_one_write_through(&case);
    until(|| (case.merge().step == MergeStep::Index).then_some(()));
    until(|| (case.merge().rows_done == 599).then_some(()));
    assert!(contents(&case.disk, "MERGE").is_some());
    case
}

/// Opens what a crash leaves, merges, and gives the name of the one segment.
fn merged_after_a_crash(disk: &SimDisk, points: u64) -> String {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    let options = Options {
        background: false,
        index_rows_min: 100,
        ..Options::default()
    };
    let db = Database::open_with(&env, Path::new("/db"), options).unwrap();
    let collection = db.collection("c").unwrap();
    collection.wait_until_idle().unwrap();
    let info = collection.info();
    assert_eq!((info.points, info.segments.len()), (points, 1));
    assert!(info.segments[0].index.is_some());
    assert_eq!(contents(disk, "MERGE"), None);
    assert!(collection.verify().unwrap().problems.is_empty());
    let near = SearchRequest::new([1_003.0; 8]).limit(1);
    assert_eq!(collection.search(&near).unwrap().hits[0].id, 1_003.into());
    info.segments[0].name.clone()
}

#[test]
fn a_merge_goes_on_from_its_last_finished_step() {
    let case = about_to_index(Durability::EveryWrite);
    case.collection.delete(&[7.into(), 1_008.into()]).unwrap();
    let rows = contents(&case.disk, &format!("{MADE}.rows")).unwrap();
    let crashed = case.disk.crash_image(CrashMode::LoseUnsynced);
    assert_eq!(merged_after_a_crash(&crashed, 597), MADE);
    assert_eq!(
        contents(&crashed, &format!("{MADE}.rows")),
        Some(rows.clone())
    );

    // With its index finished, too.
    let_one_write_through(&case);
    until(|| (case.merge().step == MergeStep::Check).then_some(()));
    let index = contents(&case.disk, &format!("{MADE}.index")).unwrap();
    let crashed = case.disk.crash_image(CrashMode::LoseUnsynced);
    assert_eq!(merged_after_a_crash(&crashed, 597), MADE);
    assert_eq!(contents(&crashed, &format!("{MADE}.index")), Some(index));

    // Closed instead, as a server is.
    let disk = case.disk.clone();
    drop(case);
    assert_eq!(contents(&disk, &format!("{MADE}.rows")), Some(rows));
    assert_eq!(merged_after_a_crash(&disk, 597), MADE);
}

#[test]
fn what_a_merge_has_finished_is_given_up_where_it_does_not_fit() {
    let case = about_to_index(Durability::EveryWrite);
    let crash = || case.disk.crash_image(CrashMode::LoseUnsynced);
    let at = |name: &str| Path::new("/db/collections/00000001").join(name);
    let rows = format!("{MADE}.rows");
    let damages: [&dyn Fn(&SimDisk); 4] = [
        &|disk| disk.flip_bit(&at(&rows), 8_300 * 8),
        &|disk| disk.damage(&at(&rows), |bytes| bytes.truncate(bytes.len() - 1)),
        &|disk| disk.shared().remove_file(&at(&rows)).unwrap(),
        &|disk| disk.flip_bit(&at("MERGE"), 400),
    ];
    for damage in damages {
        let crashed = crash();
        damage(&crashed);
        merged_after_a_crash(&crashed, 599);
    }
    drop(case);

    // It had left out a point whose deletion a crash undid.
    let case = about_to_index(Durability::None);
    let crashed = case.disk.crash_image(CrashMode::LoseUnsynced);
    let name = merged_after_a_crash(&crashed, 600);
    assert_ne!(name, MADE);
}

#[test]
fn a_merge_that_was_given_up_is_gone_on_with_by_the_next_one() {
    let case = Case::new(false, CRAWL, IndexSpec::default(), Durability::default());
    case.write(0);
    case.write(1_000);
    let stop = StopSignal::new();
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| case.collection.compact_with(&stop));
        case.merge();
        let_one_write_through(&case);
        until(|| contents(&case.disk, "MERGE").map(drop));
        stop.stop();
        assert!(merging.join().unwrap().is_err());
    });
    case.write(2_000);
    case.collection.delete(&[1_001.into()]).unwrap();
    case.db.set_merge_bytes_per_second(0);
    case.collection.compact().unwrap();
    let info = case.collection.info();
    assert_eq!((info.points, info.segments.len()), (899, 1));
    assert_eq!(case.files(), 2, "rows and index");
    assert!(case.collection.verify().unwrap().problems.is_empty());
}
