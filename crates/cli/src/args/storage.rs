//! Flags of `storage`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vecdb_engine::OnCorruption;

use super::{VectorArgs, help};

#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// Make a database with one collection, and show its files and thresholds.
    #[command(after_long_help = help::STORAGE_INIT)]
    Init(StorageInitArgs),
    /// Insert points that are made of their numbers, or those of a file, and show what the log and the memtable did.
    #[command(after_long_help = help::STORAGE_INSERT)]
    Insert(StorageInsertArgs),
    /// Open a database after a crash, show what recovery does, and hold it against what was acknowledged.
    #[command(after_long_help = help::STORAGE_RECOVER)]
    Recover(StorageRecoverArgs),
    /// Merge the segments of one collection or of all, drop deleted rows, and show what that gave back.
    #[command(after_long_help = help::STORAGE_COMPACT)]
    Compact {
        /// The collection. Default: all.
        name: Option<String>,
    },
    /// Let a server begin no merge in the background any more, and the one under way stand still.
    #[command(after_long_help = help::STORAGE_PAUSE_MERGES)]
    PauseMerges,
    /// Let a server's merges go on from where they are.
    #[command(after_long_help = help::STORAGE_PAUSE_MERGES)]
    ResumeMerges,
    /// Keep an archive of the log: set its place, archive what was written so far, and show how it stands.
    #[command(after_long_help = help::STORAGE_ARCHIVE)]
    Archive(StorageArchiveArgs),
    /// Check every file: checksums, id maps, field indexes, graphs. Damage ends with exit code 8.
    #[command(after_long_help = help::VERIFY)]
    Verify(StorageVerifyArgs),
    /// Show log entries, manifests and file headers as they lie on the disk, without opening the database.
    #[command(after_long_help = help::STORAGE_INSPECT)]
    Inspect(StorageInspectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StorageInitArgs {
    /// The collection: letters, digits, `_`, `-` and `.`.
    #[arg(default_value = "vectors")]
    pub(crate) collection: String,
    /// Values per vector; for the element type bits, bits.
    #[arg(long, visible_alias = "dim", value_name = "N", default_value_t = 128)]
    pub(crate) dimension: u32,
    #[command(flatten)]
    pub(crate) vectors: VectorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StorageInsertArgs {
    /// The collection.
    #[arg(long, short, value_name = "NAME", default_value = "vectors")]
    pub(crate) collection: String,
    /// How many points; with --data at most so many of the file.
    #[arg(long, value_name = "N", required_unless_present = "data")]
    pub(crate) count: Option<u64>,
    /// Points of a file that `import` reads, in place of points made of their numbers.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["first_id", "seed"])]
    pub(crate) data: Option<PathBuf>,
    /// Id of the first point made. Default: how many points there are.
    #[arg(long, value_name = "N")]
    pub(crate) first_id: Option<u64>,
    /// What the points are made of besides their numbers.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Points written, and acknowledged, at once.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Add a line to this file for each batch that was acknowledged: its points and their checksums, for `storage
    /// recover`.
    #[arg(long, value_name = "FILE")]
    pub(crate) acknowledged: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StorageRecoverArgs {
    /// The file that `storage insert --acknowledged` wrote: every point of it is looked for.
    #[arg(long, value_name = "FILE")]
    pub(crate) acknowledged: Option<PathBuf>,
    /// What to do about damage in the middle of the log: `stop`, naming file and offset, or `skip` what is damaged and
    /// count it.
    #[arg(long, value_name = "CHOICE", default_value_t = OnCorruption::Stop)]
    pub(crate) on_corruption: OnCorruption,
    /// Leave out the check of every file.
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StorageArchiveArgs {
    /// Archive the log to this folder, which is made where there is none, or this URL (s3://bucket/prefix with
    /// AWS_ACCESS_KEY_ID and the like) from now on.
    #[arg(long, value_name = "LOCATION")]
    pub(crate) to: Option<String>,
    /// Archive the log no more. What is archived stays.
    #[arg(long, conflicts_with = "to")]
    pub(crate) off: bool,
    /// Check every byte of the archive, and say which points of the log it leads to. Damage ends with exit code 8.
    #[arg(long, conflicts_with_all = ["off", "to"])]
    pub(crate) verify: bool,
    /// The folder or URL of the archive to check. Default: the database's own. With --url the server's own is checked.
    #[arg(long, value_name = "LOCATION", requires = "verify")]
    pub(crate) archive: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StorageVerifyArgs {
    /// Only this collection.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) collection: Option<String>,
    /// Mend what can be mended: rebuild indexes, id maps and field indexes, set aside what cannot be read.
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StorageInspectArgs {
    /// Only this collection and its entries of the log.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) collection: Option<String>,
    /// Entries of the log from this position on.
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    pub(crate) from: u64,
    /// At most N entries of the log.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}
