//! The instruction set, chosen once, and the table of row loops made for it.
//!
//! The layers:
//! - `step`: what one step of a kernel is (traits), and the float kernels written once over an
//!   instruction set's basic operations;
//! - `row_loop`: the only loops over rows and numbers, generic over a step;
//! - `planes`: dot products of 1-bit codes with a query in bit planes, for sketches;
//! - `tables`: sums of looked-up table entries, for product-quantized codes;
//! - `product`: blocked matrix products for many queries, generic over the basic operations;
//! - `portable`, `avx2`, `avx512`, `neon`: basic operations, integer and bit steps, and the
//!   `#[target_feature]` entry points into which the generic loops are inlined whole.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod entry;
#[cfg(target_arch = "aarch64")]
mod neon;
mod planes;
mod portable;
mod product;
mod row_loop;
mod step;
mod tables;

use std::fmt;
use std::sync::OnceLock;

use crate::{ElementType, Metric, Sq4Distance, VectorError};
use step::{Dot, F16Load, F32Load, Float, InstructionSet, L1, L2};

pub use planes::{CODE_GROUP, PLANES, plane_dots};
pub(crate) use product::{Candidate, DEPTH_BLOCK, Keys, Products};
pub(crate) use row_loop::{Job, RowLoops, prefetch, prefetch_to_l2};
pub use step::Work;
pub use tables::{
    NIBBLE_COLUMNS, SCAN_ROWS, STEP_COLUMNS_MAX, byte_steps, byte_sums, nibble_row, nibble_sums,
};

/// An instruction set with kernels of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// From the slowest to the fastest.
    const ALL: &[Isa] = &[
        Isa::Portable,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon,
    ];

    fn name(self) -> &'static str {
        match self {
            Isa::Portable => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::is_available(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => true,
        }
    }
}

/// Evaluates an expression with `$set` standing for the type of the instruction set.
macro_rules! dispatch {
    ($isa:expr, $set:ident => $body:expr) => {
        match $isa {
            Isa::Portable => {
                type $set = portable::Portable;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                type $set = avx2::Avx2;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                type $set = avx512::Avx512;
                $body
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => {
                type $set = neon::Neon;
                $body
            }
        }
    };
}

/// The set of distance kernels in use: an instruction set this CPU has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernels {
    isa: Isa,
}

impl Kernels {
    /// The fastest kernels of this CPU, or those that the environment variable `VECDB_SIMD`
    /// (`scalar`, `avx2`, `avx512`, `neon`) names. Looked up once per process. A value that
    /// [`Kernels::from_env`] refuses is ignored here.
    pub fn detect() -> Kernels {
        static DETECTED: OnceLock<Kernels> = OnceLock::new();
        *DETECTED.get_or_init(|| Kernels::from_env().unwrap_or_else(|_| Kernels::best()))
    }

    /// As [`Kernels::detect`], but a `VECDB_SIMD` that is unknown or that this CPU lacks is an
    /// error naming the right values. For programs to check at start.
    ///
    /// # Errors
    /// `UnknownName`.
    pub fn from_env() -> Result<Kernels, VectorError> {
        match std::env::var_os("VECDB_SIMD") {
            None => Ok(Kernels::best()),
            Some(name) => Kernels::named(&name.to_string_lossy()),
        }
    }

    /// The kernels of an instruction set by its name.
    ///
    /// # Errors
    /// `UnknownName` when there are none of this name or this CPU lacks the instruction set.
    pub fn named(name: &str) -> Result<Kernels, VectorError> {
        Kernels::available()
            .into_iter()
            .find(|kernels| kernels.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| VectorError::UnknownName {
                what: "instruction set (VECDB_SIMD) on this CPU",
                name: name.to_owned(),
                expected: Kernels::available()
                    .iter()
                    .map(Kernels::name)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// All kernels this CPU can run, the slowest (`scalar`) first.
    pub fn available() -> Vec<Kernels> {
        Isa::ALL
            .iter()
            .copied()
            .filter(|isa| isa.is_available())
            .map(|isa| Kernels { isa })
            .collect()
    }

    /// `scalar`, `avx2`, `avx512` or `neon`.
    pub fn name(&self) -> &'static str {
        self.isa.name()
    }

    fn best() -> Kernels {
        let isa = Isa::ALL
            .iter()
            .copied()
            .rev()
            .find(|isa| isa.is_available());
        Kernels {
            isa: isa.unwrap_or(Isa::Portable),
        }
    }

    /// The loops that measure a query stored as `query` against rows stored as `rows`.
    /// The pair must be one that `Metric::supports` and `Query` allow.
    pub(crate) fn row_loops(
        self,
        metric: Metric,
        query: ElementType,
        rows: ElementType,
    ) -> RowLoops {
        dispatch!(self.isa, I => row_loops_of::<I>(metric, query, rows))
    }

    /// The loops that measure a query of eight bits a number against rows of four.
    pub(crate) fn sq4_loops(self, distance: Sq4Distance) -> RowLoops {
        dispatch!(self.isa, I => match distance {
            Sq4Distance::Squares => I::loops::<<I as InstructionSet>::Sq4Squares>(),
            Sq4Distance::NegativeDot => I::loops::<<I as InstructionSet>::Sq4NegativeDot>(),
        })
    }

    /// Does some work, compiled for this instruction set. The result is the same with all kernels.
    #[inline]
    pub fn call<W: Work>(self, work: W) -> W::Output {
        // SAFETY: `Kernels` are only made of instruction sets that this CPU has.
        dispatch!(self.isa, I => unsafe { I::call(work) })
    }

    /// The product kernels.
    pub(crate) fn products(self) -> Products {
        dispatch!(self.isa, I => I::products())
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.name())
    }
}

fn row_loops_of<I: InstructionSet>(
    metric: Metric,
    query: ElementType,
    rows: ElementType,
) -> RowLoops {
    use ElementType::{Bits, F16, F32, I8, U8};
    match (metric, query, rows) {
        (Metric::L2, F32, F32) => I::loops::<Float<I, L2, F32Load, F32Load>>(),
        (Metric::L2, F32, F16) => I::loops::<Float<I::F16Lanes, L2, F32Load, F16Load>>(),
        (Metric::L2, F16, F16) => I::loops::<Float<I::F16Lanes, L2, F16Load, F16Load>>(),
        (Metric::L2, I8, I8) => I::loops::<I::L2I8>(),
        (Metric::L2, U8, U8) => I::loops::<I::L2U8>(),
        (Metric::Dot | Metric::Cosine, F32, F32) => I::loops::<Float<I, Dot, F32Load, F32Load>>(),
        (Metric::Dot | Metric::Cosine, F32, F16) => {
            I::loops::<Float<I::F16Lanes, Dot, F32Load, F16Load>>()
        }
        (Metric::Dot | Metric::Cosine, F16, F16) => {
            I::loops::<Float<I::F16Lanes, Dot, F16Load, F16Load>>()
        }
        (Metric::Dot | Metric::Cosine, I8, I8) => I::loops::<I::DotI8>(),
        (Metric::Dot | Metric::Cosine, U8, U8) => I::loops::<I::DotU8>(),
        (Metric::L1, F32, F32) => I::loops::<Float<I, L1, F32Load, F32Load>>(),
        (Metric::L1, F32, F16) => I::loops::<Float<I::F16Lanes, L1, F32Load, F16Load>>(),
        (Metric::L1, F16, F16) => I::loops::<Float<I::F16Lanes, L1, F16Load, F16Load>>(),
        (Metric::L1, I8, I8) => I::loops::<I::L1I8>(),
        (Metric::L1, U8, U8) => I::loops::<I::L1U8>(),
        (Metric::Hamming, Bits, Bits) => I::loops::<I::Hamming>(),
        (Metric::Jaccard, Bits, Bits) => I::loops::<I::Jaccard>(),
        _ => unreachable!("{metric} of a {query} query and {rows} rows was refused by Query"),
    }
}
