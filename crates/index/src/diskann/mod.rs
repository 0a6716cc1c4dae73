//! DiskANN: a graph whose nodes lie on the disk (Subramanya and others, NeurIPS 2019).
//!
//! In memory are a short code of every row and a sample to start from; vectors and links lie in pages, several nodes to
//! a page, and a search reads the few that it needs: through the memory map, or past the page cache by io_uring or
//! threads, with a cache of nodes of its own.
//!
//! In reading order:
//! - `params`: what can be chosen;
//! - `vamana`: the graph; `order`: which nodes share a page; `layout`: the bytes of a page;
//! - `codes`: what stands for a row in memory;
//! - `build` and `extend`: all of it together, from nothing or from an older index; `parts`: the same under a memory
//!   limit, vectors staying on the disk;
//! - `frontier`, `cache`, `readers`, `search`: the walk;
//! - `section`: the bytes on disk; `stats`: what they look like.
//!
//! Invariants: every row has one place; nodes link to places below the number of rows; after a build every node can be
//! reached from the entry or the sample.

mod build;
mod cache;
mod codes;
mod extend;
mod frontier;
mod layout;
mod order;
mod params;
mod parts;
mod readers;
mod recall;
mod search;
mod section;
mod stats;
mod vamana;

use std::any::Any;
use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use vecdb_storage::SectionWriter;
use vecdb_storage::disk::{BlockLayout, MappedPages, OpenedPages, PageIo, PageSource, open_pages};
use vecdb_vector::{Metric, Neighbor, Query, RowId, RowMask, VectorRows};

use crate::column::Column;
use crate::exact::check_request;
use crate::hnsw::pool::ROWS_MAX;
use crate::{
    AnnIndex, Budget, BuiltIndex, IndexError, Scratch, SearchParams, SearchStats, VerifyReport,
};
use cache::NodeCache;
use codes::Codebook;
use layout::{Block, Layout};
pub use params::DiskAnnParams;
pub use parts::{FileVectors, PartitionedBuild, PartitionedIndex, Pass, Plan};
use readers::Readers;
pub(crate) use search::DiskScratch;
pub use search::{BEAM_WIDTH_DEFAULT, EF_DEFAULT};
use section::Meta;
pub use stats::DiskAnnStats;

/// The search knobs this kind knows.
pub(crate) const KNOBS: &[&str] = &["ef", "beam_width", "target_recall", "exact"];

/// About how many bytes a build holds beside the rows (thought as wide as usual).
pub(crate) fn build_bytes(params: &DiskAnnParams, rows: u32) -> u64 {
    const DIM: usize = 1024;
    let pages = u64::from(rows) * (4 * DIM as u64 + 4 * u64::from(params.r) + 8);
    vamana::build_bytes(params, rows, DIM) + pages
}

/// A DiskANN index over the rows of a segment, built or opened.
#[derive(Debug)]
pub struct DiskAnn {
    meta: Meta,
    layout: Layout,
    columns: Columns,
    codebook: OnceLock<Codebook>,
    source: Arc<dyn PageSource>,
    readers: Readers,
    cache: Option<NodeCache>,
}

/// The arrays of an index.
#[derive(Debug)]
struct Columns {
    codebook: Column,
    codes: Column,
    place_rows: Column,
    nav: Column,
    nav_codes: Column,
    pages: Column,
}

impl Columns {
    /// Those that a search keeps in memory.
    fn resident(&self) -> [&Column; 5] {
        [
            &self.codebook,
            &self.codes,
            &self.place_rows,
            &self.nav,
            &self.nav_codes,
        ]
    }
}

impl DiskAnn {
    fn from_columns(meta: Meta, columns: Columns) -> Result<Self, IndexError> {
        let layout = meta.layout();
        let source = MappedPages::new(columns.pages.blob(), layout.block_bytes)
            .map_err(|source| IndexError::Reader { source })?;
        Ok(Self {
            meta,
            layout,
            columns,
            codebook: OnceLock::new(),
            source: Arc::new(source),
            readers: Readers::default(),
            cache: None,
        })
    }

    /// Its build parameters.
    pub fn params(&self) -> &DiskAnnParams {
        &self.meta.params
    }

    /// Where the pages lie in the file that the index was opened from; `None` for one that was just built.
    pub fn pages_in_file(&self) -> Option<BlockLayout> {
        let (_, offset) = self.columns.pages.place()?;
        Some(BlockLayout {
            offset,
            blocks: u64::from(self.layout.blocks(self.meta.rows)),
            block_bytes: self.layout.block_bytes,
        })
    }

    /// Bytes of a row's code.
    pub fn code_bytes(&self) -> u32 {
        self.meta.code_bytes as u32
    }

    /// Bytes that searches keep in memory, besides a cache of nodes.
    pub fn resident_bytes(&self) -> u64 {
        let columns = self.columns.resident();
        columns.iter().map(|column| column.len() as u64).sum()
    }

    /// Bytes of one search's own buffers, about.
    pub fn search_bytes(&self) -> u64 {
        let buffers = search::DEPTH * self.layout.block_bytes;
        let marks = 2 * (self.meta.rows as usize / 8) + 4 * self.meta.code_bytes * codes::CENTROIDS;
        (buffers + marks) as u64
    }

    /// From now on reads pages past the page cache ([`PageIo::Mapped`]: through the map again) and keeps up to
    /// `cache_bytes` of nodes, of which those of the sample that searches start from are read now and stay. Returns what is
    /// not as asked for, in sentences.
    ///
    /// # Errors
    /// An index that was not opened from a file; a file that cannot be read; damaged pages.
    pub fn read_through(
        &mut self,
        io: PageIo,
        cache_bytes: u64,
    ) -> Result<Vec<String>, IndexError> {
        let failed = |source| IndexError::Reader { source };
        if io == PageIo::Mapped {
            let pages = MappedPages::new(self.columns.pages.blob(), self.layout.block_bytes);
            self.read_from(Arc::new(pages.map_err(failed)?), cache_bytes)?;
            return Ok(Vec::new());
        }
        let (Some((path, _)), Some(layout)) = (self.columns.pages.place(), self.pages_in_file())
        else {
            let what = "an index that was just built is in memory: save and open it first";
            return Err(failed(io::Error::other(what)));
        };
        let OpenedPages { source, notices } = open_pages(path, layout, io).map_err(failed)?;
        self.read_from(source, cache_bytes)?;
        Ok(notices)
    }

    /// As [`Self::read_through`], from any source of the same pages.
    ///
    /// # Errors
    /// Those of the source; damaged pages.
    pub fn read_from(
        &mut self,
        source: Arc<dyn PageSource>,
        cache_bytes: u64,
    ) -> Result<(), IndexError> {
        self.source = source;
        self.readers = Readers::default();
        self.cache = NodeCache::new(cache_bytes, self.layout.record_bytes());
        self.warm_up()
    }

    /// As [`AnnIndex::search`], without the rows: all vectors come from the pages, also where all of them are compared.
    ///
    /// # Errors
    /// Those of [`AnnIndex::search`].
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one request, each borrowed from another owner"
    )]
    pub fn search_alone(
        &self,
        query: &Query,
        k: usize,
        mask: Option<&RowMask>,
        params: &SearchParams,
        budget: &Budget<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> Result<SearchStats, IndexError> {
        let request = search::Request {
            rows: None,
            query,
            k,
            mask,
            params,
            budget,
            hidden: None,
        };
        self.answer(&request, scratch, out)
    }

    /// How pages are read, and whether past the page cache.
    pub fn io(&self) -> (PageIo, bool) {
        (self.source.io(), self.source.is_direct())
    }

    /// Nodes that the cache has room for.
    pub fn cache_nodes(&self) -> usize {
        self.cache.as_ref().map_or(0, NodeCache::capacity)
    }

    /// Forgets the nodes of the cache that searches have left there, so that the next ones are measured without them.
    pub fn forget_searches(&self) {
        if let Some(cache) = &self.cache {
            cache.clear();
        }
    }

    /// Fills the cache with the nodes that walks begin at.
    fn warm_up(&self) -> Result<(), IndexError> {
        let Some(cache) = &self.cache else {
            return Ok(());
        };
        let mut reader = self.readers.take(&*self.source)?;
        let count = (self.meta.nav_count as usize).min(cache.capacity() / 4);
        let places = self.columns.nav.words(0, count)?;
        for &place in places {
            if place >= self.meta.rows {
                let what = format!("node {place} of {}", self.meta.rows);
                return Err(self.columns.nav.corrupt(what));
            }
            let block = self.layout.block_of(place);
            let unread = |error| self.unread(block, error);
            reader.submit(0, u64::from(block)).map_err(unread)?;
            if let Some(completion) = reader.wait().map_err(unread)? {
                completion.result.map_err(unread)?;
            }
            let nodes = self.layout.decode(block, self.meta.rows, reader.bytes(0))?;
            let slot = (place - nodes.places().start) as usize;
            cache.put(place, true, |out| nodes.record(slot, out));
        }
        self.readers.give_back(reader);
        Ok(())
    }

    fn codebook(&self) -> Result<&Codebook, IndexError> {
        if self.codebook.get().is_none() {
            let meta = &self.meta;
            let column = &self.columns.codebook;
            let read = Codebook::read(meta.metric, meta.dim, meta.code_bytes, column)?;
            // Another search may have been first, with the same.
            let _ = self.codebook.set(read);
        }
        let column = &self.columns.codebook;
        self.codebook
            .get()
            .ok_or_else(|| column.corrupt("could not be kept".to_owned()))
    }

    /// The codes of some nodes.
    #[inline]
    fn codes_at(&self, places: Range<u32>) -> Result<&[u8], IndexError> {
        let bytes = self.meta.code_bytes;
        let codes = &self.columns.codes;
        codes.bytes(places.start as usize * bytes..places.end as usize * bytes)
    }

    /// The row of a node.
    fn row_at(&self, place: u32) -> Result<RowId, IndexError> {
        let rows = self.columns.place_rows.words(place as usize, 1)?;
        match rows.first() {
            Some(&row) if row < self.meta.rows => Ok(RowId(row)),
            _ => {
                let what = format!("node {place} is no row of {}", self.meta.rows);
                Err(self.columns.place_rows.corrupt(what))
            }
        }
    }

    /// Hands a block of the column to `work`, checked.
    fn with_block(
        &self,
        block: u32,
        work: impl FnOnce(&Block<'_>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let start = block as usize * self.layout.block_bytes;
        let pages = &self.columns.pages;
        let bytes = pages.bytes(start..start + self.layout.block_bytes)?;
        work(&self.layout.decode(block, self.meta.rows, bytes)?)
    }

    fn unread(&self, block: u32, source: io::Error) -> IndexError {
        let places = self.layout.places(block, self.meta.rows);
        IndexError::Unread {
            block,
            first: places.start,
            last: places.end.saturating_sub(1),
            source,
        }
    }

    /// Refuses queries and masks that do not belong to this index.
    fn check_alone(&self, query: &Query, mask: Option<&RowMask>) -> Result<(), IndexError> {
        // Rows of the right shape, of which none is read.
        let (element, dim) = (self.meta.element, self.meta.dim);
        let rows = VectorRows::new(element, dim, element.bytes(dim), 0, &[])?;
        check_request(0, self.meta.metric, &rows, query, None)?;
        match mask {
            Some(mask) if mask.rows() != self.meta.rows => Err(IndexError::Mismatch {
                what: "rows of the mask",
                expected: self.meta.rows.to_string(),
                got: mask.rows().to_string(),
            }),
            _ => Ok(()),
        }
    }

    fn check_fits(&self, rows: &VectorRows<'_>) -> Result<(), IndexError> {
        let mismatch = |what, expected: String, got: String| {
            Err(IndexError::Mismatch {
                what,
                expected,
                got,
            })
        };
        let meta = &self.meta;
        if rows.element() != meta.element {
            let got = rows.element().to_string();
            return mismatch("element type", meta.element.to_string(), got);
        }
        if rows.dim() != meta.dim {
            return mismatch("dimension", meta.dim.to_string(), rows.dim().to_string());
        }
        Ok(())
    }
}

fn check(params: &DiskAnnParams, metric: Metric, rows: &VectorRows<'_>) -> Result<(), IndexError> {
    params.validate()?;
    if !metric.supports(rows.element()) {
        return Err(IndexError::UnsupportedMetric {
            metric,
            element: rows.element(),
        });
    }
    if rows.len() > ROWS_MAX {
        return Err(IndexError::TooManyRows {
            rows: u64::from(rows.len()),
            limit: u64::from(ROWS_MAX),
        });
    }
    Ok(())
}

impl AnnIndex for DiskAnn {
    fn kind(&self) -> &'static str {
        "diskann"
    }

    fn metric(&self) -> Metric {
        self.meta.metric
    }

    fn rows(&self) -> u32 {
        self.meta.rows
    }

    /// Vectors come from the index's own pages; `rows` are read only where all (allowed) rows are compared.
    fn search(
        &self,
        rows: VectorRows<'_>,
        query: &Query,
        k: usize,
        mask: Option<&RowMask>,
        params: &SearchParams,
        budget: &Budget<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> Result<SearchStats, IndexError> {
        let request = search::Request {
            rows: Some(rows),
            query,
            k,
            mask,
            params,
            budget,
            hidden: None,
        };
        self.answer(&request, scratch, out)
    }

    fn memory_bytes(&self) -> u64 {
        let vectors = self.meta.element.bytes(self.meta.dim) as u64 * u64::from(self.meta.rows);
        self.resident_bytes() + (self.columns.pages.len() as u64).saturating_sub(vectors)
    }

    fn verify(&self, rows: u32) -> Result<VerifyReport, IndexError> {
        stats::verify(self, rows)
    }

    fn describe(&self) -> serde_json::Value {
        let mut value = json!({
            "kind": "diskann",
            "metric": self.meta.metric.to_string(),
            "r": self.meta.params.r,
            "l_build": self.meta.params.l_build,
            "alpha": self.meta.params.alpha,
            "code_bytes": self.meta.code_bytes,
            "seed": self.meta.params.seed,
        });
        if let Some(efs) = &self.meta.ef_for_recall {
            value["ef_for_recall"] = efs.describe("ef");
        }
        match self.stats() {
            Ok(stats) => value["stats"] = json!(stats),
            Err(error) => value["error"] = json!(error.to_string()),
        }
        value
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl BuiltIndex for DiskAnn {
    fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        self.meta.save(writer)?;
        for column in self.columns.resident() {
            column.save(writer)?;
        }
        self.columns.pages.save(writer)
    }
}
