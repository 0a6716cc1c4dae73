//! What checks, recovery and snapshots report.

use vecdb_engine::{CollectionSummary, Recovery, SnapshotInfo, VerifyReport};

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

impl From<v1::SnapshotInfo> for SnapshotInfo {
    fn from(message: v1::SnapshotInfo) -> Self {
        let collections = message.collections.into_iter();
        SnapshotInfo {
            name: message.name,
            created_at: message.created_at,
            bytes: message.bytes,
            collections: collections.map(CollectionSummary::from).collect(),
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
        }
    }
}
