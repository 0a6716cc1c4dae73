//! Taking over the graph of an older segment, so that a merge inserts only what is new.

use parking_lot::Mutex;
use vecdb_vector::{Metric, RowId, VectorRows};

use super::delete::refill;
use super::insert::{InsertScratch, Inserter};
use super::level;
use super::links::{Entry, LinkTable, Links};
use super::prune::Space;
use super::{Hnsw, HnswGraph};
use crate::{AnnIndex, BuildOptions, HnswParams, IndexError};

/// A graph over the rows taken over, and the rows still to insert.
pub(super) struct Start {
    pub(super) links: LinkTable,
    pub(super) missing: Vec<RowId>,
}

/// The seed's graph under the new row numbers, links to dead rows repaired. `None` when it is not worth it.
pub(super) fn transplant(
    params: &HnswParams,
    metric: Metric,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
    seed: &dyn AnnIndex,
    remap: &[Option<RowId>],
) -> Result<Option<Start>, IndexError> {
    let space = Space {
        rows,
        metric,
        kernels: options.kernels,
        occlusion: 1.0,
    };
    let any = seed.as_any();
    if let Some(hnsw) = any.downcast_ref::<Hnsw>() {
        if hnsw.params().m != params.m || hnsw.present.count() < hnsw.rows() {
            return Ok(None);
        }
        return graft(params, space, options, &hnsw.links, remap);
    }
    match any.downcast_ref::<HnswGraph>() {
        Some(graph) if graph.params().m == params.m && graph.is_complete() => {
            graft(params, space, options, graph.links(), remap)
        }
        _ => Ok(None),
    }
}

fn graft(
    params: &HnswParams,
    space: Space<'_>,
    options: &BuildOptions<'_>,
    old: &(impl Links + Sync),
    remap: &[Option<RowId>],
) -> Result<Option<Start>, IndexError> {
    let count = space.rows.len();
    let mut source = vec![None; count as usize];
    if remap.len() != old.rows() as usize {
        return Err(IndexError::Mismatch {
            what: "length of the row map",
            expected: old.rows().to_string(),
            got: remap.len().to_string(),
        });
    }
    for (i, new) in remap.iter().enumerate() {
        let Some(new) = new else { continue };
        match source.get_mut(new.0 as usize) {
            Some(slot @ None) => *slot = Some(RowId(i as u32)),
            taken => {
                return Err(IndexError::Mismatch {
                    what: "row map",
                    expected: format!("different rows below {count}"),
                    got: match taken {
                        Some(_) => format!("row {} twice", new.0),
                        None => format!("row {}", new.0),
                    },
                });
            }
        }
    }
    let live = source.iter().flatten().count();
    // With most of it dead, or most rows new, the old links help little and their repair costs more than insertion.
    if live * 2 < remap.len() || live * 4 < source.len() || live == 0 {
        return Ok(None);
    }
    let mut levels = Vec::with_capacity(source.len());
    for (row, old_row) in source.iter().enumerate() {
        levels.push(match old_row {
            Some(old_row) => old.level(*old_row)?,
            None => level::draw(params.seed, RowId(row as u32), params.m),
        });
    }
    let links = LinkTable::new(params.m, levels);
    let inserter = Inserter::new(&links, params, space);
    let top = Mutex::new(None::<Entry>);
    options.for_each_block(
        count,
        256,
        || InsertScratch::new(options.kernels),
        |scratch, block| {
            for row in block.map(RowId) {
                let Some(old_row) = source.get(row.0 as usize).copied().flatten() else {
                    continue;
                };
                copy_row(&inserter, old, old_row, row, remap, scratch)?;
                let level = links.level_of(row);
                let mut top = top.lock();
                let higher = top.is_none_or(|top| {
                    (top.level, std::cmp::Reverse(top.row)) < (level, std::cmp::Reverse(row))
                });
                if higher {
                    *top = Some(Entry { row, level });
                }
            }
            Ok(())
        },
    )?;
    let entry = top.into_inner();
    // The old entry stays where it can: its layer is known to lead everywhere.
    let kept = old.entry().and_then(|entry| {
        let row = remap.get(entry.row.0 as usize).copied().flatten()?;
        Some(Entry { row, ..entry })
    });
    links.set_entry(kept.or(entry));
    let missing = (0..count).map(RowId).zip(&source);
    let missing = missing.filter(|(_, old_row)| old_row.is_none());
    let missing = missing.map(|(row, _)| row).collect();
    Ok(Some(Start { links, missing }))
}

/// Copies the links of one row; for each that led to a dead row, the dead row's links are offered.
fn copy_row(
    inserter: &Inserter<'_>,
    old: &impl Links,
    old_row: RowId,
    row: RowId,
    remap: &[Option<RowId>],
    scratch: &mut InsertScratch,
) -> Result<(), IndexError> {
    let new_number = |old: RowId| remap.get(old.0 as usize).copied().flatten();
    for layer in 0..=inserter.links.level_of(row) {
        let (mut kept, mut dead, mut offers) = (Vec::new(), Vec::new(), Vec::new());
        old.for_each(layer, old_row, |link| match new_number(link) {
            Some(link) => kept.push(link),
            None => dead.push(link),
        })?;
        for &gone in &dead {
            old.for_each(layer, gone, |link| offers.extend(new_number(link)))?;
        }
        if !offers.is_empty() {
            offers.sort_unstable();
            offers.dedup();
            refill(inserter, layer, row, &mut kept, &offers, scratch);
        }
        inserter.links.write(layer, row, kept.into_iter());
    }
    Ok(())
}
