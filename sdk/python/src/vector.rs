//! Vectors from Python: numpy arrays of float32 are read where they lie and copied once; lists, tuples and whatever
//! numpy understands are converted.

use numpy::ndarray::Dimension;
use numpy::{Ix1, Ix2, PyArray, PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyTuple};

use crate::error::{at, describe, invalid};

/// One vector.
pub(crate) fn vector_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<f32>> {
    if let Ok(list) = value.cast::<PyList>() {
        return numbers(list.iter(), list.len());
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return numbers(tuple.iter(), tuple.len());
    }
    let py = value.py();
    if let Some(array) = as_array(value)? {
        let Ok(array) = array.cast::<PyArray1<f32>>() else {
            let shape = array.getattr(intern!(py, "shape"))?;
            return Err(invalid(
                py,
                format_args!("a vector is a row of numbers, not an array of shape {shape}"),
            ));
        };
        return Ok(array.try_readonly()?.as_slice()?.to_vec());
    }
    if is_sequence_of_numbers(value)? {
        let values = value.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        return numbers(values.into_iter(), 0);
    }
    Err(invalid(
        py,
        format_args!(
            "a vector is a list of numbers or a numpy array, not {}",
            describe(value)
        ),
    ))
}

/// One vector for each row; `first` is the number of the first row, for messages.
pub(crate) fn vectors_of(value: &Bound<'_, PyAny>, first: usize) -> PyResult<Vec<Vec<f32>>> {
    let py = value.py();
    if !value.is_instance_of::<PyList>()
        && !value.is_instance_of::<PyTuple>()
        && let Some(array) = as_array(value)?
    {
        let Ok(array) = array.cast::<PyArray2<f32>>() else {
            let shape = array.getattr(intern!(py, "shape"))?;
            return Err(invalid(
                py,
                format_args!(
                    "vectors are an array of rows and dimensions, not one of shape {shape}"
                ),
            ));
        };
        let dimension = array.shape().get(1).copied().unwrap_or(0);
        let array = array.try_readonly()?;
        return Ok(match dimension {
            0 => vec![Vec::new(); array.shape().first().copied().unwrap_or(0)],
            _ => array
                .as_slice()?
                .chunks_exact(dimension)
                .map(<[f32]>::to_vec)
                .collect(),
        });
    }
    let Ok(rows) = value.try_iter() else {
        return Err(invalid(
            py,
            format_args!(
                "vectors are a list of vectors or a numpy array, not {}",
                describe(value)
            ),
        ));
    };
    rows.enumerate()
        .map(|(row, vector)| {
            vector_of(&vector?)
                .map_err(|error| at(py, format_args!("vectors[{}]", first + row), error))
        })
        .collect()
}

fn numbers<'py>(
    values: impl Iterator<Item = Bound<'py, PyAny>>,
    count: usize,
) -> PyResult<Vec<f32>> {
    let mut vector = Vec::with_capacity(count);
    for (dimension, value) in values.enumerate() {
        // Floats are nearly all there is, and asked for without a call through the number protocol.
        let number = match value.cast_exact::<PyFloat>() {
            Ok(float) => float.value(),
            Err(_) => value.extract::<f64>().map_err(|_| {
                invalid(
                    value.py(),
                    format_args!(
                        "value {dimension} of the vector is not a number: {}",
                        describe(&value)
                    ),
                )
            })?,
        };
        vector.push(number as f32);
    }
    Ok(vector)
}

/// The value as a numpy array of float32, row after row without gaps, where it is an array of whatever sort; nothing is
/// copied if it is that already. `None` for what is no array.
fn as_array<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if !value.hasattr(intern!(py, "__array__"))? {
        return Ok(None);
    }
    if is_plain::<Ix1>(value) || is_plain::<Ix2>(value) {
        return Ok(Some(value.clone()));
    }
    py.import(intern!(py, "numpy"))?
        .call_method1(intern!(py, "require"), (value, "float32", "CA"))
        .map_err(|error| at(py, "not an array of numbers", error))
        .map(Some)
}

/// Whether the memory of an array is a slice of floats, in the order of its rows.
fn is_plain<D: Dimension>(value: &Bound<'_, PyAny>) -> bool {
    value
        .cast::<PyArray<f32, D>>()
        .is_ok_and(|array| array.is_c_contiguous() && array.data().is_aligned())
}

/// `array.array`, ranges and the like; text, bytes and dictionaries are sequences of something else.
fn is_sequence_of_numbers(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    use pyo3::types::{PyByteArray, PyBytes, PyString};
    Ok(value.hasattr(intern!(value.py(), "__getitem__"))?
        && !value.is_instance_of::<PyDict>()
        && !value.is_instance_of::<PyString>()
        && !value.is_instance_of::<PyBytes>()
        && !value.is_instance_of::<PyByteArray>())
}
