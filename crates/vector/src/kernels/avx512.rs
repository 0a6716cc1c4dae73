//! AVX-512 with VNNI and VPOPCNTDQ (Ice Lake, Zen 4 and later): 64 bytes a step, masked tails.

use std::arch::x86_64::*;

use super::entry::{entry_points, operations};
use super::product::{self, Candidate, Keys, Products};
use super::row_loop::{self, Job, RowLoops};
use super::step::{FloatLanes, InstructionSet, Step, Work, jaccard, sq4_query_piece};
use crate::RowId;

pub(super) struct Avx512;
type Lanes = Avx512;

/// Whether this CPU has all that the entry points enable.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512vpopcntdq")
        && super::avx2::is_available()
}

impl FloatLanes for Avx512 {
    type V = __m512;
    const LANES: usize = 16;

    operations! {
        fn load_f32(at: *const u8) -> __m512 { _mm512_loadu_ps(at.cast()) }
        fn load_f16(at: *const u8) -> __m512 { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
        fn load_f32_tail(at: *const u8, n: usize) -> __m512 {
            _mm512_maskz_loadu_ps(first_16(n), at.cast())
        }
        fn load_f16_tail(at: *const u8, n: usize) -> __m512 {
            _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_16(n), at.cast()))
        }
        fn zero() -> __m512 { _mm512_setzero_ps() }
        fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
        fn mul_add(a: __m512, b: __m512, sum: __m512) -> __m512 { _mm512_fmadd_ps(a, b, sum) }
        fn abs(a: __m512) -> __m512 { _mm512_abs_ps(a) }
        fn sum(a: __m512) -> f32 { _mm512_reduce_add_ps(a) }
        fn splat(a: f32) -> __m512 { _mm512_set1_ps(a) }
        fn store(a: __m512, at: *mut f32) -> () { _mm512_storeu_ps(at, a) }
        fn at_most(a: __m512, b: __m512) -> u32 {
            u32::from(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b))
        }
    }
}

#[inline(always)]
fn first_16(n: usize) -> __mmask16 {
    !(u16::MAX << n)
}

#[inline(always)]
fn first_64(n: usize) -> __mmask64 {
    !(u64::MAX << n)
}

/// A step over 64 bytes of the query and of a row with one vector of sums: what differs is the
/// contribution of a step and how the sums end.
macro_rules! byte_step {
    ($(#[$doc:meta])* $name:ident, |$sum:ident, $q:ident, $r:ident| $add:expr,
     |$query_sum:ident, $qq:ident| $add_query:expr,
     |$a:ident, $b:ident| $merge:expr,
     |$end:ident, $query_end:ident| $finish:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Step for $name {
            type Query = __m512i;
            type Row = __m512i;
            type Sum = __m512i;
            const LANES: usize = 64;
            const QUERY_BYTES: usize = 1;
            const ROW_BYTES: usize = 1;

            operations! {
                fn query(at: *const u8) -> __m512i { _mm512_loadu_si512(at.cast()) }
                fn row(at: *const u8) -> __m512i { _mm512_loadu_si512(at.cast()) }
                fn query_tail(at: *const u8, n: usize) -> __m512i {
                    _mm512_maskz_loadu_epi8(first_64(n), at.cast())
                }
                fn row_tail(at: *const u8, n: usize) -> __m512i {
                    _mm512_maskz_loadu_epi8(first_64(n), at.cast())
                }
                fn zero() -> __m512i { _mm512_setzero_si512() }
                fn add($sum: __m512i, $q: __m512i, $r: __m512i) -> __m512i { $add }
                fn add_query($query_sum: __m512i, $qq: __m512i) -> __m512i { $add_query }
                fn merge($a: __m512i, $b: __m512i) -> __m512i { $merge }
                fn finish($end: __m512i, $query_end: __m512i) -> f32 { $finish }
            }
        }
    };
}

operations! {
    /* Squares of unsigned byte differences, in 16 lanes of 32 bits. */
    fn add_squares(sum: __m512i, difference: __m512i) -> __m512i {
        let even = _mm512_and_si512(difference, _mm512_set1_epi16(0xff));
        let odd = _mm512_srli_epi16::<8>(difference);
        _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(sum, even, even), odd, odd)
    }

    fn flip_sign(bytes: __m512i) -> __m512i {
        _mm512_xor_si512(bytes, _mm512_set1_epi8(i8::MIN))
    }

    /* Lanes are below 2^31, their sum need not be. */
    fn sum_i32(sums: __m512i) -> i64 {
        let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums));
        let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(sums));
        _mm512_reduce_add_epi64(_mm512_add_epi64(low, high))
    }
}

byte_step!(
    /// Squared differences of signed bytes.
    L2I8,
    |sum, q, r| add_squares(sum, _mm512_sub_epi8(_mm512_max_epi8(q, r), _mm512_min_epi8(q, r))),
    |query_sum, _q| query_sum,
    |a, b| _mm512_add_epi32(a, b),
    |sum, _query_sum| sum_i32(sum) as f32
);
byte_step!(
    /// Squared differences of unsigned bytes.
    L2U8,
    |sum, q, r| add_squares(sum, _mm512_sub_epi8(_mm512_max_epu8(q, r), _mm512_min_epu8(q, r))),
    |query_sum, _q| query_sum,
    |a, b| _mm512_add_epi32(a, b),
    |sum, _query_sum| sum_i32(sum) as f32
);
byte_step!(
    /// Products of signed bytes. VNNI multiplies unsigned by signed: the row is raised by 128,
    /// and 128 times the sum of the query is taken away in the end.
    DotI8,
    |sum, q, r| _mm512_dpbusd_epi32(sum, flip_sign(r), q),
    |query_sum, q| _mm512_dpbusd_epi32(query_sum, _mm512_set1_epi8(1), q),
    |a, b| _mm512_add_epi32(a, b),
    |sum, query_sum| -((sum_i32(sum) - 128 * sum_i32(query_sum)) as f32)
);
byte_step!(
    /// Products of unsigned bytes: the row is lowered by 128, and 128 times the sum of the query
    /// is added in the end.
    DotU8,
    |sum, q, r| _mm512_dpbusd_epi32(sum, q, flip_sign(r)),
    |query_sum, q| _mm512_dpbusd_epi32(query_sum, q, _mm512_set1_epi8(1)),
    |a, b| _mm512_add_epi32(a, b),
    |sum, query_sum| -((sum_i32(sum) + 128 * sum_i32(query_sum)) as f32)
);
byte_step!(
    /// Absolute differences of signed bytes.
    L1I8,
    |sum, q, r| _mm512_add_epi64(sum, _mm512_sad_epu8(flip_sign(q), flip_sign(r))),
    |query_sum, _q| query_sum,
    |a, b| _mm512_add_epi64(a, b),
    |sum, _query_sum| _mm512_reduce_add_epi64(sum) as f32
);
byte_step!(
    /// Absolute differences of unsigned bytes.
    L1U8,
    |sum, q, r| _mm512_add_epi64(sum, _mm512_sad_epu8(q, r)),
    |query_sum, _q| query_sum,
    |a, b| _mm512_add_epi64(a, b),
    |sum, _query_sum| _mm512_reduce_add_epi64(sum) as f32
);
byte_step!(
    /// Differing bits.
    Hamming,
    |sum, q, r| _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(q, r))),
    |query_sum, _q| query_sum,
    |a, b| _mm512_add_epi64(a, b),
    |sum, _query_sum| _mm512_reduce_add_epi64(sum) as f32
);

/// Bits in both and in either.
pub(super) struct Jaccard;

impl Step for Jaccard {
    type Query = __m512i;
    type Row = __m512i;
    type Sum = (__m512i, __m512i);
    const LANES: usize = 64;
    const QUERY_BYTES: usize = 1;
    const ROW_BYTES: usize = 1;

    operations! {
        fn query(at: *const u8) -> __m512i { Hamming::query(at) }
        fn row(at: *const u8) -> __m512i { Hamming::row(at) }
        fn query_tail(at: *const u8, n: usize) -> __m512i { Hamming::query_tail(at, n) }
        fn row_tail(at: *const u8, n: usize) -> __m512i { Hamming::row_tail(at, n) }
        fn zero() -> Self::Sum { (_mm512_setzero_si512(), _mm512_setzero_si512()) }
        fn add(sum: Self::Sum, q: __m512i, r: __m512i) -> Self::Sum {
            (
                _mm512_add_epi64(sum.0, _mm512_popcnt_epi64(_mm512_and_si512(q, r))),
                _mm512_add_epi64(sum.1, _mm512_popcnt_epi64(_mm512_or_si512(q, r))),
            )
        }
        fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum {
            (_mm512_add_epi64(a.0, b.0), _mm512_add_epi64(a.1, b.1))
        }
        fn finish(sum: Self::Sum, _query_sum: Self::Sum) -> f32 {
            jaccard(
                _mm512_reduce_add_epi64(sum.0) as u64,
                _mm512_reduce_add_epi64(sum.1) as u64,
            )
        }
    }
}

/// 64 packed bytes of a row against 128 numbers of the query: sums of products, and of squares of the row.
macro_rules! sq4_step {
    ($(#[$doc:meta])* $name:ident, |$sum:ident, $low:ident, $high:ident| $squares:expr, |$products:ident, $end:ident| $finish:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Step for $name {
            type Query = (__m512i, __m512i);
            type Row = __m512i;
            type Sum = (__m512i, __m512i);
            const LANES: usize = 64;
            const QUERY_BYTES: usize = 2;
            const ROW_BYTES: usize = 1;

            operations! {
                fn query(at: *const u8) -> Self::Query {
                    let first = _mm512_loadu_si512(at.cast());
                    let second = _mm512_loadu_si512(at.wrapping_add(64).cast());
                    // Groups of 16 that belong to the low halves, then those of the high halves.
                    (
                        _mm512_shuffle_i64x2::<0b10_00_10_00>(first, second),
                        _mm512_shuffle_i64x2::<0b11_01_11_01>(first, second),
                    )
                }
                fn row(at: *const u8) -> __m512i { _mm512_loadu_si512(at.cast()) }
                fn query_tail(at: *const u8, n: usize) -> Self::Query {
                    Self::query(sq4_query_piece(at, 2 * n).as_ptr())
                }
                fn row_tail(at: *const u8, n: usize) -> __m512i {
                    _mm512_maskz_loadu_epi8(first_64(n), at.cast())
                }
                fn zero() -> Self::Sum { (_mm512_setzero_si512(), _mm512_setzero_si512()) }
                fn add(sum: Self::Sum, q: Self::Query, r: __m512i) -> Self::Sum {
                    let half = _mm512_set1_epi8(0x0f);
                    let $low = _mm512_and_si512(r, half);
                    let $high = _mm512_and_si512(_mm512_srli_epi16::<4>(r), half);
                    let $sum = sum.1;
                    (
                        _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum.0, $low, q.0), $high, q.1),
                        $squares,
                    )
                }
                fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum {
                    (_mm512_add_epi32(a.0, b.0), _mm512_add_epi32(a.1, b.1))
                }
                fn finish(sum: Self::Sum, _query_sum: Self::Sum) -> f32 {
                    let ($products, $end) = sum;
                    $finish
                }
            }
        }
    };
}

sq4_step!(
    /// Four times the squares of a row, less its products with the query.
    Sq4Squares,
    |sum, low, high| _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, low, low), high, high),
    |products, squares| {
        let sums = _mm512_sub_epi32(_mm512_slli_epi32::<2>(squares), products);
        _mm512_reduce_add_epi32(sums) as f32
    }
);
sq4_step!(
    /// Products of a row with the query.
    Sq4NegativeDot,
    |sum, _low, _high| sum,
    |products, _squares| -(_mm512_reduce_add_epi32(products) as f32)
);

impl InstructionSet for Avx512 {
    // Zen 4 converts two halves of a vector faster than a whole one (19 against 32 ns, 784-d);
    // where vectors stream from memory, either keeps up.
    type F16Lanes = super::avx2::Avx2;
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

    // One running sum per row: four rows hide each other's latency, and one row that is streamed from memory goes
    // faster in a plain loop than unrolled (27 against 23 GB/s over 768-d f32 on Zen 4).
    entry_points!(
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,avx2,fma,f16c,popcnt",
        1,
        8 x 3
    );
}
