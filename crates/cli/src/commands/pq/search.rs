//! `pq search`: tables, a scan of all codes, and how far the distances by codes are from the true ones.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use vecdb_engine::Metric;
use vecdb_index::Quantizer;
use vecdb_index::quantizer::{CodedRows, QuantizedQuery, ScanBuffer};
use vecdb_vector::{Kernels, Neighbor, Query, RowId, Scorer, TopK, VectorRows, scan};

use super::Sizes;
use super::file::QuantizerFile;
use crate::args::{Globals, PqSearchArgs};
use crate::commands::flat::recall_key;
use crate::failure::{Failure, Outcome};
use crate::measure::{QUERIES_COMPUTED, Queries, Rows, Truth, mean_recall};
use crate::output::{Align, Console, Grid, bytes, count, decimal, float, percent, seconds};

/// Rows scanned at a time.
const BLOCK: usize = 4_096;
/// A single query is timed as the median of so many searches.
const PASSES: usize = 11;

#[derive(Serialize)]
struct Report {
    codes: String,
    dataset: String,
    metric: Metric,
    limit: usize,
    rerank: Option<usize>,
    queries: usize,
    #[serde(flatten)]
    sizes: Sizes,
    #[serde(flatten)]
    recall: BTreeMap<String, f64>,
    table_us: f64,
    scan_us: f64,
    rerank_us: f64,
    mean_us: f64,
    queries_per_second: f64,
    brute_force_us: f64,
    speedup: f64,
    /// Mean of |approximate - true| / true over all hits with a true distance.
    mean_distance_error: Option<f64>,
    results: Vec<Hits>,
}

#[derive(Serialize)]
struct Hits {
    query: usize,
    hits: Vec<Hit>,
}

#[derive(Serialize)]
struct Hit {
    rank: usize,
    row: u32,
    /// By its code.
    distance: f32,
    true_distance: f32,
}

/// Codes, and what they are searched with.
struct Searcher<'a> {
    quantizer: &'a Quantizer,
    codes: &'a CodedRows,
    rows: VectorRows<'a>,
    kernels: Kernels,
    k: usize,
    rerank: Option<usize>,
    query: QuantizedQuery,
    buffer: ScanBuffer,
    ranks: Vec<f32>,
}

/// One answered query: hits with approximate and true rank values, and times.
#[derive(Default)]
struct Answer {
    hits: Vec<(Neighbor, f32)>,
    table: Duration,
    scan: Duration,
    rerank: Duration,
}

impl Answer {
    fn total(&self) -> Duration {
        self.table + self.scan + self.rerank
    }
}

pub(super) fn run(console: &Console, globals: &Globals, args: &PqSearchArgs) -> Outcome {
    if args.rerank == Some(0) {
        return Err(Failure::usage(
            "--rerank 0 measures nothing; leave it out to order hits by codes alone",
        ));
    }
    let file = QuantizerFile::open(&args.codes)?;
    let dataset = match &args.dataset {
        Some(dataset) => dataset.clone(),
        None => file.dataset()?,
    };
    let metric = file.metric();
    let threads = globals.threads_or_all();
    let rows = Rows::load(console, &dataset, metric, threads)?;
    let codes = file.codes(&rows, &dataset)?;
    let queries = Queries::load(
        &args.queries,
        metric,
        (rows.element(), rows.dim()),
        QUERIES_COMPUTED,
    )?;
    let kernels = Kernels::from_env()?;
    let k = args.queries.limit;
    let mut searcher = Searcher {
        quantizer: &file.quantizer,
        codes: &codes,
        rows: rows.view()?,
        kernels,
        k,
        rerank: args.rerank,
        query: QuantizedQuery::default(),
        buffer: ScanBuffer::with_kernels(kernels),
        ranks: vec![0.0; BLOCK],
    };
    let answers = searcher.all(queries.all())?;
    let truth = match &args.queries.ground_truth {
        Some(path) => Truth::from_file(path, kernels, &queries, rows.view()?, metric, k)?,
        None => Truth::compute(kernels, &queries, rows.view()?, metric, k, threads),
    };
    let true_hits: Vec<Vec<Neighbor>> = answers
        .iter()
        .map(|answer| {
            let hit = |(hit, truly): &(Neighbor, f32)| Neighbor {
                distance: *truly,
                row: hit.row,
            };
            answer.hits.iter().map(hit).collect()
        })
        .collect();
    let recall = mean_recall(&true_hits, &truth, metric);
    let brute_force_us = brute_force(kernels, queries.all(), rows.view()?, k);
    let mean = |of: fn(&Answer) -> Duration| {
        let sum: Duration = answers.iter().map(of).sum();
        sum.as_secs_f64() * 1e6 / answers.len().max(1) as f64
    };
    let mean_us = mean(Answer::total);
    let report = Report {
        codes: args.codes.display().to_string(),
        dataset: dataset.display().to_string(),
        metric,
        limit: k,
        rerank: args.rerank,
        queries: queries.len(),
        sizes: Sizes::new(&file.quantizer, &rows),
        recall: [(recall_key(k), recall)].into(),
        table_us: mean(|answer| answer.table),
        scan_us: mean(|answer| answer.scan),
        rerank_us: mean(|answer| answer.rerank),
        mean_us,
        queries_per_second: 1e6 / mean_us.max(1e-3),
        brute_force_us,
        speedup: brute_force_us / mean_us.max(1e-3),
        mean_distance_error: distance_error(metric, &answers),
        results: answers
            .iter()
            .enumerate()
            .map(|(at, answer)| Hits::new(queries.row_in_file(at), metric, answer))
            .collect(),
    };
    console.json(&report)?;
    print(console, recall, &report)
}

impl Searcher<'_> {
    fn all(&mut self, queries: &[Query]) -> Outcome<Vec<Answer>> {
        let first = queries.first();
        // Once before anything is timed: memory is there then, and the codes are read.
        first.map(|query| self.one(query)).transpose()?;
        if let [query] = queries {
            let mut passes = (0..PASSES)
                .map(|_| self.one(query))
                .collect::<Outcome<Vec<_>>>()?;
            passes.sort_by_key(Answer::total);
            return Ok(vec![passes.swap_remove(PASSES / 2)]);
        }
        queries.iter().map(|query| self.one(query)).collect()
    }

    fn one(&mut self, query: &Query) -> Outcome<Answer> {
        let mut values = Vec::new();
        query.to_f32(&mut values);
        let started = Instant::now();
        self.quantizer.set(&mut self.query, &values)?;
        let table = started.elapsed();
        let started = Instant::now();
        let mut top = TopK::new(self.rerank.map_or(self.k, |rerank| rerank.max(self.k)));
        for first in (0..self.codes.len()).step_by(BLOCK) {
            let places = first..(first + BLOCK).min(self.codes.len());
            let ranks = &mut self.ranks[..places.len()];
            self.quantizer.scan(
                &self.query,
                self.codes,
                places,
                top.threshold(),
                &mut self.buffer,
                ranks,
            )?;
            top.offer(ranks, |i| RowId((first + i) as u32));
        }
        let candidates = top.into_sorted_vec();
        let scan = started.elapsed();
        let started = Instant::now();
        let scorer = Scorer::new(self.kernels, query, self.rows);
        let mut hits: Vec<(Neighbor, f32)> = candidates
            .into_iter()
            .map(|hit| (hit, scorer.score(hit.row)))
            .collect();
        if self.rerank.is_some() {
            hits.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.row.cmp(&b.0.row)));
            hits.truncate(self.k);
        }
        let rerank = match self.rerank {
            Some(_) => started.elapsed(),
            // True distances are for the report only.
            None => Duration::ZERO,
        };
        Ok(Answer {
            hits,
            table,
            scan,
            rerank,
        })
    }
}

impl Hits {
    fn new(query: usize, metric: Metric, answer: &Answer) -> Self {
        let hit = |(at, (hit, truly)): (usize, &(Neighbor, f32))| Hit {
            rank: at + 1,
            row: hit.row.0,
            distance: reported(metric, hit.distance),
            true_distance: metric.distance(*truly),
        };
        Self {
            query,
            hits: answer.hits.iter().enumerate().map(hit).collect(),
        }
    }
}

/// What is reported of an estimated rank value, which can be below zero where true ones cannot.
fn reported(metric: Metric, rank: f32) -> f32 {
    metric.distance(if metric == Metric::Dot {
        rank
    } else {
        rank.max(0.0)
    })
}

fn distance_error(metric: Metric, answers: &[Answer]) -> Option<f64> {
    let hits = answers.iter().flat_map(|answer| &answer.hits);
    let errors: Vec<f64> = hits
        .map(|(hit, truly)| {
            let (near, truly) = (reported(metric, hit.distance), metric.distance(*truly));
            (f64::from(near), f64::from(truly))
        })
        .filter(|(_, truly)| truly.abs() > 1e-9)
        .map(|(near, truly)| ((near - truly) / truly).abs())
        .collect();
    (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
}

/// Exact search of the first query by the same kernels on one thread, in microseconds.
fn brute_force(kernels: Kernels, queries: &[Query], rows: VectorRows<'_>, k: usize) -> f64 {
    let Some(query) = queries.first() else {
        return 0.0;
    };
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let started = Instant::now();
            scan(kernels, query, rows, None, &mut TopK::new(k));
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[1].as_secs_f64() * 1e6
}

fn print(console: &Console, recall: f64, report: &Report) -> Outcome {
    let micros = |time: f64| seconds(time / 1e6);
    console.line("Search by codes (asymmetric distances):")?;
    let mut steps = vec![
        ("Building tables", micros(report.table_us)),
        (
            "Scanning codes",
            format!(
                "{} for {}",
                micros(report.scan_us),
                count(report.sizes.rows)
            ),
        ),
    ];
    if let Some(rerank) = report.rerank {
        let what = format!("{} for {}", micros(report.rerank_us), count(rerank as u64));
        steps.push(("Measuring by vectors", what));
    }
    console.grid(&Grid::facts(steps))?;
    console.line(match report.queries {
        1 => "\nResults:".to_owned(),
        queries => format!(
            "\nResults of the first of {} queries:",
            count(queries as u64)
        ),
    })?;
    let mut grid = Grid::new([
        ("Rank", Align::Right),
        ("Row", Align::Right),
        ("Approximate distance", Align::Right),
        ("True distance", Align::Right),
    ]);
    for hit in report.results.first().into_iter().flat_map(|all| &all.hits) {
        grid.row([
            hit.rank.to_string(),
            count(hit.row),
            float(hit.distance),
            float(hit.true_distance),
        ]);
    }
    console.grid(&grid)?;
    let mut facts = vec![(
        "Recall",
        format!(
            "{} at k={}, against exact search",
            percent(recall),
            report.limit
        ),
    )];
    if let Some(error) = report.mean_distance_error {
        facts.push(("Mean distance error", percent(error)));
    }
    facts.extend([
        (
            "Time",
            format!(
                "{} (vs {} brute force on the vectors)",
                micros(report.mean_us),
                micros(report.brute_force_us)
            ),
        ),
        ("Speed-up", format!("{} x", decimal(report.speedup))),
        (
            "Memory",
            format!(
                "{} of codes (vs {} of vectors)",
                bytes(report.sizes.compressed_bytes),
                bytes(report.sizes.original_bytes)
            ),
        ),
    ]);
    console.line("\nQuality and performance:")?;
    console.grid(&Grid::facts(facts))
}
