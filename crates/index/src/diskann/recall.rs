//! How large a pool does a recall take? Measured at the end of a build that has its rows in memory, by searches for rows
//! of the index that are kept off their ways.

use vecdb_vector::{Query, VectorRows};

use super::DiskAnn;
use super::search::Request;
use crate::calibration::{K, KnobForRecall, measure_pools};
use crate::{Budget, BuildOptions, IndexError, SearchParams};

/// `None`: too few rows to tell.
pub(super) fn measure(
    index: &DiskAnn,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<Option<KnobForRecall>, IndexError> {
    let (metric, seed) = (index.meta.metric, index.meta.params.seed);
    let place_rows = index
        .columns
        .place_rows
        .words(0, index.meta.rows as usize)?;
    let mut place_of = vec![0; place_rows.len()];
    for (&row, place) in place_rows.iter().zip(0u32..) {
        place_of[row as usize] = place;
    }
    measure_pools((metric, rows), seed, options, |held, ef, scratch, hits| {
        let bytes = rows.row_bytes(held.row);
        let query = Query::from_row_bytes(metric, rows.element(), rows.dim(), bytes);
        // Rows that nobody can ask for, such as zeros under cosine.
        let (Some(&place), Ok(query)) = (place_of.get(held.row.index()), query) else {
            return Ok(false);
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
        index.answer(&request, scratch, hits)?;
        Ok(true)
    })
}
