//! Not a database in RAM: a collection twice as large as the memory its process may have, written in 1,000 batches
//! with background flushes only, opens and answers; what it takes to open does not grow with the rows.
//!
//! A program of its own, because the limit (`ulimit -d`: anonymous memory, not maps of files) is that of a process.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use vecdb_engine::{CollectionConfig, Database, Metric, Options, Point, SearchRequest};
use vecdb_testkit::random::SeededRandom;

const BATCHES: u64 = 1_000;
const BATCH_ROWS: u64 = 50;
const DIMENSION: u32 = 512;
const CHILD_LIMIT_KIB: u64 = BATCHES * BATCH_ROWS * DIMENSION as u64 * 4 / 2 / 1024;

fn options() -> Options {
    Options {
        memtable_bytes_max: 8 << 20,
        threads: 2,
        ..Options::default()
    }
}

/// Points around a few hundred centres: neighbours that mean something.
fn vector(id: u64) -> Vec<f32> {
    let mut centre = SeededRandom::new(id % 300);
    let mut own = SeededRandom::new(id + 1_000_000);
    (0..DIMENSION)
        .map(|_| centre.below(1_000) as f32 + own.below(300) as f32)
        .collect()
}

fn main() {
    match std::env::var_os("VECDB_LIMITED_FOLDER") {
        Some(folder) => child(Path::new(&folder)),
        None => parent(),
    }
}

/// Kibibytes of memory that is not a map of a file.
fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap_or("RssAnon: 0 kB");
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

fn write(folder: &Path, batches: u64) {
    let db = Database::open(folder, options()).unwrap();
    let collection = db
        .create_collection("c", CollectionConfig::new(DIMENSION, Metric::L2))
        .unwrap();
    for batch in 0..batches {
        let ids = batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS;
        collection
            .upsert(
                ids.map(|id| Point::new(id, vector(id)).with("batch", batch as i64))
                    .collect(),
            )
            .unwrap();
    }
    collection.wait_until_idle().unwrap();
    let info = collection.info();
    println!(
        "{} points in {} segments, {} merges",
        info.points,
        info.segments.len(),
        info.maintenance.merges
    );
    assert!(
        info.maintenance.flushes > 1 || batches < BATCHES,
        "the load was to need background flushes"
    );
    db.close().unwrap();
}

fn parent() {
    println!("running 1 test");
    if !cfg!(target_os = "linux") {
        println!("memory limits are tested on Linux only");
        println!("test result: ok. 0 passed; 0 failed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), BATCHES);
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -d {CHILD_LIMIT_KIB} && exec \"$0\""),
            std::env::current_exe().unwrap().to_str().unwrap(),
        ])
        .env("VECDB_LIMITED_FOLDER", folder.path())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    print!("{out}");
    assert!(
        output.status.success(),
        "the limited process failed:\n{err}"
    );
    println!("test a_collection_twice_its_memory_limit_opens_and_answers ... ok\n");
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn child(folder: &Path) {
    let before = anonymous_kib();
    let started = Instant::now();
    let db = Database::open(folder, options()).unwrap();
    let collection = db.collection("c").unwrap();
    let opened = started.elapsed();
    let rows = BATCHES * BATCH_ROWS;
    assert_eq!(collection.count(None).unwrap(), rows);
    let grown = anonymous_kib().saturating_sub(before);
    println!(
        "opened {rows} points in {opened:?}, {grown} KiB of memory, limit {CHILD_LIMIT_KIB} KiB"
    );
    // A few bits per row and a constant for threads and buffers.
    assert!(
        grown < 2_048 + rows / 1024,
        "{grown} KiB to open {rows} rows"
    );
    assert_eq!(db.recovery().replayed, 0);
    let mut found = 0;
    for at in 0..50 {
        let id = at * 997 % rows;
        let hits = collection
            .search(&SearchRequest::new(vector(id)))
            .unwrap()
            .hits;
        assert_eq!(hits.len(), 10);
        found += u64::from(hits[0].id == id.into());
    }
    assert!(found >= 49, "{found} of 50 points found themselves");
    // Writing goes on within the limit as well.
    for batch in 0..200 {
        let ids = batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS;
        collection
            .upsert(ids.map(|id| Point::new(id, vector(id + 1))).collect())
            .unwrap();
    }
    assert_eq!(collection.count(None).unwrap(), rows);
    println!("searched and wrote with {} KiB of memory", anonymous_kib());
    db.close().unwrap();
}
