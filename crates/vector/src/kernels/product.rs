//! Matrix products of packed rows and packed queries, and the comparison of what they yield with
//! the thresholds of the queries: the two inner loops of `scan_batch`.
//!
//! Register tiling after Goto and van de Geijn, "Anatomy of High-Performance Matrix
//! Multiplication" (ACM TOMS 34, 2008): a tile of `MR` rows x `NV` vectors of queries stays in
//! registers while the depth is walked; a step loads `NV` vectors of the queries and broadcasts
//! `MR` numbers of the rows. The depth is cut into blocks, so that a block of queries stays in
//! the second-level cache for all rows, and so that no sum is longer than a block.

use super::step::FloatLanes;

/// Depth walked in one go. Sums within a block are sequential: this bounds their rounding error.
pub(crate) const DEPTH_BLOCK: usize = 256;

/// A row and a query of a block of products, as positions in the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) row: u32,
    pub(crate) query: u32,
}

/// How a product `c` becomes a key to compare: `offset[row] + offset[query] + factor[row] * c`.
pub(crate) struct Keys<'a> {
    pub(crate) row_offsets: &'a [f32],
    pub(crate) row_factors: &'a [f32],
    pub(crate) query_offsets: &'a [f32],
    /// A key at or below the threshold of its query is a candidate.
    pub(crate) thresholds: &'a [f32],
}

/// The product kernels of an instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Products {
    /// Rows of a tile; rows are packed `[tile][depth][rows of a tile]`.
    pub(crate) tile_rows: usize,
    /// Queries of a panel; queries are packed `[depth][queries of a panel]`.
    pub(crate) panel_queries: usize,
    pub(super) multiply: unsafe fn(usize, &[f32], &[f32], &mut [f32]),
    pub(super) select: unsafe fn(&Keys<'_>, &[f32], &mut Vec<Candidate>),
}

impl Products {
    /// Inner products of the packed `rows` with one packed panel of queries, into
    /// `out[row][query of the panel]`.
    ///
    /// # Panics
    /// When the lengths are not those of whole tiles and one panel.
    pub(crate) fn multiply(&self, depth: usize, rows: &[f32], queries: &[f32], out: &mut [f32]) {
        let tiles = rows.len() / (self.tile_rows * depth);
        assert_eq!(rows.len(), tiles * self.tile_rows * depth, "packed rows");
        assert_eq!(queries.len(), self.panel_queries * depth, "packed queries");
        assert_eq!(
            out.len(),
            tiles * self.tile_rows * self.panel_queries,
            "products"
        );
        // SAFETY: the lengths fit, as asserted; these are the loops of an instruction set that
        // the CPU has, since `Kernels` handed them out.
        unsafe { (self.multiply)(depth, rows, queries, out) };
    }

    /// Appends the candidates among `products`, as [`Products::multiply`] left them.
    ///
    /// # Panics
    /// When there are offsets or thresholds for other numbers of rows or queries.
    pub(crate) fn select(&self, keys: &Keys<'_>, products: &[f32], out: &mut Vec<Candidate>) {
        let rows = keys.row_offsets.len();
        assert_eq!(keys.row_factors.len(), rows, "row factors");
        assert_eq!(keys.query_offsets.len(), self.panel_queries, "offsets");
        assert_eq!(keys.thresholds.len(), self.panel_queries, "thresholds");
        assert!(products.len() >= rows * self.panel_queries, "products");
        // SAFETY: as in `multiply`.
        unsafe { (self.select)(keys, products, out) };
    }
}

#[inline(always)]
pub(super) unsafe fn multiply<F: FloatLanes, const MR: usize, const NV: usize>(
    depth: usize,
    rows: &[f32],
    queries: &[f32],
    out: &mut [f32],
) {
    let mut start = 0;
    while start < depth {
        let end = (start + DEPTH_BLOCK).min(depth);
        let tiles = rows.chunks_exact(MR * depth);
        for (tile, out) in tiles.zip(out.chunks_exact_mut(MR * NV * F::LANES)) {
            // SAFETY: the slices hold `end - start` steps from here on, and MR x NV vectors.
            unsafe {
                tile_product::<F, MR, NV>(
                    end - start,
                    tile.as_ptr().add(start * MR),
                    queries.as_ptr().add(start * NV * F::LANES),
                    out.as_mut_ptr(),
                    start == 0,
                );
            }
        }
        start = end;
    }
}

/// One tile over a block of the depth; adds to `out` unless it is the `first` block.
#[inline(always)]
unsafe fn tile_product<F: FloatLanes, const MR: usize, const NV: usize>(
    depth: usize,
    rows: *const f32,
    queries: *const f32,
    out: *mut f32,
    first: bool,
) {
    // SAFETY: the caller vouches for `depth` steps of both operands and MR x NV vectors of `out`.
    unsafe {
        let mut sums = [[F::zero(); NV]; MR];
        for step in 0..depth {
            let row = rows.add(step * MR);
            let query = queries.add(step * NV * F::LANES);
            // No closures here: one that the compiler does not inline loses the instruction set.
            let mut loaded = [F::zero(); NV];
            for (v, loaded) in loaded.iter_mut().enumerate() {
                *loaded = F::load_f32(query.add(v * F::LANES).cast());
            }
            for (m, sums) in sums.iter_mut().enumerate() {
                let x = F::splat(*row.add(m));
                for (sum, q) in sums.iter_mut().zip(loaded) {
                    *sum = F::mul_add(x, q, *sum);
                }
            }
        }
        for (i, &sum) in sums.as_flattened().iter().enumerate() {
            let at = out.add(i * F::LANES);
            let before = if first {
                F::zero()
            } else {
                F::load_f32(at.cast())
            };
            F::store(F::add(before, sum), at);
        }
    }
}

#[inline(always)]
pub(super) unsafe fn select<F: FloatLanes, const NV: usize>(
    keys: &Keys<'_>,
    products: &[f32],
    out: &mut Vec<Candidate>,
) {
    let rows = products.chunks_exact(NV * F::LANES);
    let keys_of_rows = keys.row_offsets.iter().zip(keys.row_factors);
    for (row, (products, (&offset, &factor))) in rows.zip(keys_of_rows).enumerate() {
        for v in 0..NV {
            let at = v * F::LANES;
            // SAFETY: all slices hold NV vectors, as `Products::select` asserted.
            let near = unsafe {
                let offset = F::add(
                    F::splat(offset),
                    F::load_f32(keys.query_offsets.as_ptr().add(at).cast()),
                );
                let product = F::load_f32(products.as_ptr().add(at).cast());
                let key = F::mul_add(F::splat(factor), product, offset);
                let threshold = F::load_f32(keys.thresholds.as_ptr().add(at).cast());
                F::at_most(key, threshold)
            };
            let mut near = near;
            while near != 0 {
                out.push(Candidate {
                    row: row as u32,
                    query: at as u32 + near.trailing_zeros(),
                });
                near &= near - 1;
            }
        }
    }
}
