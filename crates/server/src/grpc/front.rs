//! Before and behind every rpc: what its headers say becomes a [`Call`], its body counts while it arrives, its answer
//! carries the request's id, and errors that the gRPC library gives say what every error says.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::{Code, Status};
use tower::BoxError;
use vecdb_engine::{Error, ErrorKind};
use vecdb_protocol::{ERROR_KIND_METADATA, convert::status_of};

use crate::gateway::{Call, Face, Gateway, Intake, Operation, REQUEST_ID};

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

    /// A message has to arrive within the time of an ordinary call; a stream may go on as long as its caller likes, if
    /// the caller is known.
    fn body_deadline(&self, path: &str, call: &Call, is_known: bool) -> Option<Instant> {
        match is_known && path.ends_with("/UpsertStream") {
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
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        let (mut parts, body) = request.into_parts();
        let call = Call::from_parts(&parts.headers, &parts.extensions, Face::Grpc);
        let request_id = HeaderValue::from_str(&call.request_id);
        let body = self.gateway.intake(body);
        parts.extensions.insert(body.meter());
        let refusal = self.gateway.check_in(&call, Operation::GetStatus, "").err();
        let body = Arriving {
            body,
            deadline: self.body_deadline(parts.uri.path(), &call, refusal.is_none()),
            alarm: None,
            stranger: refusal.map(|error| (error, STRANGER_BYTES_MAX)),
        };
        parts.extensions.insert(call);
        let answer = self.service.call(Request::from_parts(parts, body));
        Box::pin(async move {
            let mut response = answer.await?;
            complete_headers(response.headers_mut());
            if let Ok(id) = request_id {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        })
    }
}

/// A body that fails with statuses, and when it takes too long.
pub(super) struct Arriving {
    body: Intake<Body>,
    deadline: Option<Instant>,
    /// Most bodies come with their headers and never need it.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Why the caller will be refused, and the bytes that are read until then.
    stranger: Option<(Error, usize)>,
}

/// A caller without any right fills no memory. A message of a usual size is read all the same, and refused by the
/// gateway, which writes that down.
const STRANGER_BYTES_MAX: usize = 64 << 10;

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            let bytes = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, Bytes::len);
            if let (Some((refusal, left)), Some(Ok(frame))) = (&mut this.stranger, &frame) {
                match left.checked_sub(bytes(frame)) {
                    Some(rest) => *left = rest,
                    None => return Poll::Ready(Some(Err(status_of(refusal).into()))),
                }
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(as_status)));
        }
        let Some(deadline) = this.deadline else {
            return Poll::Pending;
        };
        let alarm = this
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        ready!(alarm.as_mut().poll(context));
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
