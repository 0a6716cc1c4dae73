//! The faulty disk: a [`Disk`] in memory that knows what a power loss would leave.
//!
//! Two images are kept apart: the live one, as a running process sees it, and the durable one.
//! A file's bytes become durable when the file is synced; a name that was made, renamed or removed
//! when its folder is. Every call has a number (1, 2, 3...); faults are planned by number:
//!
//! ```text
//! let disk = SimDisk::new();          // 1. run the script once and count: disk.calls()
//! disk.plan(n, Fault::Crash);         // 2. run again on a fresh disk that crashes at call n
//! let after = disk.crash_image(CrashMode::KeepRandom(seed));   // 3. reopen from what is left
//! ```
//! What is assumed of a disk is no more than in `vecdb_storage`: no order and no atomicity of
//! unsynced writes; a failed sync drops the dirty pages and a later sync does not bring them back.
//! `replace`, `create_dir` and `remove_dir_all` count as the several calls that they are.

mod disk;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use tree::Tree;
use vecdb_storage::Disk;

/// A disk in memory with faults on demand. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tree: Tree,
    trace: Vec<Call>,
    faults: Vec<(u64, Fault)>,
    crashed: bool,
    read_only: bool,
    /// Bytes that may still be written; None for no limit.
    space: Option<u64>,
    locked: Vec<PathBuf>,
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and changes nothing; a sync moreover drops the dirty pages.
    Error(io::ErrorKind),
    /// A write puts only so many of its bytes and fails; any other call just fails.
    Torn {
        /// Bytes written before the failure.
        bytes: usize,
    },
    /// The power goes: this call fails (its effect may or may not be on the disk), and so does
    /// every later one. Go on with [`SimDisk::crash_image`].
    Crash,
}

/// What a power loss leaves of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMode {
    /// Nothing.
    LoseUnsynced,
    /// By the seed: each 4 KiB block of unsynced bytes is kept, torn, zero or holds the content of
    /// another block; of the unsynced names of each folder the first few are kept.
    KeepRandom(u64),
    /// Everything: as after a kill of the process alone.
    KeepAll,
}

/// One call to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number, from 1.
    pub number: u64,
    /// What was done.
    pub op: Op,
    /// With which file or folder.
    pub path: PathBuf,
    /// Bytes to be read or written; 0 for other calls.
    pub bytes: u64,
}

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Create,
    Write,
    Sync,
    Preallocate,
    Open,
    Read,
    Map,
    CreateDir,
    Remove,
    Rename,
    Link,
    SyncDir,
    List,
    Exists,
    Lock,
}

impl Op {
    /// True for calls that change the disk: those that a full or read-only disk refuses.
    pub fn changes(self) -> bool {
        !matches!(
            self,
            Self::Open | Self::Read | Self::Map | Self::List | Self::Exists | Self::Lock
        )
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.number, self.op, self.path.display())?;
        match self.bytes {
            0 => Ok(()),
            bytes => write!(f, " ({bytes} bytes)"),
        }
    }
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// This disk as the trait object that the database takes.
    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Plans a fault for call `number` (the first is 1).
    pub fn plan(&self, number: u64, fault: Fault) {
        self.state.lock().faults.push((number, fault));
    }

    /// From now on every call that changes something fails with `ReadOnlyFilesystem`, or not.
    pub fn set_read_only(&self, read_only: bool) {
        self.state.lock().read_only = read_only;
    }

    /// From now on only so many bytes can be written, then writes fail with `StorageFull` after
    /// what still fits, and new files cannot be made; None lifts the limit.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state.lock().space = bytes;
    }

    /// Number of calls so far.
    pub fn calls(&self) -> u64 {
        self.state.lock().trace.len() as u64
    }

    /// All calls so far, for messages and to choose where to fail.
    pub fn trace(&self) -> Vec<Call> {
        self.state.lock().trace.clone()
    }

    /// True once a planned crash happened.
    pub fn crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// A new disk as it would be found after the power went now. This one is not changed.
    pub fn crash_image(&self, mode: CrashMode) -> Self {
        let tree = self.state.lock().tree.crash_image(mode);
        Self {
            state: Arc::new(Mutex::new(State {
                tree,
                ..State::default()
            })),
        }
    }

    /// Paths of all files as a process would see them, in order. Not counted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state.lock().tree.files()
    }

    /// The bytes of a file, None if it is not there. Not counted.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let id = state.tree.find(path).ok()?;
        Some(state.tree.file(id, path).ok()?.live.clone())
    }

    /// Rots a file: applies `change` to its live and its durable bytes. Not counted.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let found = state.tree.find(path);
        let file = found.and_then(|id| state.tree.file_mut(id, path));
        match file {
            Ok(file) => {
                change(&mut file.live);
                change(&mut file.durable);
            }
            Err(error) => panic!("cannot damage {}: {error}", path.display()),
        }
    }

    /// Flips one bit of a file, counted from the lowest of the first byte. Not counted.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn flip_bit(&self, path: &Path, bit: u64) {
        self.damage(path, |bytes| {
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        });
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("SimDisk")
            .field("calls", &state.trace.len())
            .field("crashed", &state.crashed)
            .finish_non_exhaustive()
    }
}
