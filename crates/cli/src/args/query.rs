//! Flags of `query` and `shell`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The statement.
    #[arg(value_name = "SQL")]
    pub(crate) sql: String,
    /// A parameter: of $NAME, or by position where NAME is a number. The value is a JSON value, @FILE for a row of a vector
    /// file (@FILE:3 for row 3, counted from 0), or else a text as it stands.
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub(crate) param: Vec<String>,
    /// Print the rows as comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// Print rows as comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}
