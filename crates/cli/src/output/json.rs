//! Stdout: lines and tables for people, or one JSON object for programs.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use super::Grid;
use crate::failure::{Failure, Outcome};

/// Where a command prints its results. Methods for people do nothing under `--json`.
pub(crate) struct Console {
    json: bool,
    quiet: bool,
    out: RefCell<BufWriter<Stdout>>,
}

impl Console {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            out: RefCell::new(BufWriter::new(io::stdout())),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress bars may be drawn (on a terminal).
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet
    }

    /// A line for people.
    pub(crate) fn line(&self, text: impl Display) -> Outcome {
        match self.json {
            true => Ok(()),
            false => self.raw(format_args!("{text}\n")),
        }
    }

    /// A table for people.
    pub(crate) fn grid(&self, grid: &Grid) -> Outcome {
        self.line(grid)
    }

    /// The result for programs; only under `--json`.
    pub(crate) fn json(&self, result: &impl Serialize) -> Outcome {
        if !self.json {
            return Ok(());
        }
        self.json_line(result)
    }

    /// A line of JSON, whatever the mode.
    pub(crate) fn json_line(&self, result: &impl Serialize) -> Outcome {
        let text = serde_json::to_string(result).map_err(|error| {
            Failure::usage(format!("the result cannot be written as JSON: {error}"))
        })?;
        self.raw(format_args!("{text}\n"))
    }

    /// Text as it stands, whatever the mode.
    pub(crate) fn raw(&self, text: impl Display) -> Outcome {
        Ok(write!(self.out.borrow_mut(), "{text}")?)
    }

    /// Bytes as they stand, whatever the mode.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Outcome {
        Ok(self.out.borrow_mut().write_all(bytes)?)
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.out.borrow_mut().flush()
    }

    /// A remark on stderr, unless `--quiet` or `--json`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet && !self.json {
            // Lines printed before come first.
            let _ = self.flush();
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}
