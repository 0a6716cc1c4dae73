//! `diskann build|search|bench|sweep`: an index that stays on the disk, over vector files and without a database.
//!
//! - `build`: in memory at once; `parts`: within a memory limit;
//! - `opened`: the index, how it is read, and what memory is left for its cache;
//! - `runner`: queries against it, timed, with what they read;
//! - `search`, `bench`, `sweep`: what is told of that.

mod bench;
mod build;
mod opened;
mod parts;
mod runner;
mod search;
mod sweep;

use crate::args::{DiskAnnCommand, Globals};
use crate::failure::Outcome;
use crate::output::Console;

pub(crate) fn run(console: &Console, globals: &Globals, command: &DiskAnnCommand) -> Outcome {
    match command {
        DiskAnnCommand::Build(args) => build::run(console, globals, args),
        DiskAnnCommand::Search(args) => search::run(console, globals, args),
        DiskAnnCommand::Bench(args) => bench::run(console, globals, args),
        DiskAnnCommand::Sweep(args) => sweep::run(console, globals, args),
    }
}
