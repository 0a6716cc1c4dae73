//! How large a pool does a recall take? Measured at the end of a build: rows of the graph look for their nearest others
//! while the walk goes around them, as it would if they were not there.

use vecdb_vector::{Neighbor, Scorer, VectorRows};

use super::links::{Entry, Links};
use super::search::{Measure, Walk};
use super::{Hnsw, LinkTable};
use crate::calibration::{EFS, HeldOut, K, KnobForRecall, RECALLS, aimed_at, measure_pools};
use crate::kmeans::read_row;
use crate::sq4::{Reranker, Sq4Query};
use crate::{Budget, BuildOptions, Counters, IndexError, Scratch};

/// Where nothing was measured: pool sizes for each of [`RECALLS`] that serve most data sets of up to millions of rows.
const EFS_USUAL: [u32; RECALLS.len()] = [10, 14, 20, 40, 64, 96, 128, 200, 320, 512, 800];

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
    let seed = graph.params.seed;
    measure_pools(
        (graph.metric, rows),
        seed,
        options,
        |held, ef, scratch, hits| {
            nearest(&graph.links, graph, rows, held, ef as usize, scratch, hits)
        },
    )
}

/// The nearest rows to a held-out one by a pool of `ef`; false if no way leads to others from it.
fn nearest(
    links: &LinkTable,
    graph: &Hnsw,
    rows: VectorRows<'_>,
    held: &HeldOut,
    ef: usize,
    scratch: &mut Scratch,
    hits: &mut Vec<Neighbor>,
) -> Result<bool, IndexError> {
    // Where the walk would begin at the row itself, it begins at a neighbour of it on that layer.
    let Some(mut entry) = links.entry() else {
        return Ok(false);
    };
    if entry.row == held.row {
        let mut other = None;
        links.for_each(entry.level, entry.row, |link| {
            other.get_or_insert(link);
        })?;
        let Some(other) = other else {
            return Ok(false);
        };
        entry.row = other;
    }
    let exact = Scorer::between_rows(scratch.kernels, graph.metric, rows, held.row);
    let Some(codes) = &graph.codes else {
        walk_from(entry, links, exact, held, ef, scratch)?;
        hits.clear();
        hits.extend(scratch.pool.iter().take(K));
        return Ok(true);
    };
    let mut values = vec![0.0; rows.dim()];
    read_row(graph.metric, rows, held.row, &mut values);
    let mut query = Sq4Query::default();
    codes.prepare_values(&values, &mut query)?;
    let on_codes = codes.measure(scratch.kernels, &query)?;
    walk_from(entry, links, on_codes, held, ef, scratch)?;
    let reranker = Reranker {
        scorer: &exact,
        codes,
        query: &query,
        count: None,
    };
    reranker.run(K, scratch);
    hits.clear();
    scratch.top.drain_sorted_into(hits);
    Ok(true)
}

/// Leaves the nearest `ef` rows but the held-out one that a walk finds in `scratch.pool`.
fn walk_from<M: Measure>(
    entry: Entry,
    links: &LinkTable,
    scorer: M,
    held: &HeldOut,
    ef: usize,
    scratch: &mut Scratch,
) -> Result<(), IndexError> {
    let walk = Walk {
        links,
        scorer,
        hidden: Some(held.row),
    };
    let mut counters = Counters::default();
    let nearest = walk.arrive(entry, scratch, &mut counters)?;
    walk.beam(0, nearest, ef, &Budget::UNLIMITED, scratch, &mut counters)?;
    Ok(())
}
