//! `storage init|insert|recover|compact|pause-merges|resume-merges|archive|verify|inspect`: the files of a database, made, filled, recovered and checked.

mod acknowledged;
mod archive;
mod compact;
mod init;
mod insert;
mod inspect;
mod merges;
mod points;
mod recover;
mod verify;

pub(crate) use archive::line as archive_line;

use crate::args::{Globals, StorageCommand};
use crate::failure::Outcome;
use crate::output::Console;

pub(crate) fn run(console: &Console, globals: &Globals, command: &StorageCommand) -> Outcome {
    match command {
        StorageCommand::Init(args) => init::run(console, globals, args),
        StorageCommand::Insert(args) => insert::run(console, globals, args),
        StorageCommand::Recover(args) => recover::run(console, globals, args),
        StorageCommand::Compact { name } => compact::run(console, globals, name.as_deref()),
        StorageCommand::PauseMerges => merges::pause(console, globals),
        StorageCommand::ResumeMerges => merges::resume(console, globals),
        StorageCommand::Archive(args) => archive::run(console, globals, args),
        StorageCommand::Verify(args) => verify::run(console, globals, args),
        StorageCommand::Inspect(args) => inspect::run(console, globals, args),
    }
}
