//! What one step of a kernel is: the traits that the generic row loops are written over.
//!
//! Every function here is `#[inline(always)]` in its implementations, and `unsafe` to call: the
//! CPU must have the instruction set, and pointers must be readable for what is loaded. The entry
//! points of an instruction set carry the `#[target_feature]`, and everything is inlined there.

use std::marker::PhantomData;

use super::product::Products;
use super::row_loop::RowLoops;

/// A kernel's inner step: so many numbers of the query against as many of a row.
pub(super) trait Step {
    /// A loaded piece of the query.
    type Query: Copy;
    /// A loaded piece of a row.
    type Row: Copy;
    /// A running sum over the pieces of a row.
    type Sum: Copy;
    /// Numbers (for bits: bytes) a step takes.
    const LANES: usize;
    /// Bytes of one number of the query.
    const QUERY_BYTES: usize;
    /// Bytes of one number of a row.
    const ROW_BYTES: usize;

    unsafe fn query(at: *const u8) -> Self::Query;
    unsafe fn row(at: *const u8) -> Self::Row;

    /// Loads `n < LANES` numbers; the missing ones are zero and change no sum.
    #[inline(always)]
    unsafe fn query_tail(at: *const u8, n: usize) -> Self::Query {
        let mut piece = [0u8; 64];
        // SAFETY: the caller vouches for n numbers at `at`; LANES numbers fit 64 bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(at, piece.as_mut_ptr(), n * Self::QUERY_BYTES);
            Self::query(piece.as_ptr())
        }
    }

    /// As [`Step::query_tail`], of a row.
    #[inline(always)]
    unsafe fn row_tail(at: *const u8, n: usize) -> Self::Row {
        let mut piece = [0u8; 64];
        // SAFETY: as in `query_tail`.
        unsafe {
            std::ptr::copy_nonoverlapping(at, piece.as_mut_ptr(), n * Self::ROW_BYTES);
            Self::row(piece.as_ptr())
        }
    }

    unsafe fn zero() -> Self::Sum;
    unsafe fn add(sum: Self::Sum, query: Self::Query, row: Self::Row) -> Self::Sum;
    unsafe fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum;

    /// A second sum, over the query alone, that `finish` may need: shared by all rows.
    #[inline(always)]
    unsafe fn add_query(sum: Self::Sum, _query: Self::Query) -> Self::Sum {
        sum
    }

    /// The rank value (for cosine: `-dot`).
    unsafe fn finish(sum: Self::Sum, query_sum: Self::Sum) -> f32;
}

/// Loops over floats that the compiler turns into vector instructions by itself, to be compiled for an instruction set.
/// [`run`](Self::run) and all that it calls must be `#[inline(always)]`, and no closures: what is not inlined loses the
/// instruction set.
pub trait Work {
    /// What comes of it.
    type Output;
    /// Does it.
    fn run(self) -> Self::Output;
}

/// What an instruction set provides.
pub(super) trait InstructionSet: FloatLanes + Sized {
    /// What rows of f16 are measured with.
    type F16Lanes: FloatLanes;
    type L2I8: Step;
    type L2U8: Step;
    type DotI8: Step;
    type DotU8: Step;
    type L1I8: Step;
    type L1U8: Step;
    type Hamming: Step;
    type Jaccard: Step;
    type Sq4Squares: Step;
    type Sq4NegativeDot: Step;

    /// The entry points for one step, compiled for this instruction set.
    fn loops<S: Step>() -> RowLoops;

    /// Does some work, compiled for this instruction set.
    unsafe fn call<W: Work>(work: W) -> W::Output;

    /// The product kernels, compiled for this instruction set.
    fn products() -> Products;
}

/// A vector of f32 and its arithmetic.
pub(super) trait FloatLanes {
    type V: Copy;
    const LANES: usize;

    unsafe fn load_f32(at: *const u8) -> Self::V;
    unsafe fn load_f16(at: *const u8) -> Self::V;
    unsafe fn zero() -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + sum`, fused where the CPU can.
    unsafe fn mul_add(a: Self::V, b: Self::V, sum: Self::V) -> Self::V;
    unsafe fn abs(a: Self::V) -> Self::V;
    unsafe fn sum(a: Self::V) -> f32;
    unsafe fn splat(a: f32) -> Self::V;
    unsafe fn store(a: Self::V, at: *mut f32);
    /// One bit per lane: whether `a <= b`.
    unsafe fn at_most(a: Self::V, b: Self::V) -> u32;

    /// The first `n < LANES` numbers, zeros after them.
    #[inline(always)]
    unsafe fn load_f32_tail(at: *const u8, n: usize) -> Self::V {
        let mut piece = [0u8; 64];
        // SAFETY: the caller vouches for n numbers at `at`; LANES numbers fit 64 bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(at, piece.as_mut_ptr(), n * 4);
            Self::load_f32(piece.as_ptr())
        }
    }

    /// The first `n < LANES` numbers, zeros after them.
    #[inline(always)]
    unsafe fn load_f16_tail(at: *const u8, n: usize) -> Self::V {
        let mut piece = [0u8; 64];
        // SAFETY: as in `load_f32_tail`.
        unsafe {
            std::ptr::copy_nonoverlapping(at, piece.as_mut_ptr(), n * 2);
            Self::load_f16(piece.as_ptr())
        }
    }
}

/// How a float is stored.
pub(super) trait Load {
    const BYTES: usize;
    unsafe fn load<F: FloatLanes>(at: *const u8) -> F::V;
    unsafe fn load_tail<F: FloatLanes>(at: *const u8, n: usize) -> F::V;
}

pub(super) struct F32Load;
pub(super) struct F16Load;

impl Load for F32Load {
    const BYTES: usize = 4;
    #[inline(always)]
    unsafe fn load<F: FloatLanes>(at: *const u8) -> F::V {
        // SAFETY: the caller's.
        unsafe { F::load_f32(at) }
    }
    #[inline(always)]
    unsafe fn load_tail<F: FloatLanes>(at: *const u8, n: usize) -> F::V {
        // SAFETY: the caller's.
        unsafe { F::load_f32_tail(at, n) }
    }
}

impl Load for F16Load {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn load<F: FloatLanes>(at: *const u8) -> F::V {
        // SAFETY: the caller's.
        unsafe { F::load_f16(at) }
    }
    #[inline(always)]
    unsafe fn load_tail<F: FloatLanes>(at: *const u8, n: usize) -> F::V {
        // SAFETY: the caller's.
        unsafe { F::load_f16_tail(at, n) }
    }
}

/// A float metric: what a pair of numbers adds to the sum, and the sign of the result.
pub(super) trait FloatMetric {
    const SIGN: f32;
    unsafe fn add<F: FloatLanes>(sum: F::V, query: F::V, row: F::V) -> F::V;
}

pub(super) struct L2;
pub(super) struct Dot;
pub(super) struct L1;

impl FloatMetric for L2 {
    const SIGN: f32 = 1.0;
    #[inline(always)]
    unsafe fn add<F: FloatLanes>(sum: F::V, query: F::V, row: F::V) -> F::V {
        // SAFETY: the caller's.
        unsafe {
            let difference = F::sub(query, row);
            F::mul_add(difference, difference, sum)
        }
    }
}

impl FloatMetric for Dot {
    const SIGN: f32 = -1.0;
    #[inline(always)]
    unsafe fn add<F: FloatLanes>(sum: F::V, query: F::V, row: F::V) -> F::V {
        // SAFETY: the caller's.
        unsafe { F::mul_add(query, row, sum) }
    }
}

impl FloatMetric for L1 {
    const SIGN: f32 = 1.0;
    #[inline(always)]
    unsafe fn add<F: FloatLanes>(sum: F::V, query: F::V, row: F::V) -> F::V {
        // SAFETY: the caller's.
        unsafe { F::add(sum, F::abs(F::sub(query, row))) }
    }
}

/// The step of a float metric on an instruction set, for a query and rows stored as `Q` and `R`.
pub(super) struct Float<I, M, Q, R>(PhantomData<(I, M, Q, R)>);

impl<I: FloatLanes, M: FloatMetric, Q: Load, R: Load> Step for Float<I, M, Q, R> {
    type Query = I::V;
    type Row = I::V;
    type Sum = I::V;
    const LANES: usize = I::LANES;
    const QUERY_BYTES: usize = Q::BYTES;
    const ROW_BYTES: usize = R::BYTES;

    #[inline(always)]
    unsafe fn query(at: *const u8) -> I::V {
        // SAFETY: the caller's.
        unsafe { Q::load::<I>(at) }
    }
    #[inline(always)]
    unsafe fn row(at: *const u8) -> I::V {
        // SAFETY: the caller's.
        unsafe { R::load::<I>(at) }
    }
    #[inline(always)]
    unsafe fn query_tail(at: *const u8, n: usize) -> I::V {
        // SAFETY: the caller's.
        unsafe { Q::load_tail::<I>(at, n) }
    }
    #[inline(always)]
    unsafe fn row_tail(at: *const u8, n: usize) -> I::V {
        // SAFETY: the caller's.
        unsafe { R::load_tail::<I>(at, n) }
    }
    #[inline(always)]
    unsafe fn zero() -> I::V {
        // SAFETY: the caller's.
        unsafe { I::zero() }
    }
    #[inline(always)]
    unsafe fn add(sum: I::V, query: I::V, row: I::V) -> I::V {
        // SAFETY: the caller's.
        unsafe { M::add::<I>(sum, query, row) }
    }
    #[inline(always)]
    unsafe fn merge(a: I::V, b: I::V) -> I::V {
        // SAFETY: the caller's.
        unsafe { I::add(a, b) }
    }
    #[inline(always)]
    unsafe fn finish(sum: I::V, _query_sum: I::V) -> f32 {
        // SAFETY: the caller's.
        unsafe { M::SIGN * I::sum(sum) }
    }
}

/// `1 - both / either`, 0 for two empty sets.
#[inline(always)]
pub(super) fn jaccard(both: u64, either: u64) -> f32 {
    if either == 0 {
        0.0
    } else {
        (1.0 - both as f64 / either as f64) as f32
    }
}

/// `LANES` packed bytes of a row of half bytes take twice as many numbers of the query; a piece of fewer.
///
/// # Safety
/// `bytes` bytes must be readable at `at`, at most 128.
#[inline(always)]
pub(super) unsafe fn sq4_query_piece(at: *const u8, bytes: usize) -> [u8; 128] {
    let mut piece = [0u8; 128];
    // SAFETY: the caller's.
    unsafe { std::ptr::copy_nonoverlapping(at, piece.as_mut_ptr(), bytes) };
    piece
}
