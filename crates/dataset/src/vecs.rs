//! .fvecs, .bvecs and .ivecs of the TEXMEX sets: each row is a little-endian int32 dimension and the elements.

use vecdb_vector::ElementType;

use crate::source::ByteSource;
use crate::vectors::check_dim;
use crate::{DatasetError, VectorInfo, VectorReader};

const PREFIX_BYTES: usize = 4;
/// Rows are read in blocks of this size, then stripped of their prefixes.
const BLOCK_BYTES: usize = 1 << 20;

pub(crate) struct VecsReader {
    source: ByteSource,
    info: VectorInfo,
    rows_read: u64,
    block: Vec<u8>,
}

impl VecsReader {
    /// `element` is `F32` for .fvecs, `U8` for .bvecs; the first row's dimension holds for all.
    pub(crate) fn open(mut source: ByteSource, element: ElementType) -> Result<Self, DatasetError> {
        let dim = peek_dim(&mut source)?;
        let mut info = VectorInfo {
            rows: None,
            dim,
            element,
            source: format!(
                "{} ({})",
                source.path().display(),
                if element == ElementType::U8 {
                    "bvecs"
                } else {
                    "fvecs"
                }
            ),
        };
        let stride = (PREFIX_BYTES + info.row_bytes()) as u64;
        if let Some(len) = source.remaining() {
            if !len.is_multiple_of(stride) {
                let what = format!(
                    "{len} bytes are not a whole number of rows of {dim} elements ({stride} bytes each): \
                     cut short, or rows of different dimensions"
                );
                return Err(DatasetError::malformed(
                    source.path(),
                    len - len % stride,
                    what,
                ));
            }
            info.rows = Some(len / stride);
        }
        Ok(Self {
            source,
            info,
            rows_read: 0,
            block: Vec::new(),
        })
    }
}

impl VectorReader for VecsReader {
    fn info(&self) -> &VectorInfo {
        &self.info
    }

    fn read(&mut self, max_rows: usize, out: &mut Vec<u8>) -> Result<usize, DatasetError> {
        let stride = PREFIX_BYTES + self.info.row_bytes();
        let mut done = 0;
        while done < max_rows {
            self.block.clear();
            let step = (BLOCK_BYTES / stride).clamp(1, max_rows - done);
            let read = self.source.append_rows(step, stride, &mut self.block)?;
            for row in self.block.chunks_exact(stride) {
                let (prefix, elements) = row.split_at(PREFIX_BYTES);
                let dim = prefix
                    .as_array()
                    .map_or(0, |bytes| i32::from_le_bytes(*bytes));
                if dim as usize != self.info.dim {
                    let what = format!(
                        "the row has {dim} elements, the rows before it {}",
                        self.info.dim
                    );
                    return Err(DatasetError::row(self.source.path(), self.rows_read, what));
                }
                out.extend_from_slice(elements);
                self.rows_read += 1;
            }
            done += read;
            if read < step {
                break;
            }
        }
        Ok(done)
    }
}

/// Row numbers (ground truth) of an .ivecs file; rows may differ in length.
pub(crate) fn read_ids(mut source: ByteSource) -> Result<Vec<Vec<u32>>, DatasetError> {
    let mut ids = Vec::new();
    let mut row = Vec::new();
    while !source.is_at_end()? {
        let number = ids.len() as u64;
        let at = source.offset();
        let dim = i32::from_le_bytes(source.array("the dimension of a row")?);
        // A query without any neighbour is a row without elements.
        let dim = match dim {
            0 => 0,
            _ => check_dim(source.path(), at, dim)?,
        };
        row.clear();
        if dim > 0 && source.append_rows(1, dim * 4, &mut row)? == 0 {
            let what = format!("the file ends before the {dim} elements of row {number}");
            return Err(DatasetError::malformed(
                source.path(),
                source.offset(),
                what,
            ));
        }
        let of_row: Result<Vec<u32>, _> = row
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| {
                let value = i32::from_le_bytes(*bytes);
                u32::try_from(value).map_err(|_| {
                    let what = format!("{value} is not a row number; 0 to {} are", i32::MAX);
                    DatasetError::row(source.path(), number, what)
                })
            })
            .collect();
        ids.push(of_row?);
    }
    Ok(ids)
}

fn peek_dim(source: &mut ByteSource) -> Result<usize, DatasetError> {
    let path = source.path().to_path_buf();
    let start = source.peek()?;
    if start.is_empty() {
        let what =
            "the file is empty; the first row tells the dimension, so one row at least is needed";
        return Err(DatasetError::malformed(&path, 0, what));
    }
    // The buffer of a fresh file holds its first 4 bytes unless the file itself is shorter.
    let Some(prefix) = start.first_chunk::<PREFIX_BYTES>() else {
        let what = format!(
            "{} bytes are too few for the dimension of a row",
            start.len()
        );
        return Err(DatasetError::malformed(&path, 0, what));
    };
    check_dim(&path, 0, i32::from_le_bytes(*prefix))
}
