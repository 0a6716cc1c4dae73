//! The page for Prometheus, on a port of its own. It answers the probes of an orchestrator as well: they come without
//! certificates and are to be answered when the other ports are full.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE as CONTENT_TYPE_HEADER;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::gateway::{Gateway, GatewayState};
use crate::observe::{CONTENT_TYPE, Metrics};

/// `GET /metrics`, `/livez` and `/readyz`.
pub(super) fn routes(gateway: Arc<Gateway>, metrics: Arc<Metrics>) -> Router {
    let watched = gateway.clone();
    let ready = async move || match watched.state() {
        GatewayState::Ready => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    let page = move || {
        let (gateway, metrics) = (gateway.clone(), metrics.clone());
        async move {
            // Looking at collections takes their locks.
            let text = tokio::task::spawn_blocking(move || {
                look(&gateway, &metrics);
                metrics.render()
            });
            match text.await {
                Ok(text) => ([(CONTENT_TYPE_HEADER, CONTENT_TYPE)], text).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    Router::new()
        .route("/metrics", get(page))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "try /metrics\n"))
}

fn look(gateway: &Gateway, metrics: &Metrics) {
    metrics.observe_load(&gateway.load());
    metrics.observe_memory(gateway.memory_bytes(), gateway.memory_bytes_max());
    let Some(backend) = gateway.backend() else {
        return;
    };
    // Whatever the number of collections: looking opens none.
    if let Ok(overview) = backend.overview() {
        metrics.observe_database(&overview);
    }
}
