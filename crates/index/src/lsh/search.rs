//! The search: what lies in the likeliest buckets is measured by its vectors.

use vecdb_vector::{Kernels, Neighbor, Query, RowId, RowMask, Scorer, TopK, VectorRows};

use super::calibrate::RECALL_DEFAULT;
use super::functions::{HashScratch, Side};
use super::probe::Probes;
use super::sketch::Sketches;
use super::{KNOBS, Lsh};
use crate::calibration::{K, RECALLS, aimed_at};
use crate::exact::{check_request, search_exact};
use crate::hnsw::Visited;
use crate::{Budget, Counters, IndexError, Scratch, SearchParams, SearchStats};

/// Rows measured per call.
const BLOCK: usize = 256;
/// Of what a search misses for a recall, the part that sketches may miss.
const MISSED_BY_SKETCHES: f32 = 0.25;
/// Candidates by sketches that are measured, at least.
const RERANK_MIN: usize = 32;
/// Sketches pay where so many times as many candidates are expected as are measured.
const RERANK_PAYS: u64 = 2;
/// Buckets between two looks at the budget, where they bring few rows.
const PROBES_PER_CHECK: u64 = 64;
/// Rows compared for each hit asked for, at least: what was learned about probes was learned with few hits.
const COMPARED_PER_HIT: u64 = 4;
/// A search that has looked into so many times the buckets planned, and a few more, scans instead.
const PROBES_OVER: u64 = 32;

/// What a search is asked.
pub(super) struct Request<'a> {
    pub(super) rows: VectorRows<'a>,
    pub(super) query: &'a Query,
    pub(super) k: usize,
    pub(super) mask: Option<&'a RowMask>,
    pub(super) params: &'a SearchParams,
    pub(super) budget: &'a Budget<'a>,
}

/// A bucket that a search looked into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketTrace {
    /// The table.
    pub table: u32,
    /// The hash that its rows share.
    pub hash: u32,
    /// Its rows.
    pub rows: u32,
    /// Those of them that were not met in another bucket before and were compared with the query.
    pub compared: u32,
    /// How far the query is from hashing to it: the sum of squared distances to the boundaries in between, in units of the
    /// family of hash functions. 0: it does.
    pub cost: f32,
}

/// Memory that searches use again.
#[derive(Debug)]
pub(crate) struct LshScratch {
    pub(super) values: Vec<f32>,
    pub(super) hash: HashScratch,
    pub(super) probes: Probes,
    pub(super) visited: Visited,
    pub(super) sketch: Option<Query>,
    pool: TopK,
    candidates: Vec<Neighbor>,
    batch: Vec<RowId>,
    distances: Vec<f32>,
    pub(crate) trace: Vec<BucketTrace>,
}

impl Default for LshScratch {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            hash: HashScratch::default(),
            probes: Probes::default(),
            visited: Visited::default(),
            sketch: None,
            pool: TopK::new(0),
            candidates: Vec::new(),
            batch: Vec::new(),
            distances: Vec::new(),
            trace: Vec::new(),
        }
    }
}

impl LshScratch {
    /// Hashes `values` and starts its probes.
    pub(super) fn start(&mut self, index: &Lsh, side: Side) {
        index
            .functions
            .place(side, &mut self.values, &mut self.hash);
        self.probes.start(&index.functions, &self.hash);
        self.visited.reset(index.rows);
        self.batch.clear();
    }

    /// Measures the candidates with the nearest sketches by their vectors; how many there were.
    fn measure_nearest(
        &mut self,
        kernels: Kernels,
        query: &Query,
        rows: VectorRows<'_>,
        top: &mut TopK,
    ) -> u64 {
        self.candidates.clear();
        self.pool.drain_sorted_into(&mut self.candidates);
        let (batch, distances) = (&mut self.batch, &mut self.distances);
        batch.clear();
        batch.extend(self.candidates.iter().map(|candidate| candidate.row));
        distances.resize(batch.len(), 0.0);
        Scorer::new(kernels, query, rows).score_rows(batch, distances);
        top.offer(distances, |i| batch[i]);
        batch.len() as u64
    }
}

impl Lsh {
    pub(super) fn answer(
        &self,
        request: &Request<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> Result<SearchStats, IndexError> {
        let Request {
            rows,
            query,
            mask,
            params,
            budget,
            ..
        } = *request;
        out.clear();
        params.check("lsh", KNOBS)?;
        check_request(self.rows, self.functions.shape.metric, &rows, query, mask)?;
        self.check_fits(&rows)?;
        scratch.clear_trace();
        let mask = mask.filter(|mask| !mask.is_all());
        let allowed = mask.map_or(self.rows, RowMask::count);
        let k = request.k.min(allowed as usize);
        let plan = Plan::new(self, k, params);
        let mut compared_before = 0;
        if !params.is_exact() && k > 0 && u64::from(allowed) > plan.compared {
            let kernels = scratch.kernels;
            scratch.top.clear(k);
            let lsh = &mut scratch.lsh;
            lsh.values.clear();
            query.to_f32(&mut lsh.values);
            lsh.start(self, Side::Query);
            let sketches = self.sketches.as_ref().filter(|_| plan.rerank.is_some());
            if let Some(sketches) = sketches {
                sketches.prepare(&mut lsh.hash.coordinates, &mut lsh.sketch)?;
                lsh.pool.clear(plan.rerank.unwrap_or(k));
            }
            let sketch = lsh.sketch.take();
            let scorer = match (sketches, &sketch) {
                (Some(sketches), Some(sketch)) => Scorer::new(kernels, sketch, sketches.rows()?),
                _ => Scorer::new(kernels, query, rows),
            };
            let mut looking = Looking {
                index: self,
                scorer,
                sketches,
                mask,
                budget,
                limited: !budget.is_unlimited(),
                scratch: lsh,
                top: &mut scratch.top,
                probes: 0,
                compared: 0,
                end: None,
            };
            let end = looking.run(&plan);
            let (probes, mut compared) = (looking.probes, looking.compared);
            lsh.sketch = sketch;
            let end = end?;
            if end != End::MustScan {
                if sketches.is_some() {
                    compared += lsh.measure_nearest(kernels, query, rows, &mut scratch.top);
                }
                scratch.top.drain_sorted_into(out);
                return Ok(SearchStats {
                    counters: Counters {
                        distance_computations: compared,
                        nodes_visited: probes,
                        ..Counters::default()
                    },
                    truncated: end == End::Budget,
                    ..SearchStats::default()
                });
            }
            compared_before = compared;
            scratch.clear_trace();
        }
        let mut stats = search_exact(rows, query, k, mask, budget, scratch);
        stats.counters.distance_computations += compared_before;
        scratch.top.drain_sorted_into(out);
        Ok(stats)
    }
}

/// How far a search goes.
struct Plan {
    /// Buckets, at least, unless there are candidates enough.
    probes: u64,
    /// Rows that these are expected to bring, or those wanted if that is more: of no more rows all are compared.
    compared: u64,
    /// Hits found, at least.
    hits: u64,
    /// Rows compared, at most.
    candidates: u64,
    /// Candidates by sketches that are measured by their vectors; `None`: all candidates are.
    rerank: Option<usize>,
}

impl Plan {
    fn new(index: &Lsh, k: usize, params: &SearchParams) -> Self {
        // What is missed is missed by the buckets, most of it, or by the sketches.
        let share = match index.sketches {
            Some(_) => MISSED_BY_SKETCHES,
            None => 0.0,
        };
        let probes_for = |recall: f32| {
            let missed = (1.0 - recall) * (1.0 - share);
            let recall = (1.0 - missed).min(RECALLS[RECALLS.len() - 1]);
            index.calibration.probes.value(recall)
        };
        // A margin that takes a scan is none.
        let recall = match params.target_recall {
            None => RECALL_DEFAULT,
            Some(asked) if probes_for(aimed_at(asked)) == u32::MAX => asked,
            Some(asked) => aimed_at(asked),
        };
        let by_sketches = (1.0 - recall) * share;
        let probes = params.probes.unwrap_or_else(|| probes_for(recall));
        let hits = match (params.probes, params.candidates) {
            (None, None) => COMPARED_PER_HIT * k as u64,
            _ => k as u64,
        };
        let candidates = params.candidates.map_or(u64::MAX, u64::from).max(k as u64);
        let brought = (f64::from(probes) * f64::from(index.calibration.rows_per_probe)) as u64;
        let compared = brought.min(candidates).max(hits);
        let rerank = match params.rerank {
            Some(rerank) => Some((rerank as usize).max(k)),
            None => {
                let share = (1.0 - by_sketches).min(RECALLS[RECALLS.len() - 1]);
                let measured = index.calibration.rerank.value(share) as usize;
                let rerank = measured.max(RERANK_MIN).saturating_mul(k.div_ceil(K));
                (rerank as u64 * RERANK_PAYS < compared).then_some(rerank)
            }
        };
        Self {
            probes: u64::from(probes),
            compared,
            hits,
            candidates,
            rerank,
        }
    }
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The plan is met.
    Enough,
    Budget,
    /// So many allowed rows have to be compared that a scan of all of them is the better way.
    MustScan,
}

/// A search on its way through the buckets.
struct Looking<'a> {
    index: &'a Lsh,
    scorer: Scorer<'a>,
    /// What `scorer` measures, unless vectors.
    sketches: Option<&'a Sketches>,
    mask: Option<&'a RowMask>,
    budget: &'a Budget<'a>,
    limited: bool,
    scratch: &'a mut LshScratch,
    top: &'a mut TopK,
    /// Buckets looked into.
    probes: u64,
    /// Rows measured.
    compared: u64,
    end: Option<End>,
}

impl Looking<'_> {
    fn run(&mut self, plan: &Plan) -> Result<End, IndexError> {
        let mut wanted = plan.hits;
        let probes_max = plan.probes.saturating_mul(PROBES_OVER).saturating_add(1024);
        let end = loop {
            if let (Some(mask), true) = (self.mask, self.probes == plan.probes) {
                wanted = self.wanted_under(mask, plan);
                if wanted >= u64::from(mask.count()) {
                    break End::MustScan;
                }
            }
            let found = self.compared + self.scratch.batch.len() as u64;
            if found >= plan.candidates || (self.probes >= plan.probes && found >= wanted) {
                break End::Enough;
            }
            if self.limited
                && self.probes.is_multiple_of(PROBES_PER_CHECK)
                && self.budget.is_spent(self.compared)
            {
                break End::Budget;
            }
            let met = self.scratch.visited.len() as u64;
            let far_beyond = self.probes > plan.probes && met * 2 > u64::from(self.index.rows);
            if self.probes > probes_max || far_beyond {
                break End::MustScan;
            }
            if !self.bucket(plan)? {
                break match found >= plan.hits {
                    true => End::Enough,
                    false => End::MustScan,
                };
            }
            if let Some(end) = self.end {
                break end;
            }
        };
        if end == End::Enough {
            self.measure(plan)?;
        }
        Ok(self.end.unwrap_or(end))
    }

    /// How many rows to compare under a mask, now that the likeliest buckets are through: as many as without a mask. And
    /// where the mask leaves out more of these buckets than of all, what it allows lies farther out, in many more buckets:
    /// that many times as many.
    fn wanted_under(&self, mask: &RowMask, plan: &Plan) -> u64 {
        let share = f64::from(mask.count()) / f64::from(self.index.rows.max(1));
        let expected = self.scratch.visited.len() as f64 * share;
        let compared = self.compared + self.scratch.batch.len() as u64;
        let farther = (expected / compared.max(1) as f64).max(1.0);
        ((plan.compared as f64 * farther) as u64).max(plan.hits)
    }

    /// Looks into the next bucket; false after the last one.
    fn bucket(&mut self, plan: &Plan) -> Result<bool, IndexError> {
        let Some(probe) = self.scratch.probes.next() else {
            return Ok(false);
        };
        self.probes += 1;
        let before = self.compared + self.scratch.batch.len() as u64;
        let members = self.index.tables.bucket(probe.table, probe.hash)?;
        for &row in members {
            let row = RowId(row);
            if row.0 >= self.index.rows {
                let what = format!("row {row} of {} in a bucket", self.index.rows);
                return Err(self.index.tables.members.corrupt(what));
            }
            if self.scratch.visited.insert(row) && self.mask.is_none_or(|mask| mask.contains(row)) {
                self.scratch.batch.push(row);
                if self.compared + self.scratch.batch.len() as u64 >= plan.candidates {
                    break;
                }
                if self.scratch.batch.len() >= BLOCK {
                    self.measure(plan)?;
                    if self.end.is_some() {
                        break;
                    }
                }
            }
        }
        let compared = self.compared + self.scratch.batch.len() as u64 - before;
        self.scratch.trace.push(BucketTrace {
            table: probe.table,
            hash: probe.hash,
            rows: members.len() as u32,
            compared: compared as u32,
            cost: probe.cost,
        });
        Ok(true)
    }

    /// Measures the rows gathered, as far as the plan and the budget go.
    fn measure(&mut self, plan: &Plan) -> Result<(), IndexError> {
        let left = (plan.candidates - self.compared.min(plan.candidates)) as usize;
        let batch = &self.scratch.batch[..self.scratch.batch.len().min(left)];
        let distances = &mut self.scratch.distances;
        distances.resize(batch.len(), 0.0);
        let pool = match self.sketches {
            Some(sketches) => {
                sketches.check(batch)?;
                &mut self.scratch.pool
            }
            None => &mut *self.top,
        };
        self.scorer.score_rows(batch, distances);
        pool.offer(distances, |i| batch[i]);
        self.compared += batch.len() as u64;
        self.scratch.batch.clear();
        if self.compared >= plan.candidates {
            self.end = Some(End::Enough);
        } else if self.limited && self.budget.is_spent(self.compared) {
            self.end = Some(End::Budget);
        }
        Ok(())
    }
}
