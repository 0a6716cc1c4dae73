//! How large a pool does a recall take? Measured at the end of a build: rows of the graph look for their nearest others
//! while the walk goes around them, as it would if they were not there.

use parking_lot::Mutex;
use vecdb_vector::{Neighbor, RowId, Scorer, VectorRows};

use super::links::Links;
use super::search::Walk;
use super::{Hnsw, LinkTable};
use crate::calibration::{HeldOut, K, KnobForRecall, RECALLS, aimed_at, hold_out};
use crate::{Budget, BuildOptions, Counters, IndexError, Scratch};

/// Pool sizes tried.
pub(crate) const EFS: [u32; 12] = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 480];
/// Where nothing was measured: pool sizes for each of [`RECALLS`] that serve most data sets of up to millions of rows.
const EFS_USUAL: [u32; RECALLS.len()] = [10, 14, 20, 40, 64, 96, 128, 200, 320, 512, 800];
/// Rows of the graph for each query: the measurement must not take long beside the build.
const ROWS_PER_QUERY: usize = 64;
const QUERIES_MIN: usize = 32;

/// The pool size for `k` hits where a search asks for a recall; of more hits than were measured with, as many more.
pub(crate) fn ef_for(measured: Option<&KnobForRecall>, recall: f32, k: usize) -> usize {
    let usual = KnobForRecall::of(EFS_USUAL);
    let ef = match measured.unwrap_or(&usual).value(aimed_at(recall)) {
        // Not even the largest pool tried did it.
        u32::MAX => 2 * EFS.iter().fold(0, |most, &ef| ef.max(most)),
        ef => ef,
    };
    ef as usize + k.saturating_sub(K)
}

/// `None`: too few rows to tell.
pub(super) fn measure(
    graph: &Hnsw,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<Option<KnobForRecall>, IndexError> {
    let queries = (rows.len() as usize / ROWS_PER_QUERY).max(QUERIES_MIN);
    if rows.len() as usize <= K * QUERIES_MIN {
        return Ok(None);
    }
    let held_out = hold_out(graph.metric, rows, queries, graph.params.seed, options)?;
    let mut recalls = Vec::with_capacity(EFS.len());
    for ef in EFS {
        let counts = Mutex::new((0, 0));
        options.for_each_block(
            held_out.len() as u32,
            4,
            || Scratch::with_kernels(options.kernels),
            |scratch, block| {
                let part = held_out.get(block.start as usize..block.end as usize);
                for held in part.unwrap_or_default() {
                    let found = found(&graph.links, graph, rows, held, ef as usize, scratch)?;
                    let mut counts = counts.lock();
                    counts.0 += found;
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

/// How many of the true neighbours a pool of `ef` holds.
fn found(
    links: &LinkTable,
    graph: &Hnsw,
    rows: VectorRows<'_>,
    held: &HeldOut,
    ef: usize,
    scratch: &mut Scratch,
) -> Result<usize, IndexError> {
    // Where the walk would begin at the row itself, it begins at a neighbour of it on that layer.
    let mut start = links.entry();
    if let Some(entry) = start.as_mut().filter(|entry| entry.row == held.row) {
        let mut other = None;
        links.for_each(entry.level, entry.row, |link| {
            other.get_or_insert(link);
        })?;
        match other {
            Some(other) => entry.row = other,
            None => return Ok(held.neighbors.len()),
        }
    }
    let Some(entry) = start else {
        return Ok(0);
    };
    let walk = Walk {
        links,
        scorer: Scorer::between_rows(scratch.kernels, graph.metric, rows, held.row),
        hidden: Some(held.row),
    };
    let mut counters = Counters::default();
    let mut nearest = Neighbor {
        distance: walk.scorer.score(entry.row),
        row: entry.row,
    };
    if entry.level > 0 {
        nearest = walk.descend(nearest, 1..=entry.level, scratch, &mut counters)?;
    }
    walk.beam(0, nearest, ef, &Budget::UNLIMITED, scratch, &mut counters)?;
    let limit = held
        .neighbors
        .last()
        .map_or(f32::NEG_INFINITY, |n| n.distance);
    let is_near = |row: RowId| held.neighbors.iter().any(|n| n.row == row);
    let near = scratch.pool.iter().take(K);
    let near = near.filter(|hit| hit.distance <= limit || is_near(hit.row));
    Ok(near.count().min(held.neighbors.len()))
}
