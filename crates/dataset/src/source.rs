//! The bytes of one file in order: plain or gzip, buffered, with the offset kept for error messages.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::DatasetError;

const BUFFER_BYTES: usize = 128 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

pub(crate) struct ByteSource {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    offset: u64,
    /// Bytes in all, where known: plain regular files only. Never taken from a header.
    len: Option<u64>,
}

impl ByteSource {
    /// Opens a file; gzip is recognised by its first two bytes, whatever the name.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(|e| DatasetError::io(path, e))?;
        let about = file.metadata().map_err(|e| DatasetError::io(path, e))?;
        if about.is_dir() {
            return Err(DatasetError::unsupported(
                path,
                "is a folder; give one of the files in it",
            ));
        }
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, file);
        let start = plain.fill_buf().map_err(|e| DatasetError::io(path, e))?;
        let zipped = start.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn BufRead + Send> = if zipped {
            let unpacked = MultiGzDecoder::new(plain);
            Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
        } else {
            Box::new(plain)
        };
        Ok(Self {
            path: path.to_path_buf(),
            reader,
            offset: 0,
            len: (about.is_file() && !zipped).then_some(about.len()),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that follow, where known without reading them.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.len.map(|len| len.saturating_sub(self.offset))
    }

    /// The next bytes without consuming them; empty at the end.
    pub(crate) fn peek(&mut self) -> Result<&[u8], DatasetError> {
        match self.reader.fill_buf() {
            Ok(bytes) => Ok(bytes),
            Err(e) => Err(read_error(&self.path, self.offset, e)),
        }
    }

    pub(crate) fn is_at_end(&mut self) -> Result<bool, DatasetError> {
        Ok(self.peek()?.is_empty())
    }

    /// After the last promised byte: the end must follow (and with it the checksum of a gzip stream).
    pub(crate) fn expect_end(&mut self) -> Result<(), DatasetError> {
        if self.is_at_end()? {
            return Ok(());
        }
        let what = "the file goes on after the rows that its header promises";
        Err(DatasetError::malformed(&self.path, self.offset, what))
    }

    /// Exactly N bytes; `what` names them in the error.
    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], DatasetError> {
        let mut bytes = [0; N];
        let mut have = 0;
        while have < N {
            match self.reader.read(&mut bytes[have..]) {
                Ok(0) => return Err(self.ends_within(what, N as u64, have as u64)),
                Ok(read) => have += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(read_error(&self.path, self.offset, e)),
            }
        }
        self.offset += N as u64;
        Ok(bytes)
    }

    /// Appends up to `bytes` bytes to `out`, fewer only at the end. Memory grows with what is read,
    /// not with what was asked for.
    pub(crate) fn append(
        &mut self,
        bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, DatasetError> {
        if let Some(remaining) = self.remaining() {
            out.reserve((bytes as u64).min(remaining) as usize);
        }
        let read = self
            .reader
            .by_ref()
            .take(bytes as u64)
            .read_to_end(out)
            .map_err(|e| read_error(&self.path, self.offset, e))?;
        self.offset += read as u64;
        Ok(read)
    }

    /// Appends whole rows of `row_bytes`; an incomplete last row is an error.
    pub(crate) fn append_rows(
        &mut self,
        rows: usize,
        row_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, DatasetError> {
        let wanted = rows.saturating_mul(row_bytes);
        let read = self.append(wanted, out)?;
        match read % row_bytes {
            0 => Ok(read / row_bytes),
            part => Err(self.ends_within("a row", row_bytes as u64, part as u64)),
        }
    }

    /// One line without its line end into `line`; false at the end. Lines beyond `bytes_max` are an error.
    pub(crate) fn line(
        &mut self,
        number: u64,
        bytes_max: usize,
        line: &mut Vec<u8>,
    ) -> Result<bool, DatasetError> {
        line.clear();
        let read = self
            .reader
            .by_ref()
            .take(bytes_max as u64 + 1)
            .read_until(b'\n', line)
            .map_err(|e| read_error(&self.path, self.offset, e))?;
        self.offset += read as u64;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read > bytes_max {
            return Err(DatasetError::line(
                &self.path,
                number,
                format!("the line is longer than {bytes_max} bytes, the most a point may take"),
            ));
        }
        Ok(read > 0)
    }

    fn ends_within(&self, what: &str, needed: u64, have: u64) -> DatasetError {
        DatasetError::malformed(
            &self.path,
            self.offset,
            format!("the file ends within {what}: {needed} bytes needed, {have} there"),
        )
    }
}

/// Damage in a gzip stream is damage in the file, not trouble of the system.
fn read_error(path: &Path, offset: u64, error: io::Error) -> DatasetError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput => {
            DatasetError::malformed(path, offset, format!("damaged gzip stream: {error}"))
        }
        UnexpectedEof => DatasetError::malformed(path, offset, "the gzip stream ends early"),
        _ => DatasetError::io(path, error),
    }
}
