//! Flags of `snapshot`.

use clap::{Args, Subcommand};

use super::help;

/// Where snapshots lie.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Folder or URL that holds the snapshots (file://, s3://bucket/prefix with AWS_ACCESS_KEY_ID and the like).
    /// Default: `snapshots` in the folder of the database. With --url the server's own store is used.
    #[arg(long, value_name = "LOCATION", env = "VECDB_SNAPSHOTS_LOCATION")]
    pub(crate) store: Option<String>,
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
