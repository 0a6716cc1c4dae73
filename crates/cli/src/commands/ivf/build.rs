//! `ivf build`.

use serde::Serialize;
use vecdb_engine::{IndexSpec, IvfCode};
use vecdb_index::ivf::IvfStats;

use super::{lists_of, percentage};
use crate::args::{Globals, IvfBuildArgs};
use crate::commands::index_files::Built;
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, bytes, count, decimal, float, percent};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    built: Built,
    nlist: u32,
    code: IvfCode,
    train_rows_per_list: u32,
    seed: u64,
    trained_rows: usize,
    iterations: usize,
    iterations_max: u32,
    converged: bool,
    objectives: Vec<f64>,
    clusters_repaired: usize,
    #[serde(flatten)]
    lists: IvfStats,
    centroid_bytes: u64,
    nprobe_default: u32,
    /// Candidates by codes measured for 10 hits; `None`: lists of vectors.
    rerank_default: Option<usize>,
    nprobe_for_recall: Vec<Calibrated>,
}

/// Lists that a search looks into for a recall.
#[derive(Serialize)]
struct Calibrated {
    recall: f32,
    nprobe: u32,
}

pub(super) fn run(console: &Console, globals: &Globals, args: &IvfBuildArgs) -> Outcome {
    let params = args.lists.params();
    let named = |name: Option<String>| name.unwrap_or_else(|| "chosen by the vectors".into());
    let choices = format!(
        "lists: {}   code: {}",
        named(params.nlist.map(count)),
        named(params.code.map(|code| code.to_string()))
    );
    let built = Built::new(
        console,
        globals,
        &args.files,
        args.lists.metric.metric,
        &IndexSpec::Ivf(params.clone()),
        ("Building IVF index", &choices),
    )?;
    let index = lists_of(built.index.as_ref())?;
    let training = index.training().cloned().unwrap_or_default();
    let calibrated = index
        .nprobe_for_recall()
        .map(|(recall, nprobe)| Calibrated { recall, nprobe });
    let report = Report {
        nlist: index.lists(),
        code: index.code(),
        train_rows_per_list: params.train_rows_per_list,
        seed: params.seed,
        trained_rows: training.vectors,
        iterations: training.objectives.len(),
        iterations_max: params.iterations,
        converged: training.converged,
        objectives: training.objectives,
        clusters_repaired: training.repaired,
        lists: index.stats()?,
        centroid_bytes: u64::from(index.lists()) * built.dimension as u64 * 4,
        nprobe_default: index.default_nprobe(),
        rerank_default: (index.code() != IvfCode::Vector).then(|| index.default_rerank(10)),
        nprobe_for_recall: calibrated.collect(),
        built,
    };
    console.json(&report)?;
    print(console, &report)
}

fn print(console: &Console, report: &Report) -> Outcome {
    console.line(format_args!(
        "\nTraining k-means with {} sample vectors:",
        count(report.trained_rows as u64)
    ))?;
    let mut training = Grid::new([
        ("Iteration", Align::Right),
        ("Objective", Align::Right),
        ("Change", Align::Right),
    ]);
    let mut before = None;
    for (at, &objective) in report.objectives.iter().enumerate() {
        let change = |before: f64| format!("{:+.2} %", (objective / before - 1.0) * 100.0);
        training.row([
            count(at as u64 + 1),
            float(objective as f32),
            before
                .filter(|&before| before > 0.0)
                .map_or(String::new(), change),
        ]);
        before = Some(objective);
    }
    console.grid(&training)?;
    let (lists, built) = (&report.lists, &report.built);
    let convergence = match report.converged {
        true => "converged",
        false => "stopped at the most allowed, not yet converged",
    };
    let others = report
        .built
        .index_bytes
        .saturating_sub(report.centroid_bytes);
    let what = format!(
        "{} of centroids, {} of {}",
        bytes(report.centroid_bytes),
        bytes(others),
        match report.code {
            IvfCode::Vector => "vectors in lists".to_owned(),
            IvfCode::Sq8 => "8-bit codes in lists".to_owned(),
            IvfCode::Quantized(spec) => format!("{spec} codes in lists"),
        }
    );
    let facts = [
        (
            "K-means iterations",
            format!("{}, {convergence}", report.iterations),
        ),
        (
            "Lists",
            format!(
                "{} ({} vectors on average)",
                count(report.nlist),
                decimal(lists.list_rows_mean)
            ),
        ),
        (
            "List sizes",
            format!(
                "min {}, max {}, median {}, stddev {}",
                count(lists.list_rows_min),
                count(lists.list_rows_max),
                count(lists.list_rows_median),
                decimal(lists.list_rows_stddev)
            ),
        ),
        (
            "Imbalance",
            format!(
                "{:.3} (1: all lists are equally long); {} empty",
                lists.imbalance,
                count(lists.lists_empty)
            ),
        ),
        built.time_fact(),
        built.size_fact(&what),
        built.written_fact(),
    ];
    console.grid(&Grid::facts(facts))?;
    console.line("\nLists to search for a recall, measured on vectors of the dataset:")?;
    let mut calibrated = Grid::new([
        ("Recall@10", Align::Right),
        ("nprobe", Align::Right),
        ("Of the lists", Align::Right),
    ]);
    for Calibrated { recall, nprobe } in &report.nprobe_for_recall {
        calibrated.row([
            percent(f64::from(*recall)),
            count(*nprobe),
            percentage(f64::from(*nprobe), report.nlist),
        ]);
    }
    console.grid(&calibrated)?;
    let candidates = report.rerank_default.map_or(String::new(), |candidates| {
        format!(
            ", and measures {} candidates for 10 hits",
            count(candidates as u64)
        )
    });
    console.line(format_args!(
        "A search that names no nprobe takes {}{candidates}.",
        count(report.nprobe_default)
    ))
}
