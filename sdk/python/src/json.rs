//! Python values from and to JSON: filters, settings and reports.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value as Json};

use crate::error::{describe, invalid};
use crate::metadata::{micros_of, plain_value};

/// Deeper values are refused before the stack is used up; filters may be half as deep.
const DEPTH_MAX: usize = 200;

/// The JSON that a Python value stands for. Date-times become RFC 3339 text, numpy scalars their plain value.
pub(crate) fn json_of(value: &Bound<'_, PyAny>) -> PyResult<Json> {
    json_at(value, 0)
}

fn json_at(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Json> {
    let py = value.py();
    if depth > DEPTH_MAX {
        return Err(invalid(
            py,
            format_args!("a value is nested more than {DEPTH_MAX} levels deep"),
        ));
    }
    if value.is_none() {
        Ok(Json::Null)
    } else if let Ok(truth) = value.cast::<PyBool>() {
        Ok(Json::Bool(truth.is_true()))
    } else if let Ok(text) = value.cast::<PyString>() {
        Ok(Json::String(text.extract()?))
    } else if value.is_instance_of::<PyInt>() {
        let number = match value.extract::<i64>() {
            Ok(number) => Number::from(number),
            Err(_) => Number::from(value.extract::<u64>().map_err(|_| {
                invalid(py, format_args!("{} does not fit 64 bits", describe(value)))
            })?),
        };
        Ok(Json::Number(number))
    } else if value.is_instance_of::<PyFloat>() {
        let number = value.extract::<f64>()?;
        Number::from_f64(number).map(Json::Number).ok_or_else(|| {
            invalid(
                py,
                format_args!("{number} is not a finite number; use None where there is none"),
            )
        })
    } else if let Ok(fields) = value.cast::<PyDict>() {
        let mut object = Map::new();
        for (key, value) in fields {
            let Ok(name) = key.cast::<PyString>() else {
                return Err(invalid(
                    py,
                    format_args!("a key must be text, not {}", describe(&key)),
                ));
            };
            object.insert(name.extract()?, json_at(&value, depth + 1)?);
        }
        Ok(Json::Object(object))
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        value
            .try_iter()?
            .map(|item| json_at(&item?, depth + 1))
            .collect::<PyResult<_>>()
            .map(Json::Array)
    } else if let Some(micros) = micros_of(value)? {
        Ok(vecdb_engine::Value::DateTime(micros).to_json())
    } else if let Some(plain) = plain_value(value)? {
        json_at(&plain, depth + 1)
    } else {
        Err(invalid(
            py,
            format_args!(
                "{} has no JSON form; use None, bool, int, float, str, datetime, list or dict",
                describe(value)
            ),
        ))
    }
}

/// The Python value for JSON.
pub(crate) fn python_of<'py>(py: Python<'py>, json: &Json) -> PyResult<Bound<'py, PyAny>> {
    match json {
        Json::Null => Ok(py.None().into_bound(py)),
        Json::Bool(truth) => truth.into_bound_py_any(py),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_bound_py_any(py),
            (None, Some(number)) => number.into_bound_py_any(py),
            (None, None) => number.as_f64().into_bound_py_any(py),
        },
        Json::String(text) => text.into_bound_py_any(py),
        Json::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(python_of(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Json::Object(fields) => {
            let dict = PyDict::new(py);
            for (name, value) in fields {
                dict.set_item(name, python_of(py, value)?)?;
            }
            Ok(dict.into_any())
        }
    }
}
