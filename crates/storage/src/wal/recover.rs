//! Opens a log: reads it, makes what was read durable, and says where to go on.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::layout::{End, FileHeader, encode_frame};
use super::log::FileInfo;
use super::scan::{Doubtful, Expect, ScannedFile, Source, scan};
use super::writer::Writer;
use super::{Position, Replay, WalOptions, WalRecovery};
use crate::StorageError;
use crate::disk::Disk;
use crate::unique::fresh_file_uuid;

/// Bytes gathered before a write while copying.
const COPY_BYTES: usize = 1 << 20;

/// A log ready to be continued.
pub(super) struct Recovered {
    pub(super) found: WalRecovery,
    pub(super) files: Vec<FileInfo>,
    pub(super) last: Position,
    /// Where the next frame goes; None if it begins a new file.
    pub(super) tail: Option<End>,
    /// What the next new file records as its predecessor.
    pub(super) previous: End,
    pub(super) serial: u64,
    pub(super) writer: Writer,
}

pub(super) fn recover(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: &WalOptions,
    replay_from: Position,
    replay: &mut Replay<'_>,
) -> Result<Recovered, StorageError> {
    disk.create_dir(dir)
        .map_err(|e| StorageError::io("create", dir, e))?;
    let expect = Expect::After(replay_from);
    let mut scan = scan(&*disk, dir, options.on_corruption, expect, replay)?;
    for path in &scan.rubbish {
        disk.remove_file(path)
            .map_err(|e| StorageError::io("remove", path, e))?;
    }
    for path in &scan.damaged {
        // Kept for whoever wants to look at it, under a name that is no log file's.
        let mut aside = path.as_os_str().to_os_string();
        aside.push(".damaged");
        disk.rename(path, Path::new(&aside))
            .map_err(|e| StorageError::io("set aside", path, e))?;
    }
    if !scan.damaged.is_empty() {
        disk.sync_dir(dir)
            .map_err(|e| StorageError::io("sync", dir, e))?;
    }
    let last_file = scan.files.pop();
    let read_to = last_file.as_ref().map_or(0, |file| file.last);
    let mut recovered = Recovered {
        found: std::mem::take(&mut scan.found),
        files: scan.files.iter().map(FileInfo::of).collect(),
        last: read_to.max(replay_from),
        tail: None,
        previous: last_file.as_ref().map_or(End::default(), |f| f.durable_end),
        serial: scan.serial,
        writer: Writer::new(Arc::clone(&disk), dir),
    };
    if let Some(mut file) = last_file {
        let doubtful = std::mem::take(&mut file.doubtful);
        recovered.files.push(FileInfo::of(&file));
        // Positions up to `replay_from` are durable elsewhere.
        let wanted = options.keep_all || file.last > replay_from;
        if !doubtful.is_empty() && wanted {
            copy_doubtful(&*disk, dir, &file, doubtful, &mut recovered)?;
        } else if recovered.found.skipped > 0 {
            begin_after_damage(dir, &mut recovered)?;
        }
    }
    Ok(recovered)
}

/// Writes the frames behind the known durable end of the last file into a new one and makes that
/// durable: the page cache may hold what the device does not. Frames left out as damaged become
/// empty ones, so that positions have no gap.
fn copy_doubtful(
    disk: &dyn Disk,
    dir: &Path,
    file: &ScannedFile,
    mut doubtful: VecDeque<Doubtful>,
    recovered: &mut Recovered,
) -> Result<(), StorageError> {
    let Some(first) = doubtful.front().map(|frame| frame.position) else {
        return Ok(());
    };
    recovered.serial += 1;
    let header = FileHeader {
        uuid: fresh_file_uuid(),
        serial: recovered.serial,
        first,
        previous: file.durable_end,
    };
    let mut source = Source::open(disk, &file.path)?;
    let mut new_file = recovered.writer.begin(&header)?;
    let mut end = header.end();
    let mut frames = Vec::new();
    for position in first..=file.last {
        let payload: &[u8] = match doubtful.pop_front_if(|frame| frame.position == position) {
            None => &[],
            Some(frame) => {
                let from = frame.start(file.header.uuid);
                let (_, payload) = source
                    .frame(from, position)?
                    .map_err(|what| StorageError::corrupt(&file.path, from.len, what))?;
                payload
            }
        };
        encode_frame(&mut end, position, first - 1, Some(payload), &mut frames);
        if frames.len() >= COPY_BYTES {
            new_file.write(&frames)?;
            frames.clear();
        }
    }
    new_file.write(&frames)?;
    new_file.publish()?;
    // The frames now belong to the new file.
    if let Some(old) = recovered.files.last_mut() {
        old.last = first - 1;
    }
    recovered.files.push(FileInfo {
        path: header.path(dir),
        serial: header.serial,
        first,
        last: file.last,
        bytes: end.len,
    });
    recovered.tail = Some(end);
    Ok(())
}

/// Begins a file, so that the one with damage is not the newest, which stays, and can be trimmed.
fn begin_after_damage(dir: &Path, recovered: &mut Recovered) -> Result<(), StorageError> {
    recovered.serial += 1;
    let first = recovered.last + 1;
    let header = FileHeader {
        uuid: fresh_file_uuid(),
        serial: recovered.serial,
        first,
        previous: recovered.previous,
    };
    recovered.writer.begin(&header)?.publish()?;
    let end = header.end();
    recovered.files.push(FileInfo {
        path: header.path(dir),
        serial: header.serial,
        first,
        last: first - 1,
        bytes: end.len,
    });
    recovered.tail = Some(end);
    Ok(())
}
