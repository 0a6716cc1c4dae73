//! `advise`: which index for the vectors of a file?

use serde::Serialize;
use serde_json::{Value, json};
use vecdb_engine::{IndexSpec, Metric, SearchParams};
use vecdb_index::{Advice, BuildOptions, Choice, advise};
use vecdb_vector::Kernels;

use crate::args::{AdviseArgs, Globals};
use crate::failure::Outcome;
use crate::measure::Rows;
use crate::output::{Align, Bar, Console, Grid, bytes, count, percent, seconds, shell_word};

#[derive(Serialize)]
struct Report {
    dataset: String,
    metric: Metric,
    dimension: usize,
    rows: u64,
    sample_rows: u32,
    queries: u32,
    limit: usize,
    target_recall: f32,
    memory_bytes_max: Option<u64>,
    threads: usize,
    recommended: Option<Line>,
    choices: Vec<Line>,
}

#[derive(Clone, Serialize)]
struct Line {
    index: IndexSpec,
    params: SearchParams,
    sample_recall: f64,
    reaches_recall: bool,
    fits_memory: bool,
    memory_bytes: u64,
    build_seconds: f64,
    latency_us: f64,
}

impl From<&Choice> for Line {
    fn from(choice: &Choice) -> Self {
        Self {
            index: choice.spec.clone(),
            params: choice.params.clone(),
            sample_recall: choice.sample_recall,
            reaches_recall: choice.reaches_recall,
            fits_memory: choice.fits_memory,
            memory_bytes: choice.memory_bytes,
            build_seconds: choice.build_seconds,
            latency_us: choice.latency_us,
        }
    }
}

pub(super) fn run(console: &Console, globals: &Globals, args: &AdviseArgs) -> Outcome {
    let threads = globals.threads_or_all();
    let (metric, params) = (args.metric.metric, args.params());
    params.validate()?;
    let rows = Rows::load(console, &args.dataset, metric, threads)?;
    let advice = {
        let bar = Bar::new(console, "measuring", None);
        let options = BuildOptions {
            threads,
            progress: &bar,
            kernels: Kernels::from_env()?,
            ..BuildOptions::default()
        };
        advise(metric, rows.view()?, &params, &options)?
    };
    let report = Report {
        dataset: args.dataset.display().to_string(),
        metric,
        dimension: rows.dim(),
        rows: advice.rows,
        sample_rows: advice.sample_rows,
        queries: advice.queries,
        limit: params.k,
        target_recall: params.target_recall,
        memory_bytes_max: params.memory_bytes,
        threads,
        recommended: advice.recommended().map(Line::from),
        choices: advice.choices.iter().map(Line::from).collect(),
    };
    console.json(&report)?;
    print(console, &report, &advice)
}

fn print(console: &Console, report: &Report, advice: &Advice) -> Outcome {
    console.line(format_args!(
        "Predicted for {} vectors × {} dimensions under {}, measured on {} of them with {} others as queries:",
        count(report.rows),
        report.dimension,
        report.metric,
        count(report.sample_rows),
        count(report.queries)
    ))?;
    let mut grid = Grid::new([
        ("Index", Align::Left),
        ("Search with", Align::Left),
        ("Recall of the sample", Align::Right),
        ("Memory", Align::Right),
        ("Build time", Align::Right),
        ("Query time", Align::Right),
        ("", Align::Left),
    ]);
    for choice in &advice.choices {
        grid.row([
            choice.spec.to_string(),
            knobs(&choice.params),
            percent(choice.sample_recall),
            bytes(choice.memory_bytes),
            seconds(choice.build_seconds),
            seconds(choice.latency_us / 1e6),
            why_not(choice).to_owned(),
        ]);
    }
    console.grid(&grid)?;
    let Some(best) = advice.recommended() else {
        let least = advice.choices.iter().filter(|choice| choice.reaches_recall);
        let least = least.map(|choice| choice.memory_bytes).min();
        return console.line(match least {
            Some(least) => format!(
                "Nothing reaches recall {} within this memory; the smallest index that does needs {}.",
                report.target_recall,
                bytes(least)
            ),
            None => format!("Nothing reaches recall {}.", report.target_recall),
        });
    };
    let spec = json!(best.spec).to_string();
    console.line(format_args!("Recommended: {}", best.spec))?;
    console.line(format_args!(
        "  vecdb collection create NAME --dimension {} --metric {} --index {}",
        report.dimension,
        report.metric,
        shell_word(&spec)
    ))?;
    if best.params != SearchParams::default() {
        console.line(format_args!("  and search with {}", knobs(&best.params)))?;
    }
    Ok(())
}

fn why_not(choice: &Choice) -> &'static str {
    match (choice.reaches_recall, choice.fits_memory) {
        (true, true) => "",
        (false, _) => "recall not reached",
        (true, false) => "too large",
    }
}

/// `ef 40`, or `-` where there is nothing to set.
fn knobs(params: &SearchParams) -> String {
    let Value::Object(params) = json!(params) else {
        return "-".to_owned();
    };
    let set = params
        .iter()
        .filter(|(_, value)| value.is_number())
        .map(|(name, value)| format!("{name} {value}"));
    let words: Vec<_> = set.collect();
    match words.is_empty() {
        true => "-".to_owned(),
        false => words.join(", "),
    }
}
