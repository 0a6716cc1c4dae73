//! Recommendations against scoring all points.

#[allow(dead_code)]
mod metadata_world;

use std::path::Path;

use metadata_world::World;
use vecdb_engine::{
    CollectionConfig, ElementType, ErrorKind, Example, Filter, Metric, Point, PointId,
    RecommendRequest, RecommendStrategy, SearchParams,
};

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    Metric::L2.distance(squares.sum())
}

/// Any points of the world.
fn some(world: &mut World, count: usize) -> Vec<PointId> {
    let ids: Vec<_> = world.points.keys().cloned().collect();
    (0..count)
        .map(|_| ids[world.random.below(ids.len() as u64) as usize].clone())
        .collect()
}

fn request(positive: &[PointId], negative: &[PointId], limit: usize) -> RecommendRequest {
    let mut request =
        RecommendRequest::new(positive.iter().cloned()).negative(negative.iter().cloned());
    request.search.limit = limit;
    request.search.params = SearchParams {
        exact: true,
        ..SearchParams::default()
    };
    request
}

#[test]
fn averages_are_searched_for_and_examples_are_no_hits() {
    for seed in 1..=4 {
        let mut world = World::new(seed);
        world.live(50);
        for _ in 0..10 {
            let (positive, negative) = (some(&mut world, 3), some(&mut world, 2));
            let mean = |ids: &[PointId], at: usize| -> f64 {
                let values = ids.iter().map(|id| f64::from(world.points[id].0[at]));
                values.sum::<f64>() / ids.len() as f64
            };
            let query: Vec<f32> = (0..4)
                .map(|at| (2.0 * mean(&positive, at) - mean(&negative, at)) as f32)
                .collect();
            let filter = Filter::lt("n", 25);
            let mut expected: Vec<_> = world
                .matching(Some(&filter))
                .into_iter()
                .filter(|(id, _, _)| !positive.contains(id) && !negative.contains(id))
                .map(|(id, vector, _)| (distance(vector, &query), id.clone()))
                .collect();
            expected.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));

            for (limit, offset) in [(5, 0), (5, 4), (1_000, 0)] {
                let mut request = request(&positive, &negative, limit);
                request.search.filter = Some(filter.clone());
                request.search.offset = offset;
                let found = world.collection.recommend(&request).unwrap();
                let ids: Vec<_> = found.hits.iter().map(|hit| &hit.id).collect();
                let wanted = expected.iter().skip(offset).take(limit);
                let wanted: Vec<_> = wanted.map(|(_, id)| id).collect();
                assert_eq!(
                    ids, wanted,
                    "seed {seed}: {positive:?} but not {negative:?}"
                );
                assert!(found.hits.iter().all(|hit| hit.metadata.is_some()));
            }
        }
    }
}

#[test]
fn groups_of_recommendations_leave_the_examples_out() {
    let mut world = World::new(6);
    world.live(50);
    let positive = some(&mut world, 2);
    let mut request = request(&positive, &[], 3);
    request.search = request.search.group_by("category", 100);
    let groups = world.collection.recommend(&request).unwrap().groups;
    let found: usize = groups.iter().map(|group| group.hits.len()).sum();
    let with_category = world.matching(Some(&Filter::is_in("category", ["c0", "c1", "c2"])));
    let wanted = with_category
        .iter()
        .filter(|(id, _, _)| !positive.contains(id));
    assert_eq!(found, wanted.count().min(300));
    let all = groups.iter().flat_map(|group| &group.hits);
    assert!(all.into_iter().all(|hit| !positive.contains(&hit.id)));
}

#[test]
fn best_scores_agree_with_scoring_all_points() {
    for seed in 1..=4 {
        let mut world = World::new(seed);
        world.live(40);
        for round in 0..8 {
            let positive = some(&mut world, 2);
            let negative = some(&mut world, round % 3);
            let nearest = |vector: &[f32], ids: &[PointId]| {
                ids.iter()
                    .map(|id| distance(vector, &world.points[id].0))
                    .fold(f32::INFINITY, f32::min)
            };
            let mut expected: Vec<(f32, PointId)> = world
                .matching(None)
                .into_iter()
                .filter(|(id, _, _)| !positive.contains(id) && !negative.contains(id))
                .map(|(id, vector, _)| {
                    let (liked, disliked) =
                        (nearest(vector, &positive), nearest(vector, &negative));
                    let score = match liked < disliked {
                        true => Metric::L2.score(liked),
                        false => -Metric::L2.score(disliked).powi(2),
                    };
                    (score, id.clone())
                })
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            // All of them: then every point is a candidate.
            for limit in [expected.len(), 20] {
                let request = request(&positive, &negative, limit);
                let request = request.strategy(RecommendStrategy::BestScore);
                let hits = world.collection.recommend(&request).unwrap().hits;
                let got: Vec<_> = hits.into_iter().map(|hit| (hit.score, hit.id)).collect();
                assert_eq!(
                    got,
                    expected[..limit.min(expected.len())],
                    "seed {seed} round {round}"
                );
            }
        }
        // A radius is one around the positive examples.
        let positive = some(&mut world, 2);
        let mut request = request(&positive, &[], 1_000).strategy(RecommendStrategy::BestScore);
        request.search.max_distance = Some(300.0);
        let hits = world.collection.recommend(&request).unwrap().hits;
        assert!(!hits.is_empty() && hits.iter().all(|hit| hit.distance <= 300.0));
    }
}

/// The groups of all points in the order of their scores.
#[test]
fn groups_of_best_scores_are_those_of_the_hits() {
    let mut world = World::new(3);
    world.live(60);
    for _ in 0..6 {
        let (positive, negative) = (some(&mut world, 2), some(&mut world, 1));
        let all = request(&positive, &negative, 10_000).strategy(RecommendStrategy::BestScore);
        let hits = world.collection.recommend(&all).unwrap().hits;
        let mut expected: Vec<(vecdb_engine::Value, Vec<PointId>)> = Vec::new();
        for hit in hits {
            let Some(value) = hit.metadata.unwrap().get("category").cloned() else {
                continue;
            };
            if value == vecdb_engine::Value::Null {
                continue;
            }
            match expected.iter_mut().find(|(known, _)| *known == value) {
                Some((_, ids)) if ids.len() < 3 => ids.push(hit.id),
                Some(_) => {}
                None => expected.push((value, vec![hit.id])),
            }
        }
        let mut grouped = request(&positive, &negative, 2).strategy(RecommendStrategy::BestScore);
        grouped.search = grouped.search.group_by("category", 3).offset(1);
        let answer = world.collection.recommend(&grouped).unwrap();
        assert!(answer.hits.is_empty());
        let found: Vec<(vecdb_engine::Value, Vec<PointId>)> = answer
            .groups
            .into_iter()
            .map(|group| {
                (
                    group.value,
                    group.hits.into_iter().map(|hit| hit.id).collect(),
                )
            })
            .collect();
        let expected: Vec<(_, Vec<PointId>)> = expected.into_iter().skip(1).take(2).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn disliked_neighbours_do_not_hide_what_is_liked() {
    let mut world = World::new(1);
    let point = |id: u64, x: f32| {
        (
            PointId::from(id),
            vec![x, 0.0, 0.0, 0.0],
            Default::default(),
        )
    };
    // Between the two examples, 2,000 points nearer to the bad one; behind the good one a few.
    world.upsert(
        (10..2_010)
            .map(|id| point(id, 2.0 + id as f32 / 10_000.0))
            .collect(),
    );
    world.upsert((3_000..3_010).map(|id| point(id, -(id as f32))).collect());
    world.upsert(vec![point(1, 0.0), point(2, 3.0)]);
    let request = request(&[1.into()], &[2.into()], 5).strategy(RecommendStrategy::BestScore);
    let hits = world.collection.recommend(&request).unwrap().hits;
    let ids: Vec<_> = hits.iter().map(|hit| hit.id.clone()).collect();
    assert_eq!(ids, [0, 3_000, 3_001, 3_002, 3_003].map(PointId::from));
}

#[test]
fn every_kind_of_vector_can_be_recommended_by() {
    let env = vecdb_engine::Env {
        disk: std::sync::Arc::new(vecdb_storage::MemoryDisk::default()),
        ..vecdb_engine::Env::default()
    };
    let db =
        vecdb_engine::Database::open_with(&env, Path::new("/db"), vecdb_engine::Options::default())
            .unwrap();
    let make = |name: &str, metric, element| {
        let config = CollectionConfig::new(8, metric).element(element);
        let collection = db.create_collection(name, config).unwrap();
        let points = (1..=20u64).map(|id| {
            let value = |at: u64| ((id >> at) & 1) as f32;
            let values = match element {
                ElementType::Bits => (0..8).map(value).collect(),
                _ => (0..8).map(|at| value(at) * 10.0 + 1.0).collect(),
            };
            Point::new(id, values)
        });
        collection.upsert(points.collect()).unwrap();
        collection
    };
    for (name, metric, element) in [
        ("u8", Metric::L2, ElementType::U8),
        ("i8", Metric::Dot, ElementType::I8),
        ("f16", Metric::Cosine, ElementType::F16),
        ("l1", Metric::L1, ElementType::F32),
    ] {
        let collection = make(name, metric, element);
        for strategy in RecommendStrategy::ALL {
            let request = RecommendRequest::new([1, 2, 4])
                .negative([8])
                .strategy(strategy);
            let hits = collection.recommend(&request).unwrap().hits;
            assert_eq!(hits.len(), 10, "{name}");
        }
    }
    let bits = make("bits", Metric::Hamming, ElementType::Bits);
    let like = bits.recommend(&RecommendRequest::new([1])).unwrap();
    assert_eq!((like.hits.len(), like.hits[0].distance), (10, 1.0));
    let error = bits.recommend(&RecommendRequest::new([1, 2])).unwrap_err();
    assert!(error.to_string().contains("best_score"), "{error}");
    let request = RecommendRequest::new([1]).strategy(RecommendStrategy::BestScore);
    let hits = bits.recommend(&request).unwrap().hits;
    assert_eq!(hits[0].distance, 1.0);
}

#[test]
fn wrong_examples_are_refused_by_name() {
    let mut world = World::new(2);
    world.live(10);
    let ask = |request: &RecommendRequest| world.collection.recommend(request).unwrap_err();
    let error = ask(&RecommendRequest::new(["nobody"]));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error
            .to_string()
            .contains("id nobody, which is a positive example"),
        "{error}"
    );
    let error = ask(&RecommendRequest::new([0]).negative(["no one"]));
    assert!(
        error.to_string().contains("no one, which is a negative"),
        "{error}"
    );
    let short = RecommendRequest {
        positive: vec![Example::Id(0.into()), Example::Vector(vec![1.0])],
        ..RecommendRequest::new([0])
    };
    let none = RecommendRequest {
        positive: Vec::new(),
        ..RecommendRequest::new([0])
    };
    let many = RecommendRequest::new(std::iter::repeat_n(0, 1_001));
    let mut doubled = RecommendRequest::new([0]);
    doubled.search.vector = vec![0.0; 4];
    let mut grouped = RecommendRequest::new([0]).strategy(RecommendStrategy::BestScore);
    grouped.search = grouped.search.group_by("nn", 2);
    let mut unrun = RecommendRequest::new([0]).strategy(RecommendStrategy::BestScore);
    unrun.search.explain_only = true;
    let mut low = RecommendRequest::new([0]).strategy(RecommendStrategy::BestScore);
    low.search.min_score = Some(f32::NAN);
    let opposite = RecommendRequest {
        positive: vec![
            Example::Vector(vec![f32::MAX; 4]),
            Example::Vector(vec![f32::MAX; 4]),
        ],
        negative: vec![Example::Vector(vec![f32::MIN; 4])],
        ..RecommendRequest::new([0])
    };
    for (request, expected) in [
        (opposite, "the average of the examples"),
        (short, "positive example 1"),
        (none, "positive names no example"),
        (many, "1001 examples"),
        (doubled, "no vector of its own"),
        (grouped, "unknown field"),
        (unrun, "average_vector"),
        (low, "min_score is not a number"),
    ] {
        let error = ask(&request);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Vectors alone are examples as well.
    let vectors = RecommendRequest {
        positive: vec![Example::Vector(vec![1.0; 4])],
        ..RecommendRequest::new([0])
    };
    assert_eq!(world.collection.recommend(&vectors).unwrap().hits.len(), 10);
}
