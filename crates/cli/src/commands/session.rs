//! An open database for the length of one command.

use vecdb_engine::{Collection, Database, ErrorKind, Options};

use crate::args::Globals;
use crate::failure::{Failure, Outcome};
use crate::output::Console;

/// What a command is going to do with the database.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Intent {
    /// Read: no background work is begun.
    Read,
    /// Write into what is there.
    Write,
    /// Write, and make the database where there is none.
    Create,
}

/// Opens the database folder. What recovery did is told on stderr where it matters.
pub(crate) fn open(console: &Console, globals: &Globals, intent: Intent) -> Outcome<Database> {
    let options = Options {
        create_if_missing: intent == Intent::Create,
        background: intent != Intent::Read,
        threads: globals.threads_or_all(),
        ..Options::default()
    };
    let database = Database::open(&globals.path, options).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Error(error).hint("make one with `vecdb collection create`, `vecdb import --create` or `vecdb quickstart`, or name another folder with --path"),
        _ => error.into(),
    })?;
    let recovery = database.recovery();
    if recovery.torn_bytes_cut > 0 || recovery.skipped > 0 {
        console.note(format_args!(
            "recovered: {} log entries replayed, {} bytes of unfinished writes cut, {} damaged stretches left out",
            recovery.replayed, recovery.torn_bytes_cut, recovery.skipped
        ));
    }
    Ok(database)
}

/// Opens the database and one of its collections, does `work` with it and closes the database. An error of the work
/// comes before one of closing.
pub(crate) fn with_collection<T>(
    console: &Console,
    globals: &Globals,
    intent: Intent,
    name: &str,
    work: impl FnOnce(&Collection) -> Outcome<T>,
) -> Outcome<T> {
    let database = open(console, globals, intent)?;
    let outcome = database
        .collection(name)
        .map_err(Failure::from)
        .and_then(|collection| work(&collection));
    let closed = database.close();
    let value = outcome?;
    closed?;
    Ok(value)
}
