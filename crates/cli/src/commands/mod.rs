//! What each command does. A command checks its input, works, and prints through the [`Console`].

mod advise;
mod collection;
mod diskann;
mod export;
mod facets;
mod flat;
mod hnsw;
mod import;
mod index_files;
mod input;
mod insert;
mod ivf;
mod lsh;
mod points;
mod pq;
mod query;
mod quickstart;
mod recommend;
mod search;
mod serve;
mod session;
mod shell;
mod snapshot;
mod status;
mod storage;
mod strategies;

use clap::CommandFactory;

use crate::args::{Cli, Command};
use crate::failure::Outcome;
use crate::output::Console;

/// Runs the command that was typed.
pub(crate) fn run(cli: Cli, console: &Console) -> Outcome {
    let globals = &cli.globals;
    match cli.command {
        Command::Quickstart => quickstart::run(console, globals),
        Command::Flat(command) => flat::run(console, globals, &command),
        Command::Hnsw(command) => hnsw::run(console, globals, &command),
        Command::Diskann(command) => diskann::run(console, globals, &command),
        Command::Ivf(command) => ivf::run(console, globals, &command),
        Command::Pq(command) => pq::run(console, globals, &command),
        Command::Lsh(command) => lsh::run(console, globals, &command),
        Command::Advise(args) => advise::run(console, globals, &args),
        Command::Collection(command) => collection::run(console, globals, &command),
        Command::Import(args) => import::run(console, globals, &args),
        Command::Insert(args) => insert::run(console, globals, &args),
        Command::Get(args) => points::get(console, globals, &args),
        Command::Search(args) => search::run(console, globals, &args),
        Command::Recommend(args) => recommend::run(console, globals, &args),
        Command::Facets(args) => facets::run(console, globals, &args),
        Command::Query(args) => query::run(console, globals, &args),
        Command::Shell(args) => shell::run(console, globals, &args),
        Command::Delete(args) => points::delete(console, globals, &args),
        Command::Update(args) => points::update(console, globals, &args),
        Command::Count(args) => points::count(console, globals, &args),
        Command::Scroll(args) => points::scroll(console, globals, &args),
        Command::Export(args) => export::run(console, globals, &args),
        Command::Storage(command) => storage::run(console, globals, &command),
        Command::Serve(args) => serve::run(console, globals, &args),
        Command::Snapshot(command) => snapshot::run(console, globals, &command),
        Command::Status => status::run(console, globals),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vecdb", &mut script);
            console.bytes(&script)
        }
    }
}
