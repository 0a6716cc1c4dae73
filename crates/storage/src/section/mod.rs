//! The container of every sealed file: segments, indexes, manifests, trained state.
//!
//! ```text
//! header   4096 bytes: "VECDBSEC" | format u32 | kind [u8;4] | version u32 | file uuid [u8;16] | 0... | crc u32
//! sections each at a multiple of 4096, zeros between
//! table    count u32 | per section: name len u16, name, offset u64, len u64, one crc u32 per 64 KiB
//! footer   64 bytes: table offset u64 | table len u64 | table crc u32 | file uuid [u8;16] |
//!          file length u64 | 0 [u8;8] | "VECDBEND" | crc u32
//! ```
//! Numbers are little-endian. Every crc is CRC-32C seeded with the file uuid and the offset of its
//! bytes, so that a block of another file, or of another place, is seen as damage. The footer's crc
//! covers the table's, which covers every block's: it identifies the content ([`FileSummary::crc`]).
//!
//! Invariant: opening reads header, footer and table only; a block is checked before its first use
//! through the verified calls of [`Section`].

mod file;
mod layout;
mod writer;

pub use file::{Section, SectionFile, VerifyReport, verify_file};
pub use writer::{FileSummary, SectionWriter};

/// Sections begin at multiples of this many bytes.
pub const SECTION_ALIGNMENT: u64 = 4096;
/// Bytes under one checksum.
pub const BLOCK_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
