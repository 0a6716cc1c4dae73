//! The real program is killed while it writes, again and again, and held against the file of what it acknowledged.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use vecdb_testkit::random::SeededRandom;

use crate::report::Report;

/// Longer than a write of the program takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Kills of one database; all its points are looked for after each.
const ROUNDS_EACH: u64 = 20;
/// Points that a round may write.
const COUNT: &str = "1000000";

/// Kills `program` (the command line `vecdb`) so many times. After each kill `storage recover` looks for every point that
/// was ever acknowledged, and checks every file.
pub fn run(program: &Path, rounds: u64, seed: u64) -> Report {
    let mut report = Report::begin("kill", seed);
    let mut random = SeededRandom::new(seed);
    if let Err(failure) = all_rounds(program, rounds, &mut random, &mut report) {
        report.fail(failure);
    }
    report.end()
}

fn all_rounds(
    program: &Path,
    rounds: u64,
    random: &mut SeededRandom,
    report: &mut Report,
) -> Result<(), String> {
    let mut world = World::new(program)?;
    let (mut recovery, mut slowest) = (0.0, 0.0f64);
    for round in 0..rounds {
        let failed = |what: String| format!("round {round}: {what}");
        if round > 0 && round.is_multiple_of(ROUNDS_EACH) {
            world = World::new(program)?;
        }
        world.insert_and_kill(random).map_err(failed)?;
        report.count("kills", 1);
        let recovered = world.json(&["storage", "recover", "--acknowledged", "writes.jsonl"]);
        match recovered {
            Err(what) => report.fail(failed(what)),
            Ok(recovered) => {
                report.count("replayed", number(&recovered["recovery"]["replayed"]));
                report.count(
                    "torn_bytes",
                    number(&recovered["recovery"]["torn_bytes_cut"]),
                );
                report.counts.insert(
                    "acknowledged_points",
                    number(&recovered["acknowledged"]["points"]),
                );
                let seconds = recovered["recovery_seconds"].as_f64().unwrap_or(0.0);
                recovery += seconds;
                slowest = slowest.max(seconds);
                if recovered["nothing_lost"] != Value::Bool(true) {
                    report.fail(failed(recovered.to_string()));
                }
            }
        }
    }
    let mean = recovery / rounds.max(1) as f64;
    report
        .measures
        .insert("mean_recovery_seconds".to_owned(), mean);
    report
        .measures
        .insert("slowest_recovery_seconds".to_owned(), slowest);
    Ok(())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A folder of its own.
struct World {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl World {
    fn new(program: &Path) -> Result<Self, String> {
        let program = program
            .canonicalize()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
        let world = Self { program, folder };
        world.json(&["storage", "init", "--dimension", "16", "--metric", "l2"])?;
        Ok(world)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("VECDB_URL")
            .env_remove("VECDB_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn json(&self, args: &[&str]) -> Result<Value, String> {
        let output: Output = self
            .command(&[args, &["--json"]].concat())
            .output()
            .map_err(|error| format!("{args:?}: {error}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{args:?}: {why}"));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{args:?}: {error}"))
    }

    /// Lets it write until a batch was acknowledged and a while beyond, then kills it.
    fn insert_and_kill(&self, random: &mut SeededRandom) -> Result<(), String> {
        let journal = self.folder.path().join("writes.jsonl");
        let bytes = || std::fs::metadata(&journal).map_or(0, |file| file.len());
        let batch = (1 + random.below(200)).to_string();
        let insert = ["storage", "insert", "--count", COUNT, "--batch", &batch];
        let insert = [&insert[..], &["--acknowledged", "writes.jsonl"]].concat();
        let before = bytes();
        let mut child = self
            .command(&insert)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let begun = Instant::now();
        while bytes() == before && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.below(120_000)));
        let ended = child.try_wait().map_err(|error| error.to_string())?;
        child.kill().map_err(|error| error.to_string())?;
        child.wait().map_err(|error| error.to_string())?;
        match ended {
            None if bytes() > before => Ok(()),
            None => Err("nothing was acknowledged in time".to_owned()),
            Some(status) => Err(format!("the program ended by itself: {status}")),
        }
    }
}
