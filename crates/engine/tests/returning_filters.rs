//! Filters that return often get a graph of what matches: when, how much of it there may be, and that nothing is lost by it.

use serde_json::json;
use vecdb_engine::{
    Collection, CollectionConfig, Database, Filter, HnswParams, IndexSpec, Metric, Options,
    PartExplanation, Plan, PlanCosts, Point, Quantization, SearchParams, SearchRequest,
    SearchResponse, metadata_from_json,
};
use vecdb_testkit::synthetic::ClusteredGaussian;

const DIM: usize = 256;
const POINTS: u32 = 10_000;
/// Searches under a filter within which its graph must have been built. (Some 10,000 are expected.)
const SEARCHES_MAX: usize = 400_000;

/// Points in clusters: `rank` goes with nothing, `side` with the first number.
struct World {
    vectors: Vec<Vec<f32>>,
    queries: Vec<Vec<f32>>,
}

impl World {
    fn new() -> Self {
        let source = ClusteredGaussian {
            rows: POINTS,
            dim: DIM,
            clusters: 30,
            spread: 0.6,
            seed: 21,
        };
        let (base, queries) = source.with_queries(60);
        let rows = |values: &[f32]| values.chunks(DIM).map(<[f32]>::to_vec).collect();
        Self {
            vectors: rows(&base),
            queries: rows(&queries),
        }
    }

    fn points(&self, ids: std::ops::Range<u64>) -> Vec<Point> {
        let point = |id: u64| {
            let vector = self.vectors[id as usize].clone();
            let rank = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 10_000;
            let metadata = json!({"rank": rank, "side": side(&vector)});
            let mut point = Point::new(id, vector);
            point.metadata = metadata_from_json(&metadata).unwrap();
            point
        };
        ids.map(point).collect()
    }

    /// About so many of the points, on one side of the space: some of the queries are among them, others far away.
    fn on_one_side(&self, share: f64) -> Filter {
        let mut sides: Vec<i64> = self.vectors.iter().map(|vector| side(vector)).collect();
        sides.sort_unstable();
        Filter::lt("side", sides[(share * f64::from(POINTS)) as usize])
    }
}

fn side(vector: &[f32]) -> i64 {
    (vector[0] * 1_000.0) as i64
}

/// About so many of the points, anywhere.
fn anywhere(share: f64) -> Filter {
    Filter::lt("rank", (share * 10_000.0) as i64)
}

/// Nothing happens in the background: graphs are built when the collection is brought to rest.
fn options() -> Options {
    Options {
        background: false,
        ..Options::default()
    }
}

fn create(database: &Database) -> Collection {
    // Quickly built, so that it soon pays.
    let index = HnswParams {
        m: 12,
        ef_construction: 32,
        quantization: Quantization::None,
        ..HnswParams::default()
    };
    let config = CollectionConfig::new(DIM as u32, Metric::L2).index(IndexSpec::Hnsw(index));
    database.create_collection("points", config).unwrap()
}

/// All points in one segment.
fn filled(database: &Database, world: &World) -> Collection {
    let collection = create(database);
    collection
        .upsert(world.points(0..u64::from(POINTS)))
        .unwrap();
    collection.compact().unwrap();
    collection
}

fn request(query: &[f32], filter: &Filter) -> SearchRequest {
    SearchRequest::new(query.to_vec())
        .filter(filter.clone())
        .with_metadata(false)
        .explain(true)
}

/// With a pool so small that a scan costs several times as much, however costs are measured.
fn quick(query: &[f32], filter: &Filter) -> SearchRequest {
    let params = SearchParams {
        ef: Some(16),
        ..SearchParams::default()
    };
    request(query, filter).params(params)
}

fn forced(request: &SearchRequest, plan: Plan) -> SearchRequest {
    request.clone().params(SearchParams {
        plan: Some(plan),
        ..SearchParams::default()
    })
}

/// Searches under the filter until it has its graph.
fn until_built(collection: &Collection, world: &World, filter: &Filter) {
    let before = collection.info().searches.subset;
    for at in 0..SEARCHES_MAX {
        let query = &world.queries[at % world.queries.len()];
        let request = quick(query, filter).explain(false);
        collection.search(&request).unwrap();
        if at % 250 == 0 {
            collection.wait_until_idle().unwrap();
            if collection.info().searches.subset > before {
                return;
            }
        }
    }
    panic!("{filter} has no graph yet: {:?}", collection.info());
}

fn parts(answer: &SearchResponse) -> &[PartExplanation] {
    &answer.explanation.as_ref().unwrap().parts
}

fn plan_names(part: &PartExplanation) -> Vec<&str> {
    part.plans.iter().map(|plan| plan.plan.as_str()).collect()
}

/// What the searches of all queries find of what a scan finds, and the distances that they take.
fn measure(
    collection: &Collection,
    world: &World,
    filter: &Filter,
    plan: Option<Plan>,
) -> (f64, u64) {
    let (mut found, mut wanted, mut distances) = (0, 0, 0);
    for query in &world.queries {
        let mut request = request(query, filter);
        let truth = collection.search(&forced(&request, Plan::Scan)).unwrap();
        request.params.plan = plan;
        let answer = collection.search(&request).unwrap();
        assert_eq!(answer.hits.len(), truth.hits.len(), "{filter} {plan:?}");
        let worst = truth.hits.last().map_or(0.0, |hit| hit.distance);
        let near = answer.hits.iter().filter(|hit| hit.distance <= worst);
        found += near.count();
        wanted += truth.hits.len();
        distances += answer.stats.distance_computations;
    }
    (
        f64::from(found as u32) / f64::from(wanted as u32),
        distances,
    )
}

#[test]
fn a_filter_that_returns_gets_a_graph_of_what_matches() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), options()).unwrap();
    let world = World::new();
    let collection = filled(&database, &world);
    let filter = anywhere(0.2);
    let request = quick(&world.queries[0], &filter);

    // Before there is one, to ask for it is to ask for nothing.
    let without = collection.search(&forced(&request, Plan::Subset)).unwrap();
    assert_eq!(without.hits.len(), 10);
    assert_ne!(parts(&without)[0].plan, "subset");
    assert!(!plan_names(&parts(&without)[0]).contains(&"subset"));
    for _ in 0..20 {
        collection.search(&request).unwrap();
    }
    collection.wait_until_idle().unwrap();
    let info = collection.info();
    assert_eq!((info.subset_graphs, info.searches.subset), (0, 0));

    until_built(&collection, &world, &filter);
    let info = collection.info();
    assert_eq!(info.subset_graphs, 1);
    let bytes = info.subset_graph_bytes / (u64::from(POINTS) / 5);
    assert!((130..170).contains(&bytes), "{bytes} bytes a point");
    let memory = database.memory();
    assert_eq!(memory.subset_graph_bytes, info.subset_graph_bytes);
    assert_eq!(memory.building_bytes, 0);

    let answer = collection.search(&request).unwrap();
    let part = &parts(&answer)[0];
    assert_eq!((part.plan.as_str(), part.cached), ("subset", true));
    assert_eq!((part.rows_checked, part.share_near), (0, None));
    assert!(part.cost_us > 0.0 && !part.switched, "{part:?}");
    let names = plan_names(part);
    assert!(names.contains(&"scan") && names[0] == "subset", "{names:?}");
    let told = collection.search(&request.clone().explain_only(true));
    let told = told.unwrap();
    assert_eq!(parts(&told)[0].plan, "subset");
    assert_eq!(plan_names(&parts(&told)[0])[0], "subset");

    // Where the same is to be done always, what was searched before does not count.
    let mut counted = request.clone();
    counted.params.plan_costs = Some(PlanCosts::Counted);
    let counted = collection.search(&counted).unwrap();
    assert!(!plan_names(&parts(&counted)[0]).contains(&"subset"));

    let (recall, distances) = measure(&collection, &world, &filter, Some(Plan::Subset));
    let (_, of_hops) = measure(&collection, &world, &filter, Some(Plan::Hop));
    assert!(recall >= 0.97, "{recall}");
    assert!(distances < of_hops, "{distances}, hops take {of_hops}");
    // As many hits as match, if more are asked for.
    let all = collection.search(&request.clone().limit(5_000)).unwrap();
    assert_eq!(Some(all.hits.len() as u64), all.stats.matching);

    drop((collection, database));
    let database = Database::open(folder.path(), options()).unwrap();
    let collection = database.collection("points").unwrap();
    assert_eq!(collection.info().subset_graphs, 0);
    assert_eq!(collection.search(&request).unwrap().hits.len(), 10);
}

#[test]
fn deleted_points_are_not_found_in_a_graph_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), options()).unwrap();
    let world = World::new();
    let collection = filled(&database, &world);
    let (filter, other) = (anywhere(0.25), world.on_one_side(0.25));
    for filter in [&filter, &other] {
        until_built(&collection, &world, filter);
    }
    let matching = collection.count(Some(&filter)).unwrap();

    let deleted = collection.delete_by_filter(&anywhere(0.06)).unwrap();
    assert!(deleted.deleted > 500);
    for query in &world.queries {
        let asked = forced(&request(query, &filter), Plan::Subset).limit(50);
        let answer = collection.search(&asked.with_metadata(true)).unwrap();
        assert_eq!(parts(&answer)[0].plan, "subset");
        assert_eq!(answer.stats.matching, Some(matching - deleted.deleted));
        assert_eq!(answer.hits.len(), 50);
        for hit in &answer.hits {
            let metadata = hit.metadata.as_ref().unwrap();
            assert!(!anywhere(0.06).matches(metadata), "{:?}", hit.id);
        }
    }
    for plan in [None, Some(Plan::Subset)] {
        let (recall, _) = measure(&collection, &world, &filter, plan);
        assert!(recall >= 0.97, "{plan:?}: {recall}");
    }
    assert_eq!(collection.info().subset_graphs, 2);

    // Replaced points lie elsewhere now, and match there.
    let moved = world.points(0..200);
    collection.upsert(moved).unwrap();
    let (recall, _) = measure(&collection, &world, &filter, Some(Plan::Subset));
    assert!(recall >= 0.97, "{recall}");

    // More than half of it is gone, and about a sixth of the other.
    collection.delete_by_filter(&anywhere(0.16)).unwrap();
    for filter in [&filter, &other] {
        let (recall, _) = measure(&collection, &world, filter, None);
        assert!(recall >= 0.97, "{recall}");
    }
    assert_eq!(collection.info().subset_graphs, 1);

    // It goes with its segment.
    collection.compact().unwrap();
    assert_eq!(collection.info().subset_graphs, 0);
    assert_eq!(database.memory().subset_graph_bytes, 0);
    let (recall, _) = measure(&collection, &world, &filter, None);
    assert!(recall >= 0.97, "{recall}");
}

/// What goes with the query, against it, and with neither.
#[test]
fn no_filter_that_returns_costs_recall() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), options()).unwrap();
    let world = World::new();
    let collection = filled(&database, &world);
    for share in [0.3, 0.15] {
        for filter in [anywhere(share), world.on_one_side(share)] {
            until_built(&collection, &world, &filter);
            for plan in [None, Some(Plan::Subset)] {
                let (recall, _) = measure(&collection, &world, &filter, plan);
                assert!(recall >= 0.95, "{filter} {plan:?}: {recall}");
            }
        }
    }
    let info = collection.info();
    assert_eq!(info.subset_graphs, 4);
    assert!(info.searches.subset >= 4 * 60, "{:?}", info.searches);
}

#[test]
fn every_segment_has_graphs_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        // No more than half of the points in a segment.
        segment_bytes_max: 8 << 20,
        ..options()
    };
    let database = Database::open(folder.path(), options).unwrap();
    let world = World::new();
    let collection = create(&database);
    let half = u64::from(POINTS) / 2;
    for ids in [0..half, half..2 * half] {
        collection.upsert(world.points(ids)).unwrap();
        collection.wait_until_idle().unwrap();
    }
    let info = collection.info();
    let indexed = info.segments.iter().filter(|s| s.index.is_some());
    assert_eq!((info.segments.len(), indexed.count()), (2, 2), "{info:?}");
    let filter = world.on_one_side(0.25);
    until_built(&collection, &world, &filter);
    for at in 0..SEARCHES_MAX {
        if collection.info().subset_graphs == 2 {
            break;
        }
        let query = &world.queries[at % world.queries.len()];
        collection.search(&quick(query, &filter)).unwrap();
        if at % 250 == 0 {
            collection.wait_until_idle().unwrap();
        }
    }
    assert_eq!(collection.info().subset_graphs, 2);
    let answer = collection
        .search(&forced(&request(&world.queries[0], &filter), Plan::Subset))
        .unwrap();
    let plans: Vec<&str> = parts(&answer).iter().map(|p| p.plan.as_str()).collect();
    assert_eq!(plans, ["subset", "subset"]);
    for plan in [None, Some(Plan::Subset)] {
        let (recall, _) = measure(&collection, &world, &filter, plan);
        assert!(recall >= 0.97, "{plan:?}: {recall}");
    }
}

#[test]
fn graphs_keep_within_their_memory() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let most = 600 << 10;
    let allowing = |subset_graph_bytes_max| Options {
        subset_graph_bytes_max,
        ..options()
    };
    let database = Database::open(folder.path(), allowing(most)).unwrap();
    let collection = filled(&database, &world);
    // Of these one takes more than half of it.
    let filters = [anywhere(0.25), world.on_one_side(0.25)];
    for filter in filters.iter().chain(&filters) {
        until_built(&collection, &world, filter);
        let info = collection.info();
        assert_eq!(info.subset_graphs, 1);
        assert!(info.subset_graph_bytes <= most, "{info:?}");
        let answer = collection.search(&quick(&world.queries[0], filter));
        assert_eq!(parts(&answer.unwrap())[0].plan, "subset");
    }
    drop((collection, database));
    // None may be had: not of so much, and not at all.
    for most in [100 << 10, 0] {
        let database = Database::open(folder.path(), allowing(most)).unwrap();
        let collection = database.collection("points").unwrap();
        for at in 0..40_000 {
            let query = &world.queries[at % world.queries.len()];
            let request = quick(query, &filters[0]).explain(false);
            collection.search(&request).unwrap();
        }
        collection.wait_until_idle().unwrap();
        let info = collection.info();
        assert_eq!((info.subset_graphs, info.searches.subset), (0, 0));
    }
}

/// The background builds them by itself, while points are written and deleted and segments merged.
#[test]
fn graphs_come_in_the_background_while_the_collection_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let world = World::new();
    let collection = filled(&database, &world);
    let filter = anywhere(0.25);
    let written = world.points(0..u64::from(POINTS));
    let mut left: Vec<u64> = (0..u64::from(POINTS)).collect();
    let mut at = 0;
    while collection.info().searches.subset < 200 {
        assert!(at < SEARCHES_MAX, "{:?}", collection.info());
        let query = &world.queries[at % world.queries.len()];
        let asked = quick(query, &filter).with_metadata(true).explain(false);
        let answer = collection.search(&asked).unwrap();
        assert_eq!(answer.hits.len(), 10);
        for hit in &answer.hits {
            assert!(filter.matches(hit.metadata.as_ref().unwrap()));
        }
        // A point goes, and another is written again.
        if at % 400 == 0 && left.len() > 9_000 {
            let id = left.swap_remove(at * 7 % left.len());
            collection.delete(&[id.into()]).unwrap();
            let again = left[at * 13 % left.len()];
            let again = written[again as usize].clone();
            collection.upsert(vec![again]).unwrap();
        }
        at += 1;
    }
    collection.wait_until_idle().unwrap();
    let (recall, _) = measure(&collection, &world, &filter, None);
    assert!(recall >= 0.97, "{recall}");
}
