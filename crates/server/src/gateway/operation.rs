//! The operations there are, and what each needs.

/// What a caller must be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look at points and collections.
    Read,
    /// Change points.
    Write,
    /// Change collections and the database itself.
    Admin,
}

/// An operation, by its name in every face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Makes a collection.
    CreateCollection,
    /// Looks at a collection.
    GetCollection,
    /// Lists the collections.
    ListCollections,
    /// Removes a collection.
    DropCollection,
    /// Inserts or replaces points.
    Upsert,
    /// Changes metadata.
    UpdateMetadata,
    /// Deletes points.
    Delete,
    /// Reads points by id.
    Get,
    /// Reads points page by page.
    Scroll,
    /// Counts points.
    Count,
    /// Counts the values of a field.
    Facets,
    /// Finds the nearest points.
    Search,
    /// Several searches.
    SearchBatch,
    /// A search by examples.
    Recommend,
    /// An SQL statement that could not be read: one that could is the operation it stands for.
    Query,
    /// Indexes a metadata field.
    CreateFieldIndex,
    /// Drops the index of a metadata field.
    DropFieldIndex,
    /// Writes what is in memory to segments.
    FlushCollection,
    /// Merges segments.
    CompactCollection,
    /// Lets merges stand still.
    PauseMerges,
    /// Lets merges go on.
    ResumeMerges,
    /// Checks files.
    Verify,
    /// Checks the archive of the log.
    VerifyArchive,
    /// Measures which index would suit a collection.
    Advise,
    /// Makes a snapshot.
    CreateSnapshot,
    /// Lists snapshots.
    ListSnapshots,
    /// Makes collections from a snapshot.
    RestoreSnapshot,
    /// Removes a snapshot.
    DeleteSnapshot,
    /// Version, memory, recovery.
    GetStatus,
}

/// Which threads an operation runs on, and which queue it waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Bound by the processor: as many at a time as there are threads for searching.
    Read,
    /// Bound by the disk: many at a time share one sync.
    Write,
    /// Long and rare.
    Admin,
    /// As long as merges and index builds take.
    Compact,
}

impl Operation {
    /// All operations.
    pub const ALL: [Operation; 29] = [
        Operation::CreateCollection,
        Operation::GetCollection,
        Operation::ListCollections,
        Operation::DropCollection,
        Operation::Upsert,
        Operation::UpdateMetadata,
        Operation::Delete,
        Operation::Get,
        Operation::Scroll,
        Operation::Count,
        Operation::Facets,
        Operation::Search,
        Operation::SearchBatch,
        Operation::Recommend,
        Operation::Query,
        Operation::CreateFieldIndex,
        Operation::DropFieldIndex,
        Operation::FlushCollection,
        Operation::CompactCollection,
        Operation::PauseMerges,
        Operation::ResumeMerges,
        Operation::Verify,
        Operation::VerifyArchive,
        Operation::Advise,
        Operation::CreateSnapshot,
        Operation::ListSnapshots,
        Operation::RestoreSnapshot,
        Operation::DeleteSnapshot,
        Operation::GetStatus,
    ];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Operation::CreateCollection => "create_collection",
            Operation::GetCollection => "get_collection",
            Operation::ListCollections => "list_collections",
            Operation::DropCollection => "drop_collection",
            Operation::Upsert => "upsert",
            Operation::UpdateMetadata => "update_metadata",
            Operation::Delete => "delete",
            Operation::Get => "get",
            Operation::Scroll => "scroll",
            Operation::Count => "count",
            Operation::Facets => "facets",
            Operation::Search => "search",
            Operation::SearchBatch => "search_batch",
            Operation::Recommend => "recommend",
            Operation::Query => "query",
            Operation::CreateFieldIndex => "create_field_index",
            Operation::DropFieldIndex => "drop_field_index",
            Operation::FlushCollection => "flush_collection",
            Operation::CompactCollection => "compact_collection",
            Operation::PauseMerges => "pause_merges",
            Operation::ResumeMerges => "resume_merges",
            Operation::Verify => "verify",
            Operation::VerifyArchive => "verify_archive",
            Operation::Advise => "advise",
            Operation::CreateSnapshot => "create_snapshot",
            Operation::ListSnapshots => "list_snapshots",
            Operation::RestoreSnapshot => "restore_snapshot",
            Operation::DeleteSnapshot => "delete_snapshot",
            Operation::GetStatus => "get_status",
        }
    }

    /// What a caller must be allowed to do.
    pub fn access(self) -> Access {
        match self {
            Operation::GetCollection
            | Operation::ListCollections
            | Operation::Get
            | Operation::Scroll
            | Operation::Count
            | Operation::Facets
            | Operation::Search
            | Operation::SearchBatch
            | Operation::Recommend
            | Operation::Query
            | Operation::Advise
            | Operation::GetStatus => Access::Read,
            Operation::Upsert | Operation::UpdateMetadata | Operation::Delete => Access::Write,
            Operation::CreateCollection
            | Operation::DropCollection
            | Operation::CreateFieldIndex
            | Operation::DropFieldIndex
            | Operation::FlushCollection
            | Operation::CompactCollection
            | Operation::PauseMerges
            | Operation::ResumeMerges
            | Operation::Verify
            | Operation::VerifyArchive
            | Operation::CreateSnapshot
            | Operation::ListSnapshots
            | Operation::RestoreSnapshot
            | Operation::DeleteSnapshot => Access::Admin,
        }
    }

    pub(crate) fn lane(self) -> Lane {
        match (self, self.access()) {
            (Operation::CreateCollection | Operation::DropCollection, _) => Lane::Write,
            // Must not wait behind what takes long.
            (Operation::PauseMerges | Operation::ResumeMerges, _) => Lane::Write,
            (Operation::CompactCollection, _) => Lane::Compact,
            (Operation::Advise, _) => Lane::Admin,
            (_, Access::Read) => Lane::Read,
            (_, Access::Write) => Lane::Write,
            (_, Access::Admin) => Lane::Admin,
        }
    }

    /// It takes as long as there is data: no time limit but the caller's.
    pub(crate) fn is_long(self) -> bool {
        matches!(self.lane(), Lane::Admin | Lane::Compact)
    }
}
