//! What a folder holds and what it answered when it was made, as it is kept beside it.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vecdb_engine::{Collection, Filter, PointId, READ_POINTS_MAX, ScrollRequest, SearchRequest};

/// Hits of a search.
const LIMIT: usize = 10;

/// Of one collection.
pub(crate) struct Expected {
    /// By id: vector and metadata.
    pub(crate) points: BTreeMap<PointId, (Vec<f32>, Json)>,
    pub(crate) searches: Vec<Search>,
    /// The ids that match.
    pub(crate) filters: Vec<(Filter, Vec<PointId>)>,
}

pub(crate) struct Search {
    pub(crate) vector: Vec<f32>,
    pub(crate) filter: Option<Filter>,
    /// The nearest of all, exactly.
    pub(crate) hits: Vec<(PointId, f32)>,
    /// The share of them that was found with the settings of every day.
    pub(crate) recall: f64,
}

impl Search {
    pub(crate) fn request(&self, exact: bool) -> SearchRequest {
        let mut request = SearchRequest::new(self.vector.clone())
            .limit(LIMIT)
            .with_metadata(false);
        request.filter = self.filter.clone();
        request.params.exact = exact;
        request
    }

    /// The share of the nearest that a search finds as it is.
    pub(crate) fn recall_now(&self, collection: &Collection) -> f64 {
        let found = collection.search(&self.request(false)).unwrap().hits;
        let farthest = self.hits.last().map_or(0.0, |(_, distance)| *distance);
        let near = found
            .iter()
            .filter(|hit| hit.distance <= farthest + tolerance(farthest));
        near.count().min(self.hits.len()) as f64 / self.hits.len().max(1) as f64
    }
}

/// What rounding may do to a distance, on another processor too.
pub(crate) fn tolerance(distance: f32) -> f32 {
    1e-5 * distance.abs().max(1.0)
}

/// Every point of a collection.
pub(crate) fn points_of(collection: &Collection) -> BTreeMap<PointId, (Vec<f32>, Json)> {
    let request = ScrollRequest {
        limit: READ_POINTS_MAX,
        with_vector: true,
        with_metadata: true,
        ..ScrollRequest::default()
    };
    let page = collection.scroll(&request).unwrap();
    assert!(page.next_cursor.is_none());
    let points = page.points.into_iter().map(|record| {
        let metadata = record.metadata.unwrap();
        let metadata = metadata.iter().map(|(name, v)| (name.clone(), v.to_json()));
        let metadata = Json::Object(metadata.collect());
        (record.id, (record.vector.unwrap(), metadata))
    });
    points.collect()
}

/// The ids of the points that match, ascending.
pub(crate) fn matching(collection: &Collection, filter: &Filter) -> Vec<PointId> {
    let request = ScrollRequest {
        limit: READ_POINTS_MAX,
        filter: Some(filter.clone()),
        ..ScrollRequest::default()
    };
    let page = collection.scroll(&request).unwrap();
    let mut ids: Vec<_> = page.points.into_iter().map(|record| record.id).collect();
    ids.sort();
    ids
}

/// Asks a collection what is to be kept.
pub(crate) fn ask(
    collection: &Collection,
    queries: &[Vec<f32>],
    filtered: &[&str],
    filters: &[&str],
) -> Expected {
    let parse = |text: &&str| Filter::parse_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut searches = Vec::new();
    for vector in queries {
        let filters = filtered.iter().map(|text| Some(parse(text)));
        for filter in [None].into_iter().chain(filters) {
            let mut search = Search {
                vector: vector.clone(),
                filter,
                hits: Vec::new(),
                recall: 0.0,
            };
            let exact = collection.search(&search.request(true)).unwrap().hits;
            search.hits = exact
                .into_iter()
                .map(|hit| (hit.id, hit.distance))
                .collect();
            search.recall = search.recall_now(collection);
            searches.push(search);
        }
    }
    let filters = filters.iter().map(parse);
    Expected {
        points: points_of(collection),
        searches,
        filters: filters
            .map(|filter| {
                let ids = matching(collection, &filter);
                (filter, ids)
            })
            .collect(),
    }
}

pub(crate) fn to_json(collections: &BTreeMap<String, Expected>) -> Json {
    let one = |expected: &Expected| {
        let points = expected.points.iter().map(|(id, (vector, metadata))| {
            json!({"id": id.to_json(), "vector": vector, "metadata": metadata})
        });
        let searches = expected.searches.iter().map(|search| {
            let hits = search.hits.iter();
            let hits = hits.map(|(id, distance)| json!([id.to_json(), distance]));
            json!({
                "vector": search.vector,
                "filter": search.filter.as_ref().map(Filter::to_json),
                "hits": hits.collect::<Vec<_>>(),
                "recall": search.recall,
            })
        });
        let filters = expected.filters.iter().map(|(filter, ids)| {
            let ids = ids.iter().map(PointId::to_json);
            json!({"filter": filter.to_json(), "ids": ids.collect::<Vec<_>>()})
        });
        json!({
            "points": points.collect::<Vec<_>>(),
            "searches": searches.collect::<Vec<_>>(),
            "filters": filters.collect::<Vec<_>>(),
        })
    };
    let all = collections
        .iter()
        .map(|(name, expected)| (name.clone(), one(expected)));
    Json::Object(all.collect())
}

pub(crate) fn read(json: &Json) -> BTreeMap<String, Expected> {
    let id = |json: &Json| PointId::from_json(json).unwrap();
    let numbers = |json: &Json| -> Vec<f32> {
        let numbers = json.as_array().unwrap().iter();
        numbers.map(|n| n.as_f64().unwrap() as f32).collect()
    };
    let filter = |json: &Json| Filter::parse(json).unwrap();
    let list = |json: &Json, key: &str| json[key].as_array().unwrap().clone();
    let one = |json: &Json| Expected {
        points: list(json, "points")
            .iter()
            .map(|point| {
                let vector = numbers(&point["vector"]);
                (id(&point["id"]), (vector, point["metadata"].clone()))
            })
            .collect(),
        searches: list(json, "searches")
            .iter()
            .map(|search| Search {
                vector: numbers(&search["vector"]),
                filter: (!search["filter"].is_null()).then(|| filter(&search["filter"])),
                hits: list(search, "hits")
                    .iter()
                    .map(|hit| (id(&hit[0]), hit[1].as_f64().unwrap() as f32))
                    .collect(),
                recall: search["recall"].as_f64().unwrap(),
            })
            .collect(),
        filters: list(json, "filters")
            .iter()
            .map(|one| {
                let ids = list(one, "ids");
                (filter(&one["filter"]), ids.iter().map(id).collect())
            })
            .collect(),
    };
    let all = json.as_object().unwrap().iter();
    all.map(|(name, json)| (name.clone(), one(json))).collect()
}
