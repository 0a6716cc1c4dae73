//! `pq train`.

use std::time::Instant;

use serde::Serialize;
use vecdb_engine::Metric;
use vecdb_index::quantizer::{QualityReport, TrainingParams};
use vecdb_index::{BuildOptions, Quantizer, QuantizerSpec};
use vecdb_vector::Kernels;

use super::{Sizes, file};
use crate::args::{Globals, PqTrainArgs};
use crate::commands::index_files::check_output;
use crate::failure::Outcome;
use crate::measure::Rows;
use crate::output::{Console, Grid, bytes, count, float, percent, seconds};

#[derive(Serialize)]
struct Report {
    dataset: String,
    output: String,
    metric: Metric,
    threads: usize,
    seed: u64,
    #[serde(flatten)]
    sizes: Sizes,
    segments: usize,
    train_seconds: f64,
    trained_error: f64,
    quality: QualityReport,
    file_bytes: u64,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &PqTrainArgs) -> Outcome {
    let spec = args.code.spec();
    spec.validate()?;
    check_output(&args.output)?;
    let threads = globals.threads_or_all();
    let metric = args.metric.metric;
    let rows = Rows::load(console, &args.dataset, metric, threads)?;
    let options = BuildOptions {
        threads,
        kernels: Kernels::from_env()?,
        ..BuildOptions::default()
    };
    let params = TrainingParams {
        iterations: args.iterations,
        rows: args.train_rows,
        seed: args.seed,
    };
    let started = Instant::now();
    let quantizer = Quantizer::train(spec, metric, rows.view()?, &params, &options)?;
    let train_seconds = started.elapsed().as_secs_f64();
    let report = Report {
        dataset: args.dataset.display().to_string(),
        output: args.output.display().to_string(),
        metric,
        threads,
        seed: args.seed,
        sizes: Sizes::new(&quantizer, &rows),
        segments: quantizer.segments(),
        train_seconds,
        trained_error: quantizer.trained_error(),
        quality: quantizer.quality(rows.view()?, args.seed, &options)?,
        file_bytes: file::write(&args.output, &quantizer, None)?,
    };
    console.json(&report)?;
    print(console, spec, &rows, &report)
}

fn print(console: &Console, spec: QuantizerSpec, rows: &Rows, report: &Report) -> Outcome {
    console.line("Training codes:")?;
    let mut facts = vec![("Original", report.sizes.original(rows))];
    if let QuantizerSpec::Pq { bits, opq, .. } = spec {
        let (dim, segments) = (rows.dim(), report.segments);
        let wide = match dim.is_multiple_of(segments) {
            true => format!("{} dimensions each", dim / segments),
            false => format!(
                "{} or {} dimensions each",
                dim / segments,
                dim / segments + 1
            ),
        };
        let rotated = if opq {
            ", after a learned rotation"
        } else {
            ""
        };
        facts.push(("Segments", format!("{segments} ({wide}{rotated})")));
        facts.push((
            "Centroids per segment",
            format!("{} ({bits} bits)", count(1u32 << bits)),
        ));
    }
    facts.extend(report.sizes.facts());
    facts.push(("Training time", seconds(report.train_seconds)));
    let quality = &report.quality;
    facts.push((
        "Reconstruction error",
        format!(
            "{} mean squared, {} of the variance",
            float(quality.error as f32),
            percent(quality.relative_error)
        ),
    ));
    if let Some(recall) = quality.recall_at_10 {
        facts.push((
            "Recall@10",
            format!(
                "{} by codes alone, of vectors of the dataset",
                percent(recall)
            ),
        ));
    }
    facts.push((
        "Written",
        format!("{} ({})", report.output, bytes(report.file_bytes)),
    ));
    console.grid(&Grid::facts(facts))
}
