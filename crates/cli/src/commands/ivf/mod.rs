//! `ivf build|search|sweep`: lists around centroids, over vector files and without a database.

mod build;
mod search;
mod sweep;

use vecdb_index::{AnnIndex, Ivf};

use crate::args::{Globals, IvfCommand};
use crate::failure::{Failure, Outcome};
use crate::output::Console;

pub(crate) fn run(console: &Console, globals: &Globals, command: &IvfCommand) -> Outcome {
    match command {
        IvfCommand::Build(args) => build::run(console, globals, args),
        IvfCommand::Search(args) => search::run(console, globals, args),
        IvfCommand::Sweep(args) => sweep::run(console, globals, args),
    }
}

fn lists_of(index: &dyn AnnIndex) -> Outcome<&Ivf> {
    index.as_any().downcast_ref().ok_or_else(|| {
        Failure::usage(format!(
            "an index of the kind `{}` has no lists",
            index.kind()
        ))
    })
}

/// So many of the lists: `12.5 %`.
fn percentage(lists: f64, of: u32) -> String {
    format!("{:.1} %", 100.0 * lists / f64::from(of.max(1)))
}
