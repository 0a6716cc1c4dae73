//! The compiled half of the Python package `vecdb`: Python values in, calls of a [`vecdb_backend::Backend`] with the
//! interpreter lock released, Python values out. What users see is the thin layer in `python/vecdb`.
//!
//! - `connection`: the one class, with a method for each operation.
//! - `vector`, `metadata`, `point`, `json`: values from Python, and back.
//! - `upsert`, `load`: batches of points, written one after the other or as a stream.
//! - `query`: parameters and rows of SQL statements.
//! - `results`: answers as the classes of `vecdb._results`.
//! - `stop`: ending calls from outside.
//! - `error`: engine errors as the exceptions of `vecdb._errors`.

mod connection;
mod error;
mod json;
mod load;
mod metadata;
mod point;
mod query;
mod results;
mod stop;
mod upsert;
mod vector;

use pyo3::prelude::*;

/// The module `vecdb._vecdb`.
#[pymodule]
mod _vecdb {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::connection::Connection;
    #[pymodule_export]
    use super::stop::Stop;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
