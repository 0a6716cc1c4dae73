//! From an [`IndexSpec`] to an index: the one place that lists the kinds.

use vecdb_storage::SectionFile;
use vecdb_vector::{Metric, RowId, VectorRows};

use crate::{
    AnnIndex, BuildOptions, BuiltIndex, DiskAnn, Flat, Hnsw, HnswGraph, IndexError, IndexSpec, Ivf,
    Lsh,
};

/// Builds the index that `spec` describes over `rows`.
///
/// # Errors
/// Parameters out of range, a metric that the rows' elements do not have, cancellation.
pub fn build(
    spec: &IndexSpec,
    metric: Metric,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<Box<dyn BuiltIndex>, IndexError> {
    spec.validate()?;
    check_metric(metric, &rows)?;
    Ok(match spec {
        IndexSpec::Flat => Box::new(Flat::new(metric, rows.len())),
        IndexSpec::Hnsw(params) => Box::new(Hnsw::build(params, metric, rows, options)?),
        IndexSpec::Ivf(params) => Box::new(Ivf::build(params, metric, rows, options)?),
        IndexSpec::DiskAnn(params) => Box::new(DiskAnn::build(params, metric, rows, options)?),
        IndexSpec::Lsh(params) => Box::new(Lsh::build(params, metric, rows, options)?),
    })
}

/// Builds the index that `spec` describes over `rows`, starting from `seed`, an index over rows that are now among
/// them: `remap[old]` is the new number of the seed's row `old`, `None` if that row is gone.
///
/// Graph kinds keep the seed's links, repair those that led to rows that are gone, and insert only the rows that the
/// seed did not have. IVF keeps the centroids and the places of the rows it had,
/// LSH the hash functions and the hashes. When the seed is of another kind or has other parameters, or has lost most of its rows, this is
/// [`build`].
///
/// # Errors
/// Those of [`build`]; a `remap` of the wrong length, out of range, or with a row number given twice.
pub fn build_extending(
    spec: &IndexSpec,
    metric: Metric,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
    seed: &dyn AnnIndex,
    remap: &[Option<RowId>],
) -> Result<Box<dyn BuiltIndex>, IndexError> {
    spec.validate()?;
    check_metric(metric, &rows)?;
    let extended: Option<Box<dyn BuiltIndex>> = match spec {
        _ if seed.metric() != metric => None,
        IndexSpec::Flat => None,
        IndexSpec::Hnsw(params) => Hnsw::extend(params, metric, rows, options, seed, remap)?
            .map(|graph| Box::new(graph) as _),
        IndexSpec::Ivf(params) => Ivf::extend(params, metric, rows, options, seed, remap)?
            .map(|lists| Box::new(lists) as _),
        IndexSpec::DiskAnn(params) => DiskAnn::extend(params, metric, rows, options, seed, remap)?
            .map(|index| Box::new(index) as _),
        IndexSpec::Lsh(params) => Lsh::extend(params, metric, rows, options, seed, remap)?
            .map(|tables| Box::new(tables) as _),
    };
    match extended {
        Some(index) => Ok(index),
        None => build(spec, metric, rows, options),
    }
}

/// Opens a saved index over `rows` rows from the sections of a sealed file. Cost does not grow with the rows.
///
/// # Errors
/// Missing or damaged sections, or sections of an index over another number of rows.
pub fn open(
    spec: &IndexSpec,
    metric: Metric,
    file: &SectionFile,
    rows: u32,
) -> Result<Box<dyn AnnIndex>, IndexError> {
    Ok(match spec {
        IndexSpec::Flat => Box::new(Flat::new(metric, rows)),
        IndexSpec::Hnsw(_) => Box::new(HnswGraph::open(file, metric, rows)?),
        IndexSpec::Ivf(_) => Box::new(Ivf::open(file, metric, rows)?),
        IndexSpec::DiskAnn(_) => Box::new(DiskAnn::open(file, metric, rows)?),
        IndexSpec::Lsh(_) => Box::new(Lsh::open(file, metric, rows)?),
    })
}

fn check_metric(metric: Metric, rows: &VectorRows<'_>) -> Result<(), IndexError> {
    if metric.supports(rows.element()) {
        return Ok(());
    }
    Err(IndexError::UnsupportedMetric {
        metric,
        element: rows.element(),
    })
}
