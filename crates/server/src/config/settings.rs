//! The settings of a server, as plain data. Every default stands here, in the `Default` of its section.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use vecdb_engine::OnCorruption;

use super::value::{Secret, as_bytes, as_optional_bytes};
use crate::gateway::Access;

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Config {
    /// Where the data is and how it is kept.
    pub storage: Storage,
    /// Addresses.
    pub listen: Listen,
    /// Certificates.
    pub tls: Tls,
    /// Who may do what.
    pub auth: Auth,
    /// How much at a time, and for how long.
    pub limits: Limits,
    /// Logs.
    pub log: Log,
    /// Traces.
    pub trace: Trace,
    /// Snapshots.
    pub snapshots: Snapshots,
}

/// Where the data is and how it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storage {
    /// Folder of the database; made where there is none. Default: `vecdb-data`.
    pub path: PathBuf,
    /// Threads for index builds; 0 means all processors. Default: 0.
    pub background_threads: usize,
    /// A memtable of this many bytes is flushed to a segment. Default: 64 MiB.
    #[serde(serialize_with = "as_bytes")]
    pub memtable_bytes_max: u64,
    /// Beyond this many bytes of log, collections are flushed so that a restart stays quick. Default: 512 MiB.
    #[serde(serialize_with = "as_bytes")]
    pub wal_bytes_max: u64,
    /// Merges, all together, write and read back at no more bytes a second than this; 0 for no limit. Default: 0.
    #[serde(serialize_with = "as_bytes")]
    pub merge_bytes_per_second: u64,
    /// Graphs of what filters that return match may hold so many bytes of memory, for each collection; 0 for none. Default:
    /// 64 MiB.
    #[serde(serialize_with = "as_bytes")]
    pub subset_graph_bytes_max: u64,
    /// What opening does about damage in the middle of the log. Default: stop.
    pub on_corruption: OnCorruption,
    /// Folder or URL that log files are copied to before they are removed; `off` to do so no more. Default: as it was the last
    /// time; a new database has none.
    pub archive: Option<String>,
    /// With an archive: what was written is in it at most so many seconds later. Default: 60 s.
    pub archive_interval_seconds: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: PathBuf::from("vecdb-data"),
            background_threads: 0,
            memtable_bytes_max: 64 << 20,
            wal_bytes_max: 512 << 20,
            merge_bytes_per_second: 0,
            subset_graph_bytes_max: 64 << 20,
            on_corruption: OnCorruption::Stop,
            archive: None,
            archive_interval_seconds: 60,
        }
    }
}

/// Addresses. The first two answer both protocols.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listen {
    /// For gRPC clients. Default: `127.0.0.1:6333`. Port 0 lets the system choose one.
    pub grpc: SocketAddr,
    /// For HTTP clients. Default: `127.0.0.1:6334`.
    pub http: SocketAddr,
    /// For Prometheus, without TLS and without keys; `off` for none. Default: `127.0.0.1:9090`.
    #[serde(serialize_with = "or_off")]
    pub metrics: Option<SocketAddr>,
    /// Serve addresses beyond loopback without any key, token or client certificate. Default: false.
    pub allow_insecure: bool,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            grpc: local(6333),
            http: local(6334),
            metrics: Some(local(9090)),
            allow_insecure: false,
        }
    }
}

/// Certificates, as PEM files. With none, connections are not encrypted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tls {
    /// The server's certificate, followed by those that vouch for it. Default: none.
    pub certificate: Option<PathBuf>,
    /// Its private key. Default: none.
    pub key: Option<PathBuf>,
    /// Who vouches for clients: with it, a client without a certificate from there is refused. Default: none.
    pub client_ca: Option<PathBuf>,
}

/// Who may do what. With no key and no token settings, everybody may do everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Auth {
    /// API keys. Default: none.
    pub keys: Vec<ApiKey>,
    /// Which JSON web tokens are believed. Default: none.
    pub jwt: Option<Jwt>,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiKey {
    /// What the key is called in logs.
    pub name: String,
    /// The key itself, as `key`, or as `key_file`: the path of a file that holds it.
    pub key: Secret,
    /// The most it may do. Default: `read`.
    #[serde(serialize_with = "access_name")]
    pub access: Access,
    /// The collections it is good for; empty: all. Default: all.
    pub collections: Vec<String>,
}

/// Which JSON web tokens are believed. Exactly one of `secret` and `public_key` is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Jwt {
    /// The secret shared with the issuer (HS256, HS384, HS512), as `secret` or in the file `secret_file`. Default: none.
    pub secret: Option<Secret>,
    /// PEM file of the issuer's public key (RS*, PS*, ES*, EdDSA). Default: none.
    pub public_key: Option<PathBuf>,
    /// The only algorithm that is taken. Default: HS256 with a secret, RS256 with a public key.
    pub algorithm: Option<String>,
    /// The `iss` that tokens must have. Default: any.
    pub issuer: Option<String>,
    /// The `aud` that tokens must have. Default: any.
    pub audience: Option<String>,
}

/// How much at a time, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Memory the process may use; beyond it writes are refused before searches are. Default: none.
    #[serde(serialize_with = "as_optional_bytes")]
    pub memory_bytes_max: Option<u64>,
    /// Largest request. Default: 64 MiB.
    #[serde(serialize_with = "as_bytes")]
    pub request_bytes_max: u64,
    /// Threads that search; 0 means as many as processors. Default: 0.
    pub search_threads: usize,
    /// Threads that write: writers share a sync, so more of them mean fewer syncs. Default: 32.
    pub write_threads: usize,
    /// Searches that wait for a thread before further ones are refused. Default: 1,024.
    pub search_queue_max: usize,
    /// Writes that wait for a thread before further ones are refused. Default: 256.
    pub write_queue_max: usize,
    /// A search that is expected to wait longer than this is refused. Default: 40 ms.
    pub queue_wait_ms_max: u64,
    /// The time limit of calls that bring none, and the longest that any may bring. Default: 30 s.
    pub timeout_ms: u64,
    /// Open connections, all ports together; further ones are closed at once. Default: 10,000.
    pub connections_max: usize,
    /// How long a client may take for its TLS handshake, and again for the head of each request. Default: 10 s.
    pub header_timeout_ms: u64,
    /// A connection without a request for so long is closed, and one whose client takes nothing of an answer. Default: 5 min.
    pub idle_timeout_ms: u64,
    /// How long running calls may take to end once the server was told to stop. Default: 30 s.
    pub shutdown_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: None,
            request_bytes_max: 64 << 20,
            search_threads: 0,
            write_threads: 32,
            search_queue_max: 1_024,
            write_queue_max: 256,
            queue_wait_ms_max: 40,
            timeout_ms: 30_000,
            connections_max: 10_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 300_000,
            shutdown_timeout_ms: 30_000,
        }
    }
}

/// Logs; they go to stderr.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or by module: `info,vecdb_server=debug`. Default: `info`.
    pub level: String,
    /// Lines for people or for programs. Default: `text`.
    pub format: LogFormat,
    /// Calls that take at least so long are logged with what they did; 0 means never. Default: 250 ms.
    pub slow_query_ms: u64,
    /// File for administrative acts; without one they go to the log. Default: none.
    pub audit: Option<PathBuf>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
            slow_query_ms: 250,
            audit: None,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Traces.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trace {
    /// Where spans are sent by OTLP over HTTP, as `http://collector:4318`. Default: nowhere.
    pub otlp_endpoint: Option<String>,
    /// Share of calls that are traced when the caller does not say, from 0 to 1. Default: 0.1.
    pub sample_share: f64,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample_share: 0.1,
        }
    }
}

/// Snapshots.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshots {
    /// A folder, or the URL of an object store (`s3://bucket/prefix`). Default: the folder `snapshots` beside the
    /// data, inside `storage.path`.
    pub location: Option<String>,
}

impl Config {
    /// Whether callers have to show something: a key, a token, or a certificate.
    pub fn knows_callers(&self) -> bool {
        self.auth.is_enabled() || self.tls.knows_clients()
    }
}

impl Tls {
    /// Whether connections are encrypted.
    pub fn is_enabled(&self) -> bool {
        self.certificate.is_some()
    }

    /// Whether only clients with a certificate get in.
    pub fn knows_clients(&self) -> bool {
        self.is_enabled() && self.client_ca.is_some()
    }
}

impl Auth {
    /// Whether callers have to say who they are.
    pub fn is_enabled(&self) -> bool {
        !self.keys.is_empty() || self.jwt.is_some()
    }
}

impl Access {
    /// The word for it in the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Admin => "admin",
        }
    }
}

fn access_name<S: Serializer>(access: &Access, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(access.word())
}

fn or_off<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_str("off"),
    }
}
