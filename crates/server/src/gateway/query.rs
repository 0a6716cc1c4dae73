//! SQL: which operation a statement stands for, and its way through the gateway as that.

use vecdb_backend::{Backend, execute};
use vecdb_engine::{Error, ErrorKind, Result, StopSignal};
use vecdb_sql::{Action, Params, QueryResult, Statement};

use super::{Access, Call, Gateway, Operation, without_names};
use crate::auth::Caller;

/// Requests beyond this are read aside, so that nobody else's connection waits.
const SHORT_BYTES_MAX: usize = 16 << 10;
/// How many of these are read at a time: the tokens of a text take a hundred times its bytes.
pub(super) const LONG_AT_A_TIME: usize = 2;

impl Operation {
    /// The operation that a statement stands for: its rights, its lane, its name in logs and metrics.
    pub(crate) fn of(statement: &Statement) -> Self {
        match &statement.action {
            Action::Select(select) if select.near.is_some() => Self::Search,
            Action::Explain(_) => Self::Search,
            Action::Select(select) if select.rows.ids.is_some() => Self::Get,
            Action::Select(_) => Self::Scroll,
            Action::Count(_) => Self::Count,
            Action::Group(_) => Self::Facets,
            Action::Insert(_) => Self::Upsert,
            Action::Update(_) => Self::UpdateMetadata,
            Action::Delete(_) => Self::Delete,
            Action::CreateCollection(_) => Self::CreateCollection,
            Action::DropCollection(_) => Self::DropCollection,
            Action::CreateIndex(_) => Self::CreateFieldIndex,
            Action::DropIndex(_) => Self::DropFieldIndex,
            Action::ShowCollections => Self::ListCollections,
            Action::ShowFields { .. } => Self::GetCollection,
        }
    }
}

impl Gateway {
    /// Runs a statement as the operation it stands for. `read` gives its text and parameters, `finish` makes the answer.
    ///
    /// # Errors
    /// Those of [`Self::run`], of `read` and of the statement.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        call: &Call,
        request_bytes: usize,
        read: impl FnOnce() -> Result<(String, Params)> + Send + 'static,
        finish: impl FnOnce(Operation, QueryResult) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let statement = match self.check_anywhere(call, Operation::Query) {
            Ok(()) => self.statement(request_bytes, read).await,
            Err(refusal) => Err(refusal),
        };
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => {
                self.record_refusal(call, Operation::Query, "", &error);
                return Err(error);
            }
        };
        let operation = Operation::of(&statement);
        let collection = statement.collection().unwrap_or_default().to_owned();
        let about = call.about.clone();
        let work = move |backend: &dyn Backend, stop: &StopSignal, caller: &Caller| {
            about.statement(&statement);
            let other = statement.also_reads().map(str::to_owned);
            if let Some(other) = &other {
                check_also_reads(caller, other)?;
            }
            let visible = |name: &str| caller.may(Access::Read, name);
            let result =
                execute(backend, statement, &visible, stop).map_err(|error| match &other {
                    Some(other) => without_names(error, backend, caller, other),
                    None => error,
                })?;
            finish(operation, result)
        };
        self.run_as(call, operation, &collection, request_bytes, work)
            .await
    }

    async fn statement(
        &self,
        request_bytes: usize,
        read: impl FnOnce() -> Result<(String, Params)> + Send + 'static,
    ) -> Result<Statement> {
        let parse = || {
            let (sql, params) = read()?;
            Statement::parse(&sql, &params)
        };
        if request_bytes <= SHORT_BYTES_MAX {
            return parse();
        }
        let ended = |_| Error::new(ErrorKind::Unavailable, "the server ended before the call");
        // The place is given back when the text was read, whether its caller still waits or not.
        let place = self.long_statements.clone().acquire_owned().await;
        let place = place.map_err(|_| ended(()))?;
        let parsed = tokio::task::spawn_blocking(move || {
            let parsed = parse();
            drop(place);
            parsed
        });
        parsed.await.map_err(|_| ended(()))?
    }
}

fn check_also_reads(caller: &Caller, collection: &str) -> Result<()> {
    if caller.may(Access::Read, collection) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "{:?} lacks the right \"read\" on the collection {collection:?}, whose vector the statement takes",
            caller.name()
        ),
    ))
}
