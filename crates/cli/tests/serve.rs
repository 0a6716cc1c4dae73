//! `vecdb serve` and `vecdb-server`: the real programs, their signals, and `kill -9` under load.

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::World;
use harness::running::{Notifications, PATIENCE, Running};
use serde_json::Value;
use vecdb_backend::{Backend, Remote, RemoteOptions};
use vecdb_engine::{
    CollectionConfig, Filter, Metric, Point, RestoreRequest, SearchRequest, StopSignal,
};

fn point(id: u64) -> Point {
    Point::new(id, vec![id as f32, 1.0, 0.5]).with("n", id as i64)
}

#[test]
fn every_acknowledged_upsert_is_there_after_kill_9() {
    let world = World::new();
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..3_u64 {
        let mut running = Running::start(&world, &[]);
        let remote = running.remote();
        if round == 0 {
            let config = CollectionConfig::new(3, Metric::L2);
            remote.create_collection("c", config).unwrap();
        }
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                let remote = running.remote();
                std::thread::spawn(move || {
                    let stop = StopSignal::default();
                    let mut done = Vec::new();
                    for at in 0..100_000 {
                        let first = round * 10_000_000 + writer * 1_000_000 + at * 3;
                        let batch = (first..first + 3).map(point).collect();
                        match remote.upsert("c", batch, None, &stop) {
                            Ok(_) => done.extend(first..first + 3),
                            Err(_) => break,
                        }
                    }
                    done
                })
            })
            .collect();
        // Killed while all of them write, at another moment each round.
        std::thread::sleep(Duration::from_millis(150 + 130 * round));
        running.child.kill().unwrap();
        let (code, _) = running.end();
        assert_eq!(code, None, "it was killed");
        let before = acknowledged.len();
        for writer in writers {
            acknowledged.extend(writer.join().unwrap());
        }
        assert!(
            acknowledged.len() > before,
            "round {round}: nothing was written"
        );

        let running = Running::start(&world, &[]);
        let remote = running.remote();
        let stop = StopSignal::default();
        for ids in acknowledged.chunks(500) {
            let wanted: Vec<_> = ids.iter().map(|id| (*id).into()).collect();
            let found = remote.get("c", &wanted, true, true, &stop).unwrap();
            for (id, record) in ids.iter().zip(found) {
                let record = record
                    .unwrap_or_else(|| panic!("round {round}: acknowledged point {id} is lost"));
                let expected = point(*id);
                assert_eq!(record.vector.as_deref(), Some(expected.vector.as_slice()));
                assert_eq!(record.metadata.as_ref(), Some(&expected.metadata));
            }
        }
        let report = remote.verify(None, &StopSignal::default()).unwrap();
        assert!(report.problems.is_empty(), "{report:?}");
    }
}

/// Posts points as lines; whether they were all acknowledged.
fn post_lines(address: &str, points: std::ops::Range<u64>) -> bool {
    let lines: String = points
        .map(|id| format!("{{\"id\":{id},\"vector\":[{id},1,0.5],\"metadata\":{{\"n\":{id}}}}}\n"))
        .collect();
    let head = format!(
        "POST /v1/collections/c/points HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
        lines.len()
    );
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(lines.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    exchange().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

#[test]
fn every_answered_batch_of_a_stream_and_of_lines_is_there_after_kill_9() {
    const BATCH: u64 = 7;
    const LINES: u64 = 50;
    let world = World::new();
    let mut running = Running::start(&world, &[]);
    let config = CollectionConfig::new(3, Metric::L2);
    running.remote().create_collection("c", config).unwrap();
    let streams: Vec<_> = (1..=2_u64)
        .map(|writer| {
            let remote = running.remote();
            let first = writer * 10_000_000;
            std::thread::spawn(move || {
                let batches = (0..).map(|at| {
                    let first = first + at * BATCH;
                    (first..first + BATCH).map(point).collect()
                });
                let mut answered = 0;
                let ended =
                    remote.upsert_stream("c", batches, None, &StopSignal::default(), &mut |_| {
                        answered += BATCH
                    });
                ended.expect_err("the server was killed");
                first..first + answered
            })
        })
        .collect();
    let lines: Vec<_> = (3..=4_u64)
        .map(|writer| {
            let address = running.about["http"].as_str().unwrap().to_owned();
            let first = writer * 10_000_000;
            std::thread::spawn(move || {
                let mut end = first;
                while post_lines(&address, end..end + LINES) {
                    end += LINES;
                }
                first..end
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(600));
    running.child.kill().unwrap();
    assert_eq!(running.end().0, None, "it was killed");

    let answered: Vec<_> = streams
        .into_iter()
        .chain(lines)
        .map(|writer| writer.join().unwrap())
        .collect();
    let running = Running::start(&world, &[]);
    let remote = running.remote();
    let stop = StopSignal::default();
    for ids in &answered {
        assert!(!ids.is_empty(), "nothing was written: {answered:?}");
        let all: Vec<_> = ids.clone().collect();
        for ids in all.chunks(500) {
            let wanted: Vec<_> = ids.iter().map(|id| (*id).into()).collect();
            let found = remote.get("c", &wanted, true, true, &stop).unwrap();
            for (id, record) in ids.iter().zip(found) {
                let record = record.unwrap_or_else(|| panic!("acknowledged point {id} is lost"));
                let expected = point(*id);
                assert_eq!(record.vector.as_deref(), Some(expected.vector.as_slice()));
                assert_eq!(record.metadata.as_ref(), Some(&expected.metadata));
            }
        }
    }
    let report = remote.verify(None, &stop).unwrap();
    assert!(report.problems.is_empty(), "{report:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_may_not_be_written_ends_it_with_the_reason() {
    let world = World::new();
    world.write("file", "");
    let any = [
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--metrics",
        "off",
    ];
    let serve = |path: &'static str| [&["serve"][..], &any, &["--path", path]].concat();
    harness::check(
        &world,
        &[
            // Nobody makes folders there, not even the superuser.
            (
                &serve("/sys/vecdb"),
                7,
                "permission_denied",
                &["storage.path /sys/vecdb"],
            ),
            (&serve("file/data"), 12, "io", &["storage.path file/data"]),
        ],
    );
}

#[test]
fn signals_end_it_well_and_read_its_settings_again() {
    let world = World::new();
    let file = world.write("c.yaml", "log: {format: json}");
    let mut running = Running::start(&world, &["--config", "c.yaml"]);
    let remote = running.remote();
    remote
        .create_collection("c", CollectionConfig::new(3, Metric::L2))
        .unwrap();
    remote
        .upsert("c", vec![point(1)], None, &StopSignal::default())
        .unwrap();

    // A key, from the next call on.
    let keys =
        "auth: {keys: [{name: a, key: 0123456789abcdef, access: admin}]}\nlog: {format: json}";
    std::fs::write(&file, keys).unwrap();
    running.signal("HUP");
    let begun = Instant::now();
    while remote.collections().is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the key is not asked for");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Nonsense changes nothing, also where most of it is sound.
    for nonsense in ["auht: {}", "log: {format: json, level: loud}"] {
        std::fs::write(&file, nonsense).unwrap();
        running.signal("HUP");
        std::thread::sleep(Duration::from_millis(200));
        assert!(remote.collections().is_err(), "{nonsense}");
    }

    running.signal("TERM");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    assert!(!log.contains("0123456789abcdef"), "{log}");
    assert!(log.contains("the server accepts connections"), "{log}");
    for wrong in ["auht", "log.level"] {
        assert!(log.contains(wrong), "{wrong}: {log}");
    }
    // Closed well: nothing to replay.
    let status = world.json(&["status"]);
    assert_eq!(status["recovery"]["replayed"], 0, "{status}");
    assert_eq!(status["points"], 1);
}

#[test]
fn systemd_is_told_when_it_serves_and_when_it_ends() {
    let world = World::new();
    let told = Notifications::new(&world);
    let any = "127.0.0.1:0";
    let args = ["--json", "--grpc", any, "--http", any, "--metrics", "off"];
    let server = |path: &str| {
        let mut command = world.server(&[&args[..], &["--path", path]].concat());
        command.env("NOTIFY_SOCKET", &told.path);
        command
    };
    let mut running = Running::spawn(&mut server("d"));
    assert_eq!(told.next(), "READY=1");
    // It is open by then: no call is refused.
    assert!(running.remote().collections().unwrap().is_empty());
    running.signal("TERM");
    assert_eq!(told.next(), "STOPPING=1");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");

    // What cannot be opened is never said to be ready.
    std::fs::create_dir(world.path("foreign")).unwrap();
    world.write("foreign/file", "");
    let output = server("foreign").output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        harness::stderr(&output)
    );
    assert_eq!(told.next(), "STOPPING=1");
}

#[test]
fn acts_refusals_and_slow_calls_stand_in_the_log() {
    const KEY: &str = "0123456789abcdef";
    let world = World::new();
    world.write(
        "c.yaml",
        "auth: {keys: [{name: ops, key: 0123456789abcdef, access: admin}]}\n\
         log: {format: json, slow_query_ms: 1}",
    );
    let mut running = Running::start(&world, &["--config", "c.yaml"]);
    let options = RemoteOptions {
        api_key: Some(KEY.to_owned()),
        timeout: Some(PATIENCE),
        ..RemoteOptions::default()
    };
    let remote = Remote::connect(running.address(), options).unwrap();
    remote
        .create_collection("c", CollectionConfig::new(64, Metric::L2))
        .unwrap();
    let stop = StopSignal::default();
    // So many that a search of them takes longer than a slow one may.
    for first in (0..64_000_u64).step_by(8_000) {
        let ids = first..first + 8_000;
        let points = ids.map(|id| Point::new(id, vec![0.5; 64]).with("n", id as i64));
        remote.upsert("c", points.collect(), None, &stop).unwrap();
    }
    let mut search = SearchRequest::new(vec![1.0; 64]).limit(3);
    search.params.ef = Some(77);
    search.filter = Some(Filter::gte("n", 4_321_i64));
    remote.search("c", &search, &stop).unwrap();
    remote.create_snapshot(Some("monday"), &[], &stop).unwrap();
    remote
        .restore_snapshot("monday", &RestoreRequest::of("c").under("d"), &stop)
        .unwrap();
    assert!(running.remote().collections().is_err(), "it has no key");
    running.signal("TERM");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(KEY) && !log.contains("4321"), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let line = |target: &str, key: &str, value: &str| {
        let mut of_target = lines.iter().filter(|line| line["target"] == target);
        let found = of_target.find(|line| line[key] == value);
        found.unwrap_or_else(|| panic!("no line of {target} with {key} {value}: {log}"))
    };
    let slow = line("vecdb::slow", "operation", "search");
    assert_eq!((&slow["limit"], &slow["ef"]), (&3.into(), &77.into()));
    assert_eq!(slow["filter"], "n $gte ?");
    let restored = line("vecdb::audit", "what", "restore_snapshot");
    assert_eq!(restored["snapshot"], "monday", "{restored}");
    assert_eq!(restored["restore_as"], "d", "{restored}");
    assert_eq!(restored["who"], "ops", "{restored}");
    let refused = line("vecdb::audit", "outcome", "unauthenticated");
    assert_eq!(refused["what"], "list_collections", "{refused}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let world = World::new();
    let mut running = Running::start(&world, &[]);
    // A request whose body does not come keeps the server from ending.
    let mut half = TcpStream::connect(running.about["http"].as_str().unwrap()).unwrap();
    half.write_all(b"PUT /v1/collections/c HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
        .unwrap();
    let remote = running.remote();
    remote.collections().unwrap();
    running.signal("TERM");
    // Once it has begun to end it takes no more connections.
    let begun = Instant::now();
    while TcpStream::connect(running.about["http"].as_str().unwrap()).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it does not begin to end");
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal("INT");
    let begun = Instant::now();
    let (code, log) = running.end();
    assert_eq!(code, Some(130), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{log}");
}

#[test]
fn the_banner_is_for_people() {
    let world = World::new();
    let any = "127.0.0.1:0";
    let mut child = Command::new(env!("CARGO_BIN_EXE_vecdb-server"))
        .args([
            "--path",
            "here",
            "--grpc",
            any,
            "--http",
            any,
            "--metrics",
            any,
        ])
        .current_dir(world.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut banner = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        banner.push(line);
        if banner.last().is_some_and(|line| line.starts_with('╚')) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let text = banner.join("\n");
    for part in [
        "VecDB Server v",
        "Configuration:",
        "Storage: here",
        "Callers: no keys, everybody may do everything",
        "HNSW (M=",
        "Endpoints:",
        "gRPC:    127.0.0.1:",
        "/metrics",
        "Status: Ready to accept connections",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let width = banner[0].chars().count();
    for line in &banner {
        assert_eq!(line.chars().count(), width, "{text}");
    }
}

#[test]
fn settings_are_printed_and_refused() {
    let world = World::new();
    world.write(
        "c.toml",
        "[limits]\nsearch_threads = 2\n[auth.jwt]\nsecret = \"hidden-secret\"\n",
    );
    let printed = world.text(&[
        "serve",
        "--config",
        "c.toml",
        "--set",
        "limits.write_threads=5",
        "--path",
        "d",
        "--print-config",
    ]);
    for part in ["search_threads: 2", "write_threads: 5", "path: d", "'***'"] {
        let other = part.replace('\'', "\"");
        assert!(
            printed.contains(part) || printed.contains(&other),
            "{part}: {printed}"
        );
    }
    assert!(!printed.contains("hidden-secret"));
    assert!(!world.path("d").exists(), "nothing was begun");

    world.write("wrong.yaml", "limits: {serch_threads: 2}");
    std::fs::create_dir(world.path("foreign")).unwrap();
    world.write("foreign/file", "");
    let any = [
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--metrics",
        "off",
    ];
    let serve = |args: &[&'static str]| [&["serve"][..], &any, args].concat();
    let taken = Running::start(&world, &["--path", "taken"]);
    let port = taken.address().to_owned();
    harness::check(
        &world,
        &[
            (
                &serve(&["--config", "wrong.yaml"]),
                2,
                "invalid_argument",
                &[
                    "limits.serch_threads",
                    "did you mean limits.search_threads?",
                ],
            ),
            (
                &serve(&["--config", "none.yaml"]),
                3,
                "not_found",
                &["none.yaml"],
            ),
            (
                &serve(&["--set", "nonsense"]),
                2,
                "invalid_argument",
                &["section.key=value"],
            ),
            (
                &["serve", "--grpc", "0.0.0.0:0", "--path", "x"],
                2,
                "invalid_argument",
                &["auth.keys", "allow_insecure"],
            ),
            (
                &[
                    "serve",
                    "--grpc",
                    &port,
                    "--http",
                    "127.0.0.1:0",
                    "--metrics",
                    "off",
                    "--path",
                    "x",
                ],
                5,
                "unavailable",
                &[&port, "listen.grpc"],
            ),
            (&serve(&["--path", "taken"]), 5, "unavailable", &["taken"]),
            (
                &serve(&["--path", "foreign"]),
                2,
                "invalid_argument",
                &["foreign"],
            ),
        ],
    );
}
