//! Ids, points and columns of points from Python.

use pyo3::IntoPyObjectExt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyInt, PyString};
use vecdb_engine::{Example, Metadata, Point, PointId};

use crate::error::{at, describe, exception, invalid};
use crate::metadata::{metadata_of, plain_value};
use crate::vector::{vector_of, vectors_of};

/// An id: a whole number, text, or a `uuid.UUID`.
pub(crate) fn id_of(value: &Bound<'_, PyAny>) -> PyResult<PointId> {
    static UUID: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    if let Ok(text) = value.cast::<PyString>() {
        return PointId::from_text(&text.to_cow()?).map_err(|error| exception(py, &error));
    }
    if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() {
        return value.extract().map(PointId::U64).map_err(|_| {
            invalid(
                py,
                format_args!(
                    "id {} is not a whole number from 0 to {}",
                    describe(value),
                    u64::MAX
                ),
            )
        });
    }
    let uuid =
        UUID.get_or_try_init(py, || py.import("uuid")?.getattr("UUID").map(Bound::unbind))?;
    if value.is_instance(uuid.bind(py))? {
        return PointId::from_text(&value.str()?.to_cow()?).map_err(|error| exception(py, &error));
    }
    match plain_value(value)? {
        Some(plain) if plain.is_instance_of::<PyInt>() || plain.is_instance_of::<PyString>() => {
            id_of(&plain)
        }
        _ => Err(invalid(
            py,
            format_args!(
                "an id is a whole number, text or a uuid.UUID, not {}",
                describe(value)
            ),
        )),
    }
}

/// Many ids: a list, a numpy array, a range, whatever gives one after the other.
pub(crate) fn ids_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<PointId>> {
    ids_from(value, 0)
}

fn ids_from(value: &Bound<'_, PyAny>, first: usize) -> PyResult<Vec<PointId>> {
    let py = value.py();
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyDict>() {
        return Err(invalid(
            py,
            format_args!("ids are a list of ids, not {}", describe(value)),
        ));
    }
    let plain = plain_value(value)?;
    let value = plain.as_ref().unwrap_or(value);
    let Ok(items) = value.try_iter() else {
        return Err(invalid(
            py,
            format_args!("ids are a list of ids, not {}", describe(value)),
        ));
    };
    items
        .enumerate()
        .map(|(row, id)| {
            id_of(&id?).map_err(|error| at(py, format_args!("ids[{}]", first + row), error))
        })
        .collect()
}

/// Examples of a recommendation: a list of ids and vectors.
pub(crate) fn examples_of(values: &Bound<'_, PyAny>, side: &str) -> PyResult<Vec<Example>> {
    let py = values.py();
    let a_list = || {
        invalid(
            py,
            format_args!(
                "{side} is a list of ids and vectors, not {}",
                describe(values)
            ),
        )
    };
    if values.is_instance_of::<PyString>() || values.is_instance_of::<PyDict>() {
        return Err(a_list());
    }
    let items = values.try_iter().map_err(|_| a_list())?;
    let one = |value: &Bound<'_, PyAny>| {
        // Texts can be gone through as well.
        let is_vector = !value.is_instance_of::<PyString>() && value.try_iter().is_ok();
        match is_vector {
            true => vector_of(value).map(Example::Vector),
            false => id_of(value).map(Example::Id),
        }
    };
    items
        .enumerate()
        .map(|(row, item)| {
            one(&item?).map_err(|error| at(py, format_args!("{side}[{row}]"), error))
        })
        .collect()
}

/// The id as Python has it: a number or text.
pub(crate) fn python_id<'py>(py: Python<'py>, id: &PointId) -> PyResult<Bound<'py, PyAny>> {
    match id {
        PointId::U64(number) => number.into_bound_py_any(py),
        PointId::String(text) => text.into_bound_py_any(py),
        PointId::Uuid(uuid) => uuid.to_string().into_bound_py_any(py),
    }
}

/// Points from dictionaries of `id`, `vector` and `metadata`; `first` is the number of the first one, for messages.
pub(crate) fn points_of(points: &Bound<'_, PyAny>, first: usize) -> PyResult<Vec<Point>> {
    let py = points.py();
    points
        .try_iter()?
        .enumerate()
        .map(|(row, point)| {
            point_of(&point?)
                .map_err(|error| at(py, format_args!("vectors[{}]", first + row), error))
        })
        .collect()
}

fn point_of(point: &Bound<'_, PyAny>) -> PyResult<Point> {
    let py = point.py();
    let Ok(fields) = point.cast::<PyDict>() else {
        return Err(invalid(
            py,
            format_args!(
                "a point is a dict such as {{\"id\": 1, \"vector\": [0.1, 0.2], \"metadata\": {{}}}}, not {}",
                describe(point)
            ),
        ));
    };
    let (mut id, mut vector, mut metadata) = (None, None, Metadata::new());
    for (key, value) in fields {
        match key
            .cast::<PyString>()
            .ok()
            .map(|key| key.to_cow())
            .transpose()?
            .as_deref()
        {
            Some("id") => id = Some(id_of(&value)?),
            Some("vector") => vector = Some(vector_of(&value)?),
            Some("metadata") => metadata = metadata_of(&value)?,
            _ => {
                return Err(invalid(
                    py,
                    format_args!(
                        "a point has the keys id, vector and metadata, not {}",
                        describe(&key)
                    ),
                ));
            }
        }
    }
    let missing = |what| invalid(py, format_args!("the point has no {what}"));
    Ok(Point {
        id: id.ok_or_else(|| missing("id"))?,
        vector: vector.ok_or_else(|| missing("vector"))?,
        metadata,
    })
}

/// Points from columns of the same length; `first` is the number of the first row, for messages.
pub(crate) fn points_of_columns(
    ids: &Bound<'_, PyAny>,
    vectors: &Bound<'_, PyAny>,
    metadata: Option<&Bound<'_, PyAny>>,
    first: usize,
) -> PyResult<Vec<Point>> {
    let py = ids.py();
    let ids = ids_from(ids, first)?;
    let vectors = vectors_of(vectors, first)?;
    if ids.len() != vectors.len() {
        return Err(invalid(
            py,
            format_args!("{} ids for {} vectors", ids.len(), vectors.len()),
        ));
    }
    let metadata: Vec<Metadata> = match metadata {
        None => vec![Metadata::new(); ids.len()],
        Some(rows) => rows
            .try_iter()?
            .enumerate()
            .map(|(row, fields)| {
                metadata_of(&fields?)
                    .map_err(|error| at(py, format_args!("metadata[{}]", first + row), error))
            })
            .collect::<PyResult<_>>()?,
    };
    if metadata.len() != ids.len() {
        return Err(invalid(
            py,
            format_args!("{} ids for {} rows of metadata", ids.len(), metadata.len()),
        ));
    }
    let rows = ids.into_iter().zip(vectors).zip(metadata);
    Ok(rows
        .map(|((id, vector), metadata)| Point {
            id,
            vector,
            metadata,
        })
        .collect())
}

/// A whole number that fits `T`, from an int or a numpy integer.
pub(crate) fn whole<T: TryFrom<u64>>(value: &Bound<'_, PyAny>, what: &str) -> PyResult<T> {
    let py = value.py();
    let refuse = || {
        invalid(
            py,
            format_args!(
                "{what} is a whole number from 0 on, not {}",
                describe(value)
            ),
        )
    };
    if value.is_instance_of::<PyBool>() || !value.hasattr(intern!(py, "__index__"))? {
        return Err(refuse());
    }
    let number = value.extract::<u64>().map_err(|_| refuse())?;
    T::try_from(number).map_err(|_| refuse())
}
