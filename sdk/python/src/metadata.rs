//! Metadata from and to Python dictionaries. A `datetime` with a time zone is a date-time, a `date` its midnight in
//! UTC, and comes back as a `datetime` in UTC; a `UUID` is text; numpy scalars count as the plain values they hold. A
//! dictionary inside is a point on the earth, or its fields are named by their paths.

use std::collections::BTreeMap;

use pyo3::IntoPyObjectExt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use vecdb_engine::{FIELD_NAME_BYTES_MAX, GeoPoint, Metadata, MetadataNode, Value, nest_metadata};

use crate::error::{describe, invalid};

/// The metadata of a dictionary; `None` is none.
pub(crate) fn metadata_of(value: &Bound<'_, PyAny>) -> PyResult<Metadata> {
    if value.is_none() {
        return Ok(Metadata::new());
    }
    let Ok(fields) = value.cast::<PyDict>() else {
        return Err(invalid(
            value.py(),
            format_args!("metadata is a dict, not {}", describe(value)),
        ));
    };
    let mut metadata = Metadata::new();
    for (name, value) in fields {
        let Ok(name) = name.cast::<PyString>() else {
            return Err(invalid(
                name.py(),
                format_args!(
                    "the name of a metadata field is text, not {}",
                    describe(&name)
                ),
            ));
        };
        put_path(&value, name.extract()?, &mut metadata)?;
    }
    Ok(metadata)
}

/// Adds what stands at a path: a value, or the fields of a dictionary.
fn put_path(value: &Bound<'_, PyAny>, path: String, metadata: &mut Metadata) -> PyResult<()> {
    let py = value.py();
    // The longest name bounds the depth as well; the engine says so.
    if path.len() <= FIELD_NAME_BYTES_MAX
        && let Ok(fields) = value.cast::<PyDict>()
        && !fields.is_empty()
        && point_of(fields, &path)?.is_none()
    {
        for (name, value) in fields {
            let Ok(name) = name.cast::<PyString>() else {
                return Err(invalid(
                    py,
                    format_args!(
                        "metadata {path}: the name of a field is text, not {}",
                        describe(&name)
                    ),
                ));
            };
            let name: String = name.extract()?;
            put_path(&value, format!("{path}.{name}"), metadata)?;
        }
        return Ok(());
    }
    let value = match value.cast::<PyDict>() {
        Ok(fields) if fields.is_empty() => Value::Null,
        _ => value_of(value, &path, false)?,
    };
    if metadata.contains_key(&path) {
        return Err(invalid(
            py,
            format_args!(
                "metadata {path}: the field is given twice, as a dotted name and as a dict"
            ),
        ));
    }
    metadata.insert(path, value);
    Ok(())
}

/// The point on the earth that `{"lat": .., "lon": ..}` is; `None` for other dictionaries.
fn point_of(fields: &Bound<'_, PyDict>, field: &str) -> PyResult<Option<Value>> {
    let py = fields.py();
    let (latitude, longitude) = (
        fields.get_item(intern!(py, "lat"))?,
        fields.get_item(intern!(py, "lon"))?,
    );
    let (2, Some(latitude), Some(longitude)) = (fields.len(), latitude, longitude) else {
        return Ok(None);
    };
    let point = match (latitude.extract::<f64>(), longitude.extract::<f64>()) {
        (Ok(latitude), Ok(longitude)) => GeoPoint::new(latitude, longitude),
        _ => Err("lat and lon are numbers of degrees".to_owned()),
    };
    point
        .map(|point| Some(Value::Geo(point)))
        .map_err(|what| invalid(py, format_args!("metadata {field}: {what}")))
}

fn value_of(value: &Bound<'_, PyAny>, field: &str, in_array: bool) -> PyResult<Value> {
    let py = value.py();
    if let Ok(text) = value.cast::<PyString>() {
        Ok(Value::String(text.extract()?))
    } else if value.is_none() {
        Ok(Value::Null)
    } else if let Ok(truth) = value.cast::<PyBool>() {
        Ok(Value::Bool(truth.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        value.extract().map(Value::Int).map_err(|_| {
            invalid(
                py,
                format_args!(
                    "metadata {field}: {} is outside -2^63 to 2^63-1; give it as a float or as text",
                    describe(value)
                ),
            )
        })
    } else if value.is_instance_of::<PyFloat>() {
        Ok(Value::Float(value.extract()?))
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        if in_array {
            return Err(invalid(
                py,
                format_args!(
                    "metadata {field}: a list inside a list is not supported; flatten it or use two fields"
                ),
            ));
        }
        value
            .try_iter()?
            .map(|item| value_of(&item?, field, true))
            .collect::<PyResult<_>>()
            .map(Value::Array)
    } else if let Some(micros) = micros_of(value)? {
        Ok(Value::DateTime(micros))
    } else if let Ok(fields) = value.cast::<PyDict>()
        && let Some(point) = point_of(fields, field)?
    {
        Ok(point)
    } else if value.get_type().qualname()? == "UUID" {
        Ok(Value::String(value.str()?.extract()?))
    } else if let Some(plain) = plain_value(value)? {
        value_of(&plain, field, in_array)
    } else {
        let advice = if value.is_instance_of::<PyDict>() {
            "a dict in a list is a point on the earth, {'lat': 52.5, 'lon': 13.4}, or not supported"
        } else {
            "use None, bool, int, float, str, datetime, UUID, a dict or a list of these"
        };
        Err(invalid(
            py,
            format_args!("metadata {field}: {}: {advice}", describe(value)),
        ))
    }
}

/// The dictionary of metadata.
pub(crate) fn dict_of<'py>(py: Python<'py>, metadata: &Metadata) -> PyResult<Bound<'py, PyDict>> {
    if metadata.keys().any(|name| name.contains('.')) {
        return nested_dict(py, nest_metadata(metadata));
    }
    let dict = PyDict::new(py);
    for (name, value) in metadata {
        dict.set_item(name, python_value(py, value)?)?;
    }
    Ok(dict)
}

fn nested_dict<'py>(
    py: Python<'py>,
    fields: BTreeMap<&str, MetadataNode<'_>>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, node) in fields {
        match node {
            MetadataNode::Value(value) => dict.set_item(name, python_value(py, value)?)?,
            MetadataNode::Object(fields) => dict.set_item(name, nested_dict(py, fields)?)?,
        }
    }
    Ok(dict)
}

pub(crate) fn python_value<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(truth) => truth.into_bound_py_any(py),
        Value::Int(number) => number.into_bound_py_any(py),
        Value::Float(number) => number.into_bound_py_any(py),
        Value::String(text) => text.into_bound_py_any(py),
        Value::DateTime(micros) => datetime_of(py, *micros),
        Value::Geo(point) => {
            let dict = PyDict::new(py);
            dict.set_item(intern!(py, "lat"), point.latitude())?;
            dict.set_item(intern!(py, "lon"), point.longitude())?;
            Ok(dict.into_any())
        }
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(python_value(py, item)?)?;
            }
            Ok(list.into_any())
        }
    }
}

/// The value behind a numpy scalar or array; `None` for everything else.
pub(crate) fn plain_value<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if !value.hasattr(intern!(py, "dtype"))? || !value.hasattr(intern!(py, "tolist"))? {
        return Ok(None);
    }
    let plain = value.call_method0(intern!(py, "tolist"))?;
    // What has no plain form gives itself back.
    Ok((!plain.get_type().is(value.get_type())).then_some(plain))
}

/// The classes of Python's `datetime` module that are needed.
struct Calendar {
    date: Py<PyAny>,
    datetime: Py<PyAny>,
    timedelta: Py<PyAny>,
    utc: Py<PyAny>,
    epoch: Py<PyAny>,
    microsecond: Py<PyAny>,
}

fn calendar(py: Python<'_>) -> PyResult<&Calendar> {
    static CALENDAR: PyOnceLock<Calendar> = PyOnceLock::new();
    CALENDAR.get_or_try_init(py, || {
        let module = py.import("datetime")?;
        let datetime = module.getattr("datetime")?;
        let timedelta = module.getattr("timedelta")?;
        let utc = module.getattr("timezone")?.getattr("utc")?;
        let epoch = datetime.call1((1970, 1, 1, 0, 0, 0, 0, &utc))?;
        let microsecond = timedelta.call1((0, 0, 1))?;
        Ok(Calendar {
            date: module.getattr("date")?.unbind(),
            datetime: datetime.unbind(),
            timedelta: timedelta.unbind(),
            utc: utc.unbind(),
            epoch: epoch.unbind(),
            microsecond: microsecond.unbind(),
        })
    })
}

/// Microseconds since 1970 of a `datetime` or `date`; `None` for everything else.
pub(crate) fn micros_of(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let py = value.py();
    let calendar = calendar(py)?;
    let moment = if value.is_instance(calendar.datetime.bind(py))? {
        if value.call_method0(intern!(py, "utcoffset"))?.is_none() {
            return Err(invalid(
                py,
                format_args!(
                    "{} has no time zone; give it one, such as tzinfo=datetime.timezone.utc",
                    describe(value)
                ),
            ));
        }
        value.clone()
    } else if value.is_instance(calendar.date.bind(py))? {
        let part = |name| value.getattr(name);
        calendar.datetime.bind(py).call1((
            part("year")?,
            part("month")?,
            part("day")?,
            0,
            0,
            0,
            0,
            calendar.utc.bind(py),
        ))?
    } else {
        return Ok(None);
    };
    moment
        .sub(calendar.epoch.bind(py))?
        .floor_div(calendar.microsecond.bind(py))?
        .extract()
        .map(Some)
}

/// A `datetime` in UTC; RFC 3339 text for the years that Python's calendar lacks.
fn datetime_of(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    let calendar = calendar(py)?;
    let since = calendar.timedelta.bind(py).call1((0, 0, micros))?;
    calendar.epoch.bind(py).add(since).or_else(|_| {
        let text = Value::DateTime(micros).to_json();
        text.as_str().unwrap_or_default().into_bound_py_any(py)
    })
}
