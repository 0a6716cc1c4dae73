//! All of a server put together: sockets first, then the database, and at the end everything in the other order.
//!
//! ```text
//! run      what happens from start to end, on threads of its own
//! reload   settings that change meanwhile
//! scrape   the page for Prometheus
//! signals  what the operating system says to the process
//! notify   what the process says to systemd
//! ```
//! A [`Server`] needs no async runtime around it and may be used within one.

mod notify;
mod reload;
mod run;
mod scrape;
mod signals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc as tokio_mpsc;
use vecdb_engine::{Env, Error, ErrorKind, Result};

use crate::config::Config;
use crate::gateway::{Gateway, GatewayState};
use run::{Command, Started};

/// A running server. Dropping it shuts it down.
pub struct Server {
    addresses: Addresses,
    gateway: Arc<Gateway>,
    commands: tokio_mpsc::UnboundedSender<Command>,
    events: mpsc::Receiver<Event>,
    is_over: bool,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    grpc: SocketAddr,
    http: SocketAddr,
    metrics: Option<SocketAddr>,
}

/// What happens to a server.
#[derive(Debug)]
pub enum Event {
    /// It has ended: as it was told to, or for this reason.
    Ended(Result<()>),
    /// The operating system asks it to end (SIGTERM, SIGINT). Only after [`Server::listen_to_signals`].
    Stop,
    /// The operating system asks it to read its settings again (SIGHUP). Only after [`Server::listen_to_signals`].
    Reload,
}

impl Server {
    /// Binds the addresses, begins to answer on them, and opens the database meanwhile: until that is done, calls are
    /// refused as `Unavailable`.
    ///
    /// # Errors
    /// `InvalidArgument` for settings that cannot be, `Unavailable` for a port in use, `PermissionDenied` for one this
    /// process may not have. An error of the database comes from [`Self::wait`].
    pub fn start(config: Config) -> Result<Self> {
        Self::start_on(vecdb_remote::env(), config)
    }

    /// [`Self::start`] with the database on other components: tests put a disk that fails there. Snapshots and the audit
    /// file stay where they are.
    pub fn start_on(env: Env, config: Config) -> Result<Self> {
        let (commands, orders) = tokio_mpsc::unbounded_channel();
        let (teller, events) = mpsc::channel();
        let (started, starting) = mpsc::channel();
        let signals = teller.clone();
        std::thread::Builder::new()
            .name("vecdb-server".to_owned())
            .spawn(move || {
                let outcome = run::run(&config, env, orders, &started, signals);
                // Without a receiver nobody wants to know.
                let _ = teller.send(Event::Ended(outcome));
            })
            .map_err(|error| {
                let message = format!("cannot start a thread: {error}");
                Error::new(ErrorKind::ResourceExhausted, message)
            })?;
        let Ok(Started { addresses, gateway }) = starting.recv() else {
            return Err(match events.recv() {
                Ok(Event::Ended(Err(error))) => error,
                _ => Error::new(ErrorKind::Io, "the server ended before it had begun"),
            });
        };
        Ok(Self {
            addresses,
            gateway,
            commands,
            events,
            is_over: false,
        })
    }

    /// Where gRPC is spoken (and HTTP as well).
    pub fn grpc_address(&self) -> SocketAddr {
        self.addresses.grpc
    }

    /// Where HTTP is spoken (and gRPC as well).
    pub fn http_address(&self) -> SocketAddr {
        self.addresses.http
    }

    /// Where metrics are, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.addresses.metrics
    }

    /// What the server is doing.
    pub fn state(&self) -> GatewayState {
        self.gateway.state()
    }

    /// Waits until the database is open, at most `limit` long, and says whether it is.
    pub fn wait_ready(&self, limit: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(2);
        let begun = std::time::Instant::now();
        while self.state() == GatewayState::Opening && begun.elapsed() < limit {
            std::thread::sleep(LOOK.min(limit));
        }
        self.state() == GatewayState::Ready
    }

    /// Waits for what happens next.
    pub fn next_event(&mut self) -> Event {
        let event = self.events.recv().unwrap_or_else(|_| {
            Event::Ended(Err(Error::new(
                ErrorKind::Io,
                "the thread of the server has panicked",
            )))
        });
        self.is_over |= matches!(event, Event::Ended(_));
        event
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// Why the database could not be opened, or not be closed well.
    pub fn wait(mut self) -> Result<()> {
        self.wait_for_end()
    }

    /// Takes no further call, lets those under way end (`limits.shutdown_timeout_ms` at most), writes everything to disk
    /// and closes the database.
    pub fn shutdown(mut self) -> Result<()> {
        self.begin_shutdown();
        self.wait_for_end()
    }

    /// What [`Self::shutdown`] does, without waiting for it.
    pub fn begin_shutdown(&self) {
        // A server that has ended needs not be told.
        let _ = self.commands.send(Command::Stop);
    }

    /// Takes over keys, rights, limits, what is recorded, and certificates, all of them or none. Returns the settings
    /// that differ from those in use but count only from the next start on.
    ///
    /// # Errors
    /// What is wrong with the new settings; the old ones stay.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static str>> {
        let (answer, answered) = mpsc::channel();
        let ended = || Error::new(ErrorKind::Unavailable, "the server has ended");
        self.commands
            .send(Command::Reload(Box::new(config), answer))
            .map_err(|_| ended())?;
        answered.recv().map_err(|_| ended())?
    }

    /// Makes events of SIGTERM, SIGINT and SIGHUP from now on. The second that asks for the end ends the process at
    /// once, whatever is under way.
    pub fn listen_to_signals(&self) -> Result<()> {
        let (answer, answered) = mpsc::channel();
        let ended = || Error::new(ErrorKind::Unavailable, "the server has ended");
        self.commands
            .send(Command::ListenToSignals(answer))
            .map_err(|_| ended())?;
        answered.recv().map_err(|_| ended())?
    }

    fn wait_for_end(&mut self) -> Result<()> {
        loop {
            if let Event::Ended(outcome) = self.next_event() {
                return outcome;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_over {
            self.begin_shutdown();
            if let Err(error) = self.wait_for_end() {
                tracing::error!(%error, "the server did not end well");
            }
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
