//! Parquet: one column of lists is the vector, one may be the id, the rest is metadata.
//!
//! Types come from the Parquet schema alone (an embedded Arrow schema is not decoded), so every kind of
//! list arrives as one type. Row groups are read in batches of [`BATCH_ROWS`] rows. Uncompressed, snappy
//! and zstd pages are read.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value};

use crate::vectors::check_dim;
use crate::{DatasetError, PointOptions, PointReader, RawPoint, VectorInfo, VectorReader};

mod columns;
mod lists;
mod values;

use columns::Columns;
use lists::ListColumn;

/// Rows decoded at a time: 3 MiB at 1,536 floats.
const BATCH_ROWS: usize = 512;

/// An opened file before the columns are chosen.
struct OpenedFile {
    path: PathBuf,
    len: u64,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl OpenedFile {
    fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(|e| DatasetError::io(path, e))?;
        let len = file
            .metadata()
            .map_err(|e| DatasetError::io(path, e))?
            .len();
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = guarded(path, || {
            ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        })?;
        check_extents(path, len, builder.metadata())?;
        Ok(Self {
            path: path.to_path_buf(),
            len,
            builder,
        })
    }

    fn schema(&self) -> &Schema {
        self.builder.schema()
    }

    /// Starts reading the given top-level columns; batches hold them in the order of the file.
    fn batches(self, columns: &[usize]) -> Result<Batches, DatasetError> {
        let mask = ProjectionMask::roots(self.builder.parquet_schema(), columns.iter().copied());
        let rows = self.builder.metadata().file_metadata().num_rows();
        let builder = self
            .builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS);
        let reader = guarded(&self.path, || builder.build())?;
        Ok(Batches {
            rows_total: u64::try_from(rows).map_err(|_| {
                DatasetError::malformed(&self.path, self.len, format!("{rows} rows"))
            })?,
            path: self.path,
            reader,
            rows_read: 0,
        })
    }
}

struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    rows_total: u64,
    rows_read: u64,
}

impl Batches {
    /// The next rows that hold any, and the number of their first row.
    fn next(&mut self) -> Result<Option<(u64, RecordBatch)>, DatasetError> {
        let first = self.rows_read;
        let reader = &mut self.reader;
        let batch = guarded(&self.path, || {
            reader
                .find(|batch| !matches!(batch, Ok(rows) if rows.num_rows() == 0))
                .transpose()
        })
        .map_err(|e| DatasetError::row(&self.path, first, strip(e)))?;
        match batch {
            Some(batch) => {
                self.rows_read += batch.num_rows() as u64;
                Ok(Some((first, batch)))
            }
            None if self.rows_read != self.rows_total => {
                let what = format!(
                    "the file ends here, its footer promises {} rows",
                    self.rows_total
                );
                Err(DatasetError::row(&self.path, first, what))
            }
            None => Ok(None),
        }
    }
}

/// The vector column of a Parquet file.
pub(crate) struct ParquetVectors {
    batches: Batches,
    info: VectorInfo,
    /// The rows being handed out: number of the first, the column, rows of it done.
    current: Option<(u64, ListColumn, usize)>,
}

impl ParquetVectors {
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = OpenedFile::open(path)?;
        let (vector, name) = columns::vector_column(path, file.schema(), &PointOptions::default())?
            .ok_or_else(|| columns::no_vector_column(path, file.schema()))?;
        let source = format!("{} (parquet, column {name})", path.display());
        let mut batches = file.batches(&[vector])?;
        let Some((first, batch)) = batches.next()? else {
            let what = "the file has no rows; the first one tells the dimension, so one at least is needed";
            return Err(DatasetError::unsupported(path, what));
        };
        let column = ListColumn::new(path, batch.column(0).as_ref())?;
        let dim = column.range(path, first, 0)?.map_or(0, |range| range.len());
        let info = VectorInfo {
            rows: Some(batches.rows_total),
            dim: check_dim(path, 0, dim as u64)?,
            element: column.element(),
            source,
        };
        Ok(Self {
            batches,
            info,
            current: Some((first, column, 0)),
        })
    }
}

impl VectorReader for ParquetVectors {
    fn info(&self) -> &VectorInfo {
        &self.info
    }

    fn read(&mut self, max_rows: usize, out: &mut Vec<u8>) -> Result<usize, DatasetError> {
        let path = self.batches.path.clone();
        let mut rows = 0;
        while rows < max_rows {
            let Some((first, column, done)) = &mut self.current else {
                match self.batches.next()? {
                    Some((first, batch)) => {
                        let column = ListColumn::new(&path, batch.column(0).as_ref())?;
                        self.current = Some((first, column, 0));
                        continue;
                    }
                    None => break,
                }
            };
            if *done == column.rows() {
                self.current = None;
                continue;
            }
            let row = *first + *done as u64;
            let Some(range) = column.range(&path, *first, *done)? else {
                return Err(DatasetError::row(&path, row, "the row has no vector"));
            };
            if range.len() != self.info.dim {
                let what = format!(
                    "{} elements, the rows before it {}",
                    range.len(),
                    self.info.dim
                );
                return Err(DatasetError::row(&path, row, what));
            }
            column.append_bytes(&path, row, range, out)?;
            *done += 1;
            rows += 1;
        }
        Ok(rows)
    }
}

/// Rows of a Parquet file as points.
pub(crate) struct ParquetPoints {
    batches: Batches,
    columns: Columns,
    current: Option<CurrentBatch>,
    ended: bool,
}

struct CurrentBatch {
    first: u64,
    batch: RecordBatch,
    vectors: Option<ListColumn>,
    done: usize,
}

impl ParquetPoints {
    pub(crate) fn open(path: &Path, options: &PointOptions) -> Result<Self, DatasetError> {
        let file = OpenedFile::open(path)?;
        let columns = Columns::choose(path, file.schema(), options)?;
        let batches = file.batches(columns.roots())?;
        Ok(Self {
            batches,
            columns,
            current: None,
            ended: false,
        })
    }

    fn point(&mut self) -> Result<Option<RawPoint>, DatasetError> {
        let path = self.batches.path.clone();
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.done == current.batch.num_rows())
        {
            let Some((first, batch)) = self.batches.next()? else {
                return Ok(None);
            };
            let vectors = match self.columns.vector.and_then(|at| batch.columns().get(at)) {
                Some(column) => Some(ListColumn::new(&path, column.as_ref())?),
                None => None,
            };
            self.current = Some(CurrentBatch {
                first,
                batch,
                vectors,
                done: 0,
            });
        }
        let Some(current) = &mut self.current else {
            return Ok(None);
        };
        let at = current.done;
        let row = current.first + at as u64;
        current.done += 1;
        let vector = match &current.vectors {
            Some(column) => match column.range(&path, current.first, at)? {
                Some(range) => Some(column.to_f32(&path, row, range)?),
                None => None,
            },
            None => None,
        };
        let cell = |column: usize| -> Result<Value, DatasetError> {
            let Some(array) = current.batch.columns().get(column) else {
                return Ok(Value::Null);
            };
            values::json(array.as_ref(), at).map_err(|what| {
                let name = current.batch.schema_ref().field(column).name();
                DatasetError::row(&path, row, format!("column '{name}': {what}"))
            })
        };
        let id = match self.columns.id {
            Some(column) => Some(cell(column)?).filter(|id| !id.is_null()),
            None => Some(Value::from(row)),
        };
        let mut metadata = Map::new();
        for (column, name) in &self.columns.metadata {
            metadata.insert(name.clone(), cell(*column)?);
        }
        Ok(Some(RawPoint {
            id,
            vector,
            metadata,
        }))
    }
}

impl Iterator for ParquetPoints {
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

impl PointReader for ParquetPoints {
    fn rows(&self) -> Option<u64> {
        Some(self.batches.rows_total)
    }
}

/// The library sizes its reads by the footer: every column chunk must lie inside the file.
fn check_extents(path: &Path, len: u64, metadata: &ParquetMetaData) -> Result<(), DatasetError> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for column in group.columns() {
            let start = column
                .dictionary_page_offset()
                .unwrap_or(column.data_page_offset());
            let size = column.compressed_size();
            let end = start.checked_add(size);
            let inside = start >= 0
                && size >= 0
                && column.data_page_offset() >= 0
                && end.is_some_and(|end| end as u64 <= len);
            if !inside {
                let what = format!(
                    "the footer places a column of row group {number} at byte {start}, {size} bytes long; \
                     the file has {len} bytes"
                );
                return Err(DatasetError::malformed(path, len, what));
            }
        }
    }
    Ok(())
}

/// Runs the library. Some damage makes it panic; to the caller it is damage like any other.
fn guarded<T, E>(path: &Path, work: impl FnOnce() -> Result<T, E>) -> Result<T, DatasetError>
where
    E: Into<ParquetError>,
{
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(match error.into() {
            ParquetError::External(source) => DatasetError::unsupported(path, source.to_string()),
            error => DatasetError::unsupported(path, format!("not a sound Parquet file: {error}")),
        }),
        Err(_) => Err(DatasetError::unsupported(
            path,
            "not a sound Parquet file: its pages contradict its footer",
        )),
    }
}

/// The text of an error without the path, for one that adds the row.
fn strip(error: DatasetError) -> String {
    match error {
        DatasetError::Unsupported { what, .. } => what,
        other => other.to_string(),
    }
}
