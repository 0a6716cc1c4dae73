//! `serve`: a database for other processes. What it writes for people goes to stdout, its log to stderr.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use vecdb_engine::{IndexSpec, Result};
use vecdb_server::config::{Config, LogFormat};
use vecdb_server::gateway::GatewayState;
use vecdb_server::observe::{self, Logs};
use vecdb_server::{Event, Server};

use crate::args::{Globals, ServeArgs};
use crate::failure::Outcome;
use crate::output::Console;

/// A server that is not ready by then says so; large logs take longer to read.
const READY_WAIT: Duration = Duration::from_secs(1);
/// Columns between the borders of the banner.
const WIDTH: usize = 61;

pub(crate) fn run(console: &Console, globals: &Globals, args: &ServeArgs) -> Outcome {
    let load = || load(globals, args);
    let config = load()?;
    if args.print_config {
        return console.bytes(config.to_yaml()?.as_bytes());
    }
    let logs = observe::init(&config.log)?;
    let mut server = Server::start(config.clone())?;
    let signals = server.listen_to_signals();
    let is_ready = server.wait_ready(READY_WAIT);
    // A database that could not be opened is told as an error, below; the server may have ended with it.
    if matches!(server.state(), GatewayState::Opening | GatewayState::Ready) {
        signals?;
        console.json(&json!({
            "path": config.storage.path,
            "grpc": server.grpc_address(),
            "http": server.http_address(),
            "metrics": server.metrics_address(),
            "ready": is_ready,
        }))?;
        if config.log.format == LogFormat::Text {
            console.line(banner(&config, &server, is_ready))?;
        }
        console.flush()?;
        tracing::info!(
            grpc = %server.grpc_address(),
            http = %server.http_address(),
            metrics = server.metrics_address().map(tracing::field::display),
            storage = %config.storage.path.display(),
            is_ready,
            version = env!("CARGO_PKG_VERSION"),
            "the server accepts connections"
        );
    }
    loop {
        match server.next_event() {
            Event::Ended(outcome) => {
                tracing::info!("the server has ended");
                return Ok(outcome?);
            }
            Event::Stop => {
                tracing::info!("asked to end: calls under way are finished");
                server.begin_shutdown();
            }
            Event::Reload => match load().and_then(|config| reload(&server, &logs, config)) {
                Ok(later) if later.is_empty() => tracing::info!("the settings were read again"),
                Ok(later) => tracing::warn!(
                    settings = later.join(", "),
                    "the settings were read again, but these count from the next start on"
                ),
                Err(error) => {
                    tracing::error!(%error, "the new settings are wrong, the old ones stay in force");
                }
            },
        }
    }
}

fn load(globals: &Globals, args: &ServeArgs) -> Result<Config> {
    let mut flags = args.flags();
    if globals.path_is_given {
        let path = globals.path.to_string_lossy().into_owned();
        flags.push(("storage.path".to_owned(), path));
    }
    // Settings are text: a variable that is none is not one of them.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(args.config.as_deref(), environment, &flags)
}

fn reload(server: &Server, logs: &Logs, config: Config) -> Result<Vec<&'static str>> {
    let log = config.log.clone();
    let later = server.reload(config)?;
    // The level was checked with all other settings.
    logs.reload(&log)?;
    Ok(later)
}

fn banner(config: &Config, server: &Server, is_ready: bool) -> String {
    let secured = |address: std::net::SocketAddr| match config.tls.is_enabled() {
        true => format!("{address} (TLS)"),
        false => address.to_string(),
    };
    let metrics = server
        .metrics_address()
        .map_or("off".to_owned(), |address| format!("{address}/metrics"));
    let status = match is_ready {
        true => "Ready to accept connections",
        false => "Opening the database; /readyz tells when it is done",
    };
    let lines = [
        "Configuration:".to_owned(),
        format!("  Storage: {}", config.storage.path.display()),
        format!("  Index:   {}", default_index()),
        format!("  Callers: {}", callers(config)),
        String::new(),
        "Endpoints:".to_owned(),
        format!("  gRPC:    {}", secured(server.grpc_address())),
        format!("  HTTP:    {}", secured(server.http_address())),
        format!("  Metrics: {metrics}"),
        String::new(),
        format!("Status: {status}"),
    ];
    let title = format!("VecDB Server v{}", env!("CARGO_PKG_VERSION"));
    let rule = "═".repeat(WIDTH);
    let mut text = format!("╔{rule}╗\n║{title:^WIDTH$}║\n╠{rule}╣\n");
    for line in lines {
        // Writing to a string cannot fail. A long path widens its line.
        let _ = writeln!(text, "║  {line:<0$}║", WIDTH - 2);
    }
    text + &format!("╚{rule}╝")
}

/// Who is let in.
fn callers(config: &Config) -> &'static str {
    match (config.auth.is_enabled(), config.tls.knows_clients()) {
        (true, true) => "a key or token and a client certificate",
        (true, false) => "a key or token is needed",
        (false, true) => "a client certificate is needed",
        (false, false) => "no keys, everybody may do everything",
    }
}

/// What a collection gets that asks for nothing else.
fn default_index() -> String {
    match IndexSpec::default() {
        IndexSpec::Hnsw(params) => format!(
            "HNSW (M={}, ef_construction={})",
            params.m, params.ef_construction
        ),
        other => other.to_string(),
    }
}
