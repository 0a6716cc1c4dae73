//! What `hnsw`, `ivf`, `lsh` and `diskann` share: indexes over vector files, without a database.
//!
//! - `file`: the file that `build` writes and the others read;
//! - `build`: an index over a dataset, with a progress bar;
//! - `source`: the dataset and the index that a command was given;
//! - `runner`: queries against an index, timed;
//! - `search`: what a search of any kind reports;
//! - `sweep`: what each value of a knob finds and costs.
//!
//! Nothing here knows a kind: a command names it by its [`IndexSpec`](vecdb_engine::IndexSpec) or its name.

mod build;
mod file;
mod runner;
mod search;
mod source;
mod sweep;

pub(super) use build::{Built, build, check_output};
pub(super) use file::{About, IndexFile, write_file, write_with};
pub(super) use runner::Runner;
pub(super) use search::{Search, SearchReport, per_query, source_of};
pub(super) use source::Source;
pub(super) use sweep::{Cost, Knob, sweep};
