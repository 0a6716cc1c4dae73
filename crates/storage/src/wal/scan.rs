//! Reads a log from front to back: what is sound, where it ends, what is damaged.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::layout::{End, FILE_HEADER_BYTES, FRAME_HEAD_BYTES, FileHeader, FrameHead, serial_of};
use super::{OnCorruption, Position, Replay, WalRecovery};
use crate::StorageError;
use crate::disk::{Disk, DiskRead};

/// Bytes read at once where frames are small.
const WINDOW_BYTES: u64 = 256 * 1024;

/// Which gaps in the positions are fine.
#[derive(Clone, Copy)]
pub(super) enum Expect {
    /// Every position after this one; those up to it are durable elsewhere and not delivered.
    After(Position),
    /// Whatever is there (only to check it).
    Anything,
}

/// A log that was read.
pub(super) struct Scan {
    pub(super) found: WalRecovery,
    pub(super) files: Vec<ScannedFile>,
    /// Highest serial number in use, also by files that were ignored.
    pub(super) serial: u64,
    /// Files that a crash left behind half made.
    pub(super) rubbish: Vec<PathBuf>,
    /// Files whose header cannot be read; only when skipping.
    pub(super) damaged: Vec<PathBuf>,
}

/// A file and what was accepted of it.
pub(super) struct ScannedFile {
    pub(super) path: PathBuf,
    pub(super) header: FileHeader,
    /// Last position; one less than the first if there is no frame.
    pub(super) last: Position,
    /// Everything up to here is known to be synced.
    pub(super) durable: Position,
    /// The end of the last frame that is known to be synced.
    pub(super) durable_end: End,
    /// The frames behind `durable_end`, to be copied if this is the last file.
    pub(super) doubtful: VecDeque<Doubtful>,
    pub(super) bytes: u64,
}

/// A frame of which it is not known that it was synced.
#[derive(Clone, Copy)]
pub(super) struct Doubtful {
    pub(super) position: Position,
    /// File offset and crc of what comes before, to read it again.
    offset: u64,
    previous_crc: u32,
    crc: u32,
    payload_bytes: u32,
}

impl Doubtful {
    pub(super) fn start(&self, uuid: [u8; 16]) -> End {
        End {
            uuid,
            len: self.offset,
            crc: self.previous_crc,
        }
    }

    fn end(&self, uuid: [u8; 16]) -> End {
        End {
            uuid,
            len: self.offset + FRAME_HEAD_BYTES + u64::from(self.payload_bytes),
            crc: self.crc,
        }
    }
}

/// Reads the whole log in `dir` and delivers its frames.
pub(super) fn scan(
    disk: &dyn Disk,
    dir: &Path,
    on_corruption: OnCorruption,
    expect: Expect,
    deliver: &mut Replay<'_>,
) -> Result<Scan, StorageError> {
    let mut scan = Scan {
        found: WalRecovery::default(),
        files: Vec::new(),
        serial: 0,
        rubbish: Vec::new(),
        damaged: Vec::new(),
    };
    let headers = read_headers(disk, dir, on_corruption, &mut scan)?;
    for (index, (path, header)) in headers.iter().enumerate() {
        let mut pass = FilePass {
            on_corruption,
            expect,
            limit: None,
            before: Position::MAX,
            found: &mut scan.found,
            deliver: &mut *deliver,
        };
        if let Some((next_path, next)) = headers.get(index + 1) {
            pass.before = next.first;
            if next.previous.uuid == header.uuid {
                pass.limit = Some(next.previous);
            } else {
                pass.damage(StorageError::corrupt(
                    next_path,
                    0,
                    "the log file that comes before this one is missing",
                ))?;
            }
        }
        let last = scan.files.last().map(|file| file.last);
        if let Err(error) = check_positions(path, header, last, expect) {
            pass.damage(error)?;
            if last.is_some_and(|last| header.first <= last) {
                continue;
            }
        }
        let file = pass.run(disk, path, header)?;
        scan.files.push(file);
    }
    scan.found.files = scan.files.len();
    Ok(scan)
}

fn read_headers(
    disk: &dyn Disk,
    dir: &Path,
    on_corruption: OnCorruption,
    scan: &mut Scan,
) -> Result<Vec<(PathBuf, FileHeader)>, StorageError> {
    let mut names = Vec::new();
    for entry in disk
        .list(dir)
        .map_err(|e| StorageError::io("list", dir, e))?
    {
        if entry.is_dir {
            continue;
        }
        if let Some(serial) = serial_of(&entry.name) {
            names.push((serial, entry.name));
        } else if entry.name.ends_with(".wal.tmp") {
            scan.rubbish.push(dir.join(entry.name));
        }
    }
    names.sort();
    let mut headers = Vec::new();
    for (index, (serial, name)) in names.iter().enumerate() {
        scan.serial = scan.serial.max(*serial);
        let path = dir.join(name);
        let file = Source::open(disk, &path)?;
        if file.len < FILE_HEADER_BYTES && index + 1 == names.len() {
            // Never held a frame; must not stand in the way of the files after it.
            scan.found.torn_bytes_cut += file.len;
            scan.rubbish.push(path);
            continue;
        }
        match file.header(*serial) {
            Ok(header) => headers.push((path, header)),
            Err(StorageError::Corrupt { .. }) if on_corruption == OnCorruption::Skip => {
                scan.found.skipped += 1;
                scan.damaged.push(path);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(headers)
}

/// Checks that a file continues the positions of the one before it.
fn check_positions(
    path: &Path,
    header: &FileHeader,
    last: Option<Position>,
    expect: Expect,
) -> Result<(), StorageError> {
    let damaged = |what: String| Err(StorageError::corrupt(path, 0, what));
    let reached = match expect {
        Expect::After(position) => position.max(last.unwrap_or(0)),
        Expect::Anything => Position::MAX,
    };
    if last.is_some_and(|last| header.first <= last) {
        return damaged(format!(
            "the file begins with position {}, the one before ends with {}",
            header.first,
            last.unwrap_or(0)
        ));
    }
    if header.first - 1 > reached {
        return damaged(format!(
            "the file begins with position {}, everything from {} to there is missing",
            header.first,
            reached + 1
        ));
    }
    Ok(())
}

/// One reading of one file.
pub(super) struct FilePass<'a, 'b> {
    pub(super) on_corruption: OnCorruption,
    pub(super) expect: Expect,
    /// Where the file ends according to the next one; None for the last file.
    pub(super) limit: Option<End>,
    /// First position of the next file: a tail that was cut once is not salvaged.
    pub(super) before: Position,
    pub(super) found: &'a mut WalRecovery,
    pub(super) deliver: &'a mut Replay<'b>,
}

impl FilePass<'_, '_> {
    pub(super) fn run(
        &mut self,
        disk: &dyn Disk,
        path: &Path,
        header: &FileHeader,
    ) -> Result<ScannedFile, StorageError> {
        let mut source = Source::open(disk, path)?;
        let mut file = ScannedFile {
            path: path.to_path_buf(),
            header: header.clone(),
            last: header.first - 1,
            durable: header.first - 1,
            durable_end: header.end(),
            doubtful: VecDeque::new(),
            bytes: source.len,
        };
        if let Some(limit) = self.limit {
            if source.len < limit.len {
                self.damage(StorageError::corrupt(
                    path,
                    source.len,
                    format!("the file ends here, the next one says at {}", limit.len),
                ))?;
            }
            source.len = source.len.min(limit.len);
        }
        let mut end = header.end();
        while end.len < source.len {
            match source.frame(end, file.last + 1)? {
                Ok((head, _)) if head.position >= self.before && !head.is_seal() => break,
                Ok((head, payload)) => {
                    if !head.is_seal() {
                        self.found.frames += 1;
                        self.found.bytes += payload.len() as u64;
                        file.last = head.position;
                        file.doubtful.push_back(Doubtful {
                            position: head.position,
                            offset: end.len,
                            previous_crc: end.crc,
                            crc: head.crc,
                            payload_bytes: head.len,
                        });
                        let wanted = match self.expect {
                            Expect::After(position) => head.position > position,
                            Expect::Anything => true,
                        };
                        if wanted {
                            (self.deliver)(head.position, payload)?;
                        }
                    }
                    end.len += head.frame_bytes();
                    end.crc = head.crc;
                    file.note_durable(head.durable);
                }
                Err(what) => {
                    let error = StorageError::corrupt(path, end.len, what);
                    match self.after_fault(&mut source, end, file.last + 1, error)? {
                        Some((offset, head)) => {
                            // Only when skipping: go on behind the damage.
                            end.len = offset;
                            end.crc = head.previous_crc;
                            file.last = head.position - 1;
                        }
                        None => break,
                    }
                }
            }
        }
        if let Some(limit) = self.limit {
            if (end.len, end.crc) != (limit.len, limit.crc) {
                self.damage(StorageError::corrupt(
                    path,
                    end.len,
                    "the frames do not end as the next file says",
                ))?;
            }
            // The next file was named after this one was synced up to here.
            file.note_durable(file.last);
        }
        Ok(file)
    }

    /// What follows a bad frame: an error, the place to go on from, or None for a torn tail.
    fn after_fault(
        &mut self,
        source: &mut Source,
        end: End,
        expected: Position,
        error: StorageError,
    ) -> Result<Option<(u64, FrameHead)>, StorageError> {
        let proof = self.limit.is_none();
        let found = source.next_head(end, expected, proof)?;
        if proof && found.is_none() {
            self.found.torn_bytes_cut += source.len - end.len;
            return Ok(None);
        }
        self.damage(error)?;
        match found {
            // The proof may lie behind other sound frames: salvage from the nearest one.
            Some(_) => source.next_head(end, expected, false),
            None => Ok(None),
        }
    }

    fn damage(&mut self, error: StorageError) -> Result<(), StorageError> {
        match self.on_corruption {
            OnCorruption::Stop => Err(error),
            OnCorruption::Skip => {
                self.found.skipped += 1;
                Ok(())
            }
        }
    }
}

impl ScannedFile {
    fn note_durable(&mut self, durable: Position) {
        self.durable = self.durable.max(durable.min(self.last));
        while let Some(frame) = self.doubtful.front()
            && frame.position <= self.durable
        {
            self.durable_end = frame.end(self.header.uuid);
            self.doubtful.pop_front();
        }
    }
}

/// A sound frame: its head and payload.
type Frame<'a> = (FrameHead, &'a [u8]);

/// A log file read through a window.
pub(super) struct Source {
    path: PathBuf,
    read: Box<dyn DiskRead>,
    /// Bytes to be looked at.
    pub(super) len: u64,
    uuid: [u8; 16],
    window: Vec<u8>,
    window_at: u64,
}

impl Source {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StorageError> {
        let read = disk
            .open(path)
            .map_err(|e| StorageError::io("open", path, e))?;
        let len = read.len();
        Ok(Self {
            path: path.to_path_buf(),
            read,
            len,
            uuid: [0; 16],
            window: Vec::new(),
            window_at: 0,
        })
    }

    pub(super) fn header(mut self, serial: u64) -> Result<FileHeader, StorageError> {
        let count = self.len.min(FILE_HEADER_BYTES);
        let path = self.path.clone();
        let header = FileHeader::decode(&path, self.bytes(0, count)?)?;
        if header.serial != serial {
            return Err(StorageError::corrupt(
                path,
                32,
                format!("file number {} under the name of {serial}", header.serial),
            ));
        }
        Ok(header)
    }

    /// Bytes that the caller has checked to lie inside the file.
    pub(super) fn bytes(&mut self, offset: u64, count: u64) -> Result<&[u8], StorageError> {
        let inside =
            offset >= self.window_at && offset + count <= self.window_at + self.window.len() as u64;
        if !inside {
            let wanted = count.max(WINDOW_BYTES).min(self.len.saturating_sub(offset));
            self.window.clear();
            self.window.resize(wanted as usize, 0);
            self.window_at = offset;
            self.read
                .read_at(offset, &mut self.window)
                .map_err(|e| StorageError::io("read", &self.path, e))?;
        }
        let start = (offset - self.window_at) as usize;
        Ok(self
            .window
            .get(start..start + count as usize)
            .unwrap_or_default())
    }

    /// The frame at `end`, which must hold position `expected`; or what is wrong with it.
    pub(super) fn frame(
        &mut self,
        end: End,
        expected: Position,
    ) -> Result<Result<Frame<'_>, String>, StorageError> {
        self.uuid = end.uuid;
        let left = self.len - end.len;
        if left < FRAME_HEAD_BYTES {
            return Ok(Err(format!("{left} bytes are no frame")));
        }
        let head = self.bytes(end.len, FRAME_HEAD_BYTES)?;
        let Some(head) = FrameHead::decode(&end.uuid, end.len, head) else {
            return Ok(Err("a frame's head does not match its checksum".into()));
        };
        if head.position != expected {
            return Ok(Err(format!(
                "position {} where {expected} was expected",
                head.position
            )));
        }
        if head.previous_crc != end.crc {
            return Ok(Err("a frame that does not continue the one before".into()));
        }
        // Compared before anything is allocated for the payload.
        if head.frame_bytes() > left {
            return Ok(Err(format!(
                "a frame of {} bytes where {left} are left",
                head.frame_bytes()
            )));
        }
        let payload = self.bytes(end.len + FRAME_HEAD_BYTES, head.payload_bytes())?;
        if head.expected_crc(payload) != head.crc {
            return Ok(Err(format!(
                "the frame of position {expected} does not match its checksum"
            )));
        }
        Ok(Ok((head, payload)))
    }

    /// Searches behind a bad frame for the head of a later one. With `proof`, only for one which
    /// tells that the bad frame had been synced before it was made.
    fn next_head(
        &mut self,
        end: End,
        expected: Position,
        proof: bool,
    ) -> Result<Option<(u64, FrameHead)>, StorageError> {
        let most = (self.len - end.len) / FRAME_HEAD_BYTES;
        let mut offset = end.len + 1;
        while offset + FRAME_HEAD_BYTES <= self.len {
            let bytes = self.bytes(offset, FRAME_HEAD_BYTES)?;
            if let Some((position, durable)) = FrameHead::peek(bytes)
                && position >= expected
                && position - expected <= most
                && durable < position
                && (!proof || durable >= expected)
                && let Some(head) = FrameHead::decode(&end.uuid, offset, bytes)
                && head.frame_bytes() <= self.len - offset
            {
                return Ok(Some((offset, head)));
            }
            offset += 1;
        }
        Ok(None)
    }
}
