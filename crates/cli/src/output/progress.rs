//! Progress bars on stderr. Hidden where stderr is no terminal, under `--quiet` and under `--json`.

use std::fmt;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use vecdb_index::Progress;

use super::Console;

/// One bar, or nothing. Erased when dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar of `total` steps; without a total, a spinner that counts.
    pub(crate) fn new(console: &Console, what: &str, total: Option<u64>) -> Self {
        let target = match console.shows_progress() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        // Lines printed before come first.
        let _ = console.flush();
        let bar = ProgressBar::with_draw_target(total, target).with_prefix(what.to_owned());
        let template = match total {
            Some(_) => "{prefix:>10} [{bar:32}] {human_pos} of {human_len}  {rate}/s  {eta} left",
            None => "{prefix:>10} {spinner} {human_pos}  {rate}/s",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style =
                style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                    // A bar that cannot be drawn is no reason to stop.
                    let _ = out.write_str(&super::rate(state.per_sec()));
                });
            bar.set_style(style.progress_chars("━╸─"));
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    pub(crate) fn set_total(&self, total: u64) {
        self.0.set_length(total);
    }
}

impl Progress for Bar {
    fn advance(&self, done: u64, total: u64) {
        self.set_total(total);
        self.set(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
