//! The HTTP face: every operation as JSON under `/v1`, the document that describes it, and the state of the server.
//!
//! ```text
//! route       one route: what goes in and out, and its way through the gateway
//! operations  the list of all routes, and what each does
//! query       SQL statements
//! json/       bodies, and their way to and from the engine's types
//! lines       points by the million, as lines
//! body        reading bodies, within limits, with errors that name the place
//! answer, failure  answers and errors
//! document    the OpenAPI document, made from the same list as the router
//! service     the rest: entry, state, document and page
//! ```
//! docs/http.md shows each route with an example.

mod answer;
mod body;
mod document;
mod failure;
mod json;
mod lines;
mod operations;
mod query;
mod route;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::middleware::{self, Next};
use vecdb_engine::ErrorKind;

use crate::gateway::{Call, Face, Gateway, REQUEST_ID};
use failure::{Failure, Outcome};

/// Milliseconds after which the caller no longer waits.
const TIMEOUT: HeaderName = HeaderName::from_static("x-timeout-ms");

/// The face over `gateway`.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Router {
    let (operations, services) = (operations::all(), service::all());
    let document = document::write(&operations, &services);
    let mut router = Router::new();
    for service in services {
        router = router.route(service.path, service.handler(&document));
    }
    for route in operations {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(identify))
        .with_state(gateway)
}

/// Before and behind every request: who calls and how long they wait, and the request's id on the answer.
async fn identify(mut request: Request, next: Next) -> Response<Body> {
    let mut call = Call::from_parts(request.headers(), request.extensions(), Face::Http);
    let request_id = HeaderValue::from_str(&call.request_id);
    let mut response = match timeout(request.headers()) {
        Ok(timeout) => {
            call.deadline = timeout.and_then(|timeout| call.received.checked_add(timeout));
            request.extensions_mut().insert(call);
            next.run(request).await
        }
        Err(failure) => failure.answer(&call.request_id),
    };
    if let Ok(request_id) = request_id {
        response.headers_mut().insert(REQUEST_ID, request_id);
    }
    response
}

fn timeout(headers: &HeaderMap) -> Outcome<Option<Duration>> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(None);
    };
    match value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<u32>().ok())
    {
        Some(ms) => Ok(Some(Duration::from_millis(ms.into()))),
        None => Err(Failure::invalid(format!(
            "the header x-timeout-ms is {value:?}, not a whole number of milliseconds"
        ))),
    }
}

async fn no_such_path(Extension(call): Extension<Call>, request: Request) -> Response<Body> {
    let path: String = request.uri().path().chars().take(200).collect();
    let message = format!("there is nothing at {path}; /openapi.json lists what there is");
    Failure::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, message).answer(&call.request_id)
}

async fn no_such_method(Extension(call): Extension<Call>, request: Request) -> Response<Body> {
    let message = format!(
        "{} is not a method of this path; the header allow lists those that are",
        request.method()
    );
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::InvalidArgument,
        message,
    )
    .answer(&call.request_id)
}
