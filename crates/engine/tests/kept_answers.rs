//! Answers that searches ask to be kept are never older than the last acknowledged write; and how searches were answered
//! is counted.

use vecdb_engine::{
    Collection, CollectionConfig, Database, Example, Filter, Metric, Options, PlanCosts, Point,
    RecommendRequest, SearchParams, SearchRequest,
};

fn points(ids: std::ops::Range<u64>) -> Vec<Point> {
    ids.map(|id| Point::new(id, vec![id as f32, 1.0]).with("n", id as i64))
        .collect()
}

fn with_collection(work: impl FnOnce(&Collection)) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        background: false,
        ..Options::default()
    };
    let db = Database::open(folder.path(), options).unwrap();
    let config = CollectionConfig::new(2, Metric::L2);
    work(&db.create_collection("c", config).unwrap());
    db.close().unwrap();
}

fn nearest_to(id: f32) -> SearchRequest {
    SearchRequest::new(vec![id, 1.0]).limit(3).cache(true)
}

#[test]
fn a_kept_answer_is_given_until_the_next_write() {
    with_collection(|collection| {
        collection.upsert(points(0..100)).unwrap();
        let request = nearest_to(200.0);
        let first = collection.search(&request).unwrap();
        let again = collection.search(&request).unwrap();
        assert!(!first.cached && again.cached);
        assert_eq!((&again.hits, &again.stats), (&first.hits, &first.stats));
        let batch = collection
            .search_batch(&[request.clone(), nearest_to(5.0), request.clone()])
            .unwrap();
        let cached: Vec<bool> = batch.iter().map(|answer| answer.cached).collect();
        assert_eq!(cached, [true, false, true]);

        for id in 100..130u64 {
            collection.upsert(points(id..id + 1)).unwrap();
            for round in 0..2 {
                let answer = collection.search(&request).unwrap();
                assert_eq!(answer.hits[0].id, id.into());
                assert_eq!(answer.cached, round == 1);
            }
        }
        collection.delete(&[129.into()]).unwrap();
        assert_eq!(collection.search(&request).unwrap().hits[0].id, 128.into());
        let update = vecdb_engine::MetadataUpdate::Merge([("n".to_owned(), (-1).into())].into());
        collection.update_metadata(&[128.into()], &update).unwrap();
        let hit = &collection.search(&request).unwrap().hits[0];
        assert_eq!(hit.metadata.as_ref().unwrap()["n"], (-1).into());

        let recommend = |negative: u64| RecommendRequest {
            negative: vec![Example::Id(negative.into())],
            search: SearchRequest::new([]).limit(3).cache(true),
            ..RecommendRequest::new([50])
        };
        let liked = collection.recommend(&recommend(60)).unwrap();
        assert!(!liked.cached && collection.recommend(&recommend(60)).unwrap().cached);
        assert!(!collection.recommend(&recommend(61)).unwrap().cached);
    });
}

/// While others write, no answer lacks what was acknowledged before the search began.
#[test]
fn no_kept_answer_is_older_than_the_last_write() {
    with_collection(|collection| {
        let newest = std::sync::atomic::AtomicU64::new(0);
        collection.upsert(points(0..1)).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for id in 1..300u64 {
                    collection.upsert(points(id..id + 1)).unwrap();
                    newest.store(id, std::sync::atomic::Ordering::Release);
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let request = nearest_to(1_000.0);
                    while newest.load(std::sync::atomic::Ordering::Acquire) < 299 {
                        let written = newest.load(std::sync::atomic::Ordering::Acquire);
                        let answer = collection.search(&request).unwrap();
                        let found = answer.hits[0].distance;
                        assert!(found <= 1_000.0 - written as f32, "{written}: {found}");
                    }
                });
            }
            writer.join().unwrap();
        });
    });
}

#[test]
fn searches_are_counted_by_how_they_were_answered() {
    with_collection(|collection| {
        collection.upsert(points(0..2_000)).unwrap();
        collection.compact().unwrap();
        assert_eq!(collection.info().searches, Default::default());
        let counted = SearchParams {
            plan_costs: Some(PlanCosts::Counted),
            ..SearchParams::default()
        };
        let request = SearchRequest::new(vec![7.0, 1.0]).params(counted);
        let few = request.clone().filter(Filter::lt("n", 20));
        let many = request.filter(Filter::gte("n", 20));
        for _ in 0..4 {
            collection.search(&few).unwrap();
            collection.search(&many).unwrap();
        }
        collection
            .search(&SearchRequest::new(vec![7.0, 1.0]))
            .unwrap();
        let counts = collection.info().searches;
        assert_eq!(
            (counts.scan, counts.walk + counts.hop),
            (4, 4),
            "{counts:?}"
        );
        assert_eq!(counts.index, 1, "{counts:?}");
        // A mask is kept from the second time on.
        assert_eq!((counts.mask_hits, counts.mask_misses), (4, 4), "{counts:?}");
        assert_eq!((counts.result_hits, counts.result_misses), (0, 0));
    });
}
