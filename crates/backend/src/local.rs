//! A database in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use vecdb_engine::{
    Advice, AdviceParams, ArchiveReport, Collection, CollectionConfig, CollectionInfo,
    CollectionSummary, Database, Durability, Error, ErrorKind, FacetRequest, Facets, Filter,
    MetadataUpdate, Overview, Point, PointId, RecommendRequest, Record, RestoreRequest, Restored,
    Result, ScrollPage, ScrollRequest, SearchRequest, SearchResponse, SnapshotInfo, StopSignal,
    VerifyReport, WriteResult,
};
use vecdb_sql::{Params, QueryResult, Statement};

use crate::backend::{Backend, Selection, Status};
use crate::query::execute;
use crate::snapshots::SnapshotStore;

/// A database in this process.
///
/// A write looks at its `stop` before it begins: what is begun is finished, as it cannot be taken back.
pub struct Local {
    database: Arc<Database>,
    snapshots: Option<SnapshotStore>,
    memory_bytes_max: Limit,
    answer_bytes_max: Limit,
    opened: Instant,
}

/// A number of bytes that may change while calls run; `u64::MAX`: none.
struct Limit(AtomicU64);

impl Limit {
    fn new(bytes: Option<u64>) -> Self {
        Self(AtomicU64::new(bytes.unwrap_or(u64::MAX)))
    }

    fn set(&self, bytes: Option<u64>) {
        self.0.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|bytes| *bytes != u64::MAX)
    }
}

/// What one point of an answer takes, apart from its vector: a guess for what is known only once it was read.
const RECORD_BYTES: u64 = 128;
const METADATA_BYTES: u64 = 256;

impl Local {
    /// An open database, with the place of its snapshots.
    pub fn new(database: Arc<Database>, snapshots: Option<SnapshotStore>) -> Self {
        Self {
            database,
            snapshots,
            memory_bytes_max: Limit::new(None),
            answer_bytes_max: Limit::new(None),
            opened: Instant::now(),
        }
    }

    /// Tells in [`Status`] how much memory the process may use. Refuses advice that would take more than is left of it;
    /// the rest of enforcing it is the caller's.
    #[must_use]
    pub fn memory_bytes_max(self, bytes: Option<u64>) -> Self {
        self.memory_bytes_max.set(bytes);
        self
    }

    /// Refuses reads whose answer could take more than that: a short request can ask for all vectors a thousand times.
    #[must_use]
    pub fn answer_bytes_max(self, bytes: Option<u64>) -> Self {
        self.answer_bytes_max.set(bytes);
        self
    }

    /// Changes both limits for the calls from now on.
    pub fn set_limits(&self, memory_bytes_max: Option<u64>, answer_bytes_max: Option<u64>) {
        self.memory_bytes_max.set(memory_bytes_max);
        self.answer_bytes_max.set(answer_bytes_max);
    }

    /// The database.
    pub fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Looks at what reads of one call could give together: how many points each, with vectors or metadata.
    fn admit_answer(
        &self,
        collection: &Collection,
        reads: impl Iterator<Item = (usize, bool, bool)> + Clone,
    ) -> Result<()> {
        let Some(bytes_max) = self.answer_bytes_max.get() else {
            return Ok(());
        };
        let vector_bytes = 4 * u64::from(collection.config().vector()?.dimension);
        let bytes = |points: u64| {
            let read = |(limit, with_vector, with_metadata): (usize, bool, bool)| {
                let one = RECORD_BYTES
                    + if with_vector { vector_bytes } else { 0 }
                    + if with_metadata { METADATA_BYTES } else { 0 };
                points.min(limit as u64).saturating_mul(one)
            };
            reads.clone().map(read).fold(0, u64::saturating_add)
        };
        // Most requests are small whatever there is in the collection.
        if bytes(u64::MAX) <= bytes_max {
            return Ok(());
        }
        let bytes = bytes(collection.count(None)?);
        if bytes <= bytes_max {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the answer could take {} MiB, and at most {} MiB are given at a time: ask for fewer points in one \
                 call, or leave out their vectors",
                bytes >> 20,
                bytes_max >> 20
            ),
        ))
    }

    fn store(&self) -> Result<&SnapshotStore> {
        self.snapshots.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "there is no place for snapshots: set `snapshots.location` to a folder or to a URL such as \
                 s3://bucket/prefix",
            )
        })
    }
}

impl Backend for Local {
    fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<CollectionInfo> {
        Ok(self.database.create_collection(name, config)?.info())
    }

    fn collections(&self) -> Result<Vec<CollectionSummary>> {
        Ok(self.database.collections())
    }

    fn collection(&self, name: &str) -> Result<CollectionInfo> {
        Ok(self.database.collection(name)?.info())
    }

    fn drop_collection(&self, name: &str) -> Result<()> {
        self.database.drop_collection(name)
    }

    fn upsert(
        &self,
        collection: &str,
        points: Vec<Point>,
        durability: Option<Durability>,
        stop: &StopSignal,
    ) -> Result<WriteResult> {
        stop.check()?;
        let collection = self.database.collection(collection)?;
        match durability {
            Some(durability) => collection.upsert_with(points, durability),
            None => collection.upsert(points),
        }
    }

    fn update_metadata(
        &self,
        collection: &str,
        ids: &[PointId],
        update: &MetadataUpdate,
        stop: &StopSignal,
    ) -> Result<WriteResult> {
        stop.check()?;
        self.database
            .collection(collection)?
            .update_metadata(ids, update)
    }

    fn delete(
        &self,
        collection: &str,
        selection: &Selection,
        stop: &StopSignal,
    ) -> Result<WriteResult> {
        stop.check()?;
        let collection = self.database.collection(collection)?;
        match selection {
            Selection::Ids(ids) => collection.delete(ids),
            Selection::Filter(filter) => collection.delete_by_filter(filter),
        }
    }

    fn get(
        &self,
        collection: &str,
        ids: &[PointId],
        with_vector: bool,
        with_metadata: bool,
        stop: &StopSignal,
    ) -> Result<Vec<Option<Record>>> {
        stop.check()?;
        let collection = self.database.collection(collection)?;
        // An id may be asked for many times.
        let each = ids.iter().map(|_| (1, with_vector, with_metadata));
        self.admit_answer(&collection, each)?;
        collection.get_with(ids, with_vector, with_metadata, stop)
    }

    fn scroll(
        &self,
        collection: &str,
        request: &ScrollRequest,
        stop: &StopSignal,
    ) -> Result<ScrollPage> {
        stop.check()?;
        let mut request = request.clone();
        request.stop = stop.clone();
        let collection = self.database.collection(collection)?;
        let page = (request.limit, request.with_vector, request.with_metadata);
        self.admit_answer(&collection, std::iter::once(page))?;
        collection.scroll(&request)
    }

    fn count(&self, collection: &str, filter: Option<&Filter>, stop: &StopSignal) -> Result<u64> {
        stop.check()?;
        self.database
            .collection(collection)?
            .count_with(filter, stop)
    }

    fn facets(
        &self,
        collection: &str,
        request: &FacetRequest,
        stop: &StopSignal,
    ) -> Result<Facets> {
        stop.check()?;
        let mut request = request.clone();
        request.stop = stop.clone();
        let collection = self.database.collection(collection)?;
        self.admit_answer(&collection, std::iter::once((request.limit, false, true)))?;
        collection.facets(&request)
    }

    fn search(
        &self,
        collection: &str,
        request: &SearchRequest,
        stop: &StopSignal,
    ) -> Result<SearchResponse> {
        stop.check()?;
        let mut request = request.clone();
        request.stop = stop.clone();
        let collection = self.database.collection(collection)?;
        self.admit_answer(&collection, std::iter::once(answered(&request)))?;
        collection.search(&request)
    }

    fn search_batch(
        &self,
        collection: &str,
        requests: &[SearchRequest],
        stop: &StopSignal,
    ) -> Result<Vec<SearchResponse>> {
        stop.check()?;
        let mut requests = requests.to_vec();
        for request in &mut requests {
            request.stop = stop.clone();
        }
        let collection = self.database.collection(collection)?;
        self.admit_answer(&collection, requests.iter().map(answered))?;
        collection.search_batch(&requests)
    }

    fn recommend(
        &self,
        collection: &str,
        request: &RecommendRequest,
        stop: &StopSignal,
    ) -> Result<SearchResponse> {
        stop.check()?;
        let mut request = request.clone();
        request.search.stop = stop.clone();
        let collection = self.database.collection(collection)?;
        self.admit_answer(&collection, std::iter::once(answered(&request.search)))?;
        collection.recommend(&request)
    }

    fn query(&self, sql: &str, params: &Params, stop: &StopSignal) -> Result<QueryResult> {
        execute(self, Statement::parse(sql, params)?, &|_| true, stop)
    }

    fn create_field_index(&self, collection: &str, field: &str, stop: &StopSignal) -> Result<bool> {
        let collection = self.database.collection(collection)?;
        collection.create_field_index_with(field, stop)
    }

    fn drop_field_index(&self, collection: &str, field: &str) -> Result<bool> {
        self.database
            .collection(collection)?
            .drop_field_index(field)
    }

    fn flush(&self, collection: &str) -> Result<()> {
        self.database.collection(collection)?.flush()
    }

    fn compact(&self, collection: &str, stop: &StopSignal) -> Result<()> {
        self.database.collection(collection)?.compact_with(stop)
    }

    fn wait_until_idle(&self, collection: &str, stop: &StopSignal) -> Result<()> {
        self.database
            .collection(collection)?
            .wait_until_idle_with(stop)
    }

    fn pause_merges(&self) -> Result<()> {
        self.database.pause_merges();
        Ok(())
    }

    fn resume_merges(&self) -> Result<()> {
        self.database.resume_merges();
        Ok(())
    }

    fn verify(&self, collection: Option<&str>, stop: &StopSignal) -> Result<VerifyReport> {
        match collection {
            Some(name) => self.database.collection(name)?.verify_with(stop),
            None => self.database.verify_with(stop),
        }
    }

    fn repair(&self, collection: Option<&str>, stop: &StopSignal) -> Result<VerifyReport> {
        match collection {
            Some(name) => self.database.repair_collection(name, stop),
            None => self.database.repair_with(stop),
        }
    }

    fn verify_archive(&self, location: Option<&str>, stop: &StopSignal) -> Result<ArchiveReport> {
        self.database.verify_archive(location, stop)
    }

    fn advise(&self, collection: &str, params: &AdviceParams, stop: &StopSignal) -> Result<Advice> {
        let collection = self.database.collection(collection)?;
        let bytes = collection.advise_bytes(params);
        let left = self.memory_bytes_max.get();
        let left = left.map(|most| most.saturating_sub(resident_bytes()));
        match left {
            Some(left) if bytes > left => Err(Error::new(
                ErrorKind::ResourceExhausted,
                format!(
                    "measuring takes about {} MiB of memory, and {} MiB are left: give fewer `sample_rows`",
                    bytes >> 20,
                    left >> 20
                ),
            )),
            _ => collection.advise_with(params, stop),
        }
    }

    fn create_snapshot(
        &self,
        name: Option<&str>,
        collections: &[String],
        stop: &StopSignal,
    ) -> Result<SnapshotInfo> {
        self.store()?
            .create(&self.database, name, collections, stop)
    }

    fn list_snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        self.store()?.list()
    }

    fn restore_snapshot(
        &self,
        name: &str,
        request: &RestoreRequest,
        stop: &StopSignal,
    ) -> Result<Restored> {
        stop.check()?;
        self.store()?.restore(&self.database, name, request, stop)
    }

    fn delete_snapshot(&self, name: &str) -> Result<()> {
        self.store()?.delete(name)
    }

    fn overview(&self) -> Result<Overview> {
        Ok(self.database.overview())
    }

    fn status(&self) -> Result<Status> {
        let collections = self.database.collections();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.opened.elapsed(),
            collections: collections.len() as u64,
            points: collections.iter().map(|collection| collection.points).sum(),
            memory_bytes: resident_bytes(),
            memory_bytes_max: self.memory_bytes_max.get(),
            recovery: self.database.recovery(),
            archive: self.database.archive(),
            merges_paused: self.database.merges_paused(),
        })
    }
}

/// Hits at most, with vectors or metadata.
fn answered(request: &SearchRequest) -> (usize, bool, bool) {
    let group_size = request.group_by.as_ref().map_or(1, |by| by.group_size);
    let hits = request.limit.saturating_mul(group_size);
    (hits, request.with_vector, request.with_metadata)
}

/// Resident memory of this process that is not backed by files: mapped segments are the kernel's to take back. 0 where
/// the system does not tell.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vecdb_engine::{Metric, Options};

    #[test]
    fn answers_that_would_be_too_large_are_refused_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(folder.path(), Options::default()).unwrap());
        let local = Local::new(database, None).answer_bytes_max(Some(1 << 20));
        let config = CollectionConfig::new(100, Metric::L2);
        local.create_collection("c", config).unwrap();
        let points = (0..1_000).map(|id| Point::new(id, vec![1.0; 100]));
        let never = StopSignal::default();
        local.upsert("c", points.collect(), None, &never).unwrap();

        let search = |limit| {
            let mut search = SearchRequest::new(vec![0.0; 100]).limit(limit);
            search.with_metadata = false;
            search
        };
        let with_vector = |limit| {
            let mut search = search(limit);
            search.with_vector = true;
            search
        };
        // 1,000 points of 128 bytes each, and of 528.
        assert!(local.search("c", &search(100_000), &never).is_ok());
        assert!(local.search("c", &with_vector(100_000), &never).is_ok());
        let batch = |search, count| local.search_batch("c", &vec![search; count], &never);
        assert!(batch(with_vector(10), 198).is_ok());
        assert!(batch(search(1_000), 8).is_ok());
        let ids = |count| vec![PointId::from(7); count];
        let get = |count, with_vector| local.get("c", &ids(count), with_vector, false, &never);
        assert!(get(1_985, true).is_ok());
        let page = ScrollRequest {
            limit: 100_000,
            with_vector: true,
            ..ScrollRequest::default()
        };
        assert!(local.scroll("c", &page, &never).is_ok());
        for refused in [
            batch(with_vector(10), 199).err(),
            batch(search(1_000), 9).err(),
            get(1_986, true).err(),
        ] {
            let error = refused.unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("at most 1 MiB"), "{error}");
        }
        // Advice takes memory for its sample.
        let advise = |limit| {
            local.set_limits(Some(limit), Some(1 << 20));
            let params = AdviceParams {
                sample_rows: 256,
                ..AdviceParams::default()
            };
            local.advise("c", &params, &never)
        };
        let error = advise(1 << 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
        assert!(error.to_string().contains("fewer `sample_rows`"), "{error}");
        assert_eq!(advise(1 << 40).unwrap().rows, 1_000);
        // The limit may change while calls run.
        local.set_limits(Some(8 << 20), Some(2 << 20));
        assert!(batch(with_vector(10), 199).is_ok());
        assert_eq!(local.status().unwrap().memory_bytes_max, Some(8 << 20));
    }
}
