//! Rows, queries and exact answers for the suite, and files in memory.

use std::path::Path;

use vecdb_index::{
    AnnIndex, Budget, BuildOptions, BuiltIndex, IndexError, IndexSpec, Scratch, SearchParams,
    SearchStats,
};
use vecdb_storage::{Disk, MemoryDisk, SectionFile, SectionWriter};
use vecdb_testkit::random::SeededRandom;
use vecdb_testkit::synthetic::ClusteredGaussian;
use vecdb_vector::{
    ElementType, Kernels, Metric, Neighbor, Query, RowMask, TopK, VectorRows, encode_row,
    inverse_norm, scan,
};

/// Vectors of one element type, and queries from the same clusters.
pub(crate) struct Rows {
    pub(crate) metric: Metric,
    pub(crate) element: ElementType,
    pub(crate) dim: usize,
    pub(crate) count: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) norms: Vec<f32>,
    pub(crate) queries: Vec<Query>,
}

/// All pairs of metric and element type that exist.
pub(crate) fn pairs() -> impl Iterator<Item = (Metric, ElementType)> {
    use ElementType::{Bits, F16, F32, I8, U8};
    let all = [
        Metric::L2,
        Metric::Cosine,
        Metric::Dot,
        Metric::L1,
        Metric::Hamming,
        Metric::Jaccard,
    ];
    all.into_iter()
        .flat_map(|metric| [F32, F16, I8, U8, Bits].map(|element| (metric, element)))
        .filter(|(metric, element)| metric.supports(*element))
}

impl Rows {
    /// Clustered rows as `element`.
    pub(crate) fn new(metric: Metric, element: ElementType, count: u32, dim: usize) -> Self {
        let source = ClusteredGaussian {
            rows: count,
            dim,
            clusters: 40,
            spread: 0.6,
            seed: 11,
        };
        let (base, queries) = source.with_queries(40);
        Self::of(metric, element, dim, &base, &queries)
    }

    /// Rows of the given values, scaled to what the element type can hold.
    pub(crate) fn of(
        metric: Metric,
        element: ElementType,
        dim: usize,
        base: &[f32],
        queries: &[f32],
    ) -> Self {
        let fit = |value: &f32| match element {
            ElementType::I8 => (value * 30.0).round().clamp(-128.0, 127.0),
            ElementType::U8 => (value * 30.0 + 128.0).round().clamp(0.0, 255.0),
            ElementType::Bits => f32::from(u8::from(*value > 0.0)),
            ElementType::F32 | ElementType::F16 => *value,
        };
        let mut bytes = Vec::new();
        let mut norms = Vec::new();
        for row in base.chunks_exact(dim) {
            let values: Vec<f32> = row.iter().map(fit).collect();
            let start = bytes.len();
            encode_row(element, dim, &values, &mut bytes).unwrap();
            if metric.needs_norms() {
                norms.push(inverse_norm(element, dim, &bytes[start..]));
            }
        }
        let queries = queries.chunks_exact(dim).map(|query| {
            let values: Vec<f32> = query.iter().map(fit).collect();
            Query::new(metric, element, dim, &values).unwrap()
        });
        Self {
            metric,
            element,
            dim,
            count: (base.len() / dim) as u32,
            bytes,
            norms,
            queries: queries.collect(),
        }
    }

    pub(crate) fn view(&self) -> VectorRows<'_> {
        let stride = self.element.bytes(self.dim);
        let rows = VectorRows::new(self.element, self.dim, stride, self.count, &self.bytes);
        match self.norms.as_slice() {
            [] => rows.unwrap(),
            norms => rows.unwrap().with_inverse_norms(norms).unwrap(),
        }
    }

    /// The true answer.
    pub(crate) fn exact(&self, query: &Query, k: usize, mask: Option<&RowMask>) -> Vec<Neighbor> {
        let mut top = TopK::new(k);
        scan(Kernels::detect(), query, self.view(), mask, &mut top);
        top.into_sorted_vec()
    }

    pub(crate) fn build(&self, spec: &IndexSpec, threads: usize) -> Box<dyn BuiltIndex> {
        let options = BuildOptions {
            threads,
            ..BuildOptions::default()
        };
        vecdb_index::build(spec, self.metric, self.view(), &options).unwrap()
    }

    pub(crate) fn search(
        &self,
        index: &dyn AnnIndex,
        query: &Query,
        k: usize,
        mask: Option<&RowMask>,
    ) -> (Vec<Neighbor>, SearchStats) {
        let params = SearchParams::default();
        self.try_search(index, query, k, mask, &params, &Budget::UNLIMITED)
            .unwrap()
    }

    pub(crate) fn try_search(
        &self,
        index: &dyn AnnIndex,
        query: &Query,
        k: usize,
        mask: Option<&RowMask>,
        params: &SearchParams,
        budget: &Budget<'_>,
    ) -> Result<(Vec<Neighbor>, SearchStats), IndexError> {
        let mut out = Vec::new();
        let mut scratch = Scratch::new();
        let rows = self.view();
        index
            .search(rows, query, k, mask, params, budget, &mut scratch, &mut out)
            .map(|stats| (out, stats))
    }

    /// Mean recall at `k` of the queries under a mask, by distance, so that ties count.
    pub(crate) fn recall(&self, index: &dyn AnnIndex, k: usize, mask: Option<&RowMask>) -> f64 {
        let (mut found, mut wanted) = (0, 0);
        for query in &self.queries {
            let truth = self.exact(query, k, mask);
            let (hits, _) = self.search(index, query, k, mask);
            let limit = truth.last().map_or(f32::NEG_INFINITY, |hit| hit.distance);
            found += hits.iter().filter(|hit| hit.distance <= limit).count();
            wanted += truth.len();
        }
        found as f64 / wanted.max(1) as f64
    }
}

/// About `share` of the rows, chosen at random.
pub(crate) fn random_mask(rows: u32, share: f64, seed: u64) -> RowMask {
    let mut random = SeededRandom::new(seed);
    let members = (0..rows).map(vecdb_vector::RowId);
    let members = members.filter(|_| random.unit() < share);
    RowMask::from_rows(rows, members)
}

const PATH: &str = "index.seg";
const KIND: [u8; 4] = *b"TEST";

/// Writes an index to a file in memory.
pub(crate) fn save(index: &dyn BuiltIndex) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut writer = SectionWriter::create(&disk, Path::new(PATH), KIND, 1).unwrap();
    index.save(&mut writer).unwrap();
    writer.finish().unwrap();
    disk
}

/// Opens the file of [`save`].
pub(crate) fn open_file(disk: &MemoryDisk) -> Result<SectionFile, IndexError> {
    Ok(SectionFile::open(disk, Path::new(PATH), KIND, 1, None)?)
}

/// Names and bytes of all sections of the file of [`save`].
pub(crate) fn sections(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let file = open_file(disk).unwrap();
    let bytes = |name: &str| {
        let section = file.section(name).unwrap();
        section.bytes_verified().unwrap().to_vec()
    };
    file.names()
        .map(|name| (name.to_owned(), bytes(name)))
        .collect()
}

/// A file of the given sections, with right checksums.
pub(crate) fn file_of(sections: &[(String, Vec<u8>)]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut writer = SectionWriter::create(&disk, Path::new(PATH), KIND, 1).unwrap();
    for (name, bytes) in sections {
        writer.add(name, bytes).unwrap();
    }
    writer.finish().unwrap();
    disk
}

/// The raw bytes of the file of [`save`].
pub(crate) fn raw(disk: &MemoryDisk) -> Vec<u8> {
    let file = disk.open(Path::new(PATH)).unwrap();
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A file of the given raw bytes.
pub(crate) fn raw_file(bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut file = disk.create(Path::new(PATH)).unwrap();
    file.write(bytes).unwrap();
    disk
}
