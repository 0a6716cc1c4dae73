//! NEON, which every 64-bit ARM has: 16 bytes a step.

use std::arch::aarch64::*;

use super::entry::{entry_points, operations};
use super::product::{self, Candidate, Keys, Products};
use super::row_loop::{self, Job, RowLoops};
use super::step::{FloatLanes, InstructionSet, Step, Work, jaccard, sq4_query_piece};
use crate::RowId;

pub(super) struct Neon;
type Lanes = Neon;

impl FloatLanes for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;

    operations! {
        fn load_f32(at: *const u8) -> float32x4_t { vreinterpretq_f32_u8(vld1q_u8(at)) }
        fn load_f16(at: *const u8) -> float32x4_t {
            let halves = vld1_u8(at);
            let singles: float32x4_t;
            // The instruction is part of NEON; its intrinsic needs a type of half floats.
            std::arch::asm!(
                "fcvtl {singles:v}.4s, {halves:v}.4h",
                singles = lateout(vreg) singles,
                halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags)
            );
            singles
        }
        fn zero() -> float32x4_t { vdupq_n_f32(0.0) }
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t { vsubq_f32(a, b) }
        fn mul_add(a: float32x4_t, b: float32x4_t, sum: float32x4_t) -> float32x4_t {
            vfmaq_f32(sum, a, b)
        }
        fn abs(a: float32x4_t) -> float32x4_t { vabsq_f32(a) }
        fn sum(a: float32x4_t) -> f32 { vaddvq_f32(a) }
        fn splat(a: f32) -> float32x4_t { vdupq_n_f32(a) }
        fn store(a: float32x4_t, at: *mut f32) -> () { vst1q_f32(at, a) }
        fn at_most(a: float32x4_t, b: float32x4_t) -> u32 {
            let bits = vld1q_u32([1u32, 2, 4, 8].as_ptr());
            vaddvq_u32(vandq_u32(vcleq_f32(a, b), bits))
        }
    }
}

/// A step over 16 bytes of the query and of a row, with four sums of 32 bits, signed or unsigned.
/// A lane gets a quarter of MAX_DIM products: below 2^30.
macro_rules! byte_step {
    ($(#[$doc:meta])* $name:ident, $bytes:ty, $sums:ty, $load:ident, $zero:ident, $merge:ident,
     |$sum:ident, $q:ident, $r:ident| $add:expr,
     |$end:ident| $finish:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Step for $name {
            type Query = $bytes;
            type Row = $bytes;
            type Sum = $sums;
            const LANES: usize = 16;
            const QUERY_BYTES: usize = 1;
            const ROW_BYTES: usize = 1;

            operations! {
                fn query(at: *const u8) -> $bytes { $load(at.cast()) }
                fn row(at: *const u8) -> $bytes { $load(at.cast()) }
                fn zero() -> $sums { $zero(0) }
                fn add($sum: $sums, $q: $bytes, $r: $bytes) -> $sums { $add }
                fn merge(a: $sums, b: $sums) -> $sums { $merge(a, b) }
                fn finish($end: $sums, _query_sum: $sums) -> f32 { $finish }
            }
        }
    };
}

operations! {
    fn add_squares(sum: uint32x4_t, difference: uint8x16_t) -> uint32x4_t {
        add_products(sum, difference, difference)
    }

    fn add_products(sum: uint32x4_t, a: uint8x16_t, b: uint8x16_t) -> uint32x4_t {
        let low = vmull_u8(vget_low_u8(a), vget_low_u8(b));
        let high = vmull_u8(vget_high_u8(a), vget_high_u8(b));
        vpadalq_u16(vpadalq_u16(sum, low), high)
    }

    fn add_bytes(sum: uint32x4_t, bytes: uint8x16_t) -> uint32x4_t {
        vpadalq_u16(sum, vpaddlq_u8(bytes))
    }
}

byte_step!(
    /// Squared differences of signed bytes; a difference fits an unsigned byte.
    L2I8, int8x16_t, uint32x4_t, vld1q_s8, vdupq_n_u32, vaddq_u32,
    |sum, q, r| add_squares(sum, vreinterpretq_u8_s8(vabdq_s8(q, r))),
    |sum| vaddlvq_u32(sum) as f32
);
byte_step!(
    /// Squared differences of unsigned bytes.
    L2U8, uint8x16_t, uint32x4_t, vld1q_u8, vdupq_n_u32, vaddq_u32,
    |sum, q, r| add_squares(sum, vabdq_u8(q, r)),
    |sum| vaddlvq_u32(sum) as f32
);
byte_step!(
    /// Products of signed bytes.
    DotI8, int8x16_t, int32x4_t, vld1q_s8, vdupq_n_s32, vaddq_s32,
    |sum, q, r| {
        let low = vmull_s8(vget_low_s8(q), vget_low_s8(r));
        let high = vmull_s8(vget_high_s8(q), vget_high_s8(r));
        vpadalq_s16(vpadalq_s16(sum, low), high)
    },
    |sum| -(vaddlvq_s32(sum) as f32)
);
byte_step!(
    /// Products of unsigned bytes.
    DotU8, uint8x16_t, uint32x4_t, vld1q_u8, vdupq_n_u32, vaddq_u32,
    |sum, q, r| add_products(sum, q, r),
    |sum| -(vaddlvq_u32(sum) as f32)
);
byte_step!(
    /// Absolute differences of signed bytes.
    L1I8, int8x16_t, uint32x4_t, vld1q_s8, vdupq_n_u32, vaddq_u32,
    |sum, q, r| add_bytes(sum, vreinterpretq_u8_s8(vabdq_s8(q, r))),
    |sum| vaddlvq_u32(sum) as f32
);
byte_step!(
    /// Absolute differences of unsigned bytes.
    L1U8, uint8x16_t, uint32x4_t, vld1q_u8, vdupq_n_u32, vaddq_u32,
    |sum, q, r| add_bytes(sum, vabdq_u8(q, r)),
    |sum| vaddlvq_u32(sum) as f32
);
byte_step!(
    /// Differing bits.
    Hamming, uint8x16_t, uint32x4_t, vld1q_u8, vdupq_n_u32, vaddq_u32,
    |sum, q, r| add_bytes(sum, vcntq_u8(veorq_u8(q, r))),
    |sum| vaddlvq_u32(sum) as f32
);

/// Bits in both and in either.
pub(super) struct Jaccard;

impl Step for Jaccard {
    type Query = uint8x16_t;
    type Row = uint8x16_t;
    type Sum = (uint32x4_t, uint32x4_t);
    const LANES: usize = 16;
    const QUERY_BYTES: usize = 1;
    const ROW_BYTES: usize = 1;

    operations! {
        fn query(at: *const u8) -> uint8x16_t { vld1q_u8(at) }
        fn row(at: *const u8) -> uint8x16_t { vld1q_u8(at) }
        fn zero() -> Self::Sum { (vdupq_n_u32(0), vdupq_n_u32(0)) }
        fn add(sum: Self::Sum, q: uint8x16_t, r: uint8x16_t) -> Self::Sum {
            (
                add_bytes(sum.0, vcntq_u8(vandq_u8(q, r))),
                add_bytes(sum.1, vcntq_u8(vorrq_u8(q, r))),
            )
        }
        fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum {
            (vaddq_u32(a.0, b.0), vaddq_u32(a.1, b.1))
        }
        fn finish(sum: Self::Sum, _query_sum: Self::Sum) -> f32 {
            jaccard(vaddlvq_u32(sum.0), vaddlvq_u32(sum.1))
        }
    }
}

/// 16 packed bytes of a row against 32 numbers of the query. What two numbers add fits 16 bits.
macro_rules! sq4_step {
    ($(#[$doc:meta])* $name:ident, |$q:ident, $r:ident| $each:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl $name {
            operations! {
                fn each($q: int8x8_t, $r: int8x8_t) -> int16x8_t { $each }
            }
        }

        impl Step for $name {
            type Query = (int8x16_t, int8x16_t);
            type Row = uint8x16_t;
            type Sum = int32x4_t;
            const LANES: usize = 16;
            const QUERY_BYTES: usize = 2;
            const ROW_BYTES: usize = 1;

            operations! {
                fn query(at: *const u8) -> Self::Query {
                    (vld1q_s8(at.cast()), vld1q_s8(at.wrapping_add(16).cast()))
                }
                fn row(at: *const u8) -> uint8x16_t { vld1q_u8(at) }
                fn query_tail(at: *const u8, n: usize) -> Self::Query {
                    Self::query(sq4_query_piece(at, 2 * n).as_ptr())
                }
                fn zero() -> int32x4_t { vdupq_n_s32(0) }
                fn add(sum: int32x4_t, q: Self::Query, r: uint8x16_t) -> int32x4_t {
                    let low = vreinterpretq_s8_u8(vandq_u8(r, vdupq_n_u8(0x0f)));
                    let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(r));
                    let low = vaddq_s16(
                        Self::each(vget_low_s8(q.0), vget_low_s8(low)),
                        Self::each(vget_high_s8(q.0), vget_high_s8(low)),
                    );
                    let high = vaddq_s16(
                        Self::each(vget_low_s8(q.1), vget_low_s8(high)),
                        Self::each(vget_high_s8(q.1), vget_high_s8(high)),
                    );
                    vpadalq_s16(vpadalq_s16(sum, low), high)
                }
                fn merge(a: int32x4_t, b: int32x4_t) -> int32x4_t { vaddq_s32(a, b) }
                fn finish(sum: int32x4_t, _query_sum: int32x4_t) -> f32 { vaddlvq_s32(sum) as f32 }
            }
        }
    };
}

sq4_step!(
    /// Four times the squares of a row, less its products with the query.
    Sq4Squares,
    |q, r| vsubq_s16(vshlq_n_s16::<2>(vmull_s8(r, r)), vmull_s8(r, q))
);
sq4_step!(
    /// Products of a row with the query, negative.
    Sq4NegativeDot,
    |q, r| vnegq_s16(vmull_s8(r, q))
);

impl InstructionSet for Neon {
    type F16Lanes = Neon;
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

    entry_points!("neon", 4, 8 x 3);
}
