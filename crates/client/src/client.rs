//! The client: one method for each call.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use prost::Message;
use tokio_stream::{Stream, StreamExt as _};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::builder::Builder;
use crate::codec::SharedCodec;
use crate::error::ClientError;
use crate::rpc::{self, Rpc};
use crate::upsert_stream::{ResetOnDrop, UpsertStream};
use crate::{retry, v1};

/// The largest message sent or received.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A client of one server. Clones share its connection and cost little; calls may be made from any task at any time.
#[derive(Clone)]
pub struct Client {
    pub(crate) channel: Channel,
    pub(crate) address: Arc<str>,
    pub(crate) authorization: Option<MetadataValue<Ascii>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) retries: u32,
}

impl Client {
    /// A client of the server at `url` (`host:port`, `http://...`, `https://...`) with the default settings. The
    /// connection is made by its first call. To be called inside of a tokio runtime.
    pub fn connect(url: impl Into<String>) -> Result<Self, ClientError> {
        Self::builder(url).connect()
    }

    /// Settings of a client of the server at `url`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    /// The same client, whose calls end at `deadline` in place of a time after their start.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long a call may take that has no deadline; see [`Builder::timeout`].
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Makes a collection. Its name must be free.
    pub async fn create_collection(
        &self,
        request: v1::CreateCollectionRequest,
    ) -> Result<v1::CreateCollectionResponse, ClientError> {
        self.call(rpc::CREATE_COLLECTION, request).await
    }

    /// Settings, counts, segments and background work of a collection.
    pub async fn get_collection(
        &self,
        request: v1::GetCollectionRequest,
    ) -> Result<v1::GetCollectionResponse, ClientError> {
        self.call(rpc::GET_COLLECTION, request).await
    }

    /// All collections by name.
    pub async fn list_collections(
        &self,
        request: v1::ListCollectionsRequest,
    ) -> Result<v1::ListCollectionsResponse, ClientError> {
        self.call(rpc::LIST_COLLECTIONS, request).await
    }

    /// Removes a collection with all its points.
    pub async fn drop_collection(
        &self,
        request: v1::DropCollectionRequest,
    ) -> Result<v1::DropCollectionResponse, ClientError> {
        self.call(rpc::DROP_COLLECTION, request).await
    }

    /// Inserts points, or replaces those of the same ids: all of them or none.
    pub async fn upsert(
        &self,
        request: v1::UpsertRequest,
    ) -> Result<v1::UpsertResponse, ClientError> {
        self.call(rpc::UPSERT, request).await
    }

    /// Upserts batch after batch over one stream, without waiting for the answer to one before the next is sent. A
    /// batch can be an `UpsertRequest` or an `Arc` of one. How many are under way is up to `batches`: it is asked for
    /// more as fast as the server takes them. Not retried; see [`Self::wait_before_retry`].
    pub async fn upsert_stream<S>(&self, batches: S) -> Result<UpsertStream, ClientError>
    where
        S: Stream<Item: Into<Arc<v1::UpsertRequest>>> + Send + 'static,
    {
        let mut batches: Request<_> = self.request(batches.map(Into::into), self.deadline)?;
        let reset = ResetOnDrop::of(&mut batches);
        let mut grpc = self.grpc();
        let path = PathAndQuery::from_static(rpc::UPSERT_STREAM.path);
        let opened = async {
            grpc.ready().await.map_err(not_ready)?;
            grpc.streaming(batches, path, SharedCodec::default()).await
        };
        let answers = self.limited(self.deadline, opened).await?.into_inner();
        Ok(UpsertStream {
            client: self.clone(),
            answers,
            _reset: reset,
        })
    }

    /// Changes metadata and leaves the vectors.
    pub async fn update_metadata(
        &self,
        request: v1::UpdateMetadataRequest,
    ) -> Result<v1::UpdateMetadataResponse, ClientError> {
        self.call(rpc::UPDATE_METADATA, request).await
    }

    /// Deletes points by id or by filter.
    pub async fn delete(
        &self,
        request: v1::DeleteRequest,
    ) -> Result<v1::DeleteResponse, ClientError> {
        self.call(rpc::DELETE, request).await
    }

    /// Points by id.
    pub async fn get(&self, request: v1::GetRequest) -> Result<v1::GetResponse, ClientError> {
        self.call(rpc::GET, request).await
    }

    /// A page of all points, or of those that match a filter.
    pub async fn scroll(
        &self,
        request: v1::ScrollRequest,
    ) -> Result<v1::ScrollResponse, ClientError> {
        self.call(rpc::SCROLL, request).await
    }

    /// How many points there are, or match a filter.
    pub async fn count(&self, request: v1::CountRequest) -> Result<v1::CountResponse, ClientError> {
        self.call(rpc::COUNT, request).await
    }

    /// The most frequent values of a metadata field and how many points have each.
    pub async fn facets(
        &self,
        request: v1::FacetsRequest,
    ) -> Result<v1::FacetsResponse, ClientError> {
        self.call(rpc::FACETS, request).await
    }

    /// The points nearest to a vector.
    pub async fn search(
        &self,
        request: v1::SearchRequest,
    ) -> Result<v1::SearchResponse, ClientError> {
        self.call(rpc::SEARCH, request).await
    }

    /// Several searches of one state of the collection.
    pub async fn search_batch(
        &self,
        request: v1::SearchBatchRequest,
    ) -> Result<v1::SearchBatchResponse, ClientError> {
        self.call(rpc::SEARCH_BATCH, request).await
    }

    /// The points most like some examples and least like others.
    pub async fn recommend(
        &self,
        request: v1::RecommendRequest,
    ) -> Result<v1::SearchResponse, ClientError> {
        self.call(rpc::RECOMMEND, request).await
    }

    /// Runs one SQL statement.
    pub async fn query(&self, request: v1::QueryRequest) -> Result<v1::QueryResponse, ClientError> {
        self.call(rpc::query(&request.sql), request).await
    }

    /// Keeps an index of a metadata field in every segment.
    pub async fn create_field_index(
        &self,
        request: v1::CreateFieldIndexRequest,
    ) -> Result<v1::CreateFieldIndexResponse, ClientError> {
        self.call(rpc::CREATE_FIELD_INDEX, request).await
    }

    /// Keeps no index of a metadata field any more.
    pub async fn drop_field_index(
        &self,
        request: v1::DropFieldIndexRequest,
    ) -> Result<v1::DropFieldIndexResponse, ClientError> {
        self.call(rpc::DROP_FIELD_INDEX, request).await
    }

    /// Writes what is in memory to segments.
    pub async fn flush_collection(
        &self,
        request: v1::FlushCollectionRequest,
    ) -> Result<v1::FlushCollectionResponse, ClientError> {
        self.call(rpc::FLUSH_COLLECTION, request).await
    }

    /// Merges all segments into one and drops what is dead.
    pub async fn compact_collection(
        &self,
        request: v1::CompactCollectionRequest,
    ) -> Result<v1::CompactCollectionResponse, ClientError> {
        self.call(rpc::COMPACT_COLLECTION, request).await
    }

    /// Begins no merge in the background any more, and lets the one under way stand still.
    pub async fn pause_merges(
        &self,
        request: v1::PauseMergesRequest,
    ) -> Result<v1::PauseMergesResponse, ClientError> {
        self.call(rpc::PAUSE_MERGES, request).await
    }

    /// Lets merges go on from where they are.
    pub async fn resume_merges(
        &self,
        request: v1::ResumeMergesRequest,
    ) -> Result<v1::ResumeMergesResponse, ClientError> {
        self.call(rpc::RESUME_MERGES, request).await
    }

    /// Checks every file of a collection, or of the whole database.
    pub async fn verify(
        &self,
        request: v1::VerifyRequest,
    ) -> Result<v1::VerifyResponse, ClientError> {
        self.call(rpc::VERIFY, request).await
    }

    /// Checks every byte of the server's archive of the log.
    pub async fn verify_archive(
        &self,
        request: v1::VerifyArchiveRequest,
    ) -> Result<v1::VerifyArchiveResponse, ClientError> {
        self.call(rpc::VERIFY_ARCHIVE, request).await
    }

    /// Measures every kind of index on a sample of a collection's points and says which to take.
    pub async fn advise(
        &self,
        request: v1::AdviseRequest,
    ) -> Result<v1::AdviseResponse, ClientError> {
        self.call(rpc::ADVISE, request).await
    }

    /// Copies a collection, or all of them, to the server's snapshot store.
    pub async fn create_snapshot(
        &self,
        request: v1::CreateSnapshotRequest,
    ) -> Result<v1::CreateSnapshotResponse, ClientError> {
        self.call(rpc::CREATE_SNAPSHOT, request).await
    }

    /// All snapshots in the server's store.
    pub async fn list_snapshots(
        &self,
        request: v1::ListSnapshotsRequest,
    ) -> Result<v1::ListSnapshotsResponse, ClientError> {
        self.call(rpc::LIST_SNAPSHOTS, request).await
    }

    /// Makes collections from a snapshot. Their names must be free.
    pub async fn restore_snapshot(
        &self,
        request: v1::RestoreSnapshotRequest,
    ) -> Result<v1::RestoreSnapshotResponse, ClientError> {
        self.call(rpc::RESTORE_SNAPSHOT, request).await
    }

    /// Removes a snapshot from the server's store.
    pub async fn delete_snapshot(
        &self,
        request: v1::DeleteSnapshotRequest,
    ) -> Result<v1::DeleteSnapshotResponse, ClientError> {
        self.call(rpc::DELETE_SNAPSHOT, request).await
    }

    /// Version, time since the start, memory and what recovery did.
    pub async fn get_status(
        &self,
        request: v1::GetStatusRequest,
    ) -> Result<v1::GetStatusResponse, ClientError> {
        self.call(rpc::GET_STATUS, request).await
    }

    /// How long to wait before something that failed is tried again, for the `attempt`-th time from 0; `None` if it
    /// should not be. This is what calls do by themselves; it is here for those who repeat a stream.
    pub fn wait_before_retry(&self, attempt: u32, error: &ClientError) -> Option<Duration> {
        self.wait_until(self.deadline, attempt, error)
    }

    fn wait_until(
        &self,
        deadline: Option<Instant>,
        attempt: u32,
        error: &ClientError,
    ) -> Option<Duration> {
        if attempt >= self.retries || !retry::is_worth_it(error) {
            return None;
        }
        let wait = retry::wait(attempt, error.retry_after());
        let in_time = deadline.is_none_or(|deadline| Instant::now() + wait < deadline);
        in_time.then_some(wait)
    }

    async fn call<Q, R>(&self, rpc: Rpc, message: Q) -> Result<R, ClientError>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let timeout = self.timeout.filter(|_| !rpc.long);
        let deadline = self
            .deadline
            .or_else(|| timeout.and_then(|timeout| Instant::now().checked_add(timeout)));
        let message = Arc::new(message);
        let mut attempt = 0;
        loop {
            let error = match self.call_once(rpc, message.clone(), deadline).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match self.wait_until(deadline, attempt, &error) {
                Some(wait) if rpc.idempotent => tokio::time::sleep(wait).await,
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    async fn call_once<Q, R>(
        &self,
        rpc: Rpc,
        message: Arc<Q>,
        deadline: Option<Instant>,
    ) -> Result<R, ClientError>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let request = self.request(message, deadline)?;
        let mut grpc = self.grpc();
        let path = PathAndQuery::from_static(rpc.path);
        let answer = async {
            grpc.ready().await.map_err(not_ready)?;
            grpc.unary(request, path, SharedCodec::default()).await
        };
        self.limited(deadline, answer)
            .await
            .map(Response::into_inner)
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// A request with the caller's credentials, and the time it has left.
    fn request<T>(&self, content: T, deadline: Option<Instant>) -> Result<Request<T>, ClientError> {
        let mut request = Request::new(content);
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            request.set_timeout(left);
        }
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.clone());
        }
        Ok(request)
    }

    /// `work`, ended at the deadline.
    pub(crate) async fn limited<T>(
        &self,
        deadline: Option<Instant>,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, ClientError> {
        let done = match deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), work).await {
                Ok(done) => done,
                Err(_) => return Err(late()),
            },
            None => work.await,
        };
        done.map_err(|status| self.error(deadline, status))
    }

    fn error(&self, deadline: Option<Instant>, status: Status) -> ClientError {
        // A status with a source was made here: by the transport, which also has a clock of its own for the deadline.
        let ours = std::error::Error::source(&status).is_some();
        match status.code() {
            _ if !ours => ClientError::of(status),
            Code::Cancelled if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                late()
            }
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => {
                ClientError::unreachable(&self.address, &status)
            }
            _ => ClientError::of(status),
        }
    }
}

fn not_ready(error: tonic::transport::Error) -> Status {
    Status::from_error(error.into())
}

fn late() -> ClientError {
    ClientError::new(
        Code::DeadlineExceeded,
        "the time limit of the call has passed",
    )
}
