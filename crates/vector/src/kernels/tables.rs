//! Sums of looked-up table entries: the scan of product-quantized codes.
//!
//! [`nibble_sums`]: codes of four bits look up one byte each, sixteen rows with one shuffle
//! (André, Kermarrec and Le Scouarnec, "Cache locality is not enough", VLDB 2015; the layout is
//! that of faiss's FastScan). [`byte_sums`]: codes of eight bits gather one float each;
//! [`byte_steps`]: or look up one byte each, where one instruction does so for 64 rows.
//!
//! Rows lie in blocks of [`SCAN_ROWS`], column by column: one load holds the codes of many rows.

use super::{Isa, Kernels};

/// Rows of a block of interleaved codes.
pub const SCAN_ROWS: usize = 32;
/// Columns of [`nibble_sums`] come in groups of so many: 64 bytes.
pub const NIBBLE_COLUMNS: usize = 4;
/// Bytes of a column of four-bit codes of a block, and of its table.
const COLUMN: usize = 16;
/// Groups of columns whose entries, 255 at most, add up to 16 bits.
const GROUPS_MAX: usize = 64;
/// Entries of a table of [`byte_sums`] and [`byte_steps`].
const ENTRIES: usize = 256;
/// Columns of [`byte_steps`], at most: their sums fit 16 bits.
pub const STEP_COLUMNS_MAX: usize = 256;

/// The codes of a group of columns in a block, or their tables.
type Group = [u8; COLUMN * NIBBLE_COLUMNS];

/// The row of a block whose code is the low half of byte `byte` of a column; the high half is
/// that of the row 16 further on. In this order the even bytes are eight successive rows.
#[inline]
pub fn nibble_row(byte: usize) -> usize {
    byte % 2 * 8 + byte / 2
}

/// `out[r]`: the sum over all columns `c` of `tables[c * 16 + code]`, with the code of row `r`
/// in column `c`.
///
/// - `tables`: 16 bytes a column, a multiple of [`NIBBLE_COLUMNS`] columns;
/// - `codes`: blocks of [`SCAN_ROWS`] rows, each 16 bytes a column; see [`nibble_row`].
///
/// # Panics
/// When `out` is no whole number of blocks, `tables` no whole number of groups of columns, or
/// `codes` not of the size that they say.
pub fn nibble_sums(kernels: Kernels, tables: &[u8], codes: &[u8], out: &mut [u32]) {
    let (tables, []) = tables.as_chunks() else {
        panic!("{} bytes are no tables", tables.len());
    };
    let (out, []) = out.as_chunks_mut() else {
        panic!("{} rows are no blocks of {SCAN_ROWS}", out.len());
    };
    let codes = codes.as_chunks().0;
    assert_eq!(codes.len(), tables.len() * out.len(), "groups of codes");
    if tables.is_empty() {
        return out.fill([0; SCAN_ROWS]);
    }
    match kernels.isa {
        Isa::Portable => nibbles_portable(tables, codes, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernels` holds an instruction set only where this CPU has it.
        Isa::Avx2 => unsafe { x86::nibbles_avx2(tables, codes, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 => unsafe { x86::nibbles_avx512(tables, codes, out) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => arm::nibbles(tables, codes, out),
    }
}

/// `out[r]`: the sum over all columns `c` of `tables[c * 256 + code]`, with the code of row `r`
/// in column `c`.
///
/// - `tables`: 256 numbers a column;
/// - `codes`: blocks of [`SCAN_ROWS`] rows, each [`SCAN_ROWS`] bytes a column.
///
/// # Panics
/// When `out` is no whole number of blocks, `tables` no whole number of tables, or `codes` not of
/// the size that they say.
pub fn byte_sums(kernels: Kernels, tables: &[f32], codes: &[u8], out: &mut [f32]) {
    let (tables, []) = tables.as_chunks() else {
        panic!("{} numbers are no tables", tables.len());
    };
    let (out, []) = out.as_chunks_mut() else {
        panic!("{} rows are no blocks of {SCAN_ROWS}", out.len());
    };
    let codes = codes.as_chunks().0;
    assert_eq!(codes.len(), tables.len() * out.len(), "columns of codes");
    if tables.is_empty() {
        return out.fill([0.0; SCAN_ROWS]);
    }
    match kernels.isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernels` holds an instruction set only where this CPU has it.
        Isa::Avx2 => unsafe { x86::bytes_avx2(tables, codes, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 => unsafe { x86::bytes_avx512(tables, codes, out) },
        _ => bytes_portable(tables, codes, out),
    }
}

impl Kernels {
    /// Whether [`byte_steps`] is many times as fast as [`byte_sums`].
    pub fn permutes_bytes(self) -> bool {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512vbmi"),
            _ => false,
        }
    }
}

/// `out[r]`: the sum over all columns `c` of `tables[c * 256 + code]`, with the code of row `r`
/// in column `c`; codes as for [`byte_sums`].
///
/// # Panics
/// As [`byte_sums`], or when there are more than [`STEP_COLUMNS_MAX`] columns.
pub fn byte_steps(kernels: Kernels, tables: &[u8], codes: &[u8], out: &mut [u16]) {
    let (tables, []) = tables.as_chunks() else {
        panic!("{} bytes are no tables", tables.len());
    };
    let (out, []) = out.as_chunks_mut() else {
        panic!("{} rows are no blocks of {SCAN_ROWS}", out.len());
    };
    let codes = codes.as_chunks().0;
    assert_eq!(codes.len(), tables.len() * out.len(), "columns of codes");
    assert!(tables.len() <= STEP_COLUMNS_MAX, "{} columns", tables.len());
    if tables.is_empty() {
        return out.fill([0; SCAN_ROWS]);
    }
    #[cfg(target_arch = "x86_64")]
    if kernels.permutes_bytes() {
        // SAFETY: the CPU has the instructions, as has just been asked.
        return unsafe { x86::steps_avx512(tables, codes, out) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = kernels;
    steps_portable(tables, codes, out);
}

fn steps_portable(
    tables: &[[u8; ENTRIES]],
    codes: &[[u8; SCAN_ROWS]],
    out: &mut [[u16; SCAN_ROWS]],
) {
    for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
        out.fill(0);
        for (table, column) in tables.iter().zip(codes) {
            for (sum, &code) in out.iter_mut().zip(column) {
                *sum += u16::from(table[usize::from(code)]);
            }
        }
    }
}

fn nibbles_portable(tables: &[Group], codes: &[Group], out: &mut [[u32; SCAN_ROWS]]) {
    for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
        out.fill(0);
        for (tables, codes) in tables.iter().zip(codes) {
            let columns = codes.as_chunks::<COLUMN>().0;
            for (table, column) in tables.as_chunks::<COLUMN>().0.iter().zip(columns) {
                for (byte, code) in column.iter().enumerate() {
                    let row = nibble_row(byte);
                    out[row] += u32::from(table[usize::from(code & 15)]);
                    out[row + 16] += u32::from(table[usize::from(code >> 4)]);
                }
            }
        }
    }
}

fn bytes_portable(
    tables: &[[f32; ENTRIES]],
    codes: &[[u8; SCAN_ROWS]],
    out: &mut [[f32; SCAN_ROWS]],
) {
    for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
        out.fill(0.0);
        for (table, column) in tables.iter().zip(codes) {
            for (sum, &code) in out.iter_mut().zip(column) {
                *sum += table[usize::from(code)];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{ENTRIES, GROUPS_MAX, Group, SCAN_ROWS};

    /// Entries are added as pairs of bytes and, shifted, as their upper bytes alone: the sum of the
    /// lower bytes is what the first holds beyond the second. Nothing has to be widened.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn nibbles_avx512(tables: &[Group], codes: &[Group], out: &mut [[u32; SCAN_ROWS]]) {
        let nibble = _mm512_set1_epi8(15);
        for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
            out.fill(0);
            for (tables, codes) in tables.chunks(GROUPS_MAX).zip(codes.chunks(GROUPS_MAX)) {
                let mut sums = [_mm512_setzero_si512(); 4];
                for (table, code) in tables.iter().zip(codes) {
                    // SAFETY: a group is 64 readable bytes; the loads need no alignment.
                    let (table, code) = unsafe {
                        (
                            _mm512_loadu_si512(table.as_ptr().cast()),
                            _mm512_loadu_si512(code.as_ptr().cast()),
                        )
                    };
                    let low = _mm512_and_si512(code, nibble);
                    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(code), nibble);
                    let low = _mm512_shuffle_epi8(table, low);
                    let high = _mm512_shuffle_epi8(table, high);
                    sums[0] = _mm512_add_epi16(sums[0], low);
                    sums[1] = _mm512_add_epi16(sums[1], _mm512_srli_epi16::<8>(low));
                    sums[2] = _mm512_add_epi16(sums[2], high);
                    sums[3] = _mm512_add_epi16(sums[3], _mm512_srli_epi16::<8>(high));
                }
                let even =
                    |sums: [__m512i; 2]| _mm512_sub_epi16(sums[0], _mm512_slli_epi16::<8>(sums[1]));
                let rows = [
                    even([sums[0], sums[1]]),
                    sums[1],
                    even([sums[2], sums[3]]),
                    sums[3],
                ];
                for (sum, out) in rows.into_iter().zip(out.as_chunks_mut::<8>().0) {
                    let half = _mm256_add_epi16(
                        _mm512_castsi512_si256(sum),
                        _mm512_extracti64x4_epi64::<1>(sum),
                    );
                    add_columns(half, out);
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn nibbles_avx2(tables: &[Group], codes: &[Group], out: &mut [[u32; SCAN_ROWS]]) {
        let nibble = _mm256_set1_epi8(15);
        for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
            out.fill(0);
            for (tables, codes) in tables.chunks(GROUPS_MAX).zip(codes.chunks(GROUPS_MAX)) {
                let mut sums = [_mm256_setzero_si256(); 4];
                let tables = tables.as_flattened().as_chunks::<32>().0;
                for (table, code) in tables.iter().zip(codes.as_flattened().as_chunks::<32>().0) {
                    // SAFETY: two columns are 32 readable bytes; the loads need no alignment.
                    let (table, code) = unsafe {
                        (
                            _mm256_loadu_si256(table.as_ptr().cast()),
                            _mm256_loadu_si256(code.as_ptr().cast()),
                        )
                    };
                    let low = _mm256_and_si256(code, nibble);
                    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(code), nibble);
                    let low = _mm256_shuffle_epi8(table, low);
                    let high = _mm256_shuffle_epi8(table, high);
                    sums[0] = _mm256_add_epi16(sums[0], low);
                    sums[1] = _mm256_add_epi16(sums[1], _mm256_srli_epi16::<8>(low));
                    sums[2] = _mm256_add_epi16(sums[2], high);
                    sums[3] = _mm256_add_epi16(sums[3], _mm256_srli_epi16::<8>(high));
                }
                let even =
                    |sums: [__m256i; 2]| _mm256_sub_epi16(sums[0], _mm256_slli_epi16::<8>(sums[1]));
                let rows = [
                    even([sums[0], sums[1]]),
                    sums[1],
                    even([sums[2], sums[3]]),
                    sums[3],
                ];
                for (sum, out) in rows.into_iter().zip(out.as_chunks_mut::<8>().0) {
                    add_columns(sum, out);
                }
            }
        }
    }

    /// Adds both halves, each the sums of eight rows over other columns, to those rows.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn add_columns(sums: __m256i, out: &mut [u32; 8]) {
        let sums = _mm_add_epi16(
            _mm256_castsi256_si128(sums),
            _mm256_extracti128_si256::<1>(sums),
        );
        let at = out.as_mut_ptr().cast();
        // SAFETY: 32 bytes to read and to write; neither needs alignment.
        unsafe {
            let before = _mm256_loadu_si256(at);
            let sums = _mm256_add_epi32(before, _mm256_cvtepu16_epi32(sums));
            _mm256_storeu_si256(at, sums);
        }
    }

    /// Two blocks at a time. The lower seven bits of a code choose among 128 entries in two
    /// registers; the eighth says in which two.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn steps_avx512(
        tables: &[[u8; ENTRIES]],
        codes: &[[u8; SCAN_ROWS]],
        out: &mut [[u16; SCAN_ROWS]],
    ) {
        let columns = tables.len();
        for (codes, out) in codes.chunks(columns * 2).zip(out.chunks_mut(2)) {
            let (first, second) = codes.split_at(columns);
            let mut sums = [_mm512_setzero_si512(); 2];
            for (c, table) in tables.iter().enumerate() {
                // SAFETY: 32 readable bytes each; the loads need no alignment.
                let (low, high) = unsafe {
                    let load = |codes: &[u8; SCAN_ROWS]| _mm256_loadu_si256(codes.as_ptr().cast());
                    (
                        load(&first[c]),
                        second.get(c).map_or(_mm256_setzero_si256(), load),
                    )
                };
                let code = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
                let mut parts = [_mm512_setzero_si512(); 4];
                for (part, bytes) in parts.iter_mut().zip(table.as_chunks::<64>().0) {
                    // SAFETY: 64 readable bytes; the load needs no alignment.
                    *part = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
                }
                let lower = _mm512_permutex2var_epi8(parts[0], code, parts[1]);
                let upper = _mm512_permutex2var_epi8(parts[2], code, parts[3]);
                let eighth = _mm512_movepi8_mask(code);
                let entries = _mm512_mask_blend_epi8(eighth, lower, upper);
                sums[0] = _mm512_add_epi16(sums[0], entries);
                sums[1] = _mm512_add_epi16(sums[1], _mm512_srli_epi16::<8>(entries));
            }
            let even = _mm512_sub_epi16(sums[0], _mm512_slli_epi16::<8>(sums[1]));
            // Of each 16 rows the first eight, then the others.
            let low = _mm512_unpacklo_epi16(even, sums[1]);
            let high = _mm512_unpackhi_epi16(even, sums[1]);
            let quarters = [
                _mm512_castsi512_si128(low),
                _mm512_castsi512_si128(high),
                _mm512_extracti32x4_epi32::<1>(low),
                _mm512_extracti32x4_epi32::<1>(high),
                _mm512_extracti32x4_epi32::<2>(low),
                _mm512_extracti32x4_epi32::<2>(high),
                _mm512_extracti32x4_epi32::<3>(low),
                _mm512_extracti32x4_epi32::<3>(high),
            ];
            let out = out.as_flattened_mut().as_chunks_mut::<8>().0;
            for (quarter, out) in quarters.into_iter().zip(out) {
                // SAFETY: 16 writable bytes; the store needs no alignment.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), quarter) };
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn bytes_avx512(
        tables: &[[f32; ENTRIES]],
        codes: &[[u8; SCAN_ROWS]],
        out: &mut [[f32; SCAN_ROWS]],
    ) {
        for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
            let mut sums = [_mm512_setzero_ps(); 2];
            for (table, column) in tables.iter().zip(codes) {
                for (sum, codes) in sums.iter_mut().zip(column.as_chunks::<16>().0) {
                    // SAFETY: 16 readable bytes; and a byte is the number of an entry of the 256.
                    let entries = unsafe {
                        let codes = _mm_loadu_si128(codes.as_ptr().cast());
                        let at = _mm512_cvtepu8_epi32(codes);
                        _mm512_i32gather_ps::<4>(at, table.as_ptr())
                    };
                    *sum = _mm512_add_ps(*sum, entries);
                }
            }
            for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<16>().0) {
                // SAFETY: 64 writable bytes; the store needs no alignment.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn bytes_avx2(
        tables: &[[f32; ENTRIES]],
        codes: &[[u8; SCAN_ROWS]],
        out: &mut [[f32; SCAN_ROWS]],
    ) {
        for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
            let mut sums = [_mm256_setzero_ps(); 4];
            for (table, column) in tables.iter().zip(codes) {
                for (sum, codes) in sums.iter_mut().zip(column.as_chunks::<8>().0) {
                    // SAFETY: 8 readable bytes; and a byte is the number of an entry of the 256.
                    let entries = unsafe {
                        let codes = _mm_loadl_epi64(codes.as_ptr().cast());
                        let at = _mm256_cvtepu8_epi32(codes);
                        _mm256_i32gather_ps::<4>(table.as_ptr(), at)
                    };
                    *sum = _mm256_add_ps(*sum, entries);
                }
            }
            for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<8>().0) {
                // SAFETY: 32 writable bytes; the store needs no alignment.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{COLUMN, GROUPS_MAX, Group, SCAN_ROWS};

    pub(super) fn nibbles(tables: &[Group], codes: &[Group], out: &mut [[u32; SCAN_ROWS]]) {
        for (codes, out) in codes.chunks_exact(tables.len()).zip(out) {
            out.fill(0);
            for (tables, codes) in tables.chunks(GROUPS_MAX).zip(codes.chunks(GROUPS_MAX)) {
                let tables = tables.as_flattened().as_chunks().0;
                add_groups(tables, codes.as_flattened().as_chunks().0, out);
            }
        }
    }

    fn add_groups(tables: &[[u8; COLUMN]], codes: &[[u8; COLUMN]], out: &mut [u32; SCAN_ROWS]) {
        // SAFETY: NEON is part of every 64-bit ARM; loads are of 16 readable bytes, stores of 16
        // writable ones.
        unsafe {
            let mut sums = [vdupq_n_u16(0); 4];
            for (table, code) in tables.iter().zip(codes) {
                let table = vld1q_u8(table.as_ptr());
                let code = vld1q_u8(code.as_ptr());
                let low = vqtbl1q_u8(table, vandq_u8(code, vdupq_n_u8(15)));
                let high = vqtbl1q_u8(table, vshrq_n_u8::<4>(code));
                for (sums, entries) in sums.as_chunks_mut::<2>().0.iter_mut().zip([low, high]) {
                    let pairs = vreinterpretq_u16_u8(entries);
                    sums[0] = vaddq_u16(sums[0], vandq_u16(pairs, vdupq_n_u16(255)));
                    sums[1] = vaddq_u16(sums[1], vshrq_n_u16::<8>(pairs));
                }
            }
            for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<8>().0) {
                let at = out.as_mut_ptr();
                let low = vaddw_u16(vld1q_u32(at), vget_low_u16(sum));
                let high = vaddw_high_u16(vld1q_u32(at.add(4)), sum);
                vst1q_u32(at, low);
                vst1q_u32(at.add(4), high);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(seed: u64, count: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    /// Row by row, from the definition.
    fn slow(tables: &[u8], codes: &[u8], row: usize) -> u32 {
        let columns = tables.len() / COLUMN;
        let block = &codes[row / SCAN_ROWS * columns * COLUMN..];
        let of_block = row % SCAN_ROWS;
        let byte = (0..COLUMN)
            .find(|&byte| nibble_row(byte) == of_block % 16)
            .unwrap();
        (0..columns)
            .map(|c| {
                let code = (block[c * COLUMN + byte] >> (of_block / 16 * 4)) & 15;
                u32::from(tables[c * COLUMN + usize::from(code)])
            })
            .sum()
    }

    #[test]
    fn every_instruction_set_sums_nibbles_as_defined() {
        for (case, columns) in [0, 4, 8, 12, 32, 256, 260, 800].into_iter().enumerate() {
            for blocks in 0..4 {
                let mut tables = bytes(case as u64 + 1, columns * COLUMN);
                let codes = bytes(blocks as u64 + 9, blocks * columns * COLUMN);
                if blocks == 3 {
                    // The largest sums.
                    tables.fill(255);
                }
                let expected: Vec<u32> = (0..blocks * SCAN_ROWS)
                    .map(|row| slow(&tables, &codes, row))
                    .collect();
                for kernels in Kernels::available() {
                    let mut out = vec![7; blocks * SCAN_ROWS];
                    nibble_sums(kernels, &tables, &codes, &mut out);
                    assert_eq!(out, expected, "{kernels:?}, {columns} x {blocks}");
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_sums_steps_as_defined() {
        for columns in [0, 1, 3, 8, 256] {
            for blocks in 0..6 {
                let mut tables = bytes(columns as u64, columns * ENTRIES);
                if blocks == 5 {
                    tables.fill(255);
                }
                let codes = bytes(7, blocks * columns * SCAN_ROWS);
                let sum = |row: usize| -> u16 {
                    let block = row / SCAN_ROWS * columns;
                    let code = |c: usize| codes[(block + c) * SCAN_ROWS + row % SCAN_ROWS];
                    (0..columns)
                        .map(|c| u16::from(tables[c * ENTRIES + usize::from(code(c))]))
                        .sum()
                };
                let expected: Vec<u16> = (0..blocks * SCAN_ROWS).map(sum).collect();
                for kernels in Kernels::available() {
                    let mut out = vec![7; blocks * SCAN_ROWS];
                    byte_steps(kernels, &tables, &codes, &mut out);
                    assert_eq!(out, expected, "{kernels:?}, {columns} x {blocks}");
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_sums_bytes_as_defined() {
        for columns in [0, 1, 3, 8, 64] {
            let entries = bytes(3, columns * ENTRIES);
            let tables: Vec<f32> = entries.iter().map(|&b| f32::from(b) - 100.0).collect();
            let codes = bytes(5, 2 * columns * SCAN_ROWS);
            let sum = |row: usize| -> f32 {
                let block = row / SCAN_ROWS * columns;
                let code = |c: usize| codes[(block + c) * SCAN_ROWS + row % SCAN_ROWS];
                (0..columns)
                    .map(|c| tables[c * ENTRIES + usize::from(code(c))])
                    .sum()
            };
            let expected: Vec<f32> = (0..2 * SCAN_ROWS).map(sum).collect();
            for kernels in Kernels::available() {
                let mut out = vec![7.0; 2 * SCAN_ROWS];
                byte_sums(kernels, &tables, &codes, &mut out);
                assert_eq!(out, expected, "{kernels:?}, {columns} columns");
            }
        }
    }
}
