//! Flags of `snapshot`.

use clap::{Args, Subcommand};
use vecdb_engine::RestorePoint;

use super::help;

/// Where snapshots lie.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Folder or URL that holds the snapshots (file://, s3://bucket/prefix with AWS_ACCESS_KEY_ID and the like).
    /// Default: `snapshots` in the folder of the database. With --url the server's own store is used.
    #[arg(long, value_name = "LOCATION", env = "VECDB_SNAPSHOTS_LOCATION")]
    pub(crate) store: Option<String>,
}

/// How far a restore follows the archived log.
#[derive(Debug, Args)]
pub(crate) struct UntilArgs {
    /// From the snapshot on, follow the archived log to this sequence number: the position of a write, as `storage
    /// inspect` shows it.
    #[arg(long, value_name = "N", group = "point")]
    pub(crate) to_sequence: Option<u64>,
    /// The same to a time, such as 2026-11-30T12:00:00Z: with all that was acknowledged by then and nothing later.
    #[arg(long, value_name = "TIME", group = "point", value_parser = RestorePoint::at)]
    pub(crate) to_time: Option<RestorePoint>,
    /// The same to the end of the archive.
    #[arg(long, group = "point")]
    pub(crate) to_latest: bool,
    /// Folder or URL of the archive. Default: the one that the database writes to. With --url the server's own is used.
    #[arg(long, value_name = "LOCATION", requires = "point")]
    pub(crate) archive: Option<String>,
}

impl UntilArgs {
    pub(crate) fn point(&self) -> Option<RestorePoint> {
        let sequence = self.to_sequence.map(RestorePoint::Sequence);
        let latest = self.to_latest.then_some(RestorePoint::Latest);
        sequence.or(self.to_time).or(latest)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Copy one, several or all collections into the store.
    #[command(after_long_help = help::SNAPSHOT_CREATE)]
    Create {
        /// Name of the snapshot. Default: made of the time.
        name: Option<String>,
        /// Only this collection; may be given several times.
        #[arg(long = "collection", short, value_name = "NAME")]
        collections: Vec<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// List the snapshots of the store.
    #[command(after_long_help = help::SNAPSHOT_LIST)]
    List {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Make collections from a snapshot. Their names must be free.
    #[command(after_long_help = help::SNAPSHOT_RESTORE)]
    Restore {
        /// The snapshot.
        name: String,
        /// Only this collection of it.
        #[arg(long, short, value_name = "NAME")]
        collection: Option<String>,
        /// The collection's name afterwards.
        #[arg(long = "as", value_name = "NAME", requires = "collection")]
        restore_as: Option<String>,
        #[command(flatten)]
        until: UntilArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Remove a snapshot from the store.
    #[command(after_long_help = help::SNAPSHOT_DELETE)]
    Delete {
        /// The snapshot.
        name: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}
