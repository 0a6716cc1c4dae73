//! What each operation does between its parameters and its answer, and the list of all routes.

use vecdb_backend::Selection;
use vecdb_engine::{Error, ErrorKind, PointId, RestoreRequest, Result};

use super::json::{
    AdviseRequest, AdviseResponse, CollectionInfo, CompactRequest, CountRequest, CountResponse,
    CreateCollectionRequest, CreateSnapshotRequest, DeleteRequest, Empty, FacetsRequest,
    FacetsResponse, FieldIndexResponse, GetOptions, GetRequest, GetResponse,
    ListCollectionsResponse, ListSnapshotsResponse, RecommendRequest, Record,
    RestoreSnapshotRequest, RestoreSnapshotResponse, ScrollRequest, ScrollResponse,
    SearchBatchRequest, SearchBatchResponse, SearchRequest, SearchResponse, SnapshotInfo,
    StatusResponse, UpdateMetadataRequest, UpsertRequest, VerifyArchiveResponse, VerifyRequest,
    VerifyResponse, WriteResponse,
};
use super::query;
use super::route::{Endpoint, Job, Route, Verb};
use crate::gateway::{Access, Operation};

/// All routes of operations.
pub(super) fn all() -> Vec<Route> {
    use Operation as Op;
    vec![
        Endpoint::new(
            Op::ListCollections,
            Verb::Get,
            "/v1/collections",
            "All collections by name, broken ones with the reason",
            list_collections,
        )
        .route(),
        Endpoint::new(
            Op::CreateCollection,
            Verb::Put,
            "/v1/collections/{collection}",
            "Makes a collection; its name must be free",
            create_collection,
        )
        .created()
        .route(),
        Endpoint::new(
            Op::GetCollection,
            Verb::Get,
            "/v1/collections/{collection}",
            "Settings, counts, segments and background work of a collection",
            get_collection,
        )
        .route(),
        Endpoint::new(
            Op::DropCollection,
            Verb::Delete,
            "/v1/collections/{collection}",
            "Removes a collection with all its points",
            drop_collection,
        )
        .route(),
        Endpoint::new(
            Op::Upsert,
            Verb::Post,
            "/v1/collections/{collection}/points",
            "Inserts points, or replaces those of the same ids: all of them or none",
            upsert,
        )
        .or_lines()
        .route(),
        Endpoint::new(
            Op::Get,
            Verb::Get,
            "/v1/collections/{collection}/points/{id}",
            "One point by id",
            get_point,
        )
        .called("get_point")
        .route(),
        Endpoint::new(
            Op::Get,
            Verb::Post,
            "/v1/collections/{collection}/points/get",
            "Points by id",
            get,
        )
        .route(),
        Endpoint::new(
            Op::Delete,
            Verb::Post,
            "/v1/collections/{collection}/points/delete",
            "Deletes points by id or by filter",
            delete,
        )
        .route(),
        Endpoint::new(
            Op::UpdateMetadata,
            Verb::Post,
            "/v1/collections/{collection}/points/metadata",
            "Changes metadata and leaves the vectors",
            update_metadata,
        )
        .route(),
        Endpoint::new(
            Op::Scroll,
            Verb::Post,
            "/v1/collections/{collection}/points/scroll",
            "A page of all points, or of those that match a filter",
            scroll,
        )
        .route(),
        Endpoint::new(
            Op::Count,
            Verb::Post,
            "/v1/collections/{collection}/points/count",
            "How many points there are, or match a filter",
            count,
        )
        .route(),
        Endpoint::new(
            Op::Facets,
            Verb::Post,
            "/v1/collections/{collection}/facets",
            "The most frequent values of a metadata field and how many points have each",
            facets,
        )
        .route(),
        Endpoint::new(
            Op::Search,
            Verb::Post,
            "/v1/collections/{collection}/search",
            "The points nearest to a vector",
            search,
        )
        .route(),
        Endpoint::new(
            Op::SearchBatch,
            Verb::Post,
            "/v1/collections/{collection}/search/batch",
            "Several searches of one state of the collection",
            search_batch,
        )
        .route(),
        query::route(),
        Endpoint::new(
            Op::Recommend,
            Verb::Post,
            "/v1/collections/{collection}/recommend",
            "The points most like some examples and least like others",
            recommend,
        )
        .route(),
        Endpoint::new(
            Op::CreateFieldIndex,
            Verb::Put,
            "/v1/collections/{collection}/indexes/{field}",
            "Keeps an index of a metadata field in every segment, from now on and of what is there",
            create_field_index,
        )
        .route(),
        Endpoint::new(
            Op::DropFieldIndex,
            Verb::Delete,
            "/v1/collections/{collection}/indexes/{field}",
            "Keeps no index of a metadata field any more: filters on it read the points",
            drop_field_index,
        )
        .route(),
        Endpoint::new(
            Op::FlushCollection,
            Verb::Post,
            "/v1/collections/{collection}/flush",
            "Writes what is in memory to segments",
            flush,
        )
        .route(),
        Endpoint::new(
            Op::CompactCollection,
            Verb::Post,
            "/v1/collections/{collection}/compact",
            "Merges all segments into one and drops what is dead",
            compact,
        )
        .route(),
        Endpoint::new(
            Op::Advise,
            Verb::Post,
            "/v1/collections/{collection}/advise",
            "Measures every kind of index on a sample of the points and says which to take",
            advise,
        )
        .route(),
        Endpoint::new(
            Op::PauseMerges,
            Verb::Post,
            "/v1/merges/pause",
            "Lets merges in the background stand still until they are resumed or the server is started again",
            pause_merges,
        )
        .route(),
        Endpoint::new(
            Op::ResumeMerges,
            Verb::Post,
            "/v1/merges/resume",
            "Lets merges go on from where they are",
            resume_merges,
        )
        .route(),
        Endpoint::new(
            Op::Verify,
            Verb::Post,
            "/v1/verify",
            "Checks every file of a collection or of the database, and mends it if asked to",
            verify,
        )
        .covering(|request| request.collection.as_deref().unwrap_or_default())
        .route(),
        Endpoint::new(
            Op::VerifyArchive,
            Verb::Post,
            "/v1/archive/verify",
            "Checks every byte of the archive of the log, and says which points it leads to",
            verify_archive,
        )
        .route(),
        Endpoint::new(
            Op::ListSnapshots,
            Verb::Get,
            "/v1/snapshots",
            "All snapshots in the server's snapshot store",
            list_snapshots,
        )
        .route(),
        Endpoint::new(
            Op::CreateSnapshot,
            Verb::Post,
            "/v1/snapshots",
            "Copies collections, or all of them, to the snapshot store",
            create_snapshot,
        )
        .created()
        .covering(|request| match request.collections.as_slice() {
            [only] => only,
            _ => "",
        })
        .route(),
        Endpoint::new(
            Op::DeleteSnapshot,
            Verb::Delete,
            "/v1/snapshots/{name}",
            "Removes a snapshot from the store",
            delete_snapshot,
        )
        .route(),
        Endpoint::new(
            Op::RestoreSnapshot,
            Verb::Post,
            "/v1/snapshots/{name}/restore",
            "Makes collections from a snapshot, and from the archived log on if wanted; their names must be free",
            restore_snapshot,
        )
        .created()
        .covering(|request| request.collection.as_deref().unwrap_or_default())
        .route(),
        Endpoint::new(
            Op::GetStatus,
            Verb::Get,
            "/v1/status",
            "Version, time since the start, memory, what recovery did, and the archive of the log",
            status,
        )
        .route(),
    ]
}

fn list_collections(job: &Job<'_>, _: Empty) -> Result<ListCollectionsResponse> {
    let mut collections = job.backend.collections()?;
    collections.retain(|collection| job.caller.may(Access::Read, &collection.name));
    Ok(ListCollectionsResponse {
        collections: collections.into_iter().map(Into::into).collect(),
    })
}

fn create_collection(job: &Job<'_>, request: CreateCollectionRequest) -> Result<CollectionInfo> {
    job.backend
        .create_collection(&job.target.collection, request.into())?
        .try_into()
}

fn get_collection(job: &Job<'_>, _: Empty) -> Result<CollectionInfo> {
    job.backend.collection(&job.target.collection)?.try_into()
}

fn drop_collection(job: &Job<'_>, _: Empty) -> Result<Empty> {
    job.backend.drop_collection(&job.target.collection)?;
    Ok(Empty {})
}

fn upsert(job: &Job<'_>, request: UpsertRequest) -> Result<WriteResponse> {
    let durability = request.durability().or(job.durability);
    let points = request.points.into_iter().map(Into::into).collect();
    let result = job
        .backend
        .upsert(&job.target.collection, points, durability, job.stop)?;
    Ok(WriteResponse::new(result, job.received.elapsed()))
}

fn get_point(job: &Job<'_>, options: GetOptions) -> Result<Record> {
    let id = PointId::parse(&job.target.name)?;
    let collection = &job.target.collection;
    let found = job.backend.get(
        collection,
        std::slice::from_ref(&id),
        options.with_vector,
        options.with_metadata,
        job.stop,
    )?;
    match found.into_iter().next().flatten() {
        Some(record) => Ok(record.into()),
        None => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no point {} in collection {collection:?}",
                job.target.name
            ),
        )),
    }
}

fn get(job: &Job<'_>, request: GetRequest) -> Result<GetResponse> {
    let ids = request.ids();
    let found = job.backend.get(
        &job.target.collection,
        &ids,
        request.with_vector,
        request.with_metadata,
        job.stop,
    )?;
    Ok(GetResponse::new(ids, found))
}

fn delete(job: &Job<'_>, request: DeleteRequest) -> Result<WriteResponse> {
    let selection = Selection::try_from(request)?;
    if let Selection::Filter(filter) = &selection {
        job.about.filtered(None, Some(filter));
    }
    let result = job
        .backend
        .delete(&job.target.collection, &selection, job.stop)?;
    Ok(WriteResponse::new(result, job.received.elapsed()))
}

fn update_metadata(job: &Job<'_>, request: UpdateMetadataRequest) -> Result<WriteResponse> {
    let (ids, update) = request.split();
    let result = job
        .backend
        .update_metadata(&job.target.collection, &ids, &update, job.stop)?;
    Ok(WriteResponse::new(result, job.received.elapsed()))
}

fn scroll(job: &Job<'_>, request: ScrollRequest) -> Result<ScrollResponse> {
    let request: vecdb_engine::ScrollRequest = request.into();
    job.about
        .filtered(Some(request.limit), request.filter.as_ref());
    let page = job
        .backend
        .scroll(&job.target.collection, &request, job.stop)?;
    Ok(page.into())
}

fn count(job: &Job<'_>, request: CountRequest) -> Result<CountResponse> {
    job.about.filtered(None, request.filter());
    let count = job
        .backend
        .count(&job.target.collection, request.filter(), job.stop)?;
    Ok(CountResponse { count })
}

fn facets(job: &Job<'_>, request: FacetsRequest) -> Result<FacetsResponse> {
    let request: vecdb_engine::FacetRequest = request.into();
    job.about
        .filtered(Some(request.limit), request.filter.as_ref());
    let facets = job
        .backend
        .facets(&job.target.collection, &request, job.stop)?;
    Ok(facets.into())
}

fn search(job: &Job<'_>, request: SearchRequest) -> Result<SearchResponse> {
    let request = request.into();
    job.about.search(&request);
    let response = job
        .backend
        .search(&job.target.collection, &request, job.stop)?;
    Ok(response.into())
}

fn search_batch(job: &Job<'_>, request: SearchBatchRequest) -> Result<SearchBatchResponse> {
    let searches: Vec<_> = request.searches.into_iter().map(Into::into).collect();
    job.about.searches(&searches);
    let responses = job
        .backend
        .search_batch(&job.target.collection, &searches, job.stop)?;
    Ok(SearchBatchResponse {
        responses: responses.into_iter().map(Into::into).collect(),
    })
}

fn recommend(job: &Job<'_>, request: RecommendRequest) -> Result<SearchResponse> {
    let request: vecdb_engine::RecommendRequest = request.try_into()?;
    job.about.search(&request.search);
    let response = job
        .backend
        .recommend(&job.target.collection, &request, job.stop)?;
    Ok(response.into())
}

fn create_field_index(job: &Job<'_>, _: Empty) -> Result<FieldIndexResponse> {
    let (collection, field) = (&job.target.collection, &job.target.name);
    let changed = job
        .backend
        .create_field_index(collection, field, job.stop)?;
    Ok(FieldIndexResponse { changed })
}

fn drop_field_index(job: &Job<'_>, _: Empty) -> Result<FieldIndexResponse> {
    let (collection, field) = (&job.target.collection, &job.target.name);
    let changed = job.backend.drop_field_index(collection, field)?;
    Ok(FieldIndexResponse { changed })
}

fn flush(job: &Job<'_>, _: Empty) -> Result<Empty> {
    job.backend.flush(&job.target.collection)?;
    Ok(Empty {})
}

fn compact(job: &Job<'_>, request: CompactRequest) -> Result<CollectionInfo> {
    let collection = &job.target.collection;
    match request.pending_only {
        true => job.backend.wait_until_idle(collection, job.stop)?,
        false => job.backend.compact(collection, job.stop)?,
    }
    job.backend.collection(&job.target.collection)?.try_into()
}

fn advise(job: &Job<'_>, request: AdviseRequest) -> Result<AdviseResponse> {
    let advice = job
        .backend
        .advise(&job.target.collection, &request.into(), job.stop)?;
    Ok(advice.into())
}

fn pause_merges(job: &Job<'_>, _: Empty) -> Result<Empty> {
    job.backend.pause_merges()?;
    Ok(Empty {})
}

fn resume_merges(job: &Job<'_>, _: Empty) -> Result<Empty> {
    job.backend.resume_merges()?;
    Ok(Empty {})
}

fn verify(job: &Job<'_>, request: VerifyRequest) -> Result<VerifyResponse> {
    let only = request.collection.as_deref();
    let report = match request.repair {
        true => job.backend.repair(only, job.stop)?,
        false => job.backend.verify(only, job.stop)?,
    };
    Ok(report.into())
}

fn verify_archive(job: &Job<'_>, _: Empty) -> Result<VerifyArchiveResponse> {
    Ok(job.backend.verify_archive(None, job.stop)?.into())
}

fn list_snapshots(job: &Job<'_>, _: Empty) -> Result<ListSnapshotsResponse> {
    let snapshots = job.backend.list_snapshots()?;
    Ok(ListSnapshotsResponse {
        snapshots: snapshots.into_iter().map(Into::into).collect(),
    })
}

fn create_snapshot(job: &Job<'_>, request: CreateSnapshotRequest) -> Result<SnapshotInfo> {
    if let Some(name) = &request.name {
        job.about.snapshot(name, None);
    }
    let info =
        job.backend
            .create_snapshot(request.name.as_deref(), &request.collections, job.stop)?;
    job.about.snapshot(&info.name, None);
    Ok(info.into())
}

fn delete_snapshot(job: &Job<'_>, _: Empty) -> Result<Empty> {
    job.about.snapshot(&job.target.name, None);
    job.backend.delete_snapshot(&job.target.name)?;
    Ok(Empty {})
}

fn restore_snapshot(
    job: &Job<'_>,
    request: RestoreSnapshotRequest,
) -> Result<RestoreSnapshotResponse> {
    job.about
        .snapshot(&job.target.name, request.restore_as.as_deref());
    job.caller
        .check_restore(request.restore_as.as_deref().unwrap_or_default())?;
    let wanted = RestoreRequest::try_from(request)?;
    let restored = job
        .backend
        .restore_snapshot(&job.target.name, &wanted, job.stop)?;
    Ok(restored.into())
}

fn status(job: &Job<'_>, _: Empty) -> Result<StatusResponse> {
    Ok(job.backend.status()?.into())
}
