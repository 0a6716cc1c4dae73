//! What can be typed: commands, flags, and the help that explains them.

mod advise;
mod collections;
mod datasets;
mod diskann;
mod help;
mod hits;
mod place;
mod points;
mod quantizers;
mod query;
mod serve;
mod sizes;
mod snapshots;
mod storage;

pub(crate) use advise::AdviseArgs;
pub(crate) use collections::{CollectionCommand, CreateArgs, FieldArgs, VectorArgs};
pub(crate) use datasets::{
    BuildFiles, FlatCommand, FlatSearchArgs, HnswBuildArgs, HnswCommand, HnswSearchArgs,
    HnswSweepArgs, IvfBuildArgs, IvfCommand, IvfSearchArgs, IvfSweepArgs, LshAdviseArgs,
    LshBuildArgs, LshCommand, LshSearchArgs, LshSweepArgs, QueryArgs, SweepFiles,
};
pub(crate) use diskann::{
    DiskAnnBenchArgs, DiskAnnBuildArgs, DiskAnnCommand, DiskAnnSearchArgs, DiskAnnSweepArgs,
    ReadArgs,
};
pub(crate) use hits::{FacetsArgs, HitArgs, RecommendArgs};
pub(crate) use place::settle;
pub(crate) use points::{
    CountArgs, DeleteArgs, ExportArgs, GetArgs, ImportArgs, InsertArgs, ScrollArgs, SearchArgs,
    UpdateArgs,
};
pub(crate) use quantizers::{PqCommand, PqCompressArgs, PqSearchArgs, PqTrainArgs};
pub(crate) use query::{ShellArgs, SqlArgs};
pub(crate) use serve::ServeArgs;
pub(crate) use snapshots::{SnapshotCommand, StoreArgs};
pub(crate) use storage::{
    StorageArchiveArgs, StorageCommand, StorageInitArgs, StorageInsertArgs, StorageInspectArgs,
    StorageRecoverArgs, StorageVerifyArgs,
};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// A vector database: exact and approximate nearest-neighbour search over durable collections.
#[derive(Debug, Parser)]
#[command(name = "vecdb", version, propagate_version = true, max_term_width = 110, after_long_help = help::TOP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// `vecdb-server`: the command `serve` as a program of its own.
#[derive(Debug, Parser)]
#[command(
    name = "vecdb-server",
    version,
    max_term_width = 110,
    about = "The VecDB server: gRPC, HTTP and metrics. The same as `vecdb serve`.",
    after_long_help = help::SERVE
)]
pub(crate) struct ServerCli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(flatten)]
    pub(crate) args: ServeArgs,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Folder of the database.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "VECDB_PATH",
        default_value = "vecdb-data"
    )]
    pub(crate) path: PathBuf,
    /// Whether that is not the default.
    #[arg(skip)]
    pub(crate) path_is_given: bool,
    /// Print one JSON object on stdout instead of text, and errors as JSON on stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads to use; 0 means all processors. Default: all for builds, imports and exact search of many queries;
    /// one for the searches and sweeps of `hnsw`, `ivf`, `lsh` and `diskann`, so that times are those of a single searcher.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// No progress bars and no remarks on stderr; errors are still told.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// How to reach a server in place of a folder.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// Address of a server, to use in place of a folder: http://localhost:6333, or https://.
    #[arg(long, global = true, value_name = "URL", env = "VECDB_URL")]
    pub(crate) url: Option<String>,
    /// API key or token for the server.
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "VECDB_API_KEY",
        hide_env_values = true
    )]
    pub(crate) api_key: Option<String>,
    /// PEM file of the authority that signed the server's certificate, where it is not one of the system's.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_certificate: Option<PathBuf>,
    /// PEM file of a certificate to show to the server.
    #[arg(long, global = true, value_name = "FILE", requires = "client_key")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// PEM file of that certificate's key.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "client_certificate"
    )]
    pub(crate) client_key: Option<PathBuf>,
}

impl Globals {
    /// Threads for work that takes all processors unless told otherwise.
    pub(crate) fn threads_or_all(&self) -> usize {
        match self.threads {
            None | Some(0) => std::thread::available_parallelism().map_or(1, usize::from),
            Some(threads) => threads.min(THREADS_MAX),
        }
    }

    /// Threads for work that is timed one query at a time unless told otherwise.
    pub(crate) fn threads_or_one(&self) -> usize {
        match self.threads {
            None => 1,
            Some(_) => self.threads_or_all(),
        }
    }
}

/// More threads than this only cost memory.
const THREADS_MAX: usize = 1_024;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open a database, load the sample of 5,000 Debian packages and ask it three questions.
    #[command(after_long_help = help::QUICKSTART)]
    Quickstart,
    /// Exact search over vector files, without a database.
    #[command(subcommand)]
    Flat(FlatCommand),
    /// Build, search and measure HNSW graphs over vector files, without a database.
    #[command(subcommand)]
    Hnsw(HnswCommand),
    /// Build, search and measure inverted lists (IVF) over vector files, without a database.
    #[command(subcommand)]
    Ivf(IvfCommand),
    /// Train, apply and search product codes and other short codes over vector files, without a database.
    #[command(subcommand)]
    Pq(PqCommand),
    /// Build, search and measure indexes that stay on the disk (DiskANN), without a database.
    #[command(subcommand)]
    Diskann(DiskAnnCommand),
    /// Build, search and measure hash tables (LSH) over vector files, without a database.
    #[command(subcommand)]
    Lsh(LshCommand),
    /// Measure every kind of index on a sample of a vector file or a collection, and say which to take.
    #[command(after_long_help = help::ADVISE)]
    Advise(AdviseArgs),
    /// Create, list, inspect, compact and drop collections.
    #[command(subcommand)]
    Collection(CollectionCommand),
    /// Load a file of points into a collection.
    #[command(after_long_help = help::IMPORT)]
    Import(ImportArgs),
    /// Insert or replace points given on the command line or as JSON lines on stdin.
    #[command(after_long_help = help::INSERT)]
    Insert(InsertArgs),
    /// Show points by id.
    #[command(after_long_help = help::GET)]
    Get(GetArgs),
    /// Find the points nearest to a vector, to a row of a file or to another point.
    #[command(after_long_help = help::SEARCH)]
    Search(SearchArgs),
    /// Find the points most like some examples and least like others.
    #[command(after_long_help = help::RECOMMEND)]
    Recommend(RecommendArgs),
    /// Count how many points have each value of a metadata field.
    #[command(after_long_help = help::FACETS)]
    Facets(FacetsArgs),
    /// Run one SQL statement.
    #[command(after_long_help = help::QUERY)]
    Query(SqlArgs),
    /// A prompt for SQL statements; from a pipe, the statements it brings.
    #[command(after_long_help = help::SHELL)]
    Shell(ShellArgs),
    /// Delete points by id or by filter.
    #[command(after_long_help = help::DELETE)]
    Delete(DeleteArgs),
    /// Change the metadata of points and leave their vectors.
    #[command(after_long_help = help::UPDATE)]
    Update(UpdateArgs),
    /// Count points, all or those that match a filter.
    #[command(after_long_help = help::COUNT)]
    Count(CountArgs),
    /// Go through all points, or those that match a filter, page by page.
    #[command(after_long_help = help::SCROLL)]
    Scroll(ScrollArgs),
    /// Write all points as JSON lines that `import` reads back.
    #[command(after_long_help = help::EXPORT)]
    Export(ExportArgs),
    /// Make, fill, recover, compact, check, mend and look into the files of a database.
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Serve the database to other processes: gRPC, HTTP, metrics. The same as `vecdb-server`.
    #[command(after_long_help = help::SERVE)]
    Serve(ServeArgs),
    /// Make, list, restore and delete snapshots of collections.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Show version, size and memory of a database or a server.
    #[command(after_long_help = help::STATUS)]
    Status,
    /// Print a completion script for a shell.
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_leaf_command_has_examples() {
        fn check(command: &clap::Command, path: &str) {
            for sub in command
                .get_subcommands()
                .filter(|sub| sub.get_name() != "help")
            {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
            if !command.has_subcommands() {
                let help = command
                    .get_after_long_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(
                    help.contains(&format!("{path} ")),
                    "no example of `{path}` in its help:\n{help}"
                );
            }
        }
        check(&Cli::command(), "vecdb");
    }

    #[test]
    fn the_spellings_of_the_field_are_understood() {
        let line = [
            "vecdb",
            "hnsw",
            "build",
            "--dataset",
            "x.npy",
            "--output",
            "y",
            "--M",
            "8",
            "--efConstruction",
            "50",
        ];
        let Command::Hnsw(HnswCommand::Build(args)) = Cli::try_parse_from(line).unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!((args.graph.m, args.graph.ef_construction), (8, 50));
        let line = [
            "vecdb",
            "ivf",
            "build",
            "--dataset",
            "x.npy",
            "--output",
            "y",
            "--clusters",
            "9",
            "--code",
            "vector",
        ];
        let Command::Ivf(IvfCommand::Build(args)) = Cli::try_parse_from(line).unwrap().command
        else {
            panic!("another command");
        };
        let params = args.lists.params();
        assert_eq!(
            (params.nlist, params.code),
            (Some(9), Some(vecdb_engine::IvfCode::Vector))
        );
        let line = ["vecdb", "search", "-c", "a", "[1]", "--k", "3"];
        let Command::Search(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        assert_eq!(args.hits.limit, 3);
    }
}
