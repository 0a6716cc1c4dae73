//! Facets against counting all points.

#[allow(dead_code)]
mod metadata_world;

use std::collections::BTreeMap;

use metadata_world::{FIELDS, Key, World, keys};
use vecdb_engine::{ErrorKind, FacetRequest, Filter, LIMIT_MAX, StopSignal, Value};

struct Counted {
    values: Vec<(Key, u64)>,
    points: u64,
    missing: u64,
}

fn counted(world: &World, field: &str, filter: Option<&Filter>) -> Counted {
    let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
    let matching = world.matching(filter);
    let mut missing = 0;
    for (_, _, metadata) in &matching {
        let keys = keys(metadata.get(field));
        missing += u64::from(keys.is_empty());
        for key in keys {
            *counts.entry(key).or_default() += 1;
        }
    }
    let mut values: Vec<_> = counts.into_iter().collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Counted {
        values,
        points: matching.len() as u64,
        missing,
    }
}

fn check(world: &mut World, context: &str) {
    for filter in world.filters() {
        for field in FIELDS {
            let expected = counted(world, field, filter.as_ref());
            for limit in [1, 4, LIMIT_MAX] {
                let mut request = FacetRequest::new(field).limit(limit);
                request.filter = filter.clone();
                let facets = world.collection.facets(&request).unwrap();
                let context = format!("{context}: {field} under {filter:?}");
                let got: Vec<(Key, u64)> = facets
                    .values
                    .iter()
                    .map(|facet| {
                        let key = keys(Some(&facet.value)).pop_first();
                        (key.unwrap(), facet.count)
                    })
                    .collect();
                let most = limit.min(expected.values.len());
                assert_eq!(got, expected.values[..most], "{context}");
                assert_eq!(facets.distinct, expected.values.len() as u64, "{context}");
                assert_eq!(facets.points, expected.points, "{context}");
                assert_eq!(facets.missing, expected.missing, "{context}");
            }
        }
    }
}

#[test]
fn facets_agree_with_counting() {
    for seed in 1..=6 {
        let mut world = World::new(seed);
        for round in 0..4 {
            world.live(25);
            check(&mut world, &format!("seed {seed} round {round}"));
        }
        world.reopen();
        check(&mut world, &format!("seed {seed} reopened"));
        world.collection.compact().unwrap();
        check(&mut world, &format!("seed {seed} compacted"));
    }
}

#[test]
fn numbers_of_a_field_of_floats_are_floats_whatever_they_were_written_as() {
    let mut world = World::new(2);
    let price = |value| vecdb_engine::Metadata::from([("price".to_owned(), value)]);
    world.upsert(vec![(1.into(), vec![0.0; 4], price(Value::Int(2)))]);
    world.collection.flush().unwrap();
    world.upsert(vec![(2.into(), vec![0.0; 4], price(Value::Float(2.0)))]);
    world.upsert(vec![(3.into(), vec![0.0; 4], price(Value::Float(0.5)))]);
    let facets = world
        .collection
        .facets(&FacetRequest::new("price"))
        .unwrap();
    let values: Vec<_> = facets
        .values
        .into_iter()
        .map(|f| (f.value, f.count))
        .collect();
    assert_eq!(values, [(Value::Float(2.0), 2), (Value::Float(0.5), 1)]);
    assert_eq!(facets.missing, 1);
}

#[test]
fn wrong_requests_are_refused_by_name() {
    let mut world = World::new(3);
    world.live(10);
    let refused = |request: FacetRequest| world.collection.facets(&request).unwrap_err();
    let error = refused(FacetRequest::new("categry"));
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(
        error.to_string().contains("did you mean category?"),
        "{error}"
    );
    for limit in [0, LIMIT_MAX + 1] {
        let error = refused(FacetRequest::new("n").limit(limit));
        assert!(
            error.to_string().contains("between 1 and 100000"),
            "{error}"
        );
    }
    let error = refused(FacetRequest::new("n").filter(Filter::eq("n", "text")));
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);

    let stop = StopSignal::new();
    stop.stop();
    let mut request = FacetRequest::new("n");
    request.stop = stop;
    assert_eq!(refused(request).kind(), ErrorKind::Cancelled);
}
