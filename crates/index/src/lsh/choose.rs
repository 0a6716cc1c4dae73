//! Which tables to build: proposed by the collision formula from the distances of a sample.
//!
//! Two vectors that share the hash of one function with probability `p` lie in one bucket of a table of `k` functions with
//! `p^k` (AND), and in one of at least one of `L` tables with `1 - (1 - p^k)^L` (OR): Indyk and Motwani, STOC 1998,
//! section 4. The mean of that over true neighbours is the recall of a search that looks into the query's own buckets, over
//! any two rows it is the share of rows that are compared.

use serde::Serialize;
use vecdb_vector::{Metric, RowId, VectorRows};

use super::LshParams;
use super::functions::{Functions, Learned, Shape, collision, read_into, unlikeness};
use crate::calibration::{HeldOut, QUERIES, hold_out};
use crate::random::Random;
use crate::{BuildOptions, IndexError};

/// Rows that a bucket is expected to hold of a query that is like no row, at most, where the number of functions is chosen.
const BUCKET_ROWS: f64 = 64.0;
/// Functions of a table, at most, where they are chosen.
const HASHES_MOST: u32 = 24;
/// The recall of the own buckets alone that the number of tables is chosen for; probes of the buckets beside them do the
/// rest.
const OWN_BUCKETS_RECALL: f64 = 0.5;
const TABLES_CHOSEN: std::ops::RangeInclusive<u32> = 8..=32;
/// Pairs of rows that are no neighbours, for each query of the sample.
const OTHERS: usize = 20;
/// Widths tried, in units of the median distance of neighbours.
const WIDTHS: [f64; 10] = [0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6];
/// What looking into a bucket and hashing by one function cost, in distances.
const BUCKET_COST: f64 = 2.0;
const HASH_COST: f64 = 0.05;

/// How unlike pairs of rows are.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    metric: Metric,
    rows: u32,
    /// Queries and their true neighbours.
    near: Vec<f64>,
    /// Queries and any rows.
    others: Vec<f64>,
}

/// Tables that reach a recall by the collision formula.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LshChoice {
    /// Tables.
    pub tables: u32,
    /// Hash functions per table.
    pub hashes: u32,
    /// Width of slots, under l2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<f32>,
    /// Recall at 10 expected of the query's own buckets, without further probes.
    pub recall: f64,
    /// Rows that a search is expected to compare.
    pub candidates: f64,
    /// Work of a search, in distance computations.
    pub cost: f64,
}

/// What [`advise`] says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LshAdvice {
    /// The median over true neighbours of the probability to share the hash of one function, at the width of `best`.
    pub collision_near: f64,
    /// The same of any two rows.
    pub collision_any: f64,
    /// The cheapest of `choices`; `None` where there is none.
    pub best: Option<LshChoice>,
    /// For each number of functions the fewest tables that reach the recall, as far as 512 tables do.
    pub choices: Vec<LshChoice>,
}

/// Proposes tables for a recall at 10 of searches that look into the query's own buckets only. Multi-probing reaches it with
/// fewer tables, at more buckets looked into.
///
/// # Errors
/// A recall outside 0.1 to 0.999, rows of a sample with too few neighbours, cancellation.
pub fn advise(
    metric: Metric,
    rows: VectorRows<'_>,
    target_recall: f64,
    seed: u64,
    options: &BuildOptions<'_>,
) -> Result<LshAdvice, IndexError> {
    if !(0.1..=0.999).contains(&target_recall) {
        return Err(IndexError::BadNumber {
            name: "target_recall",
            value: target_recall,
            expected: "from 0.1 to 0.999",
        });
    }
    let held_out = hold_out(metric, rows, QUERIES, seed, options)?;
    let learned = Learned::of(metric, rows, seed, options)?;
    let profile = Profile::measure(metric, rows, &learned, &held_out, seed);
    if profile.near.is_empty() {
        return Err(IndexError::TooFewRows {
            what: "a proposal of hash tables",
            needed: 3,
            rows: u64::from(rows.len()),
        });
    }
    Ok(profile.advise(target_recall))
}

impl Profile {
    pub(super) fn measure(
        metric: Metric,
        rows: VectorRows<'_>,
        learned: &Learned,
        held_out: &[HeldOut],
        seed: u64,
    ) -> Self {
        // One function: the likeness of two vectors does not depend on how many there are.
        let shape = Shape {
            metric,
            dim: rows.dim(),
            tables: 1,
            hashes: 1,
            width: 1.0,
            seed,
        };
        let functions = Functions::new(shape, learned.clone());
        let mut random = Random::new(seed ^ 0x0e11);
        let (mut query, mut other) = (Vec::new(), Vec::new());
        let (mut near, mut others) = (Vec::new(), Vec::new());
        for held in held_out {
            read_into(metric, rows, held.row, &mut query);
            for neighbor in &held.neighbors {
                read_into(metric, rows, neighbor.row, &mut other);
                near.push(unlikeness(&functions, &query, &other));
            }
            for _ in 0..OTHERS {
                let row = RowId(random.below(u64::from(rows.len())) as u32);
                read_into(metric, rows, row, &mut other);
                if row != held.row {
                    others.push(unlikeness(&functions, &query, &other));
                }
            }
        }
        for unlike in [&mut near, &mut others] {
            unlike.retain(|value| value.is_finite());
            unlike.sort_unstable_by(f64::total_cmp);
        }
        Self {
            metric,
            rows: rows.len(),
            near,
            others,
        }
    }

    /// The shape that `params` leaves open, filled in.
    pub(super) fn choose(&self, params: &LshParams, dim: usize) -> Shape {
        let mut best: Option<(f64, Shape)> = None;
        for width in self.widths(params.width) {
            let hashes = params.hashes.unwrap_or_else(|| self.hashes_for(width));
            let own = mean_power(&self.collisions(&self.near, width), hashes);
            let tables = params.tables.unwrap_or_else(|| {
                let tables = ((1.0 - OWN_BUCKETS_RECALL).ln() / (-own).ln_1p()).ceil();
                (tables as u32).clamp(*TABLES_CHOSEN.start(), *TABLES_CHOSEN.end())
            });
            // The better of two widths finds more in buckets of the size wanted; larger buckets are worse than any.
            let size = self.bucket_rows(width, hashes);
            let merit = match size <= BUCKET_ROWS {
                true => own,
                false => -size,
            };
            let shape = Shape {
                metric: self.metric,
                dim,
                tables,
                hashes,
                width: width as f32,
                seed: params.seed,
            };
            if best.is_none_or(|(most, _)| merit > most) {
                best = Some((merit, shape));
            }
        }
        // There is always a width.
        best.map_or(
            Shape {
                metric: self.metric,
                dim,
                tables: *TABLES_CHOSEN.start(),
                hashes: 1,
                width: 1.0,
                seed: params.seed,
            },
            |(_, shape)| shape,
        )
    }

    fn advise(&self, target_recall: f64) -> LshAdvice {
        let mut choices = Vec::new();
        for hashes in 1..=LshParams::HASHES_MAX {
            let choice = |width: f64| self.tables_for(target_recall, hashes, width);
            let of_widths = self.widths(None).into_iter().filter_map(choice);
            choices.extend(of_widths.min_by(|a, b| a.cost.total_cmp(&b.cost)));
        }
        let best = choices
            .iter()
            .copied()
            .min_by(|a, b| a.cost.total_cmp(&b.cost));
        let width = best.and_then(|best| best.width).unwrap_or(1.0);
        let median = |of: &[f64]| {
            let middle = of.get(of.len() / 2).copied().unwrap_or(0.0);
            collision(self.metric, middle, f64::from(width))
        };
        LshAdvice {
            collision_near: median(&self.near),
            collision_any: median(&self.others),
            best,
            choices,
        }
    }

    /// The fewest tables of so many functions that reach the recall.
    fn tables_for(&self, target: f64, hashes: u32, width: f64) -> Option<LshChoice> {
        let near = self.collisions(&self.near, width);
        let recall = |tables: u32| mean_union(&near, hashes, tables);
        if recall(LshParams::TABLES_MAX) < target {
            return None;
        }
        let (mut low, mut high) = (0, LshParams::TABLES_MAX);
        while high - low > 1 {
            let middle = low.midpoint(high);
            match recall(middle) < target {
                true => low = middle,
                false => high = middle,
            }
        }
        let tables = high;
        let any = self.collisions(&self.others, width);
        let candidates = f64::from(self.rows) * mean_union(&any, hashes, tables);
        let functions = f64::from(tables) * f64::from(hashes);
        Some(LshChoice {
            tables,
            hashes,
            width: (self.metric == Metric::L2).then_some(width as f32),
            recall: recall(tables),
            candidates,
            cost: candidates + f64::from(tables) * BUCKET_COST + functions * HASH_COST,
        })
    }

    /// The widths of slots to choose from.
    fn widths(&self, given: Option<f32>) -> Vec<f64> {
        let median = self.near.get(self.near.len() / 2).copied().unwrap_or(1.0);
        match given {
            Some(width) => vec![f64::from(width)],
            None if self.metric == Metric::L2 && median > 0.0 => {
                WIDTHS.iter().map(|width| width * median).collect()
            }
            None => vec![1.0],
        }
    }

    /// The fewest functions that make buckets small.
    fn hashes_for(&self, width: f64) -> u32 {
        let most = HASHES_MOST.min(self.rows.max(2).ilog2());
        (1..most)
            .find(|&hashes| self.bucket_rows(width, hashes) <= BUCKET_ROWS)
            .unwrap_or(most)
    }

    fn bucket_rows(&self, width: f64, hashes: u32) -> f64 {
        f64::from(self.rows) * mean_power(&self.collisions(&self.others, width), hashes)
    }

    fn collisions(&self, unlike: &[f64], width: f64) -> Vec<f64> {
        let share = |&unlike: &f64| collision(self.metric, unlike, width);
        unlike.iter().map(share).collect()
    }
}

/// The mean probability to share a bucket of a table.
fn mean_power(collisions: &[f64], hashes: u32) -> f64 {
    let powers = collisions.iter().map(|p| p.powi(hashes as i32));
    powers.sum::<f64>() / collisions.len().max(1) as f64
}

/// The mean probability to share a bucket of at least one table.
fn mean_union(collisions: &[f64], hashes: u32, tables: u32) -> f64 {
    let found = |p: &f64| 1.0 - (1.0 - p.powi(hashes as i32)).powi(tables as i32);
    collisions.iter().map(found).sum::<f64>() / collisions.len().max(1) as f64
}
