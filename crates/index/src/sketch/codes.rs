//! [`Sketches`]: codes and factors of some rows.

use vecdb_vector::{CODE_GROUP, Metric, RowId, VectorRows, decode_row};

use super::SketchSpace;

/// Share of a row's length that a code is taken to miss at least. Where less is missed (few dimensions), the bound
/// would shrink to nothing and forget that the query is rounded as well.
pub(super) const MISSED_MIN: f32 = 0.36;
/// What single precision may have lost of a distance, as a share of the squared lengths involved.
pub(super) const ROUNDING: f32 = 1e-5;

/// Codes of some rows of one [`SketchSpace`], about an eighth of a byte per dimension and 12 bytes a row.
///
/// The estimated rank of row `r`, for a rotated query `q'` with the constant `a`, is
/// `add[r] + a + rescale[r] * <2u - 1, q'> / 2` with the code `u`; its error is in all likelihood below
/// `error[r] * |q'| * eps`. A row that single precision does not hold has `add` = -infinity: always measured.
#[derive(Debug, Clone, Default)]
pub struct Sketches {
    rows: u32,
    words: usize,
    /// Interleaved as [`plane_dots`](vecdb_vector::plane_dots) reads them, the last group filled up.
    codes: Vec<u64>,
    /// One of each per row, filled up with NaN.
    add: Vec<f32>,
    rescale: Vec<f32>,
    error: Vec<f32>,
}

impl Sketches {
    /// Sketches of `rows`, in their order.
    ///
    /// # Panics
    /// When the rows are of another element type or dimension than the space.
    pub fn encode(space: &SketchSpace, rows: VectorRows<'_>) -> Self {
        assert!(
            rows.element() == space.element() && rows.dim() == space.dim(),
            "rows of {} x {} in a space of {} x {}",
            rows.dim(),
            rows.element(),
            space.dim(),
            space.element()
        );
        let mut sketches = Self::sized(rows.len(), space.words());
        let mut values = Vec::with_capacity(space.padded_dim());
        for row in 0..rows.len() {
            values.clear();
            let bytes = rows.row_bytes(RowId(row));
            decode_row(rows.element(), rows.dim(), bytes, &mut values);
            sketches.set(row as usize, space, &mut values);
        }
        sketches
    }

    /// Rows sketched.
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        (self.codes.len() * 8 + self.add.len() * 3 * 4) as u64
    }

    /// 64-bit words of a code.
    pub fn words(&self) -> usize {
        self.words
    }

    /// The codes of the rows from `first`, the start of a group.
    pub(super) fn codes(&self, first: usize, rows: usize) -> &[u64] {
        &self.codes[first * self.words..(first + rows) * self.words]
    }

    /// `add` and `rescale` of the rows from `first`.
    pub(super) fn factors(&self, first: usize, rows: usize) -> (&[f32], &[f32]) {
        let range = first..first + rows;
        (&self.add[range.clone()], &self.rescale[range])
    }

    /// One error factor per row and for the rest of the last group.
    pub(super) fn errors(&self) -> &[f32] {
        &self.error
    }

    /// Estimated rank of one row and the bound of its error.
    #[cfg(test)]
    pub(super) fn estimate(&self, row: usize, query: &super::SketchQuery) -> (f32, f32) {
        let group = row / CODE_GROUP * CODE_GROUP;
        let mut dots = [0; CODE_GROUP];
        let kernels = vecdb_vector::Kernels::detect();
        let codes = self.codes(group, CODE_GROUP);
        vecdb_vector::plane_dots(kernels, &query.planes, codes, self.words, &mut dots);
        let rotated = query.scale * dots[row - group] as f32 + query.offset;
        let estimate = self.add[row] + query.add + self.rescale[row] * rotated;
        (estimate, query.error * self.error[row])
    }

    /// Everything, NaNs included, in comparable form.
    #[cfg(test)]
    pub(super) fn to_bits(&self) -> (Vec<u64>, Vec<u32>) {
        let factors = [&self.add, &self.rescale, &self.error];
        let factors = factors.into_iter().flatten().map(|f| f.to_bits());
        (self.codes.clone(), factors.collect())
    }

    fn sized(rows: u32, words: usize) -> Self {
        let filled = (rows as usize).next_multiple_of(CODE_GROUP);
        Self {
            rows,
            words,
            codes: vec![0; filled * words],
            add: vec![f32::NAN; filled],
            rescale: vec![f32::NAN; filled],
            error: vec![f32::NAN; filled],
        }
    }

    fn set(&mut self, row: usize, space: &SketchSpace, values: &mut Vec<f32>) {
        let factors = space.place(values).and_then(|placed| {
            let length_1 = sum_of_absolutes(values);
            let product = space.metric() != Metric::L2;
            let (add, slack, share) = if product {
                let length = placed.square.sqrt();
                (-placed.with_centre, length * space.centre_norm(), 0.5)
            } else {
                (placed.square, placed.square, 1.0)
            };
            let add = add - ROUNDING * slack;
            if placed.square == 0.0 {
                return add.is_finite().then_some((add, 0.0, 0.0));
            }
            // |r|^2 / |r|_1 = |r| / (x0 sqrt(D)) with x0 the cosine between the row and its code.
            let per_code = placed.square / length_1;
            let dim = values.len() as f32;
            let cosine_square = length_1 * length_1 / (placed.square * dim);
            let missed = (1.0 - cosine_square).max(MISSED_MIN);
            let rescale = -4.0 * share * per_code;
            let error = 2.0 * share * per_code * (missed * dim / (dim - 1.0)).sqrt();
            let finite = add.is_finite() && rescale.is_finite() && error.is_finite();
            (finite && add.abs() <= 1e30).then_some((add, rescale, error))
        });
        let Some((add, rescale, error)) = factors else {
            (self.add[row], self.rescale[row], self.error[row]) = (f32::NEG_INFINITY, 0.0, 0.0);
            return;
        };
        (self.add[row], self.rescale[row], self.error[row]) = (add, rescale, error);
        for (word, values) in values.as_chunks::<64>().0.iter().enumerate() {
            self.codes[word_at(self.words, row, word)] = signs(values);
        }
    }
}

/// Where a word of a row's code lies.
fn word_at(words: usize, row: usize, word: usize) -> usize {
    (row / CODE_GROUP * words + word) * CODE_GROUP + row % CODE_GROUP
}

/// Bit `i` is set where number `i` is not negative.
fn signs(values: &[f32; 64]) -> u64 {
    pack_bits(&values.map(|value| (!value.to_bits() >> 31) as u8))
}

/// The lowest bits of 64 bytes, the first in the lowest bit.
pub(super) fn pack_bits(bytes: &[u8; 64]) -> u64 {
    let eights = bytes.as_chunks::<8>().0.iter().enumerate();
    eights.fold(0, |word, (i, &eight)| {
        let ones = u64::from_le_bytes(eight) & 0x0101_0101_0101_0101;
        // Each product of a byte's bit and a bit of the factor lands apart; byte b reaches bit 56 + b.
        word | (ones.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (i * 8)
    })
}

fn sum_of_absolutes(values: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    for values in values.as_chunks::<16>().0 {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value.abs();
        }
    }
    sums.iter().sum()
}
