//! A database in this process.

use std::sync::Arc;
use std::time::Instant;

use vecdb_engine::{
    CollectionConfig, CollectionInfo, CollectionSummary, Database, Durability, Error, ErrorKind,
    Filter, MetadataUpdate, Point, PointId, Record, Result, ScrollPage, ScrollRequest,
    SearchRequest, SearchResponse, SnapshotInfo, StopSignal, VerifyReport, WriteResult,
};

use crate::backend::{Backend, Selection, Status};
use crate::snapshots::SnapshotStore;

/// A database in this process.
///
/// A write looks at its `stop` before it begins: what is begun is finished, as it cannot be taken back.
pub struct Local {
    database: Arc<Database>,
    snapshots: Option<SnapshotStore>,
    memory_bytes_max: Option<u64>,
    opened: Instant,
}

impl Local {
    /// An open database, with the place of its snapshots.
    pub fn new(database: Arc<Database>, snapshots: Option<SnapshotStore>) -> Self {
        Self {
            database,
            snapshots,
            memory_bytes_max: None,
            opened: Instant::now(),
        }
    }

    /// Tells in [`Status`] how much memory the process may use; enforcing it is the caller's.
    #[must_use]
    pub fn memory_bytes_max(mut self, bytes: Option<u64>) -> Self {
        self.memory_bytes_max = bytes;
        self
    }

    /// The database.
    pub fn database(&self) -> &Arc<Database> {
        &self.database
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
        self.database
            .collection(collection)?
            .get(ids, with_vector, with_metadata)
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
        self.database.collection(collection)?.scroll(&request)
    }

    fn count(&self, collection: &str, filter: Option<&Filter>, stop: &StopSignal) -> Result<u64> {
        stop.check()?;
        self.database.collection(collection)?.count(filter)
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
        self.database.collection(collection)?.search(&request)
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
        self.database
            .collection(collection)?
            .search_batch(&requests)
    }

    fn flush(&self, collection: &str) -> Result<()> {
        self.database.collection(collection)?.flush()
    }

    fn compact(&self, collection: &str) -> Result<()> {
        self.database.collection(collection)?.compact()
    }

    fn wait_until_idle(&self, collection: &str) -> Result<()> {
        self.database.collection(collection)?.wait_until_idle()
    }

    fn verify(&self, collection: Option<&str>) -> Result<VerifyReport> {
        match collection {
            Some(name) => self.database.collection(name)?.verify(),
            None => self.database.verify(),
        }
    }

    fn create_snapshot(&self, name: Option<&str>, collections: &[String]) -> Result<SnapshotInfo> {
        self.store()?.create(&self.database, name, collections)
    }

    fn list_snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        self.store()?.list()
    }

    fn restore_snapshot(
        &self,
        name: &str,
        collection: Option<&str>,
        restore_as: Option<&str>,
        stop: &StopSignal,
    ) -> Result<Vec<CollectionSummary>> {
        stop.check()?;
        self.store()?
            .restore(&self.database, name, collection, restore_as, stop)
    }

    fn delete_snapshot(&self, name: &str) -> Result<()> {
        self.store()?.delete(name)
    }

    fn status(&self) -> Result<Status> {
        let collections = self.database.collections();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.opened.elapsed(),
            collections: collections.len() as u64,
            points: collections.iter().map(|collection| collection.points).sum(),
            memory_bytes: resident_bytes(),
            memory_bytes_max: self.memory_bytes_max,
            recovery: self.database.recovery(),
        })
    }
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
