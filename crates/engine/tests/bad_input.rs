//! Bad requests, bad folders and damaged files: each gets an error that names the thing, and nothing else breaks.

use std::path::{Path, PathBuf};

use vecdb_engine::{
    Collection, CollectionConfig, Database, ElementType, Env, Error, ErrorKind, FieldKind,
    FieldType, Filter, IndexSpec, Metric, Options, Point, PointId, ScrollRequest, SearchParams,
    SearchRequest,
};
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

fn options() -> Options {
    Options {
        threads: 1,
        background: false,
        index_rows_min: 50,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<Database, Error> {
    Database::open_with(
        &Env {
            disk: disk.shared(),
            ..Env::default()
        },
        Path::new("/db"),
        options(),
    )
}

fn points(ids: std::ops::Range<u64>) -> Vec<Point> {
    ids.map(|id| {
        Point::new(id, vec![id as f32, 1.0, 2.0])
            .with("price", id as i64)
            .with("color", "red")
    })
    .collect()
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, Error>, kind: ErrorKind, words: &[&str]) {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

fn collection(disk: &SimDisk, metric: Metric) -> (Database, Collection) {
    let db = open(disk).unwrap();
    let config = CollectionConfig::new(3, metric).field(
        "price",
        FieldType {
            kind: FieldKind::Int,
            array: false,
            stemmer: None,
        },
    );
    let collection = db.create_collection("c", config).unwrap();
    (db, collection)
}

#[test]
fn points_that_cannot_be_stored_are_named_and_nothing_of_their_batch_is_written() {
    let (_db, c) = collection(&SimDisk::new(), Metric::Cosine);
    let invalid = ErrorKind::InvalidArgument;
    let good = || Point::new(1, vec![1.0, 0.0, 0.0]);
    let with = |bad: Point| c.upsert(vec![good(), bad]);
    refused(
        with(Point::new(7, vec![1.0; 4])),
        invalid,
        &["point 1", "\"7\"", "3", "4"],
    );
    refused(
        with(Point::new(7, vec![1.0, f32::NAN, 0.0])),
        invalid,
        &["point 1", "NaN", "1"],
    );
    refused(
        with(Point::new(7, vec![f32::INFINITY, 0.0, 0.0])),
        invalid,
        &["inf"],
    );
    refused(with(Point::new(7, vec![0.0; 3])), invalid, &["zero"]);
    refused(
        with(Point::new("", vec![1.0; 3])),
        invalid,
        &["must not be empty"],
    );
    refused(
        with(Point::new("x".repeat(100_000), vec![1.0; 3])),
        invalid,
        &["100000 bytes", "1024"],
    );
    refused(
        with(Point::new(7, vec![1.0; 3]).with("price", "cheap")),
        invalid,
        &["point 1", "price", "cheap"],
    );
    assert_eq!(c.count(None).unwrap(), 0);
    assert_eq!(c.upsert(Vec::new()).unwrap().inserted, 0);
    assert!(c.info().fields.field("price").is_some());
}

#[test]
fn searches_that_cannot_be_answered_are_named() {
    let (_db, c) = collection(&SimDisk::new(), Metric::L2);
    c.upsert(points(0..100)).unwrap();
    let invalid = ErrorKind::InvalidArgument;
    let query = || SearchRequest::new([1.0, 1.0, 1.0]);
    for compacted in [false, true] {
        if compacted {
            c.compact().unwrap();
        }
        refused(c.search(&SearchRequest::new([1.0])), invalid, &["3", "1"]);
        refused(
            c.search(&SearchRequest::new([1.0, f32::NAN, 1.0])),
            invalid,
            &["NaN"],
        );
        refused(c.search(&query().limit(0)), invalid, &["limit 0"]);
        refused(
            c.search(&query().limit(10_000_000)),
            invalid,
            &["limit 10000000"],
        );
        refused(
            c.search(&query().max_distance(f32::NAN)),
            invalid,
            &["max_distance"],
        );
        assert_eq!(c.search(&query().limit(1_000)).unwrap().hits.len(), 100);
        refused(
            c.search(&query().filter(Filter::eq("prise", 1))),
            invalid,
            &["prise", "price"],
        );
        refused(
            c.search(&query().filter(Filter::eq("price", "x"))),
            invalid,
            &["price", "x"],
        );
        let ef = |ef| SearchParams {
            ef: Some(ef),
            ..SearchParams::default()
        };
        refused(c.search(&query().params(ef(0))), invalid, &["ef"]);
        refused(
            c.scroll(&ScrollRequest {
                limit: 0,
                ..ScrollRequest::default()
            }),
            invalid,
            &["limit 0"],
        );
        let cursor = Some("nonsense".to_owned());
        refused(
            c.scroll(&ScrollRequest {
                cursor,
                ..ScrollRequest::default()
            }),
            invalid,
            &["nonsense"],
        );
        let batch = [query(), SearchRequest::new([2.0])];
        refused(c.search_batch(&batch), invalid, &["query 1"]);
    }
    let unknown = Filter::parse_str(r#"{"price": {"$lte": 3, "$gtx": 1}}"#)
        .unwrap_err()
        .to_string();
    assert!(
        unknown.contains("$gtx") && unknown.contains("$gt"),
        "{unknown}"
    );
}

#[test]
fn knobs_that_the_index_kind_does_not_have_are_refused() {
    let db = open(&SimDisk::new()).unwrap();
    let flat = db
        .create_collection(
            "f",
            CollectionConfig::new(3, Metric::L2).index(IndexSpec::Flat),
        )
        .unwrap();
    flat.upsert(points(0..3)).unwrap();
    let request = SearchRequest::new([0.0; 3]).params(SearchParams {
        ef: Some(50),
        ..SearchParams::default()
    });
    refused(
        flat.search(&request),
        ErrorKind::InvalidArgument,
        &["flat", "ef", "exact"],
    );
    let bad_metric = CollectionConfig::new(3, Metric::Hamming).element(ElementType::F32);
    refused(
        db.create_collection("x", bad_metric),
        ErrorKind::InvalidArgument,
        &["hamming", "f32"],
    );
    refused(
        db.create_collection("a/b", CollectionConfig::new(3, Metric::L2)),
        ErrorKind::InvalidArgument,
        &["a/b"],
    );
    refused(
        db.create_collection("x", CollectionConfig::new(0, Metric::L2)),
        ErrorKind::InvalidArgument,
        &["dimension 0"],
    );
}

#[test]
fn a_folder_is_opened_once_and_only_if_it_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path(), options()).unwrap();
    refused(
        Database::open(folder.path(), options()),
        ErrorKind::Unavailable,
        &["LOCK", "another process"],
    );
    db.close().unwrap();
    Database::open(folder.path(), options())
        .unwrap()
        .close()
        .unwrap();

    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("thesis.tex"), "text").unwrap();
    refused(
        Database::open(foreign.path(), options()),
        ErrorKind::InvalidArgument,
        &["thesis.tex"],
    );
    let nowhere = Options {
        create_if_missing: false,
        ..options()
    };
    refused(
        Database::open(foreign.path().join("no"), nowhere),
        ErrorKind::NotFound,
        &["no database"],
    );
    let file = foreign.path().join("thesis.tex");
    assert!(
        Database::open(&file, options()).is_err(),
        "a file is not a folder"
    );
}

#[test]
fn a_read_only_disk_is_said_to_be_one() {
    let disk = SimDisk::new();
    let (db, c) = collection(&disk, Metric::L2);
    c.upsert(points(0..10)).unwrap();
    disk.set_read_only(true);
    refused(
        c.upsert(points(10..11)),
        ErrorKind::Poisoned,
        &["read-only", "open the database again"],
    );
    assert_eq!(c.count(None).unwrap(), 10, "reads go on");
    refused(c.flush(), ErrorKind::PermissionDenied, &["read-only"]);
    drop((db, c));
    refused(open(&disk), ErrorKind::PermissionDenied, &["/db"]);
    disk.set_read_only(false);
    assert_eq!(
        open(&disk)
            .unwrap()
            .collection("c")
            .unwrap()
            .count(None)
            .unwrap(),
        10
    );
}

/// A closed database with one flushed, indexed collection `c` and an empty one `d`.
fn sealed() -> SimDisk {
    let disk = SimDisk::new();
    let (db, c) = collection(&disk, Metric::Cosine);
    c.upsert(
        (0..400)
            .map(|id| {
                Point::new(id, vec![id as f32, 1.0, (id % 7) as f32]).with("price", id as i64)
            })
            .collect(),
    )
    .unwrap();
    c.compact().unwrap();
    c.delete(&[3.into()]).unwrap();
    db.create_collection("d", CollectionConfig::new(3, Metric::L2))
        .unwrap();
    db.close().unwrap();
    disk
}

#[test]
fn a_newer_format_is_refused_by_version() {
    let disk = sealed();
    // A document of version 9 with a right checksum.
    let path = Path::new("/db/CATALOG");
    disk.damage(path, |bytes| {
        bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
        let head = vecdb_storage::checksum::crc32c(&bytes[8..16]);
        let sum = vecdb_storage::checksum::crc32c_seeded(head, &bytes[20..]);
        bytes[16..20].copy_from_slice(&sum.to_le_bytes());
    });
    refused(
        open(&disk),
        ErrorKind::Unsupported,
        &["CATALOG", "9", "newer"],
    );
}

#[test]
fn a_broken_collection_is_quarantined_and_the_others_serve() {
    let disk = sealed();
    let manifest = Path::new("/db/collections/00000001/MANIFEST");
    disk.damage(manifest, |bytes| bytes[30] ^= 1);
    let db = open(&disk).unwrap();
    refused(
        db.collection("c"),
        ErrorKind::Corrupt,
        &["\"c\"", "MANIFEST"],
    );
    let broken: Vec<_> = db
        .collections()
        .into_iter()
        .map(|s| (s.name, s.broken.is_some()))
        .collect();
    assert_eq!(broken, [("c".to_owned(), true), ("d".to_owned(), false)]);
    let d = db.collection("d").unwrap();
    d.upsert(points(0..5)).unwrap();
    d.flush().unwrap();
    assert!(!db.verify().unwrap().problems.is_empty());
    drop((d, db));
    // Repaired by hand, it is back.
    disk.damage(manifest, |bytes| bytes[30] ^= 1);
    let db = open(&disk).unwrap();
    assert_eq!(db.collection("c").unwrap().count(None).unwrap(), 399);
    assert_eq!(db.collection("d").unwrap().count(None).unwrap(), 5);
}

#[test]
fn stray_files_do_not_stand_in_the_way() {
    let disk = sealed();
    let folder = PathBuf::from("/db/collections/00000001");
    for name in ["00000000000000ff.rows", "MANIFEST.tmp", "notes.txt"] {
        disk.shared()
            .create(&folder.join(name))
            .unwrap()
            .write(b"rubbish")
            .unwrap();
    }
    // Folders in place of files, files in place of folders, and what was never renamed.
    let shared = disk.shared();
    for name in [
        "wal/00000000000000000099.wal.tmp",
        "wal/00000000000000000098.wal",
        "collections/notes",
        "collections/00000001/00000000000000fe.rows",
    ] {
        shared.create_dir(&Path::new("/db").join(name)).unwrap();
    }
    for name in [
        "CATALOG.tmp",
        "notes.txt",
        "wal/00000000000000000097.wal.tmp",
        "wal/notes.wal",
        "collections/00000077",
        "staging",
    ] {
        let path = Path::new("/db").join(name);
        shared.create(&path).unwrap().write(b"rubbish").unwrap();
    }
    let db = open(&disk).unwrap();
    assert_eq!(db.collection("c").unwrap().count(None).unwrap(), 399);
    let d = db.collection("d").unwrap();
    d.upsert(points(0..3)).unwrap();
    d.flush().unwrap();
    db.create_collection("e", CollectionConfig::new(3, Metric::L2))
        .unwrap();
    let left: Vec<_> = disk
        .files()
        .into_iter()
        .filter(|path| path.starts_with(&folder))
        .collect();
    assert!(
        left.iter().any(|path| path.ends_with("notes.txt")),
        "files of unknown kinds stay"
    );
    assert!(
        !left
            .iter()
            .any(|path| path.ends_with("00000000000000ff.rows") || path.ends_with("MANIFEST.tmp"))
    );
}

#[test]
fn a_segment_that_cannot_be_merged_does_not_hold_up_flushes() {
    let disk = sealed();
    let rows = PathBuf::from("/db/collections/00000001");
    let rows = disk
        .files()
        .into_iter()
        .find(|path| path.starts_with(&rows) && path.extension().is_some_and(|e| e == "rows"));
    // The first block of the first section after the header page: the vectors, which every merge checks.
    disk.damage(&rows.unwrap(), |bytes| {
        bytes
            .iter_mut()
            .skip(8192)
            .take(64)
            .for_each(|byte| *byte ^= 0xff)
    });
    let options = Options {
        background: true,
        memtable_bytes_max: 4 << 10,
        frozen_memtables_max: 1,
        ..options()
    };
    let db = Database::open_with(
        &Env {
            disk: disk.shared(),
            ..Env::default()
        },
        Path::new("/db"),
        options,
    )
    .unwrap();
    let c = db.collection("c").unwrap();
    assert!(
        c.wait_until_idle().is_err() || c.compact().is_err(),
        "the damage is met"
    );
    for start in (10_000..12_000).step_by(50) {
        c.upsert(points(start..start + 50)).unwrap();
    }
    assert_eq!(c.count(None).unwrap(), 399 + 2_000);
}

/// Every file of a database, damaged byte by byte (in steps) and cut: what comes back is right or an error.
#[test]
fn damaged_bytes_give_errors_and_never_wrong_answers() {
    let whole = sealed();
    let request = || SearchRequest::new([200.0, 1.0, 3.0]).limit(5);
    let answers = |db: &Database| -> Result<_, Error> {
        let c = db.collection("c")?;
        let filter = Filter::gte("price", 390);
        let hits = (
            c.search(&request())?.hits,
            c.search(&request().filter(filter.clone()))?.hits,
        );
        Ok((
            hits,
            c.count(Some(&filter))?,
            c.get(&[PointId::from(77)], true, true)?,
            c.count(None)?,
        ))
    };
    let copy = || whole.crash_image(CrashMode::KeepAll);
    let right = answers(&open(&copy()).unwrap()).unwrap();
    let (mut tried, mut noticed) = (0, 0);
    for path in whole.files() {
        let bytes = whole.contents(&path).unwrap().len();
        let step = (bytes / 60).max(1);
        for at in (0..bytes).step_by(step) {
            for cut in [false, true] {
                let disk = copy();
                disk.damage(&path, |bytes| {
                    if cut {
                        bytes.truncate(at)
                    } else {
                        bytes[at] ^= 0x55
                    }
                });
                tried += 1;
                let outcome = open(&disk).and_then(|db| {
                    let given = answers(&db)?;
                    assert_eq!(given, right, "{} byte {at}, cut: {cut}", path.display());
                    Ok(db.verify()?.problems.is_empty())
                });
                noticed += u64::from(!matches!(outcome, Ok(true)));
            }
        }
    }
    // Bytes between sections and in spare room are under no checksum because nothing reads them.
    assert!(
        noticed * 10 > tried * 3,
        "{noticed} of {tried} damages were noticed"
    );
}
