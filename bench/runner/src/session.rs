//! What the commands so far have loaded and built.

use std::path::Path;

use serde_json::json;
use vecdb_engine::Metric;
use vecdb_vector::Kernels;

use crate::Outcome;
use crate::clustering::cluster;
use crate::codes::Codes;
use crate::collection::Store;
use crate::command::Command;
use crate::disk::DiskIndex;
use crate::exact;
use crate::index::Index;
use crate::memory::Memory;
use crate::points::Payloads;
use crate::remote::Server;
use crate::rows::Rows;

/// The state between commands; at most one of each thing.
#[derive(Default)]
pub(crate) struct Session {
    base: Option<(Rows, Metric)>,
    queries: Option<Rows>,
    payloads: Option<Payloads>,
    index: Option<Index>,
    codes: Option<Codes>,
    disk: Option<DiskIndex>,
    memory: Option<Memory>,
    store: Option<Store>,
    server: Option<Server>,
}

impl Session {
    /// Does what a command says.
    pub(crate) fn run(&mut self, command: Command) -> Outcome {
        match command {
            Command::About {} => Ok(json!({
                "version": env!("CARGO_PKG_VERSION"),
                "kernels": Kernels::from_env()?.name(),
            })),
            Command::Load {
                path,
                limit,
                metric,
            } => {
                (self.index, self.codes, self.payloads) = (None, None, None);
                let (base, _) = self.base.insert((Rows::read(&path, limit)?, metric));
                Ok(json!({ "rows": base.len(), "dim": base.dim }))
            }
            Command::Queries { path, limit } => {
                let queries = self.queries.insert(Rows::read(&path, limit)?);
                Ok(json!({ "queries": queries.len(), "dim": queries.dim }))
            }
            Command::Metadata { path, limit } => {
                let (base, _) = self.base.as_ref().ok_or(NO_BASE)?;
                let payloads = Payloads::read(&path, limit)?;
                if payloads.len() != base.len() {
                    return Err(format!(
                        "metadata of {} rows beside {} vectors",
                        payloads.len(),
                        base.len()
                    )
                    .into());
                }
                self.payloads = Some(payloads);
                Ok(json!({ "rows": base.len() }))
            }
            Command::Memory { gib, dim, seed } => {
                let memory = self.memory.insert(Memory::fill(gib, dim, seed)?);
                Ok(json!({ "bytes": memory.bytes() }))
            }
            Command::Scan { k } => self.memory()?.scan(k),
            Command::ReadSum {} => self.memory()?.read_sum(),
            other => self.run_on_vectors(other),
        }
    }

    fn run_on_vectors(&mut self, command: Command) -> Outcome {
        match command {
            Command::FlatBuild {} => {
                let (base, metric) = self.base.as_mut().ok_or(NO_BASE)?;
                base.measure(*metric);
                Ok(json!({ "rows": base.len(), "vector_bytes": base.bytes() }))
            }
            Command::FlatSearch { k, threads, out } => {
                let (base, queries, metric) = self.pair()?;
                exact::search(base, queries, metric, k, threads, &out)
            }
            Command::IndexBuild { spec, threads } => {
                self.index = None;
                let (base, metric) = self.base.as_mut().ok_or(NO_BASE)?;
                let index = self
                    .index
                    .insert(Index::build(base, *metric, &spec, threads)?);
                Ok(json!({
                    "rows": base.len(),
                    "index_bytes": index.memory_bytes(),
                    "vector_bytes": base.bytes(),
                    "index": index.describe(),
                }))
            }
            Command::IndexSave { path } => {
                let index = self.index.as_ref().ok_or(NO_INDEX)?;
                Ok(json!({ "file_bytes": index.save(&path)? }))
            }
            Command::IndexSearch {
                k,
                params,
                threads,
                out,
            } => {
                let (base, queries, _) = self.pair()?;
                let index = self.index.as_ref().ok_or(NO_INDEX)?;
                index.search(base, queries, (k, &params, threads), &out)
            }
            Command::KMeans {
                clusters,
                iterations,
                threads,
                seed,
                out,
            } => {
                let (base, _) = self.base.as_ref().ok_or(NO_BASE)?;
                cluster(base, (clusters, iterations), (threads, seed), &out)
            }
            other => self.run_on_codes(other),
        }
    }

    fn run_on_codes(&mut self, command: Command) -> Outcome {
        match command {
            Command::QuantizerTrain {
                code,
                threads,
                seed,
            } => {
                self.codes = None;
                let (base, metric) = self.base.as_mut().ok_or(NO_BASE)?;
                let codes = Codes::train(base, *metric, code, (threads, seed))?;
                let bytes_each = self.codes.insert(codes).bytes_each();
                Ok(json!({ "bytes_each": bytes_each }))
            }
            Command::QuantizerEncode { threads } => {
                let (base, _) = self.base.as_ref().ok_or(NO_BASE)?;
                let codes = self.codes.as_mut().ok_or(NO_CODES)?;
                codes.encode(base, threads)?;
                Ok(json!({ "rows": base.len() }))
            }
            Command::QuantizerSearch { k, out } => {
                let (_, queries, _) = self.pair()?;
                let codes = self.codes.as_ref().ok_or(NO_CODES)?;
                codes.search(queries, k, &out)
            }
            Command::DiskOpen {
                path,
                metric,
                rows,
                io,
                cache_bytes,
            } => {
                let (disk, notices) = DiskIndex::open(&path, (metric, rows), (&io, cache_bytes))?;
                let about = self.disk.insert(disk).about();
                Ok(json!({ "about": about, "notices": notices }))
            }
            Command::DiskSearch {
                k,
                params,
                threads,
                out,
            } => {
                let queries = self.queries.as_ref().ok_or(NO_QUERIES)?;
                let disk = self.disk.as_ref().ok_or(NO_DISK)?;
                disk.search(queries, (k, &params, threads), &out)
            }
            other => self.run_on_store(other),
        }
    }

    fn run_on_store(&mut self, command: Command) -> Outcome {
        match command {
            Command::DbOpen {
                path,
                memtable_bytes_max,
            } => self.open_store(&path, memtable_bytes_max),
            Command::DbReopen { path } => self.open_store(&path, None),
            Command::DbLoad {
                batch,
                durability,
                probe,
            } => {
                let (base, metric) = self.base.as_ref().ok_or(NO_BASE)?;
                let store = self.store.as_mut().ok_or(NO_STORE)?;
                store.load(
                    (base, self.payloads.as_ref()),
                    self.queries.as_ref(),
                    *metric,
                    (batch, durability, probe),
                )
            }
            Command::DbProbe { probe, count } => {
                let queries = self.queries.as_ref().ok_or(NO_QUERIES)?;
                self.store()?.probe(queries, probe, count)
            }
            Command::DbWaitIdle {} => self.store()?.wait_idle(),
            Command::DbInfo {} => self.store()?.info(),
            Command::DbReplace {
                first,
                count,
                batch,
            } => {
                let (base, _) = self.base.as_ref().ok_or(NO_BASE)?;
                let rows = first..first.saturating_add(count);
                let points = (base, self.payloads.as_ref());
                self.store()?.replace(points, rows, batch)
            }
            Command::DbPauseMerges {} => self.store()?.pause_merges(),
            Command::DbResumeMerges { probe } => {
                self.store()?.resume_merges(self.queries.as_ref(), probe)
            }
            Command::DbCompact { probe } => self.store()?.compact(self.queries.as_ref(), probe),
            Command::DbSearch { k, ef, exact, out } => {
                let queries = self.queries.as_ref().ok_or(NO_QUERIES)?;
                self.store()?.search(queries, (k, ef, exact), &out)
            }
            Command::DbSearchAs { searching, out } => {
                let queries = self.queries.as_ref().ok_or(NO_QUERIES)?;
                self.store()?.search_as(queries, &searching, &out)
            }
            Command::DbClose {} => self.store.take().ok_or(NO_STORE)?.close(),
            other => self.run_on_server(other),
        }
    }

    fn run_on_server(&mut self, command: Command) -> Outcome {
        match command {
            Command::RemoteOpen { grpc, http } => {
                self.server.insert(Server::new(grpc, http)).status()
            }
            Command::RemoteLoad { batch, durability } => {
                let (base, metric) = self.base.as_ref().ok_or(NO_BASE)?;
                let points = (base, self.payloads.as_ref());
                self.server()?.load(points, *metric, batch, durability)
            }
            Command::RemoteWaitIdle {} => self.server()?.wait_idle(),
            Command::RemoteSearch {
                face,
                searching,
                out,
            } => {
                let queries = self.queries.as_ref().ok_or(NO_QUERIES)?;
                self.server()?.search(face, queries, &searching, &out)
            }
            Command::RemoteMixed { mix } => {
                let (base, queries, _) = self.pair()?;
                let points = (base, self.payloads.as_ref());
                self.server()?.mixed(points, queries, mix)
            }
            other => Err(format!("the command {other:?} has no place to run").into()),
        }
    }

    fn open_store(&mut self, path: &Path, memtable_bytes_max: Option<u64>) -> Outcome {
        if self.store.is_some() {
            return Err("a database is open: send the command db_close first".into());
        }
        let store = Store::open(path, memtable_bytes_max)?;
        Ok(self.store.insert(store).about())
    }

    fn pair(&self) -> Outcome<(&Rows, &Rows, Metric)> {
        let (base, metric) = self.base.as_ref().ok_or(NO_BASE)?;
        let queries = self.queries.as_ref().ok_or(NO_QUERIES)?;
        if base.dim != queries.dim {
            return Err(format!(
                "queries of {} dimensions against rows of {}",
                queries.dim, base.dim
            )
            .into());
        }
        Ok((base, queries, *metric))
    }

    fn memory(&self) -> Outcome<&Memory> {
        Ok(self
            .memory
            .as_ref()
            .ok_or("no memory is filled: send the command memory first")?)
    }

    fn server(&self) -> Outcome<&Server> {
        Ok(self.server.as_ref().ok_or(NO_SERVER)?)
    }

    fn store(&self) -> Outcome<&Store> {
        Ok(self.store.as_ref().ok_or(NO_STORE)?)
    }
}

const NO_BASE: &str = "no base vectors: send the command load first";
const NO_QUERIES: &str = "no queries: send the command queries first";
const NO_INDEX: &str = "no index: send the command index_build first";
const NO_CODES: &str = "no quantizer: send the command quantizer_train first";
const NO_DISK: &str = "no index on the disk is open: send the command disk_open first";
const NO_STORE: &str = "no database is open: send the command db_open first";
const NO_SERVER: &str = "no server is known: send the command remote_open first";
