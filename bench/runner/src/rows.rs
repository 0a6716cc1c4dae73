//! Vectors from a file, held as float32, with norms where the metric reads them.

use std::path::Path;

use vecdb_dataset::{VectorInfo, open_vectors};
use vecdb_engine::{ElementType, Metric};
use vecdb_vector::{VectorRows, decode_row, inverse_norm};

use crate::Outcome;
use crate::aligned::AlignedFloats;

/// Bytes read at once.
const CHUNK_BYTES: usize = 8 << 20;

/// Rows of float32.
pub(crate) struct Rows {
    pub(crate) dim: usize,
    pub(crate) values: AlignedFloats,
    /// One inverse norm per row, once [`Rows::measure`] was called under a metric that needs them.
    norms: Vec<f32>,
}

impl Rows {
    /// Reads a file, or its first `limit` rows.
    pub(crate) fn read(path: &Path, limit: Option<u32>) -> Outcome<Self> {
        let mut reader = open_vectors(path)?;
        let VectorInfo { dim, element, .. } = *reader.info();
        let mut left = limit.map_or(usize::MAX, |limit| limit as usize);
        let chunk_rows = (CHUNK_BYTES / element.bytes(dim).max(1)).max(1);
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        while left > 0 {
            bytes.clear();
            let read = reader.read(chunk_rows.min(left), &mut bytes)?;
            if read == 0 {
                break;
            }
            left -= read;
            for row in bytes.chunks_exact(element.bytes(dim)) {
                decode_row(element, dim, row, &mut values);
            }
        }
        if values.is_empty() {
            return Err(format!("{} holds no vectors", path.display()).into());
        }
        Ok(Self {
            dim,
            values: AlignedFloats::collect(values.len(), values.iter().copied())?,
            norms: Vec::new(),
        })
    }

    /// Computes what exact search and index builds under `metric` read beside the vectors.
    pub(crate) fn measure(&mut self, metric: Metric) {
        if metric.needs_norms() && self.norms.is_empty() {
            let row =
                |row: &[f32]| inverse_norm(ElementType::F32, self.dim, bytemuck::cast_slice(row));
            self.norms = self.values.chunks_exact(self.dim).map(row).collect();
        }
    }

    /// The rows as kernels and indexes take them.
    pub(crate) fn view(&self) -> Outcome<VectorRows<'_>> {
        let rows = VectorRows::from_f32(self.dim, &self.values)?;
        Ok(if self.norms.is_empty() {
            rows
        } else {
            rows.with_inverse_norms(&self.norms)?
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Bytes of vectors and norms.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.values) + size_of_val(self.norms.as_slice())
    }

    /// One row.
    pub(crate) fn row(&self, number: usize) -> &[f32] {
        &self.values[number * self.dim..][..self.dim]
    }

    /// The rows one by one.
    pub(crate) fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dim)
    }
}
