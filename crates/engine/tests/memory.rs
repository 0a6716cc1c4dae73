//! What a database says of the memory it holds.

use std::path::Path;

use vecdb_engine::{CollectionConfig, Database, Env, MemoryUse, Metric, Options, Point};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::sim_disk::SimDisk;

fn open() -> Database {
    let env = Env {
        disk: SimDisk::new().shared(),
        ..Env::default()
    };
    let options = Options {
        background: false,
        ..Options::default()
    };
    Database::open_with(&env, Path::new("/db"), options).unwrap()
}

#[test]
fn memtables_are_counted_until_all_is_flushed() {
    let db = open();
    assert_eq!(db.memory(), MemoryUse::default());
    let config = || CollectionConfig::new(2, Metric::L2);
    let one = db.create_collection("one", config()).unwrap();
    let two = db.create_collection("two", config()).unwrap();
    let points = || {
        let point = |id: u64| Point::new(id, vec![id as f32, 1.0]);
        (0..1_000).map(point).collect()
    };
    one.upsert(points()).unwrap();
    let of_one = db.memory().memtable_bytes;
    assert_eq!(of_one, one.info().memtable_bytes);
    assert!(of_one > 1_000 * 8, "{of_one} bytes");
    two.upsert(points()).unwrap();
    assert_eq!(db.memory().memtable_bytes, 2 * of_one);
    db.flush_all().unwrap();
    assert_eq!(db.memory(), MemoryUse::default());
    assert_eq!(one.info().segments.len() + two.info().segments.len(), 2);
}

#[test]
fn a_build_is_counted_while_it_runs() {
    const ROWS: u64 = 8_000;
    let db = open();
    let config = CollectionConfig::new(32, Metric::L2);
    let collection = db.create_collection("c", config).unwrap();
    let mut random = SeededRandom::new(3);
    let mut point =
        |id: u64| Point::new(id, (0..32).map(|_| random.gaussian()).collect::<Vec<_>>());
    collection
        .upsert((0..ROWS).map(&mut point).collect())
        .unwrap();
    let mut most = 0;
    std::thread::scope(|scope| {
        let build = scope.spawn(|| collection.compact().unwrap());
        while !build.is_finished() {
            most = most.max(db.memory().building_bytes);
            std::thread::yield_now();
        }
    });
    // Two cache lines of links for each row, at least.
    assert!(most >= ROWS * 128, "{most} bytes");
    assert_eq!(db.memory(), MemoryUse::default());
}
