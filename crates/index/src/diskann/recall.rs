//! How large a pool does a recall take? Measured at the end of a build that has its rows in memory, by searches for rows
//! of the index that are kept off their ways.

use std::collections::HashMap;

use parking_lot::Mutex;
use vecdb_vector::{Neighbor, Query, VectorRows};

use super::DiskAnn;
use super::search::Request;
use crate::calibration::{HeldOut, K, KnobForRecall, RECALLS, hold_out};
use crate::hnsw::recall::EFS;
use crate::{Budget, BuildOptions, IndexError, Scratch, SearchParams};

/// Rows of the index for each query: the measurement must not take long beside the build.
const ROWS_PER_QUERY: usize = 64;
const QUERIES_MIN: usize = 32;

/// `None`: too few rows to tell.
pub(super) fn measure(
    index: &DiskAnn,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<Option<KnobForRecall>, IndexError> {
    if rows.len() as usize <= K * QUERIES_MIN {
        return Ok(None);
    }
    let queries = (rows.len() as usize / ROWS_PER_QUERY).max(QUERIES_MIN);
    let seed = index.meta.params.seed;
    let held_out = hold_out(index.meta.metric, rows, queries, seed, options)?;
    let place_rows = index
        .columns
        .place_rows
        .words(0, index.meta.rows as usize)?;
    let place_of: HashMap<u32, u32> = {
        let wanted: Vec<u32> = held_out.iter().map(|held| held.row.0).collect();
        let places = place_rows.iter().zip(0..);
        let of_wanted = places.filter(|(row, _)| wanted.contains(row));
        of_wanted.map(|(&row, place)| (row, place)).collect()
    };
    let mut recalls = Vec::with_capacity(EFS.len());
    for ef in EFS {
        let counts = Mutex::new((0, 0));
        options.for_each_block(
            held_out.len() as u32,
            4,
            || (Scratch::with_kernels(options.kernels), Vec::new()),
            |(scratch, out), block| {
                let part = held_out.get(block.start as usize..block.end as usize);
                for held in part.unwrap_or_default() {
                    let Some(&place) = place_of.get(&held.row.0) else {
                        continue;
                    };
                    let bytes = rows.row_bytes(held.row);
                    let (metric, element) = (index.meta.metric, rows.element());
                    // Rows that nobody can ask for, such as zeros under cosine.
                    let Ok(query) = Query::from_row_bytes(metric, element, rows.dim(), bytes)
                    else {
                        continue;
                    };
                    let request = Request {
                        rows: None,
                        query: &query,
                        k: K,
                        mask: None,
                        params: &SearchParams {
                            ef: Some(ef),
                            ..SearchParams::default()
                        },
                        budget: &Budget::UNLIMITED,
                        hidden: Some(place),
                    };
                    index.answer(&request, scratch, out)?;
                    let mut counts = counts.lock();
                    counts.0 += found(held, out);
                    counts.1 += held.neighbors.len();
                }
                Ok(())
            },
        )?;
        let (found, wanted) = counts.into_inner();
        if wanted == 0 {
            return Ok(None);
        }
        let recall = found as f64 / wanted as f64;
        recalls.push((ef, recall));
        if recall >= f64::from(RECALLS[RECALLS.len() - 1]) {
            break;
        }
    }
    Ok(Some(KnobForRecall::from_measurements(&recalls)))
}

/// How many of the true neighbours were found.
fn found(held: &HeldOut, hits: &[Neighbor]) -> usize {
    let limit = held
        .neighbors
        .last()
        .map_or(f32::NEG_INFINITY, |n| n.distance);
    let is_near =
        |hit: &&Neighbor| hit.distance <= limit || held.neighbors.iter().any(|n| n.row == hit.row);
    let near = hits.iter().filter(is_near).count();
    near.min(held.neighbors.len())
}
