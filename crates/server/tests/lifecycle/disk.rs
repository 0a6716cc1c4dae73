//! A disk that is full.

use vecdb_backend::Backend;
use vecdb_engine::{Env, ErrorKind, Point, SearchRequest, StopSignal};
use vecdb_server::Server;
use vecdb_testkit::sim_disk::SimDisk;

use crate::started::{PATIENCE, answer_to, fill, metric, remote, settings};

#[test]
fn a_full_disk_refuses_writes_and_says_so_while_reads_go_on() {
    let disk = SimDisk::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(&folder);
    config.snapshots.location = Some(folder.path().display().to_string());
    let start = || {
        let env = Env {
            disk: disk.shared(),
            ..Env::default()
        };
        let server = Server::start_on(env, config.clone()).unwrap();
        assert!(server.wait_ready(PATIENCE), "{:?}", server.state());
        server
    };
    let server = start();
    let client = remote(server.grpc_address(), None);
    let stop = &StopSignal::default();
    fill(&client, "c", 10);
    let mut acknowledged = 10;
    let mut write = || {
        let point = Point::new(acknowledged, vec![acknowledged as f32, 1.0]);
        // The log has taken room for a mebibyte: this fills it soon.
        let points = vec![point.with("text", "x".repeat(4_000))];
        let written = client.upsert("c", points, None, stop);
        acknowledged += u64::from(written.is_ok());
        written
    };
    assert_eq!(
        metric(&server, r#"vecdb_refused_total{reason="disk"}"#),
        0.0
    );

    disk.set_space(Some(10_000));
    let refused = (0..10_000)
        .find_map(|_| write().err())
        .expect("the disk is full");
    // The first that fails, and all after it.
    for refused in [refused, write().unwrap_err()] {
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
        assert!(
            refused.to_string().contains("the disk is full"),
            "{refused}"
        );
        assert_eq!(refused.retry_after(), None, "waiting does not help");
    }
    let path = "/v1/collections/c/points";
    // As large as those before: a small one may still find room.
    let text = "x".repeat(4_000);
    let body = format!(
        r#"{{"points": [{{"id": 1, "vector": [0, 0], "metadata": {{"text": "{text}"}}}}]}}"#
    );
    let answer = answer_to(server.http_address(), path, &body);
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert!(answer.body.contains("the disk is full"), "{}", answer.body);
    assert!(!answer.head.contains("retry-after"), "{}", answer.head);
    assert_eq!(
        metric(&server, r#"vecdb_refused_total{reason="disk"}"#),
        3.0
    );
    // There is room again, and then none any more.
    disk.set_space(None);
    write().unwrap();
    disk.set_space(Some(0));

    assert_eq!(client.count("c", None, stop).unwrap(), acknowledged);
    let search = SearchRequest::new([3.0, 1.0]);
    let found = client.search("c", &search, stop).unwrap();
    assert_eq!(found.hits[0].id, 3.into());
    let answer = answer_to(
        server.http_address(),
        "/v1/collections/c/search",
        r#"{"vector": [3, 1]}"#,
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    drop(client);
    // What is in memory cannot be flushed; it is in the log.
    let _ = server.shutdown();

    disk.set_space(None);
    let server = start();
    let client = remote(server.grpc_address(), None);
    let ids: Vec<_> = (0..acknowledged).map(Into::into).collect();
    let found = client.get("c", &ids, true, false, stop).unwrap();
    for (id, record) in ids.iter().zip(found) {
        let record = record.unwrap_or_else(|| panic!("acknowledged point {id} is lost"));
        assert_eq!(record.id, *id);
    }
    let points = vec![Point::new(1_000_000, vec![0.0, 0.0])];
    client.upsert("c", points, None, stop).unwrap();
}
