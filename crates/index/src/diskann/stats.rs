//! What the graph and its pages look like, and whether they are sound.

use serde::Serialize;
use vecdb_vector::RowId;

use super::DiskAnn;
use crate::hnsw::Visited;
use crate::{IndexError, VerifyReport};

/// The shape of an index.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiskAnnStats {
    /// Blocks of the page file: what one read brings.
    pub blocks: u32,
    /// Bytes of a block: 4,096 or a multiple.
    pub block_bytes: u32,
    /// Nodes of a block.
    pub nodes_per_block: u32,
    /// Bytes of all pages.
    pub page_bytes: u64,
    /// Bytes that searches keep in memory, besides a cache of nodes.
    pub resident_bytes: u64,
    /// Mean number of links of a node.
    pub degree_mean: f64,
    /// Share of the links that lead to a node of the same block.
    pub links_within_block: f64,
    /// Nodes that searches may start from.
    pub starts: u32,
}

impl DiskAnn {
    /// The shape of the index. Reads all of it.
    ///
    /// # Errors
    /// Damaged sections.
    pub fn stats(&self) -> Result<DiskAnnStats, IndexError> {
        let rows = self.meta.rows;
        let (mut links, mut within) = (0u64, 0u64);
        for block in 0..self.layout.blocks(rows) {
            self.with_block(block, |nodes| {
                for slot in 0..nodes.places().len() {
                    let of_node = nodes.links(slot, rows)?;
                    links += of_node.len() as u64;
                    let inside = of_node.iter().filter(|link| nodes.places().contains(link));
                    within += inside.count() as u64;
                }
                Ok(())
            })?;
        }
        Ok(DiskAnnStats {
            blocks: self.layout.blocks(rows),
            block_bytes: self.layout.block_bytes as u32,
            nodes_per_block: self.layout.slots as u32,
            page_bytes: self.columns.pages.len() as u64,
            resident_bytes: self.resident_bytes(),
            degree_mean: links as f64 / f64::from(rows.max(1)),
            links_within_block: within as f64 / links.max(1) as f64,
            starts: self.meta.nav_count,
        })
    }
}

/// See [`AnnIndex::verify`](crate::AnnIndex::verify).
pub(super) fn verify(index: &DiskAnn, rows: u32) -> Result<VerifyReport, IndexError> {
    if rows != index.meta.rows {
        return Err(IndexError::Mismatch {
            what: "rows of the segment",
            expected: index.meta.rows.to_string(),
            got: rows.to_string(),
        });
    }
    index.codebook()?;
    for column in index.columns.resident() {
        column.bytes(0..column.len())?;
    }
    let mut placed = Visited::default();
    placed.reset(rows);
    for place in 0..rows {
        if !placed.insert(index.row_at(place)?) {
            let what = format!("node {place} is a row that another node is too");
            return Err(index.columns.place_rows.corrupt(what));
        }
    }
    let nav = index.columns.nav.words(0, index.meta.nav_count as usize)?;
    if nav.iter().any(|&place| place >= rows) || !nav.is_sorted_by(|a, b| a < b) {
        return Err(index.columns.nav.corrupt("is not ascending".to_owned()));
    }
    let mut links = 0;
    for block in 0..index.layout.blocks(rows) {
        index.with_block(block, |nodes| {
            for slot in 0..nodes.places().len() {
                links += nodes.links(slot, rows)?.len() as u64;
            }
            Ok(())
        })?;
    }
    Ok(VerifyReport {
        rows,
        links,
        unreachable: rows - reached(index)?,
    })
}

/// How many nodes the entry and the sample lead to.
fn reached(index: &DiskAnn) -> Result<u32, IndexError> {
    let rows = index.meta.rows;
    let mut met = Visited::default();
    met.reset(rows);
    let nav = index.columns.nav.words(0, index.meta.nav_count as usize)?;
    let starts = index.meta.entry.iter().chain(nav).copied();
    let mut open: Vec<u32> = starts.filter(|&place| met.insert(RowId(place))).collect();
    let mut next = Vec::new();
    while let Some(place) = open.pop() {
        next.clear();
        index.with_block(index.layout.block_of(place), |nodes| {
            let slot = (place - nodes.places().start) as usize;
            next.extend_from_slice(nodes.links(slot, rows)?);
            Ok(())
        })?;
        open.extend(next.iter().filter(|&&link| met.insert(RowId(link))));
    }
    Ok(met.len() as u32)
}
