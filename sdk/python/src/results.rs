//! Answers as the classes of `vecdb._results`: dictionaries and lists with attributes besides. Built here, because a
//! search of a tenth of a millisecond should not wait for an interpreter to copy its answer.

use pyo3::IntoPyObjectExt;
use pyo3::call::PyCallArgs;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFloat, PyList, PyTuple, PyType};
use serde::Serialize;
use vecdb_engine::{Facets, Hit, Record, ScrollPage, SearchResponse, WriteResult};

use crate::error::invalid;
use crate::json::python_of;
use crate::metadata::{dict_of, python_value};
use crate::point::python_id;

/// A class of `vecdb._results`.
struct Class {
    name: &'static str,
    cell: PyOnceLock<Py<PyType>>,
}

static SEARCH_RESULT: Class = Class::named("SearchResult");
static SEARCH_RESULTS: Class = Class::named("SearchResults");
static HIT_GROUP: Class = Class::named("HitGroup");
static FACET: Class = Class::named("Facet");
static FACETS: Class = Class::named("Facets");
static RECORD: Class = Class::named("Record");
static ROW: Class = Class::named("Row");
static QUERY_RESULT: Class = Class::named("QueryResult");
static WRITE_RESULT: Class = Class::named("WriteResult");

impl Class {
    const fn named(name: &'static str) -> Self {
        Self {
            name,
            cell: PyOnceLock::new(),
        }
    }

    fn bind<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.cell.import(py, "vecdb._results", self.name)
    }

    /// A new dictionary of this class.
    fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.bind(py)?.call0()?.cast_into::<PyDict>()?)
    }
}

/// The hits with what the search did.
pub(crate) fn search_results<'py>(
    py: Python<'py>,
    response: &SearchResponse,
) -> PyResult<Bound<'py, PyAny>> {
    let list = PyList::empty(py);
    for hit in &response.hits {
        list.append(search_result(py, hit)?)?;
    }
    let groups = PyList::empty(py);
    for group in &response.groups {
        let dict = HIT_GROUP.dict(py)?;
        dict.set_item(intern!(py, "value"), python_value(py, &group.value)?)?;
        let hits = PyList::empty(py);
        for hit in &group.hits {
            hits.append(search_result(py, hit)?)?;
        }
        dict.set_item(intern!(py, "hits"), hits)?;
        groups.append(dict)?;
    }
    let explanation = match &response.explanation {
        Some(explanation) => report(py, explanation)?,
        None => py.None().into_bound(py),
    };
    let stats = &response.stats;
    let latency_ms = response.elapsed.as_secs_f64() * 1e3;
    SEARCH_RESULTS.bind(py)?.call1((
        list,
        stats.searched_vectors,
        latency_ms,
        response.truncated,
        (
            stats.distance_computations,
            stats.estimated_distances,
            stats.nodes_visited,
            stats.segments,
            stats.matching,
            PyTuple::new(py, &stats.unindexed)?,
        ),
        groups,
        explanation,
        response.cached,
    ))
}

fn search_result<'py>(py: Python<'py>, hit: &Hit) -> PyResult<Bound<'py, PyDict>> {
    let result = SEARCH_RESULT.dict(py)?;
    result.set_item(intern!(py, "id"), python_id(py, &hit.id)?)?;
    result.set_item(intern!(py, "score"), PyFloat::new(py, f64::from(hit.score)))?;
    result.set_item(
        intern!(py, "distance"),
        PyFloat::new(py, f64::from(hit.distance)),
    )?;
    set_payload(&result, hit.vector.as_deref(), hit.metadata.as_ref())?;
    Ok(result)
}

/// The values of a field with their counts.
pub(crate) fn facets<'py>(py: Python<'py>, facets: &Facets) -> PyResult<Bound<'py, PyAny>> {
    let list = PyList::empty(py);
    for facet in &facets.values {
        let dict = FACET.dict(py)?;
        dict.set_item(intern!(py, "value"), python_value(py, &facet.value)?)?;
        dict.set_item(intern!(py, "count"), facet.count)?;
        list.append(dict)?;
    }
    let counts = (list, facets.distinct, facets.points, facets.missing);
    FACETS.bind(py)?.call1(counts)
}

/// A row of a query, without its cells.
pub(crate) fn row<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
    ROW.dict(py)
}

/// The rows of a query with what is told beside them, in the order of the constructor.
pub(crate) fn query_result<'py>(
    py: Python<'py>,
    parts: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    QUERY_RESULT.bind(py)?.call1(parts)
}

/// The points asked for; `None` in place of those that do not exist.
pub(crate) fn records<'py>(
    py: Python<'py>,
    records: &[Option<Record>],
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for record in records {
        match record {
            Some(found) => list.append(self::record(py, found)?)?,
            None => list.append(py.None())?,
        }
    }
    Ok(list)
}

/// The points of a page and the cursor of the next one.
pub(crate) fn page<'py>(
    py: Python<'py>,
    page: &ScrollPage,
) -> PyResult<(Bound<'py, PyList>, Option<String>)> {
    let list = PyList::empty(py);
    for found in &page.points {
        list.append(record(py, found)?)?;
    }
    Ok((list, page.next_cursor.clone()))
}

fn record<'py>(py: Python<'py>, record: &Record) -> PyResult<Bound<'py, PyDict>> {
    let result = RECORD.dict(py)?;
    result.set_item(intern!(py, "id"), python_id(py, &record.id)?)?;
    set_payload(&result, record.vector.as_deref(), record.metadata.as_ref())?;
    Ok(result)
}

fn set_payload(
    result: &Bound<'_, PyDict>,
    vector: Option<&[f32]>,
    metadata: Option<&vecdb_engine::Metadata>,
) -> PyResult<()> {
    let py = result.py();
    if let Some(vector) = vector {
        let values = vector.iter().map(|value| f64::from(*value));
        result.set_item(
            intern!(py, "vector"),
            PyList::new(py, values.collect::<Vec<_>>())?,
        )?;
    }
    if let Some(metadata) = metadata {
        result.set_item(intern!(py, "metadata"), dict_of(py, metadata)?)?;
    }
    Ok(())
}

/// What a write did.
pub(crate) fn write_result<'py>(
    py: Python<'py>,
    result: &WriteResult,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = WRITE_RESULT.dict(py)?;
    dict.set_item(intern!(py, "inserted"), result.inserted)?;
    dict.set_item(intern!(py, "updated"), result.updated)?;
    dict.set_item(intern!(py, "deleted"), result.deleted)?;
    dict.set_item(intern!(py, "position"), result.position)?;
    dict.set_item(intern!(py, "durability"), report(py, &result.durability)?)?;
    Ok(dict)
}

/// Anything with a JSON form, as plain dictionaries and lists.
pub(crate) fn report<'py>(py: Python<'py>, report: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let json = serde_json::to_value(report).map_err(|error| invalid(py, error))?;
    python_of(py, &json)?.into_bound_py_any(py)
}
