//! Two macros that keep the instruction-set files to what differs between them.

/// Functions that are inlined into an entry point: unsafe to call, their body in one unsafe block.
macro_rules! operations {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty { $($body:tt)* })*) => {$(
        #[inline(always)]
        #[allow(unused_unsafe)] // where an instruction set is always there, its intrinsics are safe
        unsafe fn $name($($arg: $type),*) -> $out {
            // SAFETY: the caller runs on a CPU with this instruction set, inside a function that
            // enables it, and vouches for the pointer being readable for what is loaded.
            unsafe { $($body)* }
        }
    )*};
}

/// `InstructionSet::loops`, `call` and `products`, and the `#[target_feature]` functions behind them. `$sums` is the number
/// of running sums per row: enough to hide the latency of an addition, few enough for the
/// registers with four rows; `$rows x $vectors` is the tile of a product: as many sums as the
/// registers hold beside the operands of a step.
macro_rules! entry_points {
    ($features:literal, $sums:literal, $rows:literal x $vectors:literal) => {
        fn loops<S: Step>() -> RowLoops {
            #[target_feature(enable = $features)]
            unsafe fn gather<S: Step>(job: &Job, rows: &[RowId], out: &mut [f32]) {
                // SAFETY: the caller's; the instruction set is enabled here.
                unsafe { row_loop::gather::<S, $sums>(job, rows, out) }
            }

            #[target_feature(enable = $features)]
            unsafe fn range<S: Step>(job: &Job, first: RowId, out: &mut [f32]) {
                // SAFETY: the caller's; the instruction set is enabled here.
                unsafe { row_loop::range::<S, $sums>(job, first, out) }
            }

            RowLoops {
                gather: gather::<S>,
                range: range::<S>,
            }
        }

        unsafe fn call<W: Work>(work: W) -> W::Output {
            #[target_feature(enable = $features)]
            unsafe fn call<W: Work>(work: W) -> W::Output {
                work.run()
            }

            // SAFETY: the caller runs on a CPU with this instruction set.
            unsafe { call(work) }
        }

        fn products() -> Products {
            #[target_feature(enable = $features)]
            unsafe fn multiply(depth: usize, rows: &[f32], queries: &[f32], out: &mut [f32]) {
                // SAFETY: the caller's; the instruction set is enabled here.
                unsafe {
                    product::multiply::<Lanes, $rows, $vectors>(depth, rows, queries, out);
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn select(keys: &Keys<'_>, products: &[f32], out: &mut Vec<Candidate>) {
                // SAFETY: the caller's; the instruction set is enabled here.
                unsafe { product::select::<Lanes, $vectors>(keys, products, out) }
            }

            Products {
                tile_rows: $rows,
                panel_queries: $vectors * <Lanes as FloatLanes>::LANES,
                multiply,
                select,
            }
        }
    };
}

pub(super) use {entry_points, operations};
