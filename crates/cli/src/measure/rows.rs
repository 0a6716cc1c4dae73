//! A vector file in memory, ready to be searched.

use std::path::Path;

use vecdb_dataset::{VectorInfo, open_vectors};
use vecdb_engine::{ElementType, ErrorKind, Metric};
use vecdb_vector::{VectorRows, inverse_norm};

use crate::failure::{Failure, Outcome};
use crate::output::{Bar, Console};

/// Bytes read at once.
const CHUNK_BYTES: usize = 8 << 20;

/// All rows of a file, with the norms that the metric needs.
pub(crate) struct Rows {
    element: ElementType,
    dim: usize,
    rows: u32,
    bytes: Vec<u8>,
    norms: Vec<f32>,
}

impl Rows {
    /// Reads a whole file, with a progress bar.
    pub(crate) fn load(
        console: &Console,
        path: &Path,
        metric: Metric,
        threads: usize,
    ) -> Outcome<Self> {
        let mut reader = open_vectors(path)?;
        let info = reader.info().clone();
        let (element, dim) = search_shape(&info, metric)?;
        let row_bytes = info.row_bytes();
        let bar = Bar::new(console, "loading", info.rows);
        let mut bytes = Vec::new();
        // At once, so that growing does not take twice the memory; but what a header promises is believed only as far
        // as the file is that long.
        let promised = info.rows.unwrap_or(0).saturating_mul(row_bytes as u64);
        if std::fs::metadata(path).is_ok_and(|file| promised <= file.len()) {
            bytes
                .try_reserve_exact(promised as usize)
                .map_err(|error| {
                    Failure::new(
                        ErrorKind::ResourceExhausted,
                        format!("{}: {error}", path.display()),
                    )
                })?;
        }
        let mut rows = 0u64;
        loop {
            let read = reader.read((CHUNK_BYTES / row_bytes).max(1), &mut bytes)?;
            if read == 0 {
                break;
            }
            rows += read as u64;
            bar.set(rows);
        }
        let rows = u32::try_from(rows).map_err(|_| too_many(path, rows))?;
        let mut loaded = Self {
            element,
            dim,
            rows,
            bytes,
            norms: Vec::new(),
        };
        if metric.needs_norms() {
            loaded.norms = inverse_norms(loaded.bare()?, threads);
        }
        Ok(loaded)
    }

    pub(crate) fn view(&self) -> Outcome<VectorRows<'_>> {
        let rows = self.bare()?;
        Ok(if self.norms.is_empty() {
            rows
        } else {
            rows.with_inverse_norms(&self.norms)?
        })
    }

    fn bare(&self) -> Outcome<VectorRows<'_>> {
        Ok(VectorRows::new(
            self.element,
            self.dim,
            self.element.bytes(self.dim),
            self.rows,
            &self.bytes,
        )?)
    }

    pub(crate) fn element(&self) -> ElementType {
        self.element
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn len(&self) -> u32 {
        self.rows
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// How the rows of a file are searched: as they are, or (Hamming, Jaccard) the bytes of a u8 file as packed bits.
pub(crate) fn search_shape(info: &VectorInfo, metric: Metric) -> Outcome<(ElementType, usize)> {
    let (element, dim) = match info.element {
        ElementType::U8 if metric.supports(ElementType::Bits) => (ElementType::Bits, info.dim * 8),
        element => (element, info.dim),
    };
    if metric.supports(element) {
        return Ok((element, dim));
    }
    Err(Failure::usage(format!(
        "{}: metric {metric} does not work on {element} vectors; it takes packed bits in a u8 file",
        info.source
    )))
}

/// One inverse norm per row, computed by several threads.
pub(crate) fn inverse_norms(rows: VectorRows<'_>, threads: usize) -> Vec<f32> {
    let mut norms = vec![0.0f32; rows.len() as usize];
    let block = norms.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        for (at, block_norms) in norms.chunks_mut(block).enumerate() {
            scope.spawn(move || {
                for (row, norm) in (at * block..).zip(block_norms) {
                    *norm = inverse_norm(
                        rows.element(),
                        rows.dim(),
                        rows.row_bytes((row as u32).into()),
                    );
                }
            });
        }
    });
    norms
}

pub(crate) fn too_many(path: &Path, rows: u64) -> Failure {
    Failure::new(
        ErrorKind::ResourceExhausted,
        format!(
            "{}: {rows} rows; at most {} can be searched at once, split the file",
            path.display(),
            u32::MAX
        ),
    )
}
