//! A bare quantizer: training, codes of all base vectors, search by codes alone.

use std::path::Path;

use serde_json::json;
use vecdb_engine::Metric;
use vecdb_index::quantizer::{CodedRows, QuantizedQuery, Quantizer, QuantizerSpec, ScanBuffer};
use vecdb_index::{BuildOptions, quantizer::TrainingParams};
use vecdb_vector::{RowId, TopK};

use crate::Outcome;
use crate::ids::Ids;
use crate::rows::Rows;

/// Codes scanned at a time.
const BLOCK: usize = 4_096;

/// What stands for the base vectors.
pub(crate) struct Codes {
    quantizer: Quantizer,
    coded: Option<CodedRows>,
}

impl Codes {
    pub(crate) fn train(
        base: &mut Rows,
        metric: Metric,
        spec: QuantizerSpec,
        (threads, seed): (usize, u64),
    ) -> Outcome<Self> {
        base.measure(metric);
        let params = TrainingParams {
            seed,
            ..TrainingParams::default()
        };
        let options = with_threads(threads);
        let quantizer = Quantizer::train(spec, metric, base.view()?, &params, &options)?;
        Ok(Self {
            quantizer,
            coded: None,
        })
    }

    /// Bytes of a code, with what else there is of each row.
    pub(crate) fn bytes_each(&self) -> usize {
        self.quantizer.code_bytes()
    }

    pub(crate) fn encode(&mut self, base: &Rows, threads: usize) -> Outcome<()> {
        let options = with_threads(threads);
        self.coded = Some(self.quantizer.encode_rows(base.view()?, &options)?);
        Ok(())
    }

    /// The rows nearest by code to each query, by one thread.
    pub(crate) fn search(&self, queries: &Rows, k: usize, out: &Path) -> Outcome {
        let coded = self
            .coded
            .as_ref()
            .ok_or("no codes: send the command quantizer_encode first")?;
        let mut tables = QuantizedQuery::default();
        let mut buffer = ScanBuffer::default();
        let mut ranks = vec![0.0f32; BLOCK];
        let mut ids = Ids::new(k, queries.len());
        for query in queries.iter() {
            self.quantizer.set(&mut tables, query)?;
            let mut top = TopK::new(k);
            for first in (0..coded.len()).step_by(BLOCK) {
                let places = first..(first + BLOCK).min(coded.len());
                let ranks = &mut ranks[..places.len()];
                let threshold = top.threshold();
                self.quantizer
                    .scan(&tables, coded, places, threshold, &mut buffer, ranks)?;
                top.offer(ranks, |at| RowId((first + at) as u32));
            }
            ids.push_neighbors(&top.into_sorted_vec());
        }
        ids.write(out)?;
        Ok(json!({ "queries": queries.len() }))
    }
}

fn with_threads(threads: usize) -> BuildOptions<'static> {
    BuildOptions {
        threads,
        ..BuildOptions::default()
    }
}
