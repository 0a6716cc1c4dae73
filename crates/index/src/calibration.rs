//! How far must a search go for a recall? Measured at the end of a build, on rows of the index as queries, each of which
//! leaves itself out.

use std::collections::HashSet;
use std::ops::Range;

use parking_lot::Mutex;
use serde_json::json;
use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_vector::{Metric, Neighbor, RowId, VectorRows, scan_batch};

use crate::random::Random;
use crate::{BuildOptions, IndexError, Scratch};

/// The recalls that are measured; those in between are interpolated.
pub(crate) const RECALLS: [f32; 11] = [
    0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999,
];
/// Neighbours wanted of each query.
pub(crate) const K: usize = 10;
/// Queries at most.
pub(crate) const QUERIES: usize = 256;
/// Of what a recall asked for lets a search miss, the part that is aimed at from a recall of 0.9 on: queries that are unlike
/// the rows find less than the rows that the knobs were measured with. (Sentences that ask for packages miss half as much
/// again under `ivf`.) Up to a recall of 0.7 it is all, for there the same margin would more than double the work.
const AIMED_AT: f32 = 0.6;
const AIMED_LOWER: Range<f32> = 0.7..0.9;
/// Fewer queries say nothing.
const QUERIES_MIN: u64 = 32;
/// Pool sizes tried, of graphs.
pub(crate) const EFS: [u32; 12] = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 480];
/// Rows of a graph for each query: the measurement must not take long beside the build.
const ROWS_PER_POOL_QUERY: usize = 64;
const POOL_QUERIES_MIN: usize = 32;
/// Numbers multiplied by the exact search, at most: seconds.
const WORK_MAX: u64 = 200_000_000_000;

/// The recall to look up where a search asks for one.
pub(crate) fn aimed_at(target_recall: f32) -> f32 {
    let most = RECALLS[RECALLS.len() - 1].max(target_recall);
    let Range { start, end } = AIMED_LOWER;
    let share = ((target_recall - start) / (end - start)).clamp(0.0, 1.0);
    let missed = (1.0 - share * (1.0 - AIMED_AT)) * (1.0 - target_recall);
    (1.0 - missed).min(most)
}

/// A row that serves as a query, with its true neighbours, nearest first: [`K`] of them, or all there are.
#[derive(Clone, Debug)]
pub(crate) struct HeldOut {
    pub(crate) row: RowId,
    pub(crate) neighbors: Vec<Neighbor>,
}

impl HeldOut {
    /// How many of the true neighbours are among the first hits; as far counts as the same.
    fn found(&self, hits: &[Neighbor]) -> usize {
        let last = self.neighbors.last();
        let limit = last.map_or(f32::NEG_INFINITY, |neighbor| neighbor.distance);
        let is_near = |hit: &&Neighbor| {
            hit.distance <= limit || self.neighbors.iter().any(|near| near.row == hit.row)
        };
        let near = hits.iter().take(K).filter(is_near).count();
        near.min(self.neighbors.len())
    }
}

/// Up to `queries` rows (256 at most) drawn by a seed, with their true neighbours. Rows whose neighbours all lie at one distance (copies of one row, which
/// may be many and are found together) tell nothing and are left out, and so are rows with the neighbours of another.
///
/// # Errors
/// Cancellation.
pub(crate) fn hold_out(
    metric: Metric,
    rows: VectorRows<'_>,
    queries: usize,
    seed: u64,
    options: &BuildOptions<'_>,
) -> Result<Vec<HeldOut>, IndexError> {
    let work_each = u64::from(rows.len()) * rows.dim() as u64;
    let affordable = (WORK_MAX / work_each.max(1)).max(QUERIES_MIN) as usize;
    let drawn = Random::new(seed ^ 0xca11_b8a7)
        .distinct(queries.min(QUERIES).min(affordable), rows.len() as usize);
    if drawn.len() < 2 {
        return Ok(Vec::new());
    }
    let bytes_of = |row: &usize| rows.row_bytes(RowId(*row as u32));
    let bytes: Vec<u8> = drawn.iter().flat_map(bytes_of).copied().collect();
    let stride = rows.element().bytes(rows.dim());
    let queries = VectorRows::new(
        rows.element(),
        rows.dim(),
        stride,
        drawn.len() as u32,
        &bytes,
    )?;
    options.check_cancelled()?;
    let found = scan_batch(
        options.kernels,
        metric,
        queries,
        rows,
        None,
        K + 1,
        options.threads,
    );
    let all_alike = |found: &[Neighbor]| match found {
        [first, .., last] => last.distance <= first.distance,
        _ => true,
    };
    let mut known = HashSet::new();
    Ok(drawn
        .iter()
        .zip(found)
        .filter(|(_, found)| !all_alike(found))
        .map(|(&row, mut neighbors)| {
            let row = RowId(row as u32);
            neighbors.retain(|neighbor| neighbor.row != row);
            neighbors.truncate(K);
            HeldOut { row, neighbors }
        })
        .filter(|held| {
            let neighbors: Vec<RowId> = held.neighbors.iter().map(|n| n.row).collect();
            known.insert(neighbors)
        })
        .collect())
}

/// The pool sizes of a graph search for each recall. `search` gives the hits for a held-out row with a pool of so many, the
/// row itself left out; `None` where it cannot be asked for. `None` in all: too few rows to tell.
///
/// # Errors
/// Those of `search`; cancellation.
pub(crate) fn measure_pools(
    (metric, rows): (Metric, VectorRows<'_>),
    seed: u64,
    options: &BuildOptions<'_>,
    search: impl Fn(&HeldOut, u32, &mut Scratch, &mut Vec<Neighbor>) -> Result<bool, IndexError> + Sync,
) -> Result<Option<KnobForRecall>, IndexError> {
    if rows.len() as usize <= K * POOL_QUERIES_MIN {
        return Ok(None);
    }
    let queries = (rows.len() as usize / ROWS_PER_POOL_QUERY).max(POOL_QUERIES_MIN);
    let held_out = hold_out(metric, rows, queries, seed, options)?;
    let mut recalls = Vec::with_capacity(EFS.len());
    for ef in EFS {
        let counts = Mutex::new((0, 0));
        options.for_each_block(
            held_out.len() as u32,
            4,
            || (Scratch::with_kernels(options.kernels), Vec::new()),
            |(scratch, hits), block| {
                let part = held_out.get(block.start as usize..block.end as usize);
                for held in part.unwrap_or_default() {
                    if search(held, ef, scratch, hits)? {
                        let mut counts = counts.lock();
                        counts.0 += held.found(hits);
                        counts.1 += held.neighbors.len();
                    }
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

/// The value of a knob for each of [`RECALLS`], ascending; `u32::MAX` where none was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KnobForRecall {
    values: [u32; RECALLS.len()],
}

impl KnobForRecall {
    /// One value for all recalls.
    pub(crate) fn always(value: u32) -> Self {
        Self {
            values: [value; RECALLS.len()],
        }
    }

    /// The values for [`RECALLS`].
    pub(crate) fn of(values: [u32; RECALLS.len()]) -> Self {
        Self { values }
    }

    /// From values, ascending, with the recall of each; what lies between them is interpolated on the logarithm of what is
    /// missed.
    pub(crate) fn from_measurements(measured: &[(u32, f64)]) -> Self {
        Self {
            values: RECALLS.map(|recall| {
                let recall = f64::from(recall) - 1e-6;
                let Some(at) = measured.iter().position(|&(_, reached)| reached >= recall) else {
                    return u32::MAX;
                };
                let (high, reached) = measured[at];
                let Some(&(low, before)) = at.checked_sub(1).and_then(|at| measured.get(at)) else {
                    return high;
                };
                let missed = |recall: f64| (1.0 - recall).max(1e-4).ln();
                let share = (missed(before) - missed(recall)) / (missed(before) - missed(reached));
                let value = f64::from(low) + share.clamp(0.0, 1.0) * f64::from(high - low);
                value.ceil() as u32
            }),
        }
    }

    /// `found[v]`: how many of `wanted` neighbours are found at value `v` + 1 and not below.
    pub(crate) fn from_counts(found: &[u64], wanted: u64) -> Self {
        Self {
            values: RECALLS.map(|recall| {
                // A recall as single precision writes it is a little more than it says.
                let needed = (f64::from(recall) - 1e-6) * wanted as f64;
                let mut sum = 0;
                let enough = found.iter().position(|&more| {
                    sum += more;
                    sum as f64 >= needed
                });
                enough.map_or(u32::MAX, |last| last as u32 + 1)
            }),
        }
    }

    /// The value for a recall, interpolated on the logarithm of what is missed; `u32::MAX` beyond what was measured.
    pub(crate) fn value(&self, recall: f32) -> u32 {
        let Some(at) = RECALLS.iter().position(|&known| known >= recall) else {
            return u32::MAX;
        };
        let high = self.values[at];
        if at == 0 || high == u32::MAX {
            return high;
        }
        let missed = |recall: f32| (1.0 - f64::from(recall)).ln();
        let low = self.values[at - 1];
        let share = (missed(RECALLS[at - 1]) - missed(recall))
            / (missed(RECALLS[at - 1]) - missed(RECALLS[at]));
        let value = f64::from(low) + share * (f64::from(high) - f64::from(low));
        // A thousandth short of a whole number is rounding.
        (value - 1e-3).ceil().max(1.0) as u32
    }

    /// Recalls, ascending, each with its value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (f32, u32)> {
        RECALLS.into_iter().zip(self.values)
    }

    pub(crate) fn describe(&self, knob: &str) -> serde_json::Value {
        self.pairs()
            .filter(|&(_, value)| value != u32::MAX)
            .map(|(recall, value)| json!({ "recall": recall, knob: value }))
            .collect()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        for value in self.values {
            writer.u32(value);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, BytesError> {
        let mut values = [0; RECALLS.len()];
        for value in &mut values {
            *value = reader.u32()?;
        }
        Ok(Self { values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_aimed_at_lies_above_what_is_asked_for_and_rises_with_it() {
        for (asked, aimed) in [
            (0.5, 0.5),
            (0.7, 0.7),
            (0.8, 0.84),
            (0.9, 0.94),
            (0.99, 0.994),
        ] {
            assert!((aimed_at(asked) - aimed).abs() < 1e-5, "{asked}");
        }
        let all: Vec<f32> = (500..=999).map(|r| aimed_at(r as f32 / 1e3)).collect();
        assert!(all.is_sorted() && all.iter().all(|&aimed| aimed <= 0.999));
    }

    #[test]
    fn counts_become_values() {
        let knob = KnobForRecall::from_counts(&[80, 10, 5, 4, 1, 0], 100);
        assert_eq!(knob.values, [1, 1, 1, 2, 3, 4, 4, 4, 5, 5, 5]);
        for (recall, value) in [(0.3, 1), (0.9, 2), (0.93, 3), (0.99, 4), (0.993, 5)] {
            assert_eq!(knob.value(recall), value, "{recall}");
        }
        assert_eq!(knob.value(0.9999), u32::MAX);
        let measured = KnobForRecall::from_measurements(&[(10, 0.6), (20, 0.9), (30, 0.99)]);
        assert_eq!((measured.value(0.5), measured.value(0.9)), (10, 20));
        assert_eq!(
            (measured.value(0.97), measured.value(0.999)),
            (26, u32::MAX)
        );
        let never = KnobForRecall::from_counts(&[1, 1], 100);
        assert_eq!(never, KnobForRecall::always(u32::MAX));
        assert_eq!(never.value(0.6), u32::MAX);
    }

    #[test]
    fn values_between_measured_recalls_rise_with_what_is_missed() {
        let mut knob = KnobForRecall::always(10);
        (knob.values[3], knob.values[4]) = (100, 200);
        let between: Vec<u32> = (90..=95).map(|r| knob.value(r as f32 / 100.0)).collect();
        assert!(
            between.is_sorted() && between[0] == 100 && between[5] == 200,
            "{between:?}"
        );
    }
}
