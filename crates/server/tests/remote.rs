//! Every operation through `Remote` and a real server does what it does on a folder.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use vecdb_backend::{Backend, Local, Remote, RemoteOptions, Selection, SnapshotStore};
use vecdb_engine::{
    AdviceParams, Archive, CollectionConfig, Database, Durability, ErrorKind, Example,
    FacetRequest, Filter, MetadataUpdate, Metric, Options, OrderBy, Point, RecommendRequest,
    RecommendStrategy, RestorePoint, RestoreRequest, Result, ScrollRequest, SearchRequest,
    SearchResponse, StopSignal,
};
use vecdb_server::Server;
use vecdb_server::config::Config;
use vecdb_sql::{Param, Params};

const PATIENCE: Duration = Duration::from_secs(8);

/// A server and a folder on which the same is done.
struct Both {
    remote: Remote,
    local: Local,
    _server: Server,
    _folder: TempDir,
}

impl Both {
    fn new() -> Self {
        Self::with_archives(false)
    }

    fn with_archives(archived: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = |name: &str| archived.then(|| folder.path().join(name));
        let mut config = Config::default();
        let any = "127.0.0.1:0".parse().unwrap();
        config.listen.grpc = any;
        config.listen.http = any;
        config.listen.metrics = None;
        config.storage.path = folder.path().join("served");
        // With one thread a graph is the same each time.
        config.storage.background_threads = 1;
        config.storage.archive = archive("log-served").map(|path| path.display().to_string());
        let server = Server::start(config).unwrap();
        assert!(server.wait_ready(PATIENCE), "{:?}", server.state());
        let options = RemoteOptions {
            timeout: Some(PATIENCE),
            ..RemoteOptions::default()
        };
        let remote = Remote::connect(&server.grpc_address().to_string(), options).unwrap();
        let options = Options {
            threads: 1,
            archive: archive("log-opened").map_or(Archive::Unchanged, Archive::Folder),
            ..Options::default()
        };
        let database = Database::open(folder.path().join("opened"), options).unwrap();
        let store = folder.path().join("store").display().to_string();
        let store = SnapshotStore::open(&store).unwrap();
        Self {
            remote,
            local: Local::new(Arc::new(database), Some(store)),
            _server: server,
            _folder: folder,
        }
    }

    /// What both say to a call.
    #[track_caller]
    fn both<T: Debug>(&self, call: impl Fn(&dyn Backend) -> Result<T>) -> T {
        let there = call(&self.remote).unwrap();
        let here = call(&self.local).unwrap();
        assert_eq!(format!("{there:?}"), format!("{here:?}"));
        there
    }

    /// How both refuse a call.
    #[track_caller]
    fn refused<T: Debug>(&self, call: impl Fn(&dyn Backend) -> Result<T>) -> ErrorKind {
        let there = call(&self.remote).unwrap_err();
        let here = call(&self.local).unwrap_err();
        assert_eq!(
            (there.kind(), there.to_string()),
            (here.kind(), here.to_string())
        );
        there.kind()
    }
}

fn point(id: u64) -> Point {
    let point = Point::new(id, vec![id as f32, (id % 7) as f32, 0.5]);
    match id % 3 {
        0 => point.with("third", (id / 3) as i64),
        _ => point,
    }
}

/// All of an answer but its time.
fn timeless(mut response: SearchResponse) -> SearchResponse {
    response.elapsed = Duration::ZERO;
    response
}

#[test]
fn every_operation_does_the_same() {
    let both = Both::new();
    let stop = &StopSignal::default();
    let config = CollectionConfig::new(3, Metric::L2)
        .durability(Durability::IntervalMs(5))
        .field("body", "text".parse().unwrap())
        .unindexed("body");
    let info = both.both(|db| db.create_collection("c", config.clone()));
    assert_eq!(info.config, config);
    assert!(!info.fields.is_indexed("body"));
    both.both(|db| db.create_collection("d", CollectionConfig::new(2, Metric::Cosine)));
    let kind = both.refused(|db| db.create_collection("c", config.clone()));
    assert_eq!(kind, ErrorKind::AlreadyExists);

    let all = || (0..1_500).map(point).collect::<Vec<_>>();
    assert_eq!(
        both.both(|db| db.upsert("c", all(), None, stop)).inserted,
        1_500
    );
    let safe = Some(Durability::EveryWrite);
    let again = both.both(|db| db.upsert("c", vec![point(3), point(9_999)], safe, stop));
    assert_eq!((again.inserted, again.updated), (1, 1));
    assert_eq!(again.durability, Durability::EveryWrite);
    let names: Vec<_> = both
        .both(|db| db.collections())
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["c", "d"]);

    let merge = MetadataUpdate::Merge([("colour".to_owned(), "red".into())].into());
    let updated = both.both(|db| db.update_metadata("c", &[1.into(), 2.into()], &merge, stop));
    assert_eq!(updated.updated, 2);
    let replace = MetadataUpdate::Replace([("third".to_owned(), 1_000_000_i64.into())].into());
    both.both(|db| db.update_metadata("c", &[4.into()], &replace, stop));
    let red = Filter::eq("colour", "red");
    assert_eq!(both.both(|db| db.count("c", Some(&red), stop)), 2);
    let gone = both.both(|db| db.delete("c", &Selection::Filter(red.clone()), stop));
    assert_eq!(gone.deleted, 2);
    let ids = Selection::Ids(vec![5.into(), 123_456.into()]);
    assert_eq!(both.both(|db| db.delete("c", &ids, stop)).deleted, 1);
    assert_eq!(both.both(|db| db.count("c", None, stop)), 1_498);

    both.both(|db| db.flush("c"));
    let flushed = both.remote.collection("c").unwrap();
    assert_eq!((flushed.segments.len(), flushed.memtable_points), (1, 0));
    both.both(|db| db.wait_until_idle("c", stop));
    let colour = "colour";
    for changed in [true, false] {
        assert_eq!(both.both(|db| db.drop_field_index("c", colour)), changed);
        assert!(!both.both(|db| db.collection("c")).fields.is_indexed(colour));
    }
    for changed in [true, false] {
        let created = both.both(|db| db.create_field_index("c", colour, stop));
        assert_eq!(created, changed);
        assert!(both.both(|db| db.collection("c")).fields.is_indexed(colour));
    }
    let kind = both.refused(|db| db.drop_field_index("c", "color"));
    assert_eq!(kind, ErrorKind::InvalidArgument);
    let kind = both.refused(|db| db.create_field_index("none", colour, stop));
    assert_eq!(kind, ErrorKind::NotFound);
    let more = || (2_000..2_100).map(point).collect::<Vec<_>>();
    both.both(|db| db.upsert("c", more(), None, stop));
    both.both(|db| db.compact("c", stop));
    let compacted = both.both(|db| db.collection("c"));
    assert_eq!((compacted.segments.len(), compacted.points), (1, 1_598));
    assert!(compacted.segments[0].index.is_some());
    let report = both.both(|db| db.verify(Some("c"), stop));
    assert!(
        report.rows >= 1_598 && report.problems.is_empty(),
        "{report:?}"
    );
    assert!(both.both(|db| db.verify(None, stop)).problems.is_empty());
    let wanted = AdviceParams {
        sample_rows: 1_000,
        queries: 50,
        ..AdviceParams::default()
    };
    let advice = both.both(|db| {
        let advice = db.advise("c", &wanted, stop)?;
        let kinds = advice.choices.iter().map(|choice| choice.spec.kind());
        // Which is the fastest is chance.
        let kinds: std::collections::BTreeSet<_> = kinds.collect();
        let has_choice = advice.recommended().is_some();
        Ok((advice.rows, advice.sample_rows, kinds, has_choice))
    });
    assert_eq!((advice.0, advice.1, advice.3), (1_598, 1_000, true));
    for wrong in [
        AdviceParams {
            target_recall: 1.5,
            ..wanted.clone()
        },
        AdviceParams {
            limit: 0,
            ..wanted.clone()
        },
    ] {
        let kind = both.refused(|db| db.advise("c", &wrong, stop));
        assert_eq!(kind, ErrorKind::InvalidArgument);
    }
    let kind = both.refused(|db| db.advise("d", &wanted, stop));
    assert_eq!(kind, ErrorKind::InvalidArgument, "it is empty");

    let ids = [7, 1, 4, 7].map(Into::into);
    let got = both.both(|db| db.get("c", &ids, true, true, stop));
    assert_eq!(
        got.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false, true, true]
    );
    let third = Filter::gte("third", 100);
    let page = ScrollRequest {
        limit: 9,
        filter: Some(third.clone()),
        with_vector: true,
        ..ScrollRequest::default()
    };
    let first = both.both(|db| db.scroll("c", &page, stop));
    let next = ScrollRequest {
        cursor: first.next_cursor,
        ..page
    };
    assert_eq!(both.both(|db| db.scroll("c", &next, stop)).points.len(), 9);

    let plain = SearchRequest::new([700.0, 0.0, 0.5]).limit(5);
    let filtered = plain.clone().filter(third).with_metadata(false);
    let searches = [plain.clone(), filtered, plain.clone().limit(1)];
    for search in &searches {
        let found = both.both(|db| db.search("c", search, stop).map(timeless));
        assert_eq!(found.hits.len(), search.limit);
    }
    let batch = both.both(|db| {
        let found = db.search_batch("c", &searches, stop)?;
        Ok(found.into_iter().map(timeless).collect::<Vec<_>>())
    });
    assert_eq!(
        batch.iter().map(|one| one.hits.len()).collect::<Vec<_>>(),
        [5, 5, 1]
    );

    let wrong = SearchRequest::new([1.0]);
    assert_eq!(
        both.refused(|db| db.search("c", &wrong, stop)),
        ErrorKind::InvalidArgument
    );
    both.refused(|db| db.search_batch("c", &[plain.clone(), wrong.clone()], stop));
    assert_eq!(both.refused(|db| db.flush("none")), ErrorKind::NotFound);
    assert_eq!(
        both.refused(|db| db.verify(Some("none"), stop)),
        ErrorKind::NotFound
    );
    both.both(|db| db.drop_collection("d"));
    assert_eq!(
        both.refused(|db| db.drop_collection("d")),
        ErrorKind::NotFound
    );
    let status = both.both(|db| {
        let status = db.status()?;
        Ok((status.version, status.collections, status.points))
    });
    assert_eq!((status.1, status.2), (1, 1_598));
}

#[test]
fn points_are_ordered_and_counted_by_a_field() {
    let both = Both::new();
    let stop = &StopSignal::default();
    both.both(|db| db.create_collection("c", CollectionConfig::new(3, Metric::L2)));
    let all = || (0..100).map(point).collect::<Vec<_>>();
    both.both(|db| db.upsert("c", all(), None, stop));
    both.both(|db| db.flush("c"));
    let more = || (90..120).map(point).collect::<Vec<_>>();
    both.both(|db| db.upsert("c", more(), None, stop));

    let mut page = ScrollRequest {
        limit: 30,
        order_by: Some(OrderBy::descending("third")),
        ..ScrollRequest::default()
    };
    let first = both.both(|db| db.scroll("c", &page, stop));
    let ids: Vec<_> = first.points[..3].iter().map(|one| one.id.clone()).collect();
    assert_eq!(ids, [117, 114, 111].map(Into::into));
    page.cursor = first.next_cursor;
    let second = both.both(|db| db.scroll("c", &page, stop));
    assert_eq!(second.points[9].id, 0.into());
    assert_eq!(second.points[10].id, 1.into(), "it misses the field");
    page.order_by = Some(OrderBy::ascending("third"));
    both.refused(|db| db.scroll("c", &page, stop));

    let facets = both.both(|db| db.facets("c", &FacetRequest::new("third").limit(2), stop));
    assert_eq!(
        (facets.distinct, facets.missing, facets.points),
        (40, 80, 120)
    );
    assert_eq!(facets.values[1].value, 1_i64.into());
    for wrong in [
        FacetRequest::new("thrid"),
        FacetRequest::new("third").limit(0),
    ] {
        let kind = both.refused(|db| db.facets("c", &wrong, stop));
        assert_eq!(kind, ErrorKind::InvalidArgument);
    }

    let search = SearchRequest::new([9.0, 2.0, 0.5]).limit(30);
    let found = both.both(|db| db.search("c", &search, stop).map(timeless));
    let rest = search.clone().limit(20).offset(10);
    let rest = both.both(|db| db.search("c", &rest, stop).map(timeless));
    assert_eq!(rest.hits, found.hits[10..]);
    let far = search.clone().offset(1_000);
    assert!(
        both.both(|db| db.search("c", &far, stop).map(timeless))
            .hits
            .is_empty()
    );
    both.refused(|db| db.search("c", &search.clone().offset(100_000), stop));
}

#[test]
fn hits_are_grouped_and_examples_are_searched_by() {
    let both = Both::new();
    let stop = &StopSignal::default();
    both.both(|db| db.create_collection("c", CollectionConfig::new(3, Metric::L2)));
    let all = || (0..300).map(|id| point(id).with("seventh", (id % 7) as i64));
    both.both(|db| db.upsert("c", all().collect(), None, stop));
    let grouped = SearchRequest::new([9.0, 2.0, 0.5])
        .limit(4)
        .offset(1)
        .group_by("seventh", 2);
    let found = both.both(|db| db.search("c", &grouped, stop).map(timeless));
    assert_eq!((found.groups.len(), found.hits.len()), (4, 0));
    assert!(found.groups.iter().all(|group| group.hits.len() == 2));
    let bare = grouped.clone().with_metadata(false).with_vector(true);
    both.both(|db| {
        db.search_batch("c", &[bare.clone(), grouped.clone()], stop)?
            .into_iter()
            .map(|one| Ok(timeless(one)))
            .collect::<Result<Vec<_>>>()
    });
    both.refused(|db| db.search("c", &grouped.clone().group_by("seventh", 0), stop));
    both.refused(|db| db.search("c", &grouped.clone().group_by("sevnth", 2), stop));

    for strategy in RecommendStrategy::ALL {
        let mut request = RecommendRequest::new([70, 77])
            .negative([140])
            .strategy(strategy);
        request.positive.push(Example::Vector(vec![84.0, 0.0, 0.5]));
        request.search = request
            .search
            .limit(6)
            .offset(2)
            .filter(Filter::lt("seventh", 3));
        request.search.min_score = Some(0.001);
        let found = both.both(|db| db.recommend("c", &request, stop).map(timeless));
        assert_eq!(found.hits.len(), 6, "{strategy:?}");
        let ids = [70, 77, 140].map(vecdb_engine::PointId::from);
        assert!(found.hits.iter().all(|hit| !ids.contains(&hit.id)));
        assert!(found.hits.iter().all(|hit| hit.metadata.is_some()));
    }
    let mut grouped = RecommendRequest::new([70]);
    grouped.search = grouped.search.limit(3).group_by("seventh", 2);
    let found = both.both(|db| db.recommend("c", &grouped, stop).map(timeless));
    assert_eq!(found.groups.len(), 3);
    let kind = both.refused(|db| db.recommend("c", &RecommendRequest::new([9_999]), stop));
    assert_eq!(kind, ErrorKind::NotFound);
    let mut none = RecommendRequest::new([70]);
    none.search.limit = 0;
    both.refused(|db| db.recommend("c", &none, stop));
    none.positive.clear();
    none.search.limit = 1;
    both.refused(|db| db.recommend("c", &none, stop));
}

#[test]
fn snapshots_are_made_and_restored() {
    let both = Both::new();
    let stop = &StopSignal::default();
    both.both(|db| db.create_collection("c", CollectionConfig::new(3, Metric::L2)));
    let all = || (0..50).map(point).collect::<Vec<_>>();
    both.both(|db| db.upsert("c", all(), None, stop));
    let made = both.both(|db| {
        let made = db.create_snapshot(Some("s"), &[], stop)?;
        Ok((made.name, made.collections))
    });
    assert_eq!((made.0.as_str(), made.1[0].points), ("s", 50));
    let listed = both.both(|db| {
        Ok(db
            .list_snapshots()?
            .into_iter()
            .map(|one| one.name)
            .collect::<Vec<_>>())
    });
    assert_eq!(listed, ["s"]);
    let unnamed = both
        .remote
        .create_snapshot(None, &["c".to_owned()], stop)
        .unwrap();
    both.remote.delete_snapshot(&unnamed.name).unwrap();
    let again = RestoreRequest::of("c").under("again");
    both.both(|db| db.restore_snapshot("s", &again, stop));
    assert_eq!(both.both(|db| db.count("again", None, stop)), 50);
    both.refused(|db| db.restore_snapshot("s", &RestoreRequest::default(), stop));
    both.both(|db| db.delete_snapshot("s"));
    let error = both.remote.delete_snapshot("s").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn a_load_is_written_in_order_and_an_error_ends_it() {
    let Both { remote, .. } = &Both::new();
    let stop = &StopSignal::default();
    let config = CollectionConfig::new(3, Metric::L2);
    remote.create_collection("c", config).unwrap();
    // The same ids in every batch: the last is what stays.
    let batches = (0..60_i64).map(|at| (0..20).map(|id| point(id).with("batch", at)).collect());
    let mut answers = Vec::new();
    remote
        .upsert_stream("c", batches, None, stop, &mut |result| answers.push(result))
        .unwrap();
    assert_eq!(answers.len(), 60);
    assert!(answers.is_sorted_by_key(|answer| answer.position));
    let last = Filter::eq("batch", 59);
    assert_eq!(remote.count("c", Some(&last), stop).unwrap(), 20);

    // Batches before one that is wrong are written, and none after it is asked for.
    let (asked, heard) = mpsc::channel();
    let batches = (0_u64..100).map(|at| {
        asked.send(at).unwrap();
        let wrong = Point::new(1, vec![1.0]);
        if at == 10 {
            vec![wrong]
        } else {
            vec![point(1_000 + at)]
        }
    });
    let mut written = 0;
    let error = remote
        .upsert_stream("c", batches, None, stop, &mut |_| written += 1)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert_eq!(written, 10);
    assert!(heard.try_iter().max().unwrap() < 30);
    for id in 1_000..1_010_u64 {
        let found = remote.get("c", &[id.into()], false, false, stop).unwrap();
        assert!(found[0].is_some(), "{id}");
    }
}

#[test]
fn statements_say_the_same() {
    let both = Both::new();
    let stop = &StopSignal::default();
    let run = |sql: &str, params: Params| {
        both.both(|db| {
            let mut result = db.query(sql, &params, stop)?;
            result.elapsed = Duration::ZERO;
            Ok(result)
        })
    };
    let none = Params::default;
    run(
        "CREATE COLLECTION c (dimension 2, metric l2, at datetime, place geo)",
        none(),
    );
    let written = run(
        "INSERT INTO c (id, vector, n, name, at, place) VALUES (1, $1, 5, 'x', '2026-01-31', geo(52.5, 13.4)), \
         ($2, [2, 0], NULL, $3, NULL, NULL)",
        Params::Positional(vec![
            vec![1.0, 0.0].into(),
            Param::Id(u64::MAX.into()),
            "it's".into(),
        ]),
    );
    assert_eq!(written.affected, Some(2));
    let search = run(
        "SELECT id, vector, distance, score, n, name, at, place FROM c WHERE vector NEAR $q LIMIT 2",
        Params::named([("q", vec![1.5, 0.5])]),
    );
    assert_eq!((search.rows.len(), search.searched_vectors), (2, Some(2)));
    for sql in [
        "SELECT * FROM c WHERE id = 18446744073709551615",
        "SELECT COUNT(*) FROM c WHERE n IS NULL",
        "SELECT name, COUNT(*) FROM c GROUP BY name ORDER BY name",
        "SELECT name, id, distance FROM c WHERE vector NEAR [1, 0] GROUP BY name LIMIT 2 PER GROUP LIMIT 3",
        "EXPLAIN SELECT id FROM c WHERE vector NEAR [1, 0] GROUP BY name",
        "SHOW COLLECTIONS",
        "DESCRIBE c",
        "DELETE FROM c WHERE n = 5",
    ] {
        run(sql, none());
    }
    for (sql, kind) in [
        ("SELECT x FROM c", ErrorKind::InvalidArgument),
        ("SELECT\n  FROM c", ErrorKind::InvalidArgument),
        ("SELECT id FROM d", ErrorKind::NotFound),
        (
            "CREATE COLLECTION c (dimension 1)",
            ErrorKind::AlreadyExists,
        ),
        ("SELECT id FROM c WHERE n = $1", ErrorKind::InvalidArgument),
    ] {
        assert_eq!(
            both.refused(|db| db.query(sql, &none(), stop)),
            kind,
            "{sql}"
        );
    }
}

#[test]
fn both_restore_to_a_point_of_their_archive() {
    let both = Both::with_archives(true);
    let stop = &StopSignal::default();
    both.both(|db| db.create_collection("c", CollectionConfig::new(3, Metric::L2)));
    both.both(|db| db.upsert("c", vec![point(1)], None, stop));
    for db in [&both.local as &dyn Backend, &both.remote] {
        db.create_snapshot(Some("base"), &[], stop).unwrap();
    }
    let second = both.both(|db| db.upsert("c", vec![point(2)], None, stop));
    both.both(|db| db.upsert("c", vec![point(3)], None, stop));
    let request = |name: &str| RestoreRequest::of("c").under(name);
    for (name, point, points) in [
        ("then", RestorePoint::Sequence(second.position), 2),
        ("now", RestorePoint::Latest, 3),
    ] {
        let request = request(name).until(point);
        let reached = both.both(|db| {
            let restored = db.restore_snapshot("base", &request, stop)?;
            assert!(restored.time.is_some());
            Ok((restored.collections, restored.sequence))
        });
        assert_eq!(reached.0[0].points, points);
    }
    let late = request("late").until(RestorePoint::Sequence(1_000));
    for db in [&both.local as &dyn Backend, &both.remote] {
        let error = db.restore_snapshot("base", &late, stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .contains("covers the sequence numbers 1 to"),
            "{error}"
        );
        let listed = db.list_snapshots().unwrap();
        assert!(listed[0].collections[0].sequence.unwrap() < second.position);
        let report = db.verify_archive(None, stop).unwrap();
        assert_eq!(report.problems, [""; 0]);
        assert_eq!(report.ranges[0].first, 1);
        assert!(report.ranges[0].last >= second.position);
        let archive = db.status().unwrap().archive.unwrap();
        assert!(archive.position >= second.position && archive.last_error.is_none());
    }
    let early = request("early").until(RestorePoint::Time(5));
    let kind = |db: &dyn Backend| {
        db.restore_snapshot("base", &early, stop)
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind(&both.local), ErrorKind::InvalidArgument);
    assert_eq!(kind(&both.remote), ErrorKind::InvalidArgument);
    // Which folders a server reads is not for its callers to say.
    let elsewhere = RestoreRequest {
        archive: Some("/etc".into()),
        ..request("x").until(RestorePoint::Latest)
    };
    let error = both
        .remote
        .restore_snapshot("base", &elsewhere, stop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let error = both.remote.verify_archive(Some("/etc"), stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
