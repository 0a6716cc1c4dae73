//! Checking a collection: checksums, id maps, field indexes against rows, graphs, uniqueness of ids.

use serde::Serialize;
use vecdb_storage::verify_file;

use super::read::Merge;
use super::state::State;
use super::{Collection, Inner};
use crate::error::{Error, Result};
use crate::part::{Part, View};
use crate::point::PointId;
use crate::segment::{FileEntry, Segment};
use crate::stop::StopSignal;

/// Segments up to this many rows have every row compared with the field indexes, larger ones this many.
const FIELD_ROWS_CHECKED: usize = 1_000;

/// What a check found. A problem names file and place.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Segments looked at.
    pub segments: u64,
    /// Files whose every block was compared with its checksum.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Rows whose ids were compared with the id map.
    pub rows: u64,
    /// Values that were looked up in the field indexes.
    pub field_values: u64,
    /// Entries of the log that were read.
    pub log_entries: u64,
    /// Links followed in the graphs.
    pub links: u64,
    /// Live points that no walk through their graph reaches.
    pub unreachable: u64,
    /// What is wrong, one line each; empty when all is well.
    pub problems: Vec<String>,
    /// What a repair made anew, one line each.
    pub repaired: Vec<String>,
    /// Files that a repair set aside, each with the reason.
    pub quarantined: Vec<String>,
    /// Points that a repair could not read: they are in the files set aside, if anywhere.
    pub lost: u64,
}

impl VerifyReport {
    /// Adds what another check found.
    pub fn merge(&mut self, other: VerifyReport) {
        self.segments += other.segments;
        self.files += other.files;
        self.bytes += other.bytes;
        self.rows += other.rows;
        self.field_values += other.field_values;
        self.log_entries += other.log_entries;
        self.links += other.links;
        self.unreachable += other.unreachable;
        self.problems.extend(other.problems);
        self.repaired.extend(other.repaired);
        self.quarantined.extend(other.quarantined);
        self.lost += other.lost;
    }

    fn note<T>(&mut self, outcome: Result<T, impl std::fmt::Display>) -> Option<T> {
        outcome
            .map_err(|error| self.problems.push(error.to_string()))
            .ok()
    }
}

impl Collection {
    /// Checks every file and structure of the collection as of now, while it goes on serving.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.verify_with(&StopSignal::default())
    }

    /// [`Self::verify`] until `stop` is given, which is looked at before each file and each structure.
    pub fn verify_with(&self, stop: &StopSignal) -> Result<VerifyReport> {
        let inner = &self.inner;
        inner.check_usable()?;
        let state = inner.snapshot();
        let mut report = VerifyReport::default();
        for view in &state.segments {
            inner.verify_segment(view, &mut report, stop)?;
        }
        let twice = first_duplicate(&state, stop);
        // Having been stopped is no problem of the collection.
        stop.check()?;
        if let Some(twice) = report.note(twice).flatten() {
            report.problems.push(format!("id {twice} is alive twice"));
        }
        Ok(report)
    }

    /// [`Self::verify`] as an error if anything is wrong.
    pub fn verify_strictly(&self) -> Result<VerifyReport> {
        let report = self.verify()?;
        match report.problems.first() {
            None => Ok(report),
            Some(first) => Err(Error::new(
                crate::ErrorKind::Corrupt,
                format!(
                    "{} problems in collection {:?}, the first: {first}",
                    report.problems.len(),
                    self.name()
                ),
            )),
        }
    }
}

impl Inner {
    /// Checks the files of a segment and what is in them. What is wrong goes to the report.
    ///
    /// # Errors
    /// That of `stop`.
    pub(super) fn verify_segment(
        &self,
        view: &View<Segment>,
        report: &mut VerifyReport,
        stop: &StopSignal,
    ) -> Result<()> {
        let segment = &view.part;
        report.segments += 1;
        // The view holds these files.
        for file in segment.entry().files() {
            stop.check()?;
            self.verify_one(file, report);
        }
        {
            // Held: a manifest that is replaced meanwhile would take its delete masks away. Flushes wait that long.
            let manifest = self.manifest.lock();
            let entry = manifest.segments.iter().find(|s| s.id == segment.id());
            if let Some(file) = entry.and_then(|entry| entry.live_file.as_ref()) {
                self.verify_one(file, report);
            }
        }
        stop.check()?;
        if report.note(segment.verify_ids()).is_some() {
            report.rows += u64::from(segment.rows());
        }
        stop.check()?;
        let step = (segment.rows() as usize)
            .div_ceil(FIELD_ROWS_CHECKED)
            .max(1);
        report.field_values += report.note(segment.verify_fields(step)).unwrap_or(0);
        stop.check()?;
        if let Some(index) = segment.index()
            && let Some(found) = report.note(index.verify(segment.rows()))
        {
            report.links += found.links;
            report.unreachable += u64::from(found.unreachable);
            if found.unreachable > 0 {
                report.problems.push(format!(
                    "segment {:016x}: {} rows cannot be reached through its graph",
                    segment.id().0,
                    found.unreachable
                ));
            }
        }
        Ok(())
    }

    fn verify_one(&self, file: &FileEntry, report: &mut VerifyReport) {
        let path = self.folder.join(&file.name);
        let checked = verify_file(self.shared.disk.as_ref(), &path);
        if report.note(checked).is_some() {
            report.files += 1;
            report.bytes += file.bytes;
        }
    }
}

/// An id may be alive once only, wherever it is.
fn first_duplicate(state: &State, stop: &StopSignal) -> Result<Option<PointId>> {
    let mut rows = Merge::new(state, None, None, stop)?;
    let mut last = None;
    while let Some((_, id, _, _)) = rows.next()? {
        if last.as_ref() == Some(&id) {
            return Ok(Some(id));
        }
        last = Some(id);
    }
    Ok(None)
}
