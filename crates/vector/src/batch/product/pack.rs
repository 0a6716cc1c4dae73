//! Queries and rows as f32 in the order in which the product kernels read them.

use super::bounds::{Bounds, square};
use crate::{Query, RowId, VectorRows, decode_row};

/// All queries, in panels of `[depth][queries of a panel]`, the last filled up with zeros.
pub(super) struct PackedQueries {
    pub(super) dim: usize,
    panel: usize,
    values: Vec<f32>,
    pub(super) offsets: Vec<f32>,
    /// Multiplies a rank value into the scale of the keys.
    pub(super) scales: Vec<f32>,
    /// Queries that must be scanned directly, and the rest of the last panel.
    pub(super) outliers: Vec<bool>,
}

impl PackedQueries {
    pub(super) fn new(queries: &[Query], bounds: &Bounds, panel: usize) -> Self {
        let dim = bounds.dim();
        let padded = queries.len().next_multiple_of(panel);
        let mut packed = PackedQueries {
            dim,
            panel,
            values: vec![0.0; padded * dim],
            offsets: vec![0.0; padded],
            scales: vec![1.0; padded],
            outliers: vec![true; padded],
        };
        let mut numbers = Vec::with_capacity(dim);
        for (q, query) in queries.iter().enumerate() {
            numbers.clear();
            decode_row(query.encoding(), dim, query.bytes(), &mut numbers);
            if let Some(part) = bounds.query(square(&numbers)) {
                packed.offsets[q] = part.offset;
                packed.scales[q] = bounds.scale(&part);
                packed.outliers[q] = false;
                for number in &mut numbers {
                    *number *= part.factor;
                }
                let values = &mut packed.values[(q / panel) * panel * dim..][..panel * dim];
                interleave(&numbers, q % panel, panel, values);
            }
        }
        packed
    }

    pub(super) fn panels(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.panel * self.dim)
    }
}

/// A block of rows, in tiles of `[depth][rows of a tile]`, the last filled up with zeros.
pub(super) struct PackedRows {
    bounds: Bounds,
    tile: usize,
    numbers: Vec<f32>,
    pub(super) values: Vec<f32>,
    pub(super) ids: Vec<RowId>,
    pub(super) offsets: Vec<f32>,
    pub(super) factors: Vec<f32>,
    /// Rows of all blocks that must be measured exactly; they are not packed.
    pub(super) outliers: Vec<RowId>,
}

impl PackedRows {
    pub(super) fn new(bounds: Bounds, tile: usize) -> Self {
        PackedRows {
            bounds,
            tile,
            numbers: Vec::with_capacity(bounds.dim()),
            values: Vec::new(),
            ids: Vec::new(),
            offsets: Vec::new(),
            factors: Vec::new(),
            outliers: Vec::new(),
        }
    }

    /// Replaces the block.
    pub(super) fn pack(&mut self, rows: VectorRows<'_>, block: &[RowId]) {
        let dim = self.bounds.dim();
        self.ids.clear();
        self.offsets.clear();
        self.factors.clear();
        self.values
            .resize(block.len().next_multiple_of(self.tile) * dim, 0.0);
        for &row in block {
            self.numbers.clear();
            decode_row(rows.element(), dim, rows.row_bytes(row), &mut self.numbers);
            let Some(part) = self.bounds.row(square(&self.numbers)) else {
                self.outliers.push(row);
                continue;
            };
            let at = self.ids.len();
            let values = &mut self.values[(at / self.tile) * self.tile * dim..][..self.tile * dim];
            interleave(&self.numbers, at % self.tile, self.tile, values);
            self.ids.push(row);
            self.offsets.push(part.offset);
            self.factors.push(part.factor);
        }
        // What is left of the last tile keeps old numbers: nobody reads those products.
        self.values.truncate(self.padded_len() * dim);
    }

    /// Rows of the block with the rest of its last tile.
    pub(super) fn padded_len(&self) -> usize {
        self.ids.len().next_multiple_of(self.tile)
    }
}

/// Writes the numbers of one vector into its place among `width` interleaved ones.
pub(in crate::batch) fn interleave(numbers: &[f32], place: usize, width: usize, out: &mut [f32]) {
    for (&number, out) in numbers.iter().zip(out.chunks_exact_mut(width)) {
        out[place] = number;
    }
}
