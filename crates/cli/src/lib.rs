//! The command line of VecDB: the programs `vecdb` and `vecdb-server`. `docs/cli.md` and `docs/server.md` describe them.
//!
//! ```text
//! args/      what can be typed, with its help
//! commands/  what each command does
//! measure/   exact truth, recall and latencies over vector files, without a database
//! output/    tables for people, JSON for programs, progress bars, plots
//! ```
//! Results go to stdout, everything else to stderr. A closed pipe ends a command quietly.

mod args;
mod commands;
mod failure;
mod measure;
mod output;

use std::process::ExitCode;

use clap::error::ErrorKind as ClapErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use args::{Cli, Command, ServerCli};
use failure::Failure;
use output::Console;

/// The program `vecdb`.
pub fn vecdb() -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    start(parsed)
}

/// The program `vecdb-server`: the command `serve` without its name.
pub fn vecdb_server() -> ExitCode {
    let parsed = ServerCli::command().try_get_matches().and_then(|matches| {
        let ServerCli { globals, args } = ServerCli::from_arg_matches(&matches)?;
        let command = Command::Serve(args);
        Ok((Cli { globals, command }, matches))
    });
    start(parsed)
}

fn start(parsed: Result<(Cli, ArgMatches), clap::Error>) -> ExitCode {
    let (mut cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    let console = Console::new(cli.globals.json, cli.globals.quiet);
    let outcome = args::settle(&mut cli.globals, &cli.command, &matches)
        .and_then(|()| commands::run(cli, &console))
        .and_then(|()| Ok(console.flush()?));
    match outcome {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was printed before the failure belongs on the screen before it.
            let _ = console.flush();
            failure.print(console.is_json());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version go to stdout; a wrong command line is an error like every other.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion
    );
    if !asked && std::env::args_os().any(|arg| arg == "--json") {
        let text = error.to_string();
        let text = text.split("\n\nUsage:").next().unwrap_or(&text);
        let text = text.trim().trim_start_matches("error: ").to_owned();
        Failure::usage(text).print(true);
    } else {
        // A closed pipe is no reason to fail.
        let _ = error.print();
    }
    ExitCode::from(if asked { 0 } else { 2 })
}
