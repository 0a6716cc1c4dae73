//! `pq train|compress|search`: vectors as short codes, over vector files and without a database.

mod compress;
mod file;
mod search;
mod train;

use serde::Serialize;
use vecdb_index::Quantizer;

use crate::args::{Globals, PqCommand};
use crate::failure::Outcome;
use crate::measure::Rows;
use crate::output::{Console, bytes, count, decimal};

pub(crate) fn run(console: &Console, globals: &Globals, command: &PqCommand) -> Outcome {
    match command {
        PqCommand::Train(args) => train::run(console, globals, args),
        PqCommand::Compress(args) => compress::run(console, globals, args),
        PqCommand::Search(args) => search::run(console, globals, args),
    }
}

/// What coding saves.
#[derive(Serialize)]
struct Sizes {
    rows: u32,
    dimension: usize,
    code: String,
    vector_bytes: usize,
    code_bytes: usize,
    original_bytes: u64,
    compressed_bytes: u64,
    compression_ratio: f64,
    /// What was learned: codebooks, rotation, mean.
    codebook_bytes: u64,
}

impl Sizes {
    fn new(quantizer: &Quantizer, rows: &Rows) -> Self {
        let (vector_bytes, code_bytes) = (rows.element().bytes(rows.dim()), quantizer.code_bytes());
        let all = |each: usize| u64::from(rows.len()) * each as u64;
        Self {
            rows: rows.len(),
            dimension: rows.dim(),
            code: quantizer.spec().to_string(),
            vector_bytes,
            code_bytes,
            original_bytes: all(vector_bytes),
            compressed_bytes: all(code_bytes),
            compression_ratio: vector_bytes as f64 / code_bytes as f64,
            codebook_bytes: quantizer.trained_bytes(),
        }
    }

    fn original(&self, rows: &Rows) -> String {
        format!(
            "{} vectors × {} dimensions of {} = {}",
            count(self.rows),
            self.dimension,
            rows.element(),
            bytes(self.original_bytes)
        )
    }

    fn facts(&self) -> [(&'static str, String); 3] {
        let saved = 100.0 * (1.0 - 1.0 / self.compression_ratio);
        [
            (
                "Compressed",
                format!(
                    "{} vectors × {} bytes = {}",
                    count(self.rows),
                    self.code_bytes,
                    bytes(self.compressed_bytes)
                ),
            ),
            (
                "Compression ratio",
                format!("{}x ({saved:.1} % less)", decimal(self.compression_ratio)),
            ),
            ("Codebook size", bytes(self.codebook_bytes)),
        ]
    }
}
