//! A server behind its two faces: searches by many clients, bulk load, mixed load beyond what it can do.
//!
//! gRPC is spoken by `vecdb-client`, HTTP by hyper over connections that stay open. A single client runs on one thread;
//! more of them share as many threads as there are processors.

mod clients;
mod http;
mod mixed;
mod tally;

pub(crate) use clients::Face;
pub(crate) use mixed::Mix;

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use vecdb_backend::{Backend, Remote, RemoteOptions};
use vecdb_engine::{CollectionConfig, Durability, Metric, StopSignal};

use crate::Outcome;
use crate::collection::NAME;
use crate::points::{Payloads, batches};
use crate::rows::Rows;
use crate::work::Searching;

/// Where a server listens.
pub(crate) struct Server {
    grpc: String,
    http: String,
}

impl Server {
    pub(crate) fn new(grpc: String, http: String) -> Self {
        Self { grpc, http }
    }

    /// Points and segments, once the background work is done.
    pub(crate) fn wait_idle(&self) -> Outcome {
        let remote = self.connect()?;
        remote.wait_until_idle(NAME, &StopSignal::default())?;
        let info = remote.collection(NAME)?;
        Ok(json!({ "points": info.points, "segment_count": info.segments.len() }))
    }

    /// Puts all rows into a new collection over one stream.
    pub(crate) fn load(
        &self,
        (base, payloads): (&Rows, Option<&Payloads>),
        metric: Metric,
        batch: usize,
        durability: Durability,
    ) -> Outcome {
        let remote = self.connect()?;
        let config = CollectionConfig::new(u32::try_from(base.dim)?, metric).durability(durability);
        remote.create_collection(NAME, config)?;
        let mut points = 0;
        let batches = batches(base, payloads, batch);
        remote.upsert_stream(
            NAME,
            batches,
            None,
            &StopSignal::default(),
            &mut |written| points += written.inserted,
        )?;
        Ok(json!({ "points": points, "vector_bytes": size_of_val(&*base.values) }))
    }

    /// Searches all queries.
    pub(crate) fn search(
        &self,
        face: Face,
        queries: &Rows,
        searching: &Searching,
        out: &Path,
    ) -> Outcome {
        let address = match face {
            Face::Grpc => &self.grpc,
            Face::Http => &self.http,
        };
        let queries = queries.iter().map(<[f32]>::to_vec).collect();
        let runtime = runtime(searching.clients)?;
        let done =
            runtime.block_on(clients::search(face, address, Arc::new(queries), searching))?;
        searching.finish(done, out)
    }

    /// Searches, writes and deletes for some time.
    pub(crate) fn mixed(
        &self,
        (base, payloads): (&Rows, Option<&Payloads>),
        queries: &Rows,
        mix: Mix,
    ) -> Outcome {
        let load = mixed::Load::new(&self.grpc, (base, payloads), queries, mix);
        runtime(mix.connections)?.block_on(load.run())
    }

    /// Version, memory and counts, as the server tells them.
    pub(crate) fn status(&self) -> Outcome {
        let status = self.connect()?.status()?;
        Ok(json!({ "version": status.version, "points": status.points }))
    }

    fn connect(&self) -> Outcome<Remote> {
        Ok(Remote::connect(&self.grpc, RemoteOptions::default())?)
    }
}

/// Threads for so many clients.
fn runtime(clients: usize) -> Outcome<Runtime> {
    let runtime = match clients {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().enable_all().build(),
    };
    Ok(runtime.map_err(|error| format!("cannot start threads: {error}"))?)
}

/// A row number in an answer, -1 in the results where it is none.
fn row(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}

/// What a task gave.
fn joined<T>(result: Result<Outcome<T>, tokio::task::JoinError>) -> Outcome<T> {
    result.map_err(|error| format!("a client ended: {error}"))?
}
