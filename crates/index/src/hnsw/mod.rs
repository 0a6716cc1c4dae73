//! HNSW: hierarchical navigable small world graphs (Malkov and Yashunin 2016, arXiv 1603.09320).
//!
//! The table of links, the walk, the heuristic and the repairs also serve the flat graph of `diskann`.
//!
//! [`Hnsw`] is the graph in memory: built by many threads, changed row by row, saved. [`HnswGraph`] is the sealed graph,
//! mapped. Both walk through the same loop (`search`), over different memory (`links`, `section`).
//!
//! Reading order: `level` (which layers a row is on) - `links` - `pool` and `visited` - `search` - `prune` - `insert` -
//! `build` (with `codes`, `connect`, `extend` and `recall`) - `delete` - `masked` and `subset` - `section` - `stats`, `verify`.
//!
//! Invariants: a row is on all layers from 0 to its level and links only to rows of the same layer; the entry is on the
//! highest layer; after a build every row can be reached from the entry over layer 0.

mod build;
pub(crate) mod codes;
pub(crate) mod connect;
pub(crate) mod delete;
mod extend;
pub(crate) mod insert;
mod level;
pub(crate) mod links;
mod masked;
mod newness;
pub(crate) mod pool;
pub(crate) mod prune;
pub(crate) mod recall;
pub(crate) mod search;
mod section;
mod stats;
mod subset;
mod verify;
pub(crate) mod visited;

use std::any::Any;
use std::sync::OnceLock;

use serde_json::json;
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{Metric, Neighbor, Query, RowMask, VectorRows};

use crate::calibration::KnobForRecall;
use crate::sq4::Sq4Codes;
use crate::{
    AnnIndex, Budget, BuildOptions, BuiltIndex, HnswParams, IndexError, PlanCost, Scratch,
    SearchParams, SearchStats, UnitCosts, VerifyReport,
};
use insert::InsertScratch;
pub(crate) use links::build_bytes;
use links::{LinkTable, Links};
pub(crate) use pool::{Pool, WalkHeap};
pub use search::EF_DEFAULT;
use search::{Graph, Request};
use section::MappedLinks;
pub use stats::HnswStats;
pub use subset::{SubsetGraph, SubsetNeeds};
pub(crate) use visited::Visited;

/// The search knobs of this kind.
pub(crate) const KNOBS: &[&str] = &["ef", "rerank", "target_recall", "plan", "exact"];

/// An HNSW graph in memory, open to change.
#[derive(Debug)]
pub struct Hnsw {
    params: HnswParams,
    metric: Metric,
    links: LinkTable,
    /// The rows in the graph.
    present: RowMask,
    /// What is walked on in place of the vectors.
    codes: Option<Sq4Codes>,
    /// Memory of the changes, made at the first one.
    scratch: Option<InsertScratch>,
    /// Pool sizes for recalls, where they were measured.
    ef_for_recall: Option<KnobForRecall>,
    /// Deletes since every row was last known to be reachable.
    deletes: u32,
    /// See [`newness`], until the next change.
    newness: OnceLock<f64>,
}

impl Hnsw {
    /// A graph without rows.
    ///
    /// # Errors
    /// Parameters out of range.
    pub fn new(params: &HnswParams, metric: Metric) -> Result<Self, IndexError> {
        params.validate()?;
        let links = LinkTable::new(params.m, []);
        Ok(Self::from_links(
            params.clone(),
            metric,
            links,
            RowMask::none(0),
        ))
    }

    fn from_links(params: HnswParams, metric: Metric, links: LinkTable, present: RowMask) -> Self {
        Self {
            params,
            metric,
            links,
            present,
            codes: None,
            scratch: None,
            ef_for_recall: None,
            deletes: 0,
            newness: OnceLock::new(),
        }
    }

    /// Its build parameters.
    pub fn params(&self) -> &HnswParams {
        &self.params
    }

    /// The rows in the graph: those inserted and not deleted.
    pub fn present(&self) -> &RowMask {
        &self.present
    }

    /// Whether it is walked on codes.
    pub fn has_codes(&self) -> bool {
        self.codes.is_some()
    }

    /// What the graph looks like. Reads all of it.
    ///
    /// # Errors
    /// None in memory; the same face as the mapped graph's.
    pub fn stats(&self) -> Result<HnswStats, IndexError> {
        stats::measure(&self.links, self.present.count(), self.links.memory_bytes())
    }

    /// The rows in the graph, unless all are.
    fn limited_to(&self) -> Option<&RowMask> {
        (!self.present.is_all()).then_some(&self.present)
    }
}

/// A sealed HNSW graph, mapped from a file.
#[derive(Debug)]
pub struct HnswGraph {
    params: HnswParams,
    metric: Metric,
    links: MappedLinks,
    present: Option<RowMask>,
    codes: Option<Sq4Codes>,
    ef_for_recall: Option<KnobForRecall>,
    /// See [`newness`].
    newness: OnceLock<f64>,
}

impl HnswGraph {
    /// Opens a saved graph over `rows` rows. Reads its meta section only.
    ///
    /// # Errors
    /// Missing or damaged sections, another metric or number of rows.
    pub fn open(file: &SectionFile, metric: Metric, rows: u32) -> Result<Self, IndexError> {
        let opened = section::open(file, metric, rows)?;
        Ok(Self {
            params: opened.params,
            metric,
            links: opened.links,
            present: opened.present,
            codes: opened.codes,
            ef_for_recall: opened.ef_for_recall,
            newness: OnceLock::new(),
        })
    }

    /// Its build parameters.
    pub fn params(&self) -> &HnswParams {
        &self.params
    }

    /// What the graph looks like. Reads all of it.
    ///
    /// # Errors
    /// Damaged sections.
    pub fn stats(&self) -> Result<HnswStats, IndexError> {
        let live = self
            .present
            .as_ref()
            .map_or(self.links.rows(), RowMask::count);
        stats::measure(&self.links, live, self.links.memory_bytes())
    }

    fn links(&self) -> &MappedLinks {
        &self.links
    }

    /// The rows in the graph, unless all are.
    fn limited_to(&self) -> Option<&RowMask> {
        self.present.as_ref()
    }

    fn is_complete(&self) -> bool {
        self.present.is_none()
    }
}

fn describe(
    params: &HnswParams,
    metric: Metric,
    stats: Result<HnswStats, IndexError>,
    codes: Option<&Sq4Codes>,
    ef_for_recall: Option<&KnobForRecall>,
) -> serde_json::Value {
    let mut value = json!({
        "kind": "hnsw",
        "metric": metric.to_string(),
        "m": params.m,
        "ef_construction": params.ef_construction,
        "seed": params.seed,
        "alpha": params.alpha,
        // What there is, not what was asked for.
        "quantization": if codes.is_some() { "sq4" } else { "none" },
    });
    if let Some(codes) = codes {
        value["code_bytes"] = json!(codes.memory_bytes());
    }
    if let Some(efs) = ef_for_recall {
        value["ef_for_recall"] = efs.describe("ef");
    }
    match stats {
        Ok(stats) => value["stats"] = json!(stats),
        Err(error) => value["error"] = json!(error.to_string()),
    }
    value
}

macro_rules! graph_index {
    ($graph:ty, $links:ty) => {
        impl $graph {
            fn graph(&self) -> Graph<'_, $links> {
                Graph {
                    links: &self.links,
                    metric: self.metric,
                    present: self.limited_to(),
                    codes: self.codes.as_ref(),
                    ef_for_recall: self.ef_for_recall.as_ref(),
                    newness: &self.newness,
                }
            }
        }

        impl AnnIndex for $graph {
            fn kind(&self) -> &'static str {
                "hnsw"
            }

            fn metric(&self) -> Metric {
                self.metric
            }

            fn rows(&self) -> u32 {
                self.links.rows()
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
                let request = Request {
                    rows,
                    query,
                    k,
                    mask,
                    subset: None,
                    params,
                    budget,
                };
                self.graph().search(&request, scratch, out)
            }

            fn search_subset(
                &self,
                subset: &SubsetGraph,
                rows: VectorRows<'_>,
                query: &Query,
                k: usize,
                mask: &RowMask,
                params: &SearchParams,
                budget: &Budget<'_>,
                scratch: &mut Scratch,
                out: &mut Vec<Neighbor>,
            ) -> Result<SearchStats, IndexError> {
                let request = Request {
                    rows,
                    query,
                    k,
                    mask: Some(mask),
                    subset: Some(subset),
                    params,
                    budget,
                };
                self.graph().search(&request, scratch, out)
            }

            fn subset_needs(&self, rows: &VectorRows<'_>, count: u32) -> Option<SubsetNeeds> {
                let complete = self.limited_to().is_none();
                complete.then(|| SubsetNeeds::of(&self.params, rows, count))
            }

            fn build_subset(
                &self,
                rows: VectorRows<'_>,
                mask: &RowMask,
                options: &BuildOptions<'_>,
            ) -> Result<Option<SubsetGraph>, IndexError> {
                let complete = self.limited_to().is_none();
                let build = || SubsetGraph::build(&self.params, self.metric, rows, mask, options);
                complete.then(build).transpose()
            }

            fn plans(
                &self,
                allowed: u32,
                subset: Option<u32>,
                k: usize,
                params: &SearchParams,
                costs: &UnitCosts,
            ) -> Vec<PlanCost> {
                self.graph().plans(allowed, subset, k, params, costs)
            }

            fn unit_costs(&self, rows: &VectorRows<'_>) -> Option<UnitCosts> {
                Some(self.graph().unit_costs(rows))
            }

            fn memory_bytes(&self) -> u64 {
                let codes = self.codes.as_ref().map_or(0, Sq4Codes::memory_bytes);
                self.links.memory_bytes() + codes
            }

            fn verify(&self, rows: u32) -> Result<VerifyReport, IndexError> {
                if rows != self.links.rows() {
                    return Err(IndexError::Mismatch {
                        what: "rows of the segment",
                        expected: self.links.rows().to_string(),
                        got: rows.to_string(),
                    });
                }
                if let Some(codes) = &self.codes {
                    codes.verify()?;
                }
                let m = self.params.m as usize;
                let capacity = |layer| if layer == 0 { 2 * m } else { m };
                verify::verify(&self.links, capacity, self.limited_to())
            }

            fn describe(&self) -> serde_json::Value {
                describe(
                    &self.params,
                    self.metric,
                    self.stats(),
                    self.codes.as_ref(),
                    self.ef_for_recall.as_ref(),
                )
            }

            fn as_any(&self) -> &dyn Any {
                self
            }
        }
    };
}

graph_index!(Hnsw, LinkTable);
graph_index!(HnswGraph, MappedLinks);

impl BuiltIndex for Hnsw {
    fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        section::save(
            writer,
            &self.params,
            self.metric,
            &self.links,
            &self.present,
            self.codes.as_ref(),
            self.ef_for_recall.as_ref(),
        )
    }
}
