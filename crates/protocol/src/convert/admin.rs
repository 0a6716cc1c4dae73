//! What checks, recovery, the archive and snapshots report, and what a restore is asked for.

use vecdb_engine::{
    ArchiveRange, ArchiveReport, ArchiveStatus, Error, Recovery, RestorePoint, RestoreRequest,
    Restored, SnapshotContent, SnapshotInfo, Transfer, VerifyReport,
};

use super::optional_text;
use crate::v1;

impl From<v1::VerifyResponse> for VerifyReport {
    fn from(message: v1::VerifyResponse) -> Self {
        VerifyReport {
            segments: message.segments,
            files: message.files,
            bytes: message.bytes,
            rows: message.rows,
            field_values: message.field_values,
            log_entries: message.log_entries,
            links: message.links,
            unreachable: message.unreachable,
            problems: message.problems,
            repaired: message.repaired,
            quarantined: message.quarantined,
            lost: message.lost,
        }
    }
}

impl From<VerifyReport> for v1::VerifyResponse {
    fn from(report: VerifyReport) -> Self {
        v1::VerifyResponse {
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

impl From<v1::Recovery> for Recovery {
    fn from(message: v1::Recovery) -> Self {
        Recovery {
            replayed: message.replayed,
            torn_bytes_cut: message.torn_bytes_cut,
            skipped: message.skipped,
        }
    }
}

impl From<Recovery> for v1::Recovery {
    fn from(recovery: Recovery) -> Self {
        v1::Recovery {
            replayed: recovery.replayed,
            torn_bytes_cut: recovery.torn_bytes_cut,
            skipped: recovery.skipped,
        }
    }
}

impl From<v1::ArchiveStatus> for ArchiveStatus {
    fn from(message: v1::ArchiveStatus) -> Self {
        ArchiveStatus {
            location: message.location,
            position: message.position,
            time: message.time,
            waiting_bytes: message.waiting_bytes,
            failures: message.failures,
            last_error: message.last_error,
        }
    }
}

impl From<ArchiveStatus> for v1::ArchiveStatus {
    fn from(status: ArchiveStatus) -> Self {
        v1::ArchiveStatus {
            location: status.location,
            position: status.position,
            time: status.time,
            waiting_bytes: status.waiting_bytes,
            failures: status.failures,
            last_error: status.last_error,
        }
    }
}

impl From<v1::VerifyArchiveResponse> for ArchiveReport {
    fn from(message: v1::VerifyArchiveResponse) -> Self {
        let range = |range: v1::ArchiveRange| ArchiveRange {
            first: range.first,
            last: range.last,
            from: range.from,
            through: range.through,
        };
        ArchiveReport {
            location: message.location,
            pieces: message.pieces,
            bytes: message.bytes,
            entries: message.entries,
            ranges: message.ranges.into_iter().map(range).collect(),
            unlisted: message.unlisted,
            problems: message.problems,
        }
    }
}

impl From<ArchiveReport> for v1::VerifyArchiveResponse {
    fn from(report: ArchiveReport) -> Self {
        let range = |range: ArchiveRange| v1::ArchiveRange {
            first: range.first,
            last: range.last,
            from: range.from,
            through: range.through,
        };
        v1::VerifyArchiveResponse {
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

/// The message that asks for a restore of the snapshot `name`. The place of an archive has no place in it.
pub fn restore_request(name: &str, request: &RestoreRequest) -> v1::RestoreSnapshotRequest {
    let (mut to_sequence, mut to_time) = (None, None);
    match request.until {
        Some(RestorePoint::Sequence(number)) => to_sequence = Some(number),
        Some(RestorePoint::Time(time)) => to_time = Some(time),
        Some(RestorePoint::Latest) | None => {}
    }
    v1::RestoreSnapshotRequest {
        name: name.to_owned(),
        collection: request.collection.clone().unwrap_or_default(),
        restore_as: request.restore_as.clone().unwrap_or_default(),
        to_sequence,
        to_time,
        to_latest: request.until == Some(RestorePoint::Latest),
    }
}

impl TryFrom<v1::RestoreSnapshotRequest> for RestoreRequest {
    type Error = Error;

    fn try_from(message: v1::RestoreSnapshotRequest) -> Result<Self, Error> {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Ok(RestoreRequest {
            collection: some(message.collection),
            restore_as: some(message.restore_as),
            until: RestorePoint::of_parts(message.to_sequence, message.to_time, message.to_latest)?,
            archive: None,
        })
    }
}

impl From<v1::RestoreSnapshotResponse> for Restored {
    fn from(message: v1::RestoreSnapshotResponse) -> Self {
        Restored {
            collections: message.collections.into_iter().map(Into::into).collect(),
            sequence: message.sequence,
            time: message.time,
        }
    }
}

impl From<Restored> for v1::RestoreSnapshotResponse {
    fn from(restored: Restored) -> Self {
        v1::RestoreSnapshotResponse {
            collections: restored.collections.into_iter().map(Into::into).collect(),
            sequence: restored.sequence,
            time: restored.time,
        }
    }
}

impl From<v1::SnapshotContent> for SnapshotContent {
    fn from(message: v1::SnapshotContent) -> Self {
        SnapshotContent {
            name: message.name,
            points: message.points,
            sequence: message.sequence,
            broken: optional_text(message.broken),
        }
    }
}

impl From<SnapshotContent> for v1::SnapshotContent {
    fn from(content: SnapshotContent) -> Self {
        v1::SnapshotContent {
            name: content.name,
            points: content.points,
            sequence: content.sequence,
            broken: content.broken.unwrap_or_default(),
        }
    }
}

impl From<v1::SnapshotInfo> for SnapshotInfo {
    fn from(message: v1::SnapshotInfo) -> Self {
        let collections = message.collections.into_iter();
        SnapshotInfo {
            name: message.name,
            created_at: message.created_at,
            bytes: message.bytes,
            collections: collections.map(SnapshotContent::from).collect(),
            transfer: message.transfer.map(|transfer| Transfer {
                uploaded_bytes: transfer.uploaded_bytes,
                reused_bytes: transfer.reused_bytes,
            }),
        }
    }
}

impl From<SnapshotInfo> for v1::SnapshotInfo {
    fn from(snapshot: SnapshotInfo) -> Self {
        v1::SnapshotInfo {
            name: snapshot.name,
            created_at: snapshot.created_at,
            bytes: snapshot.bytes,
            collections: snapshot.collections.into_iter().map(Into::into).collect(),
            transfer: snapshot.transfer.map(|transfer| v1::SnapshotTransfer {
                uploaded_bytes: transfer.uploaded_bytes,
                reused_bytes: transfer.reused_bytes,
            }),
        }
    }
}
