//! Before and behind every rpc: what its headers say becomes a [`Call`], callers without the right for it are refused
//! before anything is read, its body counts while it arrives, its answer carries the request's id, and errors that the
//! gRPC library gives say what every error says and are written down like all others.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Sleep;
use tonic::{Code, Status};
use tower::BoxError;
use vecdb_engine::{Error, ErrorKind};
use vecdb_protocol::ERROR_KIND_METADATA;
use vecdb_protocol::convert::{error_of, status_of};

use super::aside::Aside;
use crate::gateway::{About, Call, Face, Gateway, Intake, Operation, REQUEST_ID};

/// A service with all that before and behind it.
#[derive(Clone)]
pub(super) struct Front<S> {
    service: S,
    gateway: Arc<Gateway>,
}

impl<S> Front<S> {
    pub(super) fn new(service: S, gateway: Arc<Gateway>) -> Self {
        Self { service, gateway }
    }

    /// A message has to arrive within the time of an ordinary call; a stream may go on as long as its caller likes.
    fn body_deadline(&self, path: &str, call: &Call) -> Option<Instant> {
        match path.ends_with("/UpsertStream") {
            true => call.deadline,
            false => self.gateway.deadline(call, Operation::Search),
        }
    }
}

impl<S> tower::Service<Request<Body>> for Front<S>
where
    S: tower::Service<
            Request<Arriving>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future: Send + 'static,
        >,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !is_grpc(request.headers()) {
            let mut refusal = Response::new(tonic::body::Body::empty());
            *refusal.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Box::pin(ready(Ok(refusal)));
        }
        let (mut parts, body) = request.into_parts();
        let call = Call::from_parts(&parts.headers, &parts.extensions, Face::Grpc);
        let request_id = HeaderValue::from_str(&call.request_id);
        let operation = operation_of(parts.uri.path());
        if let Some(operation) = operation
            && let Err(error) = self.gateway.check_anywhere(&call, operation)
        {
            // Nothing is read from strangers.
            self.gateway.record_refusal(&call, operation, "", &error);
            let mut refusal = status_of(&error).into_http();
            name(&mut refusal, request_id);
            return Box::pin(ready(Ok(refusal)));
        }
        let body = self.gateway.intake(body);
        let meter = body.meter();
        parts.extensions.insert(meter.clone());
        let deadline = self.body_deadline(parts.uri.path(), &call);
        let slot = Slot::new(call);
        let body = Arriving {
            body,
            deadline,
            alarm: None,
            bytes_left: None,
            slot: Some(slot.clone()),
        };
        parts.extensions.insert(slot.clone());
        let undecoded = Undecoded {
            gateway: self.gateway.clone(),
            operation,
            slot,
        };
        let answer = self.service.call(Request::from_parts(parts, body));
        let answer = Aside::new(Box::pin(answer), Some(meter));
        Box::pin(async move {
            let mut response = answer.await?;
            complete_headers(response.headers_mut());
            undecoded.ended(response.headers());
            name(&mut response, request_id);
            Ok(response)
        })
    }
}

fn name<B>(response: &mut Response<B>, request_id: Result<HeaderValue, InvalidHeaderValue>) {
    if let Ok(id) = request_id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// What a call of this path asks for.
fn operation_of(path: &str) -> Option<Operation> {
    let (_, method) = path.rsplit_once('/')?;
    Some(match method {
        "CreateCollection" => Operation::CreateCollection,
        "GetCollection" => Operation::GetCollection,
        "ListCollections" => Operation::ListCollections,
        "DropCollection" => Operation::DropCollection,
        "Upsert" | "UpsertStream" => Operation::Upsert,
        "UpdateMetadata" => Operation::UpdateMetadata,
        "Delete" => Operation::Delete,
        "Get" => Operation::Get,
        "Scroll" => Operation::Scroll,
        "Count" => Operation::Count,
        "Facets" => Operation::Facets,
        "Search" => Operation::Search,
        "SearchBatch" => Operation::SearchBatch,
        "Recommend" => Operation::Recommend,
        "Query" => Operation::Query,
        "CreateFieldIndex" => Operation::CreateFieldIndex,
        "DropFieldIndex" => Operation::DropFieldIndex,
        "FlushCollection" => Operation::FlushCollection,
        "CompactCollection" => Operation::CompactCollection,
        "PauseMerges" => Operation::PauseMerges,
        "ResumeMerges" => Operation::ResumeMerges,
        "Verify" => Operation::Verify,
        "VerifyArchive" => Operation::VerifyArchive,
        "Advise" => Operation::Advise,
        "CreateSnapshot" => Operation::CreateSnapshot,
        "ListSnapshots" => Operation::ListSnapshots,
        "RestoreSnapshot" => Operation::RestoreSnapshot,
        "DeleteSnapshot" => Operation::DeleteSnapshot,
        "GetStatus" => Operation::GetStatus,
        _ => return None,
    })
}

/// The call of a request, until its method takes it: from there on the gateway writes it down.
#[derive(Clone)]
pub(super) struct Slot(Arc<Waiting>);

struct Waiting {
    call: Mutex<Option<Call>>,
    /// The body broke off. To the gRPC library that is the end of a stream, and so a message that is missing.
    is_gone: AtomicBool,
}

impl Slot {
    fn new(call: Call) -> Self {
        Self(Arc::new(Waiting {
            call: Mutex::new(Some(call)),
            is_gone: AtomicBool::new(false),
        }))
    }

    pub(super) fn take(&self) -> Option<Call> {
        self.0.call.lock().take()
    }

    pub(super) fn about(&self) -> Option<About> {
        self.0.call.lock().as_ref().map(|call| call.about.clone())
    }

    /// When the call arrived.
    pub(super) fn received(&self) -> Option<Instant> {
        self.0.call.lock().as_ref().map(|call| call.received)
    }
}

/// Writes down a call whose message could not be read, or whose caller went away before it was.
struct Undecoded {
    gateway: Arc<Gateway>,
    operation: Option<Operation>,
    slot: Slot,
}

impl Undecoded {
    fn ended(&self, headers: &HeaderMap) {
        // Who is gone is written down when this is dropped.
        if !self.slot.0.is_gone.load(Ordering::Relaxed)
            && let Some(status) = Status::from_header_map(headers)
        {
            self.write(&error_of(&status));
        }
    }

    fn write(&self, error: &Error) {
        if let (Some(operation), Some(call)) = (self.operation, self.slot.take()) {
            self.gateway.record_refusal(&call, operation, "", error);
        }
    }
}

impl Drop for Undecoded {
    fn drop(&mut self) {
        self.write(&Error::new(ErrorKind::Cancelled, "the caller went away"));
    }
}

/// A body that fails with statuses, and when it takes too long.
pub(super) struct Arriving {
    body: Intake<Body>,
    deadline: Option<Instant>,
    /// Most bodies come with their headers and never need it.
    alarm: Option<Pin<Box<Sleep>>>,
    /// How much more may come, where that is limited.
    bytes_left: Option<usize>,
    /// Where it is told that the body broke off.
    slot: Option<Slot>,
}

impl Arriving {
    /// The body of a caller who need not be known, of which `bytes_max` are read.
    pub(super) fn of_anybody(
        body: Intake<Body>,
        deadline: Option<Instant>,
        bytes_max: usize,
    ) -> Self {
        Self {
            body,
            deadline,
            alarm: None,
            bytes_left: Some(bytes_max),
            slot: None,
        }
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let (Some(left), Some(Ok(frame))) = (&mut this.bytes_left, &frame) {
                match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(rest) => *left = rest,
                    None => return Poll::Ready(Some(Err(status_of(&too_much()).into()))),
                }
            }
            if let (Some(slot), Some(Err(error))) = (&this.slot, &frame)
                && !error.is::<Error>()
            {
                slot.0.is_gone.store(true, Ordering::Relaxed);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(as_status)));
        }
        let Some(deadline) = this.deadline else {
            return Poll::Pending;
        };
        let alarm = this
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        task::ready!(alarm.as_mut().poll(context));
        let late = Error::new(
            ErrorKind::DeadlineExceeded,
            "the message did not arrive within the time limit of the call",
        );
        Poll::Ready(Some(Err(status_of(&late).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn too_much() -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        "more was sent than this service reads of one call",
    )
}

/// An error of ours as the status that the gRPC library then gives; others as they are.
fn as_status(error: BoxError) -> BoxError {
    match error.downcast::<Error>() {
        Ok(error) => status_of(&error).into(),
        Err(error) => error,
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// An answer without messages has its status among its headers.
fn complete_headers(headers: &mut HeaderMap) {
    if !headers.contains_key(Status::GRPC_STATUS) || headers.contains_key(ERROR_KIND_METADATA) {
        return;
    }
    let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)
    else {
        return;
    };
    // The status was in headers before, so it fits into them.
    let _ = complete(status).add_header(headers);
}

/// A status with the kind of error in it. The gRPC library calls what a client sent wrongly an internal error.
pub(super) fn complete(status: Status) -> Status {
    if status.metadata().contains_key(ERROR_KIND_METADATA) {
        return status;
    }
    let said = status.message();
    let (kind, message) = match status.code() {
        Code::OutOfRange => (
            ErrorKind::InvalidArgument,
            format!("the message is larger than limits.request_bytes_max allows: {said}"),
        ),
        Code::Internal => (
            ErrorKind::InvalidArgument,
            format!("the message cannot be read: {said}"),
        ),
        Code::Unimplemented if said.is_empty() => (
            ErrorKind::Unsupported,
            "this server has no such method; its reflection service lists those it has".to_owned(),
        ),
        Code::Unimplemented => (ErrorKind::Unsupported, said.to_owned()),
        Code::Cancelled => (ErrorKind::Cancelled, said.to_owned()),
        _ => (
            ErrorKind::InvalidArgument,
            format!("the request ended early: {said}"),
        ),
    };
    status_of(&Error::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_method() {
        for operation in Operation::ALL {
            let words = operation.name().split('_').map(|word| {
                let (first, rest) = word.split_at(1);
                first.to_uppercase() + rest
            });
            let path = format!("/vecdb.v1.VecDB/{}", words.collect::<String>());
            assert_eq!(operation_of(&path), Some(operation), "{path}");
        }
        let stream = operation_of("/vecdb.v1.VecDB/UpsertStream");
        assert_eq!(stream, Some(Operation::Upsert));
        assert_eq!(operation_of("/vecdb.v1.VecDB/Nothing"), None);
    }

    #[test]
    fn errors_of_the_grpc_library_become_errors_like_all_others() {
        let kind = |status| {
            let status = complete(status);
            (status.code(), vecdb_protocol::kind_name(&status).to_owned())
        };
        assert_eq!(
            kind(Status::internal("failed to decode")),
            (Code::InvalidArgument, "invalid_argument".to_owned())
        );
        assert_eq!(
            kind(Status::out_of_range("too large")),
            (Code::InvalidArgument, "invalid_argument".to_owned())
        );
        assert_eq!(
            kind(Status::unimplemented("")),
            (Code::Unimplemented, "unsupported".to_owned())
        );
        let full = Error::new(ErrorKind::ResourceExhausted, "no room");
        assert_eq!(
            kind(Status::from_error(as_status(full.into()))),
            (Code::ResourceExhausted, "resource_exhausted".to_owned())
        );
        let own = status_of(&Error::new(ErrorKind::Io, "a disk broke"));
        assert_eq!(kind(own), (Code::Internal, "io".to_owned()));
    }
}
