//! Dot products of 1-bit codes with a query of four bits a number: the scan of RaBitQ sketches.
//!
//! The query's numbers are integers of -8..=7 in two's complement, cut into four bit planes; the
//! dot product with the 0/1 code of a row is then four counts of common bits, of weights
//! 1, 2, 4 and -8 (Gao and Long 2024, section 3.3.2, there with unsigned numbers; signed ones
//! need no count of the row's own bits).
//!
//! Codes lie in groups of eight rows, the first word of each, then the second of each: one
//! 512-bit load is one word of eight rows, no lane is wasted whatever the dimension, and nothing
//! is summed across lanes.

use super::{Isa, Kernels};

/// Bits per number of the query.
pub const PLANES: usize = 4;
/// Rows whose codes lie interleaved.
pub const CODE_GROUP: usize = 8;

/// `out[r]`: the sum of the query's numbers (-8..=7, two's complement) at the ones of code `r`.
///
/// - `planes`: word after word, [`PLANES`] each: bit `i` of `planes[w * 4 + b]` is bit `b` of
///   number `w * 64 + i`;
/// - `codes`: groups of [`CODE_GROUP`] rows, `words * 8` words each: word `w` of row `r` is
///   `codes[(r / 8 * words + w) * 8 + r % 8]`.
///
/// # Panics
/// When `out` is no whole number of groups, or `planes` or `codes` is not of the size that
/// `words` and `out` say.
pub fn plane_dots(kernels: Kernels, planes: &[u64], codes: &[u64], words: usize, out: &mut [i32]) {
    assert!(
        out.len().is_multiple_of(CODE_GROUP),
        "{} rows are no whole number of groups of {CODE_GROUP}",
        out.len()
    );
    assert_eq!(planes.len(), words * PLANES, "words of the query's planes");
    assert_eq!(codes.len(), words * out.len(), "words of the codes");
    if words == 0 {
        return out.fill(0);
    }
    let planes = planes.as_chunks().0;
    let codes = codes.as_chunks().0;
    let out = out.as_chunks_mut().0;
    match kernels.isa {
        Isa::Portable => portable(planes, codes, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kernels` holds an instruction set only where this CPU has it.
        Isa::Avx2 => unsafe { x86::avx2(planes, codes, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 => unsafe { x86::avx512(planes, codes, out) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => arm::neon(planes, codes, out),
    }
}

/// Four planes of 64 numbers of the query.
type Planes = [u64; PLANES];
/// One word of each row of a group.
type Group = [u64; CODE_GROUP];
/// One result of each row of a group.
type Dots = [i32; CODE_GROUP];

fn portable(planes: &[Planes], codes: &[Group], out: &mut [Dots]) {
    for (codes, out) in codes.chunks_exact(planes.len()).zip(out) {
        *out = [0; CODE_GROUP];
        for (planes, words) in planes.iter().zip(codes) {
            for (sum, word) in out.iter_mut().zip(words) {
                let count = |b: usize| (word & planes[b]).count_ones() as i32;
                *sum += count(0) + 2 * count(1) + 4 * count(2) - 8 * count(3);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Dots, Group, PLANES, Planes};

    /// Words from a load to the line asked for: 4 KiB.
    const AHEAD: usize = 512;

    /// Two groups at a time, so that a broadcast plane serves both.
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    pub(super) fn avx512(planes: &[Planes], codes: &[Group], out: &mut [Dots]) {
        let words = planes.len();
        let mut pairs = codes.chunks_exact(words * 2);
        let (two, one) = out.as_chunks_mut();
        for (codes, out) in (&mut pairs).zip(two) {
            let (first, second) = codes.split_at(words);
            avx512_groups(planes, [first, second], out);
        }
        if let [last] = one {
            let out: &mut [Dots; 1] = std::array::from_mut(last);
            avx512_groups(planes, [pairs.remainder()], out);
        }
    }

    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    #[inline]
    fn avx512_groups<const N: usize>(planes: &[Planes], codes: [&[Group]; N], out: &mut [Dots; N]) {
        let mut sums = [[_mm512_setzero_si512(); PLANES]; N];
        for (w, planes) in planes.iter().enumerate() {
            let mut words = [_mm512_setzero_si512(); N];
            for (word, codes) in words.iter_mut().zip(codes) {
                // SAFETY: a group is 64 readable bytes; the load needs no alignment.
                *word = unsafe { _mm512_loadu_si512(codes[w].as_ptr().cast()) };
                // The CPU's own prefetcher stays too near (Zen 4, 6 MB of codes: 10 % slower).
                _mm_prefetch::<_MM_HINT_T0>(codes[w].as_ptr().wrapping_add(AHEAD).cast());
            }
            for (b, &plane) in planes.iter().enumerate() {
                let plane = _mm512_set1_epi64(plane as i64);
                for (sums, word) in sums.iter_mut().zip(words) {
                    let ones = _mm512_popcnt_epi64(_mm512_and_si512(word, plane));
                    sums[b] = _mm512_add_epi64(sums[b], ones);
                }
            }
        }
        for (sum, out) in sums.iter().zip(out) {
            let low = _mm512_add_epi64(sum[0], _mm512_slli_epi64::<1>(sum[1]));
            let high = _mm512_sub_epi64(
                _mm512_slli_epi64::<2>(sum[2]),
                _mm512_slli_epi64::<3>(sum[3]),
            );
            let dots = _mm512_cvtepi64_epi32(_mm512_add_epi64(low, high));
            // SAFETY: 32 writable bytes; the store needs no alignment.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), dots) };
        }
    }

    /// Words whose counts fit a byte: 31 x 8 ones.
    const BYTE_WORDS: usize = 31;

    /// Counts by a table of 16 in bytes, summed to 64 bits every [`BYTE_WORDS`] words; half a
    /// group at a time.
    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(planes: &[Planes], codes: &[Group], out: &mut [Dots]) {
        for (codes, out) in codes.chunks_exact(planes.len()).zip(out) {
            for half in 0..2 {
                let sums = avx2_half(planes, codes, half);
                let low = _mm256_add_epi64(sums[0], _mm256_slli_epi64::<1>(sums[1]));
                let high = _mm256_sub_epi64(
                    _mm256_slli_epi64::<2>(sums[2]),
                    _mm256_slli_epi64::<3>(sums[3]),
                );
                let mut dots = [0i64; 4];
                let total = _mm256_add_epi64(low, high);
                // SAFETY: 32 writable bytes; the store needs no alignment.
                unsafe { _mm256_storeu_si256(dots.as_mut_ptr().cast(), total) };
                for (out, dot) in out[half * 4..].iter_mut().zip(dots) {
                    *out = dot as i32;
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn avx2_half(planes: &[Planes], codes: &[Group], half: usize) -> [__m256i; PLANES] {
        let nibble = _mm256_set1_epi8(15);
        let table = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        ));
        let zero = _mm256_setzero_si256();
        let mut sums = [zero; PLANES];
        for (planes, codes) in planes.chunks(BYTE_WORDS).zip(codes.chunks(BYTE_WORDS)) {
            let mut bytes = [zero; PLANES];
            for (planes, group) in planes.iter().zip(codes) {
                // SAFETY: half a group is 32 readable bytes from word 0 or 4 of its 8.
                let word = unsafe { _mm256_loadu_si256(group[half * 4..].as_ptr().cast()) };
                let low = _mm256_and_si256(word, nibble);
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(word), nibble);
                for (bytes, &plane) in bytes.iter_mut().zip(planes) {
                    let plane = _mm256_set1_epi64x(plane as i64);
                    let plane_high = _mm256_srli_epi16::<4>(plane);
                    let a = _mm256_shuffle_epi8(table, _mm256_and_si256(low, plane));
                    let b = _mm256_shuffle_epi8(table, _mm256_and_si256(high, plane_high));
                    *bytes = _mm256_add_epi8(*bytes, _mm256_add_epi8(a, b));
                }
            }
            for (sum, bytes) in sums.iter_mut().zip(bytes) {
                *sum = _mm256_add_epi64(*sum, _mm256_sad_epu8(bytes, zero));
            }
        }
        sums
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{CODE_GROUP, Dots, Group, PLANES, Planes};

    /// Words whose counts fit a byte: 31 x 8 ones.
    const BYTE_WORDS: usize = 31;

    /// Counts in bytes, summed to 64 bits every [`BYTE_WORDS`] words; two rows at a time.
    pub(super) fn neon(planes: &[Planes], codes: &[Group], out: &mut [Dots]) {
        for (codes, out) in codes.chunks_exact(planes.len()).zip(out) {
            for pair in (0..CODE_GROUP).step_by(2) {
                let mut sums = [[0i64; 2]; PLANES];
                for (planes, codes) in planes.chunks(BYTE_WORDS).zip(codes.chunks(BYTE_WORDS)) {
                    add_counts(planes, codes, pair, &mut sums);
                }
                for row in 0..2 {
                    let [a, b, c, d] = sums.map(|sum| sum[row]);
                    out[pair + row] = (a + 2 * b + 4 * c - 8 * d) as i32;
                }
            }
        }
    }

    #[inline]
    fn add_counts(planes: &[Planes], codes: &[Group], pair: usize, sums: &mut [[i64; 2]; PLANES]) {
        // SAFETY: NEON is part of every 64-bit ARM; the only load reads two words of the eight
        // of a group.
        unsafe {
            let mut bytes = [vdupq_n_u8(0); PLANES];
            for (planes, group) in planes.iter().zip(codes) {
                let word = vreinterpretq_u8_u64(vld1q_u64(group[pair..pair + 2].as_ptr()));
                for (bytes, &plane) in bytes.iter_mut().zip(planes) {
                    let plane = vreinterpretq_u8_u64(vdupq_n_u64(plane));
                    *bytes = vaddq_u8(*bytes, vcntq_u8(vandq_u8(word, plane)));
                }
            }
            for (sum, bytes) in sums.iter_mut().zip(bytes) {
                let counts = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes)));
                sum[0] += vgetq_lane_u64::<0>(counts) as i64;
                sum[1] += vgetq_lane_u64::<1>(counts) as i64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
    }

    /// Number by number, from the definition.
    fn slow(planes: &[u64], codes: &[u64], words: usize, row: usize) -> i32 {
        let bit = |word: u64, i: usize| ((word >> (i % 64)) & 1) as i32;
        (0..words * 64)
            .map(|i| {
                let number: i32 = [1, 2, 4, -8]
                    .iter()
                    .enumerate()
                    .map(|(b, weight)| weight * bit(planes[i / 64 * PLANES + b], i))
                    .sum();
                let word =
                    codes[(row / CODE_GROUP * words + i / 64) * CODE_GROUP + row % CODE_GROUP];
                number * bit(word, i)
            })
            .sum()
    }

    #[test]
    fn every_instruction_set_equals_the_definition() {
        for (case, words) in [1usize, 2, 3, 12, 13, 31, 32, 63, 100]
            .into_iter()
            .enumerate()
        {
            for groups in 0..5 {
                let mut seed = 77 + case as u64 * 5 + groups as u64;
                let mut filled = |n: usize| (0..n).map(|_| random(&mut seed)).collect::<Vec<_>>();
                let mut planes = filled(words * PLANES);
                let mut codes = filled(words * groups * CODE_GROUP);
                if groups == 4 {
                    // The largest counts.
                    planes.fill(u64::MAX);
                    codes.fill(u64::MAX);
                }
                let expected: Vec<i32> = (0..groups * CODE_GROUP)
                    .map(|row| slow(&planes, &codes, words, row))
                    .collect();
                for kernels in Kernels::available() {
                    let mut out = vec![-1; groups * CODE_GROUP];
                    plane_dots(kernels, &planes, &codes, words, &mut out);
                    assert_eq!(out, expected, "{kernels:?}, {words} words, {groups} groups");
                }
            }
        }
    }

    #[test]
    fn no_words_give_zeros() {
        let mut out = [7; CODE_GROUP];
        plane_dots(Kernels::detect(), &[], &[], 0, &mut out);
        assert_eq!(out, [0; CODE_GROUP]);
    }
}
