//! The loops that take connections, their limit, and the end of all of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use vecdb_engine::{Error, ErrorKind, Result};

use super::tls::{Certificates, PreparedCertificates};
use super::{connection, exposure, socket};
use crate::config::{Config, Limits, Tls};
use crate::observe::{Metrics, OpenConnection, Refusal};

/// Connections to the port for metrics; it has its own, so that it can be asked when the others are full.
const METRICS_CONNECTIONS_MAX: usize = 64;
/// How long to wait when the process has no file descriptor left: another connection has to end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the files of certificates are looked at.
const CERTIFICATES_LOOK: Duration = Duration::from_secs(2);

/// Bound sockets that take no connection yet.
pub(crate) struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
    metrics: Option<TcpListener>,
    shared: Arc<Shared>,
    /// The same for the port for metrics, which is never encrypted.
    plain: Arc<Shared>,
}

/// What connections have in common.
pub(super) struct Shared {
    pub(super) limits: ArcSwap<Limits>,
    pub(super) certificates: Option<Certificates>,
    open: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// Ends what [`Listeners::serve`] began, and changes what can be changed meanwhile.
pub(crate) struct Stopper {
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    plain: Arc<Shared>,
}

/// What a [`Stopper`] is to take over, checked and read.
pub(crate) struct PreparedListen {
    limits: Limits,
    certificates: Option<PreparedCertificates>,
}

impl Listeners {
    /// Binds all addresses, or none.
    ///
    /// # Errors
    /// See `docs/server.md`: an address that others can reach without keys, a port in use, certificates that cannot be
    /// read.
    pub(crate) async fn bind(config: &Config, metrics: &Arc<Metrics>) -> Result<Self> {
        exposure::check(config)?;
        let certificates = Certificates::load(&config.tls)?;
        let listen = &config.listen;
        let shared = |limits: Limits, certificates| {
            Arc::new(Shared {
                limits: ArcSwap::from_pointee(limits),
                certificates,
                open: AtomicUsize::new(0),
                metrics: metrics.clone(),
            })
        };
        Ok(Self {
            grpc: socket::bind("grpc", listen.grpc).await?,
            http: socket::bind("http", listen.http).await?,
            metrics: match listen.metrics {
                Some(address) => Some(socket::bind("metrics", address).await?),
                None => None,
            },
            shared: shared(config.limits.clone(), certificates),
            plain: shared(for_metrics(&config.limits), None),
        })
    }

    /// Where gRPC is spoken: with the port that the system chose, if it was to choose one.
    pub(crate) fn grpc_address(&self) -> Result<SocketAddr> {
        self.grpc.local_addr().map_err(|error| no_address(&error))
    }

    /// Where HTTP is spoken.
    pub(crate) fn http_address(&self) -> Result<SocketAddr> {
        self.http.local_addr().map_err(|error| no_address(&error))
    }

    /// Where metrics are, if anywhere.
    pub(crate) fn metrics_address(&self) -> Result<Option<SocketAddr>> {
        let address = self.metrics.as_ref().map(TcpListener::local_addr);
        address.transpose().map_err(|error| no_address(&error))
    }

    /// Takes connections from now on, in tasks of the current runtime.
    pub(crate) fn serve(self, routes: Router, metrics: Router) -> Stopper {
        let (stop, stopping) = watch::channel(false);
        for listener in [self.grpc, self.http] {
            let shared = self.shared.clone();
            tokio::spawn(accept(listener, routes.clone(), shared, stopping.clone()));
        }
        if let Some(listener) = self.metrics {
            let plain = self.plain.clone();
            tokio::spawn(accept(listener, metrics, plain, stopping.clone()));
        }
        if self.shared.certificates.is_some() {
            tokio::spawn(renew(self.shared.clone(), stopping));
        }
        Stopper {
            stop,
            shared: self.shared,
            plain: self.plain,
        }
    }
}

/// The same, but for the number of connections.
fn for_metrics(limits: &Limits) -> Limits {
    Limits {
        connections_max: METRICS_CONNECTIONS_MAX,
        ..limits.clone()
    }
}

impl Stopper {
    /// Takes no further connection, lets the requests under way end and then closes the connections. Returns how many
    /// were left when the time was up; they end with the runtime.
    pub(crate) async fn stop(&self, limit: Duration) -> usize {
        self.stop.send_replace(true);
        // Every task holds a receiver for as long as it runs.
        match tokio::time::timeout(limit, self.stop.closed()).await {
            Ok(()) => 0,
            Err(_) => self.shared.open.load(Ordering::Relaxed),
        }
    }

    /// Reads the certificates again, whether or not their files changed.
    pub(crate) fn prepare(&self, limits: &Limits, tls: &Tls) -> Result<PreparedListen> {
        let certificates = match &self.shared.certificates {
            Some(_) => Some(Certificates::prepare(tls)?),
            None if tls.is_enabled() => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "tls.certificate cannot be given to a running server that has none; start it anew",
                ));
            }
            None => None,
        };
        Ok(PreparedListen {
            limits: limits.clone(),
            certificates,
        })
    }

    /// Takes other limits and certificates. Connections that exist keep their certificate.
    pub(crate) fn take_over(&self, prepared: PreparedListen) {
        if let (Some(certificates), Some(new)) = (&self.shared.certificates, prepared.certificates)
        {
            certificates.take_over(new);
        }
        let plain = for_metrics(&prepared.limits);
        self.plain.limits.store(Arc::new(plain));
        self.shared.limits.store(Arc::new(prepared.limits));
    }
}

async fn accept(
    listener: TcpListener,
    routes: Router,
    shared: Arc<Shared>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut is_full = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stops| *stops) => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let max = shared.limits.load().connections_max;
        let Some(place) = Place::take(&shared, max) else {
            shared.metrics.refuse(Refusal::Connections);
            // Once, not for every one of a flood.
            if !std::mem::replace(&mut is_full, true) {
                tracing::warn!(
                    max,
                    "limits.connections_max is reached; further ones are closed"
                );
            }
            continue;
        };
        is_full = false;
        prepare(&stream);
        let connection = connection::serve(
            stream,
            address.ip(),
            routes.clone(),
            shared.clone(),
            stopping.clone(),
        );
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

/// Small answers go out at once.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with delays");
    }
}

/// One of the connections there may be.
struct Place {
    shared: Arc<Shared>,
    _counted: OpenConnection,
}

impl Place {
    fn take(shared: &Arc<Shared>, max: usize) -> Option<Self> {
        let before = shared.open.fetch_add(1, Ordering::Relaxed);
        let place = Self {
            shared: shared.clone(),
            _counted: shared.metrics.connection(),
        };
        (before < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Errors of a client that was gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Reads certificates again whenever their files change.
async fn renew(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATES_LOOK) => {}
            _ = stopping.wait_for(|stops| *stops) => return,
        }
        match shared
            .certificates
            .as_ref()
            .map(Certificates::reload_if_changed)
        {
            Some(Ok(true)) => tracing::info!("the certificates were read again"),
            Some(Err(error)) => {
                tracing::error!(%error, "new certificates are wrong, the old ones stay in use");
            }
            Some(Ok(false)) | None => {}
        }
    }
}

fn no_address(error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        format!("cannot tell the address of a socket: {error}"),
    )
}
