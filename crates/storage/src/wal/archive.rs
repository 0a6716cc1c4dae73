//! Copies of log files that are kept elsewhere: made of files that others follow, and read again frame by frame.
//!
//! A copy ends where the next file's header says that its file ends. That end goes into the list of who keeps the copies
//! ([`LogPiece`]): together with the header it covers every byte, so that a copy cut short at the end of a frame is
//! told from a whole one.

use std::path::{Path, PathBuf};

use super::layout::{End, FileHeader};
use super::scan::{Expect, FilePass, Source};
use super::{OnCorruption, Position, Replay, WalRecovery};
use crate::StorageError;
use crate::disk::{Disk, folder_of, temporary_name};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// A log file that another one follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFile {
    /// Its serial number.
    pub serial: u64,
    /// Where it is.
    pub path: PathBuf,
    /// The serial number of the file that follows.
    pub next_serial: u64,
    /// Where that is: its header says how much of this one counts.
    pub next: PathBuf,
}

/// Where a log file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceEnd {
    /// The file's uuid.
    pub uuid: [u8; 16],
    /// Its accepted length.
    pub bytes: u64,
    /// The checksum of its last frame, which covers all before; the header's if there is no frame.
    pub crc: u32,
}

/// What a copy of a log file has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPiece {
    /// The file's serial number.
    pub serial: u64,
    /// Position of its first frame.
    pub first: Position,
    /// Where it ends.
    pub end: PieceEnd,
    /// Where the file before it ends; `None` if there is none.
    pub previous: Option<PieceEnd>,
}

impl From<End> for PieceEnd {
    fn from(end: End) -> Self {
        Self {
            uuid: end.uuid,
            bytes: end.len,
            crc: end.crc,
        }
    }
}

impl From<PieceEnd> for End {
    fn from(end: PieceEnd) -> Self {
        Self {
            uuid: end.uuid,
            len: end.bytes,
            crc: end.crc,
        }
    }
}

impl SealedFile {
    /// The uuid in the file's header.
    pub fn uuid(&self, disk: &dyn Disk) -> Result<[u8; 16], StorageError> {
        Ok(header(disk, &self.path, self.serial)?.uuid)
    }

    /// What a copy of the file has to be, as the headers say.
    ///
    /// # Errors
    /// A header is damaged, or the file that follows does not name this one.
    pub fn piece(&self, disk: &dyn Disk) -> Result<LogPiece, StorageError> {
        let own = header(disk, &self.path, self.serial)?;
        let next = header(disk, &self.next, self.next_serial)?;
        if next.previous.uuid != own.uuid {
            let what = "the log file that comes before this one is missing";
            return Err(StorageError::corrupt(&self.next, 0, what));
        }
        let previous = (own.previous != End::default()).then(|| own.previous.into());
        Ok(LogPiece {
            serial: self.serial,
            first: own.first,
            end: next.previous.into(),
            previous,
        })
    }

    /// Copies the accepted part of the file to `to`, durably; what is there is replaced.
    pub fn copy(&self, disk: &dyn Disk, piece: &LogPiece, to: &Path) -> Result<(), StorageError> {
        let mut source = Source::open(disk, &self.path)?;
        let len = piece.end.bytes;
        if source.len < len {
            return Err(StorageError::corrupt(
                &self.path,
                source.len,
                format!("the file ends here, the next one says at {len}"),
            ));
        }
        let temporary = temporary_name(to);
        let left = disk.exists(&temporary);
        if left.map_err(|e| StorageError::io("look for", &temporary, e))? {
            disk.remove_file(&temporary)
                .map_err(|e| StorageError::io("remove", &temporary, e))?;
        }
        let mut out = disk
            .create(&temporary)
            .map_err(|e| StorageError::io("create", &temporary, e))?;
        let mut at = 0;
        while at < len {
            let count = COPY_BYTES.min(len - at);
            out.write(source.bytes(at, count)?)
                .map_err(|e| StorageError::io("write", &temporary, e))?;
            at += count;
        }
        out.sync()
            .map_err(|e| StorageError::io("sync", &temporary, e))?;
        drop(out);
        disk.rename(&temporary, to)
            .map_err(|e| StorageError::io("rename", &temporary, e))?;
        let folder = folder_of(to);
        disk.sync_dir(folder)
            .map_err(|e| StorageError::io("sync", folder, e))
    }
}

impl LogPiece {
    /// Reads the copy at `path`, every byte of which is checked, and delivers the frames after `after`. Returns the
    /// position of the last frame; one less than the first if there is none.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] where it is not the whole of what was copied.
    pub fn read(
        &self,
        disk: &dyn Disk,
        path: &Path,
        after: Position,
        deliver: &mut Replay<'_>,
    ) -> Result<Position, StorageError> {
        let found = Source::open(disk, path)?.len;
        let expected = self.end.bytes;
        if found != expected {
            return Err(StorageError::corrupt(
                path,
                found.min(expected),
                format!("{found} bytes where {expected} were archived"),
            ));
        }
        let header = header(disk, path, self.serial)?;
        let previous = self.previous.map_or(End::default(), End::from);
        if header.uuid != self.end.uuid || header.first != self.first || header.previous != previous
        {
            let what = "another log file than the one that was archived";
            return Err(StorageError::corrupt(path, 0, what));
        }
        let mut pass = FilePass {
            on_corruption: OnCorruption::Stop,
            expect: Expect::After(after),
            limit: Some(self.end.into()),
            before: Position::MAX,
            found: &mut WalRecovery::default(),
            deliver,
        };
        Ok(pass.run(disk, path, &header)?.last)
    }
}

fn header(disk: &dyn Disk, path: &Path, serial: u64) -> Result<FileHeader, StorageError> {
    Source::open(disk, path)?.header(serial)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::MemoryDisk;
    use crate::wal::{Durability, Log, Wal, WalOptions};

    fn open(disk: &Arc<MemoryDisk>, from: Position) -> Wal {
        let shared: Arc<dyn Disk> = disk.clone();
        let options = WalOptions::default();
        let opened = Wal::open(shared, Path::new("/wal"), options, from, &mut |_, _| Ok(()));
        opened.unwrap().0
    }

    fn write(wal: &Wal, text: &str) -> Position {
        let position = wal.append(text.as_bytes()).unwrap();
        wal.commit(position, Durability::EveryWrite).unwrap();
        position
    }

    #[test]
    fn files_are_ended_held_copied_and_read_again() {
        let disk = Arc::new(MemoryDisk::default());
        let wal = open(&disk, 0);
        assert_eq!(wal.newest_file(), None);
        wal.begin_next_file().unwrap();
        assert_eq!(wal.newest_file(), None, "there was nothing to end");
        wal.hold_from(2);
        for round in 0..3 {
            for text in ["a", "", "ccc"] {
                write(&wal, &format!("{text}{round}"));
            }
            wal.begin_next_file().unwrap();
            wal.begin_next_file().unwrap();
        }
        let sealed = wal.sealed_files();
        let serials: Vec<_> = sealed.iter().map(|file| file.serial).collect();
        assert_eq!(serials, [1, 2, 3]);
        assert_eq!(wal.newest_file().unwrap().0, 4);
        let to = Path::new("/archive.wal");
        let mut previous = None;
        for (round, file) in sealed.iter().enumerate() {
            let piece = file.piece(&*disk).unwrap();
            assert_eq!(
                (piece.first, piece.previous),
                (round as u64 * 3 + 1, previous)
            );
            assert_eq!(file.uuid(&*disk).unwrap(), piece.end.uuid);
            // What is there, as of an attempt that was cut short, is replaced.
            file.copy(&*disk, &piece, to).unwrap();
            let mut read = Vec::new();
            let mut each = |position, bytes: &[u8]| {
                read.push((position, bytes.to_vec()));
                Ok(())
            };
            let last = piece.read(&*disk, to, piece.first, &mut each).unwrap();
            assert_eq!(last, piece.first + 2);
            let expected = [format!("{round}"), format!("ccc{round}")];
            let expected = expected.map(String::into_bytes);
            assert!(
                read.iter().map(|(_, bytes)| bytes).eq(&expected),
                "{read:?}"
            );
            previous = Some(piece.end);
            // Another file's is refused, and so is a whole one that is not all.
            let other = sealed[(round + 1) % 3].piece(&*disk).unwrap();
            assert!(other.read(&*disk, to, 0, &mut |_, _| Ok(())).is_err());
            let cut = LogPiece {
                end: PieceEnd {
                    bytes: piece.end.bytes - 32,
                    ..piece.end
                },
                ..piece
            };
            assert!(cut.read(&*disk, to, 0, &mut |_, _| Ok(())).is_err());
        }
        // Held ones stay, whatever is truncated, until they are let go.
        wal.truncate_before(100).unwrap();
        let left = |wal: &Wal| {
            wal.sealed_files()
                .iter()
                .map(|f| f.serial)
                .collect::<Vec<_>>()
        };
        assert_eq!(left(&wal), [2, 3]);
        wal.hold_from(u64::MAX);
        wal.truncate_before(100).unwrap();
        assert_eq!(left(&wal), [0; 0]);
        wal.close().unwrap();
        assert!(open(&disk, 9).begin_next_file().is_ok());
    }
}
