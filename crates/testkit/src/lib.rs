//! Test tools: the faulty disk, recall measurement, data for tests.
pub mod data;
pub mod random;
pub mod recall;
pub mod sim_disk;
pub mod synthetic;
