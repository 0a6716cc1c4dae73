//! Scrolls by a field against sorting all points.

#[allow(dead_code)]
mod metadata_world;

use metadata_world::{FIELDS, World, keys};
use vecdb_engine::{
    CollectionConfig, ErrorKind, Filter, Metadata, OrderBy, PointId, ScrollRequest, Value,
};

/// All ids, page by page.
fn scroll(world: &World, order: &OrderBy, filter: Option<&Filter>, limit: usize) -> Vec<PointId> {
    let mut request = ScrollRequest {
        limit,
        filter: filter.cloned(),
        order_by: Some(order.clone()),
        ..ScrollRequest::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = world.collection.scroll(&request).unwrap();
        assert!(page.points.len() == limit || page.next_cursor.is_none());
        ids.extend(page.points.into_iter().map(|point| point.id));
        match page.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => return ids,
        }
    }
}

fn sorted(world: &World, order: &OrderBy, filter: Option<&Filter>) -> Vec<PointId> {
    let mut points: Vec<_> = world
        .matching(filter)
        .into_iter()
        .map(|(id, _, metadata)| {
            let mut keys = keys(metadata.get(&order.field));
            let key = match order.descending {
                true => keys.pop_last(),
                false => keys.pop_first(),
            };
            (key, id.clone())
        })
        .collect();
    points.sort_by(|a, b| {
        let by_key = match (&a.0, &b.0) {
            (Some(a), Some(b)) if order.descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        by_key.then_with(|| a.1.cmp(&b.1))
    });
    points.into_iter().map(|(_, id)| id).collect()
}

fn check(world: &mut World, context: &str) {
    for filter in world.filters() {
        for field in FIELDS {
            for order in [OrderBy::ascending(field), OrderBy::descending(field)] {
                let expected = sorted(world, &order, filter.as_ref());
                for limit in [3 + world.random.below(20) as usize, 1_000] {
                    let got = scroll(world, &order, filter.as_ref(), limit);
                    assert_eq!(
                        got, expected,
                        "{context}: {order:?} by {limit} under {filter:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn scrolls_by_a_field_agree_with_sorting() {
    for seed in 1..=2 {
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
fn a_cursor_goes_on_through_writes_flushes_and_merges() {
    for descending in [false, true] {
        let mut world = World::new(9);
        let rows = (0..300u64).map(|n| {
            let metadata = Metadata::from([("n".to_owned(), Value::Int((n % 40) as i64))]);
            (PointId::from(n), vec![0.0; 4], metadata)
        });
        world.upsert(rows.collect());
        let order = OrderBy {
            field: "n".to_owned(),
            descending,
        };
        let expected = sorted(&world, &order, Some(&Filter::lt("n", 100)));
        let mut request = ScrollRequest {
            limit: 17,
            filter: Some(Filter::lt("n", 100)),
            order_by: Some(order),
            ..ScrollRequest::default()
        };
        let mut ids = Vec::new();
        for page_number in 0.. {
            let page = world.collection.scroll(&request).unwrap();
            ids.extend(page.points.iter().map(|point| point.id.clone()));
            let Some(cursor) = page.next_cursor else {
                break;
            };
            request.cursor = Some(cursor);
            // The point that the cursor names goes; others come and go outside of what the filter lets through.
            let gone = ids.last().unwrap().clone();
            world
                .collection
                .delete(std::slice::from_ref(&gone))
                .unwrap();
            match page_number % 3 {
                0 => world.collection.flush().unwrap(),
                1 => world.collection.compact().unwrap(),
                _ => {
                    let metadata = Metadata::from([("n".to_owned(), Value::Int(500))]);
                    world.upsert(vec![(PointId::from("new"), vec![1.0; 4], metadata)]);
                }
            }
        }
        assert_eq!(ids, expected);
    }
}

#[test]
fn wrong_fields_and_cursors_are_refused_by_name() {
    let world = World::new(3);
    let ask = |field: &str, descending, cursor: Option<String>| {
        world.collection.scroll(&ScrollRequest {
            limit: 1,
            cursor,
            order_by: Some(OrderBy {
                field: field.to_owned(),
                descending,
            }),
            ..ScrollRequest::default()
        })
    };
    let error = ask("prise", false, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("did you mean price?"), "{error}");

    let mut world = World::new(3);
    world.live(3);
    let ask = |field: Option<(&str, bool)>, cursor: Option<String>| {
        world.collection.scroll(&ScrollRequest {
            limit: 1,
            cursor,
            order_by: field.map(|(field, descending)| OrderBy {
                field: field.to_owned(),
                descending,
            }),
            ..ScrollRequest::default()
        })
    };
    let ordered = ask(Some(("price", false)), None).unwrap().next_cursor;
    let plain = ask(None, None).unwrap().next_cursor;
    for (field, cursor, expected) in [
        (
            Some(("price", true)),
            &ordered,
            "by price ascending, not by price descending",
        ),
        (Some(("n", false)), &ordered, "not by n ascending"),
        (None, &ordered, "keep order_by"),
        (
            Some(("price", false)),
            &plain,
            "not a cursor of a scroll with order_by",
        ),
        (
            Some(("price", false)),
            &Some("by-00".to_owned()),
            "not a cursor",
        ),
    ] {
        let error = ask(field, cursor.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_collection_that_never_saw_metadata_can_be_scrolled_by_anything() {
    let world = World::new(1);
    let config = CollectionConfig::new(1, vecdb_engine::Metric::L2);
    let bare = world.db().create_collection("bare", config).unwrap();
    bare.upsert(vec![vecdb_engine::Point::new(1, vec![0.0])])
        .unwrap();
    let page = bare.scroll(&ScrollRequest {
        order_by: Some(OrderBy::ascending("anything")),
        ..ScrollRequest::default()
    });
    assert_eq!(page.unwrap().points.len(), 1);
}
