//! `flat search`: exact search over a vector file that is read in pieces, so that memory does not grow with it.

mod report;
mod truth;

pub(crate) use report::{QueryHits, recall_key};

use std::time::{Duration, Instant};

use vecdb_dataset::open_vectors;
use vecdb_engine::{ElementType, Metric};
use vecdb_vector::{Kernels, Neighbor, Query, RowId, TopK, VectorRows};

use crate::args::{FlatCommand, FlatSearchArgs, Globals};
use crate::failure::Outcome;
use crate::measure::{NaiveLoop, Queries, Truth, exact, inverse_norms, search_shape, too_many};
use crate::output::{Bar, Console};
use report::{Report, print};
use truth::WantedTruth;

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
    let (metric, k) = (args.metric.metric, args.queries.limit);
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
        .map(|wanted| {
            wanted.recall(
                args.queries.ground_truth.as_deref(),
                first,
                &pass.hits,
                metric,
            )
        })
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
