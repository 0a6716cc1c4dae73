//! How many buckets does a recall take?

use parking_lot::Mutex;
use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_vector::{Kernels, Neighbor, RowId, Scorer, VectorRows};

use super::Lsh;
use super::functions::{Side, read_into};
use super::search::LshScratch;
use crate::calibration::{HeldOut, KnobForRecall};
use crate::{BuildOptions, IndexError};

/// What a search that names no number of probes looks for. More than most ask for: queries that are unlike the rows find
/// less than rows do that look for each other.
pub(super) const RECALL_DEFAULT: f32 = 0.99;
/// Probes of a query at most.
const PROBES_MAX: usize = 1 << 16;
/// Ranks by sketches at most: to measure more takes the sense out of them.
const RANKS_MAX: usize = 4096;

/// Buckets to look into, and what they bring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Calibration {
    pub(super) probes: KnobForRecall,
    /// Candidates by sketches that hold a share of the neighbours among them.
    pub(super) rerank: KnobForRecall,
    /// Rows not met before that a bucket brings, on average.
    pub(super) rows_per_probe: f32,
}

impl Default for Calibration {
    /// Of an index without a query to measure with: every search scans.
    fn default() -> Self {
        Self {
            probes: KnobForRecall::always(u32::MAX),
            rerank: KnobForRecall::always(u32::MAX),
            rows_per_probe: 1.0,
        }
    }
}

/// Sums over queries.
#[derive(Default)]
struct Counts {
    /// Neighbours first met by each probe.
    found: Vec<u64>,
    wanted: u64,
    /// Neighbours by how many of the rows met have sketches nearer than theirs.
    ranks: Vec<u64>,
    ranked: u64,
    probes: u64,
    met: u64,
}

impl Calibration {
    pub(super) fn measure(
        index: &Lsh,
        rows: VectorRows<'_>,
        held_out: &[HeldOut],
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let total = u64::from(rows.len());
        let counts = Mutex::new(Counts::default());
        options.for_each_block(
            held_out.len() as u32,
            8,
            LshScratch::default,
            |scratch, block| {
                let held_out = held_out.get(block.start as usize..block.end as usize);
                for held in held_out.unwrap_or_default() {
                    let own = index.count(rows, held, options.kernels, scratch)?;
                    let mut counts = counts.lock();
                    add(&mut counts.found, &own.found);
                    add(&mut counts.ranks, &own.ranks);
                    counts.ranked += own.ranked;
                    counts.wanted += own.wanted;
                    counts.probes += own.probes;
                    counts.met += own.met;
                }
                Ok(())
            },
        )?;
        options.progress.advance(total, total);
        let counts = counts.into_inner();
        if counts.wanted == 0 {
            return Ok(Self::default());
        }
        Ok(Self {
            probes: KnobForRecall::from_counts(&counts.found, counts.wanted),
            rerank: match counts.ranked {
                0 => KnobForRecall::always(u32::MAX),
                ranked => KnobForRecall::from_counts(&counts.ranks, ranked),
            },
            rows_per_probe: (counts.met as f64 / counts.probes.max(1) as f64) as f32,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        self.probes.write(writer);
        self.rerank.write(writer);
        writer.f32(self.rows_per_probe);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, BytesError> {
        Ok(Self {
            probes: KnobForRecall::read(reader)?,
            rerank: KnobForRecall::read(reader)?,
            rows_per_probe: reader.f32()?,
        })
    }
}

impl Lsh {
    /// Looks into buckets until all neighbours of a row are met, or half of the rows: a scan is better then.
    fn count(
        &self,
        rows: VectorRows<'_>,
        held: &HeldOut,
        kernels: Kernels,
        scratch: &mut LshScratch,
    ) -> Result<Counts, IndexError> {
        let mut counts = Counts {
            wanted: held.neighbors.len() as u64,
            ..Counts::default()
        };
        read_into(
            self.functions.shape.metric,
            rows,
            held.row,
            &mut scratch.values,
        );
        scratch.start(self, Side::Query);
        let mut left: Vec<Neighbor> = held.neighbors.clone();
        while !left.is_empty()
            && counts.found.len() < PROBES_MAX
            && scratch.visited.len() <= rows.len() as usize / 2
            && let Some(probe) = scratch.probes.next()
        {
            for &row in self.tables.bucket(probe.table, probe.hash)? {
                scratch.visited.insert(row.into());
            }
            let before = left.len();
            left.retain(|neighbor| !scratch.visited.contains(neighbor.row));
            counts.found.push((before - left.len()) as u64);
        }
        counts.probes = counts.found.len() as u64;
        counts.met = scratch.visited.len() as u64;
        if let Some(sketches) = &self.sketches {
            let met = |neighbor: &&Neighbor| scratch.visited.contains(neighbor.row);
            let met: Vec<RowId> = held.neighbors.iter().filter(met).map(|n| n.row).collect();
            counts.ranked = met.len() as u64;
            sketches.prepare(&mut scratch.hash.coordinates, &mut scratch.sketch)?;
            if let Some(query) = &scratch.sketch {
                let scorer = Scorer::new(kernels, query, sketches.rows()?);
                counts.ranks = ranks(&scorer, scratch.visited.since(0), &met);
            }
        }
        Ok(counts)
    }
}

fn add(sums: &mut Vec<u64>, more: &[u64]) {
    sums.resize(sums.len().max(more.len()), 0);
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// How many of the rows met have sketches as near as each of `neighbors`, counted.
fn ranks(scorer: &Scorer<'_>, met: &[RowId], neighbors: &[RowId]) -> Vec<u64> {
    let (mut of_met, mut of_neighbors) = (vec![0.0; met.len()], vec![0.0; neighbors.len()]);
    scorer.score_rows(met, &mut of_met);
    scorer.score_rows(neighbors, &mut of_neighbors);
    let mut ranks = vec![0; RANKS_MAX];
    for own in of_neighbors {
        let nearer = of_met.iter().filter(|&&other| other < own).count();
        let alike = of_met.iter().filter(|&&other| other == own).count();
        // Of equals, half come before. The query itself is not in the way of others.
        let rank = (nearer + alike / 2).saturating_sub(1);
        if let Some(count) = ranks.get_mut(rank) {
            *count += 1;
        }
    }
    ranks
}
