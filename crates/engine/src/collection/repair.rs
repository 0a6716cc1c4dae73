//! Mending a collection: what is derived from the rows is made anew, and what cannot be read is set aside.
//!
//! Indexes, field indexes, id maps and norms follow from vectors, ids and metadata. So a segment with damage in the former
//! is rewritten; of one with damage in the latter the rows that can be read are, and its files go to `quarantine/` in the
//! collection's folder. Which rows are dead follows from nothing: a collection that lost its manifest or a live file is
//! left as it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vecdb_storage::Disk;

use super::merge::Replacement;
use super::{Collection, Inner, Manifest, Shared, VerifyReport, remove_unnamed};
use crate::error::{Error, ErrorKind, Result};
use crate::part::{Layout, View};
use crate::segment::{FileEntry, Segment, SegmentEntry, SourceRow, read_live};
use crate::stop::StopSignal;

/// Rows looked at between two looks at a stop signal.
const STOP_ROWS: usize = 4_096;

impl Collection {
    /// Checks the collection as [`Self::verify`] does, mends what can be mended and checks again: `problems` is what is
    /// still wrong. Reads and writes go on meanwhile.
    pub fn repair(&self) -> Result<VerifyReport> {
        self.repair_with(&StopSignal::default())
    }

    /// [`Self::repair`] until `stop` is given. Segments that were mended stay mended.
    pub fn repair_with(&self, stop: &StopSignal) -> Result<VerifyReport> {
        self.repair_rest(VerifyReport::default(), stop)
    }

    /// [`Self::repair_with`] of a collection for which something was `done` when it was opened.
    pub(crate) fn repair_rest(
        &self,
        mut done: VerifyReport,
        stop: &StopSignal,
    ) -> Result<VerifyReport> {
        let inner = &self.inner;
        inner.check_open()?;
        let left_out = !done.repaired.is_empty();
        let mend = |done: &mut VerifyReport| {
            inner.mend_segments(done, stop)?;
            match left_out {
                // Segments whose index was left out get another one.
                true => inner.rewrite_imperfect(stop),
                false => Ok(()),
            }
        };
        mend(&mut done).map_err(|e| inner.or_dropped(e))?;
        let mut report = self.verify_with(stop)?;
        report.repaired = done.repaired;
        report.quarantined = done.quarantined;
        report.lost = done.lost;
        Ok(report)
    }
}

impl Inner {
    fn mend_segments(&self, done: &mut VerifyReport, stop: &StopSignal) -> Result<()> {
        let _one = self.lock_merging(stop)?;
        // Only merges, of which this is one, take segments away.
        for view in &self.snapshot().segments {
            let mut found = VerifyReport::default();
            self.verify_segment(view, &mut found, stop)?;
            if let Some(why) = found.problems.first() {
                self.mend(view, why, done, stop)?;
            }
        }
        self.sweep();
        Ok(())
    }

    /// Writes the rows of a segment that can be read as a new one, with everything that is derived from them.
    fn mend(
        &self,
        view: &View<Segment>,
        why: &str,
        done: &mut VerifyReport,
        stop: &StopSignal,
    ) -> Result<()> {
        let segment = &view.part;
        let mut order = Vec::with_capacity(view.live_rows() as usize);
        let mut lost = 0;
        for (at, row) in view.live_iter().enumerate() {
            if at.is_multiple_of(STOP_ROWS) {
                stop.check()?;
            }
            match segment.is_readable(row) {
                true => order.push(SourceRow { part: 0, row }),
                false => lost += 1,
            }
        }
        if lost > 0 {
            let disk = self.shared.disk.as_ref();
            let kept = quarantine(disk, &self.folder, &segment.entry().rows_file)?;
            done.quarantined.push(format!("{}: {why}", kept.display()));
            done.lost += lost;
        }
        let replacement = Replacement {
            inputs: &[view],
            order: &order,
            seed: None,
            begun: None,
        };
        self.replace_segments(replacement, &self.asked_run(stop))?;
        done.repaired.push(format!(
            "collection {:?}: segment {:016x} written anew with {} rows ({why})",
            self.name(),
            segment.id().0,
            order.len()
        ));
        Ok(())
    }

    /// Opens a collection that cannot be opened as it is: without the indexes and field indexes that cannot be opened, and
    /// without the segments of which that is true. It must not be searched before [`Collection::repair_rest`].
    pub(crate) fn open_mending(
        shared: Shared,
        name: &str,
        id: u32,
        folder: &Path,
        done: &mut VerifyReport,
    ) -> Result<Self> {
        let disk = shared.disk.clone();
        let mut manifest = Manifest::read(disk.as_ref(), folder)?;
        manifest.config.validate()?;
        let field = manifest.config.vector()?;
        let layout = Layout::of(field);
        let fields = manifest.fields.clone();
        let open = |entry: &SegmentEntry| {
            Segment::open(&disk, folder, entry.clone(), layout, &field.index, &fields)
        };
        let mut found = VerifyReport::default();
        let (mut entries, mut segments) = (Vec::new(), Vec::new());
        for entry in &manifest.segments {
            let live = read_live(disk.as_ref(), folder, entry)?;
            let without_index = SegmentEntry {
                index_file: None,
                ..entry.clone()
            };
            let broken = match open(entry) {
                Ok(segment) => {
                    entries.push(entry.clone());
                    segments.push(View::with_live(Arc::new(segment), live));
                    continue;
                }
                Err(error) => only_damage(error)?,
            };
            let bare = || {
                let entry = without_index.clone();
                Segment::open_without_fields(&disk, folder, entry, layout, &field.index, &fields)
            };
            match open(&without_index).or_else(|error| only_damage(error).and_then(|_| bare())) {
                Ok(segment) => {
                    found.repaired.push(format!(
                        "collection {name:?}: segment {:016x} was opened without what is damaged ({broken})",
                        entry.id.0
                    ));
                    entries.push(without_index);
                    segments.push(View::with_live(Arc::new(segment), live));
                }
                Err(error) => {
                    let broken = only_damage(error)?;
                    let kept = quarantine(disk.as_ref(), folder, &entry.rows_file)?;
                    found
                        .quarantined
                        .push(format!("{}: {broken}", kept.display()));
                    found.lost += u64::from(entry.live_rows);
                }
            }
        }
        if entries != manifest.segments {
            manifest.segments = entries;
            manifest.generation += 1;
            manifest.write(disk.as_ref(), folder)?;
        }
        remove_unnamed(disk.as_ref(), folder, &manifest, None);
        let inner = Self::with_manifest(shared, name, id, folder, manifest, segments)?;
        done.merge(found);
        Ok(inner)
    }
}

/// What cannot be read now, but perhaps later, is not given up.
fn only_damage(error: Error) -> Result<Error> {
    match error.kind() {
        ErrorKind::Corrupt => Ok(error),
        _ => Err(error),
    }
}

/// Gives a file of the collection a second name in its `quarantine` folder; where it is then. A file that is missing has
/// none.
fn quarantine(disk: &dyn Disk, folder: &Path, file: &FileEntry) -> Result<PathBuf> {
    let aside = folder.join("quarantine");
    disk.create_dir(&aside)
        .map_err(|e| Error::io("create folder", &aside, e))?;
    let (from, to) = (folder.join(&file.name), aside.join(&file.name));
    let exists = |path: &Path| {
        disk.exists(path)
            .map_err(|e| Error::io("look for", path, e))
    };
    if exists(&from)? && !exists(&to)? {
        // Where files have one name only it is moved: its segment cannot be opened either way.
        disk.link(&from, &to)
            .or_else(|_| disk.rename(&from, &to))
            .map_err(|e| Error::io("set aside", &from, e))?;
        disk.sync_dir(&aside)
            .map_err(|e| Error::io("sync folder", &aside, e))?;
    }
    Ok(to)
}
