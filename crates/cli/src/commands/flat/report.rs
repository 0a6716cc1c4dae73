//! What `flat search` prints.

use std::collections::BTreeMap;

use serde::Serialize;
use vecdb_engine::{ElementType, Metric};
use vecdb_vector::{Kernels, Neighbor};

use super::Found;
use crate::args::FlatSearchArgs;
use crate::failure::Outcome;
use crate::measure::peak_rss_bytes;
use crate::output::{self, Align, Console, Grid, count, seconds};

#[derive(Serialize)]
pub(super) struct Report {
    dataset: String,
    rows: u64,
    dimension: usize,
    element: ElementType,
    metric: Metric,
    limit: usize,
    queries: usize,
    threads: usize,
    simd: &'static str,
    distance_computations: u64,
    search_seconds: f64,
    total_seconds: f64,
    queries_per_second: f64,
    naive_seconds: f64,
    naive_rows: u64,
    speedup: f64,
    #[serde(flatten)]
    recall: BTreeMap<String, f64>,
    peak_rss_bytes: Option<u64>,
    results: Vec<QueryHits>,
}

/// The hits of one query.
#[derive(Serialize)]
pub(crate) struct QueryHits {
    pub(crate) query: usize,
    pub(crate) hits: Vec<RowHit>,
}

/// A row found in a file.
#[derive(Serialize)]
pub(crate) struct RowHit {
    pub(crate) rank: usize,
    pub(crate) row: u32,
    pub(crate) distance: f32,
    /// The list of IVF that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) list: Option<u32>,
    /// The tables of LSH that found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tables: Option<Vec<u32>>,
}

impl QueryHits {
    /// From hits with rank values.
    pub(crate) fn new(query: usize, metric: Metric, hits: &[Neighbor]) -> Self {
        let hit = |(at, hit): (usize, &Neighbor)| RowHit {
            rank: at + 1,
            row: hit.row.0,
            distance: metric.distance(hit.distance),
            list: None,
            tables: None,
        };
        Self {
            query,
            hits: hits.iter().enumerate().map(hit).collect(),
        }
    }

    /// Says in which list of IVF each hit lies.
    pub(crate) fn find_lists(&mut self, list_of_rows: &[u32]) {
        for hit in &mut self.hits {
            hit.list = list_of_rows.get(hit.row as usize).copied();
        }
    }

    pub(crate) fn grid(&self, metric: Metric) -> Grid {
        let distance = format!("Distance ({metric})");
        let mut titles = vec!["Rank", "Row", &distance];
        if self.hits.iter().any(|hit| hit.list.is_some()) {
            titles.push("List");
        }
        if self.hits.iter().any(|hit| hit.tables.is_some()) {
            titles.push("Found in tables");
        }
        let mut grid = Grid::new(titles.into_iter().map(|title| (title, Align::Right)));
        for hit in &self.hits {
            let list = hit.list.map(count);
            let tables = hit.tables.as_deref().map(output::numbers);
            let cells = [
                hit.rank.to_string(),
                count(hit.row),
                output::float(hit.distance),
            ];
            grid.row(cells.into_iter().chain(list).chain(tables));
        }
        grid
    }
}

impl Report {
    pub(super) fn new(args: &FlatSearchArgs, found: &Found) -> Self {
        let queries = found.hits.len();
        let search_seconds = found.scan.as_secs_f64();
        let naive_seconds = found.naive.seconds_over(found.rows);
        let results = found.query_rows.iter().zip(&found.hits);
        Self {
            dataset: args.dataset.display().to_string(),
            rows: found.rows,
            dimension: found.dim,
            element: found.element,
            metric: args.metric.metric,
            limit: args.queries.limit,
            queries,
            threads: found.threads,
            simd: Kernels::detect().name(),
            distance_computations: found.distance_computations,
            search_seconds,
            total_seconds: found.total.as_secs_f64(),
            queries_per_second: per_second(queries as f64, search_seconds),
            naive_seconds,
            naive_rows: found.naive.rows,
            speedup: per_second(naive_seconds * queries as f64, search_seconds),
            recall: found
                .recall
                .map(|recall| (recall_key(args.queries.limit), recall))
                .into_iter()
                .collect(),
            peak_rss_bytes: peak_rss_bytes(),
            results: results
                .map(|(row, hits)| QueryHits::new(*row, args.metric.metric, hits))
                .collect(),
        }
    }
}

/// A rate; 0 where nothing was measured.
fn per_second(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

/// `recall_at_10`.
pub(crate) fn recall_key(k: usize) -> String {
    format!("recall_at_{k}")
}

pub(super) fn print(
    console: &Console,
    args: &FlatSearchArgs,
    report: &Report,
    found: &Found,
) -> Outcome {
    let shape =
        |element: ElementType| format!("{} dimensions of {element}", count(found.dim as u64));
    console.line(format_args!(
        "Dataset: {} vectors × {}",
        count(report.rows),
        shape(found.element)
    ))?;
    match report.queries {
        1 => console.line(format_args!(
            "Query:   row {} of {}",
            found.query_rows.first().copied().unwrap_or(0),
            args.queries.query.display()
        ))?,
        n => console.line(format_args!(
            "Queries: {} rows of {}",
            count(n as u64),
            args.queries.query.display()
        ))?,
    }
    if let Some(first) = report.results.first() {
        let which = if report.queries == 1 {
            String::new()
        } else {
            format!(", query {}", first.query)
        };
        console.line(format_args!(
            "\nExact nearest neighbours (k={}{which}):",
            report.limit
        ))?;
        console.grid(&first.grid(args.metric.metric))?;
    }
    let naive = match report.naive_rows >= report.rows {
        true => format!("{} per query (all rows)", seconds(report.naive_seconds)),
        false => format!(
            "{} per query (estimated from {} rows)",
            seconds(report.naive_seconds),
            count(report.naive_rows)
        ),
    };
    let per_query = report.search_seconds / report.queries as f64;
    let threads = if report.threads == 1 {
        "one thread".to_owned()
    } else {
        format!("{} threads", report.threads)
    };
    let mut facts = vec![
        ("Distance computations", count(report.distance_computations)),
        (
            "Time",
            format!(
                "{} per query (vectorised: {}, {threads})",
                seconds(per_query),
                report.simd
            ),
        ),
        ("Naive loop", naive),
        ("Speed-up", format!("{} x", output::decimal(report.speedup))),
        (
            "Throughput",
            format!("{} queries/second", output::rate(report.queries_per_second)),
        ),
        ("With reading the file", seconds(report.total_seconds)),
    ];
    if let Some(recall) = found.recall {
        facts.insert(
            0,
            (
                "Recall",
                format!("{} at k={}", output::percent(recall), report.limit),
            ),
        );
    }
    if let Some(peak) = report.peak_rss_bytes {
        facts.push(("Memory at most", output::bytes(peak)));
    }
    console.line("\nPerformance:")?;
    console.grid(&Grid::facts(facts))
}
