//! Four bits a number: the rows that a graph is walked on before the vectors themselves are measured.
//!
//! The mean is taken away and what is left is rotated at random, so that all numbers of all rows are of one size and can
//! share one grid of sixteen steps: no row needs a scale of its own, and the distance between a query and a row is that
//! between the query and the grid point. Its error goes with that distance, so it is least where it counts.
//! (Scalar quantization as in LVQ, Aguerrebere and others, VLDB 2023, with the rotation of RaBitQ in place of the scale of
//! each vector.)
//!
//! Reading order: `grid` (one vector) - `codes` (all rows, in memory or mapped) - `rerank` (from estimates to hits of a
//! walk) - `scan` (hits of all rows, for sure).

mod codes;
mod grid;
mod rerank;
mod scan;
#[cfg(test)]
mod tests;

pub(crate) use codes::Sq4Codes;
pub(crate) use grid::Sq4Query;
pub(crate) use rerank::Reranker;
pub(crate) use scan::scan;
