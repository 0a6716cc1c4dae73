//! Copying one state of a collection to a folder of its own.

use std::path::Path;

use super::state::State;
use super::{Inner, Manifest};
use crate::error::{Error, Result};
use crate::part::Part;
use crate::segment::{SegmentEntry, SegmentId, SegmentWriter, SourceRow, write_live};
use crate::snapshot::{EarlierFiles, Placed, PlacedFile, checksum_of, place};
use crate::stop::StopSignal;

/// A copy is the first generation of a collection that has no log.
const GENERATION: u64 = 1;

impl Inner {
    /// Puts `state` into the new `folder`: its segments, its memtable as one segment more, which rows are alive, and a
    /// manifest. No lock is held and nothing is flushed: the state is whole as it is, and holds its files.
    pub(crate) fn copy_state(
        &self,
        state: &State,
        folder: &Path,
        earlier: &EarlierFiles,
        stop: &StopSignal,
    ) -> Result<Vec<PlacedFile>> {
        let disk = self.shared.disk.as_ref();
        self.check_usable()?;
        disk.create_dir(folder)
            .map_err(|e| Error::io("create folder", folder, e))?;
        let mut placed = Vec::new();
        let mut segments = Vec::with_capacity(state.segments.len() + 1);
        for view in state.segments.iter().filter(|view| view.live_rows() > 0) {
            let mut entry = view.part.entry().clone();
            for file in entry.files() {
                let Placed { crc32c, written } = self.place(&file.name, folder, earlier, stop)?;
                placed.push(PlacedFile {
                    name: file.name.clone(),
                    bytes: file.bytes,
                    crc32c,
                    written,
                });
            }
            entry.live_rows = view.live_rows();
            entry.live_file = view
                .live()
                .map(|live| write_live(disk, folder, entry.id, GENERATION, live))
                .transpose()?;
            placed.extend(entry.live_file.iter().map(|file| PlacedFile {
                name: file.name.clone(),
                bytes: file.bytes,
                crc32c: None,
                written: true,
            }));
            segments.push(entry);
        }
        stop.check()?;
        let last = state.segments.iter().map(|view| view.part.id().0).max();
        let next = SegmentId(last.unwrap_or(0) + 1);
        if let Some(entry) = self.write_memtable(state, folder, next)? {
            placed.extend(entry.files().map(|file| PlacedFile {
                name: file.name.clone(),
                bytes: file.bytes,
                crc32c: None,
                written: true,
            }));
            segments.push(entry);
        }
        let manifest = Manifest {
            generation: GENERATION,
            config: self.config.clone(),
            fields: state.fields.as_ref().clone(),
            flushed: 0,
            next_segment: next.0 + 1,
            segments,
        };
        // Syncs the folder too.
        manifest.write(disk, folder)?;
        let path = folder.join(Manifest::FILE);
        let (bytes, crc) = checksum_of(disk, &path, stop)?;
        placed.push(PlacedFile {
            name: Manifest::FILE.to_owned(),
            bytes,
            crc32c: Some(crc),
            written: true,
        });
        Ok(placed)
    }

    fn place(
        &self,
        name: &str,
        folder: &Path,
        earlier: &EarlierFiles,
        stop: &StopSignal,
    ) -> Result<Placed> {
        let disk = self.shared.disk.as_ref();
        let (from, to) = (self.folder.join(name), folder.join(name));
        place(disk, &from, &to, earlier, stop).map_err(|error| {
            // Dropping a collection takes its files at once, whoever reads them.
            self.check_usable().err().unwrap_or(error)
        })
    }

    /// The live rows of the memtable as the rows file of a segment.
    fn write_memtable(
        &self,
        state: &State,
        folder: &Path,
        id: SegmentId,
    ) -> Result<Option<SegmentEntry>> {
        let frozen = state.frozen.iter().flat_map(|frozen| &frozen.blocks);
        let views: Vec<_> = frozen.chain(&state.active).collect();
        let order: Vec<SourceRow> = views
            .iter()
            .enumerate()
            .flat_map(|(part, view)| {
                view.live_iter().map(move |row| SourceRow {
                    part: part as u32,
                    row,
                })
            })
            .collect();
        if order.is_empty() {
            return Ok(None);
        }
        let parts: Vec<&dyn Part> = views.iter().map(|view| view.part.as_ref() as _).collect();
        let writer = SegmentWriter {
            disk: &self.shared.disk,
            folder,
            layout: self.layout,
            fields: &state.fields,
            parts: &parts,
            order: &order,
        };
        writer.write(id).map(Some)
    }
}
