//! An index over a dataset, built and written.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use vecdb_engine::{ElementType, ErrorKind, IndexSpec, Metric};
use vecdb_index::{BuildOptions, BuiltIndex};
use vecdb_vector::Kernels;

use super::file::{self, About};
use crate::args::{BuildFiles, Globals};
use crate::failure::{Failure, Outcome};
use crate::measure::Rows;
use crate::output::{Bar, Console, bytes, count, decimal, seconds};

/// What is to be said of a build of any kind.
#[derive(Serialize)]
pub(in crate::commands) struct Built {
    dataset: String,
    output: String,
    pub(in crate::commands) rows: u32,
    pub(in crate::commands) dimension: usize,
    element: ElementType,
    metric: Metric,
    threads: usize,
    build_seconds: f64,
    vectors_per_second: f64,
    pub(in crate::commands) index_bytes: u64,
    pub(in crate::commands) vector_bytes: u64,
    file_bytes: u64,
    #[serde(skip)]
    pub(in crate::commands) index: Box<dyn BuiltIndex>,
}

impl Built {
    /// Builds the index and writes its file; says before what it is about to do, `heading` first and `choices` last.
    pub(in crate::commands) fn new(
        console: &Console,
        globals: &Globals,
        files: &BuildFiles,
        metric: Metric,
        spec: &IndexSpec,
        (heading, choices): (&str, &str),
    ) -> Outcome<Self> {
        let threads = globals.threads_or_all();
        spec.validate()?;
        check_output(&files.output)?;
        let rows = Rows::load(console, &files.dataset, metric, threads)?;
        let about = About::new(&files.dataset, metric, spec, &rows);
        console.line(format_args!("{heading}:"))?;
        console.line(format_args!(
            "  Dataset: {} vectors × {} dimensions of {}",
            count(rows.len()),
            rows.dim(),
            rows.element()
        ))?;
        console.line(format_args!("  Metric: {metric}   {choices}"))?;
        let started = Instant::now();
        let index = build(console, &rows, metric, spec, threads)?;
        let build_seconds = started.elapsed().as_secs_f64();
        Ok(Self {
            dataset: files.dataset.display().to_string(),
            output: files.output.display().to_string(),
            rows: rows.len(),
            dimension: rows.dim(),
            element: rows.element(),
            metric,
            threads,
            build_seconds,
            vectors_per_second: f64::from(rows.len()) / build_seconds.max(1e-9),
            index_bytes: index.memory_bytes(),
            vector_bytes: rows.bytes().len() as u64,
            file_bytes: file::write(&files.output, &about, index.as_ref())?,
            index,
        })
    }

    pub(in crate::commands) fn time_fact(&self) -> (&'static str, String) {
        let text = format!(
            "{} ({} vectors/second, {})",
            seconds(self.build_seconds),
            decimal(self.vectors_per_second),
            threads_text(self.threads)
        );
        ("Build time", text)
    }

    /// `what` the index is beside the vectors.
    pub(in crate::commands) fn size_fact(&self, what: &str) -> (&'static str, String) {
        let text = format!(
            "{} ({what}) + {} (vectors) = {}",
            bytes(self.index_bytes),
            bytes(self.vector_bytes),
            bytes(self.index_bytes + self.vector_bytes)
        );
        ("Index size", text)
    }

    pub(in crate::commands) fn written_fact(&self) -> (&'static str, String) {
        let text = format!("{} ({})", self.output, bytes(self.file_bytes));
        ("Written", text)
    }
}

/// `one thread`, `4 threads`.
pub(super) fn threads_text(threads: usize) -> String {
    match threads {
        1 => "one thread".to_owned(),
        threads => format!("{threads} threads"),
    }
}

/// Builds an index over `rows`, with a progress bar.
pub(in crate::commands) fn build(
    console: &Console,
    rows: &Rows,
    metric: Metric,
    spec: &IndexSpec,
    threads: usize,
) -> Outcome<Box<dyn BuiltIndex>> {
    let bar = Bar::new(console, "building", Some(u64::from(rows.len())));
    let options = BuildOptions {
        threads,
        progress: &bar,
        kernels: Kernels::from_env()?,
        ..BuildOptions::default()
    };
    Ok(vecdb_index::build(spec, metric, rows.view()?, &options)?)
}

/// Finds out before the work that its result has no place to go.
pub(in crate::commands) fn check_output(output: &Path) -> Outcome {
    let folder = output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::new(
            ErrorKind::NotFound,
            format!(
                "the folder {} of the output does not exist",
                folder.display()
            ),
        ));
    }
    if output.is_dir() || output.file_name().is_none() {
        return Err(Failure::usage(format!(
            "{} is a folder; name a file for the output",
            output.display()
        )));
    }
    Ok(())
}
