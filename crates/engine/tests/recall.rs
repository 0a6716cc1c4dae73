//! Recall at the default settings, on real data, through everything that happens to a collection.

use vecdb_engine::{
    Collection, CollectionConfig, Database, DiskAnnParams, IndexSpec, IvfParams, LshParams, Metric,
    Options, Point, PointId, SearchParams, SearchRequest,
};
use vecdb_testkit::data::{Dataset, test_data};

const RECALL_MIN: f64 = 0.95;

fn open(folder: &std::path::Path) -> Database {
    Database::open(
        folder,
        Options {
            memtable_bytes_max: 4 << 20,
            ..Options::default()
        },
    )
    .unwrap()
}

fn vectors(data: &Dataset) -> Vec<Vec<f32>> {
    data.base
        .to_f32()
        .chunks(data.base.info.dim)
        .map(<[f32]>::to_vec)
        .collect()
}

fn queries(data: &Dataset) -> Vec<SearchRequest> {
    let dim = data.queries.info.dim;
    data.queries
        .to_f32()
        .chunks(dim)
        .take(200)
        .map(|q| SearchRequest::new(q).with_metadata(false))
        .collect()
}

/// Share of the exact ten nearest, by distance, that the default search finds.
fn recall(collection: &Collection, requests: &[SearchRequest]) -> f64 {
    let exact = SearchParams {
        exact: true,
        ..SearchParams::default()
    };
    let exact: Vec<_> = requests
        .iter()
        .map(|request| request.clone().params(exact.clone()))
        .collect();
    let (truth, found) = (
        collection.search_batch(&exact).unwrap(),
        collection.search_batch(requests).unwrap(),
    );
    let hits: usize = truth
        .iter()
        .zip(&found)
        .map(|(truth, found)| {
            let farthest = truth.hits.last().unwrap().distance + 1e-5;
            assert_eq!(found.hits.len(), truth.hits.len());
            found
                .hits
                .iter()
                .filter(|hit| hit.distance <= farthest)
                .count()
        })
        .sum();
    hits as f64 / (10 * requests.len()) as f64
}

/// Deletes every second point, gives every second of the rest new vectors, and opens the database anew.
fn churn(name: &str, data: &Dataset, index: IndexSpec) {
    let (vectors, requests) = (vectors(data), queries(data));
    let rows = vectors.len() as u64;
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let metric: Metric = data.metric;
    let name = format!("{name}, {index}");
    let config = CollectionConfig::new(data.base.info.dim as u32, metric).index(index);
    let collection = db.create_collection("c", config).unwrap();
    let point = |id: u64, of: u64| Point::new(id, vectors[of as usize].clone());
    for start in (0..rows).step_by(500) {
        collection
            .upsert(
                (start..(start + 500).min(rows))
                    .map(|id| point(id, id))
                    .collect(),
            )
            .unwrap();
    }
    let mut seen = vec![("just loaded", recall(&collection, &requests))];
    collection.wait_until_idle().unwrap();
    seen.push(("idle", recall(&collection, &requests)));

    let gone: Vec<PointId> = (0..rows)
        .filter(|id| id % 2 == 0)
        .map(PointId::from)
        .collect();
    for some in gone.chunks(700) {
        collection.delete(some).unwrap();
    }
    seen.push(("half deleted", recall(&collection, &requests)));
    let changed: Vec<u64> = (0..rows).filter(|id| id % 4 == 1).collect();
    for some in changed.chunks(300) {
        collection
            .upsert(some.iter().map(|&id| point(id, id - 1)).collect())
            .unwrap();
    }
    seen.push(("half of the rest updated", recall(&collection, &requests)));
    collection.wait_until_idle().unwrap();
    seen.push(("idle again", recall(&collection, &requests)));
    db.close().unwrap();
    let db = open(folder.path());
    let collection = db.collection("c").unwrap();
    assert_eq!(collection.count(None).unwrap(), rows / 2);
    seen.push(("opened anew", recall(&collection, &requests)));
    println!(
        "{name}, {rows} points: {seen:?}, {} segments",
        collection.info().segments.len()
    );
    collection.verify_strictly().unwrap();
    for (when, recall) in seen {
        assert!(recall >= RECALL_MIN, "{name}, {when}: recall {recall}");
    }
}

/// Deletes half, updates half of the rest, restarts.
fn churn_both(index: &IndexSpec) {
    let data = test_data();
    churn("debian packages", &data.debian(12_000), index.clone());
    churn("fashion-mnist", &data.fashion_mnist(8_000), index.clone());
}

#[test]
fn recall_survives_deleting_half_and_updating_half_and_a_restart() {
    churn_both(&IndexSpec::default());
}

#[test]
fn recall_of_lists_survives_the_same() {
    churn_both(&IndexSpec::Ivf(IvfParams::default()));
}

#[test]
fn recall_of_an_index_on_the_disk_survives_the_same() {
    churn_both(&IndexSpec::DiskAnn(DiskAnnParams {
        r: 32,
        l_build: 64,
        ..DiskAnnParams::default()
    }));
}

#[test]
fn recall_of_hash_tables_survives_the_same() {
    churn_both(&IndexSpec::Lsh(LshParams::default()));
}
