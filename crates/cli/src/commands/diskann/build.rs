//! `diskann build` with all vectors in memory.

use serde::Serialize;
use vecdb_engine::IndexSpec;
use vecdb_index::DiskAnn;
use vecdb_index::diskann::DiskAnnStats;

use super::parts;
use crate::args::{DiskAnnBuildArgs, Globals};
use crate::commands::index_files::Built;
use crate::failure::{Failure, Outcome};
use crate::measure::peak_rss_bytes;
use crate::output::{Console, Grid, bytes, count, decimal, percent};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    built: Built,
    r: u32,
    l_build: u32,
    alpha: f32,
    code_bytes: u32,
    seed: u64,
    #[serde(flatten)]
    stats: DiskAnnStats,
    peak_rss_bytes: Option<u64>,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &DiskAnnBuildArgs) -> Outcome {
    if let Some(limit) = args.memory_limit {
        return parts::run(console, globals, args, limit);
    }
    let params = args.graph.params();
    let choices = format!(
        "r: {}   l_build: {}   alpha: {}",
        params.r, params.l_build, params.alpha
    );
    let built = Built::new(
        console,
        globals,
        &args.files,
        args.graph.metric.metric,
        &IndexSpec::DiskAnn(params.clone()),
        ("Building DiskANN index", &choices),
    )?;
    let index: &DiskAnn = built
        .index
        .as_any()
        .downcast_ref()
        .ok_or_else(|| Failure::usage("the index that was built is of another kind"))?;
    let report = Report {
        r: params.r,
        l_build: params.l_build,
        alpha: params.alpha,
        code_bytes: index.code_bytes(),
        seed: params.seed,
        stats: index.stats()?,
        peak_rss_bytes: peak_rss_bytes(),
        built,
    };
    console.json(&report)?;
    let (stats, built) = (&report.stats, &report.built);
    let facts = [
        (
            "Links",
            format!(
                "{} per vector, {} of them within a page",
                decimal(stats.degree_mean),
                percent(stats.links_within_block)
            ),
        ),
        (
            "Pages",
            format!(
                "{} of {}, {} per page",
                count(stats.blocks),
                bytes(u64::from(stats.block_bytes)),
                count(stats.nodes_per_block)
            ),
        ),
        (
            "In memory",
            format!(
                "{} ({} bytes of code per vector)",
                bytes(stats.resident_bytes),
                report.code_bytes
            ),
        ),
        built.time_fact(),
        built.written_fact(),
    ];
    console.grid(&Grid::facts(facts))
}
