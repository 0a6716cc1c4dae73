//! 1-bit sketches of rows: search over rows that have no graph yet, at a fraction of a scan.
//!
//! RaBitQ (Gao and Long, SIGMOD 2024): a row is centred, rotated at random and kept as the signs of its coordinates,
//! with three numbers that turn a bit count into an unbiased estimate of its distance and a bound of the error. A
//! search estimates all rows, measures the most promising exactly, and after that only the rows whose bound reaches
//! below the k-th distance found.
//!
//! - [`SketchSpace`]: what rows and queries must share: metric, centre, rotation;
//! - [`Sketches`]: the codes of some rows, in memory only;
//! - [`SketchQuery`]: a query, rotated and cut into bit planes;
//! - [`scan_sketched`]: the search.
//!
//! Invariants:
//! - what is returned has exact distances; only which rows are measured depends on the sketches;
//! - the bound holds with high probability, not surely (see [`SketchQuery`]); numbers that single precision cannot
//!   hold never exclude a row: it is measured.

mod codes;
mod query;
mod scan;
mod space;

pub use codes::Sketches;
pub use query::SketchQuery;
pub use scan::{SketchScratch, scan_sketched};
pub use space::SketchSpace;

#[cfg(test)]
mod tests;
