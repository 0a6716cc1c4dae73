//! `pq compress`.

use std::time::Instant;

use serde::Serialize;
use vecdb_engine::Metric;
use vecdb_index::BuildOptions;
use vecdb_index::quantizer::DriftReport;
use vecdb_vector::Kernels;

use super::Sizes;
use super::file::{self, QuantizerFile};
use crate::args::{Globals, PqCompressArgs};
use crate::commands::index_files::check_output;
use crate::failure::{Failure, Outcome};
use crate::measure::Rows;
use crate::output::{Console, Grid, bytes, decimal, float, seconds};

/// From here on codes lose so much more than when they were trained that training anew pays.
const DRIFTED: f64 = 1.2;
/// Vectors looked at for drift are drawn by it.
const SEED: u64 = 42;

#[derive(Serialize)]
struct Report {
    dataset: String,
    codebook: String,
    output: String,
    metric: Metric,
    threads: usize,
    #[serde(flatten)]
    sizes: Sizes,
    encode_seconds: f64,
    vectors_per_second: f64,
    drift: DriftReport,
    file_bytes: u64,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &PqCompressArgs) -> Outcome {
    check_output(&args.output)?;
    let threads = globals.threads_or_all();
    let book = QuantizerFile::open(&args.codebook)?;
    let quantizer = &book.quantizer;
    let rows = Rows::load(console, &args.dataset, book.metric(), threads)?;
    if rows.dim() != quantizer.dim() {
        return Err(Failure::usage(format!(
            "{} holds vectors of {} dimensions, but the codebooks of {} are for {}",
            args.dataset.display(),
            rows.dim(),
            args.codebook.display(),
            quantizer.dim()
        )));
    }
    let options = BuildOptions {
        threads,
        kernels: Kernels::from_env()?,
        ..BuildOptions::default()
    };
    let started = Instant::now();
    let codes = quantizer.encode_rows(rows.view()?, &options)?;
    let encode_seconds = started.elapsed().as_secs_f64();
    let coded = Some((args.dataset.as_path(), &rows, &codes));
    let report = Report {
        dataset: args.dataset.display().to_string(),
        codebook: args.codebook.display().to_string(),
        output: args.output.display().to_string(),
        metric: book.metric(),
        threads,
        sizes: Sizes::new(quantizer, &rows),
        encode_seconds,
        vectors_per_second: f64::from(rows.len()) / encode_seconds.max(1e-9),
        drift: quantizer.drift(rows.view()?, SEED, &options)?,
        file_bytes: file::write(&args.output, quantizer, coded)?,
    };
    console.json(&report)?;
    print(console, &rows, &report)
}

fn print(console: &Console, rows: &Rows, report: &Report) -> Outcome {
    console.line("Compressing vectors:")?;
    let drift = &report.drift;
    let advice = match drift.ratio > DRIFTED {
        true => "; the vectors have changed, train anew",
        false => "",
    };
    let mut facts = vec![("Original", report.sizes.original(rows))];
    facts.extend(report.sizes.facts());
    facts.push((
        "Encoding time",
        format!(
            "{} ({} vectors/second)",
            seconds(report.encode_seconds),
            decimal(report.vectors_per_second)
        ),
    ));
    facts.push((
        "Reconstruction error",
        format!(
            "{} mean squared, {:.2} times that of the training{advice}",
            float(drift.error as f32),
            drift.ratio
        ),
    ));
    facts.push((
        "Written",
        format!("{} ({})", report.output, bytes(report.file_bytes)),
    ));
    console.grid(&Grid::facts(facts))
}
