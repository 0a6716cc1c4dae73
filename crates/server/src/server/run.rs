//! What happens from the start of a server to its end.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc as tokio_mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use vecdb_backend::{Local, SnapshotStore};
use vecdb_engine::{Archive, Database, Env, Error, ErrorKind, Options, Result};

use super::{Addresses, Event, notify, reload, scrape, signals};
use crate::auth::Authority;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::listen::{Listeners, Stopper, by_protocol};
use crate::observe::Metrics;
use crate::{grpc, http};

/// Where snapshots are kept unless something else is said: in the folder of the database. The engine takes no notice
/// of it there.
const SNAPSHOTS: &str = "snapshots";
/// How long tasks that did not end in time may take to be dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the last spans may take to reach their collector.
const SPANS_TIMEOUT: Duration = Duration::from_secs(2);

/// What a server can be told.
pub(super) enum Command {
    Stop,
    Reload(Box<Config>, mpsc::Sender<Result<Vec<&'static str>>>),
    ListenToSignals(mpsc::Sender<Result<()>>),
}

/// What is known once the addresses are bound.
pub(super) struct Started {
    pub(super) addresses: Addresses,
    pub(super) gateway: Arc<Gateway>,
}

/// Runs a server to its end.
pub(super) fn run(
    config: &Config,
    env: Env,
    orders: tokio_mpsc::UnboundedReceiver<Command>,
    started: &mpsc::Sender<Started>,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("vecdb-async")
        .enable_all()
        .build()
        .map_err(|error| {
            let message = format!("cannot start threads: {error}");
            Error::new(ErrorKind::ResourceExhausted, message)
        })?;
    let ended = runtime.block_on(serve(&runtime, config, env, orders, started, events));
    // Whatever did not end in time ends here, before the database is closed.
    runtime.shutdown_timeout(DROP_TIMEOUT);
    match ended? {
        None => Ok(()),
        Some(database) => match Arc::into_inner(database) {
            Some(database) => database.close(),
            None => {
                // What was acknowledged is in the log.
                tracing::warn!("calls are still running: the database is left as it is");
                Ok(())
            }
        },
    }
}

/// Serves until told to stop, and gives back the database, if it was open by then.
async fn serve(
    runtime: &Runtime,
    config: &Config,
    env: Env,
    mut orders: tokio_mpsc::UnboundedReceiver<Command>,
    started: &mpsc::Sender<Started>,
    events: mpsc::Sender<Event>,
) -> Result<Option<Arc<Database>>> {
    let metrics = Arc::new(Metrics::new());
    let authority = Arc::new(Authority::new(&config.auth)?);
    let listeners = Listeners::bind(config, &metrics).await?;
    let gateway = Gateway::new(config, authority.clone(), metrics.clone())?;
    let addresses = Addresses {
        grpc: listeners.grpc_address()?,
        http: listeners.http_address()?,
        metrics: listeners.metrics_address()?,
    };
    let routes = by_protocol(grpc::routes(gateway.clone()), http::routes(gateway.clone()));
    let stopper = listeners.serve(routes, scrape::routes(gateway.clone(), metrics));
    // The handle may be gone already; then the order to stop is as well, and comes below.
    let _ = started.send(Started {
        addresses,
        gateway: gateway.clone(),
    });
    let mut running = Running {
        config: config.clone(),
        authority,
        gateway,
        stopper,
        backend: None,
    };

    let mut opening = open(env, config.clone());
    let mut database = None;
    let mut failure = None;
    loop {
        tokio::select! {
            opened = &mut opening, if database.is_none() && failure.is_none() => match opened {
                Ok(Ok((opened, backend))) => {
                    let recovery = opened.recovery();
                    tracing::info!(
                        path = %config.storage.path.display(),
                        replayed = recovery.replayed,
                        torn_bytes_cut = recovery.torn_bytes_cut,
                        skipped = recovery.skipped,
                        "the database is open"
                    );
                    database = Some(opened);
                    running.attach(backend);
                    notify::ready();
                }
                outcome => {
                    let error = match outcome {
                        Ok(Err(error)) => error,
                        _ => Error::new(ErrorKind::Io, "opening the database panicked"),
                    };
                    tracing::error!(%error, "the database cannot be opened");
                    running.gateway.fail(error.to_string());
                    failure = Some(error);
                    break;
                }
            },
            order = orders.recv() => match order {
                Some(Command::Reload(config, answer)) => {
                    // Nobody waits any more if the handle is gone.
                    let _ = answer.send(running.reload(*config));
                }
                Some(Command::ListenToSignals(answer)) => {
                    let _ = answer.send(signals::listen(runtime, events.clone()));
                }
                Some(Command::Stop) | None => break,
            },
        }
    }
    notify::stopping();
    let limit = Duration::from_millis(running.config.limits.shutdown_timeout_ms);
    let until = Instant::now() + limit;
    if failure.is_none() && database.is_none() {
        // The log is read; that cannot be cut short, but nothing is lost if the process ends meanwhile.
        database = match timeout_at(until, &mut opening).await {
            Ok(Ok(Ok((opened, _)))) => Some(opened),
            _ => None,
        };
    }
    running.end(until).await;
    failure.map_or(Ok(database), Err)
}

/// What changes while a server runs.
pub(super) struct Running {
    /// The settings in force.
    pub(super) config: Config,
    pub(super) authority: Arc<Authority>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) stopper: Stopper,
    /// Once the database is open.
    pub(super) backend: Option<Arc<Local>>,
}

impl Running {
    /// Serves `backend` from now on.
    fn attach(&mut self, backend: Arc<Local>) {
        // They may have changed since the opening began.
        reload::limit(&backend, &self.config);
        self.backend = Some(backend.clone());
        self.gateway.attach(backend);
    }

    /// Lets calls and connections end, until then at most.
    async fn end(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let (drained, open) = tokio::join!(
            timeout_at(until, self.gateway.drain()),
            self.stopper.stop(left)
        );
        if drained.is_err() || open > 0 {
            tracing::warn!(
                connections = open,
                "limits.shutdown_timeout_ms is over: calls that still run are cut off"
            );
        }
        self.gateway.recorder().shutdown(SPANS_TIMEOUT);
    }
}

type Opened = Result<(Arc<Database>, Arc<Local>)>;

/// Opens the database on a thread of its own.
fn open(env: Env, config: Config) -> oneshot::Receiver<Opened> {
    let (done, opening) = oneshot::channel();
    let work = move || {
        // Nobody waits any more if the server was told to stop.
        let _ = done.send(open_now(&env, &config));
    };
    // Without the thread the sender is dropped, which is told as an error.
    let _ = std::thread::Builder::new()
        .name("vecdb-open".to_owned())
        .spawn(work);
    opening
}

fn open_now(env: &Env, config: &Config) -> Opened {
    let path = &config.storage.path;
    let database = Database::open_with(env, path, options(config))
        .map_err(|error| error.context(format_args!("storage.path {}", path.display())))?;
    let location = match &config.snapshots.location {
        Some(location) => location.clone(),
        None => default_snapshots(path)?,
    };
    let snapshots = SnapshotStore::open(&location)
        .map_err(|error| error.context(format_args!("snapshots.location {location}")))?;
    let database = Arc::new(database);
    let backend = Local::new(database.clone(), Some(snapshots));
    Ok((database, Arc::new(backend)))
}

fn default_snapshots(storage: &Path) -> Result<String> {
    let folder = storage.join(SNAPSHOTS);
    folder.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "storage.path {} is no UTF-8, so that snapshots.location has to be given",
                storage.display()
            ),
        )
    })
}

/// Building field indexes may hold this share of the memory that the process may use.
const FIELD_INDEX_SHARE: u64 = 4;

fn options(config: &Config) -> Options {
    let storage = &config.storage;
    let limit = config.limits.memory_bytes_max;
    Options {
        threads: storage.background_threads,
        memtable_bytes_max: storage.memtable_bytes_max,
        wal_bytes_max: storage.wal_bytes_max,
        merge_bytes_per_second: storage.merge_bytes_per_second,
        subset_graph_bytes_max: storage.subset_graph_bytes_max,
        on_corruption: storage.on_corruption,
        archive: match storage.archive.as_deref() {
            None => Archive::Unchanged,
            Some(place) => Archive::parse(place),
        },
        archive_interval: Duration::from_secs(storage.archive_interval_seconds),
        field_index_bytes_max: limit.map_or(u64::MAX, |limit| limit / FIELD_INDEX_SHARE),
        ..Options::default()
    }
}

/// Every connection and every segment needs a file descriptor, and the usual limit is for interactive programs.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
