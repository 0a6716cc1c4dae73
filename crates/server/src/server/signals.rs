//! What the operating system says to the process.

use std::sync::mpsc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use vecdb_engine::{Error, ErrorKind, Result};

use super::Event;

/// What a shell reports for a process that SIGINT has ended.
const INTERRUPTED: i32 = 130;

/// Makes events of signals. The second that asks for the end ends the process.
pub(super) fn listen(runtime: &Runtime, events: mpsc::Sender<Event>) -> Result<()> {
    let refused = |error: std::io::Error| {
        Error::new(ErrorKind::Io, format!("cannot listen to signals: {error}"))
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(refused)?;
    runtime.spawn(async move {
        let mut is_stopping = false;
        loop {
            let event = tokio::select! {
                _ = terminate.recv() => Event::Stop,
                _ = interrupt.recv() => Event::Stop,
                _ = hang_up.recv() => Event::Reload,
            };
            if matches!(event, Event::Stop) && std::mem::replace(&mut is_stopping, true) {
                tracing::warn!("asked to end for the second time: ending at once");
                std::process::exit(INTERRUPTED);
            }
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}
