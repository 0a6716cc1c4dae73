//! Bytes of a log file. Numbers are little-endian.
//!
//! ```text
//! file header, 80 bytes: "VECDBWAL" | format u32 | header bytes u32 | file uuid [u8;16] | serial u64 |
//!     first position u64 | previous file: uuid [u8;16], accepted length u64, end crc u32 | crc u32
//! frame, 32 bytes + payload: payload len u32 | crc u32 | previous crc u32 | head crc u32 |
//!     position u64 | durable u64 | payload
//! ```
//! `crc` continues the previous frame's crc (for the first frame the file header's, which covers
//! the file uuid) over len, position, durable and payload: the frames form a chain. `head crc`
//! stands alone, seeded with file uuid and offset, so that a frame's head is known for what it is
//! also behind damage. A seal, written by a clean close, is a head with len `u32::MAX`, no payload.

use std::path::{Path, PathBuf};

use super::Position;
use crate::StorageError;
use crate::bytes::{BytesError, Reader, Writer};
use crate::checksum::{crc32c, crc32c_seeded};

pub(super) const FILE_HEADER_BYTES: u64 = 80;
pub(super) const FRAME_HEAD_BYTES: u64 = 32;
/// Payload length of a seal.
pub(super) const SEAL: u32 = u32::MAX;
/// Far beyond any log, far below overflow.
const POSITION_MAX: Position = 1 << 62;
const MAGIC: &[u8; 8] = b"VECDBWAL";
const FORMAT: u32 = 1;

pub(super) fn file_name(serial: u64) -> String {
    format!("{serial:020}.wal")
}

/// The serial number in a log file's name; None for any other file.
pub(super) fn serial_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Where a file ends: after which byte, and the crc of the frame that ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct End {
    pub(super) uuid: [u8; 16],
    pub(super) len: u64,
    pub(super) crc: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) uuid: [u8; 16],
    pub(super) serial: u64,
    pub(super) first: Position,
    /// All zero if there is no file before.
    pub(super) previous: End,
}

impl FileHeader {
    fn body(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(MAGIC).u32(FORMAT).u32(FILE_HEADER_BYTES as u32);
        w.bytes(&self.uuid).u64(self.serial).u64(self.first);
        w.bytes(&self.previous.uuid).u64(self.previous.len);
        w.u32(self.previous.crc);
        w.into_vec()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.body();
        bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// The header's crc, from which the chain of frames starts, and where that is.
    pub(super) fn end(&self) -> End {
        End {
            uuid: self.uuid,
            len: FILE_HEADER_BYTES,
            crc: crc32c(&self.body()),
        }
    }

    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, StorageError> {
        let in_file = |e: BytesError| e.in_file(path, 0);
        let mut r = Reader::new(bytes);
        if r.bytes(8).map_err(in_file)? != MAGIC {
            return Err(StorageError::corrupt(
                path,
                0,
                "not a log file: it does not begin with VECDBWAL",
            ));
        }
        let format = r.u32().map_err(in_file)?;
        let header_len = r.u32().map_err(in_file)?;
        let crc_at = FILE_HEADER_BYTES as usize - 4;
        let crc = Reader::new(bytes.get(crc_at..).unwrap_or_default())
            .u32()
            .map_err(in_file)?;
        let sound = bytes.get(..crc_at).is_some_and(|body| crc32c(body) == crc);
        if sound && format > FORMAT {
            return Err(StorageError::NewerFormat {
                path: path.to_path_buf(),
                found: format,
                supported: FORMAT,
            });
        }
        if !sound || format != FORMAT || u64::from(header_len) != FILE_HEADER_BYTES {
            return Err(StorageError::corrupt(
                path,
                0,
                "the file header does not match its checksum",
            ));
        }
        let mut parse = || {
            let uuid = uuid(&mut r)?;
            let (serial, first) = (r.u64()?, r.u64()?);
            let previous = End {
                uuid: self::uuid(&mut r)?,
                len: r.u64()?,
                crc: r.u32()?,
            };
            Ok(Self {
                uuid,
                serial,
                first,
                previous,
            })
        };
        let header = parse().map_err(in_file)?;
        if header.first == 0 || header.first > POSITION_MAX {
            return Err(StorageError::corrupt(
                path,
                40,
                format!("{} cannot be a first position", header.first),
            ));
        }
        Ok(header)
    }

    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(file_name(self.serial))
    }
}

fn uuid(r: &mut Reader<'_>) -> Result<[u8; 16], BytesError> {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(r.bytes(16)?);
    Ok(uuid)
}

/// A frame without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) len: u32,
    pub(super) crc: u32,
    pub(super) previous_crc: u32,
    pub(super) position: Position,
    /// Everything up to here was durable when the frame was made.
    pub(super) durable: Position,
}

impl FrameHead {
    /// Reads the head at `offset` of file `uuid`; None if these bytes are no head of this place.
    pub(super) fn decode(uuid: &[u8; 16], offset: u64, bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (len, crc, previous_crc, head_crc) =
            (r.u32().ok()?, r.u32().ok()?, r.u32().ok()?, r.u32().ok()?);
        let head = Self {
            len,
            crc,
            previous_crc,
            position: r.u64().ok()?,
            durable: r.u64().ok()?,
        };
        (head.head_crc(uuid, offset) == head_crc).then_some(head)
    }

    /// The position and durable fields alone, to pass over most bytes of a search without a crc.
    pub(super) fn peek(bytes: &[u8]) -> Option<(Position, Position)> {
        let mut r = Reader::new(bytes.get(16..)?);
        Some((r.u64().ok()?, r.u64().ok()?))
    }

    /// The chained crc that a frame of this head and payload must have.
    pub(super) fn expected_crc(&self, payload: &[u8]) -> u32 {
        let mut fields = [0u8; 20];
        fields[..4].copy_from_slice(&self.len.to_le_bytes());
        fields[4..12].copy_from_slice(&self.position.to_le_bytes());
        fields[12..].copy_from_slice(&self.durable.to_le_bytes());
        crc32c_seeded(crc32c_seeded(self.previous_crc, &fields), payload)
    }

    fn head_crc(&self, uuid: &[u8; 16], offset: u64) -> u32 {
        let seed = crc32c_seeded(crc32c(uuid), &offset.to_le_bytes());
        let mut fields = [0u8; 28];
        fields[..4].copy_from_slice(&self.len.to_le_bytes());
        fields[4..8].copy_from_slice(&self.crc.to_le_bytes());
        fields[8..12].copy_from_slice(&self.previous_crc.to_le_bytes());
        fields[12..20].copy_from_slice(&self.position.to_le_bytes());
        fields[20..].copy_from_slice(&self.durable.to_le_bytes());
        crc32c_seeded(seed, &fields)
    }

    fn encode(&self, uuid: &[u8; 16], offset: u64, out: &mut Vec<u8>) {
        for number in [
            self.len,
            self.crc,
            self.previous_crc,
            self.head_crc(uuid, offset),
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        FRAME_HEAD_BYTES + self.payload_bytes()
    }

    pub(super) fn payload_bytes(&self) -> u64 {
        if self.is_seal() {
            0
        } else {
            u64::from(self.len)
        }
    }

    pub(super) fn is_seal(&self) -> bool {
        self.len == SEAL
    }
}

/// Appends a frame to `out` and moves `end`, the place it will have in its file, behind it.
/// `payload` None makes a seal.
pub(super) fn encode_frame(
    end: &mut End,
    position: Position,
    durable: Position,
    payload: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let mut head = FrameHead {
        len: payload.map_or(SEAL, |bytes| bytes.len() as u32),
        crc: 0,
        previous_crc: end.crc,
        position,
        durable,
    };
    let payload = payload.unwrap_or_default();
    head.crc = head.expected_crc(payload);
    head.encode(&end.uuid, end.len, out);
    out.extend_from_slice(payload);
    end.len += head.frame_bytes();
    end.crc = head.crc;
}
