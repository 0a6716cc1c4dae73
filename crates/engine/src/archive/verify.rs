//! Checking an archive without restoring from it: every piece, and which points of the log it leads to.

use std::collections::BTreeSet;

use serde::Serialize;
use vecdb_storage::{Position, StorageError};

use super::piece::Piece;
use super::store::{ArchiveEnv, ArchiveStore};
use crate::batch::WriteBatch;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::StopSignal;

/// What checking an archive found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveReport {
    /// The folder or URL.
    pub location: String,
    /// Log files in it.
    pub pieces: u64,
    /// Their bytes, every one under a checksum that was compared.
    pub bytes: u64,
    /// Entries read.
    pub entries: u64,
    /// The stretches without a gap, oldest first. A snapshot that stands inside one leads to every later point of it.
    pub ranges: Vec<ArchiveRange>,
    /// Log files that no piece names: what interrupted attempts left. They are in nobody's way.
    pub unlisted: u64,
    /// What is wrong, one line each; empty when all is well.
    pub problems: Vec<String>,
}

/// A stretch of the archived log without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ArchiveRange {
    /// The sequence number of its first entry.
    pub first: Position,
    /// That of its last one.
    pub last: Position,
    /// When its first write was made, if there is one: microseconds since 1970-01-01T00:00:00 UTC.
    pub from: Option<u64>,
    /// Everything acknowledged by then, since its beginning, is in it: microseconds since 1970-01-01T00:00:00 UTC.
    pub through: u64,
}

/// What is in a piece.
struct Found {
    entries: u64,
    first_write: Option<u64>,
}

/// Checks the archive at `location`.
///
/// # Errors
/// `NotFound` where there is none; those of reaching it. What is wrong in it is in the report.
pub(crate) fn verify(env: &ArchiveEnv, location: &str, stop: &StopSignal) -> Result<ArchiveReport> {
    let store = env.open(location)?;
    let store = store.as_ref();
    let names = store.list()?;
    let serials: BTreeSet<u64> = names.iter().filter_map(|n| Piece::serial_of(n)).collect();
    if serials.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no archive of the log in {}", store.location()),
        ));
    }
    let mut report = ArchiveReport {
        location: store.location(),
        ..ArchiveReport::default()
    };
    let mut named = BTreeSet::new();
    let mut before: Option<Piece> = None;
    let mut range: Option<ArchiveRange> = None;
    for serial in serials {
        stop.check()?;
        report.pieces += 1;
        let piece = match only_damage(Piece::read_one(store, serial))? {
            Ok(Some(piece)) => piece,
            Ok(None) => {
                let what = format!("the piece of log file {serial} was removed meanwhile");
                report.problems.push(what);
                report.ranges.extend(range.take());
                before = None;
                continue;
            }
            Err(error) => {
                report.problems.push(error.to_string());
                report.ranges.extend(range.take());
                before = None;
                continue;
            }
        };
        named.insert(piece.log_name());
        if let Some(before) = &before
            && let Some(gap) = gap(before, &piece)
        {
            report.problems.push(gap);
            report.ranges.extend(range.take());
        }
        match only_damage(check(env, store, &piece, stop))? {
            Ok(found) => {
                report.bytes += piece.end.bytes;
                report.entries += found.entries;
                let so_far = range.get_or_insert(ArchiveRange {
                    first: piece.first,
                    last: piece.last,
                    from: None,
                    through: piece.through,
                });
                so_far.last = piece.last;
                so_far.from = so_far.from.or(found.first_write);
                so_far.through = piece.through;
            }
            Err(error) => {
                report.problems.push(error.to_string());
                report.ranges.extend(range.take());
            }
        }
        before = Some(piece);
    }
    report.ranges.extend(range);
    // Those without an entry lead nowhere.
    report.ranges.retain(|range| range.last >= range.first);
    let logs = names.iter().filter(|name| name.ends_with(".wal"));
    report.unlisted = logs.filter(|name| !named.contains(*name)).count() as u64;
    Ok(report)
}

/// Why a piece does not go on where the one before it ends.
fn gap(before: &Piece, piece: &Piece) -> Option<String> {
    let (a, b) = (before.serial, piece.serial);
    if piece.after_gap {
        return Some(format!(
            "damage in the log was left out before log file {b}: no snapshot made before it leads on"
        ));
    }
    if piece.first > before.last + 1 {
        let (from, to) = (before.last + 1, piece.first - 1);
        return Some(format!(
            "the sequence numbers {from} to {to} are missing, between log files {a} and {b}"
        ));
    }
    let follows = piece.previous.as_ref() == Some(&before.end);
    (!follows).then(|| {
        format!("log file {b} does not follow log file {a}: the log file before it is missing")
    })
}

/// Reads a whole piece.
fn check(
    env: &ArchiveEnv,
    store: &dyn ArchiveStore,
    piece: &Piece,
    stop: &StopSignal,
) -> Result<Found> {
    let place = piece.log_place(store);
    let log = piece.of_log(store)?;
    let mut found = Found {
        entries: 0,
        first_write: None,
    };
    let (mut latest, mut failed) = (0, None);
    let mut each = |_, bytes: &[u8]| {
        found.entries += 1;
        let time = stop.check().and_then(|()| match bytes.is_empty() {
            true => Ok(None),
            false => WriteBatch::head(bytes).map(|(_, time)| Some(time)),
        });
        match time {
            Ok(time) => {
                found.first_write = found.first_write.or(time);
                latest = latest.max(time.unwrap_or(0));
                Ok(())
            }
            Err(error) => {
                let message = error.to_string();
                failed = Some(error);
                Err(StorageError::Usage(message))
            }
        }
    };
    let file = env.at_hand(store, &piece.log_name(), log.end.bytes)?;
    let read = log.read(env.disk.as_ref(), &file.path, 0, &mut each);
    let context = |error: Error| error.context(place.display());
    let last = read.map_err(|error| context(failed.take().unwrap_or_else(|| error.into())))?;
    if (last, latest) != (piece.last, piece.latest) {
        let what = format_args!(
            "it ends with position {last} and time {latest} instead of {} and {}",
            piece.last, piece.latest
        );
        return Err(Error::corrupt(&place, what));
    }
    Ok(found)
}

/// What cannot be read now, but perhaps later, is no damage.
fn only_damage<T>(outcome: Result<T>) -> Result<Result<T>> {
    match outcome {
        Err(error) if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
            Err(error)
        }
        outcome => Ok(outcome),
    }
}
