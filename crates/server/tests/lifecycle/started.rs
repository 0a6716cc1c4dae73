//! A server on ports that the system chose, with its data in a temporary folder.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vecdb_backend::{Backend, Remote, RemoteOptions};
use vecdb_engine::{CollectionConfig, Metric, Point, StopSignal};
use vecdb_server::Server;
use vecdb_server::config::{ApiKey, Config, Secret};
use vecdb_server::gateway::Access;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct Started {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

/// Settings for tests: ports of the system's choice, data in `folder`.
pub(crate) fn settings(folder: &TempDir) -> Config {
    let mut config = Config::default();
    let any = "127.0.0.1:0".parse().unwrap();
    config.listen.grpc = any;
    config.listen.http = any;
    config.listen.metrics = Some(any);
    config.storage.path = folder.path().join("data");
    config
}

pub(crate) fn key(name: &str, secret: &str, access: Access) -> ApiKey {
    ApiKey {
        name: name.to_owned(),
        key: Secret::new(secret),
        access,
        collections: Vec::new(),
    }
}

impl Started {
    pub(crate) fn new(change: impl FnOnce(&mut Config, &TempDir)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = settings(&folder);
        change(&mut config, &folder);
        let server = Server::start(config).unwrap();
        assert!(server.wait_ready(PATIENCE), "{:?}", server.state());
        Self { server, folder }
    }

    pub(crate) fn remote(&self) -> Remote {
        remote(self.server.grpc_address(), None)
    }
}

pub(crate) fn remote(address: SocketAddr, api_key: Option<&str>) -> Remote {
    let options = RemoteOptions {
        api_key: api_key.map(str::to_owned),
        timeout: Some(PATIENCE),
        retries: Some(0),
        ..RemoteOptions::default()
    };
    Remote::connect(&address.to_string(), options).unwrap()
}

/// Makes a collection and writes `count` points into it.
pub(crate) fn fill(remote: &Remote, collection: &str, count: u64) {
    let config = CollectionConfig::new(2, Metric::L2);
    remote.create_collection(collection, config).unwrap();
    let points = (0..count).map(|id| Point::new(id, vec![id as f32, 1.0]));
    let stop = StopSignal::default();
    remote
        .upsert(collection, points.collect(), None, &stop)
        .unwrap();
}

/// A connection whose reads end.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The text of a GET with `headers`.
pub(crate) fn get_text(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: vecdb\r\n{headers}\r\n")
}

/// Status and body of `GET path`, on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = connect(address);
    let headers = format!("connection: close\r\n{headers}");
    stream
        .write_all(get_text(path, &headers).as_bytes())
        .unwrap();
    read_answer(&mut stream)
}

/// Status and body of a POST of JSON.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> (u16, String) {
    let headers = format!("{headers}content-type: application/json\r\n");
    post_as(address, path, &headers, body)
}

/// Status and body of a POST; `headers` say of what.
pub(crate) fn post_as(address: SocketAddr, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = connect(address);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: vecdb\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server may refuse before it has read everything.
    let _ = stream.write_all(body.as_bytes());
    read_answer(&mut stream)
}

/// An answer with its head, in small letters.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// `POST path` with a JSON body, on a connection of its own.
pub(crate) fn answer_to(address: SocketAddr, path: &str, body: &str) -> Answer {
    let mut stream = connect(address);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: vecdb\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// A value of the page for Prometheus; 0 where it has none.
pub(crate) fn metric(server: &Server, name: &str) -> f64 {
    let (status, page) = get(server.metrics_address().unwrap(), "/metrics", "");
    assert_eq!(status, 200);
    page.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        .unwrap_or(0.0)
}

/// Reads to the end of the connection.
pub(crate) fn read_answer(stream: &mut impl Read) -> (u16, String) {
    let mut bytes = Vec::new();
    // TLS ends may come without a farewell; what was read before counts.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or(0), body.unwrap_or_default())
}

/// One answer on a connection that stays open.
pub(crate) fn ask(stream: &mut (impl Read + Write), path: &str) -> u16 {
    stream.write_all(get_text(path, "").as_bytes()).unwrap();
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).unwrap().to_ascii_lowercase();
    let len = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |len| len.parse().unwrap());
    stream.read_exact(&mut vec![0; len]).unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

/// How long the other side takes to close the connection; what it sends before is left out.
pub(crate) fn until_closed(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    begun.elapsed()
}

/// Tries until it is so, or gives up.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(20));
    }
}
