//! The parts as one graph, page by page.
//!
//! A row has the links of both of its parts; where these are more than R, the heuristic chooses among them by their
//! codes, which fit in memory. (DiskANN cuts at random there.)

use vecdb_storage::{DiskFile, DiskRead, StorageError};
use vecdb_vector::{Metric, Neighbor, RowId, VectorRows, inverse_norm};

use super::assign::Assignment;
use super::job::Folder;
use super::part::{LINKS, Part};
use super::{CHUNK_ROWS, FileVectors};
use crate::diskann::codes::Codebook;
use crate::diskann::layout::Layout;
use crate::hnsw::Visited;
use crate::hnsw::prune::Space;
use crate::hnsw::prune::occlusion;
use crate::{BuildOptions, DiskAnnParams, IndexError};

pub(super) const PAGES: &str = "pages";
/// Blocks written at once, and per step of a thread.
const BLOCKS_WRITTEN: usize = 256;
const BLOCKS_PER_STEP: usize = 8;

/// Everything that is known before the pages are written.
pub(super) struct Merge<'a> {
    pub(super) folder: &'a Folder<'a>,
    pub(super) params: &'a DiskAnnParams,
    pub(super) vectors: &'a FileVectors,
    pub(super) assignment: &'a Assignment,
    pub(super) layout: Layout,
    pub(super) codebook: &'a Codebook,
    /// By row.
    pub(super) codes: &'a [u8],
}

/// The rows by place: the parts one after the other.
pub(super) fn order_of(folder: &Folder<'_>, parts: u32, rows: u32) -> Result<Vec<u32>, IndexError> {
    let mut order = Vec::with_capacity(rows as usize);
    for part in 0..parts {
        order.extend_from_slice(Part::open(folder.disk, folder.path, part)?.order()?);
    }
    let mut met = Visited::default();
    met.reset(rows);
    if order.len() != rows as usize || !order.iter().all(|&row| met.insert(RowId(row))) {
        return Err(IndexError::Corrupt {
            section: "part:order",
            what: "the parts do not hold every row once".to_owned(),
        });
    }
    Ok(order)
}

/// Where each row lies.
pub(super) fn places_of(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    for (place, &row) in order.iter().enumerate() {
        if let Some(slot) = places.get_mut(row as usize) {
            *slot = place as u32;
        }
    }
    places
}

impl Merge<'_> {
    /// Writes the page file.
    pub(super) fn write(
        &self,
        order: &[u32],
        options: &BuildOptions<'_>,
    ) -> Result<(), IndexError> {
        let path = self.folder.clear(PAGES)?;
        let failed = |error| StorageError::io("write", &path, error);
        let mut file = self.folder.disk.create(&path).map_err(failed)?;
        let places = places_of(order);
        let parts = (0..self.assignment.parts)
            .map(|part| Part::open(self.folder.disk, self.folder.path, part));
        let parts: Vec<Part> = parts.collect::<Result<_, _>>()?;
        let total = order.len() as u64;
        let rows_written = BLOCKS_WRITTEN * self.layout.slots;
        for (chunk, rows) in order.chunks(rows_written).enumerate() {
            let first = chunk * BLOCKS_WRITTEN;
            self.write_blocks(first as u32, rows, &places, &parts, &mut *file, options)?;
            let done = (chunk * rows_written + rows.len()) as u64;
            options.progress.advance(done, total);
        }
        Ok(file
            .sync()
            .map_err(|error| StorageError::io("sync", &path, error))?)
    }

    fn write_blocks(
        &self,
        first: u32,
        rows: &[u32],
        places: &[u32],
        parts: &[Part],
        file: &mut dyn DiskFile,
        options: &BuildOptions<'_>,
    ) -> Result<(), IndexError> {
        let (slots, block_bytes) = (self.layout.slots, self.layout.block_bytes);
        let mut ascending = rows.to_vec();
        ascending.sort_unstable();
        // The rows of neighbouring pages lie all over the file.
        let vectors = self.vectors.gather(&ascending, CHUNK_ROWS.min(64))?;
        let each = self.vectors.row_bytes();
        let mut out = vec![0u8; rows.len().div_ceil(slots) * block_bytes];
        options.for_each_chunk(
            &mut out,
            BLOCKS_PER_STEP * block_bytes,
            || Chooser::new(self, options),
            |chooser, start, out| {
                let start = start / block_bytes;
                for (i, out) in out.chunks_exact_mut(block_bytes).enumerate() {
                    let block = start + i;
                    let rows = &rows[block * slots..rows.len().min((block + 1) * slots)];
                    let mut links = Vec::with_capacity(rows.len());
                    for &row in rows {
                        let mut of_row = chooser.links(row, parts)?.to_vec();
                        for link in &mut of_row {
                            *link =
                                *places
                                    .get(*link as usize)
                                    .ok_or_else(|| IndexError::Corrupt {
                                        section: LINKS,
                                        what: format!("row {row} links to row {link}"),
                                    })?;
                        }
                        links.push(of_row);
                    }
                    let nodes = rows.iter().zip(&links).map(|(row, links)| {
                        let at = ascending.partition_point(|other| other < row);
                        let vector = &vectors[at * each..(at + 1) * each];
                        let (element, dim) = (self.vectors.element(), self.vectors.dim());
                        let norm = match self.layout.norms {
                            true => inverse_norm(element, dim, vector),
                            false => 0.0,
                        };
                        (vector, norm, &links[..])
                    });
                    self.layout.encode(first + block as u32, nodes, out);
                }
                Ok(())
            },
        )?;
        let written = file.write(&out);
        let path = self.folder.file(PAGES);
        Ok(written.map_err(|error| StorageError::io("write", path, error))?)
    }
}

/// Chooses the links of a row among those of its parts.
struct Chooser<'a, 'm> {
    merge: &'a Merge<'m>,
    options: &'a BuildOptions<'a>,
    record: Vec<u8>,
    links: Vec<u32>,
    values: Vec<f32>,
    candidates: Vec<Neighbor>,
    distances: Vec<f32>,
    kept: Vec<RowId>,
}

impl<'a, 'm> Chooser<'a, 'm> {
    fn new(merge: &'a Merge<'m>, options: &'a BuildOptions<'a>) -> Self {
        Self {
            merge,
            options,
            record: Vec::new(),
            links: Vec::new(),
            values: Vec::new(),
            candidates: Vec::new(),
            distances: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn links(&mut self, row: u32, parts: &[Part]) -> Result<&[u32], IndexError> {
        self.links.clear();
        let [home, other] = self.merge.assignment.of(row);
        let of = [Some(home), (other != home).then_some(other)];
        for part in of.into_iter().flatten() {
            if let Some(part) = parts.get(part as usize) {
                part.links(row, &mut self.record, &mut self.links)?;
            }
        }
        self.links.sort_unstable();
        self.links.dedup();
        if self.links.len() > self.merge.params.r as usize {
            self.choose(row)?;
        }
        Ok(&self.links)
    }

    fn choose(&mut self, row: u32) -> Result<(), IndexError> {
        let Merge {
            codebook, codes, ..
        } = *self.merge;
        let (bytes, dim) = (codebook.code_bytes(), self.merge.vectors.dim());
        self.values.clear();
        for row in std::iter::once(row).chain(self.links.iter().copied()) {
            let start = row as usize * bytes;
            let code = codes.get(start..start + bytes).unwrap_or_default();
            codebook.decode(code, &mut self.values);
        }
        let metric = match codebook.metric() {
            Metric::Cosine => Metric::L2,
            other => other,
        };
        let space = Space {
            rows: VectorRows::from_f32(dim, &self.values)?,
            metric,
            kernels: self.options.kernels,
            occlusion: occlusion(metric, self.merge.params.alpha),
        };
        let others: Vec<RowId> = (1..=self.links.len() as u32).map(RowId).collect();
        self.candidates.clear();
        space.measure(RowId(0), &others, &mut self.distances, &mut self.candidates);
        self.candidates.sort_unstable();
        let most = self.merge.params.r as usize;
        space.select(&self.candidates, most, &mut self.kept);
        let all = std::mem::take(&mut self.links);
        let kept = self.kept.iter().filter_map(|row| all.get(row.index() - 1));
        self.links.extend(kept);
        Ok(())
    }
}

/// The nodes that no walk from `starts` comes to, over the page file.
pub(super) fn unreached(
    pages: &dyn DiskRead,
    layout: Layout,
    rows: u32,
    starts: &[u32],
    options: &BuildOptions<'_>,
) -> Result<Vec<u32>, IndexError> {
    let mut met = Visited::default();
    met.reset(rows);
    let mut open: Vec<u32> = starts.to_vec();
    open.retain(|&start| met.insert(RowId(start)));
    let mut bytes = vec![0u8; layout.block_bytes];
    let mut held = None;
    while let Some(place) = open.pop() {
        options.check_cancelled()?;
        let block = layout.block_of(place);
        if held != Some(block) {
            held = Some(block);
            read_block(pages, layout, rows, block, &mut bytes)?;
        }
        let nodes = layout.decode(block, rows, &bytes)?;
        let slot = (place - nodes.places().start) as usize;
        let links = nodes.links(slot, rows)?.iter();
        open.extend(links.filter(|&&link| met.insert(RowId(link))));
    }
    Ok((0..rows)
        .filter(|&place| met.insert(RowId(place)))
        .collect())
}

/// Reads a block of the page file, not yet checked.
pub(super) fn read_block(
    pages: &dyn DiskRead,
    layout: Layout,
    rows: u32,
    block: u32,
    out: &mut [u8],
) -> Result<(), IndexError> {
    let read = pages.read_at(u64::from(block) * layout.block_bytes as u64, out);
    read.map_err(|source| {
        let places = layout.places(block, rows);
        IndexError::Unread {
            block,
            first: places.start,
            last: places.end.saturating_sub(1),
            source,
        }
    })
}
