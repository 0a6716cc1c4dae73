//! `lsh sweep`: what each number of tables and hashes finds and costs.

use std::time::Instant;

use serde_json::{Map, Value, json};
use vecdb_engine::{IndexSpec, SearchParams};
use vecdb_vector::Kernels;

use crate::args::{Globals, LshSweepArgs};
use crate::commands::flat::recall_key;
use crate::commands::index_files::{Runner, build, source_of};
use crate::failure::{Failure, Outcome};
use crate::measure::{LatencySummary, QUERIES_COMPUTED, Queries, Rows, Truth, mean_recall};
use crate::output::plot::{Point, recall_against_speed};
use crate::output::{Align, Console, Grid, bytes, count, decimal, percent, rate, seconds};

/// The measurement of an index.
struct Setting {
    tables: u32,
    hashes: u32,
    probes: u32,
    build_seconds: f64,
    index_bytes: u64,
    recall: f64,
    candidates: f64,
    queries_per_second: f64,
    latency: LatencySummary,
}

impl Setting {
    fn json(&self, k: usize) -> Value {
        let mut row = Map::new();
        row.insert("tables".into(), self.tables.into());
        row.insert("hashes".into(), self.hashes.into());
        row.insert("probes".into(), self.probes.into());
        row.insert(recall_key(k), self.recall.into());
        row.insert("queries_per_second".into(), self.queries_per_second.into());
        row.insert("mean_us".into(), self.latency.mean_us.into());
        row.insert("p50_us".into(), self.latency.p50_us.into());
        row.insert("p99_us".into(), self.latency.p99_us.into());
        row.insert("candidates_examined".into(), self.candidates.into());
        row.insert("build_seconds".into(), self.build_seconds.into());
        row.insert("index_bytes".into(), self.index_bytes.into());
        row.into()
    }
}

pub(super) fn run(console: &Console, globals: &Globals, args: &LshSweepArgs) -> Outcome {
    let metric = args.functions.metric.metric;
    let k = args.queries.limit;
    for &tables in &args.tables {
        for &hashes in &args.hashes {
            let params = args.functions.params(Some(tables), Some(hashes));
            IndexSpec::Lsh(params).validate()?;
        }
    }
    let rows = Rows::load(console, &args.dataset, metric, globals.threads_or_all())?;
    let shape = (rows.element(), rows.dim());
    let queries = Queries::load(&args.queries, metric, shape, QUERIES_COMPUTED)?;
    let mut truth: Option<Truth> = None;
    let mut settings = Vec::new();
    for &tables in &args.tables {
        for &hashes in &args.hashes {
            let spec = IndexSpec::Lsh(args.functions.params(Some(tables), Some(hashes)));
            let started = Instant::now();
            let index = build(console, &rows, metric, &spec, globals.threads_or_all())?;
            let build_seconds = started.elapsed().as_secs_f64();
            let runner = Runner {
                index: index.as_ref(),
                rows: rows.view()?,
                metric,
                kernels: Kernels::from_env()?,
                k,
                threads: globals.threads_or_one(),
            };
            if truth.is_none() {
                let file = args.queries.ground_truth.as_deref();
                truth = runner.truth(console, &queries, file, globals.threads_or_all())?;
            }
            let truth = truth.as_ref().ok_or_else(|| {
                Failure::usage(format!(
                    "a sweep needs the truth of every query: give --ground-truth, or at most {QUERIES_COMPUTED} queries with --limit-queries"
                ))
            })?;
            let probes = args.probes.unwrap_or(tables);
            let params = SearchParams {
                probes: Some(probes),
                ..SearchParams::default()
            };
            let run = runner.run(queries.all(), &params)?;
            settings.push(Setting {
                tables,
                hashes,
                probes,
                build_seconds,
                index_bytes: index.memory_bytes(),
                recall: mean_recall(&run.hits, truth, metric),
                candidates: run.mean(run.rows_compared),
                queries_per_second: run.queries_per_second(),
                latency: run.latencies.clone().summary(),
            });
        }
    }
    if let Some(path) = &args.plot {
        plot(path, args, &rows, &settings)?;
    }
    console.json(&json!({
        "dataset": args.dataset.display().to_string(),
        "rows": rows.len(),
        "metric": metric,
        "limit": k,
        "queries": queries.len(),
        "threads": globals.threads_or_one(),
        "ground_truth": truth.as_ref().map(source_of),
        "plot": args.plot.as_ref().map(|path| path.display().to_string()),
        "sweep": settings.iter().map(|setting| setting.json(k)).collect::<Vec<_>>(),
    }))?;
    print(console, k, &settings)?;
    match &args.plot {
        Some(path) => console.line(format_args!("Plot: {}", path.display())),
        None => Ok(()),
    }
}

fn plot(path: &std::path::Path, args: &LshSweepArgs, rows: &Rows, settings: &[Setting]) -> Outcome {
    let point = |setting: &Setting| Point {
        label: format!("{} x {}", setting.tables, setting.hashes),
        recall: setting.recall,
        queries_per_second: setting.queries_per_second,
    };
    let mut points: Vec<_> = settings.iter().map(point).collect();
    points.sort_by(|a, b| a.recall.total_cmp(&b.recall));
    let name = args.dataset.file_name().unwrap_or_default();
    let title = format!(
        "LSH (tables x hashes) on {}: {} vectors, {}",
        name.to_string_lossy(),
        count(rows.len()),
        args.functions.metric.metric
    );
    let recall = format!("recall@{}", args.queries.limit);
    recall_against_speed(path, &title, &recall, &points)
}

fn print(console: &Console, k: usize, settings: &[Setting]) -> Outcome {
    let recall = format!("Recall@{k}");
    let titles = [
        "Tables",
        "Hashes",
        "probes",
        &recall,
        "Query time",
        "p99",
        "Candidates",
        "Queries/second",
        "Build time",
        "Index size",
    ];
    let mut grid = Grid::new(titles.map(|title| (title, Align::Right)));
    for setting in settings {
        grid.row([
            count(setting.tables),
            count(setting.hashes),
            count(setting.probes),
            percent(setting.recall),
            seconds(setting.latency.mean_us / 1e6),
            seconds(setting.latency.p99_us / 1e6),
            decimal(setting.candidates),
            rate(setting.queries_per_second),
            seconds(setting.build_seconds),
            bytes(setting.index_bytes),
        ]);
    }
    console.grid(&grid)
}
