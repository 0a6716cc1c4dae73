//! Makes the newest folder: every kind of index over small rows, and a collection with everything that points can have.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};
use vecdb_engine::{
    Collection, CollectionConfig, Database, ElementType, IndexSpec, Metadata, MetadataUpdate,
    Metric, Options, Point, PointId, metadata_from_json,
};
use vecdb_testkit::random::SeededRandom;

use crate::expected::{self, Expected};
use crate::{DATABASE, EXPECTED, archive};

/// The number of the newest folder.
pub(crate) const FORMAT: u32 = 2;

/// Points that a segment with an index begins with.
const ROWS: u64 = 150;

/// The collection without an index, with every type of metadata.
const EVERYTHING: &str = "everything";

/// The collection without an index, with fields of which the indexes hold more than values.
const RANGES: &str = "ranges";

/// A collection with an index.
pub(crate) struct Kind {
    name: &'static str,
    index: &'static str,
    metric: Metric,
    element: ElementType,
}

impl Kind {
    const fn new(
        name: &'static str,
        index: &'static str,
        metric: Metric,
        element: ElementType,
    ) -> Self {
        Self {
            name,
            index,
            metric,
            element,
        }
    }

    pub(crate) fn spec(&self) -> IndexSpec {
        self.index.parse().unwrap()
    }

    fn dimension(&self) -> u32 {
        match self.element {
            ElementType::Bits => 64,
            _ => 16,
        }
    }
}

use ElementType::{Bits, F16, F32, I8, U8};
use Metric::{Cosine, Dot, Hamming, Jaccard, L1, L2};

#[rustfmt::skip]
pub(crate) const KINDS: [Kind; 19] = [
    Kind::new("hnsw", r#"{"type":"hnsw","m":8}"#, L2, F32),
    Kind::new("hnsw-none", r#"{"type":"hnsw","m":8,"quantization":"none"}"#, Cosine, F16),
    Kind::new("hnsw-sq4", r#"{"type":"hnsw","m":8,"quantization":"sq4"}"#, Cosine, F32),
    Kind::new("hnsw-bits", r#"{"type":"hnsw","m":8}"#, Hamming, Bits),
    Kind::new("ivf-vector", r#"{"type":"ivf","nlist":8,"code":"vector"}"#, Cosine, U8),
    Kind::new("ivf-sq8", r#"{"type":"ivf","nlist":8,"code":"sq8"}"#, L1, F16),
    Kind::new("ivf-pq", r#"{"type":"ivf","nlist":8,"code":"pq8x4"}"#, Dot, F32),
    Kind::new("ivf-opq", r#"{"type":"ivf","nlist":8,"code":"opq4x8"}"#, L2, F32),
    Kind::new("ivf-sq4", r#"{"type":"ivf","nlist":8,"code":"sq4"}"#, Cosine, F32),
    Kind::new("ivf", r#"{"type":"ivf","nlist":8}"#, Dot, F32),
    Kind::new("ivf-rabitq", r#"{"type":"ivf","nlist":8,"code":"rabitq"}"#, L2, F32),
    Kind::new("ivf-rabitq4", r#"{"type":"ivf","nlist":8,"code":"rabitq4"}"#, Cosine, I8),
    Kind::new("ivf-binary", r#"{"type":"ivf","nlist":8,"code":"binary"}"#, L2, F32),
    Kind::new("lsh", r#"{"type":"lsh","tables":6,"hashes":4}"#, L2, F32),
    Kind::new("lsh-dot", r#"{"type":"lsh","tables":6,"hashes":4}"#, Dot, F32),
    Kind::new("lsh-l1", r#"{"type":"lsh","tables":6,"hashes":4}"#, L1, I8),
    Kind::new("lsh-bits", r#"{"type":"lsh","tables":6,"hashes":4}"#, Jaccard, Bits),
    Kind::new("diskann", r#"{"type":"diskann","r":16}"#, L2, F32),
    Kind::new("diskann-cosine", r#"{"type":"diskann","r":16,"code_bytes":8}"#, Cosine, I8),
];

pub(crate) fn options() -> Options {
    Options {
        threads: 1,
        background: false,
        index_rows_min: 100,
        ..Options::default()
    }
}

/// A new folder beside the others.
pub(crate) fn fixture(folder: &Path) {
    let made = tempfile::tempdir().unwrap();
    let expected = database(made.path());
    archive::pack(made.path(), &folder.join(DATABASE));
    archive::write_json(&folder.join(EXPECTED), &expected::to_json(&expected));
}

/// A database that was not closed: its last writes are in the log alone.
pub(crate) fn database(folder: &Path) -> BTreeMap<String, Expected> {
    let live = tempfile::tempdir().unwrap();
    let database = Database::open(live.path(), options()).unwrap();
    let mut all = BTreeMap::from([
        (EVERYTHING.to_owned(), everything(&database)),
        (RANGES.to_owned(), ranges(&database)),
    ]);
    for kind in &KINDS {
        all.insert(kind.name.to_owned(), indexed(&database, kind));
    }
    copy(live.path(), folder);
    all
}

fn copy(from: &Path, into: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = into.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// Whole numbers, or halves, around eight centres: distances that no order of summation changes.
fn vector(element: ElementType, dimension: u32, seed: u64) -> Vec<f32> {
    let mut centre = SeededRandom::new(1_000 + seed % 8);
    let mut own = SeededRandom::new(10_000 + seed);
    let value = |_| {
        let centre = centre.below(41) as f32 - 20.0;
        let value = centre + own.below(21) as f32 - 10.0;
        match element {
            ElementType::F32 | ElementType::F16 => value / 2.0,
            ElementType::I8 => value,
            ElementType::U8 => value + 30.0,
            ElementType::Bits => f32::from(u8::from(value > 0.0)),
        }
    };
    (0..dimension).map(value).collect()
}

/// A segment with an index and dead rows, a small one without, and writes that only the log has.
fn indexed(database: &Database, kind: &Kind) -> Expected {
    let config = CollectionConfig::new(kind.dimension(), kind.metric)
        .element(kind.element)
        .index(kind.spec());
    let collection = database.create_collection(kind.name, config).unwrap();
    let vector = |seed| vector(kind.element, kind.dimension(), seed);
    let point = |number: u64, salt: u64| {
        Point::new(number, vector(number + salt))
            .with("group", (number % 7) as i64)
            .with("name", format!("point {number}"))
    };
    let write = |numbers: std::ops::Range<u64>, salt| {
        let points = numbers.map(|number| point(number, salt)).collect();
        collection.upsert(points).unwrap();
    };
    let delete = |numbers: &[u64]| {
        let ids: Vec<_> = numbers.iter().copied().map(PointId::from).collect();
        let gone = collection.delete(&ids).unwrap().deleted;
        assert_eq!(gone, numbers.len() as u64);
    };
    write(0..ROWS, 0);
    collection.compact().unwrap();
    delete(&[0, 15, 30, 45, 60, 75, 90, 105]);
    write(140..145, 3);
    collection.flush().unwrap();
    write(ROWS..ROWS + 5, 0);
    delete(&[3, 142, ROWS]);
    let info = collection.info();
    let indexes: Vec<_> = info.segments.iter().map(|s| s.index.as_deref()).collect();
    assert_eq!(indexes, [Some(kind.spec().kind()), None], "{}", kind.name);
    assert!(info.memtable_points > 0 && info.flushed_position < info.position);

    let queries: Vec<_> = (0..6).map(|seed| vector(90_000 + seed)).collect();
    let filters = [r#"{"group": {"$in": [1, 3]}}"#, r#"{"name": "point 141"}"#];
    let expected = expected::ask(&collection, &queries, &filters, &filters);
    assert_eq!(expected.points.len(), 144, "{}", kind.name);
    let recall: f64 = expected.searches.iter().map(|search| search.recall).sum();
    let recall = recall / expected.searches.len() as f64;
    assert!(recall >= 0.8, "{}: recall {recall}", kind.name);
    expected
}

/// An id of each kind.
fn id(number: u64) -> PointId {
    match number % 3 {
        0 => number.into(),
        1 => PointId::parse(&format!("{number:08x}-0000-4000-8000-000000000001")).unwrap(),
        _ => format!("näme {number}").into(),
    }
}

/// Metadata of every type. `ratio` is of whole numbers first, and widens.
fn metadata(number: u64) -> Metadata {
    let colours = ["red", "green", "blue"];
    let n = number as i64;
    let ratio = match number < 100 {
        true => json!(n),
        false => json!(n as f64 / 4.0),
    };
    let mut fields = json!({
        "flag": number.is_multiple_of(2),
        "number": n * 3 - 100,
        "ratio": ratio,
        "at": format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60),
        "name": format!("näme {}", number % 20),
        "words": format!("The quick brown fox, number {}", ["one", "two", "three"][number as usize % 3]),
        "key": format!("{:08X}-0000-4000-8000-00000000000A", number % 10),
        "place": {"lat": 50.0 + (number % 30) as f64 / 8.0, "lon": 10.0 - (number % 25) as f64},
        "tags": colours[..number as usize % 4],
        "sizes": [n % 5, n % 7],
        "size": {"width": n % 9},
        "plain": format!("p{}", number % 6),
        "nothing": Json::Null,
    });
    if number.is_multiple_of(4) {
        fields["sometimes"] = json!("here");
    }
    metadata_from_json(&fields).unwrap()
}

/// Two segments, dead rows, a field index made afterwards, one dropped, one never made, and writes that only the log has.
fn everything(database: &Database) -> Expected {
    let kind = |name: &str| name.parse().unwrap();
    let config = CollectionConfig::new(16, Metric::L2)
        .index(IndexSpec::Flat)
        .field("at", kind("datetime"))
        .field("words", kind("text"))
        .field("key", kind("uuid"))
        .field("tags", kind("string[]"))
        .field("plain", kind("string"))
        .unindexed("plain");
    let collection = database.create_collection(EVERYTHING, config).unwrap();
    let mut points = BTreeMap::new();
    let mut write = |numbers: std::ops::Range<u64>, salt: u64| {
        let one = |number: u64| {
            let mut point = Point::new(id(number), vector(F32, 16, number + salt));
            point.metadata = metadata(number);
            point
        };
        let written: Vec<_> = numbers.map(one).collect();
        for point in &written {
            points.insert(point.id.clone(), point.vector.clone());
        }
        collection.upsert(written).unwrap();
    };
    write(0..100, 0);
    collection.flush().unwrap();
    collection.drop_field_index("number").unwrap();
    write(80..150, 5);
    let gone: Vec<_> = [0, 1, 2, 40, 81].map(id).to_vec();
    collection.delete(&gone).unwrap();
    collection.flush().unwrap();
    collection.create_field_index("number").unwrap();
    collection.drop_field_index("ratio").unwrap();
    write(150..160, 0);
    write(60..61, 9);
    let change = json!({"name": "changed", "number": null});
    let change = MetadataUpdate::Merge(metadata_from_json(&change).unwrap());
    collection
        .update_metadata(&[id(50), id(120)], &change)
        .unwrap();
    let later: Vec<_> = [7, 151].map(id).to_vec();
    collection.delete(&later).unwrap();
    gone.iter()
        .chain(&later)
        .for_each(|id| drop(points.remove(id)));
    check_made(&collection);

    let queries: Vec<_> = (0..6).map(|seed| vector(F32, 16, 90_000 + seed)).collect();
    let filtered = [
        r#"{"flag": true, "number": {"$lt": 100}}"#,
        r#"{"tags": "blue", "plain": {"$in": ["p1", "p3"]}}"#,
    ];
    let expected = expected::ask(&collection, &queries, &filtered, &FILTERS);
    let vectors = expected.points.iter();
    let vectors: BTreeMap<_, _> = vectors
        .map(|(id, (v, _))| (id.clone(), v.clone()))
        .collect();
    assert_eq!(vectors, points);
    for (filter, ids) in &expected.filters {
        assert!(
            !ids.is_empty() && ids.len() < points.len(),
            "{filter}: {}",
            ids.len()
        );
    }
    expected
}

/// Texts with stems in two segments, of which one has enough rows for their numbers to have sets of rows.
fn ranges(database: &Database) -> Expected {
    let config = CollectionConfig::new(16, Metric::L2)
        .index(IndexSpec::Flat)
        .field("words", "text(english)".parse().unwrap());
    let collection = database.create_collection(RANGES, config).unwrap();
    let verbs = ["running", "swims", "walked"];
    let point = |number: u64| {
        Point::new(number, vector(F32, 16, number))
            .with("number", (number * 7 % 1_000) as i64)
            .with("ratio", (number * 11 % 1_300) as f64 / 8.0)
            .with("words", verbs[number as usize % 3])
    };
    for numbers in [0..50, 50..1_300] {
        collection.upsert(numbers.map(point).collect()).unwrap();
        collection.flush().unwrap();
    }
    let gone: Vec<_> = (0..1_300).step_by(9).map(PointId::from).collect();
    collection.delete(&gone).unwrap();
    let queries: Vec<_> = (0..3).map(|seed| vector(F32, 16, 90_000 + seed)).collect();
    let filters = [
        r#"{"number": {"$gte": 100, "$lt": 900}, "ratio": {"$gt": 40.5}}"#,
        r#"{"number": {"$lte": 20}}"#,
        r#"{"words": {"$text": "run"}}"#,
    ];
    expected::ask(&collection, &queries, &filters, &filters)
}

/// What the folder is made for is there.
fn check_made(collection: &Collection) {
    let info = collection.info();
    assert_eq!(info.segments.len(), 2);
    assert!(info.flushed_position < info.position && info.memtable_points > 0);
    assert!(info.fields.is_indexed("number"));
    assert!(!info.fields.is_indexed("ratio") && !info.fields.is_indexed("plain"));
}

/// A condition on every type of field.
const FILTERS: [&str; 21] = [
    r#"{"flag": true}"#,
    r#"{"number": {"$gte": -40, "$lt": 200}}"#,
    r#"{"number": null}"#,
    r#"{"ratio": {"$gt": 26.2}}"#,
    r#"{"ratio": 30}"#,
    r#"{"at": {"$lt": "2026-01-01T00:01:30Z"}}"#,
    r#"{"name": "näme 3"}"#,
    r#"{"name": {"$startsWith": "näme 1"}}"#,
    r#"{"name": {"$contains": "changed"}}"#,
    r#"{"words": {"$text": "three fox"}}"#,
    r#"{"words": {"$phrase": "number two"}}"#,
    r#"{"key": "00000003-0000-4000-8000-00000000000a"}"#,
    r#"{"place": {"$geoWithin": {"center": {"lat": 51.0, "lon": 5.0}, "radius_m": 200000}}}"#,
    r#"{"place": {"$geoWithin": {"south": 50, "west": 0, "north": 51.5, "east": 10}}}"#,
    r#"{"tags": {"$all": ["red", "green"]}}"#,
    r#"{"sizes": {"$in": [4, 6]}}"#,
    r#"{"size.width": {"$gt": 5}}"#,
    r#"{"plain": "p1"}"#,
    r#"{"sometimes": {"$exists": false}}"#,
    r#"{"$not": {"tags": "red"}, "$or": [{"flag": false}, {"number": {"$gt": 0}}]}"#,
    r#"{"nothing": null, "sometimes": "here"}"#,
];
