//! The life of a collection on a real disk: write, read, search, close, open again.

use std::collections::BTreeSet;

use vecdb_engine::{
    CollectionConfig, Database, Durability, ElementType, ErrorKind, Filter, IndexSpec, Metadata,
    MetadataUpdate, Metric, Options, Point, PointId, ScrollRequest, SearchParams, SearchRequest,
    Value,
};

fn open(folder: &std::path::Path) -> Database {
    Database::open(
        folder,
        Options {
            threads: 2,
            ..Options::default()
        },
    )
    .unwrap()
}

/// Points on a line, so that the nearest ones are known.
fn line(ids: std::ops::Range<u64>) -> Vec<Point> {
    ids.map(|id| {
        Point::new(id, vec![id as f32, 0.0])
            .with("n", id as i64)
            .with("even", id % 2 == 0)
    })
    .collect()
}

fn ids(hits: &[vecdb_engine::Hit]) -> Vec<u64> {
    let number = |id: &PointId| {
        if let PointId::U64(number) = id {
            *number
        } else {
            panic!("{id} is not a number")
        }
    };
    hits.iter().map(|hit| number(&hit.id)).collect()
}

#[test]
fn what_was_written_is_there_after_closing() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let lines = db
        .create_collection("lines", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    let written = lines.upsert(line(0..3_000)).unwrap();
    assert_eq!(
        (written.inserted, written.updated, written.durability),
        (3_000, 0, Durability::EveryWrite)
    );
    assert_eq!(lines.delete(&[7.into(), 9_999.into()]).unwrap().deleted, 1);
    let check = |lines: &vecdb_engine::Collection| {
        assert_eq!(lines.count(None).unwrap(), 2_999);
        let request = SearchRequest::new([7.1, 0.0]).limit(4);
        assert_eq!(ids(&lines.search(&request).unwrap().hits), [8, 6, 9, 5]);
        let even = Filter::eq("even", true).and(Filter::gte("n", 100));
        let hits = lines
            .search(&request.clone().filter(even.clone()))
            .unwrap()
            .hits;
        assert_eq!(ids(&hits), [100, 102, 104, 106]);
        assert_eq!(hits[0].metadata.as_ref().unwrap()["n"], Value::Int(100));
        assert_eq!(lines.count(Some(&even)).unwrap(), 1_450);
        let got = lines.get(&[5.into(), 7.into()], true, true).unwrap();
        assert_eq!(
            got[0].as_ref().unwrap().vector.as_deref(),
            Some([5.0, 0.0].as_slice())
        );
        assert!(got[1].is_none());
    };
    check(&lines);
    db.close().unwrap();

    let db = open(folder.path());
    assert_eq!(
        db.recovery().replayed,
        0,
        "a clean close leaves nothing to replay"
    );
    let lines = db.collection("lines").unwrap();
    check(&lines);
    lines.compact().unwrap();
    let info = lines.info();
    assert_eq!(
        (info.segments.len(), info.segments[0].index.as_deref()),
        (1, Some("hnsw"))
    );
    assert_eq!(info.segments[0].live_rows, 2_999);
    check(&lines);
    lines.verify_strictly().unwrap();
}

#[test]
fn a_killed_database_replays_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options {
        background: false,
        ..Options::default()
    };
    let db = Database::open(folder.path(), options()).unwrap();
    let lines = db
        .create_collection("lines", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    lines.upsert(line(0..100)).unwrap();
    lines.flush().unwrap();
    lines.upsert(line(100..150)).unwrap();
    lines.delete(&[3.into()]).unwrap();
    // Copied while open: what a killed process leaves.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), copy.path());
    db.close().unwrap();

    let db = Database::open(copy.path(), options()).unwrap();
    assert_eq!(db.recovery().replayed, 2);
    let lines = db.collection("lines").unwrap();
    assert_eq!(lines.count(None).unwrap(), 149);
    assert!(lines.get(&[3.into()], false, false).unwrap()[0].is_none());
    lines.verify_strictly().unwrap();
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn upserts_replace_and_metadata_changes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let lines = db
        .create_collection("lines", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    lines.upsert(line(0..10)).unwrap();
    // Of two points with one id in a batch the last wins.
    let twice = vec![
        Point::new(3, vec![50.0, 0.0]),
        Point::new(3, vec![60.0, 0.0]).with("n", 60),
    ];
    let written = lines.upsert(twice).unwrap();
    assert_eq!((written.inserted, written.updated), (0, 1));
    let record = lines
        .get(&[3.into()], true, true)
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(record.vector.unwrap(), [60.0, 0.0]);
    assert_eq!(
        record.metadata.unwrap(),
        Metadata::from([("n".to_owned(), Value::Int(60))])
    );

    for flush in [false, true] {
        if flush {
            lines.flush().unwrap();
        }
        let change = Metadata::from([
            ("even".to_owned(), Value::Bool(flush)),
            ("note".to_owned(), "x".into()),
        ]);
        let updated = lines
            .update_metadata(&[4.into()], &MetadataUpdate::Merge(change))
            .unwrap();
        assert_eq!((updated.inserted, updated.updated), (0, 1));
        let record = lines
            .get(&[4.into()], true, true)
            .unwrap()
            .remove(0)
            .unwrap();
        assert_eq!(record.vector.unwrap(), [4.0, 0.0]);
        let metadata = record.metadata.unwrap();
        assert_eq!(
            (&metadata["n"], &metadata["even"]),
            (&Value::Int(4), &Value::Bool(flush))
        );
    }
    lines
        .update_metadata(&[4.into()], &MetadataUpdate::Replace(Metadata::new()))
        .unwrap();
    assert!(
        lines.get(&[4.into()], false, true).unwrap()[0]
            .as_ref()
            .unwrap()
            .metadata
            .as_ref()
            .unwrap()
            .is_empty()
    );
    let missing = lines
        .update_metadata(&[77.into()], &MetadataUpdate::Replace(Metadata::new()))
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(lines.count(None).unwrap(), 10);

    let deleted = lines.delete_by_filter(&Filter::gte("n", 6)).unwrap();
    assert_eq!(deleted.deleted, 5); // 6, 7, 8, 9 and the replaced 3
    assert_eq!(lines.count(None).unwrap(), 5);
}

#[test]
fn a_scroll_gives_every_point_once_through_writes_flushes_and_merges() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let lines = db
        .create_collection("lines", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    lines.upsert(line(0..2_000)).unwrap();
    lines
        .upsert(vec![
            Point::new("text", vec![0.0, 1.0]),
            Point::new("5", vec![5.0, 1.0]),
        ])
        .unwrap();
    let mut seen = BTreeSet::new();
    let mut request = ScrollRequest {
        limit: 97,
        ..ScrollRequest::default()
    };
    let mut round = 0;
    loop {
        let page = lines.scroll(&request).unwrap();
        for point in page.points {
            assert!(seen.insert(point.id.clone()), "{} came twice", point.id);
        }
        round += 1;
        match round {
            3 => lines.flush().unwrap(),
            6 => drop(lines.upsert(line(1_000..1_500)).unwrap()),
            9 => lines.compact().unwrap(),
            _ => {}
        }
        match page.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen.len(), 2_002);
    let filtered = ScrollRequest {
        filter: Some(Filter::lt("n", 10)),
        ..ScrollRequest::default()
    };
    let page = lines.scroll(&filtered).unwrap();
    assert_eq!((page.points.len(), page.next_cursor), (10, None));
}

#[test]
fn thresholds_limits_and_batches() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let lines = db
        .create_collection("lines", CollectionConfig::new(2, Metric::L2))
        .unwrap();
    lines.upsert(line(0..50)).unwrap();
    let at_ten = SearchRequest::new([10.0, 0.0]);
    let hits = lines.search(&at_ten.clone().limit(1_000)).unwrap().hits;
    assert_eq!(
        hits.len(),
        50,
        "a limit above the number of points gives all"
    );
    assert!(
        hits.windows(2)
            .all(|pair| (pair[0].distance, &pair[0].id) < (pair[1].distance, &pair[1].id))
    );
    assert_eq!(
        ids(&lines
            .search(&at_ten.clone().max_distance(2.0))
            .unwrap()
            .hits),
        [10, 9, 11, 8, 12]
    );
    assert_eq!(
        ids(&lines.search(&at_ten.clone().min_score(0.5)).unwrap().hits),
        [10, 9, 11]
    );
    let hit = &lines
        .search(
            &at_ten
                .clone()
                .limit(1)
                .with_vector(true)
                .with_metadata(false),
        )
        .unwrap()
        .hits[0];
    assert_eq!(
        (hit.vector.as_deref(), &hit.metadata, hit.score),
        (Some([10.0, 0.0].as_slice()), &None, 1.0)
    );
    let answers = lines
        .search_batch(&[
            at_ten.clone().limit(2),
            SearchRequest::new([30.0, 0.0]).limit(1),
        ])
        .unwrap();
    assert_eq!(
        (ids(&answers[0].hits), ids(&answers[1].hits)),
        (vec![10, 9], vec![30])
    );
    assert_eq!(
        lines.search(&at_ten.limit(0)).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
}

#[test]
fn every_index_kind_and_element_type_survives_compaction_and_reopening() {
    let specs = [IndexSpec::Flat, IndexSpec::default()];
    let kinds = [
        (Metric::L2, ElementType::F32),
        (Metric::Cosine, ElementType::F16),
        (Metric::Dot, ElementType::F32),
        (Metric::L1, ElementType::U8),
        (Metric::Hamming, ElementType::Bits),
        (Metric::Jaccard, ElementType::Bits),
    ];
    for spec in &specs {
        for (metric, element) in kinds {
            let folder = tempfile::tempdir().unwrap();
            let db = open(folder.path());
            let config = CollectionConfig::new(16, metric)
                .element(element)
                .index(spec.clone());
            let collection = db.create_collection("c", config).unwrap();
            let value = |id: u64, at: u64| {
                let mixed = (id * 16 + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
                if element == ElementType::Bits {
                    (mixed % 2) as f32
                } else {
                    (mixed % 100) as f32
                }
            };
            let vector = |id: u64| (0..16).map(|at| value(id, at)).collect::<Vec<f32>>();
            collection
                .upsert((0..1_500).map(|id| Point::new(id, vector(id))).collect())
                .unwrap();
            collection.compact().unwrap();
            collection
                .upsert(
                    (1_500..1_600)
                        .map(|id| Point::new(id, vector(id)))
                        .collect(),
                )
                .unwrap();
            let request = SearchRequest::new(vector(77)).limit(10);
            let exact_request = request.clone().params(SearchParams {
                exact: true,
                ..SearchParams::default()
            });
            let exact = collection.search(&exact_request).unwrap().hits;
            assert_eq!(exact.len(), 10);
            let found = collection.search(&request).unwrap().hits;
            let farthest = exact[9].distance;
            let right = found.iter().filter(|hit| hit.distance <= farthest).count();
            assert!(right >= 9, "{spec} {metric} {element}: {right} of 10");
            db.close().unwrap();
            let db = open(folder.path());
            let again = db
                .collection("c")
                .unwrap()
                .search(&exact_request)
                .unwrap()
                .hits;
            assert_eq!(again, exact, "{spec} {metric} {element}");
        }
    }
}

#[test]
fn short_sessions_leave_few_segments() {
    let folder = tempfile::tempdir().unwrap();
    for id in 0..40 {
        let db = open(folder.path());
        let lines = match id {
            0 => db
                .create_collection("lines", CollectionConfig::new(2, Metric::L2))
                .unwrap(),
            _ => db.collection("lines").unwrap(),
        };
        lines.upsert(line(id..id + 1)).unwrap();
        db.close().unwrap();
    }
    let db = open(folder.path());
    let info = db.collection("lines").unwrap().info();
    assert_eq!(info.points, 40);
    assert!(info.segments.len() <= 5, "{} segments", info.segments.len());
}

#[test]
fn collections_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let config = || CollectionConfig::new(2, Metric::L2);
    let first = db.create_collection("a", config()).unwrap();
    db.create_collection("b", config()).unwrap();
    assert_eq!(
        db.create_collection("a", config()).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    first.upsert(line(0..10)).unwrap();
    db.drop_collection("a").unwrap();
    assert_eq!(
        first.upsert(line(0..1)).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(db.collection("a").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        db.drop_collection("a").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    // The same name again is another collection: nothing of the old one comes back, not even from the log.
    let second = db.create_collection("a", config()).unwrap();
    assert_eq!(second.count(None).unwrap(), 0);
    drop(db);
    let db = open(folder.path());
    assert_eq!(db.collection("a").unwrap().count(None).unwrap(), 0);
    let names: Vec<_> = db
        .collections()
        .into_iter()
        .map(|summary| summary.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
}
