//! `advise`: which index for the vectors of a file, or of a collection?

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use vecdb_backend::Backend;
use vecdb_engine::{Advice, AdviceParams, Choice, ElementType, Metric, SearchParams, StopSignal};
use vecdb_index::{BuildOptions, advise};
use vecdb_vector::Kernels;

use super::session::{Intent, Session};
use crate::args::{AdviseArgs, Globals};
use crate::failure::Outcome;
use crate::measure::Rows;
use crate::output::{Align, Bar, Console, Grid, bytes, count, percent, seconds, shell_word};

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    metric: Metric,
    dimension: usize,
    /// Of a collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<ElementType>,
    limit: usize,
    target_recall: f32,
    memory_bytes_max: Option<u64>,
    /// A server has its own number.
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
    #[serde(flatten)]
    advice: Advice,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &AdviseArgs) -> Outcome {
    let params = args.params();
    params.validate()?;
    let report = match (&args.collection, &args.dataset) {
        (Some(name), _) => Session::open(console, globals, Intent::Read)?
            .run(|session| of_collection(console, globals, session.backend(), name, &params))?,
        (None, dataset) => {
            let dataset = dataset.as_deref().unwrap_or(Path::new(""));
            of_file(console, globals, dataset, args.metric.metric, &params)?
        }
    };
    console.json(&report)?;
    print(console, &report)
}

fn of_file(
    console: &Console,
    globals: &Globals,
    dataset: &Path,
    metric: Metric,
    params: &AdviceParams,
) -> Outcome<Report> {
    let threads = globals.threads_or_all();
    let rows = Rows::load(console, dataset, metric, threads)?;
    let bar = Bar::new(console, "measuring", None);
    let options = BuildOptions {
        threads,
        progress: &bar,
        kernels: Kernels::from_env()?,
        ..BuildOptions::default()
    };
    Ok(Report {
        dataset: Some(dataset.display().to_string()),
        collection: None,
        metric,
        dimension: rows.dim(),
        element: None,
        limit: params.limit,
        target_recall: params.target_recall,
        memory_bytes_max: params.memory_bytes,
        threads: Some(threads),
        advice: advise(metric, rows.view()?, params, &options)?,
    })
}

fn of_collection(
    console: &Console,
    globals: &Globals,
    backend: &dyn Backend,
    name: &str,
    params: &AdviceParams,
) -> Outcome<Report> {
    let config = backend.collection(name)?.config;
    let field = config.vector()?;
    let _bar = Bar::new(console, "measuring", None);
    let is_here = globals.server.url.is_none();
    Ok(Report {
        dataset: None,
        collection: Some(name.to_owned()),
        metric: field.metric,
        dimension: field.dimension as usize,
        element: Some(field.element),
        limit: params.limit,
        target_recall: params.target_recall,
        memory_bytes_max: params.memory_bytes,
        threads: is_here.then(|| globals.threads_or_all()),
        advice: backend.advise(name, params, &StopSignal::default())?,
    })
}

fn print(console: &Console, report: &Report) -> Outcome {
    let advice = &report.advice;
    console.line(format_args!(
        "Predicted for {} vectors × {} dimensions under {}, measured on {} of them with {} others as queries:",
        count(advice.rows),
        report.dimension,
        report.metric,
        count(advice.sample_rows),
        count(advice.queries)
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
    let element = report
        .element
        .map_or_else(String::new, |element| format!(" --element {element}"));
    console.line(format_args!("Recommended: {}", best.spec))?;
    console.line(format_args!(
        "  vecdb collection create NAME --dimension {} --metric {}{element} --index {}",
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
