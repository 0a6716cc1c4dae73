//! SQL for VecDB: a text and its parameters become a [`Statement`], whose [`QueryResult`] the backend makes.
//!
//! ```
//! use vecdb_sql::{Action, Params, Right, Statement};
//!
//! # fn main() -> vecdb_engine::Result<()> {
//! let statement = Statement::parse(
//!     "SELECT id, name, distance FROM products
//!      WHERE vector NEAR $q AND price < 100 ORDER BY distance LIMIT 10",
//!     &Params::named([("q", vec![0.1, 0.2])]),
//! )?;
//! assert_eq!(statement.collection(), Some("products"));
//! assert_eq!(statement.right(), Right::Read);
//!
//! let error = Statement::parse("SELECT id FROM products WHERE price <", &Params::default());
//! assert!(error.unwrap_err().to_string().starts_with("1:38: expected a value"));
//! # Ok(())
//! # }
//! ```
//!
//! Parameters are values from the start: nothing that they hold is ever read as SQL. `docs/sql.md` describes the
//! language.
//!
//! The text is cut into tokens by `sqlparser` with a dialect of our own. The grammar above the tokens is ours: it is
//! small, it reads every token once, and nothing in it nests without a limit.

mod params;
mod parse;
mod result;
mod rows;
mod source;
mod statement;
mod tokens;

pub use params::{Param, Params};
pub use parse::{KEYWORDS, NESTING_MAX};
pub use result::{Cell, QueryResult, ResultColumn};
pub use rows::Rows;
pub use source::{Source, Span};
pub use statement::{
    Action, Column, Count, CreateCollection, Delete, DropCollection, Explain, FieldIndex, Group,
    GroupColumn, GroupOrder, Insert, Near, NearGroups, Output, Right, Select, Statement, Target,
    Update,
};
pub use tokens::{TEXT_BYTES_MAX, split};
