//! `Remote` gives what `Local` gives: over a server in this process that answers by a `Local`.

#[path = "../../client/tests/stub/mod.rs"]
mod stub;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use prost::Message;
use vecdb_backend::{Backend, Local, Remote, RemoteOptions, Selection};
use vecdb_engine::{
    CollectionConfig, Database, Error, ErrorKind, Filter, Metric, Options, Point, Result,
    ScrollRequest, SearchRequest, StopSignal,
};
use vecdb_protocol::{convert, v1};

struct Server {
    local: Arc<Local>,
    remote: Remote,
    address: String,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

/// A server whose calls first pass `gate`.
fn server(gate: impl Fn(&str) -> Result<()> + Send + Sync + 'static) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let db = Arc::new(Database::open(folder.path(), Options::default()).unwrap());
    let local = Arc::new(Local::new(db, None));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let backend = local.clone();
    let address = runtime.block_on(stub::serve(move |method, _, message| {
        let answer = gate(method).and_then(|()| answer(&backend, method, &message));
        answer.map_err(|error| convert::status_of(&error))
    }));
    let address = address.to_string();
    Server {
        local,
        remote: Remote::connect(&address, RemoteOptions::default()).unwrap(),
        address,
        _runtime: runtime,
        _folder: folder,
    }
}

fn read<M: Message + Default>(bytes: &[u8]) -> M {
    M::decode(bytes).unwrap()
}

fn answer(local: &Local, method: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let stop = &StopSignal::default();
    Ok(match method {
        "CreateCollection" => {
            let (name, config) = read::<v1::CreateCollectionRequest>(bytes).try_into()?;
            let info = local.create_collection(&name, config)?;
            v1::CreateCollectionResponse {
                collection: Some(info.try_into()?),
            }
            .encode_to_vec()
        }
        "GetCollection" => {
            let name = read::<v1::GetCollectionRequest>(bytes).name;
            v1::GetCollectionResponse {
                collection: Some(local.collection(&name)?.try_into()?),
            }
            .encode_to_vec()
        }
        "Upsert" | "UpsertStream" => {
            let request: v1::UpsertRequest = read(bytes);
            let durability = convert::durability(request.durability)?;
            let points = convert::points(request.points)?;
            let result = local.upsert(&request.collection, points, durability, stop)?;
            v1::UpsertResponse {
                result: Some(result.into()),
                latency_ms: 0.5,
            }
            .encode_to_vec()
        }
        "Delete" => {
            let request: v1::DeleteRequest = read(bytes);
            let collection = request.collection.clone();
            let result = local.delete(&collection, &request.try_into()?, stop)?;
            v1::DeleteResponse {
                result: Some(result.into()),
                latency_ms: 0.5,
            }
            .encode_to_vec()
        }
        "Get" => {
            let request: v1::GetRequest = read(bytes);
            let with_metadata = request.with_metadata.unwrap_or(true);
            let ids = convert::ids(request.ids)?;
            let name = &request.collection;
            let found = local.get(name, &ids, request.with_vector, with_metadata, stop)?;
            convert::get_response(ids, found).encode_to_vec()
        }
        "Scroll" => {
            let request: v1::ScrollRequest = read(bytes);
            let collection = request.collection.clone();
            let page = local.scroll(&collection, &request.try_into()?, stop)?;
            v1::ScrollResponse::from(page).encode_to_vec()
        }
        "Search" => {
            let request: v1::SearchRequest = read(bytes);
            let collection = request.collection.clone();
            let found = local.search(&collection, &request.try_into()?, stop)?;
            v1::SearchResponse::from(found).encode_to_vec()
        }
        "GetStatus" => v1::GetStatusResponse::from(local.status()?).encode_to_vec(),
        _ => return Err(Error::new(ErrorKind::Unsupported, method)),
    })
}

fn point(id: u64) -> Point {
    let point = Point::new(id, vec![id as f32, 1.0]);
    match id % 2 {
        0 => point.with("half", (id / 2) as i64),
        _ => point,
    }
}

#[test]
fn remote_answers_are_local_answers() {
    let Server { local, remote, .. } = &server(|_| Ok(()));
    let stop = &StopSignal::default();
    let config = CollectionConfig::new(2, Metric::L2);
    let info = remote.create_collection("c", config).unwrap();
    assert_eq!((info.name.as_str(), info.points), ("c", 0));
    let points = (1..=20).map(point).collect();
    let wrote = remote.upsert("c", points, None, stop).unwrap();
    assert_eq!(wrote.inserted, 20);

    let ids = [3, 99, 4, 3].map(Into::into);
    for with_metadata in [true, false] {
        let get = |backend: &dyn Backend| backend.get("c", &ids, true, with_metadata, stop);
        assert_eq!(get(remote).unwrap(), get(local.as_ref()).unwrap());
    }
    let filter = Filter::gte("half", 3);
    let request = SearchRequest::new([9.0, 1.0])
        .filter(filter.clone())
        .limit(4);
    let there = remote.search("c", &request, stop).unwrap();
    let here = local.search("c", &request, stop).unwrap();
    assert_eq!((there.hits.len(), there.hits), (4, here.hits));
    assert_eq!(there.stats.matching, here.stats.matching);
    let plain = SearchRequest::new([9.0, 1.0]);
    assert_eq!(
        remote.search("c", &plain, stop).unwrap().hits,
        local.search("c", &plain, stop).unwrap().hits
    );
    let page = ScrollRequest {
        limit: 7,
        ..ScrollRequest::default()
    };
    assert_eq!(
        remote.scroll("c", &page, stop).unwrap(),
        local.scroll("c", &page, stop).unwrap()
    );
    let nothing = Selection::Ids(Vec::new());
    assert_eq!(
        remote.delete("c", &nothing, stop).unwrap(),
        local.delete("c", &nothing, stop).unwrap()
    );
    let gone = remote.delete("c", &Selection::Filter(filter), stop);
    assert_eq!(gone.unwrap().deleted, 8);
    assert_eq!(remote.status().unwrap().points, 12);
}

#[test]
fn errors_keep_kind_and_words() {
    let Server { local, remote, .. } = &server(|_| Ok(()));
    let stop = &StopSignal::default();
    let config = CollectionConfig::new(2, Metric::L2);
    local.create_collection("c", config).unwrap();
    for (name, request) in [
        ("absent", SearchRequest::new([1.0, 2.0])),
        ("c", SearchRequest::new([1.0])),
        ("c", SearchRequest::new([1.0, 2.0]).limit(0)),
        ("c", SearchRequest::new([1.0, 2.0]).limit(1 << 40)),
    ] {
        let there = remote.search(name, &request, stop).unwrap_err();
        let here = local.search(name, &request, stop).unwrap_err();
        assert_eq!(there.kind(), here.kind(), "{there} / {here}");
        // The limit is cut to 32 bits on its way.
        if request.limit <= u32::MAX as usize {
            assert_eq!(there.to_string(), here.to_string());
        }
    }
    let error = Remote::connect("ftp://x", RemoteOptions::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let options = RemoteOptions {
        client_key: Some(Vec::new()),
        ..RemoteOptions::default()
    };
    let error = Remote::connect("https://x", options).err().unwrap();
    assert!(
        error.to_string().contains("certificate is missing"),
        "{error}"
    );
}

#[test]
fn a_stop_ends_a_call_that_hangs() {
    let Server { remote, .. } = &server(|_| {
        std::thread::sleep(Duration::from_millis(600));
        Ok(())
    });
    let started = Instant::now();
    let soon = StopSignal::default().with_deadline(started + Duration::from_millis(60));
    let error = remote.count("c", None, &soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");

    let signal = StopSignal::new();
    let outcome = std::thread::scope(|scope| {
        let call = scope.spawn(|| remote.count("c", None, &signal));
        std::thread::sleep(Duration::from_millis(60));
        signal.stop();
        call.join().unwrap()
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(started.elapsed() < Duration::from_millis(550));
}

#[test]
fn many_threads_call_at_once() {
    let Server { remote, local, .. } = &server(|_| Ok(()));
    let config = CollectionConfig::new(2, Metric::L2);
    local.create_collection("c", config).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let stop = &StopSignal::default();
                for id in 0..20 {
                    let points = vec![point(thread * 100 + id)];
                    remote.upsert("c", points, None, stop).unwrap();
                }
            });
        }
    });
    let never = &StopSignal::default();
    assert_eq!(local.count("c", None, never).unwrap(), 160);
}

#[test]
fn a_load_goes_on_where_a_busy_server_broke_it_off() {
    let calls = AtomicU32::new(0);
    let Server { local, remote, .. } = &server(move |_| {
        if calls.fetch_add(1, Ordering::SeqCst) % 7 == 5 {
            let busy = Error::new(ErrorKind::ResourceExhausted, "busy");
            return Err(busy.with_retry_after(Duration::from_millis(1)));
        }
        Ok(())
    });
    let config = CollectionConfig::new(2, Metric::L2);
    local.create_collection("c", config).unwrap();
    let batches = (0..30).map(|batch| (0..10).map(|at| point(batch * 10 + at)).collect());
    let mut positions = Vec::new();
    let never = &StopSignal::default();
    remote
        .upsert_stream("c", batches, None, never, &mut |result| {
            positions.push(result.position);
        })
        .unwrap();
    assert_eq!(positions.len(), 30);
    assert!(positions.is_sorted(), "{positions:?}");
    assert_eq!(local.count("c", None, never).unwrap(), 300);

    // A batch that can never be written ends the load.
    let bad = [vec![Point::new(1, vec![1.0])]];
    let error = remote.upsert_stream("c", bad, None, never, &mut |_| ());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let empty = remote.upsert_stream("c", [], None, never, &mut |_| ());
    empty.unwrap();
}

/// Batches of one point each, without end, and how many were taken.
fn endless(taken: &AtomicU32) -> impl Iterator<Item = Vec<Point>> {
    std::iter::repeat_with(|| vec![point(u64::from(taken.fetch_add(1, Ordering::SeqCst)))])
}

#[test]
fn a_stop_ends_a_load() {
    let Server { local, remote, .. } = &server(|_| Ok(()));
    let config = CollectionConfig::new(2, Metric::L2);
    local.create_collection("c", config).unwrap();
    let (taken, stop, mut answered) = (AtomicU32::new(0), StopSignal::new(), 0);
    let error = remote
        .upsert_stream("c", endless(&taken), None, &stop, &mut |_| {
            answered += 1;
            if answered == 20 {
                stop.stop();
            }
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(answered, 20);
    assert!(taken.load(Ordering::SeqCst) <= 28);

    // A deadline is one of the whole load, whose batches still go out without waiting for answers.
    let taken = AtomicU32::new(0);
    let mut taken_at_first = 0;
    let soon = StopSignal::default().with_deadline(Instant::now() + Duration::from_millis(300));
    let error = remote
        .upsert_stream("c", endless(&taken), None, &soon, &mut |_| {
            if taken_at_first == 0 {
                taken_at_first = taken.load(Ordering::SeqCst);
            }
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
    assert_eq!(taken_at_first, 8);
}

#[test]
fn a_stop_ends_a_load_whose_server_says_nothing() {
    let Server { remote, .. } = &server(|_| {
        std::thread::sleep(Duration::from_millis(1_500));
        Ok(())
    });
    let (taken, signal, started) = (AtomicU32::new(0), StopSignal::new(), Instant::now());
    let outcome = std::thread::scope(|scope| {
        let load =
            scope.spawn(|| remote.upsert_stream("c", endless(&taken), None, &signal, &mut |_| ()));
        std::thread::sleep(Duration::from_millis(100));
        signal.stop();
        load.join().unwrap()
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(started.elapsed() < Duration::from_millis(1_000));
}

#[test]
fn the_time_limit_of_the_client_is_one_for_each_answer_of_a_load() {
    // It answers the batches under way, eight, at once.
    let server = server(|_| {
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    });
    let config = CollectionConfig::new(2, Metric::L2);
    server.local.create_collection("c", config).unwrap();
    let load = |limit: u64, batches: usize| {
        let options = RemoteOptions {
            timeout: Some(Duration::from_millis(limit)),
            ..RemoteOptions::default()
        };
        let remote = Remote::connect(&server.address, options).unwrap();
        let (taken, mut answered) = (AtomicU32::new(0), 0);
        let outcome = remote.upsert_stream(
            "c",
            endless(&taken).take(batches),
            None,
            &StopSignal::default(),
            &mut |_| answered += 1,
        );
        (outcome, answered)
    };
    let (outcome, answered) = load(600, 60);
    outcome.unwrap();
    assert_eq!(answered, 60);
    let (outcome, answered) = load(30, 60);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(answered, 0);
}
