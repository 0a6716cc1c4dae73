//! Kernels without intrinsics: arrays of eight that any compiler turns into what the CPU has.

use half::f16;

use super::product::{self, Candidate, Keys, Products};
use super::row_loop::{self, Job, RowLoops};
use super::step::{FloatLanes, InstructionSet, Step, Work, sq4_query_piece};
use crate::RowId;

pub(super) struct Portable;

const LANES: usize = 8;
/// Running sums per row.
const SUMS: usize = 1;

impl FloatLanes for Portable {
    type V = [f32; LANES];
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn load_f32(at: *const u8) -> Self::V {
        // SAFETY: the caller vouches for LANES numbers at `at`.
        unsafe { at.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_f16(at: *const u8) -> Self::V {
        // SAFETY: the caller vouches for LANES numbers at `at`.
        unsafe { at.cast::<[f16; LANES]>().read_unaligned() }.map(f16::to_f32)
    }
    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, sum: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + sum[i])
    }
    #[inline(always)]
    unsafe fn abs(a: Self::V) -> Self::V {
        a.map(f32::abs)
    }
    #[inline(always)]
    unsafe fn sum(a: Self::V) -> f32 {
        ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))
    }
    #[inline(always)]
    unsafe fn splat(a: f32) -> Self::V {
        [a; LANES]
    }
    #[inline(always)]
    unsafe fn store(a: Self::V, at: *mut f32) {
        // SAFETY: the caller vouches for LANES numbers at `at`.
        unsafe { at.cast::<Self::V>().write_unaligned(a) }
    }
    #[inline(always)]
    unsafe fn at_most(a: Self::V, b: Self::V) -> u32 {
        (0..LANES).fold(0, |bits, i| bits | (u32::from(a[i] <= b[i]) << i))
    }
}

/// What a pair of bytes adds to an integer sum.
pub(super) trait BytePair {
    const SIGN: f32;
    fn add(query: u8, row: u8) -> i32;
}

macro_rules! byte_pairs {
    ($($name:ident, $sign:literal, |$q:ident, $r:ident| $add:expr;)*) => {$(
        pub(super) struct $name;
        impl BytePair for $name {
            const SIGN: f32 = $sign;
            #[inline(always)]
            fn add($q: u8, $r: u8) -> i32 {
                $add
            }
        }
    )*};
}

byte_pairs! {
    L2I8, 1.0, |q, r| (i32::from(q as i8) - i32::from(r as i8)).pow(2);
    L2U8, 1.0, |q, r| (i32::from(q) - i32::from(r)).pow(2);
    DotI8, -1.0, |q, r| i32::from(q as i8) * i32::from(r as i8);
    DotU8, -1.0, |q, r| i32::from(q) * i32::from(r);
    L1I8, 1.0, |q, r| (i32::from(q as i8) - i32::from(r as i8)).abs();
    L1U8, 1.0, |q, r| (i32::from(q) - i32::from(r)).abs();
}

/// The step of an integer metric.
pub(super) struct Bytes<P>(std::marker::PhantomData<P>);

impl<P: BytePair> Step for Bytes<P> {
    type Query = [u8; LANES];
    type Row = [u8; LANES];
    // A lane gets an eighth of MAX_DIM products: below 2^29.
    type Sum = [i32; LANES];
    const LANES: usize = LANES;
    const QUERY_BYTES: usize = 1;
    const ROW_BYTES: usize = 1;

    #[inline(always)]
    unsafe fn query(at: *const u8) -> Self::Query {
        // SAFETY: the caller vouches for LANES bytes at `at`.
        unsafe { at.cast::<[u8; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn row(at: *const u8) -> Self::Row {
        // SAFETY: the caller vouches for LANES bytes at `at`.
        unsafe { at.cast::<[u8; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Sum {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn add(sum: Self::Sum, query: Self::Query, row: Self::Row) -> Self::Sum {
        std::array::from_fn(|i| sum[i] + P::add(query[i], row[i]))
    }
    #[inline(always)]
    unsafe fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn finish(sum: Self::Sum, _query_sum: Self::Sum) -> f32 {
        P::SIGN * sum.iter().map(|&s| i64::from(s)).sum::<i64>() as f32
    }
}

/// Differing bits.
pub(super) struct Hamming;

impl Step for Hamming {
    type Query = u64;
    type Row = u64;
    type Sum = u32;
    const LANES: usize = 8;
    const QUERY_BYTES: usize = 1;
    const ROW_BYTES: usize = 1;

    #[inline(always)]
    unsafe fn query(at: *const u8) -> u64 {
        // SAFETY: the caller vouches for LANES bytes at `at`.
        unsafe { at.cast::<u64>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn row(at: *const u8) -> u64 {
        // SAFETY: the caller vouches for LANES bytes at `at`.
        unsafe { at.cast::<u64>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn zero() -> u32 {
        0
    }
    #[inline(always)]
    unsafe fn add(sum: u32, query: u64, row: u64) -> u32 {
        sum + (query ^ row).count_ones()
    }
    #[inline(always)]
    unsafe fn merge(a: u32, b: u32) -> u32 {
        a + b
    }
    #[inline(always)]
    unsafe fn finish(sum: u32, _query_sum: u32) -> f32 {
        sum as f32
    }
}

/// Bits in both and in either.
pub(super) struct Jaccard;

impl Step for Jaccard {
    type Query = u64;
    type Row = u64;
    type Sum = (u32, u32);
    const LANES: usize = 8;
    const QUERY_BYTES: usize = 1;
    const ROW_BYTES: usize = 1;

    #[inline(always)]
    unsafe fn query(at: *const u8) -> u64 {
        // SAFETY: the caller's.
        unsafe { Hamming::query(at) }
    }
    #[inline(always)]
    unsafe fn row(at: *const u8) -> u64 {
        // SAFETY: the caller's.
        unsafe { Hamming::row(at) }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Sum {
        (0, 0)
    }
    #[inline(always)]
    unsafe fn add(sum: Self::Sum, query: u64, row: u64) -> Self::Sum {
        (
            sum.0 + (query & row).count_ones(),
            sum.1 + (query | row).count_ones(),
        )
    }
    #[inline(always)]
    unsafe fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum {
        (a.0 + b.0, a.1 + b.1)
    }
    #[inline(always)]
    unsafe fn finish(sum: Self::Sum, _query_sum: Self::Sum) -> f32 {
        super::step::jaccard(u64::from(sum.0), u64::from(sum.1))
    }
}

/// What a number of a row and one of the query add.
pub(super) trait Sq4Pair {
    fn add(row: i32, query: i32) -> i32;
}

/// Four times the squares of a row, less its products with the query.
pub(super) struct Sq4Squares;
/// Products of a row with the query, negative.
pub(super) struct Sq4NegativeDot;

impl Sq4Pair for Sq4Squares {
    #[inline(always)]
    fn add(row: i32, query: i32) -> i32 {
        row * (4 * row - query)
    }
}

impl Sq4Pair for Sq4NegativeDot {
    #[inline(always)]
    fn add(row: i32, query: i32) -> i32 {
        -row * query
    }
}

/// The step over packed half bytes.
pub(super) struct Sq4<P>(std::marker::PhantomData<P>);

/// Packed bytes of a group.
const SQ4_LANES: usize = 16;

impl<P: Sq4Pair> Step for Sq4<P> {
    type Query = [[i8; SQ4_LANES]; 2];
    type Row = [u8; SQ4_LANES];
    type Sum = [i32; SQ4_LANES];
    const LANES: usize = SQ4_LANES;
    const QUERY_BYTES: usize = 2;
    const ROW_BYTES: usize = 1;

    #[inline(always)]
    unsafe fn query(at: *const u8) -> Self::Query {
        // SAFETY: the caller vouches for twice LANES numbers at `at`.
        unsafe { at.cast::<Self::Query>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn row(at: *const u8) -> Self::Row {
        // SAFETY: the caller vouches for LANES bytes at `at`.
        unsafe { at.cast::<Self::Row>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn query_tail(at: *const u8, n: usize) -> Self::Query {
        // SAFETY: the caller vouches for n pairs of numbers at `at`.
        unsafe { Self::query(sq4_query_piece(at, 2 * n).as_ptr()) }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Sum {
        [0; SQ4_LANES]
    }
    #[inline(always)]
    unsafe fn add(sum: Self::Sum, query: Self::Query, row: Self::Row) -> Self::Sum {
        let [low, high] = query;
        std::array::from_fn(|i| {
            let halves = (i32::from(row[i] & 0x0f), i32::from(row[i] >> 4));
            sum[i] + P::add(halves.0, i32::from(low[i])) + P::add(halves.1, i32::from(high[i]))
        })
    }
    #[inline(always)]
    unsafe fn merge(a: Self::Sum, b: Self::Sum) -> Self::Sum {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn finish(sum: Self::Sum, _query_sum: Self::Sum) -> f32 {
        sum.iter().map(|&s| i64::from(s)).sum::<i64>() as f32
    }
}

impl InstructionSet for Portable {
    type F16Lanes = Portable;
    type L2I8 = Bytes<L2I8>;
    type L2U8 = Bytes<L2U8>;
    type DotI8 = Bytes<DotI8>;
    type DotU8 = Bytes<DotU8>;
    type L1I8 = Bytes<L1I8>;
    type L1U8 = Bytes<L1U8>;
    type Hamming = Hamming;
    type Jaccard = Jaccard;
    type Sq4Squares = Sq4<Sq4Squares>;
    type Sq4NegativeDot = Sq4<Sq4NegativeDot>;

    fn loops<S: Step>() -> RowLoops {
        unsafe fn gather<S: Step>(job: &Job, rows: &[RowId], out: &mut [f32]) {
            // SAFETY: the caller's; no instruction set is asked for.
            unsafe { row_loop::gather::<S, SUMS>(job, rows, out) }
        }

        unsafe fn range<S: Step>(job: &Job, first: RowId, out: &mut [f32]) {
            // SAFETY: as in `gather`.
            unsafe { row_loop::range::<S, SUMS>(job, first, out) }
        }

        RowLoops {
            gather: gather::<S>,
            range: range::<S>,
        }
    }

    unsafe fn call<W: Work>(work: W) -> W::Output {
        work.run()
    }

    fn products() -> Products {
        unsafe fn multiply(depth: usize, rows: &[f32], queries: &[f32], out: &mut [f32]) {
            // SAFETY: the caller's; no instruction set is asked for.
            unsafe { product::multiply::<Portable, 2, 2>(depth, rows, queries, out) }
        }

        unsafe fn select(keys: &Keys<'_>, products: &[f32], out: &mut Vec<Candidate>) {
            // SAFETY: as in `multiply`.
            unsafe { product::select::<Portable, 2>(keys, products, out) }
        }

        Products {
            tile_rows: 2,
            panel_queries: 2 * LANES,
            multiply,
            select,
        }
    }
}
