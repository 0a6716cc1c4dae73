//! Holds a database against what is known of it.

use std::collections::BTreeMap;
use std::path::Path;

use vecdb_engine::{Collection, Database, Point, PointId};

use crate::expected::{Expected, matching, points_of, tolerance};
use crate::make::options;

/// What a search may find less than it did when the folder was made.
const RECALL_LOSS_MAX: f64 = 0.05;

/// Checks a folder as it was left, then after a write and a compaction, then opened once more.
pub(crate) fn check(folder: &Path, collections: &BTreeMap<String, Expected>, context: &str) {
    let database = Database::open(folder, options()).unwrap();
    check_all(&database, collections, &format!("{context}, opened"));
    for (name, expected) in collections {
        let collection = database.collection(name).unwrap();
        let (_, (vector, _)) = expected.points.first_key_value().unwrap();
        let id = PointId::from("written by this program");
        let point = Point::new(id.clone(), vector.clone());
        collection.upsert(vec![point]).unwrap();
        assert_eq!(points_of(&collection).len(), expected.points.len() + 1);
        assert_eq!(collection.delete(&[id]).unwrap().deleted, 1);
        collection.compact().unwrap();
        let info = collection.info();
        let (rows, memtable) = (info.segments[0].live_rows, info.memtable_points);
        assert_eq!((info.segments.len(), memtable), (1, 0), "{context}, {name}");
        assert_eq!(rows as usize, expected.points.len(), "{context}, {name}");
    }
    check_all(&database, collections, &format!("{context}, compacted"));
    database.close().unwrap();
    let database = Database::open(folder, options()).unwrap();
    check_all(&database, collections, &format!("{context}, opened again"));
}

fn check_all(database: &Database, collections: &BTreeMap<String, Expected>, context: &str) {
    let there = database.collections().into_iter();
    let there: Vec<_> = there
        .map(|one| {
            assert_eq!(one.broken, None, "{context}");
            one.name
        })
        .collect();
    assert_eq!(there, collections.keys().cloned().collect::<Vec<_>>());
    for (name, expected) in collections {
        let collection = database.collection(name).unwrap();
        check_collection(&collection, expected, &format!("{context}, {name}"));
    }
    let report = database.verify().unwrap();
    assert_eq!(report.problems, Vec::<String>::new(), "{context}");
    assert!(report.rows > 0 && report.links > 0 && report.field_values > 0);
    assert_eq!(report.unreachable, 0, "{context}");
}

fn check_collection(collection: &Collection, expected: &Expected, context: &str) {
    let points = points_of(collection);
    for (id, point) in &expected.points {
        assert_eq!(points.get(id), Some(point), "{context}: {id}");
    }
    assert_eq!(points.len(), expected.points.len(), "{context}");
    for (filter, ids) in &expected.filters {
        let found = matching(collection, filter);
        assert_eq!(&found, ids, "{context}: {filter}");
        let count = collection.count(Some(filter)).unwrap();
        assert_eq!(count, ids.len() as u64, "{context}: {filter}");
    }
    let (mut recall, mut before) = (0.0, 0.0);
    for search in &expected.searches {
        let found = collection.search(&search.request(true)).unwrap().hits;
        let context = format!("{context}: {:?} under {:?}", search.vector, search.filter);
        assert_eq!(found.len(), search.hits.len(), "{context}");
        for (hit, (_, distance)) in found.iter().zip(&search.hits) {
            let error = (hit.distance - distance).abs();
            assert!(
                error <= tolerance(*distance),
                "{context}: {} for {distance}",
                hit.distance
            );
        }
        // Those at the distance of the last may be others.
        let last = search.hits.last().map_or(0.0, |(_, distance)| *distance);
        for (id, distance) in &search.hits {
            let must = *distance < last - tolerance(last);
            assert!(
                !must || found.iter().any(|hit| hit.id == *id),
                "{context}: {id} is missing"
            );
        }
        recall += search.recall_now(collection);
        before += search.recall;
    }
    let searches = expected.searches.len() as f64;
    assert!(
        recall / searches >= before / searches - RECALL_LOSS_MAX,
        "{context}: recall {} where it was {}",
        recall / searches,
        before / searches
    );
}
