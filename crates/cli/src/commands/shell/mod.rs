//! `shell`: a prompt for SQL statements.

mod completion;
mod prompt;

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use vecdb_backend::Backend;
use vecdb_engine::{ErrorKind, StopSignal};
use vecdb_sql::{Cell, Params, QueryResult, split};

use super::session::{Intent, Session};
use crate::args::{Globals, ShellArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Console, Table};
use completion::Names;

const HELP: &str = "\
A statement ends with a semicolon; docs/sql.md describes the language.
  \\d         the collections
  \\d NAME    the columns of a collection
  \\timing    whether to tell the time that statements take
  \\?         this
  \\q         the end; so does Ctrl-D";

/// How often it is looked whether Ctrl-C was pressed.
const POLL: Duration = Duration::from_millis(20);

pub(crate) fn run(console: &Console, globals: &Globals, args: &ShellArgs) -> Outcome {
    Session::open(console, globals, Intent::Create)?.run(|session| {
        let mut shell = Shell {
            console,
            backend: session.backend(),
            csv: args.csv,
            timing: true,
            begun: String::new(),
            interrupted: None,
        };
        match io::stdin().is_terminal() {
            true => {
                let place = session.place();
                console.line(format_args!("VecDB {}, {place}", env!("CARGO_PKG_VERSION")))?;
                console.line("\\? for help")?;
                prompt::run(&mut shell)
            }
            false => shell.read_all(),
        }
    })
}

/// What a line leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flow {
    Next,
    End,
}

struct Shell<'a> {
    console: &'a Console,
    backend: &'a dyn Backend,
    csv: bool,
    timing: bool,
    /// A statement whose end was not typed yet.
    begun: String,
    /// Set by Ctrl-C, at a terminal.
    interrupted: Option<Arc<AtomicBool>>,
}

impl Shell<'_> {
    /// The statements of a pipe, up to the first error.
    fn read_all(&mut self) -> Outcome {
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::usage(format!("stdin: {error}")))?;
            if self.line(&line)? == Flow::End {
                return Ok(());
            }
        }
        // The last one may have no semicolon.
        let rest = std::mem::take(&mut self.begun);
        match rest.trim().is_empty() {
            true => Ok(()),
            false => split(&rest)
                .0
                .into_iter()
                .try_for_each(|sql| self.statement(sql)),
        }
    }

    /// Takes a line, and runs the statements that end with it.
    fn line(&mut self, line: &str) -> Outcome<Flow> {
        if self.begun.trim().is_empty()
            && let Some(command) = line.trim().strip_prefix('\\')
        {
            return self.command(command.trim());
        }
        self.begun.push_str(line);
        self.begun.push('\n');
        let begun = std::mem::take(&mut self.begun);
        let (mut statements, ended) = split(&begun);
        if !ended && let Some(open) = statements.pop() {
            self.begun = format!("{open}\n");
        }
        for statement in statements {
            self.statement(statement)?;
        }
        Ok(Flow::Next)
    }

    fn command(&mut self, command: &str) -> Outcome<Flow> {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        // A semicolon behind it does no harm.
        let (word, rest) = (
            word.trim_end_matches(';'),
            rest.trim().trim_end_matches(';').trim(),
        );
        match (word, rest) {
            ("q", "") => return Ok(Flow::End),
            ("?", "") => self.console.line(HELP)?,
            ("timing", "") => {
                self.timing = !self.timing;
                let state = if self.timing { "on" } else { "off" };
                self.console.line(format_args!("timing is {state}"))?;
            }
            ("d", "") => self.statement("SHOW COLLECTIONS")?,
            ("d", name) => {
                let name = name.trim_matches('"').replace('"', "\"\"");
                self.statement(&format!("DESCRIBE \"{name}\""))?;
            }
            _ => {
                let message = format!("there is no command \\{command}; \\? lists those there are");
                return Err(Failure::usage(message));
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&self, sql: &str) -> Outcome {
        let result = self.query(sql)?;
        self.console.json(&result)?;
        match self.csv {
            true => self.console.raw(Table(&result).csv())?,
            false => Table(&result).print(self.console, self.timing)?,
        }
        Ok(self.console.flush()?)
    }

    /// Runs a statement; Ctrl-C ends it.
    fn query(&self, sql: &str) -> Outcome<QueryResult> {
        let stop = StopSignal::new();
        let Some(interrupted) = &self.interrupted else {
            return Ok(self.backend.query(sql, &Params::default(), &stop)?);
        };
        interrupted.store(false, Ordering::Relaxed);
        let (tell, told) = mpsc::channel();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                // Who asked is still there: it waits for that.
                let _ = tell.send(self.backend.query(sql, &Params::default(), &stop));
            });
            loop {
                match told.recv_timeout(POLL) {
                    Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) => {
                        stop.stop()
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Ok(result) => return Some(result),
                }
            }
        });
        match result {
            Some(result) => Ok(result?),
            None => Err(Failure::new(
                ErrorKind::Io,
                "the statement ended without a result",
            )),
        }
    }

    /// What can be completed: collections and their fields.
    fn names(&self) -> Names {
        let texts = |sql: &str| -> Vec<String> {
            let rows = self
                .backend
                .query(sql, &Params::default(), &StopSignal::default());
            let rows = rows.map(|result| result.rows).unwrap_or_default();
            let first = rows.into_iter().filter_map(|row| row.into_iter().next());
            first
                .filter_map(|cell| match cell {
                    Cell::Value(vecdb_engine::Value::String(text)) => Some(text),
                    _ => None,
                })
                .collect()
        };
        let collections = texts("SHOW COLLECTIONS");
        // Names of a database with very many collections are not all asked for.
        let described = collections.iter().take(Names::DESCRIBED_MAX);
        let fields = described.flat_map(|name| {
            let name = name.replace('"', "\"\"");
            texts(&format!("DESCRIBE \"{name}\""))
        });
        Names::new(fields.chain(collections.iter().cloned()).collect())
    }
}
