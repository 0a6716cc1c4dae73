//! A collection: a named set of points that is written through the log and searched through snapshots.
//!
//! ```text
//! write: resolve -> log -> next state (working) -> wait for the disk -> publish
//! read:  load the published state -> search its parts
//! later: freeze the memtable -> flush it to a segment -> merge segments -> replace the manifest
//! ```
//! Invariants:
//! - The working state is ahead of the published one only by writes that are not yet acknowledged.
//! - Readers take one atomic load and no lock that a writer, a flush or a merge ever holds. What they hold stays valid as long as they hold it.
//! - Locks are taken in the order flushing or merging, indexing, manifest, working state; never the other way round.
//! - A flush or a merge takes effect once its manifest is written: one that fails for want of room changes nothing.
//! - What is done under the lock of the working state does not grow with the rows of a segment: see `survivors`.
//! - The manifest is written after every file it names is synced and after the log is synced as far as the delete
//!   masks it names reach.

mod advise;
mod copy;
mod facets;
mod field_index;
mod job;
mod maintenance;
mod manifest;
mod merge;
mod order;
mod pace;
mod policy;
mod read;
mod recommend;
mod repair;
mod request;
mod retired;
mod search;
mod state;
mod subsets;
mod survivors;
mod verify;
mod write;

pub use facets::{Facet, FacetRequest, Facets};
pub use maintenance::MaintenanceStatus;
use maintenance::Pause;
pub(crate) use manifest::Manifest;
pub use order::OrderBy;
pub(crate) use pace::MergePace;
pub use pace::{MergeProgress, MergeStep};
pub use read::{READ_POINTS_MAX, ScrollPage, ScrollRequest};
pub use recommend::{EXAMPLES_MAX, Example, RecommendRequest, RecommendStrategy};
pub use request::{
    GroupBy, Hit, HitGroup, MetadataUpdate, SearchRequest, SearchResponse, SearchStats, WriteResult,
};
pub use search::LIMIT_MAX;
pub use search::{
    ConditionExplanation, Explanation, MatchEstimate, PartExplanation, PlanExplanation,
    SearchCounts,
};
pub use verify::VerifyReport;
pub use write::WRITE_POINTS_MAX;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use search::{LearnedCosts, MaskCache, ResultCache, SearchCounters, SearchScratch};
use serde::Serialize;
use vecdb_filter::MetadataSchema;
use vecdb_storage::{Disk, Log, Position, Wal};
use vecdb_vector::Kernels;

use crate::archive::ArchiveEnv;
use crate::batch::WriteBatch;
use crate::clock::LogClock;
use crate::database::{MemoryUse, Signals};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::part::{Layout, Part, Sketching, View};
use crate::schema::{CollectionConfig, VectorField};
use crate::segment::{Segment, read_live};
use job::MergeJob;
use pace::MergeGate;
use retired::Retired;
use state::State;

/// A handle to a collection; clones share it. All methods may be called from any thread at any time.
#[derive(Clone)]
pub struct Collection {
    pub(crate) inner: Arc<Inner>,
}

/// What a collection runs on, shared by all collections of a database.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Arc<Options>,
    pub(crate) pool: Arc<rayon::ThreadPool>,
    pub(crate) kernels: Kernels,
    pub(crate) signals: Arc<Signals>,
    pub(crate) pace: Arc<MergePace>,
    pub(crate) archives: ArchiveEnv,
    pub(crate) clock: Arc<LogClock>,
}

pub(crate) struct Inner {
    name: String,
    id: u32,
    folder: PathBuf,
    config: CollectionConfig,
    layout: Layout,
    shared: Shared,
    log: OnceLock<Arc<Wal>>,
    /// The newest state, acknowledged or not. Writers hold the lock while they append to the log.
    working: Mutex<Arc<State>>,
    flushed_some: Condvar,
    published: ArcSwap<State>,
    publishing: Mutex<()>,
    /// The manifest on disk; held while it is replaced.
    manifest: Mutex<Manifest>,
    /// A copy of the manifest's, to be read without waiting for a manifest that is being written.
    flushed: AtomicU64,
    next_segment: AtomicU64,
    flushing: Mutex<()>,
    merging: Mutex<()>,
    merge_gate: Arc<MergeGate>,
    /// What an interrupted merge has finished, as it stands in its file.
    job: Mutex<Option<MergeJob>>,
    /// Held while field indexes are added to segments.
    indexing: Mutex<()>,
    /// Held while a graph of what a filter matches is built.
    subsetting: Mutex<()>,
    poisoned: OnceLock<String>,
    closed: AtomicBool,
    dropped: AtomicBool,
    last_write: Mutex<Instant>,
    /// Keep failing background work from being tried again at once. Apart, so that a segment that cannot be merged
    /// does not hold up flushes, and with them the writers.
    flush_pause: Mutex<Pause>,
    merge_pause: Mutex<Pause>,
    /// The last flush met a full disk.
    disk_full: AtomicBool,
    status: Mutex<MaintenanceStatus>,
    /// See [`crate::MemoryUse::building_bytes`].
    building_bytes: AtomicU64,
    retired: Retired,
    scratches: Mutex<Vec<SearchScratch>>,
    masks: MaskCache,
    costs: LearnedCosts,
    results: ResultCache,
    searches: SearchCounters,
    sketching: Sketching,
}

/// What `collection info` shows.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionInfo {
    /// The collection's name.
    pub name: String,
    /// Its settings.
    pub config: CollectionConfig,
    /// Live points.
    pub points: u64,
    /// Sealed segments.
    pub segments: Vec<SegmentInfo>,
    /// Points that are in memory and in the log, not yet in a segment.
    pub memtable_points: u64,
    /// Bytes of these in memory.
    pub memtable_bytes: u64,
    /// Graphs of what filters that return match, see [`crate::Options::subset_graph_bytes_max`].
    pub subset_graphs: u64,
    /// Bytes of these in memory.
    pub subset_graph_bytes: u64,
    /// Metadata fields with their types.
    pub fields: MetadataSchema,
    /// The position of the last published write.
    pub position: Position,
    /// Every write up to here is in segments.
    pub flushed_position: Position,
    /// Background work.
    pub maintenance: MaintenanceStatus,
    /// How searches were answered.
    pub searches: SearchCounts,
}

/// One sealed segment.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentInfo {
    /// The name its files start with.
    pub name: String,
    /// Rows, dead ones included.
    pub rows: u32,
    /// Rows that are alive.
    pub live_rows: u32,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of the index among them.
    pub index_bytes: u64,
    /// The kind of its index; `None` when it is scanned.
    pub index: Option<String>,
}

impl Inner {
    /// Makes the folder and first manifest of a new collection.
    pub(crate) fn create(
        shared: Shared,
        name: &str,
        id: u32,
        folder: &Path,
        config: CollectionConfig,
    ) -> Result<Self> {
        config.validate()?;
        let mut fields = MetadataSchema::new();
        for (field, kind) in &config.fields {
            fields.declare(field, *kind)?;
        }
        for field in &config.unindexed {
            fields.set_indexed(field, false)?;
        }
        let manifest = Manifest {
            generation: 1,
            config,
            fields,
            flushed: 0,
            next_segment: 1,
            segments: Vec::new(),
        };
        shared
            .disk
            .create_dir(folder)
            .map_err(|e| Error::io("create folder", folder, e))?;
        manifest.write(shared.disk.as_ref(), folder)?;
        Self::with_manifest(shared, name, id, folder, manifest, Vec::new())
    }

    /// Opens the sealed data; the log is replayed into it by [`Self::replay`].
    pub(crate) fn open(shared: Shared, name: &str, id: u32, folder: &Path) -> Result<Self> {
        let disk = &shared.disk;
        let manifest = Manifest::read(disk.as_ref(), folder)?;
        manifest.config.validate()?;
        let field = manifest.config.vector()?;
        let layout = Layout::of(field);
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let live = read_live(disk.as_ref(), folder, entry)?;
            let segment = Segment::open(
                disk,
                folder,
                entry.clone(),
                layout,
                &field.index,
                &manifest.fields,
            )?;
            segments.push(View::with_live(Arc::new(segment), live));
        }
        let job = MergeJob::open(disk.as_ref(), folder, &manifest);
        remove_unnamed(disk.as_ref(), folder, &manifest, job.as_ref());
        let inner = Self::with_manifest(shared, name, id, folder, manifest, segments)?;
        if let Some(job) = job {
            // Its number is taken, whether the manifest knows of it or not.
            inner
                .next_segment
                .fetch_max(job.made.id.0.saturating_add(1), Ordering::Relaxed);
            *inner.job.lock() = Some(job);
        }
        Ok(inner)
    }

    fn with_manifest(
        shared: Shared,
        name: &str,
        id: u32,
        folder: &Path,
        manifest: Manifest,
        segments: Vec<View<Segment>>,
    ) -> Result<Self> {
        let sketching = Sketching::new(manifest.config.vector()?);
        let state = Arc::new(State {
            version: 0,
            position: manifest.flushed,
            fields: Arc::new(manifest.fields.clone()),
            active: Vec::new(),
            frozen: Vec::new(),
            segments,
        });
        Ok(Self {
            name: name.to_owned(),
            id,
            folder: folder.to_owned(),
            layout: Layout::of(manifest.config.vector()?),
            config: manifest.config.clone(),
            shared,
            log: OnceLock::new(),
            working: Mutex::new(state.clone()),
            flushed_some: Condvar::new(),
            published: ArcSwap::new(state),
            publishing: Mutex::new(()),
            flushed: AtomicU64::new(manifest.flushed),
            next_segment: AtomicU64::new(manifest.next_segment),
            manifest: Mutex::new(manifest),
            flushing: Mutex::new(()),
            merging: Mutex::new(()),
            merge_gate: Arc::default(),
            job: Mutex::new(None),
            indexing: Mutex::new(()),
            subsetting: Mutex::new(()),
            poisoned: OnceLock::new(),
            closed: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            last_write: Mutex::new(Instant::now()),
            flush_pause: Mutex::new(Pause::default()),
            merge_pause: Mutex::new(Pause::default()),
            disk_full: AtomicBool::new(false),
            status: Mutex::new(MaintenanceStatus::default()),
            building_bytes: AtomicU64::new(0),
            retired: Retired::default(),
            scratches: Mutex::new(Vec::new()),
            masks: MaskCache::default(),
            costs: LearnedCosts::default(),
            results: ResultCache::default(),
            searches: SearchCounters::default(),
            sketching,
        })
    }

    /// Applies a log entry found at recovery, unless the segments hold it already.
    pub(crate) fn replay(&self, position: Position, bytes: &[u8]) -> Result<()> {
        let mut working = self.working.lock();
        if position <= working.position {
            return Ok(());
        }
        let batch = WriteBatch::decode(bytes)?;
        if self.log.get().is_none() {
            // The database's own log; a restore follows another one.
            self.shared.clock.note(batch.time_us);
        }
        let expected = self.layout.row_bytes();
        for operation in &batch.operations {
            if let crate::batch::Operation::Upsert(row) = operation
                && row.vector.len() != expected
            {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "log entry {position} has a vector of {} bytes instead of {expected}",
                        row.vector.len()
                    ),
                ));
            }
        }
        let fields = working.observe(&batch)?;
        let (mut next, _) =
            working.apply(self.layout, position, &batch, fields, &self.sketching)?;
        if next.active_bytes() >= self.shared.options.memtable_bytes_max {
            next.freeze();
        }
        let next = Arc::new(next);
        *working = next.clone();
        self.published.store(next);
        Ok(())
    }

    /// Refuses to go on with a log that ends before what the segments hold: it is not the whole log.
    pub(crate) fn check_reach(&self, log_end: Position) -> Result<()> {
        let flushed = self.flushed();
        if flushed > log_end {
            return Err(Error::corrupt(
                &self.folder,
                format_args!("the log ends at {log_end} although the segments reach {flushed}"),
            ));
        }
        Ok(())
    }

    /// Gives the collection its log once recovery is through.
    pub(crate) fn attach(&self, log: Arc<Wal>) {
        let _ = self.log.set(log);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its number in the log.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The segments hold every write up to here.
    pub(crate) fn flushed(&self) -> Position {
        self.flushed.load(Ordering::Acquire)
    }

    /// The log must be kept after this position; `None` when the segments hold everything.
    pub(crate) fn log_needed_after(&self) -> Option<Position> {
        let flushed = self.flushed();
        (self.working.lock().position > flushed).then_some(flushed)
    }

    /// Writes are refused from now on; reads go on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.merge_gate.end();
        self.flushed_some.notify_all();
    }

    /// The collection is no longer in the catalog: its files go as soon as nobody reads them.
    pub(crate) fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
        self.merge_gate.end();
        self.flushed_some.notify_all();
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    fn log(&self) -> Result<&Arc<Wal>> {
        self.log.get().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!("collection {} is still opening", self.name),
            )
        })
    }

    fn vector_field(&self) -> Result<&VectorField> {
        self.config.vector()
    }

    pub(crate) fn snapshot(&self) -> Arc<State> {
        self.published.load_full()
    }

    /// The published state, and a position up to which it holds every write of the collection.
    pub(crate) fn pin(&self) -> (Arc<State>, Position) {
        let working = self.working.lock();
        let state = self.snapshot();
        let position = match self.log.get() {
            // Nothing is under way, and while the lock is held nothing begins.
            Some(log) if working.position == state.position => log.last(),
            _ => state.position,
        };
        (state, position)
    }

    /// Refuses every further write; reads go on. Only opening the database again lifts it.
    pub(crate) fn poison(&self, error: Error) -> Error {
        let _ = self.poisoned.set(error.to_string());
        self.flushed_some.notify_all();
        error
    }

    /// Flushes and merges on request are for open databases: once closed, the folder may be somebody else's.
    fn check_open(&self) -> Result<()> {
        self.check_usable()?;
        match self.closed.load(Ordering::Acquire) {
            true => Err(closed()),
            false => Ok(()),
        }
    }

    fn check_usable(&self) -> Result<()> {
        if self.is_dropped() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("collection {:?} was dropped", self.name),
            ));
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<()> {
        self.check_usable()?;
        if let Some(cause) = self.poisoned.get() {
            return Err(Error::new(
                ErrorKind::Poisoned,
                format!(
                    "collection {:?} refuses writes since an earlier failure ({cause}); open the database again",
                    self.name
                ),
            ));
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        Ok(())
    }

    /// Makes `state` what readers see, unless they see a newer one already.
    fn publish(&self, state: Arc<State>) {
        let _one = self.publishing.lock();
        if state.version > self.published.load().version {
            self.published.store(state);
        }
    }

    pub(crate) fn memory(&self) -> MemoryUse {
        let (_, subset_graph_bytes) = self.masks.graphs();
        MemoryUse {
            memtable_bytes: self.snapshot().memtable_bytes(),
            building_bytes: self.building_bytes.load(Ordering::Relaxed),
            subset_graph_bytes,
        }
    }

    pub(crate) fn info(&self) -> CollectionInfo {
        let state = self.snapshot();
        let segments: Vec<_> = state
            .segments
            .iter()
            .map(|view| SegmentInfo {
                name: format!("{:016x}", view.part.id().0),
                rows: view.part.rows(),
                live_rows: view.live_rows(),
                bytes: view.part.bytes(),
                index_bytes: view.part.index_bytes(),
                index: view.part.index().map(|index| index.kind().to_owned()),
            })
            .collect();
        let points = state.live_rows();
        let sealed: u64 = segments
            .iter()
            .map(|segment| u64::from(segment.live_rows))
            .sum();
        let (subset_graphs, subset_graph_bytes) = self.masks.graphs();
        CollectionInfo {
            name: self.name.clone(),
            config: self.config.clone(),
            points,
            segments,
            memtable_points: points - sealed,
            memtable_bytes: state.memtable_bytes(),
            subset_graphs,
            subset_graph_bytes,
            fields: state.fields.as_ref().clone(),
            position: state.position,
            flushed_position: self.flushed(),
            maintenance: self.maintenance(),
            searches: self.searches.counts(),
        }
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Collection {
    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The settings it was created with.
    pub fn config(&self) -> &CollectionConfig {
        &self.inner.config
    }

    /// Points, segments, fields and background work, as of now.
    pub fn info(&self) -> CollectionInfo {
        self.inner.info()
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the database is closed")
}

/// Removes what an interrupted flush or merge left behind, but for what a merge goes on from; files of unknown kinds stay.
fn remove_unnamed(disk: &dyn Disk, folder: &Path, manifest: &Manifest, job: Option<&MergeJob>) {
    let mut named: HashSet<&str> = manifest.file_names().collect();
    named.extend(job.into_iter().flat_map(MergeJob::file_names));
    let ours = |name: &str| {
        name == MergeJob::FILE
            || [".rows", ".index", ".fields", ".live", ".tmp"]
                .iter()
                .any(|suffix| name.ends_with(suffix))
    };
    for entry in disk.list(folder).unwrap_or_default() {
        if !entry.is_dir && ours(&entry.name) && !named.contains(entry.name.as_str()) {
            // A stray file that cannot be removed is no reason not to serve.
            let _ = disk.remove_file(&folder.join(&entry.name));
        }
    }
}
