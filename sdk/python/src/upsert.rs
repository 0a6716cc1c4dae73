//! Batches of points from a Python iterator, and the answers to them back into Python.
//!
//! A batch is a tuple `(first, points)` or `(first, ids, vectors, metadata)`, where `first` is the number of its first
//! point, for messages. Whoever writes the batches holds no interpreter lock: it is taken for making one, and for telling
//! of one. What goes wrong there ends the batches and is kept until they are finished.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use vecdb_engine::{Point, WriteResult};

use crate::point::{points_of, points_of_columns};
use crate::results;

/// What is to be written.
pub(crate) struct Batches {
    source: Py<PyAny>,
    answered: Py<PyAny>,
    failure: Mutex<Option<PyErr>>,
}

impl Batches {
    /// The batches of an iterable; `answered` is called with the result of each.
    pub(crate) fn new(source: &Bound<'_, PyAny>, answered: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            source: source.try_iter()?.into_any().unbind(),
            answered: answered.clone().unbind(),
            failure: Mutex::new(None),
        })
    }

    /// The next batch; `None` at the end and after a failure.
    pub(crate) fn next(&self) -> Option<Vec<Point>> {
        if self.failure.lock().is_some() {
            return None;
        }
        Python::attach(|py| {
            let batch = self.source.bind(py).try_iter().ok()?.next()?;
            match batch.and_then(|batch| points_of_batch(&batch)) {
                Ok(points) => Some(points),
                Err(error) => {
                    self.failure.lock().get_or_insert(error);
                    None
                }
            }
        })
    }

    /// Tells of the answer to the oldest batch that was not answered.
    pub(crate) fn tell(&self, result: &WriteResult) {
        Python::attach(|py| {
            let told = results::write_result(py, result)
                .and_then(|result| self.answered.bind(py).call1((result,)));
            if let Err(error) = told {
                self.failure.lock().get_or_insert(error);
            }
        });
    }

    /// What went wrong in Python, if anything did.
    pub(crate) fn finish(self) -> PyResult<()> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }
}

fn points_of_batch(batch: &Bound<'_, PyAny>) -> PyResult<Vec<Point>> {
    let batch = batch.cast::<PyTuple>()?;
    let first: usize = batch.get_item(0)?.extract()?;
    if batch.len() == 2 {
        return points_of(&batch.get_item(1)?, first);
    }
    let metadata = batch.get_item(3)?;
    points_of_columns(
        &batch.get_item(1)?,
        &batch.get_item(2)?,
        (!metadata.is_none()).then_some(&metadata),
        first,
    )
}
