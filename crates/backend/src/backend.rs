//! The operations.

use std::time::Duration;

use serde::Serialize;
use vecdb_engine::{
    Advice, AdviceParams, ArchiveReport, ArchiveStatus, CollectionConfig, CollectionInfo,
    CollectionSummary, Durability, FacetRequest, Facets, Filter, MetadataUpdate, Overview, Point,
    PointId, RecommendRequest, Record, Recovery, RestoreRequest, Restored, Result, ScrollPage,
    ScrollRequest, SearchRequest, SearchResponse, SnapshotInfo, StopSignal, VerifyReport,
    WriteResult,
};
use vecdb_sql::{Params, QueryResult};

/// Which points a call is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// Those of these ids.
    Ids(Vec<PointId>),
    /// Those that match.
    Filter(Filter),
}

/// How a database is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Of the software.
    pub version: String,
    /// Since it was opened.
    pub uptime: Duration,
    /// How many there are, broken ones included.
    pub collections: u64,
    /// Live points of all collections.
    pub points: u64,
    /// Resident memory of the process that is not backed by files, in bytes.
    pub memory_bytes: u64,
    /// What it may use, if it is limited.
    pub memory_bytes_max: Option<u64>,
    /// What recovery did.
    pub recovery: Recovery,
    /// The archive of the log, if there is one.
    pub archive: Option<ArchiveStatus>,
    /// Merges in the background are paused.
    pub merges_paused: bool,
}

/// The operations of a database. Calls block; any thread may make them at any time.
///
/// `stop` ends a call early with `ErrorKind::Cancelled` or `ErrorKind::DeadlineExceeded`; a write that was cut short
/// may or may not have happened.
pub trait Backend: Send + Sync + 'static {
    /// Makes a collection. Its name must be free.
    fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<CollectionInfo>;
    /// All collections by name.
    fn collections(&self) -> Result<Vec<CollectionSummary>>;
    /// Settings, counts, segments and background work of a collection.
    fn collection(&self, name: &str) -> Result<CollectionInfo>;
    /// Removes a collection with all its points.
    fn drop_collection(&self, name: &str) -> Result<()>;

    /// Inserts points, or replaces those of the same ids: all of them or none. `durability` is the collection's
    /// where none is given.
    fn upsert(
        &self,
        collection: &str,
        points: Vec<Point>,
        durability: Option<Durability>,
        stop: &StopSignal,
    ) -> Result<WriteResult>;
    /// Changes metadata and leaves the vectors.
    fn update_metadata(
        &self,
        collection: &str,
        ids: &[PointId],
        update: &MetadataUpdate,
        stop: &StopSignal,
    ) -> Result<WriteResult>;
    /// Deletes points.
    fn delete(
        &self,
        collection: &str,
        selection: &Selection,
        stop: &StopSignal,
    ) -> Result<WriteResult>;

    /// Points by id, in the order of the ids; `None` for those that do not exist.
    fn get(
        &self,
        collection: &str,
        ids: &[PointId],
        with_vector: bool,
        with_metadata: bool,
        stop: &StopSignal,
    ) -> Result<Vec<Option<Record>>>;
    /// A page of all points, or of those that match a filter.
    fn scroll(
        &self,
        collection: &str,
        request: &ScrollRequest,
        stop: &StopSignal,
    ) -> Result<ScrollPage>;
    /// How many points there are, or match a filter.
    fn count(&self, collection: &str, filter: Option<&Filter>, stop: &StopSignal) -> Result<u64>;
    /// The most frequent values of a metadata field and how many points have each.
    fn facets(&self, collection: &str, request: &FacetRequest, stop: &StopSignal)
    -> Result<Facets>;
    /// The points nearest to a vector.
    fn search(
        &self,
        collection: &str,
        request: &SearchRequest,
        stop: &StopSignal,
    ) -> Result<SearchResponse>;
    /// Several searches of one state of the collection.
    fn search_batch(
        &self,
        collection: &str,
        requests: &[SearchRequest],
        stop: &StopSignal,
    ) -> Result<Vec<SearchResponse>>;

    /// The points most like some examples and least like others.
    fn recommend(
        &self,
        collection: &str,
        request: &RecommendRequest,
        stop: &StopSignal,
    ) -> Result<SearchResponse>;

    /// Runs one SQL statement. Its parameters are bound as values.
    fn query(&self, sql: &str, params: &Params, stop: &StopSignal) -> Result<QueryResult>;

    /// Keeps an index of a metadata field in every segment, from now on and of what is there; whether it had none.
    ///
    /// Stopped, what is missing is built in the background.
    fn create_field_index(&self, collection: &str, field: &str, stop: &StopSignal) -> Result<bool>;
    /// Keeps no index of a metadata field any more: filters on it read the points. Whether it had one.
    fn drop_field_index(&self, collection: &str, field: &str) -> Result<bool>;

    /// Writes what is in memory to segments.
    fn flush(&self, collection: &str) -> Result<()>;
    /// Merges all segments into one and drops what is dead.
    ///
    /// Stopped, what has been merged stays merged; so for [`Self::wait_until_idle`], whose rest the background does.
    fn compact(&self, collection: &str, stop: &StopSignal) -> Result<()>;
    /// Does now, and waits for, what the background work would do in time: flushes, merges and the index.
    fn wait_until_idle(&self, collection: &str, stop: &StopSignal) -> Result<()>;
    /// Begins no merge in the background any more, and lets the one under way stand still, until [`Self::resume_merges`] or
    /// the next opening.
    fn pause_merges(&self) -> Result<()>;
    /// Lets merges go on from where they are.
    fn resume_merges(&self) -> Result<()>;
    /// Checks every file of a collection, or of the whole database.
    fn verify(&self, collection: Option<&str>, stop: &StopSignal) -> Result<VerifyReport>;
    /// Checks, mends what can be mended (indexes, id maps, field indexes), sets aside what cannot be read, and checks
    /// again. A collection that was broken serves again if it can be mended.
    fn repair(&self, collection: Option<&str>, stop: &StopSignal) -> Result<VerifyReport>;
    /// Checks every byte of an archive of a log, the one at this folder or URL or the database's own, and says which points
    /// it leads to. A server checks none but its own.
    fn verify_archive(&self, location: Option<&str>, stop: &StopSignal) -> Result<ArchiveReport>;
    /// Measures every kind of index on a sample of the points and says which to take.
    fn advise(&self, collection: &str, params: &AdviceParams, stop: &StopSignal) -> Result<Advice>;

    /// Copies collections, or all where none is named, to the snapshot store. Without a name the snapshot gets one
    /// made of the time. Stopped, nothing is left of it.
    fn create_snapshot(
        &self,
        name: Option<&str>,
        collections: &[String],
        stop: &StopSignal,
    ) -> Result<SnapshotInfo>;
    /// All snapshots in the store.
    fn list_snapshots(&self) -> Result<Vec<SnapshotInfo>>;
    /// Makes collections from a snapshot, and goes on from there along the archived log if that is asked for. Their
    /// names must be free. A server reads no archive but its own.
    fn restore_snapshot(
        &self,
        name: &str,
        request: &RestoreRequest,
        stop: &StopSignal,
    ) -> Result<Restored>;
    /// Removes a snapshot from the store.
    fn delete_snapshot(&self, name: &str) -> Result<()>;

    /// The collections as far as they are open. In this process it opens none and waits for nothing.
    fn overview(&self) -> Result<Overview>;
    /// How it is doing.
    fn status(&self) -> Result<Status>;
}
