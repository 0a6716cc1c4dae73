//! `lsh search`: the tables that found each hit, or the latencies of many queries.

use serde::Serialize;
use vecdb_engine::SearchParams;
use vecdb_vector::RowId;

use super::tables_of;
use crate::args::{Globals, LshSearchArgs};
use crate::commands::index_files::{Search, SearchReport, Source, per_query};
use crate::failure::Outcome;
use crate::output::{Console, count, decimal, seconds};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    common: SearchReport,
    tables: u32,
    hashes: u32,
    /// Null where every vector is compared.
    probes: Option<u32>,
    candidates: Option<u32>,
    buckets_searched: f64,
    candidates_examined: f64,
    brute_force_us: f64,
    speedup: f64,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &LshSearchArgs) -> Outcome {
    let files = &args.files;
    let source = Source::open(
        console,
        globals,
        "lsh",
        &files.index,
        files.dataset.as_deref(),
    )?;
    let index = tables_of(source.index.as_ref())?;
    let params = SearchParams {
        probes: args.probes,
        candidates: args.candidates,
        ..SearchParams::default()
    };
    let search = Search::new(console, globals, &source, &args.queries, &params)?;
    let run = &search.run;
    let mut common = search.report(&files.index);
    let rows = source.rows.view()?;
    let mut buckets_searched = 0;
    search.retrace(&params, |at, scratch| {
        let buckets = scratch.buckets();
        buckets_searched += buckets.len() as u64;
        let hits = common.results.get_mut(at).map(|query| &mut query.hits);
        for hit in hits.into_iter().flatten() {
            hit.tables = Some(index.tables_of(rows, RowId(hit.row), buckets)?);
        }
        Ok(())
    })?;
    let brute_force_us = search.brute_force_us()?;
    let report = Report {
        tables: index.tables(),
        hashes: index.hashes(),
        probes: args.probes.or_else(|| index.default_probes()),
        candidates: args.candidates,
        buckets_searched: run.mean(buckets_searched),
        candidates_examined: run.mean(run.rows_compared),
        brute_force_us,
        speedup: brute_force_us / common.latency.mean_us.max(1e-3),
        common,
    };
    console.json(&report)?;
    print(console, args, &report)
}

fn print(console: &Console, args: &LshSearchArgs, report: &Report) -> Outcome {
    let probes = match (args.probes, report.probes) {
        (Some(probes), _) => format!("probes={probes}"),
        (None, Some(probes)) => format!("probes={probes}, as calibrated"),
        (None, None) => "every vector compared".to_owned(),
    };
    let queries = report.common.queries;
    let costs = vec![
        (
            "Buckets looked into",
            format!(
                "{} of {} tables",
                per_query(queries, report.buckets_searched),
                count(report.tables)
            ),
        ),
        (
            "Candidates examined",
            per_query(queries, report.candidates_examined),
        ),
    ];
    let beside = vec![
        (
            "Brute force",
            format!(
                "{} (exact search, one thread)",
                seconds(report.brute_force_us / 1e6)
            ),
        ),
        ("Speed-up", format!("{} x", decimal(report.speedup))),
    ];
    report.common.print(
        console,
        &format!("LSH search ({probes})"),
        || Ok(()),
        costs,
        beside,
    )
}
