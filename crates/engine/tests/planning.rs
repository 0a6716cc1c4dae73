//! Filtered searches find what there is, whichever plan answers them, and say how they were answered.

use serde_json::json;
use vecdb_engine::{
    Collection, CollectionConfig, Database, ErrorKind, Explanation, Filter, GeoArea, GeoPoint,
    Metric, Options, Plan, Point, SearchParams, SearchRequest, StopSignal, metadata_from_json,
};

const DIM: usize = 16;
const POINTS: u64 = 12_000;

/// SplitMix64, as numbers from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIM).map(|_| self.next()).collect()
    }
}

/// Points whose `side` goes with their first number and whose `rank` goes with nothing.
fn point(id: u64, random: &mut Random) -> Point {
    let vector = random.vector();
    let rank = (random.next() * 10_000.0) as i64;
    let metadata = json!({
        "rank": rank,
        "side": (vector[0] * 1_000.0) as i64,
        "title": format!("chess engine number {}", id % 50),
        "at": {"lat": f64::from(vector[1]) * 10.0, "lon": 5},
        "size": {"width": id % 7},
    });
    let mut point = Point::new(id, vector);
    point.metadata = metadata_from_json(&metadata).unwrap();
    point
}

/// A segment with a graph, a flushed one without, and rows in the memtable, some of them deleted.
fn collection(database: &Database) -> Collection {
    let config =
        CollectionConfig::new(DIM as u32, Metric::L2).field("title", "text".parse().unwrap());
    let collection = database.create_collection("points", config).unwrap();
    let mut random = Random(7);
    let mut upsert = |ids: std::ops::Range<u64>| {
        let points: Vec<Point> = ids.map(|id| point(id, &mut random)).collect();
        collection.upsert(points).unwrap();
    };
    upsert(0..POINTS);
    collection.compact().unwrap();
    upsert(POINTS..POINTS + 300);
    collection.flush().unwrap();
    upsert(POINTS + 300..POINTS + 500);
    collection
        .delete_by_filter(&Filter::parse_str(r#"{"size.width": 3}"#).unwrap())
        .unwrap();
    collection
}

fn with_plan(request: &SearchRequest, plan: Plan) -> SearchRequest {
    request.clone().params(SearchParams {
        plan: Some(plan),
        ..SearchParams::default()
    })
}

/// Selectivities from nearly all to one in ten thousand; what goes with the query, against it, and with neither.
#[test]
fn no_filter_costs_recall() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    let mut random = Random(99);
    for share in [0.9, 0.5, 0.1, 0.02, 0.01, 0.001, 0.0001] {
        for correlated in ["rank", "near", "far"] {
            let (mut found, mut expected) = (0, 0);
            for _ in 0..20 {
                let query = random.vector();
                let filter = match correlated {
                    "rank" => Filter::lt("rank", (share * 10_000.0) as i64),
                    // The half of the space that the query is in, or is not in.
                    "near" => {
                        let middle = f64::from(query[0]) * 1_000.0;
                        Filter::gte("side", middle - share * 500.0)
                            .and(Filter::lte("side", middle + share * 500.0))
                    }
                    _ if query[0] < 0.5 => Filter::gte("side", 1_000.0 - share * 1_000.0),
                    _ => Filter::lt("side", share * 1_000.0),
                };
                let request = SearchRequest::new(query)
                    .filter(filter)
                    .with_metadata(false);
                let truth = collection.search(&with_plan(&request, Plan::Scan)).unwrap();
                let answer = collection.search(&request).unwrap();
                assert_eq!(answer.hits.len(), truth.hits.len(), "{share} {correlated}");
                let worst = truth.hits.last().map_or(0.0, |hit| hit.distance);
                found += answer
                    .hits
                    .iter()
                    .filter(|hit| hit.distance <= worst)
                    .count();
                expected += truth.hits.len();
            }
            // The rarest filter finds one or two points, or none.
            let recall = (found as f64 + 1.0) / (expected as f64 + 1.0);
            assert!(recall >= 0.95, "{share} {correlated}: {recall}");
        }
    }
}

#[test]
fn every_plan_can_be_forced_and_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    let filter = Filter::lt("rank", 3_000).and(Filter::text("title", "chess engin*").unwrap());
    let request = SearchRequest::new(Random(5).vector())
        .filter(filter.clone())
        .explain(true);
    let matching = collection.count(Some(&filter)).unwrap();
    let mut works = Vec::new();
    // A graph of what matches is there only once a filter has returned often: see the tests of returning filters.
    for plan in [Plan::Scan, Plan::Walk, Plan::Hop] {
        let answer = collection.search(&with_plan(&request, plan)).unwrap();
        let explanation = answer.explanation.unwrap();
        let [indexed, flushed, memtable] = explanation.parts.as_slice() else {
            panic!("{explanation:?}");
        };
        assert_eq!(indexed.plan, plan.name());
        assert_eq!(indexed.plans.len(), 3, "{indexed:?}");
        assert_eq!(
            (flushed.plan.as_str(), memtable.part.as_str()),
            ("scan", "memtable")
        );
        let parts = explanation.parts.iter();
        assert_eq!(
            parts.clone().map(|part| part.matching).sum::<u64>(),
            matching
        );
        assert_eq!(answer.stats.matching, Some(matching));
        for part in parts {
            let estimate = part.estimate.unwrap();
            assert!(estimate.min <= estimate.likely && estimate.likely <= estimate.max);
        }
        let conditions: Vec<&str> = explanation
            .conditions
            .iter()
            .map(|condition| condition.condition.as_str())
            .collect();
        assert_eq!(
            conditions,
            [
                r#"{"rank":{"$lt":3000}}"#,
                r#"{"title":{"$text":"chess engin*"}}"#
            ]
        );
        let text = serde_json::to_string(&explanation).unwrap();
        // Numbers with a fraction may lose their last bit on the way through JSON.
        let read: Explanation = serde_json::from_str(&text).unwrap();
        assert_eq!(read.conditions, explanation.conditions);
        assert_eq!(read.parts.len(), 3);
        works.push((indexed.distance_computations, indexed.rows_checked));
    }
    let [scan, walk, hop] = works.as_slice() else {
        panic!("{works:?}");
    };
    assert!(walk.0 < scan.0 && hop.0 < walk.0, "{works:?}");
    assert!(hop.1 > walk.1 && scan.1 == 0, "{works:?}");
    // Where a plan will not do, it is not listed: every answer can be written and read.
    let rare = request.clone().filter(Filter::lt("rank", 20));
    let rare = collection.search(&rare).unwrap().explanation.unwrap();
    let plans: Vec<&str> = rare.parts[0]
        .plans
        .iter()
        .map(|plan| plan.plan.as_str())
        .collect();
    assert_eq!(plans, ["scan", "walk"]);
    let text = serde_json::to_string(&rare).unwrap();
    assert!(serde_json::from_str::<Explanation>(&text).is_ok(), "{text}");
    // The filter has been here before.
    let again = collection.search(&request).unwrap().explanation.unwrap();
    let cached: Vec<bool> = again.parts.iter().map(|part| part.cached).collect();
    assert_eq!(cached, [true, true, false], "memory is looked at anew");
    assert_eq!(again.parts[0].rows_read, 0);
    // A write is seen at once.
    let deleted = collection
        .delete_by_filter(&filter.clone().and(Filter::lt("rank", 500)))
        .unwrap();
    assert!(deleted.deleted > 0);
    let fewer = collection.search(&request).unwrap();
    assert_eq!(fewer.stats.matching, Some(matching - deleted.deleted));
    // Unasked, nothing is explained.
    let plain = collection.search(&request.explain(false)).unwrap();
    assert_eq!(plain.explanation, None);
}

#[test]
fn words_areas_and_inner_fields_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    let berlin = GeoPoint::new(5.0, 5.0).unwrap();
    let filters = [
        Filter::phrase("title", "engine number 7").unwrap(),
        Filter::eq("title", "chess engine number 7"),
        Filter::starts_with("title", "chess engine number 4"),
        Filter::contains("title", "number 1"),
        Filter::geo_within("at", GeoArea::circle(berlin, 100_000.0).unwrap()),
        Filter::eq("size.width", 5),
        Filter::all("size.width", [5]),
    ];
    for filter in filters {
        let counted = collection.count(Some(&filter)).unwrap();
        let mut expected = 0;
        let mut cursor = None;
        loop {
            let page = collection
                .scroll(&vecdb_engine::ScrollRequest {
                    cursor,
                    limit: 5_000,
                    ..Default::default()
                })
                .unwrap();
            let records = page.points.iter();
            expected += records
                .filter(|record| record.metadata.as_ref().is_some_and(|m| filter.matches(m)))
                .count() as u64;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(counted, expected, "{filter}");
        assert!(counted > 0, "{filter}");
    }
    let wrong = Filter::text("rank", "five").unwrap();
    let error = collection.count(Some(&wrong)).unwrap_err().to_string();
    assert!(error.contains("$text is for fields of texts"), "{error}");
}

#[test]
fn what_a_search_would_do_is_told_without_running_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    let vector = Random(5).vector();
    for (filter, plan) in [
        (Filter::lt("rank", 20), "scan"),
        (Filter::lt("rank", 9_000), "walk"),
    ] {
        let request = SearchRequest::new(vector.clone()).filter(filter.clone());
        let told = collection
            .search(&request.clone().explain_only(true))
            .unwrap();
        assert!(told.hits.is_empty() && told.stats.distance_computations == 0);
        let told = told.explanation.unwrap();
        let run = collection.search(&request.explain(true)).unwrap();
        let run = run.explanation.unwrap();
        assert_eq!(told.parts[0].plan, plan);
        // A plan that will not do is left out.
        assert!(told.parts[0].plans.len() >= 2);
        assert_eq!(told.parts[0].plans[0].plan, plan);
        assert_eq!(told.parts.len(), run.parts.len());
        for (told, run) in told.parts.iter().zip(&run.parts) {
            assert_eq!((&told.part, told.points), (&run.part, run.points));
            assert_eq!(told.estimate, run.estimate);
            assert_eq!((told.matching, told.rows_read), (0, 0));
        }
        assert_eq!(told.conditions[0].estimate, run.conditions[0].estimate);
        assert!(told.conditions[0].indexed);
    }
    let forced = with_plan(&SearchRequest::new(vector.clone()), Plan::Hop)
        .filter(Filter::lt("rank", 20))
        .explain_only(true);
    let forced = collection.search(&forced).unwrap().explanation.unwrap();
    assert_eq!(forced.parts[0].plan, "hop");
    let unfiltered = SearchRequest::new(vector).explain_only(true);
    let unfiltered = collection.search(&unfiltered).unwrap().explanation.unwrap();
    assert_eq!(unfiltered.parts[0].plan, "index");
    assert!(unfiltered.conditions.is_empty() && unfiltered.parts[0].plans.is_empty());
}

/// Conditions that no index answers read rows, and heed who waits for them.
#[test]
fn reading_rows_for_a_filter_ends_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    collection.drop_field_index("rank").unwrap();
    let request = SearchRequest::new(Random(5).vector());
    // By a plan that takes what matches: none is found by a look at the nearest. Never the same filter twice: what it matches
    // would be known.
    let request = with_plan(&request, Plan::Walk);
    let whole = (0..3).map(|at| {
        let request = request.clone().filter(Filter::gt("rank", -at - 200));
        let started = std::time::Instant::now();
        let unindexed = collection.search(&request).unwrap().stats.unindexed;
        assert_eq!(unindexed, ["rank"]);
        started.elapsed()
    });
    let whole = whole.min().unwrap();
    let cut = (0..20).map(|at| {
        let started = std::time::Instant::now();
        let mut request = request.clone().filter(Filter::gt("rank", -at - 3));
        request.stop = StopSignal::default().with_deadline(started + whole / 20);
        let error = collection.search(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
        started.elapsed()
    });
    assert!(cut.min().unwrap() < whole);
    // A time limit truncates: what was not read is not found.
    let mut request = request.filter(Filter::gt("rank", -100));
    request.timeout = Some(whole / 20);
    let answer = collection.search(&request).unwrap();
    assert!(answer.truncated);
    request.timeout = None;
    let answer = collection.search(&request).unwrap();
    assert!(!answer.truncated && answer.hits.len() == 10);
}

/// What goes with the query, against it, and with neither, of most points to nearly none.
fn filters_around(query: &[f32]) -> Vec<Filter> {
    let middle = f64::from(query[0]) * 1_000.0;
    let mut filters = Vec::new();
    for share in [0.9, 0.3, 0.05, 0.003, 0.0002] {
        let width = share * 1_000.0;
        filters.push(Filter::lt("rank", (share * 10_000.0) as i64));
        filters.push(
            Filter::gte("side", middle - width / 2.0)
                .and(Filter::lte("side", middle + width / 2.0)),
        );
        filters.push(match query[0] < 0.5 {
            true => Filter::gte("side", 1_000.0 - width),
            false => Filter::lt("side", width),
        });
    }
    filters.push(Filter::lt("rank", 0));
    filters.push(Filter::lt("rank", 4_000).and(Filter::eq("size.width", 5)));
    filters
}

fn distances(answer: &vecdb_engine::SearchResponse) -> Vec<f32> {
    answer.hits.iter().map(|hit| hit.distance).collect()
}

/// A search that checks the nearest points finds as much as one that knows what matches.
#[test]
fn no_filter_without_index_costs_recall() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    let mut random = Random(77);
    let queries: Vec<Vec<f32>> = (0..6).map(|_| random.vector()).collect();
    let mut cases = Vec::new();
    for query in &queries {
        for filter in filters_around(query) {
            let request = SearchRequest::new(query.clone())
                .filter(filter)
                .with_metadata(false);
            let truth = collection.search(&with_plan(&request, Plan::Scan)).unwrap();
            cases.push((request, distances(&truth)));
        }
    }
    for field in ["rank", "side"] {
        collection.drop_field_index(field).unwrap();
    }
    for forced in [None, Some(Plan::Check)] {
        let (mut found, mut expected, mut checked) = (0, 0, 0);
        for (request, truth) in &cases {
            let mut request = request.clone().explain(true);
            request.params.plan = forced;
            request.params.plan_costs = Some(vecdb_engine::PlanCosts::Counted);
            let answer = collection.search(&request).unwrap();
            assert_eq!(answer.hits.len(), truth.len(), "{:?}", request.filter);
            assert!(!answer.truncated && !answer.stats.unindexed.is_empty());
            let worst = truth.last().copied().unwrap_or(0.0);
            let near = distances(&answer).into_iter().filter(|d| *d <= worst);
            found += near.count();
            expected += truth.len();
            let part = &answer.explanation.unwrap().parts[0];
            checked += usize::from(part.plan == "check" && !part.switched);
            assert!(forced.is_none() || part.plan == "check" && !part.switched);
        }
        let recall = found as f64 / expected as f64;
        assert!(recall >= 0.97, "{forced:?}: {recall}");
        // Where many points match it is the cheaper way by far, where none does it is given up. What filters of `rank` match
        // is known since the same one came twice.
        assert!(checked > cases.len() / 6, "{forced:?}: {checked}");
        assert!(forced.is_some() || checked < cases.len());
    }
}

#[test]
fn a_filter_without_index_is_checked_until_reading_all_of_it_pays() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    collection.drop_field_index("rank").unwrap();
    let mut random = Random(3);
    let filter = Filter::lt("rank", 6_000);
    let mut request = SearchRequest::new(random.vector())
        .filter(filter.clone())
        .explain(true);
    request.params.plan_costs = Some(vecdb_engine::PlanCosts::Counted);

    let told = collection
        .search(&request.clone().explain_only(true))
        .unwrap();
    let told = &told.explanation.unwrap().parts[0];
    assert_eq!(
        (told.plan.as_str(), told.plans[0].plan.as_str()),
        ("check", "check")
    );
    let names: Vec<&str> = told.plans.iter().map(|plan| plan.plan.as_str()).collect();
    assert!(
        names.contains(&"walk") && names.contains(&"scan"),
        "{names:?}"
    );
    assert!(told.plans.is_sorted_by(|a, b| a.time_us <= b.time_us));
    assert!(
        told.plans
            .iter()
            .all(|plan| plan.time_us > 0.0 && plan.work > 0.0)
    );

    let answer = collection.search(&request).unwrap();
    assert_eq!(answer.stats.matching, None, "not every point was looked at");
    let part = &answer.explanation.unwrap().parts[0];
    assert_eq!((part.plan.as_str(), part.matching), ("check", 10));
    assert!((10..200).contains(&part.rows_read), "{part:?}");
    assert!(part.cost_us > 0.0 && !part.switched && !part.cached);
    // A plan that needs to know all that match reads all, for once.
    let walked = collection.search(&with_plan(&request, Plan::Walk)).unwrap();
    assert!(walked.stats.matching.is_some());
    assert_eq!(walked.explanation.unwrap().parts[0].rows_read, POINTS);

    // No point near the query or elsewhere matches: that is soon clear.
    let mut nothing = request.clone();
    nothing.filter = Some(Filter::lt("rank", -5));
    let answer = collection.search(&nothing).unwrap();
    assert!(answer.hits.is_empty() && answer.stats.matching == Some(0));
    let part = &answer.explanation.unwrap().parts[0];
    assert_eq!((part.plan.as_str(), part.switched), ("check", true));
    assert!(
        part.rows_read > POINTS && part.rows_read <= 2 * POINTS,
        "{part:?}"
    );

    // A filter that returns is known in the end, and then costs nothing to read.
    let mut again = request.clone();
    again.filter = Some(Filter::lt("rank", 2_000));
    let mut searches = 0;
    let part = loop {
        again.vector = random.vector();
        let answer = collection.search(&again).unwrap();
        assert_eq!(answer.hits.len(), 10);
        let part = answer.explanation.unwrap().parts.swap_remove(0);
        if part.cached {
            break part;
        }
        searches += 1;
        assert!(searches < 1_000, "{part:?}");
    };
    assert!(
        searches > 5 && part.rows_read == 0,
        "after {searches}: {part:?}"
    );
    assert_ne!(part.plan, "check");
    let counts = collection.info().searches;
    assert!(counts.check > 5 && counts.switched > 0, "{counts:?}");

    // What indexes tell of the filter is known beforehand.
    let mut both = request.clone();
    both.filter = Some(filter.and(Filter::phrase("title", "number 7").unwrap()));
    let answer = collection.search(&with_plan(&both, Plan::Check)).unwrap();
    let part = &answer.explanation.unwrap().parts[0];
    assert_eq!(answer.hits.len(), 10);
    // One title in fifty has the words.
    assert!(part.rows_read < 200, "{part:?}");

    // A time limit truncates, and a stop signal ends it.
    let mut cut = with_plan(&nothing, Plan::Check);
    cut.timeout = Some(std::time::Duration::ZERO);
    assert!(collection.search(&cut).unwrap().truncated);
    cut.timeout = None;
    cut.stop = StopSignal::default().with_deadline(std::time::Instant::now());
    let error = collection.search(&cut).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

/// What plans are compared by changes how a search is answered, never what it finds.
#[test]
fn measured_and_counted_costs_find_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let collection = collection(&database);
    let mut random = Random(11);
    let (mut found, mut expected) = (0, 0);
    for _ in 0..10 {
        let query = random.vector();
        for filter in filters_around(&query) {
            let mut request = SearchRequest::new(query.clone())
                .filter(filter)
                .explain(true);
            let truth = collection.search(&with_plan(&request, Plan::Scan)).unwrap();
            let worst = truth.hits.last().map_or(0.0, |hit| hit.distance);
            for costs in [
                vecdb_engine::PlanCosts::Counted,
                vecdb_engine::PlanCosts::Measured,
            ] {
                request.params.plan_costs = Some(costs);
                let answer = collection.search(&request).unwrap();
                assert_eq!(answer.hits.len(), truth.hits.len());
                let near = distances(&answer).into_iter().filter(|d| *d <= worst);
                found += near.count();
                expected += truth.hits.len();
                let part = &answer.explanation.unwrap().parts[0];
                if costs == vecdb_engine::PlanCosts::Counted && part.plans.len() > 1 {
                    // A distance takes the same by every plan.
                    let unit = part.plans[0].time_us / part.plans[0].work;
                    for plan in &part.plans {
                        assert!((plan.time_us / plan.work / unit - 1.0).abs() < 1e-6);
                    }
                }
            }
        }
    }
    assert!(
        found as f64 >= 0.97 * expected as f64,
        "{found} of {expected}"
    );
}
