//! What the archive knows of one log file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_storage::{Disk, LogPiece, PieceEnd, Position};

use crate::document;
use crate::error::{Error, Result};
use crate::hex::{from_hex, to_hex};
use crate::schema::CollectionConfig;

const VERSION: u32 = 1;

/// A log file in the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) serial: u64,
    /// Position of its first entry.
    pub(crate) first: Position,
    /// That of its last one; one less than `first` if it has none.
    pub(crate) last: Position,
    pub(crate) end: End,
    /// Where the file before it ends; missing for the first of a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<End>,
    /// The latest time of its entries; 0 if it has none.
    pub(crate) latest: u64,
    /// Everything acknowledged by then is in this piece or an earlier one.
    pub(crate) through: u64,
    /// Damage in the log was left out before this file: what lies before does not lead to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) after_gap: bool,
    /// Collections made and dropped in it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Event>,
}

/// Where a log file ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// The file's uuid, in hexadecimal.
    pub(crate) uuid: String,
    pub(crate) bytes: u64,
    /// The checksum of its last frame.
    pub(crate) crc32c: u32,
}

/// A collection that came or went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The position of an entry without content that stands for it in the log.
    pub(crate) position: Position,
    /// Microseconds since 1970.
    pub(crate) time: u64,
    /// The collection's number.
    pub(crate) id: u32,
    pub(crate) change: Change,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Created {
        name: String,
        config: CollectionConfig,
    },
    /// It came from a snapshot: the log does not hold what was in it.
    Restored {
        name: String,
    },
    Dropped,
}

impl From<PieceEnd> for End {
    fn from(end: PieceEnd) -> Self {
        Self {
            uuid: to_hex(&end.uuid),
            bytes: end.bytes,
            crc32c: end.crc,
        }
    }
}

impl End {
    fn of_log(&self) -> Option<PieceEnd> {
        Some(PieceEnd {
            uuid: from_hex(&self.uuid)?.try_into().ok()?,
            bytes: self.bytes,
            crc: self.crc32c,
        })
    }
}

impl Piece {
    pub(crate) fn log_path(folder: &Path, serial: u64) -> PathBuf {
        folder.join(format!("{serial:020}.wal"))
    }

    fn path(folder: &Path, serial: u64) -> PathBuf {
        folder.join(format!("{serial:020}.piece"))
    }

    /// The serial number in the name of a piece's document.
    pub(crate) fn serial_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".piece")?;
        let fits = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| digits.parse().ok()).flatten()
    }

    /// `None` when there is no piece of this number.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path, serial: u64) -> Result<Option<Self>> {
        let path = Self::path(folder, serial);
        let read: Option<Self> = document::read(disk, &path, VERSION)?;
        match read {
            Some(piece) if piece.serial != serial => Err(Error::corrupt(
                &path,
                format_args!("it is that of log file {}", piece.serial),
            )),
            read => Ok(read),
        }
    }

    pub(crate) fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        document::write(disk, &Self::path(folder, self.serial), VERSION, self)
    }

    /// What the copy of the log file has to be.
    pub(crate) fn of_log(&self, folder: &Path) -> Result<LogPiece> {
        let corrupt = || Error::corrupt(&Self::path(folder, self.serial), "a uuid is no uuid");
        let previous = self.previous.as_ref();
        let previous = previous.map(|end| end.of_log().ok_or_else(corrupt));
        Ok(LogPiece {
            serial: self.serial,
            first: self.first,
            end: self.end.of_log().ok_or_else(corrupt)?,
            previous: previous.transpose()?,
        })
    }

    /// The latest time in it, of writes and of collections made or dropped.
    pub(crate) fn latest_change(&self) -> u64 {
        let events = self.events.iter().map(|event| event.time);
        events.fold(self.latest, u64::max)
    }
}
