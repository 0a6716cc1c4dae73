//! [`QuantizedQuery`]: a query, made ready for the codes of one quantizer; and the scan of codes with it.

use std::ops::Range;

use vecdb_vector::{
    Kernels, Metric, SCAN_ROWS, STEP_COLUMNS_MAX, byte_steps, byte_sums, nibble_sums,
};

use super::packed::{CodedRows, Packing, read_bits, widened};
use super::{Kind, Quantizer};
use crate::IndexError;

/// Tables of a query: what each value of each column adds to the distance (asymmetric distance computation, Jégou,
/// Douze and Schmid 2011, section 3). Made once per query, for any number of codes.
#[derive(Debug, Clone, Default)]
pub struct QuantizedQuery {
    /// Centred and rotated.
    values: Vec<f32>,
    part: Vec<f32>,
    tables: Vec<f32>,
    /// The same in steps, for columns of four bits rounded, for columns of eight bits rounded down: `offset + step * sum`
    /// stands for a sum of `tables`.
    steps: Vec<u8>,
    offset: f32,
    step: f32,
    /// Of the values.
    sum: f32,
    square: f32,
}

/// What a query has in common with rows that were centred on one place.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Near {
    /// Squared distance to the place, or the negative inner product.
    pub(crate) base: f32,
    /// Distance to the place; for inner products the length of the query.
    pub(crate) norm: f32,
}

/// What is scanned, and how.
#[derive(Copy, Clone)]
pub(crate) struct Scan<'a> {
    pub(crate) quantizer: &'a Quantizer,
    pub(crate) codes: &'a CodedRows,
    pub(crate) near: Near,
    /// Of rows whose bound lies beyond it infinity may be told.
    pub(crate) threshold: f32,
}

/// Memory that scans use again, and the instruction set they use.
#[derive(Debug)]
pub struct ScanBuffer {
    pub(crate) kernels: Kernels,
    sums: Vec<u32>,
    steps: Vec<u16>,
    floats: Vec<f32>,
}

impl Default for ScanBuffer {
    /// For the best kernels of this machine.
    fn default() -> Self {
        Self::with_kernels(Kernels::detect())
    }
}

impl ScanBuffer {
    /// For the given kernels.
    pub fn with_kernels(kernels: Kernels) -> Self {
        Self {
            kernels,
            sums: Vec::new(),
            steps: Vec::new(),
            floats: Vec::new(),
        }
    }
}

impl QuantizedQuery {
    /// What it has in common with rows that are centred where it is itself.
    pub(super) fn near(&self, metric: Metric) -> Near {
        Near {
            base: if metric == Metric::Dot {
                0.0
            } else {
                self.square
            },
            norm: self.square.sqrt(),
        }
    }

    /// The length of the query (from the mean, but for inner products).
    pub(crate) fn norm(&self) -> f32 {
        self.square.sqrt()
    }

    pub(super) fn set(&mut self, quantizer: &Quantizer, values: &[f32]) {
        self.part.clear();
        self.part.extend_from_slice(values);
        quantizer.centre(&mut self.part);
        self.square = super::linear::dot(&self.part, &self.part);
        quantizer.turn(&self.part, &mut self.values);
        self.sum = self.values.iter().sum();
        let product = quantizer.metric() == Metric::Dot;
        match &quantizer.kind {
            Kind::Product(books) => {
                let scale = if product { -1.0 } else { -2.0 };
                let norms = !product && !quantizer.listed;
                if books.bits == 1 {
                    books.tables(&self.values, scale, norms, &mut self.part);
                    merge_bits(&self.part, &mut self.tables);
                } else {
                    books.tables(&self.values, scale, norms, &mut self.tables);
                }
            }
            Kind::Rabitq(codes) => codes.tables(&self.values, &mut self.tables),
        }
        match quantizer.shape().packing {
            Packing::Nibbles => self.round::<16>(quantizer.shape().padded_columns(), 0.5),
            Packing::Bytes => self.round::<256>(quantizer.shape().columns, 0.0),
            Packing::Bits(_) => {}
        }
    }

    /// One step for all tables: that of the one which spans most, in 255 steps; to the nearest (`up` 0.5) or down (0).
    fn round<const ENTRIES: usize>(&mut self, columns: usize, up: f32) {
        self.steps.clear();
        self.steps.resize(columns * ENTRIES, 0);
        let (mut widest, mut offset) = (0.0f32, 0.0f32);
        let ends = |table: &[f32; ENTRIES]| {
            let low = table.iter().fold(f32::INFINITY, |low, &v| low.min(v));
            let high = table.iter().fold(f32::NEG_INFINITY, |high, &v| high.max(v));
            (low, high)
        };
        let tables = self.tables.as_chunks::<ENTRIES>().0;
        for table in tables {
            let (low, high) = ends(table);
            widest = widest.max(high - low);
            offset += low;
        }
        let inverse = 255.0 / widest;
        self.offset = offset;
        self.step = widest / 255.0;
        if !inverse.is_normal() {
            // Nothing to tell apart, or more than single precision holds.
            self.step = 0.0;
            return;
        }
        for (table, steps) in tables.iter().zip(self.steps.as_chunks_mut::<ENTRIES>().0) {
            let (low, _) = ends(table);
            for (value, step) in table.iter().zip(steps) {
                *step = ((value - low) * inverse + up) as u8;
            }
        }
    }

    /// Estimates the rows `places` of the codes into `out`: rank values, under cosine those of l2.
    pub(crate) fn scan(
        &self,
        scan: &Scan<'_>,
        places: Range<usize>,
        buffer: &mut ScanBuffer,
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        let Scan {
            quantizer,
            codes,
            near,
            ..
        } = *scan;
        let kernels = buffer.kernels;
        codes.check(&places, out.len())?;
        let shape = codes.shape();
        if places.is_empty() || shape != quantizer.shape() {
            out.fill(f32::INFINITY);
            return Ok(());
        }
        let blocks = places.start / SCAN_ROWS..places.end.div_ceil(SCAN_ROWS);
        let skipped = places.start - blocks.start * SCAN_ROWS;
        let bytes = codes.blocks(blocks.clone())?;
        match shape.packing {
            Packing::Nibbles => {
                buffer.sums.resize(blocks.len() * SCAN_ROWS, 0);
                nibble_sums(kernels, &self.steps, bytes, &mut buffer.sums);
                let sums = &buffer.sums[skipped..skipped + out.len()];
                for (out, &sum) in out.iter_mut().zip(sums) {
                    *out = self.offset + self.step * sum as f32;
                }
            }
            Packing::Bytes if self.may_filter(scan, kernels) => {
                let rows = (places, blocks.len(), skipped);
                return self.filter_bytes(scan, rows, bytes, buffer, out);
            }
            Packing::Bytes => {
                buffer.floats.resize(blocks.len() * SCAN_ROWS, 0.0);
                byte_sums(kernels, &self.tables, bytes, &mut buffer.floats);
                out.copy_from_slice(&buffer.floats[skipped..skipped + out.len()]);
            }
            Packing::Bits(bits) => {
                let rows = bytes.chunks_exact(shape.code_bytes()).skip(skipped);
                for (out, row) in out.iter_mut().zip(rows) {
                    *out = self.sum_of_bits(row, bits);
                }
            }
        }
        let base = near.base;
        match (shape.halves, shape.factors) {
            (0, 0) => out
                .iter_mut()
                .for_each(|out| *out = finite_or_far(base + *out)),
            (0, _) => {
                for (out, add) in out.iter_mut().zip(codes.factor(0, &places)?) {
                    *out = finite_or_far(base + add + *out);
                }
            }
            _ => {
                let (add, rescale) = (codes.half(0, &places)?, codes.half(1, &places)?);
                let shift = -0.5 * self.sum;
                for ((out, &add), &rescale) in out.iter_mut().zip(add).zip(rescale) {
                    let (add, rescale) = (widened(add), widened(rescale));
                    *out = finite_or_far(base + add + rescale * (*out + shift));
                }
                self.refine(scan, &places, bytes, out)?;
            }
        }
        Ok(())
    }

    /// Whether sums in steps can tell rows that cannot be near, faster than all sums can be taken.
    fn may_filter(&self, scan: &Scan<'_>, kernels: Kernels) -> bool {
        scan.threshold < f32::INFINITY
            && self.step > 0.0
            && kernels.permutes_bytes()
            && scan.codes.shape().columns <= STEP_COLUMNS_MAX
    }

    /// Estimates of rows of bytes: infinity where steps, which are rounded down, already sum to more than the threshold.
    fn filter_bytes(
        &self,
        scan: &Scan<'_>,
        (places, blocks, skipped): (Range<usize>, usize, usize),
        bytes: &[u8],
        buffer: &mut ScanBuffer,
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        let columns = scan.codes.shape().columns;
        buffer.steps.resize(blocks * SCAN_ROWS, 0);
        byte_steps(buffer.kernels, &self.steps, bytes, &mut buffer.steps);
        let sums = &buffer.steps[skipped..skipped + out.len()];
        let base = scan.near.base;
        match scan.codes.shape().factors {
            0 => out.fill(base),
            _ => {
                let add = scan.codes.factor(0, &places)?;
                out.iter_mut()
                    .zip(add)
                    .for_each(|(out, add)| *out = base + add);
            }
        }
        let least = self.offset - self.slack(base);
        for (i, (out, &sum)) in out.iter_mut().zip(sums).enumerate() {
            if *out + least + self.step * f32::from(sum) > scan.threshold {
                *out = f32::INFINITY;
                continue;
            }
            let (block, row) = ((skipped + i) / SCAN_ROWS, (skipped + i) % SCAN_ROWS);
            let codes = bytes[block * columns * SCAN_ROWS..]
                .as_chunks::<SCAN_ROWS>()
                .0;
            let tables = self.tables.as_chunks::<256>().0.iter().zip(codes);
            let sum: f32 = tables
                .map(|(table, codes)| table[usize::from(codes[row])])
                .sum();
            *out = finite_or_far(*out + sum);
        }
        Ok(())
    }

    /// What single precision may have lost of a sum.
    fn slack(&self, base: f32) -> f32 {
        1e-5 * (base.abs() + self.offset.abs() + 255.0 * self.step)
    }

    /// The estimates of rows that may be near by all bits of their codes.
    fn refine(
        &self,
        scan: &Scan<'_>,
        places: &Range<usize>,
        blocks: &[u8],
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        let Scan {
            quantizer,
            codes,
            near,
            threshold,
            ..
        } = *scan;
        let Kind::Rabitq(rabitq) = &quantizer.kind else {
            return Ok(());
        };
        if rabitq.bits == 1 {
            return Ok(());
        }
        let (add, rescale) = (codes.factor(0, places)?, codes.factor(1, places)?);
        let coarse = codes.half(1, places)?;
        let columns = codes.shape().padded_columns();
        let first = places.start / SCAN_ROWS * SCAN_ROWS;
        for (i, out) in out.iter_mut().enumerate() {
            if *out - rabitq.error(1, widened(coarse[i]), near.norm) > threshold {
                *out = f32::INFINITY;
                continue;
            }
            let place = places.start + i;
            let (block, row) = ((place - first) / SCAN_ROWS, place % SCAN_ROWS);
            let at = row % 8 * 2 + row % 16 / 8;
            let column = blocks[block * columns * 16..].iter().skip(at).step_by(16);
            let signs = column.map(|byte| byte >> (row / 16 * 4));
            let with = rabitq.product(signs, codes.extra(place)?, &self.tables, self.sum);
            *out = finite_or_far(near.base + add[i] + rescale[i] * with);
        }
        Ok(())
    }

    /// The estimate of one row of bytes, and the bound of its error where the codes have one.
    pub(super) fn estimate(
        &self,
        quantizer: &Quantizer,
        row: &[u8],
        near: Near,
    ) -> (f32, Option<f32>) {
        let shape = quantizer.shape();
        let factors = shape.factors_of(row);
        match &quantizer.kind {
            Kind::Product(_) => {
                let sum = match shape.packing {
                    Packing::Nibbles => self.sum_of_bits(row, 4),
                    Packing::Bytes => self.sum_of_bits(row, 8),
                    Packing::Bits(bits) => self.sum_of_bits(row, bits),
                };
                (near.base + factors[0] + sum, None)
            }
            Kind::Rabitq(rabitq) => {
                let (code, rest) = row.split_at(shape.code_bytes());
                let signs = code.iter().flat_map(|byte| [byte & 15, byte >> 4]);
                let planes = &rest[shape.factor_bytes()..];
                let with = rabitq.product(signs, planes, &self.tables, self.sum);
                let last = shape.halves + shape.factors;
                let [add, rescale] = [factors[last - 2], factors[last - 1]];
                let error = rabitq.error(rabitq.bits, factors[1], near.norm);
                (near.base + add + rescale * with, Some(error))
            }
        }
    }

    fn sum_of_bits(&self, row: &[u8], bits: u32) -> f32 {
        let tables = self.tables.chunks_exact(1 << bits).enumerate();
        tables
            .map(|(c, table)| table[read_bits(row, c * bits as usize, bits)])
            .sum()
    }
}

/// Four tables of two entries each as one of sixteen.
fn merge_bits(two: &[f32], out: &mut Vec<f32>) {
    out.clear();
    for four in two.chunks(8) {
        out.extend((0..16).map(|code: usize| -> f32 {
            let pairs = four.as_chunks::<2>().0.iter().enumerate();
            pairs.map(|(bit, pair)| pair[code >> bit & 1]).sum()
        }));
    }
}

/// What single precision cannot say is far away.
#[inline]
fn finite_or_far(value: f32) -> f32 {
    value.min(f32::INFINITY)
}
