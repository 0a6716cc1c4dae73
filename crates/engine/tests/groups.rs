//! Grouped searches, and searches that pass over hits, against sorting all points.

#[allow(dead_code)]
mod metadata_world;

use std::time::Duration;

use metadata_world::{FIELDS, Key, World, keys};
use vecdb_engine::{
    ErrorKind, Filter, Hit, HitGroup, Metadata, Metric, PointId, SearchParams, SearchRequest,
    StopSignal, Value,
};

/// All matching points, nearest first.
fn nearest(world: &World, query: &[f32], filter: Option<&Filter>) -> Vec<(f32, PointId, Metadata)> {
    let mut all: Vec<_> = world
        .matching(filter)
        .into_iter()
        .map(|(id, vector, metadata)| {
            let squares = vector.iter().zip(query).map(|(a, b)| (a - b) * (a - b));
            let distance = Metric::L2.distance(squares.sum());
            (distance, id.clone(), metadata.clone())
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    all
}

fn expected(
    world: &World,
    request: &SearchRequest,
    field: &str,
    size: usize,
) -> Vec<(Key, Vec<(f32, PointId)>)> {
    let mut groups: Vec<(Key, Vec<_>)> = Vec::new();
    for (distance, id, metadata) in nearest(world, &request.vector, request.filter.as_ref()) {
        if request.max_distance.is_some_and(|max| distance > max) {
            break;
        }
        for key in keys(metadata.get(field)) {
            match groups.iter_mut().find(|(other, _)| *other == key) {
                Some((_, hits)) if hits.len() < size => hits.push((distance, id.clone())),
                Some(_) => {}
                None => groups.push((key, vec![(distance, id.clone())])),
            }
        }
    }
    let groups = groups.into_iter().skip(request.offset);
    groups.take(request.limit).collect()
}

fn plain(groups: &[HitGroup]) -> Vec<(Key, Vec<(f32, PointId)>)> {
    let hits = |hits: &[Hit]| {
        hits.iter()
            .map(|hit| (hit.distance, hit.id.clone()))
            .collect()
    };
    groups
        .iter()
        .map(|group| {
            let key = keys(Some(&group.value)).pop_first();
            (key.unwrap(), hits(&group.hits))
        })
        .collect()
}

fn exact() -> SearchParams {
    SearchParams {
        exact: true,
        ..SearchParams::default()
    }
}

fn check(world: &mut World, context: &str) {
    for filter in world.filters() {
        let query = world.vector();
        let mut request = SearchRequest::new(query).params(exact());
        request.filter = filter.clone();
        for field in FIELDS {
            for (limit, offset, size) in [(1, 0, 1), (3, 1, 2), (5, 0, 9), (200, 0, 3)] {
                let request = SearchRequest {
                    limit,
                    offset,
                    max_distance: (limit == 5).then_some(400.0),
                    ..request.clone()
                };
                let expected = expected(world, &request, field, size);
                let request = request.group_by(field, size);
                let answer = world.collection.search(&request).unwrap();
                let context = format!(
                    "{context}: {field}, {limit} after {offset} of {size} under {filter:?}"
                );
                assert_eq!(plain(&answer.groups), expected, "{context}");
                assert!(answer.hits.is_empty() && !answer.truncated);
            }
        }
    }
}

#[test]
fn groups_agree_with_sorting() {
    for seed in 1..=2 {
        let mut world = World::new(seed);
        for round in 0..3 {
            world.live(25);
            check(&mut world, &format!("seed {seed} round {round}"));
        }
        world.reopen();
        world.collection.compact().unwrap();
        check(&mut world, &format!("seed {seed} compacted"));
    }
}

/// One value has all the points near the query, and the others are far: `over` of these.
fn lopsided(near: u64, over: u64) -> World {
    let mut world = World::new(1);
    let group = |name: String| Metadata::from([("category".to_owned(), Value::from(name))]);
    let points = (0..near).map(|n| {
        let vector = vec![n as f32 / near as f32, 0.0, 0.0, 0.0];
        (PointId::from(n), vector, group("near".to_owned()))
    });
    world.upsert(points.collect());
    let points = (0..3 * over).map(|n| {
        let vector = vec![1_000.0 + n as f32, 0.0, 0.0, 0.0];
        (
            PointId::from(1_000_000 + n),
            vector,
            group(format!("far {}", n % over)),
        )
    });
    world.upsert(points.collect());
    world.collection.wait_until_idle().unwrap();
    world
}

#[test]
fn groups_that_no_near_point_belongs_to_are_found() {
    let world = lopsided(6_000, 5);
    for params in [exact(), SearchParams::default()] {
        let request = SearchRequest::new([0.0; 4]).params(params);
        let request = request.limit(4).group_by("category", 2);
        let groups = world.collection.search(&request).unwrap().groups;
        let values: Vec<_> = groups.iter().map(|group| group.value.clone()).collect();
        let names = ["near", "far 0", "far 1", "far 2"];
        assert_eq!(values, names.map(Value::from));
        assert!(groups.iter().all(|group| group.hits.len() == 2));
        // There are six groups: the rest of them, and none beyond.
        let rest = world.collection.search(&request.clone().offset(4)).unwrap();
        assert_eq!(rest.groups.len(), 2);
        let none = world.collection.search(&request.offset(6)).unwrap();
        assert!(none.groups.is_empty());
    }
}

#[test]
fn what_hits_are_asked_for_comes_with_groups() {
    let world = lopsided(100, 2);
    let request = SearchRequest::new([0.0; 4])
        .limit(3)
        .group_by("category", 1)
        .with_vector(true);
    let groups = world.collection.search(&request).unwrap().groups;
    let hit = &groups[0].hits[0];
    assert_eq!(hit.vector.as_deref(), Some(&[0.0; 4][..]));
    assert_eq!(hit.metadata.as_ref().unwrap()["category"], "near".into());
    let bare = request.with_vector(false).with_metadata(false);
    let groups = world.collection.search(&bare).unwrap().groups;
    let hit = &groups[0].hits[0];
    assert!(hit.vector.is_none() && hit.metadata.is_none());
    // A batch gives the same.
    let batch = world.collection.search_batch(std::slice::from_ref(&bare));
    assert_eq!(batch.unwrap()[0].groups, groups);
}

#[test]
fn hits_are_passed_over() {
    let mut world = World::new(5);
    world.live(60);
    let query = world.vector();
    let all = nearest(&world, &query, None);
    let request = SearchRequest::new(query).limit(7).params(exact());
    for offset in [0, 1, 50, all.len() - 3, all.len(), 50_000] {
        let found = world
            .collection
            .search(&request.clone().offset(offset))
            .unwrap();
        let expected: Vec<_> = all.iter().skip(offset).take(7).map(|one| &one.1).collect();
        let got: Vec<_> = found.hits.iter().map(|hit| &hit.id).collect();
        assert_eq!(got, expected, "offset {offset}");
        for hit in &found.hits {
            let name = hit.metadata.as_ref().unwrap().get("name");
            assert_eq!(name, world.points[&hit.id].1.get("name"));
        }
    }
}

#[test]
fn wrong_groups_and_pages_are_refused_by_value() {
    let mut world = World::new(3);
    world.live(10);
    let ask = |request: SearchRequest| world.collection.search(&request).unwrap_err();
    let request = || SearchRequest::new([0.0; 4]);
    for (request, expected) in [
        (request().group_by("categry", 2), "did you mean category?"),
        (
            request().group_by("categry", 2).explain_only(true),
            "did you mean category?",
        ),
        (request().group_by("category", 0), "group_size 0"),
        (request().limit(0).group_by("category", 2), "limit 0"),
        (
            request().limit(1_000).group_by("category", 101),
            "group_size 101",
        ),
        (request().offset(99_991), "limit 10, offset 99991"),
        (request().offset(usize::MAX), "offset 18446744073709551615"),
        (request().limit(0).offset(1), "limit 0"),
    ] {
        let error = ask(request);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let stop = StopSignal::new();
    stop.stop();
    let mut stopped = request().group_by("category", 2);
    stopped.stop = stop;
    assert_eq!(ask(stopped).kind(), ErrorKind::Cancelled);
    let mut late = request().limit(20).group_by("category", 2);
    late.timeout = Some(Duration::ZERO);
    assert!(world.collection.search(&late).unwrap().truncated);
}
