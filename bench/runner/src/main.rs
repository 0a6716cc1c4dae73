//! The side of VecDB in `bench/compare`: one JSON command per line on stdin, one JSON answer per line on stdout.
//!
//! The harness starts this program, measures every command with its own clock from outside and scores the ids that a
//! search writes down itself; nothing here reports a speed,
//! except for latencies of single calls, which have no other clock. Every command gets exactly one answer, `{"error": ...}`
//! where it could not be done, and the program ends with its input.

mod aligned;
mod clustering;
mod codes;
mod collection;
mod command;
mod disk;
mod exact;
mod ids;
mod index;
mod latency;
mod memory;
mod points;
mod remote;
mod rows;
mod session;
mod work;

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use command::Command;
use session::Session;

/// What a command gives: its answer, or what to tell the harness instead.
pub(crate) type Outcome<T = Value> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let mut session = Session::default();
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else {
            return ExitCode::FAILURE;
        };
        let answer = answer(&mut session, &line)
            .unwrap_or_else(|error| json!({ "error": error.to_string() }));
        if writeln!(output, "{answer}")
            .and_then(|()| output.flush())
            .is_err()
        {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn answer(session: &mut Session, line: &str) -> Outcome {
    let command: Command =
        serde_json::from_str(line).map_err(|error| format!("command {line:.200}: {error}"))?;
    command.check()?;
    session.run(command)
}
