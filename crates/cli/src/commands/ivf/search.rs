//! `ivf search`: the lists of one query, or the latencies of many.

use serde::Serialize;
use vecdb_engine::SearchParams;
use vecdb_index::ListTrace;

use super::{lists_of, percentage};
use crate::args::{Globals, IvfSearchArgs};
use crate::commands::index_files::{Search, SearchReport, Source, per_query};
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, count, decimal, float, seconds};

/// Lists shown to people; programs get all.
const LISTS_SHOWN: usize = 20;

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    common: SearchReport,
    nlist: u32,
    nprobe: u32,
    rerank: Option<u32>,
    lists_searched: f64,
    vectors_compared: f64,
    brute_force_us: f64,
    speedup: f64,
    lists: Vec<Searched>,
}

/// A list that the last query looked into.
#[derive(Serialize)]
struct Searched {
    list: u32,
    rows: u32,
    centroid_distance: f32,
}

impl From<&ListTrace> for Searched {
    fn from(trace: &ListTrace) -> Self {
        Self {
            list: trace.list,
            rows: trace.compared,
            centroid_distance: trace.distance,
        }
    }
}

pub(super) fn run(console: &Console, globals: &Globals, args: &IvfSearchArgs) -> Outcome {
    let files = &args.files;
    let source = Source::open(
        console,
        globals,
        "ivf",
        &files.index,
        files.dataset.as_deref(),
    )?;
    let index = lists_of(source.index.as_ref())?;
    let params = SearchParams {
        nprobe: args.nprobe,
        rerank: args.rerank.rerank,
        ..SearchParams::default()
    };
    let search = Search::new(console, globals, &source, &args.queries, &params)?;
    let run = &search.run;
    let mut common = search.report(&files.index);
    let list_of_rows = index.list_of_rows()?;
    for query in &mut common.results {
        query.find_lists(&list_of_rows);
    }
    let brute_force_us = search.brute_force_us()?;
    let report = Report {
        nlist: index.lists(),
        nprobe: args.nprobe.unwrap_or_else(|| index.default_nprobe()),
        rerank: args.rerank.rerank,
        lists_searched: run.mean(run.lists_searched),
        vectors_compared: run.mean(run.rows_compared),
        brute_force_us,
        speedup: brute_force_us / common.latency.mean_us.max(1e-3),
        lists: run.lists.iter().map(Searched::from).collect(),
        common,
    };
    console.json(&report)?;
    print(console, args, &report)
}

fn print(console: &Console, args: &IvfSearchArgs, report: &Report) -> Outcome {
    let by = match args.nprobe {
        Some(_) => "",
        None => ", as calibrated",
    };
    let queries = report.common.queries;
    let share = percentage(report.lists_searched, report.nlist);
    let costs = vec![
        (
            "Lists searched",
            format!(
                "{} of {} ({share})",
                per_query(queries, report.lists_searched),
                count(report.nlist)
            ),
        ),
        (
            "Vectors compared",
            per_query(queries, report.vectors_compared),
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
        &format!("IVF search (nprobe={}{by})", report.nprobe),
        || print_lists(console, report),
        costs,
        beside,
    )
}

fn print_lists(console: &Console, report: &Report) -> Outcome {
    if report.lists.is_empty() {
        return console.line("  every vector is compared: so many lists are no less work");
    }
    let mut grid = Grid::new([
        ("List", Align::Right),
        ("Vectors", Align::Right),
        ("Distance of its centroid", Align::Right),
    ]);
    for list in report.lists.iter().take(LISTS_SHOWN) {
        grid.row([
            count(list.list),
            count(list.rows),
            float(list.centroid_distance),
        ]);
    }
    console.grid(&grid)?;
    match report.lists.len().saturating_sub(LISTS_SHOWN) {
        0 => Ok(()),
        more => console.line(format_args!("  and {} farther ones", count(more as u64))),
    }
}
