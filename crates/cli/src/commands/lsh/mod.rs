//! `lsh build|search|sweep|advise`: hash tables over vector files and without a database.

mod advise;
mod build;
mod search;
mod sweep;

use vecdb_index::{AnnIndex, Lsh};

use crate::args::{Globals, LshCommand};
use crate::failure::{Failure, Outcome};
use crate::output::Console;

pub(crate) fn run(console: &Console, globals: &Globals, command: &LshCommand) -> Outcome {
    match command {
        LshCommand::Build(args) => build::run(console, globals, args),
        LshCommand::Search(args) => search::run(console, globals, args),
        LshCommand::Sweep(args) => sweep::run(console, globals, args),
        LshCommand::Advise(args) => advise::run(console, globals, args),
    }
}

fn tables_of(index: &dyn AnnIndex) -> Outcome<&Lsh> {
    index.as_any().downcast_ref().ok_or_else(|| {
        Failure::usage(format!(
            "an index of the kind `{}` has no hash tables",
            index.kind()
        ))
    })
}
