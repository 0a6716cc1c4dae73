//! The power goes at every call to the disk of a scripted life, with unsynced writes kept, lost, torn and reordered.

use vecdb_testkit::sim_disk::{CrashMode, Fault, SimDisk};

use crate::life::{Act, check, index, live, script};
use crate::report::{Report, caught};

/// Acts of a script.
const LENGTH: u64 = 70;
/// Ways in which what was not synced is kept at random, for each call.
const RANDOM_MODES: u64 = 6;

/// Tries at least so many crash points: a call to the disk, and what is left of what was not synced. Every call of each
/// script is tried, or every so many-th; scripts differ in their acts and in the kind of index.
pub fn run(points: u64, every: usize, seed: u64) -> Report {
    let mut report = Report::begin("crash", seed);
    let mut number = 0;
    while report.counts.get("crash_points").copied().unwrap_or(0) < points {
        one_script(seed.wrapping_add(number), number, every, &mut report);
        number += 1;
    }
    report.end()
}

fn one_script(seed: u64, number: u64, every: usize, report: &mut Report) {
    let (acts, index) = (script(seed, LENGTH), index(number));
    let whole = SimDisk::new();
    let calm = live(&whole, &acts, &index);
    let calls = whole.calls();
    if let Some(error) = calm.error {
        report.fail(format!(
            "seed {seed}, {index}: a calm life ended with {error}"
        ));
        return;
    }
    report.count("scripts", 1);
    report.count("calls", calls);
    for call in (1..=calls).step_by(every) {
        let disk = SimDisk::new();
        disk.plan(call, Fault::Crash);
        let lived = match caught(|| live(&disk, &acts, &index)) {
            Ok(lived) => lived,
            Err(panic) => {
                report.fail(format!("seed {seed}, {index}, call {call}: {panic}"));
                continue;
            }
        };
        let random = (0..RANDOM_MODES).map(|at| CrashMode::KeepRandom(call * RANDOM_MODES + at));
        let modes = [CrashMode::LoseUnsynced, CrashMode::KeepAll];
        for mode in modes.into_iter().chain(random) {
            let context =
                format!("seed {seed}, {index}, crash at call {call} of {calls}, {mode:?}");
            report.count("crash_points", 1);
            let image = disk.crash_image(mode);
            if let Err(panic) = caught(|| check(&image, &lived, &context)) {
                report.fail(panic);
            }
        }
    }
}

/// Every call to the disk of a script, or every so many-th, fails once in each of these ways: no space, an error, a torn
/// write, read-only. Everything that was acknowledged is there afterwards, also after the power went.
pub fn run_errors(scripts: u64, every: usize, seed: u64) -> Report {
    let mut report = Report::begin("errors", seed);
    for number in 0..scripts {
        let seed = seed.wrapping_add(number);
        let (acts, index) = (script(seed, LENGTH), index(number));
        let whole = SimDisk::new();
        live(&whole, &acts, &index);
        for call in (1..=whole.calls()).step_by(every) {
            for failure in Failure::ALL {
                let context = format!("seed {seed}, {index}, {failure:?} at call {call}");
                report.count("failed_calls", 1);
                let outcome = caught(|| failure.try_at(call, &acts, &index, &context));
                if let Err(panic) = outcome {
                    report.fail(panic);
                }
            }
        }
    }
    report.end()
}

/// How a call fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    NoSpace,
    Error,
    Torn,
    ReadOnly,
}

impl Failure {
    const ALL: [Self; 4] = [Self::NoSpace, Self::Error, Self::Torn, Self::ReadOnly];

    fn try_at(self, call: u64, acts: &[Act], index: &vecdb_engine::IndexSpec, context: &str) {
        let disk = SimDisk::new();
        let kind = match self {
            Self::NoSpace => std::io::ErrorKind::StorageFull,
            Self::ReadOnly => std::io::ErrorKind::ReadOnlyFilesystem,
            Self::Error | Self::Torn => std::io::ErrorKind::Other,
        };
        disk.plan(
            call,
            match self {
                Self::Torn => Fault::Torn { bytes: 100 },
                _ => Fault::Error(kind),
            },
        );
        let lived = live(&disk, acts, index);
        for mode in [CrashMode::LoseUnsynced, CrashMode::KeepAll] {
            check(
                &disk.crash_image(mode),
                &lived,
                &format!("{context}, then {mode:?}"),
            );
        }
    }
}
