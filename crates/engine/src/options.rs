//! Settings (plain data) and the components a database runs on.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vecdb_storage::{Disk, FileDisk};

use crate::archive::ArchiveOpener;
use crate::error::Error;

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After it was synced to the disk. Concurrent writers share one sync. Survives power loss.
    #[default]
    EveryWrite,
    /// After the operating system has it; synced every so many milliseconds. Survives a killed process;
    /// power loss may take the writes of the last interval.
    IntervalMs(u32),
    /// After the operating system has it; never synced on purpose. Survives a killed process only.
    None,
}

impl Durability {
    pub(crate) fn for_log(self) -> vecdb_storage::Durability {
        match self {
            Durability::EveryWrite => vecdb_storage::Durability::EveryWrite,
            Durability::IntervalMs(ms) => {
                vecdb_storage::Durability::Interval(Duration::from_millis(u64::from(ms)))
            }
            Durability::None => vecdb_storage::Durability::None,
        }
    }
}

/// What recovery does with damage in the middle of the log (a torn end is always cut).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCorruption {
    /// Refuse to open, naming file and offset.
    #[default]
    Stop,
    /// Leave out what cannot be read and count it.
    Skip,
}

impl OnCorruption {
    /// `stop` or `skip`.
    pub fn name(self) -> &'static str {
        match self {
            OnCorruption::Stop => "stop",
            OnCorruption::Skip => "skip",
        }
    }

    pub(crate) fn for_log(self) -> vecdb_storage::OnCorruption {
        match self {
            OnCorruption::Stop => vecdb_storage::OnCorruption::Stop,
            OnCorruption::Skip => vecdb_storage::OnCorruption::Skip,
        }
    }
}

impl fmt::Display for OnCorruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OnCorruption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "stop" => Ok(OnCorruption::Stop),
            "skip" => Ok(OnCorruption::Skip),
            _ => Err(Error::invalid(format!(
                "{text:?} is no choice for damage in the log; use \"stop\" or \"skip\""
            ))),
        }
    }
}

/// Whether log files are copied to an archive before they are removed. Kept with the database, so that whoever opens it
/// goes on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Archive {
    /// As it was.
    #[default]
    Unchanged,
    /// No more.
    Off,
    /// To this folder, which is this database's alone.
    Folder(PathBuf),
    /// To this place, which is this database's alone: such as `s3://bucket/prefix`. Takes an [`Env`] that knows it.
    Url(String),
}

impl Archive {
    /// `off`, a URL, or the path of a folder.
    pub fn parse(text: &str) -> Self {
        match text {
            "off" => Self::Off,
            url if url.contains("://") => Self::Url(url.to_owned()),
            folder => Self::Folder(PathBuf::from(folder)),
        }
    }
}

/// Settings of a database; every default stands here.
#[derive(Clone, Debug)]
pub struct Options {
    /// Make the folder and an empty database where there is none. Default: true.
    pub create_if_missing: bool,
    /// Threads for index builds, and as many for batches of searches and for opening collections; 0 means all
    /// processors. Default: 0.
    pub threads: usize,
    /// A memtable of this many bytes is frozen and flushed to a segment. Default: 64 MiB.
    pub memtable_bytes_max: u64,
    /// Writers wait while more than this many frozen memtables are not yet flushed. Default: 2.
    pub frozen_memtables_max: usize,
    /// How long a writer waits for a flush before it gives up. Default: 60 s.
    pub write_stall_max: Duration,
    /// Beyond this many bytes of log the collections that keep the oldest part of it are flushed, which bounds
    /// recovery time (with `background` only). Default: 512 MiB.
    pub wal_bytes_max: u64,
    /// Segments with fewer rows get no index of their own: a scan is as fast. Default: 1,000.
    pub index_rows_min: u32,
    /// Merges never make a segment of more bytes than this. Default: 16 GiB.
    pub segment_bytes_max: u64,
    /// Field indexes that are made of segments that are there may hold so many bytes of memory, for one segment at a time;
    /// one that takes more is refused, and the filters on its field go on reading points. Default: no limit.
    pub field_index_bytes_max: u64,
    /// Where a filter that returns often matches many points, a graph of these alone is built in the background, and searches under
    /// this filter take it; the graphs of a collection may hold so many bytes of memory, and the building of one eight times as
    /// many. 0: there are none. Default: 64 MiB.
    pub subset_graph_bytes_max: u64,
    /// A segment is rewritten once this share of its rows is dead. Default: 0.2.
    pub dead_share_max: f64,
    /// Merges, all together, write files and read them back at no more bytes a second than this, asked for or not; 0 means
    /// as many as they can. They read what they merge about as fast as they write. Default: 0.
    pub merge_bytes_per_second: u64,
    /// Flush and merge in background threads, and open collections there before they are asked for; without, only
    /// [`crate::Collection::flush`] and [`crate::Collection::compact`] flush and merge (and a full memtable flushes in
    /// the writer's own call), and a collection is opened by its first use. Default: true.
    pub background: bool,
    /// See [`OnCorruption`].
    pub on_corruption: OnCorruption,
    /// See [`Archive`]. Default: unchanged; a new database has none.
    pub archive: Archive,
    /// With an archive: a log file with writes is ended and archived at least so often (with `background` only).
    /// Default: 60 s.
    pub archive_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create_if_missing: true,
            threads: 0,
            memtable_bytes_max: 64 << 20,
            frozen_memtables_max: 2,
            write_stall_max: Duration::from_secs(60),
            wal_bytes_max: 512 << 20,
            index_rows_min: 1_000,
            segment_bytes_max: 16 << 30,
            field_index_bytes_max: u64::MAX,
            subset_graph_bytes_max: 64 << 20,
            dead_share_max: 0.2,
            merge_bytes_per_second: 0,
            background: true,
            on_corruption: OnCorruption::Stop,
            archive: Archive::Unchanged,
            archive_interval: Duration::from_secs(60),
        }
    }
}

impl Options {
    pub(crate) fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

/// The components a database runs on; tests put a faulty disk here.
#[derive(Clone, Debug)]
pub struct Env {
    /// The only door to files.
    pub disk: Arc<dyn Disk>,
    /// Opens archives of the log at URLs; without, they are in folders only. `vecdb_remote::env()` has one for object
    /// storage.
    pub archives: Option<Arc<dyn ArchiveOpener>>,
}

impl Default for Env {
    fn default() -> Self {
        Self {
            disk: Arc::new(FileDisk),
            archives: None,
        }
    }
}
