//! [`Scratch`]: the memory of a search, kept by a thread from query to query.

use vecdb_vector::{Kernels, Neighbor, RowId, TopK};

use crate::diskann::DiskScratch;
use crate::hnsw::{Pool, Visited, WalkHeap};
use crate::ivf::IvfScratch;
use crate::lsh::{BucketTrace, LshScratch};
use crate::sq4::Sq4Query;

/// Reusable memory of searches: pools, visited marks, buffers. One per thread; any index, any size; grows to the
/// largest search it has served and allocates nothing after that.
#[derive(Debug)]
pub struct Scratch {
    pub(crate) kernels: Kernels,
    pub(crate) top: TopK,
    pub(crate) distances: Vec<f32>,
    pub(crate) rows: Vec<RowId>,
    pub(crate) estimates: Vec<Neighbor>,
    pub(crate) sq4: Sq4Query,
    pub(crate) pool: Pool,
    pub(crate) heap: WalkHeap,
    pub(crate) visited: Visited,
    pub(crate) ivf: IvfScratch,
    pub(crate) disk: DiskScratch,
    pub(crate) lsh: LshScratch,
    trace: Vec<LayerTrace>,
}

/// A list that an IVF search looked into.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct ListTrace {
    /// The list.
    pub list: u32,
    /// Rows of it that were compared with the query.
    pub compared: u32,
    /// Distance of the query to its centroid: L2 (under cosine and Jaccard of vectors of unit length), under dot the
    /// negative product.
    pub distance: f32,
}

/// What a search of an index on disk read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskTrace {
    /// Nodes that were asked for, of the cache or of the disk.
    pub hops: u64,
    /// Blocks read: from the disk, or looked at through the map.
    pub reads: u64,
    /// Nodes that the cache had.
    pub cache_hits: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
    /// How long each read took, in nanoseconds, in the order of arrival; 0 through the map.
    pub read_nanos: Vec<u64>,
}

impl DiskTrace {
    fn clear(&mut self) {
        self.hops = 0;
        self.reads = 0;
        self.cache_hits = 0;
        self.bytes = 0;
        self.read_nanos.clear();
    }
}

/// How a graph search crossed one layer.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct LayerTrace {
    /// The layer; 0 is the lowest, which holds all rows.
    pub layer: u8,
    /// Steps taken on it (layer 0: rows expanded).
    pub hops: u32,
    /// Distances computed on it.
    pub distances: u32,
    /// The nearest row found on it.
    pub nearest: Neighbor,
}

impl Scratch {
    /// Scratch memory for the best kernels of this machine.
    pub fn new() -> Self {
        Self::with_kernels(Kernels::detect())
    }

    /// Scratch memory whose searches use the given kernels.
    pub fn with_kernels(kernels: Kernels) -> Self {
        Self {
            kernels,
            top: TopK::new(0),
            distances: Vec::new(),
            rows: Vec::new(),
            estimates: Vec::new(),
            sq4: Sq4Query::default(),
            pool: Pool::default(),
            heap: WalkHeap::default(),
            visited: Visited::default(),
            ivf: IvfScratch::default(),
            disk: DiskScratch::default(),
            lsh: LshScratch::default(),
            trace: Vec::new(),
        }
    }

    /// The kernels its searches use.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// How the last search went through the layers of a graph, top first; empty after a scan.
    pub fn trace(&self) -> &[LayerTrace] {
        &self.trace
    }

    /// The lists that the last search of an IVF index looked into, nearest first; empty after a scan.
    pub fn lists(&self) -> &[ListTrace] {
        &self.ivf.trace
    }

    /// What the last search of a DiskANN index read; nothing after a scan.
    pub fn disk(&self) -> &DiskTrace {
        &self.disk.trace
    }

    /// The buckets that the last search of an LSH index looked into, likeliest first; empty after a scan.
    pub fn buckets(&self) -> &[BucketTrace] {
        &self.lsh.trace
    }

    pub(crate) fn clear_trace(&mut self) {
        self.trace.clear();
        self.ivf.trace.clear();
        self.disk.trace.clear();
        self.lsh.trace.clear();
    }

    /// A walk was over other row numbers: gives its candidates, and its layers from the `traced`-th on, those of the index.
    pub(crate) fn renumber(&mut self, traced: usize, row_of: impl Fn(RowId) -> RowId) {
        self.pool.renumber(&row_of);
        for layer in self.trace.iter_mut().skip(traced) {
            layer.nearest.row = row_of(layer.nearest.row);
        }
    }

    pub(crate) fn push_trace(&mut self, layer: LayerTrace) {
        self.trace.push(layer);
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}
