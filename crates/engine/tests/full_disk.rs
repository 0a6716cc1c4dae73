//! Writers that outrun the flushes, a disk that is full, and one whose sync fails: while background threads work.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use vecdb_engine::{
    Collection, CollectionConfig, Database, Env, Error, ErrorKind, Metric, Options, Point,
};
use vecdb_testkit::sim_disk::{CrashMode, Fault, Op, SimDisk};

const PATIENCE: Duration = Duration::from_secs(10);

fn open(disk: &SimDisk) -> Database {
    let env = Env {
        disk: disk.shared(),
        ..Env::default()
    };
    let options = Options {
        threads: 1,
        memtable_bytes_max: 16 << 10,
        frozen_memtables_max: 0,
        ..Options::default()
    };
    Database::open_with(&env, Path::new("/db"), options).unwrap()
}

fn collection(db: &Database) -> Collection {
    db.create_collection("c", CollectionConfig::new(8, Metric::L2))
        .unwrap()
}

fn write(c: &Collection, id: u64) -> Result<(), Error> {
    c.upsert(vec![Point::new(id, vec![id as f32; 8])]).map(drop)
}

#[test]
fn writes_that_wait_for_a_flush_are_counted_and_memory_stays_bounded() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let c = collection(&db);
    let mut most = 0;
    for id in 0..3_000 {
        write(&c, id).unwrap();
        most = most.max(c.info().memtable_bytes);
    }
    let status = c.info().maintenance;
    assert!(status.flushes > 3, "{status:?}");
    assert!(
        status.write_stalls > 0 && status.write_stall_micros > 0,
        "{status:?}"
    );
    assert!(most < 64 << 10, "{most} bytes in memory");
    assert_eq!(c.count(None).unwrap(), 3_000);
}

#[test]
fn a_full_disk_is_told_at_once_and_forgotten_once_there_is_room() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let c = collection(&db);
    // Room for the log, not for what is flushed.
    write(&c, 0).unwrap();
    disk.set_space(Some(2_000));
    let begun = Instant::now();
    let mut written = 1;
    let refused = loop {
        match write(&c, written) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(begun.elapsed() < PATIENCE, "a full disk takes every write");
    };
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
    assert!(refused.is_disk_full(), "{refused}");
    assert_eq!(c.count(None).unwrap(), written, "reads go on");
    disk.set_space(None);
    let begun = Instant::now();
    while let Err(error) = write(&c, written) {
        assert!(error.is_disk_full(), "{error}");
        assert!(begun.elapsed() < PATIENCE, "the room is not noticed");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(c.count(None).unwrap(), written + 1);
    c.compact().unwrap();
    assert_eq!(c.info().maintenance.last_error, None);
    let left = disk.crash_image(CrashMode::LoseUnsynced);
    assert_eq!(
        open(&left).collection("c").unwrap().count(None).unwrap(),
        written + 1
    );
}

/// After a sync that failed nobody knows what the disk holds: writes are refused until it is read again.
#[test]
fn a_failed_sync_poisons_until_the_database_is_opened_again() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let c = collection(&db);
    write(&c, 0).unwrap();
    let last = disk.calls();
    write(&c, 1).unwrap();
    let trace = disk.trace();
    let sync = trace
        .iter()
        .find(|call| call.number > last && call.op == Op::Sync);
    let after = sync.expect("a write is synced").number - last;
    disk.plan(disk.calls() + after, Fault::Error(io::ErrorKind::Other));
    let failed = write(&c, 2).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Poisoned, "{failed}");
    for id in 3..6 {
        let refused = write(&c, id).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Poisoned, "{refused}");
        assert!(refused.to_string().contains("open the database again"));
    }
    assert_eq!(
        c.count(None).unwrap(),
        2,
        "reads go on, without what failed"
    );
    let left = disk.crash_image(CrashMode::LoseUnsynced);
    let db = open(&left);
    let c = db.collection("c").unwrap();
    assert_eq!(c.count(None).unwrap(), 2);
    write(&c, 7).unwrap();
}
