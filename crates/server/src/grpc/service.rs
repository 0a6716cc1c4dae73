//! The rpcs. Each names its operation and its collection, and does with the backend what the message says.

use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use tonic::{Request, Response, Status, Streaming};
use vecdb_backend::{Backend, Selection};
use vecdb_engine::{
    CollectionConfig, FacetRequest, RecommendRequest, RestoreRequest, Result, ScrollRequest,
    SearchRequest, StopSignal,
};
use vecdb_protocol::convert::{self, collection_name, status_of};
use vecdb_protocol::v1;
use vecdb_protocol::v1::vec_db_server::VecDb;
use vecdb_sql::QueryResult;

use super::front::Slot;
use super::upserts;
use crate::auth::Caller;
use crate::gateway::{About, Access, Call, Face, Gateway, Meter, Operation};

pub(super) struct Service {
    gateway: Arc<Gateway>,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

impl Service {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Runs `work` for one message. `collection` is what the rights have to cover; empty: the database as a whole.
    async fn run<Q, A>(
        &self,
        operation: Operation,
        request: Request<Q>,
        collection: impl FnOnce(&Q) -> String,
        work: impl FnOnce(&dyn Backend, Q, &StopSignal) -> Result<A> + Send + 'static,
    ) -> Answer<A>
    where
        Q: Send + 'static,
        A: Message + 'static,
    {
        let work = move |backend: &dyn Backend, message, stop: &StopSignal, _: &Caller| {
            work(backend, message, stop)
        };
        self.run_as(operation, request, collection, work).await
    }

    /// [`Self::run`] for work that depends on the caller's rights.
    async fn run_as<Q, A>(
        &self,
        operation: Operation,
        request: Request<Q>,
        collection: impl FnOnce(&Q) -> String,
        work: impl FnOnce(&dyn Backend, Q, &StopSignal, &Caller) -> Result<A> + Send + 'static,
    ) -> Answer<A>
    where
        Q: Send + 'static,
        A: Message + 'static,
    {
        let (call, meter, message) = into_parts(request);
        let collection = collection(&message);
        let bytes = meter.map_or(0, |meter| meter.take());
        let holder = self.gateway.clone();
        let work = move |backend: &dyn Backend, stop: &StopSignal, caller: &Caller| {
            let answer = work(backend, message, stop, caller)?;
            let held = holder.hold(operation, answer.encoded_len())?;
            Ok((answer, held))
        };
        let (answer, held) = self
            .gateway
            .run_as(&call, operation, &collection, bytes, work)
            .await
            .map_err(|error| status_of(&error))?;
        let mut response = Response::new(answer);
        response.extensions_mut().insert(held);
        Ok(response)
    }
}

/// What [`Front`](super::front::Front) put beside the message.
pub(super) fn into_parts<Q>(request: Request<Q>) -> (Call, Option<Meter>, Q) {
    let (metadata, mut extensions, message) = request.into_parts();
    let meter = extensions.remove::<Meter>();
    let call = extensions.remove::<Slot>().and_then(|slot| slot.take());
    let call = call.unwrap_or_else(|| {
        Call::from_parts(metadata.as_ref(), &http::Extensions::new(), Face::Grpc)
    });
    (call, meter, message)
}

/// When the call arrived.
fn received<Q>(request: &Request<Q>) -> Instant {
    let slot = request.extensions().get::<Slot>();
    slot.and_then(Slot::received).unwrap_or_else(Instant::now)
}

/// Where a call says what it is about.
fn about<Q>(request: &Request<Q>) -> About {
    let slot = request.extensions().get::<Slot>();
    slot.and_then(Slot::about).unwrap_or_default()
}

/// Milliseconds since then, as a write tells them: its time in the queue is part of what its caller waited.
fn latency_ms(received: Instant) -> f32 {
    received.elapsed().as_secs_f32() * 1_000.0
}

/// Writes a batch.
pub(super) fn upsert(
    backend: &dyn Backend,
    request: v1::UpsertRequest,
    stop: &StopSignal,
    received: Instant,
) -> Result<v1::UpsertResponse> {
    let collection = collection_name(request.collection)?;
    let durability = convert::durability(request.durability)?;
    let points = convert::points(request.points)?;
    let result = backend.upsert(&collection, points, durability, stop)?;
    Ok(v1::UpsertResponse {
        result: Some(result.into()),
        latency_ms: latency_ms(received),
    })
}

fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[tonic::async_trait]
impl VecDb for Service {
    async fn create_collection(
        &self,
        request: Request<v1::CreateCollectionRequest>,
    ) -> Answer<v1::CreateCollectionResponse> {
        let operation = Operation::CreateCollection;
        self.run(
            operation,
            request,
            |q| q.name.clone(),
            |backend, q, _| {
                let (name, config): (String, CollectionConfig) = q.try_into()?;
                let info = backend.create_collection(&name, config)?;
                Ok(v1::CreateCollectionResponse {
                    collection: Some(info.try_into()?),
                })
            },
        )
        .await
    }

    async fn get_collection(
        &self,
        request: Request<v1::GetCollectionRequest>,
    ) -> Answer<v1::GetCollectionResponse> {
        let operation = Operation::GetCollection;
        self.run(
            operation,
            request,
            |q| q.name.clone(),
            |backend, q, _| {
                let info = backend.collection(&collection_name(q.name)?)?;
                Ok(v1::GetCollectionResponse {
                    collection: Some(info.try_into()?),
                })
            },
        )
        .await
    }

    /// Those that the caller may read.
    async fn list_collections(
        &self,
        request: Request<v1::ListCollectionsRequest>,
    ) -> Answer<v1::ListCollectionsResponse> {
        let operation = Operation::ListCollections;
        self.run_as(
            operation,
            request,
            |_| String::new(),
            |backend, _, _, caller| {
                let collections = backend.collections()?.into_iter();
                let readable = collections.filter(|one| caller.may(Access::Read, &one.name));
                Ok(v1::ListCollectionsResponse {
                    collections: readable.map(Into::into).collect(),
                })
            },
        )
        .await
    }

    async fn drop_collection(
        &self,
        request: Request<v1::DropCollectionRequest>,
    ) -> Answer<v1::DropCollectionResponse> {
        let operation = Operation::DropCollection;
        self.run(
            operation,
            request,
            |q| q.name.clone(),
            |backend, q, _| {
                backend.drop_collection(&collection_name(q.name)?)?;
                Ok(v1::DropCollectionResponse {})
            },
        )
        .await
    }

    async fn upsert(&self, request: Request<v1::UpsertRequest>) -> Answer<v1::UpsertResponse> {
        let (operation, received) = (Operation::Upsert, received(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, q, stop| upsert(backend, q, stop, received),
        )
        .await
    }

    type UpsertStreamStream = upserts::Answers;

    async fn upsert_stream(
        &self,
        request: Request<Streaming<v1::UpsertRequest>>,
    ) -> Answer<Self::UpsertStreamStream> {
        let (call, meter, requests) = into_parts(request);
        let answers = upserts::answers(self.gateway.clone(), call, meter, requests);
        Ok(Response::new(answers))
    }

    async fn update_metadata(
        &self,
        request: Request<v1::UpdateMetadataRequest>,
    ) -> Answer<v1::UpdateMetadataResponse> {
        let (operation, received) = (Operation::UpdateMetadata, received(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, mut q, stop| {
                let collection = collection_name(std::mem::take(&mut q.collection))?;
                let (ids, update) = convert::metadata_update(q)?;
                let result = backend.update_metadata(&collection, &ids, &update, stop)?;
                Ok(v1::UpdateMetadataResponse {
                    result: Some(result.into()),
                    latency_ms: latency_ms(received),
                })
            },
        )
        .await
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Answer<v1::DeleteResponse> {
        let (operation, received) = (Operation::Delete, received(&request));
        let about = about(&request);
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, mut q, stop| {
                let collection = collection_name(std::mem::take(&mut q.collection))?;
                let selection = Selection::try_from(q)?;
                if let Selection::Filter(filter) = &selection {
                    about.filtered(None, Some(filter));
                }
                let result = backend.delete(&collection, &selection, stop)?;
                Ok(v1::DeleteResponse {
                    result: Some(result.into()),
                    latency_ms: latency_ms(received),
                })
            },
        )
        .await
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Answer<v1::GetResponse> {
        let operation = Operation::Get;
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            |backend, q, stop| {
                let collection = collection_name(q.collection)?;
                let ids = convert::ids(q.ids)?;
                let with_metadata = q.with_metadata.unwrap_or(true);
                let found = backend.get(&collection, &ids, q.with_vector, with_metadata, stop)?;
                Ok(convert::get_response(ids, found))
            },
        )
        .await
    }

    async fn scroll(&self, request: Request<v1::ScrollRequest>) -> Answer<v1::ScrollResponse> {
        let (operation, about) = (Operation::Scroll, about(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, mut q, stop| {
                let collection = collection_name(std::mem::take(&mut q.collection))?;
                let request = ScrollRequest::try_from(q)?;
                about.filtered(Some(request.limit), request.filter.as_ref());
                Ok(backend.scroll(&collection, &request, stop)?.into())
            },
        )
        .await
    }

    async fn count(&self, request: Request<v1::CountRequest>) -> Answer<v1::CountResponse> {
        let (operation, about) = (Operation::Count, about(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, q, stop| {
                let collection = collection_name(q.collection)?;
                let filter = convert::filter(q.filter)?;
                about.filtered(None, filter.as_ref());
                let count = backend.count(&collection, filter.as_ref(), stop)?;
                Ok(v1::CountResponse { count })
            },
        )
        .await
    }

    async fn facets(&self, request: Request<v1::FacetsRequest>) -> Answer<v1::FacetsResponse> {
        let (operation, about) = (Operation::Facets, about(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, mut q, stop| {
                let collection = collection_name(std::mem::take(&mut q.collection))?;
                let request = FacetRequest::try_from(q)?;
                about.filtered(Some(request.limit), request.filter.as_ref());
                Ok(backend.facets(&collection, &request, stop)?.into())
            },
        )
        .await
    }

    async fn search(&self, request: Request<v1::SearchRequest>) -> Answer<v1::SearchResponse> {
        let (operation, about) = (Operation::Search, about(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, mut q, stop| {
                let collection = collection_name(std::mem::take(&mut q.collection))?;
                let request = SearchRequest::try_from(q)?;
                about.search(&request);
                Ok(backend.search(&collection, &request, stop)?.into())
            },
        )
        .await
    }

    async fn search_batch(
        &self,
        request: Request<v1::SearchBatchRequest>,
    ) -> Answer<v1::SearchBatchResponse> {
        let (operation, about) = (Operation::SearchBatch, about(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, q, stop| {
                let collection = collection_name(q.collection.clone())?;
                let requests = convert::searches(q)?;
                about.searches(&requests);
                let responses = backend.search_batch(&collection, &requests, stop)?;
                Ok(v1::SearchBatchResponse {
                    responses: responses.into_iter().map(Into::into).collect(),
                })
            },
        )
        .await
    }

    async fn recommend(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Answer<v1::SearchResponse> {
        let (operation, about) = (Operation::Recommend, about(&request));
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, mut q, stop| {
                let collection = collection_name(std::mem::take(&mut q.collection))?;
                let request = RecommendRequest::try_from(q)?;
                about.search(&request.search);
                Ok(backend.recommend(&collection, &request, stop)?.into())
            },
        )
        .await
    }

    async fn query(&self, request: Request<v1::QueryRequest>) -> Answer<v1::QueryResponse> {
        let (call, meter, message) = into_parts(request);
        let bytes = meter.map_or(0, |meter| meter.take());
        let read = move || {
            let params = convert::params(message.positional, message.named)?;
            Ok((message.sql, params))
        };
        let holder = self.gateway.clone();
        let finish = move |operation, result: QueryResult| {
            let answer = v1::QueryResponse::from(result);
            let held = holder.hold(operation, answer.encoded_len())?;
            Ok((answer, held))
        };
        let answered = self.gateway.query(&call, bytes, read, finish).await;
        let (answer, held) = answered.map_err(|error| status_of(&error))?;
        let mut response = Response::new(answer);
        response.extensions_mut().insert(held);
        Ok(response)
    }

    async fn create_field_index(
        &self,
        request: Request<v1::CreateFieldIndexRequest>,
    ) -> Answer<v1::CreateFieldIndexResponse> {
        let operation = Operation::CreateFieldIndex;
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            |backend, q, stop| {
                let collection = collection_name(q.collection)?;
                let changed = backend.create_field_index(&collection, &q.field, stop)?;
                Ok(v1::CreateFieldIndexResponse { changed })
            },
        )
        .await
    }

    async fn drop_field_index(
        &self,
        request: Request<v1::DropFieldIndexRequest>,
    ) -> Answer<v1::DropFieldIndexResponse> {
        let operation = Operation::DropFieldIndex;
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            |backend, q, _| {
                let collection = collection_name(q.collection)?;
                let changed = backend.drop_field_index(&collection, &q.field)?;
                Ok(v1::DropFieldIndexResponse { changed })
            },
        )
        .await
    }

    async fn flush_collection(
        &self,
        request: Request<v1::FlushCollectionRequest>,
    ) -> Answer<v1::FlushCollectionResponse> {
        let operation = Operation::FlushCollection;
        self.run(
            operation,
            request,
            |q| q.name.clone(),
            |backend, q, _| {
                backend.flush(&collection_name(q.name)?)?;
                Ok(v1::FlushCollectionResponse {})
            },
        )
        .await
    }

    async fn compact_collection(
        &self,
        request: Request<v1::CompactCollectionRequest>,
    ) -> Answer<v1::CompactCollectionResponse> {
        let operation = Operation::CompactCollection;
        self.run(
            operation,
            request,
            |q| q.name.clone(),
            |backend, q, stop| {
                let name = collection_name(q.name)?;
                match q.pending_only {
                    true => backend.wait_until_idle(&name, stop)?,
                    false => backend.compact(&name, stop)?,
                }
                Ok(v1::CompactCollectionResponse {
                    collection: Some(backend.collection(&name)?.try_into()?),
                })
            },
        )
        .await
    }

    async fn pause_merges(
        &self,
        request: Request<v1::PauseMergesRequest>,
    ) -> Answer<v1::PauseMergesResponse> {
        let operation = Operation::PauseMerges;
        self.run(
            operation,
            request,
            |_| String::new(),
            |backend, _, _| {
                backend.pause_merges()?;
                Ok(v1::PauseMergesResponse {})
            },
        )
        .await
    }

    async fn resume_merges(
        &self,
        request: Request<v1::ResumeMergesRequest>,
    ) -> Answer<v1::ResumeMergesResponse> {
        let operation = Operation::ResumeMerges;
        self.run(
            operation,
            request,
            |_| String::new(),
            |backend, _, _| {
                backend.resume_merges()?;
                Ok(v1::ResumeMergesResponse {})
            },
        )
        .await
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Answer<v1::VerifyResponse> {
        let operation = Operation::Verify;
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            |backend, q, stop| {
                let only = text(&q.collection);
                let report = match q.repair {
                    true => backend.repair(only, stop)?,
                    false => backend.verify(only, stop)?,
                };
                Ok(report.into())
            },
        )
        .await
    }

    async fn verify_archive(
        &self,
        request: Request<v1::VerifyArchiveRequest>,
    ) -> Answer<v1::VerifyArchiveResponse> {
        let operation = Operation::VerifyArchive;
        self.run(
            operation,
            request,
            |_| String::new(),
            |backend, _, stop| Ok(backend.verify_archive(None, stop)?.into()),
        )
        .await
    }

    async fn advise(&self, request: Request<v1::AdviseRequest>) -> Answer<v1::AdviseResponse> {
        let operation = Operation::Advise;
        self.run(
            operation,
            request,
            |q| q.collection.clone(),
            |backend, mut q, stop| {
                let collection = collection_name(std::mem::take(&mut q.collection))?;
                backend.advise(&collection, &q.into(), stop)?.try_into()
            },
        )
        .await
    }

    /// One collection takes the right on it, all or several the right on all.
    async fn create_snapshot(
        &self,
        request: Request<v1::CreateSnapshotRequest>,
    ) -> Answer<v1::CreateSnapshotResponse> {
        let (operation, about) = (Operation::CreateSnapshot, about(&request));
        let covered = |q: &v1::CreateSnapshotRequest| match q.collections.as_slice() {
            [only] => only.clone(),
            _ => String::new(),
        };
        self.run(operation, request, covered, move |backend, q, stop| {
            if let Some(name) = text(&q.name) {
                about.snapshot(name, None);
            }
            let info = backend.create_snapshot(text(&q.name), &q.collections, stop)?;
            about.snapshot(&info.name, None);
            Ok(v1::CreateSnapshotResponse {
                snapshot: Some(info.into()),
            })
        })
        .await
    }

    async fn list_snapshots(
        &self,
        request: Request<v1::ListSnapshotsRequest>,
    ) -> Answer<v1::ListSnapshotsResponse> {
        let operation = Operation::ListSnapshots;
        self.run(
            operation,
            request,
            |_| String::new(),
            |backend, _, _| {
                let snapshots = backend.list_snapshots()?.into_iter();
                Ok(v1::ListSnapshotsResponse {
                    snapshots: snapshots.map(Into::into).collect(),
                })
            },
        )
        .await
    }

    /// Takes the right on the collection as it was and as it will be.
    async fn restore_snapshot(
        &self,
        request: Request<v1::RestoreSnapshotRequest>,
    ) -> Answer<v1::RestoreSnapshotResponse> {
        let (operation, about) = (Operation::RestoreSnapshot, about(&request));
        self.run_as(
            operation,
            request,
            |q| q.collection.clone(),
            move |backend, q, stop, caller| {
                about.snapshot(&q.name, text(&q.restore_as));
                caller.check_restore(&q.restore_as)?;
                let name = q.name.clone();
                let wanted = RestoreRequest::try_from(q)?;
                let restored = backend.restore_snapshot(&name, &wanted, stop)?;
                Ok(restored.into())
            },
        )
        .await
    }

    async fn delete_snapshot(
        &self,
        request: Request<v1::DeleteSnapshotRequest>,
    ) -> Answer<v1::DeleteSnapshotResponse> {
        let (operation, about) = (Operation::DeleteSnapshot, about(&request));
        self.run(
            operation,
            request,
            |_| String::new(),
            move |backend, q, _| {
                about.snapshot(&q.name, None);
                backend.delete_snapshot(&q.name)?;
                Ok(v1::DeleteSnapshotResponse {})
            },
        )
        .await
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Answer<v1::GetStatusResponse> {
        let operation = Operation::GetStatus;
        self.run(
            operation,
            request,
            |_| String::new(),
            |backend, _, _| Ok(backend.status()?.into()),
        )
        .await
    }
}
