//! `storage pause-merges` and `resume-merges`.

use serde_json::json;

use super::super::session::{Intent, Session};
use crate::args::Globals;
use crate::failure::{Failure, Outcome};
use crate::output::Console;

pub(super) fn pause(console: &Console, globals: &Globals) -> Outcome {
    on_server(console, globals, |session| {
        session.backend().pause_merges()?;
        console.json(&json!({"merges_paused": true}))?;
        console.line(format_args!("Merges of {} are paused.", session.place()))
    })
}

pub(super) fn resume(console: &Console, globals: &Globals) -> Outcome {
    on_server(console, globals, |session| {
        session.backend().resume_merges()?;
        console.json(&json!({"merges_paused": false}))?;
        console.line(format_args!("Merges of {} go on.", session.place()))
    })
}

fn on_server(
    console: &Console,
    globals: &Globals,
    work: impl FnOnce(&Session) -> Outcome,
) -> Outcome {
    if globals.server.url.is_none() {
        return Err(Failure::usage(
            "merges are paused in a running server, and a folder is open for the length of one command: say with --url \
             which server",
        ));
    }
    Session::open(console, globals, Intent::Read)?.run(work)
}
