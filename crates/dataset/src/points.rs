//! Points as files give them: id, vector and metadata, none of them checked against a collection yet.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use vecdb_vector::{ElementType, decode_row};

use crate::jsonl::JsonlPoints;
use crate::source::ByteSource;
use crate::{DatasetError, VectorReader};

/// Rows decoded at a time, in bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// One point of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawPoint {
    /// The id as written; `None` where the file has none.
    pub id: Option<Value>,
    /// The vector; `None` where the point has none.
    pub vector: Option<Vec<f32>>,
    /// Everything else, empty where there is nothing.
    pub metadata: Map<String, Value>,
}

/// Which parts of a JSON lines or Parquet file are what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointOptions {
    /// Key or column of the vector. `None`: `vector`; in Parquet also `embedding`, or else the only
    /// column that holds lists of floats or of 8-bit integers (several are an error that names them).
    pub vector_field: Option<String>,
    /// Key or column of the id. `None`: `id` where there is one.
    pub id_field: Option<String>,
    /// Keys or columns left out: neither metadata nor candidates for the vector.
    pub skip: Vec<String>,
}

/// Points in the order of the file. After an error, or at the end, nothing follows.
pub trait PointReader: Iterator<Item = Result<RawPoint, DatasetError>> + Send {
    /// Points in all, where known: for progress bars only.
    fn rows(&self) -> Option<u64>;
}

/// Gives every point the metadata of its line: line i (from 0) of `metadata_path` describes row i.
/// An id on the line (`id`, or `options.id_field`) becomes the point's id. Both must be equally long.
pub fn zip_metadata(
    points: Box<dyn PointReader>,
    metadata_path: &Path,
    options: &PointOptions,
) -> Result<Box<dyn PointReader>, DatasetError> {
    let lines = JsonlPoints::open(ByteSource::open(metadata_path)?, options);
    Ok(Box::new(ZippedPoints {
        points,
        lines,
        path: metadata_path.to_path_buf(),
        row: 0,
        ended: false,
    }))
}

struct ZippedPoints {
    points: Box<dyn PointReader>,
    lines: JsonlPoints,
    path: PathBuf,
    row: u64,
    ended: bool,
}

impl ZippedPoints {
    fn pair(&mut self) -> Result<Option<RawPoint>, DatasetError> {
        let point = self.points.next().transpose()?;
        let line = self.lines.next().transpose()?;
        let row = self.row;
        self.row += 1;
        match (point, line) {
            (None, None) => Ok(None),
            (Some(mut point), Some(line)) => {
                if line.vector.is_some() {
                    let what = "the metadata line has a vector of its own; vectors come from the other file";
                    return Err(DatasetError::line(
                        &self.path,
                        self.lines.line_number(),
                        what,
                    ));
                }
                point.id = line.id.or(point.id);
                point.metadata.extend(line.metadata);
                Ok(Some(point))
            }
            (Some(_), None) => Err(DatasetError::line(
                &self.path,
                self.lines.line_number(),
                format!(
                    "metadata for {row} rows, but the vectors go on; one line for each row is needed"
                ),
            )),
            (None, Some(_)) => Err(DatasetError::line(
                &self.path,
                self.lines.line_number(),
                format!("metadata goes on after the {row} rows of the vector file"),
            )),
        }
    }
}

impl Iterator for ZippedPoints {
    type Item = Result<RawPoint, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.pair().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl PointReader for ZippedPoints {
    fn rows(&self) -> Option<u64> {
        self.points.rows()
    }
}

/// The points of a plain vector file: ids are row numbers from 0.
pub(crate) struct NumberedPoints {
    path: PathBuf,
    reader: Box<dyn VectorReader>,
    block: Vec<u8>,
    at: usize,
    row: u64,
    ended: bool,
}

impl NumberedPoints {
    pub(crate) fn new(path: &Path, reader: Box<dyn VectorReader>) -> Self {
        Self {
            path: path.to_path_buf(),
            reader,
            block: Vec::new(),
            at: 0,
            row: 0,
            ended: false,
        }
    }

    fn point(&mut self) -> Result<Option<RawPoint>, DatasetError> {
        let (dim, element) = (self.reader.info().dim, self.reader.info().element);
        let row_bytes = self.reader.info().row_bytes();
        if self.at >= self.block.len() {
            self.block.clear();
            self.at = 0;
            let rows = (BLOCK_BYTES / row_bytes).max(1);
            if self.reader.read(rows, &mut self.block)? == 0 {
                return Ok(None);
            }
        }
        let bytes = self
            .block
            .get(self.at..self.at + row_bytes)
            .ok_or_else(|| {
                DatasetError::row(&self.path, self.row, "the reader gave an incomplete row")
            })?;
        let mut vector = Vec::with_capacity(dim);
        decode_row(element, dim, bytes, &mut vector);
        let id = Some(Value::from(self.row));
        self.at += row_bytes;
        self.row += 1;
        Ok(Some(RawPoint {
            id,
            vector: Some(vector),
            metadata: Map::new(),
        }))
    }
}

impl Iterator for NumberedPoints {
    type Item = Result<RawPoint, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.point().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl PointReader for NumberedPoints {
    fn rows(&self) -> Option<u64> {
        self.reader.info().rows
    }
}

/// f32 values as the bytes that a [`VectorReader`] delivers.
pub(crate) fn append_f32(values: &[f32], out: &mut Vec<u8>) -> usize {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
    ElementType::F32.bytes(values.len())
}
