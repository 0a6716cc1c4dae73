//! Tiny files of every format, written byte by byte as the formats' own documents say.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringBuilder};
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int8Type, UInt8Type};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use half::f16;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

/// The values of every tiny vector file: small whole numbers that all element types hold.
pub(crate) const ROWS: [[f32; 3]; 4] = [
    [0.0, 1.0, 2.0],
    [3.0, 4.0, 5.0],
    [6.0, 7.0, 8.0],
    [9.0, 10.0, 11.0],
];

pub(crate) fn values() -> Vec<f32> {
    ROWS.concat()
}

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A .npy file of a version with any header text.
pub(crate) fn npy_of_header(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((header.len() as u16).to_le_bytes()),
        _ => bytes.extend((header.len() as u32).to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    npy_of_header(1, &header, data)
}

/// The values as the bytes of a NumPy element type.
pub(crate) fn encoded(descr: &str) -> Vec<u8> {
    let of_value = |value: f32| match descr {
        "<f2" => f16::from_f32(value).to_le_bytes().to_vec(),
        "<f4" => value.to_le_bytes().to_vec(),
        "<f8" => f64::from(value).to_le_bytes().to_vec(),
        "<i4" => (value as i32).to_le_bytes().to_vec(),
        "<i8" => (value as i64).to_le_bytes().to_vec(),
        _ => vec![value as u8],
    };
    values().into_iter().flat_map(of_value).collect()
}

/// Rows with their dimension before each.
pub(crate) fn vecs(descr: &str) -> Vec<u8> {
    let elements = encoded(descr);
    elements
        .chunks_exact(elements.len() / ROWS.len())
        .flat_map(|row| [&3i32.to_le_bytes(), row].concat())
        .collect()
}

/// MNIST: 4 images of 1 x 3 bytes.
pub(crate) fn idx3() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    for size in [4u32, 1, 3] {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend(encoded("|u1"));
    bytes
}

pub(crate) fn idx1(labels: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend((labels.len() as u32).to_be_bytes());
    bytes.extend(labels);
    bytes
}

pub(crate) fn jsonl() -> Vec<u8> {
    let line = |(number, row): (usize, &[f32; 3])| {
        format!(
            "{{\"id\":\"p{number}\",\"vector\":{row:?},\"metadata\":{{\"n\":{number},\"tags\":[\"a\"]}}}}\n"
        )
    };
    ROWS.iter()
        .enumerate()
        .map(line)
        .collect::<String>()
        .into_bytes()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub(crate) fn list_column(element: &str) -> ArrayRef {
    macro_rules! lists {
        ($type:ty, $convert:expr) => {
            ListArray::from_iter_primitive::<$type, _, _>(
                ROWS.map(|row| Some(row.map(|value| Some($convert(value))))),
            )
        };
    }
    Arc::new(match element {
        "f16" => lists!(Float16Type, f16::from_f32),
        "f32" => lists!(Float32Type, |value| value),
        "f64" => lists!(Float64Type, f64::from),
        "u8" => lists!(UInt8Type, |value| value as u8),
        _ => lists!(Int8Type, |value| value as i8),
    })
}

/// Lists of floats where a row or an element may be missing.
pub(crate) fn float_lists(rows: &[Option<&[Option<f32>]>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Float32Builder::new());
    for row in rows {
        lists.append_option(row.map(|row| row.iter().copied()));
    }
    Arc::new(lists.finish())
}

/// The columns of a file with ids and every kind of metadata.
pub(crate) fn point_columns() -> Vec<(&'static str, ArrayRef)> {
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in [
        Some(vec![Some("x"), Some("y")]),
        Some(vec![]),
        None,
        Some(vec![Some("z")]),
    ] {
        tags.append_option(row);
    }
    let times = vec![Some(0), Some(1_700_000_000_123_456), None, Some(-1_000_000)];
    vec![
        ("id", Arc::new(StringArray::from(vec!["a", "b", "c", "d"]))),
        ("embedding", list_column("f32")),
        (
            "price",
            Arc::new(Float64Array::from(vec![
                Some(1.5),
                Some(f64::NAN),
                None,
                Some(-2.0),
            ])),
        ),
        (
            "count",
            Arc::new(Int64Array::from(vec![1, -2, i64::MAX, 4])),
        ),
        (
            "sold",
            Arc::new(BooleanArray::from(vec![
                Some(true),
                Some(false),
                None,
                Some(true),
            ])),
        ),
        (
            "name",
            Arc::new(LargeStringArray::from(vec!["é", "", "c", "d"])),
        ),
        (
            "made",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
        ("tags", Arc::new(tags.finish())),
    ]
}

pub(crate) fn parquet(columns: Vec<(&str, ArrayRef)>, compression: Compression) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    // Two rows to a row group: readers must go on from one to the next.
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(2))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}
