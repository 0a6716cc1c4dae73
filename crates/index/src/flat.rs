//! [`Flat`]: no structure at all. Exact, and the measure of every other kind.

use std::any::Any;

use serde_json::json;
use vecdb_storage::SectionWriter;
use vecdb_vector::{Metric, Neighbor, Query, RowMask, VectorRows};

use crate::exact::{check_request, search_exact};
use crate::{
    AnnIndex, Budget, BuiltIndex, IndexError, Scratch, SearchParams, SearchStats, VerifyReport,
};

/// Exact search by scanning all rows. Its only state is the number of rows.
#[derive(Clone, Debug)]
pub struct Flat {
    metric: Metric,
    rows: u32,
}

impl Flat {
    /// The search knobs this kind knows.
    pub const KNOBS: &'static [&'static str] = &["target_recall", "exact"];

    /// An index over `rows` rows.
    pub fn new(metric: Metric, rows: u32) -> Self {
        Self { metric, rows }
    }
}

impl AnnIndex for Flat {
    fn kind(&self) -> &'static str {
        "flat"
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
        out.clear();
        params.check(self.kind(), Self::KNOBS)?;
        check_request(self.rows, self.metric, &rows, query, mask)?;
        scratch.clear_trace();
        let stats = search_exact(rows, query, k, mask, budget, scratch);
        scratch.top.drain_sorted_into(out);
        Ok(stats)
    }

    fn memory_bytes(&self) -> u64 {
        0
    }

    fn verify(&self, rows: u32) -> Result<VerifyReport, IndexError> {
        if rows != self.rows {
            return Err(IndexError::Mismatch {
                what: "rows of the segment",
                expected: self.rows.to_string(),
                got: rows.to_string(),
            });
        }
        Ok(VerifyReport {
            rows,
            links: 0,
            unreachable: 0,
        })
    }

    fn describe(&self) -> serde_json::Value {
        json!({ "kind": "flat", "metric": self.metric.to_string(), "rows": self.rows })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl BuiltIndex for Flat {
    fn save(&self, _writer: &mut SectionWriter) -> Result<(), IndexError> {
        Ok(())
    }
}
