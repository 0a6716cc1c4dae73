//! `POST /v1/query`: the one route whose operation is known only once its statement was read.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{Response, StatusCode};
use axum::routing;

use super::answer;
use super::body::{self, ContentType, Incoming};
use super::failure::Outcome;
use super::json::{Empty, QueryRequest, QueryResponse};
use super::route::{Route, Shape, Verb, query};
use crate::gateway::{Call, Gateway, Operation};

pub(super) fn route() -> Route {
    let handler = |State(gateway): State<Arc<Gateway>>,
                   Extension(call): Extension<Call>,
                   request: Request| async move {
        let answered = answer(&gateway, &call, request).await;
        answered.unwrap_or_else(|failure| failure.answer(&call.request_id))
    };
    Route {
        verb: Verb::Post,
        path: "/v1/query",
        id: Operation::Query.name(),
        summary: "Runs one SQL statement, with the right it needs on the collection it is about",
        status: StatusCode::OK,
        takes_lines: false,
        request: Shape::of::<QueryRequest>(),
        needs_request: true,
        response: Shape::of::<QueryResponse>(),
        handler: routing::post(handler),
    }
}

async fn answer(gateway: &Arc<Gateway>, call: &Call, request: Request) -> Outcome<Response<Body>> {
    let read = read(gateway, call, request).await;
    // From `query` on the gateway writes down how a call ends.
    let body = read.inspect_err(|failure| {
        gateway.record_refusal(call, Operation::Query, "", &failure.error);
    })?;
    let request_bytes = body.len();
    let read = move || {
        let request: QueryRequest = body::parse(&body)?;
        Ok(request.split())
    };
    let holder = gateway.clone();
    let (text, held) = gateway
        .query(call, request_bytes, read, move |operation, result| {
            let text = answer::text(&QueryResponse(result))?;
            let held = holder.hold(operation, text.len())?;
            Ok((text, held))
        })
        .await?;
    let mut response = answer::of_type(StatusCode::OK, answer::JSON, text);
    response.extensions_mut().insert(held);
    Ok(response)
}

/// The body, of callers who may do anything at all; of others nothing, and the gateway gives the refusal.
async fn read(gateway: &Gateway, call: &Call, request: Request) -> Outcome<axum::body::Bytes> {
    let (parts, body) = request.into_parts();
    query::<Empty>(&parts.uri)?;
    let content_type = ContentType::of(&parts.headers)?;
    if gateway.check_anywhere(call, Operation::Query).is_err() {
        return Ok(axum::body::Bytes::new());
    }
    let deadline = gateway.deadline(call, Operation::Query);
    let mut incoming = Incoming::new(gateway, body, deadline);
    let body = incoming.whole(gateway.request_bytes_max()).await?;
    content_type.must_be_json(&body)?;
    // From here on the call itself counts the bytes.
    incoming.meter().take();
    Ok(match body.is_empty() {
        true => axum::body::Bytes::from_static(b"{}"),
        false => body,
    })
}
