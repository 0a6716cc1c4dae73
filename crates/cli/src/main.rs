//! The program `vecdb`.

use std::process::ExitCode;

fn main() -> ExitCode {
    vecdb_cli::vecdb()
}
