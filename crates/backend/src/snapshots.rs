//! The snapshot store of a database in this process: `vecdb-remote`'s with the feature `snapshots`, none without.

#[cfg(feature = "snapshots")]
pub use vecdb_remote::{SnapshotStore, env};

/// The components of a database; with the feature `snapshots` object storage for the archive of its log.
#[cfg(not(feature = "snapshots"))]
pub fn env() -> vecdb_engine::Env {
    vecdb_engine::Env::default()
}

/// Without the feature `snapshots` there is no store.
#[cfg(not(feature = "snapshots"))]
#[derive(Debug)]
pub enum SnapshotStore {}

#[cfg(not(feature = "snapshots"))]
mod none {
    use vecdb_engine::{Database, RestoreRequest, Restored, Result, SnapshotInfo, StopSignal};

    use super::SnapshotStore;

    impl SnapshotStore {
        pub(crate) fn create(
            &self,
            _: &Database,
            _: Option<&str>,
            _: &[String],
            _: &StopSignal,
        ) -> Result<SnapshotInfo> {
            match *self {}
        }

        pub(crate) fn list(&self) -> Result<Vec<SnapshotInfo>> {
            match *self {}
        }

        pub(crate) fn restore(
            &self,
            _: &Database,
            _: &str,
            _: &RestoreRequest,
            _: &StopSignal,
        ) -> Result<Restored> {
            match *self {}
        }

        pub(crate) fn delete(&self, _: &str) -> Result<()> {
            match *self {}
        }
    }
}
