//! How far a merge is, and how long it still takes.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::Error;

/// What a merge is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeStep {
    /// It writes the rows of the new segment.
    Rows,
    /// It builds the index over them.
    Index,
    /// It reads back what it wrote; then the new segment takes the place of the old ones.
    Check,
}

impl MergeStep {
    /// All steps in their order.
    pub const ALL: [Self; 3] = [Self::Rows, Self::Index, Self::Check];

    /// `rows`, `index` or `check`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Index => "index",
            Self::Check => "check",
        }
    }
}

impl fmt::Display for MergeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MergeStep {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let step = Self::ALL.into_iter().find(|step| step.name() == text);
        step.ok_or_else(|| {
            Error::invalid(format!(
                "{text:?} is no step of a merge; there are rows, index and check"
            ))
        })
    }
}

/// A merge under way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergeProgress {
    /// Segments that become one.
    pub segments: u64,
    /// Live rows of them.
    pub rows: u64,
    /// What it is at.
    pub step: MergeStep,
    /// Rows that are through this step, about.
    pub rows_done: u64,
    /// Bytes written so far, and read back.
    pub bytes: u64,
    /// When it began: microseconds since 1970-01-01T00:00:00 UTC.
    pub started_at: i64,
    /// About how many seconds it still takes, by its own pace and that of earlier merges of the collection. `None` while that
    /// cannot be told (the first index build of a collection has not begun) and while it stands still.
    pub eta_seconds: Option<f64>,
}

/// Seconds that a row took in each step of the last merge that went through it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepRates([Option<f64>; MergeStep::ALL.len()]);

/// The way of one merge.
#[derive(Debug)]
pub(super) struct Course {
    segments: u64,
    rows: u64,
    indexed: bool,
    started_at: i64,
    bytes: u64,
    step: MergeStep,
    /// How much of the step is done, of how much; in bytes or in rows.
    done: u64,
    of: u64,
    began: Instant,
    /// How long of that it stood still.
    idle: Duration,
    /// Threads of a build stand still side by side: until when that is counted already.
    idle_until: Instant,
}

impl Course {
    pub(super) fn new(segments: u64, rows: u64, bytes: u64, indexed: bool) -> Self {
        let now = Instant::now();
        let started_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as i64);
        Self {
            segments,
            rows,
            indexed,
            started_at,
            bytes: 0,
            step: MergeStep::Rows,
            done: 0,
            of: bytes,
            began: now,
            idle: Duration::ZERO,
            idle_until: now,
        }
    }

    /// The last step is through.
    pub(super) fn enter(&mut self, step: MergeStep, bytes: u64, rates: &mut StepRates) {
        self.note_rate(rates);
        let now = Instant::now();
        self.step = step;
        (self.done, self.of) = (0, bytes);
        (self.began, self.idle, self.idle_until) = (now, Duration::ZERO, now);
    }

    /// It ended, well or not.
    pub(super) fn end(mut self, rates: &mut StepRates) {
        if self.step == MergeStep::Check && self.done >= self.of {
            self.note_rate(rates);
        }
    }

    fn note_rate(&mut self, rates: &mut StepRates) {
        if self.rows > 0 {
            rates.0[self.step as usize] = Some(self.worked() / self.rows as f64);
        }
    }

    pub(super) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.step != MergeStep::Index {
            self.done = self.done.saturating_add(bytes).min(self.of);
        }
    }

    pub(super) fn set_share(&mut self, done: u64, of: u64) {
        (self.done, self.of) = (done.min(of), of);
    }

    /// It stood still since then.
    pub(super) fn add_idle(&mut self, since: Instant) {
        let now = Instant::now();
        let since = since.max(self.idle_until);
        self.idle += now.saturating_duration_since(since);
        self.idle_until = now;
    }

    /// Seconds of work on this step.
    fn worked(&self) -> f64 {
        self.began.elapsed().saturating_sub(self.idle).as_secs_f64()
    }

    fn share(&self) -> f64 {
        match self.of {
            0 => 0.0,
            of => self.done as f64 / of as f64,
        }
    }

    pub(super) fn progress(&self, rates: &StepRates, paused: bool) -> MergeProgress {
        MergeProgress {
            segments: self.segments,
            rows: self.rows,
            step: self.step,
            rows_done: (self.share() * self.rows as f64) as u64,
            bytes: self.bytes,
            started_at: self.started_at,
            eta_seconds: self.left(rates).filter(|_| !paused),
        }
    }

    /// Seconds that are left: of this step by its own pace, of later ones by that of earlier merges.
    fn left(&self, rates: &StepRates) -> Option<f64> {
        let share = self.share();
        let rows = self.rows as f64;
        let whole = match share > 0.0 {
            true => self.worked() / share,
            false => rates.0[self.step as usize]? * rows,
        };
        let mut left = whole * (1.0 - share);
        for step in MergeStep::ALL {
            let later = step as usize > self.step as usize;
            if !later || step == MergeStep::Index && !self.indexed {
                continue;
            }
            match (rates.0[step as usize], step) {
                (Some(rate), _) => left += rate * rows,
                // A build takes most of the time; reading back takes little of it.
                (None, MergeStep::Index) => return None,
                (None, _) => {}
            }
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(seconds: u64) -> Instant {
        let then = Instant::now().checked_sub(Duration::from_secs(seconds));
        then.expect("the machine runs for longer")
    }

    fn about(found: Option<f64>, expected: f64) {
        let found = found.expect("an estimate");
        assert!(
            (found / expected - 1.0).abs() < 0.1,
            "{found} is not about {expected}"
        );
    }

    #[test]
    fn what_is_left_is_told_by_the_own_pace_and_by_earlier_merges() {
        let mut rates = StepRates::default();
        let mut course = Course::new(3, 1_000, 4_000, true);
        course.add_bytes(1_000);
        course.began = ago(10);
        let progress = course.progress(&rates, false);
        assert_eq!(
            (progress.segments, progress.rows, progress.rows_done),
            (3, 1_000, 250)
        );
        // An index is to come, and how long that takes is not known yet.
        assert_eq!(progress.eta_seconds, None);

        course.add_bytes(3_000);
        course.enter(MergeStep::Index, 0, &mut rates);
        assert_eq!(course.progress(&rates, false).eta_seconds, None);
        course.set_share(100, 1_000);
        course.began = ago(10);
        course.idle = Duration::from_secs(5);
        about(course.progress(&rates, false).eta_seconds, 45.0);
        assert_eq!(
            course.progress(&rates, true).eta_seconds,
            None,
            "it stands still"
        );

        course.set_share(1_000, 1_000);
        course.began = ago(55);
        course.enter(MergeStep::Check, 2_000, &mut rates);
        course.add_bytes(2_000);
        course.began = ago(1);
        course.end(&mut rates);

        // The next one of twice the rows: 10 s to write 1,000, 50 s to index them, 1 s to check them.
        let mut next = Course::new(2, 2_000, 8_000, true);
        about(next.progress(&rates, false).eta_seconds, 122.0);
        next.indexed = false;
        about(next.progress(&rates, false).eta_seconds, 22.0);
        // Written more than was thought: it is not more than done.
        next.add_bytes(10_000);
        assert_eq!(next.progress(&rates, false).rows_done, 2_000);
    }
}
