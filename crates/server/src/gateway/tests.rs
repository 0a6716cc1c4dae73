//! The gateway with a database behind it and work that the tests hold in their hands.

use std::sync::mpsc;

use http::{Extensions, HeaderMap};
use tempfile::TempDir;
use vecdb_backend::Local;
use vecdb_engine::{CollectionConfig, Database, Metric, Options, Point};

use super::*;
use crate::auth::Credentials;
use crate::config::{ApiKey, Secret};

const SOON: Duration = Duration::from_secs(5);

struct Fixture {
    gateway: Arc<Gateway>,
    metrics: Arc<Metrics>,
    database: Arc<Database>,
    _folder: TempDir,
}

/// One thread for searches.
fn settings() -> Config {
    let mut settings = Config::default();
    settings.limits.search_threads = 1;
    settings.limits.write_threads = 1;
    settings.limits.queue_wait_ms_max = 5_000;
    settings
}

fn open(settings: &Config) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::open(folder.path(), Options::default()).unwrap());
    let metrics = Arc::new(Metrics::new());
    let authority = Arc::new(Authority::new(&settings.auth).unwrap());
    let gateway = Gateway::new(settings, authority, metrics.clone()).unwrap();
    Fixture {
        gateway,
        metrics,
        database,
        _folder: folder,
    }
}

fn serve(settings: &Config) -> Fixture {
    let fixture = open(settings);
    fixture
        .gateway
        .attach(Arc::new(Local::new(fixture.database.clone(), None)));
    fixture
}

fn call() -> Call {
    Call::from_parts(&HeaderMap::new(), &Extensions::new(), Face::Grpc)
}

impl Fixture {
    async fn search<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend, &StopSignal) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Operation::Search, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnOnce(&dyn Backend, &StopSignal) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        tokio::time::timeout(SOON, self.gateway.run(&call(), operation, "c", 10, work))
            .await
            .expect("the gateway answers")
    }

    /// Keeps the only thread for searches busy until the sender is dropped; the receiver gets why the work ended.
    async fn occupy(&self) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<()>>) {
        let (release, released) = mpsc::channel();
        let (started, running) = oneshot::channel();
        let gateway = self.gateway.clone();
        let task = tokio::spawn(async move {
            let work = move |_: &dyn Backend, _: &StopSignal| {
                started.send(()).unwrap();
                let _ = released.recv_timeout(SOON);
                Ok(())
            };
            gateway.run(&call(), Operation::Search, "c", 10, work).await
        });
        running.await.unwrap();
        (release, task)
    }
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[tokio::test]
async fn calls_are_refused_until_there_is_a_database_and_after_it_was_let_go() {
    let fixture = open(&settings());
    let gateway = &fixture.gateway;
    let mut states = gateway.watch();
    assert_eq!(gateway.state(), GatewayState::Opening);
    let early = fixture.search(|_, _| Ok(())).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Unavailable);
    assert!(early.retry_after().is_some());
    assert!(gateway.backend().is_none());

    gateway.fail("CATALOG: checksum does not match");
    let broken = fixture.search(|_, _| Ok(())).await.unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Unavailable);
    assert!(broken.to_string().contains("CATALOG"), "{broken}");
    assert_eq!(broken.retry_after(), None);

    let backend: Arc<dyn Backend> = Arc::new(Local::new(fixture.database.clone(), None));
    gateway.attach(backend.clone());
    assert_eq!(gateway.state(), GatewayState::Ready);
    assert_eq!(
        fixture
            .search(|backend, _| backend.collections())
            .await
            .unwrap(),
        []
    );

    let (release, running) = fixture.occupy().await;
    let drain = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.drain().await }
    });
    states
        .wait_for(|state| *state == GatewayState::Draining)
        .await
        .unwrap();
    assert_eq!(
        kind(fixture.search(|_, _| Ok(())).await),
        Some(ErrorKind::Unavailable)
    );
    assert!(!drain.is_finished(), "a call is still running");
    drop(release);
    assert!(running.await.unwrap().is_ok());
    tokio::time::timeout(SOON, drain).await.unwrap().unwrap();
    assert_eq!(Arc::strong_count(&backend), 1);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let mut settings = settings();
    settings.limits.search_queue_max = 1;
    let fixture = serve(&settings);
    let (release, running) = fixture.occupy().await;
    let waiting = fixture.search(|_, _| Ok(7));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let [read, write, ..] = fixture.gateway.load();
    assert_eq!((read.queued, read.running, write.queued), (1, 1, 0));

    let refused = fixture.search(|_, _| Ok(())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    assert!(refused.retry_after().is_some());
    // Writes have a queue of their own.
    assert_eq!(
        fixture.run(Operation::Upsert, |_, _| Ok(1)).await.unwrap(),
        1
    );

    drop(release);
    assert!(running.await.unwrap().is_ok());
    assert_eq!(waiting.await.unwrap(), 7);
    let metrics = fixture.metrics.render();
    assert!(
        metrics.contains(r#"vecdb_refused_total{reason="queue"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_search_that_waits_too_long_is_refused_behind_one_that_goes_on() {
    let mut settings = settings();
    let fixture = serve(&settings);
    let (release, running) = fixture.occupy().await;
    settings.limits.queue_wait_ms_max = 20;
    fixture.gateway.reload(&settings.limits);
    let refused = fixture.search(|_, _| Ok(())).await.unwrap_err();
    assert!(!running.is_finished());
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    assert!(refused.retry_after().is_some());
    assert!(
        refused.to_string().contains("limits.queue_wait_ms_max"),
        "{refused}"
    );
    // What it held was given back at the same time.
    assert_eq!(fixture.gateway.request_bytes(), 10);
    drop(release);
    assert!(running.await.unwrap().is_ok());
    let metrics = fixture.metrics.render();
    assert!(
        metrics.contains(r#"vecdb_refused_total{reason="queue"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_stream_waits_for_room_and_others_are_refused() {
    let mut settings = settings();
    settings.limits.write_queue_max = 1;
    let fixture = serve(&settings);
    let (release, released) = mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    let busy = fixture.run(Operation::Upsert, move |_, _| {
        started.send(()).unwrap();
        let _ = released.recv_timeout(SOON);
        Ok(())
    });
    let queued = fixture.run(Operation::Upsert, |_, _| Ok(()));
    tokio::pin!(busy, queued);
    assert!(futures_util::poll!(&mut busy).is_pending());
    running.await.unwrap();
    assert!(futures_util::poll!(&mut queued).is_pending());

    let refused = fixture.run(Operation::Upsert, |_, _| Ok(())).await;
    assert_eq!(kind(refused), Some(ErrorKind::ResourceExhausted));
    let of_stream = |deadline| Call {
        waits_for_room: true,
        deadline,
        ..call()
    };
    let gateway = &fixture.gateway;
    let in_time = of_stream(None);
    let patient = gateway.run(&in_time, Operation::Upsert, "c", 0, |_, _| Ok(5));
    tokio::pin!(patient);
    let brief = tokio::time::timeout(Duration::from_millis(30), &mut patient);
    assert!(brief.await.is_err(), "it waits");
    drop(release);
    let (busy, queued, patient) = futures_util::join!(busy, queued, patient);
    assert!(busy.is_ok() && queued.is_ok());
    assert_eq!(patient.unwrap(), 5);

    // But not beyond its time, and not for a server that ends.
    settings.limits.memory_bytes_max = Some(1);
    fixture.gateway.reload(&settings.limits);
    let brief = of_stream(Some(Instant::now() + Duration::from_millis(20)));
    let late = gateway.run(&brief, Operation::Upsert, "c", 0, |_, _| Ok(()));
    assert_eq!(kind(late.await), Some(ErrorKind::ResourceExhausted));
    let waiting = gateway.run(&in_time, Operation::Upsert, "c", 0, |_, _| Ok(()));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let (waited, ()) = tokio::time::timeout(SOON, async {
        futures_util::join!(waiting, gateway.drain())
    })
    .await
    .unwrap();
    assert_eq!(kind(waited), Some(ErrorKind::Unavailable));
}

#[tokio::test]
async fn long_operations_keep_neither_flushes_nor_relief_waiting() {
    let mut settings = settings();
    let fixture = serve(&settings);
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = fixture.database.create_collection("c", config).unwrap();
    let point = |id: u64| vec![Point::new(id, vec![1.0, 2.0])];
    collection.upsert(point(1)).unwrap();
    // All threads for merges, then all for the other long operations.
    let mut releases = Vec::new();
    for operation in [Operation::CompactCollection, Operation::CreateSnapshot] {
        let threads = match operation {
            Operation::CompactCollection => COMPACT_THREADS,
            _ => ADMIN_THREADS,
        };
        for _ in 0..threads {
            let (release, released) = mpsc::channel::<()>();
            let (started, running) = oneshot::channel();
            let gateway = fixture.gateway.clone();
            tokio::spawn(async move {
                let work = move |_: &dyn Backend, _: &StopSignal| {
                    started.send(()).unwrap();
                    let _ = released.recv_timeout(SOON);
                    Ok(())
                };
                gateway.run(&call(), operation, "c", 0, work).await
            });
            running.await.unwrap();
            releases.push(release);
        }
        if operation == Operation::CompactCollection {
            let flush = fixture.run(Operation::FlushCollection, |backend, _| backend.flush("c"));
            flush.await.unwrap();
            assert_eq!(collection.info().memtable_points, 0);
        }
    }
    collection.upsert(point(2)).unwrap();
    settings.limits.memory_bytes_max = Some(1);
    fixture.gateway.reload(&settings.limits);
    let refused = fixture.run(Operation::Upsert, |_, _| Ok(())).await;
    assert_eq!(kind(refused), Some(ErrorKind::ResourceExhausted));
    let begun = Instant::now();
    while collection.info().memtable_points > 0 {
        assert!(begun.elapsed() < SOON / 2, "the flush waits");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(releases);
}

#[tokio::test]
async fn work_of_a_caller_who_went_away_is_stopped_and_never_begun() {
    let fixture = serve(&settings());
    let (started, running) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let (begun, never) = oneshot::channel::<()>();
    let gateway = fixture.gateway.clone();
    let task = tokio::spawn(async move {
        let work = move |_: &dyn Backend, stop: &StopSignal| {
            started.send(()).unwrap();
            let limit = Instant::now() + SOON;
            while !stop.is_stopped() && Instant::now() < limit {
                std::thread::yield_now();
            }
            ended.send(stop.check()).unwrap();
            Ok(())
        };
        gateway.run(&call(), Operation::Search, "c", 10, work).await
    });
    running.await.unwrap();
    {
        let queued = fixture.search(move |_, _| {
            let _ = begun.send(());
            Ok(())
        });
        tokio::pin!(queued);
        assert!(futures_util::poll!(&mut queued).is_pending());
    }
    assert_eq!(fixture.gateway.request_bytes(), 20);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let reason = tokio::time::timeout(SOON, end).await.unwrap().unwrap();
    assert_eq!(kind(reason), Some(ErrorKind::Cancelled));
    assert!(tokio::time::timeout(SOON, never).await.unwrap().is_err());
    assert!(fixture.search(|_, _| Ok(())).await.is_ok());
    assert_eq!(fixture.gateway.request_bytes(), 0);
    let metrics = fixture.metrics.render();
    assert!(metrics.contains("cancelled"), "{metrics}");
}

#[tokio::test]
async fn time_limits_end_calls_whether_their_work_ends_or_not() {
    let mut settings = settings();
    settings.limits.timeout_ms = 20;
    let fixture = serve(&settings);
    let (release, stubborn) = fixture.occupy().await;
    assert_eq!(
        kind(stubborn.await.unwrap()),
        Some(ErrorKind::DeadlineExceeded)
    );
    drop(release);

    settings.limits.timeout_ms = 10_000;
    fixture.gateway.reload(&settings.limits);
    let mut call = call();
    call.deadline = Some(call.received + Duration::from_millis(20));
    let work = |_: &dyn Backend, stop: &StopSignal| {
        while !stop.is_stopped() {
            std::thread::yield_now();
        }
        stop.check()
    };
    let late = fixture.gateway.run(&call, Operation::Search, "c", 0, work);
    assert_eq!(kind(late.await), Some(ErrorKind::DeadlineExceeded));

    // Long operations have no limit but the caller's.
    assert_eq!(
        fixture
            .gateway
            .deadline(&super::tests::call(), Operation::CompactCollection),
        None
    );
}

#[tokio::test]
async fn beyond_the_memory_limit_writes_are_refused_and_memtables_flushed() {
    let mut settings = settings();
    let fixture = serve(&settings);
    let config = CollectionConfig::new(2, Metric::L2);
    let collection = fixture.database.create_collection("c", config).unwrap();
    collection
        .upsert(vec![Point::new(1, vec![1.0, 2.0])])
        .unwrap();
    assert_eq!(collection.info().memtable_points, 1);

    settings.limits.memory_bytes_max = Some(1);
    fixture.gateway.reload(&settings.limits);
    assert_eq!(fixture.gateway.memory_bytes_max(), Some(1));
    let refused = fixture
        .run(Operation::Upsert, |_, _| Ok(()))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    assert!(
        refused.to_string().contains("limits.memory_bytes_max"),
        "{refused}"
    );
    assert!(refused.retry_after().is_some());
    assert!(fixture.search(|_, _| Ok(())).await.is_ok());

    let limit = Instant::now() + SOON;
    while collection.info().memtable_points > 0 && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(collection.info().memtable_points, 0);
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_call_alone() {
    let fixture = serve(&settings());
    let failed = fixture
        .search(|_, _| -> Result<()> { panic!("a bug for this test") })
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Io);
    assert!(failed.to_string().contains("internal error"), "{failed}");
    assert_eq!(fixture.search(|_, _| Ok(3)).await.unwrap(), 3);
}

#[tokio::test]
async fn what_the_rights_do_not_cover_is_not_run() {
    let mut settings = settings();
    settings.auth.keys.push(ApiKey {
        name: "reader".to_owned(),
        key: Secret::new("a-key-that-may-read-only"),
        access: Access::Read,
        collections: vec!["c".to_owned()],
    });
    let fixture = serve(&settings);
    let known = Call {
        credentials: Credentials {
            secret: Some("a-key-that-may-read-only".to_owned()),
        },
        ..call()
    };
    let nobody = call();
    let run = async |call, operation, collection| {
        let work = |_: &dyn Backend, _: &StopSignal, caller: &Caller| Ok(caller.name().to_owned());
        let gateway = &fixture.gateway;
        gateway.run_as(call, operation, collection, 0, work).await
    };
    assert_eq!(run(&known, Operation::Search, "c").await.unwrap(), "reader");
    for (call, operation, collection, expected) in [
        (&known, Operation::Upsert, "c", ErrorKind::PermissionDenied),
        (&known, Operation::Search, "d", ErrorKind::PermissionDenied),
        (
            &known,
            Operation::DeleteSnapshot,
            "",
            ErrorKind::PermissionDenied,
        ),
        (&nobody, Operation::Search, "c", ErrorKind::Unauthenticated),
    ] {
        let result = run(call, operation, collection).await;
        assert_eq!(
            kind(result),
            Some(expected),
            "{operation:?} on {collection:?}"
        );
    }
}
