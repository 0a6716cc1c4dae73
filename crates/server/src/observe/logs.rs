//! Lines on stderr, for people or as JSON for programs.
//!
//! Each line of a call has its `request_id`. Libraries speak up from `info` on only, whatever the level: below it
//! the HTTP/2 library would write out headers, keys included.

use std::fmt;
use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use vecdb_engine::{Error, ErrorKind, Result};

use crate::config::{Log, LogFormat};

/// The logs of this process.
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Lets all lines of this process go to stderr.
///
/// # Errors
/// `InvalidArgument` if the level is malformed, `AlreadyExists` if the lines of this process go somewhere already.
pub fn init(settings: &Log) -> Result<Logs> {
    let colours = std::io::stderr().is_terminal();
    let (subscriber, logs) = to_writer(settings, std::io::stderr, colours)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| {
        Error::new(
            ErrorKind::AlreadyExists,
            "the logs of this process go somewhere already",
        )
    })?;
    Ok(logs)
}

impl Logs {
    /// Takes over the level. The format stays until the next start.
    pub fn reload(&self, settings: &Log) -> Result<()> {
        let filter = filter(&settings.level)?;
        self.filter.reload(filter).map_err(|error| {
            Error::new(
                ErrorKind::Io,
                format!("the level of the log cannot be changed: {error}"),
            )
        })
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

fn to_writer<W>(
    settings: &Log,
    writer: W,
    colours: bool,
) -> Result<(impl Subscriber + Send + Sync, Logs)>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(&settings.level)?);
    let lines = match settings.format {
        LogFormat::Text => layer().with_ansi(colours).with_writer(writer).boxed(),
        LogFormat::Json => layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(FilterFn::new(may_be_written)));
    Ok((subscriber, Logs { filter: handle }))
}

/// Whether this is a level, for settings that are to be taken over as a whole or not at all.
///
/// # Errors
/// `InvalidArgument` with what is wrong.
pub fn check_level(level: &str) -> Result<()> {
    filter(level).map(|_| ())
}

fn filter(level: &str) -> Result<EnvFilter> {
    let wrong = |why: String| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "log.level: {level:?} is no level ({why}): use error, warn, info, debug or trace, or by module as in \"info,vecdb_server=debug\""
            ),
        )
    };
    // `EnvFilter` takes any other word for the name of a module. Fields of spans, in brackets, may hold commas.
    let stray = |part: &str| !part.contains('=') && part.trim().parse::<LevelFilter>().is_err();
    if !level.contains('[')
        && let Some(part) = level.split(',').find(|part| stray(part))
    {
        return Err(wrong(format!("unknown word {part:?}")));
    }
    EnvFilter::try_new(level).map_err(|error| wrong(error.to_string()))
}

fn may_be_written(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= tracing::Level::INFO || metadata.target().starts_with("vecdb")
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
        }
    }

    fn logged(settings: &Log, write: impl FnOnce(&Logs, &Lines)) {
        let lines = Lines::default();
        let writer = lines.clone();
        let (subscriber, logs) = to_writer(settings, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, || write(&logs, &lines));
    }

    /// What `work` logs.
    pub(in crate::observe) fn logged_by(settings: &Log, work: impl FnOnce()) -> String {
        let mut text = String::new();
        logged(settings, |_, lines| {
            work();
            text = lines.take();
        });
        text
    }

    #[test]
    fn json_lines_have_their_fields_at_the_top() {
        let settings = Log {
            format: LogFormat::Json,
            ..Log::default()
        };
        logged(&settings, |_, lines| {
            tracing::info!(request_id = "r-1", "two\nlines");
            let text = lines.take();
            assert_eq!(text.lines().count(), 1);
            let line: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(line["request_id"], "r-1");
            assert_eq!(line["message"], "two\nlines");
            assert_eq!(line["level"], "INFO");
        });
    }

    #[test]
    fn the_level_can_change() {
        logged(&Log::default(), |logs, lines| {
            tracing::debug!("unseen");
            assert_eq!(lines.take(), "");
            let more = Log {
                level: "debug".to_owned(),
                ..Log::default()
            };
            logs.reload(&more).unwrap();
            tracing::debug!("seen");
            assert!(lines.take().contains("seen"));
            let wrong = Log {
                level: "loud".to_owned(),
                ..Log::default()
            };
            let error = logs.reload(&wrong).unwrap_err().to_string();
            assert!(
                error.contains("\"loud\"") && error.contains("log.level"),
                "{error}"
            );
            tracing::debug!("still seen");
            assert!(lines.take().contains("still seen"));
        });
    }

    #[test]
    fn libraries_do_not_write_out_headers() {
        let settings = Log {
            level: "trace,h2=trace".to_owned(),
            ..Log::default()
        };
        logged(&settings, |_, lines| {
            tracing::trace!(target: "h2::codec", "authorization: Bearer secret");
            assert_eq!(lines.take(), "");
            tracing::trace!("own");
            tracing::warn!(target: "h2::codec", "a warning");
            let text = lines.take();
            assert!(text.contains("own") && text.contains("a warning"));
        });
    }
}
