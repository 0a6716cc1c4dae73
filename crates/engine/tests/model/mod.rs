//! A collection as plain data: what the engine must agree with after any sequence of steps.

use std::collections::BTreeMap;

use vecdb_engine::{
    Collection, Error, Filter, Metadata, MetadataUpdate, Metric, Point, PointId, Record,
    ScrollRequest, SearchParams, SearchRequest, Value,
};
use vecdb_testkit::random::SeededRandom;

pub(crate) const DIMENSION: usize = 4;

/// One call that changes a collection, or that must not.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Upsert(Vec<(u64, u64)>),
    Delete(Vec<u64>),
    DeleteBelow(i64),
    Relabel(Vec<u64>, i64),
    Flush,
    Compact,
}

impl Step {
    pub(crate) fn random(random: &mut SeededRandom, ids: u64) -> Self {
        let some = |random: &mut SeededRandom, most: u64| -> Vec<u64> {
            (0..=random.below(most))
                .map(|_| random.below(ids))
                .collect()
        };
        match random.below(20) {
            0..=9 => Step::Upsert(
                some(random, 12)
                    .into_iter()
                    .map(|id| (id, random.bits()))
                    .collect(),
            ),
            10..=13 => Step::Delete(some(random, 6)),
            14 => Step::DeleteBelow(random.below(100) as i64),
            15..=16 => Step::Relabel(some(random, 4), random.below(1_000) as i64),
            17..=18 => Step::Flush,
            _ => Step::Compact,
        }
    }

    pub(crate) fn is_write(&self) -> bool {
        !matches!(self, Step::Flush | Step::Compact)
    }

    pub(crate) fn run(&self, collection: &Collection) -> Result<(), Error> {
        let ids = |ids: &[u64]| ids.iter().map(|&id| PointId::from(id)).collect::<Vec<_>>();
        match self {
            Step::Upsert(rows) => collection
                .upsert(rows.iter().map(|&(id, seed)| point(id, seed)).collect())
                .map(drop),
            Step::Delete(gone) => collection.delete(&ids(gone)).map(drop),
            Step::DeleteBelow(n) => collection
                .delete_by_filter(&Filter::lt("n", *n).and(Filter::gte("n", n - 10)))
                .map(drop),
            Step::Relabel(rows, n) => {
                let change =
                    MetadataUpdate::Merge(Metadata::from([("n".to_owned(), Value::Int(*n))]));
                let known: Vec<_> = ids(rows);
                let present = collection.get(&known, false, false)?;
                let mut present: Vec<_> = present
                    .into_iter()
                    .flatten()
                    .map(|record| record.id)
                    .collect();
                present.dedup();
                collection.update_metadata(&present, &change).map(drop)
            }
            Step::Flush => collection.flush(),
            Step::Compact => collection.compact(),
        }
    }
}

/// The values of a point, all from one seed. The `n` field is there from the first step on, so filters know it.
pub(crate) fn point(id: u64, seed: u64) -> Point {
    let mut random = SeededRandom::new(seed);
    let vector = (0..DIMENSION).map(|_| random.below(1_000) as f32).collect();
    let point = Point::new(id, vector).with("n", random.below(1_000) as i64);
    if seed.is_multiple_of(3) {
        point.with("tag", ["red", "green", "blue"][(seed / 3 % 3) as usize])
    } else {
        point
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) points: BTreeMap<PointId, (Vec<f32>, Metadata)>,
}

impl Model {
    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Upsert(rows) => {
                for &(id, seed) in rows {
                    let point = point(id, seed);
                    self.points.insert(point.id, (point.vector, point.metadata));
                }
            }
            Step::Delete(ids) => ids
                .iter()
                .for_each(|&id| drop(self.points.remove(&id.into()))),
            Step::DeleteBelow(n) => {
                let range = n - 10..*n;
                self.points.retain(
                    |_, (_, m)| !matches!(m.get("n"), Some(Value::Int(v)) if range.contains(v)),
                );
            }
            Step::Relabel(ids, n) => {
                for &id in ids {
                    if let Some((_, metadata)) = self.points.get_mut(&id.into()) {
                        metadata.insert("n".to_owned(), Value::Int(*n));
                    }
                }
            }
            Step::Flush | Step::Compact => {}
        }
    }

    /// All that a scroll gives.
    pub(crate) fn of(collection: &Collection) -> Result<Self, Error> {
        let mut model = Model::default();
        let mut request = ScrollRequest {
            limit: 64,
            with_vector: true,
            with_metadata: true,
            ..ScrollRequest::default()
        };
        loop {
            let page = collection.scroll(&request)?;
            for Record {
                id,
                vector,
                metadata,
            } in page.points
            {
                let before = model
                    .points
                    .insert(id.clone(), (vector.unwrap(), metadata.unwrap()));
                assert!(before.is_none(), "{id} came twice");
            }
            match page.next_cursor {
                Some(cursor) => request.cursor = Some(cursor),
                None => return Ok(model),
            }
        }
    }

    fn nearest(
        &self,
        query: &[f32],
        limit: usize,
        allowed: impl Fn(&Metadata) -> bool,
    ) -> Vec<(PointId, f32)> {
        let mut all: Vec<(PointId, f32)> = self
            .points
            .iter()
            .filter(|(_, (_, metadata))| allowed(metadata))
            .map(|(id, (vector, _))| {
                let squared: f32 = vector
                    .iter()
                    .zip(query)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum();
                (id.clone(), Metric::L2.distance(squared))
            })
            .collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(limit);
        all
    }

    /// Compares counts, gets, exact and filtered searches with the plain data. `context` says where we are.
    pub(crate) fn check(&self, collection: &Collection, random: &mut SeededRandom, context: &str) {
        assert_eq!(
            collection.count(None).unwrap(),
            self.points.len() as u64,
            "{context}: count"
        );
        assert_eq!(Model::of(collection).unwrap(), *self, "{context}: scroll");
        let query: Vec<f32> = (0..DIMENSION).map(|_| random.below(1_000) as f32).collect();
        let n = random.below(1_000) as i64;
        let knows_n = collection.info().fields.field("n").is_some();
        let filters = [
            None,
            knows_n.then(|| Filter::lt("n", n)),
            knows_n.then(|| Filter::gte("n", n)),
        ];
        for (at, filter) in filters
            .into_iter()
            .enumerate()
            .filter(|(at, filter)| *at == 0 || filter.is_some())
        {
            let allowed = |metadata: &Metadata| match (at, metadata.get("n")) {
                (0, _) => true,
                (1, Some(Value::Int(v))) => *v < n,
                (2, Some(Value::Int(v))) => *v >= n,
                _ => false,
            };
            let expected = self.nearest(&query, 7, allowed);
            let mut request = SearchRequest::new(query.clone()).limit(7);
            request.filter = filter.clone();
            let approximate = collection.search(&request).unwrap().hits;
            assert_eq!(
                approximate.len(),
                expected.len(),
                "{context}: hits under {filter:?}"
            );
            request.params = SearchParams {
                exact: true,
                ..SearchParams::default()
            };
            let exact = collection.search(&request).unwrap().hits;
            let distances = |hits: &[vecdb_engine::Hit]| {
                hits.iter().map(|hit| hit.distance).collect::<Vec<_>>()
            };
            let expected_distances: Vec<_> =
                expected.iter().map(|(_, distance)| *distance).collect();
            assert_eq!(
                distances(&exact),
                expected_distances,
                "{context}: exact search under {filter:?}"
            );
        }
        for id in 0..5 {
            let id = PointId::from(random.below(60) + id);
            let got = collection
                .get(std::slice::from_ref(&id), true, true)
                .unwrap()
                .remove(0);
            let got = got.map(|record| (record.vector.unwrap(), record.metadata.unwrap()));
            assert_eq!(got, self.points.get(&id).cloned(), "{context}: get {id}");
        }
    }
}
