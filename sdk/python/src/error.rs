//! Errors of the engine as Python exceptions. The classes are in `vecdb._errors`, one for each kind.

use std::fmt::Display;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use vecdb_engine::{Error, ErrorKind};

/// The exception for an error of the engine.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let retry_after = error.retry_after().map(|wait| wait.as_secs_f64());
    build(py, error.kind().name(), &error.to_string(), retry_after).unwrap_or_else(|broken| broken)
}

/// An `InvalidArgumentError`.
pub(crate) fn invalid(py: Python<'_>, message: impl Display) -> PyErr {
    let kind = ErrorKind::InvalidArgument;
    build(py, kind.name(), &message.to_string(), None).unwrap_or_else(|broken| broken)
}

/// An `InvalidArgumentError` with `place` before what `error` says, where the error is one about a value.
pub(crate) fn at(py: Python<'_>, place: impl Display, error: PyErr) -> PyErr {
    let is_about_a_value = error.is_instance_of::<pyo3::exceptions::PyValueError>(py)
        || error.is_instance_of::<pyo3::exceptions::PyTypeError>(py);
    if is_about_a_value {
        invalid(py, format_args!("{place}: {}", error.value(py)))
    } else {
        error
    }
}

/// What a value is, for messages: its text, shortened, and its type.
pub(crate) fn describe(value: &Bound<'_, PyAny>) -> String {
    let kind = value.get_type().name().map_or_else(
        |_| "object".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let text = value.repr().map_or_else(
        |_| String::new(),
        |text| text.to_string_lossy().chars().take(60).collect(),
    );
    format!("{text} ({kind})")
}

fn build(py: Python<'_>, kind: &str, message: &str, retry_after: Option<f64>) -> PyResult<PyErr> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = MAKE.get_or_try_init(py, || {
        py.import("vecdb._errors")?
            .getattr("error_of_kind")
            .map(Bound::unbind)
    })?;
    let exception = make.bind(py).call1((kind, message, retry_after))?;
    Ok(PyErr::from_value(exception))
}
