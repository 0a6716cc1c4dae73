//! Metrics, SIMD distance kernels, row masks and top-k.
//!
//! The bottom of the house: everything that measures how far one vector is from another, and the
//! small sets of rows that searches hand to each other. Nothing here allocates per distance,
//! reads a file or knows an index.
//!
//! The parts, in reading order:
//! - [`Metric`], [`ElementType`]: what is measured, and how a number is stored;
//! - [`VectorRows`]: borrowed rows of one vector field, [`encode_row`] and [`decode_row`];
//! - [`Query`], [`Scorer`]: one query against many rows through the best loop for this CPU
//!   ([`Kernels`]);
//! - [`scan`], [`scan_batch`]: exact search over all rows; [`Centroids`]: many vectors, each to its nearest centroid;
//! - [`plane_dots`]: the bit counts behind 1-bit sketches of rows; [`nibble_sums`], [`byte_sums`], [`byte_steps`]: the table look-ups
//!   behind quantized rows; [`Sq4Scorer`]: rows of four bits a number, behind the walk of a graph;
//! - [`TopK`], [`Neighbor`], [`RowMask`], [`RowId`]: results and sets of rows;
//! - [`reference`](mod@reference): the slow f64 oracle every kernel is tested against.
//!
//! Invariants:
//! - *Rank values* (smaller is nearer) are what kernels return: squared L2, `-dot`, `1 - cos`,
//!   L1, Hamming, `1 - J`. [`Metric::distance`] turns one into the distance that is reported.
//! - The instruction set is chosen once per scorer; a call is one indirect jump into a loop made
//!   for that instruction set, metric and element type.
//! - `unsafe` lives in `kernels/` and in the calls by which `scorer` and `sq4` enter it, behind sizes
//!   that safe constructors have checked.
#![deny(unsafe_code)]

mod batch;
mod element;
mod error;
mod kernels;
mod metric;
mod neighbor;
mod query;
pub mod reference;
mod row_mask;
mod rows;
mod scan;
mod scorer;
mod sq4;
mod top_k;

pub use batch::{Centroids, Nearest, scan_batch};
pub use element::{ElementType, MAX_DIM, decode_row, encode_row};
pub use error::VectorError;
pub use kernels::{
    CODE_GROUP, Kernels, NIBBLE_COLUMNS, PLANES, SCAN_ROWS, STEP_COLUMNS_MAX, Work, byte_steps,
    byte_sums, nibble_row, nibble_sums, plane_dots,
};
pub use metric::Metric;
pub use neighbor::{Neighbor, RowId};
pub use query::Query;
pub use row_mask::RowMask;
pub use rows::{VectorRows, inverse_norm};
pub use scan::{scan, scan_while};
pub use scorer::{Scorer, prefetch_node};
pub use sq4::{SQ4_NUMBERS, Sq4Distance, Sq4Head, Sq4Rows, Sq4Scorer};
pub use top_k::TopK;
