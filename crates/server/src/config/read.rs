//! From sources to settings: types and ranges.

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vecdb_engine::{Error, ErrorKind, Result};

use super::settings::{
    ApiKey, Auth, Config, Jwt, Limits, Listen, Log, LogFormat, Snapshots, Storage, Tls, Trace,
};
use super::sources::{Fields, Found, Sources, invalid, parse_yaml};
use super::value::{Secret, format_bytes, parse_bytes};
use crate::gateway::Access;
use crate::observe::check_level;

/// More threads than this only cost memory.
const THREADS_MAX: u64 = 4_096;
/// Longer times are slips.
const MS_MAX: u64 = 24 * 60 * 60 * 1_000;

impl Config {
    /// The settings of `file` (YAML or TOML by its extension), overruled by `environment`
    /// (`VECDB_LIMITS_SEARCH_THREADS=4`), overruled by `flags` (`limits.search_threads`, `4`).
    ///
    /// # Errors
    /// `InvalidArgument` for unknown keys, wrong types and values out of range, each with its path; `NotFound` for a
    /// missing file.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Self> {
        let sources = Sources::new(file, environment, flags)?;
        let mut root = sources.root()?;
        let config = Self {
            storage: storage(root.section("storage")?)?,
            listen: listen(root.section("listen")?)?,
            tls: tls(root.section("tls")?)?,
            auth: auth(root.section("auth")?)?,
            limits: limits(root.section("limits")?)?,
            log: log(root.section("log")?)?,
            trace: trace(root.section("trace")?)?,
            snapshots: snapshots(root.section("snapshots")?)?,
        };
        root.finish()?;
        sources.finish()?;
        config.check()?;
        Ok(config)
    }

    /// The settings as a YAML file; secrets are not in it.
    pub fn to_yaml(&self) -> Result<String> {
        serde_saphyr::to_string(self)
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot print settings: {error}")))
    }

    /// What one value alone cannot tell.
    fn check(&self) -> Result<()> {
        let listen = &self.listen;
        if listen.grpc == listen.http && listen.grpc.port() != 0 {
            return Err(invalid(format!(
                "listen.grpc and listen.http are both {}: each needs an address of its own (and answers both protocols)",
                listen.grpc
            )));
        }
        let tls = &self.tls;
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => {
                return Err(invalid(
                    "tls.certificate is set, but tls.key is not".to_owned(),
                ));
            }
            (None, Some(_)) => {
                return Err(invalid(
                    "tls.key is set, but tls.certificate is not".to_owned(),
                ));
            }
            (None, None) if tls.client_ca.is_some() => {
                return Err(invalid(
                    "tls.client_ca is set, but tls.certificate and tls.key are not: only an encrypted connection shows a client's certificate".to_owned(),
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

fn storage(mut fields: Fields<'_>) -> Result<Storage> {
    let mut storage = Storage::default();
    path(&mut fields, "path", &mut storage.path)?;
    count(
        &mut fields,
        "background_threads",
        &mut storage.background_threads,
        0..=THREADS_MAX,
    )?;
    let memtable = 1 << 20..=1 << 40;
    bytes(
        &mut fields,
        "memtable_bytes_max",
        &mut storage.memtable_bytes_max,
        memtable,
    )?;
    let wal = 1 << 20..=1 << 50;
    bytes(
        &mut fields,
        "wal_bytes_max",
        &mut storage.wal_bytes_max,
        wal,
    )?;
    if let Some(found) = fields.take("merge_bytes_per_second") {
        let bytes = bytes_of(&found, 0..=1 << 50)?;
        if (1..64 << 10).contains(&bytes) {
            return Err(found.wrong("at least 64KiB, or 0 for no limit"));
        }
        storage.merge_bytes_per_second = bytes;
    }
    bytes(
        &mut fields,
        "subset_graph_bytes_max",
        &mut storage.subset_graph_bytes_max,
        0..=1 << 40,
    )?;
    if let Some(found) = fields.take("on_corruption") {
        let choice = found.value.as_str().and_then(|text| text.parse().ok());
        storage.on_corruption = choice.ok_or_else(|| found.wrong("stop or skip"))?;
    }
    storage.archive = optional_text(&mut fields, "archive")?;
    whole(
        &mut fields,
        "archive_interval_seconds",
        &mut storage.archive_interval_seconds,
        1..=86_400,
    )?;
    fields.finish()?;
    Ok(storage)
}

fn listen(mut fields: Fields<'_>) -> Result<Listen> {
    let mut listen = Listen::default();
    if let Some(found) = fields.take("grpc") {
        listen.grpc = address(&found)?;
    }
    if let Some(found) = fields.take("http") {
        listen.http = address(&found)?;
    }
    if let Some(found) = fields.take("metrics") {
        listen.metrics = match &found.value {
            Value::String(text) if text.is_empty() || text == "off" => None,
            _ => Some(address(&found)?),
        };
    }
    boolean(&mut fields, "allow_insecure", &mut listen.allow_insecure)?;
    fields.finish()?;
    Ok(listen)
}

fn tls(mut fields: Fields<'_>) -> Result<Tls> {
    let tls = Tls {
        certificate: optional_path(&mut fields, "certificate")?,
        key: optional_path(&mut fields, "key")?,
        client_ca: optional_path(&mut fields, "client_ca")?,
    };
    fields.finish()?;
    Ok(tls)
}

fn auth(mut fields: Fields<'_>) -> Result<Auth> {
    let mut keys = Vec::new();
    if let Some(mut found) = fields.take("keys") {
        const MUST: &str = "a list of keys, each with name, key, access and collections";
        // From the environment or a flag: the list as YAML or JSON. Nothing of it is shown, it holds secrets.
        if let Value::String(text) = &found.value {
            found.value = parse_yaml(text).map_err(|_| found.wrong_secret(MUST))?;
        }
        let Value::Array(items) = found.value.take() else {
            return Err(found.wrong_secret(MUST));
        };
        for (at, item) in items.into_iter().enumerate() {
            keys.push(api_key(fields.item(&found, at, item)?)?);
        }
    }
    let jwt = jwt(fields.section("jwt")?)?;
    fields.finish()?;
    Ok(Auth { keys, jwt })
}

fn api_key(mut fields: Fields<'_>) -> Result<ApiKey> {
    let missing =
        |fields: &Fields<'_>, key: &str| invalid(format!("{}.{key} is missing", fields.path()));
    let name = optional_text(&mut fields, "name")?.ok_or_else(|| missing(&fields, "name"))?;
    let key = secret(&mut fields, "key", "key_file")?.ok_or_else(|| missing(&fields, "key"))?;
    let access = match fields.take("access") {
        None => Access::Read,
        Some(found) => match found.value.as_str() {
            Some("read") => Access::Read,
            Some("write") => Access::Write,
            Some("admin") => Access::Admin,
            _ => return Err(found.wrong("read, write or admin")),
        },
    };
    let mut collections = Vec::new();
    if let Some(found) = fields.take("collections") {
        let items = found.value.as_array().and_then(|items| {
            let names = items.iter().map(|item| item.as_str().map(str::to_owned));
            names.collect::<Option<Vec<_>>>()
        });
        collections = items.ok_or_else(|| found.wrong("a list of names of collections"))?;
    }
    fields.finish()?;
    Ok(ApiKey {
        name,
        key,
        access,
        collections,
    })
}

fn jwt(mut fields: Fields<'_>) -> Result<Option<Jwt>> {
    let jwt = Jwt {
        secret: secret(&mut fields, "secret", "secret_file")?,
        public_key: optional_path(&mut fields, "public_key")?,
        algorithm: optional_text(&mut fields, "algorithm")?,
        issuer: optional_text(&mut fields, "issuer")?,
        audience: optional_text(&mut fields, "audience")?,
    };
    fields.finish()?;
    Ok((jwt != Jwt::default()).then_some(jwt))
}

fn limits(mut fields: Fields<'_>) -> Result<Limits> {
    let mut limits = Limits::default();
    let f = &mut fields;
    if let Some(found) = f.take("memory_bytes_max") {
        let bytes = bytes_of(&found, 0..=1 << 50)?;
        if (1..64 << 20).contains(&bytes) {
            return Err(found.wrong("at least 64MiB, or 0 for no limit"));
        }
        limits.memory_bytes_max = (bytes > 0).then_some(bytes);
    }
    let request = 1 << 10..=1 << 32;
    bytes(
        f,
        "request_bytes_max",
        &mut limits.request_bytes_max,
        request,
    )?;
    let threads = 1..=THREADS_MAX;
    count(
        f,
        "search_threads",
        &mut limits.search_threads,
        0..=THREADS_MAX,
    )?;
    count(f, "write_threads", &mut limits.write_threads, threads)?;
    let queue = 1..=1_000_000;
    count(
        f,
        "search_queue_max",
        &mut limits.search_queue_max,
        queue.clone(),
    )?;
    count(
        f,
        "write_queue_max",
        &mut limits.write_queue_max,
        queue.clone(),
    )?;
    whole(
        f,
        "queue_wait_ms_max",
        &mut limits.queue_wait_ms_max,
        1..=MS_MAX,
    )?;
    whole(f, "timeout_ms", &mut limits.timeout_ms, 1..=MS_MAX)?;
    count(f, "connections_max", &mut limits.connections_max, queue)?;
    whole(
        f,
        "header_timeout_ms",
        &mut limits.header_timeout_ms,
        1..=MS_MAX,
    )?;
    whole(
        f,
        "idle_timeout_ms",
        &mut limits.idle_timeout_ms,
        1..=MS_MAX,
    )?;
    whole(
        f,
        "shutdown_timeout_ms",
        &mut limits.shutdown_timeout_ms,
        0..=MS_MAX,
    )?;
    fields.finish()?;
    Ok(limits)
}

fn log(mut fields: Fields<'_>) -> Result<Log> {
    let mut log = Log::default();
    if let Some(found) = fields.take("level") {
        const MUST: &str =
            "error, warn, info, debug or trace, or by module as in \"info,vecdb_server=debug\"";
        let quotes = || found.wrong("text: put it in quotes");
        let level = found.value.as_str().ok_or_else(quotes)?;
        if !level.is_empty() {
            check_level(level).map_err(|_| found.wrong(MUST))?;
            level.clone_into(&mut log.level);
        }
    }
    if let Some(found) = fields.take("format") {
        log.format = match found.value.as_str() {
            Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            _ => return Err(found.wrong("text or json")),
        };
    }
    whole(
        &mut fields,
        "slow_query_ms",
        &mut log.slow_query_ms,
        0..=MS_MAX,
    )?;
    log.audit = optional_path(&mut fields, "audit")?;
    fields.finish()?;
    Ok(log)
}

fn trace(mut fields: Fields<'_>) -> Result<Trace> {
    let mut trace = Trace::default();
    if let Some(found) = fields.take("otlp_endpoint") {
        trace.otlp_endpoint = match found.value.as_str() {
            Some("") => None,
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                Some(url.to_owned())
            }
            _ => return Err(found.wrong("an address like http://collector:4318")),
        };
    }
    if let Some(found) = fields.take("sample_share") {
        let share = match &found.value {
            Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        };
        trace.sample_share = share
            .filter(|share| (0.0..=1.0).contains(share))
            .ok_or_else(|| found.wrong("a number from 0 to 1"))?;
    }
    fields.finish()?;
    Ok(trace)
}

fn snapshots(mut fields: Fields<'_>) -> Result<Snapshots> {
    let location = optional_text(&mut fields, "location")?;
    fields.finish()?;
    Ok(Snapshots { location })
}

/// `127.0.0.1:6333`, `[::]:6333` or `localhost:6333`.
fn address(found: &Found) -> Result<SocketAddr> {
    let must = || found.wrong("an address with a port, like 127.0.0.1:6333 or [::]:6333");
    let text = found.value.as_str().ok_or_else(must)?;
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    // Only this name: where others lead may change while the server runs.
    match text.strip_prefix("localhost:") {
        Some(_) => text
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.find(SocketAddr::is_ipv4))
            .ok_or_else(must),
        None => Err(must()),
    }
}

fn boolean(fields: &mut Fields<'_>, key: &'static str, into: &mut bool) -> Result<()> {
    if let Some(found) = fields.take(key) {
        *into = match &found.value {
            Value::Bool(value) => *value,
            Value::String(text) if text == "true" => true,
            Value::String(text) if text == "false" => false,
            _ => return Err(found.wrong("true or false")),
        };
    }
    Ok(())
}

fn whole(
    fields: &mut Fields<'_>,
    key: &'static str,
    into: &mut u64,
    range: RangeInclusive<u64>,
) -> Result<()> {
    if let Some(found) = fields.take(key) {
        let number = match &found.value {
            Value::String(text) => text.replace('_', "").parse().ok(),
            other => other.as_u64(),
        };
        *into = number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                found.wrong(format_args!(
                    "a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })?;
    }
    Ok(())
}

fn count(
    fields: &mut Fields<'_>,
    key: &'static str,
    into: &mut usize,
    range: RangeInclusive<u64>,
) -> Result<()> {
    let mut number = *into as u64;
    whole(fields, key, &mut number, range)?;
    // The ranges in use end far below what a usize holds.
    *into = number as usize;
    Ok(())
}

fn bytes(
    fields: &mut Fields<'_>,
    key: &'static str,
    into: &mut u64,
    range: RangeInclusive<u64>,
) -> Result<()> {
    if let Some(found) = fields.take(key) {
        *into = bytes_of(&found, range)?;
    }
    Ok(())
}

fn bytes_of(found: &Found, range: RangeInclusive<u64>) -> Result<u64> {
    let bytes = match &found.value {
        Value::String(text) => parse_bytes(text),
        other => other.as_u64(),
    };
    bytes.filter(|bytes| range.contains(bytes)).ok_or_else(|| {
        found.wrong(format_args!(
            "a size like 64MiB, from {} to {}",
            format_bytes(*range.start()),
            format_bytes(*range.end())
        ))
    })
}

fn path(fields: &mut Fields<'_>, key: &'static str, into: &mut PathBuf) -> Result<()> {
    if let Some(found) = fields.take(key) {
        let text = found.value.as_str().filter(|text| !text.is_empty());
        *into = PathBuf::from(text.ok_or_else(|| found.wrong("a path"))?);
    }
    Ok(())
}

/// Empty text is none.
fn optional_path(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<PathBuf>> {
    Ok(optional_text(fields, key)?.map(PathBuf::from))
}

/// Empty text is none.
fn optional_text(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<String>> {
    match fields.take(key) {
        None => Ok(None),
        Some(found) => match found.value.as_str() {
            Some("") => Ok(None),
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(found.wrong("text: put it in quotes")),
        },
    }
}

/// Empty text is none.
/// The value of `key`, or the content of the file that `file_key` names, so that the settings need not hold it.
fn secret(
    fields: &mut Fields<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Result<Option<Secret>> {
    let inline = match fields.take(key) {
        None => None,
        Some(found) => match found.value.as_str() {
            Some("") => None,
            Some(text) => Some(Secret::new(text)),
            None => return Err(found.wrong_secret("text: put it in quotes")),
        },
    };
    let Some(file) = optional_path(fields, file_key)? else {
        return Ok(inline);
    };
    let at = fields.path();
    if inline.is_some() {
        return Err(invalid(format!(
            "{at}: {key} and {file_key} are set; give one of them"
        )));
    }
    let text = std::fs::read_to_string(&file).map_err(|error| {
        invalid(format!(
            "{at}.{file_key}: cannot read {}: {error}",
            file.display()
        ))
    })?;
    match text.trim_end() {
        "" => Err(invalid(format!(
            "{at}.{file_key}: {} is empty",
            file.display()
        ))),
        text => Ok(Some(Secret::new(text))),
    }
}
