//! Which database a command line means: a folder, or a server.
//!
//! What is typed counts more than what the environment says, and what cannot count is refused rather than passed over.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{Command, Globals, StorageCommand};
use crate::failure::{Failure, Outcome};

/// Flags that say how to speak to a server.
const SERVER_FLAGS: [(&str, &str); 4] = [
    ("api_key", "--api-key"),
    ("ca_certificate", "--ca-certificate"),
    ("client_certificate", "--client-certificate"),
    ("client_key", "--client-key"),
];

/// Leaves the address in `globals` only if it is meant, or says what contradicts what.
pub(crate) fn settle(globals: &mut Globals, command: &Command, matches: &ArgMatches) -> Outcome {
    let refuse = |why: String| Err(Failure::usage(why));
    let source = |name| matches.value_source(name);
    let is_typed = |name| source(name) == Some(ValueSource::CommandLine);
    globals.path_is_given = source("path").is_some_and(|from| from != ValueSource::DefaultValue);
    if let Some(other) = not_on_a_database(command) {
        if is_typed("url") {
            return refuse(format!("--url does not belong here: {other}"));
        }
        globals.server.url = None;
    }
    let both = |path: &str, url: &str| {
        refuse(format!(
            "{path} names a folder and {url} a server: give one of them"
        ))
    };
    if globals.server.url.is_some() {
        match (is_typed("path"), is_typed("url")) {
            (true, true) => return both("--path", "--url"),
            (false, false) if globals.path_is_given => return both("VECDB_PATH", "VECDB_URL"),
            (true, false) => globals.server.url = None,
            (false, _) => {}
        }
    }
    if globals.server.url.is_none() {
        let typed = SERVER_FLAGS.iter().find(|(name, _)| is_typed(name));
        return match typed {
            Some((_, flag)) => refuse(format!(
                "{flag} is for a server: give its address with --url"
            )),
            None => Ok(()),
        };
    }
    match is_typed_below(matches, "store") {
        true => refuse(
            "--store is for a folder: a server has a store of its own, its setting snapshots.location".to_owned(),
        ),
        false => Ok(()),
    }
}

/// Why an address means nothing to this command.
fn not_on_a_database(command: &Command) -> Option<&'static str> {
    match command {
        Command::Flat(_)
        | Command::Hnsw(_)
        | Command::Ivf(_)
        | Command::Lsh(_)
        | Command::Diskann(_)
        | Command::Pq(_) => Some(
            "`flat`, `hnsw`, `ivf`, `lsh`, `diskann` and `pq` work on files of this machine, without a database",
        ),
        Command::Advise(args) if args.collection.is_none() => Some(
            "`advise --dataset` works on a file of this machine: name a `--collection` of the database instead",
        ),
        Command::Storage(
            StorageCommand::Init(_) | StorageCommand::Recover(_) | StorageCommand::Inspect(_),
        ) => Some("`storage init`, `recover` and `inspect` work on a folder of this machine"),
        Command::Serve(_) => Some("a server serves a folder of this machine: give --path"),
        Command::Completions { .. } => Some("`completions` needs no database"),
        _ => None,
    }
}

/// Whether the command that was typed has this flag and got it.
fn is_typed_below(matches: &ArgMatches, name: &str) -> bool {
    let mut leaf = matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    leaf.ids().any(|id| id == name) && leaf.value_source(name) == Some(ValueSource::CommandLine)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::super::Cli;
    use super::*;

    fn place(line: &[&str]) -> Outcome<Globals> {
        let matches = Cli::command().try_get_matches_from(line).unwrap();
        let mut cli = Cli::from_arg_matches(&matches).unwrap();
        settle(&mut cli.globals, &cli.command, &matches)?;
        Ok(cli.globals)
    }

    #[test]
    fn flags_are_found_before_and_after_the_command() {
        for line in [
            ["vecdb", "--url", "there", "collection", "list"],
            ["vecdb", "collection", "--url", "there", "list"],
            ["vecdb", "collection", "list", "--url", "there"],
        ] {
            let globals = place(&line).unwrap();
            assert_eq!(globals.server.url.as_deref(), Some("there"), "{line:?}");
            assert!(!globals.path_is_given);
        }
        let line = ["vecdb", "--path", "here", "status", "--url", "there"];
        assert!(place(&line).is_err());
    }
}
