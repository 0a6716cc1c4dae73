//! Building a whole graph, from nothing or from the graph of an older segment.

use std::sync::atomic::{AtomicU64, Ordering};

use vecdb_vector::{Metric, RowId, RowMask, VectorRows};

use super::codes::Codes;
use super::connect::connect_orphans;
use super::insert::{InsertScratch, Inserter};
use super::level;
use super::links::LinkTable;
use super::pool::ROWS_MAX;
use super::prune::Space;
use super::{Hnsw, extend, recall};
use crate::sq4::Sq4Codes;
use crate::{AnnIndex, BuildOptions, HnswParams, IndexError, Quantization};

/// Rows inserted by one thread before others join: threads that start together know nothing of each other.
const SOLO_ROWS: u32 = 512;

/// Rows a thread takes at a time.
const BLOCK: u32 = 32;

/// Rows between two calls of the progress listener.
const PROGRESS_ROWS: u64 = 1024;

impl Hnsw {
    /// Builds a graph over all rows.
    ///
    /// # Errors
    /// Parameters out of range, an unsupported metric, more than 2^31 rows, cancellation.
    pub fn build(
        params: &HnswParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let links = link_all(params, metric, rows, options)?;
        Self::calibrated(params, metric, links, rows, options)
    }

    /// Builds a graph over all rows from the graph `seed` of an older segment whose row `i` is now row `remap[i]`, or
    /// gone. Links are kept, those to rows that are gone are repaired, the other rows are inserted.
    ///
    /// `None` when the seed is no HNSW graph with the same `m`, or so little of it is left that building anew is better.
    ///
    /// # Errors
    /// Those of [`build`](Self::build); a `remap` that does not fit; corrupt links in a mapped seed.
    pub fn extend(
        params: &HnswParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
        seed: &dyn AnnIndex,
        remap: &[Option<RowId>],
    ) -> Result<Option<Self>, IndexError> {
        check(params, metric, rows)?;
        let Some(start) = extend::transplant(params, metric, rows, options, seed, remap)? else {
            return Ok(None);
        };
        complete(&start.links, params, metric, rows, &start.missing, options)?;
        Self::calibrated(params, metric, start.links, rows, options).map(Some)
    }

    fn calibrated(
        params: &HnswParams,
        metric: Metric,
        links: LinkTable,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let present = RowMask::all(rows.len());
        let mut graph = Self::from_links(params.clone(), metric, links, present);
        let (seed, codes) = (params.seed, params.quantization);
        graph.codes = match codes {
            Quantization::None => None,
            Quantization::Auto => Sq4Codes::encode_if_good(metric, rows, seed, options)?,
            Quantization::Sq4 => Sq4Codes::encode(metric, rows, seed, options)?,
        };
        graph.ef_for_recall = recall::measure(&graph, rows, options)?;
        Ok(graph)
    }
}

/// Links of all rows.
pub(super) fn link_all(
    params: &HnswParams,
    metric: Metric,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<LinkTable, IndexError> {
    check(params, metric, rows)?;
    let levels = (0..rows.len()).map(|row| level::draw(params.seed, RowId(row), params.m));
    let links = LinkTable::new(params.m, levels);
    let todo: Vec<RowId> = (0..rows.len()).map(RowId).collect();
    complete(&links, params, metric, rows, &todo, options)?;
    Ok(links)
}

pub(super) fn check(
    params: &HnswParams,
    metric: Metric,
    rows: VectorRows<'_>,
) -> Result<(), IndexError> {
    params.validate()?;
    if !metric.supports(rows.element()) {
        return Err(IndexError::UnsupportedMetric {
            metric,
            element: rows.element(),
        });
    }
    params.check_field(metric, rows.element())?;
    if rows.len() > ROWS_MAX {
        return Err(IndexError::TooManyRows {
            rows: u64::from(rows.len()),
            limit: u64::from(ROWS_MAX),
        });
    }
    Ok(())
}

/// Inserts the rows `todo`, with all threads, and ties in what cannot be reached.
fn complete(
    links: &LinkTable,
    params: &HnswParams,
    metric: Metric,
    rows: VectorRows<'_>,
    todo: &[RowId],
    options: &BuildOptions<'_>,
) -> Result<(), IndexError> {
    let codes = Codes::encode(metric, rows, todo.len(), options)?;
    let (rows, metric) = match &codes {
        Some(codes) => (codes.as_rows()?, codes.metric()),
        None => (rows, metric),
    };
    let space = Space {
        rows,
        metric,
        kernels: options.kernels,
        occlusion: 1.0,
    };
    let inserter = Inserter::new(links, params, space);
    let total = todo.len() as u64;
    let done = AtomicU64::new(0);
    let insert_all = |scratch: &mut InsertScratch, part: &[RowId]| -> Result<(), IndexError> {
        for &row in part {
            inserter.insert(row, scratch)?;
        }
        let inserted = part.len() as u64;
        let before = done.fetch_add(inserted, Ordering::Relaxed);
        if before / PROGRESS_ROWS != (before + inserted) / PROGRESS_ROWS {
            options.progress.advance(before + inserted, total);
        }
        Ok(())
    };
    let scratch = || InsertScratch::new(options.kernels);
    let (solo, rest) = todo.split_at(todo.len().min(SOLO_ROWS as usize));
    options.check_cancelled()?;
    insert_all(&mut scratch(), solo)?;
    options.for_each_block(rest.len() as u32, BLOCK, scratch, |scratch, block| {
        let part = rest.get(block.start as usize..block.end as usize);
        insert_all(scratch, part.unwrap_or(&[]))
    })?;
    connect_orphans(&inserter, None, &mut scratch())?;
    options.progress.advance(total, total);
    Ok(())
}
