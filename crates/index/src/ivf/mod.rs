//! IVF: rows in lists around learned centroids; a search looks into the lists nearest to the query (Jégou, Douze and
//! Schmid, PAMI 2011, section 4: the inverted file).
//!
//! Every list holds its rows' codes one after the other, so that a list is read from front to back: the vectors
//! themselves, eight-bit copies, or quantized residuals, whose best candidates are measured again by the vectors. How
//! many lists and candidates it takes is learned at the end of a build, on rows of its own.
//!
//! In reading order:
//! - `params`: what can be chosen;
//! - `build`: training, assignment, parting of overgrown lists; or the same on what another index has learned;
//! - `codes`: what lists hold; `quantized`: the same by any [`Quantizer`];
//! - `calibrate`: how many lists does a recall take?
//! - `search`: the nearest lists, under a mask as many more as it takes; `reservoir`: the candidates it meets;
//! - `section`: the bytes on disk.
//!
//! Invariants:
//! - every row stands in exactly one list, lists hold their rows in ascending order;
//! - k hits come back whenever the mask allows k rows: lists are looked into until then.

mod build;
mod calibrate;
mod codes;
mod params;
mod quantized;
mod reservoir;
mod search;
mod section;
mod stats;

use std::any::Any;

use serde_json::json;
use vecdb_storage::SectionWriter;
use vecdb_vector::{ElementType, Metric, Neighbor, Query, RowMask, VectorRows};

use crate::column::Column;
use crate::kmeans::KMeansReport;
use crate::{
    AnnIndex, Budget, BuiltIndex, IndexError, Quantizer, Scratch, SearchParams, SearchStats,
    VerifyReport,
};
pub(crate) use build::build_bytes;
use calibrate::Calibration;
use codes::Codes;
pub use params::{IvfCode, IvfParams};
pub(crate) use search::IvfScratch;
pub use stats::IvfStats;

/// The search knobs this kind knows.
pub(crate) const KNOBS: &[&str] = &["nprobe", "rerank", "target_recall", "exact"];

/// An inverted file over the rows of a segment, built or opened.
#[derive(Debug)]
pub struct Ivf {
    params: IvfParams,
    metric: Metric,
    element: ElementType,
    dim: usize,
    rows: u32,
    lists: u32,
    /// How many rows there were when the centroids were learned.
    trained_rows: u32,
    codes: Codes,
    calibration: Calibration,
    /// How the centroids were learned, in a build. Not stored.
    training: Option<KMeansReport>,
    /// `lists` x `dim` floats; under cosine and Jaccard of unit length.
    centroids: Column,
    /// `lists + 1` words: where each list begins, counted in rows.
    offsets: Column,
    /// The rows, list after list.
    members: Column,
}

impl Ivf {
    /// Its build parameters.
    pub fn params(&self) -> &IvfParams {
        &self.params
    }

    /// How many lists there are.
    pub fn lists(&self) -> u32 {
        self.lists
    }

    /// What the lists hold of each row.
    pub fn code(&self) -> IvfCode {
        self.codes.code()
    }

    /// How the training of the centroids went; `None` where they were not learned just now: of an index that was opened, or
    /// built on what another one had learned.
    pub fn training(&self) -> Option<&KMeansReport> {
        self.training.as_ref()
    }

    /// Recalls, ascending, each with the lists that a search looks into for it, as measured at the end of the build.
    pub fn nprobe_for_recall(&self) -> impl Iterator<Item = (f32, u32)> {
        self.calibration.pairs()
    }

    /// Lists that a search looks into unless it says otherwise.
    pub fn default_nprobe(&self) -> u32 {
        self.calibration.nprobe(calibrate::RECALL_DEFAULT)
    }

    /// Candidates by codes that a search for `k` hits measures by their vectors unless it says otherwise.
    pub fn default_rerank(&self, k: usize) -> usize {
        match self.codes.quantized() {
            None => (search::RERANK_PER_HIT * k).max(search::RERANK_MIN),
            Some(codes) => {
                let for_ten = codes.rerank as usize;
                (for_ten.saturating_mul(k) / calibrate::K).max(for_ten)
            }
        }
    }

    /// What codes the rows, where they are quantized.
    pub fn quantizer(&self) -> Option<&Quantizer> {
        self.codes.quantized().map(|codes| &codes.quantizer)
    }

    /// The numbers of a centroid.
    ///
    /// # Errors
    /// Damaged sections.
    pub fn centroid(&self, list: u32) -> Result<&[f32], IndexError> {
        self.centroids.floats(list as usize * self.dim, self.dim)
    }

    /// Where the list begins and ends.
    fn list(&self, list: u32) -> Result<std::ops::Range<usize>, IndexError> {
        match *self.offsets.words(list as usize, 2)? {
            [start, end] if start <= end && end <= self.rows => Ok(start as usize..end as usize),
            _ => Err(self
                .offsets
                .corrupt(format!("list {list} has no valid place"))),
        }
    }

    /// The rows of a list, ascending.
    ///
    /// # Errors
    /// Damaged sections.
    pub fn members(&self, list: u32) -> Result<&[u32], IndexError> {
        let place = self.list(list)?;
        self.members.words(place.start, place.len())
    }

    /// The list of every row.
    ///
    /// # Errors
    /// Damaged sections.
    pub fn list_of_rows(&self) -> Result<Vec<u32>, IndexError> {
        let mut list_of = vec![0; self.rows as usize];
        for list in 0..self.lists {
            for &row in self.members(list)? {
                match list_of.get_mut(row as usize) {
                    Some(slot) => *slot = list,
                    None => {
                        let what = format!("row {row} of {} in a list", self.rows);
                        return Err(self.members.corrupt(what));
                    }
                }
            }
        }
        Ok(list_of)
    }

    fn check_fits(&self, rows: &VectorRows<'_>) -> Result<(), IndexError> {
        let mismatch = |what, expected: String, got: String| {
            Err(IndexError::Mismatch {
                what,
                expected,
                got,
            })
        };
        if rows.element() != self.element {
            return mismatch(
                "element type",
                self.element.to_string(),
                rows.element().to_string(),
            );
        }
        if rows.dim() != self.dim {
            return mismatch("dimension", self.dim.to_string(), rows.dim().to_string());
        }
        Ok(())
    }
}

impl AnnIndex for Ivf {
    fn kind(&self) -> &'static str {
        "ivf"
    }

    fn metric(&self) -> Metric {
        self.metric
    }

    fn rows(&self) -> u32 {
        self.rows
    }

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
            rows,
            query,
            k,
            mask,
            params,
            budget,
        };
        self.answer(&request, scratch, out)
    }

    fn memory_bytes(&self) -> u64 {
        let columns = [&self.centroids, &self.offsets, &self.members];
        let bytes: usize = columns.into_iter().map(Column::len).sum();
        bytes as u64 + self.codes.bytes()
    }

    fn verify(&self, rows: u32) -> Result<VerifyReport, IndexError> {
        if rows != self.rows {
            return Err(IndexError::Mismatch {
                what: "rows of the segment",
                expected: self.rows.to_string(),
                got: rows.to_string(),
            });
        }
        let mut seen = RowMask::none(rows);
        let mut next = 0;
        for list in 0..self.lists {
            let place = self.list(list)?;
            if place.start != next {
                return Err(self
                    .offsets
                    .corrupt(format!("list {list} begins at {}, not {next}", place.start)));
            }
            next = place.end;
            let members = self.members(list)?;
            if !members.is_sorted() {
                return Err(self.members.corrupt(format!("list {list} is out of order")));
            }
            for &row in members {
                if row >= rows || !seen.insert(vecdb_vector::RowId(row)) {
                    return Err(self
                        .members
                        .corrupt(format!("row {row} stands in no list or in two")));
                }
            }
            let centroid = self.centroid(list)?;
            if centroid.iter().any(|value| !value.is_finite()) {
                return Err(self
                    .centroids
                    .corrupt(format!("centroid {list} is not finite")));
            }
        }
        self.codes.verify(rows)?;
        Ok(VerifyReport {
            rows,
            links: u64::from(seen.count()),
            unreachable: rows - seen.count(),
        })
    }

    fn describe(&self) -> serde_json::Value {
        let mut value = json!({
            "kind": "ivf",
            "metric": self.metric.to_string(),
            "nlist": self.lists,
            "code": self.codes.code().to_string(),
            "seed": self.params.seed,
            "trained_rows": self.trained_rows,
            "nprobe_for_recall": self.calibration.describe(),
        });
        if let Some(quantizer) = self.quantizer() {
            value["code_bytes"] = json!(quantizer.code_bytes());
            value["rerank_for_10"] = json!(self.default_rerank(10));
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

impl BuiltIndex for Ivf {
    fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        section::save(self, writer)
    }
}
