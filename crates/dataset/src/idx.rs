//! The IDX format of MNIST: two zero bytes, element type, number of dimensions, big-endian u32 sizes, data.
//!
//! Source: yann.lecun.com/exdb/mnist. Only bytes (type 0x08) are read; images become rows of all their pixels.

use vecdb_vector::ElementType;

use crate::source::ByteSource;
use crate::vectors::{check_dim, check_promise};
use crate::{DatasetError, VectorInfo, VectorReader};

/// The first bytes of every IDX file of unsigned bytes.
pub(crate) const MAGIC: [u8; 3] = [0, 0, 0x08];

const DIMENSIONS_MAX: u8 = 8;

pub(crate) struct IdxReader {
    source: ByteSource,
    info: VectorInfo,
    rows_total: u64,
    rows_read: u64,
}

impl IdxReader {
    pub(crate) fn open(mut source: ByteSource) -> Result<Self, DatasetError> {
        let (rows, elements) = read_header(&mut source)?;
        let Some(elements) = elements else {
            return Err(DatasetError::unsupported(
                source.path(),
                "an IDX file of one dimension holds labels, not vectors; give the idx3 file of the images",
            ));
        };
        let info = VectorInfo {
            rows: Some(rows),
            dim: check_dim(source.path(), 4, elements)?,
            element: ElementType::U8,
            source: format!("{} (idx)", source.path().display()),
        };
        Ok(Self {
            source,
            info,
            rows_total: rows,
            rows_read: 0,
        })
    }
}

impl VectorReader for IdxReader {
    fn info(&self) -> &VectorInfo {
        &self.info
    }

    fn read(&mut self, max_rows: usize, out: &mut Vec<u8>) -> Result<usize, DatasetError> {
        let wanted = (self.rows_total - self.rows_read).min(max_rows as u64) as usize;
        let read = self.source.append_rows(wanted, self.info.dim, out)?;
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

/// The labels of an IDX file of one dimension, one byte a row.
pub(crate) fn read_labels(mut source: ByteSource) -> Result<Vec<u8>, DatasetError> {
    let (rows, None) = read_header(&mut source)? else {
        return Err(DatasetError::unsupported(
            source.path(),
            "an IDX file of more than one dimension holds images, not labels",
        ));
    };
    let mut labels = Vec::new();
    let read = source.append(rows as usize, &mut labels)? as u64;
    if read < rows {
        let what = format!("the file ends after {read} of {rows} labels");
        return Err(DatasetError::malformed(
            source.path(),
            source.offset(),
            what,
        ));
    }
    source.expect_end()?;
    Ok(labels)
}

/// Rows and elements of a row (`None`: one dimension, no vectors), compared with the length of the file.
fn read_header(source: &mut ByteSource) -> Result<(u64, Option<u64>), DatasetError> {
    let path = source.path().to_path_buf();
    let [zero, zero_too, element, dimensions] = source.array("the IDX magic")?;
    if (zero, zero_too) != (0, 0) {
        let what = format!("starts with {zero}, {zero_too}; an IDX file starts with 0, 0");
        return Err(DatasetError::malformed(&path, 0, what));
    }
    if element != MAGIC[2] {
        let what = format!("IDX element type {element:#04x}; unsigned bytes (0x08) are read");
        return Err(DatasetError::malformed(&path, 2, what));
    }
    if dimensions == 0 || dimensions > DIMENSIONS_MAX {
        let what = format!("{dimensions} IDX dimensions; 1 to {DIMENSIONS_MAX} are read");
        return Err(DatasetError::malformed(&path, 3, what));
    }
    let rows = u64::from(u32::from_be_bytes(source.array("the IDX sizes")?));
    let mut elements = Some(1u64);
    for _ in 1..dimensions {
        let size = u32::from_be_bytes(source.array("the IDX sizes")?);
        elements = elements.and_then(|product| product.checked_mul(u64::from(size)));
    }
    let promised = elements.and_then(|elements| rows.checked_mul(elements));
    let shape = match elements {
        Some(elements) => format!("{rows} rows of {elements} bytes"),
        None => format!("{rows} rows of more than 2^64 bytes"),
    };
    check_promise(&path, source.offset(), promised, source.remaining(), &shape)?;
    Ok((rows, if dimensions > 1 { elements } else { None }))
}
