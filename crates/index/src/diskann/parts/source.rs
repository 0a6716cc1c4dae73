//! Vectors that are read where they lie, a run of rows at a time.

use vecdb_storage::DiskRead;
use vecdb_vector::ElementType;

use crate::IndexError;

/// Rows of vectors on the disk, one after the other, without gaps.
pub struct FileVectors {
    file: Box<dyn DiskRead>,
    element: ElementType,
    dim: usize,
    rows: u32,
}

impl FileVectors {
    /// The rows that fill `file`.
    ///
    /// # Errors
    /// A length that is no whole number of rows.
    pub fn new(
        file: Box<dyn DiskRead>,
        element: ElementType,
        dim: usize,
    ) -> Result<Self, IndexError> {
        let each = element.bytes(dim) as u64;
        let rows = file.len().checked_div(each).unwrap_or(0);
        match u32::try_from(rows) {
            Ok(rows) if u64::from(rows) * each == file.len() && each > 0 => Ok(Self {
                file,
                element,
                dim,
                rows,
            }),
            _ => Err(IndexError::Mismatch {
                what: "bytes of the vectors",
                expected: format!("a multiple of {each}, for at most {} rows", u32::MAX),
                got: file.len().to_string(),
            }),
        }
    }

    /// The type of the numbers.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Numbers of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub(super) fn row_bytes(&self) -> usize {
        self.element.bytes(self.dim)
    }

    /// Fills `out` with whole rows, from `first` on.
    pub(super) fn read(&self, first: u32, out: &mut [u8]) -> Result<(), IndexError> {
        let offset = u64::from(first) * self.row_bytes() as u64;
        let read = self.file.read_at(offset, out);
        read.map_err(|source| IndexError::Vectors { row: first, source })
    }

    /// The rows listed, which ascend, one after the other: the file is read from front to back.
    pub(super) fn gather(&self, rows: &[u32], chunk_rows: u32) -> Result<Vec<u8>, IndexError> {
        let each = self.row_bytes();
        let mut out = Vec::with_capacity(rows.len() * each);
        let mut chunk = Vec::new();
        let mut rest = rows;
        while let Some(&first) = rest.first() {
            let end = first.saturating_add(chunk_rows).min(self.rows);
            let (inside, after) = rest.split_at(rest.partition_point(|&row| row < end));
            rest = after;
            let last = inside.last().copied().unwrap_or(first);
            chunk.resize((last - first + 1) as usize * each, 0);
            self.read(first, &mut chunk)?;
            for &row in inside {
                let start = (row - first) as usize * each;
                out.extend_from_slice(&chunk[start..start + each]);
            }
        }
        Ok(out)
    }
}
