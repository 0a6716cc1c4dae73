//! NumPy's .npy: versions 1 to 3, C order, little endian; a 1-d array is one row.
//!
//! Format: numpy.lib.format. Magic, two version bytes, header length (u16, from version 2 on u32), then a
//! Python dict literal with exactly the keys `descr`, `fortran_order` and `shape`, then the data.

use vecdb_vector::ElementType;

use crate::source::ByteSource;
use crate::vectors::{check_dim, check_promise};
use crate::{DatasetError, VectorInfo, VectorReader};

mod header;

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Real headers take 128 bytes, structured types a few hundred.
const HEADER_BYTES_MAX: u64 = 64 << 10;
/// 64-bit floats are narrowed in blocks of this size.
const NARROW_BYTES: usize = 1 << 20;

pub(crate) struct NpyReader {
    source: ByteSource,
    info: VectorInfo,
    scalar: Scalar,
    rows_total: u64,
    rows_read: u64,
    scratch: Vec<u8>,
}

/// Element types that a .npy file may declare and that are read here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scalar {
    F16,
    F32,
    F64,
    U8,
    I8,
    Int { bytes: usize, signed: bool },
}

impl Scalar {
    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Int { bytes, .. } => bytes,
        }
    }
}

struct Opened {
    scalar: Scalar,
    rows: u64,
    dim: usize,
}

impl NpyReader {
    pub(crate) fn open(mut source: ByteSource) -> Result<Self, DatasetError> {
        let Opened { scalar, rows, dim } = open_array(&mut source)?;
        let element = match scalar {
            Scalar::F16 => ElementType::F16,
            Scalar::F32 | Scalar::F64 => ElementType::F32,
            Scalar::U8 => ElementType::U8,
            Scalar::I8 => ElementType::I8,
            Scalar::Int { .. } => {
                return Err(DatasetError::unsupported(
                    source.path(),
                    "an array of wide integers holds row numbers (ground truth), not vectors; \
                     vectors are float16, float32, float64, uint8 or int8",
                ));
            }
        };
        let info = VectorInfo {
            rows: Some(rows),
            dim,
            element,
            source: format!("{} (npy)", source.path().display()),
        };
        Ok(Self {
            source,
            info,
            scalar,
            rows_total: rows,
            rows_read: 0,
            scratch: Vec::new(),
        })
    }

    /// f64 to f32; a finite value that f32 cannot hold is an error, not an infinity.
    fn read_narrowed(&mut self, rows: usize, out: &mut Vec<u8>) -> Result<usize, DatasetError> {
        let row_bytes = self.info.dim * 8;
        let mut done = 0;
        while done < rows {
            self.scratch.clear();
            let step = (NARROW_BYTES / row_bytes).clamp(1, rows - done);
            let read = self
                .source
                .append_rows(step, row_bytes, &mut self.scratch)?;
            for (position, bytes) in self.scratch.as_chunks::<8>().0.iter().enumerate() {
                let wide = f64::from_le_bytes(*bytes);
                let narrow = wide as f32;
                if wide.is_finite() && !narrow.is_finite() {
                    let row = self.rows_read + (done + position / self.info.dim) as u64;
                    let what = format!(
                        "element {} is {wide}, beyond what 32-bit floats hold",
                        position % self.info.dim
                    );
                    return Err(DatasetError::row(self.source.path(), row, what));
                }
                out.extend_from_slice(&narrow.to_le_bytes());
            }
            done += read;
            if read < step {
                break;
            }
        }
        Ok(done)
    }
}

impl VectorReader for NpyReader {
    fn info(&self) -> &VectorInfo {
        &self.info
    }

    fn read(&mut self, max_rows: usize, out: &mut Vec<u8>) -> Result<usize, DatasetError> {
        let left = self.rows_total - self.rows_read;
        let wanted = left.min(max_rows as u64) as usize;
        let read = match self.scalar {
            Scalar::F64 => self.read_narrowed(wanted, out)?,
            _ => self
                .source
                .append_rows(wanted, self.info.row_bytes(), out)?,
        };
        self.rows_read += read as u64;
        if read < wanted {
            let what = format!(
                "the file ends after {} of {} rows",
                self.rows_read, self.rows_total
            );
            return Err(DatasetError::malformed(
                self.source.path(),
                self.source.offset(),
                what,
            ));
        }
        if self.rows_read == self.rows_total {
            self.source.expect_end()?;
        }
        Ok(read)
    }
}

/// Row numbers (ground truth) from an integer array.
pub(crate) fn read_ids(mut source: ByteSource) -> Result<Vec<Vec<u32>>, DatasetError> {
    let Opened { scalar, rows, dim } = open_array(&mut source)?;
    let Scalar::Int { bytes, signed } = scalar else {
        return Err(DatasetError::unsupported(
            source.path(),
            "holds vectors; row numbers are int32 or int64",
        ));
    };
    let mut ids = Vec::new();
    let mut row = Vec::new();
    for number in 0..rows {
        row.clear();
        if source.append_rows(1, dim * bytes, &mut row)? == 0 {
            let what = format!("the file ends after {number} of {rows} rows");
            return Err(DatasetError::malformed(
                source.path(),
                source.offset(),
                what,
            ));
        }
        let of_row: Result<Vec<u32>, _> = row
            .chunks_exact(bytes)
            .map(|chunk| {
                let mut wide = [0; 8];
                wide[..bytes].copy_from_slice(chunk);
                let value = match (signed, bytes) {
                    (true, 4) => i64::from(u64::from_le_bytes(wide) as u32 as i32),
                    _ => i64::from_le_bytes(wide),
                };
                u32::try_from(value).map_err(|_| {
                    let what = format!("{value} is not a row number; 0 to {} are", u32::MAX);
                    DatasetError::row(source.path(), number, what)
                })
            })
            .collect();
        ids.push(of_row?);
    }
    source.expect_end()?;
    Ok(ids)
}

/// Reads the header and checks it against the length of the file.
fn open_array(source: &mut ByteSource) -> Result<Opened, DatasetError> {
    let path = source.path().to_path_buf();
    let magic: [u8; 6] = source.array("the npy magic")?;
    if magic != *MAGIC {
        let what = format!("starts with {magic:?}, not with \\x93NUMPY: not an npy file");
        return Err(DatasetError::malformed(&path, 0, what));
    }
    let [major, minor] = source.array("the npy version")?;
    let header_len = match major {
        1 => u64::from(u16::from_le_bytes(source.array("the npy header length")?)),
        2 | 3 => u64::from(u32::from_le_bytes(source.array("the npy header length")?)),
        _ => {
            let what = format!("npy version {major}.{minor}; 1, 2 and 3 are read");
            return Err(DatasetError::malformed(&path, 6, what));
        }
    };
    let start = source.offset();
    if header_len > HEADER_BYTES_MAX {
        let what = format!("npy header of {header_len} bytes; at most {HEADER_BYTES_MAX} are read");
        return Err(DatasetError::malformed(&path, start, what));
    }
    let mut text = Vec::new();
    let read = source.append(header_len as usize, &mut text)? as u64;
    if read < header_len {
        let what =
            format!("the file ends within the npy header: {header_len} bytes needed, {read} there");
        return Err(DatasetError::malformed(&path, start, what));
    }
    let header = header::parse(&text)
        .map_err(|(at, what)| DatasetError::malformed(&path, start + at as u64, what))?;
    let scalar =
        scalar_of(&header.descr).map_err(|what| DatasetError::malformed(&path, start, what))?;
    if header.fortran_order {
        return Err(DatasetError::malformed(
            &path,
            start,
            "the array is in Fortran (column) order; save it with numpy.ascontiguousarray",
        ));
    }
    let (rows, dim) = match header.shape[..] {
        [dim] => (1, dim),
        [rows, dim] => (rows, dim),
        _ => {
            let what = format!(
                "an array of {} dimensions, {:?}; (rows, elements) or (elements,) is needed",
                header.shape.len(),
                header.shape
            );
            return Err(DatasetError::malformed(&path, start, what));
        }
    };
    let dim = check_dim(&path, start, dim)?;
    let promised = rows.checked_mul((dim * scalar.bytes()) as u64);
    let shape = format!("{rows} rows x {dim} of {}", header.descr);
    check_promise(&path, source.offset(), promised, source.remaining(), &shape)?;
    Ok(Opened { scalar, rows, dim })
}

fn scalar_of(descr: &str) -> Result<Scalar, String> {
    let order = descr.chars().next().unwrap_or(' ');
    let kind = descr.get(1..).unwrap_or("");
    if order == '>' && !matches!(kind, "u1" | "i1") {
        return Err(format!(
            "element type '{descr}' is big endian; save it as '<{kind}'"
        ));
    }
    let scalar = match (order, kind) {
        ('<' | '=', "f2") => Scalar::F16,
        ('<' | '=', "f4") => Scalar::F32,
        ('<' | '=', "f8") => Scalar::F64,
        ('|' | '<' | '>' | '=', "u1") => Scalar::U8,
        ('|' | '<' | '>' | '=', "i1") => Scalar::I8,
        ('<' | '=', "i4" | "u4") => Scalar::Int {
            bytes: 4,
            signed: kind == "i4",
        },
        ('<' | '=', "i8" | "u8") => Scalar::Int {
            bytes: 8,
            signed: kind == "i8",
        },
        (_, "O") => {
            return Err("element type 'O' holds Python objects; save a numeric array".to_owned());
        }
        _ => {
            return Err(format!(
                "element type '{descr}'; float16, float32, float64, uint8 and int8 are read"
            ));
        }
    };
    Ok(scalar)
}
