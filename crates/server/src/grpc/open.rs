//! Services that answer callers nobody knows: health and reflection. What such a caller may hold is little, and not for
//! long: a request of some kilobytes that arrives within the time of an ordinary call.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use vecdb_engine::{Error, ErrorKind};
use vecdb_protocol::convert::status_of;

use super::front::Arriving;
use crate::gateway::{Call, Face, Gateway, Operation};

/// What is read of one call, which may be a stream of requests.
const BYTES_MAX: usize = 64 << 10;

/// A service with these limits before it.
#[derive(Clone)]
pub(super) struct Open<S> {
    service: S,
    gateway: Arc<Gateway>,
    /// For the calls that may be under way at a time, where that is limited.
    places: Option<Arc<Semaphore>>,
}

impl<S> Open<S> {
    pub(super) fn new(service: S, gateway: Arc<Gateway>) -> Self {
        Self {
            service,
            gateway,
            places: None,
        }
    }

    /// At most `calls` at a time, each until its answer was sent.
    pub(super) fn at_a_time(self, calls: usize) -> Self {
        let places = Some(Arc::new(Semaphore::new(calls)));
        Self { places, ..self }
    }
}

impl<S> tower::Service<Request<Body>> for Open<S>
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
        let place = match &self.places {
            None => None,
            Some(places) => match places.clone().try_acquire_owned() {
                Ok(place) => Some(place),
                Err(_) => return Box::pin(ready(Ok(busy().into_http()))),
            },
        };
        let (parts, body) = request.into_parts();
        let call = Call::from_parts(&parts.headers, &parts.extensions, Face::Grpc);
        let deadline = self.gateway.deadline(&call, Operation::GetStatus);
        let body = Arriving::of_anybody(self.gateway.intake(body), deadline, BYTES_MAX);
        let answer = self.service.call(Request::from_parts(parts, body));
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match place {
                None => answer,
                Some(_place) => answer.map(|body| tonic::body::Body::new(Placed { body, _place })),
            })
        })
    }
}

/// Too many strangers ask at a time.
pub(super) fn busy() -> Status {
    let message = "too many calls of this service are under way; end one of them";
    status_of(&Error::new(ErrorKind::ResourceExhausted, message))
}

/// A body that has its place until it was sent.
struct Placed {
    body: tonic::body::Body,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Placed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
