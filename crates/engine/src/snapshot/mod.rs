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
//! - A restore adds all the collections it was asked for or none, also across a crash.

mod create;
mod files;
mod manifest;
mod restore;
mod staging;

pub(crate) use files::{PlacedFile, checksum_of, place};
pub use manifest::{
    SNAPSHOT_FILE, SnapshotCollection, SnapshotFile, SnapshotInfo, SnapshotManifest,
};
pub use staging::Staging;
pub(crate) use staging::remove_staging;
