//! Going on from an older index, so that a merge links only what is new (FreshDiskANN, Singh and others 2021, sections 4
//! and 5): links are kept, what led to a row that is gone is offered the links of that row, new rows are inserted.

use vecdb_vector::{Metric, RowId, VectorRows};

use super::vamana::{self, Inherited};
use super::{DiskAnn, DiskAnnParams};
use crate::{AnnIndex, BuildOptions, IndexError};

impl DiskAnn {
    /// An index over `rows` from `seed`, whose row `i` is now row `remap[i]`, or gone. The centroids of its codes are kept.
    ///
    /// `None` when the seed is of another kind or has other parameters, or so little of it is left that building anew is
    /// better.
    ///
    /// # Errors
    /// Those of [`Self::build`]; a `remap` that does not fit; damaged pages of the seed.
    pub fn extend(
        params: &DiskAnnParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
        seed: &dyn AnnIndex,
        remap: &[Option<RowId>],
    ) -> Result<Option<Self>, IndexError> {
        super::check(params, metric, &rows)?;
        let Some(seed) = seed.as_any().downcast_ref::<DiskAnn>() else {
            return Ok(None);
        };
        if seed.meta.params != *params || seed.check_fits(&rows).is_err() {
            return Ok(None);
        }
        check_remap(remap, seed.meta.rows, rows.len())?;
        let live = remap.iter().flatten().count();
        // With most of it dead, or most rows new, the old links help little and their repair costs more than insertion.
        if live == 0 || live * 2 < remap.len() || live * 4 < rows.len() as usize {
            return Ok(None);
        }
        let inherited = inherit(seed, remap, rows.len(), options)?;
        let graph = vamana::extend(params, metric, rows, &inherited, options)?;
        drop(inherited);
        let codebook = seed.codebook()?;
        Self::assemble(params, metric, rows, &graph, codebook, options).map(Some)
    }
}

fn check_remap(remap: &[Option<RowId>], old: u32, new: u32) -> Result<(), IndexError> {
    let mismatch = |expected: String, got: String| {
        Err(IndexError::Mismatch {
            what: "row map",
            expected,
            got,
        })
    };
    if remap.len() != old as usize {
        return mismatch(format!("{old} rows"), remap.len().to_string());
    }
    let mut taken = vec![false; new as usize];
    for row in remap.iter().flatten() {
        match taken.get_mut(row.index()) {
            Some(taken) if !*taken => *taken = true,
            Some(_) => {
                return mismatch("different rows".to_owned(), format!("row {} twice", row.0));
            }
            None => return mismatch(format!("rows below {new}"), format!("row {}", row.0)),
        }
    }
    Ok(())
}

/// Reads the seed's links, under the new row numbers.
fn inherit(
    seed: &DiskAnn,
    remap: &[Option<RowId>],
    rows: u32,
    options: &BuildOptions<'_>,
) -> Result<Inherited, IndexError> {
    let row_of_place = seed.columns.place_rows.words(0, seed.meta.rows as usize)?;
    let new_row = |place: u32| -> Option<RowId> {
        let row = *row_of_place.get(place as usize)?;
        remap.get(row as usize).copied().flatten()
    };
    let mut links_of = vec![Vec::new(); seed.meta.rows as usize];
    for block in 0..seed.layout.blocks(seed.meta.rows) {
        options.check_cancelled()?;
        seed.with_block(block, |nodes| {
            for (slot, place) in nodes.places().enumerate() {
                if let Some(out) = links_of.get_mut(place as usize) {
                    *out = nodes.links(slot, seed.meta.rows)?.to_vec();
                }
            }
            Ok(())
        })?;
    }
    let mut inherited = vec![None; rows as usize];
    for (place, links) in links_of.iter().enumerate() {
        let Some(row) = new_row(place as u32) else {
            continue;
        };
        let kept = links.iter().filter_map(|&link| new_row(link)).collect();
        let gone = links.iter().filter(|&&link| new_row(link).is_none());
        let offers = gone.flat_map(|&link| links_of.get(link as usize).into_iter().flatten());
        let mut offers: Vec<RowId> = offers.filter_map(|&link| new_row(link)).collect();
        offers.sort_unstable();
        offers.dedup();
        if let Some(slot) = inherited.get_mut(row.index()) {
            *slot = Some((kept, offers));
        }
    }
    // Walks must begin at a row that has links.
    let nav = seed.columns.nav.words(0, seed.meta.nav_count as usize)?;
    let mut starts = seed.meta.entry.iter().chain(nav).copied();
    let entry = starts.find_map(new_row);
    let entry = entry.or_else(|| remap.iter().flatten().next().copied());
    let entry = entry.map(|row| row.0);
    Ok(Inherited {
        rows: inherited,
        entry,
    })
}
