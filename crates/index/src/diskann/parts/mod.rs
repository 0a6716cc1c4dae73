//! Building under a memory limit (Subramanya and others, NeurIPS 2019, section 3.1): parts that overlap, a graph for each,
//! and one graph of all of them.
//!
//! 1. Centroids of parts are learned from a sample, and every row goes into the two nearest parts (`assign`).
//! 2. Every row is coded; the codes go to a file.
//! 3. Each part is read, linked and written (`part`).
//! 4. The lists of each row are merged and laid out in pages, part after part (`merge`).
//!
//! Each step leaves a file in the folder of the build, and `job` says which are done: an interrupted build goes on after
//! the last of them. Nothing there can be opened as an index; that is the file that [`PartitionedIndex::save`] writes.

mod assign;
mod job;
mod merge;
mod part;
mod source;

use std::path::Path;

use serde::Serialize;
use vecdb_storage::{Disk, DiskRead, SectionFile, SectionWriter, StorageError};
use vecdb_vector::{Metric, VectorRows};

use super::build::navigation;
use super::codes::{Codebook, code_metric};
use super::layout::Layout;
use super::section::{CODEBOOK, CODES, Meta, NAV, NAV_CODES, PAGES, ROWS};
use super::vamana;
use crate::column::Column;
use crate::{BuildOptions, DiskAnnParams, IndexError};
use assign::Assignment;
use job::{Folder, Job};
use merge::Merge;
pub use source::FileVectors;

/// Rows read at once.
const CHUNK_ROWS: u32 = 4096;
/// What a process takes beside what is counted: code, stacks, buffers, fragments.
const BASE_BYTES: u64 = 24 << 20;
/// A part is a quarter larger than the mean of them, or parts are chosen anew.
const PART_RATIO: f64 = 1.25;
/// Fewer rows are not worth a part.
const PART_ROWS_MIN: u64 = 1_000;

const CODES_FILE: &str = "codes";
const KIND: [u8; 4] = *b"DACD";
const VERSION: u32 = 1;

/// What a memory limit makes of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The limit.
    pub memory_bytes: u64,
    /// Parts to begin with; more if one of them turns out too large.
    pub parts: u32,
    /// Rows of a part at most.
    pub part_rows_max: u64,
    row_bytes: u64,
    fixed_bytes: u64,
}

impl Plan {
    /// How a build over such rows stays within `memory_bytes`.
    ///
    /// # Errors
    /// A limit that nothing fits, with what would.
    pub fn new(
        params: &DiskAnnParams,
        vectors: &FileVectors,
        memory_bytes: u64,
    ) -> Result<Self, IndexError> {
        let (rows, dim) = (u64::from(vectors.rows()), vectors.dim());
        let code_bytes = params.code_bytes_for(dim) as u64;
        let of_part = part::params_of_part(params);
        let graph = vamana::build_bytes(&of_part, 1 << 10, dim) >> 10;
        let row_bytes = graph + vectors.row_bytes() as u64 + 32;
        // Merging keeps all codes, and of each row its parts, its place, the row at its place, and where it stands in
        // both of its parts.
        let fixed_bytes = BASE_BYTES + rows * (code_bytes + 24);
        let mut plan = Self {
            memory_bytes,
            parts: 2,
            part_rows_max: 0,
            row_bytes,
            fixed_bytes,
        };
        let least = plan.bytes_of_part(PART_ROWS_MIN.min(rows));
        if memory_bytes < least {
            return Err(IndexError::MemoryLimit {
                limit: memory_bytes,
                needed: least,
            });
        }
        plan.part_rows_max = (memory_bytes - fixed_bytes) / row_bytes;
        let wanted = 2.0 * PART_RATIO * rows as f64 / plan.part_rows_max as f64;
        plan.parts = (wanted.ceil() as u32).clamp(2, u32::from(u16::MAX));
        Ok(plan)
    }

    fn bytes_of_part(&self, rows: u64) -> u64 {
        self.fixed_bytes + rows * self.row_bytes
    }
}

/// One step of a build.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pass {
    /// What was done.
    pub name: String,
    /// Whether an earlier build had done it.
    pub done_before: bool,
}

/// A build under a memory limit.
#[derive(Clone, Copy)]
pub struct PartitionedBuild<'a> {
    /// Build parameters.
    pub params: &'a DiskAnnParams,
    /// The metric.
    pub metric: Metric,
    /// The rows.
    pub vectors: &'a FileVectors,
    /// See [`Plan::new`].
    pub plan: Plan,
    /// Where the files of the build lie.
    pub disk: &'a dyn Disk,
    /// The folder of the build, which exists. It can go once the index is saved.
    pub folder: &'a Path,
    /// Hears of each pass when it ends.
    pub passed: &'a dyn Fn(&Pass),
}

/// A finished build, ready to be saved as an index.
pub struct PartitionedIndex<'a> {
    build: PartitionedBuild<'a>,
    meta: Meta,
    layout: Layout,
    nav: Vec<u32>,
    order: Vec<u32>,
    codebook: Codebook,
    codes: Column,
}

impl<'a> PartitionedBuild<'a> {
    /// Does what is not done yet.
    ///
    /// # Errors
    /// Those of [`DiskAnn::build`](super::DiskAnn::build); files that cannot be read or written; a part that cannot be made
    /// small enough.
    pub fn run(&self, options: &BuildOptions<'_>) -> Result<PartitionedIndex<'a>, IndexError> {
        let (params, metric, vectors) = (self.params, self.metric, self.vectors);
        let (element, dim, rows) = (vectors.element(), vectors.dim(), vectors.rows());
        super::check(
            params,
            metric,
            &VectorRows::new(element, dim, vectors.row_bytes(), 0, &[])?,
        )?;
        let folder = &Folder {
            disk: self.disk,
            path: self.folder,
        };
        let mut job = Job::open(folder, params, metric, vectors, self.plan.memory_bytes)?;
        let assignment = self.pass("partition", job.parts > 0, || match job.parts {
            0 => Assignment::choose(metric, vectors, &self.plan, params.seed, options),
            parts => Assignment::into(parts, metric, vectors, params.seed, options),
        })?;
        job.parts = assignment.parts;
        job.save(folder)?;
        self.pass("encode", job.coded, || match job.coded {
            true => Ok(()),
            false => self.encode(folder, options),
        })?;
        job.coded = true;
        job.save(folder)?;
        for part in 0..job.parts {
            let done = part < job.parts_built;
            let name = format!("part {} of {}", part + 1, job.parts);
            self.pass(&name, done, || match done {
                true => Ok(()),
                false => {
                    let part = (&assignment, part);
                    part::build(folder, params, metric, vectors, part, options)
                }
            })?;
            job.parts_built = job.parts_built.max(part + 1);
            job.save(folder)?;
        }
        let (codebook, codes) = self.open_codes(folder)?;
        let layout = Layout::new(element, dim, params.r as usize, metric.needs_norms());
        let order = merge::order_of(folder, job.parts, rows)?;
        self.pass("merge", job.merged, || match job.merged {
            true => Ok(()),
            false => Merge {
                folder,
                params,
                vectors,
                assignment: &assignment,
                layout,
                codebook: &codebook,
                codes: codes.bytes(0..codes.len())?,
            }
            .write(&order, options),
        })?;
        job.merged = true;
        job.save(folder)?;
        let nav = self.pass("connect", false, || {
            let mut nav = navigation(rows, params.seed);
            let pages = self.open_pages(folder)?;
            // What the parts do not lead to any more, once merged, is a start itself.
            nav.extend(merge::unreached(&*pages, layout, rows, &nav, options)?);
            nav.sort_unstable();
            Ok(nav)
        })?;
        let meta = Meta {
            params: params.clone(),
            metric,
            element,
            dim,
            rows,
            degree: params.r as usize,
            code_bytes: codebook.code_bytes(),
            nav_count: nav.len() as u32,
            entry: nav.first().copied(),
            // The vectors are not in memory.
            ef_for_recall: None,
        };
        Ok(PartitionedIndex {
            build: *self,
            meta,
            layout,
            nav,
            order,
            codebook,
            codes,
        })
    }

    fn pass<T>(
        &self,
        name: &str,
        done_before: bool,
        work: impl FnOnce() -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let result = work()?;
        (self.passed)(&Pass {
            name: name.to_owned(),
            done_before,
        });
        Ok(result)
    }

    /// Learns the codebook from a sample and codes all rows, as they come.
    fn encode(&self, folder: &Folder<'_>, options: &BuildOptions<'_>) -> Result<(), IndexError> {
        let Self {
            params, vectors, ..
        } = *self;
        let (dim, each) = (vectors.dim(), vectors.row_bytes());
        let metric = code_metric(self.metric);
        let sample = assign::sample(metric, vectors, super::codes::TRAINING_ROWS, params.seed)?;
        let pieces = params.code_bytes_for(dim);
        let book = Codebook::learn(metric, dim, &sample, pieces, params.seed, options)?;
        drop(sample);
        let path = folder.clear(CODES_FILE)?;
        let mut writer = SectionWriter::create(folder.disk, &path, KIND, VERSION)?;
        writer.add(CODEBOOK, &book.to_bytes())?;
        writer.begin(CODES)?;
        let mut bytes = Vec::new();
        let mut first = 0;
        while first < vectors.rows() {
            let count = CHUNK_ROWS.min(vectors.rows() - first);
            bytes.resize(count as usize * each, 0);
            vectors.read(first, &mut bytes)?;
            let rows = VectorRows::new(vectors.element(), dim, each, count, &bytes)?;
            let places: Vec<u32> = (0..count).collect();
            writer.write(&book.encode(rows, &places, options)?)?;
            first += count;
            let (done, total) = (u64::from(first), u64::from(vectors.rows()));
            options.progress.advance(done, total);
        }
        writer.end()?;
        writer.finish()?;
        Ok(())
    }

    fn open_codes(&self, folder: &Folder<'_>) -> Result<(Codebook, Column), IndexError> {
        let (dim, rows) = (self.vectors.dim(), u64::from(self.vectors.rows()));
        let pieces = self.params.code_bytes_for(dim);
        let path = folder.file(CODES_FILE);
        let file = SectionFile::open(folder.disk, &path, KIND, VERSION, None)?;
        let book = Column::open(&file, CODEBOOK, (dim * super::codes::CENTROIDS * 4) as u64)?;
        let codes = Column::open(&file, CODES, rows * pieces as u64)?;
        Ok((Codebook::read(self.metric, dim, pieces, &book)?, codes))
    }

    fn open_pages(&self, folder: &Folder<'_>) -> Result<Box<dyn DiskRead>, IndexError> {
        let path = folder.file(merge::PAGES);
        let opened = self.disk.open(&path);
        Ok(opened.map_err(|error| StorageError::io("open", &path, error))?)
    }
}

impl PartitionedIndex<'_> {
    /// Rows of the index.
    pub fn rows(&self) -> u32 {
        self.meta.rows
    }

    /// Writes the index as sections into an open file, as [`BuiltIndex::save`](crate::BuiltIndex::save) does.
    ///
    /// # Errors
    /// Those of the files.
    pub fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        let bytes = self.meta.code_bytes;
        let code_of = |row: u32| {
            let start = row as usize * bytes;
            self.codes.bytes(start..start + bytes)
        };
        self.meta.save(writer)?;
        writer.add(CODEBOOK, &self.codebook.to_bytes())?;
        writer.begin(CODES)?;
        for &row in &self.order {
            writer.write(code_of(row)?)?;
        }
        writer.end()?;
        writer.add(ROWS, bytemuck::cast_slice(&self.order))?;
        writer.add(NAV, bytemuck::cast_slice(&self.nav))?;
        writer.begin(NAV_CODES)?;
        for &place in &self.nav {
            let row = self.order.get(place as usize).copied().unwrap_or(0);
            writer.write(code_of(row)?)?;
        }
        writer.end()?;
        writer.begin(PAGES)?;
        let folder = Folder {
            disk: self.build.disk,
            path: self.build.folder,
        };
        let pages = self.build.open_pages(&folder)?;
        let mut bytes = vec![0u8; self.layout.block_bytes];
        for block in 0..self.layout.blocks(self.meta.rows) {
            merge::read_block(&*pages, self.layout, self.meta.rows, block, &mut bytes)?;
            // A page file that was damaged meanwhile is not passed on.
            self.layout.decode(block, self.meta.rows, &bytes)?;
            writer.write(&bytes)?;
        }
        Ok(writer.end()?)
    }
}
