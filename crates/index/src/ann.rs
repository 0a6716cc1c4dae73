//! [`AnnIndex`], the contract every kind of index meets, and what a search reports about itself.

use std::any::Any;
use std::fmt::Debug;
use std::ops::AddAssign;

use vecdb_storage::SectionWriter;
use vecdb_vector::{Metric, Neighbor, Query, RowMask, VectorRows};

use crate::{
    Budget, BuildOptions, IndexError, Plan, PlanCost, Scratch, SearchParams, SubsetGraph,
    SubsetNeeds, UnitCosts,
};

/// Search over the rows of one segment.
///
/// The index does not own vectors: `rows` must be the rows it was built over (same count, same order).
pub trait AnnIndex: Send + Sync + Debug {
    /// The name of the kind, as in [`IndexSpec`](crate::IndexSpec).
    fn kind(&self) -> &'static str;

    /// The metric the index was built for.
    fn metric(&self) -> Metric;

    /// How many rows the index covers.
    fn rows(&self) -> u32;

    /// Puts the (at most) `k` nearest rows into `out`, nearest first, ties by row.
    ///
    /// Distances are rank values of the metric (L2: squared). With a `mask` only its rows are returned; `k` of them come
    /// back whenever the mask holds that many. `k` above the row count returns all rows, `k` = 0 none. `out` is cleared
    /// first. Nothing is allocated once `scratch` and `out` are warm.
    ///
    /// # Errors
    /// A knob in `params` that the kind does not know; rows, query or mask that do not fit the index; corrupt bytes.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one request, each borrowed from another owner"
    )]
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
    ) -> Result<SearchStats, IndexError>;

    /// As [`search`](Self::search), with a graph at hand of this index's rows that a mask allowed which this one is a part of. The
    /// cheapest way is taken still.
    ///
    /// # Errors
    /// Those of a search; a graph with rows that the index has not.
    #[expect(
        clippy::too_many_arguments,
        reason = "those of a search, and the graph"
    )]
    fn search_subset(
        &self,
        _subset: &SubsetGraph,
        rows: VectorRows<'_>,
        query: &Query,
        k: usize,
        mask: &RowMask,
        params: &SearchParams,
        budget: &Budget<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> Result<SearchStats, IndexError> {
        self.search(rows, query, k, Some(mask), params, budget, scratch, out)
    }

    /// What a graph of `count` of the rows takes, see [`build_subset`](Self::build_subset); none where the kind has no such thing.
    fn subset_needs(&self, _rows: &VectorRows<'_>, _count: u32) -> Option<SubsetNeeds> {
        None
    }

    /// Builds a graph of the rows that `mask` allows, for searches under masks that allow no others; none where the kind has no
    /// such thing. One thread builds the same graph every time.
    ///
    /// # Errors
    /// A mask of another number of rows; cancellation.
    fn build_subset(
        &self,
        _rows: VectorRows<'_>,
        _mask: &RowMask,
        _options: &BuildOptions<'_>,
    ) -> Result<Option<SubsetGraph>, IndexError> {
        Ok(None)
    }

    /// The ways to the nearest `k` of `allowed` rows and their expected cost, the cheapest by `costs` first; empty where
    /// the kind knows one way only. `subset`: how many rows a [`SubsetGraph`] of them has, if one is at hand.
    fn plans(
        &self,
        _allowed: u32,
        _subset: Option<u32>,
        _k: usize,
        _params: &SearchParams,
        _costs: &UnitCosts,
    ) -> Vec<PlanCost> {
        Vec::new()
    }

    /// What a unit of the work of plans typically takes over these rows; none where the kind knows one way only.
    fn unit_costs(&self, _rows: &VectorRows<'_>) -> Option<UnitCosts> {
        None
    }

    /// Bytes of the structure, without the vectors: in memory, or mapped.
    fn memory_bytes(&self) -> u64;

    /// Checks the whole structure over `rows` rows.
    ///
    /// # Errors
    /// Anything that a correct writer cannot have produced.
    fn verify(&self, rows: u32) -> Result<VerifyReport, IndexError>;

    /// Parameters and statistics as JSON, for people and programs. Reads the whole structure.
    fn describe(&self) -> serde_json::Value;

    /// The concrete index, for building another one on it.
    fn as_any(&self) -> &dyn Any;
}

/// An index fresh from a build, which can be written down.
pub trait BuiltIndex: AnnIndex {
    /// Writes the index as sections into an open file.
    ///
    /// # Errors
    /// Those of the file.
    fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError>;
}

/// What a search cost.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Distances between the query and a row.
    pub distance_computations: u64,
    /// Rows whose links were followed, on all layers; rows compared, for a scan.
    pub nodes_visited: u64,
    /// Steps taken from row to row, on all layers.
    pub hops: u64,
    /// Rows that were looked up in the mask on the way.
    pub rows_checked: u64,
}

impl Counters {
    /// What a row costs that is looked up in the mask, in distance computations.
    pub const CHECK_WORK: f64 = 1.0 / 32.0;

    /// The modelled work: distance computations, and looking up rows in the mask.
    pub fn work(&self) -> f64 {
        self.distance_computations as f64 + self.rows_checked as f64 * Self::CHECK_WORK
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.distance_computations += other.distance_computations;
        self.nodes_visited += other.nodes_visited;
        self.hops += other.hops;
        self.rows_checked += other.rows_checked;
    }
}

/// What a search says about itself beside its hits.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct SearchStats {
    /// What it cost.
    pub counters: Counters,
    /// Whether the budget stopped it early; the hits are the best found until then.
    pub truncated: bool,
    /// Whether every allowed row was compared, so that the hits are exact.
    pub exact: bool,
    /// How a search under a mask was answered, where the kind knows several ways.
    pub plan: Option<Plan>,
    /// The share of rows that the mask allows near the query, where it was looked at.
    pub share_near: Option<f32>,
    /// The plan turned out dearer than expected, or did not find enough, and was given up for another.
    pub switched: bool,
    /// The time that the work was expected to take by the costs given ([`Budget::costs`]), in nanoseconds, where the kind
    /// knows several plans: what plans are compared by.
    pub modelled_ns: f64,
}

/// What [`AnnIndex::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Rows in the structure.
    pub rows: u32,
    /// Links followed, all layers.
    pub links: u64,
    /// Rows that a search cannot reach from the entry point.
    pub unreachable: u32,
}
