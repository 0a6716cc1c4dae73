//! Rows of raw vector bytes: what a vector file holds, the reader of it, and a whole file in memory.

use std::path::Path;

use vecdb_vector::{ElementType, MAX_DIM, VectorRows, decode_row};

use crate::{DatasetError, open_vectors};

/// Bytes that [`read_vectors`] asks for in one call.
const CHUNK_BYTES: usize = 4 << 20;

/// What a vector file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorInfo {
    /// Rows in all, where the file says so or its length tells (not: JSON lines, gzipped row formats).
    pub rows: Option<u64>,
    /// Elements in a row, 1 to [`MAX_DIM`].
    pub dim: usize,
    /// Type of the elements as delivered; 64-bit floats are delivered as `F32`.
    pub element: ElementType,
    /// The file and its format, for people.
    pub source: String,
}

impl VectorInfo {
    /// Bytes of one row as delivered.
    pub fn row_bytes(&self) -> usize {
        self.element.bytes(self.dim)
    }
}

/// Reads the rows of one file in order.
pub trait VectorReader: Send {
    /// What the file holds.
    fn info(&self) -> &VectorInfo;

    /// Appends up to `max_rows` rows to `out` as little-endian element bytes without gaps.
    /// Returns the rows appended; 0 only at the end of the file (or for `max_rows` 0).
    /// After an error `out` may hold rows and parts of rows that are not counted.
    fn read(&mut self, max_rows: usize, out: &mut Vec<u8>) -> Result<usize, DatasetError>;
}

/// All rows of a file in memory.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// Dimension, element type, origin; `rows` is always known here.
    pub info: VectorInfo,
    /// The rows, `info.row_bytes()` each.
    pub bytes: Vec<u8>,
}

impl Vectors {
    /// Number of rows.
    pub fn rows(&self) -> u32 {
        (self.bytes.len() / self.info.row_bytes().max(1)) as u32
    }

    /// The rows as the kernels take them.
    ///
    /// # Panics
    /// If the caller changed `info` so that it no longer describes `bytes`.
    pub fn as_rows(&self) -> VectorRows<'_> {
        let VectorInfo { dim, element, .. } = self.info;
        VectorRows::new(element, dim, element.bytes(dim), self.rows(), &self.bytes)
            .expect("info describes bytes")
    }

    /// All elements as f32, row after row.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows() as usize * self.info.dim);
        for row in self.bytes.chunks_exact(self.info.row_bytes().max(1)) {
            decode_row(self.info.element, self.info.dim, row, &mut values);
        }
        values
    }

    /// Drops all rows after the first `rows`.
    pub fn truncate(&mut self, rows: u32) {
        self.bytes.truncate(rows as usize * self.info.row_bytes());
        self.info.rows = Some(u64::from(self.rows()));
    }
}

/// Reads a whole vector file into memory; at most `u32::MAX` rows.
pub fn read_vectors(path: &Path) -> Result<Vectors, DatasetError> {
    let mut reader = open_vectors(path)?;
    let mut info = reader.info().clone();
    let chunk_rows = (CHUNK_BYTES / info.row_bytes()).max(1);
    let mut bytes = Vec::new();
    let mut rows = 0u64;
    loop {
        let read = reader.read(chunk_rows, &mut bytes)?;
        if read == 0 {
            break;
        }
        rows += read as u64;
        if rows > u64::from(u32::MAX) {
            return Err(DatasetError::unsupported(
                path,
                format!("more than {} rows; split the file", u32::MAX),
            ));
        }
    }
    info.rows = Some(rows);
    Ok(Vectors { info, bytes })
}

/// Checks a dimension found in a file before anything is sized by it.
pub(crate) fn check_dim(
    path: &Path,
    offset: u64,
    dim: impl Into<i128>,
) -> Result<usize, DatasetError> {
    let dim = dim.into();
    if dim < 1 || dim > MAX_DIM as i128 {
        return Err(DatasetError::malformed(
            path,
            offset,
            format!("rows of {dim} elements; 1 to {MAX_DIM} are possible"),
        ));
    }
    Ok(dim as usize)
}

/// Compares the bytes that a header promises with those that follow it, where that is known.
pub(crate) fn check_promise(
    path: &Path,
    offset: u64,
    promised: Option<u64>,
    remaining: Option<u64>,
    shape: &str,
) -> Result<(), DatasetError> {
    let Some(promised) = promised else {
        let what = format!("the header promises {shape}: more bytes than a file can have");
        return Err(DatasetError::malformed(path, offset, what));
    };
    match remaining {
        Some(remaining) if remaining != promised => Err(DatasetError::malformed(
            path,
            offset,
            format!("the header promises {shape} ({promised} bytes), but {remaining} bytes follow"),
        )),
        _ => Ok(()),
    }
}
