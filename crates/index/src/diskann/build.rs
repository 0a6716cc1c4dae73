//! From rows and their graph to an index in memory.

use vecdb_vector::{Metric, RowId, VectorRows, inverse_norm};

use super::codes::{self, Codebook};
use super::section::{CODEBOOK, Meta, NAV, NAV_CODES, PAGES, ROWS};
use super::vamana::{self, Graph};
use super::{Columns, DiskAnn, DiskAnnParams, order, recall};
use crate::column::Column;
use crate::random::Random;
use crate::{BuildOptions, IndexError};

/// Pages written per step of a thread.
const BLOCKS: usize = 16;

/// Nodes in the sample that searches start from: so many times the square root of all. Half of the walk to the
/// neighbourhood of the query is saved for one look at as many codes.
const NAV_PER_ROOT: f64 = 2.0;

impl DiskAnn {
    /// Builds an index over all rows, in memory.
    ///
    /// # Errors
    /// Parameters out of range, an unsupported metric, more than 2^31 rows, values that are not finite, cancellation.
    pub fn build(
        params: &DiskAnnParams,
        metric: Metric,
        rows: VectorRows<'_>,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        super::check(params, metric, &rows)?;
        let pieces = params.code_bytes_for(rows.dim());
        let codebook = Codebook::train(metric, rows, pieces, params.seed, options)?;
        let graph = vamana::build(params, metric, rows, options)?;
        Self::assemble(params, metric, rows, &graph, &codebook, options)
    }

    /// Lays the rows out and codes them.
    pub(super) fn assemble(
        params: &DiskAnnParams,
        metric: Metric,
        rows: VectorRows<'_>,
        graph: &Graph,
        codebook: &Codebook,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let mut meta = Meta {
            params: params.clone(),
            metric,
            element: rows.element(),
            dim: rows.dim(),
            rows: rows.len(),
            degree: params.r as usize,
            code_bytes: codebook.code_bytes(),
            nav_count: 0,
            entry: None,
            ef_for_recall: None,
        };
        let layout = meta.layout();
        let order = order::arrange(graph, rows.len(), layout.slots);
        let mut place_of = vec![0u32; order.len()];
        for (place, &row) in order.iter().enumerate() {
            place_of[row as usize] = place as u32;
        }
        meta.entry = graph.entry().map(|row| place_of[row as usize]);
        let codes = codebook.encode(rows, &order, options)?;
        let nav = navigation(rows.len(), params.seed);
        meta.nav_count = nav.len() as u32;
        let bytes = codebook.code_bytes();
        let nav_codes = nav
            .iter()
            .flat_map(|&place| &codes[place as usize * bytes..][..bytes]);
        let nav_codes = nav_codes.copied().collect();
        let mut pages = vec![0u8; layout.blocks(rows.len()) as usize * layout.block_bytes];
        options.for_each_chunk(
            &mut pages,
            BLOCKS * layout.block_bytes,
            || (Vec::new(), Vec::new()),
            |(links, ends): &mut (Vec<u32>, Vec<usize>), first, out| {
                let first = first / layout.block_bytes;
                let mut read = Vec::new();
                for (i, out) in out.chunks_exact_mut(layout.block_bytes).enumerate() {
                    let block = (first + i) as u32;
                    let places = layout.places(block, rows.len());
                    links.clear();
                    ends.clear();
                    for place in places.clone() {
                        graph.links_of(order[place as usize], &mut read);
                        links.extend(read.iter().map(|link| place_of[link.index()]));
                        ends.push(links.len());
                    }
                    let nodes = places.enumerate().map(|(slot, place)| {
                        let row = RowId(order[place as usize]);
                        let start = slot.checked_sub(1).map_or(0, |before| ends[before]);
                        (
                            rows.row_bytes(row),
                            norm_of(metric, &rows, row),
                            &links[start..ends[slot]],
                        )
                    });
                    layout.encode(block, nodes, out);
                }
                Ok(())
            },
        )?;
        let columns = Columns {
            codebook: Column::built(CODEBOOK, codebook.to_bytes()),
            codes: codes::column(codes),
            place_rows: Column::built(ROWS, bytemuck::cast_slice(&order).to_vec()),
            nav: Column::built(NAV, bytemuck::cast_slice(&nav).to_vec()),
            nav_codes: Column::built(NAV_CODES, nav_codes),
            pages: Column::built(PAGES, pages),
        };
        let mut index = Self::from_columns(meta, columns)?;
        index.meta.ef_for_recall = recall::measure(&index, rows, options)?;
        Ok(index)
    }
}

/// The sample that searches start from: places, ascending.
pub(super) fn navigation(rows: u32, seed: u64) -> Vec<u32> {
    let wanted = (NAV_PER_ROOT * f64::from(rows).sqrt()).ceil() as usize;
    let drawn = Random::new(seed ^ 0x6e_61_76).distinct(wanted, rows as usize);
    drawn.into_iter().map(|place| place as u32).collect()
}

fn norm_of(metric: Metric, rows: &VectorRows<'_>, row: RowId) -> f32 {
    match rows.inverse_norms() {
        _ if !metric.needs_norms() => 0.0,
        Some(norms) => norms[row.index()],
        None => inverse_norm(rows.element(), rows.dim(), rows.row_bytes(row)),
    }
}
