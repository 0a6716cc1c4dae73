//! Flags of `query` and `shell`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The statement.
    #[arg(value_name = "SQL", required_unless_present = "collection")]
    pub(crate) sql: Option<String>,
    /// A parameter: of $NAME, or by position where NAME is a number. The value is a JSON value, @FILE for a row of a vector
    /// file (@FILE:3 for row 3, counted from 0), or else a text as it stands.
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub(crate) param: Vec<String>,
    /// Print the rows as comma-separated values.
    #[arg(long, conflicts_with_all = ["json", "analyze_strategies"])]
    pub(crate) csv: bool,
    #[command(flatten, next_help_heading = "Measuring the plans of searches")]
    pub(crate) strategies: StrategyArgs,
}

/// What `--analyze-strategies` measures.
#[derive(Debug, Args)]
pub(crate) struct StrategyArgs {
    /// Measure which plan is the best for which share of matching points: filters of the collection's own fields, every
    /// plan forced and the chosen one beside them. With a statement, a search, its condition is measured too.
    #[arg(long)]
    pub(crate) analyze_strategies: bool,
    /// The collection to measure, in place of a statement.
    #[arg(
        long,
        short,
        value_name = "NAME",
        requires = "analyze_strategies",
        conflicts_with = "sql"
    )]
    pub(crate) collection: Option<String>,
    /// A filter to measure beside those that are found, as JSON. May be given several times.
    #[arg(long, value_name = "JSON", requires = "analyze_strategies")]
    pub(crate) filter: Vec<String>,
    /// Searches under each filter, for vectors of points of the collection.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        requires = "analyze_strategies"
    )]
    pub(crate) queries: usize,
    /// Hits of a search. Default: the statement's, else 10.
    #[arg(long, value_name = "N", requires = "analyze_strategies")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// Print rows as comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}
