//! Snapshots: copies of collections in a folder that can be restored anywhere.
//!
//! ```text
//! <folder>/SNAPSHOT.json          what is in it, with the length and checksum of every file; written last
//! <folder>/collections/<n>/       MANIFEST and segment files of its n-th collection
//! ```
//! Invariants:
//! - A collection is copied as one published state: every write acknowledged before the call is in it, whole batches
//!   only. Nothing waits for the copy, and the copy waits for nothing: the state holds its files as long as it lives.
//! - A folder without SNAPSHOT.json is no snapshot.
//! - Sealed files are never written again, so a second name for one is as good as a copy of it.
//! - A restore to a point of the log is one of the snapshot, whose collections take what the archived log has up to there
//!   before they are added.
//! - A restore adds all the collections it was asked for or none, also across a crash.

mod create;
mod files;
mod follow;
mod manifest;
mod plan;
mod request;
mod restore;
mod staging;

pub use files::{EarlierFiles, FILE_HEAD_BYTES, Transfer};
pub(crate) use files::{Placed, PlacedFile, checksum_of, place};
pub use manifest::{
    CollectionLog, SNAPSHOT_FILE, SnapshotCollection, SnapshotContent, SnapshotFile, SnapshotInfo,
    SnapshotLog, SnapshotManifest,
};
pub use plan::RestorePlan;
pub use request::{RestorePoint, RestoreRequest, Restored};
pub use staging::Staging;
pub(crate) use staging::{remove_staging, stage};
