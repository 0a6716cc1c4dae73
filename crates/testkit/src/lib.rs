//! Test tools: the faulty disk, the model, recall measurement, data for tests.
pub mod data;
pub mod recall;
pub mod synthetic;
