//! SQL statements, run with the operations of a [`Backend`].

mod collections;
mod explain;
mod group;
mod hit_groups;
mod rows;
mod search;
mod select;
mod write;

use std::time::Instant;

use vecdb_engine::{CollectionInfo, Error, ErrorKind, Result, StopSignal};
use vecdb_sql::{Action, QueryResult, Statement};

use crate::backend::Backend;

/// Runs a statement. `visible` says of which collections `SHOW COLLECTIONS` tells.
///
/// # Errors
/// Those of the operations that the statement stands for. Where the statement is at fault, they point into its text.
pub fn execute(
    backend: &dyn Backend,
    mut statement: Statement,
    visible: &dyn Fn(&str) -> bool,
    stop: &StopSignal,
) -> Result<QueryResult> {
    let started = Instant::now();
    stop.check()?;
    let action = std::mem::replace(&mut statement.action, Action::ShowCollections);
    let run = Run {
        backend,
        statement: &statement,
        stop,
    };
    let mut result = match action {
        Action::Select(select) => run.select(select),
        Action::Count(count) => run.count(count),
        Action::Group(group) => run.group(group),
        Action::Explain(explain) => run.explain(explain),
        Action::Insert(insert) => run.insert(insert),
        Action::Update(update) => run.update(update),
        Action::Delete(delete) => run.delete(delete),
        Action::CreateCollection(create) => run.create_collection(create),
        Action::DropCollection(drop) => run.drop_collection(&drop),
        Action::CreateIndex(index) => run.field_index(&index, true),
        Action::DropIndex(index) => run.field_index(&index, false),
        Action::ShowCollections => run.show_collections(visible),
        Action::ShowFields { collection } => run.show_fields(&collection),
    }?;
    result.elapsed = started.elapsed();
    Ok(result)
}

/// A statement that is being run.
#[derive(Clone, Copy)]
struct Run<'a> {
    backend: &'a dyn Backend,
    /// For the places of errors; its action was taken out.
    statement: &'a Statement,
    stop: &'a StopSignal,
}

impl Run<'_> {
    fn info(&self, collection: &str) -> Result<CollectionInfo> {
        let info = self.backend.collection(collection);
        info.map_err(|error| self.of_collection(error))
    }

    /// That there is no such collection is told at its name.
    fn of_collection(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::AlreadyExists => {
                self.statement.error_of_collection(&error)
            }
            _ => error,
        }
    }
}

/// A number of points as a cell.
fn number(count: u64) -> vecdb_sql::Cell {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}
