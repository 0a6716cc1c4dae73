//! What each value of a knob finds and costs.

use serde_json::{Map, Value, json};
use vecdb_engine::SearchParams;
use vecdb_vector::Kernels;

use super::runner::{Run, Runner};
use super::search::source_of;
use super::source::Source;
use crate::args::{Globals, SweepFiles};
use crate::commands::flat::recall_key;
use crate::failure::{Failure, Outcome};
use crate::measure::{LatencySummary, QUERIES_COMPUTED, Queries, mean_recall};
use crate::output::plot::{Point, recall_against_speed};
use crate::output::{Align, Bar, Console, Grid, count, decimal, percent, rate, seconds};

/// The knob that a sweep turns.
pub(in crate::commands) struct Knob<'a> {
    /// Its name: flag, key and heading.
    pub(in crate::commands) name: &'static str,
    pub(in crate::commands) values: &'a [u32],
    /// A search with the knob at a value.
    pub(in crate::commands) params: &'a dyn Fn(u32) -> SearchParams,
    /// What is told of a search beside its time.
    pub(in crate::commands) costs: &'static [Cost],
}

/// Something that grows with the knob; a mean per query.
pub(in crate::commands) struct Cost {
    pub(in crate::commands) key: &'static str,
    pub(in crate::commands) title: &'static str,
    pub(in crate::commands) of: fn(&Run) -> f64,
}

/// The measurement of one value.
struct Setting {
    value: u32,
    recall: f64,
    queries_per_second: f64,
    latency: LatencySummary,
    costs: Vec<f64>,
}

impl Setting {
    fn json(&self, knob: &Knob<'_>, k: usize) -> Value {
        let mut row = Map::new();
        row.insert(knob.name.into(), self.value.into());
        row.insert(recall_key(k), self.recall.into());
        row.insert("queries_per_second".into(), self.queries_per_second.into());
        row.insert("mean_us".into(), self.latency.mean_us.into());
        row.insert("p50_us".into(), self.latency.p50_us.into());
        row.insert("p99_us".into(), self.latency.p99_us.into());
        for (cost, &mean) in knob.costs.iter().zip(&self.costs) {
            row.insert(cost.key.into(), mean.into());
        }
        row.into()
    }
}

/// Measures every value of the knob, prints the table and draws the plot. `title` names the kind.
pub(in crate::commands) fn sweep(
    console: &Console,
    globals: &Globals,
    files: &SweepFiles,
    source: &Source,
    title: &str,
    knob: &Knob<'_>,
) -> Outcome {
    let (rows, metric) = (&source.rows, source.metric);
    let k = files.queries.limit;
    let shape = (rows.element(), rows.dim());
    let queries = Queries::load(&files.queries, metric, shape, QUERIES_COMPUTED)?;
    let runner = Runner {
        index: source.index.as_ref(),
        rows: rows.view()?,
        metric,
        kernels: Kernels::from_env()?,
        k,
        threads: globals.threads_or_one(),
    };
    let truth = runner.truth(
        console,
        &queries,
        files.queries.ground_truth.as_deref(),
        globals.threads_or_all(),
    )?;
    let truth = truth.ok_or_else(|| {
        Failure::usage(format!(
            "a sweep needs the truth of every query: give --ground-truth, or at most {QUERIES_COMPUTED} queries with --limit-queries"
        ))
    })?;
    let mut settings = Vec::with_capacity(knob.values.len());
    let bar = Bar::new(console, "measuring", Some(knob.values.len() as u64));
    for (at, &value) in knob.values.iter().enumerate() {
        let run = runner.run(queries.all(), &(knob.params)(value))?;
        settings.push(Setting {
            value,
            recall: mean_recall(&run.hits, &truth, metric),
            queries_per_second: run.queries_per_second(),
            latency: run.latencies.clone().summary(),
            costs: knob.costs.iter().map(|cost| (cost.of)(&run)).collect(),
        });
        bar.set(at as u64 + 1);
    }
    drop(bar);
    if let Some(path) = &files.plot {
        let point = |setting: &Setting| Point {
            label: format!("{} {}", knob.name, setting.value),
            recall: setting.recall,
            queries_per_second: setting.queries_per_second,
        };
        let points: Vec<_> = settings.iter().map(point).collect();
        let name = source.dataset.file_name().unwrap_or_default();
        let title = format!(
            "{title} on {}: {} vectors, {metric}",
            name.to_string_lossy(),
            count(rows.len())
        );
        recall_against_speed(path, &title, &format!("recall@{k}"), &points)?;
    }
    console.json(&json!({
        "dataset": source.dataset.display().to_string(),
        "rows": rows.len(),
        "metric": metric,
        "limit": k,
        "queries": queries.len(),
        "threads": runner.threads,
        "ground_truth": source_of(&truth),
        "build_seconds": source.build_seconds,
        "index_bytes": source.index.memory_bytes(),
        "plot": files.plot.as_ref().map(|path| path.display().to_string()),
        "sweep": settings.iter().map(|setting| setting.json(knob, k)).collect::<Vec<_>>(),
    }))?;
    print(console, k, knob, &settings)?;
    if let Some(path) = &files.plot {
        console.line(format_args!("Plot: {}", path.display()))?;
    }
    Ok(())
}

fn print(console: &Console, k: usize, knob: &Knob<'_>, settings: &[Setting]) -> Outcome {
    let recall = format!("Recall@{k}");
    let titles = [knob.name, &recall, "Query time", "p99"]
        .into_iter()
        .chain(knob.costs.iter().map(|cost| cost.title))
        .chain(["Queries/second"]);
    let mut grid = Grid::new(titles.map(|title| (title, Align::Right)));
    for setting in settings {
        let cells = [
            count(setting.value),
            percent(setting.recall),
            seconds(setting.latency.mean_us / 1e6),
            seconds(setting.latency.p99_us / 1e6),
        ];
        let costs = setting.costs.iter().map(|&mean| decimal(mean));
        let speed = rate(setting.queries_per_second);
        grid.row(cells.into_iter().chain(costs).chain([speed]));
    }
    console.grid(&grid)
}
