//! `campaign`: runs one of the long tests of the storage engine and prints what it found as JSON.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vecdb_campaign::{Report, churn, crash, kill, mutate, random};

/// Long tests of the storage engine. Ends with 1 if anything went wrong.
#[derive(Debug, Parser)]
struct Cli {
    /// What the random numbers follow from.
    #[arg(long, global = true, value_name = "N", default_value_t = 2026)]
    seed: u64,
    /// Write the result here as well.
    #[arg(long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(subcommand)]
    campaign: Campaign,
}

#[derive(Debug, Subcommand)]
enum Campaign {
    /// The power goes at every call to the disk of scripted lives.
    Crash {
        /// At least so many crash points.
        #[arg(long, default_value_t = 20_000)]
        points: u64,
    },
    /// Every call to the disk of scripted lives fails: no space, an error, a torn write, read-only.
    Errors {
        /// Lives.
        #[arg(long, default_value_t = 8)]
        scripts: u64,
    },
    /// The program `vecdb` is killed while it writes.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 200)]
        rounds: u64,
        /// The program.
        #[arg(long, value_name = "FILE", default_value = "target/debug/vecdb")]
        program: PathBuf,
    },
    /// Bytes change in every kind of file.
    Mutate {
        /// How many changes.
        #[arg(long, default_value_t = 100_000)]
        mutations: u64,
    },
    /// Random operations against a plain map.
    Random {
        /// At least so many.
        #[arg(long, default_value_t = 1_000_000)]
        operations: u64,
    },
    /// Half deleted, half changed, again and again.
    Churn {
        /// How often.
        #[arg(long, default_value_t = 10)]
        rounds: u64,
        /// Rows of each data set at most.
        #[arg(long, default_value_t = 20_000)]
        rows: usize,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Failures are collected; what a panic says is in the report.
    std::panic::set_hook(Box::new(|_| {}));
    let seed = cli.seed;
    let report: Report = match &cli.campaign {
        Campaign::Crash { points } => crash::run(*points, 1, seed),
        Campaign::Errors { scripts } => crash::run_errors(*scripts, 1, seed),
        Campaign::Kill { rounds, program } => kill::run(program, *rounds, seed),
        Campaign::Mutate { mutations } => mutate::run(*mutations, seed),
        Campaign::Random { operations } => random::run(*operations, seed),
        Campaign::Churn { rounds, rows } => churn::run(*rounds, *rows, seed),
    };
    let text = serde_json::to_string_pretty(&report).unwrap_or_default();
    println!("{text}");
    if let Some(path) = &cli.output
        && let Err(error) = std::fs::write(path, text + "\n")
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    match report.failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
