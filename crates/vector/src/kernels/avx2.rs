//! AVX2 with FMA and F16C (Haswell, Zen and later): 32 bytes a step.

use std::arch::x86_64::*;

use super::entry::{entry_points, operations};
use super::product::{self, Candidate, Keys, Products};
use super::row_loop::{self, Job, RowLoops};
use super::step::{FloatLanes, InstructionSet, Step, Work, jaccard, sq4_query_piece};
use crate::RowId;

pub(super) struct Avx2;
type Lanes = Avx2;

/// Whether this CPU has all that the entry points enable.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("popcnt")
}

impl FloatLanes for Avx2 {
    type V = __m256;
    const LANES: usize = 8;

    operations! {
        fn load_f32(at: *const u8) -> __m256 { _mm256_loadu_ps(at.cast()) }
        fn load_f16(at: *const u8) -> __m256 { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
        fn load_f32_tail(at: *const u8, n: usize) -> __m256 {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_maskload_ps(at.cast(), _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes))
        }
        fn zero() -> __m256 { _mm256_setzero_ps() }
        fn add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        fn sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
        fn mul_add(a: __m256, b: __m256, sum: __m256) -> __m256 { _mm256_fmadd_ps(a, b, sum) }
        fn abs(a: __m256) -> __m256 { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
        fn sum(a: __m256) -> f32 {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
        fn splat(a: f32) -> __m256 { _mm256_set1_ps(a) }
        fn store(a: __m256, at: *mut f32) -> () { _mm256_storeu_ps(at, a) }
        fn at_most(a: __m256, b: __m256) -> u32 {
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(a, b)) as u32
        }
    }
}

/// A step over 32 bytes of the query and of a row with one vector of sums: what differs is the
/// contribution of a step and how the sums end.
macro_rules! byte_step {
    ($(#[$doc:meta])* $name:ident, |$sum:ident, $q:ident, $r:ident| $add:expr,
     |$a:ident, $b:ident| $merge:expr,
     |$end:ident| $finish:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Step for $name {
            type Query = __m256i;
            type Row = __m256i;
            type Sum = __m256i;
            const LANES: usize = 32;
            const QUERY_BYTES: usize = 1;
            const ROW_BYTES: usize = 1;

            operations! {
                fn query(at: *const u8) -> __m256i { _mm256_loadu_si256(at.cast()) }
                fn row(at: *const u8) -> __m256i { _mm256_loadu_si256(at.cast()) }
                fn zero() -> __m256i { _mm256_setzero_si256() }
                fn add($sum: __m256i, $q: __m256i, $r: __m256i) -> __m256i { $add }
                fn merge($a: __m256i, $b: __m256i) -> __m256i { $merge }
                fn finish($end: __m256i, _query_sum: __m256i) -> f32 { $finish }
            }
        }
    };
}

operations! {
    /* Squares of unsigned byte differences, in 8 lanes of 32 bits. */
    fn add_squares(sum: __m256i, difference: __m256i) -> __m256i {
        let even = _mm256_and_si256(difference, _mm256_set1_epi16(0xff));
        let odd = _mm256_srli_epi16::<8>(difference);
        let squares = _mm256_add_epi32(_mm256_madd_epi16(even, even), _mm256_madd_epi16(odd, odd));
        _mm256_add_epi32(sum, squares)
    }

    /* Products of bytes already widened to 16 bits, even and odd apart. */
    fn add_products(sum: __m256i, even: (__m256i, __m256i), odd: (__m256i, __m256i)) -> __m256i {
        let even = _mm256_madd_epi16(even.0, even.1);
        let odd = _mm256_madd_epi16(odd.0, odd.1);
        _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
    }

    fn even_u8(bytes: __m256i) -> __m256i { _mm256_and_si256(bytes, _mm256_set1_epi16(0xff)) }
    fn odd_u8(bytes: __m256i) -> __m256i { _mm256_srli_epi16::<8>(bytes) }
    fn even_i8(bytes: __m256i) -> __m256i {
        _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes))
    }
    fn odd_i8(bytes: __m256i) -> __m256i { _mm256_srai_epi16::<8>(bytes) }

    fn flip_sign(bytes: __m256i) -> __m256i {
        _mm256_xor_si256(bytes, _mm256_set1_epi8(i8::MIN))
    }

    /* Lanes are below 2^31, their sum need not be. */
    fn sum_i32(sums: __m256i) -> i64 {
        let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums));
        let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(sums));
        sum_i64(_mm256_add_epi64(low, high))
    }

    fn sum_i64(sums: __m256i) -> i64 {
        let two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        _mm_cvtsi128_si64(two) + _mm_extract_epi64::<1>(two)
    }

    /* Bits set, in four 64-bit lanes: a table of 16 by shuffle, for each half of a byte. */
    fn count_bits(bytes: __m256i) -> __m256i {
        let table = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let half = _mm256_set1_epi8(0x0f);
        let low = _mm256_shuffle_epi8(table, _mm256_and_si256(bytes, half));
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), half);
        let counts = _mm256_add_epi8(low, _mm256_shuffle_epi8(table, high));
        _mm256_sad_epu8(counts, _mm256_setzero_si256())
    }
}

byte_step!(
    /// Squared differences of signed bytes.
    L2I8,
    |sum, q, r| add_squares(sum, _mm256_sub_epi8(_mm256_max_epi8(q, r), _mm256_min_epi8(q, r))),
    |a, b| _mm256_add_epi32(a, b),
    |sum| sum_i32(sum) as f32
);
byte_step!(
    /// Squared differences of unsigned bytes.
    L2U8,
    |sum, q, r| add_squares(sum, _mm256_sub_epi8(_mm256_max_epu8(q, r), _mm256_min_epu8(q, r))),
    |a, b| _mm256_add_epi32(a, b),
    |sum| sum_i32(sum) as f32
);
byte_step!(
    /// Products of signed bytes.
    DotI8,
    |sum, q, r| add_products(sum, (even_i8(q), even_i8(r)), (odd_i8(q), odd_i8(r))),
    |a, b| _mm256_add_epi32(a, b),
    |sum| -(sum_i32(sum) as f32)
);
byte_step!(
    /// Products of unsigned bytes.
    DotU8,
    |sum, q, r| add_products(sum, (even_u8(q), even_u8(r)), (odd_u8(q), odd_u8(r))),
    |a, b| _mm256_add_epi32(a, b),
    |sum| -(sum_i32(sum) as f32)
);
byte_step!(
    /// Absolute differences of signed bytes.
    L1I8,
    |sum, q, r| _mm256_add_epi64(sum, _mm256_sad_epu8(flip_sign(q), flip_sign(r))),
    |a, b| _mm256_add_epi64(a, b),
    |sum| sum_i64(sum) as f32
);
byte_step!(
    /// Absolute differences of unsigned bytes.
    L1U8,
    |sum, q, r| _mm256_add_epi64(sum, _mm256_sad_epu8(q, r)),
    |a, b| _mm256_add_epi64(a, b),
    |sum| sum_i64(sum) as f32
);
byte_step!(
    /// Differing bits.
    Hamming,
    |sum, q, r| _mm256_add_epi64(sum, count_bits(_mm256_xor_si256(q, r))),
    |a, b| _mm256_add_epi64(a, b),
    |sum| sum_i64(sum) as f32
);

/// Bits in both and in either.
pub(super) struct Jaccard;

impl Step for Jaccard {
    type Query = __m256i;
    type Row = __m256i;
    type Sum = (__m256i, __m256i);
    const LANES: usize = 32;
    const QUERY_BYTES: usize = 1;
    const ROW_BYTES: usize = 1;

    operations! {
        fn query(at: *const u8) -> __m256i { Hamming::query(at) }
        fn row(at: *const u8) -> __m256i { Hamming::row(at) }
        fn zero() -> Self::Sum { (_mm256_setzero_si256(), _mm256_setzero_si256()) }
        fn add(sum: Self::Sum, q: __m256i, r: __m256i) -> Self::Sum {
            (
                _mm256_add_epi64(sum.0, count_bits(_mm256_and_si256(q, r))),
                _mm256_add_epi64(sum.1, count_bits(_mm256_or_si256(q, r))),
            )
        }
        fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum {
            (_mm256_add_epi64(a.0, b.0), _mm256_add_epi64(a.1, b.1))
        }
        fn finish(sum: Self::Sum, _query_sum: Self::Sum) -> f32 {
            jaccard(sum_i64(sum.0) as u64, sum_i64(sum.1) as u64)
        }
    }
}

/// 32 packed bytes of a row against 64 numbers of the query. What two numbers add fits 16 bits.
macro_rules! sq4_step {
    ($(#[$doc:meta])* $name:ident, |$q:ident, $r:ident| $pairs:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl $name {
            operations! {
                fn pairs($q: __m256i, $r: __m256i) -> __m256i { $pairs }
            }
        }

        impl Step for $name {
            type Query = (__m256i, __m256i);
            type Row = __m256i;
            type Sum = __m256i;
            const LANES: usize = 32;
            const QUERY_BYTES: usize = 2;
            const ROW_BYTES: usize = 1;

            operations! {
                fn query(at: *const u8) -> Self::Query {
                    let first = _mm256_loadu_si256(at.cast());
                    let second = _mm256_loadu_si256(at.wrapping_add(32).cast());
                    // Groups of 16 that belong to the low halves, then those of the high halves.
                    (
                        _mm256_permute2x128_si256::<0x20>(first, second),
                        _mm256_permute2x128_si256::<0x31>(first, second),
                    )
                }
                fn row(at: *const u8) -> __m256i { _mm256_loadu_si256(at.cast()) }
                fn query_tail(at: *const u8, n: usize) -> Self::Query {
                    Self::query(sq4_query_piece(at, 2 * n).as_ptr())
                }
                fn zero() -> __m256i { _mm256_setzero_si256() }
                fn add(sum: __m256i, q: Self::Query, r: __m256i) -> __m256i {
                    let half = _mm256_set1_epi8(0x0f);
                    let low = _mm256_and_si256(r, half);
                    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(r), half);
                    let pairs = _mm256_add_epi16(Self::pairs(q.0, low), Self::pairs(q.1, high));
                    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
                }
                fn merge(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
                fn finish(sum: __m256i, _query_sum: __m256i) -> f32 { sum_i32(sum) as f32 }
            }
        }
    };
}

sq4_step!(
    /// Four times the squares of a row, less its products with the query.
    Sq4Squares,
    |q, r| {
        let squares = _mm256_slli_epi16::<2>(_mm256_maddubs_epi16(r, r));
        _mm256_sub_epi16(squares, _mm256_maddubs_epi16(r, q))
    }
);
sq4_step!(
    /// Products of a row with the query, negative.
    Sq4NegativeDot,
    |q, r| _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_maddubs_epi16(r, q))
);

impl InstructionSet for Avx2 {
    type F16Lanes = Avx2;
    type L2I8 = L2I8;
    type L2U8 = L2U8;
    type DotI8 = DotI8;
    type DotU8 = DotU8;
    type L1I8 = L1I8;
    type L1U8 = L1U8;
    type Hamming = Hamming;
    type Jaccard = Jaccard;
    type Sq4Squares = Sq4Squares;
    type Sq4NegativeDot = Sq4NegativeDot;

    entry_points!("avx2,fma,f16c,popcnt", 2, 6 x 2);
}
