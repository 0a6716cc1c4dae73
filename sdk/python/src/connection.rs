//! The one class behind `VecDBClient`: a folder or a server, with a method for each operation.
//!
//! Every call releases the interpreter lock while it works. Calls hold a read lock on the database and closing takes
//! the write lock, so a database is closed between calls, never under one; of an upsert of many batches, between two of
//! them. A process that was forked from the one that opened the database has none of its threads: there every call is
//! refused, and dropping does nothing.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use vecdb_backend::{Backend, Local, Remote, RemoteOptions, Selection, SnapshotStore, env};
use vecdb_engine::{
    AdviceParams, Archive, CollectionConfig, Database, Error, ErrorKind, FacetRequest, Filter,
    GroupBy, IndexSpec, MetadataUpdate, Options, OrderBy, RecommendRequest, RestorePoint,
    RestoreRequest, Result, ScrollRequest, SearchParams, SearchRequest, StopSignal,
};

use crate::error::{exception, invalid};
use crate::json::json_of;
use crate::load::Load;
use crate::metadata::{metadata_of, micros_of};
use crate::point::{examples_of, ids_of, whole};
use crate::query;
use crate::results;
use crate::stop::{interruptible, signal};
use crate::upsert::Batches;
use crate::vector::{vector_of, vectors_of};

/// A database in a folder or behind an address.
#[pyclass(frozen, module = "vecdb._vecdb")]
pub(crate) struct Connection {
    open: RwLock<Option<Open>>,
    /// The process that opened it.
    pid: u32,
}

pub(crate) struct Open {
    backend: Arc<dyn Backend>,
    /// Where the database is in this process: closed by the connection, so that what fails then is told.
    database: Option<Arc<Database>>,
    /// Where it is behind an address: for what only a server has.
    remote: Option<Arc<Remote>>,
}

impl Open {
    pub(crate) fn remote(&self) -> Option<Arc<Remote>> {
        self.remote.clone()
    }
}

#[pymethods]
impl Connection {
    /// Opens the database in a folder.
    #[staticmethod]
    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        create: bool,
        threads: &Bound<'_, PyAny>,
        snapshots: Option<&str>,
        on_corruption: &str,
        archive: Option<&str>,
        merge_bytes_per_second: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let options = Options {
            create_if_missing: create,
            threads: whole(threads, "threads")?,
            merge_bytes_per_second: whole(merge_bytes_per_second, "merge_bytes_per_second")?,
            on_corruption: on_corruption
                .parse()
                .map_err(|error| exception(py, &error))?,
            archive: archive.map_or(Archive::Unchanged, Archive::parse),
            ..Options::default()
        };
        py.detach(|| {
            let snapshots = snapshots.map(SnapshotStore::open).transpose()?;
            let database = Arc::new(Database::open_with(&env(), &path, options)?);
            Ok(Self::of(Open {
                backend: Arc::new(Local::new(database.clone(), snapshots)),
                database: Some(database),
                remote: None,
            }))
        })
        .map_err(|error| exception(py, &error))
    }

    /// Speaks to a server; the first call makes the connection.
    #[staticmethod]
    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn connect(
        py: Python<'_>,
        url: &str,
        api_key: Option<String>,
        ca_certificate: Option<Vec<u8>>,
        client_certificate: Option<Vec<u8>>,
        client_key: Option<Vec<u8>>,
        timeout: Option<f64>,
        retries: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let options = RemoteOptions {
            api_key,
            ca_certificate,
            client_certificate,
            client_key,
            timeout: duration(py, timeout, "timeout")?,
            retries: Some(whole(retries, "retries")?),
        };
        let remote = py
            .detach(|| Remote::connect(url, options))
            .map_err(|error| exception(py, &error))?;
        let remote = Arc::new(remote);
        Ok(Self::of(Open {
            backend: remote.clone(),
            database: None,
            remote: Some(remote),
        }))
    }

    /// Ends the connection once the calls under way have ended, or are at the end of a batch. Closing twice does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process(py)?;
        py.detach(|| {
            let Some(open) = self.open.write().take() else {
                return Ok(());
            };
            drop(open.backend);
            drop(open.remote);
            match open.database.map(Arc::try_unwrap) {
                Some(Ok(database)) => database.close(),
                Some(Err(_)) | None => Ok(()),
            }
        })
        .map_err(|error| exception(py, &error))
    }

    #[getter]
    fn closed(&self) -> bool {
        // Never waits: in a forked process the lock may be held by a thread that is not there.
        self.open.try_read().is_some_and(|open| open.is_none())
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn create_collection<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        dimension: &Bound<'py, PyAny>,
        metric: &str,
        index: &Bound<'py, PyAny>,
        element: Option<&str>,
        fields: Option<&Bound<'py, PyDict>>,
        unindexed: Vec<String>,
        durability: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let metric = metric.parse().map_err(|error| invalid(py, error))?;
        let mut config = CollectionConfig::new(whole(dimension, "dimension")?, metric);
        if let Some(index) = index_of(index)? {
            config = config.index(index);
        }
        if let Some(element) = element {
            config = config.element(element.parse().map_err(|error| invalid(py, error))?);
        }
        for (field, kind) in fields.into_iter().flatten() {
            let kind: String = kind.extract()?;
            let kind = kind.parse().map_err(|error| invalid(py, error))?;
            config = config.field(field.extract::<String>()?, kind);
        }
        config.unindexed = unindexed.into_iter().collect();
        if let Some(durability) = setting(durability, "durability")? {
            config = config.durability(durability);
        }
        let info = self.call(py, |backend| backend.create_collection(name, config))?;
        results::report(py, &info)
    }

    fn collections<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let summaries = self.call(py, |backend| backend.collections())?;
        results::report(py, &summaries)
    }

    fn collection<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let info = self.call(py, |backend| backend.collection(name))?;
        results::report(py, &info)
    }

    fn drop_collection(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.call(py, |backend| backend.drop_collection(name))
    }

    /// Writes batch after batch; see [`crate::load`].
    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn upsert(
        &self,
        py: Python<'_>,
        collection: &str,
        batches: &Bound<'_, PyAny>,
        durability: &Bound<'_, PyAny>,
        timeout: Option<f64>,
        batch_timeout: Option<f64>,
        answered: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let load = Load {
            connection: self,
            collection,
            durability: setting(durability, "durability")?,
            limit: duration(py, timeout, "timeout")?,
            batch_limit: duration(py, batch_timeout, "timeout")?,
        };
        self.check_process(py)?;
        let batches = Batches::new(batches, answered)?;
        let written = py.detach(|| load.run(&batches));
        written.map_err(|error| exception(py, &error))?;
        batches.finish()
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn update_metadata<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        ids: &Bound<'py, PyAny>,
        metadata: &Bound<'py, PyAny>,
        replace: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let ids = ids_of(ids)?;
        let metadata = metadata_of(metadata)?;
        let update = if replace {
            MetadataUpdate::Replace(metadata)
        } else {
            MetadataUpdate::Merge(metadata)
        };
        let stop = deadline(py, timeout)?;
        let result = self.call(py, |backend| {
            backend.update_metadata(collection, &ids, &update, &stop)
        })?;
        results::write_result(py, &result)
    }

    fn delete<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        ids: Option<&Bound<'py, PyAny>>,
        filter: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let selection = match (ids, filter_of(filter)?) {
            (Some(ids), None) => Selection::Ids(ids_of(ids)?),
            (None, Some(filter)) => Selection::Filter(filter),
            _ => {
                return Err(invalid(
                    py,
                    "delete takes either ids or a filter; filter={} deletes every point",
                ));
            }
        };
        let stop = deadline(py, timeout)?;
        let result = self.call(py, |backend| backend.delete(collection, &selection, &stop))?;
        results::write_result(py, &result)
    }

    fn get<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        ids: &Bound<'py, PyAny>,
        with_vector: bool,
        with_metadata: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let ids = ids_of(ids)?;
        let stop = deadline(py, timeout)?;
        let records = self.call(py, |backend| {
            backend.get(collection, &ids, with_vector, with_metadata, &stop)
        })?;
        results::records(py, &records)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn scroll<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        cursor: Option<String>,
        limit: &Bound<'py, PyAny>,
        filter: Option<&Bound<'py, PyAny>>,
        with_vector: bool,
        with_metadata: bool,
        order_by: Option<String>,
        descending: bool,
        timeout: Option<f64>,
    ) -> PyResult<(Bound<'py, PyList>, Option<String>)> {
        let stop = deadline(py, timeout)?;
        let request = ScrollRequest {
            cursor,
            limit: whole(limit, "the size of a page")?,
            filter: filter_of(filter)?,
            with_vector,
            with_metadata,
            order_by: order_by.map(|field| OrderBy { field, descending }),
            stop: stop.clone(),
        };
        let page = self.call(py, |backend| backend.scroll(collection, &request, &stop))?;
        results::page(py, &page)
    }

    fn count(
        &self,
        py: Python<'_>,
        collection: &str,
        filter: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<u64> {
        let filter = filter_of(filter)?;
        let stop = deadline(py, timeout)?;
        self.call(py, |backend| {
            backend.count(collection, filter.as_ref(), &stop)
        })
    }

    fn query<'py>(
        &self,
        py: Python<'py>,
        sql: &str,
        params: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let params = query::params_of(params)?;
        let stop = deadline(py, timeout)?;
        let result = self.call_long(py, &stop, |backend| backend.query(sql, &params, &stop))?;
        query::result(py, &result)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn search<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        vector: &Bound<'py, PyAny>,
        limit: &Bound<'py, PyAny>,
        filter: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
        max_distance: Option<f32>,
        min_score: Option<f32>,
        with_vector: bool,
        with_metadata: bool,
        truncate_after: Option<f64>,
        offset: &Bound<'py, PyAny>,
        group_by: Option<String>,
        group_size: &Bound<'py, PyAny>,
        explain: bool,
        explain_only: bool,
        cache: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stop = deadline(py, timeout)?;
        let request = SearchRequest {
            vector: vector_of(vector)?,
            limit: whole(limit, "limit")?,
            offset: whole(offset, "offset")?,
            group_by: group_of(group_by, group_size)?,
            filter: filter_of(filter)?,
            params: params_of(params)?,
            max_distance,
            min_score,
            with_vector,
            with_metadata,
            explain,
            explain_only,
            cache,
            timeout: duration(py, truncate_after, "truncate_after")?,
            stop: stop.clone(),
        };
        let response = self.call(py, |backend| backend.search(collection, &request, &stop))?;
        results::search_results(py, &response)
    }

    /// Searches that differ in their vectors only.
    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn search_batch<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        vectors: &Bound<'py, PyAny>,
        limit: &Bound<'py, PyAny>,
        filter: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
        max_distance: Option<f32>,
        min_score: Option<f32>,
        with_vector: bool,
        with_metadata: bool,
        truncate_after: Option<f64>,
        offset: &Bound<'py, PyAny>,
        group_by: Option<String>,
        group_size: &Bound<'py, PyAny>,
        explain: bool,
        explain_only: bool,
        cache: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let stop = deadline(py, timeout)?;
        let like = SearchRequest {
            vector: Vec::new(),
            limit: whole(limit, "limit")?,
            offset: whole(offset, "offset")?,
            group_by: group_of(group_by, group_size)?,
            filter: filter_of(filter)?,
            params: params_of(params)?,
            max_distance,
            min_score,
            with_vector,
            with_metadata,
            explain,
            explain_only,
            cache,
            timeout: duration(py, truncate_after, "truncate_after")?,
            stop: stop.clone(),
        };
        let requests: Vec<_> = vectors_of(vectors, 0)?
            .into_iter()
            .map(|vector| SearchRequest {
                vector,
                ..like.clone()
            })
            .collect();
        let responses = self.call_long(py, &stop, |backend| {
            backend.search_batch(collection, &requests, &stop)
        })?;
        let list = PyList::empty(py);
        for response in &responses {
            list.append(results::search_results(py, response)?)?;
        }
        Ok(list)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn recommend<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        positive: &Bound<'py, PyAny>,
        negative: &Bound<'py, PyAny>,
        strategy: &str,
        limit: &Bound<'py, PyAny>,
        filter: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
        max_distance: Option<f32>,
        min_score: Option<f32>,
        with_vector: bool,
        with_metadata: bool,
        truncate_after: Option<f64>,
        offset: &Bound<'py, PyAny>,
        group_by: Option<String>,
        group_size: &Bound<'py, PyAny>,
        explain: bool,
        explain_only: bool,
        cache: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stop = deadline(py, timeout)?;
        let request = RecommendRequest {
            positive: examples_of(positive, "positive")?,
            negative: examples_of(negative, "negative")?,
            strategy: strategy.parse().map_err(|error| exception(py, &error))?,
            search: SearchRequest {
                limit: whole(limit, "limit")?,
                offset: whole(offset, "offset")?,
                group_by: group_of(group_by, group_size)?,
                filter: filter_of(filter)?,
                params: params_of(params)?,
                max_distance,
                min_score,
                with_vector,
                with_metadata,
                explain,
                explain_only,
                cache,
                timeout: duration(py, truncate_after, "truncate_after")?,
                stop: stop.clone(),
                ..SearchRequest::new([])
            },
        };
        let response = self.call(py, |backend| backend.recommend(collection, &request, &stop))?;
        results::search_results(py, &response)
    }

    fn facets<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        field: &str,
        limit: &Bound<'py, PyAny>,
        filter: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stop = deadline(py, timeout)?;
        let request = FacetRequest {
            filter: filter_of(filter)?,
            ..FacetRequest::new(field).limit(whole(limit, "limit")?)
        };
        let facets = self.call(py, |backend| backend.facets(collection, &request, &stop))?;
        results::facets(py, &facets)
    }

    fn create_field_index(
        &self,
        py: Python<'_>,
        collection: &str,
        field: &str,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let stop = deadline(py, timeout)?;
        self.call(py, |backend| {
            backend.create_field_index(collection, field, &stop)
        })
    }

    fn drop_field_index(&self, py: Python<'_>, collection: &str, field: &str) -> PyResult<bool> {
        self.call(py, |backend| backend.drop_field_index(collection, field))
    }

    fn flush(&self, py: Python<'_>, collection: &str) -> PyResult<()> {
        self.call(py, |backend| backend.flush(collection))
    }

    fn compact(&self, py: Python<'_>, collection: &str) -> PyResult<()> {
        self.call(py, |backend| {
            backend.compact(collection, &StopSignal::default())
        })
    }

    fn pause_merges(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, |backend| backend.pause_merges())
    }

    fn resume_merges(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, |backend| backend.resume_merges())
    }

    fn verify<'py>(
        &self,
        py: Python<'py>,
        collection: Option<&str>,
        repair: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let report = self.call(py, |backend| {
            let never = StopSignal::default();
            match repair {
                true => backend.repair(collection, &never),
                false => backend.verify(collection, &never),
            }
        })?;
        results::report(py, &report)
    }

    fn verify_archive<'py>(
        &self,
        py: Python<'py>,
        archive: Option<&str>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stop = deadline(py, timeout)?;
        let report = self.call_long(py, &stop, |backend| backend.verify_archive(archive, &stop))?;
        results::report(py, &report)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn advise<'py>(
        &self,
        py: Python<'py>,
        collection: &str,
        target_recall: f32,
        memory: Option<&Bound<'py, PyAny>>,
        limit: &Bound<'py, PyAny>,
        rows: Option<&Bound<'py, PyAny>>,
        sample_rows: &Bound<'py, PyAny>,
        queries: &Bound<'py, PyAny>,
        seed: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stop = deadline(py, timeout)?;
        let params = AdviceParams {
            target_recall,
            limit: whole(limit, "limit")?,
            memory_bytes: memory.map(|memory| whole(memory, "memory")).transpose()?,
            rows: rows.map(|rows| whole(rows, "rows")).transpose()?,
            sample_rows: whole(sample_rows, "sample_rows")?,
            queries: whole(queries, "queries")?,
            seed: whole(seed, "seed")?,
        };
        let advice = self.call_long(py, &stop, |backend| {
            backend.advise(collection, &params, &stop)
        })?;
        results::report(py, &advice)
    }

    fn create_snapshot<'py>(
        &self,
        py: Python<'py>,
        name: Option<&str>,
        collections: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let info = self.call(py, |backend| {
            backend.create_snapshot(name, &collections, &StopSignal::default())
        })?;
        results::report(py, &info)
    }

    fn list_snapshots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let snapshots = self.call(py, |backend| backend.list_snapshots())?;
        results::report(py, &snapshots)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the arguments of the Python call"
    )]
    fn restore_snapshot<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        collection: Option<String>,
        restore_as: Option<String>,
        to_sequence: Option<&Bound<'py, PyAny>>,
        to_time: Option<&Bound<'py, PyAny>>,
        to_latest: bool,
        archive: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stop = deadline(py, timeout)?;
        let sequence = to_sequence.map(|n| whole(n, "to_sequence")).transpose()?;
        let time = match to_time {
            None => None,
            Some(value) => {
                let micros = micros_of(value)?;
                Some(micros.ok_or_else(|| invalid(py, "to_time is no datetime"))?)
            }
        };
        let request = RestoreRequest {
            collection,
            restore_as,
            until: RestorePoint::of_parts(sequence, time, to_latest)
                .map_err(|error| exception(py, &error))?,
            archive,
        };
        let restored = self.call_long(py, &stop, |backend| {
            backend.restore_snapshot(name, &request, &stop)
        })?;
        results::report(py, &restored)
    }

    fn delete_snapshot(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.call(py, |backend| backend.delete_snapshot(name))
    }

    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let status = self.call(py, |backend| backend.status())?;
        results::report(py, &status)
    }
}

impl Connection {
    fn of(open: Open) -> Self {
        Self {
            open: RwLock::new(Some(open)),
            pid: process::id(),
        }
    }

    /// Does `work` with the interpreter lock released.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&dyn Backend) -> Result<T> + Send,
    ) -> PyResult<T> {
        self.check_process(py)?;
        py.detach(|| self.work(work))
            .map_err(|error| exception(py, &error))
    }

    /// As [`Self::call`], for work that may take long: an interrupt of the main thread ends it by `stop`.
    fn call_long<T: Send>(
        &self,
        py: Python<'_>,
        stop: &StopSignal,
        work: impl FnOnce(&dyn Backend) -> Result<T> + Send,
    ) -> PyResult<T> {
        self.check_process(py)?;
        interruptible(py, stop, || self.work(work))?.map_err(|error| exception(py, &error))
    }

    /// Does `work` in a thread that does not hold the interpreter lock.
    pub(crate) fn work<T>(&self, work: impl FnOnce(&dyn Backend) -> Result<T>) -> Result<T> {
        let open = self.open.read();
        work(open.as_ref().ok_or_else(closed)?.backend.as_ref())
    }

    /// What is open; it stays so for as long as this is held. Not for keeping while Python code runs: that may wait for
    /// somebody who closes the connection.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, Option<Open>> {
        self.open.read()
    }

    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if process::id() == self.pid {
            return Ok(());
        }
        Err(exception(
            py,
            &Error::new(
                ErrorKind::Unavailable,
                format!(
                    "the client was made in process {} before this one was forked from it; make a VecDBClient after the fork",
                    self.pid
                ),
            ),
        ))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(open) = self.open.get_mut().take() else {
            return;
        };
        if process::id() == self.pid {
            // Closing waits for threads and disk.
            Python::attach(|py| py.detach(|| drop(open)));
        } else {
            std::mem::forget(open);
        }
    }
}

/// The error of every call on a connection that is closed.
pub(crate) fn closed() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the client is closed; make a new VecDBClient",
    )
}

/// The signal of a call that begins now and may take `timeout` seconds.
fn deadline(py: Python<'_>, timeout: Option<f64>) -> PyResult<StopSignal> {
    Ok(signal(duration(py, timeout, "timeout")?))
}

fn duration(py: Python<'_>, seconds: Option<f64>, what: &str) -> PyResult<Option<Duration>> {
    seconds
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|_| {
                invalid(
                    py,
                    format_args!("{what} is a number of seconds from 0 on, not {seconds}"),
                )
            })
        })
        .transpose()
}

fn filter_of(filter: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Filter>> {
    filter
        .map(|filter| Filter::parse(&json_of(filter)?).map_err(|error| invalid(filter.py(), error)))
        .transpose()
}

fn group_of(field: Option<String>, group_size: &Bound<'_, PyAny>) -> PyResult<Option<GroupBy>> {
    let group = |field| {
        let group_size = whole(group_size, "group_size")?;
        Ok(GroupBy { field, group_size })
    };
    field.map(group).transpose()
}

fn params_of(params: Option<&Bound<'_, PyAny>>) -> PyResult<SearchParams> {
    let Some(params) = params else {
        return Ok(SearchParams::default());
    };
    Ok(setting(params, "params")?.unwrap_or_default())
}

fn index_of(index: &Bound<'_, PyAny>) -> PyResult<Option<IndexSpec>> {
    if index.is_none() {
        return Ok(None);
    }
    let text = match json_of(index)? {
        serde_json::Value::String(kind) => kind,
        object => object.to_string(),
    };
    text.parse()
        .map(Some)
        .map_err(|error| invalid(index.py(), error))
}

/// A setting in its JSON form; `None` where none is given.
fn setting<T: serde::de::DeserializeOwned>(
    value: &Bound<'_, PyAny>,
    what: &str,
) -> PyResult<Option<T>> {
    if value.is_none() {
        return Ok(None);
    }
    serde_json::from_value(json_of(value)?)
        .map(Some)
        .map_err(|error| invalid(value.py(), format_args!("{what}: {error}")))
}
