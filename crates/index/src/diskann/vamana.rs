//! The graph: Vamana (Subramanya and others, NeurIPS 2019, section 2).
//!
//! Every row is searched for, and links to those of the rows met that the heuristic keeps; they link back. This is done
//! twice: first with alpha 1, then with the alpha asked for, which adds the long links. A row may have 1.3 times its links
//! until it is pruned again (the slack of the published implementation), which saves most of that work.

use std::sync::atomic::{AtomicU64, Ordering};

use vecdb_vector::{Metric, Neighbor, RowId, VectorRows};

use super::DiskAnnParams;
use crate::hnsw::codes::Codes;
use crate::hnsw::connect::connect_orphans;
use crate::hnsw::insert::{InsertScratch, Inserter};
use crate::hnsw::links::{Entry, LinkTable, Links};
use crate::hnsw::prune::Space;
use crate::hnsw::prune::occlusion;
use crate::hnsw::search::Walk;
use crate::kmeans::read_row;
use crate::random::{Random, mix};
use crate::{Budget, BuildOptions, Counters, IndexError};

/// Rows linked by one thread before others join: threads that start together know nothing of each other.
const SOLO_ROWS: usize = 512;
/// Rows a thread takes at a time.
const BLOCK: u32 = 32;
const PROGRESS_ROWS: u64 = 1024;
/// Rows among which the middle one is looked for.
const MEDOID_ROWS: usize = 1024;

/// Links a row may have until it is pruned again.
fn with_slack(r: u32) -> u32 {
    (r + r * 3 / 10).next_multiple_of(2)
}

/// A table for rows of up to `capacity` links on one layer.
fn table(capacity: u32, rows: u32) -> LinkTable {
    LinkTable::new(capacity / 2, (0..rows).map(|_| 0))
}

/// About how many bytes of memory a build over so many rows holds, without the rows: the links twice, and a byte a number.
pub(super) fn build_bytes(params: &DiskAnnParams, rows: u32, dim: usize) -> u64 {
    let slots =
        u64::from(with_slack(params.r).next_multiple_of(16) + params.r.next_multiple_of(16));
    u64::from(rows) * (slots * 4 + dim as u64 + 16)
}

/// The finished graph: of every row up to R links, all rows reachable from the entry.
pub(super) struct Graph {
    links: LinkTable,
}

impl Graph {
    /// Where walks begin; `None` without rows.
    pub(super) fn entry(&self) -> Option<u32> {
        self.links.entry().map(|entry| entry.row.0)
    }

    /// Leaves the links of a row in `out`, the nearest first.
    pub(super) fn links_of(&self, row: u32, out: &mut Vec<RowId>) {
        out.clear();
        self.links.read(0, RowId(row), out);
    }
}

/// Links that an older index has given: kept ones, to be repaired and added to.
pub(super) struct Inherited {
    /// Per row its links, and what is offered to it in place of links that are gone; `None` for rows that are new.
    pub(super) rows: Vec<Option<(Vec<RowId>, Vec<RowId>)>>,
    pub(super) entry: Option<u32>,
}

/// Builds the graph over all rows.
pub(super) fn build(
    params: &DiskAnnParams,
    metric: Metric,
    rows: VectorRows<'_>,
    options: &BuildOptions<'_>,
) -> Result<Graph, IndexError> {
    let todo = shuffled(rows.len(), params.seed);
    let codes = Codes::encode(metric, rows, todo.len(), options)?;
    let (space_rows, space_metric) = match &codes {
        Some(codes) => (codes.as_rows()?, codes.metric()),
        None => (rows, metric),
    };
    let links = table(with_slack(params.r), rows.len());
    let entry = medoid(metric, rows, params.seed).map(|row| Entry { row, level: 0 });
    links.set_entry(entry);
    let mut builder = Builder {
        links: &links,
        space: Space {
            rows: space_rows,
            metric: space_metric,
            kernels: options.kernels,
            occlusion: 1.0,
        },
        r: params.r as usize,
        l: params.l_build.max(params.r) as usize,
    };
    let total = 2 * todo.len() as u64;
    builder.link_all(&todo, options, (0, total))?;
    builder.space.occlusion = occlusion(metric, params.alpha);
    builder.link_all(&todo, options, (todo.len() as u64, total))?;
    builder.finish(options)
}

/// Builds the graph from links that an older one has given: repairs them, and links the rows that are new.
pub(super) fn extend(
    params: &DiskAnnParams,
    metric: Metric,
    rows: VectorRows<'_>,
    inherited: &Inherited,
    options: &BuildOptions<'_>,
) -> Result<Graph, IndexError> {
    let links = table(with_slack(params.r), rows.len());
    let entry = inherited.entry.map(RowId);
    links.set_entry(entry.map(|row| Entry { row, level: 0 }));
    let builder = Builder {
        links: &links,
        space: Space {
            rows,
            metric,
            kernels: options.kernels,
            occlusion: occlusion(metric, params.alpha),
        },
        r: params.r as usize,
        l: params.l_build.max(params.r) as usize,
    };
    options.for_each_block(
        rows.len(),
        BLOCK,
        || InsertScratch::new(options.kernels),
        |scratch, block| {
            for row in block {
                if let Some(Some((kept, offers))) = inherited.rows.get(row as usize) {
                    builder.inherit(RowId(row), kept, offers, scratch);
                }
            }
            Ok(())
        },
    )?;
    let mut todo = shuffled(rows.len(), params.seed);
    todo.retain(|row| matches!(inherited.rows.get(row.index()), Some(None)));
    builder.link_all(&todo, options, (0, todo.len() as u64))?;
    builder.finish(options)
}

fn shuffled(rows: u32, seed: u64) -> Vec<RowId> {
    let mut todo: Vec<RowId> = (0..rows).map(RowId).collect();
    let mut random = Random::new(mix(seed ^ 0x76_61_6d_61));
    for i in (1..todo.len()).rev() {
        todo.swap(i, random.below(i as u64 + 1) as usize);
    }
    todo
}

/// The row nearest to the mean, both of a sample.
fn medoid(metric: Metric, rows: VectorRows<'_>, seed: u64) -> Option<RowId> {
    let drawn = Random::new(seed).distinct(MEDOID_ROWS, rows.len() as usize);
    let dim = rows.dim();
    let mut values = vec![0.0; dim];
    let mut mean = vec![0.0f64; dim];
    for &row in &drawn {
        read_row(metric, rows, RowId(row as u32), &mut values);
        for (mean, &value) in mean.iter_mut().zip(&values) {
            *mean += f64::from(value) / drawn.len() as f64;
        }
    }
    let distance = |row: &usize| -> f64 {
        let mut values = vec![0.0; dim];
        read_row(metric, rows, RowId(*row as u32), &mut values);
        let pairs = values.iter().zip(&mean);
        pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum()
    };
    let measured = drawn.iter().map(|row| (distance(row), *row));
    let nearest = measured.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    nearest.map(|(_, row)| RowId(row as u32))
}

struct Builder<'a> {
    links: &'a LinkTable,
    space: Space<'a>,
    r: usize,
    l: usize,
}

impl Builder<'_> {
    fn link_all(
        &self,
        todo: &[RowId],
        options: &BuildOptions<'_>,
        (before, total): (u64, u64),
    ) -> Result<(), IndexError> {
        let done = AtomicU64::new(before);
        let link = |scratch: &mut InsertScratch, part: &[RowId]| -> Result<(), IndexError> {
            for &row in part {
                self.link(row, scratch)?;
            }
            let count = part.len() as u64;
            let from = done.fetch_add(count, Ordering::Relaxed);
            if from / PROGRESS_ROWS != (from + count) / PROGRESS_ROWS {
                options.progress.advance(from + count, total);
            }
            Ok(())
        };
        let scratch = || InsertScratch::new(options.kernels);
        let (solo, rest) = todo.split_at(todo.len().min(SOLO_ROWS));
        options.check_cancelled()?;
        link(&mut scratch(), solo)?;
        options.for_each_block(rest.len() as u32, BLOCK, scratch, |scratch, block| {
            let part = rest.get(block.start as usize..block.end as usize);
            link(scratch, part.unwrap_or(&[]))
        })?;
        options.progress.advance(before + todo.len() as u64, total);
        Ok(())
    }

    /// Searches for `row`, links it to what the heuristic keeps of what was met, and those back to it.
    fn link(&self, row: RowId, scratch: &mut InsertScratch) -> Result<(), IndexError> {
        let Some(entry) = self.links.entry() else {
            return Ok(());
        };
        let walk = Walk {
            links: self.links,
            scorer: self.space.scorer_of(row),
            hidden: None,
        };
        let search = &mut scratch.search;
        search.clear_trace();
        let start = Neighbor {
            distance: walk.scorer.score(entry.row),
            row: entry.row,
        };
        let budget = &Budget::UNLIMITED;
        walk.beam(0, start, self.l, budget, search, &mut Counters::default())?;
        scratch.candidates.clear();
        let met = search.pool.iter().filter(|met| met.row != row);
        scratch.candidates.extend(met);
        // A row that has links already offers them too.
        scratch.current.clear();
        self.links.read(0, row, &mut scratch.current);
        let met = &scratch.candidates;
        scratch
            .current
            .retain(|link| met.iter().all(|met| met.row != *link));
        self.space.measure(
            row,
            &scratch.current,
            &mut scratch.distances,
            &mut scratch.candidates,
        );
        scratch.candidates.sort_unstable();
        self.space
            .select(&scratch.candidates, self.r, &mut scratch.kept);
        let chosen: Vec<Neighbor> = {
            let kept = &scratch.kept;
            let mut kept = kept.iter().peekable();
            // Kept rows are a subsequence of the candidates.
            let candidates = scratch.candidates.iter();
            candidates
                .filter(|candidate| kept.next_if(|row| **row == candidate.row).is_some())
                .copied()
                .collect()
        };
        {
            let _guard = self.links.lock_row(row);
            self.links.write(0, row, chosen.iter().map(|link| link.row));
        }
        for link in chosen {
            let back = Neighbor {
                distance: link.distance,
                row,
            };
            self.link_back(link.row, back, scratch);
        }
        Ok(())
    }

    /// Adds the link `base` -> `link`; without a slot left the links of `base` are chosen anew.
    fn link_back(&self, base: RowId, link: Neighbor, scratch: &mut InsertScratch) {
        let _guard = self.links.lock_row(base);
        scratch.current.clear();
        self.links.read(0, base, &mut scratch.current);
        if scratch.current.contains(&link.row) || self.links.append(0, base, link.row) {
            return;
        }
        scratch.candidates.clear();
        scratch.candidates.push(link);
        self.prune(base, scratch);
        self.links.write(0, base, scratch.kept.iter().copied());
    }

    /// Leaves in `scratch.kept` up to R of `scratch.candidates` and the links in `scratch.current`.
    fn prune(&self, base: RowId, scratch: &mut InsertScratch) {
        self.space.measure(
            base,
            &scratch.current,
            &mut scratch.distances,
            &mut scratch.candidates,
        );
        scratch.candidates.sort_unstable();
        self.space
            .select(&scratch.candidates, self.r, &mut scratch.kept);
    }

    /// Links of an older graph, and, where it had some that are gone, the best of what those led to.
    fn inherit(&self, row: RowId, kept: &[RowId], offers: &[RowId], scratch: &mut InsertScratch) {
        let mut kept = kept.to_vec();
        if !offers.is_empty() {
            scratch.current.clear();
            let new = offers.iter().filter(|&&o| o != row && !kept.contains(&o));
            scratch.current.extend(new.copied());
            scratch.candidates.clear();
            let (distances, candidates) = (&mut scratch.distances, &mut scratch.candidates);
            self.space
                .measure(row, &scratch.current, distances, candidates);
            candidates.sort_unstable();
            self.space.add(candidates, self.r, &mut kept);
        }
        self.links.write(0, row, kept.into_iter());
    }

    /// The graph with no more than R links a row, and no row that cannot be reached.
    fn finish(&self, options: &BuildOptions<'_>) -> Result<Graph, IndexError> {
        let rows = self.links.rows();
        let links = table(self.r as u32, rows);
        links.set_entry(self.links.entry());
        let scratch = || InsertScratch::new(options.kernels);
        options.for_each_block(rows, BLOCK, scratch, |scratch, block| {
            for row in block.map(RowId) {
                scratch.current.clear();
                self.links.read(0, row, &mut scratch.current);
                scratch.candidates.clear();
                if scratch.current.len() > self.r {
                    self.prune(row, scratch);
                    links.write(0, row, scratch.kept.iter().copied());
                } else {
                    let (distances, candidates) = (&mut scratch.distances, &mut scratch.candidates);
                    self.space
                        .measure(row, &scratch.current, distances, candidates);
                    candidates.sort_unstable();
                    links.write(0, row, candidates.iter().map(|link| link.row));
                }
            }
            Ok(())
        })?;
        let inserter = Inserter {
            links: &links,
            space: self.space,
            ef_construction: self.l,
            filling: self.space.occlusion,
        };
        options.check_cancelled()?;
        connect_orphans(&inserter, None, &mut scratch())?;
        Ok(Graph { links })
    }
}
