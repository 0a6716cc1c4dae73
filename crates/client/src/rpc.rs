//! The calls of the service, and what may be done with each.

/// One call.
#[derive(Clone, Copy)]
pub(crate) struct Rpc {
    pub(crate) path: &'static str,
    /// Made twice it does the same as made once.
    pub(crate) idempotent: bool,
    /// It takes as long as there is data: no timeout but the caller's deadline.
    pub(crate) long: bool,
}

impl Rpc {
    const fn idempotent(path: &'static str) -> Self {
        Self {
            path,
            idempotent: true,
            long: false,
        }
    }

    const fn once(path: &'static str) -> Self {
        Self {
            path,
            idempotent: false,
            long: false,
        }
    }

    const fn long(self) -> Self {
        Self { long: true, ..self }
    }
}

pub(crate) const CREATE_COLLECTION: Rpc = Rpc::once("/vecdb.v1.VecDB/CreateCollection");
pub(crate) const GET_COLLECTION: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/GetCollection");
pub(crate) const LIST_COLLECTIONS: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/ListCollections");
pub(crate) const DROP_COLLECTION: Rpc = Rpc::once("/vecdb.v1.VecDB/DropCollection");
pub(crate) const UPSERT: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Upsert");
pub(crate) const UPSERT_STREAM: Rpc = Rpc::once("/vecdb.v1.VecDB/UpsertStream").long();
pub(crate) const UPDATE_METADATA: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/UpdateMetadata");
pub(crate) const DELETE: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Delete");
pub(crate) const GET: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Get");
pub(crate) const SCROLL: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Scroll");
pub(crate) const COUNT: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Count");
pub(crate) const FACETS: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Facets");
pub(crate) const SEARCH: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Search");
pub(crate) const SEARCH_BATCH: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/SearchBatch");
pub(crate) const RECOMMEND: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Recommend");
pub(crate) const QUERY: Rpc = Rpc::once("/vecdb.v1.VecDB/Query");
pub(crate) const CREATE_FIELD_INDEX: Rpc =
    Rpc::idempotent("/vecdb.v1.VecDB/CreateFieldIndex").long();
pub(crate) const DROP_FIELD_INDEX: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/DropFieldIndex").long();
pub(crate) const FLUSH_COLLECTION: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/FlushCollection").long();
pub(crate) const COMPACT_COLLECTION: Rpc =
    Rpc::idempotent("/vecdb.v1.VecDB/CompactCollection").long();
pub(crate) const PAUSE_MERGES: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/PauseMerges");
pub(crate) const RESUME_MERGES: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/ResumeMerges");
pub(crate) const VERIFY: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Verify").long();
pub(crate) const VERIFY_ARCHIVE: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/VerifyArchive").long();
pub(crate) const ADVISE: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/Advise").long();
pub(crate) const CREATE_SNAPSHOT: Rpc = Rpc::once("/vecdb.v1.VecDB/CreateSnapshot").long();
pub(crate) const LIST_SNAPSHOTS: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/ListSnapshots");
pub(crate) const RESTORE_SNAPSHOT: Rpc = Rpc::once("/vecdb.v1.VecDB/RestoreSnapshot").long();
pub(crate) const DELETE_SNAPSHOT: Rpc = Rpc::once("/vecdb.v1.VecDB/DeleteSnapshot").long();
pub(crate) const GET_STATUS: Rpc = Rpc::idempotent("/vecdb.v1.VecDB/GetStatus");

/// Statements that do the same twice as once. An `INSERT` puts points in the place of those of the same ids.
const REPEATABLE: [&str; 7] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "SHOW", "DESCRIBE", "EXPLAIN",
];

/// The call of a statement, by its first word. One that begins with anything else is not repeated.
pub(crate) fn query(sql: &str) -> Rpc {
    let first = sql.split_whitespace().next().unwrap_or_default();
    let idempotent = REPEATABLE
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word));
    Rpc {
        idempotent,
        ..QUERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_repeated_where_that_changes_nothing() {
        for (sql, repeatable) in [
            ("SELECT 1", true),
            ("  select\n*", true),
            ("INSERT INTO c", true),
            ("CREATE COLLECTION c", false),
            ("DROP COLLECTION c", false),
            ("-- x\nSELECT 1", false),
            ("", false),
        ] {
            assert_eq!(query(sql).idempotent, repeatable, "{sql}");
        }
    }
}
