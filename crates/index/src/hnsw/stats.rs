//! What a graph looks like: rows per layer, degrees, bytes, how far rows are from the entry.

use serde::Serialize;
use vecdb_vector::RowId;

use super::links::Links;
use crate::IndexError;

/// Statistics of a graph, for people who tune it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HnswStats {
    /// Rows in the graph.
    pub rows: u32,
    /// The highest layer.
    pub max_layer: u8,
    /// Where searches start.
    pub entry: Option<u32>,
    /// Rows on each layer, layer 0 first.
    pub rows_per_layer: Vec<u32>,
    /// Mean number of links per row on each layer, layer 0 first.
    pub degree_per_layer: Vec<f64>,
    /// Rows by number of links on layer 0: entry `i` is how many rows have `i`.
    pub degree_histogram: Vec<u32>,
    /// Bytes of links and offsets, without the vectors.
    pub graph_bytes: u64,
    /// Most steps over layer 0 from the entry to any row it leads to: at least half the diameter, at most all of it.
    pub depth_max: u32,
    /// Mean steps over layer 0 from the entry.
    pub depth_mean: f64,
    /// Rows that layer 0 does not lead to from the entry.
    pub unreachable: u32,
}

/// Reads the whole graph once. `live` rows of it are in use.
pub(super) fn measure(
    links: &impl Links,
    live: u32,
    graph_bytes: u64,
) -> Result<HnswStats, IndexError> {
    let entry = links.entry();
    let max_layer = entry.map_or(0, |entry| entry.level);
    let layers = usize::from(max_layer) + 1;
    let mut rows_per_layer = vec![0u32; layers];
    let mut links_per_layer = vec![0u64; layers];
    let mut degree_histogram = Vec::new();
    for row in (0..links.rows()).map(RowId) {
        let level = links.level(row)?;
        for layer in 0..=level.min(max_layer) {
            let mut degree = 0usize;
            links.for_each(layer, row, |_| degree += 1)?;
            // Rows not in the graph (or alone in it) have no links and count for nothing.
            if degree == 0 && live > 1 {
                continue;
            }
            if let Some(rows) = rows_per_layer.get_mut(usize::from(layer)) {
                *rows += 1;
            }
            if let Some(links) = links_per_layer.get_mut(usize::from(layer)) {
                *links += degree as u64;
            }
            if layer == 0 {
                if degree_histogram.len() <= degree {
                    degree_histogram.resize(degree + 1, 0);
                }
                if let Some(rows) = degree_histogram.get_mut(degree) {
                    *rows += 1;
                }
            }
        }
    }
    if let Some(rows) = rows_per_layer.first_mut() {
        *rows = live;
    }
    // The entry may be alone on the top layer.
    if let Some(rows) = rows_per_layer.last_mut().filter(|_| live > 0) {
        *rows = (*rows).max(1);
    }
    let degrees = links_per_layer.iter().zip(&rows_per_layer);
    let degree_per_layer = degrees
        .map(|(&links, &rows)| links as f64 / f64::from(rows.max(1)))
        .collect();
    let depths = depths(links)?;
    Ok(HnswStats {
        rows: live,
        max_layer,
        entry: entry.map(|entry| entry.row.0),
        rows_per_layer,
        degree_per_layer,
        degree_histogram,
        graph_bytes,
        depth_max: depths.max,
        depth_mean: depths.sum as f64 / f64::from(depths.count.max(1)),
        unreachable: live.saturating_sub(depths.count),
    })
}

#[derive(Default)]
struct Depths {
    count: u32,
    max: u32,
    sum: u64,
}

/// Breadth first over layer 0.
fn depths(links: &impl Links) -> Result<Depths, IndexError> {
    let mut depths = Depths::default();
    let Some(entry) = links.entry() else {
        return Ok(depths);
    };
    let mut seen = vec![false; links.rows() as usize];
    let mut current = Vec::new();
    let mut next = vec![entry.row];
    if let Some(seen) = seen.get_mut(entry.row.0 as usize) {
        *seen = true;
    }
    let mut depth = 0;
    while !next.is_empty() {
        std::mem::swap(&mut current, &mut next);
        depths.count += current.len() as u32;
        depths.sum += u64::from(depth) * current.len() as u64;
        depths.max = depth;
        for row in current.drain(..) {
            links.for_each(0, row, |link| {
                if let Some(seen @ false) = seen.get_mut(link.0 as usize) {
                    *seen = true;
                    next.push(link);
                }
            })?;
        }
        depth += 1;
    }
    Ok(depths)
}
