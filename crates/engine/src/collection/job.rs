//! A merge that goes on where it was interrupted: `MERGE` in the collection's folder names the files that it has finished.
//!
//! Written once the rows of the new segment are (and only if an index is to be built over them, which takes longer), and again
//! once the index is. Whoever merges next, also after another opening, takes up these files in place of making them.
//!
//! Which row of the new segment comes from where follows from the ids: of each input a known number of rows was taken, in
//! their order, and an id stands in a segment once. The files are used only if every row that is alive now was taken; so a
//! delete that a crash undid is noticed, and the merge begun anew.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vecdb_storage::Disk;
use vecdb_vector::RowId;

use super::{Inner, Manifest};
use crate::document;
use crate::error::{ErrorKind, Result};
use crate::part::{Part, View};
use crate::segment::{Segment, SegmentEntry, SegmentId, SourceRow};

const VERSION: u32 = 1;

/// What an interrupted merge has finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MergeJob {
    /// In the order of their rows in the new segment.
    inputs: Vec<Input>,
    /// The new segment, with the files that are there.
    pub(super) made: SegmentEntry,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Input {
    id: SegmentId,
    /// So many rows of it were taken.
    rows: u32,
}

impl MergeJob {
    pub(super) const FILE: &str = "MERGE";

    fn path(folder: &Path) -> PathBuf {
        folder.join(Self::FILE)
    }

    /// That of a collection that is being opened, unless it leads nowhere.
    pub(super) fn open(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Option<Self> {
        // One that cannot be read is no reason not to serve: the merge is begun anew.
        let job: Option<Self> = document::read(disk, &Self::path(folder), VERSION).ok()?;
        job.filter(|job| {
            let segments = &manifest.segments;
            let is_there = |id: SegmentId| segments.iter().any(|segment| segment.id == id);
            job.inputs.iter().all(|input| is_there(input.id))
                && !is_there(job.made.id)
                && job.names_its_own()
        })
    }

    /// Whether the files are those of the new segment: what is given up is removed by its name.
    fn names_its_own(&self) -> bool {
        let own = self.made.id.file_names();
        self.file_names()
            .filter(|name| *name != Self::FILE)
            .all(|name| own.iter().any(|own| own == name))
    }

    /// The files that are to stay.
    pub(super) fn file_names(&self) -> impl Iterator<Item = &str> {
        let files = self.made.files().map(|file| file.name.as_str());
        files.chain([Self::FILE])
    }

    pub(super) fn ids(&self) -> Vec<SegmentId> {
        self.inputs.iter().map(|input| input.id).collect()
    }

    /// Where the rows of the new segment come from; `None` if it has not all rows of `inputs` that are alive.
    fn order(&self, inputs: &[&View<Segment>], made: &Segment) -> Result<Option<Vec<SourceRow>>> {
        let mut order = Vec::with_capacity(made.rows() as usize);
        for (part, (view, input)) in inputs.iter().zip(&self.inputs).enumerate() {
            let end = order.len() + input.rows as usize;
            let mut live = 0;
            for row in (0..view.part.rows()).map(RowId) {
                let next = RowId(order.len() as u32);
                if order.len() < end && Part::id(made, next)? == Part::id(view.part.as_ref(), row)?
                {
                    live += u32::from(view.is_live(row));
                    let part = part as u32;
                    order.push(SourceRow { part, row });
                }
            }
            if order.len() != end || live != view.live_rows() {
                return Ok(None);
            }
        }
        Ok((order.len() == made.rows() as usize).then_some(order))
    }
}

impl Inner {
    /// The inputs of an interrupted merge. One that has lost some of them is given up.
    pub(super) fn interrupted_merge(&self) -> Option<Vec<SegmentId>> {
        let ids = self.job.lock().as_ref()?.ids();
        let state = self.snapshot();
        let is_there = |id: &SegmentId| state.segments.iter().any(|view| view.part.id() == *id);
        if ids.iter().all(is_there) {
            return Some(ids);
        }
        self.forget_job(true);
        None
    }

    /// What an interrupted merge of exactly these segments has finished, and where its rows come from. One of some of them
    /// is given up, and so is one whose files are damaged or do not fit any more.
    pub(super) fn take_up(
        &self,
        inputs: &mut Vec<&View<Segment>>,
        before: &dyn Fn(u64) -> Result<()>,
    ) -> Result<Option<(SegmentEntry, Vec<SourceRow>)>> {
        let Some(job) = self.job.lock().clone() else {
            return Ok(None);
        };
        let mut ordered = Vec::with_capacity(inputs.len());
        for input in &job.inputs {
            ordered.extend(inputs.iter().find(|view| view.part.id() == input.id));
        }
        if ordered.is_empty() {
            return Ok(None);
        }
        if ordered.len() == inputs.len() && inputs.len() == job.inputs.len() {
            match self.read_interrupted(&job, &ordered, before) {
                Ok(Some(order)) => {
                    *inputs = ordered;
                    return Ok(Some((job.made, order)));
                }
                Err(error) if is_interruption(error.kind()) => return Err(error),
                Ok(None) | Err(_) => {}
            }
        }
        self.forget_job(true);
        Ok(None)
    }

    fn read_interrupted(
        &self,
        job: &MergeJob,
        inputs: &[&View<Segment>],
        before: &dyn Fn(u64) -> Result<()>,
    ) -> Result<Option<Vec<SourceRow>>> {
        let made = self.open_segment(job.made.clone())?;
        made.check_searched_bytes_by(before)?;
        job.order(inputs, &made)
    }

    /// Remembers that the files of `made` are finished, the new segment of `inputs` with the rows of `order`.
    pub(super) fn note_job(
        &self,
        inputs: &[&View<Segment>],
        order: &[SourceRow],
        made: &SegmentEntry,
    ) -> Result<()> {
        let input = |(part, view): (usize, &&View<Segment>)| {
            let begin = order.partition_point(|source| (source.part as usize) < part);
            let end = order.partition_point(|source| source.part as usize <= part);
            Input {
                id: view.part.id(),
                rows: (end - begin) as u32,
            }
        };
        let job = MergeJob {
            inputs: inputs.iter().enumerate().map(input).collect(),
            made: made.clone(),
        };
        if self
            .job
            .lock()
            .as_ref()
            .is_some_and(|other| other.made.id != made.id)
        {
            self.forget_job(true);
        }
        let path = MergeJob::path(&self.folder);
        document::write(self.shared.disk.as_ref(), &path, VERSION, &job)?;
        *self.job.lock() = Some(job);
        Ok(())
    }

    /// Whether a merge that ended with this error goes on from the files of `made`.
    pub(super) fn goes_on(&self, made: SegmentId, error: ErrorKind) -> bool {
        let job = self.job.lock();
        is_interruption(error) && job.as_ref().is_some_and(|job| job.made.id == made)
    }

    /// What the merge that makes this segment has finished is not to be gone on from; its files are the caller's.
    pub(super) fn forget_job_of(&self, made: SegmentId) {
        if self
            .job
            .lock()
            .as_ref()
            .is_some_and(|job| job.made.id == made)
        {
            self.forget_job(false);
        }
    }

    /// Nothing goes on from there any more; `with_files`: they are in nobody's use.
    pub(super) fn forget_job(&self, with_files: bool) {
        let Some(job) = self.job.lock().take() else {
            return;
        };
        let disk = self.shared.disk.as_ref();
        // What cannot be removed now is removed at the next open.
        let _ = disk.remove_file(&MergeJob::path(&self.folder));
        if with_files {
            for file in job.made.files() {
                let _ = disk.remove_file(&self.folder.join(&file.name));
            }
        }
    }
}

/// The merge was not wanted any more; nothing is wrong with what it did.
fn is_interruption(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Cancelled | ErrorKind::DeadlineExceeded)
}

#[cfg(test)]
mod tests {
    use vecdb_filter::MetadataSchema;
    use vecdb_testkit::sim_disk::SimDisk;
    use vecdb_vector::Metric;

    use super::*;
    use crate::CollectionConfig;
    use crate::segment::FileEntry;

    #[test]
    fn only_files_of_the_new_segment_are_taken_up() {
        let disk = SimDisk::new().shared();
        let folder = Path::new("/c");
        disk.create_dir(folder).unwrap();
        let manifest = Manifest {
            generation: 1,
            config: CollectionConfig::new(2, Metric::L2),
            fields: MetadataSchema::new(),
            flushed: 0,
            next_segment: 9,
            segments: Vec::new(),
        };
        let opened = |rows: &str| {
            let file = FileEntry {
                name: rows.to_owned(),
                bytes: 1,
            };
            let job = MergeJob {
                inputs: Vec::new(),
                made: SegmentEntry {
                    id: SegmentId(7),
                    rows: 1,
                    live_rows: 1,
                    rows_file: file,
                    index_file: None,
                    fields_file: None,
                    fields_version: 0,
                    live_file: None,
                },
            };
            document::write(disk.as_ref(), &MergeJob::path(folder), VERSION, &job).unwrap();
            MergeJob::open(disk.as_ref(), folder, &manifest)
        };
        assert!(opened(&SegmentId(7).rows_name()).is_some());
        for wrong in [SegmentId(6).rows_name().as_str(), "../../CATALOG"] {
            assert_eq!(opened(wrong), None, "{wrong}");
        }
    }
}
