//! Databases that take long to open, or not all of which can be opened.

use std::time::Instant;

use vecdb_backend::Backend;
use vecdb_engine::{
    CollectionConfig, Database, Durability, Env, ErrorKind, Metric, Options, Point, StopSignal,
};
use vecdb_server::Server;
use vecdb_testkit::sim_disk::{CrashMode, SimDisk};

use crate::started::{PATIENCE, Started, fill, get, metric, remote, settings};

#[test]
fn a_broken_collection_is_told_with_its_reason_and_the_others_serve() {
    let started = Started::new(|_, _| {});
    for name in ["before", "broken", "behind"] {
        fill(&started.remote(), name, 20);
    }
    let Started { server, folder } = started;
    server.shutdown().unwrap();
    let manifest = folder.path().join("data/collections/00000002/MANIFEST");
    let mut bytes = std::fs::read(&manifest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&manifest, bytes).unwrap();

    let server = Server::start(settings(&folder)).unwrap();
    assert!(server.wait_ready(PATIENCE), "{:?}", server.state());
    let client = remote(server.grpc_address(), None);
    let stop = &StopSignal::default();
    for name in ["before", "behind"] {
        assert_eq!(client.count(name, None, stop).unwrap(), 20);
        let more = vec![Point::new(99, vec![1.0, 1.0])];
        client.upsert(name, more, None, stop).unwrap();
    }
    let error = client.count("broken", None, stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("MANIFEST"), "{error}");
    let listed = client.collections().unwrap();
    for summary in &listed {
        assert_eq!(summary.broken.is_some(), summary.name == "broken");
    }
    let address = server.http_address();
    let (status, body) = get(address, "/v1/collections/broken", "");
    assert_eq!(status, 500, "{body}");
    assert!(
        body.contains("MANIFEST") && body.contains("corrupt"),
        "{body}"
    );
    let (status, body) = get(address, "/v1/collections", "");
    assert_eq!(status, 200);
    assert!(body.contains("MANIFEST"), "{body}");
    assert_eq!(get(address, "/readyz", "").0, 200);
    assert_eq!(metric(&server, "vecdb_collections_broken"), 1.0);
    server.shutdown().unwrap();
}

#[test]
fn a_server_with_a_long_log_answers_at_once() {
    const POINTS: u64 = 200_000;
    let disk = SimDisk::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(&folder);
    config.snapshots.location = Some(folder.path().display().to_string());
    let env = |disk: &SimDisk| Env {
        disk: disk.shared(),
        ..Env::default()
    };
    let path = &config.storage.path;
    let database = Database::open_with(&env(&disk), path, Options::default()).unwrap();
    let vectors = CollectionConfig::new(4, Metric::L2);
    let collection = database.create_collection("c", vectors).unwrap();
    for first in (0..POINTS).step_by(1_000) {
        let points = (first..first + 1_000).map(|id| Point::new(id, vec![id as f32; 4]));
        collection
            .upsert_with(points.collect(), Durability::None)
            .unwrap();
    }
    // As a killed process leaves it.
    let disk = disk.crash_image(CrashMode::KeepAll);
    drop((collection, database));

    let begun = Instant::now();
    let server = Server::start_on(env(&disk), config.clone()).unwrap();
    let address = server.http_address();
    assert_eq!(get(address, "/livez", "").0, 200);
    let (status, body) = get(address, "/v1/collections/c", "");
    let took = begun.elapsed();
    // Well below a second; a machine that is busy with other tests gets more.
    assert!(took < PATIENCE, "{took:?}");
    // Whoever comes before the log is read is told to come again.
    assert!(status == 200 || status == 503, "{status}: {body}");
    assert!(server.wait_ready(4 * PATIENCE), "{:?}", server.state());
    let (_, body) = get(address, "/v1/status", "");
    assert!(body.contains(r#""replayed":200"#), "{body}");
    let client = remote(server.grpc_address(), None);
    let stop = &StopSignal::default();
    assert_eq!(client.count("c", None, stop).unwrap(), POINTS);
}
