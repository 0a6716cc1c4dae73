//! Which reader fits a file: by extension, else by its first bytes.

use std::path::Path;

use vecdb_vector::ElementType;

use crate::idx::{self, IdxReader};
use crate::jsonl::{JsonlPoints, JsonlVectors};
use crate::npy::{self, NpyReader};
use crate::parquet::{ParquetPoints, ParquetVectors};
use crate::points::{NumberedPoints, PointOptions, PointReader};
use crate::source::ByteSource;
use crate::vecs::{self, VecsReader};
use crate::{DatasetError, VectorReader};

const PARQUET_MAGIC: &[u8] = b"PAR1";
const KNOWN: &str =
    ".npy, .fvecs, .bvecs, .ivecs, .jsonl, .ndjson, .parquet and MNIST idx (-idx3-ubyte) are read";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Npy,
    Fvecs,
    Bvecs,
    Ivecs,
    Idx,
    Jsonl,
    Parquet,
}

/// Opens a vector file, whatever its format.
pub fn open_vectors(path: &Path) -> Result<Box<dyn VectorReader>, DatasetError> {
    let (source, format) = detect(path)?;
    Ok(match format {
        Format::Npy => Box::new(NpyReader::open(source)?),
        Format::Fvecs => Box::new(VecsReader::open(source, ElementType::F32)?),
        Format::Bvecs => Box::new(VecsReader::open(source, ElementType::U8)?),
        Format::Idx => Box::new(IdxReader::open(source)?),
        Format::Jsonl => Box::new(JsonlVectors::open(source)?),
        Format::Parquet => Box::new(ParquetVectors::open(path)?),
        Format::Ivecs => {
            return Err(DatasetError::unsupported(
                path,
                "an .ivecs file holds row numbers (ground truth), not vectors",
            ));
        }
    })
}

/// Opens a file of points: JSON lines or Parquet with ids and metadata, or a plain vector file, whose
/// points get their row number as id.
pub fn open_points(
    path: &Path,
    options: &PointOptions,
) -> Result<Box<dyn PointReader>, DatasetError> {
    let (source, format) = detect(path)?;
    Ok(match format {
        Format::Jsonl => Box::new(JsonlPoints::open(source, options)),
        Format::Parquet => Box::new(ParquetPoints::open(path, options)?),
        _ => Box::new(NumberedPoints::new(path, open_vectors(path)?)),
    })
}

/// Reads ground truth: the row numbers of each query's neighbours (.ivecs, or .npy of int32 or int64).
pub fn read_ids(path: &Path) -> Result<Vec<Vec<u32>>, DatasetError> {
    let (source, format) = detect(path)?;
    match format {
        Format::Ivecs => vecs::read_ids(source),
        Format::Npy => npy::read_ids(source),
        _ => Err(DatasetError::unsupported(
            path,
            "ground truth is an .ivecs file or an .npy file of int32 or int64",
        )),
    }
}

/// Reads the labels of an MNIST idx1 file, one byte for each row.
pub fn read_labels(path: &Path) -> Result<Vec<u8>, DatasetError> {
    idx::read_labels(ByteSource::open(path)?)
}

fn detect(path: &Path) -> Result<(ByteSource, Format), DatasetError> {
    let mut source = ByteSource::open(path)?;
    let format = match by_name(path) {
        Some(format) => Some(format),
        None => by_content(source.peek()?),
    };
    match format {
        Some(format) => Ok((source, format)),
        None => Err(DatasetError::unsupported(
            path,
            format!("neither name nor content tells a known format; {KNOWN}"),
        )),
    }
}

fn by_name(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let (_, extension) = name.rsplit_once('.').unwrap_or(("", ""));
    match extension {
        "npy" => Some(Format::Npy),
        "fvecs" => Some(Format::Fvecs),
        "bvecs" => Some(Format::Bvecs),
        "ivecs" => Some(Format::Ivecs),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "parquet" => Some(Format::Parquet),
        _ if name.ends_with("-ubyte") || name.ends_with(".idx3") => Some(Format::Idx),
        _ => None,
    }
}

fn by_content(start: &[u8]) -> Option<Format> {
    if start.starts_with(npy::MAGIC) {
        Some(Format::Npy)
    } else if start.starts_with(PARQUET_MAGIC) {
        Some(Format::Parquet)
    } else if start.starts_with(&idx::MAGIC) {
        Some(Format::Idx)
    } else if start.starts_with(b"{") {
        Some(Format::Jsonl)
    } else {
        None
    }
}
