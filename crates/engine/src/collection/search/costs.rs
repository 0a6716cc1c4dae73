//! What the work of plans takes on this machine: typical times of the index, scaled by what scans take here, and corrected by
//! what the searches of the collection took.
//!
//! What is measured corrects the typical proportion of two plans by a factor of [`CORRECTION_MAX`] at most, in either
//! direction: whatever disturbs a machine, a plan is not chosen that is far from the cheapest.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vecdb_index::{Plan, PlanCosts, UnitCosts};
use vecdb_vector::{Kernels, Query, RowId, Scorer, VectorRows};

/// Reading a row to see whether it matches a filter, in distance computations of a scan.
pub(super) const READ_WORK: f64 = 16.0;
/// The same in nanoseconds, typically.
const READ_NS: f64 = 400.0;
/// See the module.
const CORRECTION_MAX: f64 = 2.0;
/// Reading a row is corrected by so much: metadata can be of any size.
const READ_CORRECTION_MAX: f64 = 8.0;
/// The weight of what was measured last.
const LAST_WEIGHT: f64 = 1.0 / 8.0;
/// Less work is lost in what stands around it.
const WORK_MIN: f64 = 400.0;
/// Rows of one calibration, and bytes of them at most.
const CALIBRATION_ROWS: u32 = 2_048;
const CALIBRATION_BYTES: usize = 4 << 20;
/// The fastest of so many passes counts, the first of which reads the rows into the cache.
const CALIBRATION_PASSES: usize = 4;
/// No machine is so many times as fast or slow as a common one.
const SPEED_MAX: f64 = 16.0;

/// What searches of a collection took, kept as long as it is open.
#[derive(Default)]
pub(crate) struct LearnedCosts(Mutex<Option<Factors>>);

/// How many times as long as typically something takes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Factors {
    scan: f64,
    walk: f64,
    hop: f64,
    /// Where none was walked yet, a graph of matching rows is taken for as good as the better of walks and hops.
    subset: Option<f64>,
    read: f64,
}

/// What plans are compared by in one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    pub(super) units: UnitCosts,
    /// Reading a row, in nanoseconds.
    pub(super) read_ns: f64,
}

impl Costs {
    /// The same for a distance by any plan.
    fn counted(typical: UnitCosts) -> Self {
        let scan = typical.scan;
        Self {
            units: UnitCosts {
                scan,
                walk: scan,
                hop: scan,
                subset: scan,
            },
            read_ns: scan * READ_WORK,
        }
    }
}

impl LearnedCosts {
    /// What `rows` are searched at: their typical costs, as they are here. A calibration is made at the first call.
    pub(super) fn of(
        &self,
        by: PlanCosts,
        typical: UnitCosts,
        calibration: &Calibration<'_>,
    ) -> Costs {
        match by {
            PlanCosts::Counted => Costs::counted(typical),
            PlanCosts::Measured => {
                let mut held = self.0.lock();
                let factors = held.get_or_insert_with(|| Factors::all(calibration.speed()));
                factors.costs(typical)
            }
        }
    }

    /// The same without a calibration where none was made yet.
    pub(super) fn known(&self, by: PlanCosts, typical: UnitCosts) -> Costs {
        match by {
            PlanCosts::Counted => Costs::counted(typical),
            PlanCosts::Measured => {
                let factors = self.0.lock().unwrap_or(Factors::all(1.0));
                factors.costs(typical)
            }
        }
    }

    /// Learns from a search that took `time` for so much work by one plan.
    pub(super) fn learn(&self, plan: Plan, typical: UnitCosts, work: f64, time: Duration) {
        if work < WORK_MIN {
            return;
        }
        if let Some(factors) = self.0.lock().as_mut() {
            let factor = match plan {
                Plan::Scan => &mut factors.scan,
                Plan::Walk | Plan::Check => &mut factors.walk,
                Plan::Hop => &mut factors.hop,
                Plan::Subset => {
                    let before = factors.subset();
                    factors.subset.insert(before)
                }
            };
            learn(factor, nanos(time) / (work * typical.of(plan)));
        }
    }

    /// Learns from rows that were read for a filter.
    pub(super) fn learn_read(&self, rows: u64, time: Duration) {
        if (rows as f64) < WORK_MIN {
            return;
        }
        if let Some(factors) = self.0.lock().as_mut() {
            learn(&mut factors.read, nanos(time) / (rows as f64 * READ_NS));
        }
    }
}

fn learn(factor: &mut f64, measured: f64) {
    let measured = measured.clamp(1.0 / SPEED_MAX, SPEED_MAX);
    *factor += (measured - *factor) * LAST_WEIGHT;
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

impl Factors {
    fn all(speed: f64) -> Self {
        Self {
            scan: speed,
            walk: speed,
            hop: speed,
            subset: None,
            read: speed,
        }
    }

    fn subset(&self) -> f64 {
        self.subset.unwrap_or(self.walk.min(self.hop))
    }

    fn costs(&self, typical: UnitCosts) -> Costs {
        let beside_scan =
            |factor: f64, most: f64| self.scan * (factor / self.scan).clamp(1.0 / most, most);
        Costs {
            units: UnitCosts {
                scan: typical.scan * self.scan,
                walk: typical.walk * beside_scan(self.walk, CORRECTION_MAX),
                hop: typical.hop * beside_scan(self.hop, CORRECTION_MAX),
                subset: typical.subset * beside_scan(self.subset(), CORRECTION_MAX),
            },
            read_ns: READ_NS * beside_scan(self.read, READ_CORRECTION_MAX),
        }
    }
}

/// How fast this machine is, found by a short scan.
pub(super) struct Calibration<'a> {
    pub(super) kernels: Kernels,
    pub(super) query: &'a Query,
    pub(super) rows: VectorRows<'a>,
    /// What a scan of these rows typically takes for one.
    pub(super) typical_ns: f64,
}

impl Calibration<'_> {
    /// How many times as long as typically a scan takes.
    fn speed(&self) -> f64 {
        let most = CALIBRATION_BYTES / self.rows.stride().max(1);
        let rows = self
            .rows
            .len()
            .min(CALIBRATION_ROWS)
            .min(most as u32)
            .max(1);
        let scorer = Scorer::new(self.kernels, self.query, self.rows);
        let mut distances = vec![0.0; rows.min(self.rows.len()) as usize];
        let passes = (0..CALIBRATION_PASSES).map(|_| {
            let started = Instant::now();
            scorer.score_range(RowId(0), &mut distances);
            std::hint::black_box(&distances);
            started.elapsed()
        });
        let fastest = passes.min().unwrap_or_default();
        let speed = nanos(fastest) / (f64::from(rows) * self.typical_ns);
        speed.clamp(1.0 / SPEED_MAX, SPEED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPICAL: UnitCosts = UnitCosts {
        scan: 10.0,
        walk: 30.0,
        hop: 40.0,
        subset: 30.0,
    };

    fn learned(factors: Factors) -> LearnedCosts {
        LearnedCosts(Mutex::new(Some(factors)))
    }

    fn of(costs: &LearnedCosts) -> UnitCosts {
        costs.known(PlanCosts::Measured, TYPICAL).units
    }

    #[test]
    fn what_searches_took_corrects_a_plan_within_bounds() {
        let costs = learned(Factors::all(1.0));
        assert_eq!(of(&costs), TYPICAL);
        let search = |plan, ns: u64| {
            costs.learn(plan, TYPICAL, 1_000.0, Duration::from_nanos(1_000 * ns));
        };
        (0..100).for_each(|_| search(Plan::Walk, 45));
        let now = of(&costs);
        assert!((44.0..45.1).contains(&now.walk), "{now:?}");
        assert_eq!((now.scan, now.hop), (10.0, 40.0));
        // However slow walks are, they count no more than twice beside scans.
        (0..100).for_each(|_| search(Plan::Walk, 30_000));
        assert!((of(&costs).walk - 60.0).abs() < 1e-6);
        (0..100).for_each(|_| search(Plan::Walk, 0));
        assert!((of(&costs).walk - 15.0).abs() < 1e-6);
        // So is the walk of a smaller graph, until one was timed.
        assert_eq!(of(&costs).subset, 15.0);
        (0..100).for_each(|_| search(Plan::Subset, 45));
        assert!((44.0..45.1).contains(&of(&costs).subset));
        // A slow machine is slow by every plan.
        let slow = learned(Factors::all(3.0));
        assert_eq!(of(&slow).hop, 120.0);
        // Little work tells nothing.
        let before = of(&costs);
        costs.learn(Plan::Hop, TYPICAL, WORK_MIN / 2.0, Duration::from_secs(1));
        assert_eq!(of(&costs), before);
    }

    #[test]
    fn counted_costs_are_the_same_whatever_was_measured() {
        let fresh = LearnedCosts::default().known(PlanCosts::Counted, TYPICAL);
        let slow = learned(Factors::all(7.0)).known(PlanCosts::Counted, TYPICAL);
        assert_eq!(fresh.units, slow.units);
        assert_eq!(fresh.read_ns, slow.read_ns);
        assert_eq!((fresh.units.walk, fresh.units.hop), (10.0, 10.0));
    }

    #[test]
    fn reading_rows_is_learned_too() {
        let costs = learned(Factors::all(1.0));
        let read = || costs.known(PlanCosts::Measured, TYPICAL).read_ns;
        assert_eq!(read(), READ_NS);
        (0..100).for_each(|_| costs.learn_read(1_000, Duration::from_micros(800)));
        assert!((read() - 800.0).abs() < 1.0, "{}", read());
    }
}
