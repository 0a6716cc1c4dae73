//! `hnsw build|search|sweep`: the graph that collections use, over vector files and without a database.

mod build;
mod search;
mod sweep;

use crate::args::{Globals, HnswCommand};
use crate::failure::Outcome;
use crate::output::Console;

pub(crate) fn run(console: &Console, globals: &Globals, command: &HnswCommand) -> Outcome {
    match command {
        HnswCommand::Build(args) => build::run(console, globals, args),
        HnswCommand::Search(args) => search::run(console, globals, args),
        HnswCommand::Sweep(args) => sweep::run(console, globals, args),
    }
}
