//! Result ids as a .npy file of int32, shape (queries, k).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use vecdb_vector::Neighbor;

use crate::Outcome;

/// What stands where fewer than `k` were found.
const NONE: i32 = -1;

/// The rows found for each query.
pub(crate) struct Ids {
    k: usize,
    values: Vec<i32>,
}

impl Ids {
    pub(crate) fn new(k: usize, queries: usize) -> Self {
        Self {
            k,
            values: Vec::with_capacity(k.saturating_mul(queries)),
        }
    }

    /// The hits of the next query; those after the first `k` are left out.
    pub(crate) fn push(&mut self, rows: impl Iterator<Item = u32>) {
        let end = self.values.len() + self.k;
        self.values.extend(
            rows.take(self.k)
                .map(|row| i32::try_from(row).unwrap_or(NONE)),
        );
        self.values.resize(end, NONE);
    }

    pub(crate) fn push_neighbors(&mut self, hits: &[Neighbor]) {
        self.push(hits.iter().map(|hit| hit.row.0));
    }

    /// Appends the queries of another part.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.values.append(&mut other.values);
    }

    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let failed = |error| format!("{}: {error}", path.display());
        let mut file = BufWriter::new(File::create(path).map_err(failed)?);
        file.write_all(&npy_header(self.values.len() / self.k.max(1), self.k))
            .map_err(failed)?;
        file.write_all(bytemuck::cast_slice(&self.values))
            .map_err(failed)?;
        file.flush().map_err(failed)?;
        Ok(())
    }
}

/// Magic, version 1.0, length, and the dict, padded so that the data starts at a multiple of 64.
fn npy_header(rows: usize, columns: usize) -> Vec<u8> {
    let dict =
        format!("{{'descr': '<i4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let length = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(length as u16).to_le_bytes());
    header.extend_from_slice(format!("{dict:<width$}\n", width = length - 1).as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_with_missing_hits_marked() {
        let path = std::env::temp_dir().join(format!("vecdb-bench-ids-{}.npy", std::process::id()));
        let mut ids = Ids::new(2, 2);
        ids.push([7, 8, 9].into_iter());
        ids.push([5].into_iter());
        ids.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes.len() % 64, 16);
        let data = &bytes[bytes.len() - 16..];
        let values: Vec<i32> = data
            .as_chunks()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b))
            .collect();
        assert_eq!(values, [7, 8, 5, NONE]);
        assert!(String::from_utf8_lossy(&bytes).contains("'shape': (2, 2)"));
    }
}
