//! Long tests of the storage engine, one command each; what a short form of them does as a test.
//!
//! A campaign counts what it tried and gives back what went wrong, each with what it takes to do it again. Everything but
//! `kill` follows from a seed.

pub mod churn;
pub mod crash;
pub mod kill;
mod life;
pub mod mutate;
pub mod random;
mod report;

// The plain data that every campaign compares the engine with: the one of the engine's own tests.
#[allow(dead_code, unreachable_pub)]
#[path = "../../engine/tests/model/mod.rs"]
mod model;

pub use report::{Report, caught};
