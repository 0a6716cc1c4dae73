//! LSH: locality-sensitive hashing (Indyk and Motwani, STOC 1998). Rows lie in buckets of several hash tables; near rows
//! share a bucket likelier than far ones, and a search compares what lies in the buckets that its query hashes to, and in
//! those beside them.
//!
//! In reading order:
//! - `params`: what can be chosen;
//! - `functions`: a family of hash functions for every metric;
//! - `choose`: how many tables of how many functions, by the collision formula;
//! - `tables`: the buckets;
//! - `build`: all rows hashed, or only those that another index does not know;
//! - `sketch`: a bit per coordinate, to tell good candidates from bad;
//! - `probe`: the buckets of a query, likeliest first;
//! - `search`: what lies in them, compared;
//! - `calibrate`: how many buckets does a recall take?
//! - `section`: the bytes on disk.
//!
//! Invariants:
//! - every row stands once in every table;
//! - what is returned has exact distances: hashes only say which rows are compared;
//! - k hits come back whenever the mask allows k rows: what buckets do not bring, a scan does.

mod build;
mod calibrate;
mod choose;
mod functions;
mod params;
mod probe;
mod search;
mod section;
mod sketch;
mod stats;
mod tables;

use std::any::Any;

use serde_json::json;
use vecdb_storage::SectionWriter;
use vecdb_vector::{ElementType, Metric, Neighbor, Query, RowId, RowMask, VectorRows};

use crate::{
    AnnIndex, Budget, BuiltIndex, IndexError, Scratch, SearchParams, SearchStats, VerifyReport,
};
pub(crate) use build::build_bytes;
use calibrate::Calibration;
pub use choose::{LshAdvice, LshChoice, advise};
use functions::{Functions, HashScratch};
pub use params::LshParams;
pub use search::BucketTrace;
pub(crate) use search::LshScratch;
use sketch::Sketches;
pub use stats::LshStats;
use tables::Tables;

/// The search knobs this kind knows.
pub(crate) const KNOBS: &[&str] = &["probes", "candidates", "rerank", "target_recall", "exact"];

/// Hash tables over the rows of a segment, built or opened.
#[derive(Debug)]
pub struct Lsh {
    params: LshParams,
    element: ElementType,
    rows: u32,
    /// How many rows there were when the functions were chosen.
    chosen_rows: u32,
    functions: Functions,
    tables: Tables,
    sketches: Option<Sketches>,
    calibration: Calibration,
}

impl Lsh {
    /// Its build parameters.
    pub fn params(&self) -> &LshParams {
        &self.params
    }

    /// How many tables there are.
    pub fn tables(&self) -> u32 {
        self.functions.shape.tables
    }

    /// Hash functions per table.
    pub fn hashes(&self) -> u32 {
        self.functions.shape.hashes
    }

    /// Width of the slots of a projection; only l2 has such.
    pub fn width(&self) -> Option<f32> {
        self.functions
            .have_slots()
            .then_some(self.functions.shape.width)
    }

    /// Buckets that a search looks into unless it says otherwise; `None` where a scan is no more work.
    pub fn default_probes(&self) -> Option<u32> {
        let probes = self.calibration.probes.value(calibrate::RECALL_DEFAULT);
        (probes != u32::MAX).then_some(probes)
    }

    /// Recalls, ascending, each with the buckets that a search looks into for it, as measured at the end of the build.
    /// Recalls that take comparing most rows are left out.
    pub fn probes_for_recall(&self) -> impl Iterator<Item = (f32, u32)> {
        let pairs = self.calibration.probes.pairs();
        pairs.filter(|&(_, probes)| probes != u32::MAX)
    }

    /// The tables in which `row` of `rows` lies in one of the buckets, ascending.
    ///
    /// # Errors
    /// Rows that are not those of this index.
    pub fn tables_of(
        &self,
        rows: VectorRows<'_>,
        row: RowId,
        buckets: &[BucketTrace],
    ) -> Result<Vec<u32>, IndexError> {
        self.check_fits(&rows)?;
        if row.0 >= rows.len() {
            return Err(IndexError::Mismatch {
                what: "row",
                expected: format!("one below {}", rows.len()),
                got: row.to_string(),
            });
        }
        let mut hashes = vec![0; self.tables() as usize];
        let (mut values, mut scratch) = (Vec::new(), HashScratch::default());
        self.functions
            .hash_row(rows, row, &mut values, &mut scratch, &mut hashes);
        let holds = |bucket: &&BucketTrace| hashes.get(bucket.table as usize) == Some(&bucket.hash);
        let mut tables: Vec<u32> = buckets.iter().filter(holds).map(|b| b.table).collect();
        tables.sort_unstable();
        Ok(tables)
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
        let dim = self.functions.shape.dim;
        if rows.dim() != dim {
            return mismatch("dimension", dim.to_string(), rows.dim().to_string());
        }
        Ok(())
    }
}

impl AnnIndex for Lsh {
    fn kind(&self) -> &'static str {
        "lsh"
    }

    fn metric(&self) -> Metric {
        self.functions.shape.metric
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
        let sketches = self.sketches.as_ref();
        self.tables.bytes() + sketches.map_or(0, |s| s.column().len() as u64)
    }

    fn verify(&self, rows: u32) -> Result<VerifyReport, IndexError> {
        if rows != self.rows {
            return Err(IndexError::Mismatch {
                what: "rows of the segment",
                expected: self.rows.to_string(),
                got: rows.to_string(),
            });
        }
        self.tables.verify()?;
        if let Some(sketches) = &self.sketches {
            sketches.column().check(0..sketches.column().len())?;
        }
        Ok(VerifyReport {
            rows,
            links: self.tables.layout.entries(),
            unreachable: 0,
        })
    }

    fn describe(&self) -> serde_json::Value {
        let mut value = json!({
            "kind": "lsh",
            "metric": self.metric().to_string(),
            "tables": self.tables(),
            "hashes": self.hashes(),
            "seed": self.params.seed,
            "chosen_rows": self.chosen_rows,
            "probes_for_recall": self.calibration.probes.describe("probes"),
        });
        if let Some(width) = self.width() {
            value["width"] = json!(width);
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

impl BuiltIndex for Lsh {
    fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        section::save(self, writer)
    }
}
