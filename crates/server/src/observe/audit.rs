//! The audit: who changed the database or was not let in, one JSON object a line.
//!
//! A line is appended with one write, so that several processes may share a file and a crash leaves whole lines. Refusals
//! are limited, because anybody can cause them; acts are not.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use vecdb_engine::{Error, ErrorKind, Result};

use crate::auth::Caller;
use crate::config::Log;
use crate::gateway::{Call, Face, Operation};

/// Refusals that are written each second; further ones are counted.
const REFUSALS_PER_SECOND: u32 = 20;

/// Writes down administrative acts and refusals, to a file of its own or, without one, to the log.
#[derive(Debug)]
pub struct Audit {
    file: Option<(PathBuf, Mutex<File>)>,
    refusals: Mutex<Refusals>,
}

/// How many refusals were written in this second, and how many were not since the last that was.
#[derive(Debug)]
struct Refusals {
    second: Instant,
    written: u32,
    skipped: u64,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    what: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    collection: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_as: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<IpAddr>,
    face: &'static str,
    request_id: &'a str,
    /// Refusals before this one that were not written.
    #[serde(skip_serializing_if = "is_zero")]
    skipped: u64,
}

impl Audit {
    /// Opens the file for appending, if the settings name one; makes it, for its owner alone, where there is none.
    pub fn new(settings: &Log) -> Result<Self> {
        let file = settings.audit.as_ref().map(|path| {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(path) {
                Ok(file) => Ok((path.clone(), Mutex::new(file))),
                Err(error) => Err(cannot_open(path, &error)),
            }
        });
        Ok(Self {
            file: file.transpose()?,
            refusals: Mutex::new(Refusals {
                second: Instant::now(),
                written: 0,
                skipped: 0,
            }),
        })
    }

    /// Writes down an act of `caller`, or that somebody was refused (`None`). Nothing secret: an error never repeats
    /// what the caller showed.
    pub fn record(
        &self,
        caller: Option<&Caller>,
        call: &Call,
        operation: Operation,
        collection: &str,
        error: Option<&Error>,
    ) {
        let skipped = match caller {
            Some(_) => 0,
            None => match self.refusals.lock().admit() {
                Some(skipped) => skipped,
                None => return,
            },
        };
        let about = call.about.details();
        let line = Line {
            time: Timestamp::now().to_string(),
            who: caller.map(Caller::name),
            what: operation.name(),
            collection,
            snapshot: about.and_then(|about| about.snapshot.as_deref()),
            restore_as: about.and_then(|about| about.restore_as.as_deref()),
            outcome: error.map_or("ok", |error| error.kind().name()),
            reason: error.map(Error::to_string),
            from: call.peer,
            face: match call.face {
                Face::Grpc => "grpc",
                Face::Http => "http",
            },
            request_id: &call.request_id,
            skipped,
        };
        match &self.file {
            Some((path, file)) => {
                if let Err(error) = append(&line, &mut file.lock()) {
                    let path = path.display().to_string();
                    tracing::error!(path, %error, "cannot write to the audit file");
                    line.log();
                }
            }
            None => line.log(),
        }
    }
}

impl Refusals {
    /// How many were skipped before this one, if it is to be written.
    fn admit(&mut self) -> Option<u64> {
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.written = 0;
        }
        if self.written >= REFUSALS_PER_SECOND {
            self.skipped += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.skipped))
    }
}

impl Line<'_> {
    fn log(&self) {
        tracing::info!(
            target: "vecdb::audit",
            request_id = self.request_id,
            who = self.who,
            what = self.what,
            collection = self.collection,
            snapshot = self.snapshot,
            restore_as = self.restore_as,
            outcome = self.outcome,
            reason = self.reason,
            from = self.from.map(|from| from.to_string()),
            face = self.face,
            skipped = (self.skipped > 0).then_some(self.skipped),
            "audit"
        );
    }
}

fn append(line: &Line<'_>, file: &mut File) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text)
}

fn cannot_open(path: &std::path::Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => ErrorKind::InvalidArgument,
        _ => ErrorKind::Io,
    };
    Error::new(
        kind,
        format!(
            "log.audit: cannot open {} for appending: {error}",
            path.display()
        ),
    )
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::{Authority, Credentials};
    use crate::config::Auth;
    use crate::gateway::Access;
    use crate::observe::tests::call;

    fn lines(path: &std::path::Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn to_file(path: &std::path::Path) -> Log {
        Log {
            audit: Some(path.to_owned()),
            ..Log::default()
        }
    }

    #[test]
    fn acts_are_appended_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let authority = Authority::new(&Auth::default()).unwrap();
        let anyone = authority
            .check(&Credentials::default(), None, Access::Admin, "")
            .unwrap();
        for outcome in [
            None,
            Some(Error::new(ErrorKind::NotFound, "there is no \"a\"\n")),
        ] {
            // Opened anew, as after a restart or a rotation.
            let audit = Audit::new(&to_file(&path)).unwrap();
            let what = Operation::DropCollection;
            audit.record(Some(&anyone), &call("id-1"), what, "a", outcome.as_ref());
        }
        let restore = call("id-2");
        restore.about.snapshot("monday", Some("b"));
        let audit = Audit::new(&to_file(&path)).unwrap();
        audit.record(
            Some(&anyone),
            &restore,
            Operation::RestoreSnapshot,
            "a",
            None,
        );
        let lines = lines(&path);
        assert_eq!(lines.len(), 3);
        let named = (&lines[2]["snapshot"], &lines[2]["restore_as"]);
        assert_eq!(named, (&json!("monday"), &json!("b")));
        let mut first = lines[0].clone();
        let time = first["time"].take();
        assert!(time.as_str().unwrap().parse::<Timestamp>().is_ok());
        let expected = json!({
            "time": null, "who": "anyone", "what": "drop_collection", "collection": "a",
            "outcome": "ok", "from": "192.0.2.7", "face": "grpc", "request_id": "id-1",
        });
        assert_eq!(first, expected);
        assert_eq!(lines[1]["outcome"], "not_found");
        assert_eq!(lines[1]["reason"], "there is no \"a\"\n");
    }

    #[test]
    fn a_flood_of_refusals_is_counted_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let audit = Audit::new(&to_file(&path)).unwrap();
        let error = Error::new(ErrorKind::Unauthenticated, "not known");
        for _ in 0..500 {
            audit.record(None, &call("id"), Operation::Search, "a", Some(&error));
        }
        let written = lines(&path).len();
        // More than one second may have begun meanwhile.
        assert!((20..=100).contains(&written), "{written}");
        audit.refusals.lock().second -= Duration::from_secs(2);
        audit.record(None, &call("id"), Operation::Search, "a", Some(&error));
        let last = lines(&path).pop().unwrap();
        assert_eq!(last["skipped"], 500 - written as u64);
        assert_eq!(last.get("who"), None);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Audit::new(&to_file(&folder.path().join("no/such/folder"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(
            error.to_string().contains("log.audit") && error.to_string().contains("no/such/folder")
        );
    }
}
