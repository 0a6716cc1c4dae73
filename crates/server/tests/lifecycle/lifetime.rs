//! Start and end: what happens when the database cannot be opened, and that an end loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vecdb_backend::Backend;
use vecdb_engine::{Database, Durability, ErrorKind, Options, Point, RestoreRequest, StopSignal};
use vecdb_server::gateway::GatewayState;
use vecdb_server::{Event, Server};

use crate::started::{PATIENCE, Started, ask, connect, eventually, fill, settings};

#[test]
fn a_shutdown_in_the_middle_of_writes_keeps_what_was_acknowledged() {
    let started = Started::new(|_, _| {});
    fill(&started.remote(), "c", 0);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (remote, acknowledged) = (started.remote(), acknowledged.clone());
        let is_over = is_over.clone();
        std::thread::spawn(move || {
            for id in 0.. {
                let points = vec![Point::new(id, vec![1.0, 1.0])];
                // Not synced: only the end of the server puts it on the disk.
                let durability = Some(Durability::None);
                match remote.upsert("c", points, durability, &StopSignal::default()) {
                    Ok(_) => acknowledged.store(id + 1, Ordering::Release),
                    Err(_) if is_over.load(Ordering::Acquire) => return,
                    // Refused or cut off: not acknowledged.
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        })
    };
    eventually("writes", || acknowledged.load(Ordering::Acquire) > 20);
    started.server.shutdown().unwrap();
    is_over.store(true, Ordering::Release);
    writer.join().unwrap();
    let database = Database::open(started.folder.path().join("data"), Options::default()).unwrap();
    assert_eq!(
        database.recovery().replayed,
        0,
        "the end flushes everything"
    );
    let count = database.collection("c").unwrap().info().points;
    assert!(count >= acknowledged.load(Ordering::Acquire));
}

#[test]
fn an_end_does_not_wait_for_clients_that_rest() {
    let started = Started::new(|_, _| {});
    let mut resting = connect(started.server.http_address());
    assert_eq!(ask(&mut resting, "/livez"), 200);
    let silent = connect(started.server.grpc_address());
    let remote = started.remote();
    remote.status().unwrap();
    let begun = Instant::now();
    started.server.shutdown().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(remote.status().is_err());
    drop((resting, silent));
}

#[test]
fn a_dropped_server_ends_and_the_next_goes_on() {
    let started = Started::new(|_, _| {});
    let address = started.server.grpc_address();
    fill(&started.remote(), "c", 10);
    let Started { server, folder } = started;
    drop(server);
    let mut config = settings(&folder);
    config.listen.grpc = address;
    let server = Server::start(config).unwrap();
    assert!(server.wait_ready(PATIENCE));
    let remote = crate::started::remote(address, None);
    assert_eq!(remote.count("c", None, &StopSignal::default()).unwrap(), 10);
}

#[test]
fn a_database_that_cannot_be_opened_ends_the_server_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(&folder);
    // Another process has it.
    let held = Database::open(&config.storage.path, Options::default()).unwrap();
    let mut server = Server::start(config.clone()).unwrap();
    let Event::Ended(Err(error)) = server.next_event() else {
        panic!("the server goes on")
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("storage.path"), "{error}");
    held.close().unwrap();

    // A folder that cannot be made.
    let mut unwritable = config.clone();
    unwritable.storage.path = folder.path().join("file/data");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = Server::start(unwritable).unwrap().wait().unwrap_err();
    assert!(error.to_string().contains("file/data"), "{error}");

    // Somebody else's folder.
    let mut foreign = config;
    foreign.storage.path = folder.path().to_owned();
    let server = Server::start(foreign).unwrap();
    assert!(!server.wait_ready(PATIENCE));
    assert!(!matches!(
        server.state(),
        GatewayState::Ready | GatewayState::Opening
    ));
    assert_eq!(
        server.wait().unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
}

#[test]
fn snapshots_go_into_the_folder_of_the_database_and_come_back() {
    let started = Started::new(|_, _| {});
    let remote = started.remote();
    fill(&remote, "c", 10);
    let stop = StopSignal::default();
    remote.create_snapshot(Some("before"), &[], &stop).unwrap();
    remote.drop_collection("c").unwrap();
    let Started { server, folder } = started;
    server.shutdown().unwrap();
    assert!(folder.path().join("data/snapshots/before").exists());
    // They disturb neither opening nor checking.
    let server = Server::start(settings(&folder)).unwrap();
    assert!(server.wait_ready(PATIENCE));
    let remote = crate::started::remote(server.grpc_address(), None);
    remote
        .restore_snapshot("before", &RestoreRequest::default(), &stop)
        .unwrap();
    assert_eq!(remote.count("c", None, &stop).unwrap(), 10);
}
