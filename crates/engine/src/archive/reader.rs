//! Reading the archive: which positions and times it covers, and the log from one position to another.

use std::sync::Arc;

use vecdb_filter::Value;
use vecdb_storage::{Position, StorageError};

use super::piece::{Event, Piece};
use super::store::{ArchiveEnv, ArchiveStore};
use crate::batch::WriteBatch;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::StopSignal;

/// An archive as it was when it was opened.
#[derive(Debug)]
pub(crate) struct ArchiveReader {
    env: ArchiveEnv,
    store: Arc<dyn ArchiveStore>,
    /// In the order of their serial numbers; at least one.
    pieces: Vec<Piece>,
}

impl ArchiveReader {
    /// # Errors
    /// `NotFound` where there is no archive.
    pub(crate) fn open(env: ArchiveEnv, location: &str) -> Result<Self> {
        let store = env.open(location)?;
        let none = || {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no archive of the log in {}", store.location()),
            )
        };
        let inside = store.list()?;
        let serials = inside.iter().filter_map(|name| Piece::serial_of(name));
        let mut serials: Vec<u64> = serials.collect();
        serials.sort_unstable();
        let pieces = Piece::read(store.as_ref(), &serials)?.into_iter();
        let pieces = pieces.map(|piece| piece.ok_or_else(|| none().context("a piece was removed")));
        let pieces = pieces.collect::<Result<Vec<_>>>()?;
        match pieces.is_empty() {
            true => Err(none()),
            false => Ok(Self { env, store, pieces }),
        }
    }

    /// The last position in it.
    pub(crate) fn last(&self) -> Position {
        self.pieces.last().map_or(0, |piece| piece.last)
    }

    /// What it covers, for messages.
    pub(crate) fn covered(&self) -> String {
        let first = self.pieces.first().map_or(0, |piece| piece.first);
        let through = self.pieces.last().map_or(0, |piece| piece.through);
        format!(
            "the archive in {} covers the sequence numbers {first} to {} and goes up to {}",
            self.store.location(),
            self.last(),
            shown(through)
        )
    }

    /// Whether a log file of this uuid (in hexadecimal) is in it.
    pub(crate) fn has(&self, uuid: &str) -> bool {
        self.pieces.iter().any(|piece| piece.end.uuid == uuid)
    }

    /// Sees to it that every position behind `after` up to `to` is there, in one history.
    pub(crate) fn check_whole(&self, after: Position, to: Position) -> Result<()> {
        let missing = |from: Position, up_to: Position| {
            Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the sequence numbers {from} to {up_to} are missing in the archive in {}: {} and what is needed begins with {}",
                    self.store.location(),
                    self.covered(),
                    after + 1
                ),
            ))
        };
        if to > self.last() {
            return missing(self.last() + 1, to);
        }
        let mut reached = after;
        let mut before: Option<&Piece> = None;
        for piece in self.needed(after, to) {
            if piece.first > reached + 1 {
                return missing(reached + 1, piece.first - 1);
            }
            if let Some(before) = before
                && (piece.after_gap || piece.previous.as_ref() != Some(&before.end))
            {
                let why = match piece.after_gap {
                    true => "damage in the log was left out before it: take a later snapshot",
                    false => "the log file before it is missing",
                };
                return Err(Error::corrupt(
                    &piece.log_place(self.store.as_ref()),
                    format_args!("it does not follow log file {}: {why}", before.serial),
                ));
            }
            before = Some(piece);
            reached = piece.last;
        }
        match reached >= to {
            true => Ok(()),
            false => missing(reached + 1, to),
        }
    }

    /// The last position before anything later than `time`, from `after` on.
    pub(crate) fn position_at(
        &self,
        time: u64,
        after: Position,
        stop: &StopSignal,
    ) -> Result<Position> {
        let through = self.pieces.last().map_or(0, |piece| piece.through);
        if time > through {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} is not covered: {}", shown(time), self.covered()),
            ));
        }
        for piece in self.needed(after, Position::MAX) {
            if piece.latest_change() <= time {
                continue;
            }
            let events = piece.events.iter();
            let events = events.filter(|event| event.time > time && event.position > after);
            let mut later = events.map(|event| event.position).min();
            self.read(piece, after, stop, &mut |position, bytes| {
                let (_, written) = WriteBatch::head(bytes)?;
                if written > time {
                    later = Some(later.map_or(position, |found| found.min(position)));
                }
                Ok(())
            })?;
            if let Some(later) = later {
                return Ok(later - 1);
            }
        }
        Ok(self.last())
    }

    /// Collections that came and went behind `after` up to `to`, in order.
    pub(crate) fn events(&self, after: Position, to: Position) -> impl Iterator<Item = &Event> {
        let events = self.pieces.iter().flat_map(|piece| &piece.events);
        events.filter(move |event| event.position > after && event.position <= to)
    }

    /// Delivers the writes behind `after` up to `to`.
    pub(crate) fn replay(
        &self,
        after: Position,
        to: Position,
        stop: &StopSignal,
        deliver: &mut dyn FnMut(Position, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for piece in self.needed(after, to) {
            self.read(
                piece,
                after,
                stop,
                &mut |position, bytes| match position <= to {
                    true => deliver(position, bytes),
                    false => Ok(()),
                },
            )?;
        }
        Ok(())
    }

    fn needed(&self, after: Position, to: Position) -> impl Iterator<Item = &Piece> {
        let pieces = self.pieces.iter();
        pieces.filter(move |piece| piece.last > after && piece.first <= to)
    }

    /// Reads a whole piece, so that all of it is checked, and delivers its writes.
    fn read(
        &self,
        piece: &Piece,
        after: Position,
        stop: &StopSignal,
        deliver: &mut dyn FnMut(Position, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let log = piece.of_log(self.store.as_ref())?;
        let (name, bytes) = (piece.log_name(), log.end.bytes);
        let file = self.env.at_hand(self.store.as_ref(), &name, bytes)?;
        let mut failed = None;
        let mut each = |position, bytes: &[u8]| {
            let delivered = stop.check().and_then(|()| match bytes.is_empty() {
                true => Ok(()),
                false => deliver(position, bytes),
            });
            delivered.map_err(|error| {
                let message = error.to_string();
                failed = Some(error.context(format_args!("log entry {position}")));
                StorageError::Usage(message)
            })
        };
        match log.read(self.env.disk.as_ref(), &file.path, after, &mut each) {
            Ok(last) if last == piece.last => Ok(()),
            Ok(last) => Err(Error::corrupt(
                &piece.log_place(self.store.as_ref()),
                format_args!("it ends with position {last} instead of {}", piece.last),
            )),
            // Of a copy the name says little.
            Err(error) => Err(failed.unwrap_or_else(|| match file.is_copy() {
                true => {
                    let place = piece.log_place(self.store.as_ref());
                    Error::from(error).context(format_args!("fetched from {}", place.display()))
                }
                false => error.into(),
            })),
        }
    }
}

/// A time as metadata date-times are written.
pub(crate) fn shown(time_us: u64) -> String {
    let time = i64::try_from(time_us).unwrap_or(i64::MAX);
    match Value::DateTime(time).to_json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
