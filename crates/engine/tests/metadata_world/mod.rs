//! A collection with metadata of all kinds in several segments, with deaths, updates and a memtable, and beside it the
//! same as plain data.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vecdb_engine::{
    Collection, CollectionConfig, Database, Env, Filter, Metadata, MetadataUpdate, Metric, Options,
    Point, PointId, Value,
};
use vecdb_storage::MemoryDisk;
use vecdb_testkit::random::SeededRandom;

pub(crate) const DIMENSION: usize = 4;

/// All fields that points may have. `none` is known, but no point has a value of it.
pub(crate) const FIELDS: [&str; 9] = [
    "n", "price", "category", "name", "sold", "day", "tags", "sizes", "none",
];

pub(crate) struct World {
    db: Option<Database>,
    pub(crate) collection: Collection,
    pub(crate) points: BTreeMap<PointId, (Vec<f32>, Metadata)>,
    pub(crate) random: SeededRandom,
    env: Env,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let env = Env {
            disk: Arc::new(MemoryDisk::default()),
            ..Env::default()
        };
        let db = Database::open_with(&env, Path::new("/db"), options()).unwrap();
        let config = CollectionConfig::new(DIMENSION as u32, Metric::L2);
        let collection = db.create_collection("c", config).unwrap();
        let mut world = Self {
            db: Some(db),
            collection,
            points: BTreeMap::new(),
            random: SeededRandom::new(seed),
            env,
        };
        // Known from the start: every field.
        let first = FIELDS
            .iter()
            .map(|field| ((*field).to_owned(), Value::Null));
        world.upsert(vec![(
            PointId::from(0),
            vec![0.0; DIMENSION],
            first.collect(),
        )]);
        world
    }

    /// Writes, deletes, updates and flushes in some order.
    pub(crate) fn live(&mut self, steps: u64) {
        for _ in 0..steps {
            match self.random.below(10) {
                0..=4 => {
                    let rows = self.random.below(60);
                    let points = (0..rows).map(|_| self.point()).collect();
                    self.upsert(points);
                }
                5 => {
                    let ids: Vec<PointId> = (0..self.random.below(40)).map(|_| self.id()).collect();
                    self.collection.delete(&ids).unwrap();
                    ids.iter().for_each(|id| drop(self.points.remove(id)));
                }
                6 => {
                    let mut ids: Vec<PointId> = (0..10).map(|_| self.id()).collect();
                    ids.retain(|id| self.points.contains_key(id));
                    let changed = self.metadata();
                    let update = MetadataUpdate::Merge(changed.clone());
                    self.collection.update_metadata(&ids, &update).unwrap();
                    for id in &ids {
                        let (_, metadata) = self.points.get_mut(id).unwrap();
                        metadata.extend(changed.clone());
                    }
                }
                7..=8 => self.collection.flush().unwrap(),
                _ if self.random.below(6) == 0 => self.collection.compact().unwrap(),
                _ => {}
            }
        }
    }

    pub(crate) fn reopen(&mut self) {
        self.db.take().unwrap().close().unwrap();
        let db = Database::open_with(&self.env, Path::new("/db"), options()).unwrap();
        self.collection = db.collection("c").unwrap();
        self.db = Some(db);
    }

    pub(crate) fn db(&self) -> &Database {
        self.db.as_ref().unwrap()
    }

    pub(crate) fn upsert(&mut self, points: Vec<(PointId, Vec<f32>, Metadata)>) {
        let given = points.iter().map(|(id, vector, metadata)| Point {
            id: id.clone(),
            vector: vector.clone(),
            metadata: metadata.clone(),
        });
        self.collection.upsert(given.collect()).unwrap();
        for (id, vector, metadata) in points {
            self.points.insert(id, (vector, metadata));
        }
    }

    pub(crate) fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSION)
            .map(|_| self.random.below(1_000) as f32)
            .collect()
    }

    /// One of few enough ids that they come again.
    pub(crate) fn id(&mut self) -> PointId {
        let number = self.random.below(700);
        match number % 3 {
            0 => PointId::from(format!("p{number}")),
            1 => PointId::Uuid(uuid(number)),
            _ => PointId::from(number),
        }
    }

    fn point(&mut self) -> (PointId, Vec<f32>, Metadata) {
        (self.id(), self.vector(), self.metadata())
    }

    fn metadata(&mut self) -> Metadata {
        let random = &mut self.random;
        let mut metadata = Metadata::new();
        for field in FIELDS {
            let value = match random.below(8) {
                0 => continue,
                1 => Value::Null,
                _ => value(field, random),
            };
            metadata.insert(field.to_owned(), value);
        }
        metadata
    }

    /// Filters that match all, many, few and no points.
    pub(crate) fn filters(&mut self) -> Vec<Option<Filter>> {
        let n = self.random.below(50) as i64;
        vec![
            None,
            Some(Filter::lt("n", n)),
            Some(Filter::eq("n", n)),
            Some(Filter::eq("category", "c1").and(Filter::gte("price", 10))),
            Some(Filter::exists("tags", false)),
            Some(Filter::gt("n", 1_000)),
        ]
    }

    /// The points that match.
    pub(crate) fn matching(
        &self,
        filter: Option<&Filter>,
    ) -> Vec<(&PointId, &Vec<f32>, &Metadata)> {
        self.points
            .iter()
            .map(|(id, (vector, metadata))| (id, vector, metadata))
            .filter(|(_, _, metadata)| filter.is_none_or(|filter| filter.matches(metadata)))
            .collect()
    }
}

fn uuid(number: u64) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::from(number) << 64)
}

fn options() -> Options {
    Options {
        threads: 1,
        background: false,
        index_rows_min: 64,
        ..Options::default()
    }
}

fn value(field: &str, random: &mut SeededRandom) -> Value {
    let number = random.below(50) as i64;
    match field {
        "n" => Value::Int(number - 10),
        // Whole at first, so that integers and floats lie side by side.
        "price" if number % 3 == 0 => Value::Int(number),
        "price" => Value::Float(number as f64 / 2.0),
        "category" => Value::from(format!("c{}", number % 3)),
        "name" => Value::from(format!("name {}", random.bits())),
        "sold" => Value::Bool(number % 2 == 0),
        "day" => Value::DateTime(number * 86_400_000_000),
        "tags" => {
            let tags = (0..number % 4).map(|_| Value::from(format!("t{}", random.below(6))));
            Value::Array(tags.collect())
        }
        "sizes" => {
            let sizes = (0..number % 3).map(|_| match random.below(4) {
                0 => Value::Null,
                1 => Value::Float(random.below(20) as f64 / 2.0),
                _ => Value::Int(random.below(10) as i64),
            });
            Value::Array(sizes.collect())
        }
        _ => Value::Null,
    }
}

/// What a value is to the plain comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Bool(bool),
    /// In halves.
    Number(i64),
    Moment(i64),
    Text(String),
}

/// The different elements of a value.
pub(crate) fn keys(value: Option<&Value>) -> std::collections::BTreeSet<Key> {
    let one = |value: &Value| match value {
        Value::Bool(value) => Some(Key::Bool(*value)),
        Value::Int(value) => Some(Key::Number(*value * 2)),
        Value::Float(value) => Some(Key::Number((*value * 2.0) as i64)),
        Value::DateTime(value) => Some(Key::Moment(*value)),
        Value::String(value) => Some(Key::Text(value.clone())),
        _ => None,
    };
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(one).collect(),
        Some(scalar) => one(scalar).into_iter().collect(),
        None => std::collections::BTreeSet::new(),
    }
}
