//! What the archive knows of one log file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_storage::{LogPiece, PieceEnd, Position};

use super::store::ArchiveStore;
use crate::document;
use crate::error::{Error, Result};
use crate::hex::{from_hex, to_hex};
use crate::schema::CollectionConfig;

const VERSION: u32 = 1;

/// A log file in the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) serial: u64,
    /// Its name in the archive; missing: that of its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
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
    /// The name of the log file.
    pub(crate) fn log_name(&self) -> String {
        let named = self.file.clone();
        named.unwrap_or_else(|| format!("{:020}.wal", self.serial))
    }

    /// A name that no other content has, for a place that others may write to at the same time: one of them, who
    /// archives another copy of the database, must not overwrite what is archived.
    pub(crate) fn name_by_content(log: &LogPiece) -> String {
        let LogPiece { serial, end, .. } = log;
        format!("{serial:020}.{}-{:08x}.wal", end.bytes, end.crc)
    }

    fn name(serial: u64) -> String {
        format!("{serial:020}.piece")
    }

    /// The serial number in the name of a piece's document.
    pub(crate) fn serial_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".piece")?;
        let fits = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| digits.parse().ok()).flatten()
    }

    /// The pieces of these numbers; `None` for those that are not there.
    pub(crate) fn read(store: &dyn ArchiveStore, serials: &[u64]) -> Result<Vec<Option<Self>>> {
        let names: Vec<String> = serials.iter().map(|serial| Self::name(*serial)).collect();
        let read = store.read(&names)?.into_iter().zip(&names);
        let pieces = read.zip(serials).map(|((bytes, name), serial)| {
            let path = place(store, name);
            let Some(bytes) = bytes else {
                return Ok(None);
            };
            let piece: Self = document::decode(&path, &bytes, VERSION)?;
            if piece.serial != *serial {
                let what = format_args!("it is that of log file {}", piece.serial);
                return Err(Error::corrupt(&path, what));
            }
            if !is_log_name(&piece.log_name()) {
                let what = format_args!("{:?} is no name of a log file", piece.log_name());
                return Err(Error::corrupt(&path, what));
            }
            Ok(Some(piece))
        });
        pieces.collect()
    }

    /// The piece of this number.
    pub(crate) fn read_one(store: &dyn ArchiveStore, serial: u64) -> Result<Option<Self>> {
        Ok(Self::read(store, &[serial])?.pop().flatten())
    }

    /// Adds it to the archive.
    ///
    /// # Errors
    /// `AlreadyExists` if the archive has one of this number.
    pub(crate) fn create(&self, store: &dyn ArchiveStore) -> Result<()> {
        let name = Self::name(self.serial);
        let path = place(store, &name);
        store.create(&name, &document::encode(&path, VERSION, self)?)
    }

    /// Replaces it in the archive.
    pub(crate) fn write(&self, store: &dyn ArchiveStore) -> Result<()> {
        let name = Self::name(self.serial);
        let path = place(store, &name);
        store.write(&name, &document::encode(&path, VERSION, self)?)
    }

    /// Where its log file is, for messages.
    pub(crate) fn log_place(&self, store: &dyn ArchiveStore) -> PathBuf {
        place(store, &self.log_name())
    }

    /// What the copy of the log file has to be.
    pub(crate) fn of_log(&self, store: &dyn ArchiveStore) -> Result<LogPiece> {
        let path = place(store, &Self::name(self.serial));
        let corrupt = || Error::corrupt(&path, "a uuid is no uuid");
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

/// Where an object of an archive is, for messages.
pub(super) fn place(store: &dyn ArchiveStore, name: &str) -> PathBuf {
    Path::new(&store.location()).join(name)
}

/// Leads nowhere but into the archive.
fn is_log_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    name.ends_with(".wal") && !name.starts_with('.') && name.bytes().all(plain)
}
