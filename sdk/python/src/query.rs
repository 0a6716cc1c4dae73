//! SQL: parameters from Python values, results as lists of dictionaries.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyString, PyTuple};
use vecdb_sql::{Cell, Param, Params, QueryResult};

use crate::error::{at, describe, invalid};
use crate::json::json_of;
use crate::metadata::python_value;
use crate::point::python_id;
use crate::results;
use crate::vector::vector_of;

/// A list or tuple by position, a dictionary by name, `None` for none.
pub(crate) fn params_of(value: Option<&Bound<'_, PyAny>>) -> PyResult<Params> {
    let Some(value) = value else {
        return Ok(Params::default());
    };
    let py = value.py();
    if let Ok(named) = value.cast::<PyDict>() {
        let mut params = BTreeMap::new();
        for (name, value) in named {
            let Ok(name) = name.cast::<PyString>() else {
                return Err(invalid(
                    py,
                    format_args!("the name of a parameter is text, not {}", describe(&name)),
                ));
            };
            let name: String = name.extract()?;
            let param = param_of(&value)
                .map_err(|error| at(py, format_args!("parameter ${name}"), error))?;
            params.insert(name, param);
        }
        return Ok(Params::Named(params));
    }
    if !value.is_instance_of::<PyList>() && !value.is_instance_of::<PyTuple>() {
        return Err(invalid(
            py,
            format_args!("parameters are a list or a dict, not {}", describe(value)),
        ));
    }
    let params = value.try_iter()?.enumerate().map(|(number, value)| {
        param_of(&value?).map_err(|error| at(py, format_args!("parameter ${}", number + 1), error))
    });
    params.collect::<PyResult<_>>().map(Params::Positional)
}

/// What numpy has one dimension of is a vector.
fn param_of(value: &Bound<'_, PyAny>) -> PyResult<Param> {
    let dimensions = value.getattr_opt("ndim")?;
    let dimensions = dimensions
        .map(|number| number.extract::<usize>())
        .transpose()?;
    if dimensions.is_some_and(|number| number > 0) {
        return vector_of(value).map(Param::Vector);
    }
    let json = json_of(value)?;
    Param::from_json(&json).map_err(|error| invalid(value.py(), error))
}

/// The rows with what is told beside them.
pub(crate) fn result<'py>(py: Python<'py>, result: &QueryResult) -> PyResult<Bound<'py, PyAny>> {
    let rows = PyList::empty(py);
    for cells in &result.rows {
        let row = results::row(py)?;
        for (column, cell) in result.columns.iter().zip(cells) {
            row.set_item(&column.name, python_cell(py, cell)?)?;
        }
        rows.append(row)?;
    }
    let columns = result.columns.iter();
    let columns = columns.map(|column| (column.name.as_str(), column.kind.as_str()));
    results::query_result(
        py,
        (
            rows,
            PyList::new(py, columns.collect::<Vec<_>>())?,
            result.affected,
            result.searched_vectors,
            result.unindexed.clone(),
            result.truncated,
            result.elapsed.as_secs_f64() * 1e3,
        ),
    )
}

fn python_cell<'py>(py: Python<'py>, cell: &Cell) -> PyResult<Bound<'py, PyAny>> {
    match cell {
        Cell::Id(id) => python_id(py, id),
        Cell::Number(number) => Ok(PyFloat::new(py, f64::from(*number)).into_any()),
        Cell::Value(value) => python_value(py, value),
        Cell::Vector(values) => {
            let values = values.iter().map(|value| f64::from(*value));
            Ok(PyList::new(py, values.collect::<Vec<_>>())?.into_any())
        }
    }
}
