//! Nearest-neighbour indexes: flat, HNSW, IVF, DiskANN and LSH, behind one trait.
//!
//! An index never owns vectors: it holds structure (a graph, lists, codes) over the rows of one segment, and every call
//! is handed those rows. [`IndexSpec`] names a kind and its parameters, [`build`] makes it, [`BuiltIndex::save`] writes
//! it as sections of a sealed file and [`open`] maps it again. [`AnnIndex::search`] is the one search contract of all
//! kinds: top-k under an optional [`RowMask`](vecdb_vector::RowMask), with optional knobs, within a budget, without
//! allocating once its [`Scratch`] is warm.
//!
//! A [`Quantizer`] makes short codes of vectors and compares queries with many of them at a time; IVF lists hold such
//! codes, or vectors.
//!
//! [`Sketches`] serve rows that have no index yet: [`scan_sketched`] measures only the rows that their 1-bit codes
//! cannot exclude.
//!
//! [`advise`] measures all kinds on a sample of rows and says which will do.
//!
//! A new kind is a folder here, a variant of [`IndexSpec`], two match arms in the registry and one line in the index
//! suite (`tests/suite.rs`).

mod advise;
mod agreement;
mod ann;
mod calibration;
mod column;
pub mod diskann;
mod error;
mod exact;
mod flat;
pub mod hnsw;
pub mod ivf;
pub mod kmeans;
pub mod lsh;
mod options;
mod params;
mod plan;
pub mod quantizer;
mod random;
mod registry;
mod rotation;
mod scale;
mod scratch;
mod sketch;
mod spec;
mod sq4;

pub use advise::{Advice, AdviceParams, Choice, advise};
pub use ann::{AnnIndex, BuiltIndex, Counters, SearchStats, VerifyReport};
pub use diskann::{DiskAnn, DiskAnnParams};
pub use error::IndexError;
pub use exact::scan_exact;
pub use flat::Flat;
pub use hnsw::{Hnsw, HnswGraph, SubsetGraph, SubsetNeeds};
pub use ivf::{Ivf, IvfCode, IvfParams};
pub use lsh::{BucketTrace, Lsh, LshParams};
pub use options::{BuildOptions, Progress, Silent};
pub use params::{Budget, SearchParams};
pub use plan::{Plan, PlanCost, PlanCosts, UnitCosts};
pub use quantizer::{Quantizer, QuantizerSpec};
pub use registry::{build, build_extending, open};
pub use scratch::{DiskTrace, LayerTrace, ListTrace, Scratch};
pub use sketch::{SketchQuery, SketchScratch, SketchSpace, Sketches, scan_sketched};
pub use spec::{HnswParams, IndexSpec, Quantization};
