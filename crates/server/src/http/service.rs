//! What belongs to no operation: the entry, whether the server lives and is ready, the document and its page.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer;
use super::route::Shape;
use crate::gateway::{Gateway, GatewayState};

/// A page or state that is read without credentials.
pub(super) struct Service {
    pub(super) path: &'static str,
    /// Its name in the document.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) statuses: &'static [(StatusCode, &'static str)],
    pub(super) content_type: &'static str,
    /// Where the answer is JSON of our own.
    pub(super) response: Option<Shape>,
}

const FOUND: &[(StatusCode, &str)] = &[(StatusCode::OK, "As said")];
const READY: &[(StatusCode, &str)] = &[
    (StatusCode::OK, "It serves"),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "It opens its database, shuts down, or could not open its database",
    ),
];
const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = include_str!("docs.html");
/// The page loads nothing from elsewhere and is shown in no frame of others.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What there is, apart from operations.
pub(super) fn all() -> Vec<Service> {
    vec![
        Service {
            path: "/",
            id: "index",
            summary: "Name, version and where to go on",
            statuses: FOUND,
            content_type: answer::JSON,
            response: Some(Shape::of::<IndexResponse>()),
        },
        Service {
            path: "/livez",
            id: "livez",
            summary: "Whether the process answers",
            statuses: FOUND,
            content_type: answer::JSON,
            response: Some(Shape::of::<StateResponse>()),
        },
        Service {
            path: "/readyz",
            id: "readyz",
            summary: "Whether the database serves",
            statuses: READY,
            content_type: answer::JSON,
            response: Some(Shape::of::<StateResponse>()),
        },
        Service {
            path: "/openapi.json",
            id: "openapi",
            summary: "This document",
            statuses: FOUND,
            content_type: answer::JSON,
            response: None,
        },
        Service {
            path: "/docs",
            id: "docs",
            summary: "This document to read and to try",
            statuses: FOUND,
            content_type: HTML,
            response: None,
        },
    ]
}

impl Service {
    pub(super) fn handler(&self, document: &Bytes) -> MethodRouter<Arc<Gateway>> {
        let document = document.clone();
        match self.id {
            "index" => get(index),
            "livez" => get(livez),
            "readyz" => get(readyz),
            "openapi" => get(async move || answer::of_type(StatusCode::OK, answer::JSON, document)),
            _ => get(docs),
        }
    }
}

/// Name, version and where to go on.
#[derive(Debug, Serialize, ToSchema)]
struct IndexResponse {
    name: &'static str,
    version: &'static str,
    /// Pages and documents, by what they are.
    links: Links,
}

/// Where to go on.
#[derive(Debug, Serialize, ToSchema)]
struct Links {
    docs: &'static str,
    openapi: &'static str,
    collections: &'static str,
    status: &'static str,
    ready: &'static str,
}

/// What the server is doing.
#[derive(Debug, Serialize, ToSchema)]
struct StateResponse {
    /// opening, ready, draining or failed.
    state: &'static str,
    /// Why it failed; null otherwise.
    reason: Option<String>,
}

impl From<GatewayState> for StateResponse {
    fn from(state: GatewayState) -> Self {
        let (state, reason) = match state {
            GatewayState::Opening => ("opening", None),
            GatewayState::Ready => ("ready", None),
            GatewayState::Draining => ("draining", None),
            GatewayState::Failed(reason) => ("failed", Some(reason)),
        };
        Self { state, reason }
    }
}

async fn index() -> Response<Body> {
    let index = IndexResponse {
        name: "VecDB",
        version: env!("CARGO_PKG_VERSION"),
        links: Links {
            docs: "/docs",
            openapi: "/openapi.json",
            collections: "/v1/collections",
            status: "/v1/status",
            ready: "/readyz",
        },
    };
    answer::json(StatusCode::OK, &index)
}

async fn livez(State(gateway): State<Arc<Gateway>>) -> Response<Body> {
    answer::json(StatusCode::OK, &StateResponse::from(gateway.state()))
}

async fn readyz(State(gateway): State<Arc<Gateway>>) -> Response<Body> {
    let state = gateway.state();
    let status = match state {
        GatewayState::Ready => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer::json(status, &StateResponse::from(state))
}

async fn docs() -> Response<Body> {
    let mut response = answer::of_type(StatusCode::OK, HTML, PAGE);
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(PAGE_POLICY),
    );
    response
}
