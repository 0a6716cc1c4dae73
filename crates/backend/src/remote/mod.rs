//! A database behind an address: the sync face of `vecdb_client`.
//!
//! A call runs on the thread that makes it; one thread of a private runtime looks after the connection. So any number of
//! threads may call at once. Not for use inside of async code, which has `vecdb_client`.

mod bulk;
mod calls;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use vecdb_client::{Client, ClientError};
use vecdb_engine::{Durability, Error, ErrorKind, Point, Result, StopSignal, WriteResult};
use vecdb_protocol::convert;

/// How often a call that takes its time looks whether it was stopped.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// Settings of a [`Remote`].
#[derive(Clone, Default)]
pub struct RemoteOptions {
    /// The API key or JWT to show. Default: none.
    pub api_key: Option<String>,
    /// The certificates (PEM) that the server's is trusted by. Default: those of the system.
    pub ca_certificate: Option<Vec<u8>>,
    /// The certificate (PEM) to show to a server that asks for one, together with `client_key`. Default: none.
    pub client_certificate: Option<Vec<u8>>,
    /// The private key (PEM) of `client_certificate`.
    pub client_key: Option<Vec<u8>>,
    /// How long a call may take, retries included, unless its `StopSignal` has a deadline. Calls that take as long as
    /// there is data (flush, compact, verify, advise, field indexes; making, restoring and deleting snapshots) have no limit, and to a stream of
    /// upserts it is how long it waits for the next answer. Default: 30 s.
    pub timeout: Option<Duration>,
    /// How often a call that can be repeated is repeated when the server is not there or busy. Default: 3.
    pub retries: Option<u32>,
}

/// A database behind an address.
pub struct Remote {
    client: Client,
    /// `None` once dropped.
    runtime: Option<Runtime>,
}

impl Remote {
    /// The server at `url`: `host:port`, `http://host:port` or `https://host:port`, the port being 6333 where none is
    /// given. The connection is made by the first call, and anew when it was lost.
    pub fn connect(url: &str, options: RemoteOptions) -> Result<Self> {
        let mut builder = Client::builder(url);
        if let Some(key) = options.api_key {
            builder = builder.api_key(key);
        }
        if let Some(pem) = options.ca_certificate {
            builder = builder.ca_certificate_pem(pem);
        }
        builder = match (options.client_certificate, options.client_key) {
            (Some(certificate), Some(key)) => builder.identity_pem(certificate, key),
            (None, None) => builder,
            (certificate, _) => {
                let missing = if certificate.is_some() {
                    "key"
                } else {
                    "certificate"
                };
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("the client {missing} is missing: certificate and key belong together"),
                ));
            }
        };
        if let Some(timeout) = options.timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(retries) = options.retries {
            builder = builder.retries(retries);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("vecdb-remote")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(
                    ErrorKind::ResourceExhausted,
                    format!("cannot start a thread: {error}"),
                )
            })?;
        let client = {
            let _inside = runtime.enter();
            builder.connect().map_err(|error| engine_error(&error))?
        };
        Ok(Self {
            client,
            runtime: Some(runtime),
        })
    }

    /// Upserts batch after batch, several of them under way at a time, in their order. `progress` gets the answer to
    /// each once it is as durable as asked. A connection that is lost, or a server that is busy, is tried again with
    /// what was not answered; an error leaves the batches answered before it written. Once `stop` is given no further
    /// batch is taken, and those that were not answered may or may not be written.
    pub fn upsert_stream(
        &self,
        collection: &str,
        batches: impl IntoIterator<Item = Vec<Point>>,
        durability: Option<Durability>,
        stop: &StopSignal,
        progress: &mut dyn FnMut(WriteResult),
    ) -> Result<()> {
        bulk::Load::new(self, collection, durability, stop, batches.into_iter()).run(progress)
    }

    /// Makes one call, which ends when `stop` says so.
    fn call<T, F>(&self, stop: &StopSignal, call: impl FnOnce(Client) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        stop.check()?;
        let work = call(self.client_until(stop));
        self.wait(stop, work)?.map_err(|error| engine_error(&error))
    }

    /// The client, whose calls end when `stop` is given by the clock.
    fn client_until(&self, stop: &StopSignal) -> Client {
        let client = self.client.clone();
        match stop.deadline() {
            Some(deadline) => client.with_deadline(deadline),
            None => client,
        }
    }

    /// Waits for `work` until `stop` says otherwise. A call is dropped then, which tells the server that nobody waits any
    /// more.
    fn wait<T>(&self, stop: &StopSignal, work: impl Future<Output = T>) -> Result<T> {
        self.block_on(async {
            let mut work = pin!(work);
            loop {
                match timeout(STOP_CHECK, work.as_mut()).await {
                    Ok(done) => return Ok(done),
                    Err(_) => stop.check()?,
                }
            }
        })?
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let runtime = self.runtime.as_ref();
        let closed = || Error::new(ErrorKind::Unavailable, "the connection is closed");
        Ok(runtime.ok_or_else(closed)?.block_on(work))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is not allowed inside of async code.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn engine_error(error: &ClientError) -> Error {
    convert::error_of(error.status())
}

/// The result of reading an answer: what this side does not understand is not the caller's fault.
fn understood<T>(answer: Result<T>) -> Result<T> {
    answer.map_err(|error| {
        Error::new(
            ErrorKind::Unsupported,
            format!("the server's answer is not understood: {error}"),
        )
    })
}

/// A part of an answer, which must be there.
fn part<T>(part: Option<T>) -> Result<T> {
    let missing = || Error::new(ErrorKind::Unsupported, "a part of it is missing");
    understood(part.ok_or_else(missing))
}
