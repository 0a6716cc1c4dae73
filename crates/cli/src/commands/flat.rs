//! `flat search`: exact search over a vector file that is read in pieces, so that memory does not grow with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use vecdb_dataset::open_vectors;
use vecdb_engine::{ElementType, Metric};
use vecdb_vector::{Kernels, Neighbor, Query, RowId, Scorer, TopK, VectorRows};

use crate::args::{FlatCommand, FlatSearchArgs, Globals};
use crate::failure::Outcome;
use crate::measure::{
    NaiveLoop, Queries, Truth, exact, inverse_norms, mean_recall, peak_rss_bytes, search_shape,
    too_many,
};
use crate::output::{self, Align, Bar, Console, Grid, count, seconds};

/// Bytes of the dataset in memory at once.
const CHUNK_BYTES: usize = 32 << 20;

pub(crate) fn run(console: &Console, globals: &Globals, command: &FlatCommand) -> Outcome {
    let FlatCommand::Search(args) = command;
    let found = search(console, globals, args)?;
    let report = Report::new(args, &found);
    console.json(&report)?;
    print(console, args, &report, &found)
}

/// What a pass over the dataset brought.
struct Found {
    element: ElementType,
    dim: usize,
    rows: u64,
    threads: usize,
    hits: Vec<Vec<Neighbor>>,
    query_rows: Vec<usize>,
    distance_computations: u64,
    scan: Duration,
    total: Duration,
    naive: NaiveLoop,
    recall: Option<f64>,
}

fn search(console: &Console, globals: &Globals, args: &FlatSearchArgs) -> Outcome<Found> {
    let started = Instant::now();
    let (metric, k) = (args.metric, args.queries.limit);
    let mut reader = open_vectors(&args.dataset)?;
    let info = reader.info().clone();
    let (element, dim) = search_shape(&info, metric)?;
    let queries = Queries::load(&args.queries, metric, (element, dim), usize::MAX)?;
    let mut pass = Pass {
        kernels: Kernels::from_env()?,
        metric,
        queries: &queries,
        k,
        threads: if queries.len() == 1 {
            1
        } else {
            globals.threads_or_all()
        },
        hits: vec![Vec::new(); queries.len()],
        distance_computations: 0,
        scan: Duration::ZERO,
    };
    let mut wanted = match &args.queries.ground_truth {
        // The dataset may have fewer rows than the ids say; then some of these are never met.
        Some(path) => Some(WantedTruth::new(Truth::read(path, &queries, u64::MAX)?, k)),
        None => None,
    };
    let bar = Bar::new(console, "searching", info.rows);
    let chunk_rows = (CHUNK_BYTES / info.row_bytes()).max(1);
    let mut chunk = Vec::new();
    let mut first = 0u64;
    let mut naive = NaiveLoop::default();
    loop {
        chunk.clear();
        let read = reader.read(chunk_rows, &mut chunk)? as u64;
        if read == 0 {
            break;
        }
        if first + read > u64::from(u32::MAX) {
            return Err(too_many(&args.dataset, first + read));
        }
        let rows = VectorRows::new(element, dim, element.bytes(dim), read as u32, &chunk)?;
        if first == 0 {
            naive = NaiveLoop::run(metric, &queries.values(0), rows);
        }
        pass.chunk(first as u32, rows)?;
        if let Some(wanted) = &mut wanted {
            wanted.chunk(pass.kernels, queries.all(), metric, first as u32, rows);
        }
        first += read;
        bar.set(first);
    }
    let recall = wanted
        .map(|wanted| wanted.recall(&args.queries.ground_truth, first, &pass.hits, metric))
        .transpose()?;
    Ok(Found {
        element,
        dim,
        rows: first,
        threads: pass.threads,
        query_rows: (0..queries.len())
            .map(|at| queries.row_in_file(at))
            .collect(),
        distance_computations: pass.distance_computations,
        scan: pass.scan,
        total: started.elapsed(),
        naive,
        recall,
        hits: pass.hits,
    })
}

/// The state of one pass over the dataset.
struct Pass<'a> {
    kernels: Kernels,
    metric: Metric,
    queries: &'a Queries,
    k: usize,
    threads: usize,
    hits: Vec<Vec<Neighbor>>,
    distance_computations: u64,
    scan: Duration,
}

impl Pass<'_> {
    /// Searches the rows from number `first` on.
    fn chunk(&mut self, first: u32, rows: VectorRows<'_>) -> Outcome {
        let started = Instant::now();
        // Norms pay when several queries share them.
        let norms = match self.metric.needs_norms() && self.queries.len() > 1 {
            true => inverse_norms(rows, self.threads),
            false => Vec::new(),
        };
        let rows = if norms.is_empty() {
            rows
        } else {
            rows.with_inverse_norms(&norms)?
        };
        let found = match self.queries.all() {
            [only] => {
                let mut hits = scan_one(self.kernels, only, rows, self.k);
                let mut time = started.elapsed();
                // One pass over little memory measures the cold caches rather than the loop: the best of a few counts.
                for _ in 1..passes_for(rows) {
                    let again = Instant::now();
                    hits = scan_one(self.kernels, only, rows, self.k);
                    time = time.min(again.elapsed());
                }
                self.add(first, rows.len(), time, vec![hits]);
                return Ok(());
            }
            _ => exact(
                self.kernels,
                self.queries,
                rows,
                self.metric,
                self.k,
                self.threads,
            ),
        };
        self.add(first, rows.len(), started.elapsed(), found);
        Ok(())
    }

    fn add(&mut self, first: u32, rows: u32, time: Duration, found: Vec<Vec<Neighbor>>) {
        for (hits, found) in self.hits.iter_mut().zip(found) {
            hits.extend(
                found
                    .into_iter()
                    .map(|hit| Neighbor::new(hit.distance, RowId(first + hit.row.0))),
            );
            hits.sort_unstable();
            hits.truncate(self.k);
        }
        self.distance_computations += u64::from(rows) * self.queries.len() as u64;
        self.scan += time;
    }
}

/// A single query over less than this is timed several times.
const SMALL_BYTES: usize = 16 << 20;
const SMALL_PASSES: usize = 5;

fn passes_for(rows: VectorRows<'_>) -> usize {
    match rows.len() as usize * rows.stride() < SMALL_BYTES {
        true => SMALL_PASSES,
        false => 1,
    }
}

fn scan_one(kernels: Kernels, query: &Query, rows: VectorRows<'_>, k: usize) -> Vec<Neighbor> {
    let mut top = TopK::new(k);
    vecdb_vector::scan(kernels, query, rows, None, &mut top);
    top.into_sorted_vec()
}

/// True neighbours whose distances are still to be measured when the pass comes to their rows.
struct WantedTruth {
    /// Row to the queries that have it among their k.
    rows: BTreeMap<u32, Vec<usize>>,
    kth: Vec<(f32, usize)>,
}

impl WantedTruth {
    fn new(lists: Vec<Vec<u32>>, k: usize) -> Self {
        let mut rows: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut kth = Vec::with_capacity(lists.len());
        for (query, list) in lists.iter().enumerate() {
            kth.push((f32::NEG_INFINITY, list.len().min(k)));
            for &row in list.iter().take(k) {
                rows.entry(row).or_default().push(query);
            }
        }
        Self { rows, kth }
    }

    fn chunk(
        &mut self,
        kernels: Kernels,
        queries: &[Query],
        metric: Metric,
        first: u32,
        rows: VectorRows<'_>,
    ) {
        let later = self.rows.split_off(&first.saturating_add(rows.len()));
        for (row, of) in std::mem::replace(&mut self.rows, later) {
            for at in of {
                if let (Some(query), Some((farthest, _))) = (queries.get(at), self.kth.get_mut(at))
                {
                    let rank = Scorer::new(kernels, query, rows).score(RowId(row - first));
                    *farthest = farthest.max(metric.distance(rank));
                }
            }
        }
    }

    fn recall(
        self,
        path: &Option<std::path::PathBuf>,
        rows: u64,
        hits: &[Vec<Neighbor>],
        metric: Metric,
    ) -> Outcome<f64> {
        if let Some((row, _)) = self.rows.first_key_value() {
            let path = path
                .as_deref()
                .unwrap_or(Path::new("ground truth"))
                .display();
            return Err(crate::failure::Failure::usage(format!(
                "{path} names row {row} as a neighbour, but the dataset has {rows} rows"
            )));
        }
        Ok(mean_recall(
            hits,
            &Truth {
                kth: self.kth,
                computed_seconds: None,
            },
            metric,
        ))
    }
}

#[derive(Serialize)]
struct Report {
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
}

impl QueryHits {
    /// From hits with rank values.
    pub(crate) fn new(query: usize, metric: Metric, hits: &[Neighbor]) -> Self {
        let hit = |(at, hit): (usize, &Neighbor)| RowHit {
            rank: at + 1,
            row: hit.row.0,
            distance: metric.distance(hit.distance),
        };
        Self {
            query,
            hits: hits.iter().enumerate().map(hit).collect(),
        }
    }

    pub(crate) fn grid(&self, metric: Metric) -> Grid {
        let distance = format!("Distance ({metric})");
        let mut grid = Grid::new([
            ("Rank", Align::Right),
            ("Row", Align::Right),
            (&*distance, Align::Right),
        ]);
        for hit in &self.hits {
            grid.row([
                hit.rank.to_string(),
                count(hit.row),
                output::float(hit.distance),
            ]);
        }
        grid
    }
}

impl Report {
    fn new(args: &FlatSearchArgs, found: &Found) -> Self {
        let queries = found.hits.len();
        let search_seconds = found.scan.as_secs_f64();
        let naive_seconds = found.naive.seconds_over(found.rows);
        let results = found.query_rows.iter().zip(&found.hits);
        Self {
            dataset: args.dataset.display().to_string(),
            rows: found.rows,
            dimension: found.dim,
            element: found.element,
            metric: args.metric,
            limit: args.queries.limit,
            queries,
            threads: found.threads,
            simd: Kernels::detect().name(),
            distance_computations: found.distance_computations,
            search_seconds,
            total_seconds: found.total.as_secs_f64(),
            queries_per_second: queries as f64 / search_seconds.max(1e-9),
            naive_seconds,
            naive_rows: found.naive.rows,
            speedup: naive_seconds * queries as f64 / search_seconds.max(1e-9),
            recall: found
                .recall
                .map(|recall| (recall_key(args.queries.limit), recall))
                .into_iter()
                .collect(),
            peak_rss_bytes: peak_rss_bytes(),
            results: results
                .map(|(row, hits)| QueryHits::new(*row, args.metric, hits))
                .collect(),
        }
    }
}

/// `recall_at_10`.
pub(crate) fn recall_key(k: usize) -> String {
    format!("recall_at_{k}")
}

fn print(console: &Console, args: &FlatSearchArgs, report: &Report, found: &Found) -> Outcome {
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
        console.grid(&first.grid(args.metric))?;
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
