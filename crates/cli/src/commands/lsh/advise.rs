//! `lsh advise`: tables and hashes for a recall, by the collision formula.

use serde::Serialize;
use vecdb_engine::Metric;
use vecdb_index::BuildOptions;
use vecdb_index::lsh::{LshAdvice, LshChoice, advise};
use vecdb_vector::Kernels;

use crate::args::{Globals, LshAdviseArgs};
use crate::failure::Outcome;
use crate::measure::Rows;
use crate::output::{Align, Console, Grid, count, decimal, float, percent};

#[derive(Serialize)]
struct Report {
    dataset: String,
    rows: u32,
    dimension: usize,
    metric: Metric,
    target_recall: f64,
    #[serde(flatten)]
    advice: LshAdvice,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &LshAdviseArgs) -> Outcome {
    let metric = args.metric.metric;
    let threads = globals.threads_or_all();
    let rows = Rows::load(console, &args.dataset, metric, threads)?;
    let options = BuildOptions {
        threads,
        kernels: Kernels::from_env()?,
        ..BuildOptions::default()
    };
    let report = Report {
        dataset: args.dataset.display().to_string(),
        rows: rows.len(),
        dimension: rows.dim(),
        metric,
        target_recall: args.target_recall,
        advice: advise(
            metric,
            rows.view()?,
            args.target_recall,
            args.seed,
            &options,
        )?,
    };
    console.json(&report)?;
    print(console, &report)
}

fn print(console: &Console, report: &Report) -> Outcome {
    let advice = &report.advice;
    console.line(format_args!(
        "Tables that reach a recall@10 of {} by their own buckets ({} vectors × {} dimensions, {}):",
        percent(report.target_recall),
        count(report.rows),
        report.dimension,
        report.metric
    ))?;
    let Some(best) = advice.best else {
        return console.line("  none: not even 512 tables do, with any number of hashes");
    };
    let mut titles = vec!["Hashes", "Tables"];
    if best.width.is_some() {
        titles.push("Width");
    }
    titles.extend(["Recall@10", "Candidates", "Of the vectors", "Cost", ""]);
    let mut grid = Grid::new(titles.into_iter().map(|title| (title, Align::Right)));
    for choice in &advice.choices {
        let LshChoice {
            tables,
            hashes,
            width,
            recall,
            candidates,
            cost,
        } = *choice;
        let share = candidates / f64::from(report.rows.max(1));
        let cells = [
            percent(recall),
            decimal(candidates),
            percent(share),
            decimal(cost),
            if *choice == best { "cheapest" } else { "" }.to_owned(),
        ];
        let numbers = [count(hashes), count(tables)];
        grid.row(numbers.into_iter().chain(width.map(float)).chain(cells));
    }
    console.grid(&grid)?;
    console.grid(&Grid::facts([
        (
            "A hash is shared by",
            format!(
                "neighbours with probability {:.3}, any two vectors with {:.3} (medians)",
                advice.collision_near, advice.collision_any
            ),
        ),
        (
            "Proposed",
            format!("--tables {} --hashes {}", best.tables, best.hashes),
        ),
    ]))
}
