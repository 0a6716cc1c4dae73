//! Checks a whole graph: what any correct writer guarantees, and how much of it a search can reach.

use vecdb_vector::{RowId, RowMask};

use super::connect::Reached;
use super::links::Links;
use crate::{IndexError, VerifyReport};

/// Every link in range, to another row, on a layer that row has, none twice; the entry on the highest layer.
pub(super) fn verify(
    links: &impl Links,
    capacity: impl Fn(u8) -> usize,
    present: Option<&RowMask>,
) -> Result<VerifyReport, IndexError> {
    let corrupt = |what: String| IndexError::Corrupt {
        section: "hnsw",
        what,
    };
    let entry = links.entry();
    let live = present.map_or(links.rows(), RowMask::count);
    if entry.is_none() && live > 0 {
        return Err(corrupt(format!("{live} rows but no entry")));
    }
    let is_present = |row: RowId| present.is_none_or(|present| present.contains(row));
    let mut total = 0;
    let mut targets = Vec::new();
    for row in (0..links.rows()).map(RowId) {
        let level = links.level(row)?;
        if is_present(row) && entry.is_some_and(|entry| entry.level < level) {
            return Err(corrupt(format!(
                "row {} is on layer {level}, above the entry",
                row.0
            )));
        }
        for layer in 0..=level {
            targets.clear();
            links.for_each(layer, row, |link| targets.push(link))?;
            total += targets.len() as u64;
            if targets.len() > capacity(layer) {
                return Err(corrupt(format!(
                    "row {} has {} links on layer {layer}, more than {}",
                    row.0,
                    targets.len(),
                    capacity(layer)
                )));
            }
            for &target in &targets {
                let wrong = if target == row {
                    "itself"
                } else if links.level(target)? < layer {
                    "a row that is not on that layer"
                } else if !is_present(target) {
                    "a row that is not in the graph"
                } else {
                    continue;
                };
                return Err(corrupt(format!(
                    "row {} links on layer {layer} to {wrong} ({})",
                    row.0, target.0
                )));
            }
            targets.sort_unstable();
            if targets.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err(corrupt(format!(
                    "row {} has a link twice on layer {layer}",
                    row.0
                )));
            }
        }
    }
    let reached = Reached::from_entry(links)?;
    Ok(VerifyReport {
        rows: live,
        links: total,
        unreachable: live.saturating_sub(reached.count),
    })
}
