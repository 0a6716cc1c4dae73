//! Bytes that survive a crash: the disk seam, the write-ahead log, checksummed section files.
//!
//! - [`disk`]: [`Disk`] is the only door to files; [`FileDisk`] is the real one, [`MemoryDisk`] keeps
//!   everything in RAM. Tests put a faulty disk in its place.
//! - [`wal`]: [`Wal`] is an ordered log of positions with group commit; [`Log`] is its trait.
//! - [`section`]: the container of every sealed file: header, aligned sections, block checksums.
//! - [`bytes`] and [`checksum`]: checked little-endian codecs and CRC-32C.
//!
//! Assumed of the disk, and nothing more: a byte is written whole or not at all; after a successful
//! sync the data stays; bytes outside a written range do not change; a name is durable after a sync
//! of its directory. Every byte read back is under a checksum: damage is an error that names file
//! and offset, never a panic.

pub mod bytes;
pub mod checksum;
pub mod disk;
mod error;
pub mod section;
mod unique;
pub mod wal;

pub use disk::{Access, Blob, DirEntry, Disk, DiskFile, DiskRead, FileDisk, MemoryDisk};
pub use error::StorageError;
pub use section::{FileSummary, Section, SectionFile, SectionWriter, VerifyReport, verify_file};
pub use wal::{
    Durability, Log, LogPiece, OnCorruption, PieceEnd, Position, Replay, SealedFile, Wal, WalFile,
    WalOptions, WalRecovery, WalReport,
};
