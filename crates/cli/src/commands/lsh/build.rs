//! `lsh build`.

use serde::Serialize;
use vecdb_engine::IndexSpec;
use vecdb_index::lsh::LshStats;

use super::tables_of;
use crate::args::{Globals, LshBuildArgs};
use crate::commands::index_files::Built;
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, bytes, count, decimal, float, percent};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    built: Built,
    tables: u32,
    hashes: u32,
    hash_functions: u32,
    /// Null where hashes are bits.
    width: Option<f32>,
    seed: u64,
    #[serde(flatten)]
    stats: LshStats,
    probes_default: Option<u32>,
    probes_for_recall: Vec<Calibrated>,
}

/// Buckets that a search looks into for a recall.
#[derive(Serialize)]
struct Calibrated {
    recall: f32,
    probes: u32,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &LshBuildArgs) -> Outcome {
    let params = args.functions.params(args.tables, args.hashes);
    let named = |number: Option<u32>| number.map_or("chosen by the vectors".to_owned(), count);
    let choices = format!(
        "tables: {}   hashes per table: {}",
        named(params.tables),
        named(params.hashes)
    );
    let built = Built::new(
        console,
        globals,
        &args.files,
        args.functions.metric.metric,
        &IndexSpec::Lsh(params.clone()),
        ("Building LSH index", &choices),
    )?;
    let index = tables_of(built.index.as_ref())?;
    let calibrated = index
        .probes_for_recall()
        .map(|(recall, probes)| Calibrated { recall, probes });
    let report = Report {
        tables: index.tables(),
        hashes: index.hashes(),
        hash_functions: index.tables() * index.hashes(),
        width: index.width(),
        seed: params.seed,
        stats: index.stats()?,
        probes_default: index.default_probes(),
        probes_for_recall: calibrated.collect(),
        built,
    };
    console.json(&report)?;
    print(console, &report)
}

fn print(console: &Console, report: &Report) -> Outcome {
    let (stats, built) = (&report.stats, &report.built);
    let mut facts = vec![
        ("Hash tables", count(report.tables)),
        ("Hashes per table", count(report.hashes)),
        ("Total hash functions", count(report.hash_functions)),
    ];
    if let Some(width) = report.width {
        facts.push(("Width of slots", float(width)));
    }
    facts.extend([
        (
            "Buckets",
            format!(
                "{} that hold a vector, {} vectors on average, {} at most",
                count(stats.buckets),
                decimal(stats.bucket_rows_mean),
                count(stats.bucket_rows_max)
            ),
        ),
        (
            "Bucket of a vector",
            format!("{} vectors on average", decimal(stats.bucket_rows_seen)),
        ),
        built.time_fact(),
        (
            "Index size",
            format!(
                "{} (vs {} raw data)",
                bytes(built.index_bytes),
                bytes(built.vector_bytes)
            ),
        ),
        built.written_fact(),
    ]);
    console.grid(&Grid::facts(facts))?;
    let Some(default) = report.probes_default else {
        return console.line("A search compares every vector: buckets would bring most of them.");
    };
    console.line("\nBuckets to look into for a recall, measured on vectors of the dataset:")?;
    let mut calibrated = Grid::new([("Recall@10", Align::Right), ("probes", Align::Right)]);
    for Calibrated { recall, probes } in &report.probes_for_recall {
        calibrated.row([percent(f64::from(*recall)), count(*probes)]);
    }
    console.grid(&calibrated)?;
    console.line(format_args!(
        "A search that names no probes takes {}.",
        count(default)
    ))
}
