//! The program `vecdb-server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    vecdb_cli::vecdb_server()
}
