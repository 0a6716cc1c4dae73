//! The server.

use std::path::PathBuf;

use clap::Args;

/// Where settings come from: defaults, then the file, then VECDB_SECTION_KEY variables, then flags.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// File of settings, YAML or TOML by its extension.
    #[arg(long, short = 'f', value_name = "FILE", env = "VECDB_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Set anything: `--set limits.search_threads=4`. May be given several times.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Address for gRPC clients (listen.grpc) [default: 127.0.0.1:6333].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) grpc: Option<String>,
    /// Address for HTTP clients (listen.http) [default: 127.0.0.1:6334].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// Address for Prometheus, or `off` (listen.metrics) [default: 127.0.0.1:9090].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<String>,
    /// Serve other machines without keys (listen.allow_insecure).
    #[arg(long)]
    pub(crate) allow_insecure: bool,
    /// error, warn, info, debug or trace (log.level) [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// text or json (log.format) [default: text].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Print the settings in force as YAML, secrets left out, and end.
    #[arg(long)]
    pub(crate) print_config: bool,
}

impl ServeArgs {
    /// What the flags set, each with its path. What is given by name comes after `--set`.
    pub(crate) fn flags(&self) -> Vec<(String, String)> {
        let named = [
            ("listen.grpc", &self.grpc),
            ("listen.http", &self.http),
            ("listen.metrics", &self.metrics),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ];
        let mut flags = self.settings.clone();
        for (path, value) in named {
            flags.extend(value.iter().map(|value| (path.to_owned(), value.clone())));
        }
        if self.allow_insecure {
            flags.push(("listen.allow_insecure".to_owned(), "true".to_owned()));
        }
        flags
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if path.contains('.') => Ok((path.trim().to_owned(), value.to_owned())),
        _ => Err("write it as section.key=value, for example limits.search_threads=4".to_owned()),
    }
}
