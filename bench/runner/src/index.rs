//! A bare index of any kind: build, size, search.

use std::path::Path;

use serde_json::json;
use vecdb_engine::{ElementType, IndexSpec, Metric};
use vecdb_index::{Budget, BuildOptions, BuiltIndex, Counters, Scratch, SearchParams};
use vecdb_storage::{FileDisk, SectionWriter};
use vecdb_vector::Query;

use crate::Outcome;
use crate::ids::Ids;
use crate::rows::Rows;

/// An index over the base vectors.
pub(crate) struct Index {
    index: Box<dyn BuiltIndex>,
    metric: Metric,
}

/// What one thread brings back.
struct Part {
    ids: Ids,
    counters: Counters,
}

impl Index {
    pub(crate) fn build(
        base: &mut Rows,
        metric: Metric,
        spec: &IndexSpec,
        threads: usize,
    ) -> Outcome<Self> {
        base.measure(metric);
        let options = BuildOptions {
            threads,
            ..BuildOptions::default()
        };
        let index = vecdb_index::build(spec, metric, base.view()?, &options)?;
        Ok(Self { index, metric })
    }

    /// Bytes of the structure without the vectors.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.index.memory_bytes()
    }

    /// Parameters and statistics.
    pub(crate) fn describe(&self) -> serde_json::Value {
        self.index.describe()
    }

    /// Writes the index; gives the bytes of the file.
    pub(crate) fn save(&self, path: &Path) -> Outcome<u64> {
        let mut writer = SectionWriter::create(&FileDisk, path, *b"BNCH", 1)?;
        self.index.save(&mut writer)?;
        Ok(writer.finish()?.len)
    }

    /// Searches all queries, spread over the threads; each thread works through its share one by one.
    pub(crate) fn search(
        &self,
        base: &Rows,
        queries: &Rows,
        (k, params, threads): (usize, &SearchParams, usize),
        out: &Path,
    ) -> Outcome {
        let block = queries
            .len()
            .div_ceil(threads.max(1))
            .saturating_mul(queries.dim);
        let shares: Vec<&[f32]> = queries.values.chunks(block).collect();
        let parts: Vec<Part> = match shares.as_slice() {
            [all] => vec![self.share(base, queries.dim, all, k, params)?],
            shares => std::thread::scope(|scope| {
                let start =
                    |&share| scope.spawn(move || self.share(base, queries.dim, share, k, params));
                let workers: Vec<_> = shares.iter().map(start).collect();
                workers
                    .into_iter()
                    .map(|worker| worker.join().map_err(|_| "a search thread panicked")?)
                    .collect::<Outcome<_>>()
            })?,
        };
        let mut all = Part {
            ids: Ids::new(k, queries.len()),
            counters: Counters::default(),
        };
        for part in parts {
            all.ids.append(part.ids);
            all.counters += part.counters;
        }
        all.ids.write(out)?;
        Ok(json!({
            "queries": queries.len(),
            "distance_computations": all.counters.distance_computations,
            "nodes_visited": all.counters.nodes_visited,
            "index_bytes": self.memory_bytes(),
        }))
    }

    fn share(
        &self,
        base: &Rows,
        dim: usize,
        queries: &[f32],
        k: usize,
        params: &SearchParams,
    ) -> Outcome<Part> {
        let rows = base.view()?;
        let mut scratch = Scratch::new();
        let mut hits = Vec::with_capacity(k);
        let mut part = Part {
            ids: Ids::new(k, queries.len() / dim),
            counters: Counters::default(),
        };
        let mut prepared: Option<Query> = None;
        for values in queries.chunks_exact(dim) {
            let query = match &mut prepared {
                Some(query) => {
                    query.set(values)?;
                    query
                }
                none => none.insert(Query::new(self.metric, ElementType::F32, base.dim, values)?),
            };
            let budget = Budget::UNLIMITED;
            let stats = self.index.search(
                rows,
                query,
                k,
                None,
                params,
                &budget,
                &mut scratch,
                &mut hits,
            )?;
            part.counters += stats.counters;
            part.ids.push_neighbors(&hits);
        }
        Ok(part)
    }
}
