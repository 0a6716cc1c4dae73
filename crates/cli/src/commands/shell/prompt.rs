//! Lines from a terminal, with history and completion.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::completion::Names;
use super::{Flow, Shell};
use crate::failure::{Failure, Outcome};

const PROMPT: &str = "vecdb> ";
const GOES_ON: &str = "    -> ";

pub(super) fn run(shell: &mut Shell<'_>) -> Outcome {
    let interrupted = Arc::new(AtomicBool::new(false));
    // Without it Ctrl-C ends the shell, which is bearable.
    if signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted.clone()).is_ok() {
        shell.interrupted = Some(interrupted);
    }
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        .build();
    let mut editor = Editor::<Names, FileHistory>::with_config(config).map_err(|e| failure(&e))?;
    let history = history_file();
    if let Some(history) = &history {
        // There is none yet, or it cannot be read: it begins anew.
        let _ = editor.load_history(history);
    }
    let mut names_are_old = true;
    loop {
        if names_are_old {
            editor.set_helper(Some(shell.names()));
            names_are_old = false;
        }
        let prompt = match shell.begun.trim().is_empty() {
            true => PROMPT,
            false => GOES_ON,
        };
        shell.console.flush()?;
        let line = match editor.readline(prompt) {
            Ok(line) => line,
            // Away with what was typed.
            Err(ReadlineError::Interrupted) => {
                shell.begun.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failure(&error)),
        };
        let before = shell.begun.clone();
        let outcome = shell.line(&line);
        if shell.begun.trim().is_empty() && !line.trim().is_empty() {
            // A statement of many lines comes back as one.
            let _ = editor.add_history_entry(format!("{before}{line}").trim());
            names_are_old = changes_names(&before, &line);
        }
        match outcome {
            Ok(Flow::Next) => {}
            Ok(Flow::End) => break,
            Err(Failure::ClosedPipe) => return Err(Failure::ClosedPipe),
            Err(failure) => {
                shell.console.flush()?;
                failure.print(shell.console.is_json());
            }
        }
    }
    if let Some(history) = history {
        save(&mut editor, &history, shell);
    }
    Ok(())
}

/// Whether there can be other collections or fields afterwards.
fn changes_names(before: &str, line: &str) -> bool {
    let text = format!("{before} {line}").to_ascii_uppercase();
    ["CREATE", "DROP", "INSERT", "UPDATE"]
        .iter()
        .any(|word| text.contains(word))
}

fn save(editor: &mut Editor<Names, FileHistory>, history: &PathBuf, shell: &Shell<'_>) {
    let made = match history.parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    };
    let saved = made
        .map_err(ReadlineError::from)
        .and_then(|()| editor.save_history(history));
    if let Err(error) = saved {
        let file = history.display();
        shell
            .console
            .note(format_args!("the history was not saved to {file}: {error}"));
    }
}

/// `VECDB_HISTORY`, or a file among the user's; none where that is empty or nobody's.
fn history_file() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("VECDB_HISTORY") {
        return (!file.is_empty()).then(|| file.into());
    }
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("vecdb/history"))
}

fn failure(error: &ReadlineError) -> Failure {
    Failure::new(
        vecdb_engine::ErrorKind::Io,
        format!("the terminal: {error}"),
    )
}
