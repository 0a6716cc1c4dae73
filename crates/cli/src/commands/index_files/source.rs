//! The dataset and the index that a command was given.

use std::path::{Path, PathBuf};
use std::time::Instant;

use vecdb_engine::{IndexSpec, Metric};
use vecdb_index::AnnIndex;

use super::build::build;
use super::file::IndexFile;
use crate::args::{Globals, SweepFiles};
use crate::failure::{Failure, Outcome};
use crate::measure::Rows;
use crate::output::Console;

/// An index, and the vectors that it was built over.
pub(in crate::commands) struct Source {
    pub(in crate::commands) dataset: PathBuf,
    pub(in crate::commands) metric: Metric,
    pub(in crate::commands) rows: Rows,
    pub(in crate::commands) index: Box<dyn AnnIndex>,
    /// `None`: it was built before.
    pub(in crate::commands) build_seconds: Option<f64>,
}

impl Source {
    /// The index of a file of this kind, with the vectors of `dataset`, else of where they lay when it was built.
    pub(in crate::commands) fn open(
        console: &Console,
        globals: &Globals,
        kind: &'static str,
        path: &Path,
        dataset: Option<&Path>,
    ) -> Outcome<Self> {
        let file = IndexFile::open(path, kind)?;
        let dataset = dataset.unwrap_or(&file.about.dataset).to_owned();
        let metric = file.about.metric;
        let rows = Rows::load(console, &dataset, metric, globals.threads_or_all())?;
        let index = file.index(&rows, &dataset)?;
        Ok(Self {
            dataset,
            metric,
            rows,
            index,
            build_seconds: None,
        })
    }

    /// What a sweep was given: a saved index, or a dataset to build one over, which is not saved.
    pub(in crate::commands) fn of_sweep(
        console: &Console,
        globals: &Globals,
        files: &SweepFiles,
        metric: Metric,
        spec: &IndexSpec,
    ) -> Outcome<Self> {
        match (&files.index, &files.dataset) {
            (Some(index), dataset) => {
                Self::open(console, globals, spec.kind(), index, dataset.as_deref())
            }
            (None, Some(dataset)) => Self::build(console, globals, dataset, metric, spec),
            (None, None) => Err(Failure::usage("give --index or --dataset")),
        }
    }

    fn build(
        console: &Console,
        globals: &Globals,
        dataset: &Path,
        metric: Metric,
        spec: &IndexSpec,
    ) -> Outcome<Self> {
        spec.validate()?;
        let threads = globals.threads_or_all();
        let rows = Rows::load(console, dataset, metric, threads)?;
        let started = Instant::now();
        let index = build(console, &rows, metric, spec, threads)?;
        Ok(Self {
            dataset: dataset.to_owned(),
            metric,
            rows,
            index,
            build_seconds: Some(started.elapsed().as_secs_f64()),
        })
    }
}
