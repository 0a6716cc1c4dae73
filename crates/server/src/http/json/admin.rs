//! The database as a whole: checks, snapshots, status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vecdb_backend as backend;
use vecdb_engine as engine;

use super::collection::CollectionSummary;

/// Nothing to say.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Empty {}

/// How far to go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CompactRequest {
    /// Only the flushes, merges and index builds that the server would do by itself in time; what has rested already is
    /// not rewritten.
    #[serde(default)]
    pub(in crate::http) pending_only: bool,
}

/// What became of the index of a metadata field.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct FieldIndexResponse {
    /// Whether it was otherwise before.
    pub(in crate::http) changed: bool,
}

/// What to check: one collection, or all without a name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct VerifyRequest {
    pub(in crate::http) collection: Option<String>,
    /// Mend what can be mended, set aside what cannot be read, and check again.
    #[serde(default)]
    pub(in crate::http) repair: bool,
}

/// What a check found.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct VerifyResponse {
    segments: u64,
    /// Files whose every block was compared with its checksum.
    files: u64,
    bytes: u64,
    /// Rows whose ids were compared with the id map.
    rows: u64,
    /// Values that were looked up in the field indexes.
    field_values: u64,
    log_entries: u64,
    /// Links followed in the graphs.
    links: u64,
    /// Live points that no walk through their graph reaches.
    unreachable: u64,
    /// What is wrong, one line each; empty when all is well.
    problems: Vec<String>,
    /// What a repair made anew, one line each.
    repaired: Vec<String>,
    /// Files that a repair set aside, each with the reason.
    quarantined: Vec<String>,
    /// Points that a repair could not read.
    lost: u64,
}

impl From<engine::VerifyReport> for VerifyResponse {
    fn from(report: engine::VerifyReport) -> Self {
        Self {
            segments: report.segments,
            files: report.files,
            bytes: report.bytes,
            rows: report.rows,
            field_values: report.field_values,
            log_entries: report.log_entries,
            links: report.links,
            unreachable: report.unreachable,
            problems: report.problems,
            repaired: report.repaired,
            quarantined: report.quarantined,
            lost: report.lost,
        }
    }
}

/// What a check of the archive of the log found.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct VerifyArchiveResponse {
    /// A folder, or the URL of an object store.
    location: String,
    /// Log files in it.
    pieces: u64,
    /// Their bytes, every one under a checksum that was compared.
    bytes: u64,
    entries: u64,
    /// The stretches without a gap, oldest first. A snapshot that stands inside one leads to every later point of it.
    ranges: Vec<ArchiveRange>,
    /// Log files that no piece names: what interrupted attempts left.
    unlisted: u64,
    /// What is wrong, one line each; empty when all is well.
    problems: Vec<String>,
}

/// A stretch of the archived log without a gap.
#[derive(Debug, Serialize, ToSchema)]
struct ArchiveRange {
    /// The sequence number of its first entry.
    first: u64,
    /// That of its last one.
    last: u64,
    /// When its first write was made: microseconds since 1970-01-01T00:00:00 UTC. Null if there is none.
    from: Option<u64>,
    /// Everything acknowledged by then, since its beginning, is in it: microseconds since 1970-01-01T00:00:00 UTC.
    through: u64,
}

impl From<engine::ArchiveReport> for VerifyArchiveResponse {
    fn from(report: engine::ArchiveReport) -> Self {
        let range = |range: engine::ArchiveRange| ArchiveRange {
            first: range.first,
            last: range.last,
            from: range.from,
            through: range.through,
        };
        Self {
            location: report.location,
            pieces: report.pieces,
            bytes: report.bytes,
            entries: report.entries,
            ranges: report.ranges.into_iter().map(range).collect(),
            unlisted: report.unlisted,
            problems: report.problems,
        }
    }
}

/// A snapshot to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "before-upgrade", "collections": ["products"]})))]
pub(in crate::http) struct CreateSnapshotRequest {
    /// Made of the time where none is given.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"
    )]
    pub(in crate::http) name: Option<String>,
    /// All where none is named.
    #[serde(default)]
    pub(in crate::http) collections: Vec<String>,
}

/// A snapshot in the store.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct SnapshotInfo {
    name: String,
    /// When it was made, with all that was acknowledged by then: microseconds since 1970-01-01T00:00:00 UTC.
    created_at: i64,
    bytes: u64,
    collections: Vec<SnapshotContent>,
    /// What making it took; null of one that was made before.
    transfer: Option<SnapshotTransfer>,
}

/// A collection in a snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct SnapshotContent {
    name: String,
    /// Live points; 0 if the snapshot cannot be read.
    points: u64,
    /// Every write to it up to this sequence number of the log is in it; null where the database did not archive its log.
    sequence: Option<u64>,
    /// Why the snapshot cannot be read; null when it can.
    broken: Option<String>,
}

impl From<engine::SnapshotContent> for SnapshotContent {
    fn from(content: engine::SnapshotContent) -> Self {
        Self {
            name: content.name,
            points: content.points,
            sequence: content.sequence,
            broken: content.broken,
        }
    }
}

/// What a snapshot took to its store.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct SnapshotTransfer {
    /// Bytes that were written there.
    uploaded_bytes: u64,
    /// Bytes of files that were there already, or that are the database's own under a second name.
    reused_bytes: u64,
}

impl From<engine::SnapshotInfo> for SnapshotInfo {
    fn from(info: engine::SnapshotInfo) -> Self {
        Self {
            name: info.name,
            created_at: info.created_at,
            bytes: info.bytes,
            collections: info.collections.into_iter().map(Into::into).collect(),
            transfer: info.transfer.map(|transfer| SnapshotTransfer {
                uploaded_bytes: transfer.uploaded_bytes,
                reused_bytes: transfer.reused_bytes,
            }),
        }
    }
}

/// All snapshots in the store.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ListSnapshotsResponse {
    pub(in crate::http) snapshots: Vec<SnapshotInfo>,
}

/// What to restore from a snapshot: one collection, or all without a name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"collection": "products", "restore_as": "products-yesterday"})))]
pub(in crate::http) struct RestoreSnapshotRequest {
    pub(in crate::http) collection: Option<String>,
    /// Its name afterwards, where one collection is restored; as it was without.
    pub(in crate::http) restore_as: Option<String>,
    /// From the snapshot on, follow the archived log to this sequence number.
    to_sequence: Option<u64>,
    /// The same to a time, as RFC 3339 text: with all that was acknowledged by then and nothing later.
    #[schema(examples("2026-11-30T12:00:00Z"))]
    to_time: Option<String>,
    /// The same to the end of the archive.
    #[serde(default)]
    to_latest: bool,
}

impl TryFrom<RestoreSnapshotRequest> for engine::RestoreRequest {
    type Error = engine::Error;

    fn try_from(request: RestoreSnapshotRequest) -> engine::Result<Self> {
        let time = match request.to_time.as_deref().map(engine::RestorePoint::at) {
            Some(point) => match point.map_err(|e| e.context("to_time"))? {
                engine::RestorePoint::Time(time) => Some(time),
                _ => None,
            },
            None => None,
        };
        Ok(engine::RestoreRequest {
            collection: request.collection,
            restore_as: request.restore_as,
            until: engine::RestorePoint::of_parts(request.to_sequence, time, request.to_latest)?,
            archive: None,
        })
    }
}

/// The collections that were made.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RestoreSnapshotResponse {
    collections: Vec<CollectionSummary>,
    /// The sequence number that the log was followed to; null if it was not.
    sequence: Option<u64>,
    /// When the last write up to there was made: microseconds since 1970-01-01T00:00:00 UTC. Null if there was none since the
    /// snapshot.
    time: Option<i64>,
}

impl From<engine::Restored> for RestoreSnapshotResponse {
    fn from(restored: engine::Restored) -> Self {
        Self {
            collections: summaries(restored.collections),
            sequence: restored.sequence,
            time: restored.time,
        }
    }
}

/// How the database is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StatusResponse {
    /// Of the software.
    version: String,
    /// Since the database was opened.
    uptime_seconds: u64,
    collections: u64,
    points: u64,
    /// Resident memory of the process that is not backed by files.
    memory_bytes: u64,
    /// Null where it is not limited.
    memory_bytes_max: Option<u64>,
    recovery: Recovery,
    /// Null where the log is not archived.
    archive: Option<ArchiveStatus>,
    /// Merges in the background are paused.
    merges_paused: bool,
}

/// How the archive of the log is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ArchiveStatus {
    /// A folder, or the URL of an object store.
    location: String,
    /// Every entry of the log up to this position is in it.
    position: u64,
    /// Everything acknowledged by then is in it: microseconds since 1970-01-01T00:00:00 UTC.
    time: u64,
    /// Bytes of the log that are not in it yet.
    waiting_bytes: u64,
    /// Attempts in a row that failed.
    failures: u64,
    /// Why the last one failed; null if it did not.
    last_error: Option<String>,
}

impl From<engine::ArchiveStatus> for ArchiveStatus {
    fn from(status: engine::ArchiveStatus) -> Self {
        Self {
            location: status.location,
            position: status.position,
            time: status.time,
            waiting_bytes: status.waiting_bytes,
            failures: status.failures,
            last_error: status.last_error,
        }
    }
}

/// What recovery did when the database was opened.
#[derive(Debug, Serialize, ToSchema)]
struct Recovery {
    /// Log entries applied.
    replayed: u64,
    /// Bytes cut from the torn end of the log.
    torn_bytes_cut: u64,
    /// Damaged stretches of the log left out.
    skipped: u64,
}

impl From<backend::Status> for StatusResponse {
    fn from(status: backend::Status) -> Self {
        Self {
            version: status.version,
            uptime_seconds: status.uptime.as_secs(),
            collections: status.collections,
            points: status.points,
            memory_bytes: status.memory_bytes,
            memory_bytes_max: status.memory_bytes_max,
            recovery: Recovery {
                replayed: status.recovery.replayed,
                torn_bytes_cut: status.recovery.torn_bytes_cut,
                skipped: status.recovery.skipped,
            },
            archive: status.archive.map(Into::into),
            merges_paused: status.merges_paused,
        }
    }
}

fn summaries(collections: Vec<engine::CollectionSummary>) -> Vec<CollectionSummary> {
    collections
        .into_iter()
        .map(CollectionSummary::from)
        .collect()
}
